#include "store/shared/lease.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { LEASES_MOST = 64, TEXT_MAX = 256, CALL_MS = 30000 };
static const char first_line[] = "coffer lease 1\n";

struct leases {
	struct tier_item items[LEASES_MOST];
	unsigned n;
};

static int add(void *arg, const struct tier_item *item)
{
	struct leases *all = arg;
	// More than this is somebody's mischief; the oldest may be among those left out.
	if (all->n < LEASES_MOST)
		all->items[all->n++] = *item;
	return 0;
}

// "coffer lease 1\nseconds N\nhost H\n". How long it is good for; 0: it is none, or gone; -1: it could not be read.
static int64_t read_lease(struct tier *t, const struct tier_name *name, char host[TEXT_MAX], int64_t until_ms)
{
	AUTO_BUF struct buf text = {.max = TEXT_MAX};
	long long seconds = 0;
	struct err why = ERR_INIT;
	host[0] = '\0';
	int rc = tier_get(t, name, TEXT_MAX - 1, &text, until_ms, &why);
	if (rc < 0)
		return why.code == ERR_LIMIT ? 0 : -1;
	if (rc == 0 || strncmp(text.data, first_line, sizeof first_line - 1) != 0 ||
	    sscanf(text.data + sizeof first_line - 1, "seconds %10lld\nhost %100[^\n]", &seconds, host) < 1)
		return 0;
	value_make_plain(host);
	return seconds > 0 && seconds <= LEASE_MAX_S ? seconds : 0;
}

static bool is_older(const struct tier_item *a, const struct tier_item *b)
{
	return a->used_s != b->used_s ? a->used_s < b->used_s : memcmp(&a->name.id, &b->name.id, sizeof a->name.id) < 0;
}

static int put_own(struct tier *t, struct store_lease *l, int64_t good_for_s, int64_t until_ms, struct err *err)
{
	char text[TEXT_MAX], host[65] = "";
	unsigned char random[32];
	if (getrandom(random, sizeof random, 0) != sizeof random)
		return err_errno(err, "no random bytes");
	gethostname(host, sizeof host - 1);
	value_make_plain(host);
	snprintf(text, sizeof text, "%sseconds %lld\nhost %s process %ld\n", first_line, (long long)good_for_s, host,
		 (long)getpid());
	l->name = (struct tier_name){.space = TIER_LEASES, .id = sha256_of(random, sizeof random)};
	l->until_ms = clock_ms() + good_for_s * 1000;
	return tier_put(t, &l->name, text, strlen(text), until_ms, err);
}

// Of those that are there, after ours: is there one that goes before?
static int look_at_others(struct tier *t, struct store_lease *l, int64_t until_ms, struct err *err)
{
	struct leases all = {.n = 0};
	if (tier_list(t, TIER_LEASES, add, &all, until_ms, err) < 0)
		return -1;
	const struct tier_item *own = NULL;
	for (unsigned i = 0; i < all.n; i++)
		if (sha256_equal(&all.items[i].name.id, &l->name.id))
			own = &all.items[i];
	if (!own)
		return err_set(err, ERR_PEER, "the store does not show what was just put into it");
	l->now_s = own->used_s;
	for (unsigned i = 0; i < all.n; i++) {
		const struct tier_item *other = &all.items[i];
		char host[TEXT_MAX];
		if (other == own)
			continue;
		int64_t good_for = read_lease(t, &other->name, host, until_ms), since = l->now_s - other->used_s;
		if (good_for < 0 && since < LEASE_MAX_S) // none is good for longer, whatever it says
			return err_set(err, ERR_BUSY, "somebody has a lease since %lld s that can't be read now",
				       (long long)since);
		if (since >= good_for)
			tier_remove(t, &other->name, 1, until_ms, NULL);
		else if (is_older(other, own))
			return err_set(err, ERR_BUSY, "%s is at it since %lld s, for %lld s at most",
				       *host ? host : "another machine", (long long)since, (long long)good_for);
	}
	return 0;
}

int lease_take(struct tier *t, int64_t good_for_s, struct store_lease *l, int64_t until_ms, struct err *err)
{
	if (put_own(t, l, good_for_s, until_ms, err) < 0)
		return -1;
	nanosleep(&(struct timespec){.tv_sec = LEASE_SETTLE_MS / 1000, .tv_nsec = LEASE_SETTLE_MS % 1000 * 1000000}, NULL);
	if (look_at_others(t, l, until_ms, err) == 0)
		return 0;
	lease_drop(t, l);
	return -1;
}

void lease_drop(struct tier *t, const struct store_lease *l)
{
	tier_remove(t, &l->name, 1, clock_ms() + CALL_MS, NULL);
}
