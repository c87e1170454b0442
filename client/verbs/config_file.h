// Changes one setting in the user's file and leaves the rest of it, comments too, as it is. Thread: main only.
#ifndef COFFER_CLIENT_VERBS_CONFIG_FILE_H
#define COFFER_CLIENT_VERBS_CONFIG_FILE_H

#include "base/err.h"

// `value` NULL takes the setting out. ERR_USAGE: there is no such setting, or it cannot have this value; then nothing is changed.
// Says on stdout what it has done.
int config_file_set(const char *name, const char *value, struct err *err);

#endif
