#include "base/map.h"
#include "base/mem.h"
#include "depscan/scan_parts.h"

// How far back or ahead on one line a question is followed before the answer is the careful one.
enum { LINE_LIMIT = 1024 };

struct reader {
	struct scan *s;
	const struct scan_view *v;
	uint32_t *facts;           // where they are noted: s->facts, or s->quoted within a string literal
	struct map *seen;          // includes by flags and name
	const char *text, *end;    // of the view
	const char *asked, *close; // the first "*/" behind `asked` is at `close` (or `end`)
	const char *asm_end;       // behind the last asm statement
	const char *dunder;        // the last `__` that something may be put behind
	const char *pragma;        // the quote of the literal that an operator _Pragma takes
	bool pastes;               // ## or a stringizing # was seen
};

static void note(struct reader *r, uint32_t facts)
{
	*r->facts |= facts;
}

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

static void add_include(struct reader *r, const char *name, size_t n, struct include what)
{
	scan_add_include(r->s, r->seen, name, n, what);
}

// A name that can't be read for certain
static void note_unclear(struct reader *r, bool probe)
{
	note(r, probe ? FACT_unknown_probe : FACT_computed);
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
			note_unclear(r, what.probe);
		return true;
	}
	if (p == r->end || *p != close)
		return false;
	// clang takes \" for a quote within the name, gcc for the end of it.
	if (n && p[-1] == '\\' && real)
		note_unclear(r, what.probe);
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
	if (!r->v->understood && real && (!is_break(*p) || (unsigned char)p[-1] >= 0x80))
		note(r, FACT_computed);
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
	if (p == limit && limit != r->end)
		note(r, FACT_unknown_probe);
}

static void read_probe(struct reader *r, const char *w, const char *p, bool next)
{
	const char *line = directive_before(r, w), *macro = line ? macro_around(r, line, w) : NULL;
	if (macro == w)
		return; // #define __has_include(x) 0
	p = skip_gap(r, p);
	if (p == r->end || *p != '(') {
		if (macro)
			note(r, FACT_unknown_probe); // #define HAS __has_include
		return;
	}
	p = skip_gap(r, p + 1);
	// Within a macro the words of <a/b> may be its parameters.
	bool parameters = macro && macro < w && *word_end(r, macro) == '(';
	if (parameters && word_end(r, macro) > macro && is_parameter(r, macro, p)) {
		add_include(r, macro, (size_t)(word_end(r, macro) - macro),
			    (struct include){.form = INCLUDE_MACRO, .next = next, .probe = true});
		return;
	}
	bool read = read_name(r, p, (struct include){.next = next, .probe = true}, line != NULL);
	if (line && (!read || (parameters && *p == '<') || w - line > LINE_LIMIT))
		note(r, FACT_unknown_probe);
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
	if (is(w, n, "import"))
		note(r, FACT_imports);
	if (is(w, n, "include") || is(w, n, "import") || is(w, n, "__include_macros"))
		read_include(r, hash, e, false);
	else if (is(w, n, "include_next"))
		read_include(r, hash, e, true);
	else if (is(w, n, "embed"))
		note(r, FACT_embed);
	else if ((is(w, n, "if") || is(w, n, "elif")) && begins_line(r, hash))
		read_wrapped(r, e);
	else if (n && !r->pastes && !begins_line(r, hash))
		r->pastes = true;
	return p;
}

// ---- words ------------------------------------------------------------------------------------------------------------

// The arguments of a macro may stand on several lines.
static const char *skip_lines(struct reader *r, const char *p)
{
	for (p = skip_gap(r, p); p < r->end && is_break(*p);)
		p = skip_gap(r, p + 1);
	return p;
}

static const char *before_lines(const struct reader *r, const char *p)
{
	for (p = before_gap(r, p); p > r->text && is_break(p[-1]);)
		p = before_gap(r, p - 1);
	return p;
}

// Can this word be an argument of a macro?
static bool is_argument(struct reader *r, const char *w, size_t n)
{
	const char *before = before_gap(r, w), *after = skip_gap(r, w + n);
	return before > r->text && (before[-1] == '(' || before[-1] == ',') && after < r->end &&
	       (*after == ')' || *after == ',');
}

// `__DATE__` and its like, whole or in two parts that may be pasted. In three parts it needs text that puts something
// before a word and behind it (`__##x##__`), which may stand in another file.
static void at_date(struct reader *r, const char *w, size_t n)
{
	static const struct {
		const char *name;
		uint32_t fact, core;
	} dates[] = {{"__DATE__", FACT_date, FACT_date_core},
		     {"__TIME__", FACT_time, FACT_date_core},
		     {"__TIMESTAMP__", FACT_timestamp, FACT_stamp_core}};
	for (size_t i = 0; i < COUNT_OF(dates); i++) {
		const char *name = dates[i].name;
		size_t len = strlen(name);
		bool head = n >= 3 && n <= len && memcmp(w, name, n) == 0;
		bool tail = n >= strlen("DATE__") && n < len && memcmp(w, name + len - n, n) == 0;
		bool piece = (head && n > 3) || tail; // #define HALF __TI
		if (piece || (head && is_pasted(r, w, n)))
			note(r, dates[i].fact);
		if (n == len - 4 && memcmp(w, name + 2, n) == 0)
			note(r, dates[i].core);
	}
}

// Two underscores before something and, soon after, behind it: `__##x##__`, `C(C(__, x), __)`.
static void at_underscores(struct reader *r, const char *w, size_t n)
{
	const char *before = before_lines(r, w), *after = skip_lines(r, w + n);
	bool pasted = at_text(after, r->end, "##") || at_text(after, r->end, "%:%:");
	bool goes_before = pasted || (after < r->end && *after == ',');
	bool goes_behind = before > r->text && (before[-1] == ',' || before[-1] == '#' || before[-1] == ':');
	if (goes_behind && !pasted && r->dunder && w - r->dunder <= LINE_LIMIT)
		note(r, FACT_dunder);
	if (goes_before)
		r->dunder = w;
}

static void at_has(struct reader *r, const char *w, size_t n)
{
	static const char include[] = "__has_include";
	if (r->facts != &r->s->facts)
		return; // a string literal asks for nothing
	if (is(w, n, include) || is(w, n, "__has_include__"))
		read_probe(r, w, w + n, false);
	else if (is(w, n, "__has_include_next") || is(w, n, "__has_include_next__"))
		read_probe(r, w, w + n, true);
	else if (is(w, n, "__has_embed"))
		note(r, FACT_embed);
	else if (n < strlen(include) && n != strlen("__has_") && memcmp(w, include, n) == 0)
		note(r, FACT_unknown_probe); // for a ## that may be in another file; but <type_traits> has __has_##x
}

// The last part of such a word, whose first part (__h at most) says nothing.
static bool ends_probe(const char *w, size_t n)
{
	static const char *const names[] = {"__has_include", "__has_include_next", "__has_embed"};
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		size_t whole = strlen(names[i]);
		if (n < whole && n + strlen("__h") >= whole && memcmp(w, names[i] + whole - n, n) == 0)
			return true;
	}
	return false;
}

// Can a declaration begin here? Behind the end of another one, or behind a directive.
static bool begins_declaration(const struct reader *r, const char *p)
{
	while (p > r->text && (is_gap(p[-1]) || is_break(p[-1])))
		p--;
	if (p == r->text || strchr(";{}:", p[-1]) || is_doubtful(r->v, p - 1))
		return true;
	while (p > r->text && !is_break(p[-1]))
		p--;
	while (is_gap(*p))
		p++;
	return *p == '#' || *p == '%';
}

// `import` and `module` where a C++20 or Objective-C compiler takes them for more than names.
static void at_module_word(struct reader *r, const char *w, size_t n)
{
	const char *before = before_gap(r, w), *p = skip_gap(r, w + n);
	bool at_sign = before > r->text && before[-1] == '@', exported = follows_word(r, w, "export");
	if (p == r->end || (!at_sign && !exported && !begins_line(r, w)))
		return;
	bool module = *w == 'm';
	if (module && !at_sign && !exported && !begins_declaration(r, w))
		return;
	if (*p == ':') {
		p = skip_gap(r, p + 1);
		if (!module || is(p, (size_t)(word_end(r, p) - p), "private"))
			note(r, FACT_modules);
	} else if ((*p == ';' && module) || (!module && read_name(r, p, (struct include){0}, true))) {
		note(r, FACT_modules);
	} else if (is_word(*p)) {
		size_t left = (size_t)(r->end - p), limit = left < LINE_LIMIT ? left : LINE_LIMIT;
		const char *eol = memchr(p, '\n', limit);
		if (memchr(p, ';', eol ? (size_t)(eol - p) : limit))
			note(r, FACT_modules);
	}
}

static void at_dependency(struct reader *r, const char *w, size_t n)
{
	const char *p = skip_gap(r, w + n);
	bool name = p < r->end && (*p == '"' || *p == '<' || at_text(p, r->end, "\\\""));
	if ((name && directive_before(r, w)) || follows_word(r, w, "GCC"))
		note(r, FACT_pragma_dependency);
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

// `_Pragma("…")`, or of something else, which macros may make of any literal.
static void at_pragma_operator(struct reader *r, const char *p)
{
	p = skip_lines(r, p);
	if (p == r->end || *p != '(') {
		note(r, FACT_open_pragma);
		return;
	}
	p = skip_lines(r, p + 1);
	const char *e = word_end(r, p);
	if (e < r->end && e - p <= 2 && *e == '"')
		r->pragma = e;
	else if (p == r->end || *p != '#')
		note(r, FACT_open_pragma);
}

static bool is_asm(const char *w, size_t n)
{
	return is(w, n, "asm") || is(w, n, "__asm__") || is(w, n, "__asm") || is(w, n, "_asm");
}

// <asm/types.h>, <sys/asm.h>
static bool is_in_name(const struct reader *r, const char *w, const char *p)
{
	return w > r->text && strchr("</\"", w[-1]) && w[-1] && p < r->end && (*p == '/' || *p == '-' || *p == '.');
}

static void at_asm(struct reader *r, const char *w, const char *p)
{
	if (r->facts != &r->s->facts || is_in_name(r, w, p))
		return;
	if (p < r->asm_end)
		note(r, FACT_asm_open); // one within another's brackets
	else
		r->asm_end = scan_asm_statement(r->s, r->v, w, p);
}

// `CAT(as, m)`, `a##sm`, `__as##x`
static void at_asm_part(struct reader *r, const char *w, size_t n)
{
	static const char *const heads[] = {"as", "_as", "__as", "a", "_a", "__a"};
	enum { SURE = 3 }; // of them: the others are names of parameters as well
	size_t i = 0;
	while (i < COUNT_OF(heads) && !is(w, n, heads[i]))
		i++;
	if (i == COUNT_OF(heads))
		return;
	bool part = i < SURE && is_pasted(r, w, n);
	const char *tail = skip_lines(r, w + n);
	if (tail < r->end && (*tail == ',' || *tail == '#' || *tail == '%')) {
		while (tail < r->end && strchr(",#%:", *tail) && *tail)
			tail++;
		tail = skip_lines(r, tail);
		size_t len = (size_t)(word_end(r, tail) - tail);
		char joined[9];
		if (n + len < sizeof joined) {
			memcpy(joined, w, n);
			memcpy(joined + n, tail, len);
			part |= is_asm(joined, n + len);
		}
	}
	if (part)
		note(r, FACT_asm_open);
}

static void at_underscore(struct reader *r, const char *w, size_t n)
{
	if (is_asm(w, n))
		at_asm(r, w, w + n);
	else if (is(w, n, "_Pragma"))
		at_pragma_operator(r, w + n);
	else if (n >= 4 && memcmp(w, "__ha", 4) == 0)
		at_has(r, w, n);
	else if (ends_probe(w, n))
		note(r, FACT_unknown_probe);
	else if (n >= 3 && (w[1] == 'D' || w[1] == 'T' || w[2] == 'D' || w[2] == 'T'))
		at_date(r, w, n);
	else if (n == 2 && w[1] == '_')
		at_underscores(r, w, n);
	else if (n <= 4)
		at_asm_part(r, w, n);
}

static void at_word(struct reader *r, const char *w, size_t n)
{
	switch (*w) {
	case '_':
		at_underscore(r, w, n);
		break;
	case 'D':
	case 'T':
		at_date(r, w, n);
		break;
	case 'a':
		if (is_asm(w, n))
			at_asm(r, w, w + n);
		else if (ends_probe(w, n))
			note(r, FACT_unknown_probe);
		else if (n <= 2)
			at_asm_part(r, w, n);
		break;
	case 'd':
		if (is(w, n, "dependency"))
			at_dependency(r, w, n);
		break;
	case 'h':
		if (ends_probe(w, n))
			note(r, FACT_unknown_probe);
		break;
	case 'i':
		if (is(w, n, "import"))
			at_module_word(r, w, n);
		else if (is(w, n, "include_alias"))
			note(r, FACT_odd_pragma);
		else if ((is(w, n, "include") || is(w, n, "include_next")) && is_argument(r, w, n) && directive_before(r, w))
			note(r, FACT_unknown_probe); // #if HAS(include)(...)
		break;
	case 'm':
		if (is(w, n, "module")) {
			at_module_word(r, w, n);
			if (is_module_pragma(r, w, n))
				note(r, FACT_odd_pragma);
		}
		break;
	case 'o':
		if (is(w, n, "once") && (r->facts == &r->s->quoted || follows_word(r, w, "pragma")))
			note(r, FACT_once);
		break;
	case 'p':
		if (is(w, n, "pch_preprocess"))
			note(r, FACT_odd_pragma);
		break;
	default:
		break;
	}
}

// ---- the pass ---------------------------------------------------------------------------------------------------------

enum {
	WORD = 1,
	HOT = 2, // words that at_word knows begin so
	MARK = 4,
};

static const unsigned char kinds[256] = {
	['0' ... '9'] = WORD, ['A' ... 'C'] = WORD, ['E' ... 'S'] = WORD, ['U' ... 'Z'] = WORD, ['b' ... 'c'] = WORD,
	['e' ... 'g'] = WORD, ['j' ... 'l'] = WORD, ['h'] = WORD | HOT,   ['n'] = WORD,         ['q' ... 'z'] = WORD,
	['_'] = WORD | HOT,   ['D'] = WORD | HOT,   ['T'] = WORD | HOT,   ['a'] = WORD | HOT,   ['d'] = WORD | HOT,
	['i'] = WORD | HOT,   ['m'] = WORD | HOT,   ['o'] = WORD | HOT,   ['p'] = WORD | HOT,   ['#'] = MARK,
	['%'] = MARK,         ['"'] = MARK,         ['\''] = MARK,
};

static const char *read_word(struct reader *r, const char *w)
{
	const char *p = w + 1;
	while (p < r->end && kinds[(unsigned char)*p] & WORD)
		p++;
	if (kinds[(unsigned char)*w] & HOT)
		at_word(r, w, (size_t)(p - w));
	return p;
}

const char *scan_literal_end(const char *p, const char *end)
{
	char quote = *p++;
	while (p < end && *p != quote && *p != '\n')
		p += *p == '\\' && p + 1 < end ? 2 : 1;
	return p < end && *p == quote ? p + 1 : p;
}

// What a literal says counts where _Pragma takes it; else only if something may hand it to one.
static const char *read_string(struct reader *r, const char *quote)
{
	const char *end = scan_literal_end(quote, r->end);
	r->facts = quote == r->pragma ? &r->s->facts : &r->s->quoted;
	if (quote == r->pragma && end - quote >= 5 && memcmp(quote + 1, "once", 4) == 0)
		note(r, FACT_once);
	for (const char *p = quote + 1; p < end;)
		p = kinds[(unsigned char)*p] & WORD ? read_word(r, p) : p + 1;
	r->facts = &r->s->facts;
	return end;
}

static const char *at_mark(struct reader *r, const char *p)
{
	switch (*p) {
	case '#':
		return at_hash(r, p, p + 1);
	case '%':
		return at_text(p, r->end, "%:") ? at_hash(r, p, p + 2) : p + 1;
	default:
		if (is_doubtful(r->v, p))
			return p + 1;
		return *p == '"' ? read_string(r, p) : scan_literal_end(p, r->end);
	}
}

bool scan_view(struct scan *s, const struct scan_view *v, struct map *seen)
{
	struct reader r = {
		.s = s, .v = v, .seen = seen, .facts = &s->facts, .text = v->text, .end = v->end, .asm_end = v->text};
	for (const char *p = v->text; p < v->end;) {
		unsigned kind = kinds[(unsigned char)*p];
		if (kind & WORD)
			p = read_word(&r, p);
		else
			p = kind == 0 ? p + 1 : at_mark(&r, p);
	}
	return r.pastes;
}
