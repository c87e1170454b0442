#include "depscan/live_lines.h"

#include "base/file.h"
#include "base/mem.h"
#include "depscan/files.h"
#include "depscan/scan_parts.h"

#include <stdlib.h>

struct lines {
	char *plain; // NULL: it can't be read
	uint32_t *starts;
	uint32_t n;
	size_t len;
};

static void find_starts(struct lines *f)
{
	uint32_t cap = 0;
	for (size_t at = 0; at < f->len;) {
		if (f->n == cap) {
			cap = cap ? 2 * cap : 256;
			f->starts = mem_realloc(f->starts, cap * sizeof *f->starts);
		}
		f->starts[f->n++] = (uint32_t)at;
		const char *eol = memchr(f->plain + at, '\n', f->len - at);
		at = eol ? (size_t)(eol - f->plain) + 1 : f->len;
	}
}

static struct lines *read_lines(struct live_lines *l, const char *name)
{
	struct lines *f = mem_alloc(sizeof *f);
	AUTO_BUF struct buf text = BUF_INIT;
	struct code_facts facts;
	if (file_read(l->dirfd, name, FILES_MAX_SIZE, &text, NULL, NULL) < 0)
		return f;
	f->plain = scan_plain(&facts, text.data ? text.data : "", text.len, true, &f->len);
	if (facts.complete) {
		find_starts(f);
	} else {
		free(f->plain);
		f->plain = NULL;
	}
	scan_code_release(&facts);
	return f;
}

bool live_lines_get(struct live_lines *l, const char *name, uint32_t line, const char **text, size_t *n)
{
	struct lines *f = map_gets(&l->files, name);
	if (!f) {
		f = read_lines(l, name);
		map_puts(&l->files, name, f);
	}
	if (!f->plain || line == 0 || line > f->n)
		return false;
	size_t from = f->starts[line - 1], to = line < f->n ? f->starts[line] - 1 : f->len;
	*text = f->plain + from;
	*n = to - from;
	return true;
}

void live_lines_release(struct live_lines *l)
{
	size_t at = 0;
	void *v;
	while (map_next(&l->files, &at, NULL, NULL, &v)) {
		struct lines *f = v;
		free(f->plain);
		free(f->starts);
		free(f);
	}
	map_release(&l->files);
}
