// Any text can be looked at as a preprocessed one; what comes of it does not depend on a macro that no word names.
#include "base/mem.h"
#include "depscan/live.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *as_it_is(void *ctx, const char *name)
{
	(void)ctx;
	return name;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct live_names names = {as_it_is, NULL, NULL};
	static const char head[] = "# 1 \"a\"\n#define Zq_unused_qZ 1\n# 1 \"a.c\"\n";
	static const char bare[] = "# 1 \"a\"\n\n# 1 \"a.c\"\n";
	struct digest with, without;
	struct live_oddities odd;
	AUTO_FREE char *text = mem_alloc(sizeof head + size);
	memcpy(text, head, sizeof head - 1);
	memcpy(text + sizeof head - 1, data, size);
	bool read = live_digest(text, sizeof head - 1 + size, &names, &with);
	memcpy(text, bare, sizeof bare - 1);
	memcpy(text + sizeof bare - 1, data, size);
	if (read != live_digest(text, sizeof bare - 1 + size, &names, &without))
		abort();
	if (read && !digest_equal(&with, &without) && !memmem(data, size, "Z", 1))
		abort();
	live_oddities(text, sizeof bare - 1 + size, &odd);
	return 0;
}
