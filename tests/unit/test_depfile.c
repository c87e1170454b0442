#include "depscan/depfile.h"

#include "base/child.h"
#include "base/file.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int parse(struct depfile *d, struct arena *a, const char *text)
{
	struct err err = ERR_INIT;
	int r = depfile_parse(d, a, text, strlen(text), &err);
	ck_assert_msg(r == 0 || err.code == ERR_FORMAT, "%s", err.text);
	return r;
}

static void check_names(const char *text, const char *const *want, unsigned n)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct depfile d;
	ck_assert_msg(parse(&d, &a, text) == 0, "%s", text);
	ck_assert_msg(d.n_deps == n, "%s: %u", text, d.n_deps);
	for (unsigned i = 0; i < n; i++)
		ck_assert_str_eq(d.deps[i], want[i]);
}
#define NAMES(text, ...) check_names(text, (const char *[]){__VA_ARGS__}, COUNT_OF(((const char *[]){__VA_ARGS__})))

static void check_same(const char *text, enum compiler_family family)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf out = BUF_INIT;
	struct depfile d;
	ck_assert_msg(parse(&d, &a, text) == 0, "%s", text);
	depfile_write(&d, family, &out);
	ck_assert_str_eq(out.data, text);
}

START_TEST(plain_names_are_split_at_spaces_and_continued_lines)
{
	NAMES("x.o: x.c a.h b.h\n", "x.c", "a.h", "b.h");
	NAMES("x.o: x.c \\\n a.h \\\n  b.h\n", "x.c", "a.h", "b.h");
	NAMES("x.o: \\\n x.c\n", "x.c");
	NAMES("x.o: x.c C:/a.h a:b\n", "x.c", "C:/a.h", "a:b");
}
END_TEST

START_TEST(escapes_of_names_are_undone)
{
	NAMES("x.o: a\\ b.c\n", "a b.c");
	NAMES("x.o: a\\#b.c a\\\\#b\n", "a#b.c", "a\\#b");
	NAMES("x.o: a$$b$$$$c\n", "a$b$$c");
	NAMES("x.o: a\\\tb\n", "a\tb");
	NAMES("x.o: a\tb\n", "a\tb");
	NAMES("x.o: a\\\\\\ b\n", "a\\ b");
	NAMES("x.o: a\\\\\\\\\\ b\n", "a\\\\ b");
	NAMES("x.o: a\\\\ b\n", "a\\\\", "b");
	NAMES("x.o: a\\b\\\\c\n", "a\\b\\\\c");
	NAMES("x.o: #x $x\n", "#x", "$x");
}
END_TEST

START_TEST(targets_stay_escaped)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct depfile d;
	ck_assert_int_eq(parse(&d, &a, "a\\ b $(obj)/x\\#y c:d z:: x.c\n"), 0);
	ck_assert_uint_eq(d.n_targets, 4);
	ck_assert_str_eq(d.targets[0], "a\\ b");
	ck_assert_str_eq(d.targets[1], "$(obj)/x\\#y");
	ck_assert_str_eq(d.targets[2], "c:d");
	ck_assert_str_eq(d.targets[3], "z:");
}
END_TEST

START_TEST(a_rule_without_dependencies_is_one)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct depfile d;
	ck_assert_int_eq(parse(&d, &a, "x.o:\n"), 0);
	ck_assert_uint_eq(d.n_deps, 0);
}
END_TEST

START_TEST(empty_rules_are_known_in_every_style)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct depfile d;
	ck_assert_int_eq(parse(&d, &a, "x.o: x.c a.h b\\#.h\na.h:\nb\\#.h:\n"), 0);
	ck_assert(d.phony && !d.phony_spaced && d.main_dep == 0);
	ck_assert_int_eq(parse(&d, &a, "x.o: x.c a.h\n\na.h:\n"), 0);
	ck_assert(d.phony && d.phony_spaced && d.main_dep == 0);
	ck_assert_int_eq(parse(&d, &a, "x.o: ign.txt x.c a.h\nign.txt:\na.h:\n"), 0);
	ck_assert(d.phony && d.main_dep == 1);
	ck_assert_int_eq(parse(&d, &a, "x.o: ign.txt x.c\nign.txt:\n"), 0);
	ck_assert(d.phony && d.main_dep == 1);
	ck_assert_int_eq(parse(&d, &a, "x.o: a.h\na.h:\n"), 0);
	ck_assert(d.phony && d.main_dep == 1);
	ck_assert_int_eq(parse(&d, &a, "x.o: x.c a.h\n"), 0);
	ck_assert(!d.phony);
}
END_TEST

START_TEST(anything_but_one_rule_is_refused)
{
	static const char *const bad[] = {
		"",
		"\n",
		"x.o: x.c",
		"x.o x.c\n",
		": x.c\n",
		"x.o: x.c\ny.o: y.c\n",
		"x.o: x.c a.h b.h\na.h:\n",
		"x.o: x.c a.h\nb.h:\n",
		"x.o: x.c a.h\na.h: y\n",
		"x.o: x.c a.h\na.h:",
		"x.o: x.c a.h\n\na.h:\n\n",
		"x.o: x.c a.h\na.h:\na.h:\n",
		"x.o: x.c a.h b.h\n\na.h:\nb.h:\n",
		"x.o: x.c\\\n",
		"x.o: a\\\nb\n",
		"x.o: x.c gcm.cache/a.gcm\ngcm.cache/a.gcm:| x.o\n",
		"x.o: x.c\nCXX_IMPORTS += a.c++m\n",
	};
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		AUTO_ARENA struct arena a = ARENA_INIT;
		struct depfile d;
		struct err err = ERR_INIT;
		ck_assert_msg(depfile_parse(&d, &a, bad[i], strlen(bad[i]), &err) < 0, "%s", bad[i]);
		ck_assert_int_eq(err.code, ERR_FORMAT);
	}
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct depfile d;
	ck_assert_int_lt(depfile_parse(&d, &a, "x.o: a\0b\n", 9, NULL), 0);
}
END_TEST

START_TEST(a_line_break_in_a_target_loses_no_dependency)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct depfile d;
	ck_assert_int_lt(parse(&d, &a, "a:\nb: x.c y.h\n"), 0);
	ck_assert_int_lt(parse(&d, &a, "a\nb: x.c y.h\n"), 0);
	ck_assert_int_eq(parse(&d, &a, "a: b: x.c\n"), 0);
	ck_assert_uint_eq(d.n_deps, 2); // "b:" is no file, so the caller will not store it
}
END_TEST

START_TEST(too_many_names_are_refused)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf text = BUF_INIT;
	struct depfile d;
	struct err err = ERR_INIT;
	buf_adds(&text, "x:");
	for (unsigned i = 0; i < DEPFILE_MAX_DEPS; i++)
		buf_adds(&text, " a");
	buf_adds(&text, "\n");
	ck_assert_int_eq(depfile_parse(&d, &a, text.data, text.len, &err), 0);
	text.data[text.len - 1] = ' ';
	buf_adds(&text, "b\n");
	ck_assert_int_lt(depfile_parse(&d, &a, text.data, text.len, &err), 0);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	err_clear(&err);
	ck_assert_int_lt(depfile_parse(&d, &a, text.data, DEPFILE_MAX + 1, &err), 0);
	ck_assert_int_eq(err.code, ERR_LIMIT);
}
END_TEST

START_TEST(lines_break_where_each_compiler_breaks_them)
{
	char name[61];
	memset(name, 'n', 60);
	name[60] = '\0';
	AUTO_FREE char *gcc = mem_printf("x.o: %s a.h \\\n b1.h\n", name);
	check_same(gcc, FAMILY_GCC);
	AUTO_FREE char *clang = mem_printf("x.o: %s a1.h \\\n  b.h\n", name);
	check_same(clang, FAMILY_CLANG);
	check_same("a\\ b: a\\ b.h \\\\x c$$d \\#e\n", FAMILY_CLANG);
}
END_TEST

START_TEST(a_rule_is_rebuilt_for_other_targets)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf out = BUF_INIT;
	struct depfile d;
	ck_assert_int_eq(parse(&d, &a, "x.o: x.c \\\n a.h\na.h:\n"), 0);
	const char *targets[] = {"y.o", "$(z)"};
	d.targets = targets;
	d.n_targets = 2;
	depfile_write(&d, FAMILY_GCC, &out);
	ck_assert_str_eq(out.data, "y.o $(z): x.c a.h\na.h:\n");
}
END_TEST

// ---- against the compilers of this machine ----------------------------------------------------------------------------

struct path_place {
	char dir[256];
	struct arena a;
};

static void open_place(struct path_place *p)
{
	const char *tmp = getenv("TMPDIR");
	snprintf(p->dir, sizeof p->dir, "%s/depfileXXXXXX", tmp && strlen(tmp) < 200 ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(p->dir));
	ck_assert_int_eq(chdir(p->dir), 0);
	p->a = (struct arena)ARENA_INIT;
}

static int run(const char *const *argv)
{
	const char *with_path[40] = {"/usr/bin/env"};
	for (size_t i = 0; argv[i] && i + 2 < COUNT_OF(with_path); i++)
		with_path[i + 1] = argv[i];
	struct child c = {.argv = with_path, .cwd_fd = -1, .time_limit_ms = 60000, .max_output = 1 << 20};
	int r = child_run(&c, NULL);
	int status = r < 0 ? -1 : c.status;
	if (status > 0)
		fprintf(stderr, "%s\n", c.errs.data ? c.errs.data : "");
	child_release(&c);
	return status;
}

static bool have(const char *program)
{
	return run((const char *[]){program, "--version", NULL}) == 0;
}

static void close_place(struct path_place *p)
{
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(run((const char *[]){"rm", "-rf", p->dir, NULL}), 0);
	arena_release(&p->a);
}

static unsigned random_below(unsigned n)
{
	static uint64_t state = 12345;
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(state >> 33) % n;
}

// `odd`: how many of the oddities may be in it
static const char *random_name(struct path_place *p, unsigned odd)
{
	static const char *const oddities[] = {" ", "#", "$", ":",  "  ", "$$",  "(",   "%",
					       "'", "*", "é", "##", "\\", "\\ ", "\\#", "\\\\ "};
	ck_assert_uint_le(odd, COUNT_OF(oddities));
	AUTO_BUF struct buf b = BUF_INIT;
	buf_addc(&b, 'h');
	for (unsigned n = 1 + random_below(random_below(4) ? 12 : 70); n; n--) {
		if (odd && random_below(6) == 0)
			buf_adds(&b, oddities[random_below(odd)]);
		else
			buf_addc(&b, (char)('a' + random_below(26)));
	}
	buf_adds(&b, ".h");
	return arena_strdup(&p->a, b.data);
}

static void write_text(const char *name, const char *text)
{
	struct err err = ERR_INIT;
	ck_assert_msg(file_write_atomic(AT_FDCWD, name, text, strlen(text), 0644, &err) == 0, "%s", err.text);
}

static void random_sources(struct path_place *p, unsigned odd)
{
	AUTO_BUF struct buf source = BUF_INIT;
	for (unsigned n = random_below(20); n; n--) {
		const char *name = random_name(p, odd);
		write_text(name, "");
		buf_addf(&source, "#include \"%s\"\n", name);
	}
	if (random_below(2))
		buf_adds(&source, "#include <stddef.h>\n#include <stdint.h>\n");
	buf_adds(&source, "int x;\n");
	write_text("x.c", source.data);
}

static void check_real(struct path_place *p, const char *file, enum compiler_family family)
{
	AUTO_BUF struct buf text = BUF_INIT;
	AUTO_BUF struct buf out = BUF_INIT;
	struct depfile d;
	struct err err = ERR_INIT;
	ck_assert_msg(file_read(AT_FDCWD, file, DEPFILE_MAX, &text, NULL, &err) == 0, "%s", err.text);
	ck_assert_msg(depfile_parse(&d, &p->a, text.data, text.len, &err) == 0, "%s: %s", err.text, text.data);
	for (unsigned i = 0; i < d.n_deps; i++)
		ck_assert_msg(access(d.deps[i], R_OK) == 0, "'%s' is no file: %s", d.deps[i], text.data);
	depfile_write(&d, family, &out);
	ck_assert_str_eq(out.data, text.data);
}

static void check_compiler(const char *cc, enum compiler_family family)
{
	if (!have(cc))
		return;
	unsigned odd = family == FAMILY_GCC ? 16 : 12; // clang writes '/' for a backslash
	struct path_place p;
	open_place(&p);
	for (int i = 0; i < 40; i++) {
		random_sources(&p, i % 2 ? odd : 0);
		const char *argv[32] = {cc, "-w", "-E", "-o", "/dev/null", "-MF", "x.d", "x.c"};
		unsigned n = 8;
		argv[n++] = random_below(2) ? "-MD" : "-MMD";
		if (random_below(2))
			argv[n++] = "-MP";
		argv[n++] = random_below(2) ? "-MQ" : "-MT";
		argv[n++] = "x.o";
		for (unsigned k = random_below(5); k; k--) {
			bool quoted = random_below(2);
			argv[n++] = quoted ? "-MQ" : "-MT";
			argv[n++] = random_name(&p, quoted ? odd : 0);
		}
		ck_assert_int_eq(run(argv), 0);
		check_real(&p, "x.d", family);
	}
	close_place(&p);
}

START_TEST(depfiles_of_gcc_are_written_again_byte_for_byte)
{
	check_compiler("gcc", FAMILY_GCC);
}
END_TEST

START_TEST(depfiles_of_clang_are_written_again_byte_for_byte)
{
	check_compiler("clang", FAMILY_CLANG);
}
END_TEST

START_TEST(default_targets_and_ignore_lists_are_understood)
{
	struct path_place p;
	open_place(&p);
	write_text("a b$#.c", "#include \"q.h\"\n");
	write_text("q.h", "");
	write_text("list.txt", "\n");
	if (have("gcc")) {
		ck_assert_int_eq(run((const char *[]){"gcc", "-c", "-MD", "-MP", "a b$#.c", NULL}), 0);
		check_real(&p, "a b$#.d", FAMILY_GCC);
	}
	if (have("clang")) {
		ck_assert_int_eq(run((const char *[]){"clang", "-c", "-MD", "-MP", "-fsanitize=undefined",
						      "-fsanitize-ignorelist=list.txt", "a b$#.c", NULL}),
				 0);
		check_real(&p, "a b$#.d", FAMILY_CLANG);
	}
	close_place(&p);
}
END_TEST

START_TEST(names_that_the_assembler_read_are_found)
{
	if (!have("as"))
		return;
	struct path_place p;
	open_place(&p);
	static const char *const files[] = {"a b", "c$d", "e\\f", "g\\ h", "i\tj", "k:l"};
	AUTO_BUF struct buf source = BUF_INIT;
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		write_text(files[i], "x");
		buf_adds(&source, ".incbin \"");
		for (const char *c = files[i]; *c; c++)
			buf_addf(&source, *c == '\\' ? "\\\\" : "%c", *c);
		buf_adds(&source, "\"\n");
	}
	write_text("x.s", source.data);
	ck_assert_int_eq(run((const char *[]){"as", "--MD", "x.d", "-o", "x.o", "x.s", NULL}), 0);
	AUTO_BUF struct buf text = BUF_INIT;
	struct depfile d;
	struct err err = ERR_INIT;
	ck_assert_int_eq(file_read(AT_FDCWD, "x.d", DEPFILE_MAX, &text, NULL, &err), 0);
	ck_assert_msg(depfile_parse(&d, &p.a, text.data, text.len, &err) == 0, "%s", err.text);
	ck_assert_uint_eq(d.n_deps, COUNT_OF(files) + 1);
	for (size_t i = 0; i < COUNT_OF(files); i++)
		ck_assert_str_eq(d.deps[COUNT_OF(files) - 1 - i], files[i]);
	close_place(&p);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("depfile");
	TCase *t = tcase_create("depfile");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, plain_names_are_split_at_spaces_and_continued_lines);
	tcase_add_test(t, escapes_of_names_are_undone);
	tcase_add_test(t, targets_stay_escaped);
	tcase_add_test(t, a_rule_without_dependencies_is_one);
	tcase_add_test(t, empty_rules_are_known_in_every_style);
	tcase_add_test(t, anything_but_one_rule_is_refused);
	tcase_add_test(t, a_line_break_in_a_target_loses_no_dependency);
	tcase_add_test(t, too_many_names_are_refused);
	tcase_add_test(t, lines_break_where_each_compiler_breaks_them);
	tcase_add_test(t, a_rule_is_rebuilt_for_other_targets);
	tcase_add_test(t, depfiles_of_gcc_are_written_again_byte_for_byte);
	tcase_add_test(t, depfiles_of_clang_are_written_again_byte_for_byte);
	tcase_add_test(t, default_targets_and_ignore_lists_are_understood);
	tcase_add_test(t, names_that_the_assembler_read_are_found);
	suite_add_tcase(s, t);
	return s;
}
