#include "audit/reader.h"

#include "audit/log.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 256 * 1024 };

static void close_segment(struct audit_reader *r)
{
	mem_close_cleanup(&r->fd);
	r->fd = -1;
}

void audit_reader_init(struct audit_reader *r, int dirfd)
{
	*r = (struct audit_reader){.dirfd = dirfd, .fd = -1};
}

void audit_reader_release(struct audit_reader *r)
{
	close_segment(r);
	buf_release(&r->bytes);
}

// Old files of rows may be moved to an archive: that is not the log's end.
static bool has_later_segment(const struct audit_reader *r)
{
	int fd = openat(r->dirfd, "rows", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	bool is_there = false;
	if (!d && fd >= 0)
		close(fd);
	for (const struct dirent *e; d && !is_there && (e = readdir(d));)
		is_there = strspn(e->d_name, "0123456789") == strlen(e->d_name) &&
			   strtoull(e->d_name, NULL, 10) > r->index / AUDIT_SEGMENT_ROWS;
	if (d)
		closedir(d);
	return is_there;
}

// 1, or 0: there is no such file, and the log ends here.
static int open_segment(struct audit_reader *r, struct err *err)
{
	char name[32];
	snprintf(name, sizeof name, "rows/%08" PRIu64, r->index / AUDIT_SEGMENT_ROWS);
	close_segment(r);
	buf_clear(&r->bytes);
	r->at = 0;
	r->offset = 0;
	r->fd = openat(r->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (r->fd < 0 && errno != ENOENT)
		return err_errno(err, "cannot open '%s' of the audit log", name);
	if (r->fd < 0 && has_later_segment(r))
		return err_set(err, ERR_NOT_FOUND,
			       "'%s' of the audit log is not here, and later rows are: where it was archived, bring it back",
			       name);
	return r->fd >= 0;
}

// 1: more bytes; 0: the file has no more; -1.
static int fill(struct audit_reader *r, struct err *err)
{
	if (r->at) {
		memmove(r->bytes.data, r->bytes.data + r->at, r->bytes.len - r->at);
		r->bytes.len -= r->at;
		r->at = 0;
	}
	if (r->bytes.len > AUDIT_ROW_MAX)
		return err_set(err, ERR_FORMAT, "row %" PRIu64 " is longer than %d bytes", r->index, AUDIT_ROW_MAX);
	ssize_t n = read(r->fd, buf_room(&r->bytes, CHUNK), CHUNK);
	if (n > 0)
		buf_grew(&r->bytes, (size_t)n);
	return n < 0 ? err_errno(err, "cannot read the audit log") : n > 0;
}

int audit_reader_next(struct audit_reader *r, const char **line, size_t *n, struct err *err)
{
	if (r->fd < 0) {
		int rc = open_segment(r, err);
		if (rc != 1)
			return rc;
	}
	for (;;) {
		const char *from = r->bytes.data ? r->bytes.data + r->at : NULL;
		const char *end = from ? memchr(from, '\n', r->bytes.len - r->at) : NULL;
		if (end) {
			*line = from;
			*n = (size_t)(end - from);
			r->at += *n + 1;
			r->offset += (off_t)*n + 1;
			if (++r->index % AUDIT_SEGMENT_ROWS == 0)
				close_segment(r);
			return *n > AUDIT_ROW_MAX ? err_set(err, ERR_FORMAT, "row %" PRIu64 " is too long", r->index - 1)
						  : 1;
		}
		int rc = fill(r, err);
		if (rc != 1) {
			r->torn_bytes = r->bytes.len - r->at;
			return rc;
		}
	}
}

// Reads on to row `index`.
static int skip_to(struct audit_reader *r, uint64_t index, struct err *err)
{
	const char *line;
	size_t n;
	while (r->index < index) {
		int rc = audit_reader_next(r, &line, &n, err);
		if (rc != 1)
			return rc < 0 ? -1 : err_set(err, ERR_FORMAT, "the audit log ends before row %" PRIu64, index);
	}
	return 0;
}

int audit_reader_seek(struct audit_reader *r, uint64_t index, struct err *err)
{
	close_segment(r);
	r->index = index - index % AUDIT_SEGMENT_ROWS;
	return skip_to(r, index, err);
}

int audit_reader_resume(struct audit_reader *r, uint64_t near, off_t offset, uint64_t index, struct err *err)
{
	char before = '\n';
	close_segment(r);
	r->index = near;
	int rc = open_segment(r, err);
	if (rc == 1 && offset > 0 && pread(r->fd, &before, 1, offset - 1) != 1)
		before = '\0';
	if (rc != 1 || before != '\n' || lseek(r->fd, offset, SEEK_SET) != offset)
		return rc < 0 ? -1
			      : err_set(err, ERR_FORMAT, "row %" PRIu64 " of the audit log does not begin at byte %lld",
					near, (long long)offset);
	r->offset = offset;
	return skip_to(r, index, err);
}
