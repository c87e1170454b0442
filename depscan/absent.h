// Which names must stay absent for a result to hold: every place where the compiler would have looked before it found a
// header, and where it looked and found nothing.
//
// Worked out after a compile from the texts of all inputs and the compiler's search path, without a preprocessor: every
// include directive counts, also in dead branches, so that at worst an entry is dropped too early. Thread: any.
#ifndef COFFER_DEPSCAN_ABSENT_H
#define COFFER_DEPSCAN_ABSENT_H

#include "depscan/manifest.h"
#include "depscan/path_cache.h"
#include "depscan/scan.h"
#include "depscan/search.h"

#include <sys/stat.h>

struct absent_input {
	const char *path;     // as the compiler names it, relative to the working directory or absolute
	struct digest digest; // of its text, which answers are remembered by; zero: they are not
	const struct scan *scan;
};

// Reads and scans a header; false if it can't be read.
typedef bool (*absent_read_fn)(void *ctx, const char *path, struct absent_input *out);

// Told of each file that an include could have meant and that is no input: false spoils the answer (`doubtful`).
typedef bool (*absent_unread_fn)(void *ctx, const char *path);

struct absent_query {
	int cwd_fd;
	const struct search *search;       // with its places
	const struct absent_input *inputs; // the source first
	unsigned n_inputs;
	const struct include
		*forced; // -include and what the compiler includes by itself; looked for from the working directory
	unsigned n_forced;
	absent_read_fn read; // set: `inputs` has no system headers (-MMD): follow every include to the files it can reach
	absent_unread_fn unread;
	void *ctx;                // of both
	const char *const *loose; // files that were found by a name we do not know (the assembler's .incbin)
	unsigned n_loose;
	bool any_order; // the names of a group need not be sorted
	uint64_t since; // absent_answer.job of an earlier question, whose view of the file system is to hold; or 0
	struct directory_watch *arrivals; // or NULL
	bool macros;                      // includes that name macros may be alive: they are treated as computed
	bool gch, pch; // x.h.gch (gcc), x.h.pch beside a header would be taken silently, so they must stay absent
};

// Names as the compiler would form them, not yet canonical.
struct absent_answer {
	struct absent_group *groups;
	uint32_t n_groups;
	const char **present; // probed by __has_include and there, but not read
	uint32_t n_present;
	const char **further; // files the result may depend on beyond `inputs`: all that could be reached with `read` set
	uint32_t n_further;
	const char *doubtful; // a file that `unread` refused, or a precompiled header; or NULL
	bool computed;        // with `read` set: an include has a computed name, so `further` may lack files
	uint64_t job;         // the number of this question
};

void absent_find(const struct absent_query *q, struct arena *a, struct absent_answer *out);
// The names of each group, of an answer in any order.
void absent_sort(struct absent_answer *answer);

#endif
