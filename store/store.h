// The store on disk: blobs by key, compressed, checksummed, published whole or not at all, bounded in size.
//
// Layout below the cache folder: v1/<kind>/<2 hex>/<30 hex>. A blob file is a header (magic, format, kind, key, raw size,
// XXH3-128 over the stored bytes) and zstd data. Publication is temp file in v1/tmp, write, rename. There is no fsync: after a power
// cut a blob may be torn, which the checksum on every read turns into a miss. A corrupt blob is removed and reported as
// absent. Nothing here ever fails a compile: the caller treats errors as a miss.
//
// Size: v1/usage is a small mapped file with the bytes in each of the 256 shards (the first byte of the key), kept by atomic adds, shared by
// all daemons on the folder. store_put never walks; when the total passes the limit, store_evict_some (the daemon's
// housekeeping thread calls it) takes the fullest shards one at a time, removes the least recently used blobs until the
// total is below 95 % of the limit, and corrects that shard's count. Use is recorded as the file's mtime, at most once an
// hour a blob. Thread: any; one struct store per process.
#ifndef COFFER_STORE_STORE_H
#define COFFER_STORE_STORE_H

#include "base/buf.h"
#include "base/hash.h"

#include <stdbool.h>
#include <stdint.h>

enum store_kind {
	STORE_RESULT,   // outputs and messages of one compile; immutable
	STORE_MANIFEST, // header sets of one translation unit; replaced
	STORE_UNIT,     // the last arguments of one translation unit, for explanations; replaced
	STORE_TEXT,     // the text of a source or header by its digest, for explanations; immutable
	STORE_KINDS
};

struct store_part { // one piece of a blob, so that callers need not join them first
	const void *p;
	size_t n;
};

struct store;
#define STORE_MAX_BLOB ((size_t)1 << 30)

// Opens or makes the folder (0700). `max_bytes` 0 means no limit. `level` is zstd's (may be negative).
struct store *store_open(const char *dir, uint64_t max_bytes, int level, struct err *err);
void store_close(struct store *s);
void store_set_limit(struct store *s, uint64_t max_bytes);

int store_put(struct store *s, enum store_kind kind, const struct digest *key, const struct store_part *parts,
	      size_t n_parts, struct err *err);
// 1 found (raw bytes added to `out`), 0 absent, -1 the disk failed. A corrupt blob is removed: 0, and counted.
int store_get(struct store *s, enum store_kind kind, const struct digest *key, struct buf *out, struct err *err);
bool store_has(struct store *s, enum store_kind kind, const struct digest *key);
void store_remove(struct store *s, enum store_kind kind, const struct digest *key);

uint64_t store_bytes(const struct store *s); // on disk, by the usage file
uint64_t store_corrupt(const struct store *s); // corrupt blobs met since store_open
bool store_is_over(const struct store *s);
// Evicts until below 95 % of the limit. Returns the blobs removed in *removed.
int store_evict_some(struct store *s, uint64_t *removed, struct err *err);

struct store_report { // what walks found and did
	uint64_t blobs[STORE_KINDS], bytes[STORE_KINDS];
	uint64_t corrupt, stray_temps;
};
// Walk the whole store; for `coffer cache gc|verify|clear`. They may run while daemons work.
int store_gc(struct store *s, struct store_report *r, struct err *err);     // recounts, drops old temp files, evicts
int store_verify(struct store *s, struct store_report *r, struct err *err); // reads every blob, removes corrupt ones
int store_clear(struct store *s, struct store_report *r, struct err *err);  // removes every blob

#endif
