#include "client/job/job.h"
#include "client/job/search_snapshot.h"
#include "client/services/farms.h"

#include "base/file.h"
#include "base/log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int send_text(struct job *j, enum wire_type type, const char *text)
{
	AUTO_BUF struct buf b = BUF_INIT;
	wire_put_text(&b, text);
	return wire_send(j->sock, type, &b, NULL, 0, NULL);
}

void job_send_done(struct job *j, const struct wire_done *done)
{
	AUTO_BUF struct buf b = BUF_INIT;
	wire_put_done(&b, done);
	wire_send(j->sock, WIRE_DONE, &b, NULL, 0, NULL);
}

static int receive(struct job *j, const struct wire_msg *m, struct err *err)
{
	if (wire_get_job(&j->wire, &j->arena, &m->payload, err) < 0)
		return -1;
	if (m->n_fds < 1)
		return err_set(err, ERR_FORMAT, "a job came without its working directory");
	j->cwd_fd = m->fds[0];
	j->env = j->wire.env;
	return 0;
}

// True if the launcher is our own user and sees the same files. Anything else is run untouched.
static enum reason check_peer(const struct job *j)
{
	struct ucred peer;
	socklen_t n = sizeof peer;
	if (getsockopt(j->sock, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0 || peer.uid != geteuid() || peer.gid != getegid())
		return REASON_other_user;
	char path[64];
	struct stat ns, root;
	snprintf(path, sizeof path, "/proc/%d/ns/mnt", peer.pid);
	if (stat(path, &ns) < 0 || ns.st_ino != j->d->mount_ns)
		return REASON_mount_namespace;
	snprintf(path, sizeof path, "/proc/%d/root", peer.pid);
	if (stat(path, &root) < 0 || root.st_dev != j->d->root_dev || root.st_ino != j->d->root_ino)
		return REASON_mount_namespace;
	return REASON_NONE;
}

// Behind coffer's own front end the jobserver sees to the cores; a compiler that starts coffer again has its slot already.
static bool is_gated(const struct job *j)
{
	const char *depth = env_value(j->env, "COFFER_DEPTH");
	return (!depth || atoi(depth) <= 1) && !env_value(j->env, "COFFER_JOBSERVER") && !env_value(j->env, "COFFER_GATE");
}

bool job_tell(struct job *j, enum wire_type what)
{
	return wire_send(j->sock, what, NULL, NULL, 0, NULL) == 0;
}

static bool tell_to_wait(void *job)
{
	return job_tell(job, WIRE_WAIT);
}

// The compiler runs in the launcher: it has the user's terminal, limits, signals and jobserver. We tell it the words and
// take what came of it.
static enum reason compile_in_launcher(struct job *j)
{
	struct wire_run run = {0};
	AUTO_BUF struct buf b = BUF_INIT;
	AUTO_MSG struct wire_msg answer = WIRE_MSG_INIT;
	struct err err = ERR_INIT;
	struct wire_result result;

	job_make_command(j, &run);
	if (!j->ways)
		j->ways = ways_note(j);
	job_wait_for_clock(j);
	wire_put_run(&b, &run);
	struct timeval forever = {0};
	setsockopt(j->sock, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever);
	if (wire_send(j->sock, WIRE_RUN, &b, NULL, 0, &err) < 0 || wire_recv(j->sock, &answer, &err) < 0 ||
	    answer.type != WIRE_RESULT || wire_get_result(&result, &answer.payload, &err) < 0) {
		log_debug("a launcher went away during its compile: %s", err.text);
		return REASON_compile_killed;
	}
	j->wall_us = result.wall_us;
	int status = (int)result.status;
	if (WIFSIGNALED(status))
		return REASON_compile_killed;
	if (WEXITSTATUS(status) != 0)
		return REASON_compile_failed;
	return job_publish(j, &result, answer.fds);
}

static enum reason compile(struct job *j)
{
	enum reason reason = REASON_NONE;
	// A core that is idle compiles, but for one that preprocesses for a farm; what comes then goes elsewhere, if it may.
	bool gated = is_gated(j);
	struct farm *farm = farms_find(j->d->farms, j->config);
	bool entered = gated && slots_try(&j->d->slots, farm ? 1 : 0);
	if (!entered && job_compile_remotely(j, gated, &entered, &reason))
		return reason;
	if (gated && !entered)
		entered = slots_enter(&j->d->slots, SLOTS_LIMIT_MS, tell_to_wait, j);
	reason = compile_in_launcher(j);
	if (entered)
		slots_leave(&j->d->slots);
	if (farm && j->wall_us)
		farm_note_local(farm, (int64_t)j->wall_us / 1000);
	return reason;
}

static bool hit(struct job *j)
{
	struct manifest_entry entry;
	AUTO_BUF struct buf result = {.max = STORE_MAX_BLOB};
	struct wire_done done = {0};
	struct err err = ERR_INIT;

	if (j->keeping != KEEPING)
		return false; // why is said when the job is recorded
	if (config_bool(j->config, SETTING_recache)) {
		j->cause.kind = CAUSE_RECACHE;
		return false;
	}
	if (job_look_up(j, &entry, &result) != 1)
		return false;
	if (job_deliver(j, &entry, &result, &done, &err) < 0) {
		log_info("cannot write the outputs of '%s': %s", j->line.source, err.text);
		j->outcome = OUTCOME_MISS;
		return false;
	}
	j->wall_us = entry.wall_us;
	j->result = entry.result;
	stats_add(j->d->stats, j->outcome == OUTCOME_DIRECT_HIT ? STAT_direct_hits : STAT_preprocessed_hits, 1);
	stats_add(j->d->stats, STAT_time_saved_us, entry.wall_us);
	stats_add(j->d->stats, STAT_bytes_read, result.len);
	job_send_done(j, &done);
	journal_add(j->d->journal, j);
	return true;
}

static void not_cached(struct job *j, enum reason reason)
{
	j->outcome = OUTCOME_NOT_CACHED;
	j->reason = reason;
	stats_add_reason(j->d->stats, reason);
	journal_add(j->d->journal, j);
}

// The story of one compile.
static void serve_compile(struct job *j)
{
	stats_add(j->d->stats, STAT_compiles, 1);
	enum reason reason = check_peer(j);
	if (reason == REASON_NONE)
		reason = j->d->store ? job_understand(j) : REASON_store_failed;
	// Of what is not cached the journal says no more than it may either.
	if (!j->config) {
		reason = reason == REASON_NONE ? REASON_configuration : reason;
	} else {
		if (config_bool(j->config, SETTING_paranoid))
			j->keeping = KEEPING_NOT;
		job_heed_policy(j, false);
	}
	if (reason != REASON_NONE) {
		not_cached(j, reason);
		send_text(j, WIRE_EXEC, reason_name(reason));
		return;
	}
	bool is_hit = hit(j);
	stats_add(j->d->stats, STAT_corrupt, store_take_corrupt(j->d->store));
	if (is_hit)
		return;
	j->outcome = OUTCOME_MISS;
	reason = compile(j);
	if (reason == REASON_NONE) {
		stats_add(j->d->stats, STAT_misses, 1);
		stats_add(j->d->stats, STAT_time_compiling_us, j->wall_us);
		journal_add(j->d->journal, j);
	} else {
		not_cached(j, reason);
	}
	if (!j->is_answered)
		wire_send(j->sock, WIRE_RELEASED, NULL, NULL, 0, NULL);
}

static void serve_control(struct job *j, const struct wire_msg *m)
{
	const char *what = wire_get_text(&j->arena, &m->payload, NULL);
	if (what && strcmp(what, "status") == 0) {
		send_text(j, WIRE_TEXT, status_lines(j));
	} else if (what && strncmp(what, STATUS_JSON, strlen(STATUS_JSON)) == 0) {
		send_text(j, WIRE_TEXT, status_json(j, what + strlen(STATUS_JSON)));
	} else if (what && strcmp(what, "stop") == 0) {
		send_text(j, WIRE_TEXT, "stopping");
		atomic_store(&j->d->stopping, true);
		kill(getpid(), SIGTERM);
	} else {
		send_text(j, WIRE_TEXT, "unknown request");
	}
}

void job_serve(struct daemon *d, int sock)
{
	struct job j = {.d = d, .sock = sock, .cwd_fd = -1};
	AUTO_MSG struct wire_msg m = WIRE_MSG_INIT;
	struct err err = ERR_INIT;
	struct timeval limit = {.tv_sec = DAEMON_RECV_S};

	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (wire_recv(sock, &m, &err) < 0)
		log_debug("a launcher said nothing: %s", err.text);
	else if (m.type == WIRE_CONTROL)
		serve_control(&j, &m);
	else if (m.type == WIRE_JOB && receive(&j, &m, &err) == 0)
		serve_compile(&j);
	else
		log_warn("a message was not understood: %s", err.text);
	manifest_unref(j.manifest);
	ways_release(j.ways);
	arena_release(&j.arena);
}
