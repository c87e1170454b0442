#include "client/services/followed.h"

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

struct program {
	unsigned tries;   // since it has led to a compile
	int64_t since_ms; // the first of them
};

struct followed {
	pthread_mutex_t lock;
	struct map programs; // path -> struct program
};

struct followed *followed_new(void)
{
	struct followed *f = mem_alloc(sizeof *f);
	pthread_mutex_init(&f->lock, NULL);
	return f;
}

bool followed_try(struct followed *f, const char *path)
{
	int64_t now = clock_now_ms();
	pthread_mutex_lock(&f->lock);
	struct program *p = map_gets(&f->programs, path);
	if (!p) {
		if (f->programs.n >= FOLLOWED_MAX)
			map_release_all(&f->programs);
		p = mem_alloc(sizeof *p);
		map_puts(&f->programs, path, p);
	}
	int64_t age_s = (now - p->since_ms) / 1000;
	if (age_s < 0 || age_s > FOLLOWED_REST_S)
		p->tries = 0;
	if (p->tries == 0)
		p->since_ms = now;
	bool follow = p->tries < FOLLOWED_TRIES || age_s < FOLLOWED_TRY_S;
	p->tries += p->tries < FOLLOWED_TRIES;
	pthread_mutex_unlock(&f->lock);
	return follow;
}

void followed_leads(struct followed *f, const char *path)
{
	pthread_mutex_lock(&f->lock);
	struct program *p = map_gets(&f->programs, path);
	if (p)
		p->tries = 0;
	pthread_mutex_unlock(&f->lock);
}
