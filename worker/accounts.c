#include "worker/accounts.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT = 1 };

struct accounts {
	pthread_mutex_t lock; // a unit is read and written again
	struct results *results;
};

struct accounts *accounts_new(struct results *results)
{
	struct accounts *a = mem_alloc(sizeof *a);
	pthread_mutex_init(&a->lock, NULL);
	a->results = results;
	return a;
}

void accounts_free(struct accounts *a)
{
	if (!a)
		return;
	pthread_mutex_destroy(&a->lock);
	free(a);
}

// ---- bytes ----------------------------------------------------------------------------------------------------------

static void encode(const struct account_list *list, struct buf *b)
{
	buf_add_u32(b, FORMAT);
	buf_add_u32(b, list->n);
	for (unsigned i = 0; i < list->n; i++) {
		const struct kept_account *x = &list->accounts[i];
		buf_add(b, x->key.b, sizeof x->key.b);
		buf_add(b, x->variant, sizeof x->variant);
		buf_add_str(b, x->maker);
		buf_add_u64(b, x->time_s);
		buf_add_strn(b, x->how, x->n_how);
	}
}

static void decode_one(struct rd *r, struct arena *arena, struct kept_account *x)
{
	size_t n_maker;
	const void *key = rd_bytes(r, sizeof x->key.b), *variant = rd_bytes(r, sizeof x->variant);
	const char *maker = rd_str(r, &n_maker);
	x->time_s = rd_u64(r);
	const char *how = rd_str(r, &x->n_how);
	r->bad |= r->bad || n_maker > ACCOUNT_MAKER_MAX || x->n_how > ACCOUNT_HOW_MAX;
	if (r->bad)
		return;
	memcpy(x->key.b, key, sizeof x->key.b);
	memcpy(x->variant, variant, sizeof x->variant);
	x->maker = arena_strndup(arena, maker, n_maker);
	x->how = arena_strndup(arena, how, x->n_how);
}

int accounts_decode(const void *p, size_t n, struct arena *arena, struct account_list *list, struct err *err)
{
	struct rd r = RD(p, n);
	uint32_t format = rd_u32(&r), all = rd_u32(&r);
	list->n = 0;
	if (r.bad || format != FORMAT || all > ACCOUNTS_MAX)
		return err_set(err, ERR_FORMAT, "accounts of another format");
	for (uint32_t i = 0; i < all && !r.bad; i++)
		decode_one(&r, arena, &list->accounts[i]);
	if (r.bad || rd_left(&r))
		return err_set(err, ERR_FORMAT, "accounts do not parse");
	list->n = all;
	return 0;
}

static void load(struct accounts *a, const char *tenant, const uint8_t unit[ACCOUNT_NAME], struct arena *arena,
		 struct account_list *list)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	list->n = 0;
	if (results_get_unit(a->results, tenant, unit, &bytes) == 1)
		accounts_decode(bytes.data, bytes.len, arena, list, NULL);
}

// ---- which stay -----------------------------------------------------------------------------------------------------

static void drop(struct account_list *list, unsigned at)
{
	list->n--;
	memmove(&list->accounts[at], &list->accounts[at + 1], (list->n - at) * sizeof list->accounts[0]);
}

static unsigned number_by(const struct account_list *list, const char *maker)
{
	unsigned n = 0;
	for (unsigned i = 0; i < list->n; i++)
		n += strcmp(list->accounts[i].maker, maker) == 0;
	return n;
}

// Who tries much does not push out what others have told.
static void make_room(struct account_list *list)
{
	unsigned oldest = 0, most = 0;
	for (unsigned i = 0; i < list->n; i++) {
		unsigned n = number_by(list, list->accounts[i].maker);
		if (n >= most) {
			oldest = i;
			most = n;
		}
	}
	drop(list, oldest);
}

static void add(struct account_list *list, const struct kept_account *x)
{
	for (unsigned i = list->n; i-- > 0;)
		if (strcmp(list->accounts[i].maker, x->maker) == 0 &&
		    memcmp(list->accounts[i].variant, x->variant, sizeof x->variant) == 0)
			drop(list, i);
	memmove(&list->accounts[1], &list->accounts[0], list->n * sizeof list->accounts[0]);
	list->accounts[0] = *x;
	if (++list->n > ACCOUNTS_MAX)
		make_room(list);
}

int accounts_add(struct accounts *a, const char *tenant, const uint8_t unit[ACCOUNT_NAME], const struct kept_account *x,
		 struct err *err)
{
	AUTO_ARENA struct arena arena = ARENA_INIT;
	AUTO_BUF struct buf bytes = BUF_INIT;
	struct account_list list;
	if (strlen(x->maker) > ACCOUNT_MAKER_MAX || x->n_how > ACCOUNT_HOW_MAX)
		return err_set(err, ERR_LIMIT, "an account of more than %d bytes", ACCOUNT_HOW_MAX);
	if (!results_has(a->results, tenant, &x->key))
		return err_set(err, ERR_NOT_FOUND, "there is no such result here");
	pthread_mutex_lock(&a->lock);
	load(a, tenant, unit, &arena, &list);
	add(&list, x);
	encode(&list, &bytes);
	int rc = results_put_unit(a->results, tenant, unit, &bytes, err);
	pthread_mutex_unlock(&a->lock);
	return rc;
}

void accounts_of(struct accounts *a, const char *tenant, const uint8_t unit[ACCOUNT_NAME], struct arena *arena,
		 struct account_list *list)
{
	list->n = 0;
	if (!results_has_tenant(a->results, tenant))
		return;
	load(a, tenant, unit, arena, list);
	for (unsigned i = list->n; i-- > 0;)
		if (!results_has(a->results, tenant, &list->accounts[i].key))
			drop(list, i);
}
