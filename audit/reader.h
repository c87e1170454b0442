// Reads the rows of an audit log from its files, one after the other or from a given one on. Thread: one for each reader; a
// writer may be at work meanwhile.
#ifndef COFFER_AUDIT_READER_H
#define COFFER_AUDIT_READER_H

#include "audit/row.h"

#include <sys/types.h>

struct audit_reader {
	int dirfd, fd;
	uint64_t index; // of the row that comes next
	off_t offset;   // where it begins in its file
	struct buf bytes;
	size_t at;         // of the next row in `bytes`
	size_t torn_bytes; // at the end of the log: bytes without a newline
};
void audit_reader_init(struct audit_reader *r, int dirfd);
void audit_reader_release(struct audit_reader *r);
// The row with this number comes next. Reads the part of its file before it. ERR_FORMAT: there are fewer.
int audit_reader_seek(struct audit_reader *r, uint64_t index, struct err *err);
// The same, from a row before it whose place in its file is known. ERR_FORMAT as well: no row begins there.
int audit_reader_resume(struct audit_reader *r, uint64_t near, off_t offset, uint64_t index, struct err *err);
// 1: a row, without its newline, until the next call; 0: there are no more; -1: ERR_FORMAT where a line is too long.
int audit_reader_next(struct audit_reader *r, const char **line, size_t *n, struct err *err);

#endif
