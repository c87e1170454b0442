#include "client/config.h"

#include "base/path.h"

#include <string.h>
#include <unistd.h>

#ifndef COFFER_SYSCONFDIR
#define COFFER_SYSCONFDIR "/etc"
#endif

static const struct setting_def defs[SETTING_COUNT] = {
#define SETTING(id, type, dflt, least, most, choices, tree_ok, text) \
	SETTING_DEF(id, type, dflt, least, most, choices, tree_ok, text),
#include "client/wire/settings.def"
#undef SETTING
};

const struct setting_table client_settings = {
	.program = "coffer",
	.env_prefix = "COFFER_",
	.file = COFFER_SYSCONFDIR "/coffer/coffer.conf",
	.defs = defs,
	.n = SETTING_COUNT,
};

static int may_be_absent(int rc, const struct err *why, struct err *err)
{
	if (rc == 0 || why->code == ERR_NOT_FOUND)
		return 0;
	return err_take(err, why);
}

char *config_user_file(struct arena *a, env_fn env, void *ctx)
{
	const char *named = env(ctx, "COFFER_CONFIG");
	if (named)
		return *named ? arena_strdup(a, named) : NULL;
	const char *xdg = env(ctx, "XDG_CONFIG_HOME");
	if (xdg && *xdg == '/')
		return path_join(a, xdg, "coffer/coffer.conf");
	const char *home = env(ctx, "HOME");
	return home && *home == '/' ? path_join(a, home, ".config/coffer/coffer.conf") : NULL;
}

static int add_files(struct settings *s, const struct config_source *src, struct err *err)
{
	struct err why = ERR_INIT;
	const char *system_file = src->system_file ? src->system_file : client_settings.file;
	if (may_be_absent(settings_add_file(s, system_file, &why), &why, err) < 0)
		return -1;
	const char *user_file = config_user_file(&s->arena, src->env, src->env_ctx);
	if (user_file && may_be_absent(settings_add_file(s, user_file, &why), &why, err) < 0)
		return -1;
	if (!src->tree)
		return 0;
	// Whoever has a tree may have its settings, too: they can do no harm.
	const char *tree_file = path_join(&s->arena, src->tree, CONFIG_TREE_FILE);
	return may_be_absent(settings_add_tree_file(s, tree_file, &why), &why, err);
}

static int add_words(struct settings *s, const char *const *words, struct err *err)
{
	settings_next_source(s);
	for (; words && *words; words++) {
		const char *equals = strchr(*words, '=');
		if (!equals)
			return err_set(err, ERR_USAGE, "--set: '%s' is not 'name=value'", value_shown(&s->arena, *words));
		const char *name = arena_strndup(&s->arena, *words, (size_t)(equals - *words));
		if (settings_set(s, name, equals + 1, "--set", "command line", err) < 0)
			return -1;
	}
	return 0;
}

int config_load(struct settings *s, const struct config_source *src, struct err *err)
{
	if (settings_begin(s, &client_settings, err) == 0 && add_files(s, src, err) == 0 &&
	    settings_add_environment(s, src->env, src->env_ctx, "environment", err) == 0 && add_words(s, src->set, err) == 0)
		return 0;
	settings_release(s);
	return -1;
}

char *config_cache_dir(struct arena *a, env_fn env, void *ctx)
{
	const char *named = env(ctx, "COFFER_CACHE_DIR");
	if (named && *named)
		return *named == '/' ? path_tidy(a, named) : NULL;
	const char *xdg = env(ctx, "XDG_CACHE_HOME");
	if (xdg && *xdg == '/')
		return path_tidy(a, path_join(a, xdg, "coffer"));
	const char *home = env(ctx, "HOME");
	return home && *home == '/' ? path_tidy(a, path_join(a, home, ".cache/coffer")) : NULL;
}

static bool is_tree_root(struct arena *a, const char *dir)
{
	static const char *const marks[] = {".git", ".hg", ".svn", ".jj"};
	for (size_t i = 0; i < COUNT_OF(marks); i++)
		if (access(path_join(a, dir, marks[i]), F_OK) == 0)
			return true;
	return false;
}

char *config_find_tree(struct arena *a, const char *cwd)
{
	char *start = path_tidy(a, cwd);
	for (char *dir = start; dir[0] == '/' && dir[1]; dir = path_dir(a, dir))
		if (is_tree_root(a, dir))
			return dir;
	return start;
}
