// The inputs of one compile as they are gathered (inputs.c), and what macros make of the names that they include and ask for
// (macros.c). For nobody else. Thread: the job's.
#ifndef COFFER_CLIENT_JOB_MACROS_H
#define COFFER_CLIENT_JOB_MACROS_H

#include "base/child.h"
#include "base/map.h"
#include "client/job/baseline.h"
#include "client/job/plan.h"
#include "depscan/absent.h"
#include "depscan/files.h"

struct input {
	const char *path; // as the compiler names it
	struct file_facts facts;
	uint32_t flags;                // INPUT_*
	bool probes_added;             // the scan has names that are not in the text: macros of others make them
	bool is_as_earlier;            // not changed since it was in inputs.earlier
	const struct watched *watched; // by what these facts hold while there is no news, or NULL
};

struct inputs {
	const struct plan *plan;
	const struct baseline *baseline;
	// What was found of files before the compile, where it was made of that: or NULL. The facts of those that are unchanged.
	const struct inputs *earlier;
	// All that their includes can reach is among them, by names that the texts have: what came of it. NULL: not so, or not known.
	const struct absent_answer *closure;
	uint64_t epoch; // of the watched directories, as these were begun; 0: none are
	struct input *list;
	uint32_t n, cap;
	struct map known;   // path -> 1 + its number
	const char **loose; // those that the assembler opened
	uint32_t n_loose;
	const char **wanted; // those that were not there and would have been read (wanted.h)
	uint32_t n_wanted;
	unsigned n_probes;          // added so, of all
	struct manifest_link *same; // directories by which one file has two names: what they lead to must stay
	uint32_t n_same;
	struct buf builtin; // what the compiler defines by itself, once it was asked
	struct refusal refusal;
};

void inputs_begin(struct inputs *in, const struct plan *p, const struct baseline *b);
void inputs_release(struct inputs *in); // what is not in the arena
// Adds a file as it is now, once (INPUT_* of depscan/manifest.h); or sets a refusal.
void inputs_add(struct inputs *in, const char *path, uint32_t flags);
const struct input *inputs_find_one(const struct inputs *in, const char *path); // NULL: it is none

// For who follows the includes of these inputs (depscan/absent.h): what is included before the first line, the inputs as
// they are now, and an absent_read_fn that adds what is reached.
unsigned inputs_forced(const struct plan *p, struct include **out);
// Is there a text with `#pragma once` (or any, where one says #import) that is one file under two names, or in two files? When one becomes
// two, the second counts; and two are one for gcc when their dates are equal. No digest tells.
bool inputs_count_once(struct inputs *in, const char **culprit);
struct absent_input *inputs_for_absent(const struct inputs *in);
bool inputs_read_reached(void *inputs, const char *path, struct absent_input *out);

// The plan's command without its source and its outputs, and with `more`; NULL-terminated.
const char *const *inputs_question(const struct inputs *in, const char *const *more);
// Runs the compiler with the plan's arguments, without its source and its outputs, and with `more`. The caller releases `c`.
bool inputs_ask_compiler(const struct inputs *in, const char *const *more, struct child *c);
// The same in another environment, and with more to be printed than DEPFILE_MAX.
bool inputs_ask_with(const struct inputs *in, const char *const *more, const char *const *env, size_t most, struct child *c);

// Is there an `#include NAME` whose macro may be defined?
bool macros_in_includes(struct inputs *in);
// `#if HAS(<x.h>)` behind `#define HAS(x) __has_include(x)`: refuses (unknown_probe) where it can't be told what is
// asked for. True if names that macros make were added to the scans, so that absent names are to be found again.
bool macros_in_probes(struct inputs *in);

// Could the compiler define it by itself? Not only names with an underscore: with -std=gnu… there are linux, unix, and on
// some machines more. *value: what stands behind the name, up to the end of the line; NULL where the compiler did not say.
bool macros_builtin(struct inputs *in, const char *name, const char **value);

#endif
