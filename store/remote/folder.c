// A folder that many machines mount: files ac/<2 hex digits>/<62>, cas/<2>/<62>.
//
// Safe on NFS: a file is written under a name that nobody else uses, closed (which NFS flushes), and renamed in its own directory. No
// locks, no links, no mmap. There is no fsync: a torn file does not have its digest. Time of use is the file's mtime, set at most
// once a day.
#include "store/remote/parts.h"
#include "store/remote/url.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_ROOM = 128 << 10 }; // file_read_fd() wants more than the file has
#define TOUCH_AFTER_NS (INT64_C(24) * 3600 * 1000000000)

struct folder {
	struct tier tier;
	char *dir;
	uint64_t random; // in the names of this process's temporary files
	atomic_uint serial;
};

static void name_file(const struct folder *f, const struct tier_name *name, char path[PATH_MAX])
{
	char hex[SHA256_HEX];
	sha256_hex(&name->id, hex);
	snprintf(path, PATH_MAX, "%s/%s/%.2s/%s", f->dir, name->space == TIER_CONTENT ? "cas" : "ac", hex, hex + 2);
}

static int open_file(const char *path)
{
	// A handle of a file that was replaced on the server: the name leads to the new one.
	for (int tries = 0;; tries++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
		if (fd >= 0 || errno != ESTALE || tries == 2)
			return fd;
	}
}

static int folder_get(struct tier *t, const struct tier_name *name, size_t max, struct buf *out, int64_t until_ms,
		      struct err *err)
{
	char path[PATH_MAX];
	struct stat st;
	(void)until_ms;
	name_file((struct folder *)t, name, path);
	AUTO_CLOSE int fd = open_file(path);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ENXIO))
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, "cannot open '%s'", path);
	if (!S_ISREG(st.st_mode))
		return 0;
	if (st.st_size > (off_t)max)
		return err_set(err, ERR_LIMIT, "'%s' has more than %zu bytes", path, max);
	AUTO_BUF struct buf bytes = {.max = max + READ_ROOM};
	if (file_read_fd(fd, max, &bytes, err) < 0)
		return err_wrap(err, "'%s'", path);
	int64_t age = clock_now_ns() - file_id_of(&st).mtime_ns;
	if (age > TOUCH_AFTER_NS || age < -TOUCH_AFTER_NS)
		futimens(fd, NULL); // may be another user's: then it ages
	buf_add(out, bytes.data, bytes.len);
	return buf_check(out, "an entry", err) < 0 ? -1 : 1;
}

static int write_once(struct folder *f, const char *path, const void *p, size_t n, struct err *err)
{
	char tmp[PATH_MAX + 64];
	unsigned serial = atomic_fetch_add(&f->serial, 1);
	snprintf(tmp, sizeof tmp, "%.*s/.new-%016llx-%08x", (int)(strrchr(path, '/') - path), path,
		 (unsigned long long)f->random, serial);
	int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0664);
	if (fd < 0)
		return err_errno(err, "cannot create '%s'", tmp);
	int rc = file_write_fd(fd, p, n, err);
	if (close(fd) < 0 && rc == 0)
		rc = err_errno(err, "cannot write '%s'", tmp);
	if (rc == 0 && rename(tmp, path) < 0)
		rc = err_errno(err, "cannot rename '%s' to '%s'", tmp, path);
	if (rc < 0)
		unlink(tmp);
	return rc;
}

static int folder_put(struct tier *t, const struct tier_name *name, const void *p, size_t n, int64_t until_ms,
		      struct err *err)
{
	struct folder *f = (struct folder *)t;
	char path[PATH_MAX];
	struct err why = ERR_INIT;
	(void)until_ms;
	name_file(f, name, path);
	int rc = write_once(f, path, p, n, &why);
	if (rc < 0 && why.sys == ENOENT) {
		AUTO_FREE char *directory = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
		// The folder itself is not made: where it is missing, the disk is not mounted.
		if (access(f->dir, F_OK) == 0 && file_make_dirs(directory, 0775, &why) == 0)
			rc = write_once(f, path, p, n, &why);
	}
	if (rc < 0 && err)
		*err = why;
	return rc;
}

static int folder_has(struct tier *t, const struct tier_name *names, size_t n, bool *there, int64_t until_ms,
		      struct err *err)
{
	(void)until_ms, (void)err;
	for (size_t i = 0; i < n; i++) {
		char path[PATH_MAX];
		struct stat st;
		name_file((struct folder *)t, &names[i], path);
		there[i] = lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
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
	static const struct tier_ops ops = {
		.kind = "folder", .get = folder_get, .put = folder_put, .has = folder_has, .close = folder_close};
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
