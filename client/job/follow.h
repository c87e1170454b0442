// Commands that are no compiler and run one: scripts (Debian's c99, the NDK's clang), mpicc, env, nice (base/preload.h).
//
// What such a program does can depend on anything, so that it runs each time, as it would without coffer, and nothing about it is
// remembered. Only the compiler that it runs in the end is ours: the launcher loads a library into the program that puts coffer
// before that one (client/follow). Thread: the job's.
#ifndef COFFER_CLIENT_JOB_FOLLOW_H
#define COFFER_CLIENT_JOB_FOLLOW_H

#include "client/job/plan.h"

// Notes that the program which ran this command led to a compile, if one was followed to it.
void follow_note(const struct plan *p);

// What a launcher is told (WIRE_FOLLOW) about a command whose compiler was refused with this reason, in the plan's arena. NULL: it
// can't be followed (it is no compile, it is another cache, the library does not fit its interpreter, somebody else has a library
// loaded into it, it never led to a compile before), and runs untouched.
const char *follow_order(const struct plan *p, enum reason reason);

#endif
