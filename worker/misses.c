#include "worker/misses.h"

#include "base/buf.h"
#include "base/mem.h"
#include "codec/sha/sha256.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 16 };

// All zero: there is none.
struct last_job {
	uint8_t source[NAME], toolchain[NAME], key[NAME];
};

struct misses {
	pthread_mutex_t lock;
	struct last_job jobs[MISSES_REMEMBERED];
};

struct misses *misses_new(void)
{
	struct misses *m = mem_alloc(sizeof *m);
	pthread_mutex_init(&m->lock, NULL);
	return m;
}

void misses_free(struct misses *m)
{
	if (!m)
		return;
	pthread_mutex_destroy(&m->lock);
	free(m);
}

// By a digest over the tenant, too: what one tenant has sent tells nothing of another's misses.
static struct last_job describe(const char *tenant, const uint8_t source[32], const char *toolchain, const char *compiler,
				const struct key *key)
{
	AUTO_BUF struct buf a = BUF_INIT, b = BUF_INIT;
	struct last_job job;
	buf_add_str(&a, tenant);
	buf_add(&a, source, 32);
	buf_add_str(&b, toolchain);
	buf_add_str(&b, compiler);
	memcpy(job.source, sha256_of(a.data, a.len).b, NAME);
	memcpy(job.toolchain, sha256_of(b.data, b.len).b, NAME);
	memcpy(job.key, key->b, NAME);
	return job;
}

static enum miss_cause compare(const struct last_job *last, const struct last_job *job)
{
	if (memcmp(last->source, job->source, NAME) != 0)
		return MISS_SOURCE;
	if (memcmp(last->key, job->key, NAME) == 0)
		return MISS_SAME;
	return memcmp(last->toolchain, job->toolchain, NAME) == 0 ? MISS_ARGUMENTS : MISS_TOOLCHAIN;
}

enum miss_cause misses_note(struct misses *m, const char *tenant, const uint8_t source[32], const char *toolchain,
			    const char *compiler, const struct key *key)
{
	struct last_job job = describe(tenant, source, toolchain, compiler, key);
	uint32_t at;
	memcpy(&at, job.source, sizeof at);
	struct last_job *last = &m->jobs[at % MISSES_REMEMBERED];
	pthread_mutex_lock(&m->lock);
	enum miss_cause cause = compare(last, &job);
	*last = job;
	pthread_mutex_unlock(&m->lock);
	return cause;
}
