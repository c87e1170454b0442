// What workers and clients send to the scheduler, as messages one after the other: a byte says what comes, one its length.
// No tenant ever has more slots than its quota, and every route is of workers that may serve it.
#include "base/mem.h"
#include "scheduler/quotas.h"
#include "scheduler/route.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char tenants_text[] = "[tenant a]\nslots = 7\nimage = *\nclaim = a\n"
				   "[tenant b]\nslots = 3\nimage = host:*\nworker = w*\nclaim = b\n"
				   "[tenant c]\nslots = 1000000\nisolation = microvm\nimage = *\nclaim = c\n"
				   "[workers]\ndeny = w3\n";

struct world {
	struct registry *registry;
	struct grants *grants;
	struct orders *orders;
	struct tenants *tenants;
	struct service service; // of which quotas take the lock and the ledger
	struct quotas *quotas;
	uint64_t sessions[4];
	int64_t now;
};

static void say_hello(struct world *w, const uint8_t *p, size_t n)
{
	Coffer__V1__WorkerHello *hello = coffer__v1__worker_hello__unpack(NULL, n, p);
	struct err err = ERR_INIT;
	uint64_t session;
	if (hello && registry_add(w->registry, hello, w->now, &session, &err) == 0)
		w->sessions[session % 4] = session;
	if (hello)
		coffer__v1__worker_hello__free_unpacked(hello, NULL);
}

// A record of another scheduler's, as it comes by etcd.
static void hear_of(struct world *w, const uint8_t *p, size_t n)
{
	Coffer__V1__WorkerRecord *record = coffer__v1__worker_record__unpack(NULL, n, p);
	if (record && record->hello && registry_check_hello(record->hello, NULL) == 0) {
		registry_add_elsewhere(w->registry, record->hello, record->draining, w->now, NULL);
		if (n % 3 == 0)
			registry_remove_elsewhere(w->registry, record->hello->worker);
	}
	if (record)
		coffer__v1__worker_record__free_unpacked(record, NULL);
}

// What it has given to tenants, or that it is there: the key's length, the key, the value.
static void hear_of_quotas(struct world *w, const uint8_t *p, size_t n)
{
	static const char *const keys[] = {"tenants/a/0000000000000002", "tenants/a/0000000000000003",
					   "tenants/b/0000000000000002", "schedulers/0000000000000002"};
	size_t n_key = n && p[0] < n - 1 ? p[0] : 0;
	if (n >= 1 && p[0] >= 0xf0) // a good key
		quotas_take(w->quotas, keys[p[0] % 4], strlen(keys[p[0] % 4]), n % 5 ? p + 1 : NULL, n % 5 ? n - 1 : 0);
	else if (n)
		quotas_take(w->quotas, (const char *)p + 1, n_key, p + 1 + n_key, n - 1 - n_key);
	if (n % 7 == 0)
		quotas_forget(w->quotas);
}

static void report(struct world *w, const uint8_t *p, size_t n)
{
	Coffer__V1__WorkerLoad *load = coffer__v1__worker_load__unpack(NULL, n, p);
	if (load)
		registry_report(w->registry, w->sessions[n % 4], load, w->now);
	if (load)
		coffer__v1__worker_load__free_unpacked(load, NULL);
}

static void check_answer(const struct world *w, const struct route_question *q, const struct route_answer *answer)
{
	uint64_t slots = 0;
	if ((answer->n == 0) != (*answer->reason != '\0') || answer->n > GRANT_MAX_PICKS)
		abort();
	for (size_t i = 0; i < answer->n; i++) {
		const struct worker *v = answer->picks[i].worker;
		slots += answer->picks[i].slots;
		if (answer->picks[i].slots < 1 || answer->picks[i].slots > v->slots || v->draining ||
		    v->isolation < answer->isolation || v->isolation < q->tenant->isolation ||
		    !worker_has_image(v, q->image) || !registry_is_alive(w->registry, v, w->now) ||
		    strcmp(v->name, "w3") == 0 || !tenant_may_use_worker(q->tenant, v->name))
			abort();
		for (size_t j = 0; j < q->n_avoid; j++)
			if (strcmp(q->avoid[j], v->name) == 0)
				abort();
	}
	if ((q->wanted && slots > q->wanted) || grants_slots_of(w->grants, q->tenant->name) > q->tenant->slots)
		abort();
}

static void ask(struct world *w, const uint8_t *p, size_t n)
{
	static const char *const clients[] = {"1", "2", "3", "4"};
	Coffer__V1__RouteRequest *r = coffer__v1__route_request__unpack(NULL, n, p);
	if (!r)
		return;
	struct route_question q = {.tenant = tenants_find(w->tenants, r->tenant),
				   .tenants = w->tenants,
				   .client = clients[n % 4],
				   .image = r->image,
				   .wanted = r->slots,
				   .isolation = (int)r->minimum_isolation,
				   .avoid = (const char *const *)r->avoid,
				   .n_avoid = r->n_avoid};
	struct route_answer answer;
	if (q.tenant && grants_may_ask(w->grants, q.tenant->name, w->now)) {
		route_decide(w->registry, w->grants, w->orders, &q, w->now, 30000, &answer);
		check_answer(w, &q, &answer);
	}
	coffer__v1__route_request__free_unpacked(r, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = {.registry = registry_new(5000, 8), .grants = grants_new(), .orders = orders_new(), .now = 1};
	if (tenants_parse("t", tenants_text, sizeof tenants_text - 1, &w.tenants, NULL) < 0)
		abort();
	pthread_mutex_init(&w.service.lock, NULL);
	w.service.grants = w.grants;
	w.quotas = quotas_new(&w.service, "0000000000000001");
	while (size >= 2) {
		size_t n = data[1] < size - 2 ? data[1] : size - 2;
		const uint8_t *p = data + 2;
		switch (data[0] >= 0xf0 ? 6 : data[0] % 6) {
		case 0:
			say_hello(&w, p, n);
			break;
		case 1:
			report(&w, p, n);
			break;
		case 2:
			registry_remove(w.registry, w.sessions[n % 4]);
			break;
		case 4:
			hear_of(&w, p, n);
			break;
		case 6:
			hear_of_quotas(&w, p, n);
			break;
		case 3:
			w.now += 100 * (int64_t)n;
			break;
		default:
			ask(&w, p, n);
		}
		data += 2 + n;
		size -= 2 + n;
	}
	registry_free(w.registry);
	quotas_free(w.quotas);
	pthread_mutex_destroy(&w.service.lock);
	grants_free(w.grants);
	orders_free(w.orders);
	tenants_free(w.tenants);
	return 0;
}
