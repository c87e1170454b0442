// The user's own text as a worker has it: the listing of a tree, which files of it are not here yet, those as they come in, and the
// whole as the bytes that an agent takes (agent/tree.h).
//
// Nothing is believed: a listing is checked (sourcetree/source_tree.h), its digest computed, and a file counts only when its bytes have
// the digest that the listing says. Files are kept among the tenant's contents. Thread: one.
#ifndef COFFER_WORKER_TREE_SOURCE_H
#define COFFER_WORKER_TREE_SOURCE_H

#include "sourcetree/source_tree.h"
#include "worker/results.h"
#include "worker/runtime/runtime.h"

#include <sys/types.h>

enum { TREE_SOURCE_MAX_WHOLE = 256 }; // mounts of one job

struct tree_source {
	struct results *results;
	const char *tenant;
	uint64_t max; // bytes of all files together

	struct arena arena;
	struct buf listing;   // unpacked
	struct sha256 digest; // of it
	struct source_tree tree;
	const char **whole; // directories, below the top, none within another
	size_t n_whole;
	uint64_t bytes;   // of all files
	uint32_t *wanted; // places among tree.files, ascending; each digest once
	size_t n_wanted;
	uint64_t wanted_bytes;

	// A frame that comes in.
	struct ZSTD_DCtx_s *zstd;
	struct buf prefix, file; // what stands before the listing; the file that comes
	size_t next;             // of `wanted`
	bool is_whole;

	// The bytes for an agent.
	const struct source_node *at;
	bool has_begun, is_done;
	bool has_lost; // a file that was here is not here any more, or not whole
	struct buf ready;
	size_t taken;
};

void tree_source_init(struct tree_source *s, struct results *results, const char *tenant, uint64_t max);
void tree_source_release(struct tree_source *s);

// The listing's frame, in pieces; `prefix` and `size` as in CompileTree. 1: the prefix is here, or none is needed; 0: it is not.
int tree_source_begin(struct tree_source *s, const uint8_t *prefix, size_t n_prefix, uint64_t prefix_size, uint64_t size,
		      struct err *err);
int tree_source_take_listing(struct tree_source *s, const void *p, size_t n, struct err *err);
// It is whole: sets digest, tree, bytes and wanted. ERR_FORMAT, ERR_LIMIT.
int tree_source_end_listing(struct tree_source *s, struct err *err);
// The same of a listing that is kept here, by its digest. 1; 0: it is not here.
int tree_source_load(struct tree_source *s, const struct sha256 *listing, struct err *err);
// Where the compiler runs, and where it writes, is in the tree or in the job's own /tmp. ERR_FORMAT.
int tree_source_check_places(struct tree_source *s, const Coffer__V1__CompileHeader *h, struct err *err);
// Adds the name of an entry, from the top. It can have SOURCE_TREE_MAX_DEPTH parts, so of many at once none is kept.
void tree_source_path(const struct tree_source *s, const struct source_node *n, struct buf *path);
// The same of file i of `source`, a struct tree_source, and its SHA-256: for struct provenance_tree.
const uint8_t *tree_source_file(const void *source, size_t i, struct buf *path);

// The frame of the wanted files, in pieces. ERR_FORMAT: a file is not what its digest says; others: it could not be kept.
int tree_source_take_files(struct tree_source *s, const void *p, size_t n, struct err *err);
bool tree_source_has_all(const struct tree_source *s);
size_t tree_source_memory(const struct tree_source *s);

// What a job is told of its tree; points into `s` and `h`.
void tree_source_job(struct tree_source *s, const Coffer__V1__CompileHeader *h, struct job_tree *job);
void tree_source_rewind(struct tree_source *s);                                 // a job begins to read it
ssize_t tree_source_read(void *source, void *to, size_t room, struct err *err); // a job_read_fn

#endif
