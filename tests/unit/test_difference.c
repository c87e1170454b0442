// Where two objects differ: by sections where they are ELF objects, else by bytes; and hostile objects.
#include "base/file.h"
#include "base/tree.h"
#include "tests/unit/unit.h"
#include "worker/difference.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct arena arena;
static char *top;

static void setup(void)
{
	top = unit_directory();
}

static void teardown(void)
{
	tree_remove(AT_FDCWD, top);
	free(top);
	arena_release(&arena);
}

static void compile(const char *text, struct buf *object)
{
	struct err err = ERR_INIT;
	const char *file = arena_printf(&arena, "%s/x.s", top), *out = arena_printf(&arena, "%s/x.o", top);
	ck_assert_int_eq(file_write_atomic(AT_FDCWD, file, text, strlen(text), 0644, &err), 0);
	ck_assert_int_eq(system(arena_printf(&arena, "cc -c -o %s %s", out, file)), 0);
	ck_assert_int_eq(file_read(AT_FDCWD, out, 1 << 20, object, NULL, &err), 0);
}

static void differ(const char *was, const char *now, const char *words)
{
	AUTO_BUF struct buf a = BUF_INIT;
	AUTO_BUF struct buf b = BUF_INIT;
	AUTO_BUF struct buf said = BUF_INIT;
	compile(was, &a);
	compile(now, &b);
	difference_say(&a, &b, &said);
	ck_assert_msg(strncmp(said.data, words, strlen(words)) == 0, "%s", said.data);
}

START_TEST(the_first_differing_section_is_named)
{
	differ(".text\nnop\nnop\n.data\n.long 1, 2\n", ".text\nnop\nnop\n.data\n.long 1, 3\n",
	       "section '.data' differs at byte 4 of 8");
	differ(".text\nnop\n", ".text\nnop\nnop\n", "section '.text' differs at byte 1 of 2, it had 1");
	differ(".data\n.long 1\n", ".data\n.long 1\n.section .extra,\"a\"\n.long 2\n", "section '.extra' was '.");
	differ(".bss\n.skip 8\n", ".bss\n.skip 16\n", "section '.bss' has another kind, size or alignment");
}
END_TEST

START_TEST(other_bytes_are_compared_as_they_are)
{
	AUTO_BUF struct buf a = BUF_INIT;
	AUTO_BUF struct buf b = BUF_INIT;
	AUTO_BUF struct buf said = BUF_INIT;
	buf_adds(&a, "abcd");
	buf_adds(&b, "abxd");
	difference_say(&a, &b, &said);
	ck_assert_str_eq(said.data, "it differs at byte 2 of 4");
	buf_clear(&said);
	buf_clear(&b);
	difference_say(&a, &b, &said);
	ck_assert_str_eq(said.data, "it differs at byte 0 of 0");
}
END_TEST

// Whatever is cut or changed, something is said and nothing beyond the bytes is read (the sanitizers watch).
START_TEST(broken_objects_do_no_harm)
{
	AUTO_BUF struct buf good = BUF_INIT;
	compile(".text\nnop\n.data\n.long 1, 2\n", &good);
	srand(7);
	for (int i = 0; i < 4000; i++) {
		AUTO_BUF struct buf bad = BUF_INIT;
		AUTO_BUF struct buf said = BUF_INIT;
		buf_add(&bad, good.data, i % 3 ? good.len : (size_t)rand() % good.len);
		for (int k = 0; k < 4 && bad.len; k++)
			bad.data[(size_t)rand() % bad.len] = (char)rand();
		difference_say(&good, &bad, &said);
		ck_assert_uint_gt(said.len, 0);
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("difference");
	TCase *t = tcase_create("difference");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, the_first_differing_section_is_named);
	tcase_add_test(t, other_bytes_are_compared_as_they_are);
	tcase_add_test(t, broken_objects_do_no_harm);
	suite_add_tcase(s, t);
	return s;
}
