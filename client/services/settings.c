#include "client/services/settings.h"

#include "base/file.h"
#include "base/map.h"
#include "codec/hash.h"
#include "compiler/compiler.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILES = 3 };

struct known_settings {
	struct settings config;
	struct file_id files[FILES]; // zero: the file was not there
	struct known_settings *retired;
};

struct settings_cache {
	pthread_mutex_t lock;
	struct map known;               // digest -> struct known_settings
	struct known_settings *retired; // replaced ones, which a job may still read
};

struct settings_cache *settings_cache_new(void)
{
	struct settings_cache *sc = mem_alloc(sizeof *sc);
	pthread_mutex_init(&sc->lock, NULL);
	return sc;
}

static void known_free(struct known_settings *k)
{
	settings_release(&k->config);
	free(k);
}

void settings_cache_free(struct settings_cache *sc)
{
	if (!sc)
		return;
	size_t at = 0;
	void *k;
	while (map_next(&sc->known, &at, NULL, NULL, &k))
		known_free(k);
	map_release(&sc->known);
	for (struct known_settings *r = sc->retired, *next; r; r = next) {
		next = r->retired;
		known_free(r);
	}
	pthread_mutex_destroy(&sc->lock);
	free(sc);
}

static const char *job_env(void *ctx, const char *name)
{
	return env_value(ctx, name);
}

static void look_at_files(struct arena *a, const char *const *env, const char *tree, struct file_id ids[FILES])
{
	const char *user = config_user_file(a, job_env, (void *)(uintptr_t)env);
	const char *names[FILES] = {COFFER_SYSCONFDIR "/coffer/coffer.conf", user ? user : "",
				    tree ? arena_printf(a, "%s/.coffer.conf", tree) : ""};
	for (int i = 0; i < FILES; i++) {
		struct stat st;
		ids[i] = stat(names[i], &st) == 0 ? file_id_of(&st) : (struct file_id){0};
	}
}

// What launchers and the jobserver tell each other differs from command to command and is no setting.
static bool is_passing(const char *assignment)
{
	static const char *const names[] = {"COFFER_JOBSERVER", "COFFER_SLOT", "COFFER_GATE",
					    "COFFER_DEPTH",     "COFFER_LEND", "COFFER_FOLLOW"};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (strncmp(assignment, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static struct digest settings_key(const char *const *env, const char *const *set, const char *tree)
{
	AUTO_HASHER struct hasher h;
	hasher_init(&h);
	for (; *env; env++)
		if ((strncmp(*env, "COFFER_", 7) == 0 && !is_passing(*env)) || strncmp(*env, "HOME=", 5) == 0 ||
		    strncmp(*env, "XDG_CONFIG_HOME=", 16) == 0)
			hasher_str(&h, *env);
	hasher_str(&h, NULL);
	for (; set && *set; set++)
		hasher_str(&h, *set);
	hasher_str(&h, tree);
	return hasher_end(&h);
}

const struct settings *settings_find(struct settings_cache *sc, const char *const *env, const char *const *set,
				     const char *tree, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct digest key = settings_key(env, set, tree);
	struct file_id ids[FILES];
	look_at_files(&a, env, tree, ids);
	pthread_mutex_lock(&sc->lock);
	struct known_settings *k = map_get(&sc->known, &key, sizeof key);
	if (!k || memcmp(k->files, ids, sizeof ids) != 0) {
		struct config_source src = {.env = job_env, .env_ctx = (void *)(uintptr_t)env, .tree = tree, .set = set};
		struct known_settings *now = mem_alloc(sizeof *now);
		memcpy(now->files, ids, sizeof ids);
		if (config_load(&now->config, &src, err) < 0) {
			settings_release(&now->config);
			free(TAKE(now));
		}
		if (now && k) {
			k->retired = sc->retired;
			sc->retired = k;
		}
		if (now)
			map_put(&sc->known, &key, sizeof key, now);
		k = now;
	}
	pthread_mutex_unlock(&sc->lock);
	return k ? &k->config : NULL;
}
