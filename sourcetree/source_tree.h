// The files that a compile can reach, as a tree of names and digests: what a client sends in the place of preprocessed text, and
// what a worker lays out for the compiler under the same names.
//
// The tree begins at "/". Every directory and symbolic link on the way to a file is in it, so that a name leads to the same
// file here and there. What is not in it is absent, but for the toolchain's own files, which the worker has; a name of which
// the worker might have something is listed as absent.
//
// A listing is the same as bytes, and its SHA-256 stands for the whole. Numbers are little-endian, a text is u32 length and bytes:
//   "coffer tree 1\n", u32 number of absent names, each a text; then entries, depth first and sorted by their bytes:
//   'D' name                  a directory, and down into it        'U'           up again
//   'W' name                  the same, and it has nothing else: what a worker's toolchain may have there is hidden
//   'F' name u64 size sha256  a regular file                       'L' name target   a symbolic link
// Limits: SOURCE_TREE_*. Thread: one.
#ifndef COFFER_SOURCETREE_SOURCE_TREE_H
#define COFFER_SOURCETREE_SOURCE_TREE_H

#include "base/buf.h"
#include "base/mem.h"
#include "codec/sha/sha256.h"

enum {
	SOURCE_TREE_MAX_NODES = 65536,
	SOURCE_TREE_MAX_ABSENT = 4096,
	SOURCE_TREE_MAX_DEPTH = 100,
	SOURCE_TREE_MAX_NAME = 255,
	SOURCE_TREE_MAX_PATH = 4095, // of a link's target and an absent name
	SOURCE_TREE_MAX_LINKS = 40,  // on the way of one name, as Linux has it
	SOURCE_TREE_MAX_LISTING = 8 << 20,
};

enum source_kind { SOURCE_DIRECTORY, SOURCE_FILE, SOURCE_LINK };
struct source_node {
	const char *name; // one part of a path; "" at the top
	enum source_kind kind;
	uint64_t size; // of a file
	struct sha256 sha256;
	const char *target;                 // of a link
	const char *path;                   // on this machine; NULL in a tree that was decoded
	struct source_node *parent, *first; // `first`: what is in a directory
	struct source_node *next;           // beside it
	unsigned n;                         // of a directory
	bool is_whole;                      // of a directory: 'W'
};

// Everything lives in the arena.
struct source_tree {
	struct arena *arena;
	struct source_node top;
	const char **absent;
	unsigned n_absent;
	struct source_node **files; // in the order of the listing; by source_tree_encode and _decode
	unsigned n_files, n_nodes;
};

void source_tree_init(struct source_tree *t, struct arena *a);
// A new entry of a directory, which has none of that name. Its strings are copied. NULL: the tree is too large.
struct source_node *source_tree_add(struct source_tree *t, struct source_node *directory, const char *name, size_t n,
				    enum source_kind kind);
void source_tree_add_absent(struct source_tree *t, const char *path);
// Where an absolute name leads within the tree; NULL: nowhere.
struct source_node *source_tree_resolve(struct source_tree *t, const char *path);
// A name in '/' whose files a running system makes: none of a tree or an output can be there.
bool source_top_is_of_system(const char *name, size_t n);
// Whether all that is there comes from the tree: the directory is whole, or one that it is in.
bool source_node_is_covered(const struct source_tree *t, const struct source_node *n);

// Sorts the tree and writes its listing. ERR_LIMIT.
int source_tree_encode(struct source_tree *t, struct buf *listing, struct err *err);
// ERR_FORMAT: no listing, one that is not sorted, names that are none ("..", "a/b"), links that lead out of the tree, "/dev", "/proc" or
// "/sys"; ERR_LIMIT.
int source_tree_decode(struct source_tree *t, struct arena *a, const void *p, size_t n, struct err *err);

#endif
