// The manifest of an OCI image, from anybody.
#include "image/layout.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct manifest_of m = {.n_layers = 0};
	struct blob_descriptor config;
	struct err err = ERR_INIT;
	if (layout_parse_manifest((const char *)data, size, &m, &config, &err) == 0) {
		if (!blob_is_digest(config.digest) || m.n_layers == 0 || m.n_layers > LAYOUT_MAX_LAYERS)
			abort();
		for (size_t i = 0; i < m.n_layers; i++)
			if (!blob_is_digest(m.layers[i].digest))
				abort();
	}
	layout_release(&m);
	return 0;
}
