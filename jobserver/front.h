// The front end of a build: `coffer make`, `ninja`, `cmake`, `run`. It decides how the tool gets its tokens, starts it,
// is its jobserver (server.h), cleans up and ends as the tool ended.
//
// In order: in a pool of our own that is around us already, it only becomes the tool; else it finds out how many local
// slots there are (the user's -j, or the jobserver around us, or the cores), which transport the tool understands, makes
// a private directory (mode 0700, below XDG_RUNTIME_DIR, TMPDIR or /tmp) for socket and fifo, and runs the tool with
// MAKEFLAGS, COFFER_JOBSERVER and the masquerade directory in its environment. Where anything of this cannot be had, the
// tool runs as if it had been called with -jN. Thread: main only; it forks.
#ifndef COFFER_JOBSERVER_FRONT_H
#define COFFER_JOBSERVER_FRONT_H

#include "jobserver/client/makeflags.h"
#include "jobserver/tool.h"

#include <stdint.h>

enum { FRONT_MOST_LOANS = 1000 }; // make's own cost grows with the square of its sleeping children

struct front_counts {
	uint64_t compiles, hits;
};

struct front {
	char **argv;               // the tool and its arguments without any -j, NULL-terminated
	int jobs;                  // what the user's -j said: JOBS_UNSET, JOBS_UNLIMITED or a number
	enum jobs_grammar grammar; // argv's
	const char *probe;         // the program whose version decides ("make", "ninja", a path); it runs below argv[0]
	bool untouched;            // no build (a clean, a version): no jobserver, only the environment
	bool wants_summary, wants_progress;
	bool has_farm;         // compiles may wait for other machines, so that more of them are worth starting than may run
	const char *launcher;  // the coffer program, for the masquerade directory; NULL: none
	const char *cache_dir; // where that directory may be made
	const char *gate_dir;  // where coffer-gate and libcoffer-gate.so are; NULL: not installed
	const char *const
		*env; // NAME, VALUE pairs that are set for the tool where the user has not, NULL-terminated; or NULL
	// Compiles and hits so far, for the progress line and the summary; may be NULL.
	void (*counts)(void *ctx, struct front_counts *c);
	void *ctx;
};

// Runs it. Returns the exit status; where the tool died by a signal this process dies by the same one.
int front_run(struct front *f);

#endif
