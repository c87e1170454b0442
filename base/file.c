#include "base/file.h"

#include "base/mem.h"
#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t ns_of(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct file_id file_id_of(const struct stat *st)
{
	return (struct file_id){st->st_dev, st->st_ino, st->st_size, ns_of(st->st_mtim), ns_of(st->st_ctim)};
}

int64_t clock_now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return ns_of(t);
}

int file_read_fd(int fd, size_t max, struct buf *out, struct err *err)
{
	size_t start = out->len;
	for (;;) {
		char *to = buf_room(out, 64 * 1024);
		if (!to)
			return buf_check(out, "the input", err);
		ssize_t n = read(fd, to, 64 * 1024);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, "cannot read");
		if (n == 0)
			return 0;
		buf_grew(out, (size_t)n);
		if (out->len - start > max)
			return err_set(err, ERR_LIMIT, "more than %zu bytes", max);
	}
}

int file_open_regular(int dirfd, const char *path, size_t max, struct stat *st, struct err *err)
{
	// O_NONBLOCK: opening a fifo must not wait for a writer.
	AUTO_CLOSE int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, st) < 0)
		return err_errno(err, "cannot open '%s'", path);
	if (!S_ISREG(st->st_mode))
		return err_set(err, ERR_FORMAT, "'%s' is not a regular file", path);
	if ((uint64_t)st->st_size > max)
		return err_set(err, ERR_LIMIT, "'%s' is larger than %zu bytes", path, max);
	return TAKE_FD(fd);
}

int file_read(int dirfd, const char *path, size_t max, struct buf *out, struct stat *st, struct err *err)
{
	struct stat own;
	if (!st)
		st = &own;
	AUTO_CLOSE int fd = file_open_regular(dirfd, path, max, st, err);
	if (fd < 0)
		return -1;
	// One read for the whole file in the usual case; what has grown meanwhile is read by the loop.
	size_t want = (size_t)st->st_size;
	char *to = buf_room(out, want + 1);
	if (!to)
		return buf_check(out, path, err);
	ssize_t n = read(fd, to, want + 1);
	if (n < 0)
		return err_errno(err, "cannot read '%s'", path);
	buf_grew(out, (size_t)n);
	if ((size_t)n <= want)
		return 0;
	if (file_read_fd(fd, max - want, out, err) < 0)
		return err_wrap(err, "'%s'", path);
	return 0;
}

int file_read_secret(const char *path, size_t max, struct buf *out, struct err *err)
{
	struct stat st;
	if (file_read(AT_FDCWD, path, max, out, &st, err) < 0)
		return -1;
	if ((st.st_mode & (S_IROTH | S_IWOTH)) == 0 && (st.st_uid == geteuid() || st.st_uid == 0))
		return 0;
	return err_set(
		err, ERR_ACCESS,
		"'%s' is not used: it must belong to you or to root, and others must not read or write it (chmod o-rw)",
		path);
}

int file_write_fd(int fd, const void *p, size_t n, struct err *err)
{
	for (const char *at = p; n;) {
		ssize_t w = write(fd, at, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return err_errno(err, "cannot write");
		at += w;
		n -= (size_t)w;
	}
	return 0;
}

// A file without a name: whoever is killed while writing it leaves nothing behind. -1 where the file system has none.
static int open_nameless(int dirfd, const char *path, mode_t mode)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	return openat(dirfd, path_dir(&a, path), O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
}

static int give_name(int fd, int dirfd, const char *name)
{
	char self[64];
	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, self, dirfd, name, AT_SYMLINK_FOLLOW);
}

int file_append(int fd, const void *p, size_t n, bool sync, const char *what, struct err *err)
{
	ssize_t done = write(fd, p, n);
	if (done == (ssize_t)n && (!sync || fdatasync(fd) == 0))
		return 0;
	int e = done >= 0 && done < (ssize_t)n ? ENOSPC : errno;
	struct stat st;
	if (done > 0 && (fstat(fd, &st) < 0 || ftruncate(fd, st.st_size - done) < 0))
		return err_errno(err, "cannot take back half a line of %s", what);
	errno = e;
	return err_errno(err, "cannot write %s", what);
}

// `durable`: the bytes are on the disk before they get the name.
static int write_whole(int dirfd, const char *path, const void *p, size_t n, mode_t mode, bool durable, struct err *err)
{
	static atomic_uint serial;
	AUTO_FREE char *tmp = mem_printf("%s.%x-%x.tmp", path, (unsigned)getpid(), atomic_fetch_add(&serial, 1));
	AUTO_CLOSE int fd = open_nameless(dirfd, path, mode);
	bool named = fd < 0;
	if (named)
		fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return err_errno(err, "cannot create '%s'", tmp);
	int rc = file_write_fd(fd, p, n, err);
	if (rc == 0 && durable && fdatasync(fd) < 0)
		rc = err_errno(err, "cannot write it to the disk");
	if (rc < 0) {
		if (named)
			unlinkat(dirfd, tmp, 0);
		return err_wrap(err, "'%s'", path);
	}
	// In the usual case nothing has that name, and the file gets it at once.
	if (!named && give_name(fd, dirfd, path) == 0)
		return 0;
	if (!named && give_name(fd, dirfd, tmp) < 0)
		return err_errno(err, "cannot create '%s'", tmp);
	if (renameat(dirfd, tmp, dirfd, path) < 0) {
		int e = errno;
		unlinkat(dirfd, tmp, 0);
		errno = e;
		return err_errno(err, "cannot rename to '%s'", path);
	}
	return 0;
}

int file_write_atomic(int dirfd, const char *path, const void *p, size_t n, mode_t mode, struct err *err)
{
	return write_whole(dirfd, path, p, n, mode, false, err);
}

int file_write_durable(int dirfd, const char *path, const void *p, size_t n, mode_t mode, struct err *err)
{
	const char *slash = strrchr(path, '/');
	AUTO_FREE char *parent = slash ? mem_strndup(path, (size_t)(slash - path) + 1) : mem_strdup(".");
	if (write_whole(dirfd, path, p, n, mode, true, err) < 0)
		return -1;
	AUTO_CLOSE int fd = openat(dirfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? err_errno(err, "cannot write the folder of '%s' to the disk", path) : 0;
}

int file_make_dirs(const char *path, mode_t mode, struct err *err)
{
	AUTO_FREE char *p = mem_strdup(path);
	for (char *slash = p + 1; *p; slash++) {
		slash = strchr(slash, '/');
		if (slash)
			*slash = '\0';
		if (mkdir(p, mode) < 0 && errno != EEXIST)
			return err_errno(err, "cannot make the folder '%s'", p);
		if (!slash)
			break;
		*slash = '/';
	}
	return 0;
}
