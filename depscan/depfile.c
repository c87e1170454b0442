#include "depscan/depfile.h"

#include <string.h>

// Line lengths of libcpp's mkdeps and of clang's DependencyFileGenerator.
enum { GCC_COLUMNS = 72, CLANG_COLUMNS = 75 };

// ---- parse ------------------------------------------------------------------------------------------------------------

struct cursor {
	const char *p, *end;
};

struct token {
	const char *p;
	size_t len;
};

struct names {
	const char **list;
	unsigned n, cap;
};

static int add_name(struct names *v, struct arena *a, const char *name, struct err *err)
{
	if (v->n == DEPFILE_MAX_DEPS)
		return err_set(err, ERR_LIMIT, "a depfile has more than %u names", DEPFILE_MAX_DEPS);
	if (v->n == v->cap) {
		unsigned cap = v->cap ? v->cap * 2 : 64;
		const char **list = arena_alloc(a, cap * sizeof *list);
		if (v->n)
			memcpy(list, v->list, v->n * sizeof *list);
		v->list = list;
		v->cap = cap;
	}
	v->list[v->n++] = name;
	return 0;
}

static size_t backslashes_before(const char *from, const char *p)
{
	size_t n = 0;
	while (p - n > from && p[-1 - (ptrdiff_t)n] == '\\')
		n++;
	return n;
}

// The next name up to an unescaped space or the end: 1, or 0 at the end, or -1 where a line goes on within a name.
static int next_token(struct cursor *c, struct token *t)
{
	for (; c->p < c->end; c->p++) {
		if (c->end - c->p >= 2 && c->p[0] == '\\' && c->p[1] == '\n')
			c->p++;
		else if (*c->p != ' ')
			break;
	}
	const char *from = c->p;
	for (; c->p < c->end; c->p++) {
		if (*c->p == '\n')
			return -1;
		if (*c->p == ' ' && backslashes_before(from, c->p) % 2 == 0)
			break;
	}
	*t = (struct token){from, (size_t)(c->p - from)};
	return t->len > 0;
}

// Undoes what both compilers do: "$$" is '$', "\#" is '#'; 2N+1 backslashes and a blank are N backslashes and the blank;
// backslashes elsewhere stand for themselves.
static char *unescape(struct arena *a, const struct token *t)
{
	char *name = arena_alloc(a, t->len + 1), *to = name;
	size_t slashes = 0;
	for (size_t i = 0; i < t->len; i++) {
		char ch = t->p[i];
		if (ch == '\\') {
			*to++ = ch;
			slashes++;
			continue;
		}
		if (ch == '#' && slashes)
			to--;
		else if ((ch == ' ' || ch == '\t') && slashes % 2 == 1)
			to -= slashes / 2 + 1;
		else if (ch == '$' && i + 1 < t->len && t->p[i + 1] == '$')
			i++;
		*to++ = ch;
		slashes = 0;
	}
	*to = '\0';
	return name;
}

// Where the first rule ends: at the first line break that no backslash precedes.
static const char *rule_end(const char *p, const char *end)
{
	const char *from = p;
	for (; (p = memchr(p, '\n', (size_t)(end - p))); p++)
		if (p == from || p[-1] != '\\')
			return p;
	return NULL;
}

// The first colon with a blank or the end of the rule behind it.
static const char *find_colon(const char *p, const char *end)
{
	for (; (p = memchr(p, ':', (size_t)(end - p))); p++)
		if (p + 1 == end || p[1] == ' ')
			return p;
	return NULL;
}

static int parse_rule(struct depfile *d, struct arena *a, const char *text, const char *end, struct err *err)
{
	const char *colon = find_colon(text, end);
	if (!colon)
		return err_set(err, ERR_FORMAT, "a depfile has no rule");
	struct names targets = {NULL, 0, 0}, deps = {NULL, 0, 0};
	struct cursor c = {text, colon};
	struct token t;
	int r;
	while ((r = next_token(&c, &t)) > 0)
		if (add_name(&targets, a, arena_strndup(a, t.p, t.len), err) < 0)
			return -1;
	if (r < 0 || targets.n == 0)
		return err_set(err, ERR_FORMAT, "a depfile's targets can't be read");
	c = (struct cursor){colon + 1, end};
	while ((r = next_token(&c, &t)) > 0)
		if (add_name(&deps, a, unescape(a, &t), err) < 0)
			return -1;
	if (r < 0)
		return err_set(err, ERR_FORMAT, "a depfile has a line break within a name");
	d->targets = targets.list;
	d->n_targets = targets.n;
	d->deps = deps.list;
	d->n_deps = deps.n;
	return 0;
}

// Empty rules must name the dependencies in their order, with at most one left out.
static int parse_phony(struct depfile *d, struct arena *a, const char *p, const char *end, struct err *err)
{
	d->phony = true;
	d->phony_spaced = *p == '\n';
	d->main_dep = d->n_deps;
	unsigned i = 0;
	while (p < end) {
		if (d->phony_spaced && *p++ != '\n')
			return err_set(err, ERR_FORMAT, "a depfile's empty rules are not apart");
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		if (!eol || eol - p < 2 || eol[-1] != ':')
			return err_set(err, ERR_FORMAT, "a depfile has something other than empty rules behind its rule");
		struct token t = {p, (size_t)(eol - 1 - p)};
		const char *name = unescape(a, &t);
		if (d->main_dep == d->n_deps && i < d->n_deps && strcmp(d->deps[i], name) != 0)
			d->main_dep = i++;
		if (i == d->n_deps || strcmp(d->deps[i], name) != 0)
			return err_set(err, ERR_FORMAT, "a depfile has an empty rule for something else");
		i++;
		p = eol + 1;
	}
	if (d->main_dep == d->n_deps && i + 1 == d->n_deps)
		d->main_dep = i++;
	return i == d->n_deps ? 0 : err_set(err, ERR_FORMAT, "a depfile lacks an empty rule");
}

int depfile_parse(struct depfile *d, struct arena *a, const char *text, size_t len, struct err *err)
{
	*d = (struct depfile){0};
	if (len > DEPFILE_MAX)
		return err_set(err, ERR_LIMIT, "a depfile has more than %zu bytes", DEPFILE_MAX);
	if (len == 0 || memchr(text, '\0', len))
		return err_set(err, ERR_FORMAT, "a depfile is empty or has a NUL byte");
	const char *end = text + len, *eol = rule_end(text, end);
	if (!eol)
		return err_set(err, ERR_FORMAT, "a depfile's rule does not end");
	if (parse_rule(d, a, text, eol, err) < 0)
		return -1;
	return eol + 1 < end ? parse_phony(d, a, eol + 1, end, err) : 0;
}

// ---- write ------------------------------------------------------------------------------------------------------------

// `tabs`: gcc escapes a tab, clang does not.
static void add_escaped(struct buf *out, const char *name, bool tabs)
{
	size_t slashes = 0;
	for (const char *p = name; *p; p++) {
		if (*p == '$')
			buf_addc(out, '$');
		else if (*p == '#')
			buf_addc(out, '\\');
		else if (*p == ' ' || (*p == '\t' && tabs))
			for (size_t i = 0; i <= slashes; i++)
				buf_addc(out, '\\');
		slashes = *p == '\\' ? slashes + 1 : 0;
		buf_addc(out, *p);
	}
}

// gcc counts escaped bytes and starts a new line with one space.
static void gcc_separate(struct buf *out, size_t *column, size_t size)
{
	if (*column == 0)
		return;
	if (*column + size > GCC_COLUMNS) {
		buf_adds(out, " \\\n");
		*column = 0;
	}
	buf_addc(out, ' ');
	++*column;
}

static void gcc_write(const struct depfile *d, struct buf *out)
{
	AUTO_BUF struct buf name = BUF_INIT;
	size_t column = 0;
	for (unsigned i = 0; i < d->n_targets; i++) {
		size_t size = strlen(d->targets[i]);
		gcc_separate(out, &column, size);
		buf_add(out, d->targets[i], size);
		column += size;
	}
	buf_addc(out, ':');
	column++;
	for (unsigned i = 0; i < d->n_deps; i++) {
		buf_clear(&name);
		add_escaped(&name, d->deps[i], true);
		gcc_separate(out, &column, name.len);
		buf_add(out, name.data, name.len);
		column += name.len;
	}
}

// clang counts the bytes before escaping and starts a new line with two spaces.
static void clang_write(const struct depfile *d, struct buf *out)
{
	size_t column = 0;
	for (unsigned i = 0; i < d->n_targets; i++) {
		size_t size = strlen(d->targets[i]);
		if (column == 0) {
			column = size;
		} else if (column + size + 2 > CLANG_COLUMNS) {
			column = size + 2;
			buf_adds(out, " \\\n  ");
		} else {
			column += size + 1;
			buf_addc(out, ' ');
		}
		buf_add(out, d->targets[i], size);
	}
	buf_addc(out, ':');
	column++;
	for (unsigned i = 0; i < d->n_deps; i++) {
		size_t size = strlen(d->deps[i]);
		if (column + size + 3 > CLANG_COLUMNS) {
			buf_adds(out, " \\\n ");
			column = 2;
		}
		buf_addc(out, ' ');
		add_escaped(out, d->deps[i], false);
		column += size + 1;
	}
}

void depfile_write(const struct depfile *d, enum compiler_family family, struct buf *out)
{
	if (family == FAMILY_GCC)
		gcc_write(d, out);
	else
		clang_write(d, out);
	buf_addc(out, '\n');
	for (unsigned i = 0; d->phony && i < d->n_deps; i++) {
		if (i == d->main_dep)
			continue;
		if (d->phony_spaced)
			buf_addc(out, '\n');
		add_escaped(out, d->deps[i], family == FAMILY_GCC);
		buf_adds(out, ":\n");
	}
}
