// The bytes in each of the store's 256 shards, in the file v1/usage, shared by every process on the store.
//
// The file is 2064 bytes in the machine's own byte order: a magic number, whether the counts are complete (1) or must
// be counted again (0), 256 signed counts. What this process adds is first noted in memory and then folded into the file
// under a flock that is never waited for: a stopped process that holds it delays nobody, and the next fold brings all
// along.
//
// It is read and written, not mapped: writing through a mapping raises SIGBUS when a copy-on-write file system (btrfs)
// is full or somebody has truncated the file, and that would end the daemon.
//
// A file that is missing, of another size or with another magic is made again with `complete` 0. One without a link (the
// cache directory was removed) is let go and opened again. With no file at all (read-only, no space) the counts live in
// memory. Counts may drift (a process killed between publication and fold), so each walk of a shard sets its count.
// Thread: any.
#ifndef COFFER_STORE_USAGE_H
#define COFFER_STORE_USAGE_H

#include <stdbool.h>
#include <stdint.h>

enum { USAGE_SHARDS = 256 };

struct usage;

struct usage *usage_open(const char *path); // never fails; `path` is copied
void usage_close(struct usage *u);
void usage_add(struct usage *u, unsigned shard, int64_t bytes);
void usage_set(struct usage *u, unsigned shard, uint64_t bytes);
// The counts as all processes see them now, with what this one has not folded. Returns their sum. `counts` may be NULL.
uint64_t usage_read(struct usage *u, uint64_t counts[USAGE_SHARDS]);
bool usage_is_complete(struct usage *u);
void usage_set_complete(struct usage *u);

#endif
