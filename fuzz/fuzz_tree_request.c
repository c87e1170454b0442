// What was asked for of a tree, as it is kept by its key: whatever the bytes, reading refuses them, or writing gives them again.
#include "worker/tree_request.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf again = BUF_INIT;
	struct tree_request r;
	if (tree_request_read(data, size, &a, &r, NULL) < 0)
		return 0;
	key_add_tree(&again, r.scope, r.identity, &r.header, r.listing.b);
	if (again.len != size || memcmp(again.data, data, size) != 0)
		abort();
	return 0;
}
