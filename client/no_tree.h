// Why a compile does not go to a worker as the user's own text: one list (no_tree.def) that statistics, records and explanations share.
#ifndef COFFER_CLIENT_NO_TREE_H
#define COFFER_CLIENT_NO_TREE_H

#include <stdbool.h>

enum no_tree_reason {
	NO_TREE_NONE, // it can go so
#define NO_TREE(name, text) NO_TREE_##name,
#include "client/no_tree.def"
#undef NO_TREE
	NO_TREE_COUNT
};

const char *no_tree_name(enum no_tree_reason r); // "" for NO_TREE_NONE
const char *no_tree_text(enum no_tree_reason r);
enum no_tree_reason no_tree_by_name(const char *name); // NO_TREE_NONE if there is none

struct no_tree {
	enum no_tree_reason reason;
	const char *culprit; // the word, file or variable; may be NULL
};
static inline struct no_tree no_tree(enum no_tree_reason reason, const char *culprit)
{
	return (struct no_tree){reason, culprit};
}

#endif
