// What a compile makes, and whether that can be kept: regular files, each under a name of its own. The names of the parts are in
// plan.h. Thread: the job's.
#ifndef COFFER_CLIENT_JOB_OUTPUTS_H
#define COFFER_CLIENT_JOB_OUTPUTS_H

#include "client/job/plan.h"

struct refusal outputs_check(const struct plan *p);

#endif
