// The hashes of a log on disk, as C2SP tlog-tiles lays them out: tile/L/N has 256 hashes of level L, each over 256 of level
// L - 1; N is written in groups of three digits ("x001/234"). The last tile of a level, while it is not full, is N.p/W with its
// W hashes. Thread: any for readers; one writer.
#ifndef COFFER_AUDIT_TILES_H
#define COFFER_AUDIT_TILES_H

#include "audit/merkle.h"
#include "base/mem.h"

enum { TILE_BITS = 8, TILE_HASHES = 256, TILE_LEVELS = 7 };

// ---- reading --------------------------------------------------------------------------------------------------------

struct tiles {
	int dirfd;     // of the log
	uint64_t size; // leaves that the tiles are about
	struct {       // the tile that was read last, of each level
		bool is_known;
		uint64_t index;
		unsigned n;
		struct merkle_hash hashes[TILE_HASHES];
	} last[TILE_LEVELS];
};
void tiles_init(struct tiles *t, int dirfd, uint64_t size);
struct merkle_tree tiles_tree(struct tiles *t);
int tiles_leaf(struct tiles *t, uint64_t index, struct merkle_hash *out, struct err *err);

// ---- writing --------------------------------------------------------------------------------------------------------

struct full_tile; // one that is to be written

// Partial tiles that the flush before has left, and that the checkpoint on disk still needs: one of each level at most.
struct stale_tiles {
	struct {
		uint64_t index;
		unsigned n; // 0: none
	} of[TILE_LEVELS];
};

// The hashes of every level that are in no full tile yet, and full tiles that are not on disk yet.
struct tile_writer {
	int dirfd;
	uint64_t size;
	struct full_tile *unwritten, **last; // oldest first
	unsigned n_unwritten;
	unsigned n[TILE_LEVELS];
	unsigned on_disk[TILE_LEVELS]; // W of the partial tile that the last flush has left; 0: none
	struct stale_tiles stale;
	struct merkle_hash hashes[TILE_LEVELS][TILE_HASHES];
};
// Goes on where `size` leaves are on disk.
int tile_writer_open(struct tile_writer *w, int dirfd, uint64_t size, struct err *err);
void tile_writer_release(struct tile_writer *w);
void tile_writer_add(struct tile_writer *w, const struct merkle_hash *leaf); // in memory: nothing can fail
// All of it to the disk. `stale` gets what may be removed once the checkpoint of what was flushed is on disk. -1: some is not, and
// stays to be written; no checkpoint may be signed.
int tile_writer_flush(struct tile_writer *w, struct stale_tiles *stale, struct err *err);
void stale_tiles_remove(const struct stale_tiles *stale, int dirfd);
struct merkle_hash tile_writer_root(const struct tile_writer *w);

#endif
