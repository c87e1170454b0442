// What a shared store keeps of an action (one compile, whatever is in its headers): the known results, each with its inputs by
// SHA-256, its absent names, and the blobs of its outputs. It comes from another machine, perhaps from an enemy: every size has a
// limit, and names are looked at before anything is done with them.
//
// Bytes: one zstd frame over
//   u32 format, u32 length and bytes of a manifest (depscan/manifest.h) whose digests of inputs are zero, and for each of its entries
//   u32 number of outputs, for each u32 part, 32 bytes SHA-256 of the blob, u64 size of the blob, u64 size of the output;
//   32 bytes SHA-256 for each of the inputs
// A blob is one zstd frame with the output. The frame is sealed as it is (store/shared/seal.h). Thread: any.
#ifndef COFFER_CLIENT_JOB_SHARED_ENTRY_H
#define COFFER_CLIENT_JOB_SHARED_ENTRY_H

#include "client/job/plan.h"
#include "codec/sha/sha256.h"
#include "depscan/manifest.h"

#define SHARED_ENTRY_MAX ((size_t)16 << 20) // unpacked
enum { SHARED_ENTRY_RESULTS = 8 };          // the newest stay

struct shared_output {
	enum part part;
	struct sha256 blob;
	uint64_t blob_size, size;
};
struct shared_result {
	struct shared_output outputs[PART_COUNT];
	uint32_t n_outputs;
	struct sha256 *inputs; // as many as the manifest's entry has
};
struct shared_entry {
	struct manifest *manifest; // its entry i has results[i]
	struct shared_result *results;
	struct arena arena;
};

// ERR_FORMAT, ERR_LIMIT. Then there is nothing to release.
int shared_entry_decode(const void *p, size_t n, struct shared_entry *e, struct err *err);
void shared_entry_release(struct shared_entry *e);
// Of a result and, behind it, those of `old` (may be NULL) that are others, up to SHARED_ENTRY_RESULTS. What `inputs` are to this
// machine is left out.
int shared_entry_encode(const struct manifest_entry *inputs, const struct shared_result *result,
			const struct shared_entry *old, struct buf *out, struct err *err);
// What both entries have, as their bytes before they are sealed; where they differ `mine` is the newer one.
int shared_entry_join(const struct shared_entry *mine, const struct shared_entry *theirs, struct buf *out, struct err *err);
// Has the entry this very result for these inputs?
bool shared_entry_has(const struct shared_entry *e, const struct manifest_entry *inputs, const struct shared_result *result);

// One zstd frame, and back: exactly `size` bytes, or as many as it says, up to out->max.
void shared_pack(const void *p, size_t n, struct buf *out);
int shared_unpack(const void *p, size_t n, uint64_t size, struct buf *out, struct err *err);
int shared_unpack_all(const void *p, size_t n, struct buf *out, struct err *err);
void shared_get_sha256(struct rd *r, struct sha256 *to);

#endif
