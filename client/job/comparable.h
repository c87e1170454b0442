// Which compiles may take a result that was made of other texts, as far as the command line tells. Thread: any.
#ifndef COFFER_CLIENT_JOB_COMPARABLE_H
#define COFFER_CLIENT_JOB_COMPARABLE_H

#include "client/job/plan.h"

bool comparable_without_comments(const struct plan *p); // of texts that differ in comments
bool comparable_preprocessed(const struct plan *p);     // of such that are the same for the compiler (same_text.h)

#endif
