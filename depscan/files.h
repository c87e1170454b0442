// What the daemon knows of files by their identity (device, inode, size, mtime, ctime): digest, and what the text can do.
//
// An entry is trusted only if the file was older than FILES_AGE_FLOOR_NS when it was read: a later change must then show
// in mtime or ctime, whatever the file system's granularity. A younger file is read again each time. The table is
// bounded; when it is full, it is emptied. Thread: any.
#ifndef COFFER_DEPSCAN_FILES_H
#define COFFER_DEPSCAN_FILES_H

#include "base/file.h"
#include "base/mem.h"
#include "codec/hash.h"
#include "compiler/compiler.h"
#include "depscan/scan.h"

#define FILES_AGE_FLOOR_NS ((int64_t)2000000000)
#define FILES_MAX_SIZE ((size_t)256 << 20) // a larger input is ERR_LIMIT
#define FILES_MAX_ENTRIES 60000u           // about 300 bytes each, with the includes

struct files;
struct files *files_new(void);
void files_free(struct files *f);

struct file_facts {
	struct file_id id;
	bool is_plain; // the name is that of a regular file, and no link to one
	struct digest digest;
	struct scan scan; // includes: in the caller's arena
};

// The digest of a file as it is now; /dev/null is an empty one. `st`, if not NULL, is filled in. 0, or -1: ERR_NOT_FOUND, ERR_FORMAT (not a regular
// file), ERR_LIMIT, ...
int files_digest(struct files *f, int dirfd, const char *path, struct digest *digest, struct stat *st, struct err *err);
struct digester files_digester(struct files *f); // for who knows of no files (compiler/compiler.h)
// The digest and the scan of the text.
int files_facts(struct files *f, int dirfd, const char *path, struct arena *a, struct file_facts *facts, struct err *err);
// The same of a plain file of which it is known that it still has this identity. False: nothing is known of it.
bool files_facts_of(struct files *f, const struct file_id *id, struct arena *a, struct file_facts *facts);
// Could the text of this file define the macro (scan_may_define)? True when it can't be read.
bool files_may_define(struct files *f, int dirfd, const char *path, const struct digest *digest, const char *name);
bool files_may_ask(struct files *f, int dirfd, const char *path, const struct digest *digest,
		   const char *name); // scan_may_ask
bool files_may_use(struct files *f, int dirfd, const char *path, const struct digest *digest,
		   const char *name); // scan_may_use
bool files_may_begin(struct files *f, int dirfd, const char *path, const struct digest *digest,
		     const char *name); // scan_may_begin
// True the first time it is asked for this digest since the table was made: for work that is done once for a text.
bool files_first_time(struct files *f, const struct digest *digest);

#endif
