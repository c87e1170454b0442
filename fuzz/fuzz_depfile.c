// A depfile that parses is written again, for both compilers, to something that parses to the same names.
#include "depscan/depfile.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// What the compilers do not escape and so nobody can read back.
static bool is_ambiguous(const struct depfile *d)
{
	for (unsigned i = 0; i < d->n_deps; i++) {
		size_t n = strlen(d->deps[i]);
		if ((n && d->deps[i][n - 1] == '\\') || strstr(d->deps[i], "\\\t"))
			return true;
	}
	return false;
}

static void check(const struct depfile *d, enum compiler_family family, struct arena *a)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct depfile again;
	depfile_write(d, family, &text);
	if (depfile_parse(&again, a, text.data, text.len, NULL) < 0)
		abort();
	if (again.n_targets != d->n_targets || again.n_deps != d->n_deps || again.phony != d->phony)
		abort();
	for (unsigned i = 0; i < d->n_targets; i++)
		if (strcmp(d->targets[i], again.targets[i]) != 0)
			abort();
	for (unsigned i = 0; i < d->n_deps; i++)
		if (strcmp(d->deps[i], again.deps[i]) != 0)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct depfile d;
	if (depfile_parse(&d, &a, (const char *)data, size, NULL) < 0 || is_ambiguous(&d))
		return 0;
	check(&d, FAMILY_GCC, &a);
	check(&d, FAMILY_CLANG, &a);
	return 0;
}
