// Settings: one table (settings.def) of name, type, default and where each may be set.
//
// Later wins: built-in default, /etc/coffer/coffer.conf, $XDG_CONFIG_HOME/coffer/coffer.conf (or ~/.config/…;
// COFFER_CONFIG names another file instead, or none if it is empty), <build tree>/.coffer.conf (only settings marked as
// harmless there), environment COFFER_NAME in capitals (an empty variable counts as not set), `coffer --set name=value`.
// A file has `name = value` lines, '#' comments and no sections, and at most 64 KiB. An unknown name, a bad value or an
// unreadable file is an error of one line that begins with file and line ("/x/coffer.conf:3: …"). A file that is absent
// is none. The system's and the user's file must belong to root or the user and not be writable for everybody.
// Thread: any; a struct config is read-only once loaded.
#ifndef COFFER_CLIENT_CONFIG_H
#define COFFER_CLIENT_CONFIG_H

#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

enum setting {
#define SETTING(id, type, dflt, tree_ok, text) SETTING_##id,
#include "client/wire/settings.def"
#undef SETTING
	SETTING_COUNT
};

struct setting_value {
	const char *text;   // as written
	int64_t number;     // bool: 0/1; size: bytes; duration: milliseconds; integer; log_level: an enum log_level
	const char *origin; // "default", "/etc/coffer/coffer.conf:3", "environment", "command line"
};

struct config {
	struct arena arena;
	struct setting_value values[SETTING_COUNT];
};

#define CONFIG_TREE_FILE ".coffer.conf"

// Looks up an environment variable; NULL if it is not set. `ctx` is the caller's.
typedef const char *(*env_fn)(void *ctx, const char *name);

struct config_source {
	env_fn env;
	void *env_ctx;
	const char *tree;        // the build tree's root for .coffer.conf, or NULL
	const char *const *set;  // "name=value" words of the command line, NULL-terminated, or NULL
	const char *system_file; // NULL: /etc/coffer/coffer.conf (tests name another)
};

// Keeps no state between calls. After a failure `c` is empty and needs no release.
int config_load(struct config *c, const struct config_source *src, struct err *err);
void config_release(struct config *c);
#define AUTO_CONFIG __attribute__((cleanup(config_release)))
static inline bool config_bool(const struct config *c, enum setting s)
{
	return c->values[s].number != 0;
}
static inline int64_t config_number(const struct config *c, enum setting s)
{
	return c->values[s].number;
}
static inline const char *config_text(const struct config *c, enum setting s)
{
	return c->values[s].text;
}

const char *setting_name(enum setting s);
const char *setting_help(enum setting s);
const char *setting_type_name(enum setting s); // "bool", "size", "duration", "integer", "path", "words"
const char *setting_default(enum setting s);
bool setting_tree_ok(enum setting s);
const char *setting_env_name(struct arena *a, enum setting s); // "COFFER_MAX_SIZE"
const char *process_env(void *unused, const char *name);       // an env_fn over our own environment

// The cache directory by environment alone (COFFER_CACHE_DIR, XDG_CACHE_HOME/coffer, HOME/.cache/coffer), or NULL: the
// launcher needs it before any file is read, so it is not a setting of coffer.conf. Names that are not absolute do not
// count, since launcher and daemon have different working directories.
char *config_cache_dir(struct arena *a, env_fn env, void *ctx);

// The user's file by environment alone, as described above, or NULL.
char *config_user_file(struct arena *a, env_fn env, void *ctx);

// The build tree that the absolute directory `cwd` is in, and whose .coffer.conf counts: the nearest directory at or above
// `cwd`, but not "/", with .git, .hg, .svn or .jj, else `cwd`. (The setting `root` is known only later and changes what is
// mapped, not which file is read.)
char *config_find_tree(struct arena *a, const char *cwd);

#endif
