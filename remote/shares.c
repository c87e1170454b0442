#include "remote/shares.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { CONNECTION_FACTOR = 3, CALLS_AT_LEAST = 1 };

void shares_init(struct shares *s, uint32_t calls, uint32_t stranger_calls, uint32_t connections,
		 uint32_t stranger_connections)
{
	memset(s, 0, sizeof *s);
	pthread_mutex_init(&s->lock, NULL);
	s->stranger_calls = stranger_calls;
	s->stranger_connections = stranger_connections;
	s->most_calls = calls > stranger_calls ? calls - stranger_calls : 1;
	s->most_connections = connections > stranger_connections ? connections - stranger_connections : 1;
	if (getrandom(s->salt, sizeof s->salt, GRND_NONBLOCK) != sizeof s->salt)
		s->salt[0] ^= (uintptr_t)s; // early at boot; strangers could then choose addresses that share a bucket
}

void shares_release(struct shares *s)
{
	void *value;
	for (size_t at = 0; map_next(&s->tenants, &at, NULL, NULL, &value);) {
		struct share *x = value;
		free(x->name);
		free(x);
	}
	map_release(&s->tenants);
	pthread_mutex_destroy(&s->lock);
}

uint16_t shares_bucket(const struct shares *s, const void *address, size_t n)
{
	uint64_t x = 0;
	if (n)
		memcpy(&x, address, n == 4 ? 3 : 7); // IPv4 /24, IPv6 /56
	x = (x ^ s->salt[0]) * (s->salt[1] | 1);
	x = (x ^ x >> 31) * 0x9e3779b97f4a7c15;
	return (uint16_t)(x >> 40) % SHARE_BUCKETS;
}

// ---- tenants, under the lock ----------------------------------------------------------------------------------------

static struct share *share_of(struct shares *s, const char *tenant)
{
	struct share *x = map_gets(&s->tenants, tenant);
	if (!x) {
		x = mem_alloc(sizeof *x);
		x->name = mem_strdup(tenant);
		map_puts(&s->tenants, tenant, x);
	}
	return x;
}

static void forget_if_unused(struct shares *s, struct share *x)
{
	if (x->calls || x->connections)
		return;
	map_del(&s->tenants, x->name, strlen(x->name));
	free(x->name);
	free(x);
}

static uint64_t left_of(uint32_t most, uint32_t used)
{
	return used < most ? most - used : 0;
}

static bool may_call(const struct shares *s, const struct share *x)
{
	uint64_t left = left_of(s->most_calls, s->calls);
	return left && (x->calls < left || x->calls < CALLS_AT_LEAST);
}

static bool may_connect(const struct shares *s, const struct share *x)
{
	uint64_t left = left_of(s->most_connections, s->connections);
	return left && x->connections < left * CONNECTION_FACTOR;
}

// ---- calls ----------------------------------------------------------------------------------------------------------

static int take_strange(struct shares *s, uint16_t bucket, size_t n_of_connection, struct charge *c, struct err *err)
{
	uint64_t left = left_of(s->stranger_calls, s->strange_calls);
	if (!left || s->bucket_calls[bucket] >= left || n_of_connection > SHARE_STREAM_CALLS)
		return err_set(err, n_of_connection > SHARE_STREAM_CALLS ? ERR_LIMIT : ERR_FULL,
			       "too many calls from your network that have not shown whose they are");
	s->bucket_calls[bucket]++;
	s->strange_calls++;
	*c = (struct charge){NULL, bucket, true};
	return 0;
}

static int take_owned(struct shares *s, struct share *x, struct charge *c, struct err *err)
{
	if (!may_call(s, x))
		return err_set(err, ERR_LIMIT, "tenant '%s' has %u calls here, which is its share", x->name, x->calls);
	x->calls++;
	s->calls++;
	*c = (struct charge){x, 0, true};
	return 0;
}

int shares_take_call(struct shares *s, const struct owner *owner, uint16_t bucket, size_t n_of_connection, struct charge *c,
		     struct err *err)
{
	pthread_mutex_lock(&s->lock);
	int rc = owner->share ? take_owned(s, owner->share, c, err) : take_strange(s, bucket, n_of_connection, c, err);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static void give(struct shares *s, struct charge *c)
{
	struct share *x = c->share;
	if (!c->is_taken)
		return;
	if (x) {
		x->calls--;
		s->calls--;
		forget_if_unused(s, x);
	} else {
		s->bucket_calls[c->bucket]--;
		s->strange_calls--;
	}
	*c = (struct charge){0};
}

void shares_give_call(struct shares *s, struct charge *c)
{
	pthread_mutex_lock(&s->lock);
	give(s, c);
	pthread_mutex_unlock(&s->lock);
}

// As shares_admit, for a tenant that the call is not of yet.
static int take_over(struct shares *s, struct share *x, bool is_trusted, struct charge *c, struct err *err)
{
	if (!is_trusted && !may_call(s, x))
		return err_set(err, ERR_LIMIT, "tenant '%s' has %u calls here, which is its share", x->name, x->calls);
	struct charge old = *c;
	x->calls++;
	s->calls++;
	*c = (struct charge){x, 0, true};
	give(s, &old);
	return 0;
}

int shares_admit(struct shares *s, const char *tenant, bool is_trusted, struct charge *c, struct owner *owner,
		 struct err *err)
{
	int rc = 0;
	pthread_mutex_lock(&s->lock);
	struct share *x = share_of(s, tenant);
	bool is_new = !owner->share && !owner->is_gone;
	if (is_new && !is_trusted && !may_connect(s, x))
		rc = err_set(err, ERR_LIMIT, "tenant '%s' has %u connections here, which is its share", x->name,
			     x->connections);
	if (rc == 0 && c->share != x)
		rc = take_over(s, x, is_trusted, c, err);
	if (rc == 0 && is_new) {
		x->connections++;
		s->connections++;
		owner->share = x;
		rc = 1;
	}
	forget_if_unused(s, x);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

// ---- connections ----------------------------------------------------------------------------------------------------

void shares_add_stranger(struct shares *s, uint16_t bucket)
{
	pthread_mutex_lock(&s->lock);
	s->bucket_connections[bucket]++;
	s->strange_connections++;
	pthread_mutex_unlock(&s->lock);
}

void shares_remove_stranger(struct shares *s, uint16_t bucket)
{
	pthread_mutex_lock(&s->lock);
	s->bucket_connections[bucket]--;
	s->strange_connections--;
	pthread_mutex_unlock(&s->lock);
}

bool shares_are_full(struct shares *s)
{
	pthread_mutex_lock(&s->lock);
	bool is_full = s->strange_connections >= s->stranger_connections;
	pthread_mutex_unlock(&s->lock);
	return is_full;
}

static uint16_t fattest_of(struct shares *s, const uint32_t *counts)
{
	size_t at = 0;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 1; i < SHARE_BUCKETS; i++)
		if (counts[i] > counts[at])
			at = i;
	pthread_mutex_unlock(&s->lock);
	return (uint16_t)at;
}

uint16_t shares_fattest(struct shares *s)
{
	return fattest_of(s, s->bucket_connections);
}

uint16_t shares_fattest_calls(struct shares *s)
{
	return fattest_of(s, s->bucket_calls);
}

void shares_close_connection(struct shares *s, struct owner *owner)
{
	pthread_mutex_lock(&s->lock);
	struct share *x = owner->share;
	*owner = (struct owner){NULL, true};
	if (x) {
		x->connections--;
		s->connections--;
		forget_if_unused(s, x);
	}
	pthread_mutex_unlock(&s->lock);
}
