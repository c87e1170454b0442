// The blob of a result as it is on disk: whatever is there, what comes out lies within it.
#include "worker/results.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_within(const uint8_t *data, size_t size, const char *p, size_t n)
{
	if (n && ((const uint8_t *)p < data || (size_t)((const uint8_t *)p - data) + n > size))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct key key = {{0}};
	struct result x;
	// The key that is in it, so that more than the comparison is reached.
	if (size >= 4 + sizeof key.b)
		memcpy(key.b, data + 4, sizeof key.b);
	if (result_decode(data, size, &key, &x, NULL) < 0)
		return 0;
	expect_within(data, size, x.out, x.n_out);
	expect_within(data, size, x.errs, x.n_err);
	expect_within(data, size, x.frame, x.n_frame);
	if (x.n_outputs > HEADER_MAX_OUTPUTS)
		abort();
	return 0;
}
