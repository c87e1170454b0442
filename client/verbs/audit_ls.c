#include "client/verbs/audit_ls.h"
#include "client/verbs/verbs.h"

#include "auth/token.h"
#include "settings/nearest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FILTERS = 16, MOST_LAST = 1000000 };

// COLUMN=VALUE, COLUMN=BEGINNING*, or isolation<NAME.
struct filter {
	enum audit_column column;
	const char *value;
	size_t n; // of it; without a final '*'
	bool is_prefix;
	int below; // an isolation; -1: it is one of the others
};
struct selection {
	struct filter filters[MOST_FILTERS];
	unsigned n;
	const char *since, *until;
};

static int no_filter(const char *text, const char *name)
{
	const char *names[AUDIT_COLUMNS];
	for (enum audit_column i = 0; i < AUDIT_COLUMNS; i++)
		names[i] = audit_column_name(i);
	const char *near = audit_column_by_name(name) == AUDIT_COLUMNS ? nearest_word(name, names, AUDIT_COLUMNS) : NULL;
	return verb_wrong("audit", "'%s' is neither COLUMN=VALUE nor isolation<NAME%s%s%s", text,
			  near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static int add_filter(struct selection *s, struct arena *a, const char *text)
{
	size_t n_name = strcspn(text, "=<");
	const char *name = arena_strndup(a, text, n_name), *value = text + n_name + (text[n_name] != '\0');
	struct filter f = {.column = audit_column_by_name(name), .value = value, .n = strlen(value), .below = -1};
	if (text[n_name] == '<')
		f.below = isolation_of_name(value);
	if (!text[n_name] || f.column == AUDIT_COLUMNS || s->n == MOST_FILTERS ||
	    (text[n_name] == '<' && (f.column != AUDIT_isolation || f.below < 0)))
		return no_filter(text, name);
	f.is_prefix = f.n && value[f.n - 1] == '*';
	f.n -= f.is_prefix;
	s->filters[s->n++] = f;
	return 0;
}

static int read_selection(struct selection *s, struct arena *a, const struct audit_ls *asked)
{
	char *list = asked->where ? arena_strdup(a, asked->where) : NULL, *save = NULL;
	*s = (struct selection){.since = asked->since, .until = asked->until};
	for (char *one = list ? strtok_r(list, ",", &save) : NULL; one; one = strtok_r(NULL, ",", &save)) {
		int rc = add_filter(s, a, one);
		if (rc)
			return rc;
	}
	return 0;
}

// "sha256:…,depfile=sha256:…": is one of the outputs the one that is asked for?
static bool has_output(const char *list, const char *digest, size_t n)
{
	for (const char *part = list; *part; part += strcspn(part, ","), part += *part == ',') {
		size_t length = strcspn(part, ","), kind = strcspn(part, "=");
		kind = kind < length ? kind + 1 : 0;
		if (length - kind == n && strncmp(part + kind, digest, n) == 0)
			return true;
	}
	return false;
}

static bool passes(const struct filter *f, const struct audit_row *row)
{
	const char *value = row->value[f->column] ? row->value[f->column] : "-";
	if (f->below >= 0)
		return isolation_of_name(value) < f->below;
	if (f->column == AUDIT_output_digest && !f->is_prefix && has_output(value, f->value, f->n))
		return true;
	return strncmp(value, f->value, f->n) == 0 && (f->is_prefix || !value[f->n]);
}

static bool is_selected(const struct selection *s, const struct audit_row *row)
{
	const char *time = row->value[AUDIT_time] ? row->value[AUDIT_time] : "";
	if ((s->since && strcmp(time, s->since) < 0) || (s->until && strcmp(time, s->until) >= 0))
		return false;
	unsigned i = 0;
	while (i < s->n && passes(&s->filters[i], row))
		i++;
	return i == s->n;
}

// ---- rows to look at ------------------------------------------------------------------------------------------------

// Those that the index names for a digest or job, or else all from a time on.
struct candidates {
	struct audit_source *source;
	struct audit_reader reader;
	struct audit_rows named;
	size_t at; // of `named`
	bool is_named;
};

static const char *name_in(const struct selection *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		const struct filter *f = &s->filters[i];
		bool is_digest =
			f->column == AUDIT_key || f->column == AUDIT_source_digest || f->column == AUDIT_output_digest;
		if (!f->is_prefix && f->below < 0 && ((is_digest && audit_is_digest(f->value)) || f->column == AUDIT_job))
			return f->value;
	}
	return NULL;
}

static int candidates_open(struct candidates *c, struct audit_source *source, const struct selection *s, struct err *err)
{
	const char *name = name_in(s);
	uint64_t from = 0;
	*c = (struct candidates){.source = source, .is_named = name != NULL};
	audit_reader_init(&c->reader, source->dirfd);
	if (!name && !s->since)
		return 0;
	if (audit_source_index(source, err) < 0)
		return -1;
	if (name)
		return audit_index_find(source->index, name, &c->named, err);
	return audit_index_since(source->index, s->since, &from, err) < 0
		       ? -1
		       : audit_index_seek(source->index, &c->reader, from, err);
}

// As audit_reader_next().
static int candidates_next(struct candidates *c, const char **line, size_t *n, struct err *err)
{
	if (!c->is_named)
		return audit_reader_next(&c->reader, line, n, err);
	if (c->at == c->named.n)
		return 0;
	if (audit_index_seek(c->source->index, &c->reader, c->named.rows[c->at++], err) < 0)
		return -1;
	return audit_reader_next(&c->reader, line, n, err);
}

static void candidates_close(struct candidates *c)
{
	audit_reader_release(&c->reader);
	free(c->named.rows);
}

// ---- printing -------------------------------------------------------------------------------------------------------

// As in the rows themselves, so that nothing in a value does anything to a terminal or a spreadsheet.
static void put_csv(struct buf *out, const struct audit_row *row)
{
	for (enum audit_column c = 0; c < AUDIT_COLUMNS; c++) {
		const char *value = row->value[c] ? row->value[c] : "";
		buf_adds(out, c ? ",\"" : "\"");
		if (*value && strchr("=+-@", *value))
			buf_addc(out, '\'');
		for (const char *p = value; *p; p++)
			if ((unsigned char)*p < 0x20 || *p == 0x7f)
				buf_addf(out, "\\x%02x", (unsigned char)*p);
			else
				buf_addf(out, *p == '"' ? "\"%c" : "%c", *p);
		buf_addc(out, '"');
	}
	buf_addc(out, '\n');
}

enum format { FORMAT_TSV, FORMAT_JSON, FORMAT_CSV, FORMATS };

static enum format format_of(const char *name)
{
	static const char *const names[] = {"tsv", "json", "csv"};
	enum format f = 0;
	while (name && f < FORMATS && strcmp(name, names[f]) != 0)
		f++;
	return f;
}

static void put_row(struct buf *out, enum format format, uint64_t index, const struct audit_row *row)
{
	if (format == FORMAT_JSON) {
		audit_row_json(out, index, row);
		buf_addc(out, '\n');
	} else if (format == FORMAT_CSV)
		put_csv(out, row);
	else {
		audit_row_write(row, out);
		buf_addc(out, '\n');
	}
}

static void put_head(enum format format)
{
	for (enum audit_column c = 0; c < AUDIT_COLUMNS && format != FORMAT_JSON; c++)
		printf("%s%s",
		       !c                     ? (format == FORMAT_TSV ? "#" : "")
		       : format == FORMAT_CSV ? ","
					      : "\t",
		       audit_column_name(c));
	if (format != FORMAT_JSON)
		putchar('\n');
}

// The last so many lines; 0: all, as they come.
struct tail {
	char **lines;
	size_t most, n;
};

static void tail_add(struct tail *t, const struct buf *line)
{
	if (!t->most) {
		fwrite(line->data, 1, line->len, stdout);
		return;
	}
	free(t->lines[t->n % t->most]);
	t->lines[t->n++ % t->most] = mem_strndup(line->data, line->len);
}

static void tail_end(struct tail *t)
{
	for (size_t i = t->n > t->most ? t->n - t->most : 0; t->most && i < t->n; i++)
		fputs(t->lines[i % t->most], stdout);
	for (size_t i = 0; i < t->most; i++)
		free(t->lines[i]);
	free(t->lines);
}

static int print_rows(struct candidates *c, const struct selection *s, enum format format, struct tail *tail,
		      struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf out = BUF_INIT;
	const char *line;
	size_t n;
	int rc;
	while ((rc = candidates_next(c, &line, &n, err)) == 1) {
		struct audit_row row;
		arena_release(&a);
		if (audit_row_read(line, n, &a, &row, err) < 0)
			return err_wrap(err, "row %" PRIu64, c->reader.index - 1);
		if (!is_selected(s, &row))
			continue;
		buf_clear(&out);
		put_row(&out, format, c->reader.index - 1, &row);
		tail_add(tail, &out);
	}
	return rc;
}

int audit_ls(struct audit_source *source, const struct audit_ls *asked, struct arena *a)
{
	struct err err = ERR_INIT;
	struct selection s;
	struct candidates c;
	struct tail tail = {.most = asked->last ? strtoull(asked->last, NULL, 10) : 0};
	enum format format = format_of(asked->format);
	int rc = read_selection(&s, a, asked);
	if (rc)
		return rc;
	if (format == FORMATS || tail.most > MOST_LAST || (asked->last && !tail.most))
		return verb_wrong("audit", "--format is tsv, json or csv, --last from 1 to %d", MOST_LAST);
	tail.lines = mem_alloc((tail.most + 1) * sizeof *tail.lines);
	rc = candidates_open(&c, source, &s, &err);
	if (rc == 0) {
		put_head(format);
		rc = print_rows(&c, &s, format, &tail, &err);
	}
	tail_end(&tail);
	candidates_close(&c);
	return rc < 0 ? verb_fail(&err) : 0;
}
