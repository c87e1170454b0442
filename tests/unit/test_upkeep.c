// Room in stores that make none by themselves: what goes and what stays, leases, records of uses, the lists of servers.
#include "base/clock.h"
#include "base/file.h"
#include "base/tree.h"
#include "store/remote/listing.h"
#include "store/remote/remote.h"
#include "store/shared/lease.h"
#include "store/shared/upkeep.h"
#include "store/shared/uses.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

static struct err err;

// ---- a bucket in memory ---------------------------------------------------------------------------------------------

enum { ITEMS = 512 };
struct bucket {
	struct tier tier;
	struct tier_item items[ITEMS];
	struct buf bytes[ITEMS];
	unsigned n, removed, puts;
	enum tier_space broken;
	int fails; // so many gets from that space
	int64_t now_s;
};
static struct bucket bucket;

static unsigned find(const struct tier_name *name)
{
	unsigned i = 0;
	while (i < bucket.n &&
	       !(bucket.items[i].name.space == name->space && sha256_equal(&bucket.items[i].name.id, &name->id)))
		i++;
	return i;
}

static int bucket_get(struct tier *t, const struct tier_name *name, size_t max, struct buf *out, int64_t until_ms,
		      struct err *why)
{
	(void)t, (void)max, (void)until_ms;
	unsigned i = find(name);
	if (name->space == bucket.broken && bucket.fails > 0) {
		bucket.fails--;
		return err_set(why, ERR_PEER, "the server answers GET with 503");
	}
	if (i == bucket.n)
		return 0;
	buf_add(out, bucket.bytes[i].data, bucket.bytes[i].len);
	return 1;
}

static int bucket_put(struct tier *t, const struct tier_name *name, const void *p, size_t n, int64_t until_ms,
		      struct err *why)
{
	(void)t, (void)until_ms, (void)why;
	unsigned i = find(name);
	ck_assert_uint_lt(i, ITEMS);
	if (i == bucket.n)
		bucket.n++;
	buf_clear(&bucket.bytes[i]);
	buf_add(&bucket.bytes[i], p, n);
	bucket.items[i] = (struct tier_item){*name, n, bucket.now_s};
	bucket.puts++;
	return 0;
}

static int bucket_list(struct tier *t, enum tier_space space, tier_item_fn *fn, void *arg, int64_t until_ms, struct err *why)
{
	(void)t, (void)until_ms, (void)why;
	for (unsigned i = 0; i < bucket.n; i++)
		if (bucket.items[i].name.space == space && fn(arg, &bucket.items[i]) < 0)
			return -1;
	return 0;
}

static int bucket_remove(struct tier *t, const struct tier_name *names, size_t n, int64_t until_ms, struct err *why)
{
	(void)t, (void)until_ms, (void)why;
	for (size_t k = 0; k < n; k++) {
		unsigned i = find(&names[k]);
		if (i == bucket.n)
			continue;
		bucket.n--;
		struct buf bytes = bucket.bytes[i];
		bucket.items[i] = bucket.items[bucket.n];
		bucket.bytes[i] = bucket.bytes[bucket.n];
		bucket.bytes[bucket.n] = bytes;
		bucket.removed++;
	}
	return 0;
}

static struct tier *open_bucket(void)
{
	static const struct tier_ops ops = {.kind = "bucket",
					    .is_told_of_uses = true,
					    .get = bucket_get,
					    .put = bucket_put,
					    .list = bucket_list,
					    .remove = bucket_remove};
	for (unsigned i = 0; i < ITEMS; i++)
		buf_release(&bucket.bytes[i]);
	bucket = (struct bucket){.tier = {&ops}, .now_s = 1000000};
	err = (struct err)ERR_INIT;
	return &bucket.tier;
}

static struct tier_name named(unsigned n)
{
	return (struct tier_name){.space = n % 2 ? TIER_ACTIONS : TIER_CONTENT, .id = sha256_of(&n, sizeof n)};
}

// N entries of 100 bytes; entry i was written i hours before now.
static void fill(unsigned n)
{
	char bytes[100] = "";
	int64_t now = bucket.now_s;
	for (unsigned i = 0; i < n; i++) {
		struct tier_name name = named(i);
		bucket.now_s = now - i * 3600;
		bucket_put(&bucket.tier, &name, bytes, sizeof bytes, 0, NULL);
	}
	bucket.now_s = now;
}

static bool is_there(unsigned n)
{
	struct tier_name name = named(n);
	return find(&name) < bucket.n;
}

static struct upkeep_report run(struct upkeep_config c)
{
	struct upkeep_report report;
	if (!c.time_limit_s)
		c.time_limit_s = 60;
	ck_assert_msg(upkeep_run(&bucket.tier, &c, &report, &err) == 0, "%s", err.text);
	return report;
}

START_TEST(what_was_used_longest_ago_goes_first)
{
	open_bucket();
	fill(20);
	struct upkeep_report r = run((struct upkeep_config){.max_bytes = 1050});
	ck_assert_uint_eq(r.entries, 20);
	ck_assert_uint_eq(r.removed, 10);
	ck_assert_uint_eq(r.removed_bytes, 1000);
	ck_assert_int_eq(r.oldest_s, 9 * 3600);
	for (unsigned i = 0; i < 20; i++)
		ck_assert_int_eq(is_there(i), i < 10);
	ck_assert_uint_eq(bucket.n, 10); // and no lease
	r = run((struct upkeep_config){.max_age_s = 5 * 3600 - 1});
	ck_assert_uint_eq(r.removed, 5);
	ck_assert(is_there(4) && !is_there(5));
}
END_TEST

START_TEST(nothing_goes_within_the_grace)
{
	open_bucket();
	fill(20);
	struct upkeep_report r = run((struct upkeep_config){.max_bytes = 1, .max_age_s = 1, .grace_s = 3 * 3600 + 1});
	ck_assert_uint_eq(r.removed, 16);
	for (unsigned i = 0; i < 20; i++)
		ck_assert_int_eq(is_there(i), i < 4);
}
END_TEST

static void note_use(unsigned n, uint32_t minutes, int64_t at_s)
{
	AUTO_BUF struct buf record = BUF_INIT;
	struct tier_name entry = named(n);
	struct store_use use = {uses_id(&entry.id), minutes};
	uses_encode(&use, 1, &record);
	struct tier_name name = {.space = TIER_USES, .id = sha256_of(record.data, record.len)};
	int64_t now = bucket.now_s;
	bucket.now_s = at_s;
	bucket_put(&bucket.tier, &name, record.data, record.len, 0, NULL);
	bucket.now_s = now;
}

START_TEST(a_use_that_was_told_keeps_an_entry)
{
	open_bucket();
	fill(20);
	note_use(19, 90, bucket.now_s - 1800); // two hours ago
	note_use(18, 0, bucket.now_s - 17 * 3600);
	struct upkeep_report r = run((struct upkeep_config){.max_age_s = 10 * 3600 + 60});
	ck_assert_uint_eq(r.records, 2);
	ck_assert_uint_eq(r.removed, 8);
	ck_assert(is_there(19) && !is_there(18) && is_there(10) && !is_there(11));
	r = run((struct upkeep_config){.max_age_s = 2 * 3600 - 60});
	ck_assert(!is_there(19) && is_there(1));
}
END_TEST

START_TEST(records_are_put_together_and_say_the_same)
{
	open_bucket();
	fill(40);
	for (unsigned i = 0; i < 40; i++)
		note_use(i, i, bucket.now_s - 600);
	struct upkeep_report r = run((struct upkeep_config){.max_age_s = 30 * 60 + 30});
	ck_assert_uint_eq(r.records, 40);
	// 0 to 19 minutes before the records, which are ten minutes old.
	for (unsigned i = 0; i < 40; i++)
		ck_assert_msg(is_there(i) == (i <= 20), "%u", i);
	r = run((struct upkeep_config){.max_age_s = 20 * 60 + 30});
	ck_assert_uint_eq(r.records, 1);
	for (unsigned i = 0; i < 40; i++)
		ck_assert_msg(is_there(i) == (i <= 10), "%u", i);
}
END_TEST

START_TEST(a_dry_run_changes_nothing)
{
	open_bucket();
	bucket.now_s = clock_now_ns() / 1000000000;
	fill(20);
	unsigned puts = bucket.puts;
	struct upkeep_report r = run((struct upkeep_config){.max_bytes = 1, .is_dry_run = true});
	ck_assert_uint_eq(r.removed, 20);
	ck_assert_uint_eq(bucket.removed, 0);
	ck_assert_uint_eq(bucket.puts, puts);
}
END_TEST

START_TEST(a_record_that_is_none_is_counted_and_does_nothing)
{
	open_bucket();
	fill(2);
	struct tier_name name = {.space = TIER_USES, .id = sha256_of("x", 1)};
	bucket_put(&bucket.tier, &name, "cofferU1\377\377\377\377", 12, 0, NULL);
	struct upkeep_report r = run((struct upkeep_config){.max_age_s = 1, .grace_s = 1});
	ck_assert_uint_eq(r.records_bad, 1);
	ck_assert_uint_eq(r.records_unread, 0);
	ck_assert_uint_eq(r.removed, 1);
}
END_TEST

START_TEST(while_a_record_is_not_read_nothing_goes)
{
	enum { USES = 40 };
	open_bucket();
	fill(USES);
	for (unsigned i = 0; i < USES; i++)
		note_use(i, 0, bucket.now_s - 60);
	bucket.broken = TIER_USES;
	bucket.fails = 1;
	struct upkeep_report r = run((struct upkeep_config){.max_bytes = 1, .max_age_s = 1800});
	ck_assert_uint_eq(r.records_unread, 1);
	ck_assert_uint_eq(r.removed, 0);
	for (unsigned i = 0; i < USES; i++)
		ck_assert(is_there(i));
	// The others are one by now, and the one that was not read is as it was.
	r = run((struct upkeep_config){.max_age_s = 1800});
	ck_assert_uint_eq(r.records, 2);
	ck_assert_uint_eq(r.records_unread, 0);
	ck_assert_uint_eq(r.removed, 0);
	r = run((struct upkeep_config){.max_age_s = 30});
	ck_assert_uint_eq(r.removed, USES - 1); // 0 was written at this moment
}
END_TEST

// ---- leases, in a folder --------------------------------------------------------------------------------------------

static char *directory;

static struct tier *open_folder(void)
{
	struct tier *t = NULL;
	AUTO_FREE char *url = NULL;
	directory = unit_directory();
	url = mem_printf("file:%s", directory);
	ck_assert_msg(remote_open(&(struct remote_config){.url = url}, &t, &err) == 0, "%s", err.text);
	return t;
}

static void close_folder(struct tier *t)
{
	tier_close(t);
	tree_remove(AT_FDCWD, directory);
	free(directory);
}

struct taker {
	struct tier *tier;
	struct store_lease lease;
	struct err err;
	int rc;
};

static void *take(void *arg)
{
	struct taker *t = arg;
	t->rc = lease_take(t->tier, 600, &t->lease, clock_ms() + 60000, &t->err);
	return NULL;
}

START_TEST(one_of_many_gets_the_lease)
{
	enum { TAKERS = 5 };
	struct tier *tier = open_folder();
	struct taker takers[TAKERS] = {0};
	pthread_t threads[TAKERS];
	int n = 0;
	for (int i = 0; i < TAKERS; i++) {
		takers[i].tier = tier;
		pthread_create(&threads[i], NULL, take, &takers[i]);
	}
	for (int i = 0; i < TAKERS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < TAKERS; i++) {
		n += takers[i].rc == 0;
		ck_assert(takers[i].rc == 0 || takers[i].err.code == ERR_BUSY);
		if (takers[i].rc == 0)
			ck_assert_int_le(llabs(takers[i].lease.now_s - clock_now_ns() / 1000000000), 60);
	}
	ck_assert_int_eq(n, 1);
	struct taker late = {.tier = tier};
	take(&late);
	ck_assert_int_eq(late.err.code, ERR_BUSY);
	for (int i = 0; i < TAKERS; i++)
		if (takers[i].rc == 0)
			lease_drop(tier, &takers[i].lease);
	take(&late);
	ck_assert_int_eq(late.rc, 0);
	close_folder(tier);
}
END_TEST

START_TEST(a_lease_that_cannot_be_read_is_left_and_kept)
{
	static const char text[] = "coffer lease 1\nseconds 600\nhost other\n";
	struct tier *t = open_bucket();
	struct tier_name others = {.space = TIER_LEASES, .id = sha256_of("other", 5)};
	struct store_lease lease;
	bucket.now_s -= 60;
	bucket_put(t, &others, text, sizeof text - 1, 0, NULL);
	bucket.now_s += 60;
	bucket.broken = TIER_LEASES;
	bucket.fails = 1;
	ck_assert_int_eq(lease_take(t, 600, &lease, clock_ms() + 60000, &err), -1);
	ck_assert_int_eq(err.code, ERR_BUSY);
	ck_assert_uint_lt(find(&others), bucket.n);
	ck_assert_uint_eq(bucket.n, 1); // the own one is away
}
END_TEST

START_TEST(no_link_leads_out_of_a_folder)
{
	struct tier *t = open_folder();
	AUTO_FREE char *space = mem_printf("%s/ac", directory), *away = mem_printf("%s/away", directory);
	AUTO_BUF struct buf out = BUF_INIT;
	struct tier_name name = {.space = TIER_ACTIONS, .id = sha256_of("x", 1)};
	bool there = true;
	ck_assert_int_eq(mkdir(away, 0700), 0);
	ck_assert_int_eq(symlink("away", space), 0);
	ck_assert_int_eq(tier_put(t, &name, "bytes", 5, INT64_MAX, &err), -1);
	ck_assert_int_eq(rmdir(away), 0); // nothing was written there
	ck_assert_int_eq(tier_get(t, &name, 100, &out, INT64_MAX, &err), 0);
	ck_assert_int_eq(tier_has(t, &name, 1, &there, INT64_MAX, &err), 0);
	ck_assert(!there);
	ck_assert_int_eq(unlink(space), 0);
	ck_assert_int_eq(tier_put(t, &name, "bytes", 5, INT64_MAX, &err), 0);
	ck_assert_int_eq(tier_get(t, &name, 100, &out, INT64_MAX, &err), 1);
	close_folder(t);
}
END_TEST

// ---- a web server that says a word to its yes ------------------------------------------------------------------------

static void *answer_deletes(void *arg)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nremoved";
	char asked[4096];
	int fd = accept(*(int *)arg, NULL, NULL);
	while (fd >= 0 && read(fd, asked, sizeof asked) > 0) // one call, one packet
		if (write(fd, answer, sizeof answer - 1) < 0)
			break;
	close(fd);
	return NULL;
}

START_TEST(a_delete_may_be_answered_with_a_body)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof at;
	pthread_t thread;
	struct tier *t;
	struct tier_name names[] = {named(1), named(2)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert(bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 5) == 0);
	ck_assert(getsockname(fd, (struct sockaddr *)&at, &length) == 0);
	pthread_create(&thread, NULL, answer_deletes, &fd);
	AUTO_FREE char *url = mem_printf("http://127.0.0.1:%d/x", ntohs(at.sin_port));
	ck_assert_int_eq(remote_open(&(struct remote_config){.url = url}, &t, &err), 0);
	ck_assert_msg(tier_remove(t, names, 2, clock_ms() + 10000, &err) == 0, "%s", err.text);
	tier_close(t);
	pthread_join(thread, NULL);
	close(fd);
}
END_TEST

// ---- lists of servers -----------------------------------------------------------------------------------------------

#define HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static struct tier_item seen;
static unsigned n_seen;
static int see(void *arg, const struct tier_item *item)
{
	(void)arg;
	seen = *item;
	n_seen++;
	return 0;
}

static int parse(enum listing_kind kind, const char *xml, struct listing *l)
{
	*l = (struct listing){.kind = kind, .space = TIER_ACTIONS, .fn = see};
	n_seen = 0;
	return listing_parse(l, xml, strlen(xml), &err);
}

START_TEST(lists_of_s3_are_read)
{
	struct listing l;
	ck_assert_int_eq(
		parse(LISTING_S3,
		      "<?xml version='1.0'?><ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>"
		      "<Contents><Key>cache/ac/" HEX
		      "</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified><Size>77</Size>"
		      "</Contents><Contents><Key>cache/ac/readme</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified>"
		      "<Size>77</Size></Contents><Contents><Key>cache/cas/" HEX "</Key>"
		      "<LastModified>2026-01-02T03:04:05.678Z</LastModified><Size>77</Size></Contents>"
		      "<IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b=</NextContinuationToken>"
		      "</ListBucketResult>",
		      &l),
		0);
	ck_assert_uint_eq(n_seen, 1);
	ck_assert_uint_eq(seen.bytes, 77);
	ck_assert_int_eq(seen.used_s, 1767323045);
	ck_assert_str_eq(l.next, "a&b=");
}
END_TEST

START_TEST(lists_of_webdav_are_read)
{
	struct listing l;
	ck_assert_int_eq(parse(LISTING_DAV,
			       "<D:multistatus xmlns:D=\"DAV:\"><D:response><D:href>/x/ac/</D:href></D:response><D:response>"
			       "<D:href>/x/ac/" HEX "</D:href><D:propstat><D:prop>"
			       "<D:getcontentlength>5</D:getcontentlength>"
			       "<D:getlastmodified>Fri, 02 Jan 2026 03:04:05 GMT</D:getlastmodified></D:prop></D:propstat>"
			       "</D:response></D:multistatus>",
			       &l),
			 0);
	ck_assert_uint_eq(n_seen, 1);
	ck_assert_uint_eq(seen.bytes, 5);
	ck_assert_int_eq(seen.used_s, 1767323045);
}
END_TEST

START_TEST(a_list_with_a_document_type_or_cut_is_none)
{
	struct listing l;
	ck_assert_int_eq(parse(LISTING_S3, "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", &l), -1);
	ck_assert_int_eq(err.code, ERR_FORMAT);
	ck_assert_int_eq(parse(LISTING_S3, "<ListBucketResult><Contents>", &l), -1);
	ck_assert_int_eq(parse(LISTING_S3, "", &l), -1);
	ck_assert_int_eq(parse(LISTING_S3, "<html>please log in</html>", &l), 0);
	ck_assert_uint_eq(n_seen, 0);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("upkeep");
	TCase *t = tcase_create("upkeep");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, what_was_used_longest_ago_goes_first);
	tcase_add_test(t, nothing_goes_within_the_grace);
	tcase_add_test(t, a_use_that_was_told_keeps_an_entry);
	tcase_add_test(t, records_are_put_together_and_say_the_same);
	tcase_add_test(t, a_dry_run_changes_nothing);
	tcase_add_test(t, a_record_that_is_none_is_counted_and_does_nothing);
	tcase_add_test(t, while_a_record_is_not_read_nothing_goes);
	tcase_add_test(t, a_lease_that_cannot_be_read_is_left_and_kept);
	tcase_add_test(t, no_link_leads_out_of_a_folder);
	tcase_add_test(t, a_delete_may_be_answered_with_a_body);
	tcase_add_test(t, lists_of_s3_are_read);
	tcase_add_test(t, lists_of_webdav_are_read);
	tcase_add_test(t, a_list_with_a_document_type_or_cut_is_none);
	tcase_add_test(t, one_of_many_gets_the_lease);
	suite_add_tcase(s, t);
	return s;
}
