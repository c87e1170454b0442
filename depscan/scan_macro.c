// What a text does with a macro of a given name, as far as its words tell.
#include "base/mem.h"
#include "depscan/scan_parts.h"

#include <stdlib.h>

typedef bool (*word_fn)(const char *text, const char *end, const char *p, size_t n);

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

// The word before p, behind blanks; its length may be 0.
static const char *word_before(const char *text, const char *p, size_t *n)
{
	while (p > text && (is_blank(p[-1]) || p[-1] == '\0' || (unsigned char)p[-1] >= 0x80))
		p--;
	const char *e = p;
	while (p > text && is_word(p[-1]))
		p--;
	*n = (size_t)(e - p);
	return p;
}

static bool is_one_of(const char *w, size_t n, const char *const *words, size_t n_words)
{
	for (size_t i = 0; i < n_words; i++)
		if (strlen(words[i]) == n && memcmp(w, words[i], n) == 0)
			return true;
	return false;
}

// `#define NAME`; a comment between the two is taken for one.
static bool defines(const char *text, const char *end, const char *p, size_t n)
{
	(void)end, (void)n;
	static const char *const words[] = {"define"};
	size_t len;
	const char *w = word_before(text, p, &len);
	return is_one_of(w, len, words, COUNT_OF(words)) || (!len && w - text >= 2 && w[-1] == '/' && w[-2] == '*');
}

static bool is_condition(const char *text, const char *p)
{
	static const char *const words[] = {"if", "elif"};
	while (p > text && p[-1] != '\n' && p[-1] != '\r')
		p--;
	while (is_blank(*p))
		p++;
	if (*p != '#')
		return false;
	const char *w = p + 1;
	while (is_blank(*w))
		w++;
	const char *e = w;
	while (is_word(*e))
		e++;
	return is_one_of(w, (size_t)(e - w), words, COUNT_OF(words));
}

// Anything but its definition, a question whether there is one, and `#if NAME(<x.h>)`.
static bool asks(const char *text, const char *end, const char *p, size_t n)
{
	static const char *const words[] = {"define", "undef", "ifdef", "ifndef", "elifdef", "elifndef", "defined"};
	size_t len;
	const char *w = word_before(text, p, &len);
	if (!len && w > text && w[-1] == '(')
		w = word_before(text, w - 1, &len);
	if (is_one_of(w, len, words, COUNT_OF(words)))
		return false;
	const char *after = skip_blanks(p + n, end);
	if (after < end && *after == '(')
		after = skip_blanks(after + 1, end);
	return after == end || (*after != '<' && *after != '"') || !is_condition(text, p);
}

static bool any_word(const char *text, size_t len, const char *name, word_fn is)
{
	size_t n = strlen(name);
	const char *end = text + len;
	for (const char *p = text; (p = memmem(p, (size_t)(end - p), name, n)); p += n) {
		bool whole = (p == text || !is_word(p[-1])) && (p + n == end || !is_word(p[n]));
		if (whole && is(text, end, p, n))
			return true;
	}
	return false;
}

static bool any_word_in_any_form(const char *text, size_t len, const char *name, word_fn is)
{
	struct scan unused;
	AUTO_FREE char *without = scan_replace_trigraphs(text, &len);
	size_t joined_len = len;
	AUTO_FREE char *joined = scan_join_lines(&unused, without ? without : text, &joined_len);
	// The pieces of a spliced word are found in neither: what has splices counts only joined.
	return any_word(joined ? joined : without ? without : text, joined_len, name, is);
}

bool scan_may_define(const char *text, size_t len, const char *name)
{
	return any_word_in_any_form(text, len, name, defines);
}

bool scan_may_ask(const char *text, size_t len, const char *name)
{
	return any_word_in_any_form(text, len, name, asks);
}
