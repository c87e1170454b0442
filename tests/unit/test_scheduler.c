// The scheduler's registry, ledger and decision, by a clock that the test turns; and that its messages can't carry payload.
#include "scheduler/route.h"

#include "auth/keys.h"
#include "scheduler/tokens.h"

#include "base/mem.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEARTBEAT = 5000, LIFETIME = 30000 };
#define SANDBOX COFFER__V1__ISOLATION__ISOLATION_SANDBOX

static struct registry *registry;
static struct grants *grants;
static struct orders *orders;
static struct tenants *tenants;
static struct route_answer answer;
static struct err err;
static int64_t now;

static const char tenants_text[] = "[tenant a]\nslots = 100\nimage = *\nclaim = a\n"
				   "[tenant b]\nslots = 100\nimage = *\nclaim = b\n"
				   "[tenant c]\nslots = 100\nimage = *\nclaim = c\n"
				   "[tenant tiny]\nslots = 4\nimage = *\nclaim = d\n"
				   "[tenant gold]\nslots = 100\nimage = *\nworker = gold-*\nclaim = e\n"
				   "[tenant vm]\nslots = 100\nisolation = microvm\nimage = *\nclaim = f\n"
				   "[tenant any]\nslots = 100\nisolation = none\nimage = *\nclaim = g\n"
				   "[workers]\ndeny = evil\n";

static void setup(void)
{
	registry = registry_new(HEARTBEAT, 100);
	grants = grants_new();
	orders = orders_new();
	now = 1000000;
	ck_assert_msg(tenants_parse("t", tenants_text, strlen(tenants_text), &tenants, &err) == 0, "%s", err.text);
}

static void teardown(void)
{
	registry_free(registry);
	grants_free(grants);
	orders_free(orders);
	tenants_free(tenants);
}

static Coffer__V1__WorkerHello hello_of(const char *name, uint32_t slots)
{
	static char x[] = "host:x", y[] = "host:y", address[] = "192.0.2.1:7430", version[] = "1";
	static char *images[] = {x, y};
	Coffer__V1__WorkerHello h = COFFER__V1__WORKER_HELLO__INIT;
	h.worker = (char *)(uintptr_t)name;
	h.address = address;
	h.slots = slots;
	h.images = images;
	h.n_images = 2;
	h.isolation = SANDBOX;
	h.version = version;
	return h;
}

static uint64_t add_hello(Coffer__V1__WorkerHello h)
{
	uint64_t session = 0;
	ck_assert_msg(registry_add(registry, &h, now, &session, &err) == 0, "%s", err.text);
	ck_assert_uint_ne(session, 0);
	return session;
}

static uint64_t add(const char *name, uint32_t slots)
{
	return add_hello(hello_of(name, slots));
}

static bool report(uint64_t session, uint32_t running, bool draining)
{
	Coffer__V1__WorkerLoad load = COFFER__V1__WORKER_LOAD__INIT;
	load.running = running;
	load.draining = draining;
	load.jobs = 10;
	load.hits = 4;
	return registry_report(registry, session, &load, now);
}

static uint32_t ask_for(const char *tenant, const char *client, const char *image, uint32_t wanted, int isolation,
			const char *avoid)
{
	struct route_question q = {.tenant = tenants_find(tenants, tenant),
				   .tenants = tenants,
				   .client = client,
				   .image = image,
				   .wanted = wanted,
				   .isolation = isolation,
				   .avoid = &avoid,
				   .n_avoid = avoid ? 1 : 0};
	ck_assert_ptr_nonnull(q.tenant);
	route_decide(registry, grants, orders, &q, now, LIFETIME, &answer);
	uint32_t slots = 0;
	for (size_t i = 0; i < answer.n; i++) {
		ck_assert_uint_gt(answer.picks[i].slots, 0);
		ck_assert_uint_le(answer.picks[i].slots, answer.picks[i].worker->slots);
		slots += answer.picks[i].slots;
	}
	ck_assert_int_eq(answer.n == 0, *answer.reason != '\0');
	return slots;
}

static uint32_t ask(const char *tenant, const char *client, uint32_t wanted)
{
	return ask_for(tenant, client, "host:x", wanted, 0, NULL);
}

static void gives_nothing(uint32_t slots, const char *reason)
{
	ck_assert_uint_eq(slots, 0);
	ck_assert_str_eq(answer.reason, reason);
}

static const struct worker *worker(const char *name)
{
	size_t at;
	return registry_find(registry, name, &at) ? registry_at(registry, at) : NULL;
}

// ---- the registry -------------------------------------------------------------------------------------------------

START_TEST(a_worker_is_there_from_its_hello_to_its_end)
{
	uint64_t b = add("b", 4), a = add("a", 4);
	ck_assert_uint_eq(registry_count(registry), 2);
	ck_assert_str_eq(registry_at(registry, 0)->name, "a");
	ck_assert(report(b, 3, false));
	ck_assert_uint_eq(worker("b")->running, 3);
	ck_assert_uint_eq(worker("b")->hits, 4);
	ck_assert(registry_remove(registry, a));
	ck_assert(!registry_remove(registry, a));
	ck_assert(!report(a, 0, false));
	ck_assert_ptr_null(worker("a"));
}
END_TEST

START_TEST(a_silent_worker_is_dead_after_two_heartbeats)
{
	uint64_t session = add("w", 4);
	now += 2 * HEARTBEAT - 1;
	ck_assert_uint_eq(ask("a", "1", 4), 4);
	now += 1;
	gives_nothing(ask("a", "1", 4), "no worker is there");
	ck_assert(!report(session, 0, false));
	ck_assert_uint_eq(registry_count(registry), 0);
}
END_TEST

START_TEST(reports_keep_a_worker_alive)
{
	uint64_t session = add("w", 4);
	for (int i = 0; i < 10; i++) {
		now += HEARTBEAT;
		ck_assert(report(session, 0, false));
	}
	ck_assert_uint_eq(ask("a", "1", 4), 4);
}
END_TEST

START_TEST(a_second_hello_takes_the_name_over)
{
	uint64_t old = add("w", 4), new = add("w", 8);
	ck_assert_uint_ne(old, new);
	ck_assert_uint_eq(registry_count(registry), 1);
	ck_assert(!report(old, 0, false));
	ck_assert(!registry_remove(registry, old));
	ck_assert(report(new, 0, false));
	ck_assert_uint_eq(worker("w")->slots, 8);
}
END_TEST

static char told[64];

static void tell(void *ctx, const char *worker)
{
	(void)ctx;
	strncat(told, worker, sizeof told - strlen(told) - 1);
}

START_TEST(a_worker_of_another_scheduler_is_there_until_that_one_says_otherwise)
{
	Coffer__V1__WorkerHello far = hello_of("far", 4), near = hello_of("near", 4);
	registry_on_change(registry, tell, NULL);
	ck_assert_int_eq(registry_add_elsewhere(registry, &far, true, now, &err), 0);
	now += 1000 * HEARTBEAT;
	ck_assert(registry_is_alive(registry, registry_worker(registry, "far"), now));
	ck_assert(registry_worker(registry, "far")->draining);
	ck_assert_str_eq(told, ""); // nobody has to hear of it again
	uint64_t session = add("near", 4);
	ck_assert_str_eq(told, "near");
	ck_assert(report(session, 1, true) && report(session, 1, true));
	ck_assert_str_eq(told, "nearnear");
	ck_assert(!registry_remove_elsewhere(registry, "near") && !registry_remove_elsewhere(registry, "nobody"));
	// It has gone to the other one.
	ck_assert_int_eq(registry_add_elsewhere(registry, &near, false, now, &err), 0);
	ck_assert(!report(session, 1, false) && !registry_remove(registry, session));
	ck_assert(registry_remove_elsewhere(registry, "near") && registry_remove_elsewhere(registry, "far"));
	ck_assert_uint_eq(registry_count(registry), 0);
	ck_assert_str_eq(told, "nearnear");
}
END_TEST

START_TEST(a_full_registry_makes_room_only_of_the_dead)
{
	char name[16];
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "w%d", i);
		add(name, 1);
	}
	Coffer__V1__WorkerHello h = hello_of("one-more", 1);
	uint64_t session;
	ck_assert_int_eq(registry_add(registry, &h, now, &session, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	ck_assert_uint_ne(add("w5", 2), 0);
	now += 2 * HEARTBEAT;
	ck_assert_int_eq(registry_add(registry, &h, now, &session, &err), 0);
	ck_assert_uint_eq(registry_count(registry), 1);
}
END_TEST

static void refuses(Coffer__V1__WorkerHello h, const char *part)
{
	uint64_t session;
	ck_assert_int_eq(registry_add(registry, &h, now, &session, &err), -1);
	ck_assert_int_eq(err.code, ERR_FORMAT);
	ck_assert_msg(strstr(err.text, part) != NULL, "%s", err.text);
	ck_assert_uint_eq(registry_count(registry), 0);
}

START_TEST(a_hello_is_checked)
{
	static const char *const names[] = {"",
					    "a b",
					    "../w",
					    "a/b",
					    "w\n",
					    "w\"x",
					    "01234567890123456789012345678901234567890123456789012345678901234"};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		refuses(hello_of(names[i], 1), "name");
	static const char *const addresses[] = {"", "host", "host:", ":80", "host:0", "host:99999", "a b:1", "host:1/x"};
	for (size_t i = 0; i < COUNT_OF(addresses); i++) {
		Coffer__V1__WorkerHello h = hello_of("w", 1);
		h.address = (char *)(uintptr_t)addresses[i];
		refuses(h, "address");
	}
	refuses(hello_of("w", 0), "slots");
	refuses(hello_of("w", WORKER_MAX_SLOTS + 1), "slots");
	Coffer__V1__WorkerHello h = hello_of("w", 1);
	h.isolation = (Coffer__V1__Isolation)-1;
	refuses(h, "isolates");
	h.isolation = (Coffer__V1__Isolation)17;
	refuses(h, "isolates");
	h = hello_of("w", 1);
	h.n_images = 0;
	refuses(h, "images");
	h = hello_of("w", 1);
	char bad[] = "gcc:12", *images[] = {bad};
	h.images = images;
	h.n_images = 1;
	refuses(h, "image");
	h = hello_of("w", 1);
	uint8_t digest[31] = {0};
	h.certificate_sha256 = (ProtobufCBinaryData){31, digest};
	refuses(h, "SHA-256");
	h = hello_of("w", 1);
	char version[100];
	memset(version, 'v', sizeof version);
	version[99] = '\0';
	h.version = version;
	refuses(h, "version");
}
END_TEST

// ---- who gets what ------------------------------------------------------------------------------------------------

START_TEST(who_is_alone_gets_what_it_asks_for)
{
	add("w1", 40);
	add("w2", 40);
	ck_assert_uint_eq(ask("a", "1", 1), 1);
	ck_assert_uint_eq(answer.n, 1);
	ck_assert_uint_eq(ask("a", "1", 60), 60);
	ck_assert_uint_eq(answer.n, 2);
	ck_assert_uint_eq(answer.picks[0].slots, 30);
	ck_assert_uint_eq(ask("a", "1", 1000), 80);
	ck_assert_uint_eq(ask("a", "1", 0), 80);
	ck_assert_int_eq(answer.isolation, SANDBOX);
}
END_TEST

START_TEST(a_route_takes_the_place_of_the_last_and_ends_by_itself)
{
	add("w1", 200);
	ck_assert_uint_eq(ask("a", "1", 60), 60);
	ck_assert_uint_eq(ask("a", "1", 70), 70);
	ck_assert_uint_eq(grants_slots_of(grants, "a"), 70);
	now += LIFETIME - HEARTBEAT;
	add("w1", 200);
	ck_assert_uint_eq(ask("b", "2", 1), 1);
	now += HEARTBEAT;
	ck_assert_uint_eq(ask("b", "2", 1), 1);
	ck_assert_uint_eq(grants_slots_of(grants, "a"), 0);
	ck_assert_uint_eq(grants_count(grants), 1);
}
END_TEST

START_TEST(clients_of_a_tenant_never_have_more_than_its_quota)
{
	add("w1", 500);
	ck_assert_uint_eq(ask("a", "1", 80), 80);
	ck_assert_uint_eq(ask("a", "2", 80), 20);
	gives_nothing(ask("a", "3", 80), "all 100 slots of tenant 'a' are in use");
	ck_assert_uint_eq(grants_slots_of(grants, "a"), 100);
	// The others make room when they ask again.
	for (int round = 0; round < 3; round++)
		for (int client = 1; client <= 3; client++) {
			char name[16];
			snprintf(name, sizeof name, "%d", client);
			ask("a", name, 80);
			ck_assert_uint_le(grants_slots_of(grants, "a"), 100);
		}
	ck_assert_uint_eq(ask("a", "1", 80), 33);
	ck_assert_uint_ge(ask("a", "2", 80), 33);
	ck_assert_uint_ge(ask("a", "3", 80), 33);
}
END_TEST

START_TEST(who_wants_little_leaves_the_rest)
{
	add("w1", 500);
	ck_assert_uint_eq(ask("a", "1", 5), 5);
	ck_assert_uint_eq(ask("a", "2", 95), 95);
	ck_assert_uint_eq(ask("a", "1", 5), 5);
	ck_assert_uint_eq(ask("a", "2", 200), 95);
}
END_TEST

START_TEST(a_small_quota_serves_more_clients_than_slots)
{
	add("w1", 500);
	for (int i = 0; i < 20; i++) {
		char name[16];
		snprintf(name, sizeof name, "%d", i);
		ask("tiny", name, 4);
	}
	ck_assert_uint_eq(grants_slots_of(grants, "tiny"), 4);
	ck_assert_uint_eq(ask("tiny", "0", 4), 1);
}
END_TEST

START_TEST(tenants_share_a_worker_equally)
{
	add("w1", 60);
	ck_assert_uint_eq(ask("a", "1", 100), 60);
	ck_assert_uint_eq(ask("b", "2", 100), 30);
	ck_assert_uint_eq(ask("a", "1", 100), 30);
	ck_assert_uint_eq(ask("c", "3", 100), 20);
	ck_assert_uint_eq(ask("a", "1", 100), 20);
	ck_assert_uint_eq(ask("b", "2", 100), 20);
	ck_assert_uint_eq(ask("c", "3", 100), 20);
	// And one gets what two others leave.
	ck_assert_uint_eq(ask("a", "1", 1), 1);
	ck_assert_uint_eq(ask("b", "2", 1), 1);
	ck_assert_uint_eq(ask("c", "3", 100), 58);
}
END_TEST

START_TEST(several_clients_make_no_tenant_larger)
{
	add("w1", 60);
	for (int round = 0; round < 6; round++) {
		ask("b", "4", 100);
		ask("a", "1", 100);
		ask("a", "2", 100);
		ask("a", "3", 100);
	}
	ck_assert_uint_ge(ask("b", "4", 100), 30);
}
END_TEST

START_TEST(clients_of_a_tenant_share_a_worker)
{
	add("w1", 40);
	ck_assert_uint_eq(ask("a", "1", 50), 40);
	ck_assert_uint_eq(ask("a", "2", 50), 20);
	ck_assert_uint_eq(ask("a", "1", 50), 20);
	ck_assert_uint_eq(ask("a", "2", 50), 20);
}
END_TEST

START_TEST(jobs_that_nobody_stands_for_count_as_load)
{
	uint64_t w1 = add("w1", 40), w2 = add("w2", 40);
	ck_assert(report(w1, 40, false));
	ck_assert(report(w2, 0, false));
	ck_assert_uint_eq(ask("a", "1", 20), 20);
	uint32_t on_w2 = 0;
	for (size_t i = 0; i < answer.n; i++)
		on_w2 += strcmp(answer.picks[i].worker->name, "w2") == 0 ? answer.picks[i].slots : 0;
	ck_assert_uint_ge(on_w2, 10);
	// But its own jobs are no reason to give a client less.
	ck_assert(registry_remove(registry, w1));
	ck_assert_uint_eq(ask("a", "1", 40), 40);
	ck_assert(report(w2, 40, false));
	ck_assert_uint_eq(ask("a", "1", 40), 40);
}
END_TEST

START_TEST(a_tenant_goes_to_the_same_workers_again)
{
	char name[16];
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof name, "w%d", i);
		add(name, 10);
	}
	ck_assert_uint_eq(ask("a", "1", 10), 10);
	ck_assert_uint_eq(answer.n, 2);
	const struct worker *first = answer.picks[0].worker, *second = answer.picks[1].worker;
	for (int i = 0; i < 5; i++) {
		ck_assert_uint_eq(ask("a", "1", 10), 10);
		ck_assert_uint_eq(answer.n, 2);
		ck_assert(answer.picks[0].worker == first || answer.picks[0].worker == second);
		ck_assert(answer.picks[1].worker == first || answer.picks[1].worker == second);
	}
}
END_TEST

// An emulated machine: for a tenant whose file says so, and not for its client that asks for more.
START_TEST(none_is_for_who_says_none)
{
	Coffer__V1__WorkerHello h = hello_of("emulated", 4);
	h.isolation = COFFER__V1__ISOLATION__ISOLATION_NONE;
	add_hello(h);
	gives_nothing(ask("a", "1", 1), "none of 1 workers with this image isolates as 'sandbox' or stronger");
	gives_nothing(ask_for("any", "1", "host:x", 1, SANDBOX, NULL),
		      "none of 1 workers with this image isolates as 'sandbox' or stronger");
	ck_assert_uint_eq(ask("any", "1", 1), 1);
	ck_assert_int_eq(answer.isolation, COFFER__V1__ISOLATION__ISOLATION_NONE);
}
END_TEST

START_TEST(reasons_say_what_is_missing)
{
	gives_nothing(ask("a", "1", 4), "no worker is there");
	uint64_t w = add("w1", 4);
	gives_nothing(ask_for("a", "1", "host:z", 4, 0, NULL), "none of 1 workers has the image 'host:z'");
	gives_nothing(ask_for("a", "1", "host:x", 4, 3, NULL),
		      "none of 1 workers with this image isolates as 'microvm' or stronger");
	gives_nothing(ask("vm", "1", 4), "none of 1 workers with this image isolates as 'microvm' or stronger");
	gives_nothing(ask("gold", "1", 4), "none of the 1 workers is for tenant 'gold'");
	gives_nothing(ask_for("a", "1", "host:x", 4, 0, "w1"), "all 1 workers with this image are to be avoided");
	ck_assert_uint_eq(ask_for("a", "1", "host:y", 1, SANDBOX, "w2"), 1);
	ck_assert(report(w, 0, true));
	gives_nothing(ask("a", "1", 4), "all 1 workers with this image are being shut down");
	ck_assert(report(w, 0, false));
	ck_assert_uint_eq(ask("a", "1", 4), 3);
	ck_assert(registry_remove(registry, w));
	add("evil", 4);
	gives_nothing(ask("a", "1", 4), "none of the 1 workers is for tenant 'a'");
	add("gold-1", 4);
	ck_assert_uint_eq(ask("gold", "1", 4), 4);
}
END_TEST

START_TEST(a_flood_of_questions_is_stopped_for_its_tenant_alone)
{
	for (int i = 0; i < GRANT_MAX_QUESTIONS; i++)
		ck_assert(grants_may_ask(grants, "a", now));
	ck_assert(!grants_may_ask(grants, "a", now));
	ck_assert(grants_may_ask(grants, "b", now));
	now += GRANT_QUESTIONS_MS;
	ck_assert(grants_may_ask(grants, "a", now));
}
END_TEST

// Asks for one worker after the other, with new connections, and keeps all tokens: what they claim is what it can run.
START_TEST(tokens_of_a_tenant_never_claim_more_than_its_quota)
{
	uint32_t claims[10] = {0};
	char name[16], client[16];
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof name, "w%d", i);
		add(name, 60);
	}
	for (int round = 0; round < 300; round++) {
		snprintf(client, sizeof client, "%d", round % 7);
		snprintf(name, sizeof name, "w%d", round % 10);
		ask_for("a", client, round % 2 ? "host:x" : "host:y", 1 + (uint32_t)round % 100, 0, name);
		uint32_t sum = 0;
		for (size_t i = 0; i < answer.n; i++) {
			uint32_t *claim = &claims[answer.picks[i].worker->name[1] - '0'];
			ck_assert_uint_ge(answer.picks[i].claim, answer.picks[i].slots);
			*claim = answer.picks[i].claim > *claim ? answer.picks[i].claim : *claim;
		}
		for (int i = 0; i < 10; i++)
			sum += claims[i];
		ck_assert_uint_le(sum, 100);
		now += 10;
	}
	// When these tokens have ended the slots may be elsewhere.
	now += LIFETIME;
	for (int i = 1; i < 10; i++) {
		snprintf(name, sizeof name, "w%d", i);
		add(name, 60);
	}
	ck_assert_uint_eq(ask("a", "new", 100), 100);
}
END_TEST

START_TEST(a_worker_that_is_gone_takes_its_claims_with_it)
{
	uint64_t w1 = add("w1", 100);
	ck_assert_uint_eq(ask("a", "1", 100), 100);
	ck_assert(registry_remove(registry, w1));
	grants_forget_worker(grants, "w1");
	add("w2", 100);
	ck_assert_uint_eq(ask("a", "1", 100), 100);
}
END_TEST

START_TEST(a_token_does_for_many_routes_and_not_for_long)
{
	EVP_PKEY *key;
	char path[] = "/tmp/coffer-tokens-XXXXXX";
	int fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	close(fd);
	unlink(path);
	struct token_signer *signer;
	ck_assert_int_eq(keys_generate(&key, &err), 0);
	ck_assert_int_eq(keys_write_private(path, key, &err), 0);
	ck_assert_int_eq(token_signer_read(path, &signer, &err), 0);
	unlink(path);
	struct tokens *t = tokens_new();
	struct token_claims c = {.use = TOKEN_ROUTE, .isolation = SANDBOX, .slots = 4};
	strcpy(c.issuer, "s");
	strcpy(c.worker, "w");
	strcpy(c.tenant, "a");
	strcpy(c.image, "host:x");
	const char *text;
	ck_assert_int_eq(tokens_get(t, signer, &c, 1000, 120, &text, &err), 0);
	AUTO_FREE char *first = mem_strdup(text);
	ck_assert_int_eq(tokens_get(t, signer, &c, 1030, 120, &text, &err), 0);
	ck_assert_str_eq(text, first);
	ck_assert_int_eq(tokens_get(t, signer, &c, 1031, 120, &text, &err), 0);
	ck_assert_str_ne(text, first);
	free(first);
	first = mem_strdup(text);
	c.slots = 5;
	ck_assert_int_eq(tokens_get(t, signer, &c, 1031, 120, &text, &err), 0);
	ck_assert_str_ne(text, first);
	tokens_free(t);
	token_signer_free(signer);
	EVP_PKEY_free(key);
}
END_TEST

START_TEST(a_tenant_has_a_limit_of_clients)
{
	for (int i = 0; i < GRANT_MAX_CLIENTS; i++) {
		char name[16];
		snprintf(name, sizeof name, "%d", i);
		struct grant g = {.tenant = "a", .client = name, .image = "host:x", .ends_ms = now + 1};
		grants_put(grants, &g, now);
	}
	ck_assert(!grants_may_ask(grants, "a", now));
	ck_assert(grants_has(grants, "a", "77", "host:x"));
	ck_assert(!grants_has(grants, "a", "x", "host:x"));
	grants_expire(grants, now + 1);
	ck_assert(grants_may_ask(grants, "a", now));
}
END_TEST

// ---- what the messages can carry -----------------------------------------------------------------------------------

struct allowed {
	const ProtobufCMessageDescriptor *message;
	const char *fields; // " name name "
};

// Every field of every message of the scheduler is one that is known here; bytes is only what has 32 of them.
START_TEST(no_message_can_carry_payload_keys_or_results)
{
	static const struct allowed all[] = {
		{&coffer__v1__route_request__descriptor, " tenant image slots minimum_isolation avoid "},
		{&coffer__v1__route_reply__descriptor, " routes lifetime_ms reason time_ms "},
		{&coffer__v1__route__descriptor, " worker address slots certificate_sha256 isolation token namesake "},
		{&coffer__v1__worker_report__descriptor, " hello load "},
		{&coffer__v1__worker_hello__descriptor,
		 " worker address slots images isolation certificate_sha256 version "},
		{&coffer__v1__worker_load__descriptor, " running waiting sessions draining jobs hits "},
		{&coffer__v1__scheduler_note__descriptor, " heartbeat_ms "},
	};
	for (size_t i = 0; i < COUNT_OF(all); i++)
		for (unsigned j = 0; j < all[i].message->n_fields; j++) {
			const ProtobufCFieldDescriptor *f = &all[i].message->fields[j];
			AUTO_FREE char *word = mem_printf(" %s ", f->name);
			ck_assert_msg(strstr(all[i].fields, word) != NULL, "%s.%s is new: may the scheduler see it?",
				      all[i].message->name, f->name);
			if (f->type == PROTOBUF_C_TYPE_BYTES)
				ck_assert_str_eq(f->name, "certificate_sha256");
			bool is_known = f->type != PROTOBUF_C_TYPE_MESSAGE;
			for (size_t k = 0; k < COUNT_OF(all); k++)
				is_known |= f->descriptor == all[k].message;
			ck_assert_msg(is_known, "%s.%s has a message in it that is not one of these", all[i].message->name,
				      f->name);
		}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("scheduler");
	TCase *tc = tcase_create("scheduler");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_worker_is_there_from_its_hello_to_its_end);
	tcase_add_test(tc, a_silent_worker_is_dead_after_two_heartbeats);
	tcase_add_test(tc, reports_keep_a_worker_alive);
	tcase_add_test(tc, a_second_hello_takes_the_name_over);
	tcase_add_test(tc, a_worker_of_another_scheduler_is_there_until_that_one_says_otherwise);
	tcase_add_test(tc, a_full_registry_makes_room_only_of_the_dead);
	tcase_add_test(tc, a_hello_is_checked);
	tcase_add_test(tc, who_is_alone_gets_what_it_asks_for);
	tcase_add_test(tc, a_route_takes_the_place_of_the_last_and_ends_by_itself);
	tcase_add_test(tc, clients_of_a_tenant_never_have_more_than_its_quota);
	tcase_add_test(tc, who_wants_little_leaves_the_rest);
	tcase_add_test(tc, a_small_quota_serves_more_clients_than_slots);
	tcase_add_test(tc, tenants_share_a_worker_equally);
	tcase_add_test(tc, several_clients_make_no_tenant_larger);
	tcase_add_test(tc, clients_of_a_tenant_share_a_worker);
	tcase_add_test(tc, jobs_that_nobody_stands_for_count_as_load);
	tcase_add_test(tc, a_tenant_goes_to_the_same_workers_again);
	tcase_add_test(tc, none_is_for_who_says_none);
	tcase_add_test(tc, reasons_say_what_is_missing);
	tcase_add_test(tc, a_flood_of_questions_is_stopped_for_its_tenant_alone);
	tcase_add_test(tc, tokens_of_a_tenant_never_claim_more_than_its_quota);
	tcase_add_test(tc, a_worker_that_is_gone_takes_its_claims_with_it);
	tcase_add_test(tc, a_token_does_for_many_routes_and_not_for_long);
	tcase_add_test(tc, a_tenant_has_a_limit_of_clients);
	tcase_add_test(tc, no_message_can_carry_payload_keys_or_results);
	suite_add_tcase(s, tc);
	return s;
}
