#include "depscan/scan.h"

#include "base/map.h"
#include "base/mem.h"
#include "depscan/scan_parts.h"

#include <stdlib.h>

// The text without its splices, or NULL if it has none. free() it.
char *scan_join_lines(struct scan *s, const char *text, size_t *len)
{
	const char *end = text + *len, *from = text;
	char *out = NULL, *to = NULL;
	bool odd = false;
	for (const char *p = text; (p = memchr(p, '\\', (size_t)(end - p)));) {
		size_t n = splice_length(p, end, &odd);
		if (!n) {
			p++;
			continue;
		}
		if (!out)
			out = to = mem_realloc(NULL, *len);
		memcpy(to, from, (size_t)(p - from));
		to += p - from;
		p += n;
		from = p;
	}
	if (odd)
		s->facts |= FACT_computed | FACT_unknown_probe;
	if (!out)
		return NULL;
	memcpy(to, from, (size_t)(end - from));
	*len = (size_t)(to - out) + (size_t)(end - from);
	return out;
}

// The text with the trigraphs for '#' and '\', or NULL if it has none. Whether they count depends on the language.
char *scan_replace_trigraphs(const char *text, size_t *len)
{
	const char *end = text + *len, *from = text;
	char *out = NULL, *to = NULL;
	for (const char *p = text; (p = memchr(p, '?', (size_t)(end - p)));) {
		if (end - p < 3 || p[1] != '?' || (p[2] != '=' && p[2] != '/')) {
			p++;
			continue;
		}
		if (!out)
			out = to = mem_realloc(NULL, *len);
		memcpy(to, from, (size_t)(p - from));
		to += p - from;
		*to++ = p[2] == '=' ? '#' : '\\';
		p += 3;
		from = p;
	}
	if (!out)
		return NULL;
	memcpy(to, from, (size_t)(end - from));
	*len = (size_t)(to - out) + (size_t)(end - from);
	return out;
}

void scan_add_include(struct scan *s, struct map *seen, const char *name, size_t n, struct include what)
{
	char key[SCAN_MAX_NAME + 1];
	key[0] = (char)('0' + (int)what.form + 3 * what.next + 6 * what.probe + 12 * what.wrapped);
	memcpy(key + 1, name, n);
	if (map_get(seen, key, n + 1))
		return;
	if (s->n_includes == SCAN_MAX_INCLUDES) {
		s->facts |= what.probe ? FACT_unknown_probe : FACT_computed;
		return;
	}
	map_put(seen, key, n + 1, s);
	if ((s->n_includes & (s->n_includes - 1)) == 0)
		s->includes = mem_realloc(s->includes, (s->n_includes ? 2 * s->n_includes : 1) * sizeof *s->includes);
	what.name = mem_strndup(name, n);
	s->includes[s->n_includes++] = what;
}

// A text that is understood. What an assembler source says counts with its comments, which may be of another kind.
static void scan_understood(struct scan *s, const struct code_facts *code, const char *text, size_t len)
{
	struct scan_view v = {code->view, code->view + code->view_len, code->doubts, code->n_doubts, true};
	struct map seen = MAP_INIT;
	bool pastes = scan_view(s, &v, &seen);
	s->facts |= code->computed ? FACT_computed : 0;
	for (unsigned i = 0; i < code->n_macros; i++)
		scan_add_include(s, &seen, code->macros[i].name, code->macros[i].n, (struct include){.form = INCLUDE_MACRO});
	map_release(&seen);
	AUTO_FREE char *joined = scan_join_lines(s, text, &len);
	scan_asm(s, joined ? joined : text, len, &v, pastes);
}

// A text that means different things to different compilers: everything counts, wherever it stands.
static void scan_in_doubt(struct scan *s, const char *text, size_t len, struct map *seen)
{
	AUTO_FREE char *joined = scan_join_lines(s, text, &len);
	const char *from = joined ? joined : text;
	struct code_span all = {0, len};
	struct scan_view v = {from, from + len, &all, 1, false};
	scan_asm(s, from, len, &v, scan_view(s, &v, seen));
}

void scan_text(struct scan *s, const char *text, size_t len)
{
	*s = (struct scan){0};
	if (len == 0)
		text = "";
	struct code_facts code;
	scan_code(&code, text, len);
	s->code = code.digest;
	if (code.complete) {
		scan_understood(s, &code, text, len);
	} else {
		size_t n = len;
		struct map seen = MAP_INIT;
		AUTO_FREE char *without = scan_replace_trigraphs(text, &n);
		scan_in_doubt(s, text, len, &seen);
		if (without)
			scan_in_doubt(s, without, n, &seen);
		map_release(&seen);
	}
	scan_code_release(&code);
}

void scan_release(struct scan *s)
{
	for (unsigned i = 0; i < s->n_includes; i++)
		free((char *)s->includes[i].name);
	free(s->includes);
	*s = (struct scan){0};
}
