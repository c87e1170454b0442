#include "audit/row.h"

#include "base/json.h"
#include "codec/sha/sha256.h"

#include <stdbool.h>
#include <string.h>

static const struct {
	const char *name, *text;
} columns[] = {
#define COLUMN(name, text) {#name, text},
#include "audit/columns.def"
#undef COLUMN
};

const char *audit_column_name(enum audit_column c)
{
	return columns[c].name;
}

const char *audit_column_text(enum audit_column c)
{
	return columns[c].text;
}

enum audit_column audit_column_by_name(const char *name)
{
	enum audit_column c = 0;
	while (c < AUDIT_COLUMNS && strcmp(columns[c].name, name) != 0)
		c++;
	return c;
}

static size_t bound_of(enum audit_column c)
{
	return c == AUDIT_flags ? AUDIT_FLAGS_MAX : c == AUDIT_reason ? AUDIT_REASON_MAX : AUDIT_VALUE_MAX;
}

// ---- writing --------------------------------------------------------------------------------------------------------

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '\\';
}

size_t audit_value_length(const char *value)
{
	size_t n = 0;
	for (const char *p = value; *p; p++)
		n += is_plain((unsigned char)*p) ? 1 : 4;
	return n;
}

static void put_value(struct buf *line, const char *value, size_t most)
{
	static const char cut[] = "\\xe2\\x80\\xa6";
	size_t from = line->len;
	if (!value || !*value) {
		buf_addc(line, '-');
		return;
	}
	if (strcmp(value, "-") == 0) {
		buf_adds(line, "\\x2d");
		return;
	}
	bool fits = audit_value_length(value) <= most;
	for (const char *p = value; *p && (fits || line->len - from + 4 + strlen(cut) <= most); p++)
		if (is_plain((unsigned char)*p))
			buf_addc(line, *p);
		else
			buf_addf(line, "\\x%02x", (unsigned char)*p);
	if (!fits)
		buf_adds(line, cut);
}

// The bounds of all columns together are less than AUDIT_ROW_MAX, so that no value can push out another.
void audit_row_write(const struct audit_row *row, struct buf *line)
{
	_Static_assert(AUDIT_FLAGS_MAX + AUDIT_REASON_MAX + (AUDIT_COLUMNS - 2) * (AUDIT_VALUE_MAX + 1) + 2 < AUDIT_ROW_MAX,
		       "a row has room for all its columns");
	for (enum audit_column c = 0; c < AUDIT_COLUMNS; c++) {
		if (c)
			buf_addc(line, '\t');
		put_value(line, row->value[c], bound_of(c));
	}
}

// ---- reading --------------------------------------------------------------------------------------------------------

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// False: it is not as put_value() writes it.
static bool get_value(const char *p, size_t n, struct arena *a, const char **value)
{
	*value = NULL;
	if (n == 1 && *p == '-')
		return true;
	char *out = arena_alloc(a, n + 1);
	size_t k = 0;
	for (size_t i = 0; i < n; k++) {
		if (p[i] != '\\') {
			if (!is_plain((unsigned char)p[i]))
				return false;
			out[k] = p[i++];
			continue;
		}
		if (i + 4 > n || p[i + 1] != 'x' || hex_digit(p[i + 2]) < 0 || hex_digit(p[i + 3]) < 0)
			return false;
		out[k] = (char)(hex_digit(p[i + 2]) << 4 | hex_digit(p[i + 3]));
		if (!out[k] || (is_plain((unsigned char)out[k]) && !(n == 4 && out[k] == '-')))
			return false;
		i += 4;
	}
	out[k] = '\0';
	*value = out;
	return k > 0;
}

int audit_row_read(const char *line, size_t n, struct arena *a, struct audit_row *row, struct err *err)
{
	const char *end = line + n, *p = line;
	*row = (struct audit_row){0};
	if (n > AUDIT_ROW_MAX)
		return err_set(err, ERR_FORMAT, "a row is longer than %d bytes", AUDIT_ROW_MAX);
	for (unsigned c = 0;; c++) {
		const char *tab = memchr(p, '\t', (size_t)(end - p)), *stop = tab ? tab : end;
		if (c == AUDIT_COLUMNS || (size_t)(stop - p) > bound_of((enum audit_column)c) ||
		    !get_value(p, (size_t)(stop - p), a, &row->value[c]))
			return err_set(err, ERR_FORMAT, "a row that is not one");
		if (!tab)
			return c >= AUDIT_outcome ? 0 : err_set(err, ERR_FORMAT, "a row has too few columns");
		p = tab + 1;
	}
}

// ---- JSON -----------------------------------------------------------------------------------------------------------

void audit_row_json(struct buf *out, uint64_t index, const struct audit_row *row)
{
	buf_addc(out, '{');
	json_add_number(out, "row", (int64_t)index);
	for (enum audit_column c = 0; c < AUDIT_COLUMNS; c++)
		json_add_field(out, audit_column_name(c), row->value[c]);
	buf_addc(out, '}');
}

// ---- flags ----------------------------------------------------------------------------------------------------------

// In one of the flags a blank or a backslash is "\s" or "\\": the value is escaped once more as a whole.
const char *audit_digest(struct arena *a, const uint8_t digest[32])
{
	char hex[SHA256_HEX];
	struct sha256 sha256;
	memcpy(sha256.b, digest, sizeof sha256.b);
	sha256_hex(&sha256, hex);
	return arena_printf(a, "sha256:%s", hex);
}

bool audit_digest_read(const char *value, struct sha256 *digest)
{
	return value && strncmp(value, "sha256:", 7) == 0 && sha256_parse(value + 7, digest);
}

bool audit_row_is(const struct audit_row *row, enum audit_column c, const char *value)
{
	return row->value[c] && strcmp(row->value[c], value) == 0;
}

const char *audit_flags_join(struct arena *a, const char *const *flags, size_t n)
{
	AUTO_BUF struct buf b = BUF_INIT;
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_addc(&b, ' ');
		for (const char *p = flags[i]; *p; p++)
			if (*p == ' ')
				buf_adds(&b, "\\s");
			else if (*p == '\\')
				buf_adds(&b, "\\\\");
			else
				buf_addc(&b, *p);
	}
	return b.len ? arena_strndup(a, b.data, b.len) : NULL;
}

const char **audit_flags_split(struct arena *a, const char *joined, size_t *n)
{
	size_t room = 2;
	for (const char *p = joined ? joined : ""; *p; p++)
		room += *p == ' ';
	const char **list = arena_alloc(a, room * sizeof *list);
	*n = 0;
	while (joined && *joined) {
		size_t length = strcspn(joined, " "), k = 0;
		char *out = arena_alloc(a, length + 1);
		for (size_t i = 0; i < length; i++) {
			bool is_escape = joined[i] == '\\' && i + 1 < length;
			out[k++] = !is_escape ? joined[i] : joined[++i] == 's' ? ' ' : joined[i];
		}
		out[k] = '\0';
		list[(*n)++] = out;
		joined += length + (joined[length] == ' ');
	}
	list[*n] = NULL;
	return list;
}
