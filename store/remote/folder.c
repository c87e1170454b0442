// A folder that many machines mount: files ac/<2 hex digits>/<62>, cas/<2>/<62>, use/…, lease/….
//
// Safe on NFS: a file is written under a name that nobody else uses, closed (which NFS flushes), and renamed in its own directory. No
// locks, no links, no mmap. There is no fsync: a torn file does not have its digest. Time of use is the file's mtime, set at most
// once a day. Below the folder no symbolic link is followed: who may write into it leads nobody out of it.
#include "store/remote/parts.h"
#include "store/remote/url.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	READ_ROOM = 128 << 10,      // file_read_fd() wants more than the file has
	SHARDS = 256,               // directories of a space
	LEFT_AFTER_S = 24 * 60 * 60 // a temporary file of this age is nobody's
};
#define TOUCH_AFTER_NS (INT64_C(24) * 3600 * 1000000000)
#define TEMPORARY ".new-"

struct folder {
	struct tier tier;
	char *dir;
	uint64_t random; // in the names of this process's temporary files
	atomic_uint serial;
};

// A file of the folder: its name in its directory, and all of it for messages.
struct folder_file {
	char hex[SHA256_HEX];
	const char *space, *file;
	char shard[3], text[64];
};

static void name_file(const struct tier_name *name, struct folder_file *p)
{
	sha256_hex(&name->id, p->hex);
	p->space = tier_space_name(name->space);
	p->file = p->hex + 2;
	snprintf(p->shard, sizeof p->shard, "%.2s", p->hex);
	snprintf(p->text, sizeof p->text, "%s/%s/%.8s...", p->space, p->shard, p->file);
}

static int open_below(int parent, const char *name, bool make)
{
	int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(parent, name, flags);
	if (fd >= 0 || errno != ENOENT || !make)
		return fd;
	// Also where another machine has just made it.
	if (mkdirat(parent, name, 0775) < 0 && errno != EEXIST)
		return -1;
	return openat(parent, name, flags);
}

// The directory ac/xx. -1 with errno; ENOENT where it is not there. The folder itself is not made: where it is missing, the disk is
// not mounted.
static int open_shard(const struct folder *f, const char *space, const char *shard, bool make)
{
	AUTO_CLOSE int all = open(f->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSE int in = all < 0 ? -1 : open_below(all, space, make);
	return in < 0 ? -1 : open_below(in, shard, make);
}

static int open_file(int directory, const char *name)
{
	// A handle of a file that was replaced on the server: the name leads to the new one.
	for (int tries = 0;; tries++) {
		int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
		if (fd >= 0 || errno != ESTALE || tries == 2)
			return fd;
	}
}

// What stands for an entry and is none: somebody else's things.
static bool is_absent(int error)
{
	return error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENXIO;
}

static int folder_get(struct tier *t, const struct tier_name *name, size_t max, struct buf *out, int64_t until_ms,
		      struct err *err)
{
	struct folder *f = (struct folder *)t;
	struct folder_file at;
	struct stat st;
	(void)until_ms;
	name_file(name, &at);
	AUTO_CLOSE int directory = open_shard(f, at.space, at.shard, false);
	AUTO_CLOSE int fd = directory < 0 ? -1 : open_file(directory, at.file);
	if (fd < 0 && is_absent(errno))
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, "cannot open '%s' in '%s'", at.text, f->dir);
	if (!S_ISREG(st.st_mode))
		return 0;
	if (st.st_size > (off_t)max)
		return err_set(err, ERR_LIMIT, "'%s' in '%s' has more than %zu bytes", at.text, f->dir, max);
	AUTO_BUF struct buf bytes = {.max = max + READ_ROOM};
	if (file_read_fd(fd, max, &bytes, err) < 0)
		return err_wrap(err, "'%s' in '%s'", at.text, f->dir);
	int64_t age = clock_now_ns() - file_id_of(&st).mtime_ns;
	if (age > TOUCH_AFTER_NS || age < -TOUCH_AFTER_NS)
		futimens(fd, NULL); // may be another user's: then it ages
	buf_add(out, bytes.data, bytes.len);
	return buf_check(out, "an entry", err) < 0 ? -1 : 1;
}

static int folder_put(struct tier *t, const struct tier_name *name, const void *p, size_t n, int64_t until_ms,
		      struct err *err)
{
	struct folder *f = (struct folder *)t;
	struct folder_file at;
	char tmp[64];
	(void)until_ms;
	name_file(name, &at);
	AUTO_CLOSE int directory = open_shard(f, at.space, at.shard, true);
	if (directory < 0)
		return err_errno(err, "cannot make '%s/%s' in '%s'", at.space, at.shard, f->dir);
	snprintf(tmp, sizeof tmp, TEMPORARY "%016llx-%08x", (unsigned long long)f->random, atomic_fetch_add(&f->serial, 1));
	int fd = openat(directory, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0664);
	if (fd < 0)
		return err_errno(err, "cannot create '%s/%s/%s' in '%s'", at.space, at.shard, tmp, f->dir);
	int rc = file_write_fd(fd, p, n, err);
	if (close(fd) < 0 && rc == 0)
		rc = err_errno(err, "cannot write '%s' in '%s'", at.text, f->dir);
	if (rc == 0 && renameat(directory, tmp, directory, at.file) < 0)
		rc = err_errno(err, "cannot rename '%s' to '%s' in '%s'", tmp, at.text, f->dir);
	if (rc < 0)
		unlinkat(directory, tmp, 0);
	return rc;
}

static int folder_has(struct tier *t, const struct tier_name *names, size_t n, bool *there, int64_t until_ms,
		      struct err *err)
{
	(void)until_ms, (void)err;
	for (size_t i = 0; i < n; i++) {
		struct folder_file at;
		struct stat st;
		name_file(&names[i], &at);
		AUTO_CLOSE int directory = open_shard((struct folder *)t, at.space, at.shard, false);
		there[i] = directory >= 0 && fstatat(directory, at.file, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			   S_ISREG(st.st_mode) && st.st_size > 0;
	}
	return 0;
}

// ---- upkeep ---------------------------------------------------------------------------------------------------------

// Of a writer that was killed.
static void drop_left_over(int directory, const char *name, const struct stat *st)
{
	if (strncmp(name, TEMPORARY, strlen(TEMPORARY)) == 0 &&
	    clock_now_ns() / 1000000000 - st->st_mtim.tv_sec > LEFT_AFTER_S)
		unlinkat(directory, name, 0);
}

static int list_shard(int path, enum tier_space space, unsigned shard, tier_item_fn *fn, void *arg, struct err *err)
{
	int fd = openat(path, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	int rc = 0;
	if (!d) {
		rc = err_errno(err, "cannot list '%s/%02x'", tier_space_name(space), shard);
		if (fd >= 0)
			close(fd);
		return rc;
	}
	for (const struct dirent *e; rc == 0 && (errno = 0, e = readdir(d));) {
		struct tier_item item = {.name.space = space};
		struct stat st;
		char hex[SHA256_HEX + 200];
		if (e->d_name[0] == '.' && strncmp(e->d_name, TEMPORARY, strlen(TEMPORARY)) != 0)
			continue;
		if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		drop_left_over(fd, e->d_name, &st);
		snprintf(hex, sizeof hex, "%02x%.250s", shard, e->d_name);
		if (!sha256_parse(hex, &item.name.id))
			continue;
		item.bytes = (uint64_t)st.st_size;
		item.used_s = st.st_mtim.tv_sec;
		rc = fn(arg, &item);
	}
	if (rc == 0 && errno)
		rc = err_errno(err, "cannot list '%s/%02x'", tier_space_name(space), shard);
	closedir(d);
	return rc;
}

static int folder_list(struct tier *t, enum tier_space space, tier_item_fn *fn, void *arg, int64_t until_ms, struct err *err)
{
	struct folder *f = (struct folder *)t;
	for (unsigned shard = 0; shard < SHARDS; shard++) {
		char name[3];
		snprintf(name, sizeof name, "%02x", shard);
		AUTO_CLOSE int directory = open_shard(f, tier_space_name(space), name, false);
		if (directory < 0 && is_absent(errno) && access(f->dir, F_OK) == 0)
			continue;
		if (directory < 0)
			return err_errno(err, "cannot open '%s/%s' in '%s'", tier_space_name(space), name, f->dir);
		if (clock_ms() > until_ms)
			return err_set(err, ERR_TIMEOUT, "'%s' is not listed in time", f->dir);
		if (list_shard(directory, space, shard, fn, arg, err) < 0)
			return -1;
	}
	return 0;
}

static int folder_remove(struct tier *t, const struct tier_name *names, size_t n, int64_t until_ms, struct err *err)
{
	struct folder *f = (struct folder *)t;
	(void)until_ms;
	for (size_t i = 0; i < n; i++) {
		struct folder_file at;
		name_file(&names[i], &at);
		AUTO_CLOSE int directory = open_shard(f, at.space, at.shard, false);
		int rc = directory < 0 ? -1 : unlinkat(directory, at.file, 0);
		if (rc < 0 && !is_absent(errno))
			return err_errno(err, "cannot remove '%s' in '%s'", at.text, f->dir);
	}
	return 0;
}

static void folder_close(struct tier *t)
{
	free(((struct folder *)t)->dir);
	free(t);
}

int folder_open(const char *url, const char *ca, struct credentials *c, struct tier **out, struct err *err)
{
	static const char *const options[] = {NULL};
	static const struct tier_ops ops = {.kind = "folder",
					    .get = folder_get,
					    .put = folder_put,
					    .has = folder_has,
					    .list = folder_list,
					    .remove = folder_remove,
					    .close = folder_close};
	struct url u;
	(void)ca, (void)c;
	if (url_parse(url, options, &u, err) < 0)
		return -1;
	if (*u.authority || u.path[0] != '/' || strlen(u.path) + 160 > PATH_MAX) {
		url_release(&u);
		return err_set(err, ERR_USAGE, "file: takes the absolute name of a folder, as file:/mnt/builds");
	}
	struct folder *f = mem_alloc(sizeof *f);
	f->tier.ops = &ops;
	f->dir = mem_strdup(u.path);
	url_release(&u);
	if (getrandom(&f->random, sizeof f->random, GRND_NONBLOCK) != sizeof f->random)
		f->random = (uint64_t)clock_now_ns();
	*out = &f->tier;
	return 0;
}
