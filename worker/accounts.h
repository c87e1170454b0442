// What a tenant's clients have told of how its results were made, by translation unit: so that `coffer explain` can compare a miss
// with what a teammate or CI has compiled (Worker.Account, Worker.Explain).
//
// Kept in the tenant's own store and within its bound (results.h), so that no tenant meets another's, nor can see that there is one.
// What is told is opaque here and decides nothing. Of a unit a few accounts stay: of one maker and variant the newest; where there are too many,
// the oldest of who has most. Bytes of a unit: u32 format, u32 number, and for each, newest first: 32 bytes key, 16 bytes variant, maker,
// u64 seconds since 1970, how.
// Thread: any.
#ifndef COFFER_WORKER_ACCOUNTS_H
#define COFFER_WORKER_ACCOUNTS_H

#include "base/mem.h"
#include "worker/results.h"

enum { ACCOUNTS_MAX = 8, ACCOUNT_NAME = 16, ACCOUNT_MAKER_MAX = 255, ACCOUNT_HOW_MAX = 128 * 1024 };

struct kept_account {
	struct key key;
	uint8_t variant[ACCOUNT_NAME];
	const char *maker;
	uint64_t time_s;
	const void *how;
	size_t n_how;
};
struct account_list {
	struct kept_account accounts[ACCOUNTS_MAX + 1];
	unsigned n;
};

struct accounts;
struct accounts *accounts_new(struct results *results); // which outlive it
void accounts_free(struct accounts *a);                 // NULL is fine

// ERR_FORMAT, ERR_LIMIT: the account can't be one, or is too long. ERR_NOT_FOUND: the tenant has no result of that key here.
int accounts_add(struct accounts *a, const char *tenant, const uint8_t unit[ACCOUNT_NAME],
		 const struct kept_account *account, struct err *err);
// Those whose results are still here; in the arena.
void accounts_of(struct accounts *a, const char *tenant, const uint8_t unit[ACCOUNT_NAME], struct arena *arena,
		 struct account_list *list);
// For tests and fuzzing. ERR_FORMAT.
int accounts_decode(const void *p, size_t n, struct arena *arena, struct account_list *list, struct err *err);

#endif
