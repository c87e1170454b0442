// Does __DATE__ or __TIME__ reach the compiler? A text may say the words where they count for nothing: in a branch that is switched
// off, or in a macro that nobody uses. Thread: the job's.
#ifndef COFFER_CLIENT_JOB_DATES_H
#define COFFER_CLIENT_JOB_DATES_H

#include "client/job/macros.h"

// Runs the preprocessor twice, on two different days. False: what it prints is the same.
bool dates_reach(const struct inputs *in);

#endif
