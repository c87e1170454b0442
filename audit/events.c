#include "audit/events.h"

#include "base/file.h"
#include "base/json.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { STDERR_MS = 100 };

const char *audit_now(struct arena *a)
{
	struct timespec now;
	struct tm tm;
	char text[32];
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	return arena_printf(a, "%s.%06ldZ", text, now.tv_nsec / 1000);
}

static int open_file(const struct audit_events *e)
{
	return openat(e->dirfd, "events.jsonl", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
}

int audit_events_open(struct audit_events *e, int dirfd, enum audit_events_to to, const char *instance, struct err *err)
{
	struct stat st;
	*e = (struct audit_events){.dirfd = dirfd, .fd = -1, .instance = instance};
	if (to == AUDIT_EVENTS_STDERR)
		e->fd = STDERR_FILENO;
	if (to != AUDIT_EVENTS_FILE)
		return 0;
	e->fd = open_file(e);
	if (e->fd < 0 || fstat(e->fd, &st) < 0)
		return err_errno(err, "cannot open 'events.jsonl' of the audit log");
	e->bytes = (size_t)st.st_size;
	return 0;
}

void audit_events_close(struct audit_events *e)
{
	if (e->fd > STDERR_FILENO)
		close(e->fd);
	e->fd = -1;
}

static const char *outcome_of(const struct audit_row *row)
{
	static const struct {
		const char *row, *event;
	} outcomes[] = {{"run", "success"}, {"hit", "success"}, {"interrupted", "internal_error"}};
	const char *is = row->value[AUDIT_outcome], *limit = row->value[AUDIT_limit];
	if (!is)
		return "internal_error";
	if (strcmp(is, "limit") == 0)
		return limit && strcmp(limit, "wall") == 0 ? "timeout_killed" : "limit_killed";
	for (size_t i = 0; i < COUNT_OF(outcomes); i++)
		if (strcmp(is, outcomes[i].row) == 0)
			return outcomes[i].event;
	return is; // failed, refused, cancelled
}

static void put_finished(struct buf *b, const struct audit_row *row)
{
	const char *is = row->value[AUDIT_outcome] ? row->value[AUDIT_outcome] : "";
	int status = row->value[AUDIT_exit] ? atoi(row->value[AUDIT_exit]) : 0;
	const char *signal = status > 128 ? sigabbrev_np(status - 128) : NULL;
	json_add_field(b, "outcome", outcome_of(row));
	if (strcmp(is, "hit") == 0 || strcmp(is, "run") == 0)
		json_add_field(b, "cache", strcmp(is, "hit") == 0 ? "hit" : "miss");
	if (signal)
		json_add_field(b, "signal", signal);
}

// A file that has grown too large gets another name.
static void turn_over(struct audit_events *e)
{
	renameat(e->dirfd, "events.jsonl", e->dirfd, "events.1.jsonl");
	close(e->fd);
	e->fd = open_file(e);
	e->bytes = 0;
}

// Who reads the log and does not keep up holds up no job: then the event is left out.
static void write_stderr(const struct buf *line)
{
	struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
	if (line->len <= PIPE_BUF && poll(&room, 1, STDERR_MS) == 1)
		(void)!write(STDERR_FILENO, line->data, line->len);
}

void audit_events_add(struct audit_events *e, enum audit_event what, const struct audit_row *row)
{
	static const enum audit_column shown[] = {
		AUDIT_job,          AUDIT_tenant,        AUDIT_worker,        AUDIT_exit,   AUDIT_limit,
		AUDIT_reason,       AUDIT_duration,      AUDIT_cpu,           AUDIT_memory, AUDIT_isolation,
		AUDIT_image_digest, AUDIT_source_digest, AUDIT_output_digest, AUDIT_key};
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf b = BUF_INIT;
	if (e->fd < 0)
		return;
	buf_addc(&b, '{');
	json_add_field(&b, "time", audit_now(&a));
	json_add_field(&b, "event", what == EVENT_STARTED ? "compile.started" : "compile.finished");
	json_add_field(&b, "instance", e->instance);
	if (what == EVENT_FINISHED)
		put_finished(&b, row);
	for (size_t i = 0; i < COUNT_OF(shown); i++)
		if (row->value[shown[i]])
			json_add_field(&b, audit_column_name(shown[i]), row->value[shown[i]]);
	buf_adds(&b, "}\n");
	if (e->fd != STDERR_FILENO && (e->bytes += b.len) > AUDIT_EVENTS_MAX)
		turn_over(e);
	if (e->fd == STDERR_FILENO)
		write_stderr(&b);
	else if (e->fd >= 0)
		file_append(e->fd, b.data, b.len, false, "an event", NULL);
}
