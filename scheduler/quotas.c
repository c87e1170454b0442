#include "scheduler/quotas.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "proto/coffer.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCHEDULERS "schedulers/"
#define TENANTS "tenants/"

// What another scheduler has given to a tenant.
struct record {
	struct grant_elsewhere given;
	bool is_seen;
};

// What the others have been told of a tenant here.
struct told {
	struct grant_elsewhere given;
	int64_t at_ms;
};

struct quotas {
	struct service *service;
	const char *own;
	struct map schedulers; // of the others, by ID: a record without anything given
	struct map records;    // of the others, by TENANT/ID
	struct map told;       // by tenant
	bool has_told_presence;
};

struct quotas *quotas_new(struct service *service, const char *own_id)
{
	struct quotas *q = mem_alloc(sizeof *q);
	q->service = service;
	q->own = own_id;
	return q;
}

void quotas_free(struct quotas *q)
{
	map_release_all(&q->schedulers);
	map_release_all(&q->records);
	map_release_all(&q->told);
	free(q);
}

// ---- what others tell -----------------------------------------------------------------------------------------------

static void count_schedulers(struct quotas *q)
{
	pthread_mutex_lock(&q->service->lock);
	grants_set_schedulers(q->service->grants, (unsigned)q->schedulers.n + 1);
	pthread_mutex_unlock(&q->service->lock);
}

// All that the others have given to this tenant, into the ledger.
static void count_tenant(struct quotas *q, const char *tenant)
{
	struct grant_elsewhere all[QUOTA_MAX_SCHEDULERS];
	size_t n = 0, at = 0, n_key, n_tenant = strlen(tenant);
	const char *key;
	void *value;
	while (map_next(&q->records, &at, &key, &n_key, &value) && n < QUOTA_MAX_SCHEDULERS)
		if (n_key > n_tenant && key[n_tenant] == '/' && memcmp(key, tenant, n_tenant) == 0)
			all[n++] = ((const struct record *)value)->given;
	pthread_mutex_lock(&q->service->lock);
	grants_set_elsewhere(q->service->grants, tenant, all, n);
	pthread_mutex_unlock(&q->service->lock);
}

// Puts a record, or takes it away where `given` is NULL.
static void set_record(struct map *map, const char *key, const struct grant_elsewhere *given, size_t most)
{
	struct record *r = map_gets(map, key);
	if (!given) {
		free(map_del(map, key, strlen(key)));
		return;
	}
	if (!r && map->n >= most) {
		log_event(LOG_LEVEL_WARN, "record of another scheduler left out: there are too many",
			  LOG_TEXT("record", key), LOG_NUMBER("most", most));
		return;
	}
	if (!r) {
		r = mem_alloc(sizeof *r);
		map_puts(map, key, r);
	}
	*r = (struct record){*given, true};
}

static bool is_id(const char *id)
{
	return strlen(id) == 16 && strspn(id, "0123456789abcdef") == 16;
}

static void take_scheduler(struct quotas *q, const char *id, bool is_there)
{
	if (!is_id(id) || strcmp(id, q->own) == 0)
		return;
	const struct grant_elsewhere nothing = {0};
	set_record(&q->schedulers, id, is_there ? &nothing : NULL, QUOTA_MAX_SCHEDULERS - 1);
	count_schedulers(q);
}

static void take_tenant(struct quotas *q, const char *key, const void *value, size_t n_value)
{
	const char *slash = strchr(key, '/');
	AUTO_FREE char *tenant = slash ? mem_strndup(key, (size_t)(slash - key)) : NULL;
	if (!tenant || !token_is_name(tenant) || !is_id(slash + 1) || strcmp(slash + 1, q->own) == 0)
		return;
	Coffer__V1__TenantRecord *m = value ? coffer__v1__tenant_record__unpack(NULL, n_value, value) : NULL;
	if (value && !m)
		log_event(LOG_LEVEL_WARN, "record of a tenant not understood", LOG_TEXT("tenant", tenant));
	if (m)
		set_record(&q->records, key, &(const struct grant_elsewhere){m->wanted, m->claimed}, QUOTA_MAX_RECORDS);
	else if (!value)
		set_record(&q->records, key, NULL, QUOTA_MAX_RECORDS);
	if (m)
		coffer__v1__tenant_record__free_unpacked(m, NULL);
	count_tenant(q, tenant);
}

bool quotas_take(struct quotas *q, const char *key, size_t n_key, const void *value, size_t n_value)
{
	AUTO_FREE char *name = mem_strndup(key, n_key);
	if (strncmp(name, SCHEDULERS, sizeof SCHEDULERS - 1) == 0)
		take_scheduler(q, name + sizeof SCHEDULERS - 1, value);
	else if (strncmp(name, TENANTS, sizeof TENANTS - 1) == 0)
		take_tenant(q, name + sizeof TENANTS - 1, value, n_value);
	else
		return false;
	return true;
}

static void begin_read(const struct map *map)
{
	const char *key;
	size_t at = 0, n;
	void *value;
	while (map_next(map, &at, &key, &n, &value))
		((struct record *)value)->is_seen = false;
}

void quotas_begin_read(struct quotas *q)
{
	begin_read(&q->schedulers);
	begin_read(&q->records);
	map_release_all(&q->told);
	q->has_told_presence = false;
}

// Forgets what was not seen. Of tenants' records the ledger hears, too.
static void drop_unseen(struct quotas *q, struct map *map)
{
	const char *key;
	size_t at = 0, n;
	void *value;
	while (map_next(map, &at, &key, &n, &value)) {
		struct record *r = value;
		if (r->is_seen)
			continue;
		AUTO_FREE char *name = mem_strndup(key, n);
		free(map_del(map, name, n));
		name[strcspn(name, "/")] = '\0';
		if (map == &q->records)
			count_tenant(q, name);
	}
}

void quotas_end_read(struct quotas *q)
{
	drop_unseen(q, &q->schedulers);
	drop_unseen(q, &q->records);
	count_schedulers(q);
}

void quotas_forget(struct quotas *q)
{
	begin_read(&q->schedulers);
	begin_read(&q->records);
	quotas_end_read(q);
}

// ---- what others are told -------------------------------------------------------------------------------------------

struct gathering {
	struct quotas *quotas;
	int64_t now_ms;
	struct map news; // by tenant: a struct told
};

static void gather(void *ctx, const char *tenant, const struct grant_elsewhere *given)
{
	struct gathering *g = ctx;
	const struct told *t = map_gets(&g->quotas->told, tenant);
	const struct grant_elsewhere before = t ? t->given : (struct grant_elsewhere){0};
	bool grows = given->claimed > before.claimed || given->wanted > before.wanted,
	     shrinks = given->claimed < before.claimed || given->wanted < before.wanted;
	if (!grows && !(shrinks && g->now_ms - t->at_ms >= QUOTA_SHRINKS_MS))
		return;
	struct told *news = mem_alloc(sizeof *news);
	*news = (struct told){*given, g->now_ms};
	map_puts(&g->news, tenant, news);
}

static int tell_tenant(struct quotas *q, struct etcd *etcd, const char *tenant, const struct told *news, struct err *err)
{
	Coffer__V1__TenantRecord m = COFFER__V1__TENANT_RECORD__INIT;
	AUTO_FREE char *key = mem_printf(TENANTS "%s/%s", tenant, q->own);
	uint8_t bytes[64];
	m.wanted = news->given.wanted;
	m.claimed = news->given.claimed;
	if (!m.wanted && !m.claimed)
		return etcd_remove_own(etcd, key, err);
	return etcd_put(etcd, key, bytes, protobuf_c_message_pack(&m.base, bytes), err);
}

int quotas_tell(struct quotas *q, struct etcd *etcd, struct err *err)
{
	struct gathering g = {.quotas = q, .now_ms = clock_ms()};
	AUTO_FREE char *presence = mem_printf(SCHEDULERS "%s", q->own);
	const char *key;
	size_t at = 0, n;
	void *value;
	int rc = q->has_told_presence ? 0 : etcd_put(etcd, presence, "1", 1, err);
	if (rc < 0)
		return rc;
	q->has_told_presence = true;
	pthread_mutex_lock(&q->service->lock);
	grants_each(q->service->grants, g.now_ms, gather, &g);
	pthread_mutex_unlock(&q->service->lock);
	while (rc == 0 && map_next(&g.news, &at, &key, &n, &value)) {
		AUTO_FREE char *tenant = mem_strndup(key, n);
		rc = tell_tenant(q, etcd, tenant, value, err);
		if (rc < 0)
			break;
		map_del(&g.news, tenant, n);
		free(map_puts(&q->told, tenant, value));
	}
	map_release_all(&g.news);
	return rc;
}
