#include "scheduler/siblings.h"

#include "scheduler/quotas.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "proto/coffer.pb-c.h"
#include "remote/net/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum {
	TURN_MS = 100, // how soon a change here is told to the others
	PAUSE_MS = 200,
	PAUSE_MAX_MS = 5000,
};
#define WORKERS "workers/"

struct siblings {
	struct siblings_config config;
	struct service *service;
	struct rpc_target *target;
	struct etcd *etcd;
	struct quotas *quotas;
	char own[17]; // our name in records
	pthread_t thread;
	atomic_bool is_stopping;
	bool is_reading;      // of all there is, not of what has changed
	struct map seen;      // names in what was read
	pthread_mutex_t lock; // over what follows; after the service's, where both are needed
	struct map changed;   // names of workers here, of which etcd has to be told
	struct siblings_state state;
};

// ---- what others are told -------------------------------------------------------------------------------------------

static void note_changed(void *siblings, const char *worker)
{
	struct siblings *f = siblings;
	pthread_mutex_lock(&f->lock);
	map_puts(&f->changed, worker, f);
	pthread_mutex_unlock(&f->lock);
}

static void write_record(const struct siblings *f, const struct worker *w, struct buf *out)
{
	Coffer__V1__WorkerHello hello = COFFER__V1__WORKER_HELLO__INIT;
	Coffer__V1__WorkerRecord record = COFFER__V1__WORKER_RECORD__INIT;
	hello.worker = (char *)(uintptr_t)w->name;
	hello.address = (char *)(uintptr_t)w->address;
	hello.version = (char *)(uintptr_t)w->version;
	hello.slots = w->slots;
	hello.images = w->images;
	hello.n_images = w->n_images;
	hello.isolation = (Coffer__V1__Isolation)w->isolation;
	if (w->has_certificate)
		hello.certificate_sha256 =
			(ProtobufCBinaryData){sizeof w->certificate_sha256, (uint8_t *)(uintptr_t)w->certificate_sha256};
	record.hello = &hello;
	record.draining = w->draining;
	record.scheduler = (char *)(uintptr_t)f->own;
	char *room = buf_room(out, protobuf_c_message_get_packed_size(&record.base));
	out->len += protobuf_c_message_pack(&record.base, (uint8_t *)room);
}

// Whatever is so now: changes may have followed each other.
static int tell_worker(struct siblings *f, const char *name, struct err *err)
{
	AUTO_BUF struct buf value = BUF_INIT;
	AUTO_FREE char *key = mem_printf(WORKERS "%s", name);
	pthread_mutex_lock(&f->service->lock);
	const struct worker *w = registry_worker(f->service->registry, name);
	bool is_here = w && !w->is_elsewhere;
	if (is_here)
		write_record(f, w, &value);
	pthread_mutex_unlock(&f->service->lock);
	return is_here ? etcd_put(f->etcd, key, value.data, value.len, err) : etcd_remove_own(f->etcd, key, err);
}

// Takes one name out of what is to be told. NULL: there is none.
static char *next_changed(struct siblings *f)
{
	char *name = NULL;
	const char *key;
	size_t at = 0, n;
	pthread_mutex_lock(&f->lock);
	if (map_next(&f->changed, &at, &key, &n, NULL)) {
		name = mem_printf("%.*s", (int)n, key);
		map_del(&f->changed, name, n);
	}
	pthread_mutex_unlock(&f->lock);
	return name;
}

static int tell_changes(struct siblings *f, struct err *err)
{
	char *name;
	while (!f->is_stopping && (name = next_changed(f))) {
		int rc = tell_worker(f, name, err);
		if (rc < 0)
			note_changed(f, name);
		free(name);
		if (rc < 0)
			return -1;
	}
	return 0;
}

// ---- what others tell -----------------------------------------------------------------------------------------------

// Under the service's lock.
static void take_record(struct siblings *f, const char *name, const Coffer__V1__WorkerRecord *record)
{
	struct service *s = f->service;
	struct err err = ERR_INIT;
	const struct worker *known = registry_worker(s->registry, name);
	if (strcmp(record->scheduler, f->own) == 0 || tenants_is_denied(s->trust->tenants, name))
		return;
	// What was read may be older than the session here, of which the others will hear.
	if (f->is_reading && known && !known->is_elsewhere && registry_is_alive(s->registry, known, clock_ms()))
		note_changed(f, name);
	else if (registry_add_elsewhere(s->registry, record->hello, record->draining, clock_ms(), &err) < 0)
		log_event(LOG_LEVEL_WARN, "worker of another scheduler not taken", LOG_TEXT("worker", name),
			  LOG_TEXT("why", err.text));
}

static void take_loss(struct siblings *f, const char *name)
{
	struct service *s = f->service;
	const struct worker *known = registry_worker(s->registry, name);
	if (registry_remove_elsewhere(s->registry, name))
		grants_forget_worker(s->grants, name);
	else if (known)
		note_changed(f, name); // the one here is to be in etcd
}

// etcd's bytes are checked like a worker's.
static void take_news(void *siblings, const char *key, size_t n_key, const void *value, size_t n_value)
{
	struct siblings *f = siblings;
	char name[TOKEN_NAME_MAX + 1];
	size_t n = sizeof WORKERS - 1;
	if (quotas_take(f->quotas, key, n_key, value, n_value))
		return;
	if (n_key <= n || n_key - n > TOKEN_NAME_MAX || memcmp(key, WORKERS, n) != 0)
		return;
	snprintf(name, sizeof name, "%.*s", (int)(n_key - n), key + n);
	Coffer__V1__WorkerRecord *record = value ? coffer__v1__worker_record__unpack(NULL, n_value, value) : NULL;
	bool is_good = record && record->hello && strcmp(record->hello->worker, name) == 0 &&
		       registry_check_hello(record->hello, NULL) == 0;
	pthread_mutex_lock(&f->service->lock);
	if (is_good)
		take_record(f, name, record);
	else if (!value)
		take_loss(f, name);
	pthread_mutex_unlock(&f->service->lock);
	if (is_good && f->is_reading)
		map_puts(&f->seen, name, f);
	if (value && !is_good)
		log_event(LOG_LEVEL_WARN, "record of a worker not understood", LOG_TEXT("worker", name));
	if (record)
		coffer__v1__worker_record__free_unpacked(record, NULL);
}

// Workers of others that are no longer there; and of those here, all have to be told.
static void compare_with_read(struct siblings *f)
{
	struct service *s = f->service;
	pthread_mutex_lock(&s->lock);
	for (size_t i = registry_count(s->registry); i-- > 0;) {
		const struct worker *w = registry_at(s->registry, i);
		if (!w->is_elsewhere)
			note_changed(f, w->name);
		else if (!map_gets(&f->seen, w->name))
			take_loss(f, w->name);
	}
	pthread_mutex_unlock(&s->lock);
}

static int read_all(struct siblings *f, struct err *err)
{
	f->is_reading = true;
	quotas_begin_read(f->quotas);
	int rc = etcd_read(f->etcd, take_news, f, err);
	f->is_reading = false;
	if (rc == 0) {
		quotas_end_read(f->quotas);
		compare_with_read(f);
	}
	map_release(&f->seen);
	f->seen = (struct map)MAP_INIT;
	return rc;
}

// ---- the thread -----------------------------------------------------------------------------------------------------

static void set_state(struct siblings *f, bool is_connected, const char *why)
{
	pthread_mutex_lock(&f->lock);
	bool is_news = f->state.is_connected != is_connected || strcmp(f->state.why, why) != 0;
	if (f->state.is_connected != is_connected)
		f->state.since_ms = clock_ms();
	f->state.is_connected = is_connected;
	snprintf(f->state.why, sizeof f->state.why, "%s", why);
	pthread_mutex_unlock(&f->lock);
	if (is_news)
		log_event(is_connected ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, is_connected ? "etcd answers" : "no etcd",
			  LOG_TEXT("endpoints", f->config.endpoints), LOG_TEXT("why", why));
}

// Nobody has told of them for too long.
static void forget_others(struct siblings *f)
{
	struct service *s = f->service;
	unsigned n = 0;
	if (clock_ms() - f->state.since_ms < f->config.away_ms)
		return;
	quotas_forget(f->quotas);
	pthread_mutex_lock(&s->lock);
	for (size_t i = registry_count(s->registry); i-- > 0;) {
		const struct worker *w = registry_at(s->registry, i);
		AUTO_FREE char *name = w->is_elsewhere ? mem_strdup(w->name) : NULL;
		if (!name)
			continue;
		registry_remove_elsewhere(s->registry, name);
		grants_forget_worker(s->grants, name);
		n++;
	}
	pthread_mutex_unlock(&s->lock);
	if (n)
		log_event(LOG_LEVEL_WARN, "workers of other schedulers are forgotten: no etcd for too long",
			  LOG_NUMBER("workers", n));
}

// Until something fails, or it is to stop.
static int follow(struct siblings *f, struct err *err)
{
	int64_t lease_ms = (int64_t)f->config.lease_s * 1000, kept_ms = clock_ms();
	while (!f->is_stopping) {
		if (tell_changes(f, err) < 0 || quotas_tell(f->quotas, f->etcd, err) < 0 ||
		    etcd_watch(f->etcd, TURN_MS, take_news, f, err) < 0)
			return -1;
		if (clock_ms() - kept_ms < lease_ms / 3)
			continue;
		if (etcd_keep_lease(f->etcd, err) < 0)
			return -1;
		kept_ms = clock_ms();
	}
	return 0;
}

static void *siblings_main(void *arg)
{
	struct siblings *f = arg;
	const struct etcd_config config = {.target = f->target,
					   .prefix = f->config.prefix,
					   .user = f->config.user,
					   .password_file = f->config.password_file};
	int64_t pause_ms = PAUSE_MS;
	while (!f->is_stopping) {
		struct err err = ERR_INIT;
		int rc = etcd_open(&config, f->config.lease_s, &f->etcd, &err);
		if (rc == 0)
			rc = read_all(f, &err);
		if (rc == 0) {
			set_state(f, true, "");
			pause_ms = PAUSE_MS;
			rc = follow(f, &err);
		}
		etcd_close(f->etcd);
		f->etcd = NULL;
		if (rc < 0) {
			set_state(f, false, err.text);
			forget_others(f);
		}
		for (int64_t until = clock_ms() + pause_ms; rc < 0 && !f->is_stopping && clock_ms() < until;)
			usleep(TURN_MS * 1000 / 2);
		pause_ms = pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : pause_ms * 2;
	}
	return NULL;
}

struct siblings *siblings_start(const struct siblings_config *config, struct service *service)
{
	struct siblings *f = mem_alloc(sizeof *f);
	struct rpc_channel_config channel = {.tls = config->tls};
	uint64_t random = 0;
	f->config = *config;
	f->service = service;
	f->target = rpc_target_new(config->loop, config->endpoints, &channel);
	f->state.since_ms = clock_ms();
	if (getrandom(&random, sizeof random, 0) != sizeof random)
		abort();
	snprintf(f->own, sizeof f->own, "%016llx", (unsigned long long)random);
	f->quotas = quotas_new(service, f->own);
	pthread_mutex_init(&f->lock, NULL);
	pthread_mutex_lock(&service->lock);
	registry_on_change(service->registry, note_changed, f);
	pthread_mutex_unlock(&service->lock);
	if (pthread_create(&f->thread, NULL, siblings_main, f) != 0)
		abort();
	return f;
}

void siblings_stop(struct siblings *f)
{
	if (!f)
		return;
	f->is_stopping = true;
	pthread_join(f->thread, NULL);
	pthread_mutex_lock(&f->service->lock);
	registry_on_change(f->service->registry, NULL, NULL);
	pthread_mutex_unlock(&f->service->lock);
	rpc_target_free(f->target);
	quotas_free(f->quotas);
	map_release(&f->changed);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

void siblings_state(const struct siblings *f, struct siblings_state *state)
{
	struct siblings *mutable = (struct siblings *)(uintptr_t)f;
	pthread_mutex_lock(&mutable->lock);
	*state = f->state;
	pthread_mutex_unlock(&mutable->lock);
}
