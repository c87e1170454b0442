// sourcetree: trees of files as bytes, and what is not taken for one.
#include "unit.h"

#include "sourcetree/source_tree.h"

#include <stdio.h>
#include <string.h>

struct made {
	struct arena arena;
	struct source_tree tree;
	struct buf listing;
};

static struct source_node *add(struct source_tree *t, struct source_node *d, const char *name, enum source_kind kind)
{
	return source_tree_add(t, d, name, strlen(name), kind);
}

// /usr/include/stdio.h, /home/u/a.c, /home/u/inc -> ../shared, /home/shared/h.h
static void make(struct made *m)
{
	struct source_tree *t = &m->tree;
	memset(m, 0, sizeof *m);
	source_tree_init(t, &m->arena);
	struct source_node *usr = add(t, &t->top, "usr", SOURCE_DIRECTORY);
	struct source_node *include = add(t, usr, "include", SOURCE_DIRECTORY);
	struct source_node *home = add(t, &t->top, "home", SOURCE_DIRECTORY);
	struct source_node *u = add(t, home, "u", SOURCE_DIRECTORY);
	struct source_node *shared = add(t, home, "shared", SOURCE_DIRECTORY);
	include->is_whole = true;
	add(t, include, "stdio.h", SOURCE_FILE)->size = 7;
	add(t, u, "a.c", SOURCE_FILE)->sha256 = sha256_of("x", 1);
	add(t, u, "inc", SOURCE_LINK)->target = "../shared";
	add(t, shared, "h.h", SOURCE_FILE);
	source_tree_add_absent(t, "/usr/local/x");
	source_tree_add_absent(t, "/usr/local/x");
	ck_assert_int_eq(source_tree_encode(t, &m->listing, NULL), 0);
}

static void unmake(struct made *m)
{
	buf_release(&m->listing);
	arena_release(&m->arena);
}

START_TEST(a_listing_comes_back_as_it_was)
{
	struct made m;
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf again = BUF_INIT;
	struct source_tree t;
	make(&m);
	ck_assert_int_eq(source_tree_decode(&t, &a, m.listing.data, m.listing.len, NULL), 0);
	ck_assert_uint_eq(t.n_files, 3);
	ck_assert_str_eq(t.files[0]->name, "h.h");
	ck_assert_str_eq(t.files[1]->name, "a.c");
	ck_assert_str_eq(t.files[2]->name, "stdio.h");
	ck_assert_uint_eq(t.files[2]->size, 7);
	ck_assert_uint_eq(t.n_absent, 1);
	struct sha256 x = sha256_of("x", 1);
	ck_assert(sha256_equal(&t.files[1]->sha256, &x));
	ck_assert_int_eq(source_tree_encode(&t, &again, NULL), 0);
	ck_assert_uint_eq(again.len, m.listing.len);
	ck_assert_mem_eq(again.data, m.listing.data, again.len);
	unmake(&m);
}
END_TEST

START_TEST(a_name_leads_where_it_leads_on_a_disk)
{
	struct made m;
	make(&m);
	struct source_node *h = source_tree_resolve(&m.tree, "/home/u/inc/h.h");
	ck_assert_ptr_nonnull(h);
	ck_assert_ptr_eq(h, source_tree_resolve(&m.tree, "/home//./u/../shared/h.h"));
	// ".." behind a link is beside where that leads.
	ck_assert_str_eq(source_tree_resolve(&m.tree, "/home/u/inc/..")->name, "home");
	ck_assert_ptr_null(source_tree_resolve(&m.tree, "/home/u/A.c"));
	ck_assert_ptr_null(source_tree_resolve(&m.tree, "/home/u/a.c/x"));
	ck_assert(source_node_is_covered(&m.tree, source_tree_resolve(&m.tree, "/usr/include/stdio.h")));
	ck_assert(!source_node_is_covered(&m.tree, source_tree_resolve(&m.tree, "/usr")));
	unmake(&m);
}
END_TEST

// A listing with one entry, or what is to stand for it.
static int decode(const char *entry, size_t n)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf b = BUF_INIT;
	struct source_tree t;
	struct err err = ERR_INIT;
	buf_adds(&b, "coffer tree 1\n");
	buf_add_u32(&b, 0);
	buf_add(&b, entry, n);
	return source_tree_decode(&t, &a, b.data, b.len, &err) == 0 ? 0 : (int)err.code;
}
#define DECODE(entry) decode(entry, sizeof(entry) - 1)

START_TEST(what_leads_out_of_a_tree_is_no_listing)
{
	ck_assert_int_eq(DECODE("D\1\0\0\0aU"), 0);
	ck_assert_int_eq(DECODE("D\2\0\0\0..U"), ERR_FORMAT);
	ck_assert_int_eq(DECODE("D\1\0\0\0.U"), ERR_FORMAT);
	ck_assert_int_eq(DECODE("D\3\0\0\0a/bU"), ERR_FORMAT);
	ck_assert_int_eq(DECODE("D\0\0\0\0U"), ERR_FORMAT);
	ck_assert_int_eq(DECODE("D\2\0\0\0a\0U"), ERR_FORMAT);
	ck_assert_int_eq(DECODE("D\4\0\0\0procU"), ERR_FORMAT);
	ck_assert_int_eq(DECODE("D\3\0\0\0sysU"), ERR_FORMAT);
	ck_assert_int_eq(DECODE("L\3\0\0\0dev\1\0\0\0/"), ERR_FORMAT);
	ck_assert_int_eq(DECODE("U"), ERR_FORMAT);
	ck_assert_int_eq(DECODE("D\1\0\0\0a"), ERR_FORMAT);
	ck_assert_int_eq(DECODE("D\1\0\0\0aU?"), ERR_FORMAT);
	ck_assert_int_eq(DECODE("D\1\0\0\0bUD\1\0\0\0aU"), ERR_FORMAT); // not sorted
	ck_assert_int_eq(DECODE("D\1\0\0\0aUD\1\0\0\0aU"), ERR_FORMAT); // twice
	ck_assert_int_eq(DECODE("D\1\0\0\0AUD\1\0\0\0aU"), 0);          // two names
	ck_assert_int_eq(DECODE("F\1\0\0\0a"), ERR_FORMAT);
	// Links: to nothing, out of the tree, to itself, to what is there.
	ck_assert_int_eq(DECODE("L\1\0\0\0a\1\0\0\0b"), ERR_FORMAT);
	ck_assert_int_eq(DECODE("L\1\0\0\0a\10\0\0\0/etc/xyz"), ERR_FORMAT);
	ck_assert_int_eq(DECODE("L\1\0\0\0a\1\0\0\0a"), ERR_FORMAT);
	ck_assert_int_eq(DECODE("L\1\0\0\0a\1\0\0\0bL\1\0\0\0b\1\0\0\0a"), ERR_FORMAT);
	ck_assert_int_eq(DECODE("L\1\0\0\0a\4\0\0\0../b"
				"D\1\0\0\0bU"),
			 0);
}
END_TEST

START_TEST(a_tree_has_limits)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf deep = BUF_INIT;
	AUTO_BUF struct buf loops = BUF_INIT;
	struct source_tree t;
	for (int i = 0; i <= SOURCE_TREE_MAX_DEPTH; i++)
		buf_add(&deep, "D\1\0\0\0a", 6);
	for (int i = 0; i <= SOURCE_TREE_MAX_DEPTH; i++)
		buf_addc(&deep, 'U');
	ck_assert_int_eq(decode(deep.data, deep.len), ERR_FORMAT);
	// Many links that each are followed for long: it ends soon, one way or the other.
	for (int i = 0; i < 20000; i++) {
		char name[16];
		snprintf(name, sizeof name, "l%05d", i);
		buf_addc(&loops, 'L');
		buf_add_str(&loops, name);
		snprintf(name, sizeof name, "l%05d", i + 1);
		buf_add_str(&loops, name);
	}
	ck_assert_int_eq(decode(loops.data, loops.len), ERR_FORMAT);
	source_tree_init(&t, &a);
	for (int i = 0; i < SOURCE_TREE_MAX_NODES; i++) {
		char name[16];
		snprintf(name, sizeof name, "%d", i);
		ck_assert_ptr_nonnull(add(&t, &t.top, name, SOURCE_FILE));
	}
	ck_assert_ptr_null(add(&t, &t.top, "one more", SOURCE_FILE));
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("source tree");
	TCase *tc = tcase_create("source tree");
	tcase_add_test(tc, a_listing_comes_back_as_it_was);
	tcase_add_test(tc, a_name_leads_where_it_leads_on_a_disk);
	tcase_add_test(tc, what_leads_out_of_a_tree_is_no_listing);
	tcase_add_test(tc, a_tree_has_limits);
	suite_add_tcase(s, tc);
	return s;
}
