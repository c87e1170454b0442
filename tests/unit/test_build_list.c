// The lists of builds: what is copied and what is left out, the uses that they tell, the log that they come from.
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "client/services/share_log.h"
#include "store/shared/build_list.h"
#include "store/shared/uses.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static struct err err;

static struct tier_name named(unsigned n)
{
	return (struct tier_name){.space = TIER_CONTENT, .id = sha256_of(&n, sizeof n)};
}

// A tier whose gets of some names end with their time, for the list of a build.
enum { BUILD_NAMES = 40 };
static struct sha256 late[BUILD_NAMES];
static size_t n_late;

static bool is_named(unsigned n, const struct tier_name *name)
{
	struct tier_name other = named(n);
	return sha256_equal(&other.id, &name->id);
}

static int late_get(struct tier *t, const struct tier_name *name, size_t max, struct buf *out, int64_t until_ms,
		    struct err *why)
{
	(void)t, (void)until_ms;
	for (size_t i = 0; i < n_late; i++)
		if (sha256_equal(&late[i], &name->id))
			return err_set(why, ERR_TIMEOUT, "its time is over");
	for (unsigned i = 0; i < BUILD_NAMES; i++)
		if (is_named(i, name))
			buf_add(out, &i, max < sizeof i ? max : sizeof i);
	return 1;
}

static int none_has(struct tier *t, const struct tier_name *names, size_t n, bool *there, int64_t until_ms, struct err *why)
{
	(void)t, (void)names, (void)until_ms, (void)why;
	memset(there, 0, n);
	return 0;
}

static int sink_put(struct tier *t, const struct tier_name *name, const void *p, size_t n, int64_t until_ms, struct err *why)
{
	(void)t, (void)name, (void)p, (void)n, (void)until_ms, (void)why;
	return 0;
}

static int copy_build(struct copy_report *report)
{
	static const struct tier_ops late_ops = {.kind = "late", .get = late_get};
	static const struct tier_ops sink_ops = {.kind = "sink", .put = sink_put, .has = none_has};
	struct tier from = {&late_ops}, to = {&sink_ops};
	struct build_list l = {0};
	struct seal *s;
	for (unsigned i = 0; i < BUILD_NAMES; i++) {
		struct tier_name name = named(i);
		build_list_add(&l, &name);
	}
	ck_assert_int_eq(seal_open(&(struct seal_config){0}, &s, &err), 0);
	struct copy_config c = {.from = &from, .to = &to, .seal = s, .scope = ""};
	int rc = build_list_copy(&l, &c, report, &err);
	build_list_release(&l);
	seal_free(s);
	return rc;
}

START_TEST(one_timeout_leaves_out_one_name)
{
	struct copy_report r;
	n_late = 0;
	late[n_late++] = named(7).id;
	late[n_late++] = named(30).id;
	ck_assert_msg(copy_build(&r) == 0, "%s", err.text);
	ck_assert_uint_eq(r.copied, BUILD_NAMES - 2);
	ck_assert_uint_eq(r.left_out, 2);
	for (n_late = 0; n_late < BUILD_NAMES; n_late++)
		late[n_late] = named((unsigned)n_late).id;
	ck_assert_int_eq(copy_build(&r), -1);
	ck_assert_int_eq(err.code, ERR_TIMEOUT);
}
END_TEST

static struct buf record;
static struct tier_name record_name;
static int record_put(struct tier *t, const struct tier_name *name, const void *p, size_t n, int64_t until_ms,
		      struct err *why)
{
	(void)t, (void)until_ms, (void)why;
	record_name = *name;
	buf_add(&record, p, n);
	return 0;
}

START_TEST(a_list_of_a_build_is_told_as_used)
{
	static const struct tier_ops blind_ops = {.kind = "blind", .is_told_of_uses = true, .put = record_put};
	static const struct tier_ops seeing_ops = {.kind = "seeing", .put = record_put};
	struct tier blind = {&blind_ops}, seeing = {&seeing_ops};
	struct build_list l = {0};
	AUTO_BUF struct buf uses = BUF_INIT;
	for (unsigned i = 0; i < BUILD_NAMES; i++) {
		struct tier_name name = named(i);
		build_list_add(&l, &name);
	}
	ck_assert_int_eq(build_list_note_uses(&l, &seeing, &err), 0);
	ck_assert_uint_eq(record.len, 0);
	ck_assert_int_eq(build_list_note_uses(&l, &blind, &err), 0);
	ck_assert_int_eq(record_name.space, TIER_USES);
	ck_assert_int_eq(uses_decode(record.data, record.len, &uses, &err), 0);
	ck_assert_uint_eq(uses.len, BUILD_NAMES * sizeof(struct store_use));
	const struct store_use *first = (const void *)uses.data;
	ck_assert(first->id == uses_id(&l.names[0].id) && first->minutes == 0);
	build_list_release(&l);
	buf_release(&record);
}
END_TEST

static char *directory;

enum { LOGGERS = 8 };
static void *log_one(void *n)
{
	struct tier_name name = named((unsigned)(uintptr_t)n);
	name.space = TIER_ACTIONS;
	share_log_add(directory, "/tree", &name, 1);
	return NULL;
}

START_TEST(a_full_log_is_renamed_once)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	directory = unit_directory();
	const char *path = arena_printf(&a, "%s/v1/shared.log", directory),
		   *old = arena_printf(&a, "%s/v1/shared.1.log", directory);
	pthread_t threads[LOGGERS];
	struct stat st;
	ck_assert_int_eq(mkdir(arena_printf(&a, "%s/v1", directory), 0700), 0);
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(ftruncate(fd, SHARE_LOG_MAX_BYTES + 1), 0);
	// Somebody is about to rename it.
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	log_one(NULL);
	ck_assert_int_eq(stat(old, &st), -1);
	ck_assert_int_eq(flock(fd, LOCK_UN), 0);
	for (size_t i = 0; i < LOGGERS; i++)
		pthread_create(&threads[i], NULL, log_one, (void *)i);
	for (size_t i = 0; i < LOGGERS; i++)
		pthread_join(threads[i], NULL);
	log_one(NULL);
	ck_assert(stat(old, &st) == 0 && st.st_size > SHARE_LOG_MAX_BYTES);
	ck_assert(stat(path, &st) == 0 && st.st_size < 4096);
	tree_remove(AT_FDCWD, directory);
	free(directory);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("build_list");
	TCase *t = tcase_create("build_list");
	tcase_add_test(t, one_timeout_leaves_out_one_name);
	tcase_add_test(t, a_list_of_a_build_is_told_as_used);
	tcase_add_test(t, a_full_log_is_renamed_once);
	suite_add_tcase(s, t);
	return s;
}
