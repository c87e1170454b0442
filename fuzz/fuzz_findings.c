// Findings as they are stored: what decodes must encode to the same bytes, and asking whether it holds must not break.
#include "depscan/findings.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct files *files;
	if (!files)
		files = files_new();
	struct rd r = RD(data, size);
	struct findings *f = findings_decode(&r);
	if (!f)
		return 0;
	AUTO_BUF struct buf once = BUF_INIT;
	AUTO_BUF struct buf twice = BUF_INIT;
	findings_encode(f, &once);
	struct rd again = RD(once.data ? once.data : "", once.len);
	struct findings *g = findings_decode(&again);
	if (!g)
		abort();
	findings_encode(g, &twice);
	if (once.len != twice.len || (once.len && memcmp(once.data, twice.data, once.len) != 0))
		abort();
	uint32_t n;
	findings_list(f, &n);
	if (n < 50)
		findings_hold(f, files, NULL, 0, NULL);
	findings_digest(f, "/usr", NULL);
	findings_unref(f);
	findings_unref(g);
	return 0;
}
