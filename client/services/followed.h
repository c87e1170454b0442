// Which programs that are no compilers lead to one (client/job/follow.h). One that was followed several times, for some seconds,
// and never led to a compile is not followed for a while, so that its commands are counted as what they are: not cached. Bounded;
// when it is full, it is emptied. Thread: any.
#ifndef COFFER_CLIENT_SERVICES_FOLLOWED_H
#define COFFER_CLIENT_SERVICES_FOLLOWED_H

#include <stdbool.h>

enum {
	FOLLOWED_TRIES = 4,    // at least so many in a row that lead to nothing,
	FOLLOWED_TRY_S = 5,    // the first of them so long ago: others may be under way
	FOLLOWED_REST_S = 600, // from then on
	FOLLOWED_MAX = 1000,   // programs
};

struct followed;
struct followed *followed_new(void);

// Is the program at this path to be followed? If so, a try is counted.
bool followed_try(struct followed *f, const char *path);
// It has led to a compile.
void followed_leads(struct followed *f, const char *path);

#endif
