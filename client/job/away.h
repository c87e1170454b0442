// Compiles on another machine, where there is one and the job may go. Thread: the job's.
#ifndef COFFER_CLIENT_JOB_AWAY_H
#define COFFER_CLIENT_JOB_AWAY_H

#include "client/job/job.h"

// `where` is AWAY or AWAY_OR_WAIT. DONE_AWAY: the launcher has its answer, and *refusal says whether the result was stored.
// Else where to compile now.
enum where away_compile(struct job *j, enum where where, struct refusal *refusal);
// What the farm of this job wants to be kept goes into j->keeping. `ask`: a worker is asked where none has said anything
// yet, which takes some seconds at most.
void away_heed_policy(struct job *j, bool ask);

#endif
