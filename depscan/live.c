#include "depscan/live.h"

#include "base/map.h"
#include "base/mem.h"
#include "depscan/live_lines.h"
#include "depscan/scan_parts.h"

#include <stdlib.h>

enum { NAME_MAX_BYTES = 128, MARKER_MAX = 4096 };

enum event_kind { EVENT_LINE, EVENT_DEFINE, EVENT_UNDEF };

struct event {
	enum event_kind kind;
	const char *text; // the line; of a macro: from its name on
	uint32_t n;
	uint32_t n_name; // of a macro
	uint32_t place;  // index of its marker
	uint32_t line;
	uint32_t before; // of a macro: index plus one of the event before it
};

struct live_place { // what a line marker says
	const char *name, *file;
	bool of_system;
	uint32_t depth; // of includes: __INCLUDE_LEVEL__ may be asked for
};

struct live {
	const char *p, *end; // of the plain text
	struct event *events;
	size_t n_events, cap_events;
	struct live_place *places;
	size_t n_places;
	struct arena arena;
	struct map words;  // that live lines and macros that count consist of
	struct map macros; // name -> struct macro
	struct macro *waiting;
	uint32_t depth; // of includes, at the last marker
	bool pastes;
	bool in_comment; // one of several lines, that counts
	uint32_t line;
	const struct live_names *names;
};

// A macro: all definitions of one name.
struct macro {
	bool counts;
	uint32_t last; // index plus one of its last event
	struct macro *next;
};

static bool is_name(char c)
{
	return is_word(c) || c == '$' || (unsigned char)c >= 0x80;
}

// ---- reading ----------------------------------------------------------------------------------------------------------

static void add_event(struct live *l, struct event e)
{
	if (l->n_events == l->cap_events) {
		l->cap_events = l->cap_events ? 2 * l->cap_events : 4096;
		l->events = mem_realloc(l->events, l->cap_events * sizeof *l->events);
	}
	e.place = (uint32_t)l->n_places - 1;
	e.line = l->line;
	l->events[l->n_events++] = e;
}

// # 12 "name" 1 3 4
static bool take_marker(struct live *l, const char *p, const char *eol)
{
	char name[MARKER_MAX];
	size_t n = 0;
	uint32_t line = 0;
	for (p += 2; p < eol && is_digit(*p); p++)
		line = line * 10 + (uint32_t)(*p - '0');
	if (eol - p < 3 || p[0] != ' ' || p[1] != '"')
		return false;
	for (p += 2; p < eol && *p != '"' && n + 1 < sizeof name; p++) {
		p += *p == '\\' && p + 1 < eol;
		name[n++] = *p;
	}
	if (p == eol || *p != '"')
		return false;
	name[n] = '\0';
	if (memchr(p, '1', (size_t)(eol - p)))
		l->depth++;
	else if (memchr(p, '2', (size_t)(eol - p)) && l->depth)
		l->depth--;
	struct live_place place = {.of_system = memchr(p, '3', (size_t)(eol - p)) != NULL, .depth = l->depth};
	const struct live_place *last = l->n_places ? &l->places[l->n_places - 1] : NULL;
	place.name = arena_strdup(&l->arena, l->names->canonical(l->names->ctx, name));
	place.file = arena_strdup(&l->arena, name);
	l->line = line - 1; // of the next line
	if (last && last->of_system == place.of_system && last->depth == place.depth && strcmp(last->name, place.name) == 0)
		return true;
	if ((l->n_places & (l->n_places - 1)) == 0)
		l->places = mem_realloc(l->places, (l->n_places ? 2 * l->n_places : 1) * sizeof *l->places);
	l->places[l->n_places++] = place;
	return true;
}

// A line of the preprocessor's own: a marker, or a macro's definition or end.
static bool take_directive(struct live *l, const char *p, const char *eol)
{
	static const char define[] = "#define ", undef[] = "#undef ";
	if (eol - p > 4 && p[1] == ' ' && is_digit(p[2]))
		return take_marker(l, p, eol);
	bool defines = at_text(p, eol, define);
	if (!defines && !at_text(p, eol, undef))
		return false;
	const char *name = p + (defines ? sizeof define : sizeof undef) - 1, *e = name;
	while (e < eol && is_name(*e))
		e++;
	if (e == name || !l->n_places)
		return false;
	add_event(l, (struct event){.kind = defines ? EVENT_DEFINE : EVENT_UNDEF,
				    .text = name,
				    .n = (uint32_t)(eol - name),
				    .n_name = (uint32_t)(e - name)});
	return true;
}

// Does a prefix of literals stand before this quote, or no word at all? `raw`: one that ends with R.
static bool has_prefix(const struct live *l, const char *quote, bool *raw)
{
	static const char *const prefixes[] = {"", "L", "u", "U", "u8"};
	const char *w = quote;
	while (w > l->p && is_name(w[-1]))
		w--;
	size_t n = (size_t)(quote - w);
	*raw = n && w[n - 1] == 'R';
	n -= *raw;
	for (size_t i = 0; i < COUNT_OF(prefixes); i++)
		if (n == strlen(prefixes[i]) && memcmp(w, prefixes[i], n) == 0)
			return true;
	*raw = false;
	return false;
}

// Behind a raw string, from its quote.
static const char *raw_string_end(const char *quote, const char *end)
{
	const char *open = memchr(quote, '(', (size_t)(end - quote));
	size_t n = open ? (size_t)(open - quote - 1) : 0;
	for (const char *p = open; p && (p = memchr(p, ')', (size_t)(end - p))); p++)
		if ((size_t)(end - p) > n + 1 && memcmp(p + 1, quote + 1, n) == 0 && p[1 + n] == '"')
			return p + n + 2;
	return end;
}

static bool ends_with_splice(const char *p, const char *eol)
{
	while (eol > p && (is_blank(eol[-1]) || eol[-1] == '\r'))
		eol--;
	return eol > p && eol[-1] == '\\';
}

// Where the logical piece that begins at p ends: behind the line, or behind what goes on over several lines.
static const char *skip_line(struct live *l, const char *p)
{
	bool raw;
	while (p < l->end && *p != '\n') {
		if (l->in_comment) {
			l->in_comment = !at_text(p, l->end, "*/");
			p += l->in_comment ? 1 : 2;
		} else if (at_text(p, l->end, "/*")) {
			l->in_comment = true;
			p += 2;
		} else if (at_text(p, l->end, "//")) {
			const char *eol = memchr(p, '\n', (size_t)(l->end - p));
			p = eol ? eol : l->end;
		} else if (*p == '"') {
			p = has_prefix(l, p, &raw) && raw ? raw_string_end(p, l->end) : scan_literal_end(p, l->end);
		} else if (*p == '\'' && has_prefix(l, p, &raw)) {
			p = scan_literal_end(p, l->end); // else a digit separator
		} else {
			p++;
		}
	}
	return p;
}

static bool is_empty(const char *p, const char *eol)
{
	while (p < eol && (is_blank(*p) || *p == '\r'))
		p++;
	return p == eol;
}

static bool read_events(struct live *l)
{
	bool goes_on = false;
	for (const char *p = l->p; p < l->end;) {
		const char *eol = memchr(p, '\n', (size_t)(l->end - p));
		eol = eol ? eol : l->end;
		if (!l->in_comment && !goes_on && *p == '#' && take_directive(l, p, eol)) {
			p = eol;
		} else {
			const char *to = skip_line(l, p);
			if (!l->n_places)
				return false;
			if (!is_empty(p, to))
				add_event(l, (struct event){.kind = EVENT_LINE, .text = p, .n = (uint32_t)(to - p)});
			for (const char *q = p; (q = memchr(q, '\n', (size_t)(to - q))); q++)
				l->line++;
			goes_on = ends_with_splice(p, to);
			p = to;
		}
		l->line++;
		p += p < l->end;
	}
	return !l->in_comment;
}

// ---- which macros count -----------------------------------------------------------------------------------------------

static void count_macro(struct live *l, struct macro *m)
{
	if (m->counts)
		return;
	m->counts = true;
	m->next = l->waiting;
	l->waiting = m;
}

static void add_word(struct live *l, const char *w, size_t n)
{
	if (map_get(&l->words, w, n))
		return;
	map_put(&l->words, w, n, l);
	struct macro *m = map_get(&l->macros, w, n);
	if (m)
		count_macro(l, m);
}

// Words of a text, literals included: a pragma or a macro may read them. A splice within a word does not end it.
static void add_words(struct live *l, const char *p, const char *end)
{
	char joined[NAME_MAX_BYTES];
	while (p < end) {
		if (!is_name(*p)) {
			l->pastes |= *p == '#' && p + 1 < end && p[1] == '#';
			l->pastes |= *p == '%' && p + 1 < end && p[1] == ':';
			p++;
			continue;
		}
		const char *w = p;
		bool odd = false;
		while (p < end && is_name(*p))
			p++;
		size_t n = (size_t)(p - w), splice = splice_length(p, end, &odd);
		if (!splice || n >= sizeof joined) {
			add_word(l, w, n);
			continue;
		}
		memcpy(joined, w, n);
		for (; splice; splice = splice_length(p, end, &odd)) {
			for (p += splice; p < end && is_name(*p) && n < sizeof joined; p++)
				joined[n++] = *p;
		}
		add_word(l, joined, n);
	}
}

static void note_macros(struct live *l)
{
	for (size_t i = 0; i < l->n_events; i++) {
		struct event *e = &l->events[i];
		if (e->kind == EVENT_LINE)
			continue;
		struct macro *m = map_get(&l->macros, e->text, e->n_name);
		if (!m) {
			m = arena_alloc(&l->arena, sizeof *m);
			map_put(&l->macros, e->text, e->n_name, m);
		}
		e->before = m->last;
		m->last = (uint32_t)i + 1;
		bool odd = e->n_name >= NAME_MAX_BYTES;
		for (uint32_t k = 0; k < e->n_name; k++)
			odd |= (unsigned char)e->text[k] >= 0x80; // it may also be written as \u…
		if (odd)
			count_macro(l, m);
	}
}

// Can the name be put together of words that count, of two at least?
static bool can_be_pasted(const struct live *l, const char *name, size_t n)
{
	bool reached[NAME_MAX_BYTES + 1] = {true};
	for (size_t to = 1; to <= n; to++)
		for (size_t from = to == n ? 1 : 0; from < to && !reached[to]; from++)
			reached[to] = reached[from] && map_get(&l->words, name + from, to - from);
	return reached[n];
}

static void count_pasted(struct live *l)
{
	size_t at = 0, n;
	const char *name;
	void *m;
	while (map_next(&l->macros, &at, &name, &n, &m))
		if (!((struct macro *)m)->counts && can_be_pasted(l, name, n))
			count_macro(l, m);
}

// The bodies of macros that count bring further words, until no more come.
static void follow_macros(struct live *l)
{
	do {
		while (l->waiting) {
			struct macro *m = l->waiting;
			l->waiting = m->next;
			for (uint32_t i = m->last; i; i = l->events[i - 1].before) {
				const struct event *e = &l->events[i - 1];
				add_words(l, e->text + e->n_name, e->text + e->n);
			}
		}
		if (l->pastes)
			count_pasted(l);
	} while (l->waiting);
}

// The line of the file behind a line of the text. False: there should be one, and it can't be read.
static bool line_of(const struct live *l, const struct event *e, const char **text, size_t *n)
{
	const char *file = l->places[e->place].file;
	*n = 0;
	return !l->names->lines || file[0] == '<' || live_lines_get(l->names->lines, file, e->line, text, n);
}

// A text whose tokens know their columns is another one for each spelling.
static bool asks_for_columns(const char *text, size_t len)
{
	return memmem(text, len, "__builtin_COLUMN", 16) || memmem(text, len, "__builtin_source_location", 25);
}

static bool read_words(struct live *l)
{
	for (size_t i = 0; i < l->n_events; i++) {
		const struct event *e = &l->events[i];
		const char *text = "";
		size_t n;
		if (e->kind != EVENT_LINE)
			continue;
		if (!line_of(l, e, &text, &n))
			return false;
		add_words(l, e->text, e->text + e->n);
		add_words(l, text, text + n);
	}
	return true;
}

// ---- the digest -------------------------------------------------------------------------------------------------------

static struct digest digest_events(const struct live *l)
{
	AUTO_HASHER struct hasher h;
	uint32_t place = UINT32_MAX;
	hasher_init(&h);
	hasher_str(&h, "coffer live 2");
	for (size_t i = 0; i < l->n_events; i++) {
		const struct event *e = &l->events[i];
		bool is_line = e->kind == EVENT_LINE;
		const struct macro *m = is_line ? NULL : map_get(&l->macros, e->text, e->n_name);
		if (m && !m->counts)
			continue;
		uint32_t head[5] = {e->kind, is_line ? e->line : 0, e->n, l->places[e->place].of_system,
				    is_line ? l->places[e->place].depth : 0};
		if (is_line && (place == UINT32_MAX || strcmp(l->places[place].name, l->places[e->place].name) != 0)) {
			place = e->place;
			hasher_str(&h, l->places[place].name);
		}
		hasher_raw(&h, head, sizeof head);
		hasher_raw(&h, e->text, e->n);
		const char *text = "";
		size_t n;
		if (is_line && l->names->lines && line_of(l, e, &text, &n))
			hasher_bytes(&h, text, n);
	}
	return hasher_end(&h);
}

static void live_release(struct live *l)
{
	free(l->events);
	free(l->places);
	map_release(&l->words);
	map_release(&l->macros);
	arena_release(&l->arena);
}

bool live_digest(const char *text, size_t len, const struct live_names *names, struct digest *out)
{
	struct code_facts facts;
	size_t n;
	AUTO_FREE char *plain = scan_plain(&facts, text, len, true, &n);
	struct live l = {.p = plain, .end = plain + n, .names = names};
	bool read = facts.complete && read_events(&l);
	scan_code_release(&facts);
	read = read && !(names->lines && asks_for_columns(text, len));
	if (read) {
		note_macros(&l);
		read = read_words(&l);
	}
	if (read) {
		follow_macros(&l);
		*out = digest_events(&l);
	}
	live_release(&l);
	return read;
}

// ---- oddities ---------------------------------------------------------------------------------------------------------

static bool is_odd_byte(unsigned char c)
{
	return c >= 0x80 || (c < ' ' && c != '\t') || c == 0x7f;
}

// Follows comments as if there were no literals: it may take too much for a comment, but never too little.
static bool is_odd_line(const char *p, const char *eol, bool *in_comment)
{
	bool odd = memmem(p, (size_t)(eol - p), "\?\?", 2) || memmem(p, (size_t)(eol - p), "ragma", 5);
	bool has_comment = false;
	while (eol > p && eol[-1] == '\r')
		eol--;
	for (const char *q = p; q < eol; q++) {
		odd |= is_odd_byte((unsigned char)*q);
		if (at_text(q, eol, "/*")) {
			odd |= *in_comment;
			*in_comment = true;
			q++;
		} else if (at_text(q, eol, "*/")) {
			*in_comment = false;
			q++;
		} else {
			has_comment |= at_text(q, eol, "//");
		}
	}
	if (eol > p && ends_with_splice(p, eol))
		odd |= has_comment || eol[-1] != '\\';
	return odd;
}

static bool says(const char *p, size_t n, const char *word)
{
	return memmem(p, n, word, strlen(word)) != NULL;
}

// "poison" is a word of comments, too.
static bool hides_pragmas(const char *text, size_t len)
{
	if (says(text, len, "push_macro") || says(text, len, "pop_macro"))
		return true;
	if (!says(text, len, "poison"))
		return false;
	if (says(text, len, "_Pragma"))
		return true;
	for (const char *p = text, *end = text + len, *eol; p < end; p = eol + 1) {
		eol = memchr(p, '\n', (size_t)(end - p));
		eol = eol ? eol : end;
		size_t n = (size_t)(eol - p);
		if (says(p, n, "pragma") && (says(p, n, "poison") || ends_with_splice(p, eol)))
			return true;
	}
	return false;
}

void live_oddities(const char *text, size_t len, struct live_oddities *out)
{
	AUTO_HASHER struct hasher h;
	bool in_comment = false, any = false;
	*out = (struct live_oddities){0};
	hasher_init(&h);
	for (const char *p = text, *end = text + len, *eol; p < end; p = eol + 1) {
		eol = memchr(p, '\n', (size_t)(end - p));
		bool is_last = !eol;
		eol = eol ? eol : end;
		if (is_odd_line(p, eol, &in_comment) || (is_last && ends_with_splice(p, eol))) {
			any = true;
			hasher_bytes(&h, p, (size_t)(eol - p));
		}
	}
	out->hidden_pragmas = hides_pragmas(text, len);
	if (any)
		out->digest = hasher_end(&h);
}
