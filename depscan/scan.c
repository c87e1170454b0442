#include "depscan/scan.h"

#include "base/map.h"
#include "base/mem.h"
#include "depscan/scan_parts.h"

#include <stdlib.h>

// How far back or ahead on one line a question is followed before the answer is the careful one.
enum { LINE_LIMIT = 1024 };

struct reader {
	struct scan *s;
	struct map seen;           // includes by flags and name
	const char *text, *end;    // without splices
	const char *asked, *close; // the first "*/" behind `asked` is at `close` (or `end`)
	bool pastes;               // ## or a stringizing # was seen
	bool computed;             // as in struct scan, but perhaps only in a comment
};

// ---- small steps ------------------------------------------------------------------------------------------------------

// What may stand between the words of a directive. Bytes above ASCII count: clang takes Unicode blanks for blanks.
static bool is_gap(char c)
{
	return is_blank(c) || c == '\0' || (unsigned char)c >= 0x80;
}

static bool is_break(char c)
{
	return c == '\n' || c == '\r';
}

// Behind the comment whose text begins at p, or the end. Remembers its answer: a hostile text may ask it again and again.
static const char *comment_end(struct reader *r, const char *p)
{
	if (!r->asked || p < r->asked || p > r->close) {
		const char *close = memmem(p, (size_t)(r->end - p), "*/", 2);
		r->asked = p;
		r->close = close ? close : r->end;
	}
	return r->close == r->end ? r->end : r->close + 2;
}

static const char *skip_gap(struct reader *r, const char *p)
{
	for (;;) {
		while (p < r->end && is_gap(*p))
			p++;
		if (!at_text(p, r->end, "/*"))
			return p;
		p = comment_end(r, p + 2);
	}
}

static const char *word_end(const struct reader *r, const char *p)
{
	while (p < r->end && is_word(*p))
		p++;
	return p;
}

static bool is(const char *w, size_t n, const char *word)
{
	return strlen(word) == n && memcmp(w, word, n) == 0;
}

static const char *before_gap(const struct reader *r, const char *p)
{
	while (p > r->text && is_gap(p[-1]))
		p--;
	return p;
}

// Can a directive begin here? Only blanks and comments may stand before it on its line.
static bool begins_line(const struct reader *r, const char *p)
{
	p = before_gap(r, p);
	return p == r->text || is_break(p[-1]) || (p - r->text >= 2 && p[-1] == '/' && p[-2] == '*');
}

static bool follows_word(const struct reader *r, const char *p, const char *word)
{
	size_t n = strlen(word);
	p = before_gap(r, p);
	return (size_t)(p - r->text) >= n && memcmp(p - n, word, n) == 0 &&
	       ((size_t)(p - r->text) == n || !is_word(p[-1 - (ptrdiff_t)n]));
}

// Is this word next to ## (or %:%:)?
static bool is_pasted(struct reader *r, const char *w, size_t n)
{
	const char *before = before_gap(r, w), *after = skip_gap(r, w + n);
	if (before - r->text >= 2 && (memcmp(before - 2, "##", 2) == 0 || memcmp(before - 2, "%:", 2) == 0))
		return true;
	return at_text(after, r->end, "##") || at_text(after, r->end, "%:");
}

// The text of this line before p, if p can be part of a directive; else NULL.
static const char *directive_before(const struct reader *r, const char *p)
{
	const char *q = p;
	bool found = false;
	while (q > r->text && !is_break(q[-1])) {
		q--;
		found |= *q == '#' || (*q == '%' && q[1] == ':') || (*q == '*' && q[1] == '/') || p - q > LINE_LIMIT;
		if (p - q > LINE_LIMIT)
			break;
	}
	return found ? q : NULL;
}

// ---- includes ---------------------------------------------------------------------------------------------------------

// A name that can't be read for certain
static void note_unclear(struct scan *s, bool probe)
{
	if (probe)
		s->unknown_probe = true;
	else
		s->computed = true;
}

static void add_include(struct reader *r, const char *name, size_t n, struct include what)
{
	struct scan *s = r->s;
	char key[SCAN_MAX_NAME + 1];
	key[0] = (char)('0' + (int)what.form + 3 * what.next + 6 * what.probe + 12 * what.wrapped);
	memcpy(key + 1, name, n);
	if (map_get(&r->seen, key, n + 1))
		return;
	if (s->n_includes == SCAN_MAX_INCLUDES) {
		note_unclear(s, what.probe);
		return;
	}
	map_put(&r->seen, key, n + 1, s);
	if ((s->n_includes & (s->n_includes - 1)) == 0)
		s->includes = mem_realloc(s->includes, (s->n_includes ? 2 * s->n_includes : 1) * sizeof *s->includes);
	what.name = mem_strndup(name, n);
	s->includes[s->n_includes++] = what;
}

// Takes <name> or "name" at p; false if there is none that ends. `real`: it stands where a compiler would take it.
static bool read_name(struct reader *r, const char *p, struct include what, bool real)
{
	char close = '\0';
	if (p < r->end)
		close = *p == '<' ? '>' : *p == '"' ? '"' : '\0';
	if (!close)
		return false;
	const char *name = ++p;
	while (p < r->end && *p != close && !is_break(*p) && (size_t)(p - name) < SCAN_MAX_NAME)
		p++;
	size_t n = (size_t)(p - name);
	if (n == SCAN_MAX_NAME || memchr(name, '\0', n)) {
		if (real)
			note_unclear(r->s, what.probe);
		return true;
	}
	if (p == r->end || *p != close)
		return false;
	// clang takes \" for a quote within the name, gcc for the end of it.
	if (n && p[-1] == '\\' && real)
		note_unclear(r->s, what.probe);
	what.form = close == '>' ? INCLUDE_ANGLED : INCLUDE_QUOTED;
	if (n)
		add_include(r, name, n, what);
	return true;
}

static void read_include(struct reader *r, const char *hash, const char *p, bool next)
{
	bool real = begins_line(r, hash);
	p = skip_gap(r, p);
	if (read_name(r, p, (struct include){.next = next}, real) || p == r->end || at_text(p, r->end, "//"))
		return;
	r->computed |= real && (!is_break(*p) || (unsigned char)p[-1] >= 0x80);
}

// If w stands in the text of a `#define`, where the macro's name begins; else NULL. `line` as from directive_before.
static const char *macro_around(struct reader *r, const char *line, const char *w)
{
	for (const char *p = line; (p = memmem(p, (size_t)(w - p), "define", 6)); p += 6) {
		const char *before = before_gap(r, p);
		if (is_word(p[6]) || before == r->text)
			continue;
		if (before[-1] == '#' || before[-1] == ':' || before[-1] == '/')
			return skip_gap(r, p + 6);
	}
	return NULL;
}

// `#define HAS(x) __has_include(x)`: is the word at p, up to a ')', in the list behind the macro's name?
static bool is_parameter(struct reader *r, const char *macro, const char *p)
{
	size_t n = (size_t)(word_end(r, p) - p);
	const char *after = skip_gap(r, p + n), *q = word_end(r, macro) + 1;
	if (!n || after == r->end || *after != ')')
		return false;
	while (q < p) {
		const char *name = skip_gap(r, q), *e = word_end(r, name);
		if ((size_t)(e - name) == n && memcmp(name, p, n) == 0)
			return true;
		q = skip_gap(r, e);
		if (q >= p || *q++ != ',')
			return false;
	}
	return false;
}

// `#if HAS(<x.h>)`, where HAS may be such a macro: other names in brackets do no harm.
static void read_wrapped(struct reader *r, const char *p)
{
	const char *limit = r->end - p > 4 * LINE_LIMIT ? p + 4 * LINE_LIMIT : r->end;
	for (; p < limit && !is_break(*p); p++) {
		if (*p != '(')
			continue;
		const char *before = before_gap(r, p), *w = before;
		while (w > r->text && is_word(w[-1]))
			w--;
		if (w < before && !at_text(w, before, "__has"))
			read_name(r, skip_gap(r, p + 1), (struct include){.probe = true, .wrapped = true}, false);
	}
	r->s->unknown_probe |= p == limit && limit != r->end;
}

static void read_probe(struct reader *r, const char *w, const char *p, bool next)
{
	const char *line = directive_before(r, w), *macro = line ? macro_around(r, line, w) : NULL;
	if (macro == w)
		return; // #define __has_include(x) 0
	p = skip_gap(r, p);
	if (p == r->end || *p != '(') {
		r->s->unknown_probe |= macro != NULL; // #define HAS __has_include
		return;
	}
	p = skip_gap(r, p + 1);
	// Within a macro the words of <a/b> may be its parameters.
	bool parameters = macro && macro < w && *word_end(r, macro) == '(';
	if (parameters && !next && word_end(r, macro) > macro && is_parameter(r, macro, p)) {
		add_include(r, macro, (size_t)(word_end(r, macro) - macro),
			    (struct include){.form = INCLUDE_MACRO, .probe = true});
		return;
	}
	bool read = read_name(r, p, (struct include){.next = next, .probe = true}, line != NULL);
	if (line && (!read || (parameters && *p == '<') || w - line > LINE_LIMIT))
		r->s->unknown_probe = true;
}

// A '#' or '%:' that begins at `hash` and ends before p. Returns where to go on.
static const char *at_hash(struct reader *r, const char *hash, const char *p)
{
	if (p < r->end && (*p == '#' || at_text(p, r->end, "%:"))) {
		r->pastes = true;
		return p + (*p == '#' ? 1 : 2);
	}
	const char *w = skip_gap(r, p), *e = word_end(r, w);
	size_t n = (size_t)(e - w);
	r->s->imports |= is(w, n, "import");
	if (is(w, n, "include") || is(w, n, "import") || is(w, n, "__include_macros"))
		read_include(r, hash, e, false);
	else if (is(w, n, "include_next"))
		read_include(r, hash, e, true);
	else if (is(w, n, "embed"))
		r->s->embed = true;
	else if ((is(w, n, "if") || is(w, n, "elif")) && begins_line(r, hash))
		read_wrapped(r, e);
	else if (n && !r->pastes && !begins_line(r, hash))
		r->pastes = true;
	return p;
}

// ---- words ------------------------------------------------------------------------------------------------------------

// Can this word be an argument of a macro?
static bool is_argument(struct reader *r, const char *w, size_t n)
{
	const char *before = before_gap(r, w), *after = skip_gap(r, w + n);
	return before > r->text && (before[-1] == '(' || before[-1] == ',') && after < r->end &&
	       (*after == ')' || *after == ',');
}

static void at_date(struct reader *r, const char *w, size_t n)
{
	static const char *const names[] = {"__DATE__", "__TIME__", "__TIMESTAMP__"};
	bool *flags[] = {&r->s->date, &r->s->time, &r->s->timestamp};
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		size_t len = strlen(names[i]);
		bool head = n >= 3 && n <= len && memcmp(w, names[i], n) == 0;
		bool tail = n >= strlen("DATE__") && n < len && memcmp(w, names[i] + len - n, n) == 0;
		// #define HALF __TI; but "the __TIME*_T macros", says glibc
		bool piece = head && n > 3 && (w + n == r->end || w[n] != '*');
		// C(C(__, TIME), __)
		bool core = n == len - 4 && r->pastes && memcmp(w, names[i] + 2, n) == 0;
		if (piece || ((head || tail) && (is_pasted(r, w, n) || (n > 3 && is_argument(r, w, n)))) ||
		    (core && is_argument(r, w, n)))
			*flags[i] = true;
	}
}

static void at_has(struct reader *r, const char *w, size_t n)
{
	static const char include[] = "__has_include";
	if (is(w, n, include) || is(w, n, "__has_include__"))
		read_probe(r, w, w + n, false);
	else if (is(w, n, "__has_include_next") || is(w, n, "__has_include_next__"))
		read_probe(r, w, w + n, true);
	else if (is(w, n, "__has_embed"))
		r->s->embed = true;
	else if (n > strlen("__has_") && n < strlen(include) && memcmp(w, include, n) == 0 && is_pasted(r, w, n))
		r->s->unknown_probe = true;
}

// `import` and `module` where a C++20 or Objective-C compiler takes them for more than names.
static void at_module_word(struct reader *r, const char *w, size_t n)
{
	const char *before = before_gap(r, w), *p = skip_gap(r, w + n);
	bool at_sign = before > r->text && before[-1] == '@';
	if (!at_sign && !begins_line(r, w) && !follows_word(r, w, "export"))
		return;
	if (p == r->end)
		return;
	if (*p == ':' || (*p == ';' && *w == 'm') || (*w == 'i' && read_name(r, p, (struct include){0}, true))) {
		r->s->modules = true;
	} else if (is_word(*p)) {
		size_t left = (size_t)(r->end - p), limit = left < LINE_LIMIT ? left : LINE_LIMIT;
		const char *eol = memchr(p, '\n', limit);
		if (memchr(p, ';', eol ? (size_t)(eol - p) : limit))
			r->s->modules = true;
	}
}

static void at_dependency(struct reader *r, const char *w, size_t n)
{
	const char *p = skip_gap(r, w + n);
	bool name = p < r->end && (*p == '"' || *p == '<' || at_text(p, r->end, "\\\""));
	if ((name && directive_before(r, w)) || follows_word(r, w, "GCC"))
		r->s->pragma_dependency = true;
}

// `#pragma clang module import x` and its kin
static bool is_module_pragma(struct reader *r, const char *w, size_t n)
{
	static const char *const verbs[] = {"import", "build", "begin", "end", "endbuild", "load"};
	const char *p = skip_gap(r, w + n);
	size_t len = (size_t)(word_end(r, p) - p);
	for (size_t i = 0; i < COUNT_OF(verbs); i++)
		if (is(p, len, verbs[i]))
			return follows_word(r, w, "clang");
	return false;
}

static void at_word(struct reader *r, const char *w, size_t n)
{
	struct scan *s = r->s;
	switch (*w) {
	case '_':
		if (is(w, n, "__asm__") || is(w, n, "__asm") || is(w, n, "_asm"))
			s->has_asm = true;
		else if (is(w, n, "_Pragma"))
			s->once |= at_text(skip_gap(r, w + n), r->end, "(\"once\"");
		else if (n >= 5 && memcmp(w, "__has", 5) == 0)
			at_has(r, w, n);
		else if (n >= 3 && (w[1] == 'D' || w[1] == 'T' || w[2] == 'D' || w[2] == 'T'))
			at_date(r, w, n);
		break;
	case 'D':
	case 'T':
		at_date(r, w, n);
		break;
	case 'a':
		if (is(w, n, "asm"))
			s->has_asm = true;
		break;
	case 'd':
		if (is(w, n, "dependency"))
			at_dependency(r, w, n);
		break;
	case 'i':
		if (is(w, n, "import"))
			at_module_word(r, w, n);
		else if (is(w, n, "include_alias"))
			s->odd_pragma = true;
		else if (is(w, n, "include") && is_argument(r, w, n) && directive_before(r, w))
			s->unknown_probe = true; // #if HAS(include)(...)
		break;
	case 'm':
		if (is(w, n, "module")) {
			at_module_word(r, w, n);
			s->odd_pragma |= is_module_pragma(r, w, n);
		}
		break;
	case 'p':
		if (is(w, n, "pch_preprocess"))
			s->odd_pragma = true;
		else if (is(w, n, "pragma"))
			s->once |= at_text(skip_gap(r, w + n), r->end, "once");
		break;
	default:
		break;
	}
}

// ---- the pass ---------------------------------------------------------------------------------------------------------

enum {
	WORD = 1,
	HOT = 2, // words that at_word knows begin so
	HASH = 4,
};

static const unsigned char kinds[256] = {
	['0' ... '9'] = WORD, ['A' ... 'C'] = WORD, ['E' ... 'S'] = WORD, ['U' ... 'Z'] = WORD, ['b' ... 'c'] = WORD,
	['e' ... 'h'] = WORD, ['j' ... 'l'] = WORD, ['n' ... 'o'] = WORD, ['q' ... 'z'] = WORD, ['_'] = WORD | HOT,
	['D'] = WORD | HOT,   ['T'] = WORD | HOT,   ['a'] = WORD | HOT,   ['d'] = WORD | HOT,   ['i'] = WORD | HOT,
	['m'] = WORD | HOT,   ['p'] = WORD | HOT,   ['#'] = HASH,         ['%'] = HASH,
};

static void read_text(struct reader *r, const char *text, size_t len)
{
	const char *p = text, *end = text + len;
	r->text = text;
	r->end = end;
	r->asked = NULL;
	r->pastes = false;
	while (p < end) {
		unsigned kind = kinds[(unsigned char)*p];
		if (kind & WORD) {
			const char *w = p++;
			while (p < end && kinds[(unsigned char)*p] & WORD)
				p++;
			if (kind & HOT)
				at_word(r, w, (size_t)(p - w));
		} else if (kind == 0) {
			p++;
		} else if (*p == '#') {
			p = at_hash(r, p, p + 1);
		} else {
			p = at_text(p, end, "%:") ? at_hash(r, p, p + 2) : p + 1;
		}
	}
	scan_asm(r->s, text, len, r->pastes);
}

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
		s->computed = s->unknown_probe = true;
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

static void read_joined(struct reader *r, const char *text, size_t len)
{
	AUTO_FREE char *joined = scan_join_lines(r->s, text, &len);
	read_text(r, joined ? joined : text, len);
}

// What only the pass that knows comments can tell: which includes name macros, and that a macro of the time stands in
// comments alone.
static void use_code(struct scan *s, const struct code_facts *code)
{
	struct scan bare = {0};
	struct reader r = {.s = s, .seen = MAP_INIT};
	s->computed |= code->computed;
	for (unsigned i = 0; i < code->n_macros; i++)
		add_include(&r, code->macros[i].name, code->macros[i].n, (struct include){.form = INCLUDE_MACRO});
	map_release(&r.seen);
	if (!s->date && !s->time && !s->timestamp)
		return;
	struct reader again = {.s = &bare, .seen = MAP_INIT};
	read_joined(&again, code->bare, code->bare_len);
	map_release(&again.seen);
	s->date = bare.date;
	s->time = bare.time;
	s->timestamp = bare.timestamp;
	scan_release(&bare);
}

void scan_text(struct scan *s, const char *text, size_t len)
{
	*s = (struct scan){0};
	struct reader r = {.s = s, .seen = MAP_INIT};
	if (len == 0)
		text = "";
	read_joined(&r, text, len);
	size_t n = len;
	AUTO_FREE char *without = scan_replace_trigraphs(text, &n);
	if (without)
		read_joined(&r, without, n);
	map_release(&r.seen);
	struct code_facts code;
	scan_code(&code, text, len);
	s->code = code.digest;
	if (code.complete)
		use_code(s, &code);
	else
		s->computed |= r.computed;
	free(code.bare);
}

void scan_release(struct scan *s)
{
	for (unsigned i = 0; i < s->n_includes; i++)
		free((char *)s->includes[i].name);
	free(s->includes);
	*s = (struct scan){0};
}
