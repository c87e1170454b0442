// The local protocol: what is sent arrives, what is malformed is refused, and where the socket is.
#include "client/wire/place.h"
#include "client/wire/wire.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct arena arena;
static struct err err;
static struct buf payload;
static struct wire_msg msg;
static int ends[2];
static char *directory;

static void setup(void)
{
	directory = unit_directory();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	err = (struct err)ERR_INIT;
	payload = (struct buf)BUF_INIT;
	msg = (struct wire_msg)WIRE_MSG_INIT;
}

static void teardown(void)
{
	wire_msg_release(&msg);
	buf_release(&payload);
	arena_release(&arena);
	close(ends[0]);
	close(ends[1]);
	AUTO_FREE char *command = mem_printf("rm -rf '%s'", directory);
	ck_assert_int_eq(system(command), 0);
	free(directory);
}

static void quick_timeout(int sock)
{
	const struct timeval t = {.tv_usec = 20000};
	ck_assert_int_eq(setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t), 0);
	ck_assert_int_eq(setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t), 0);
}

static const struct wire_job *example_job(void)
{
	static const char *argv[] = {"gcc", "-c", "", "a b\n", NULL};
	static const char *env[] = {"PATH=/bin", "LC_ALL=", NULL};
	static const char *set[] = {"root=/x", NULL};
	static const struct wire_job job = {.umask = 022,
					    .flags = JOB_STDERR_TTY | JOB_STDIN_TTY,
					    .columns = 80,
					    .cwd = "/work",
					    .compiler = "/usr/bin/gcc",
					    .argv = argv,
					    .n_argv = 4,
					    .env = env,
					    .n_env = 2,
					    .set = set,
					    .n_set = 1};
	return &job;
}

// ---- messages -----------------------------------------------------------------------------------------------------

START_TEST(a_job_arrives_as_it_was_sent)
{
	int dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct wire_job j;
	struct stat sent, got;
	wire_put_job(&payload, example_job());
	ck_assert_int_eq(wire_send(ends[0], WIRE_JOB, &payload, &dir, 1, &err), 0);
	ck_assert_int_eq(wire_recv(ends[1], &msg, &err), 0);
	ck_assert_int_eq(msg.type, WIRE_JOB);
	ck_assert_uint_eq(msg.n_fds, 1);
	ck_assert_int_eq(fcntl(msg.fds[0], F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fstat(dir, &sent), 0);
	ck_assert_int_eq(fstat(msg.fds[0], &got), 0);
	ck_assert(sent.st_ino == got.st_ino);
	ck_assert_int_eq(wire_get_job(&j, &arena, &msg.payload, &err), 0);
	ck_assert_uint_eq(j.umask, 022);
	ck_assert_uint_eq(j.flags, JOB_STDERR_TTY | JOB_STDIN_TTY);
	ck_assert_uint_eq(j.columns, 80);
	ck_assert_str_eq(j.cwd, "/work");
	ck_assert_str_eq(j.compiler, "/usr/bin/gcc");
	ck_assert_uint_eq(j.n_argv, 4);
	ck_assert_str_eq(j.argv[2], "");
	ck_assert_str_eq(j.argv[3], "a b\n");
	ck_assert_ptr_null(j.argv[4]);
	ck_assert_uint_eq(j.n_env, 2);
	ck_assert_str_eq(j.env[1], "LC_ALL=");
	ck_assert_ptr_null(j.env[2]);
	ck_assert_uint_eq(j.n_set, 1);
	ck_assert_str_eq(j.set[0], "root=/x");
	close(dir);
}
END_TEST

START_TEST(messages_keep_their_borders_and_order)
{
	wire_put_text(&payload, "one");
	ck_assert_int_eq(wire_send(ends[0], WIRE_TEXT, &payload, NULL, 0, &err), 0);
	ck_assert_int_eq(wire_send(ends[0], WIRE_RELEASED, NULL, NULL, 0, &err), 0);
	ck_assert_int_eq(wire_send(ends[0], WIRE_CONTROL, &payload, &ends[0], 1, &err), 0);
	ck_assert_int_eq(wire_recv(ends[1], &msg, &err), 0);
	ck_assert_int_eq(msg.type, WIRE_TEXT);
	ck_assert_str_eq(wire_get_text(&arena, &msg.payload, &err), "one");
	ck_assert_int_eq(wire_recv(ends[1], &msg, &err), 0);
	ck_assert_int_eq(msg.type, WIRE_RELEASED);
	ck_assert_uint_eq(msg.payload.len, 0);
	ck_assert_uint_eq(msg.n_fds, 0);
	ck_assert_int_eq(wire_recv(ends[1], &msg, &err), 0);
	ck_assert_int_eq(msg.type, WIRE_CONTROL);
	ck_assert_uint_eq(msg.n_fds, 1);
}
END_TEST

// Larger than the socket's buffers, so that both sides go on in the middle.
START_TEST(a_large_message_arrives_with_its_descriptors)
{
	enum { SIZE = 8 << 20 };
	AUTO_FREE char *text = mem_alloc(SIZE + 1);
	for (size_t i = 0; i < SIZE; i++)
		text[i] = (char)('a' + i % 23);
	wire_put_text(&payload, text);
	pid_t child = fork();
	if (child == 0)
		_exit(wire_send(ends[0], WIRE_TEXT, &payload, (const int[]){ends[0], ends[1], 0, 1}, 4, NULL) != 0);
	ck_assert_int_eq(wire_recv(ends[1], &msg, &err), 0);
	ck_assert_uint_eq(msg.n_fds, 4);
	ck_assert_str_eq(wire_get_text(&arena, &msg.payload, &err), text);
}
END_TEST

START_TEST(silence_is_a_timeout_and_half_a_message_is_not)
{
	quick_timeout(ends[1]);
	ck_assert_int_eq(wire_recv(ends[1], &msg, &err), -1);
	ck_assert_int_eq(err.code, ERR_TIMEOUT);
	ck_assert_int_eq(send(ends[0], "cof2", 4, 0), 4);
	ck_assert_int_eq(wire_recv(ends[1], &msg, &err), -1);
	ck_assert_int_eq(err.code, ERR_PEER);
	ck_assert_int_eq(send(ends[0], "cof2\x08\0\0\0\x05\0\0\0ab", 14, 0), 14);
	ck_assert_int_eq(wire_recv(ends[1], &msg, &err), -1);
	ck_assert_int_eq(err.code, ERR_PEER);
}
END_TEST

START_TEST(a_receiver_that_takes_nothing_is_a_timeout)
{
	quick_timeout(ends[0]);
	ck_assert_ptr_nonnull(buf_room(&payload, 4 << 20));
	buf_grew(&payload, 4 << 20);
	ck_assert_int_eq(wire_send(ends[0], WIRE_TEXT, &payload, NULL, 0, &err), -1);
	ck_assert_int_eq(err.code, ERR_TIMEOUT);
}
END_TEST

START_TEST(a_closed_connection_is_the_peers_fault)
{
	close(ends[0]);
	ck_assert_int_eq(wire_recv(ends[1], &msg, &err), -1);
	ck_assert_int_eq(err.code, ERR_PEER);
	ck_assert_int_eq(wire_send(ends[1], WIRE_RELEASED, NULL, NULL, 0, &err), -1);
	ck_assert_int_eq(err.code, ERR_PEER);
	ends[0] = open("/", O_PATH);
}
END_TEST

START_TEST(nonsense_is_refused)
{
	static const struct {
		const char bytes[13];
		enum err_code code;
	} cases[] = {
		{"cof3\x08\0\0\0\0\0\0\0", ERR_FORMAT},    // another magic
		{"cof2\x00\0\0\0\0\0\0\0", ERR_FORMAT},    // no type
		{"cof2\x0e\0\0\0\0\0\0\0", ERR_FORMAT},    // a type of the future
		{"cof2\x08\0\0\0\x01\0\0\x02", ERR_LIMIT}, // a byte more than WIRE_MAX_PAYLOAD
		{"cof2\x08\0\0\0\xff\xff\xff\xff", ERR_LIMIT},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		ck_assert_int_eq(send(ends[0], cases[i].bytes, 12, 0), 12);
		ck_assert_int_eq(wire_recv(ends[1], &msg, &err), -1);
		ck_assert_int_eq(err.code, cases[i].code);
	}
}
END_TEST

START_TEST(what_is_too_long_is_not_sent)
{
	const int fds[WIRE_MAX_FDS + 1] = {0, 0, 0, 0, 0};
	ck_assert_int_eq(wire_send(ends[0], WIRE_TEXT, NULL, fds, WIRE_MAX_FDS + 1, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	payload.max = 3;
	wire_put_text(&payload, "longer");
	ck_assert_int_eq(wire_send(ends[0], WIRE_TEXT, &payload, NULL, 0, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
}
END_TEST

static int count_fds(void)
{
	int n = 0;
	for (int fd = 0; fd < 100; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

START_TEST(too_many_descriptors_are_refused_and_closed)
{
	enum { N = 9 };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * N)];
	} control = {0};
	char header[] = "cof2\x06\0\0\0\0\0\0\0";
	struct iovec iov = {header, 12};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * N);
	memset(CMSG_DATA(c), 0, sizeof(int) * N);
	int before = count_fds();
	ck_assert_int_eq(sendmsg(ends[0], &m, 0), 12);
	ck_assert_int_eq(wire_recv(ends[1], &msg, &err), -1);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	wire_msg_release(&msg);
	ck_assert_int_eq(count_fds(), before);
}
END_TEST

// ---- payloads -----------------------------------------------------------------------------------------------------

// Every shorter payload, and one with a byte more, is refused.
static void expect_only_whole(int (*get)(const struct buf *))
{
	ck_assert_int_eq(get(&payload), 0);
	for (size_t n = 0; n < payload.len; n++) {
		const struct buf part = {.data = payload.data, .len = n};
		ck_assert_msg(get(&part) == -1 && err.code == ERR_FORMAT, "%zu of %zu bytes are taken", n, payload.len);
	}
	buf_addc(&payload, 'x');
	ck_assert_int_eq(get(&payload), -1);
	ck_assert_int_eq(get(&(const struct buf)BUF_INIT), -1);
}

static int get_job(const struct buf *b)
{
	struct wire_job j;
	return wire_get_job(&j, &arena, b, &err);
}

static int get_done(const struct buf *b)
{
	struct wire_done d;
	return wire_get_done(&d, b, &err);
}

static int get_run(const struct buf *b)
{
	struct wire_run r;
	return wire_get_run(&r, &arena, b, &err);
}

static int get_result(const struct buf *b)
{
	struct wire_result r;
	return wire_get_result(&r, b, &err);
}

static int get_text(const struct buf *b)
{
	return wire_get_text(&arena, b, &err) ? 0 : -1;
}

static const char *run_words[] = {"gcc", "-c", "-MF", NULL};

START_TEST(payloads_that_are_cut_off_are_refused)
{
	wire_put_job(&payload, example_job());
	expect_only_whole(get_job);
	buf_clear(&payload);
	wire_put_done(&payload, &(struct wire_done){.exit_code = 255, .out = "a", .n_out = 1, .errs = "bc", .n_errs = 2});
	expect_only_whole(get_done);
	buf_clear(&payload);
	wire_put_run(&payload, &(struct wire_run){.flags = RUN_DEPFILE, .depfile_word = 2, .argv = run_words, .n_argv = 3});
	expect_only_whole(get_run);
	buf_clear(&payload);
	wire_put_result(&payload, &(struct wire_result){.status = 0x100, .overflow = 1, .has = RUN_ASM_DEPFILE});
	expect_only_whole(get_result);
	buf_clear(&payload);
	wire_put_text(&payload, "");
	expect_only_whole(get_text);
}
END_TEST

static void expect_bad_job(const struct wire_job *j)
{
	buf_clear(&payload);
	wire_put_job(&payload, j);
	ck_assert_int_eq(get_job(&payload), -1);
	ck_assert_int_eq(err.code, ERR_FORMAT);
}

START_TEST(a_job_that_makes_no_sense_is_refused)
{
	struct wire_job j = *example_job();
	j.cwd = "work";
	expect_bad_job(&j);
	j = *example_job();
	j.cwd = "";
	expect_bad_job(&j);
	j = *example_job();
	j.compiler = "gcc";
	expect_bad_job(&j);
	j = *example_job();
	j.n_argv = 0;
	expect_bad_job(&j);
	j = *example_job();
	j.umask = 01000;
	expect_bad_job(&j);
	j = *example_job();
	j.env = (const char *[]){"PATH=/bin", "PATH", NULL};
	expect_bad_job(&j);
}
END_TEST

START_TEST(a_word_with_a_nul_is_refused)
{
	wire_put_text(&payload, "a-b");
	ck_assert_int_eq(get_text(&payload), 0);
	payload.data[5] = '\0';
	ck_assert_int_eq(get_text(&payload), -1);
	ck_assert_int_eq(err.code, ERR_FORMAT);
}
END_TEST

START_TEST(a_count_of_words_that_cannot_be_is_refused_at_once)
{
	buf_add_u32(&payload, 0);
	buf_add_u32(&payload, 0);
	buf_add_u32(&payload, 0);
	buf_add_u64(&payload, 0);
	buf_add_u32(&payload, UINT32_MAX); // argv
	ck_assert_int_eq(get_run(&payload), -1);
	ck_assert_uint_lt(arena.total, 2000);
}
END_TEST

START_TEST(done_carries_messages_or_their_lengths)
{
	struct wire_done d;
	wire_put_done(&payload, &(struct wire_done){.exit_code = 3, .out = "a\0b", .n_out = 3, .errs = "", .n_errs = 0});
	ck_assert_int_eq(wire_get_done(&d, &payload, &err), 0);
	ck_assert_uint_eq(d.exit_code, 3);
	ck_assert(!d.in_file);
	ck_assert_uint_eq(d.n_out, 3);
	ck_assert_mem_eq(d.out, "a\0b", 3);
	ck_assert_uint_eq(d.n_errs, 0);
	buf_clear(&payload);
	wire_put_done(&payload, &(struct wire_done){.in_file = true, .n_out = UINT32_MAX, .n_errs = 7});
	ck_assert_int_eq(wire_get_done(&d, &payload, &err), 0);
	ck_assert(d.in_file);
	ck_assert_uint_eq(d.n_out, UINT32_MAX);
	ck_assert_uint_eq(d.n_errs, 7);
	buf_clear(&payload);
	wire_put_done(&payload, &(struct wire_done){.exit_code = 256, .out = "", .errs = ""});
	ck_assert_int_eq(wire_get_done(&d, &payload, &err), -1);
}
END_TEST

START_TEST(run_names_only_words_that_exist)
{
	struct wire_run r = {.flags = RUN_DEPFILE | RUN_ASM_DEPFILE,
			     .depfile_word = 1,
			     .asm_depfile_word = 2,
			     .max_messages = 1ull << 40,
			     .argv = run_words,
			     .n_argv = 3},
			got;
	wire_put_run(&payload, &r);
	ck_assert_int_eq(wire_get_run(&got, &arena, &payload, &err), 0);
	ck_assert_uint_eq(got.flags, 3);
	ck_assert_uint_eq(got.depfile_word, 1);
	ck_assert_uint_eq(got.asm_depfile_word, 2);
	ck_assert(got.max_messages == 1ull << 40);
	ck_assert_uint_eq(got.n_argv, 3);
	ck_assert_str_eq(got.argv[2], "-MF");
	ck_assert_ptr_null(got.argv[3]);
	static const uint32_t bad[] = {0, 3, UINT32_MAX};
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct wire_run wrong = r;
		wrong.depfile_word = bad[i];
		buf_clear(&payload);
		wire_put_run(&payload, &wrong);
		ck_assert_int_eq(get_run(&payload), -1);
		wrong = r;
		wrong.asm_depfile_word = bad[i];
		buf_clear(&payload);
		wire_put_run(&payload, &wrong);
		ck_assert_int_eq(get_run(&payload), -1);
	}
	r.flags = 4;
	buf_clear(&payload);
	wire_put_run(&payload, &r);
	ck_assert_int_eq(get_run(&payload), -1);
}
END_TEST

START_TEST(a_result_arrives_as_it_was_sent)
{
	struct wire_result r;
	wire_put_result(&payload,
			&(struct wire_result){
				.status = 0x8b, .overflow = 1, .start_ns = UINT64_MAX, .wall_us = 5, .has = RUN_DEPFILE});
	ck_assert_int_eq(wire_get_result(&r, &payload, &err), 0);
	ck_assert_uint_eq(r.status, 0x8b);
	ck_assert_uint_eq(r.overflow, 1);
	ck_assert(r.start_ns == UINT64_MAX && r.wall_us == 5);
	ck_assert_uint_eq(r.has, RUN_DEPFILE);
}
END_TEST

// ---- the place ----------------------------------------------------------------------------------------------------

static const char *table_env(void *table, const char *name)
{
	for (const char **at = table; *at; at += 2)
		if (strcmp(*at, name) == 0)
			return at[1];
	return NULL;
}

#define PLACE(...) find((const char *[]){__VA_ARGS__, NULL})
static struct wire_place find(const char **table)
{
	struct wire_place p;
	bool found = wire_find_place(&p, &arena, table_env, table);
	ck_assert(found == (p.dir != NULL));
	return p;
}

START_TEST(the_place_follows_the_environment)
{
	ck_assert_str_eq(PLACE("HOME", "/h").dir, "/h/.cache/coffer/run");
	ck_assert_str_eq(PLACE("HOME", "/h", "XDG_CACHE_HOME", "/c").dir, "/c/coffer/run");
	ck_assert_str_eq(PLACE("HOME", "/h", "XDG_CACHE_HOME", "/c", "COFFER_CACHE_DIR", "/d").dir, "/d/run");
	ck_assert_str_eq(PLACE("COFFER_RUNTIME_DIR", "/r", "XDG_RUNTIME_DIR", directory, "HOME", "/h").dir, "/r");
	AUTO_FREE char *below = mem_printf("%s/coffer", directory);
	ck_assert_str_eq(PLACE("XDG_RUNTIME_DIR", directory, "HOME", "/h").dir, below);
}
END_TEST

START_TEST(there_is_no_place_without_an_absolute_directory)
{
	ck_assert_ptr_null(PLACE(NULL).dir);
	ck_assert_ptr_null(PLACE("HOME", "").dir);
	ck_assert_ptr_null(
		PLACE("HOME", "h", "XDG_CACHE_HOME", "c", "COFFER_CACHE_DIR", "d", "COFFER_RUNTIME_DIR", "r").dir);
}
END_TEST

START_TEST(a_runtime_directory_that_is_not_ours_alone_is_passed_over)
{
	AUTO_FREE char *missing = mem_printf("%s/missing", directory);
	ck_assert_str_eq(PLACE("XDG_RUNTIME_DIR", missing, "HOME", "/h").dir, "/h/.cache/coffer/run");
	ck_assert_int_eq(chmod(directory, 0770), 0);
	ck_assert_str_eq(PLACE("XDG_RUNTIME_DIR", directory, "HOME", "/h").dir, "/h/.cache/coffer/run");
}
END_TEST

START_TEST(each_configuration_has_its_own_name)
{
	const struct wire_place places[] = {
		PLACE("COFFER_RUNTIME_DIR", "/r"),
		PLACE("COFFER_RUNTIME_DIR", "/r", "HOME", ""),
		PLACE("COFFER_RUNTIME_DIR", "/r", "HOME", "/h"),
		PLACE("COFFER_RUNTIME_DIR", "/r", "XDG_CONFIG_HOME", "/h"),
		PLACE("COFFER_RUNTIME_DIR", "/r", "XDG_CACHE_HOME", "/h"),
		PLACE("COFFER_RUNTIME_DIR", "/r", "COFFER_CONFIG", "/h"),
		PLACE("COFFER_RUNTIME_DIR", "/r", "COFFER_CACHE_DIR", "/h"),
		PLACE("COFFER_CACHE_DIR", "/h"), // this one depends on the host, too
	};
	for (size_t i = 0; i < COUNT_OF(places); i++)
		for (size_t k = 0; k < i; k++)
			ck_assert_str_ne(places[i].name, places[k].name);
	ck_assert_str_eq(PLACE("COFFER_RUNTIME_DIR", "/r", "HOME", "/h", "LANG", "C").name, places[2].name);
}
END_TEST

START_TEST(another_world_has_a_place_below_the_cache)
{
	const char *table[] = {"COFFER_RUNTIME_DIR", "/r", "HOME", "/h", NULL}, *none[] = {NULL};
	struct wire_place usual = find(table), own;
	ck_assert_int_eq(wire_find_place_in(&own, &usual, &arena, table_env, table), 0);
	ck_assert_str_eq(own.dir, "/h/.cache/coffer/run");
	ck_assert_uint_eq(strlen(own.name), strlen(usual.name) + 26);
	ck_assert_int_eq(strncmp(own.name, usual.name, strlen(usual.name)), 0);
	ck_assert_int_eq(wire_find_place_in(&own, &usual, &arena, table_env, none), -1);
}
END_TEST

START_TEST(a_world_is_known_by_each_of_its_parts)
{
	struct wire_world own, peer;
	int pair[2];
	ck_assert_int_eq(wire_own_world(&own), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(wire_peer_world(&peer, pair[0]), 0);
	ck_assert(wire_same_world(&own, &peer));
	struct wire_world others[] = {own, own, own, own};
	others[0].mounts++;
	others[1].root_dev++;
	others[2].root_ino++;
	others[3].group++;
	for (size_t i = 0; i < COUNT_OF(others); i++)
		ck_assert(!wire_same_world(&own, &others[i]));
	close(pair[0]);
	close(pair[1]);
}
END_TEST

static struct wire_place place_in(const char *dir)
{
	return (struct wire_place){arena_printf(&arena, "%s/%s", directory, dir), arena_strdup(&arena, "daemon-0")};
}

START_TEST(the_lock_makes_the_directory_for_us_alone)
{
	struct wire_place p = place_in("a/b");
	struct stat st;
	int lock = wire_lock(&p, &err);
	ck_assert_msg(lock >= 0, "%s", err.text);
	ck_assert_int_eq(stat(p.dir, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0700);
	close(lock);
}
END_TEST

START_TEST(the_lock_has_one_holder_at_a_time)
{
	struct wire_place p = place_in("run");
	int lock = wire_lock(&p, &err);
	ck_assert_int_ge(lock, 0);
	ck_assert_int_eq(wire_lock(&p, &err), -1);
	ck_assert_int_eq(err.code, ERR_TIMEOUT);
	close(lock);
	lock = wire_lock(&p, &err);
	ck_assert_int_ge(lock, 0);
	close(lock);
}
END_TEST

START_TEST(a_directory_that_others_can_enter_is_refused)
{
	struct wire_place p = place_in("run");
	ck_assert_int_eq(mkdir(p.dir, 0700), 0);
	ck_assert_int_eq(chmod(p.dir, 0710), 0);
	ck_assert_int_eq(wire_lock(&p, &err), -1);
	ck_assert_int_eq(err.code, ERR_ACCESS);
}
END_TEST

START_TEST(a_lock_that_is_a_link_is_refused)
{
	struct wire_place p = place_in("run");
	ck_assert_int_eq(mkdir(p.dir, 0700), 0);
	ck_assert_int_eq(symlink("/etc/passwd", arena_printf(&arena, "%s/%s.lock", p.dir, p.name)), 0);
	ck_assert_int_eq(wire_lock(&p, &err), -1);
}
END_TEST

#define DEAD "daemon-0123456789abcdef-00000001-0123456789abcdef"
#define LIVING "daemon-0123456789abcdef-00000001-1123456789abcdef"
#define OF_ANOTHER_HOST "daemon-0123456789abcdef-00000002-2123456789abcdef"
#define OWN "daemon-fedcba9876543210-00000001-0123456789abcdef"

static bool exists(const char *name)
{
	struct stat st;
	return lstat(arena_printf(&arena, "%s/run/%s", directory, name), &st) == 0;
}

START_TEST(what_other_worlds_have_left_is_removed)
{
	struct wire_place own = place_in("run"), dead = own, living = own, far = own, usual = own;
	own.name = arena_strdup(&arena, OWN);
	dead.name = arena_strdup(&arena, DEAD);
	living.name = arena_strdup(&arena, LIVING);
	far.name = arena_strdup(&arena, OF_ANOTHER_HOST);
	int locks[] = {wire_lock(&usual, &err), wire_lock(&dead, &err), wire_lock(&living, &err), wire_lock(&far, &err)};
	int listener = wire_listen(&living), ended[] = {wire_listen(&dead), wire_listen(&usual), wire_listen(&far)};
	for (size_t i = 0; i < COUNT_OF(ended); i++)
		close(ended[i]);
	ck_assert_int_ge(listener, 0);
	wire_remove_left(&own); // its lock is held
	ck_assert(exists(DEAD));
	for (size_t i = 0; i < COUNT_OF(locks); i++)
		close(locks[i]);
	wire_remove_left(&own);
	ck_assert(!exists(DEAD) && !exists(DEAD ".lock"));
	ck_assert(exists(LIVING) && exists(LIVING ".lock"));
	ck_assert(exists("daemon-0") && exists("daemon-0.lock"));
	ck_assert(exists(OF_ANOTHER_HOST) && exists(OF_ANOTHER_HOST ".lock"));
	close(listener);
}
END_TEST

// ---- the socket ---------------------------------------------------------------------------------------------------

static void expect_connection(const struct wire_place *p)
{
	int lock = wire_lock(p, &err), listener = wire_listen(p), client = wire_connect(p);
	ck_assert_msg(lock >= 0, "%s", err.text);
	ck_assert_int_ge(listener, 0);
	ck_assert_int_ge(client, 0);
	int server = accept(listener, NULL, NULL);
	ck_assert_int_ge(server, 0);
	ck_assert_int_eq(wire_check_peer(client, &err), 0);
	ck_assert_int_eq(wire_check_peer(server, &err), 0);
	ck_assert_int_eq(fcntl(listener, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(client, F_GETFD), FD_CLOEXEC);
	close(server);
	close(client);
	close(listener);
	close(lock);
	ck_assert_int_eq(wire_connect(p), -1);
	ck_assert_int_eq(errno, ECONNREFUSED);
}

START_TEST(connecting_finds_who_listens)
{
	struct wire_place p = place_in("run");
	ck_assert_int_eq(wire_connect(&p), -1);
	ck_assert_int_eq(errno, ENOENT);
	expect_connection(&p);
	expect_connection(&p); // over the socket that was left
}
END_TEST

START_TEST(a_path_longer_than_an_address_works)
{
	char name[201];
	memset(name, 'x', sizeof name - 1);
	name[200] = '\0';
	struct wire_place p = place_in(name);
	expect_connection(&p);
	p.name = arena_printf(&arena, "%.100s", name);
	ck_assert_int_eq(wire_listen(&p), -1);
	ck_assert_int_eq(errno, ENAMETOOLONG);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("wire");
	TCase *c = tcase_create("wire");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_job_arrives_as_it_was_sent);
	tcase_add_test(c, messages_keep_their_borders_and_order);
	tcase_add_test(c, a_large_message_arrives_with_its_descriptors);
	tcase_add_test(c, silence_is_a_timeout_and_half_a_message_is_not);
	tcase_add_test(c, a_receiver_that_takes_nothing_is_a_timeout);
	tcase_add_test(c, a_closed_connection_is_the_peers_fault);
	tcase_add_test(c, nonsense_is_refused);
	tcase_add_test(c, what_is_too_long_is_not_sent);
	tcase_add_test(c, too_many_descriptors_are_refused_and_closed);
	tcase_add_test(c, payloads_that_are_cut_off_are_refused);
	tcase_add_test(c, a_job_that_makes_no_sense_is_refused);
	tcase_add_test(c, a_word_with_a_nul_is_refused);
	tcase_add_test(c, a_count_of_words_that_cannot_be_is_refused_at_once);
	tcase_add_test(c, done_carries_messages_or_their_lengths);
	tcase_add_test(c, run_names_only_words_that_exist);
	tcase_add_test(c, a_result_arrives_as_it_was_sent);
	tcase_add_test(c, the_place_follows_the_environment);
	tcase_add_test(c, there_is_no_place_without_an_absolute_directory);
	tcase_add_test(c, a_runtime_directory_that_is_not_ours_alone_is_passed_over);
	tcase_add_test(c, each_configuration_has_its_own_name);
	tcase_add_test(c, another_world_has_a_place_below_the_cache);
	tcase_add_test(c, a_world_is_known_by_each_of_its_parts);
	tcase_add_test(c, what_other_worlds_have_left_is_removed);
	tcase_add_test(c, the_lock_makes_the_directory_for_us_alone);
	tcase_add_test(c, the_lock_has_one_holder_at_a_time);
	tcase_add_test(c, a_directory_that_others_can_enter_is_refused);
	tcase_add_test(c, a_lock_that_is_a_link_is_refused);
	tcase_add_test(c, connecting_finds_who_listens);
	tcase_add_test(c, a_path_longer_than_an_address_works);
	suite_add_tcase(s, c);
	return s;
}
