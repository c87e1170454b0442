#include "client/no_tree.h"

#include "base/mem.h"

#include <string.h>

static const struct {
	const char *name, *text;
} list[NO_TREE_COUNT] = {
	{"", ""},
#define NO_TREE(name, text) {#name, text},
#include "client/no_tree.def"
#undef NO_TREE
};

const char *no_tree_name(enum no_tree_reason r)
{
	return list[r].name;
}

const char *no_tree_text(enum no_tree_reason r)
{
	return list[r].text;
}

enum no_tree_reason no_tree_by_name(const char *name)
{
	for (size_t i = 1; i < COUNT_OF(list); i++)
		if (strcmp(list[i].name, name) == 0)
			return (enum no_tree_reason)i;
	return NO_TREE_NONE;
}
