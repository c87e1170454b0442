// The journal: one line of JSON for every compile, for `coffer explain`. <cache>/v1/journal.jsonl, at most
// JOURNAL_MAX_BYTES, then it is renamed to journal.1.jsonl and begun anew. Schema: docs/explain.md. Thread: any.
#ifndef COFFER_CLIENT_JOB_RECORD_H
#define COFFER_CLIENT_JOB_RECORD_H

#include "base/err.h"
#include "base/mem.h"
#include "codec/hash.h"
#include "store/store.h"

#include <stdint.h>

#define JOURNAL_MAX_BYTES ((int64_t)16 << 20)

struct job;

// Why a look-up did not hit, compared with the nearest earlier compile of the same translation unit.
enum cause_kind {
	CAUSE_NONE,
	CAUSE_FIRST,       // never seen before
	CAUSE_ARGUMENTS,   // words were added or removed
	CAUSE_ENVIRONMENT, // a variable changed
	CAUSE_TOOLCHAIN,   // another compiler, or a changed one
	CAUSE_INPUT,       // a file has another text
	CAUSE_APPEARED,    // a header is there now that would be found first
	CAUSE_LINK,        // a folder of the search leads elsewhere
	CAUSE_VANISHED,    // a file is no longer there
	CAUSE_MESSAGES,    // the result has messages, made for another terminal or language
	CAUSE_PLACE,       // the result names its build tree, and this is another one
	CAUSE_TIME,        // __DATE__ or __TIME__ with another SOURCE_DATE_EPOCH
	CAUSE_EVICTED,     // known, but its result is no longer in the cache
	CAUSE_RECACHE,     // the setting recache asked for it
	CAUSE_PARANOID,    // nothing is kept here, says the user
	CAUSE_POLICY,      // the same, says the operator of the farm
};
const char *cause_name(enum cause_kind kind);

struct change {                // one difference: of a word, a variable or a file
	const char *name;      // file or variable; NULL for words
	const char *was, *now; // text, or a file's digest in hex; NULL: not there
};
#define CAUSE_MAX_CHANGES 20
struct cause {
	enum cause_kind kind;
	struct change changes[CAUSE_MAX_CHANGES];
	unsigned n_changes; // of those kept
	unsigned n_all;
};
void cause_add(struct cause *c, const char *name, const char *was, const char *now);

struct journal;
struct journal *journal_open(const char *cache_dir);
void journal_close(struct journal *jl);
void journal_add(struct journal *jl, const struct job *j);

// The last arguments, environment and toolchain under which a translation unit was compiled (a few variants of them).
// Compares the job with the nearest of them and fills in `c`; remembers the job as the newest.
void unit_compare(const struct job *j, struct store *s, struct arena *a, struct cause *c);
void unit_remember(const struct job *j, struct store *s);

#endif
