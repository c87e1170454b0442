#include "client/launcher/launcher.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

// What cofferd does under the name `coffer`. A compiler of such a name needs a path (`coffer ./make`).
static bool is_verb(const char *word)
{
	static const char *const verbs[] = {
#define VERB_AS(name, typed, text) typed,
#include "client/wire/verbs.def"
#undef VERB_AS
	};
	if (word[0] == '-')
		return true;
	for (size_t i = 0; i < COUNT_OF(verbs); i++)
		if (strcmp(word, verbs[i]) == 0)
			return true;
	return false;
}

static bool is_setting(const char *name, size_t n)
{
	static const char *const names[] = {
#define SETTING(id, type, dflt, least, most, choices, tree_ok, text) #id,
#include "client/wire/settings.def"
#undef SETTING
	};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0)
			return true;
	return false;
}

// The value is for the daemon (or the verb) to judge.
static bool add_setting(struct launch *l, const char *word)
{
	const char *equals = word ? strchr(word, '=') : NULL;
	if (!equals) {
		launcher_say("--set takes name=value");
		return false;
	}
	if (!is_setting(word, (size_t)(equals - word))) {
		launcher_say("there is no setting '%.*s'", (int)(equals - word), word);
		launcher_say("`coffer config` lists the settings");
		return false;
	}
	l->set[l->n_set++] = word;
	return true;
}

enum args_kind launcher_args_read(struct launch *l, int argc, char **argv)
{
	static char help[] = "help";
	static char *no_words[] = {help, NULL};
	l->set = arena_alloc(&l->arena, ((size_t)argc + 1) * sizeof *l->set);
	l->argv = argv;
	if (argc > 0 && strcmp(launcher_base_name(argv[0]), "coffer") != 0) {
		argv[0] += launcher_base_name(argv[0]) - argv[0];
		l->masquerade = true;
		return ARGS_COMPILE;
	}
	static const char program[] = "--program=";
	int i = 1;
	for (; i < argc; i++) {
		if (strcmp(argv[i], "--set") == 0) {
			if (!add_setting(l, argv[++i]))
				return ARGS_WRONG;
		} else if (strncmp(argv[i], "--set=", 6) == 0) {
			if (!add_setting(l, argv[i] + 6))
				return ARGS_WRONG;
		} else if (strncmp(argv[i], program, sizeof program - 1) == 0 && i + 1 < argc) {
			l->file = argv[i] + sizeof program - 1;
			l->argv = argv + i + 1;
			return ARGS_COMPILE;
		} else if (strcmp(launcher_base_name(argv[i]), "coffer") != 0) {
			break; // `coffer coffer gcc`: CC and CMake's launcher both name coffer
		}
	}
	l->argv = i < argc ? argv + i : no_words;
	return is_verb(l->argv[0]) ? ARGS_VERB : ARGS_COMPILE;
}

static bool says_off(const char *value)
{
	static const char *const words[] = {"off", "false", "no", "0"};
	for (size_t i = 0; i < COUNT_OF(words); i++)
		if (strcasecmp(value, words[i]) == 0)
			return true;
	return false;
}

bool launcher_args_disabled(const struct launch *l)
{
	const char *value = getenv("COFFER_DISABLE");
	if (value && value[0] && !says_off(value))
		return true;
	for (uint32_t i = l->n_set; i-- > 0;)
		if (strncmp(l->set[i], "enabled=", 8) == 0)
			return says_off(l->set[i] + 8);
	value = getenv("COFFER_ENABLED");
	return value && says_off(value);
}
