// A connection's first message: a compile (client/job/job.h), or a question or order of `coffer status`, `doctor` and
// `stop`.
#include "client/daemon/daemon.h"

#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "client/job/job.h"
#include "client/services/farms.h"
#include "client/services/shared_stores.h"
#include "client/wire/wire.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

// Lines "NAME VALUE".
static const char *status_lines(const struct daemon *d, struct arena *a)
{
	return arena_printf(a, "version %s\npid %d\ncache %s\n", COFFER_VERSION, (int)getpid(), d->services.cache_dir);
}

// The farm of whoever asks is among the answers before any job was for it: `environment` has "NAME=value" lines.
static void find_farm(struct services *s, struct arena *a, const char *environment)
{
	enum { MOST = 256 };
	const char **env = arena_alloc(a, (MOST + 1) * sizeof *env);
	unsigned n = 0;
	for (const char *line = environment; *line && n < MOST; line += strcspn(line, "\n"), line += *line == '\n')
		env[n++] = arena_strndup(a, line, strcspn(line, "\n"));
	const struct settings *config = settings_find(s->settings, env, NULL, NULL, NULL);
	if (config)
		farms_find(s->farms, config);
}

static void add_counters(struct buf *b, const struct stats *stats)
{
	static const enum stat_counter shown[] = {
		STAT_compiles,          STAT_direct_hits,     STAT_preprocessed_hits, STAT_misses,
		STAT_not_cached,        STAT_remote_compiles, STAT_remote_hits,       STAT_remote_messages,
		STAT_remote_failed,     STAT_remote_lies,     STAT_remote_trees,      STAT_remote_tree_us,
		STAT_remote_tree_bytes, STAT_remote_texts,    STAT_remote_text_us,    STAT_remote_text_bytes};
	json_add_name(b, "counters");
	buf_addc(b, '{');
	for (size_t i = 0; i < COUNT_OF(shown); i++)
		json_add_number(b, stats_name(shown[i]), (int64_t)stats_value(stats, shown[i]));
	for (enum no_tree_reason r = NO_TREE_NONE + 1; r < NO_TREE_COUNT; r++)
		if (stats_value(stats, stats_of_no_tree(r)))
			json_add_number(b, stats_name(stats_of_no_tree(r)),
					(int64_t)stats_value(stats, stats_of_no_tree(r)));
	buf_addc(b, '}');
}

static const char *status_json(struct daemon *d, struct arena *a, const char *environment)
{
	struct services *s = &d->services;
	struct buf b = BUF_INIT;
	unsigned slots, used, waiting;
	find_farm(s, a, environment);
	slots_look(&s->slots, &slots, &used, &waiting);
	buf_addc(&b, '{');
	json_add_field(&b, "version", COFFER_VERSION);
	json_add_number(&b, "pid", (int)getpid());
	json_add_field(&b, "cache", s->cache_dir);
	json_add_number(&b, "jobs", atomic_load(&d->busy) - 1); // but for this question
	json_add_number(&b, "threads", atomic_load(&d->threads));
	json_add_number(&b, "watched", watch_count(s->watch));
	json_add_number(&b, "local_slots", slots);
	json_add_number(&b, "local_running", used);
	json_add_number(&b, "local_waiting", waiting);
	add_counters(&b, s->stats);
	json_add_name(&b, "farms");
	buf_addc(&b, '[');
	farms_status(s->farms, &b);
	buf_addc(&b, ']');
	json_add_name(&b, "shared_stores");
	buf_addc(&b, '[');
	shared_stores_status(s->shared_stores, &b);
	buf_adds(&b, "]}\n");
	const char *text = arena_strndup(a, b.data, b.len);
	buf_release(&b);
	return text;
}

static void answer(int sock, const char *text)
{
	AUTO_BUF struct buf b = BUF_INIT;
	wire_put_text(&b, text);
	wire_send(sock, WIRE_TEXT, &b, NULL, 0, NULL);
}

static void stop(struct daemon *d)
{
	atomic_store(&d->stopping, true);
	kill(getpid(), SIGTERM);
}

// A daemon with limits of its own serves only whoever has the same: the next compile of anybody else starts another one.
static void serve_job(struct daemon *d, int sock, const struct wire_msg *m)
{
	struct ucred peer;
	socklen_t n = sizeof peer;
	if (!d->narrow || getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0 || !limits_narrower(0, peer.pid)) {
		job_serve(&d->services, sock, m);
		return;
	}
	log_info("ends for somebody whose limits are wider (%s)", d->narrow);
	shutdown(d->listen_fd, SHUT_RDWR);
	wire_send(sock, WIRE_AGAIN, NULL, NULL, 0, NULL);
	stop(d);
}

static void serve_control(struct daemon *d, int sock, const struct wire_msg *m)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	const char *what = wire_get_text(&a, &m->payload, NULL);
	if (what && strcmp(what, "status") == 0) {
		answer(sock, status_lines(d, &a));
	} else if (what && strncmp(what, STATUS_JSON, strlen(STATUS_JSON)) == 0) {
		answer(sock, status_json(d, &a, what + strlen(STATUS_JSON)));
	} else if (what && strcmp(what, "stop") == 0) {
		answer(sock, "stopping");
		stop(d);
	} else {
		answer(sock, "unknown request");
	}
}

void serve_launcher(struct daemon *d, int sock)
{
	AUTO_MSG struct wire_msg m = WIRE_MSG_INIT;
	struct err err = ERR_INIT;
	struct timeval limit = {.tv_sec = DAEMON_RECV_S};
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (wire_recv(sock, &m, &err) < 0)
		log_debug("a launcher said nothing: %s", err.text);
	else if (m.type == WIRE_CONTROL)
		serve_control(d, sock, &m);
	else if (m.type == WIRE_JOB)
		serve_job(d, sock, &m);
	else
		log_warn("a message of type %d was not expected", (int)m.type);
}
