// Listings of trees come from clients: whatever the bytes, decoding must refuse or give a tree whose listing is these bytes.
#include "sourcetree/source_tree.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf again = BUF_INIT;
	struct source_tree t;
	if (source_tree_decode(&t, &a, data, size, NULL) < 0)
		return 0;
	for (unsigned i = 0; i < t.n_absent; i++)
		source_tree_resolve(&t, t.absent[i]);
	unsigned n = t.n_files;
	if (source_tree_encode(&t, &again, NULL) < 0 || t.n_files != n || again.len != size ||
	    memcmp(again.data, data, size) != 0)
		abort();
	return 0;
}
