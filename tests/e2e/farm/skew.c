// A clock that is SKEW_S seconds wrong, for programs that are started with this in LD_PRELOAD.
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

typedef int clock_fn(clockid_t id, struct timespec *t);

int clock_gettime(clockid_t id, struct timespec *t)
{
	clock_fn *next = (clock_fn *)dlsym(RTLD_NEXT, "clock_gettime");
	const char *skew = getenv("SKEW_S");
	int rc = next(id, t);
	if (rc == 0 && id == CLOCK_REALTIME && skew)
		t->tv_sec += atol(skew);
	return rc;
}

time_t time(time_t *t)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (t)
		*t = now.tv_sec;
	return now.tv_sec;
}
