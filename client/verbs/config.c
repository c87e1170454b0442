// `coffer config`: the settings that hold here.
#include "client/config.h"
#include "client/verbs/config_file.h"

#include "client/verbs/format.h"
#include "client/verbs/verbs.h"

#include <stdio.h>
#include <string.h>

static const char usage[] = "usage: coffer config [--tsv | --json]\n"
			    "       coffer config get NAME\n"
			    "       coffer config set NAME VALUE\n"
			    "       coffer config unset NAME\n"
			    "\n"
			    "Shows each setting, its value and where the value comes from, as a compile in this folder\n"
			    "sees them. See coffer.conf(5) for what they mean. 'set' and 'unset' change your own file.\n"
			    "\n"
			    "  --tsv   NAME<tab>VALUE<tab>ORIGIN\n"
			    "  --json  the same as one JSON object; sizes in bytes and durations in milliseconds besides\n";

static const char *shown(const char *text)
{
	return *text ? text : "(empty)";
}

static void put_people(const struct settings *c)
{
	int name_width = 0, value_width = 0;
	for (enum setting s = 0; s < SETTING_COUNT; s++) {
		int name = (int)strlen(client_settings.defs[s].name), text = (int)strlen(shown(setting_text(c, s)));
		name_width = name > name_width ? name : name_width;
		value_width = text > value_width && text <= 40 ? text : value_width;
	}
	for (enum setting s = 0; s < SETTING_COUNT; s++)
		printf("%-*s  %-*s  %s\n", name_width, client_settings.defs[s].name, value_width, shown(setting_text(c, s)),
		       c->values[s].origin);
}

static void put_tsv(const struct settings *c)
{
	for (enum setting s = 0; s < SETTING_COUNT; s++) {
		printf("%s\t", client_settings.defs[s].name);
		put_field(setting_text(c, s));
		putchar('\t');
		put_field(c->values[s].origin);
		putchar('\n');
	}
}

static const char *type_name(enum value_type type)
{
	switch (type) {
	case VALUE_BOOL:
		return "bool";
	case VALUE_SIZE:
		return "size";
	case VALUE_DURATION:
		return "duration";
	case VALUE_INTEGER:
		return "integer";
	case VALUE_ABSOLUTE:
		return "path";
	default:
		return "words";
	}
}

// What a program wants beside the words: a switch as true or false, everything that is a number as a number.
static json_t *plain_value(const struct settings *c, enum setting s)
{
	switch (client_settings.defs[s].type) {
	case VALUE_BOOL:
		return json_boolean(setting_bool(c, s));
	case VALUE_SIZE:
	case VALUE_DURATION:
	case VALUE_INTEGER:
		return json_integer(setting_number(c, s));
	default:
		return json_text(setting_text(c, s));
	}
}

static void put_object(const struct settings *c)
{
	json_t *all = json_object();
	for (enum setting s = 0; s < SETTING_COUNT; s++) {
		json_t *o = json_object();
		json_object_set_new(o, "value", plain_value(c, s));
		json_object_set_new(o, "text", json_text(setting_text(c, s)));
		json_object_set_new(o, "type", json_text(type_name(client_settings.defs[s].type)));
		json_object_set_new(o, "origin", json_text(c->values[s].origin));
		json_object_set_new(all, client_settings.defs[s].name, o);
	}
	put_json(all);
}

static int get(const char *name)
{
	struct err err = ERR_INIT;
	AUTO_SETTINGS struct settings c = {0};
	if (verb_load_config(&c, &err) < 0)
		return verb_fail(&err);
	for (enum setting s = 0; s < SETTING_COUNT; s++)
		if (strcmp(client_settings.defs[s].name, name) == 0) {
			printf("%s\n", setting_text(&c, s));
			return 0;
		}
	const char *near = setting_nearest(&client_settings, name);
	return verb_wrong("config", "there is no setting '%s'%s%s%s", name, near ? "; did you mean '" : "", near ? near : "",
			  near ? "'?" : "");
}

static int change(int n_words, char *const *words)
{
	struct err err = ERR_INIT;
	bool is_set = strcmp(words[0], "set") == 0, is_unset = strcmp(words[0], "unset") == 0;
	if (strcmp(words[0], "get") == 0 && n_words == 2)
		return get(words[1]);
	if (!(is_set && n_words == 3) && !(is_unset && n_words == 2))
		return verb_wrong("config", "it takes 'get NAME', 'set NAME VALUE' or 'unset NAME'");
	if (config_file_set(words[1], is_set ? words[2] : NULL, &err) == 0)
		return 0;
	return err.code == ERR_USAGE ? verb_wrong("config", "%s", err.text) : verb_fail(&err);
}

int verb_config(int argc, char **argv)
{
	int tsv = 0, json = 0;
	const struct option options[] = {{"tsv", no_argument, &tsv, 1}, {"json", no_argument, &json, 1}, {0}};
	struct verb_args args = {.usage = usage, .options = options, .max_words = 3};
	if (!verb_parse(&args, argc, argv))
		return args.exit_status;
	if (tsv + json > 1)
		return verb_wrong("config", "--tsv and --json exclude each other");
	if (args.n_words)
		return tsv || json ? verb_wrong("config", "--tsv and --json go with no word")
				   : change(args.n_words, args.words);
	struct err err = ERR_INIT;
	AUTO_SETTINGS struct settings c = {0};
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
