// `coffer worker`: the program. Thread: main only.
#ifndef COFFER_WORKER_WORKER_H
#define COFFER_WORKER_WORKER_H

#include "settings/settings.h"

enum worker_option {
#define OPTION(id, type, dflt, least, most, choices, text) WORKER_##id,
#include "worker/options.def"
#undef OPTION
	WORKER_OPTIONS
};
extern const struct setting_table worker_options;

// Serves until SIGTERM or SIGINT, and then ends the jobs that it has. SIGHUP reads keys and certificates again, and looks
// again which images there are; if a file is bad, the old ones stay and the log says so. Returns the exit status: 0, 1 when
// it cannot start, 2 for wrong words.
int worker_main(int argc, char **argv);

// `coffer replay`: sets up what runs jobs, without serving anybody, from the same settings (argv is as for worker_main). Calls
// `replay` with the directory of the worker's audit log, and returns its exit status.
struct worker_service;
int worker_replay(int argc, char **argv, int (*replay)(void *ctx, struct worker_service *s, const char *log), void *ctx);

#endif
