// What goes along to another machine, and in what form.
#include "base/clock.h"
#include "base/file.h"
#include "base/path.h"
#include "client/farm/call.h"
#include "client/farm/latency.h"
#include "client/farm/object.h"
#include "client/farm/parts.h"
#include "client/farm/preprocess.h"
#include "compiler/travel.h"
#include "tests/unit/cmdline_helpers.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <sys/wait.h>
#include <zstd.h>

static struct travel_arguments words_of(const char *text)
{
	struct travel_arguments w;
	struct compiler cc = {.family = strstr(text, "clang") ? FAMILY_CLANG : FAMILY_GCC};
	expect_reason(text, REASON_NONE);
	travel_arguments(&w, &arena, &c, &cc);
	return w;
}

static void expect_words(const char *text, const char *expected)
{
	struct travel_arguments w = words_of(text);
	AUTO_BUF struct buf b = BUF_INIT;
	ck_assert_msg(!w.refused, "'%s': %s", text, w.refused);
	for (unsigned i = 0; i < w.n; i++)
		buf_addf(&b, "%s%s", i ? " " : "", w.arguments[i]);
	ck_assert_str_eq(b.data ? b.data : "", expected);
}

START_TEST(only_what_compiles_goes_along)
{
	expect_words("gcc -DX=1 -UY -D Z -Iinc -I inc -isystem sys -include a.h -O2 -g -Wall -MD -MF x.d -c x.c -o x.o",
		     "-O2 -g -Wall");
	expect_words("gcc -std=c11 -fPIC -mavx2 -pthread -w -pipe -c x.c", "-std=c11 -fPIC -mavx2 -pthread -w");
	expect_words("clang -O1 -fno-rtti -c x.cc", "-O1 -fno-rtti");
	expect_words("gcc -g -gsplit-dwarf -c x.c -o d/x.c.o", "-g -gsplit-dwarf");
	ck_assert_str_eq(words_of("gcc -x c++ -c x.c").language, "c++-cpp-output");
	ck_assert_str_eq(words_of("gcc -c x.mm").language, "objective-c++-cpp-output");
	ck_assert_str_eq(words_of("gcc -c x.c").suffix, ".i");
}
END_TEST

START_TEST(what_may_mean_something_else_there_stays_here)
{
	static const char *const stay[] = {
		"clang -march=native -c x.c",
		"clang -mtune=native -c x.c",
		"gcc -S x.c",
		"gcc -g3 -c x.c",
		"gcc -g -gsplit-dwarf -c x.c -o /abs/x.o",
		"gcc -g -gsplit-dwarf -c x.c -o ../x.o",
		"gcc -g -gsplit-dwarf -c x.c -o a=b.o",
		"clang -c x.m",
		"gcc -c x.S",
		"gcc -finput-charset=latin1 -c x.c",
		"gcc --coverage -c x.c",
		"clang -g -c x.c",
		"gcc -ffile-prefix-map=/a=/b -c x.c",
		"gcc -Wa,-I/x -c x.c",
		"gcc -fopt-info-vec -c x.c",
		"gcc -trigraphs -c x.c",
		"gcc -fstack-usage -c x.c",
		"gcc --param max-inline-insns-single=1 -c x.c",
	};
	for (size_t i = 0; i < COUNT_OF(stay); i++) {
		struct travel_arguments w;
		struct compiler cc = {.family = strstr(stay[i], "clang") ? FAMILY_CLANG : FAMILY_GCC};
		parse(stay[i]);
		if (c.reason != REASON_NONE)
			continue; // not even cached
		travel_arguments(&w, &arena, &c, &cc);
		ck_assert_msg(w.refused != NULL, "'%s' would go away", stay[i]);
	}
}
END_TEST

START_TEST(native_is_what_the_compiler_says_it_is)
{
	static const char verbose[] =
		"Target: x\n /usr/lib/gcc/cc1 -E -quiet -v -imultiarch x /dev/null -march=znver3 -mavx2 -mno-sgx "
		"--param l1-cache-size=32 --param \"l2-cache-size=512\" -mtune=znver3\nend -mno\n";
	const char *meaning[16];
	unsigned n = travel_native(verbose, &arena, meaning, 16);
	ck_assert_uint_eq(n, 6);
	ck_assert_str_eq(meaning[0], "-march=znver3");
	ck_assert_str_eq(meaning[3], "--param=l1-cache-size=32");
	ck_assert_str_eq(meaning[4], "--param=l2-cache-size=512");
	struct travel_arguments w = words_of("gcc -O2 -march=native -mno-avx2 -mtune=native -c x.c");
	ck_assert_uint_eq(w.n_native, 2);
	travel_resolve_native(&w, &arena, meaning, 2);
	static const char *const expected[] = {"-O2", "-march=znver3", "-mavx2", "-mno-avx2"};
	ck_assert_uint_eq(w.n, 4);
	for (size_t i = 0; i < 4; i++)
		ck_assert_str_eq(w.arguments[i], expected[i]);
	ck_assert_uint_eq(travel_native("no such line", &arena, meaning, 16), 0);
}
END_TEST

START_TEST(the_preprocessor_writes_the_users_depfile)
{
	static const char *const extra[] = {"-fx", NULL};
	expect_reason("gcc -O2 -MMD -MP -DX -c dir/x.c -o out/x.o", REASON_NONE);
	const char **argv = travel_preprocess(&arena, &c, "gcc", extra, NULL);
	AUTO_BUF struct buf b = BUF_INIT;
	for (; *argv; argv++)
		buf_addf(&b, "%s ", *argv);
	ck_assert_str_eq(b.data, "gcc -fx -E -MF out/x.d -MT out/x.o -O2 -MMD -MP -DX dir/x.c ");
	expect_reason("gcc -c x.c", REASON_NONE);
	argv = travel_preprocess(&arena, &c, "gcc", extra + 1, "/dep");
	buf_clear(&b);
	for (; *argv; argv++)
		buf_addf(&b, "%s ", *argv);
	ck_assert_str_eq(b.data, "gcc -E -MD -MF /dep x.c ");
}
END_TEST

static const char *up;

static void expect_line(const char *line, const char *mapped)
{
	const char *const roots[2] = {"/home/me/tree", "/disk/tree"};
	AUTO_BUF struct buf b = BUF_INIT;
	preprocess_map_line(roots, up, line, strlen(line), &b);
	ck_assert_str_eq(b.data ? b.data : "", mapped);
}

START_TEST(line_markers_are_mapped_and_nothing_else)
{
	expect_line("# 1 \"/home/me/tree/a/x.c\"\n", "# 1 \"./a/x.c\"\n");
	expect_line("# 12 \"/disk/tree/x.h\" 1 3 4", "# 12 \"./x.h\" 1 3 4");
	expect_line("# 1 \"/home/me/tree//\"", "# 1 \".//\"");
	expect_line("# 1 \"/home/me/tree/sub//\"", "# 1 \"./sub//\"");
	expect_line("# 1 \"/home/me/tree2/x.c\"", "# 1 \"/home/me/tree2/x.c\"");
	expect_line("# 1 \"/home/me/tree\"", "# 1 \"/home/me/tree\"");
	expect_line("# 1 \"x.c\" 2", "# 1 \"x.c\" 2");
	expect_line("#pragma x \"/home/me/tree/x\"", "#pragma x \"/home/me/tree/x\"");
	expect_line("#", "#");
	expect_line("# 1 \"", "# 1 \"");
	up = "../../";
	expect_line("# 1 \"/home/me/tree/a/x.c\"\n", "# 1 \"../../a/x.c\"\n");
	expect_line("# 1 \"/home/me/tree/a/b//\"", "# 1 \"./a/b//\"");
	expect_line("# 1 \"/home/me/tree2/x.c\"", "# 1 \"/home/me/tree2/x.c\"");
	up = NULL;
	expect_line("", "");
}
END_TEST

static struct preprocess run_shell(const char *script)
{
	static const char *argv[] = {"sh", "-c", NULL, NULL};
	static const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
	argv[2] = script;
	struct preprocess p = {.program = "/bin/sh",
			       .argv = argv,
			       .envp = env,
			       .cwd_fd = AT_FDCWD,
			       .umask = 022,
			       .time_limit_ms = 5000,
			       .roots = {"/home/me/tree", NULL}};
	p.cwd_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct err err = ERR_INIT;
	ck_assert_msg(preprocess_run(&p, &err) == 0, "%s", err.text);
	return p;
}

START_TEST(the_text_is_hashed_as_it_is_sent)
{
	struct preprocess p =
		run_shell("printf '# 1 \"/home/me/tree/x.c\"\\nint x;'; i=0; while [ $i -lt 20000 ]; do echo "
			  "'int long_line_of_text; # 1 \"/home/me/tree/no\"'; i=$((i+1)); done; printf '# 2 \"end'");
	AUTO_FREE char *text = mem_alloc(p.size + 1);
	ck_assert_uint_eq(ZSTD_decompress(text, p.size, p.compressed.data, p.compressed.len), p.size);
	uint8_t sha[32];
	SHA256((const uint8_t *)text, p.size, sha);
	ck_assert(memcmp(sha, p.sha256, sizeof sha) == 0);
	ck_assert(strncmp(text, "# 1 \"./x.c\"\nint x;int long", 26) == 0);
	ck_assert(strstr(text, "/home/me/tree/no") != NULL);
	ck_assert_str_eq(text + p.size - 8, "# 2 \"end");
	ck_assert(p.status == 0 && !p.has_messages);
	preprocess_release(&p);
}
END_TEST

START_TEST(messages_and_failures_are_told)
{
	struct preprocess p = run_shell("echo oops >&2; exit 3");
	ck_assert(p.has_messages);
	ck_assert_int_eq(WEXITSTATUS(p.status), 3);
	preprocess_release(&p);
}
END_TEST

// A real object, made by this machine's compiler.
static void read_object(const char *flags, struct buf *out)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	char path[] = "/tmp/coffer-unit.XXXXXX";
	close(mkstemp(path));
	const char *command =
		arena_printf(&a, "echo 'int x; int f(int y) { return y + x; }' | cc %s -xc -c - -o %s", flags, path);
	ck_assert_int_eq(system(command), 0);
	ck_assert_int_eq(file_read(AT_FDCWD, path, 1 << 20, out, NULL, NULL), 0);
	unlink(path);
}

START_TEST(a_whole_object_is_one)
{
	static const char *const flags[] = {"-O0", "-g", "-O2 -ffunction-sections -fdata-sections", "-fno-pic"};
	for (size_t i = 0; i < COUNT_OF(flags); i++) {
		AUTO_BUF struct buf b = {.max = 1 << 20};
		struct err err = ERR_INIT;
		read_object(flags[i], &b);
		ck_assert_msg(object_check("x86_64-linux-gnu", b.data, b.len, &err) == 0, "'%s': %s", flags[i], err.text);
	}
	// Of these there is no ELF, and nothing is known of what is there instead.
	ck_assert_int_eq(object_check("x86_64-w64-mingw32", "x", 1, NULL), 0);
	ck_assert_int_eq(object_check("arm64-apple-darwin22", "x", 1, NULL), 0);
	ck_assert_int_eq(object_check("x86_64-w64-mingw32", "", 0, NULL), -1);
}
END_TEST

START_TEST(a_part_of_an_object_is_none)
{
	AUTO_BUF struct buf b = {.max = 1 << 20};
	read_object("-g", &b);
	// Each beginning of it, in memory of its own, so that a read behind it is seen.
	for (size_t n = 0; n < b.len; n++) {
		char *part = malloc(n + !n);
		memcpy(part, b.data, n);
		ck_assert_msg(object_check("x86_64-linux-gnu", part, n, NULL) == -1, "%zu of %zu bytes", n, b.len);
		free(part);
	}
	b.data[16] = 3; // a shared library
	ck_assert_int_eq(object_check("x86_64-linux-gnu", b.data, b.len, NULL), -1);
}
END_TEST

START_TEST(a_server_says_when_to_come_again)
{
	ck_assert_int_eq(remote_pause_ms(NULL), 0);
	ck_assert_int_eq(remote_pause_ms("0"), 1);
	ck_assert_int_eq(remote_pause_ms("250"), 250);
	ck_assert_int_eq(remote_pause_ms("60000"), REMOTE_PAUSE_MAX_MS);
	static const char *const longest[] = {"60001", "-1", "", "soon", "5s", " 5", "99999999999999999999", "1e3"};
	for (size_t i = 0; i < COUNT_OF(longest); i++)
		ck_assert_int_eq(remote_pause_ms(longest[i]), REMOTE_PAUSE_MAX_MS);
}
END_TEST

START_TEST(who_is_slow_is_known_after_some_jobs)
{
	struct latency fast = {0}, slow = {0};
	for (int i = 0; i < 3; i++) {
		latency_note(&fast, 100);
		latency_note(&slow, 4000);
	}
	ck_assert_int_eq(latency_best(-1, &fast), -1);
	ck_assert(!latency_is_slow(&slow, 100));
	latency_note(&fast, 100);
	latency_note(&slow, 4000);
	ck_assert_int_eq(latency_best(latency_best(-1, &slow), &fast), 100);
	ck_assert_int_eq(latency_best(latency_best(-1, &fast), &slow), 100);
	ck_assert(latency_is_slow(&slow, 100));
	ck_assert(!latency_is_slow(&fast, 100));
	ck_assert(!latency_is_slow(&slow, 1000)); // not four times
	// It gets better, and that is seen.
	for (int i = 0; i < 50; i++)
		latency_note(&slow, 100);
	ck_assert(!latency_is_slow(&slow, 100));
}
END_TEST

START_TEST(patience_is_five_seconds_or_four_times_the_best)
{
	ck_assert_int_eq(latency_patience_ms(-1), 5000);
	ck_assert_int_eq(latency_patience_ms(100), 5000);
	ck_assert_int_eq(latency_patience_ms(10000), 40000);
}
END_TEST

static void init_route(struct farm *f, unsigned i, struct route *r, const char *worker, const char *address)
{
	*r = (struct route){.worker = (char *)(uintptr_t)worker, .address = (char *)(uintptr_t)address, .in_flight = 1};
	f->routes[i] = r;
}

START_TEST(who_has_lied_is_struck_out_under_all_its_addresses)
{
	struct route routes[3], *list[3];
	struct farm f = {
		.lock = PTHREAD_MUTEX_INITIALIZER, .freed = PTHREAD_COND_INITIALIZER, .routes = list, .n_routes = 3};
	f.in_flight = 1;
	init_route(&f, 0, &routes[0], "w1", "10.0.0.1:1");
	init_route(&f, 1, &routes[1], "w2", "10.0.0.2:1");
	init_route(&f, 2, &routes[2], "w1", "10.0.0.3:1");
	struct farm_seat liar = {.route = &routes[2], .why = "it answers twice"};
	const struct farm_seat before = {.route = &routes[0]}, other = {.route = &routes[1]};
	ck_assert(farm_trusts(&f, &before));
	ck_assert(!farm_give(&f, &liar, FARM_LIED));
	ck_assert(!farm_trusts(&f, &before));
	ck_assert_str_eq(routes[0].lie, "it answers twice");
	ck_assert(farm_trusts(&f, &other));
}
END_TEST

START_TEST(trees_stop_after_three_refusals_in_a_row_until_one_is_compiled)
{
	struct route routes[2], *list[2];
	struct farm f = {.lock = PTHREAD_MUTEX_INITIALIZER, .routes = list, .n_routes = 2};
	init_route(&f, 0, &routes[0], "w1", "10.0.0.1:1");
	init_route(&f, 1, &routes[1], "w2", "10.0.0.2:1");
	for (int i = 1; i < FARM_MOST_TREE_FAILURES; i++)
		farm_note_tree(&f, "w1", false);
	farm_note_tree(&f, "w1", true);
	farm_note_tree(&f, "w1", false);
	ck_assert_int_eq(routes[0].trees_again_ms, 0);
	for (int i = 1; i < FARM_MOST_TREE_FAILURES; i++)
		farm_note_tree(&f, "w1", false);
	ck_assert_int_gt(routes[0].trees_again_ms, clock_ms());
	ck_assert_int_eq(routes[1].trees_again_ms, 0);
	farm_note_tree(&f, "w1", true);
	ck_assert_int_eq(routes[0].trees_again_ms, 0);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("remote client");
	TCase *t = tcase_create("all");
	tcase_add_test(t, only_what_compiles_goes_along);
	tcase_add_test(t, what_may_mean_something_else_there_stays_here);
	tcase_add_test(t, native_is_what_the_compiler_says_it_is);
	tcase_add_test(t, the_preprocessor_writes_the_users_depfile);
	tcase_add_test(t, line_markers_are_mapped_and_nothing_else);
	tcase_add_test(t, the_text_is_hashed_as_it_is_sent);
	tcase_add_test(t, messages_and_failures_are_told);
	tcase_add_test(t, a_whole_object_is_one);
	tcase_add_test(t, a_part_of_an_object_is_none);
	tcase_add_test(t, who_is_slow_is_known_after_some_jobs);
	tcase_add_test(t, patience_is_five_seconds_or_four_times_the_best);
	tcase_add_test(t, a_server_says_when_to_come_again);
	tcase_add_test(t, who_has_lied_is_struck_out_under_all_its_addresses);
	tcase_add_test(t, trees_stop_after_three_refusals_in_a_row_until_one_is_compiled);
	suite_add_tcase(s, t);
	return s;
}
