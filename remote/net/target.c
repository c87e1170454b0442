#include "remote/net/target.h"

#include "remote/channel.h"

#include "base/clock.h"
#include "base/cond.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define FIRST_PAUSE_MS 200
#define LONGEST_PAUSE_MS 10000

struct rpc_target {
	struct loop *loop;
	char *address, *server_name, *authority;
	char **each; // of the address, NULL-terminated; they live in `words`
	char *words;
	size_t n, at; // which one is used, or is tried next
	uint8_t pin[32];
	struct rpc_channel_config config;
	pthread_mutex_t lock;
	pthread_cond_t change;
	struct rpc_channel *channel; // the last one that stood, or NULL
	bool is_connecting;          // one thread does it, for all
	int64_t retry_at, pause_ms;
	struct err last;
};

static char *copy(const char *s)
{
	return s ? mem_strdup(s) : NULL;
}

static uint32_t by_chance(uint32_t below)
{
	uint32_t r = 0;
	if (getrandom(&r, sizeof r, GRND_NONBLOCK) < 0)
		r = 0;
	return r % below;
}

static void split(struct rpc_target *t)
{
	static const char blanks[] = " \t,";
	char *save = NULL;
	t->words = mem_strdup(t->address);
	t->each = mem_alloc((strlen(t->address) / 2 + 2) * sizeof *t->each);
	for (char *w = strtok_r(t->words, blanks, &save); w; w = strtok_r(NULL, blanks, &save))
		t->each[t->n++] = w;
	if (!t->n)
		t->each[t->n++] = t->address; // which is none: connecting says so
	t->at = by_chance((uint32_t)t->n);
}

struct rpc_target *rpc_target_new(struct loop *loop, const char *address, const struct rpc_channel_config *config)
{
	struct rpc_target *t = mem_alloc(sizeof *t);
	t->loop = loop;
	t->address = mem_strdup(address);
	split(t);
	if (config) {
		t->config = *config;
		t->config.server_name = t->server_name = copy(config->server_name);
		t->config.authority = t->authority = copy(config->authority);
		if (config->pin_sha256)
			t->config.pin_sha256 = memcpy(t->pin, config->pin_sha256, sizeof t->pin);
	}
	pthread_mutex_init(&t->lock, NULL);
	cond_init(&t->change);
	return t;
}

static int64_t jittered(int64_t ms)
{
	return ms * 3 / 4 + by_chance((uint32_t)(ms / 2 + 1));
}

// Each of them once, in what is left of the time.
static int connect_to_any(struct rpc_target *t, const struct rpc_channel_config *config, int timeout_ms,
			  struct rpc_channel **fresh, struct err *err)
{
	int64_t until = clock_ms() + timeout_ms;
	int rc = -1;
	for (size_t left = t->n; left && rc < 0; left--) {
		int64_t part = (until - clock_ms()) / (int64_t)left;
		rc = rpc_connect(t->loop, t->each[t->at], config, part > 0 ? (int)part : 1, fresh, err);
		if (rc < 0)
			t->at = (t->at + 1) % t->n;
	}
	return rc;
}

// The attempt itself; the lock is given up meanwhile.
static void connect_for_all(struct rpc_target *t, int timeout_ms)
{
	struct rpc_channel *old = TAKE(t->channel), *fresh = NULL;
	struct err err = ERR_INIT;
	t->is_connecting = true;
	if (old && old->keepalive_ms > t->config.keepalive_ms)
		t->config.keepalive_ms = old->keepalive_ms; // it was told to be calmer
	struct rpc_channel_config config = t->config;
	pthread_mutex_unlock(&t->lock);
	rpc_channel_release(old);
	int rc = connect_to_any(t, &config, timeout_ms, &fresh, &err);
	pthread_mutex_lock(&t->lock);
	t->is_connecting = false;
	t->channel = fresh;
	if (rc == 0) {
		t->pause_ms = t->retry_at = 0;
	} else {
		t->last = err;
		t->pause_ms = t->pause_ms ? t->pause_ms * 2 : FIRST_PAUSE_MS;
		t->pause_ms = t->pause_ms > LONGEST_PAUSE_MS ? LONGEST_PAUSE_MS : t->pause_ms;
		t->retry_at = clock_ms() + jittered(t->pause_ms);
	}
	pthread_cond_broadcast(&t->change);
}

static bool has_channel(const struct rpc_target *t)
{
	return t->channel && rpc_channel_is_usable(t->channel);
}

int rpc_target_channel(struct rpc_target *t, int timeout_ms, struct rpc_channel **out, struct err *err)
{
	int64_t until = clock_ms() + timeout_ms;
	int rc = 0;
	pthread_mutex_lock(&t->lock);
	bool in_time = true, waited = t->is_connecting;
	while (t->is_connecting && in_time)
		in_time = cond_wait_until(&t->change, &t->lock, until);
	if (!has_channel(t) && !t->is_connecting && !waited && clock_ms() >= t->retry_at)
		connect_for_all(t, timeout_ms);
	if (has_channel(t))
		*out = rpc_channel_ref(t->channel);
	else if (t->is_connecting)
		rc = err_set(err, ERR_TIMEOUT, "cannot connect to '%s' within %d ms", t->address, timeout_ms);
	else
		rc = err_set(err, t->last.code ? t->last.code : ERR_PEER, "%s",
			     t->last.code ? t->last.text : "the connection was lost");
	pthread_mutex_unlock(&t->lock);
	return rc;
}

void rpc_target_retry(struct rpc_target *t)
{
	pthread_mutex_lock(&t->lock);
	t->retry_at = t->pause_ms = 0;
	pthread_mutex_unlock(&t->lock);
}

void rpc_target_free(struct rpc_target *t)
{
	if (!t)
		return;
	rpc_channel_release(t->channel);
	pthread_cond_destroy(&t->change);
	pthread_mutex_destroy(&t->lock);
	free(t->each);
	free(t->words);
	free(t->address);
	free(t->server_name);
	free(t->authority);
	free(t);
}
