// A stand-in for the commands of a build, which knows exactly how many of them run locally at once.
//
//	work local MS               a local command (a link, a code generator)
//	work remote MS [REMOTE_MS]  a compile: MS of local work, then REMOTE_MS on another machine, by a lease
//	work tick MS TICK_MS        the same, but its result comes back at the tick that all share: the next multiple of
//	                            TICK_MS after the count was started
//	work count                  prints "max_local now_local commands loans" and ends
//
// $WORK_COUNT names a file that all map: a counter raised when a command begins to use the machine and lowered when it
// stops, with its maximum. Both are exact at every start and end, which sampling from outside is not.
#include "jobserver/client/lease.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct count {
	atomic_int now, max, commands, loans;
	_Atomic int64_t started_ms;
};

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void sleep_ms(int64_t ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	while (ms > 0 && nanosleep(&t, &t) < 0)
		;
}

static struct count *map_count(void)
{
	const char *path = getenv("WORK_COUNT");
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	if (fd < 0 || ftruncate(fd, sizeof(struct count)) < 0)
		exit(3);
	struct count *c = mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (c == MAP_FAILED)
		exit(3);
	int64_t unset = 0;
	atomic_compare_exchange_strong(&c->started_ms, &unset, now_ms());
	return c;
}

static void begin(struct count *c)
{
	int now = atomic_fetch_add(&c->now, 1) + 1, max = atomic_load(&c->max);
	while (now > max && !atomic_compare_exchange_weak(&c->max, &max, now))
		;
}

static void end(struct count *c)
{
	atomic_fetch_sub(&c->now, 1);
}

static void be_remote(struct count *c, int64_t ms)
{
	struct lease l;
	struct err err = ERR_INIT;
	if (lease_open(&l, &err) < 0)
		fprintf(stderr, "work: %s\n", err.text);
	end(c);
	lease_remote(&l);
	if (l.on_loan)
		atomic_fetch_add(&c->loans, 1);
	sleep_ms(ms);
	lease_return(&l);
	begin(c);
	lease_close(&l);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	struct count *c = map_count();
	if (strcmp(argv[1], "count") == 0) {
		printf("%d %d %d %d\n", c->max, c->now, c->commands, c->loans);
		return 0;
	}
	int64_t ms = argc > 2 ? atoi(argv[2]) : 0, far = argc > 3 ? atoi(argv[3]) : 0;
	begin(c);
	atomic_fetch_add(&c->commands, 1);
	sleep_ms(ms);
	if (strcmp(argv[1], "remote") == 0)
		be_remote(c, far);
	if (strcmp(argv[1], "tick") == 0)
		be_remote(c, far - (now_ms() - c->started_ms) % far);
	end(c);
	return 0;
}
