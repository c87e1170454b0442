// The settings of each job: files, environment and words of its launcher, loaded once and checked by file identity.
// Thread: any.
#ifndef COFFER_CLIENT_SERVICES_SETTINGS_H
#define COFFER_CLIENT_SERVICES_SETTINGS_H

#include "client/config.h"

struct settings_cache;
struct settings_cache *settings_cache_new(void);
void settings_cache_free(struct settings_cache *sc);

// The settings for an environment ("NAME=value" words) in a build tree. What is returned lives as long as `sc`; NULL when
// a file or a value is wrong.
const struct settings *settings_find(struct settings_cache *sc, const char *const *env, const char *const *set,
				     const char *tree, struct err *err);

#endif
