// The hash tree of a transparency log (RFC 6962 section 2.1): leaves, roots, and the two proofs about them.
//
// A tree is never held in memory. Whoever keeps one gives the hashes of its full subtrees on request (struct merkle_tree);
// everything here is computed from those. Thread: any.
#ifndef COFFER_AUDIT_MERKLE_H
#define COFFER_AUDIT_MERKLE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct merkle_hash {
	uint8_t b[32];
};
enum { MERKLE_MAX_PROOF = 64 }; // hashes: a tree has fewer than 2^63 leaves

struct merkle_hash merkle_leaf(const void *data, size_t n);                                      // SHA-256(0x00 || data)
struct merkle_hash merkle_node(const struct merkle_hash *left, const struct merkle_hash *right); // SHA-256(0x01 || l || r)
struct merkle_hash merkle_empty(void);                                                           // SHA-256("")
bool merkle_equal(const struct merkle_hash *a, const struct merkle_hash *b);

// Gives the hash of the full subtree over the leaves [index << height, (index + 1) << height). 0, or -1.
struct merkle_tree {
	int (*full)(void *ctx, unsigned height, uint64_t index, struct merkle_hash *out, struct err *err);
	void *ctx;
};

// The root over the first `size` leaves.
int merkle_root(const struct merkle_tree *t, uint64_t size, struct merkle_hash *root, struct err *err);
// That leaf `index` is in the tree of `size` leaves. *n hashes, from the leaf upwards.
int merkle_prove_inclusion(const struct merkle_tree *t, uint64_t index, uint64_t size,
			   struct merkle_hash proof[MERKLE_MAX_PROOF], size_t *n, struct err *err);
// That the tree of `size` leaves begins with the one of `old` leaves; 0 < old <= size.
int merkle_prove_consistency(const struct merkle_tree *t, uint64_t old, uint64_t size,
			     struct merkle_hash proof[MERKLE_MAX_PROOF], size_t *n, struct err *err);

// Needs nothing but the proof (RFC 9162 sections 2.1.3.2 and 2.1.4.2).
bool merkle_check_inclusion(const struct merkle_hash *leaf, uint64_t index, uint64_t size, const struct merkle_hash *proof,
			    size_t n, const struct merkle_hash *root);
bool merkle_check_consistency(uint64_t old, const struct merkle_hash *old_root, uint64_t size,
			      const struct merkle_hash *root, const struct merkle_hash *proof, size_t n);

// A tree that grows leaf by leaf and keeps only the full subtrees on its right edge: for writers, and for a check of all leaves.
struct merkle_edge {
	struct merkle_hash hashes[64]; // the full subtrees, largest first
	unsigned n;
	uint64_t size;
};
void merkle_edge_add(struct merkle_edge *e, const struct merkle_hash *leaf);
struct merkle_hash merkle_edge_root(const struct merkle_edge *e);

#endif
