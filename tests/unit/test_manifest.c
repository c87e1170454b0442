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

START_TEST(an_earlier_view_of_the_places_holds_where_it_is_asked_for)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	make_file("y.c");
	make_file("early/other.h");
	make_file("late/h.h");
	struct include list[] = {{.name = "h.h", .form = INCLUDE_ANGLED}};
	struct scan source = {.includes = list, .n_includes = 1};
	const char *angled[] = {"early", "late"};
	struct search search = {.angled = angled, .n_angled = 2, .places = path_cache_new()};
	struct absent_input inputs[] = {{.path = "y.c", .digest = digest_of("y", 1), .scan = &source},
					{.path = "late/h.h", .scan = &(struct scan){0}}};
	struct absent_query q = {.cwd_fd = dir_fd, .search = &search, .inputs = inputs, .n_inputs = 2};
	struct absent_answer before, then, now, after;
	absent_find(&q, &a, &before);
	ck_assert(must_be_absent(&before, "early", "h.h"));
	make_file("early/h.h");
	q.since = before.job;
	absent_find(&q, &a, &then);
	ck_assert(must_be_absent(&then, "early", "h.h"));
	ck_assert_uint_gt(then.job, before.job);
	q.since = 0;
	absent_find(&q, &a, &now);
	ck_assert(!must_be_absent(&now, "early", "h.h"));
	// What another job has seen since is newer than that view, and counts.
	q.since = before.job;
	absent_find(&q, &a, &after);
	ck_assert(!must_be_absent(&after, "early", "h.h"));
	search_release(&search);
}
END_TEST

static bool is_absent_now(const struct absent_query *q, const char *directory, const char *name)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct absent_answer x;
	absent_find(q, &a, &x);
	return must_be_absent(&x, directory, name);
}

START_TEST(a_directory_that_is_written_to_tells_of_the_names_that_come)
{
	struct directory_watch *arrivals = directory_watch_new();
	ck_assert_ptr_nonnull(arrivals);
	make_file("y.c");
	make_file("early/other.h");
	make_file("late/h.h");
	make_file("late/s/p.h");
	struct include list[] = {{.name = "h.h", .form = INCLUDE_ANGLED}, {.name = "s/p.h", .form = INCLUDE_ANGLED}};
	struct scan source = {.includes = list, .n_includes = 2};
	const char *angled[] = {"early", "late"};
	struct search search = {.angled = angled, .n_angled = 2, .places = path_cache_new()};
	struct absent_input inputs[] = {{.path = "y.c", .digest = digest_of("y", 1), .scan = &source},
					{.path = "late/h.h", .scan = &(struct scan){0}},
					{.path = "late/s/p.h", .scan = &(struct scan){0}}};
	struct absent_query q = {.cwd_fd = dir_fd, .search = &search, .inputs = inputs, .n_inputs = 3, .arrivals = arrivals};
	for (int round = 0; round < 4; round++) {
		ck_assert(is_absent_now(&q, "early", "h.h") && is_absent_now(&q, "early", "s/p.h"));
		make_file("early/x.o"); // nobody waits for it
	}
	make_file("early/h.h");
	ck_assert(!is_absent_now(&q, "early", "h.h") && is_absent_now(&q, "early", "s/p.h"));
	ck_assert_int_eq(unlinkat(dir_fd, "early/h.h", 0), 0);
	for (int round = 0; round < 2; round++)
		ck_assert(is_absent_now(&q, "early", "h.h"));
	ck_assert_int_eq(symlinkat("../late/h.h", dir_fd, "early/h.h"), 0);
	ck_assert(!is_absent_now(&q, "early", "h.h"));
	ck_assert_int_eq(mkdirat(dir_fd, "early/s", 0755), 0);
	ck_assert(is_absent_now(&q, "early/s", "p.h"));
	make_file("early/s/p.h");
	ck_assert(!is_absent_now(&q, "early/s", "p.h") && !is_absent_now(&q, "early", "s/p.h"));
	// Another directory by that name, that was made elsewhere.
	ck_assert_int_eq(renameat(dir_fd, "early", dir_fd, "was"), 0);
	make_file("new/other.h");
	ck_assert_int_eq(renameat(dir_fd, "new", dir_fd, "early"), 0);
	for (int round = 0; round < 3; round++)
		ck_assert(is_absent_now(&q, "early", "h.h") && is_absent_now(&q, "early", "s/p.h"));
	ck_assert_int_eq(renameat(dir_fd, "early", dir_fd, "new"), 0);
	ck_assert_int_eq(renameat(dir_fd, "was", dir_fd, "early"), 0);
	ck_assert(!is_absent_now(&q, "early", "h.h") && !is_absent_now(&q, "early", "s/p.h"));
	search_release(&search);
	directory_watch_free(arrivals);
}
END_TEST

START_TEST(a_text_that_was_edited_asks_for_other_names)
{
	make_file("y.c");
	make_file("inc/h.h");
	struct include first[] = {{.name = "one.h", .form = INCLUDE_QUOTED}},
		       second[] = {{.name = "two.h", .form = INCLUDE_QUOTED}};
	struct include list[] = {{.name = "h.h", .form = INCLUDE_ANGLED}};
	struct scan source = {.includes = list, .n_includes = 1}, was = {.includes = first, .n_includes = 1},
		    is = {.includes = second, .n_includes = 1};
	const char *angled[] = {"inc"};
	struct search search = {.angled = angled, .n_angled = 1, .places = path_cache_new()};
	struct absent_input inputs[] = {{.path = "y.c", .digest = digest_of("y", 1), .scan = &source},
					{.path = "inc/h.h", .digest = digest_of("was", 3), .scan = &was}};
	struct absent_query q = {.cwd_fd = dir_fd, .search = &search, .inputs = inputs, .n_inputs = 2};
	for (int round = 0; round < 2; round++)
		ck_assert(is_absent_now(&q, "inc", "one.h") && !is_absent_now(&q, "inc", "two.h"));
	inputs[1] = (struct absent_input){.path = "inc/h.h", .digest = digest_of("is", 2), .scan = &is};
	ck_assert(!is_absent_now(&q, "inc", "one.h") && is_absent_now(&q, "inc", "two.h"));
	ck_assert(!is_absent_now(&q, "inc", "two.h.gch"));
	q.gch = true;
	ck_assert(is_absent_now(&q, "inc", "two.h.gch"));
	q.gch = false;
	ck_assert(!is_absent_now(&q, "inc", "two.h.gch"));
	search_release(&search);
}
END_TEST

static void names_are_sorted(const char **names, uint32_t n)
{
	struct absent_group group = {.dir = "", .names = names, .n_names = n};
	struct absent_answer x = {.groups = &group, .n_groups = 1};
	absent_sort(&x);
	for (uint32_t i = 1; i < n; i++)
		ck_assert_msg(strcmp(names[i - 1], names[i]) < 0, "%s, %s", names[i - 1], names[i]);
}

START_TEST(names_stand_as_strcmp_has_them)
{
	const char *names[] = {"b",
			       "a",
			       "",
			       "openssl/",
			       "openssl/a",
			       "openssl/aaaaaaaa",
			       "openssl/aaaaaaaab",
			       "openssl/aaaaaaaaa",
			       "openssl/aaaaaaa\xff",
			       "openssl",
			       "\xc3\xa4",
			       "x/y",
			       "x.y",
			       "x-y",
			       "sys/types.h"};
	names_are_sorted(names, COUNT_OF(names));
	names_are_sorted(names, 1);
	names_are_sorted(names, 0);
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
	tcase_add_test(f, an_earlier_view_of_the_places_holds_where_it_is_asked_for);
	tcase_add_test(f, a_directory_that_is_written_to_tells_of_the_names_that_come);
	tcase_add_test(f, a_text_that_was_edited_asks_for_other_names);
	tcase_add_test(f, names_stand_as_strcmp_has_them);
	suite_add_tcase(s, f);
	return s;
}
