// Manifests come from the disk: whatever the bytes, decoding must refuse or give something that can be encoded again.
#include "depscan/manifest.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct digest key;
	struct manifest *m = manifest_decode(&key, data, size, NULL);
	if (!m)
		return 0;
	struct buf b = BUF_INIT;
	manifest_encode(m->entries, m->n_entries, &b);
	struct manifest *again = manifest_decode(&key, b.data, b.len, NULL);
	if (!again || again->n_entries != m->n_entries)
		abort();
	manifest_unref(again);
	manifest_unref(m);
	buf_release(&b);
	return 0;
}
