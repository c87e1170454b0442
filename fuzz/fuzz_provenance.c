// A provenance envelope and a statement, both from somebody else. Nothing is signed by a key that nobody has.
#include "audit/provenance.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char key[] = "w1+5c8f0a11+AaqxqZSs2JfE0Bv9yvJm3rQzcHEhJ8T7uHVr2dCqLxXk";
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct provenance_said said;
	if (provenance_open((const char *)data, size, key, &a, &said, NULL) == 0)
		abort();
	if (provenance_read((const char *)data, size, &a, &said, NULL) == 0 && (!said.builder || !said.n_subjects))
		abort();
	return 0;
}
