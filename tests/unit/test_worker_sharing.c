// What jobs share on a worker: slots in turn, places, memory; one run for jobs with the same key; tokens and the keys they
// are checked by.
#include "worker/access.h"
#include "worker/key.h"
#include "worker/misses.h"
#include "worker/queue.h"

#include "auth/keys.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/single_flight.h"
#include "base/tree.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct err err;
static struct queue *queue;

static void make_queue(unsigned slots, unsigned places, unsigned tenant_slots)
{
	queue = queue_new(&(struct queue_config){slots, places, tenant_slots, 1000, 0});
	err_clear(&err);
}

// A job on a thread of its own: takes a slot, says so in `order`, and holds it until it is told.
struct waiter {
	pthread_t thread;
	const char *tenant;
	struct queue_claim claim;
	void (*overdue)(void *arg);
	struct ticket ticket;
	atomic_int state; // 1: has it, -1: has not got it
	atomic_bool may_go;
};
static char order[256];
static atomic_int n_order;

static void *wait_for_slot(void *arg)
{
	struct waiter *w = arg;
	struct err own = ERR_INIT;
	queue_enter(queue, &w->ticket, w->tenant, w->claim);
	if (w->overdue)
		queue_on_overdue(queue, &w->ticket, w->overdue, w);
	int rc = queue_take(queue, &w->ticket, &own);
	if (rc == 0)
		order[n_order++] = w->tenant[0];
	w->state = rc == 0 ? 1 : -1;
	while (!w->may_go)
		usleep(1000);
	queue_leave(queue, &w->ticket);
	return NULL;
}

static unsigned waiting(void)
{
	struct queue_load load;
	queue_look(queue, &load);
	return load.waiting;
}

static void start_with(struct waiter *w, struct waiter how)
{
	unsigned before = waiting();
	*w = how;
	ck_assert_int_eq(pthread_create(&w->thread, NULL, wait_for_slot, w), 0);
	for (int i = 0; i < 5000 && w->state == 0 && waiting() == before; i++)
		usleep(1000);
}

static void start(struct waiter *w, const char *tenant)
{
	start_with(w, (struct waiter){.tenant = tenant});
}

static void finish(struct waiter *w)
{
	w->may_go = true;
	pthread_join(w->thread, NULL);
}

static void expect_state(struct waiter *w, int state)
{
	for (int i = 0; i < 5000 && w->state != state; i++)
		usleep(1000);
	ck_assert_int_eq(w->state, state);
}

START_TEST(tenants_get_slots_in_turn)
{
	struct waiter first, a[4], b[2], c;
	make_queue(1, 100, 0);
	n_order = 0;
	start(&first, "x");
	for (int i = 0; i < 4; i++)
		start(&a[i], "a");
	for (int i = 0; i < 2; i++)
		start(&b[i], "b");
	start(&c, "c");
	ck_assert_uint_eq(waiting(), 7);
	finish(&first);
	// Whoever has it gives it on: a, b, c, a, b, a, a.
	struct waiter *in_turn[] = {&a[0], &b[0], &c, &a[1], &b[1], &a[2], &a[3]};
	for (size_t i = 0; i < COUNT_OF(in_turn); i++) {
		expect_state(in_turn[i], 1);
		finish(in_turn[i]);
	}
	order[n_order] = '\0';
	ck_assert_str_eq(order, "xabcabaa");
	queue_free(queue);
}
END_TEST

START_TEST(a_full_queue_says_so)
{
	struct waiter one, two, three;
	make_queue(1, 1, 0);
	start(&one, "a");
	start(&two, "b");
	start(&three, "c");
	expect_state(&three, -1);
	struct ticket t;
	queue_enter(queue, &t, "d", (struct queue_claim){0});
	ck_assert_int_eq(queue_has_room(queue, &t, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	queue_leave(queue, &t);
	finish(&one);
	expect_state(&two, 1);
	finish(&two);
	finish(&three);
	queue_free(queue);
}
END_TEST

START_TEST(one_tenant_cannot_have_all_places)
{
	struct waiter first, a[3], b;
	make_queue(1, 4, 0);
	start(&first, "x");
	for (int i = 0; i < 3; i++)
		start(&a[i], "a");
	expect_state(&a[2], -1);
	start(&b, "b");
	ck_assert_uint_eq(waiting(), 3);
	finish(&first);
	expect_state(&a[0], 1);
	finish(&a[0]);
	expect_state(&b, 1);
	finish(&b);
	finish(&a[1]);
	finish(&a[2]);
	queue_free(queue);
}
END_TEST

START_TEST(one_tenant_cannot_have_all_slots)
{
	struct waiter a[3], b;
	make_queue(3, 10, 2);
	for (int i = 0; i < 3; i++)
		start(&a[i], "a");
	ck_assert_uint_eq(waiting(), 1);
	start(&b, "b");
	expect_state(&b, 1);
	finish(&a[0]);
	expect_state(&a[2], 1);
	finish(&a[1]);
	finish(&a[2]);
	finish(&b);
	queue_free(queue);
}
END_TEST

START_TEST(the_latest_token_bounds_what_a_tenant_runs)
{
	struct waiter a[4];
	make_queue(8, 10, 0);
	start_with(&a[0], (struct waiter){.tenant = "a", .claim = {1, 100}});
	start_with(&a[1], (struct waiter){.tenant = "a", .claim = {1, 100}});
	ck_assert_uint_eq(waiting(), 1); // quota 1: one runs
	start_with(&a[2], (struct waiter){.tenant = "a", .claim = {3, 101}});
	expect_state(&a[1], 1); // a younger token has more
	expect_state(&a[2], 1);
	start_with(&a[3], (struct waiter){.tenant = "a", .claim = {8, 99}});
	ck_assert_uint_eq(waiting(), 1); // an older one changes nothing
	finish(&a[0]);
	expect_state(&a[3], 1);
	finish(&a[1]);
	finish(&a[2]);
	finish(&a[3]);
	queue_free(queue);
}
END_TEST

START_TEST(one_tenant_alone_has_all_slots)
{
	struct waiter a[4];
	make_queue(4, 10, 0);
	for (int i = 0; i < 4; i++)
		start(&a[i], "a");
	for (int i = 0; i < 4; i++)
		expect_state(&a[i], 1);
	for (int i = 0; i < 4; i++)
		finish(&a[i]);
	queue_free(queue);
}
END_TEST

START_TEST(two_tenants_never_find_all_slots_taken_by_one)
{
	struct waiter a[8], b;
	make_queue(8, 20, 0);
	start(&b, "b");
	finish(&b); // it was here
	for (int i = 0; i < 8; i++)
		start(&a[i], "a");
	ck_assert_uint_eq(waiting(), 2);
	start(&b, "b");
	expect_state(&b, 1);
	finish(&b);
	for (int i = 0; i < 8; i++)
		finish(&a[i]);
	queue_free(queue);
}
END_TEST

START_TEST(who_has_used_the_slots_for_long_waits_for_who_has_not)
{
	struct waiter a[3], b[2];
	make_queue(1, 20, 0);
	start(&a[0], "a");
	usleep(600000);
	start(&a[1], "a");
	start(&a[2], "a");
	start(&b[0], "b");
	start(&b[1], "b");
	finish(&a[0]);
	expect_state(&b[0], 1); // a's next came first, but a had the slot for 600 ms
	finish(&b[0]);
	expect_state(&b[1], 1); // and still has used more
	finish(&b[1]);
	finish(&a[1]);
	finish(&a[2]);
	queue_free(queue);
}
END_TEST

static void let_go(void *arg)
{
	struct waiter *w = arg;
	w->may_go = true;
}

START_TEST(a_long_job_ends_when_others_wait_and_not_before)
{
	struct waiter a[2], b;
	queue = queue_new(&(struct queue_config){2, 20, 2, 1000, 300});
	for (int i = 0; i < 2; i++)
		start_with(&a[i], (struct waiter){.tenant = "a", .overdue = let_go});
	usleep(1500000);
	ck_assert(!a[0].may_go && !a[1].may_go); // nobody waits
	start(&b, "b");
	expect_state(&b, 1);
	ck_assert_int_eq(a[0].may_go + a[1].may_go, 1); // one of the two is enough
	for (int i = 0; i < 2; i++)
		finish(&a[i]);
	finish(&b);
	queue_free(queue);
}
END_TEST

START_TEST(who_waits_can_be_interrupted)
{
	struct waiter one, two, three;
	make_queue(1, 10, 0);
	start(&one, "a");
	start(&two, "a");
	start(&three, "a");
	queue_interrupt(queue, &two.ticket);
	expect_state(&two, -1);
	finish(&two);
	finish(&one);
	expect_state(&three, 1);
	finish(&three);
	struct queue_load load;
	queue_look(queue, &load);
	ck_assert_uint_eq(load.running + load.waiting + load.tenants, 0);
	queue_free(queue);
}
END_TEST

START_TEST(memory_is_bounded_for_all_and_for_each)
{
	struct ticket a, b, c;
	make_queue(1, 10, 0);
	queue_enter(queue, &a, "a", (struct queue_claim){0});
	queue_enter(queue, &b, "b", (struct queue_claim){0});
	queue_enter(queue, &c, "c", (struct queue_claim){0});
	ck_assert_int_eq(queue_hold(queue, &a, 501, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	ck_assert_int_eq(queue_hold(queue, &a, 500, &err), 0);
	ck_assert_int_eq(queue_hold(queue, &b, 450, &err), 0);
	ck_assert_int_eq(queue_hold(queue, &c, 51, &err), -1);
	ck_assert_int_eq(err.code, ERR_FULL);
	ck_assert_int_eq(queue_hold(queue, &a, 100, &err), 0);
	ck_assert_int_eq(queue_hold(queue, &c, 450, &err), 0);
	queue_leave(queue, &a);
	queue_leave(queue, &b);
	queue_leave(queue, &c);
	struct queue_load load;
	queue_look(queue, &load);
	ck_assert_uint_eq(load.memory_bytes, 0);
	queue_free(queue);
}
END_TEST

// ---- flights --------------------------------------------------------------------------------------------------------

static struct single_flight *flights;
static const struct key key = {{1}};

struct member {
	pthread_t thread;
	struct flight_member member;
	atomic_int state;
	atomic_bool may_go;
};

static void *fly(void *arg)
{
	struct member *m = arg;
	m->state = single_flight_join(flights, &m->member, key.b, sizeof key.b) == 0 ? 1 : -1;
	while (!m->may_go)
		usleep(1000);
	single_flight_leave(flights, &m->member);
	return NULL;
}

static void expect_member(struct member *m, int state)
{
	for (int i = 0; i < 5000 && m->state != state; i++)
		usleep(1000);
	ck_assert_int_eq(m->state, state);
}

// Whoever leads is waited for; that somebody waits is seen only by nothing happening.
static void start_member(struct member *m, bool leads)
{
	*m = (struct member){.state = 0};
	ck_assert_int_eq(pthread_create(&m->thread, NULL, fly, m), 0);
	if (leads)
		expect_member(m, 1);
	else
		usleep(200000);
}

START_TEST(one_flies_and_the_others_wait)
{
	struct member m[3];
	flights = single_flight_new();
	for (int i = 0; i < 3; i++)
		start_member(&m[i], i == 0);
	ck_assert_int_eq(m[1].state, 0);
	single_flight_interrupt(flights, &m[1].member);
	m[1].may_go = true;
	pthread_join(m[1].thread, NULL);
	ck_assert_int_eq(m[1].state, -1);
	ck_assert_int_eq(m[2].state, 0);
	m[0].may_go = true;
	pthread_join(m[0].thread, NULL);
	expect_member(&m[2], 1);
	ck_assert(m[2].member.has_waited && !m[0].member.has_waited);
	m[2].may_go = true;
	pthread_join(m[2].thread, NULL);
	single_flight_free(flights);
}
END_TEST

START_TEST(other_keys_do_not_wait)
{
	struct flight_member a = {.leads = false}, b = a;
	struct key other = {{2}};
	flights = single_flight_new();
	ck_assert_int_eq(single_flight_join(flights, &a, key.b, sizeof key.b), 0);
	ck_assert_int_eq(single_flight_join(flights, &b, other.b, sizeof other.b), 0);
	single_flight_leave(flights, &a);
	single_flight_leave(flights, &a);
	single_flight_leave(flights, &b);
	single_flight_free(flights);
}
END_TEST

START_TEST(a_wait_has_a_limit_and_its_end_is_told)
{
	struct member leader;
	struct flight_member m = {.leads = false};
	flights = single_flight_new();
	start_member(&leader, true);
	ck_assert_int_eq(single_flight_wait(flights, &m, key.b, sizeof key.b, clock_ms() + 20), FLIGHT_FLIES);
	leader.may_go = true;
	ck_assert_int_eq(single_flight_wait(flights, &m, key.b, sizeof key.b, clock_ms() + 10000), FLIGHT_ENDED);
	ck_assert(!m.leads && m.has_waited);
	pthread_join(leader.thread, NULL);
	ck_assert_int_eq(single_flight_wait(flights, &m, key.b, sizeof key.b, 0), FLIGHT_LEADS);
	single_flight_leave(flights, &m);
	single_flight_free(flights);
}
END_TEST

// ---- tokens ---------------------------------------------------------------------------------------------------------

static char *directory;
static struct arena arena;

static const char *in_directory(const char *name)
{
	return arena_printf(&arena, "%s/%s", directory, name);
}

// A new key, in the set of the file alone.
static struct token_signer *make_keys(const char *name)
{
	EVP_PKEY *pair;
	struct token_signer *signer;
	AUTO_BUF struct buf b = BUF_INIT;
	ck_assert_int_eq(keys_generate(&pair, &err), 0);
	ck_assert_int_eq(keys_write_private(in_directory(name), pair, &err), 0);
	ck_assert_int_eq(token_signer_read(in_directory(name), &signer, &err), 0);
	buf_adds(&b, "{\"keys\": [");
	ck_assert_int_eq(jwk_write(pair, &b, &err), 0);
	buf_adds(&b, "]}");
	EVP_PKEY_free(pair);
	ck_assert_int_eq(file_write_atomic(AT_FDCWD, in_directory("jwks.json"), b.data, b.len, 0644, &err), 0);
	return signer;
}

static char *make_token(struct token_signer *signer, const char *worker, int isolation, int64_t lifetime)
{
	struct token_claims c = {.use = TOKEN_ROUTE, .isolation = isolation, .slots = 1, .not_before = time(NULL)};
	char *text, *header;
	c.expires = c.not_before + lifetime;
	if (lifetime < 0)
		c.not_before += lifetime - 100;
	strcpy(c.issuer, "coffer-scheduler");
	strcpy(c.worker, worker);
	strcpy(c.tenant, "acme");
	strcpy(c.image, "host:any");
	ck_assert_msg(token_make(signer, &c, &text, &err) == 0, "%s", err.text);
	header = arena_printf(&arena, "Bearer %s", text);
	free(text);
	return header;
}

START_TEST(a_token_is_good_for_its_worker_image_and_isolation)
{
	struct access *a;
	struct token_claims claims;
	struct token_signer *signer = make_keys("key.pem"), *other;
	const struct access_config config = {in_directory("jwks.json"), "w1", 2, false};
	ck_assert_int_eq(access_new(&config, &a, &err), 0);
	char *good = make_token(signer, "w1", 2, 60);
	for (int i = 0; i < 2; i++) { // the second time it is remembered
		ck_assert_msg(access_check(a, good, &claims, &err) == 0, "%s", err.text);
		ck_assert_str_eq(claims.tenant, "acme");
	}
	ck_assert_int_eq(access_check_image(a, &claims, "host:any", &err), 0);
	ck_assert_int_eq(access_check_image(a, &claims, "host:other", &err), -1);
	ck_assert_int_eq(access_check(a, make_token(signer, "w2", 2, 60), &claims, &err), -1);
	ck_assert_int_eq(access_check(a, make_token(signer, "w1", 3, 60), &claims, &err), -1);
	ck_assert_int_eq(access_check(a, make_token(signer, "w1", 2, -60), &claims, &err), -1);
	ck_assert_int_eq(access_check(a, NULL, &claims, &err), -1);
	ck_assert_int_eq(access_check(a, "Basic x", &claims, &err), -1);
	ck_assert_int_eq(access_check(a, "Bearer x", &claims, &err), -1);
	ck_assert_int_eq(err.code, ERR_ACCESS);
	good[strlen(good) - 8] ^= 1;
	ck_assert_int_eq(access_check(a, good, &claims, &err), -1);
	good[strlen(good) - 8] ^= 1;
	// The key is taken away: what was remembered is forgotten.
	other = make_keys("other.pem");
	ck_assert_int_eq(access_reload(a, &err), 0);
	ck_assert_int_eq(access_check(a, good, &claims, &err), -1);
	ck_assert_int_eq(access_check(a, make_token(other, "w1", 2, 60), &claims, &err), 0);
	// A file that is bad changes nothing.
	ck_assert_int_eq(file_write_atomic(AT_FDCWD, in_directory("jwks.json"), "{", 1, 0644, &err), 0);
	ck_assert_int_eq(access_reload(a, &err), -1);
	ck_assert_int_eq(access_check(a, make_token(other, "w1", 2, 60), &claims, &err), 0);
	access_free(a);
	token_signer_free(signer);
	token_signer_free(other);
}
END_TEST

START_TEST(keys_are_read_again_when_the_file_changes)
{
	struct access *a;
	struct token_claims claims;
	struct token_signer *signer = make_keys("key.pem"), *other;
	const struct access_config config = {in_directory("jwks.json"), "w1", 2, false};
	ck_assert_int_eq(access_new(&config, &a, &err), 0);
	other = make_keys("other.pem");
	char *token = make_token(other, "w1", 2, 60);
	int rc = -1;
	for (int i = 0; i < 50 && rc < 0; i++) {
		usleep(100000);
		rc = access_check(a, token, &claims, &err);
	}
	ck_assert_int_eq(rc, 0);
	access_free(a);
	token_signer_free(signer);
	token_signer_free(other);
}
END_TEST

static void make_directory(void)
{
	directory = unit_directory();
	err_clear(&err);
}

static void remove_directory(void)
{
	tree_remove(AT_FDCWD, directory);
	free(directory);
	arena_release(&arena);
}

// ---- misses ---------------------------------------------------------------------------------------------------------

static enum miss_cause miss(struct misses *m, const char *tenant, uint8_t source, const char *toolchain,
			    const char *compiler, uint8_t job)
{
	const uint8_t digest[32] = {source};
	const struct key k = {{job}};
	return misses_note(m, tenant, digest, toolchain, compiler, &k);
}

START_TEST(a_miss_is_compared_with_the_last_job_of_its_source)
{
	struct misses *m = misses_new();
	ck_assert_int_eq(miss(m, "acme", 1, "sha256:a", "gcc", 1), MISS_SOURCE);
	ck_assert_int_eq(miss(m, "acme", 1, "sha256:a", "gcc", 1), MISS_SAME);
	ck_assert_int_eq(miss(m, "acme", 1, "sha256:a", "gcc", 2), MISS_ARGUMENTS);
	ck_assert_int_eq(miss(m, "acme", 1, "sha256:b", "gcc", 3), MISS_TOOLCHAIN);
	ck_assert_int_eq(miss(m, "acme", 1, "sha256:b", "g++", 4), MISS_TOOLCHAIN);
	ck_assert_int_eq(miss(m, "acme", 1, "sha256:b", "g++", 5), MISS_ARGUMENTS);
	ck_assert_int_eq(miss(m, "acme", 2, "sha256:b", "g++", 5), MISS_SOURCE);
	misses_free(m);
}
END_TEST

START_TEST(a_tenant_learns_nothing_of_what_others_have_missed)
{
	struct misses *m = misses_new();
	miss(m, "acme", 1, "sha256:a", "gcc", 1);
	ck_assert_int_eq(miss(m, "other", 1, "sha256:a", "gcc", 1), MISS_SOURCE);
	misses_free(m);
}
END_TEST

// Whatever was forgotten counts as new, and as nothing else.
START_TEST(what_is_forgotten_is_new)
{
	struct misses *m = misses_new();
	uint8_t source[32] = {0};
	for (int round = 0; round < 2; round++) {
		unsigned known = 0, n = 4 * MISSES_REMEMBERED;
		for (unsigned i = 0; i < n; i++) {
			memcpy(source, &i, sizeof i);
			enum miss_cause cause = misses_note(m, "acme", source, "sha256:a", "gcc", &key);
			ck_assert(cause == MISS_SOURCE || (round && cause == MISS_SAME));
			known += cause == MISS_SAME;
		}
		ck_assert_uint_lt(known, MISSES_REMEMBERED);
	}
	misses_free(m);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("worker sharing");
	TCase *q = tcase_create("queue"), *t = tcase_create("tokens");
	TCase *causes = tcase_create("misses");
	tcase_set_timeout(q, 30);
	tcase_set_timeout(t, 30);
	tcase_add_test(q, tenants_get_slots_in_turn);
	tcase_add_test(q, a_full_queue_says_so);
	tcase_add_test(q, the_latest_token_bounds_what_a_tenant_runs);
	tcase_add_test(q, one_tenant_alone_has_all_slots);
	tcase_add_test(q, two_tenants_never_find_all_slots_taken_by_one);
	tcase_add_test(q, who_has_used_the_slots_for_long_waits_for_who_has_not);
	tcase_add_test(q, a_long_job_ends_when_others_wait_and_not_before);
	tcase_add_test(q, one_tenant_cannot_have_all_places);
	tcase_add_test(q, one_tenant_cannot_have_all_slots);
	tcase_add_test(q, who_waits_can_be_interrupted);
	tcase_add_test(q, memory_is_bounded_for_all_and_for_each);
	tcase_add_test(q, one_flies_and_the_others_wait);
	tcase_add_test(q, other_keys_do_not_wait);
	tcase_add_test(q, a_wait_has_a_limit_and_its_end_is_told);
	tcase_add_checked_fixture(t, make_directory, remove_directory);
	tcase_add_test(t, a_token_is_good_for_its_worker_image_and_isolation);
	tcase_add_test(t, keys_are_read_again_when_the_file_changes);
	tcase_add_test(causes, a_miss_is_compared_with_the_last_job_of_its_source);
	tcase_add_test(causes, a_tenant_learns_nothing_of_what_others_have_missed);
	tcase_add_test(causes, what_is_forgotten_is_new);
	suite_add_tcase(s, causes);
	suite_add_tcase(s, q);
	suite_add_tcase(s, t);
	return s;
}
