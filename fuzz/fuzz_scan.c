// Any text can be scanned; what is found is in bounds, and the same when a line stands before it.
#include "base/mem.h"
#include "depscan/incbin.h"
#include "depscan/scan.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct scan *a, const struct scan *b)
{
	if (a->n_includes != b->n_includes)
		abort();
	for (unsigned i = 0; i < a->n_includes; i++) {
		const struct include *x = &a->includes[i], *y = &b->includes[i];
		if (x->form != y->form || x->next != y->next || x->probe != y->probe || strcmp(x->name, y->name) != 0)
			abort();
	}
	if (a->facts != b->facts || a->quoted != b->quoted)
		abort();
}

static void check_incbin(const char *text, size_t n)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct incbin names = {.n = 0};
	bool is_known = incbin_find(text, n, &a, &names);
	if (names.n > INCBIN_MAX_NAMES || (is_known && !names.n))
		abort();
	for (unsigned i = 0; i < names.n; i++)
		if (!memmem(text, n, names.names[i], strlen(names.names[i])))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char line[] = "int a;\n";
	struct scan s, more;
	scan_text(&s, (const char *)data, size);
	for (unsigned i = 0; i < s.n_includes; i++) {
		size_t n = strlen(s.includes[i].name);
		if (n == 0 || n > SCAN_MAX_NAME)
			abort();
	}
	size_t before = sizeof line - 1, len = before + size;
	AUTO_FREE char *text = mem_alloc(len);
	memcpy(text, line, before);
	if (size)
		memcpy(text + before, data, size);
	scan_text(&more, text, len);
	check_same(&s, &more);
	check_incbin(text, len);
	scan_release(&s);
	scan_release(&more);
	return 0;
}
