// A tree as a worker has it: names of what is in it, and what a listing can make of them at worst.
#include "audit/provenance.h"
#include "base/tree.h"
#include "reapi/digest.h"
#include "tests/unit/unit.h"
#include "worker/tree_source.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

// A name of the longest kind, as deep as a listing can have it, is CHAIN * 256 bytes.
enum { CHAIN = SOURCE_TREE_MAX_DEPTH - 1, FILES = 500, DIRECTORIES = 2000, MOST_MEMORY = 4 << 20 };

static char *directory;
static struct results *results;
static struct tree_source source;
static struct arena arena;
static struct err err;

static void setup(void)
{
	directory = unit_directory();
	err = (struct err)ERR_INIT;
	results = results_new(directory, (uint64_t)64 << 20);
	tree_source_init(&source, results, "acme", UINT64_MAX);
}

static void teardown(void)
{
	tree_source_release(&source);
	arena_release(&arena);
	results_free(results);
	tree_remove(AT_FDCWD, directory);
	free(directory);
}

static struct source_node *add(struct source_tree *t, struct source_node *in, const char *name, enum source_kind kind)
{
	struct source_node *n = source_tree_add(t, in, name, strlen(name), kind);
	ck_assert_ptr_nonnull(n);
	return n;
}

static struct source_node *add_chain(struct source_tree *t)
{
	char name[SOURCE_TREE_MAX_NAME + 1] = {0};
	struct source_node *at = &t->top;
	memset(name, 'd', SOURCE_TREE_MAX_NAME);
	for (int i = 0; i < CHAIN; i++)
		at = add(t, at, name, SOURCE_DIRECTORY);
	return at;
}

static void load(struct source_tree *t)
{
	AUTO_BUF struct buf listing = BUF_INIT;
	ck_assert_msg(source_tree_encode(t, &listing, &err) == 0, "%s", err.text);
	struct reapi_digest d = {sha256_of(listing.data, listing.len), (int64_t)listing.len};
	ck_assert_msg(results_put_content(results, "acme", &d, listing.data, listing.len, &err) == 0, "%s", err.text);
	ck_assert_msg(tree_source_load(&source, &d.hash, &err) == 1, "%s", err.text);
}

START_TEST(an_entry_has_its_name_from_the_top)
{
	struct source_tree t;
	AUTO_BUF struct buf path = BUF_INIT;
	source_tree_init(&t, &arena);
	struct source_node *src = add(&t, &t.top, "src", SOURCE_DIRECTORY), *lib = add(&t, src, "lib", SOURCE_DIRECTORY);
	struct source_node *own = add(&t, lib, "own", SOURCE_DIRECTORY);
	own->is_whole = true;
	add(&t, own, "a.h", SOURCE_FILE)->sha256.b[0] = 0xaa;
	add(&t, &t.top, "z.h", SOURCE_FILE);
	load(&t);
	ck_assert_uint_eq(source.tree.n_files, 2);
	buf_adds(&path, "is ");
	ck_assert_uint_eq(tree_source_file(&source, 0, &path)[0], 0xaa);
	ck_assert_str_eq(path.data, "is /src/lib/own/a.h");
	buf_clear(&path);
	tree_source_file(&source, 1, &path);
	ck_assert_str_eq(path.data, "/z.h");
	ck_assert_uint_eq(source.n_whole, 1);
	ck_assert_str_eq(source.whole[0], "src/lib/own");
}
END_TEST

static size_t n_names;
static const uint8_t *counted_file(const void *files, size_t i, struct buf *name)
{
	n_names++;
	return tree_source_file(files, i, name);
}

// All names together are FILES * 25 KB here, and could be 1.6 GB; with those of the directories above them fifty times as much.
START_TEST(names_of_deep_files_are_made_as_far_as_they_are_written)
{
	struct source_tree t;
	AUTO_BUF struct buf path = BUF_INIT, statement = BUF_INIT;
	source_tree_init(&t, &arena);
	struct source_node *deepest = add_chain(&t);
	for (int i = 0; i < FILES; i++)
		add(&t, deepest, arena_printf(&arena, "%0*d", SOURCE_TREE_MAX_NAME, i), SOURCE_FILE);
	load(&t);
	size_t memory = tree_source_memory(&source);
	ck_assert_uint_lt(memory, MOST_MEMORY);
	for (int i = 0; i < FILES; i++) {
		buf_clear(&path);
		tree_source_file(&source, (size_t)i, &path);
		ck_assert_uint_eq(path.len, SOURCE_TREE_MAX_DEPTH * (SOURCE_TREE_MAX_NAME + 1));
	}
	ck_assert_uint_lt(path.cap, 64 << 10);

	struct audit_row row = {.value[AUDIT_output_digest] =
					"sha256:1111111111111111111111111111111111111111111111111111111111111111"};
	struct provenance_tree files = {
		.directory = "/", .n_files = source.tree.n_files, .files = &source, .file = counted_file};
	struct provenance p = {.run = &row, .origin = "w1", .tree = &files};
	ck_assert_msg(provenance_write(&p, &statement, &err) == 0, "%s", err.text);
	size_t room = PROVENANCE_FILE_BYTES / (SOURCE_TREE_MAX_DEPTH * (SOURCE_TREE_MAX_NAME + 1));
	ck_assert_uint_le(n_names, room + 1);
	ck_assert_uint_ge(n_names, room / 2);
	ck_assert_uint_eq(tree_source_memory(&source), memory);
}
END_TEST

START_TEST(directories_that_are_not_mounted_have_no_names)
{
	struct source_tree t;
	source_tree_init(&t, &arena);
	struct source_node *deepest = add_chain(&t);
	for (int i = 0; i < DIRECTORIES; i++)
		add(&t, deepest, arena_printf(&arena, "%d", i), SOURCE_DIRECTORY);
	load(&t);
	ck_assert_uint_eq(source.n_whole, 0);
	ck_assert_uint_lt(tree_source_memory(&source), MOST_MEMORY);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("tree source");
	TCase *t = tcase_create("all");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, an_entry_has_its_name_from_the_top);
	tcase_add_test(t, names_of_deep_files_are_made_as_far_as_they_are_written);
	tcase_add_test(t, directories_that_are_not_mounted_have_no_names);
	suite_add_tcase(s, t);
	return s;
}
