// Shared stores without a server: store/shared (the breaker, the queue, seals), the disk as a tier, entries, credentials.
#include "audit/note.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/tree.h"
#include "client/job/shared_entry.h"
#include "client/job/shared_unit.h"
#include "settings/credentials.h"
#include "store/remote/remote.h"
#include "store/shared/build_list.h"
#include "store/shared/seal.h"
#include "store/shared/shared.h"
#include "store/store.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>

// ---- a tier that does as it is told ------------------------------------------------------------------------------------

struct fake {
	struct tier tier;
	atomic_int gets, puts, delay_ms, rc;
	enum err_code code;
	bool is_closed;
};

static void rest(int ms)
{
	usleep((useconds_t)ms * 1000);
}

static int fake_get(struct tier *t, const struct tier_name *name, size_t max, struct buf *out, int64_t until_ms,
		    struct err *err)
{
	struct fake *f = (struct fake *)t;
	(void)name, (void)max, (void)until_ms;
	atomic_fetch_add(&f->gets, 1);
	rest(f->delay_ms);
	if (f->rc == 1)
		buf_adds(out, "bytes");
	return f->rc < 0 ? err_set(err, f->code, "it is broken") : f->rc;
}

static int fake_put(struct tier *t, const struct tier_name *name, const void *p, size_t n, int64_t until_ms, struct err *err)
{
	struct fake *f = (struct fake *)t;
	(void)name, (void)p, (void)n, (void)until_ms;
	atomic_fetch_add(&f->puts, 1);
	rest(f->delay_ms);
	return f->rc < 0 ? err_set(err, f->code, "it is broken") : 0;
}

static void fake_close(struct tier *t)
{
	((struct fake *)t)->is_closed = true;
}

static const struct tier_ops fake_ops = {.kind = "fake", .get = fake_get, .put = fake_put, .close = fake_close};
static struct fake fake;
static struct shared *shared;
static struct err err;

static struct shared *open_fake(int rc, int delay_ms)
{
	fake = (struct fake){.tier = {&fake_ops}, .rc = rc, .delay_ms = delay_ms, .code = ERR_PEER};
	err = (struct err)ERR_INIT;
	return shared = shared_new(&(struct shared_config){.tier = &fake.tier, .timeout_ms = 300});
}

static void close_fake(void)
{
	shared_close(shared, clock_ms() + 5000);
	ck_assert(fake.is_closed);
}

static struct tier_name named(unsigned n)
{
	return (struct tier_name){.space = TIER_CONTENT, .id = sha256_of(&n, sizeof n)};
}

static int get(unsigned n)
{
	AUTO_BUF struct buf out = BUF_INIT;
	struct tier_name name = named(n);
	int rc = shared_get(shared, &name, 100, 0, &out, &err);
	ck_assert_uint_eq(out.len, rc == 1 ? 5 : 0);
	return rc;
}

START_TEST(what_was_not_there_is_not_asked_for_again)
{
	open_fake(0, 0);
	ck_assert_int_eq(get(1), 0);
	ck_assert_int_eq(get(1), 0);
	ck_assert_int_eq(fake.gets, 1);
	ck_assert_int_eq(get(2), 0);
	ck_assert_int_eq(fake.gets, 2);
	struct tier_name name = named(1);
	ck_assert_int_eq(shared_put(shared, &name, "x", 1, &err), 0);
	fake.rc = 1;
	ck_assert_int_eq(get(1), 1);
	close_fake();
}
END_TEST

START_TEST(three_failures_in_a_row_leave_the_store_alone)
{
	open_fake(-1, 0);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert(shared_is_used(shared));
		ck_assert_int_eq(get(i), -1);
	}
	ck_assert(!shared_is_used(shared));
	ck_assert_int_eq(get(9), -1);
	ck_assert_int_eq(err.code, ERR_FULL);
	ck_assert_int_eq(fake.gets, 3);
	struct shared_status status;
	shared_status(shared, &status);
	ck_assert_str_eq(status.why, "it is broken");
	ck_assert_int_gt(status.back_in_ms, SHARED_PAUSE_MS - 10000);
	close_fake();
}
END_TEST

static void *get_three(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)get(3);
}

START_TEST(jobs_that_want_one_name_share_one_get)
{
	pthread_t threads[20];
	open_fake(1, 100);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		pthread_create(&threads[i], NULL, get_three, NULL);
	for (size_t i = 0; i < COUNT_OF(threads); i++) {
		void *rc;
		pthread_join(threads[i], &rc);
		ck_assert_int_eq((intptr_t)rc, 1);
	}
	ck_assert_int_le(fake.gets, 2); // a thread may start late
	close_fake();
}
END_TEST

static void *get_own(void *n)
{
	get((unsigned)(uintptr_t)n);
	return NULL;
}

// The first that waits in vain lets the others go, however many there are.
START_TEST(a_store_that_hangs_costs_its_timeout_once)
{
	pthread_t threads[50];
	open_fake(0, 1500);
	int64_t began = clock_ms();
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		pthread_create(&threads[i], NULL, get_own, (void *)(uintptr_t)i);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 100; i < 150; i++)
		ck_assert_int_eq(get(i), -1);
	ck_assert_int_lt(clock_ms() - began, SHARED_BUDGET_MS);
	ck_assert(!shared_is_used(shared));
	close_fake();
}
END_TEST

START_TEST(a_slow_store_is_left_alone_within_its_budget)
{
	open_fake(0, 150);
	int64_t began = clock_ms();
	for (unsigned i = 0; i < 50; i++)
		get(i);
	ck_assert(!shared_is_used(shared));
	ck_assert_int_lt(clock_ms() - began, SHARED_BUDGET_MS + 600);
	close_fake();
}
END_TEST

START_TEST(waiting_for_what_comes_is_no_loss)
{
	open_fake(1, 60);
	for (unsigned i = 0; i < 30; i++)
		ck_assert_int_eq(get(i), 1);
	ck_assert(shared_is_used(shared));
	close_fake();
}
END_TEST

static atomic_int ran, dropped;

static void task_run(void *arg)
{
	(void)arg;
	rest(20);
	atomic_fetch_add(&ran, 1);
}

static void task_drop(void *arg)
{
	(void)arg;
	atomic_fetch_add(&dropped, 1);
}

START_TEST(the_queue_is_bounded_and_is_written_to_its_end)
{
	open_fake(1, 0);
	ran = dropped = 0;
	struct shared_task task = {.run = task_run, .drop = task_drop, .bytes = SHARED_QUEUE_BYTES / 4};
	int taken = 0;
	for (int i = 0; i < 40; i++)
		taken += shared_later(shared, &task);
	ck_assert_int_ge(taken, 4);
	ck_assert_int_lt(taken, 40);
	ck_assert_int_eq(dropped, 40 - taken);
	ck_assert(shared_flush(shared, 5000));
	ck_assert_int_eq(ran, taken);
	close_fake();
}
END_TEST

// ---- seals ----------------------------------------------------------------------------------------------------------

static char *directory;

static const char *file_with(struct arena *a, const char *name, const char *text, mode_t mode)
{
	const char *path = arena_printf(a, "%s/%s", directory, name);
	ck_assert_int_eq(file_write_atomic(AT_FDCWD, path, text, strlen(text), 0600, NULL), 0);
	ck_assert_int_eq(chmod(path, mode), 0);
	return path;
}

static const char secret[] = "0123456789abcdef0123456789abcdef\n";

static int open_sealed(const struct seal *s, const char *scope, const struct tier_name *name, const struct buf *entry)
{
	const void *bytes;
	size_t n;
	int rc = seal_get(s, scope, name, entry->data, entry->len, &bytes, &n, &err);
	if (rc == 0)
		ck_assert(n == 4 && memcmp(bytes, "text", 4) == 0);
	return rc;
}

static void check_seal(const struct seal *writer, const struct seal *reader)
{
	AUTO_BUF struct buf text = BUF_INIT, entry = BUF_INIT;
	struct tier_name name = {.space = TIER_ACTIONS, .id = sha256_of("a", 1)},
			 other = {.space = TIER_ACTIONS, .id = sha256_of("b", 1)};
	buf_adds(&text, "text");
	ck_assert_int_eq(seal_put(writer, "tenant", &name, &text, &entry, &err), 0);
	ck_assert_int_eq(open_sealed(reader, "tenant", &name, &entry), 0);
	ck_assert_int_eq(open_sealed(reader, "tenant", &other, &entry), -1);
	ck_assert_int_eq(open_sealed(reader, "somebody", &name, &entry), -1);
	for (size_t i = 0; i < entry.len; i++) {
		entry.data[i] ^= 1;
		ck_assert_int_eq(open_sealed(reader, "tenant", &name, &entry), -1);
		entry.data[i] ^= 1;
	}
	for (size_t whole = entry.len; entry.len > 0;) {
		entry.len--;
		ck_assert_int_eq(open_sealed(reader, "tenant", &name, &entry), -1);
		if (entry.len == 0) {
			entry.len = whole;
			break;
		}
	}
	buf_addc(&entry, 'x');
	ck_assert_int_eq(open_sealed(reader, "tenant", &name, &entry), -1);
}

START_TEST(a_mac_opens_under_its_name_and_scope_alone)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct seal *s, *none, *other;
	ck_assert_int_eq(seal_open(&(struct seal_config){.key = file_with(&a, "key", secret, 0600)}, &s, &err), 0);
	ck_assert_int_eq(seal_open(&(struct seal_config){0}, &none, &err), 0);
	check_seal(s, s);
	ck_assert(seal_is_none(none) && !seal_is_none(s));

	AUTO_BUF struct buf text = BUF_INIT, entry = BUF_INIT;
	struct tier_name name = {.space = TIER_ACTIONS, .id = sha256_of("a", 1)};
	buf_adds(&text, "text");
	ck_assert_int_eq(seal_put(none, "", &name, &text, &entry, &err), 0);
	ck_assert_int_eq(open_sealed(none, "", &name, &entry), 0);
	ck_assert_int_eq(open_sealed(s, "", &name, &entry), -1); // without a seal it is none
	buf_clear(&entry);
	const char *key = file_with(&a, "other", "another key that has enough of letters\n", 0600);
	ck_assert_int_eq(seal_open(&(struct seal_config){.key = key}, &other, &err), 0);
	ck_assert_int_eq(seal_put(other, "", &name, &text, &entry, &err), 0);
	ck_assert_int_eq(open_sealed(s, "", &name, &entry), -1);
	seal_free(s);
	seal_free(none);
	seal_free(other);
}
END_TEST

START_TEST(a_signature_is_made_by_the_signer_and_read_by_all)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct seal *writer, *reader;
	struct note_signer *made;
	const char *pem = arena_printf(&a, "%s/signer.pem", directory);
	ck_assert_int_eq(note_signer_open(pem, SEAL_ORIGIN, true, &made, &err), 0);
	const char *text = arena_printf(&a, "# who may write\n%s\n", note_signer_verifier(made));
	note_signer_free(made);
	ck_assert_int_eq(seal_open(&(struct seal_config){.signer = pem}, &writer, &err), 0);
	struct seal_config verifiers = {.verifiers = file_with(&a, "verifiers", text, 0644)};
	ck_assert_msg(seal_open(&verifiers, &reader, &err) == 0, "%s", err.text);
	check_seal(writer, reader);
	ck_assert(seal_can_write(writer) && !seal_can_write(reader));
	AUTO_BUF struct buf bytes = BUF_INIT, entry = BUF_INIT;
	struct tier_name name = {.space = TIER_ACTIONS, .id = sha256_of("a", 1)};
	ck_assert_int_eq(seal_put(reader, "", &name, &bytes, &entry, &err), -1);
	seal_free(writer);
	seal_free(reader);
}
END_TEST

START_TEST(keys_that_are_short_or_open_are_not_used)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct seal *s;
	ck_assert_int_eq(seal_open(&(struct seal_config){.key = file_with(&a, "k1", "short\n", 0600)}, &s, &err), -1);
	ck_assert_int_eq(err.code, ERR_USAGE);
	ck_assert_int_eq(seal_open(&(struct seal_config){.key = file_with(&a, "k2", secret, 0644)}, &s, &err), -1);
	ck_assert_int_eq(err.code, ERR_ACCESS);
	ck_assert_ptr_null(strstr(err.text, "0123"));
}
END_TEST

// ---- the disk as a tier -----------------------------------------------------------------------------------------------

START_TEST(the_disk_is_a_tier)
{
	struct store *store = store_open(directory, 0, 1, &err);
	struct tier *t = tier_of_disk(store);
	struct tier_name names[] = {named(1), {.space = TIER_ACTIONS, .id = sha256_of("x", 1)}, named(2)};
	bool there[3];
	AUTO_BUF struct buf out = BUF_INIT;
	ck_assert_int_eq(tier_get(t, &names[0], 100, &out, 0, &err), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(tier_put(t, &names[i], "bytes", 5, 0, &err), 0);
	ck_assert_int_eq(tier_has(t, names, 3, there, 0, &err), 0);
	ck_assert(there[0] && there[1] && !there[2]);
	for (int i = 0; i < 2; i++) {
		buf_clear(&out);
		ck_assert_int_eq(tier_get(t, &names[i], 100, &out, 0, &err), 1);
		ck_assert_str_eq(out.data, "bytes");
	}
	ck_assert_int_eq(tier_get(t, &names[0], 4, &out, 0, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	// The other half of an action's name counts as well.
	names[1].id.b[31] ^= 1;
	ck_assert_int_eq(tier_get(t, &names[1], 100, &out, 0, &err), 0);
	tier_close(t);
	store_close(store);
}
END_TEST

// ---- entries --------------------------------------------------------------------------------------------------------

static struct manifest_entry entry_of(struct arena *a, const char *header)
{
	struct manifest_entry e = {.wall_us = 7, .n_inputs = 2};
	e.inputs = arena_alloc(a, 2 * sizeof *e.inputs);
	e.inputs[0] = (struct manifest_input){.name = "\1x.c", .digest = digest_of("1", 1), .flags = INPUT_IN_DEPFILE};
	e.inputs[1] = (struct manifest_input){.name = header, .digest = digest_of("2", 1)};
	return e;
}

static struct shared_result result_of(struct arena *a, const char *text)
{
	struct shared_result x = {.n_outputs = 1};
	x.outputs[0] = (struct shared_output){PART_OBJECT, sha256_of(text, strlen(text)), 10, 20};
	x.inputs = arena_alloc(a, 2 * sizeof *x.inputs);
	x.inputs[0] = sha256_of("source", 6);
	x.inputs[1] = sha256_of(text, strlen(text));
	return x;
}

START_TEST(an_entry_keeps_the_newest_results)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct shared_entry now = {.arena = ARENA_INIT};
	for (int i = 0; i < SHARED_ENTRY_RESULTS + 3; i++) {
		AUTO_BUF struct buf bytes = BUF_INIT;
		struct manifest_entry e = entry_of(&a, "h.h");
		struct shared_result x = result_of(&a, arena_printf(&a, "header %d", i));
		ck_assert_int_eq(shared_entry_encode(&e, &x, i ? &now : NULL, &bytes, &err), 0);
		if (i)
			shared_entry_release(&now);
		ck_assert_msg(shared_entry_decode(bytes.data, bytes.len, &now, &err) == 0, "%s", err.text);
		ck_assert(shared_entry_has(&now, &e, &x));
		ck_assert_int_eq(now.manifest->n_entries, i < SHARED_ENTRY_RESULTS ? i + 1 : SHARED_ENTRY_RESULTS);
	}
	const struct manifest_entry *newest = &now.manifest->entries[0];
	ck_assert_str_eq(newest->inputs[1].name, "h.h");
	ck_assert(digest_is_zero(&newest->inputs[0].digest)); // of one machine
	ck_assert_uint_eq(newest->wall_us, 7);
	ck_assert_uint_eq(now.results[0].outputs[0].size, 20);
	shared_entry_release(&now);
}
END_TEST

static struct shared_unit unit_of(unsigned i, size_t long_word)
{
	static const char *env[] = {"LANG=C"};
	struct shared_unit u = {.arena = ARENA_INIT, .n = 1};
	const char **arguments = arena_alloc(&u.arena, 2 * sizeof *arguments);
	char *text = arena_alloc(&u.arena, long_word + 1);
	memset(text, 'x', long_word);
	arguments[0] = arena_printf(&u.arena, "-DN=%u", i);
	arguments[1] = text;
	u.variants[0] = (struct shared_variant){
		.maker = "ci",
		.made_at = i,
		.source = sha256_of("source", 6),
		.action = sha256_of(&i, sizeof i),
		.words = {.compiler = "gcc", .arguments = arguments, .n_arguments = 2, .env = env, .n_env = 1}};
	return u;
}

// Adds one to what `now` has, as a store's thread does.
static void add_to_unit(struct shared_unit *now, struct shared_unit one)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	shared_unit_encode(&one, now, &bytes);
	shared_unit_release(&one);
	shared_unit_release(now);
	ck_assert_msg(shared_unit_decode(bytes.data, bytes.len, now, &err) == 0, "%s", err.text);
}

START_TEST(a_unit_keeps_the_newest_variants)
{
	struct shared_unit now = {.arena = ARENA_INIT};
	for (unsigned i = 0; i < SHARED_UNIT_VARIANTS + 2; i++) {
		add_to_unit(&now, unit_of(i, 1));
		ck_assert_uint_eq(now.n, i < SHARED_UNIT_VARIANTS ? i + 1 : SHARED_UNIT_VARIANTS);
		ck_assert_int_eq(now.variants[0].made_at, i);
	}
	ck_assert_str_eq(now.variants[1].words.arguments[0], "-DN=4");
	ck_assert_str_eq(now.variants[0].words.env[0], "LANG=C");
	add_to_unit(&now, unit_of(4, 1)); // of one action the newer
	ck_assert_uint_eq(now.n, SHARED_UNIT_VARIANTS);
	ck_assert_int_eq(now.variants[0].made_at, 4);
	ck_assert_int_eq(now.variants[1].made_at, 5);
	// What makes it too long is left out: the newest stays, and what is itself too long is not told.
	add_to_unit(&now, unit_of(7, SHARED_UNIT_MAX - 2000));
	ck_assert_int_eq(now.variants[0].made_at, 7);
	add_to_unit(&now, unit_of(8, SHARED_UNIT_MAX));
	ck_assert_int_eq(now.variants[0].made_at, 7);
	shared_unit_release(&now);
}
END_TEST

START_TEST(a_unit_that_is_none_is_refused)
{
	AUTO_BUF struct buf bytes = BUF_INIT, plain = BUF_INIT, packed = BUF_INIT;
	struct shared_unit one = unit_of(1, 1), got;
	one.variants[0].words.env = (const char *[]){"no assignment"};
	shared_unit_encode(&one, NULL, &bytes);
	ck_assert_int_eq(shared_unit_decode(bytes.data, bytes.len, &got, &err), -1);
	ck_assert_int_eq(err.code, ERR_FORMAT);
	ck_assert_int_eq(shared_unit_decode(bytes.data, bytes.len - 1, &got, &err), -1);
	ck_assert_int_eq(shared_unit_decode("", 0, &got, &err), -1);
	buf_add_u32(&plain, 0x31494e55);
	buf_add_u32(&plain, SHARED_UNIT_VARIANTS + 1);
	shared_pack(plain.data, plain.len, &packed);
	ck_assert_int_eq(shared_unit_decode(packed.data, packed.len, &got, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	shared_unit_release(&one);
}
END_TEST

START_TEST(two_entries_are_joined)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct shared_entry parts[2], all;
	struct manifest_entry e = entry_of(&a, "h.h");
	struct shared_result results[4];
	AUTO_BUF struct buf joined = BUF_INIT;
	for (int i = 0; i < 4; i++)
		results[i] = result_of(&a, arena_printf(&a, "header %d", i));
	for (int part = 0; part < 2; part++)
		for (int i = 0; i < 2; i++) {
			AUTO_BUF struct buf bytes = BUF_INIT;
			struct shared_entry *p = &parts[part];
			ck_assert_int_eq(shared_entry_encode(&e, &results[part * 2 + i], i ? p : NULL, &bytes, &err), 0);
			if (i)
				shared_entry_release(p);
			ck_assert_int_eq(shared_entry_decode(bytes.data, bytes.len, p, &err), 0);
		}
	ck_assert_int_eq(shared_entry_join(&parts[0], &parts[1], &joined, &err), 0);
	ck_assert_int_eq(shared_entry_decode(joined.data, joined.len, &all, &err), 0);
	ck_assert_int_eq(all.manifest->n_entries, 4);
	for (int i = 0; i < 4; i++)
		ck_assert(shared_entry_has(&all, &e, &results[i]));
	ck_assert(sha256_equal(&all.results[0].inputs[1], &results[1].inputs[1])); // mine, the newest one
	shared_entry_release(&all);
	shared_entry_release(&parts[0]);
	shared_entry_release(&parts[1]);
}
END_TEST

START_TEST(a_list_of_a_build_comes_back_or_is_none)
{
	struct build_list l = {0}, again;
	AUTO_BUF struct buf bytes = BUF_INIT;
	struct tier_name action = {.space = TIER_ACTIONS, .id = sha256_of("a", 1)}, content = named(2);
	build_list_add(&l, &action);
	build_list_add(&l, &content);
	build_list_encode(&l, &bytes);
	ck_assert_int_eq(build_list_decode(bytes.data, bytes.len, &again, &err), 0);
	ck_assert_uint_eq(again.n, 2);
	ck_assert(again.names[0].space == TIER_ACTIONS && sha256_equal(&again.names[1].id, &content.id));
	build_list_release(&again);
	for (size_t n = 0; n < bytes.len; n++)
		ck_assert_int_eq(build_list_decode(bytes.data, n, &again, &err), -1);
	bytes.data[8] = TIER_LEASES;
	ck_assert_int_eq(build_list_decode(bytes.data, bytes.len, &again, &err), -1);
	build_list_release(&l);
	struct tier_name x = build_list_name("a", "bc"), y = build_list_name("ab", "c");
	ck_assert(!sha256_equal(&x.id, &y.id));
}
END_TEST

START_TEST(an_entry_that_is_cut_or_changed_is_none)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf bytes = BUF_INIT;
	struct manifest_entry e = entry_of(&a, "h.h");
	struct shared_result x = result_of(&a, "text");
	struct shared_entry got;
	ck_assert_int_eq(shared_entry_encode(&e, &x, NULL, &bytes, &err), 0);
	for (size_t n = 0; n < bytes.len; n++)
		ck_assert_int_eq(shared_entry_decode(bytes.data, n, &got, &err), -1);
	AUTO_BUF struct buf packed = BUF_INIT, out = BUF_INIT;
	shared_pack("text", 4, &packed);
	ck_assert_int_eq(shared_unpack(packed.data, packed.len, 3, &out, &err), -1);
	ck_assert_int_eq(shared_unpack(packed.data, packed.len, 5, &out, &err), -1);
	ck_assert_int_eq(shared_unpack(packed.data, packed.len, 4, &out, &err), 0);
	ck_assert_str_eq(out.data, "text");
}
END_TEST

// ---- what is given by people ------------------------------------------------------------------------------------------

START_TEST(credentials_are_lines_that_no_message_quotes)
{
	struct credentials c = {0};
	ck_assert_int_eq(credentials_parse("f", "# a comment\n\n token = a:b=c \nuser=u\r\n", &c, &err), 0);
	ck_assert_str_eq(c.token, "a:b=c");
	ck_assert_str_eq(c.user, "u");
	credentials_release(&c);
	ck_assert_int_eq(credentials_parse("f", "tokn = hunter2\n", &c, &err), -1);
	ck_assert_ptr_null(strstr(err.text, "hunter2"));
	ck_assert_int_eq(credentials_parse("f", "hunter2\n", &c, &err), -1);
	ck_assert_ptr_null(strstr(err.text, "hunter2"));
}
END_TEST

START_TEST(a_url_without_a_secret_is_asked_for)
{
	static const char *const wrong[] = {"http://user:secret@host/",
					    "ftp://host/",
					    "http://host/ x",
					    "http://host/?a=b",
					    "x",
					    "rediss://h",
					    "redis://h?x=y",
					    "redis://h/db",
					    "redis+unix:sock",
					    "file:x",
					    "s3://b",
					    "s3://b?style=odd",
					    "s3://b?endpoint=ftp://x",
					    "file://h/x",
					    "file:/x%2"};
	struct tier *t;
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		ck_assert_int_eq(remote_open(&(struct remote_config){.url = wrong[i]}, &t, &err), -1);
		ck_assert_int_eq(err.code, ERR_USAGE);
		ck_assert_ptr_null(strstr(err.text, "secret@"));
	}
	ck_assert_int_eq(remote_open(&(struct remote_config){.url = "https://host/path/"}, &t, &err), 0);
	tier_close(t);
	static const char *const right[] = {"redis://h", "redis://[::1]:7000/3?ttl=1d", "redis+unix:/run/r.sock?db=2",
					    "file:/mnt/x%20y"};
	for (size_t i = 0; i < COUNT_OF(right); i++) {
		ck_assert_msg(remote_open(&(struct remote_config){.url = right[i]}, &t, &err) == 0, "%s: %s", right[i],
			      err.text);
		tier_close(t);
	}
}
END_TEST

START_TEST(a_folder_that_is_not_mounted_is_not_made)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf out = BUF_INIT;
	struct tier *t;
	struct tier_name name = named(1);
	const char *mount = arena_printf(&a, "%s/mnt", directory);
	ck_assert_int_eq(remote_open(&(struct remote_config){.url = arena_printf(&a, "file:%s", mount)}, &t, &err), 0);
	ck_assert_int_eq(tier_put(t, &name, "bytes", 5, 0, &err), -1);
	ck_assert_int_eq(tier_get(t, &name, 100, &out, 0, &err), 0);
	ck_assert_int_eq(mkdir(mount, 0700), 0);
	ck_assert_msg(tier_put(t, &name, "bytes", 5, 0, &err) == 0, "%s", err.text);
	ck_assert_int_eq(tier_get(t, &name, 4, &out, 0, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	ck_assert_int_eq(tier_get(t, &name, 5, &out, 0, &err), 1);
	ck_assert_str_eq(out.data, "bytes");
	tier_close(t);
}
END_TEST

static void make_directory(void)
{
	directory = unit_directory();
	err = (struct err)ERR_INIT;
}

static void remove_directory(void)
{
	tree_remove(AT_FDCWD, directory);
	free(directory);
}

Suite *unit_suite(void)
{
	Suite *suite = suite_create("shared");
	TCase *t = tcase_create("shared"), *files = tcase_create("files"), *clock = unit_clock_case(suite);
	tcase_add_test(t, what_was_not_there_is_not_asked_for_again);
	tcase_add_test(t, three_failures_in_a_row_leave_the_store_alone);
	tcase_add_test(t, the_queue_is_bounded_and_is_written_to_its_end);
	tcase_add_test(t, an_entry_keeps_the_newest_results);
	tcase_add_test(t, a_unit_keeps_the_newest_variants);
	tcase_add_test(t, a_unit_that_is_none_is_refused);
	tcase_add_test(t, two_entries_are_joined);
	tcase_add_test(t, a_list_of_a_build_comes_back_or_is_none);
	tcase_add_test(t, an_entry_that_is_cut_or_changed_is_none);
	tcase_add_test(t, credentials_are_lines_that_no_message_quotes);
	tcase_add_test(t, a_url_without_a_secret_is_asked_for);
	suite_add_tcase(suite, t);
	tcase_add_checked_fixture(files, make_directory, remove_directory);
	tcase_add_test(files, a_mac_opens_under_its_name_and_scope_alone);
	tcase_add_test(files, a_signature_is_made_by_the_signer_and_read_by_all);
	tcase_add_test(files, keys_that_are_short_or_open_are_not_used);
	tcase_add_test(files, the_disk_is_a_tier);
	tcase_add_test(files, a_folder_that_is_not_mounted_is_not_made);
	suite_add_tcase(suite, files);
	tcase_add_test(clock, jobs_that_want_one_name_share_one_get);
	tcase_add_test(clock, a_store_that_hangs_costs_its_timeout_once);
	tcase_add_test(clock, a_slow_store_is_left_alone_within_its_budget);
	tcase_add_test(clock, waiting_for_what_comes_is_no_loss);
	return suite;
}
