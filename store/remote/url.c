#include "store/remote/url.h"

#include <string.h>

static int nibble(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

// NULL: a '%' without two hex digits, or a zero byte.
static const char *decoded(struct arena *a, const char *text, size_t n)
{
	char *all = arena_alloc(a, n + 1), *to = all;
	for (size_t i = 0; i < n; i++) {
		if (text[i] != '%') {
			*to++ = text[i];
			continue;
		}
		int high = i + 2 < n ? nibble(text[i + 1]) : -1, low = high < 0 ? -1 : nibble(text[i + 2]);
		if (low < 0 || (high == 0 && low == 0))
			return NULL;
		*to++ = (char)(high << 4 | low);
		i += 2;
	}
	return all;
}

static bool is_known(const char *const *known, const char *name)
{
	while (*known && strcmp(*known, name) != 0)
		known++;
	return *known != NULL;
}

static int parse_options(struct url *u, const char *at, const char *const *known, struct err *err)
{
	while (*at) {
		size_t n = strcspn(at, "&"), name = strcspn(at, "=&");
		const char *value = name < n ? decoded(&u->arena, at + name + 1, n - name - 1) : NULL;
		const char *key = arena_strndup(&u->arena, at, name);
		if (!value || !is_known(known, key) || u->n_options == URL_OPTIONS)
			return err_set(err, ERR_USAGE, "'%.40s' is no option of this kind of store", key);
		u->options[u->n_options].name = key;
		u->options[u->n_options++].value = value;
		at += n + (at[n] == '&');
	}
	return 0;
}

int url_parse(const char *text, const char *const *known, struct url *u, struct err *err)
{
	*u = (struct url){.arena = ARENA_INIT, .authority = "", .path = ""};
	const char *at = strchr(text, ':');
	at = at ? at + 1 : text;
	if (strncmp(at, "//", 2) == 0) {
		size_t n = strcspn(at + 2, "/?#");
		u->authority = arena_strndup(&u->arena, at + 2, n);
		at += 2 + n;
	}
	size_t n = strcspn(at, "?#");
	u->path = decoded(&u->arena, at, n);
	int rc = u->path && at[n] != '#' ? 0 : err_set(err, ERR_USAGE, "the URL of the store does not parse");
	if (rc == 0 && at[n] == '?')
		rc = parse_options(u, at + n + 1, known, err);
	if (rc < 0)
		url_release(u);
	return rc;
}

void url_release(struct url *u)
{
	arena_release(&u->arena);
}

const char *url_option(const struct url *u, const char *name)
{
	for (unsigned i = 0; i < u->n_options; i++)
		if (strcmp(u->options[i].name, name) == 0)
			return u->options[i].value;
	return NULL;
}
