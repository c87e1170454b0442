// What keeps builds from the shared store: settings, credentials and keys, and whether it answers.
#include "client/services/shared_stores.h"
#include "client/verbs/doctor.h"

#include "base/clock.h"
#include "base/value.h"

enum { ANSWER_MS = 3000, SLOW_MS = 100 };

static void ask(struct doctor *d, struct shared_store *s, const char *url)
{
	// Nobody has this one.
	struct tier_name name = {.space = TIER_ACTIONS, .id = sha256_of("coffer doctor", 13)};
	AUTO_BUF struct buf out = BUF_INIT;
	struct err err = ERR_INIT;
	int64_t began = clock_ms();
	int rc = shared_get(s->shared, &name, SEAL_MAX_ENTRY, ANSWER_MS, &out, &err);
	int64_t took = clock_ms() - began;
	if (rc < 0)
		found_problem(d, "shared_store",
			      "correct the settings that begin with shared_store, or ask who runs it (docs/stores.md)",
			      "the shared store '%s' does not answer: %s", url, err.text);
	else if (took > SLOW_MS)
		found_warning(d, "shared_store",
			      "a store nearer by, or none: builds leave it alone after a second lost in all",
			      "the shared store '%s' takes %lld ms for an answer", url, (long long)took);
	else
		found_ok(d, "shared_store", "the shared store '%s' answers in %lld ms", url, (long long)took);
}

void doctor_check_store(struct doctor *d)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct shared_store *s = NULL;
	struct err err = ERR_INIT;
	if (!d->has_config)
		return;
	const char *url = value_shown(&a, setting_text(&d->config, SETTING_shared_store));
	if (shared_stores_open(&d->config, &s, &err) < 0) {
		found_problem(d, "shared_store", "correct the settings that begin with shared_store (docs/stores.md)",
			      "the shared store '%s' is not used: %s", url, err.text);
		return;
	}
	if (!s)
		return;
	if (seal_is_none(s->seal))
		found_warning(d, "shared_store", "set shared_store_key, or shared_store_signer and shared_store_verifiers",
			      "entries of the shared store have no seal: whoever can write to it decides what your builds "
			      "contain");
	if (setting_bool(&d->config, SETTING_paranoid))
		found_warning(d, "shared_store", "unset one of them", "with 'paranoid' on the shared store is not used");
	ask(d, s, url);
	shared_store_close(s, clock_ms() + ANSWER_MS);
}
