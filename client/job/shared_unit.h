// What a shared store keeps of a translation unit: how, when and by whom its last results were made, so that `coffer explain` can
// compare a miss with what a teammate or CI has compiled. It is read by `coffer explain` only and decides nothing.
//
// The name is SHA-256 over scope and the unit's key (plan.h), among the actions. It comes from another machine, perhaps from an enemy:
// every size has a limit, and what is shown of it is escaped. Sealed as it is (store/shared/seal.h).
//
// Bytes: one zstd frame over u32 format, u32 number, and for each, newest first: maker, u64 seconds since 1970, 32 bytes SHA-256 of
// the source, of the toolchain and of the action (share_name.h), the variant (variant.h). Thread: any.
#ifndef COFFER_CLIENT_JOB_SHARED_UNIT_H
#define COFFER_CLIENT_JOB_SHARED_UNIT_H

#include "client/job/variant.h"
#include "codec/sha/sha256.h"
#include "store/tier.h"

#define SHARED_UNIT_MAX ((size_t)1 << 20)                       // unpacked
enum { SHARED_UNIT_VARIANTS = 4, SHARED_UNIT_MAKER_MAX = 255 }; // the newest stay

struct shared_variant {
	const char *maker; // the setting shared_store_name, or its machine's name
	int64_t made_at;   // seconds since 1970, by its clock
	struct sha256 source, toolchain, action;
	struct variant words;
};
struct shared_unit {
	struct shared_variant variants[SHARED_UNIT_VARIANTS];
	unsigned n;
	struct arena arena;
};

// Who we are to others: the setting shared_store_name, or the machine's name.
void shared_maker(const struct settings *config, char maker[SHARED_UNIT_MAKER_MAX + 1]);
struct tier_name shared_unit_name(const char *scope, const struct digest *unit);
// ERR_FORMAT, ERR_LIMIT. Then there is nothing to release.
int shared_unit_decode(const void *p, size_t n, struct shared_unit *u, struct err *err);
void shared_unit_release(struct shared_unit *u);
bool shared_unit_has(const struct shared_unit *u, const struct sha256 *action);
// Of both (`older` may be NULL) what fits; of one action the newer one.
void shared_unit_encode(const struct shared_unit *newer, const struct shared_unit *older, struct buf *out);

#endif
