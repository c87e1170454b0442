// An input root on its way into an action's directory: what the agent makes of bytes, whatever they are.
#include "unit.h"

#include "agent/tree.h"
#include "base/tree.h"
#include "reapi/input_root.h"
#include "worker/action_outputs.h"
#include "worker/input_layout.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char top[] = "/tmp/coffer-tree-XXXXXX";

static void setup(void)
{
	strcpy(top, "/tmp/coffer-tree-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
}

static void teardown(void)
{
	tree_remove(AT_FDCWD, top);
}

static int unpack(const struct buf *b, size_t step, uint64_t max, struct err *err)
{
	struct tree_in t;
	int rc = 0;
	err_clear(err);
	tree_in_init(&t, open(top, O_RDONLY | O_DIRECTORY), max);
	for (size_t at = 0; at < b->len && rc == 0; at += step)
		rc = tree_in_take(&t, b->data + at, b->len - at < step ? b->len - at : step, err);
	if (rc == 0)
		rc = tree_in_end(&t, err);
	tree_in_release(&t);
	return rc;
}

static void add(struct buf *b, char kind, const char *name)
{
	buf_addc(b, kind);
	if (name)
		buf_add_str(b, name);
}

static void add_file(struct buf *b, char kind, const char *name, const char *bytes)
{
	add(b, kind, name);
	buf_add_u64(b, strlen(bytes));
	buf_adds(b, bytes);
}

static bool has(const char *name, mode_t mode, off_t size)
{
	char path[256];
	struct stat st;
	snprintf(path, sizeof path, "%s/%s", top, name);
	return lstat(path, &st) == 0 && st.st_mode == mode && (S_ISDIR(mode) || st.st_size == size);
}

START_TEST(a_tree_is_made_whatever_the_pieces)
{
	static const size_t steps[] = {1, 2, 7, 4096};
	for (size_t i = 0; i < COUNT_OF(steps); i++) {
		AUTO_BUF struct buf b = BUF_INIT;
		struct err err = ERR_INIT;
		teardown();
		setup();
		add(&b, 'D', "src");
		add_file(&b, 'F', "a.c", "int x;");
		add_file(&b, 'F', "empty", "");
		add(&b, 'L', "link");
		buf_add_str(&b, "a.c");
		add(&b, 'U', NULL);
		add_file(&b, 'X', "tool", "#!/bin/sh\n");
		ck_assert_msg(unpack(&b, steps[i], 100, &err) == 0, "%s", err.text);
		ck_assert(has("src/a.c", S_IFREG | 0644, 6) && has("src/empty", S_IFREG | 0644, 0));
		ck_assert(has("src/link", S_IFLNK | 0777, 3) && has("tool", S_IFREG | 0755, 10));
	}
}
END_TEST

static enum err_code of_bytes(const void *p, size_t n)
{
	struct buf b = {.data = (char *)(uintptr_t)p, .len = n};
	struct err err = ERR_INIT;
	return unpack(&b, 3, 10, &err) == 0 ? ERR_NONE : err.code;
}

#define NAME1 "\1\0\0\0"
START_TEST(nothing_leads_out_of_the_tree)
{
	ck_assert_int_eq(of_bytes("U", 1), ERR_FORMAT);
	ck_assert_int_eq(of_bytes("D" NAME1 "aUU", 8), ERR_FORMAT);
	ck_assert_int_eq(of_bytes("D\2\0\0\0..", 7), ERR_FORMAT);
	ck_assert_int_eq(of_bytes("D" NAME1 ".", 6), ERR_FORMAT);
	ck_assert_int_eq(of_bytes("D\3\0\0\0a/b", 8), ERR_FORMAT);
	ck_assert_int_eq(of_bytes("D\0\0\0\0", 5), ERR_FORMAT);
	ck_assert_int_eq(of_bytes("F\3\0\0\0a\0b\0\0\0\0\0\0\0\0", 16), ERR_FORMAT);
	ck_assert_int_eq(of_bytes("?", 1), ERR_FORMAT);
	ck_assert_int_eq(of_bytes("E", 1), ERR_FORMAT);                             // of several trees nobody has spoken
	ck_assert_int_eq(of_bytes("D" NAME1 "a", 6), ERR_FORMAT);                   // not left again
	ck_assert_int_eq(of_bytes("F" NAME1 "f\2\0\0\0\0\0\0\0x", 15), ERR_FORMAT); // not whole
	ck_assert_int_eq(of_bytes("F" NAME1 "g\13\0\0\0\0\0\0\0", 14), ERR_LIMIT);
	// Through a link that is there.
	ck_assert_int_ne(of_bytes("L" NAME1 "l" NAME1 "/D" NAME1 "lU", 19), ERR_NONE);
	ck_assert_int_ne(of_bytes("F" NAME1 "h\0\0\0\0\0\0\0\0F" NAME1 "h\0\0\0\0\0\0\0\0", 28), ERR_NONE);
}
END_TEST

// ---- from an input root -----------------------------------------------------------------------------------------------------

struct blob {
	const char *p;
	size_t n;
};
static struct blob blobs[8];
static size_t n_blobs;

static struct reapi_digest keep(const char *p, size_t n)
{
	blobs[n_blobs++] = (struct blob){p, n};
	return reapi_digest_of(p, n);
}

static int get(void *ctx, const struct reapi_digest *d, struct buf *out, struct err *err)
{
	(void)ctx, (void)err;
	for (size_t i = 0; i < n_blobs; i++) {
		struct reapi_digest is = reapi_digest_of(blobs[i].p, blobs[i].n);
		if (!reapi_digest_equal(&is, d))
			continue;
		buf_add(out, blobs[i].p, blobs[i].n);
		return 1;
	}
	return 0;
}

static Reapi__FileNode file_node(const char *name, struct reapi_digest_message *digest)
{
	Reapi__FileNode f = REAPI__FILE_NODE__INIT;
	f.name = (char *)(uintptr_t)name;
	f.digest = &digest->m;
	return f;
}

START_TEST(an_input_root_becomes_a_tree)
{
	struct reapi_digest_message one, inner;
	struct reapi_digest d = keep("one", 3);
	AUTO_BUF struct buf child = BUF_INIT, root = BUF_INIT, bytes = BUF_INIT;
	struct err err = ERR_INIT;
	reapi_digest_write(&d, &one);
	Reapi__FileNode a = file_node("a", &one), b = file_node("b", &one), *files[] = {&a, &b};
	Reapi__Directory m = REAPI__DIRECTORY__INIT;
	m.files = files;
	m.n_files = 2;
	reapi_pack(&m.base, &child);
	d = keep(child.data, child.len);
	reapi_digest_write(&d, &inner);
	Reapi__DirectoryNode x = REAPI__DIRECTORY_NODE__INIT, y = REAPI__DIRECTORY_NODE__INIT, *both[] = {&x, &y};
	x.name = (char *)(uintptr_t) "x";
	y.name = (char *)(uintptr_t) "y";
	x.digest = y.digest = &inner.m;
	m = (Reapi__Directory)REAPI__DIRECTORY__INIT;
	m.directories = both;
	m.n_directories = 2;
	reapi_pack(&m.base, &root);
	d = keep(root.data, root.len);
	struct input_root r;
	ck_assert_msg(input_root_read(&r, &d, get, NULL, &err) == 0, "%s", err.text);
	ck_assert_uint_eq(r.n_directories, 2);
	ck_assert_uint_eq(r.n_files, 1);
	ck_assert_uint_eq(r.entries, 7);
	ck_assert_uint_eq(r.file_bytes, 12);
	struct input_layout l;
	char piece[5];
	ssize_t n;
	struct layer_plan none;
	layers_plan(NULL, &r, &none);
	input_layout_init(&l, &r, &none, get, NULL);
	while ((n = input_layout_read(&l, piece, sizeof piece, &err)) > 0)
		buf_add(&bytes, piece, (size_t)n);
	ck_assert_int_eq((int)n, 0);
	input_layout_release(&l);
	ck_assert_msg(unpack(&bytes, 4096, 100, &err) == 0, "%s", err.text);
	ck_assert(has("x/a", S_IFREG | 0644, 3) && has("y/b", S_IFREG | 0644, 3));
	input_root_release(&r);
}
END_TEST

// A directory with `n` empty files, whose digest is a child's.
static void pack_files(struct buf *to, int n, struct reapi_digest_message *digest)
{
	char names[32][8];
	struct reapi_digest d = reapi_digest_of("", 0);
	struct reapi_digest_message empty;
	Reapi__FileNode files[32], *all[32];
	Reapi__Directory m = REAPI__DIRECTORY__INIT;
	reapi_digest_write(&d, &empty);
	for (int i = 0; i < n; i++) {
		snprintf(names[i], sizeof names[i], "f%02d", i);
		files[i] = file_node(names[i], &empty);
		all[i] = &files[i];
	}
	m.files = all;
	m.n_files = (size_t)n;
	reapi_pack(&m.base, to);
	d = keep(to->data, to->len);
	reapi_digest_write(&d, digest);
}

// The root of one action: two directories that all have, one with `own` files.
static void read_root(struct input_root *r, struct buf bytes[4], int own)
{
	struct reapi_digest_message digests[3];
	Reapi__DirectoryNode nodes[3], *all[3];
	static const char *const names[] = {"a", "b", "own"};
	Reapi__Directory m = REAPI__DIRECTORY__INIT;
	n_blobs = 0;
	for (int i = 0; i < 3; i++) {
		pack_files(&bytes[i], i == 2 ? own : 20, &digests[i]);
		nodes[i] = (Reapi__DirectoryNode)REAPI__DIRECTORY_NODE__INIT;
		nodes[i].name = (char *)(uintptr_t)names[i];
		nodes[i].digest = &digests[i].m;
		all[i] = &nodes[i];
	}
	m.directories = all;
	m.n_directories = 3;
	reapi_pack(&m.base, &bytes[3]);
	struct reapi_digest d = keep(bytes[3].data, bytes[3].len);
	ck_assert_int_eq(input_root_read(r, &d, get, NULL, NULL), 0);
}

struct turn {
	size_t used, made, removed, ends;
	bool has_all; // what is laid out in the end, without layers that were there
};
static struct turn take_turn(struct layers *l, int own, bool has_run)
{
	struct buf bytes[4] = {BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT};
	AUTO_BUF struct buf out = BUF_INIT;
	struct input_root r;
	struct layer_plan plan;
	struct input_layout layout;
	char piece[4096];
	ssize_t n;
	struct turn t = {0};
	read_root(&r, bytes, own);
	layers_plan(l, &r, &plan);
	t.used = plan.n - plan.n_made;
	t.made = plan.n_made;
	t.removed = plan.n_removed;
	input_layout_init(&layout, &r, &plan, get, NULL);
	while ((n = input_layout_read(&layout, piece, sizeof piece, NULL)) > 0)
		buf_add(&out, piece, (size_t)n);
	input_layout_release(&layout);
	for (size_t i = 0; i < out.len; i++)
		t.ends += out.data[i] == 'E';
	t.has_all = memmem(out.data, out.len, "f19", 3) && memmem(out.data, out.len, "own", 3);
	layers_end(&plan, has_run);
	input_root_release(&r);
	for (int i = 0; i < 4; i++)
		buf_release(&bytes[i]);
	return t;
}

START_TEST(what_actions_have_in_common_becomes_layers)
{
	struct layers *l = layers_new(1 << 20);
	struct turn t = take_turn(l, 1, true);
	ck_assert_uint_eq(t.used + t.made + t.ends, 0); // no agent has said that it can
	ck_assert(t.has_all);
	layers_allow(l, true);
	t = take_turn(l, 1, true);
	ck_assert_uint_eq(t.used + t.made, 0); // nothing was seen before
	t = take_turn(l, 2, false);
	ck_assert_uint_eq(t.made, 2);
	ck_assert_uint_eq(t.ends, 2);
	ck_assert(t.has_all);
	// That one did not get so far: its layers are none, and go.
	t = take_turn(l, 3, true);
	ck_assert_uint_eq(t.used + t.made, 0);
	ck_assert_uint_eq(t.removed, 2);
	t = take_turn(l, 4, true);
	ck_assert_uint_eq(t.made, 2);
	t = take_turn(l, 5, true);
	ck_assert_uint_eq(t.used, 2);
	ck_assert_uint_eq(t.made + t.ends + t.removed, 0);
	ck_assert(!t.has_all);
	ck_assert_uint_eq(layers_count(l).layers, 2);
	// The same root again: what is left of it is not worth another copy of all.
	t = take_turn(l, 5, true);
	ck_assert_uint_eq(t.used, 2);
	ck_assert_uint_eq(t.made, 0);
	layers_allow(l, false);
	layers_allow(l, true);
	t = take_turn(l, 5, true);
	ck_assert_uint_eq(t.used + t.made, 0); // never again
	layers_free(l);
	n_blobs = 0;
}
END_TEST

START_TEST(layers_take_no_more_room_than_there_is)
{
	// Each is reckoned with 22 entries of 5 KiB, and none may take more than half.
	struct layers *l = layers_new(230 << 10);
	layers_allow(l, true);
	for (int i = 0; i < 4; i++) {
		take_turn(l, 1, true);
		ck_assert_uint_le(layers_count(l).bytes, 230 << 10);
	}
	ck_assert_uint_eq(layers_count(l).layers, 2);
	layers_free(l);
	l = layers_new(100 << 10);
	layers_allow(l, true);
	for (int i = 0; i < 4; i++)
		ck_assert(take_turn(l, 1, true).has_all);
	ck_assert_uint_eq(layers_count(l).layers, 0);
	layers_free(l);
	n_blobs = 0;
}
END_TEST

START_TEST(outputs_that_no_agent_would_send_are_refused)
{
	static const struct job_entry bad[] = {{0, "../x", JOB_FILE, "", 0},
					       {0, "/x", JOB_FILE, "", 0},
					       {0, "a//b", JOB_FILE, "", 0},
					       {0, "", JOB_FILE, "", 1001}};
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct action_outputs o;
		action_outputs_init(&o, 1000);
		ck_assert(action_outputs_entry(&o, &bad[i], NULL) < 0);
		action_outputs_release(&o);
	}
	// A directory's entries must be below it, and come after it.
	static const struct job_entry order[] = {{0, "", JOB_DIRECTORY, "", 0}, {0, "a/b", JOB_FILE, "", 0}};
	static const char *const paths[] = {"out"};
	struct action_outputs o;
	Reapi__ActionResult r = REAPI__ACTION_RESULT__INIT;
	action_outputs_init(&o, 1000);
	for (size_t i = 0; i < COUNT_OF(order); i++)
		ck_assert_int_eq(action_outputs_entry(&o, &order[i], NULL), 0);
	ck_assert(action_outputs_result(&o, paths, false, &r, NULL) < 0);
	action_outputs_release(&o);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("action tree");
	TCase *tc = tcase_create("action tree");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_tree_is_made_whatever_the_pieces);
	tcase_add_test(tc, nothing_leads_out_of_the_tree);
	tcase_add_test(tc, an_input_root_becomes_a_tree);
	tcase_add_test(tc, what_actions_have_in_common_becomes_layers);
	tcase_add_test(tc, layers_take_no_more_room_than_there_is);
	tcase_add_test(tc, outputs_that_no_agent_would_send_are_refused);
	suite_add_tcase(s, tc);
	return s;
}
