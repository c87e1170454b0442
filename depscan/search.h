// Where a compiler looks for headers: asked of the compiler itself (`-v -E`) and remembered.
//
// The answer holds for one compiler, environment, working directory and set of options. Directories that were named but do
// not exist are part of it: when one appears, the compiler is asked again. Thread: any.
#ifndef COFFER_DEPSCAN_SEARCH_H
#define COFFER_DEPSCAN_SEARCH_H

#include "compiler/compiler.h"
#include "depscan/path_cache.h"

// A directory that is reached through a symlink: which directories count as the same depends on where it leads.
struct search_link {
	const char *dir, *real; // as named; without symlinks, absolute
};

struct search {
	const char **quoted; // after the includer's own directory
	unsigned n_quoted;
	const char **angled; // in order; quoted includes go through them as well
	unsigned n_angled;
	bool *frameworks;     // for each of `angled`: <Kit/x.h> is Kit.framework/Headers/x.h in it
	const char **missing; // named, but not there
	unsigned n_missing;
	struct search_link *links;
	unsigned n_links;
	struct shared_places *places; // what was met there
};

// The real name of a directory, in the arena; NULL if there is none.
char *search_real_path(struct arena *a, int cwd_fd, const char *dir);

struct searches;
struct searches *searches_new(void);
void searches_free(struct searches *s);

// 0 with the answer copied into the arena, to be released, or -1.
int searches_find(struct searches *s, const struct compiler *c, const struct cmdline *line, const char *cwd, int cwd_fd,
		  const char *const *env, struct arena *a, struct search *out, struct err *err);
void search_release(struct search *s);

#endif
