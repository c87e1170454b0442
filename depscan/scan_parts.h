// What the parts of the scanner share (scan.c, scan_asm.c, scan_code.c, scan_macro.c); for nobody else. Thread: any.
#ifndef COFFER_DEPSCAN_SCAN_PARTS_H
#define COFFER_DEPSCAN_SCAN_PARTS_H

#include "depscan/scan.h"

#include <string.h>

static inline bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f';
}

static inline bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline char to_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

// Is `word` (lower case) at p, in any case?
static inline bool at_fold(const char *p, const char *end, const char *word)
{
	for (; *word; p++, word++)
		if (p == end || to_lower(*p) != *word)
			return false;
	return true;
}

static inline bool at_text(const char *p, const char *end, const char *word)
{
	size_t n = strlen(word);
	return (size_t)(end - p) >= n && memcmp(p, word, n) == 0;
}

// A line splice at p: a backslash, blanks, and a line break. Returns its length, or 0. Both compilers allow the blanks.
// `odd` is set where they disagree on whether it is one (a NUL among the blanks, LF CR behind them).
static inline size_t splice_length(const char *p, const char *end, bool *odd)
{
	const char *q = p + 1;
	bool nul = false;
	if (p == end || *p != '\\')
		return 0;
	while (q < end && (is_blank(*q) || *q == '\0'))
		nul |= *q++ == '\0';
	if (q == end || (*q != '\n' && *q != '\r'))
		return 0;
	if (nul || (*q == '\n' && q + 1 < end && q[1] == '\r'))
		*odd = true;
	q += q + 1 < end && q[0] == '\r' && q[1] == '\n' ? 2 : 1;
	return (size_t)(q - p);
}

// scan.c: the text without its splices, and with ??= and ??/ replaced; or NULL if it has none. free() it.
char *scan_join_lines(struct scan *s, const char *text, size_t *len);
char *scan_replace_trigraphs(const char *text, size_t *len);

// scan_code.c
enum { CODE_MAX_MACROS = 16 };

struct code_span {
	size_t from, to;
};

struct code_facts {
	struct digest digest;
	bool complete; // the text was understood to its end, alike under every language version: then the rest can be relied on
	bool line_comments; // asked for: // begins a comment in any case
	bool computed;      // outside comments and literals stands an include directive whose name can't be read
	struct {
		const char *name; // in the text
		size_t n;
	} macros[CODE_MAX_MACROS]; // include directives that name a macro
	unsigned n_macros;
	// The text without its splices, each comment a blank. Where it may be code, comment or literal, depending on the
	// language, is in `doubts`, in order: there, everything counts as each of them.
	char *view;
	size_t view_len;
	struct code_span *doubts;
	unsigned n_doubts;
};
void scan_code(struct code_facts *f, const char *text, size_t len);
void scan_code_release(struct code_facts *f);
// The plainer text of which scan_code() takes the digest: what can't change an object is blank. free() it.
char *scan_plain(struct code_facts *f, const char *text, size_t len, bool line_comments, size_t *n_out);

// scan_view.c: what the preprocessor can see of a text.
struct scan_view {
	const char *text, *end; // without splices
	const struct code_span *doubts;
	unsigned n_doubts;
	bool understood; // the includes that name macros are found already
};
struct map;
bool scan_view(struct scan *s, const struct scan_view *v, struct map *seen); // does it paste (##) or stringize (#)?
static inline bool is_doubtful(const struct scan_view *v, const char *p)
{
	size_t at = (size_t)(p - v->text);
	unsigned low = 0, high = v->n_doubts; // spans before low end before p
	while (low < high) {
		unsigned mid = (low + high) / 2;
		if (v->doubts[mid].to <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low < v->n_doubts && v->doubts[low].from <= at;
}
// Behind the literal whose quote is at p. One that is not closed ends with its line.
const char *scan_literal_end(const char *p, const char *end);
// Adds an include, once. Too many set FACT_computed or FACT_unknown_probe.
void scan_add_include(struct scan *s, struct map *seen, const char *name, size_t n, struct include what);

// scan_asm.c: what the text may tell an assembler to read. `pastes`: the view has ## or a stringizing #. `raw` is the text with
// its comments: an assembler source may have comments of another kind. Neither has splices.
void scan_asm(struct scan *s, const char *raw, size_t len, const struct scan_view *v, bool pastes);
// The asm whose word stands from w to p. Returns where it ends.
const char *scan_asm_statement(struct scan *s, const struct scan_view *v, const char *w, const char *p);

#endif
