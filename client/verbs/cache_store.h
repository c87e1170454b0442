// `coffer cache gc --store`, `push` and `pull`: what is done with a shared store by hand or by a timer.
#ifndef COFFER_CLIENT_VERBS_CACHE_STORE_H
#define COFFER_CLIENT_VERBS_CACHE_STORE_H

#include "client/config.h"

struct cache_gc_words { // as they were given; NULL: not
	const char *store, *max_size, *max_age, *grace, *time_limit;
	bool is_dry_run;
};
// Both of the build tree that the working directory is in. `build`: NULL is the name of the tree's directory.
struct cache_share_words {
	const char *build, *since, *max_size;
};
int cache_push(const struct cache_share_words *words, const struct settings *config, struct err *err); // 0, or -1
int cache_pull(const struct cache_share_words *words, const struct settings *config, struct err *err);

int cache_gc_store(const struct cache_gc_words *words, const struct settings *config); // the exit status

#endif
