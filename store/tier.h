// A place where entries are kept, whatever it is: this machine's disk, a Redis, a bucket, a web server, a shared folder.
//
// Two spaces, as in the Remote Execution API and as HTTP caches lay them out: content (cas/), where a name is the SHA-256 of the
// bytes, and actions (ac/), where a name is the SHA-256 of what the entry is for and the last writer wins. Two more are for the
// upkeep of a remote store (store/shared/upkeep.h): uses (use/) and leases (lease/). A tier moves bytes;
// it neither checks nor understands them. Whoever gets content compares it with its name (tier_get_content), whoever gets an
// action checks its seal (store/shared/seal.h): nothing that comes out of a tier is trusted.
//
// All calls block until `until_ms` (of clock_ms()) at most, as far as the tier can help it. Thread: any; calls run side by side.
#ifndef COFFER_STORE_TIER_H
#define COFFER_STORE_TIER_H

#include "base/buf.h"
#include "codec/sha/sha256.h"

#include <stddef.h>

enum tier_space { TIER_ACTIONS, TIER_CONTENT, TIER_USES, TIER_LEASES, TIER_SPACES };
struct tier_name {
	enum tier_space space;
	struct sha256 id;
	uint32_t bytes; // of content, as far as whoever asks for it knows; else 0. Some tiers find none without it
};
#define TIER_MAX_BYTES ((size_t)1 << 30) // of one entry
static inline struct tier_name tier_content(const struct sha256 *id, uint64_t bytes)
{
	return (struct tier_name){TIER_CONTENT, *id, bytes <= TIER_MAX_BYTES ? (uint32_t)bytes : 0};
}
// What names it, without what is only known of it: the key of maps.
#define TIER_NAME_KEY (offsetof(struct tier_name, bytes))

struct tier_item { // one entry of a list
	struct tier_name name;
	uint64_t bytes;
	int64_t used_s; // when it was written, or used as far as the tier sees that; in seconds, by the tier's own clock
};
typedef int tier_item_fn(void *arg, const struct tier_item *item); // 0, or -1 to end the list

struct tier;
struct tier_ops {
	const char *kind; // "http", for messages
	// It sees no uses by itself: whoever may write notes them (store/shared/uses.h).
	bool is_told_of_uses;
	// 1 with the bytes added to `out`, 0: there is none, -1: ERR_LIMIT (more than `max` bytes), ERR_TIMEOUT, ERR_ACCESS (credentials),
	// ERR_PEER and ERR_IO. Unless it returns 1, `out` has the bytes it had.
	int (*get)(struct tier *t, const struct tier_name *name, size_t max, struct buf *out, int64_t until_ms,
		   struct err *err);
	int (*put)(struct tier *t, const struct tier_name *name, const void *p, size_t n, int64_t until_ms, struct err *err);
	// Which of these are there? One round trip where the protocol allows it.
	int (*has)(struct tier *t, const struct tier_name *names, size_t n, bool *there, int64_t until_ms, struct err *err);
	// Counts as used now, where the tier does not see that by itself. 0, -1. NULL: nothing is to be done.
	int (*touch)(struct tier *t, const struct tier_name *name, int64_t until_ms, struct err *err);
	// Like put, but what is there stays: 1 it was put, 0 there is one already. NULL: asking before is the cheaper way.
	int (*put_new)(struct tier *t, const struct tier_name *name, const void *p, size_t n, int64_t until_ms,
		       struct err *err);
	// Shows all entries of a space, in any order; what is none of ours is not shown. NULL, both: it makes room by itself.
	int (*list)(struct tier *t, enum tier_space space, tier_item_fn *fn, void *arg, int64_t until_ms, struct err *err);
	int (*remove)(struct tier *t, const struct tier_name *names, size_t n, int64_t until_ms, struct err *err);
	void (*close)(struct tier *t); // after every call on it has returned
};
struct tier { // embedded by each kind
	const struct tier_ops *ops;
};

static inline int tier_get(struct tier *t, const struct tier_name *name, size_t max, struct buf *out, int64_t until_ms,
			   struct err *err)
{
	return t->ops->get(t, name, max, out, until_ms, err);
}
static inline int tier_put(struct tier *t, const struct tier_name *name, const void *p, size_t n, int64_t until_ms,
			   struct err *err)
{
	return t->ops->put(t, name, p, n, until_ms, err);
}
static inline int tier_has(struct tier *t, const struct tier_name *names, size_t n, bool *there, int64_t until_ms,
			   struct err *err)
{
	return t->ops->has(t, names, n, there, until_ms, err);
}
static inline int tier_touch(struct tier *t, const struct tier_name *name, int64_t until_ms, struct err *err)
{
	return t->ops->touch ? t->ops->touch(t, name, until_ms, err) : 0;
}
static inline bool tier_can_list(const struct tier *t)
{
	return t->ops->list && t->ops->remove;
}
static inline int tier_list(struct tier *t, enum tier_space space, tier_item_fn *fn, void *arg, int64_t until_ms,
			    struct err *err)
{
	return t->ops->list(t, space, fn, arg, until_ms, err);
}
static inline int tier_remove(struct tier *t, const struct tier_name *names, size_t n, int64_t until_ms, struct err *err)
{
	return t->ops->remove(t, names, n, until_ms, err);
}
static inline void tier_close(struct tier *t) // NULL is fine
{
	if (t)
		t->ops->close(t);
}
// "ac/", "cas/", "use/" or "lease/", and 64 hex digits.
#define TIER_PATH_ROOM 72
void tier_path(const struct tier_name *name, char path[TIER_PATH_ROOM]);
const char *tier_space_name(enum tier_space space); // "ac"

// The disk store as a tier. It stays open when the tier is closed. What it can't keep is an error, what it has lost a 0.
struct store;
struct tier *tier_of_disk(struct store *s);

#endif
