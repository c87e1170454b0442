#include "worker/register.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "remote/net/target.h"
#include "remote/net/tls.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	CONNECT_MS = 5000,
	NOTE_MS = 10000, // for the scheduler's first word
	TURN_MS = 200,   // how soon news is seen
	PAUSE_MS = 200,  // after a failure, doubling
	PAUSE_MAX_MS = 10000,
	DRAIN_WAIT_MS = 1000,
};
#define REGISTER_PATH "/coffer.v1.Scheduler/Register"

struct registration {
	struct register_config config;
	struct rpc_target *target;
	pthread_t thread;
	atomic_bool is_stopping, wants_renewal, is_up, has_told_drain;
};

// "Bearer …", or NULL: the certificate says who we are. The file is read each time, so that it can be exchanged.
static int read_token(const struct registration *r, char **text, struct err *err)
{
	AUTO_BUF struct buf b = BUF_INIT;
	*text = NULL;
	if (!r->config.token)
		return 0;
	if (file_read(AT_FDCWD, r->config.token, TOKEN_MAX, &b, NULL, err) < 0)
		return -1;
	*text = mem_printf("Bearer %.*s", (int)strcspn(b.data ? b.data : "", " \t\r\n"), b.data ? b.data : "");
	return 0;
}

static int send_hello(const struct registration *r, struct rpc_call *call, char **images, struct err *err)
{
	const struct worker_service *s = r->config.service;
	uint8_t fingerprint[32];
	Coffer__V1__WorkerHello hello = COFFER__V1__WORKER_HELLO__INIT;
	Coffer__V1__WorkerReport m = COFFER__V1__WORKER_REPORT__INIT;
	hello.worker = (char *)(uintptr_t)s->name;
	hello.address = (char *)(uintptr_t)r->config.address;
	hello.slots = r->config.slots;
	hello.images = images;
	while (images[hello.n_images])
		hello.n_images++;
	hello.isolation = (Coffer__V1__Isolation)runtime_isolation(s->runtime);
	if (r->config.server_tls && rpc_tls_fingerprint(r->config.server_tls, fingerprint) == 0)
		hello.certificate_sha256 = (ProtobufCBinaryData){sizeof fingerprint, fingerprint};
	hello.version = (char *)(uintptr_t)COFFER_VERSION;
	m.kind_case = COFFER__V1__WORKER_REPORT__KIND_HELLO;
	m.hello = &hello;
	return rpc_send(call, &m.base, err) == 0 ? 0 : -1;
}

static int send_load(struct registration *r, struct rpc_call *call, struct err *err)
{
	struct worker_service *s = r->config.service;
	struct queue_load now;
	Coffer__V1__WorkerLoad load = COFFER__V1__WORKER_LOAD__INIT;
	Coffer__V1__WorkerReport m = COFFER__V1__WORKER_REPORT__INIT;
	queue_look(s->queue, &now);
	load.running = now.running;
	load.waiting = now.waiting;
	load.sessions = sessions_count(s->sessions);
	load.draining = s->is_draining;
	load.hits = s->counters[COUNT_hits] + s->counters[COUNT_early_hits];
	load.jobs = s->counters[COUNT_runs] + load.hits;
	m.kind_case = COFFER__V1__WORKER_REPORT__KIND_LOAD;
	m.load = &load;
	return rpc_send(call, &m.base, err) == 0 ? 0 : -1;
}

// Until the session ends, one way or the other. 0: we have ended it.
static int follow(struct registration *r, struct rpc_call *call, int64_t heartbeat_ms, struct err *err)
{
	int64_t reported_at = 0;
	bool told_drain = false;
	while (!r->is_stopping && !r->wants_renewal) {
		Coffer__V1__SchedulerNote *note = NULL;
		bool is_draining = r->config.service->is_draining;
		if (clock_ms() - reported_at >= heartbeat_ms / 2 || is_draining != told_drain) {
			if (send_load(r, call, err) < 0)
				return -1;
			reported_at = clock_ms();
			told_drain = is_draining;
			r->has_told_drain = told_drain;
		}
		int rc = rpc_receive(call, &coffer__v1__scheduler_note__descriptor, TURN_MS, &note, err);
		if (rc > 0)
			coffer__v1__scheduler_note__free_unpacked(note, NULL);
		else if (rc == 0)
			return err_set(err, ERR_PEER, "the scheduler has ended the session");
		else if (err->code != ERR_TIMEOUT)
			return -1;
	}
	return 0;
}

static int greet(struct registration *r, struct rpc_call *call, char **images, int64_t *heartbeat_ms, struct err *err)
{
	Coffer__V1__SchedulerNote *note = NULL;
	// Where the scheduler does not take it, the status says why.
	send_hello(r, call, images, err);
	int rc = rpc_receive(call, &coffer__v1__scheduler_note__descriptor, NOTE_MS, &note, err);
	if (rc == 0)
		return err_set(err, ERR_PEER, "the scheduler has ended the session");
	if (rc < 0)
		return -1;
	*heartbeat_ms = note->heartbeat_ms ? note->heartbeat_ms : PAUSE_MAX_MS;
	coffer__v1__scheduler_note__free_unpacked(note, NULL);
	return 0;
}

// One session. 0: it was ours to end; *was_up says whether the scheduler took us.
static int hold_session(struct registration *r, char **images, bool *was_up, struct err *err)
{
	struct rpc_channel *channel;
	struct rpc_call *call = NULL;
	struct rpc_call_options options = {0};
	AUTO_FREE char *token = NULL;
	int64_t heartbeat_ms = 0;
	if (read_token(r, &token, err) < 0 || rpc_target_channel(r->target, CONNECT_MS, &channel, err) < 0)
		return -1;
	options.authorization = token;
	int rc = rpc_call_start(channel, REGISTER_PATH, &options, &call, err);
	if (rc == 0)
		rc = greet(r, call, images, &heartbeat_ms, err);
	if (rc == 0) {
		*was_up = true;
		r->is_up = true;
		log_event(LOG_LEVEL_INFO, "registered", LOG_TEXT("scheduler", r->config.scheduler),
			  LOG_NUMBER("heartbeat_ms", heartbeat_ms));
		rc = follow(r, call, heartbeat_ms, err);
		r->is_up = false;
	}
	rpc_call_release(call);
	rpc_channel_release(channel);
	return rc;
}

static void pause_for(struct registration *r, int64_t ms)
{
	int64_t until = clock_ms() + ms;
	while (!r->is_stopping && clock_ms() < until)
		usleep(TURN_MS * 1000 / 4);
}

static void *registration_main(void *arg)
{
	struct registration *r = arg;
	int64_t pause_ms = PAUSE_MS;
	while (!r->is_stopping) {
		struct err err = ERR_INIT;
		bool was_up = false;
		char **images;
		r->wants_renewal = false;
		// Before the call: compilers that were never asked take their time, and the scheduler does not wait for
		// long.
		service_look_at_images(r->config.service);
		images_list(r->config.service->images, &images);
		int rc = hold_session(r, images, &was_up, &err);
		images_list_free(images);
		if (rc == 0)
			continue;
		if (r->is_stopping)
			break;
		pause_ms = was_up ? PAUSE_MS : pause_ms;
		log_event(LOG_LEVEL_WARN, "not registered", LOG_TEXT("scheduler", r->config.scheduler),
			  LOG_TEXT("why", err.text), LOG_NUMBER("again_ms", pause_ms));
		// With some chance in it, so that a fleet does not come all at once.
		pause_for(r, pause_ms / 2 + (int64_t)(arc4random_uniform((uint32_t)pause_ms)));
		pause_ms = pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : pause_ms * 2;
	}
	return NULL;
}

struct registration *registration_start(const struct register_config *config)
{
	struct registration *r = mem_alloc(sizeof *r);
	struct rpc_channel_config channel = {.tls = config->tls};
	r->config = *config;
	r->target = rpc_target_new(config->loop, config->scheduler, &channel);
	if (pthread_create(&r->thread, NULL, registration_main, r) != 0)
		abort();
	return r;
}

void registration_renew(struct registration *r)
{
	if (r)
		r->wants_renewal = true;
}

bool registration_is_up(const struct registration *r)
{
	return r && r->is_up;
}

void registration_drain(struct registration *r)
{
	for (int64_t until = clock_ms() + DRAIN_WAIT_MS; r && r->is_up && !r->has_told_drain && clock_ms() < until;)
		usleep(10000);
}

void registration_stop(struct registration *r)
{
	if (!r)
		return;
	r->is_stopping = true;
	pthread_join(r->thread, NULL);
	rpc_target_free(r->target);
	free(r);
}
