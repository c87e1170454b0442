// MAKEFLAGS and the command lines of make, ninja and cmake, as far as a jobserver is concerned.
//
// MAKEFLAGS (GNU make manual, "Communicating Options to a Sub-make"): words separated by blanks, a backslash quotes the
// next character; the first word may be letters without a dash; after a word "--" come variables. Of several
// --jobserver-auth= and --jobserver-fds= words the last one counts, which lets one value serve old and new clients.
// Needs no library. Thread: any.
#ifndef COFFER_JOBSERVER_CLIENT_MAKEFLAGS_H
#define COFFER_JOBSERVER_CLIENT_MAKEFLAGS_H

#include "base/buf.h"

#include <stdbool.h>

// What the last jobserver word says.
enum auth_kind { AUTH_NONE, AUTH_FDS, AUTH_FIFO, AUTH_CLOSED /* "-2,-2": there is one, but not for this recipe */ };
struct auth {
	enum auth_kind kind;
	int r, w;         // AUTH_FDS
	const char *path; // AUTH_FIFO: in MAKEFLAGS, not terminated
	size_t path_len;
	const char *text; // what follows the '=', not terminated
	size_t text_len;
};
enum { JOBS_UNSET = -1, JOBS_UNLIMITED = 0, JOBS_MAX = 100000 };

struct auth makeflags_auth(const char *makeflags);
int makeflags_jobs(const char *makeflags); // the last -jN: N, JOBS_UNLIMITED for -j alone, or JOBS_UNSET
// `old` (may be NULL) without its -j and jobserver words, and with " -jN words" behind its letters unless `words` is NULL.
void makeflags_write(struct buf *out, const char *old, unsigned jobs, const char *words);

enum jobs_grammar { JOBS_OF_MAKE, JOBS_OF_NINJA, JOBS_OF_CMAKE, JOBS_OF_NONE /* some other program */ };
// Takes every -j out of argv (NULL-terminated, argv[0] is the tool) in all spellings that the tool knows, and keeps
// everything else as it is. *jobs is the last one's number or unchanged. For cmake: of `cmake --build`, and what follows
// "--" goes to the native tool, whose grammar is `native`.
void jobs_strip(char **argv, enum jobs_grammar g, enum jobs_grammar native, int *jobs);
// Does ninja's command line ask for something else than a build (-t, -n, -h, --version)?
bool ninja_is_no_build(char *const *argv);

#endif
