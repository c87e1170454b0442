// Inside the store: what its files share. Callers include store/store.h.
#ifndef COFFER_STORE_DISK_H
#define COFFER_STORE_DISK_H

#include "store/blob.h"
#include "store/usage.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>

enum { STORE_LATELY = 16384 };
struct store {
	char *v1; // absolute, so that the process may change its directory
	int level;
	uint64_t random;    // part of the names of this process's temp files
	atomic_uint serial; // the next temp file
	_Atomic uint64_t max_bytes, corrupt;
	int64_t next_room_ms;     // under the lock of eviction: not before then is room made for others
	atomic_bool has_no_links; // the file system refused a hard link: blobs share no files
	atomic_bool disk_is_full; // a blob found no room: something must go, whatever the limit says
	struct usage *usage;
	// Blobs that store_uses() has seen of late: a hash, and in its low 16 bits when, in seconds.
	atomic_uint_fast64_t lately[STORE_LATELY];
};

enum {
	PATH_ROOM = 80,            // more than the longest name below v1
	NAME_REST = DIGEST_HEX - 3 // hex digits of a blob's file name, the first two are its directory
};

extern const char *const store_kind_names[STORE_KINDS];

// What a file counts for: its size in whole 4 KiB pages (st_blocks is not settled before the data is on the disk, and
// lies on file systems that compress).
static inline uint64_t disk_bytes(uint64_t size)
{
	return (size + 4095) & ~(uint64_t)4095;
}
// What one of a file's names counts for, and what the disk gets back when that name goes.
static inline uint64_t disk_share(const struct stat *st)
{
	return disk_bytes((uint64_t)st->st_size) / (st->st_nlink ? st->st_nlink : 1);
}
static inline uint64_t disk_freed(const struct stat *st)
{
	return st->st_nlink > 1 ? 0 : disk_bytes((uint64_t)st->st_size);
}
static inline unsigned shard_of(const struct digest *key)
{
	return key->b[0];
}
static inline bool is_blob_file(const struct stat *st)
{
	return S_ISREG(st->st_mode);
}

void disk_path(const struct store *s, enum store_kind kind, const struct digest *key, char path[PATH_MAX]);
// Is there a blob that store_put() leaves as it is? Then it counts as used. *old is what is there, *replaces whether anything is.
bool disk_is_kept(enum store_kind kind, const char *path, struct stat *old, bool *replaces);
// Writes a file into v1/tmp and puts its name into `tmp`. On failure there is none.
int disk_write_temp(struct store *s, const struct buf *file, char tmp[PATH_MAX], struct err *err);
// A name for a new file in v1/tmp.
void disk_temp_name(struct store *s, char path[PATH_MAX]);
// Makes the directory that `path` lies in, and v1/tmp: somebody may have removed the whole cache.
int disk_make_directories(const struct store *s, const char *path, struct err *err);
// Gives a whole file in the way of store_put() its name, counts it and what it replaces (`old`, or NULL), and takes note of a full disk.
int disk_publish(struct store *s, const struct digest *key, const char *path, const struct buf *file, const struct stat *old,
		 struct err *err);
// ERR_LIMIT: the file is larger than the whole store may be.
int disk_check_size(const struct store *s, size_t size, struct err *err);
// Reads and unpacks an open blob file. ERR_FORMAT: corrupt; ERR_LIMIT: too large for `out`; else the disk failed.
int disk_load(int fd, enum store_kind kind, const struct digest *key, struct buf *out, struct stat *st, struct err *err);
// True when the blob must go: it is corrupt, or the disk cannot read it, and then it would stand in the way of a new
// one for ever.
static inline bool disk_is_useless(const struct err *why)
{
	return why->code == ERR_FORMAT || why->code == ERR_IO;
}
void disk_forget(struct store *s, enum store_kind kind, const struct digest *key); // it is not there
// True when a file's time of use is so old (or so far ahead) that it is to be set to now.
bool disk_wants_touch(const struct stat *st);

// ---- walks (walk.c) ------------------------------------------------------------------------------------------------

struct walk_blob {
	enum store_kind kind;
	struct digest key;
	int directory; // the file's directory, for openat
	const char *name;
	uint64_t size;   // of its file
	uint64_t bytes;  // what it counts for: its part of the file
	int64_t used_ns; // never ahead of the clock
};
enum walk_verdict { WALK_KEEP, WALK_DROP };
typedef enum walk_verdict walk_fn(void *arg, const struct walk_blob *b);

// Shows every blob file of a shard, removes what it is told to, and sets the shard's count to what is left. Only
// regular files with a blob's name are shown; no symlink is followed. What is published during the walk may be missed
// by the count until the next walk. -1 when a directory cannot be read.
int walk_shard(struct store *s, unsigned shard, walk_fn *fn, void *arg, struct err *err);
int walk_all(struct store *s, walk_fn *fn, void *arg, struct err *err); // and the counts are complete then
// The directory of a kind's shard, opened without following symlinks; -1 with errno.
int walk_open_directory(const struct store *s, enum store_kind kind, unsigned shard);
// Removes what killed writers have left in v1/tmp: files older than an hour whose process has ended, and any older than
// a day. Looks at a bounded number of names. Returns how many were removed.
uint64_t walk_drop_temps(const struct store *s);

#endif
