// `coffer config`: the settings that hold here.
#include "client/config.h"

#include "client/verbs/format.h"
#include "client/verbs/verbs.h"

#include <stdio.h>
#include <string.h>

static const char usage[] = "usage: coffer config [--tsv | --json]\n"
			    "\n"
			    "Shows each setting, its value and where the value comes from, as a compile in this folder\n"
			    "sees them. See coffer.conf(5) for what they mean.\n"
			    "\n"
			    "  --tsv   NAME<tab>VALUE<tab>ORIGIN\n"
			    "  --json  the same as one JSON object; sizes in bytes and durations in milliseconds besides\n";

static const char *shown(const char *text)
{
	return *text ? text : "(empty)";
}

static void put_people(const struct config *c)
{
	int name_width = 0, value_width = 0;
	for (enum setting s = 0; s < SETTING_COUNT; s++) {
		int name = (int)strlen(setting_name(s)), text = (int)strlen(shown(config_text(c, s)));
		name_width = name > name_width ? name : name_width;
		value_width = text > value_width && text <= 40 ? text : value_width;
	}
	for (enum setting s = 0; s < SETTING_COUNT; s++)
		printf("%-*s  %-*s  %s\n", name_width, setting_name(s), value_width, shown(config_text(c, s)),
		       c->values[s].origin);
}

static void put_tsv(const struct config *c)
{
	for (enum setting s = 0; s < SETTING_COUNT; s++) {
		printf("%s\t", setting_name(s));
		put_field(config_text(c, s));
		putchar('\t');
		put_field(c->values[s].origin);
		putchar('\n');
	}
}

// What a program wants beside the words: a switch as true or false, everything that is a number as a number.
static json_t *plain_value(const struct config *c, enum setting s)
{
	const char *type = setting_type_name(s);
	if (strcmp(type, "bool") == 0)
		return json_boolean(config_bool(c, s));
	if (strcmp(type, "path") == 0 || strcmp(type, "words") == 0)
		return json_text(config_text(c, s));
	return json_integer(config_number(c, s));
}

static void put_object(const struct config *c)
{
	json_t *all = json_object();
	for (enum setting s = 0; s < SETTING_COUNT; s++) {
		json_t *o = json_object();
		json_object_set_new(o, "value", plain_value(c, s));
		json_object_set_new(o, "text", json_text(config_text(c, s)));
		json_object_set_new(o, "type", json_text(setting_type_name(s)));
		json_object_set_new(o, "origin", json_text(c->values[s].origin));
		json_object_set_new(all, setting_name(s), o);
	}
	put_json(all);
}

int verb_config(int argc, char **argv)
{
	int tsv = 0, json = 0;
	const struct option options[] = {{"tsv", no_argument, &tsv, 1}, {"json", no_argument, &json, 1}, {0}};
	struct verb_args args = {.usage = usage, .options = options};
	if (!verb_parse(&args, argc, argv))
		return args.exit_status;
	if (tsv + json > 1)
		return verb_wrong("config", "--tsv and --json exclude each other");
	struct err err = ERR_INIT;
	AUTO_CONFIG struct config c = {0};
	if (verb_load_config(&c, &err) < 0)
		return verb_fail(&err);
	if (tsv)
		put_tsv(&c);
	else if (json)
		put_object(&c);
	else
		put_people(&c);
	return 0;
}
