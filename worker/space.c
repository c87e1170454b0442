#include "worker/space.h"

#include "base/clock.h"
#include "base/log.h"

#include <sys/statvfs.h>

enum { LOOK_MS = 500 };

void space_init(struct space *s, const char *directory)
{
	*s = (struct space){.directory = directory, .lock = PTHREAD_MUTEX_INITIALIZER};
}

void space_release(struct space *s)
{
	pthread_mutex_destroy(&s->lock);
}

// Where it can't be said, jobs find out by themselves.
static void look(struct space *s)
{
	struct statvfs v;
	bool was_short = s->is_short;
	s->looked_at_ms = clock_ms();
	if (statvfs(s->directory, &v) < 0)
		return;
	s->free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	// A file system that does not count its files has none at all.
	s->is_short = s->free_bytes < SPACE_LEAST || (v.f_files && !v.f_favail);
	if (s->is_short && !was_short)
		log_event(LOG_LEVEL_ERROR, "no space for jobs: none is taken until there is",
			  LOG_TEXT("folder", s->directory), LOG_NUMBER("free_bytes", s->free_bytes));
	if (was_short && !s->is_short)
		log_event(LOG_LEVEL_INFO, "there is space for jobs again", LOG_TEXT("folder", s->directory),
			  LOG_NUMBER("free_bytes", s->free_bytes));
}

int space_check(struct space *s, struct err *err)
{
	if (!s->directory)
		return 0;
	pthread_mutex_lock(&s->lock);
	if (!s->looked_at_ms || clock_ms() - s->looked_at_ms >= LOOK_MS)
		look(s);
	int rc = s->is_short ? err_set(err, ERR_FULL, "there is no space for jobs on the worker's disk") : 0;
	pthread_mutex_unlock(&s->lock);
	return rc;
}
