#include "audit/merkle.h"

#include "base/mem.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

// The low-level functions keep their state on the stack: a hash of a row costs half of what a context of EVP costs.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

struct merkle_hash merkle_leaf(const void *data, size_t n)
{
	struct merkle_hash out;
	SHA256_CTX c;
	SHA256_Init(&c);
	SHA256_Update(&c, "\0", 1);
	SHA256_Update(&c, data, n);
	SHA256_Final(out.b, &c);
	return out;
}

struct merkle_hash merkle_node(const struct merkle_hash *left, const struct merkle_hash *right)
{
	struct merkle_hash out;
	SHA256_CTX c;
	SHA256_Init(&c);
	SHA256_Update(&c, "\1", 1);
	SHA256_Update(&c, left->b, sizeof left->b);
	SHA256_Update(&c, right->b, sizeof right->b);
	SHA256_Final(out.b, &c);
	return out;
}

struct merkle_hash merkle_empty(void)
{
	struct merkle_hash out;
	SHA256_CTX c;
	SHA256_Init(&c);
	SHA256_Final(out.b, &c);
	return out;
}

bool merkle_equal(const struct merkle_hash *a, const struct merkle_hash *b)
{
	return memcmp(a->b, b->b, sizeof a->b) == 0;
}

// ---- from full subtrees ---------------------------------------------------------------------------------------------

// The largest power of two that is less than n, as its exponent; n > 1.
static unsigned split_of(uint64_t n)
{
	return 63 - (unsigned)__builtin_clzll(n - 1);
}

// MTH of the leaves [start, start + n), where start is a multiple of the power of two at or above n.
static int range_hash(const struct merkle_tree *t, uint64_t start, uint64_t n, struct merkle_hash *out, struct err *err)
{
	struct merkle_hash left, right;
	if ((n & (n - 1)) == 0) {
		unsigned height = (unsigned)__builtin_ctzll(n);
		return t->full(t->ctx, height, start >> height, out, err);
	}
	unsigned k = split_of(n);
	uint64_t half = (uint64_t)1 << k;
	if (range_hash(t, start, half, &left, err) < 0 || range_hash(t, start + half, n - half, &right, err) < 0)
		return -1;
	*out = merkle_node(&left, &right);
	return 0;
}

int merkle_root(const struct merkle_tree *t, uint64_t size, struct merkle_hash *root, struct err *err)
{
	if (size)
		return range_hash(t, 0, size, root, err);
	*root = merkle_empty();
	return 0;
}

int merkle_prove_inclusion(const struct merkle_tree *t, uint64_t index, uint64_t size,
			   struct merkle_hash proof[MERKLE_MAX_PROOF], size_t *n, struct err *err)
{
	uint64_t start = 0, length = size;
	struct merkle_hash from_root[MERKLE_MAX_PROOF];
	*n = 0;
	if (index >= size)
		return err_set(err, ERR_USAGE, "the log has no row %llu: it has %llu", (unsigned long long)index,
			       (unsigned long long)size);
	while (length > 1) {
		uint64_t half = (uint64_t)1 << split_of(length);
		bool is_left = index - start < half;
		uint64_t other = is_left ? start + half : start, other_length = is_left ? length - half : half;
		if (range_hash(t, other, other_length, &from_root[(*n)++], err) < 0)
			return -1;
		start += is_left ? 0 : half;
		length = is_left ? half : length - half;
	}
	for (size_t i = 0; i < *n; i++)
		proof[i] = from_root[*n - 1 - i];
	return 0;
}

// RFC 6962 section 2.1.2: SUBPROOF(m, D[n], b), from the root downwards.
int merkle_prove_consistency(const struct merkle_tree *t, uint64_t old, uint64_t size,
			     struct merkle_hash proof[MERKLE_MAX_PROOF], size_t *n, struct err *err)
{
	struct merkle_hash from_root[MERKLE_MAX_PROOF];
	uint64_t start = 0, m = old, length = size;
	bool is_known = true; // the old tree's own root, which the verifier has
	*n = 0;
	if (old == 0 || old > size)
		return err_set(err, ERR_USAGE, "there is no proof from %llu rows to %llu", (unsigned long long)old,
			       (unsigned long long)size);
	while (m != length) {
		uint64_t half = (uint64_t)1 << split_of(length);
		if (m <= half) {
			if (range_hash(t, start + half, length - half, &from_root[(*n)++], err) < 0)
				return -1;
			length = half;
		} else {
			if (range_hash(t, start, half, &from_root[(*n)++], err) < 0)
				return -1;
			start += half;
			m -= half;
			length -= half;
			is_known = false;
		}
	}
	if (!is_known && range_hash(t, start, length, &from_root[(*n)++], err) < 0)
		return -1;
	for (size_t i = 0; i < *n; i++)
		proof[i] = from_root[*n - 1 - i];
	return 0;
}

// ---- checks ---------------------------------------------------------------------------------------------------------

bool merkle_check_inclusion(const struct merkle_hash *leaf, uint64_t index, uint64_t size, const struct merkle_hash *proof,
			    size_t n, const struct merkle_hash *root)
{
	if (index >= size)
		return false;
	uint64_t fn = index, sn = size - 1;
	struct merkle_hash r = *leaf;
	for (size_t i = 0; i < n; i++) {
		if (sn == 0)
			return false;
		if ((fn & 1) || fn == sn) {
			r = merkle_node(&proof[i], &r);
			while (!(fn & 1) && fn) {
				fn >>= 1;
				sn >>= 1;
			}
		} else {
			r = merkle_node(&r, &proof[i]);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && merkle_equal(&r, root);
}

bool merkle_check_consistency(uint64_t old, const struct merkle_hash *old_root, uint64_t size,
			      const struct merkle_hash *root, const struct merkle_hash *proof, size_t n)
{
	if (old == 0 || old > size)
		return false;
	if (old == size)
		return n == 0 && merkle_equal(old_root, root);
	size_t at = 0;
	bool old_is_full = (old & (old - 1)) == 0;
	if (n == 0 && !old_is_full)
		return false;
	uint64_t fn = old - 1, sn = size - 1;
	while (fn & 1) {
		fn >>= 1;
		sn >>= 1;
	}
	if (!old_is_full && n == 0)
		return false;
	struct merkle_hash fr = old_is_full ? *old_root : proof[at++], sr = fr;
	for (; at < n; at++) {
		if (sn == 0)
			return false;
		if ((fn & 1) || fn == sn) {
			fr = merkle_node(&proof[at], &fr);
			sr = merkle_node(&proof[at], &sr);
			while (!(fn & 1) && fn) {
				fn >>= 1;
				sn >>= 1;
			}
		} else {
			sr = merkle_node(&sr, &proof[at]);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && merkle_equal(&fr, old_root) && merkle_equal(&sr, root);
}

// ---- leaf by leaf ---------------------------------------------------------------------------------------------------

void merkle_edge_add(struct merkle_edge *e, const struct merkle_hash *leaf)
{
	struct merkle_hash hash = *leaf;
	for (uint64_t size = e->size; size & 1; size >>= 1)
		hash = merkle_node(&e->hashes[--e->n], &hash);
	e->hashes[e->n++] = hash;
	e->size++;
}

struct merkle_hash merkle_edge_root(const struct merkle_edge *e)
{
	if (!e->n)
		return merkle_empty();
	struct merkle_hash root = e->hashes[e->n - 1];
	for (unsigned i = e->n - 1; i-- > 0;)
		root = merkle_node(&e->hashes[i], &root);
	return root;
}
