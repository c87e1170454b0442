#include "agent/slots.h"

#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct agent_slots {
	struct agent_slot *all; // shared with the jobs' first processes
	unsigned n;
	int *free; // a stack
	unsigned n_free;
	pthread_mutex_t lock;
};

const char *stage_name(enum agent_stage stage)
{
	static const char *const names[] = {
		[STAGE_START] = "the start",
		[STAGE_CGROUP] = "the cgroup",
		[STAGE_SCRATCH] = "the mount of the scratch folder",
		[STAGE_USER] = "the job's user namespace",
		[STAGE_LIMITS] = "the limits",
		[STAGE_DESCRIPTORS] = "the descriptors",
		[STAGE_CAPABILITIES] = "dropping capabilities",
		[STAGE_LANDLOCK] = "landlock",
		[STAGE_SECCOMP] = "the seccomp filter",
		[STAGE_PROGRAM] = "exec",
		[STAGE_RUNNING] = "running",
		[STAGE_ENDED] = "the end",
	};
	return (unsigned)stage < COUNT_OF(names) ? names[stage] : "?";
}

struct agent_slots *slots_new(unsigned n)
{
	void *shared = mmap(NULL, n * sizeof(struct agent_slot), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return NULL;
	struct agent_slots *s = mem_alloc(sizeof *s);
	s->all = shared;
	s->n = n;
	s->free = mem_alloc(n * sizeof *s->free);
	// The lowest is taken first, so that few pages and few cgroups are touched.
	for (unsigned i = 0; i < n; i++)
		s->free[i] = (int)(n - 1 - i);
	s->n_free = n;
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

void slots_free(struct agent_slots *s)
{
	munmap(s->all, s->n * sizeof *s->all);
	pthread_mutex_destroy(&s->lock);
	free(s->free);
	free(s);
}

int slots_take(struct agent_slots *s)
{
	pthread_mutex_lock(&s->lock);
	int slot = s->n_free ? s->free[--s->n_free] : -1;
	pthread_mutex_unlock(&s->lock);
	if (slot >= 0)
		memset(&s->all[slot], 0, sizeof s->all[slot]);
	return slot;
}

void slots_give(struct agent_slots *s, int slot)
{
	pthread_mutex_lock(&s->lock);
	s->free[s->n_free++] = slot;
	pthread_mutex_unlock(&s->lock);
}

volatile struct agent_slot *slots_at(struct agent_slots *s, int slot)
{
	return &s->all[slot];
}
