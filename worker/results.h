// The results that a worker keeps: a store on disk for each tenant, in a directory of its own, so that no tenant's results
// are met under another's name and none can push out another's.
//
// Only what ended well is kept, and what is kept stays as it is: when a key gets other bytes a second time, these are kept
// beside it and the caller is told. The store names a blob by half of its key; the whole key is in the blob, and is
// compared. A blob:
//   u32 format, u32 isolation, 32 bytes key, 32 bytes source digest, out, err (u32 length and bytes), u32 number of outputs, for each u32
// kind, 32 bytes
//   SHA-256, u64 size; and the outputs as one zstd frame
// Thread: any.
#ifndef COFFER_WORKER_RESULTS_H
#define COFFER_WORKER_RESULTS_H

#include "worker/key.h"
#include "worker/output_frame.h"

struct result {                   // of a run that ended with 0
	enum isolation isolation; // that it ran in
	uint8_t source[32];
	const char *out, *errs;
	size_t n_out, n_err;
	struct packed_output outputs[HEADER_MAX_OUTPUTS];
	size_t n_outputs;
	const char *frame;
	size_t n_frame;
};

enum result_put { RESULT_STORED, RESULT_SAME, RESULT_DIFFERS };

struct results;
// `directory` exists and is private. `max_bytes` on disk for each tenant.
struct results *results_new(const char *directory, uint64_t max_bytes);
void results_free(struct results *r);
// From now on what is not on this disk is looked for there, and what is stored is given there. Taken over; before any call.
struct shared_results;
void results_share(struct results *r, struct shared_results *shared);
struct shared_results *results_shared(struct results *r);       // or NULL
bool results_has_tenant(struct results *r, const char *tenant); // has it ever had one? Makes nothing
// Is it on this disk, whole or not? Removes nothing and asks nobody else.
bool results_has(struct results *r, const char *tenant, const struct key *key);
bool results_has_source(struct results *r, const char *tenant, const uint8_t digest[32]);
// 1: it is there, and points into `blob`; 0; -1. What was made in less than `least` is not there: a result counts for no more than
// the boundary that it ran in, wherever it is given out.
int results_get(struct results *r, const char *tenant, const struct key *key, enum isolation least, struct buf *blob,
		struct result *result, struct err *err);
int results_put(struct results *r, const char *tenant, const struct key *key, const struct result *result,
		enum result_put *what, struct err *err);
// Sources by their SHA-256, one zstd frame each, beside the results and within the same bound.
int results_put_source(struct results *r, const char *tenant, const uint8_t digest[32], const struct buf *packed,
		       struct err *err);
// 1 with the frame; 0: it is not, or no longer, there; -1. The caller compares what it unpacks with the digest.
int results_get_source(struct results *r, const char *tenant, const uint8_t digest[32], struct buf *packed, struct err *err);
// What is told of a translation unit (accounts.h), by its name of 16 bytes; replaced.
int results_put_unit(struct results *r, const char *tenant, const uint8_t unit[16], const struct buf *bytes,
		     struct err *err);
int results_get_unit(struct results *r, const char *tenant, const uint8_t unit[16], struct buf *bytes); // 1, 0, -1
// Inputs and outputs of actions by their SHA-256, in the same store and within the same bound. 1 with the bytes, which are what the
// digest says; 0; -1. A negative size: they may be any number.
struct reapi_digest;
int results_get_content(struct results *r, const char *tenant, const struct reapi_digest *d, struct buf *out,
			struct err *err);
int results_put_content(struct results *r, const char *tenant, const struct reapi_digest *d, const void *p, size_t n,
			struct err *err);
bool results_has_content(struct results *r, const char *tenant, const struct reapi_digest *d);
uint64_t results_bytes(struct results *r);        // of all tenants that have been there
uint64_t results_take_corrupt(struct results *r); // blobs met that were not whole, since it was last asked
void results_tidy(struct results *r);             // makes stores small enough again; takes its time

// The bytes of output `i`, which must have their digest. ERR_FORMAT: they are not there.
int result_unpack(const struct result *result, size_t i, struct buf *bytes, struct err *err);
// For tests and fuzzing: what is in a blob. ERR_FORMAT.
int result_decode(const void *blob, size_t n, const struct key *key, struct result *result, struct err *err);

#endif
