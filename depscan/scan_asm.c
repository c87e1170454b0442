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

// Whether the text names assembler macros, whose arguments can be pasted.
static bool find_dotted(struct scan *s, const char *text, const char *end)
{
	bool macros = false;
	for (const char *p = text; (p = memchr(p, '.', (size_t)(end - p)));) {
		p++;
		if (at_fold(p, end, "include") && (p + 7 == end || !is_word(p[7])))
			s->asm_include = true;
		macros |= at_fold(p, end, "macro") || at_fold(p, end, "irp");
	}
	return macros;
}

static void look_at(struct scan *s, const char *text, const char *end, bool pastes)
{
	unsigned b = find(text, end, around_b, COUNT_OF(around_b));
	pastes |= find_dotted(s, text, end);
	s->incbin |= (b & INCBIN) != 0;
	if (!pastes)
		return;
	bool incbin = (b & (CBIN | INCB)) || ((b & BIN) && find(text, end, around_c, COUNT_OF(around_c)));
	bool include = find(text, end, around_u, COUNT_OF(around_u));
	s->asm_parts |= incbin || include;
	s->incbin |= incbin && s->has_asm;
	s->asm_include |= include && s->has_asm;
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

void scan_asm(struct scan *s, const char *text, size_t len, bool pastes)
{
	look_at(s, text, text + len, pastes);
	AUTO_FREE char *joined = join_literals(text, text + len, &len);
	if (joined)
		look_at(s, joined, joined + len, pastes);
}
