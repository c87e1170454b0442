#include "base/mem.h"
#include "depscan/scan_parts.h"

#include <stdlib.h>

// The code digest is the digest of a plainer text that means the same: comments are blanks of the same width or empty lines,
// blanks at the ends of lines and empty lines at the end of the file are gone. Two texts with one plainer text therefore
// mean the same.
//
// It must hold whatever the language version: is R"( a raw string, is ' a digit separator, is ??/ a backslash? Where that
// can change what is a comment, the text is kept as it is up to the end of its line ("in doubt"), where all readings meet
// again; where they might not, up to the end of the file. The steps below return where to go on, or NULL for the latter.
struct code {
	const char *text, *end;
	const char *span; // what was read but not yet put out begins here
	char *out;
	size_t n;           // bytes in out
	size_t fixed;       // blanks in out before this stay
	size_t line;        // where in out the logical line begins
	const char *viewed; // what is not yet in the view begins here
	struct code_facts *facts;
};

static void flush(struct code *c, const char *upto)
{
	memcpy(c->out + c->n, c->span, (size_t)(upto - c->span));
	c->n += (size_t)(upto - c->span);
	c->span = upto;
}

// Puts the text up to here into the view, without its splices.
static void view_to(struct code *c, const char *upto)
{
	struct code_facts *f = c->facts;
	const char *from = c->viewed;
	bool odd = false;
	for (const char *p = from; (p = memchr(p, '\\', (size_t)(upto - p)));) {
		size_t n = splice_length(p, upto, &odd);
		if (!n) {
			p++;
			continue;
		}
		memcpy(f->view + f->view_len, from, (size_t)(p - from));
		f->view_len += (size_t)(p - from);
		p += n;
		from = p;
	}
	memcpy(f->view + f->view_len, from, (size_t)(upto - from));
	f->view_len += (size_t)(upto - from);
	c->viewed = upto;
}

// Everything from p up to here may be code, comment or literal: it is put into the view, and noted.
static void view_doubtful(struct code *c, const char *p, const char *upto)
{
	struct code_facts *f = c->facts;
	view_to(c, p);
	size_t from = f->view_len;
	view_to(c, upto);
	if (f->n_doubts && f->doubts[f->n_doubts - 1].to == from) {
		f->doubts[f->n_doubts - 1].to = f->view_len;
		return;
	}
	if ((f->n_doubts & (f->n_doubts - 1)) == 0)
		f->doubts = mem_realloc(f->doubts, (f->n_doubts ? 2 * f->n_doubts : 1) * sizeof *f->doubts);
	f->doubts[f->n_doubts++] = (struct code_span){from, f->view_len};
}

static const char *keep(struct code *c, const char *upto)
{
	flush(c, upto);
	c->fixed = c->n;
	return upto;
}

static bool is_edge(char ch)
{
	return is_blank(ch) || ch == '\r';
}

// Takes the blanks off the end of out. Behind a backslash they stay: the compiler warns about them.
static void strip(struct code *c)
{
	size_t n = c->n;
	while (n > c->fixed && is_edge(c->out[n - 1]))
		n--;
	if (n == 0 || c->out[n - 1] != '\\')
		c->n = n;
}

static const char *at_break(struct code *c, const char *p)
{
	bool plain = p > c->span && !is_edge(p[-1]) && p[-1] != '\\';
	if (!plain) {
		flush(c, p);
		strip(c);
		c->out[c->n++] = '\n';
		c->span = p + 1;
		size_t n = c->n - 1;
		while (n > c->line && is_edge(c->out[n - 1]))
			n--;
		if (n > c->line && c->out[n - 1] == '\\')
			return p + 1; // the logical line goes on
	}
	c->line = c->n + (size_t)(p + 1 - c->span);
	return p + 1;
}

// ---- doubt ------------------------------------------------------------------------------------------------------------

static bool is_lone_return(const char *p, const char *end)
{
	return *p == '\r' && (p + 1 == end || p[1] != '\n');
}

static bool is_trigraph_backslash(const char *p, const char *end)
{
	return at_text(p, end, "\?\?/");
}

// The same, where it would be a splice.
static bool is_trigraph_splice(const char *p, const char *end)
{
	if (!is_trigraph_backslash(p, end))
		return false;
	for (p += 3; p < end && (is_blank(*p) || *p == '\0'); p++)
		;
	return p < end && (*p == '\n' || *p == '\r');
}

// Everything from p to the end of the logical line stays as it is.
static const char *in_doubt(struct code *c, const char *p)
{
	const char *from = p;
	bool odd = false;
	while (p < c->end && *p != '\n') {
		if (is_lone_return(p, c->end) || is_trigraph_backslash(p, c->end) || at_text(p, c->end, "/*") ||
		    at_text(p, c->end, "R\""))
			return NULL;
		size_t n = splice_length(p, c->end, &odd);
		p += n ? n : 1;
		if (odd || (n && p < c->end && (*p == '*' || *p == '"')))
			return NULL;
	}
	view_doubtful(c, from, p);
	return keep(c, p);
}

// ---- comments ---------------------------------------------------------------------------------------------------------

struct comment {
	const char *end;
	bool keep;             // its text can matter
	const char *last_line; // where its last line begins, or NULL if it has only one
};

// Bytes that need no look within a comment: printable ASCII and tabs but for * / f F ? backslash.
static const bool idle[256] = {
	['\t'] = true,        [' ' ... ')'] = true, ['+' ... '.'] = true, ['0' ... '>'] = true,
	['@' ... 'E'] = true, ['G' ... '['] = true, [']' ... 'e'] = true, ['g' ... '~'] = true,
};

// Looks at the byte where `idle` stopped, for both kinds of comments: the same rules say what is kept, and what is in doubt.
// Returns false for the latter.
static bool look(const char *p, const char *end, struct comment *m)
{
	if (is_lone_return(p, end) || is_trigraph_splice(p, end))
		return false;
	switch (*p) {
	case '*':
	case '\r':
		break;
	case '/':
		m->keep |= at_text(p, end, "/*");
		break;
	case 'f':
	case 'F':
		m->keep |= at_fold(p, end, "fall");
		break;
	case '?':
		m->keep |= at_text(p, end, "\?\?");
		break;
	default:
		m->keep = true; // a backslash, a control character, not ASCII
		break;
	}
	return true;
}

static bool read_block_comment(const struct code *c, const char *p, struct comment *m)
{
	bool odd = false;
	for (p += 2;; p++) {
		while (p < c->end && idle[(unsigned char)*p])
			p++;
		if (p == c->end)
			return false;
		if (at_text(p, c->end, "*/"))
			break;
		if (*p == '\n')
			m->last_line = p + 1;
		else if ((*p == '*' && splice_length(p + 1, c->end, &odd)) || !look(p, c->end, m))
			return false;
	}
	m->end = p + 2;
	return true;
}

static bool read_line_comment(struct code *c, const char *p, struct comment *m)
{
	bool odd = false;
	m->keep = at_text(p, c->end, "//*"); // a division and a comment to old compilers
	c->facts->complete &= !m->keep || c->facts->line_comments;
	for (p += 2;; p++) {
		while (p < c->end && idle[(unsigned char)*p])
			p++;
		if (p == c->end || *p == '\n')
			break;
		if (!look(p, c->end, m))
			return false;
		size_t n = splice_length(p, c->end, &odd);
		if (odd)
			return false;
		p += n ? n - 1 : 0;
	}
	m->end = p;
	return true;
}

// Would blanks instead of this comment mean something else? A backslash before it would become a splice; gcc is silent about
// an odd splice or trigraph right behind it; a comment of several lines joins what is before and behind it into one line.
static bool must_stay(const struct code *c, const struct comment *m)
{
	const char *p = m->end;
	while (p < c->end && is_edge(*p))
		p++;
	if (p < c->end && (*p == '\\' || *p == '?'))
		return true;
	size_t n = c->n;
	while (n > c->line && is_edge(c->out[n - 1]))
		n--;
	if (n == c->line)
		return false;
	if (c->out[n - 1] == '\\')
		return true;
	return m->last_line && p < c->end && *p != '\n';
}

// Blanks where the comment was, empty lines for its lines. A tab stays, so that what follows stays in its column.
static void put_blanks(struct code *c, const char *p, const struct comment *m)
{
	if (m->last_line) {
		strip(c);
		for (; p < m->last_line; p++)
			if (*p == '\n')
				c->out[c->n++] = '\n';
		c->line = c->n;
	}
	for (; p < m->end; p++)
		c->out[c->n++] = *p == '\t' ? '\t' : ' ';
}

static const char *at_slash(struct code *c, const char *p)
{
	bool odd = false;
	if (splice_length(p + 1, c->end, &odd))
		return NULL;
	bool line = at_text(p, c->end, "//");
	if (!line && !at_text(p, c->end, "/*"))
		return p + 1;
	struct comment m = {0};
	if (!(line ? read_line_comment(c, p, &m) : read_block_comment(c, p, &m)))
		return NULL;
	view_to(c, p);
	if (!line)
		c->facts->view[c->facts->view_len++] = ' ';
	c->viewed = m.end;
	flush(c, p);
	if (m.keep || must_stay(c, &m))
		return keep(c, m.end);
	if (!line)
		put_blanks(c, p, &m);
	c->span = m.end;
	return m.end;
}

// ---- literals ---------------------------------------------------------------------------------------------------------

// The word that touches p from before, splices left out: its last bytes in `tail` (of `size`), its length as the result.
static size_t word_before(const struct code *c, const char *p, char *tail, size_t size)
{
	size_t n = 0;
	while (p > c->text && n < size) {
		bool odd = false;
		const char *q = p;
		while (q > c->text && (is_edge(q[-1]) || q[-1] == '\n' || q[-1] == '\0'))
			q--;
		if (q < p && q > c->text && q + splice_length(q - 1, c->end, &odd) - 1 == p)
			p = q - 1;
		else if (q == p && (is_word(p[-1]) || p[-1] == '$' || (unsigned char)p[-1] >= 0x80))
			tail[size - ++n] = *--p;
		else
			break;
	}
	return n;
}

static bool is_prefix(const char *w, size_t n)
{
	return n == 0 || (n == 1 && (*w == 'L' || *w == 'u' || *w == 'U')) || (n == 2 && memcmp(w, "u8", 2) == 0);
}

// A literal from its opening quote; one that is not closed ends with its line.
static const char *literal_end(struct code *c, const char *p)
{
	char quote = *p++;
	bool odd = false;
	while (p < c->end && *p != '\n') {
		if (*p == quote)
			return p + 1;
		if (is_lone_return(p, c->end) || is_trigraph_backslash(p, c->end))
			return NULL;
		size_t n = splice_length(p, c->end, &odd);
		// A backslash before a splice escapes what follows the splice.
		if (odd ||
		    (*p == '\\' && !n && (splice_length(p + 1, c->end, &odd) || is_trigraph_backslash(p + 1, c->end))))
			return NULL;
		p += n ? n : *p == '\\' && p + 1 < c->end ? 2 : 1;
	}
	return keep(c, p);
}

// A raw string, from its quote. To compilers without raw strings it is something else up to the end of its last line.
static const char *raw_end(struct code *c, const char *quote)
{
	const char *delim = quote + 1, *p = delim;
	while (p < c->end && is_word(*p))
		p++;
	size_t n = (size_t)(p - delim);
	if (p == c->end || *p != '(' || n > 16)
		return NULL;
	for (;; p++) {
		p = memchr(p, ')', (size_t)(c->end - p));
		if (!p || (size_t)(c->end - p) < n + 2)
			return NULL;
		if (memcmp(p + 1, delim, n) == 0 && p[1 + n] == '"')
			break;
	}
	size_t len = (size_t)(p - quote);
	if (memmem(quote, len, "/*", 2) || memmem(quote, len, "\?\?/", 3))
		return NULL;
	if (memchr(quote, '#', len) || memmem(quote, len, "%:", 2) || memmem(quote, len, "\?\?=", 3))
		c->facts->complete = false; // perhaps directives
	for (const char *q = quote; (q = memchr(q, '\r', (size_t)(p - q))); q++)
		if (is_lone_return(q, c->end))
			return NULL;
	for (const char *q = quote; (q = memchr(q, '/', (size_t)(p - q))); q++)
		if (q[1] == '\\')
			return NULL; // perhaps a spliced comment
	view_doubtful(c, quote, p + 1 + n);
	return in_doubt(c, p + 1 + n);
}

static const char *at_quote(struct code *c, const char *p)
{
	char tail[4]; // longer than any prefix
	size_t n = word_before(c, p, tail, sizeof tail);
	const char *w = tail + sizeof tail - n;
	if (*p == '\'')
		return is_prefix(w, n) ? literal_end(c, p) : in_doubt(c, p); // else perhaps a digit separator
	if (n == 0 || w[n - 1] != 'R')
		return literal_end(c, p);
	if (is_prefix(w, n - 1))
		return raw_end(c, p);
	for (size_t i = 0; i < n; i++)
		if (!is_word(w[i]))
			return NULL; // what belongs to the word depends on the compiler
	return literal_end(c, p);
}

// ---- directives -------------------------------------------------------------------------------------------------------

// A line that may be any directive.
static const char *at_unclear(struct code *c, const char *hash)
{
	c->facts->complete = false;
	return in_doubt(c, hash);
}

static const char *skip_word(const struct code *c, const char *p)
{
	while (p < c->end && is_word(*p))
		p++;
	return p;
}

// Is there nothing but comments in the rest of this line? Answers no where that is not plain to see.
static bool is_rest_empty(const struct code *c, const char *p)
{
	const char *eol = memchr(p, '\n', (size_t)(c->end - p));
	if (!eol)
		eol = c->end;
	if (memchr(p, '\\', (size_t)(eol - p)))
		return false;
	while (p < eol) {
		if (is_edge(*p)) {
			p++;
		} else if (at_text(p, eol, "/*")) {
			p = memmem(p + 2, (size_t)(eol - p - 2), "*/", 2);
			if (!p)
				return false;
			p += 2;
		} else {
			return at_text(p, eol, "//");
		}
	}
	return true;
}

// `#include NAME`
static const char *macro_end(struct code *c, const char *p)
{
	struct code_facts *f = c->facts;
	const char *e = skip_word(c, p);
	if (e == p || (size_t)(e - p) > SCAN_MAX_NAME || is_digit(*p) || !is_rest_empty(c, e) ||
	    f->n_macros == CODE_MAX_MACROS) {
		f->computed = true;
	} else {
		f->macros[f->n_macros].name = p;
		f->macros[f->n_macros++].n = (size_t)(e - p);
	}
	return p;
}

// The operand of an include directive: in a header name there are neither comments nor escapes.
static const char *header_end(struct code *c, const char *hash, const char *p)
{
	while (p < c->end && is_blank(*p))
		p++;
	if (p == c->end || *p == '\n' || *p == '\r')
		return p;
	if (*p == '/' || *p == '\\')
		return at_unclear(c, hash);
	if (*p != '<' && *p != '"')
		return macro_end(c, p);
	char close = *p == '<' ? '>' : '"';
	for (p++; p < c->end && *p != close; p++)
		if (*p == '\n' || *p == '\r' || *p == '\\' || *p == '?')
			return at_unclear(c, hash);
	return p < c->end ? p + 1 : at_unclear(c, hash);
}

static bool line_has_probe(const struct code *c, const char *p)
{
	bool odd = false, spliced = false;
	const char *from = p;
	while (p < c->end && *p != '\n') {
		size_t n = splice_length(p, c->end, &odd);
		spliced |= n > 0;
		p += n ? n : 1;
	}
	size_t len = (size_t)(p - from);
	return memmem(from, len, "__has_", 6) || (spliced && memchr(from, '<', len));
}

static bool begins_directive(const struct code *c, const char *p)
{
	while (p > c->text && (is_blank(p[-1]) || p[-1] == '\0' || (unsigned char)p[-1] >= 0x80))
		p--;
	return p == c->text || p[-1] == '\n' || p[-1] == '\r' || (p[-1] == '/' && p - c->text > 1 && p[-2] == '*');
}

// Directives in which a comment may be no comment: header names, and lines that some compilers take as raw text.
static const char *at_hash(struct code *c, const char *hash)
{
	const char *p = hash + 1;
	if (!begins_directive(c, hash))
		return p;
	while (p < c->end && is_blank(*p))
		p++;
	const char *w = p;
	p = skip_word(c, p);
	size_t n = (size_t)(p - w);
	if (p < c->end && (*p == '\\' || *p == '?' || (!n && (*p == '/' || (unsigned char)*p >= 0x80))))
		return at_unclear(c, hash);
	if (at_text(w, p, "pragma")) {
		while (p < c->end && is_blank(*p))
			p++;
		bool unclear = p < c->end && (*p == '\\' || *p == '/');
		return unclear || at_text(p, c->end, "mark") ? in_doubt(c, hash) : p;
	}
	if (at_text(w, p, "error") || at_text(w, p, "warning"))
		return in_doubt(c, hash);
	if (at_text(w, p, "include") || at_text(w, p, "import") || at_text(w, p, "embed") || at_text(w, p, "__include"))
		return header_end(c, hash, p);
	if (at_text(w, p, "if") || at_text(w, p, "elif"))
		return line_has_probe(c, p) ? in_doubt(c, hash) : p;
	return p;
}

// ---- the pass ---------------------------------------------------------------------------------------------------------

static const bool stops[256] = {['\n'] = true, ['\r'] = true, ['"'] = true, ['\''] = true, ['/'] = true,
				['#'] = true,  ['%'] = true,  ['?'] = true, ['\0'] = true};

static const char *step(struct code *c, const char *p)
{
	switch (*p) {
	case '\n':
		return at_break(c, p);
	case '\r':
		return is_lone_return(p, c->end) ? NULL : p + 1;
	case '"':
	case '\'':
		return at_quote(c, p);
	case '/':
		return at_slash(c, p);
	case '#':
		return at_hash(c, p);
	case '%':
		return at_text(p, c->end, "%:") && begins_directive(c, p) ? at_unclear(c, p) : p + 1;
	case '?':
		return at_text(p, c->end, "\?\?") ? NULL : p + 1;
	default: // NUL: the compilers disagree whether it is a blank
		return NULL;
	}
}

// Empty lines at the end go, but that the last line has no line break stays visible: compilers warn about it.
static void finish(struct code *c)
{
	bool closed = c->end > c->text && c->end[-1] == '\n';
	size_t n = c->n;
	while (n > c->fixed && (is_edge(c->out[n - 1]) || (closed && c->out[n - 1] == '\n')))
		n--;
	char last = n ? c->out[n - 1] : '\n';
	// A splice at the end of the file stays as it is.
	if (last == '\\' || (closed && n && last == '\n'))
		return;
	c->n = n;
	if (closed)
		c->out[c->n++] = '\n';
	else if (last == '\n' && c->end > c->text)
		c->out[c->n++] = ' ';
}

char *scan_plain(struct code_facts *f, const char *text, size_t len, bool line_comments, size_t *n_out)
{
	*f = (struct code_facts){.complete = true, .line_comments = line_comments, .view = mem_realloc(NULL, len + 1)};
	char *out = mem_realloc(NULL, len + 1);
	struct code c = {.text = text, .end = text + len, .span = text, .out = out, .viewed = text, .facts = f};
	const char *p = text;
	while (p && p < c.end) {
		if (!stops[(unsigned char)*p])
			p++;
		else
			p = step(&c, p);
	}
	flush(&c, c.end);
	if (p) {
		view_to(&c, c.end);
		finish(&c);
	} else {
		f->complete = false;
	}
	*n_out = c.n;
	return out;
}

void scan_code(struct code_facts *f, const char *text, size_t len)
{
	size_t n;
	AUTO_FREE char *plain = scan_plain(f, text, len, false, &n);
	f->digest = digest_of(plain, n);
}

void scan_code_release(struct code_facts *f)
{
	free(f->view);
	free(f->doubts);
}
