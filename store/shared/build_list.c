#include "store/shared/build_list.h"

#include "base/clock.h"
#include "base/mem.h"
#include "store/shared/uses.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
	FORMAT = 2,
	COPIERS = 16,
	CALL_MS = 30000, // and a second for each MiB
	TIMEOUTS = 4,    // in a row: the tier is as good as dead
	ASKED_AT_ONCE = 256,
	BYTES_OF_NAME = 1 + sizeof(struct sha256) + sizeof(uint32_t)
};
// What is larger than SMALL_MAX comes alone: so COPIERS * SMALL_MAX + CONTENT_MAX bytes are in memory at most.
#define SMALL_MAX ((size_t)32 << 20)
#define CONTENT_MAX ((size_t)512 << 20)

// ---- lists ----------------------------------------------------------------------------------------------------------

void build_list_add(struct build_list *l, const struct tier_name *name)
{
	if (l->n == BUILD_LIST_MOST)
		return;
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 256;
		l->names = mem_realloc(l->names, l->room * sizeof *l->names);
	}
	l->names[l->n++] = *name;
}

void build_list_release(struct build_list *l)
{
	free(l->names);
	*l = (struct build_list){0};
}

void build_list_encode(const struct build_list *l, struct buf *out)
{
	buf_add_u32(out, FORMAT);
	buf_add_u32(out, (uint32_t)l->n);
	for (size_t i = 0; i < l->n; i++) {
		buf_add_u8(out, (uint8_t)l->names[i].space);
		buf_add(out, l->names[i].id.b, sizeof l->names[i].id.b);
		buf_add_u32(out, l->names[i].bytes);
	}
}

int build_list_decode(const void *p, size_t n, struct build_list *l, struct err *err)
{
	struct rd r = RD(p, n);
	uint32_t format = rd_u32(&r), number = rd_u32(&r);
	*l = (struct build_list){0};
	if (r.bad || format != FORMAT || number > BUILD_LIST_MOST || rd_left(&r) != (size_t)number * BYTES_OF_NAME)
		return err_set(err, ERR_FORMAT, "this is no list of a build");
	for (uint32_t i = 0; i < number; i++) {
		struct tier_name name = {.space = (enum tier_space)rd_u8(&r)};
		memcpy(name.id.b, rd_bytes(&r, sizeof name.id.b), sizeof name.id.b);
		name.bytes = rd_u32(&r);
		if (name.space != TIER_ACTIONS && name.space != TIER_CONTENT) {
			build_list_release(l);
			return err_set(err, ERR_FORMAT, "this is no list of a build");
		}
		build_list_add(l, &name);
	}
	return 0;
}

struct tier_name build_list_name(const char *scope, const char *build)
{
	AUTO_BUF struct buf text = BUF_INIT;
	buf_add_str(&text, "coffer list of a build 1");
	buf_add_str(&text, scope);
	buf_add_str(&text, build);
	return (struct tier_name){.space = TIER_ACTIONS, .id = sha256_of(text.data, text.len)};
}

// ---- copying --------------------------------------------------------------------------------------------------------

struct copy {
	const struct copy_config *config;
	const struct tier_name *names;
	bool *there;
	size_t n;
	pthread_mutex_t lock; // over what follows
	size_t next;
	struct copy_report *report;
	struct map missing; // content: written in the first round, read in the second
	struct err err;
	unsigned timeouts; // in a row
	bool has_failed;
	pthread_mutex_t large; // held by the one who copies what is large
};

static int64_t until_for(size_t bytes)
{
	return clock_ms() + CALL_MS + (int64_t)(bytes >> 20) * 1000;
}

static bool is_sound(const struct copy_config *c, const struct tier_name *name, const struct buf *bytes)
{
	const void *sealed;
	size_t n;
	if (name->space == TIER_ACTIONS)
		return seal_get(c->seal, c->scope, name, bytes->data, bytes->len, &sealed, &n, NULL) == 0;
	struct sha256 digest = sha256_of(bytes->data, bytes->len);
	return sha256_equal(&digest, &name->id);
}

// True: what is there is as good. Else `bytes` is what is to be put.
static bool join(const struct copy_config *c, const struct tier_name *name, struct buf *bytes, int64_t until_ms)
{
	AUTO_BUF struct buf there = {.max = SEAL_MAX_ENTRY + SEAL_OVERHEAD}, entry = BUF_INIT;
	if (tier_get(c->to, name, there.max, &there, until_ms, NULL) != 1 || !is_sound(c, name, &there))
		return false;
	if (!c->join(c->arg, name, bytes, &there, &entry))
		return true;
	buf_clear(bytes);
	buf_add(bytes, entry.data, entry.len);
	return false;
}

enum copy_outcome { COPIED, THERE, ABSENT, REFUSED, FAILED };

static void note(struct copy *x, const struct tier_name *name, enum copy_outcome outcome, size_t bytes)
{
	struct copy_report *r = x->report;
	pthread_mutex_lock(&x->lock);
	r->copied += outcome == COPIED;
	r->bytes += outcome == COPIED ? bytes : 0;
	r->there += outcome == THERE;
	r->absent += outcome == ABSENT;
	r->refused += outcome == REFUSED;
	if (name->space == TIER_CONTENT && outcome != COPIED && outcome != THERE)
		map_put(&x->missing, &name->id, sizeof name->id, x);
	pthread_mutex_unlock(&x->lock);
}

// Nothing has to come: it may be in the other tier all the same.
static enum copy_outcome look_there(const struct copy_config *c, const struct tier_name *name, int64_t until_ms,
				    struct err *err)
{
	bool there = false;
	if (name->space == TIER_ACTIONS && tier_has(c->to, name, 1, &there, until_ms, err) < 0)
		return FAILED;
	return there ? THERE : ABSENT;
}

// May `bytes` go, as they are then?
static bool is_whole(struct copy *x, const struct tier_name *name, struct buf *bytes)
{
	AUTO_BUF struct buf entry = BUF_INIT;
	if (name->space != TIER_ACTIONS || !x->config->whole || !x->missing.n)
		return true;
	int rc = x->config->whole(x->config->arg, name, bytes, &x->missing, &entry);
	if (rc == 1) {
		buf_clear(bytes);
		buf_add(bytes, entry.data, entry.len);
	}
	return rc >= 0;
}

// ERR_LIMIT: there are more than `max` bytes.
static enum copy_outcome copy_up_to(struct copy *x, const struct tier_name *name, size_t max, size_t *size, struct err *err)
{
	const struct copy_config *c = x->config;
	AUTO_BUF struct buf bytes = {.max = max};
	int rc = tier_get(c->from, name, max, &bytes, until_for(max), err);
	if (rc <= 0)
		return rc < 0 ? FAILED : look_there(c, name, until_for(0), err);
	if (!is_sound(c, name, &bytes))
		return REFUSED;
	if (!is_whole(x, name, &bytes))
		return ABSENT;
	if (c->join && name->space == TIER_ACTIONS && join(c, name, &bytes, until_for(max)))
		return THERE;
	*size = bytes.len;
	return tier_put(c->to, name, bytes.data, bytes.len, until_for(bytes.len), err) < 0 ? FAILED : COPIED;
}

static enum copy_outcome copy_one(struct copy *x, const struct tier_name *name, size_t *size, struct err *err)
{
	if (name->space == TIER_ACTIONS)
		return copy_up_to(x, name, SEAL_MAX_ENTRY + SEAL_OVERHEAD, size, err);
	enum copy_outcome outcome = copy_up_to(x, name, SMALL_MAX, size, err);
	if (outcome != FAILED || err->code != ERR_LIMIT)
		return outcome;
	err_clear(err);
	pthread_mutex_lock(&x->large);
	outcome = copy_up_to(x, name, CONTENT_MAX, size, err);
	pthread_mutex_unlock(&x->large);
	return outcome;
}

// One that is too large, or whose time is over, is left out; all else stops the copy, and so do several timeouts in a row.
static void note_failure(struct copy *x, enum copy_outcome outcome, const struct err *err)
{
	pthread_mutex_lock(&x->lock);
	bool is_late = outcome == FAILED && err->code == ERR_TIMEOUT,
	     is_too_large = outcome == FAILED && err->code == ERR_LIMIT;
	x->timeouts = is_late ? x->timeouts + 1 : 0;
	x->report->left_out += is_late || is_too_large;
	if (outcome == FAILED && !is_too_large && (!is_late || x->timeouts >= TIMEOUTS)) {
		if (!x->has_failed)
			x->err = *err;
		x->has_failed = true;
	}
	pthread_mutex_unlock(&x->lock);
}

// Under the lock: the next one that is not there. NULL: there is none, or it is time to end.
static const struct tier_name *next_name(struct copy *x)
{
	const struct copy_config *c = x->config;
	if (x->has_failed)
		return NULL;
	while (x->next < x->n && x->there[x->next])
		x->next++;
	if (x->next == x->n)
		return NULL;
	if ((c->max_bytes && x->report->bytes >= c->max_bytes) || (c->is_over && *c->is_over)) {
		x->report->is_cut_short = true;
		return NULL;
	}
	return &x->names[x->next++];
}

static void *copier(void *arg)
{
	struct copy *x = arg;
	for (;;) {
		struct err err = ERR_INIT;
		pthread_mutex_lock(&x->lock);
		const struct tier_name *name = next_name(x);
		pthread_mutex_unlock(&x->lock);
		if (!name)
			return NULL;
		size_t bytes = 0;
		enum copy_outcome outcome = copy_one(x, name, &bytes, &err);
		note(x, name, outcome, bytes);
		note_failure(x, outcome, &err);
	}
}

static int ask_what_is_there(struct copy *x, struct err *err)
{
	for (size_t at = 0; at < x->n; at += ASKED_AT_ONCE) {
		size_t some = x->n - at < ASKED_AT_ONCE ? x->n - at : ASKED_AT_ONCE;
		if (tier_has(x->config->to, x->names + at, some, x->there + at, until_for(0), err) < 0)
			return -1;
		for (size_t i = at; i < at + some; i++) {
			// An action may have got other results meanwhile.
			if (x->names[i].space == TIER_ACTIONS)
				x->there[i] = false;
			x->report->there += x->there[i];
		}
	}
	return 0;
}

static int copy_all(struct copy *x, struct err *err)
{
	pthread_t threads[COPIERS];
	unsigned n = 0;
	x->next = 0;
	while (n < COPIERS && n < x->n && pthread_create(&threads[n], NULL, copier, x) == 0)
		n++;
	if (!n)
		copier(x);
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	return x->has_failed ? err_take(err, &x->err) : 0;
}

// Content first.
static int copy_spaces(struct copy *x, struct tier_name *names, const struct build_list *l, struct err *err)
{
	static const enum tier_space order[] = {TIER_CONTENT, TIER_ACTIONS};
	for (size_t s = 0; s < COUNT_OF(order); s++) {
		x->n = 0;
		for (size_t i = 0; i < l->n; i++)
			if (l->names[i].space == order[s])
				names[x->n++] = l->names[i];
		memset(x->there, 0, x->n);
		if ((order[s] == TIER_CONTENT && ask_what_is_there(x, err) < 0) || copy_all(x, err) < 0)
			return -1;
	}
	return 0;
}

int build_list_copy(const struct build_list *l, const struct copy_config *config, struct copy_report *report,
		    struct err *err)
{
	AUTO_FREE struct tier_name *names = mem_alloc((l->n + 1) * sizeof *names);
	AUTO_FREE bool *there = mem_alloc(l->n + 1);
	struct copy x = {.config = config,
			 .names = names,
			 .there = there,
			 .report = report,
			 .lock = PTHREAD_MUTEX_INITIALIZER,
			 .large = PTHREAD_MUTEX_INITIALIZER,
			 .missing = MAP_INIT,
			 .err = ERR_INIT};
	*report = (struct copy_report){0};
	int rc = copy_spaces(&x, names, l, err);
	map_release(&x.missing);
	return rc;
}

int build_list_note_uses(const struct build_list *l, struct tier *t, struct err *err)
{
	AUTO_FREE struct store_use *uses = mem_alloc(USES_MOST * sizeof *uses);
	for (size_t at = 0; at < l->n && t->ops->is_told_of_uses; at += USES_MOST) {
		AUTO_BUF struct buf record = BUF_INIT;
		uint32_t n = 0;
		for (; n < USES_MOST && at + n < l->n; n++)
			uses[n] = (struct store_use){.id = uses_id(&l->names[at + n].id)};
		uses_encode(uses, n, &record);
		struct tier_name name = {.space = TIER_USES, .id = sha256_of(record.data, record.len)};
		if (tier_put(t, &name, record.data, record.len, until_for(record.len), err) < 0)
			return -1;
	}
	return 0;
}
