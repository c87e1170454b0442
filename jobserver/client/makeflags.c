#include "jobserver/client/makeflags.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

// The command line of one tool, as getopt sees it.
struct grammar {
	const char *required;         // letters whose value is the rest of the word or the next word
	const char *optional;         // letters that take the rest of the word, if there is one, as value
	char optional_number;         // the one of them that also takes a next word that is a number
	char ends;                    // after this letter and its value nothing is an option any more
	bool jobs_may_lack;           // -j alone is legal
	bool zero_is_wrong;           // the tool refuses -j0
	const char *long_jobs[2];     // names of the long option, without the dashes
	const char *long_required[8]; // long options that take the next word; prefixes of them are legal too
};

static const struct grammar make_grammar = {
	.required = "CEfIoW",
	.optional = "lO",
	.optional_number = 'l',
	.jobs_may_lack = true,
	.zero_is_wrong = true,
	.long_jobs = {"jobs"},
	.long_required = {"directory", "file", "makefile", "include-dir", "old-file", "assume-old", "new-file", "what-if"},
};
static const struct grammar ninja_grammar = {.required = "dfklwC", .optional = "", .ends = 't'};
static const struct grammar cmake_grammar = {
	.required = "", .optional = "", .jobs_may_lack = true, .long_jobs = {"parallel"}};

static bool is_number(const char *s)
{
	return *s && s[strspn(s, "0123456789")] == '\0';
}

static int number_of(const char *s)
{
	long n = strtol(s, NULL, 10);
	return n < 0 ? JOBS_UNLIMITED : n > JOBS_MAX ? JOBS_MAX : (int)n;
}

// A number that the tool will not take: it says so itself.
static bool is_wrong(const char *s, const struct grammar *g)
{
	return g->zero_is_wrong && number_of(s) == 0;
}

enum word_kind {
	WORD_KEEP,       // not ours
	WORD_KEEP_VALUE, // not ours, and the next word is its value
	WORD_CUT,        // held a -j that is cut out; may be empty now
	WORD_CUT_VALUE,  // the same, and the next word is its number
	WORD_LAST,       // no options follow
};

// Cuts "j..." at p from a cluster of letters.
static enum word_kind cut_jobs(char *p, const char *next, const struct grammar *g, int *jobs)
{
	enum word_kind kind = WORD_CUT;
	if (p[1]) {
		if (!is_number(p + 1) || is_wrong(p + 1, g))
			return WORD_KEEP; // the tool says what is wrong with it
		*jobs = number_of(p + 1);
	} else if (next && is_number(next)) {
		if (is_wrong(next, g))
			return WORD_KEEP_VALUE;
		*jobs = number_of(next);
		kind = WORD_CUT_VALUE;
	} else if (g->jobs_may_lack) {
		*jobs = JOBS_UNLIMITED;
	} else {
		return WORD_KEEP;
	}
	*p = '\0';
	return kind;
}

static enum word_kind look_at_letters(char *word, const char *next, const struct grammar *g, int *jobs)
{
	for (char *p = word + 1; isalpha((unsigned char)*p); p++) {
		if (*p == 'j')
			return cut_jobs(p, next, g, jobs);
		if (*p == g->ends)
			return WORD_LAST;
		if (strchr(g->required, *p))
			return p[1] ? WORD_KEEP : WORD_KEEP_VALUE;
		if (strchr(g->optional, *p)) {
			bool number = next && (isdigit((unsigned char)*next) || *next == '.');
			return !p[1] && *p == g->optional_number && number ? WORD_KEEP_VALUE : WORD_KEEP;
		}
		if (g == &cmake_grammar)
			return WORD_KEEP; // it has no clusters
	}
	return WORD_KEEP;
}

static enum word_kind look_at_long(char *word, const char *next, const struct grammar *g, int *jobs)
{
	char *name = word + 2, *eq = strchr(name, '=');
	size_t len = eq ? (size_t)(eq - name) : strlen(name);
	for (size_t i = 0; i < COUNT_OF(g->long_jobs) && g->long_jobs[i]; i++) {
		if (strlen(g->long_jobs[i]) != len || memcmp(g->long_jobs[i], name, len) != 0)
			continue;
		if (eq && (!is_number(eq + 1) || is_wrong(eq + 1, g)))
			return WORD_KEEP;
		bool value = !eq && next && is_number(next);
		if (value && is_wrong(next, g))
			return WORD_KEEP_VALUE;
		*jobs = eq ? number_of(eq + 1) : value ? number_of(next) : JOBS_UNLIMITED;
		*word = '\0';
		return value ? WORD_CUT_VALUE : WORD_CUT;
	}
	for (size_t i = 0; i < COUNT_OF(g->long_required) && g->long_required[i] && !eq; i++)
		if (len && strncmp(g->long_required[i], name, len) == 0)
			return WORD_KEEP_VALUE;
	return WORD_KEEP;
}

// Works on v[0..n); returns the number of words that are left.
static size_t strip(char **v, size_t n, const struct grammar *g, int *jobs)
{
	size_t kept = 0, i = 0;
	for (enum word_kind kind = WORD_KEEP; i < n && kind != WORD_LAST && strcmp(v[i], "--") != 0; i++) {
		const char *next = i + 1 < n ? v[i + 1] : NULL;
		kind = WORD_KEEP;
		if (v[i][0] == '-' && v[i][1] == '-')
			kind = look_at_long(v[i], next, g, jobs);
		else if (v[i][0] == '-' && v[i][1])
			kind = look_at_letters(v[i], next, g, jobs);
		bool empty = kind != WORD_KEEP && (!v[i][0] || strcmp(v[i], "-") == 0);
		if (!empty)
			v[kept++] = v[i];
		if (kind == WORD_KEEP_VALUE && next)
			v[kept++] = v[++i];
		if (kind == WORD_CUT_VALUE)
			i++;
	}
	while (i < n)
		v[kept++] = v[i++];
	return kept;
}

static const struct grammar *grammar_of(enum jobs_grammar g)
{
	return g == JOBS_OF_MAKE ? &make_grammar : g == JOBS_OF_NINJA ? &ninja_grammar : &cmake_grammar;
}

void jobs_strip(char **argv, enum jobs_grammar g, enum jobs_grammar native, int *jobs)
{
	size_t n = 0, dashes;
	while (argv[n])
		n++;
	if (!n)
		return;
	for (dashes = 1; g == JOBS_OF_CMAKE && dashes < n && strcmp(argv[dashes], "--") != 0; dashes++)
		;
	if (g == JOBS_OF_CMAKE && dashes < n)
		n = dashes + 1 + strip(argv + dashes + 1, n - dashes - 1, grammar_of(native), jobs);
	n = 1 + strip(argv + 1, n - 1, grammar_of(g), jobs);
	argv[n] = NULL;
}

bool ninja_is_no_build(char *const *argv)
{
	for (size_t i = 1; argv[i] && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "--version") == 0)
			return true;
		if (argv[i][0] != '-' || argv[i][1] == '-')
			continue;
		const char *p = argv[i] + 1;
		while (*p && *p != 'j' && !strchr(ninja_grammar.required, *p)) {
			if (strchr("tnh", *p))
				return true;
			p++;
		}
		if (*p && !p[1] && argv[i + 1])
			i++; // its value
	}
	return false;
}

// ---- MAKEFLAGS ----

// The next word from *at on; false at the end.
static bool next_word(const char **at, const char **word, size_t *len)
{
	const char *p = *at + strspn(*at, " \t\n");
	*word = p;
	while (*p && !strchr(" \t\n", *p))
		p += *p == '\\' && p[1] ? 2 : 1;
	*at = p;
	*len = (size_t)(p - *word);
	return *len > 0;
}

static bool starts(const char *word, size_t len, const char *prefix)
{
	size_t n = strlen(prefix);
	return len >= n && memcmp(word, prefix, n) == 0;
}

static bool is_jobserver_word(const char *word, size_t len)
{
	return starts(word, len, "--jobserver-auth=") || starts(word, len, "--jobserver-fds=") ||
	       starts(word, len, "--jobserver-style=");
}

// A descriptor number of at most 6 digits, perhaps negative; moves *p behind it.
static bool read_fd(const char **p, const char *end, int *fd)
{
	bool minus = *p < end && **p == '-';
	const char *digits = *p + minus;
	int n = 0;
	for (*p = digits; *p < end && *p - digits < 6 && isdigit((unsigned char)**p); (*p)++)
		n = n * 10 + (**p - '0');
	*fd = minus ? -n : n;
	return *p > digits;
}

static struct auth auth_of(const char *text, size_t len)
{
	struct auth a = {.kind = AUTH_NONE, .r = -1, .w = -1, .text = text, .text_len = len};
	const char *p = text, *end = text + len;
	if (starts(text, len, "fifo:") && len > strlen("fifo:")) {
		a.kind = AUTH_FIFO;
		a.path = text + strlen("fifo:");
		a.path_len = len - strlen("fifo:");
	} else if (read_fd(&p, end, &a.r) && p < end && *p++ == ',' && read_fd(&p, end, &a.w) && p == end) {
		a.kind = a.r < 0 || a.w < 0 ? AUTH_CLOSED : AUTH_FDS;
	}
	return a;
}

struct auth makeflags_auth(const char *makeflags)
{
	struct auth a = {.kind = AUTH_NONE, .r = -1, .w = -1};
	const char *word;
	size_t len;
	while (makeflags && next_word(&makeflags, &word, &len) && !(len == 2 && memcmp(word, "--", 2) == 0)) {
		bool auth = starts(word, len, "--jobserver-auth="), fds = starts(word, len, "--jobserver-fds=");
		if (!auth && !fds)
			continue;
		size_t skip = strlen(auth ? "--jobserver-auth=" : "--jobserver-fds=");
		a = auth_of(word + skip, len - skip);
	}
	return a;
}

// The words before "--"; *rest is what follows them. The first word gets its dash.
static char **split(struct arena *a, const char *text, size_t *n, const char **rest)
{
	size_t most = strlen(text) / 2 + 2;
	char **v = arena_alloc(a, (most + 1) * sizeof *v);
	const char *word;
	size_t len;
	*n = 0;
	for (*rest = text; next_word(&text, &word, &len); *rest = text) {
		if (len == 2 && memcmp(word, "--", 2) == 0)
			break;
		bool letters = *n == 0 && word[0] != '-' && !memchr(word, '=', len);
		if (!is_jobserver_word(word, len))
			v[(*n)++] = arena_printf(a, "%s%.*s", letters ? "-" : "", (int)len, word);
	}
	*rest += strspn(*rest, " \t\n");
	return v;
}

int makeflags_jobs(const char *makeflags)
{
	struct arena a AUTO_ARENA = ARENA_INIT;
	int jobs = JOBS_UNSET;
	size_t n;
	const char *rest;
	char **v = split(&a, makeflags ? makeflags : "", &n, &rest);
	strip(v, n, &make_grammar, &jobs);
	return jobs;
}

// "-ks": options without values only.
static bool is_letters(const char *word)
{
	const char *p = word + 1;
	while (isalpha((unsigned char)*p) && !strchr("CEfIoWlOj", *p))
		p++;
	return word[0] == '-' && p > word + 1 && !*p;
}

void makeflags_write(struct buf *out, const char *old, unsigned jobs, const char *words)
{
	struct arena a AUTO_ARENA = ARENA_INIT;
	int was = JOBS_UNSET;
	size_t n;
	const char *rest;
	char **v = split(&a, old ? old : "", &n, &rest);
	n = strip(v, n, &make_grammar, &was);
	// Clients look for 'n' in the first word: letters stand there alone, and without letters it is empty.
	bool letters = n && is_letters(v[0]);
	if (letters)
		buf_adds(out, v[0] + 1);
	// Before the others, of which the last may be an option that lacks its value.
	if (words)
		buf_addf(out, " -j%u %s", jobs, words);
	for (size_t i = letters; i < n; i++)
		buf_addf(out, " %s", v[i]);
	if (*rest)
		buf_addf(out, " %s", rest);
}
