// The client's settings: a table (settings.def) and where its values come from.
//
// Later wins: built-in default, /etc/coffer/coffer.conf, $XDG_CONFIG_HOME/coffer/coffer.conf (or ~/.config/…;
// COFFER_CONFIG names another file instead, or none if it is empty), <build tree>/.coffer.conf (only settings marked as
// harmless there), environment COFFER_NAME in capitals (an empty variable counts as not set), `coffer --set name=value`.
// A file has `name = value` lines, '#' comments and no sections. An unknown name, a bad value or an
// unreadable file is an error of one line that begins with file and line ("/x/coffer.conf:3: …"). A file that is absent
// is none. The system's and the user's file must belong to root or the user and not be writable for everybody.
// Thread: any.
#ifndef COFFER_CLIENT_CONFIG_H
#define COFFER_CLIENT_CONFIG_H

#include "settings/settings.h"

enum setting {
#define SETTING(id, type, dflt, least, most, choices, tree_ok, text) SETTING_##id,
#include "client/wire/settings.def"
#undef SETTING
	SETTING_COUNT
};

extern const struct setting_table client_settings;

#define CONFIG_TREE_FILE ".coffer.conf"

struct config_source {
	env_fn env;
	void *env_ctx;
	const char *tree;        // the build tree's root for .coffer.conf, or NULL
	const char *const *set;  // "name=value" words of the command line, NULL-terminated, or NULL
	const char *system_file; // NULL: /etc/coffer/coffer.conf (tests name another)
};

// Keeps no state between calls. After a failure `s` is empty and needs no release.
int config_load(struct settings *s, const struct config_source *src, struct err *err);

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
