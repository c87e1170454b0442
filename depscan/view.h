// Everything that a compiler looks at outside of the source, for the arguments and the environment at hand: found out by
// watching it (observe/), not by knowing it.
//
// For each question (compiler, name it is called by, language, the words that can steer the driver, the variables that do)
// the compile of a source without content is observed once. What it read, listed, asked for and missed becomes the
// toolchain: a digest for keys, and a list of findings (findings.h) that has to hold at each use. The list is kept in the
// store, so that a new daemon needs no new look. Words that only the unit's own text or headers are about (-D, -U, -W, -I and
// its kin, -include, depfiles) are no part of the question; docs/never-wrong.md says where those are looked after.
//
// Where nothing can be observed (no ptrace, no seccomp), commands whose words are known to steer the driver get the reason
// toolchain_unobserved, and all others no toolchain. Thread: any; of several that ask the same, one observes.
#ifndef COFFER_DEPSCAN_VIEW_H
#define COFFER_DEPSCAN_VIEW_H

#include "compiler/compiler.h"
#include "depscan/findings.h"
#include "store/store.h"

#define VIEWS_MAX 2000u // remembered in memory; past it all are forgotten

struct view;
struct views;
// `store` may be NULL. Scratch directories are made below `scratch`, or below /tmp where that can't be.
struct views *views_new(struct files *files, struct watch *watch, struct store *store, const char *scratch);
void views_free(struct views *vs);
// Removes the scratch directories of a process that was killed: those that are older than an hour.
void views_remove_leftovers(const char *scratch);

// For compilers_new: it tells by the same means whether a compiler's parts are as they were. Lives as long as `vs`.
struct part_keeper views_part_keeper(struct views *vs);

struct view_query {
	const struct compiler *compiler;
	const char *argv0;
	const struct cmdline *line;
	const char *cwd;
	int cwd_fd;
	const char *const *env;
	const char *root, *root_real; // the build tree: what is found below it counts by its place in it; or NULL
	uint64_t epoch;               // of the watch
};

// 0 with *out (a reference, or NULL where nothing can be observed and the words are of no risky kind), or -1: the command
// must not be cached, since what its compiler looks at is not known; err says why. ERR_USAGE: it is a program that runs a compiler.
int views_find(struct views *vs, const struct view_query *q, struct view **out, struct err *err);
const struct digest *view_digest(const struct view *v);
const struct findings *view_findings(const struct view *v);
// The programs, libraries and texts that make the compiler what it is, in the order of their directories and names: what two
// machines compare. Headers are left out (they travel in the text), and what only says how to find something else.
struct view_text {
	const char *path;
	struct digest digest;
};
const struct view_text *view_texts(const struct view *v, struct arena *a, size_t *n);
// Is everything still as it was found? `epoch` of now. NULL holds.
bool view_holds(struct views *vs, struct view *v, uint64_t epoch, const char **culprit);
void view_unref(struct view *v); // NULL is fine

#endif
