// The store on disk: blobs by key, compressed, checksummed, published whole or not at all, bounded in size.
//
// Layout below the cache directory: v1/<kind>/<2 hex>/<30 hex>. A blob file is a header (store/blob.h) and the bytes, raw
// or zstd. Publication is temp file in v1/tmp, write, rename. There is no fsync: after a power cut a blob may be torn,
// which the checksum on every read turns into a miss. A corrupt blob is removed and reported as absent. Nothing here
// ever fails a compile: the caller treats errors as a miss (ERR_FULL: no space, quota, descriptors, read-only;
// ERR_ACCESS; ERR_LIMIT: too large; else the disk).
//
// Size: v1/usage is a small file with the bytes in each of the 256 shards (the first byte of the key), shared by all
// daemons on the directory (store/usage.h). A file counts for its size in whole 4 KiB pages, each of its names for its part. A put never walks;
// when the total passes the limit, store_evict_some (the daemon's housekeeping thread calls it) takes the fullest
// shards, removes the least recently used blobs until the total is below 95 % of the limit, and corrects those shards'
// counts. Use is recorded as the file's mtime, at most once an hour a blob. Thread: any; one struct store per process.
//
// docs/store.md has the formats byte by byte and what each fault leads to.
#ifndef COFFER_STORE_STORE_H
#define COFFER_STORE_STORE_H

#include "base/buf.h"
#include "codec/hash.h"

#include <stdbool.h>
#include <stdint.h>

enum store_kind {
	STORE_RESULT,    // outputs and messages of one compile; immutable
	STORE_MANIFEST,  // header sets of one translation unit; replaced
	STORE_UNIT,      // the last arguments of one translation unit, for explanations; replaced
	STORE_TEXT,      // the text of a source or header by its digest, for explanations; immutable
	STORE_TOOLCHAIN, // what a compiler looks at, for some arguments; replaced
	STORE_ACTION,    // what a shared store says of an action, by SHA-256 (store/tier.h); replaced
	STORE_CONTENT,   // bytes by their SHA-256; immutable
	STORE_KINDS
};

struct store_part { // one piece of a blob, so that callers need not join them first
	const void *p;
	size_t n;
};

struct store_blob {
	enum store_kind kind;
	struct digest key;
	const struct store_part *parts;
	size_t n_parts;
};

struct store;
#define STORE_MAX_BLOB ((size_t)1 << 30)

// Opens or makes the directory (0700). `max_bytes` 0 means no limit. `level` is zstd's (may be negative). A v1 that
// everybody can write to is ERR_ACCESS. A read-only store that exists can be opened; puts into it fail. NULL on error.
struct store *store_open(const char *dir, uint64_t max_bytes, int level, struct err *err);
void store_close(struct store *s); // after every call on it has returned; NULL is allowed
void store_set_limit(struct store *s, uint64_t max_bytes);

// A blob of an immutable kind that is there already stays as it is and counts as used. ERR_LIMIT past STORE_MAX_BLOB,
// and for a blob larger than the store may be.
int store_put(struct store *s, enum store_kind kind, const struct digest *key, const struct store_part *parts,
	      size_t n_parts, struct err *err);
// The same for several, in their order; no two may have the same kind and key. Small ones share a file, which has a name for each of
// them: what belongs to one compile costs one block and one inode, and is read and dropped one by one as ever. On an error those
// before the one that failed may be there, and none behind it is.
int store_put_together(struct store *s, const struct store_blob *blobs, size_t n, struct err *err);
// As store_put(). A small one that is new goes to the end of the file of another blob (`at`) where that shares its file, too.
int store_put_beside(struct store *s, const struct store_blob *blob, enum store_kind at_kind, const struct digest *at,
		     struct err *err);
// For a blob that is asked for again and again: stands unpacked on the disk from now on, so that reading it is a copy. Only blobs
// of STORE_UNPACKED_MIN bytes and more, and only while the store is no more than a quarter full: else it stays as it is, and that
// is no error. `raw` is what store_get() gave. Otherwise as store_put(): not on the way of a compile.
#define STORE_UNPACKED_MIN ((size_t)256 << 10)
int store_keep_unpacked(struct store *s, enum store_kind kind, const struct digest *key, const struct store_part *raw,
			struct err *err);
// 1 found (raw bytes added to `out`), 0 absent, -1 the disk failed or the blob is larger than `out` may be (ERR_LIMIT).
// A corrupt blob is removed: 0 with ERR_FORMAT in `err`, and counted. Unless it returns 1, `out` has the bytes it had.
int store_get(struct store *s, enum store_kind kind, const struct digest *key, struct buf *out, struct err *err);
// Was ever anything of this kind put into the store?
bool store_has_kind(const struct store *s, enum store_kind kind);
// By the file's presence, not its contents.
bool store_has(struct store *s, enum store_kind kind, const struct digest *key);
bool store_use(struct store *s, enum store_kind kind,
	       const struct digest *key); // the same, and what is there counts as used
// As store_use() for a thousand blobs at a time: one that it has seen in the last seconds is not looked for again, unless this process
// has seen it go. Whoever reads it then must be able to do without.
bool store_uses(struct store *s, enum store_kind kind, const struct digest *key);
void store_remove(struct store *s, enum store_kind kind, const struct digest *key);

uint64_t store_bytes(const struct store *s);  // on disk, by the usage file
uint64_t store_take_corrupt(struct store *s); // corrupt blobs met since it was last asked
// store_evict_some has something to do: the limit is passed, or the counts were lost and all must be counted again.
bool store_is_over(const struct store *s);
// Counts again if that is due, then evicts until below 95 % of the limit. *removed is the number of blobs. Takes as long
// as walking the store may take: never on the way of a compile. While another process or thread is at it, does nothing.
int store_evict_some(struct store *s, uint64_t *removed, struct err *err);

struct store_report {                                    // what walks found and did
	uint64_t blobs[STORE_KINDS], bytes[STORE_KINDS]; // what is in the store afterwards; store_clear: what was removed
	uint64_t corrupt, stray_temps, evicted;
};
// Walk the whole store and set its counts; for `coffer cache gc|verify|clear`. They may run while daemons work. They
// touch only regular files with the names of ours, follow no symlinks, and leave directories. On an error the report is of
// no use.
int store_gc(struct store *s, struct store_report *r, struct err *err);     // recounts, drops old temp files, evicts
int store_verify(struct store *s, struct store_report *r, struct err *err); // reads every blob, removes corrupt ones
int store_clear(struct store *s, struct store_report *r, struct err *err);  // removes every blob

#endif
