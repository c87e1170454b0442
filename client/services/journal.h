// The journal: one line of JSON for every compile, for `coffer explain`. <cache>/v1/journal.jsonl, at most
// JOURNAL_MAX_BYTES, then it is renamed to journal.1.jsonl, and a new one begins. Schema: docs/explain.md. Thread: any.
#ifndef COFFER_CLIENT_SERVICES_JOURNAL_H
#define COFFER_CLIENT_SERVICES_JOURNAL_H

#include "base/mem.h"
#include "codec/hash.h"
#include "codec/sha/sha256.h"
#include "compiler/reason.h"

#include <stdint.h>

#define JOURNAL_MAX_BYTES ((int64_t)16 << 20)

// Why a look-up did not hit, compared with the nearest earlier compile of the same translation unit.
enum cause_kind {
	CAUSE_NONE,
	CAUSE_FIRST,       // never seen before
	CAUSE_ARGUMENTS,   // words were added or removed
	CAUSE_ENVIRONMENT, // a variable changed
	CAUSE_TOOLCHAIN,   // another compiler, or a changed one
	CAUSE_INPUT,       // a file has another text
	CAUSE_APPEARED,    // a header is there now that would be found first
	CAUSE_LINK,        // a directory of the search leads elsewhere
	CAUSE_VANISHED,    // a file is no longer there
	CAUSE_MESSAGES,    // the result has messages, made for another terminal or language
	CAUSE_PLACE,       // the result names its build tree, and this is another one
	CAUSE_TIME,        // __DATE__ or __TIME__ with another SOURCE_DATE_EPOCH
	CAUSE_EVICTED,     // known, but its result is no longer in the cache
	CAUSE_CORRUPT,     // known, but its result had been damaged on the disk
	CAUSE_ORDER,       // the same words in another order
	CAUSE_SETTINGS,    // a setting, or the name of a directory or output that is in the key
	CAUSE_RECACHE,     // the setting recache asked for it
	CAUSE_PARANOID,    // nothing is kept here, says the user
	CAUSE_POLICY,      // the same, says the operator of the farm
	CAUSE_CHECKED,     // a hit, compiled all the same and found to be equal (the setting recompile_check)
	CAUSE_DIFFERS,     // the same, and found to be another; the change names the file
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

enum outcome { OUTCOME_NOT_CACHED, OUTCOME_DIRECT_HIT, OUTCOME_PREPROCESSED_HIT, OUTCOME_MISS };

struct shared_ids { // what a compile and its toolchain are called in a shared store
	struct sha256 action, toolchain;
};

// One compile. What is NULL is not told.
struct journal_record {
	enum outcome outcome;
	enum reason reason;  // of OUTCOME_NOT_CACHED
	const char *culprit; // what gave the reason
	const char *cwd;     // never NULL
	const char *source, *output, *command;
	uint64_t wall_us; // of the compile, now or when it was stored
	const struct digest *unit, *key, *result;
	const struct shared_ids *shared; // of a miss there, too
	const struct cause *cause;
	// Of a compile that went to a worker, or was to go there.
	const char *worker;  // that has made the result
	const char *sent_as; // "tree" or "text"
	const char *no_tree; // a name of no_tree.def
	const char *no_tree_culprit;
	uint64_t sent_bytes, sent_us; // what it cost here: bytes, and microseconds of CPU
};

struct journal;
struct journal *journal_open(const char *cache_dir);
void journal_close(struct journal *jl);
void journal_add(struct journal *jl, const struct journal_record *r);

#endif
