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

// `(<x.h>)`, which is all that there is between the brackets.
static bool is_name_in_brackets(const char *p, const char *end)
{
	p = skip_blanks(p, end);
	if (p == end || *p != '(')
		return false;
	p = skip_blanks(p + 1, end);
	if (p == end || (*p != '<' && *p != '"'))
		return false;
	char close = *p == '<' ? '>' : '"';
	for (p++; p < end && *p != close; p++)
		if (*p == '\n' || *p == '\r')
			return false;
	p = p < end ? skip_blanks(p + 1, end) : end;
	return p < end && *p == ')';
}

// Anything but its definition, and a question whether there is one.
static bool uses(const char *text, const char *end, const char *p, size_t n)
{
	(void)end, (void)n;
	static const char *const words[] = {"define", "undef", "ifdef", "ifndef", "elifdef", "elifndef", "defined"};
	size_t len;
	const char *w = word_before(text, p, &len);
	if (!len && w > text && w[-1] == '(')
		w = word_before(text, w - 1, &len);
	return !is_one_of(w, len, words, COUNT_OF(words));
}

// Anything but these and `#if NAME(<x.h>)`.
static bool asks(const char *text, const char *end, const char *p, size_t n)
{
	return uses(text, end, p, n) && (!is_name_in_brackets(p + n, end) || !is_condition(text, p));
}

// The next place at or behind p where `name` stands as a word and `is` holds; or NULL.
static const char *next_word(const char *text, const char *end, const char *p, const char *name, word_fn is)
{
	size_t n = strlen(name);
	for (; (p = memmem(p, (size_t)(end - p), name, n)); p += n) {
		bool whole = (p == text || !is_word(p[-1])) && (p + n == end || !is_word(p[n]));
		if (whole && is(text, end, p, n))
			return p;
	}
	return NULL;
}

// A text without trigraphs and line splices. The pieces of a spliced word are found only here.
struct joined {
	char *without, *text; // NULL where there was nothing to do
	const char *p;
	size_t len;
};

static void join(struct joined *j, const char *text, size_t len)
{
	struct scan unused;
	*j = (struct joined){.p = text, .len = len};
	if ((j->without = scan_replace_trigraphs(text, &j->len)))
		j->p = j->without;
	if ((j->text = scan_join_lines(&unused, j->p, &j->len)))
		j->p = j->text;
}

static void joined_release(struct joined *j)
{
	free(j->without);
	free(j->text);
}

static bool any_word_in_any_form(const char *text, size_t len, const char *name, word_fn is)
{
	struct joined j;
	join(&j, text, len);
	bool any = next_word(j.p, j.p + j.len, j.p, name, is) != NULL;
	joined_release(&j);
	return any;
}

bool scan_may_define(const char *text, size_t len, const char *name)
{
	return any_word_in_any_form(text, len, name, defines);
}

bool scan_may_ask(const char *text, size_t len, const char *name)
{
	return any_word_in_any_form(text, len, name, asks);
}

bool scan_may_use(const char *text, size_t len, const char *name)
{
	return any_word_in_any_form(text, len, name, uses);
}

// The one word that stands behind the macro's name, up to the end of the line; false if there is more or less.
static bool read_value(const char *text, const char *end, const char *p, size_t n, struct buf *values)
{
	size_t define;
	word_before(text, p, &define);
	const char *v = skip_blanks(p + n, end), *e = v;
	while (e < end && is_word(*e))
		e++;
	const char *rest = skip_blanks(e, end);
	if (!define || v == p + n || e == v || (rest < end && *rest != '\n' && *rest != '\r'))
		return false;
	buf_add(values, v, (size_t)(e - v));
	buf_addc(values, '\0');
	return true;
}

bool scan_values(const char *text, size_t len, const char *name, struct buf *values)
{
	struct joined j;
	join(&j, text, len);
	bool ok = true;
	const char *end = j.p + j.len;
	for (const char *p = j.p; ok && (p = next_word(j.p, end, p, name, defines)); p += strlen(name))
		ok = read_value(j.p, end, p, strlen(name), values);
	joined_release(&j);
	return ok;
}

// ---- names made of pieces -------------------------------------------------------------------------------------------

typedef bool (*piece_fn)(void *arg, const char *word, size_t n); // false ends it

static bool each_word(const char *p, const char *end, piece_fn fn, void *arg)
{
	bool goes_on = true;
	for (const char *e; p < end && goes_on; p = e > p ? e : p + 1) {
		for (e = p; e < end && is_word(*e); e++)
			;
		goes_on = e == p || fn(arg, p, (size_t)(e - p));
	}
	return goes_on;
}

static bool may_be_directive(const char *line, const char *end)
{
	size_t n = (size_t)(end - line);
	return memchr(line, '#', n) || memmem(line, n, "%:", 2);
}

// Whether a comment that begins in this line, or what looks like one, goes on behind it.
static bool opens_comment(const char *line, const char *end)
{
	const char *last = NULL;
	for (const char *p = line; (p = memmem(p, (size_t)(end - p), "/*", 2)); p += 2)
		last = p + 2;
	return last && !memmem(last, (size_t)(end - last), "*/", 2);
}

// All that an #if can be about stands in directives. A line with a '#' anywhere is taken for one, and so is what follows a comment that it
// opens, up to its end and to the end of that line; and, behind one with what may be a raw string, everything. A '\r' ends lines for
// some compilers only.
static void each_word_of_directives(const char *text, size_t len, piece_fn fn, void *arg)
{
	struct joined j;
	join(&j, text, len);
	bool goes_on = true, in_comment = false, in_raw = false;
	for (const char *p = j.p, *end = j.p + j.len, *e; p < end && goes_on; p = e + 1) {
		e = memchr(p, '\n', (size_t)(end - p));
		e = e ? e : end;
		if (!in_comment && !in_raw && !may_be_directive(p, e))
			continue;
		const char *closed = in_comment ? memmem(p, (size_t)(e - p), "*/", 2) : NULL;
		goes_on = each_word(p, e, fn, arg);
		in_comment = in_comment && !closed ? true : opens_comment(closed ? closed + 2 : p, e);
		in_raw |= memmem(p, (size_t)(e - p), "R\"", 2) != NULL;
	}
	joined_release(&j);
}

struct beginning {
	const char *name;
	size_t n_name;
	bool found;
};

static bool find_beginning(void *arg, const char *word, size_t n)
{
	struct beginning *b = arg;
	b->found = n < b->n_name && memcmp(word, b->name, n) == 0;
	return !b->found;
}

bool scan_may_begin(const char *text, size_t len, const char *name)
{
	struct beginning b = {.name = name, .n_name = strlen(name)};
	each_word_of_directives(text, len, find_beginning, &b);
	return b.found;
}

struct pieces {
	const char *name;
	size_t n_name;
	uint64_t *at;
};

static bool note_piece(void *arg, const char *word, size_t n)
{
	struct pieces *x = arg;
	for (size_t i = 0; i + n <= x->n_name; i++)
		if (memcmp(x->name + i, word, n) == 0)
			x->at[i] |= (uint64_t)1 << (n - 1);
	return true;
}

void scan_pieces(const char *text, size_t len, const char *name, uint64_t pieces[SCAN_PIECED_NAME])
{
	struct pieces x = {.name = name, .n_name = strlen(name), .at = pieces};
	each_word_of_directives(text, len, note_piece, &x);
}

bool scan_is_pieced(const char *name, const uint64_t pieces[SCAN_PIECED_NAME])
{
	size_t n_name = strlen(name);
	uint64_t reached = 1; // bit i: words make the first i characters
	for (size_t i = 0; i < n_name; i++)
		for (size_t n = 1; (reached >> i & 1) && i + n <= n_name; n++)
			if ((pieces[i] >> (n - 1) & 1) && n < n_name)
				reached |= (uint64_t)1 << (i + n);
	return reached >> n_name & 1;
}
