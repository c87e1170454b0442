// `coffer gateway`: the program. Thread: main only.
#ifndef COFFER_GATEWAY_GATEWAY_H
#define COFFER_GATEWAY_GATEWAY_H

#include "settings/settings.h"

enum gateway_option {
#define OPTION(id, type, dflt, least, most, choices, text) GATEWAY_##id,
#include "gateway/options.def"
#undef OPTION
	GATEWAY_OPTIONS
};
extern const struct setting_table gateway_options;

// Serves until SIGTERM or SIGINT. SIGHUP reads tenants, keys and certificates again; if one of them is bad, the old ones stay and
// the log says so. Returns the exit status: 0, 1 when it cannot start, 2 for wrong words.
int gateway_main(int argc, char **argv);

#endif
