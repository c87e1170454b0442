// What a whole build was like: `coffer explain --build`. The records of a build are the last ones of the journal that have no
// pause of REPORT_PAUSE_S between them. Compiles that missed for one reason are one group, and what has cost most comes first.
// Thread: main only.
#ifndef COFFER_CLIENT_VERBS_REPORT_H
#define COFFER_CLIENT_VERBS_REPORT_H

#include "base/buf.h"
#include "client/verbs/history.h"
#include "depscan/linediff.h"
#include "store/store.h"

#include <stdint.h>

enum { REPORT_PAUSE_S = 120, REPORT_EXAMPLES = 5 };

struct report_group {
	const json_t *record; // the first of them
	size_t n;
	double seconds;                        // that they took
	const char *examples[REPORT_EXAMPLES]; // sources; of all but the first group of a kind these differ
	size_t n_examples;
};

struct report {
	struct arena arena;
	struct store *store; // may be NULL: then no lines are shown
	int64_t from_ms, to_ms;
	size_t compiles, direct_hits, preprocessed_hits, misses, not_cached;
	double saved, lost;          // seconds: by hits, and in compiles that were none
	struct report_group *groups; // by seconds, falling
	size_t n_groups;
};
// `since_s` 0: the last build; else all of the last so many seconds.
void report_make(struct report *r, const struct history *history, int64_t since_s);
void report_release(struct report *r);

// Why the group's compiles were no hits, in one line; and what changed in which file, if that is known: lines of a difference.
const char *report_cause(struct report *r, const struct report_group *g);
unsigned report_lines(struct report *r, const struct report_group *g, struct line_change **lines);

const char *report_seconds(struct report *r, double seconds); // "4.2 s"
void report_print(struct report *r);
json_t *report_json(struct report *r);
void report_html(struct report *r, struct buf *page); // one file that needs no other

// ---- explain.c --------------------------------------------------------------------------------------------------------

const char *explain_cause_text(const char *kind);
// The lines that differ between the two texts of a change in an input; 0 where they are no longer there.
unsigned explain_lines(struct arena *a, struct store *store, const json_t *record, const json_t *change,
		       struct line_change **lines, unsigned *n_all);

#endif
