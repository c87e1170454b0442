// The parts of the gRPC core that need no peer: words of the protocol, messages cut anywhere, compression, timers, threads.
#include "loop/timer.h"
#include "remote/address.h"
#include "remote/codec.h"
#include "remote/grpc.h"
#include "remote/headers.h"
#include "remote/message.h"
#include "remote/pool.h"

#include "base/clock.h"
#include "base/mem.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

static struct err err;

static void setup(void)
{
	err = (struct err)ERR_INIT;
}

// ---- words --------------------------------------------------------------------------------------------------------------

START_TEST(a_timeout_has_at_most_eight_digits_and_is_read_back)
{
	static const uint32_t ms[] = {1, 250, 99999999, 100000000, INT32_MAX};
	for (size_t i = 0; i < COUNT_OF(ms); i++) {
		char text[GRPC_TIMEOUT_MAX];
		uint32_t back;
		grpc_timeout_format(text, ms[i]);
		ck_assert_uint_le(strlen(text), 9);
		ck_assert_int_eq(grpc_timeout_parse(text, &back), 0);
		ck_assert_uint_ge(back, ms[i]);
		ck_assert_uint_le(back, ms[i] + 1000u);
	}
}
END_TEST

START_TEST(timeouts_in_every_unit_are_understood)
{
	static const struct {
		const char *text;
		uint32_t ms;
	} cases[] = {{"1H", 3600000}, {"2M", 120000},          {"3S", 3000}, {"4m", 4}, {"5u", 1}, {"6n", 1}, {"0n", 0},
		     {"1500u", 2},    {"99999999H", INT32_MAX}};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		uint32_t ms;
		ck_assert_msg(grpc_timeout_parse(cases[i].text, &ms) == 0, "%s", cases[i].text);
		ck_assert_uint_eq(ms, cases[i].ms);
	}
}
END_TEST

START_TEST(what_is_no_timeout_is_refused)
{
	static const char *const bad[] = {"", "S", "1", "1s", "-1S", "1 S", "123456789S", "1SS", "0x1S"};
	uint32_t ms;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		ck_assert_msg(grpc_timeout_parse(bad[i], &ms) == -1, "'%s'", bad[i]);
}
END_TEST

START_TEST(a_status_text_survives_percent_encoding)
{
	const char *text =
		"\t\ntest with whitespace\r\nand Unicode BMP \xe2\x98\xba and non-BMP \xf0\x9f\x98\x88\t\n 100% ~";
	AUTO_BUF struct buf b = BUF_INIT;
	grpc_message_encode(&b, text);
	for (const char *p = b.data; *p; p++)
		ck_assert(*p >= 0x20 && *p <= 0x7e);
	AUTO_FREE char *back = grpc_message_decode(b.data);
	ck_assert_str_eq(back, text);
}
END_TEST

START_TEST(a_broken_percent_encoding_stays_as_it_is)
{
	static const char *const same[] = {"%", "%4", "%zz", "a%", "50% off", "%%"};
	for (size_t i = 0; i < COUNT_OF(same); i++) {
		AUTO_FREE char *text = grpc_message_decode(same[i]);
		ck_assert_str_eq(text, same[i]);
	}
	AUTO_FREE char *nul = grpc_message_decode("a%00b%2fc");
	ck_assert_str_eq(nul, "a?b/c");
}
END_TEST

START_TEST(unknown_status_numbers_are_unknown)
{
	ck_assert_int_eq(grpc_code_parse("0"), RPC_OK);
	ck_assert_int_eq(grpc_code_parse("16"), RPC_UNAUTHENTICATED);
	static const char *const bad[] = {"", "17", "-1", "1x", "004", "4294967296", " 1"};
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		ck_assert_msg(grpc_code_parse(bad[i]) == RPC_UNKNOWN, "'%s'", bad[i]);
	for (int c = 0; c <= 16; c++)
		ck_assert_str_ne(rpc_code_name((enum rpc_code)c), c == 2 ? "" : "UNKNOWN");
	ck_assert_str_eq(rpc_code_name((enum rpc_code)99), "UNKNOWN");
}
END_TEST

START_TEST(content_types_of_grpc_are_known)
{
	static const char *const good[] = {"application/grpc", "application/grpc+proto", "application/grpc;x=y",
					   "Application/gRPC"};
	static const char *const bad[] = {"", "application/grpc-web", "application/json", "text/application/grpc",
					  "application/grp"};
	for (size_t i = 0; i < COUNT_OF(good); i++)
		ck_assert_msg(grpc_is_content_type(good[i]), "%s", good[i]);
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		ck_assert_msg(!grpc_is_content_type(bad[i]), "%s", bad[i]);
}
END_TEST

START_TEST(accepted_encodings_are_a_set_with_identity)
{
	ck_assert_uint_eq(grpc_accept_parse(NULL), 1);
	ck_assert_uint_eq(grpc_accept_parse(""), 1);
	ck_assert_uint_eq(grpc_accept_parse("deflate, br"), 1);
	ck_assert_uint_eq(grpc_accept_parse("identity,deflate, gzip"), 1u | 1u << RPC_GZIP);
	ck_assert_uint_eq(grpc_accept_parse("zstd"), 1u | 1u << RPC_ZSTD);
	ck_assert_uint_eq(grpc_accept_parse(",,zst,, gzip;q=1 ,zstdd"), 1u | 1u << RPC_GZIP);
}
END_TEST

START_TEST(metadata_cannot_pretend_to_be_the_protocol)
{
	ck_assert(headers_is_metadata("authorization", "Bearer x"));
	ck_assert(headers_is_metadata("x-trace_id.a-bin", ""));
	ck_assert(headers_is_metadata("grpc-retry-pushback-ms", "100"));
	static const char *const names[] = {"",    ":path", "Upper",     "te", "content-type", "grpc-status", "grpc-timeout",
					    "a b", "host",  "connection"};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		ck_assert_msg(!headers_is_metadata(names[i], "x"), "'%s'", names[i]);
	ck_assert(!headers_is_metadata("a", "line\nfeed"));
	ck_assert(!headers_is_metadata("a", "\xc3\xa4"));
	ck_assert(!headers_is_metadata("grpc-retry-pushback-ms", "\n"));
}
END_TEST

START_TEST(headers_are_found_by_name_the_first_first)
{
	struct headers h = {0};
	const char *name, *value;
	size_t at = 0, n = 0;
	ck_assert_ptr_null(headers_get(&h, "a"));
	headers_add(&h, "a", "1");
	headers_add(&h, "empty", "");
	headers_add(&h, "a", "2");
	ck_assert_str_eq(headers_get(&h, "a"), "1");
	ck_assert_str_eq(headers_get(&h, "empty"), "");
	ck_assert_ptr_null(headers_get(&h, "1"));
	while (headers_next(&h, &at, &name, &value))
		n++;
	ck_assert_uint_eq(n, 3);
	headers_release(&h);
}
END_TEST

// ---- messages -----------------------------------------------------------------------------------------------------------

static void add_message(struct buf *b, unsigned flags, const char *p, size_t n)
{
	buf_addc(b, (char)flags);
	for (int i = 3; i >= 0; i--)
		buf_addc(b, (char)(n >> (8 * i)));
	buf_add(b, p, n);
}

START_TEST(messages_come_whole_however_they_are_cut)
{
	AUTO_BUF struct buf wire = BUF_INIT;
	AUTO_FREE char *large = mem_alloc(70000);
	memset(large, 'x', 70000);
	add_message(&wire, 0, "one", 3);
	add_message(&wire, 0, "", 0);
	add_message(&wire, 1, large, 70000);
	add_message(&wire, 0, "last", 4);
	for (size_t step = 1; step < 8; step++) {
		struct deframer d = {.max_len = 1 << 20};
		struct message *list = NULL, **tail = &list;
		for (size_t at = 0; at < wire.len; at += step) {
			size_t n = wire.len - at < step ? wire.len - at : step;
			ck_assert_int_eq(deframe(&d, (const uint8_t *)wire.data + at, n, &tail, &err), 0);
		}
		ck_assert(deframer_is_between(&d));
		ck_assert_mem_eq(list->data, "one", 3);
		ck_assert_uint_eq(list->next->len, 0);
		ck_assert_uint_eq(list->next->next->len, 70000);
		ck_assert(list->next->next->is_compressed);
		ck_assert_mem_eq(list->next->next->data, large, 70000);
		ck_assert_mem_eq(list->next->next->next->data, "last", 4);
		ck_assert_ptr_null(list->next->next->next->next);
		messages_free(list);
		deframer_release(&d);
	}
}
END_TEST

START_TEST(a_message_past_the_limit_is_refused_by_its_prefix)
{
	struct deframer d = {.max_len = 100};
	struct message *list = NULL, **tail = &list;
	const uint8_t prefix[] = {0, 0, 0, 0, 101};
	ck_assert_int_eq(deframe(&d, prefix, sizeof prefix, &tail, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	ck_assert_ptr_null(list);
	deframer_release(&d);
}
END_TEST

START_TEST(a_claimed_length_takes_no_memory_before_its_bytes_come)
{
	struct deframer d = {.max_len = UINT32_MAX};
	struct message *list = NULL, **tail = &list;
	const uint8_t prefix[] = {0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3};
	ck_assert_int_eq(deframe(&d, prefix, sizeof prefix, &tail, &err), 0);
	ck_assert(!deframer_is_between(&d));
	ck_assert_uint_le(d.cap, 1 << 16);
	deframer_release(&d);
}
END_TEST

START_TEST(unknown_message_flags_are_refused)
{
	struct deframer d = {.max_len = 100};
	struct message *list = NULL, **tail = &list;
	const uint8_t prefix[] = {2, 0, 0, 0, 0};
	ck_assert_int_eq(deframe(&d, prefix, sizeof prefix, &tail, &err), -1);
	ck_assert_int_eq(err.code, ERR_FORMAT);
	deframer_release(&d);
}
END_TEST

// ---- compression --------------------------------------------------------------------------------------------------------

static char *sample(size_t n)
{
	char *p = mem_alloc(n);
	for (size_t i = 0; i < n; i++)
		p[i] = (char)('a' + i * i % 7);
	return p;
}

START_TEST(what_is_compressed_comes_back)
{
	AUTO_FREE char *text = sample(300000);
	for (enum rpc_encoding e = RPC_GZIP; e <= RPC_ZSTD; e++) {
		for (size_t n = 256; n <= 300000; n = n * 3 + 1) {
			char *small, *back;
			size_t small_n, back_n;
			ck_assert_int_eq(codec_compress(e, text, n, &small, &small_n), 1);
			ck_assert_uint_lt(small_n, n);
			ck_assert_int_eq(codec_decompress(e, small, small_n, n, &back, &back_n, &err), 0);
			ck_assert_uint_eq(back_n, n);
			ck_assert_mem_eq(back, text, n);
			free(back);
			// One byte less is too little.
			ck_assert_int_eq(codec_decompress(e, small, small_n, n - 1, &back, &back_n, &err), -1);
			ck_assert_int_eq(err.code, ERR_LIMIT);
			free(small);
		}
	}
}
END_TEST

START_TEST(what_is_short_or_does_not_shrink_stays)
{
	char *out;
	size_t n;
	AUTO_FREE char *noise = mem_alloc(5000);
	uint64_t x = 88172645463325252u;
	for (size_t i = 0; i < 5000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		noise[i] = (char)x;
	}
	ck_assert_int_eq(codec_compress(RPC_ZSTD, "aaaaaaaaaaaaaaaaaaaaaaaa", 24, &out, &n), 0);
	ck_assert_int_eq(codec_compress(RPC_IDENTITY, noise, 5000, &out, &n), 0);
	ck_assert_int_eq(codec_compress(RPC_ZSTD, noise, 5000, &out, &n), 0);
	ck_assert_int_eq(codec_compress(RPC_GZIP, noise, 5000, &out, &n), 0);
}
END_TEST

START_TEST(a_bomb_stops_at_the_limit)
{
	// A gibibyte of zeros in a few kilobytes, without its size in the frame's header.
	ZSTD_CCtx *c = ZSTD_createCCtx();
	size_t cap = 1 << 20, zeros_n = 1 << 20;
	AUTO_FREE char *bomb = mem_alloc(cap), *zeros = mem_alloc(zeros_n);
	ZSTD_outBuffer o = {bomb, cap, 0};
	for (int i = 0; i < 1024; i++) {
		ZSTD_inBuffer in = {zeros, zeros_n, 0};
		ck_assert(!ZSTD_isError(ZSTD_compressStream2(c, &o, &in, i < 1023 ? ZSTD_e_continue : ZSTD_e_end)));
	}
	ZSTD_freeCCtx(c);
	ck_assert_uint_lt(o.pos, 200000);
	char *out;
	size_t n;
	ck_assert_int_eq(codec_decompress(RPC_ZSTD, bomb, o.pos, 4 << 20, &out, &n, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
}
END_TEST

START_TEST(a_frame_that_asks_for_a_huge_window_is_refused)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	AUTO_FREE char *out = mem_alloc(1 << 16);
	ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, 27);
	ZSTD_outBuffer o = {out, 1 << 16, 0};
	ZSTD_inBuffer in = {"x", 1, 0};
	ck_assert(!ZSTD_isError(ZSTD_compressStream2(c, &o, &in, ZSTD_e_continue)));
	ZSTD_inBuffer none = {NULL, 0, 0};
	ck_assert(!ZSTD_isError(ZSTD_compressStream2(c, &o, &none, ZSTD_e_end)));
	ZSTD_freeCCtx(c);
	char *back;
	size_t n;
	ck_assert_int_eq(codec_decompress(RPC_ZSTD, out, o.pos, 4 << 20, &back, &n, &err), -1);
	ck_assert_int_eq(err.code, ERR_FORMAT);
}
END_TEST

START_TEST(broken_frames_are_refused)
{
	AUTO_FREE char *text = sample(5000);
	for (enum rpc_encoding e = RPC_GZIP; e <= RPC_ZSTD; e++) {
		char *small, *back;
		size_t small_n, n;
		ck_assert_int_eq(codec_compress(e, text, 5000, &small, &small_n), 1);
		for (size_t cut = 0; cut < small_n; cut++) {
			ck_assert_int_eq(codec_decompress(e, small, cut, 1 << 20, &back, &n, &err), -1);
			ck_assert_int_eq(err.code, ERR_FORMAT);
		}
		AUTO_FREE char *longer = mem_alloc(small_n + 1);
		memcpy(longer, small, small_n);
		ck_assert_int_eq(codec_decompress(e, longer, small_n + 1, 1 << 20, &back, &n, &err), -1);
		free(small);
	}
	char *back;
	size_t n;
	ck_assert_int_eq(codec_decompress(RPC_IDENTITY, "x", 1, 10, &back, &n, &err), -1);
}
END_TEST

// ---- timers and threads -----------------------------------------------------------------------------------------------

static int64_t fired[1000];
static size_t n_fired;

static void note_firing(struct timer *t)
{
	fired[n_fired++] = t->at_ms;
}

START_TEST(timers_fire_in_order_and_not_when_cleared)
{
	struct timers ts = {0};
	static struct timer t[1000];
	int64_t now = clock_ms();
	n_fired = 0;
	for (size_t i = 0; i < 1000; i++) {
		t[i].fire = note_firing;
		timer_set(&ts, &t[i], now - (int64_t)(i * 7919 % 1000) - 1);
	}
	for (size_t i = 0; i < 1000; i += 3)
		timer_clear(&ts, &t[i]);
	for (size_t i = 1; i < 1000; i += 3)
		timer_set(&ts, &t[i], now - (int64_t)(i * 104729 % 1000) - 1);
	ck_assert_int_eq(timers_wait_ms(&ts), 0);
	timers_fire(&ts);
	ck_assert_uint_eq(n_fired, 1000 - 334);
	for (size_t i = 1; i < n_fired; i++)
		ck_assert_int_ge(fired[i], fired[i - 1]);
	ck_assert_int_eq(timers_wait_ms(&ts), -1);
	timer_set(&ts, &t[0], now + 100000);
	timers_fire(&ts);
	ck_assert_uint_eq(n_fired, 1000 - 334);
	timer_clear(&ts, &t[0]);
	timers_release(&ts);
}
END_TEST

static atomic_int worked;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void work(void *item)
{
	sigset_t blocked;
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	if (!sigismember(&blocked, SIGTERM) || !sigismember(&blocked, SIGPIPE))
		abort();
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
	atomic_fetch_add(&worked, *(int *)item);
}

START_TEST(a_pool_works_on_all_at_once_and_waits_for_them_at_the_end)
{
	int one = 1;
	struct thread_pool *p = pool_new(work, 64 << 10);
	worked = 0;
	pthread_mutex_lock(&gate); // nobody gets on: each item needs a thread of its own
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(pool_give(p, &one), 0);
	pthread_mutex_unlock(&gate);
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(pool_give(p, &one), 0);
	pool_free(p);
	ck_assert_int_eq(worked, 100);
}
END_TEST

// ---- addresses ----------------------------------------------------------------------------------------------------------

START_TEST(addresses_are_read_and_named)
{
	static const char *const same[] = {"127.0.0.1:80", "[::1]:443", "[2001:db8::1]:1"};
	struct net_address a[NET_ADDRESSES];
	size_t n;
	char name[RPC_ADDRESS_MAX];
	for (size_t i = 0; i < COUNT_OF(same); i++) {
		ck_assert_msg(net_resolve(same[i], false, a, &n, &err) == 0, "%s", err.text);
		net_name(&a[0], name);
		ck_assert_str_eq(name, same[i]);
	}
	ck_assert_int_eq(net_resolve("unix:/tmp/x", false, a, &n, &err), 0);
	net_name(&a[0], name);
	ck_assert_str_eq(name, "unix");
	AUTO_FREE char *host = net_host("[::1]:443"), *other = net_host("a.example:1"), *local = net_host("unix:/x");
	ck_assert_str_eq(host, "::1");
	ck_assert_str_eq(other, "a.example");
	ck_assert_str_eq(local, "localhost");
}
END_TEST

START_TEST(what_is_no_address_is_refused)
{
	static const char *const bad[] = {"", "host", "host:", "::1:80", "unix:", ":"};
	struct net_address a[NET_ADDRESSES];
	size_t n;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		ck_assert_msg(net_resolve(bad[i], false, a, &n, &err) == -1, "'%s'", bad[i]);
	AUTO_FREE char *longer = mem_printf("unix:/%0200d", 0);
	ck_assert_int_eq(net_resolve(longer, false, a, &n, &err), -1);
	ck_assert_int_eq(err.code, ERR_USAGE);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("remote parts");
	TCase *c = tcase_create("all");
	tcase_add_checked_fixture(c, setup, NULL);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, a_timeout_has_at_most_eight_digits_and_is_read_back);
	tcase_add_test(c, timeouts_in_every_unit_are_understood);
	tcase_add_test(c, what_is_no_timeout_is_refused);
	tcase_add_test(c, a_status_text_survives_percent_encoding);
	tcase_add_test(c, a_broken_percent_encoding_stays_as_it_is);
	tcase_add_test(c, unknown_status_numbers_are_unknown);
	tcase_add_test(c, content_types_of_grpc_are_known);
	tcase_add_test(c, accepted_encodings_are_a_set_with_identity);
	tcase_add_test(c, metadata_cannot_pretend_to_be_the_protocol);
	tcase_add_test(c, headers_are_found_by_name_the_first_first);
	tcase_add_test(c, messages_come_whole_however_they_are_cut);
	tcase_add_test(c, a_message_past_the_limit_is_refused_by_its_prefix);
	tcase_add_test(c, a_claimed_length_takes_no_memory_before_its_bytes_come);
	tcase_add_test(c, unknown_message_flags_are_refused);
	tcase_add_test(c, what_is_compressed_comes_back);
	tcase_add_test(c, what_is_short_or_does_not_shrink_stays);
	tcase_add_test(c, a_bomb_stops_at_the_limit);
	tcase_add_test(c, a_frame_that_asks_for_a_huge_window_is_refused);
	tcase_add_test(c, broken_frames_are_refused);
	tcase_add_test(c, timers_fire_in_order_and_not_when_cleared);
	tcase_add_test(c, a_pool_works_on_all_at_once_and_waits_for_them_at_the_end);
	tcase_add_test(c, addresses_are_read_and_named);
	tcase_add_test(c, what_is_no_address_is_refused);
	suite_add_tcase(s, c);
	return s;
}
