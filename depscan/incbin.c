#include "depscan/incbin.h"

#include <string.h>
#include <strings.h>

#define PLAIN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-+"

// The next place where the word stands, in any case. NULL: nowhere.
static const char *next(const char *p, const char *end, const char *word)
{
	size_t n = strlen(word);
	for (; (size_t)(end - p) >= n; p++)
		if (strncasecmp(p, word, n) == 0)
			return p;
	return NULL;
}

// `"`, or `\"` where the text is a literal itself; 0: neither.
static size_t quote(const char *p, const char *end)
{
	if (p < end && *p == '"')
		return 1;
	return end - p >= 2 && p[0] == '\\' && p[1] == '"' ? 2 : 0;
}

// The name in quotes behind a directive, or NULL.
static const char *name_at(const char *p, const char *end, struct arena *a)
{
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	size_t open = quote(p, end);
	const char *name = p + open, *e = name;
	while (open && e < end && *e && strchr(PLAIN, *e))
		e++;
	return e > name && quote(e, end) == open ? arena_strndup(a, name, (size_t)(e - name)) : NULL;
}

static bool has_directive(const char *text, const char *end, const char *word)
{
	for (const char *p = text; (p = next(p, end, word)); p++)
		if (p > text && p[-1] == '.')
			return true;
	return false;
}

bool incbin_find(const char *text, size_t len, struct arena *a, struct incbin *out)
{
	static const char directive[] = "incbin";
	const char *end = text + len;
	bool any = false;
	if (has_directive(text, end, "include"))
		return false;
	for (const char *p = text; (p = next(p, end, directive)); any = true) {
		bool is_directive = p > text && p[-1] == '.';
		p += strlen(directive);
		const char *name = is_directive && out->n < INCBIN_MAX_NAMES ? name_at(p, end, a) : NULL;
		if (!name)
			return false;
		out->names[out->n++] = name;
	}
	return any;
}
