// Whole files: read with a limit, write whole or not at all, identity. `dirfd` is as in openat(2). Thread: any.
#ifndef COFFER_BASE_FILE_H
#define COFFER_BASE_FILE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

// What tells that a file is still the same one with the same contents, as far as the file system can tell.
struct file_id {
	uint64_t dev, ino;
	int64_t size, mtime_ns, ctime_ns;
};
struct file_id file_id_of(const struct stat *st);
static inline bool file_id_equal(const struct file_id *a, const struct file_id *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime_ns == b->mtime_ns &&
	       a->ctime_ns == b->ctime_ns;
}
int64_t clock_now_ns(void); // CLOCK_REALTIME, comparable with file times
static inline int64_t clock_now_ms(void)
{
	return clock_now_ns() / 1000000;
}

// Opens a regular file to read; a directory, fifo or device is ERR_FORMAT, more than `max` bytes ERR_LIMIT. -1 on failure.
int file_open_regular(int dirfd, const char *path, size_t max, struct stat *st, struct err *err);
// Reads a regular file to the end, with the same errors.
// `st` (may be NULL) is the state of the very file that was read.
int file_read(int dirfd, const char *path, size_t max, struct buf *out, struct stat *st, struct err *err);
// The same of a secret: ERR_ACCESS unless it belongs to us or to root, and others can neither read nor write it.
int file_read_secret(const char *path, size_t max, struct buf *out, struct err *err);
int file_read_fd(int fd, size_t max, struct buf *out, struct err *err); // from the current position to the end
int file_write_fd(int fd, const void *p, size_t n, struct err *err);    // all of it
// One write at the end of a file opened with O_APPEND, which nobody else writes. What a full disk leaves half done is taken back,
// so that the next line begins one. `sync`: it is on the disk then. `what`: for the error's text.
int file_append(int fd, const void *p, size_t n, bool sync, const char *what, struct err *err);
// Readers see the old or the new bytes: a nameless file (or a temp file beside it) gets the name when it is whole. No fsync.
// Leaves no temp file on failure.
int file_write_atomic(int dirfd, const char *path, const void *p, size_t n, mode_t mode, struct err *err);
// The same, and on the disk when it returns: after a loss of power readers see the old or the new bytes, too.
int file_write_durable(int dirfd, const char *path, const void *p, size_t n, mode_t mode, struct err *err);
int file_make_dirs(const char *path, mode_t mode, struct err *err); // mkdir -p; existing ones stay as they are

#endif
