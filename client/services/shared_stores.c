#include "client/services/shared_stores.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "codec/hash.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { STORES_MAX = 16 };

struct known_store {
	struct digest settings;
	struct shared_store *store; // NULL: it can't be used
	char url[128], why[256];
};

struct shared_stores {
	pthread_mutex_t lock;
	struct known_store known[STORES_MAX];
	unsigned n;
	bool is_full;
};

struct shared_stores *shared_stores_new(void)
{
	struct shared_stores *all = mem_alloc(sizeof *all);
	pthread_mutex_init(&all->lock, NULL);
	return all;
}

int shared_stores_open(const struct settings *config, struct shared_store **out, struct err *err)
{
	struct shared_store_settings settings = {
		.remote = {.url = setting_text(config, SETTING_shared_store),
			   .credentials = setting_text(config, SETTING_shared_store_credentials),
			   .ca = setting_text(config, SETTING_shared_store_ca)},
		.seal = {.key = setting_text(config, SETTING_shared_store_key),
			 .signer = setting_text(config, SETTING_shared_store_signer),
			 .verifiers = setting_text(config, SETTING_shared_store_verifiers)},
		.access = (enum shared_access)setting_number(config, SETTING_shared_store_access),
		.timeout_ms = setting_number(config, SETTING_shared_store_timeout)};
	return shared_store_open(&settings, out, err);
}

static struct digest settings_of(const struct settings *c)
{
	static const enum setting matter[] = {
		SETTING_shared_store,           SETTING_shared_store_access, SETTING_shared_store_credentials,
		SETTING_shared_store_ca,        SETTING_shared_store_key,    SETTING_shared_store_signer,
		SETTING_shared_store_verifiers, SETTING_shared_store_timeout};
	AUTO_HASHER struct hasher h;
	hasher_init(&h);
	for (size_t i = 0; i < COUNT_OF(matter); i++)
		hasher_str(&h, setting_text(c, matter[i]));
	return hasher_end(&h);
}

struct shared_store *shared_stores_find(struct shared_stores *all, const struct settings *config)
{
	if (!*setting_text(config, SETTING_shared_store))
		return NULL;
	struct digest settings = settings_of(config);
	struct shared_store *store = NULL;
	pthread_mutex_lock(&all->lock);
	unsigned i = 0;
	while (i < all->n && !digest_equal(&all->known[i].settings, &settings))
		i++;
	if (i < all->n) {
		store = all->known[i].store;
	} else if (all->n < STORES_MAX) {
		struct err err = ERR_INIT;
		struct known_store *k = &all->known[all->n++];
		if (shared_stores_open(config, &store, &err) < 0)
			log_error("the shared store is not used: %s", err.text);
		*k = (struct known_store){.settings = settings, .store = store};
		snprintf(k->url, sizeof k->url, "%s", setting_text(config, SETTING_shared_store));
		snprintf(k->why, sizeof k->why, "%.250s", err.text);
	} else if (!all->is_full) {
		all->is_full = true;
		log_error("more than %d shared stores in one daemon: the next ones are not used; 'coffer stop' makes room",
			  STORES_MAX);
	}
	pthread_mutex_unlock(&all->lock);
	return store;
}

static unsigned list(struct shared_stores *all, struct known_store known[STORES_MAX])
{
	pthread_mutex_lock(&all->lock);
	unsigned n = all->n;
	memcpy(known, all->known, sizeof all->known); // stores stay until the end
	pthread_mutex_unlock(&all->lock);
	return n;
}

bool shared_stores_flush(struct shared_stores *all, int64_t most_ms)
{
	struct known_store known[STORES_MAX];
	int64_t until = clock_ms() + most_ms;
	unsigned n = list(all, known);
	bool is_done = true;
	for (unsigned i = 0; i < n; i++)
		if (known[i].store)
			is_done &= shared_flush(known[i].store->shared, until - clock_ms());
	return is_done;
}

void shared_stores_status(struct shared_stores *all, struct buf *out)
{
	struct known_store known[STORES_MAX];
	unsigned n = list(all, known);
	for (unsigned i = 0; i < n; i++) {
		struct shared_status status = {.kind = ""};
		if (known[i].store)
			shared_status(known[i].store->shared, &status);
		buf_adds(out, i ? ",{" : "{");
		json_add_field(out, "url", known[i].url);
		json_add_field(out, "kind", status.kind);
		json_add_field(out, "state", !known[i].store ? "unusable" : status.is_used ? "used" : "left alone");
		json_add_field(out, "why", known[i].store ? status.why : known[i].why);
		json_add_number(out, "back_in_ms", status.back_in_ms);
		json_add_number(out, "lost_ms", status.lost_ms);
		json_add_number(out, "waiting", status.waiting);
		json_add_number(out, "dropped", (int64_t)status.dropped);
		json_add_number(out, "times_left_alone", (int64_t)status.times_alone);
		buf_addc(out, '}');
	}
}
