// depscan/manifest, absent, linediff.
#include "base/file.h"
#include "base/path.h"
#include "depscan/absent.h"
#include "depscan/linediff.h"
#include "depscan/manifest.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct digest digest_text(const char *s)
{
	return digest_of(s, strlen(s));
}

static struct manifest_entry make_entry(struct arena *a, const char *source_text, const char *header_text)
{
	struct manifest_entry e = {.made_at = 1700000000, .wall_us = 4200};
	e.result = digest_text(arena_printf(a, "%s%s", source_text, header_text));
	e.n_inputs = 2;
	e.inputs = arena_alloc(a, 2 * sizeof *e.inputs);
	e.inputs[0] = (struct manifest_input){
		"\1src/x.c", digest_text(source_text), digest_text("code"), INPUT_IN_DEPFILE, {0}, NULL};
	e.inputs[1] =
		(struct manifest_input){"/usr/include/h.h", digest_text(header_text), digest_text("code"), 0, {0}, NULL};
	e.n_absent = 1;
	e.absent = arena_alloc(a, sizeof *e.absent);
	static const char *names[] = {"h.h", "h.h.gch"};
	e.absent[0] = (struct absent_group){.dir = "", .names = names, .n_names = 2};
	e.present = names;
	e.n_present = 1;
	return e;
}

START_TEST(a_manifest_comes_back_as_it_was)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf bytes = BUF_INIT;
	struct digest key = digest_text("key");
	struct manifest_entry e = make_entry(&a, "one", "two");
	struct manifest *m = manifest_with(NULL, &key, &e, 8, &bytes);
	ck_assert_uint_eq(m->n_entries, 1);
	const struct manifest_entry *got = &m->entries[0];
	ck_assert(digest_equal(&got->result, &e.result));
	ck_assert_int_eq(got->made_at, e.made_at);
	ck_assert_uint_eq(got->wall_us, 4200);
	ck_assert_uint_eq(got->n_inputs, 2);
	ck_assert_str_eq(got->inputs[0].name, "\1src/x.c");
	ck_assert_uint_eq(got->inputs[0].flags, INPUT_IN_DEPFILE);
	ck_assert(digest_equal(&got->inputs[1].digest, &e.inputs[1].digest));
	ck_assert_str_eq(got->absent[0].dir, "");
	ck_assert_str_eq(got->absent[0].names[1], "h.h.gch");
	ck_assert_str_eq(got->present[0], "h.h");
	manifest_unref(m);
}
END_TEST

START_TEST(new_entries_come_first_and_the_number_is_bounded)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf bytes = BUF_INIT;
	struct digest key = digest_text("key");
	struct manifest *m = NULL;
	for (int i = 0; i < 10; i++) {
		struct manifest_entry e = make_entry(&a, arena_printf(&a, "text %d", i), "h");
		struct manifest *next = manifest_with(m, &key, &e, 4, &bytes);
		manifest_unref(m);
		m = next;
	}
	ck_assert_uint_eq(m->n_entries, 4);
	struct digest last = digest_text("text 9");
	ck_assert(digest_equal(&m->entries[0].inputs[0].digest, &last));
	// The same inputs again replace their entry.
	struct manifest_entry again = make_entry(&a, "text 8", "h");
	struct manifest *next = manifest_with(m, &key, &again, 4, &bytes);
	ck_assert_uint_eq(next->n_entries, 4);
	manifest_unref(m);
	manifest_unref(next);
}
END_TEST

START_TEST(damaged_manifests_are_refused)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct digest key = digest_text("key");
	struct manifest_entry e = make_entry(&a, "one", "two");
	AUTO_BUF struct buf b = BUF_INIT;
	manifest_encode(&e, 1, &b);
	for (size_t n = 0; n < b.len; n++)
		ck_assert_ptr_null(manifest_decode(&key, b.data, n, NULL));
	for (size_t i = 0; i < b.len; i++) {
		b.data[i] ^= 0x55;
		manifest_unref(manifest_decode(&key, b.data, b.len, NULL)); // anything but a crash
		b.data[i] ^= 0x55;
	}
}
END_TEST

// ---- absent ---------------------------------------------------------------------------------------------------------

static char dir[64];
static int dir_fd;

static void enter_directory(void)
{
	strcpy(dir, "/tmp/coffer-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	dir_fd = open(dir, O_PATH | O_DIRECTORY);
}

static void leave_directory(void)
{
	char command[128];
	close(dir_fd);
	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
}

static void make_file(const char *name)
{
	AUTO_FREE char *full = mem_printf("%s/%s", dir, name);
	AUTO_ARENA struct arena a = ARENA_INIT;
	ck_assert_int_eq(file_make_dirs(path_dir(&a, full), 0755, NULL), 0);
	ck_assert_int_eq(file_write_atomic(AT_FDCWD, full, "", 0, 0644, NULL), 0);
}

static bool must_be_absent(const struct absent_answer *x, const char *directory, const char *name)
{
	for (uint32_t i = 0; i < x->n_groups; i++)
		for (uint32_t k = 0; strcmp(x->groups[i].dir, directory) == 0 && k < x->groups[i].n_names; k++)
			if (strcmp(x->groups[i].names[k], name) == 0)
				return true;
	return false;
}

START_TEST(every_place_before_the_one_that_was_found_must_stay_empty)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	make_file("src/x.c");
	make_file("two/sys/h.h");
	make_file("two/probe.h");
	struct include list[] = {{.name = "sys/h.h", .form = INCLUDE_QUOTED},
				 {.name = "nowhere.h", .form = INCLUDE_ANGLED},
				 {.name = "probe.h", .form = INCLUDE_ANGLED, .probe = true}};
	struct scan source = {.includes = list, .n_includes = 3}, header = {0};
	const char *angled[] = {"one", "two", "three"}, *missing[] = {"gone/sub"};
	make_file("one/other.h");
	make_file("three/sys/h.h");
	struct search search = {
		.angled = angled, .n_angled = 3, .missing = missing, .n_missing = 1, .places = path_cache_new()};
	struct absent_input inputs[] = {{.path = "src/x.c", .scan = &source}, {.path = "two/sys/h.h", .scan = &header}};
	struct absent_query q = {.cwd_fd = dir_fd, .search = &search, .inputs = inputs, .n_inputs = 2, .gch = true};
	struct absent_answer x;
	absent_find(&q, &a, &x);
	ck_assert(must_be_absent(&x, "src", "sys/h.h")); // the includer's directory has not even the directory
	ck_assert(must_be_absent(&x, "one", "sys/h.h"));
	ck_assert(!must_be_absent(&x, "three/sys", "h.h")); // behind the one that was found
	ck_assert(must_be_absent(&x, "three", "nowhere.h"));
	ck_assert(must_be_absent(&x, "two/sys", "h.h.gch"));
	ck_assert(must_be_absent(&x, "", "gone/sub/sys/h.h")); // a directory of the search path that may come
	ck_assert_uint_eq(x.n_present, 1);
	ck_assert_str_eq(x.present[0], "two/probe.h");
	ck_assert_uint_eq(x.n_further, 0);
	search_release(&search);
}
END_TEST

START_TEST(what_was_met_before_is_looked_at_again_when_its_directory_changes)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	make_file("y.c");
	make_file("late/h.h");
	struct include list[] = {{.name = "h.h", .form = INCLUDE_ANGLED}, {.name = "s/p.h", .form = INCLUDE_ANGLED}};
	struct scan source = {.includes = list, .n_includes = 2};
	const char *angled[] = {"early", "late"};
	struct search search = {.angled = angled, .n_angled = 2, .places = path_cache_new()};
	struct absent_input inputs[] = {{.path = "y.c", .digest = digest_of("y", 1), .scan = &source},
					{.path = "late/h.h", .scan = &(struct scan){0}}};
	struct absent_query q = {.cwd_fd = dir_fd, .search = &search, .inputs = inputs, .n_inputs = 2};
	struct absent_answer x;
	ck_assert_int_eq(mkdirat(dir_fd, "early", 0755), 0);
	// Old directories, so that what was seen in them may be believed.
	struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
	ck_assert_int_eq(utimensat(dir_fd, "early", old, 0), 0);
	for (int round = 0; round < 3; round++) {
		absent_find(&q, &a, &x);
		ck_assert(must_be_absent(&x, "early", "h.h") && must_be_absent(&x, "late", "s/p.h"));
	}
	make_file("early/h.h");
	absent_find(&q, &a, &x);
	ck_assert(!must_be_absent(&x, "early", "h.h"));
	make_file("early/s/p.h");
	absent_find(&q, &a, &x);
	ck_assert(!must_be_absent(&x, "late", "s/p.h") && !must_be_absent(&x, "early", "s/p.h"));
	ck_assert_int_eq(unlinkat(dir_fd, "early/s/p.h", 0), 0);
	ck_assert_int_eq(symlinkat("nowhere", dir_fd, "early/s/p.h"), 0);
	absent_find(&q, &a, &x);
	ck_assert(must_be_absent(&x, "early/s", "p.h"));
	make_file("early/s/nowhere");
	absent_find(&q, &a, &x);
	ck_assert(!must_be_absent(&x, "early/s", "p.h"));
	search_release(&search);
}
END_TEST

static struct scan reached_scan;

static bool read_any(void *ctx, const char *path, struct absent_input *out)
{
	(*(int *)ctx)++;
	static struct include inner[] = {{.name = "inner.h", .form = INCLUDE_QUOTED}};
	reached_scan = (struct scan){.includes = inner, .n_includes = 1};
	static const struct scan none;
	*out = (struct absent_input){.path = path, .scan = strstr(path, "outer") ? &reached_scan : &none};
	return true;
}

START_TEST(with_a_scanner_includes_are_followed_to_what_they_reach)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	make_file("x.c");
	make_file("sys/outer.h");
	make_file("sys/inner.h");
	make_file("sys/next.h");
	make_file("more/next.h");
	struct include list[] = {{.name = "outer.h", .form = INCLUDE_ANGLED},
				 {.name = "next.h", .form = INCLUDE_ANGLED, .next = true}};
	struct scan source = {.includes = list, .n_includes = 2};
	const char *angled[] = {"sys", "more"};
	struct search search = {.angled = angled, .n_angled = 2, .places = path_cache_new()};
	struct absent_input inputs[] = {{.path = "x.c", .scan = &source}};
	int scanned = 0;
	struct absent_query q = {
		.cwd_fd = dir_fd, .search = &search, .inputs = inputs, .n_inputs = 1, .read = read_any, .ctx = &scanned};
	struct absent_answer x;
	absent_find(&q, &a, &x);
	ck_assert_uint_eq(x.n_further, 4); // outer.h, inner.h, and next.h in both places
	ck_assert_int_eq(scanned, 4);
	ck_assert(!x.computed);
	search_release(&search);
}
END_TEST

// ---- linediff -------------------------------------------------------------------------------------------------------

static char *diff_text(struct arena *a, const char *was, const char *now)
{
	struct line_change *c;
	unsigned n_all, n = linediff(a, was, strlen(was), now, strlen(now), &c, &n_all);
	char *text = arena_strdup(a, "");
	for (unsigned i = 0; i < n; i++)
		text = arena_printf(a, "%s%u%c%s;", text, c[i].line, c[i].sign, c[i].text);
	return text;
}

START_TEST(linediff_names_the_lines)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	ck_assert_str_eq(diff_text(&a, "a\nb\nc\n", "a\nB\nc\n"), "2-b;2+B;");
	ck_assert_str_eq(diff_text(&a, "a\nc\n", "a\nb\nc\n"), "2+b;");
	ck_assert_str_eq(diff_text(&a, "a\nb\nc\nd\n", "b\nc\nX\nd"), "1-a;3+X;");
	ck_assert_str_eq(diff_text(&a, "", "x"), "1+x;");
	ck_assert_str_eq(diff_text(&a, "same\n", "same\n"), "");
}
END_TEST

START_TEST(linediff_of_large_texts_is_bounded)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf was = BUF_INIT;
	AUTO_BUF struct buf now = BUF_INIT;
	for (int i = 0; i < 50000; i++) {
		buf_addf(&was, "old %d\n", i);
		buf_addf(&now, "new %d\n", i);
	}
	struct line_change *c;
	unsigned n_all, n = linediff(&a, was.data, was.len, now.data, now.len, &c, &n_all);
	ck_assert_uint_eq(n, LINEDIFF_MAX_CHANGES);
	ck_assert_uint_eq(n_all, 100000);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("manifest");
	TCase *t = tcase_create("manifest");
	tcase_add_test(t, a_manifest_comes_back_as_it_was);
	tcase_add_test(t, new_entries_come_first_and_the_number_is_bounded);
	tcase_add_test(t, damaged_manifests_are_refused);
	tcase_add_test(t, linediff_names_the_lines);
	tcase_add_test(t, linediff_of_large_texts_is_bounded);
	suite_add_tcase(s, t);
	TCase *f = tcase_create("absent");
	tcase_add_checked_fixture(f, enter_directory, leave_directory);
	tcase_add_test(f, every_place_before_the_one_that_was_found_must_stay_empty);
	tcase_add_test(f, what_was_met_before_is_looked_at_again_when_its_directory_changes);
	tcase_add_test(f, with_a_scanner_includes_are_followed_to_what_they_reach);
	suite_add_tcase(s, f);
	return s;
}
