// How a result was made that a worker has: compiler, words, variables and inputs of a compile, as a client tells them to the worker
// and `coffer explain` on another machine reads them. It is read by `coffer explain` only and decides nothing. It comes from another machine,
// perhaps from an enemy: every size has a limit, and what is shown of it is escaped.
//
// Bytes: one zstd frame over u32 format, the worker's name of the compiler, the variant (variant.h), u32 length and bytes of a manifest
// (depscan/manifest.h) of one entry that has inputs, by name and XXH3, and nothing else. Thread: any.
#ifndef COFFER_CLIENT_JOB_ACCOUNT_H
#define COFFER_CLIENT_JOB_ACCOUNT_H

#include "client/job/variant.h"
#include "depscan/manifest.h"

#define ACCOUNT_MAX ((size_t)4 << 20)     // unpacked
enum { ACCOUNT_PACKED_MAX = 128 * 1024 }; // a worker takes no more (worker/accounts.h)

struct account_of_result {
	const char *identity; // of the compiler, by the worker that ran it
	struct variant words;
	struct manifest *manifest; // of one entry
	struct arena arena;
};

// ERR_FORMAT, ERR_LIMIT. Then there is nothing to release.
int account_decode(const void *p, size_t n, struct account_of_result *a, struct err *err);
void account_release(struct account_of_result *a);
void account_encode(const char *identity, const struct variant *words, const struct manifest_entry *entry, struct buf *out);

struct farm;
// Tells the worker how it was that it has made this result, `key` there. Waits a second at most.
void account_tell(struct farm *farm, const char *worker, const char *identity, const uint8_t key[32], const struct plan *p,
		  const struct manifest_entry *entry);

#endif
