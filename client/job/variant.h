// How a translation unit was compiled: the compiler, the arguments and the variables that are in its key; and in what two such differ.
// Thread: any.
#ifndef COFFER_CLIENT_JOB_VARIANT_H
#define COFFER_CLIENT_JOB_VARIANT_H

#include "base/buf.h"
#include "base/mem.h"
#include "client/job/plan.h"
#include "client/services/journal.h"

struct variant {
	const char *compiler; // its path and description
	const char **arguments, **env;
	uint32_t n_arguments, n_env;
};

// Points into the plan and the arena.
struct variant variant_of(const struct plan *p, struct arena *a);
void variant_put(struct buf *b, const struct variant *v);
void variant_get(struct rd *r, struct arena *a, struct variant *v); // sets r->bad where it is none

// How many words and variables are others, and some for another compiler. At most CAUSE_MAX_CHANGES of each count.
unsigned variant_distance(const struct variant *was, const struct variant *now, struct arena *a);
// Fills in `c` with the kind and the changes. False: compiler, words and variables are the same, at most in another order
// (CAUSE_ORDER, else CAUSE_NONE).
bool variant_compare(const struct variant *was, const struct variant *now, struct arena *a, struct cause *c);

#endif
