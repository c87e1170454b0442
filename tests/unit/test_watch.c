// depscan/watch: no change may go unnoticed, and what is not sure is refused.
#include "base/path.h"
#include "depscan/watch.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static char base[] = "/tmp/test_watch.XXXXXX", top[100];
static atomic_int *next_tree; // shared with the forked tests
static struct arena arena;
static struct files *files;
static struct watch *w;

static const char *in_top(const char *name)
{
	return arena_printf(&arena, "%s/%s", top, name);
}

// Also outside of tests, where libcheck can't.
static void must(bool ok)
{
	if (!ok) {
		perror(top);
		abort();
	}
}

static void write_file(const char *path, const char *text, int flags)
{
	int fd = open(path, O_WRONLY | flags, 0644);
	must(fd >= 0);
	must(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static void make(const char *name, const char *text)
{
	char *path = arena_strdup(&arena, in_top(name));
	must(file_make_dirs(path_dir(&arena, path), 0755, NULL) == 0);
	write_file(path, text, O_CREAT | O_TRUNC);
}

static void make_tree(void)
{
	make("w/a/b/h.h", "one");
	make("w/a/b/i.h", "other");
	make("w/a/second.h", "second");
	make("w/c/h.h", "another");
	make("w/linked.h", "linked");
	make("outside/h.h", "outside");
	must(symlink("b", in_top("w/a/way")) == 0);
	must(symlink("b/h.h", in_top("w/a/link.h")) == 0);
	must(symlink("nowhere", in_top("w/a/dangling")) == 0);
	must(link(in_top("w/linked.h"), in_top("outside/linked.h")) == 0);
}

// A tree for each test, all made at once: a file is trusted from its third second on.
static void make_trees(size_t n)
{
	void *shared = mmap(NULL, sizeof *next_tree, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!mkdtemp(base) || shared == MAP_FAILED)
		exit(EXIT_FAILURE);
	next_tree = shared;
	for (size_t i = 0; i < n; i++) {
		snprintf(top, sizeof top, "%s/%zu/top", base, i);
		make_tree();
	}
	usleep(2200000);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st, (void)kind, (void)ftw;
	return remove(path);
}

static void remove_trees(void)
{
	nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	munmap(next_tree, sizeof *next_tree);
}

static void setup(void)
{
	snprintf(top, sizeof top, "%s/%d/top", base, atomic_fetch_add(next_tree, 1));
	files = files_new();
	w = watch_new(in_top("w"), files);
	must(w != NULL);
}

static void teardown(void)
{
	watch_free(w);
	files_free(files);
	arena_release(&arena);
}

static enum watched_state state_of(const char *name)
{
	const struct watched *k = watch_look(w, watch_epoch(w), in_top(name));
	return k ? k->state : WATCHED_REFUSED;
}

static bool has_text(const char *name, const char *text)
{
	struct digest d = digest_of(text, strlen(text));
	const struct watched *k = watch_look(w, watch_epoch(w), in_top(name));
	return k && k->state == WATCHED_FILE && digest_equal(&k->digest, &d);
}

// The file is known, then something happens; it must be news for whoever asks next.
static uint64_t epoch_before;
static void begin(void)
{
	ck_assert(has_text("w/a/b/h.h", "one"));
	ck_assert(has_text("w/a/second.h", "second"));
	epoch_before = watch_epoch(w);
	ck_assert_uint_ne(epoch_before, 0);
}

static void is_news(void)
{
	uint64_t now = watch_epoch(w);
	ck_assert_uint_gt(now, epoch_before);
	ck_assert_uint_eq(watch_epoch(w), now); // once
}

static void is_no_news(void)
{
	ck_assert_uint_eq(watch_epoch(w), epoch_before);
}

// ---- what is known --------------------------------------------------------------------------------------------------

START_TEST(a_file_is_known_while_nothing_changes)
{
	begin();
	const struct watched *k = watch_look(w, epoch_before, in_top("w/a/b/h.h"));
	ck_assert(watched_holds(k, epoch_before));
	ck_assert_ptr_eq(watch_look(w, watch_epoch(w), in_top("w/a/b/h.h")), k);
	is_no_news();
	struct stat st;
	ck_assert_int_eq(stat(in_top("w/a/b/h.h"), &st), 0);
	struct file_id id = file_id_of(&st);
	ck_assert(file_id_equal(&k->id, &id));
	ck_assert_uint_gt(watch_count(w), 3);
}
END_TEST

START_TEST(reading_is_no_news)
{
	begin();
	struct buf text = BUF_INIT;
	ck_assert_int_eq(file_read(AT_FDCWD, in_top("w/a/b/h.h"), 100, &text, NULL, NULL), 0);
	buf_release(&text);
	DIR *d = opendir(in_top("w/a/b"));
	while (readdir(d))
		;
	closedir(d);
	make("outside/x.h", "x");
	make("y.h", "y"); // in a directory on the way
	is_no_news();
}
END_TEST

START_TEST(after_news_the_same_file_is_known_again)
{
	begin();
	const struct watched *k = watch_look(w, epoch_before, in_top("w/a/b/h.h"));
	make("w/a/b/new.h", "new");
	is_news();
	uint64_t now = watch_epoch(w);
	ck_assert(!watched_holds(k, now));
	ck_assert_ptr_eq(watch_look(w, now, in_top("w/a/b/h.h")), k);
	ck_assert(watched_holds(k, now));
}
END_TEST

START_TEST(names_with_dots_are_followed)
{
	ck_assert(has_text("w/a/../a/b/./h.h", "one"));
	ck_assert(has_text("w/a//b/../../c/h.h", "another"));
	ck_assert(has_text("outside/../w/c/h.h", "another"));
	epoch_before = watch_epoch(w);
	// The detour is a part of the way.
	ck_assert_int_eq(rename(in_top("outside"), in_top("elsewhere")), 0);
	is_news();
	ck_assert_int_eq(rename(in_top("elsewhere"), in_top("outside")), 0);
	ck_assert_int_eq(state_of("w/a/way/../b/h.h"), WATCHED_REFUSED);
}
END_TEST

START_TEST(directories_and_missing_names_are_known)
{
	ck_assert_int_eq(state_of("w/a/b"), WATCHED_DIRECTORY);
	ck_assert_int_eq(state_of("w"), WATCHED_DIRECTORY);
	ck_assert_int_eq(state_of("w/a/b/none.h"), WATCHED_ABSENT);
	ck_assert_int_eq(state_of("w/none/sub/none.h"), WATCHED_ABSENT);
	ck_assert_int_eq(state_of("w/none/../a/b/h.h"), WATCHED_ABSENT);
	ck_assert_int_eq(state_of("w/a/b/*?.gch"), WATCHED_ABSENT);
	ck_assert_int_eq(state_of("w/a/none/*?.gch"), WATCHED_ABSENT);
	ck_assert_int_eq(state_of("w/a/b/*?.h"), WATCHED_REFUSED);
	make("w/a/b/x.h.gch", "");
	ck_assert_int_eq(state_of("w/a/b/*?.gch"), WATCHED_REFUSED);
	ck_assert(watch_directory(w, in_top("w/a/b")));
	ck_assert(watch_directory(w, in_top("w/none/sub")));
	ck_assert(!watch_directory(w, in_top("outside")));
}
END_TEST

START_TEST(what_is_not_sure_is_refused)
{
	ck_assert_int_eq(state_of("w/a/link.h"), WATCHED_REFUSED);
	ck_assert_int_eq(state_of("w/a/dangling"), WATCHED_REFUSED);
	ck_assert_int_eq(state_of("w/a/dangling/h.h"), WATCHED_REFUSED);
	ck_assert_int_eq(state_of("w/a/way/h.h"), WATCHED_REFUSED);
	ck_assert_int_eq(state_of("w/a/way/none.h"), WATCHED_REFUSED);
	ck_assert_int_eq(state_of("w/a/b/h.h/x.h"), WATCHED_REFUSED);
	ck_assert_int_eq(state_of("w/linked.h"), WATCHED_REFUSED);
	ck_assert_int_eq(state_of("outside/h.h"), WATCHED_REFUSED);
	ck_assert_int_eq(state_of("w/../outside/h.h"), WATCHED_REFUSED);
	ck_assert_int_eq(state_of("wider/h.h"), WATCHED_REFUSED);
	ck_assert_ptr_null(watch_look(w, watch_epoch(w), "w/a/b/h.h"));
	ck_assert_ptr_null(watch_look(w, watch_epoch(w), ""));
	ck_assert_ptr_null(watch_look(w, 0, in_top("w/a/b/h.h")));
	char longest[6000];
	snprintf(longest, sizeof longest, "%s/", in_top("w/a"));
	memset(longest + strlen(longest), 'x', 5000 - strlen(longest));
	longest[5000] = '\0';
	ck_assert_ptr_null(watch_look(w, watch_epoch(w), longest));
	ck_assert(!watch_directory(w, longest));
	make("w/a/b/young.h", "young");
	ck_assert_int_eq(state_of("w/a/b/young.h"), WATCHED_REFUSED);
	unlink(in_top("w/a/b/young.h"));
}
END_TEST

START_TEST(only_file_systems_that_tell_everything_are_watched)
{
	struct watch *proc = watch_new("/proc:/sys", files);
	ck_assert_ptr_nonnull(proc);
	const struct watched *k = watch_look(proc, watch_epoch(proc), "/proc/version");
	ck_assert(!k || k->state == WATCHED_REFUSED);
	ck_assert(!watch_directory(proc, "/proc/sys"));
	watch_free(proc);
}
END_TEST

START_TEST(no_directory_no_watch)
{
	ck_assert_ptr_null(watch_new("", files));
	ck_assert_ptr_null(watch_new("off", files));
	ck_assert_uint_eq(watch_epoch(NULL), 0);
	ck_assert_uint_eq(watch_count(NULL), 0);
	ck_assert(!watch_directory(NULL, "/usr"));
	ck_assert_ptr_null(watch_look(NULL, 1, "/usr/include/stdio.h"));
	watch_free(NULL);
	struct watch *two = watch_new(arena_printf(&arena, "/nonexistent:%s/w//a/../c/", top), files);
	const struct watched *k = watch_look(two, watch_epoch(two), in_top("w/c/h.h"));
	ck_assert(k && k->state == WATCHED_FILE);
	k = watch_look(two, watch_epoch(two), "/nonexistent/x.h");
	ck_assert(!k || k->state == WATCHED_ABSENT); // refused where "/" is an overlay
	watch_free(two);
}
END_TEST

// ---- what is news ---------------------------------------------------------------------------------------------------

static void by_writing(void)
{
	write_file(in_top("w/a/b/h.h"), "1", 0);
}
static void by_appending(void)
{
	write_file(in_top("w/a/b/h.h"), "1", O_APPEND);
}
static void by_truncating(void)
{
	ck_assert_int_eq(truncate(in_top("w/a/b/h.h"), 1), 0);
}
static void by_mode(void)
{
	ck_assert_int_eq(chmod(in_top("w/a/b/h.h"), 0600), 0);
}
static void by_date(void)
{
	ck_assert_int_eq(utimensat(AT_FDCWD, in_top("w/a/b/h.h"), NULL, 0), 0);
}
static void by_rename_over(void)
{
	make("outside/new.h", "two");
	ck_assert_int_eq(rename(in_top("outside/new.h"), in_top("w/a/b/h.h")), 0);
}
static void by_rename_within(void)
{
	ck_assert_int_eq(rename(in_top("w/a/b/i.h"), in_top("w/a/b/h.h")), 0);
}
static void by_rename_away(void)
{
	ck_assert_int_eq(rename(in_top("w/a/b/h.h"), in_top("outside/gone.h")), 0);
}
static void by_exchange(void)
{
	ck_assert_int_eq(renameat2(AT_FDCWD, in_top("w/a/b/h.h"), AT_FDCWD, in_top("w/c/h.h"), RENAME_EXCHANGE), 0);
}
static void by_unlink(void)
{
	ck_assert_int_eq(unlink(in_top("w/a/b/h.h")), 0);
}
static void by_unlink_and_create(void)
{
	by_unlink();
	make("w/a/b/h.h", "two");
}
static void by_mapping(void)
{
	int fd = open(in_top("w/a/b/h.h"), O_RDWR);
	char *p = mmap(NULL, 3, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(p, MAP_FAILED);
	close(fd);
	p[0] = 'O';
	munmap(p, 3);
}
static void by_symlink(void)
{
	by_unlink();
	ck_assert_int_eq(symlink("i.h", in_top("w/a/b/h.h")), 0);
}
static void by_moved_directory(void)
{
	ck_assert_int_eq(rename(in_top("w/a/b"), in_top("w/a/old")), 0);
}
static void by_moved_parent(void)
{
	ck_assert_int_eq(rename(in_top("w/a"), in_top("outside/a")), 0);
}
static void by_moved_root(void)
{
	ck_assert_int_eq(rename(in_top("w"), in_top("old")), 0);
}
static void by_moved_top(void)
{
	ck_assert_int_eq(rename(top, arena_printf(&arena, "%s.old", top)), 0);
}
static void by_exchanged_directories(void)
{
	ck_assert_int_eq(renameat2(AT_FDCWD, in_top("w/a/b"), AT_FDCWD, in_top("w/c"), RENAME_EXCHANGE), 0);
}
static void by_directory_mode(void)
{
	ck_assert_int_eq(chmod(in_top("w/a"), 0700), 0);
}
static void by_overflow(void)
{
	for (int i = 0; i < 20000; i++) {
		ck_assert_int_eq(rename(in_top("w/a/b/i.h"), in_top("w/a/b/j.h")), 0);
		ck_assert_int_eq(rename(in_top("w/a/b/j.h"), in_top("w/a/b/i.h")), 0);
		arena_release(&arena);
	}
}

static const struct {
	void (*change)(void);
	enum watched_state left; // of h.h; refused: the file is young, or may be anything
} changes[] = {
	{by_writing, WATCHED_REFUSED},       {by_appending, WATCHED_REFUSED},      {by_truncating, WATCHED_REFUSED},
	{by_mode, WATCHED_REFUSED},          {by_date, WATCHED_REFUSED},           {by_rename_over, WATCHED_REFUSED},
	{by_rename_within, WATCHED_REFUSED}, {by_rename_away, WATCHED_ABSENT},     {by_exchange, WATCHED_REFUSED},
	{by_unlink, WATCHED_ABSENT},         {by_mapping, WATCHED_REFUSED},        {by_unlink_and_create, WATCHED_REFUSED},
	{by_symlink, WATCHED_REFUSED},       {by_moved_directory, WATCHED_ABSENT}, {by_moved_parent, WATCHED_ABSENT},
	{by_moved_root, WATCHED_ABSENT},     {by_moved_top, WATCHED_ABSENT},       {by_exchanged_directories, WATCHED_FILE},
	{by_directory_mode, WATCHED_FILE},   {by_overflow, WATCHED_FILE}};

START_TEST(every_change_is_news)
{
	begin();
	changes[_i].change();
	is_news();
	ck_assert_int_eq(state_of("w/a/b/h.h"), changes[_i].left);
}
END_TEST

START_TEST(a_directory_put_in_place_of_another_is_looked_at)
{
	begin();
	by_exchanged_directories();
	is_news();
	ck_assert(has_text("w/a/b/h.h", "another"));
	ck_assert(has_text("w/c/h.h", "one"));
	// And watched, where it is now.
	epoch_before = watch_epoch(w);
	by_unlink();
	is_news();
	ck_assert_int_eq(state_of("w/a/b/h.h"), WATCHED_ABSENT);
	ck_assert(has_text("w/c/h.h", "one"));
}
END_TEST

START_TEST(a_removed_directory_that_is_still_open_is_news)
{
	ck_assert_int_eq(mkdir(in_top("w/a/empty"), 0755), 0);
	ck_assert_int_eq(state_of("w/a/empty/h.h"), WATCHED_ABSENT);
	int fd = open(in_top("w/a/empty"), O_RDONLY | O_DIRECTORY);
	epoch_before = watch_epoch(w);
	ck_assert_int_eq(rmdir(in_top("w/a/empty")), 0);
	is_news();
	epoch_before = watch_epoch(w);
	ck_assert_int_eq(state_of("w/a/empty/h.h"), WATCHED_ABSENT);
	make("w/a/empty/h.h", "new");
	is_news();
	ck_assert_int_eq(state_of("w/a/empty/h.h"), WATCHED_REFUSED);
	close(fd);
}
END_TEST

START_TEST(what_appears_is_news)
{
	static const char *const names[] = {"w/a/b/new.h", "w/none/sub/new.h", "w/a/empty/sub/new.h"};
	ck_assert_int_eq(mkdir(in_top("w/a/empty"), 0755), 0);
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		ck_assert_int_eq(state_of(names[i]), WATCHED_ABSENT);
		epoch_before = watch_epoch(w);
		ck_assert_int_eq(file_make_dirs(path_dir(&arena, in_top(names[i])), 0755, NULL), 0);
		if (i)
			is_news();
		ck_assert_int_eq(state_of(names[i]), WATCHED_ABSENT);
		epoch_before = watch_epoch(w);
		make(names[i], "new");
		is_news();
		ck_assert_int_eq(state_of(names[i]), WATCHED_REFUSED); // young
	}
	ck_assert_int_eq(state_of("w/a/b/sub"), WATCHED_ABSENT);
	epoch_before = watch_epoch(w);
	ck_assert_int_eq(symlink("../../c", in_top("w/a/b/sub")), 0);
	is_news();
	ck_assert_int_eq(state_of("w/a/b/sub/h.h"), WATCHED_REFUSED);
}
END_TEST

START_TEST(a_change_between_epoch_and_look_is_news_for_the_next)
{
	uint64_t epoch = watch_epoch(w);
	by_rename_away();
	const struct watched *k = watch_look(w, epoch, in_top("w/a/b/h.h"));
	ck_assert(k && k->state == WATCHED_ABSENT); // nothing was watched yet: looked at
	ck_assert_int_eq(rename(in_top("outside/gone.h"), in_top("w/a/b/h.h")), 0);
	ck_assert(!watched_holds(k, watch_epoch(w)));
	ck_assert_int_eq(state_of("w/a/b/h.h"), WATCHED_REFUSED);
}
END_TEST

START_TEST(mounts_are_news)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return; // not allowed here
	watch_free(w);  // of the other namespace
	w = watch_new(in_top("w"), files);
	begin();
	ck_assert_int_eq(mount("tmpfs", in_top("w/a"), "tmpfs", 0, NULL), 0);
	is_news();
	ck_assert_int_eq(state_of("w/a/b/h.h"), WATCHED_ABSENT);
	ck_assert_int_eq(umount(in_top("w/a")), 0);
	begin();
	// A file over a file: it is written elsewhere.
	ck_assert_int_eq(mount(in_top("outside/h.h"), in_top("w/a/b/h.h"), NULL, MS_BIND, NULL), 0);
	is_news();
	ck_assert_int_eq(state_of("w/a/b/h.h"), WATCHED_REFUSED);
	ck_assert_int_eq(umount(in_top("w/a/b/h.h")), 0);
	begin();
	// A directory by two names.
	ck_assert_int_eq(mount(in_top("w/c"), in_top("w/a/b"), NULL, MS_BIND, NULL), 0);
	is_news();
	ck_assert(has_text("w/a/b/h.h", "another"));
	ck_assert_int_eq(state_of("w/c/h.h"), WATCHED_REFUSED);
	epoch_before = watch_epoch(w);
	write_file(in_top("w/c/h.h"), "new", 0);
	is_news();
	ck_assert_int_eq(umount(in_top("w/a/b")), 0);
	begin();
}
END_TEST

// ---- many threads ---------------------------------------------------------------------------------------------------

static atomic_uint version; // odd while the directory is made or removed; then by twos, with and without the directory
static atomic_bool stop;
static atomic_uint answers, wrong;

static void *ask(void *path)
{
	while (!atomic_load(&stop)) {
		unsigned before = atomic_load(&version);
		const struct watched *k = watch_look(w, watch_epoch(w), path);
		if (before % 2 || atomic_load(&version) != before || !k || k->state == WATCHED_REFUSED)
			continue;
		atomic_fetch_add(&answers, 1);
		if (k->state != (before % 4 ? WATCHED_DIRECTORY : WATCHED_ABSENT))
			atomic_fetch_add(&wrong, 1);
	}
	return NULL;
}

START_TEST(threads_never_hear_what_is_over)
{
	pthread_t threads[4];
	const char *path = in_top("w/a/b/dir");
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, ask, (void *)(uintptr_t)path), 0);
	for (int i = 0; i < 600; i++) {
		atomic_fetch_add(&version, 1);
		ck_assert_int_eq(i % 2 ? rmdir(path) : mkdir(path, 0755), 0);
		atomic_fetch_add(&version, 1);
		usleep(i % 3 ? 0 : 300);
	}
	atomic_store(&stop, true);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_gt(atomic_load(&answers), 0);
	ck_assert_uint_eq(atomic_load(&wrong), 0);
}
END_TEST

// ---- a directory for each test -------------------------------------------------------------------------------------------

int main(void)
{
	const TTest *const tests[] = {
		a_file_is_known_while_nothing_changes,
		reading_is_no_news,
		after_news_the_same_file_is_known_again,
		names_with_dots_are_followed,
		directories_and_missing_names_are_known,
		what_is_not_sure_is_refused,
		only_file_systems_that_tell_everything_are_watched,
		no_directory_no_watch,
		a_directory_put_in_place_of_another_is_looked_at,
		a_removed_directory_that_is_still_open_is_news,
		what_appears_is_news,
		a_change_between_epoch_and_look_is_news_for_the_next,
		mounts_are_news,
		threads_never_hear_what_is_over,
	};
	make_trees(1 + COUNT_OF(tests) + COUNT_OF(changes));
	setup();
	bool can_watch = has_text("w/a/b/h.h", "one");
	teardown();
	int failed = 0;
	if (can_watch) {
		Suite *s = suite_create("watch");
		TCase *t = tcase_create("watch");
		tcase_add_checked_fixture(t, setup, teardown);
		tcase_set_timeout(t, 120);
		for (size_t i = 0; i < COUNT_OF(tests); i++)
			tcase_add_test(t, tests[i]);
		tcase_add_loop_test(t, every_change_is_news, 0, COUNT_OF(changes));
		suite_add_tcase(s, t);
		failed = unit_run(s);
	} else {
		puts("100%: skipped, this file system does not tell of changes");
	}
	remove_trees();
	return failed;
}
