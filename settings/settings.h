// The settings of a program: one table of names, types, defaults and limits, and values from sources.
//
// A source is a file of lines `name = value` (settings/conf.h), the environment, or words of a command line. They are added
// one after the other, and the later one wins; the words of a list add up within one source. An entry "max_size" of a table
// with the prefix "COFFER_" is the variable COFFER_MAX_SIZE (an empty one counts as not set). Every error is one line that
// begins with the place: "FILE:LINE", the variable's name, or what the caller says. The client's table is client/config.h;
// settings/flags.h adds flags and --help for the operators' programs. Nothing secret belongs into a setting: it would be
// seen in `ps` and /proc; settings name files.
//
// A program keeps its table in a file of lines SETTING(id, type, default, least, most, choices, …, "what it is"), which gives
// an enum to ask by and the table (scheduler/options.def, scheduler/scheduler.c).
// Thread: any; a struct settings is read-only once loaded.
#ifndef COFFER_SETTINGS_SETTINGS_H
#define COFFER_SETTINGS_SETTINGS_H

#include "base/err.h"
#include "base/mem.h"
#include "base/value.h"

#include <stdbool.h>
#include <stdint.h>

struct setting_def {
	const char *name; // lower case, '_' between words
	enum value_type type;
	const char *dflt; // "" for none
	const char *help; // one line, lower case
	int64_t min, max; // of the number, both 0: any
	const char *choices;
	bool is_harmless; // a file that may be anybody's may set it
};
#define SETTING_DEF(id, type_, dflt_, least, most, choices_, harmless, text)                                  \
	{                                                                                                     \
		.name = #id, .type = (type_), .dflt = (dflt_), .help = (text), .min = (least), .max = (most), \
		.choices = (choices_), .is_harmless = (harmless)                                              \
	}

struct setting_table {
	const char *program;    // "coffer scheduler"
	const char *about;      // a sentence or two for --help, lines of at most 90 characters
	const char *env_prefix; // "COFFER_SCHEDULER_"
	const char *file;       // "/etc/coffer/scheduler.conf", which may be absent
	const struct setting_def *defs;
	size_t n;
};

struct setting_value {
	const char *text;         // as written; a VALUE_PATH is made absolute
	const char *const *words; // of a list, NULL-terminated; else NULL
	int64_t number;           // see base/value.h
	const char *origin;       // "default", "FILE:LINE", the variable's name, "--flag", …
	int source;               // to add words of a list to those of the same source
};

struct settings {
	struct arena arena;
	const struct setting_table *table;
	struct setting_value *values; // as many as the table has entries
	int source;                   // counts sources
	const char *directory;        // where relative names of files begin
};
#define AUTO_SETTINGS __attribute__((cleanup(settings_release)))

// Looks up an environment variable; NULL if it is not set. `ctx` is the caller's.
typedef const char *(*env_fn)(void *ctx, const char *name);
const char *process_env(void *unused, const char *name); // an env_fn over our own environment

// ---- loading. After a failure `s` must still be released ------------------------------------------------------------

// Every value is its default.
int settings_begin(struct settings *s, const struct setting_table *t, struct err *err);
void settings_release(struct settings *s);
// ERR_NOT_FOUND: it is absent. The file must belong to root or to us and not be writable for everybody.
int settings_add_file(struct settings *s, const char *path, struct err *err);
// A file that may be anybody's: it sets only what is harmless.
int settings_add_tree_file(struct settings *s, const char *path, struct err *err);
// `origin` NULL: the origin of a value is the name of its variable.
int settings_add_environment(struct settings *s, env_fn env, void *ctx, const char *origin, struct err *err);
// What follows is a source of its own, until the next call of a settings_…() function that adds one.
void settings_next_source(struct settings *s);
// One value; `where` begins the error's text, `origin` is kept: it must live as long as `s`.
int settings_set(struct settings *s, const char *name, const char *text, const char *where, const char *origin,
		 struct err *err);

// ---- asking -----------------------------------------------------------------------------------------------------------

static inline bool setting_bool(const struct settings *s, unsigned id)
{
	return s->values[id].number != 0;
}
static inline int64_t setting_number(const struct settings *s, unsigned id)
{
	return s->values[id].number;
}
static inline const char *setting_text(const struct settings *s, unsigned id)
{
	return s->values[id].text;
}
static inline const char *setting_text_or_null(const struct settings *s, unsigned id)
{
	return *s->values[id].text ? s->values[id].text : NULL;
}
static inline const char *const *setting_words(const struct settings *s, unsigned id)
{
	return s->values[id].words;
}
const char *setting_variable(struct arena *a, const struct setting_table *t, const char *name); // "COFFER_MAX_SIZE"
// The entry whose name is the nearest to a mistyped one, or NULL.
const char *setting_nearest(const struct setting_table *t, const char *name);

#endif
