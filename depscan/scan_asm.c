#include "base/mem.h"
#include "depscan/scan_parts.h"

// Assembler directives are named in any case, as one word, or in parts that the compiler or the assembler puts together:
// "inc" "bin", .inc##bin, #x, .macro arguments, escapes. Of words that are pasted, two are looked for, of two letters or
// more.

// A comment between two string literals is followed this far.
enum { COMMENT_LIMIT = 1024 };

// What is looked for around a rare letter: the letter's index in it, and whether it must be a word of its own.
struct wanted {
	const char *text;
	size_t pivot;
	bool whole;
};
enum { INCBIN = 1, CBIN = 2, INCB = 4, BIN = 8 };
static const struct wanted around_b[] = {{"incbin", 3, false}, {"cbin", 1, true}, {"incb", 3, true}, {"bin", 0, true}};
// Of the two words that can be pasted to "include" one is always a rare one.
static const struct wanted around_u[] = {{"clude", 2, true}, {"lude", 1, true}, {"ude", 0, true}, {"inclu", 4, true}};
static const struct wanted around_c[] = {{"inc", 2, true}};

static bool is_here(const char *text, const char *end, const char *p, const struct wanted *w)
{
	size_t len = strlen(w->text);
	if ((size_t)(p - text) < w->pivot || !at_fold(p - w->pivot, end, w->text))
		return false;
	const char *from = p - w->pivot, *after = from + len;
	return !w->whole || ((from == text || !is_word(from[-1])) && (after == end || !is_word(*after)));
}

// Bit i: list[i] is in the text, in any case.
static unsigned find(const char *text, const char *end, const struct wanted *list, size_t n)
{
	const char lower = list[0].text[list[0].pivot], letters[] = {lower, (char)(lower - 'a' + 'A')};
	unsigned found = 0;
	for (size_t i = 0; i < sizeof letters; i++)
		for (const char *p = text; (p = memchr(p, letters[i], (size_t)(end - p))); p++)
			for (size_t k = 0; k < n; k++)
				if (is_here(text, end, p, &list[k]))
					found |= 1u << k;
	return found;
}

// Words that spell one of the two when two of them are pasted
static bool has_parts(const char *text, const char *end)
{
	unsigned b = find(text, end, around_b, COUNT_OF(around_b));
	bool incbin = (b & (CBIN | INCB)) || ((b & BIN) && find(text, end, around_c, COUNT_OF(around_c)));
	return incbin || find(text, end, around_u, COUNT_OF(around_u));
}

static bool has_incbin(const char *text, const char *end)
{
	return find(text, end, around_b, COUNT_OF(around_b)) & INCBIN;
}

// ".include" at p, behind the dot?
static bool is_include(const char *p, const char *end)
{
	return at_fold(p, end, "include") && (p + 7 == end || !is_word(p[7]));
}

enum { INCLUDE = 1, MACROS = 2, REPEATS = 4 };

// Does the text say .include? Does it name assembler macros, whose arguments can be pasted?
static unsigned find_dotted(const char *text, const char *end)
{
	unsigned found = 0;
	for (const char *p = text; (p = memchr(p, '.', (size_t)(end - p)));) {
		p++;
		if (is_include(p, end))
			found |= INCLUDE;
		if (at_fold(p, end, "macro") || at_fold(p, end, "irp"))
			found |= MACROS;
		if (at_fold(p, end, "rept") || at_fold(p, end, "altmacro"))
			found |= REPEATS;
	}
	return found;
}

static uint32_t look_at(const char *text, const char *end, bool pastes)
{
	unsigned dotted = find_dotted(text, end);
	uint32_t facts = dotted & INCLUDE ? FACT_asm_include : 0;
	if (dotted & (MACROS | REPEATS))
		facts |= FACT_asm_macros;
	if (has_incbin(text, end))
		facts |= FACT_incbin;
	if ((pastes || dotted & MACROS) && has_parts(text, end))
		facts |= FACT_asm_parts;
	return facts;
}

// ---- string literals put together -----------------------------------------------------------------------------------

// p is at a quote. If another literal follows behind blanks and comments, where that one's text begins; else NULL.
static const char *next_literal(const char *p, const char *end)
{
	for (p++; p < end; p++) {
		if (at_text(p, end, "/*")) {
			size_t left = (size_t)(end - p);
			p = memmem(p + 2, left - 2 < COMMENT_LIMIT ? left - 2 : COMMENT_LIMIT, "*/", 2);
			if (!p)
				return NULL;
			p++;
		} else if (at_text(p, end, "//")) {
			size_t left = (size_t)(end - p);
			p = memchr(p, '\n', left < COMMENT_LIMIT ? left : COMMENT_LIMIT);
			if (!p)
				return NULL;
		} else if (!is_blank(*p) && *p != '\n' && *p != '\r') {
			break;
		}
	}
	if (at_text(p, end, "u8"))
		p += 2;
	else if (p < end && (*p == 'L' || *p == 'u' || *p == 'U'))
		p++;
	return p < end && *p == '"' ? p + 1 : NULL;
}

static int hex_value(char c)
{
	c = to_lower(c);
	return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// p is at a backslash. Puts what a string literal would have there (a blank for what is no ASCII character); returns where
// it ends, or NULL if this is no numeric escape.
static const char *read_escape(const char *p, const char *end, char *to)
{
	unsigned value = 0;
	const char *q = p + 1;
	if (q == end)
		return NULL;
	int base = *q >= '0' && *q <= '7' ? 8 : 16, most = base == 8 ? 3 : 8;
	if (base == 16 && *q != 'x' && *q != 'u' && *q != 'U' && *q != 'o')
		return NULL;
	if (*q == 'o')
		base = 8;
	if (base == 16 || *q == 'o')
		q++;
	bool braces = q < end && *q == '{';
	q += braces;
	if (p[1] == 'u' && !braces)
		most = 4;
	for (int i = 0; i < most && q < end && hex_value(*q) >= 0 && hex_value(*q) < base; i++, q++)
		value = value * (unsigned)base + (unsigned)hex_value(*q);
	if (braces && q < end && *q == '}')
		q++;
	*to = value > 0 && value < 0x80 ? (char)value : ' ';
	return q;
}

// The text with adjacent string literals made one and numeric escapes read, or NULL if there are none. free() it.
static char *join_literals(const char *text, const char *end, size_t *len)
{
	char *out = NULL, *to = NULL;
	const char *from = text, *p = text, *quote = text, *slash = text;
	while (p < end) {
		if (quote && quote <= p)
			quote = memchr(p, '"', (size_t)(end - p));
		if (slash && slash <= p)
			slash = memchr(p, '\\', (size_t)(end - p));
		const char *at = !slash || (quote && quote < slash) ? quote : slash;
		if (!at)
			break;
		char value = ' ';
		const char *next = at == quote ? next_literal(at, end) : read_escape(at, end, &value);
		if (!next) {
			p = at + 1;
			continue;
		}
		if (!out)
			out = to = mem_realloc(NULL, (size_t)(end - text));
		memcpy(to, from, (size_t)(at - from));
		to += at - from;
		if (at == slash)
			*to++ = value;
		p = from = next;
	}
	if (!out)
		return NULL;
	memcpy(to, from, (size_t)(end - from));
	*len = (size_t)(to - out) + (size_t)(end - from);
	return out;
}

// Does what a compiler would make of these literals say it?
static bool is_said(const struct buf *b, bool pastes)
{
	return b->len && look_at(b->data, b->data + b->len, pastes) & ~(uint32_t)FACT_asm_macros;
}

// ---- asm statements ---------------------------------------------------------------------------------------------------

enum { STATEMENT_LIMIT = 1 << 16 };

static const char *skip_space(const char *p, const char *end)
{
	while (p < end && (is_blank(*p) || *p == '\n' || *p == '\r'))
		p++;
	return p;
}

static const char *word_end(const char *p, const char *end)
{
	while (p < end && is_word(*p))
		p++;
	return p;
}

static bool is_prefix(const char *w, size_t n)
{
	return (n == 1 && strchr("LuU", *w)) || (n == 2 && memcmp(w, "u8", 2) == 0);
}

static void add_literal(struct buf *b, const char *p, const char *end)
{
	while (p < end) {
		char value;
		const char *e = *p == '\\' ? read_escape(p, end, &value) : NULL;
		if (e) {
			buf_addc(b, value);
			p = e;
		} else {
			buf_addc(b, *p++);
		}
	}
}

// Behind `asm`: the bracket that opens it, or NULL.
static const char *open_bracket(const char *p, const char *end)
{
	for (;;) {
		p = skip_space(p, end);
		const char *e = word_end(p, end);
		if (e == p)
			return p < end && *p == '(' ? p : NULL;
		if (!memmem(p, (size_t)(e - p), "volatile", 8) && !memmem(p, (size_t)(e - p), "inline", 6) &&
		    !(e - p == 4 && memcmp(p, "goto", 4) == 0))
			return NULL;
		p = e;
	}
}

// Does p stand in a #define?
static bool on_define_line(const char *text, const char *p)
{
	const char *line = p;
	while (line > text && line[-1] != '\n')
		line--;
	return memmem(line, (size_t)(p - line), "define", 6) != NULL;
}

// A piece that macros could complete: it says ".inc" or "cbin", or ends within the first letters of ".inc".
static bool is_hint(const char *p, size_t n)
{
	static const char *const starts[] = {".", ".i", ".in"};
	for (size_t i = 0; i < COUNT_OF(starts); i++) {
		size_t len = strlen(starts[i]);
		if (n >= len && at_fold(p + n - len, p + n, starts[i]))
			return true;
	}
	for (size_t i = 0; i + 4 <= n; i++)
		if (at_fold(p + i, p + n, ".inc") || at_fold(p + i, p + n, "cbin"))
			return true;
	return false;
}

struct statement {
	struct buf *text; // what its literals say
	bool open;
	bool hints;
	size_t run; // where in text the literals begin that no word parts
};

static void end_run(struct statement *a)
{
	a->hints |= a->text->len > a->run && is_hint(a->text->data + a->run, a->text->len - a->run);
	buf_addc(a->text, ' ');
	a->run = a->text->len;
}

// Reads the template, and goes over the operands. Returns its end.
static const char *read_statement(struct statement *a, const char *p, const char *end)
{
	bool template = true;
	unsigned depth = 1;
	for (p++; p < end && depth;) {
		const char *e = word_end(p, end);
		if (*p == '"') {
			e = scan_literal_end(p, end);
			if (template)
				add_literal(a->text, p + 1, e - (e[-1] == '"' && e - p > 1));
		} else if (*p == '\'') {
			e = scan_literal_end(p, end);
		} else if (*p == '(' || *p == ')') {
			depth += *p == '(' ? 1 : -1u;
			a->open |= template && *p == '(';
			e = p + 1;
		} else if (*p == ':' && depth == 1) {
			template = false;
			e = p + 1;
		} else if (skip_space(p, end) > p) {
			e = skip_space(p, end);
		} else if (template && !(e < end && *e == '"' && is_prefix(p, (size_t)(e - p)))) {
			a->open = true;
			end_run(a);
			e += e == p;
		} else {
			e += e == p;
		}
		p = e;
	}
	a->open |= depth != 0;
	end_run(a);
	return p;
}

static bool any_doubt(const struct scan_view *v, const char *p, const char *end)
{
	for (unsigned i = 0; i < v->n_doubts; i++)
		if (v->text + v->doubts[i].from < end && v->text + v->doubts[i].to > p)
			return true;
	return false;
}

// `#define REDIRECT(name, proto, alias) name proto asm(#alias)`: a word stands before it in a macro.
static bool is_label(const struct scan_view *v, const char *w)
{
	const char *e = w;
	while (e > v->text && is_blank(e[-1]))
		e--;
	return e < w && e > v->text && is_word(e[-1]) && on_define_line(v->text, w);
}

const char *scan_asm_statement(struct scan *s, const struct scan_view *v, const char *w, const char *p)
{
	const char *limit = v->end - p > STATEMENT_LIMIT ? p + STATEMENT_LIMIT : v->end, *bracket = open_bracket(p, limit);
	if (!bracket || is_doubtful(v, p)) {
		s->facts |= FACT_asm_open;
		return p;
	}
	AUTO_BUF struct buf text = BUF_INIT;
	struct statement a = {.text = &text};
	const char *first = skip_space(bracket + 1, limit), *e = read_statement(&a, bracket, limit);
	if (is_said(&text, false) || (first < limit && *first == '('))
		s->facts |= FACT_asm_embeds;
	// Macros of the assembler live on in later statements.
	if (text.len && find_dotted(text.data, text.data + text.len) & MACROS)
		s->facts |= FACT_asm_open;
	if (a.open || any_doubt(v, p, e))
		s->facts |= (is_label(v, w) ? FACT_asm_label : FACT_asm_open) | (a.hints ? FACT_asm_hints : 0);
	return e;
}

// ---- texts that may come into one ---------------------------------------------------------------------------------------

// The text in two parts: what its literals say, with those joined that follow each other, and its code.
struct parts {
	struct buf *literals, *code;
};

static void add_doubtful(struct parts *t, const char *p, const char *end)
{
	buf_addc(t->literals, '\n');
	add_literal(t->literals, p, end);
	buf_addc(t->literals, '\n');
	buf_add(t->code, p, (size_t)(end - p));
}

static void take_apart(struct parts *t, const struct scan_view *v)
{
	const char *p = v->text, *joined = NULL; // up to here nothing stands behind the last literal
	for (unsigned next = 0; p < v->end;) {
		const char *doubt = next < v->n_doubts ? v->text + v->doubts[next].from : v->end;
		if (p == doubt) {
			const char *end = v->text + v->doubts[next++].to;
			add_doubtful(t, p, end);
			p = end;
			continue;
		}
		const char *q = p;
		while (q < doubt && *q != '"' && *q != '\'')
			q++;
		if (q == doubt || *q == '\'') {
			const char *end = q == doubt ? q : scan_literal_end(q, v->end);
			buf_add(t->code, p, (size_t)(end - p));
			p = end;
			continue;
		}
		const char *end = scan_literal_end(q, v->end), *w = q;
		while (w > p && is_word(w[-1]))
			w--;
		bool follows = joined && skip_space(joined, v->end) >= (is_prefix(w, (size_t)(q - w)) ? w : q);
		if (!follows)
			buf_addc(t->literals, '\n');
		add_literal(t->literals, q + 1, end - (end[-1] == '"' && end - q > 1));
		buf_add(t->code, p, (size_t)(q - p));
		buf_adds(t->code, "\"\"");
		p = joined = end;
	}
}

// A word of code that can come into a literal: behind a dot, but not as a member, handed to a macro, or in a macro.
static bool can_become_text(const struct buf *code, const char *p, size_t n)
{
	const char *end = code->data + code->len, *before = p, *after = p + n;
	if ((p > code->data && is_word(p[-1])) || (after < end && is_word(*after)))
		return false;
	while (before > code->data && is_blank(before[-1]))
		before--;
	char c = before > code->data ? before[-1] : '\n';
	if (c == '.') {
		char owner = before - code->data > 1 ? before[-2] : '\n';
		return !is_word(owner) && owner != ')' && owner != ']';
	}
	if (c == '>' && before - code->data > 1 && before[-2] == '-')
		return false;
	after = skip_space(after, end);
	bool argument = (c == '(' || c == ',') && after < end && (*after == ')' || *after == ',');
	return argument || c == '#' || (after < end && *after == '#') || on_define_line(code->data, p);
}

static bool code_says(const struct buf *code)
{
	static const char *const words[] = {"incbin", "include"};
	const char *end = code->data + code->len;
	for (const char *p = code->data; p < end; p++) {
		if (to_lower(*p) != 'i')
			continue;
		for (size_t i = 0; i < COUNT_OF(words); i++)
			if (at_fold(p, end, words[i]) && can_become_text(code, p, strlen(words[i])) &&
			    (i == 0 || (p > code->data && p[-1] == '.')))
				return true;
	}
	return false;
}

// Pieces in the literals of macros, where macros can come into an asm statement
static bool macros_hint(const struct scan_view *v)
{
	for (const char *p = v->text; (p = memmem(p, (size_t)(v->end - p), "define", 6)); p++) {
		const char *eol = memchr(p, '\n', (size_t)(v->end - p));
		for (eol = eol ? eol : v->end; (p = memchr(p, '"', (size_t)(eol - p)));) {
			const char *e = scan_literal_end(p, eol);
			if (is_hint(p + 1, (size_t)(e - p - (e - p > 1 ? 2 : 1))))
				return true;
			p = e;
		}
		p = eol - 1;
	}
	return false;
}

void scan_asm(struct scan *s, const char *raw, size_t len, const struct scan_view *v, bool pastes)
{
	uint32_t raw_facts = look_at(raw, raw + len, pastes);
	AUTO_FREE char *joined = join_literals(raw, raw + len, &len);
	if (joined)
		raw_facts |= look_at(joined, joined + len, pastes);
	s->facts |= raw_facts;
	if ((s->facts & FACT_asm_open) && !(s->facts & FACT_asm_hints) && macros_hint(v))
		s->facts |= FACT_asm_hints;
	if (!(raw_facts & ~(uint32_t)FACT_asm_macros))
		return;
	AUTO_BUF struct buf literals = BUF_INIT;
	AUTO_BUF struct buf code = BUF_INIT;
	struct parts t = {&literals, &code};
	take_apart(&t, v);
	bool words = raw_facts & FACT_asm_parts && has_parts(v->text, v->end);
	if (words || is_said(&literals, pastes) || (code.len && code_says(&code)))
		s->facts |= FACT_asm_text;
}
