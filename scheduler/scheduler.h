// `coffer scheduler`: the program. Thread: main only.
#ifndef COFFER_SCHEDULER_SCHEDULER_H
#define COFFER_SCHEDULER_SCHEDULER_H

#include "settings/settings.h"

enum scheduler_option {
#define OPTION(id, type, dflt, least, most, choices, text) SCHEDULER_##id,
#include "scheduler/options.def"
#undef OPTION
	SCHEDULER_OPTIONS
};
extern const struct setting_table scheduler_options;

// Serves until SIGTERM or SIGINT. SIGHUP reads tenants, keys and certificates again; if one of them is bad, the old ones
// stay and the log says so. Returns the exit status: 0, 1 when it cannot start, 2 for wrong words.
int scheduler_main(int argc, char **argv);

#endif
