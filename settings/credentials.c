#include "settings/credentials.h"

#include "base/file.h"
#include "base/mem.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MAX = 64 << 10 };

static char **field(struct credentials *c, const char *name, size_t n)
{
	const struct {
		const char *name;
		char **value;
	} fields[] = {{"token", &c->token},
		      {"user", &c->user},
		      {"password", &c->password},
		      {"access_key", &c->access_key},
		      {"secret_key", &c->secret_key},
		      {"session_token", &c->session_token},
		      {"certificate", &c->certificate},
		      {"key", &c->key}};
	for (size_t i = 0; i < COUNT_OF(fields); i++)
		if (strlen(fields[i].name) == n && strncmp(fields[i].name, name, n) == 0)
			return fields[i].value;
	// As often as there are headers: each has a place of its own.
	for (size_t i = 0; i < CREDENTIALS_HEADERS && n == 6 && strncmp(name, "header", 6) == 0; i++)
		if (!c->headers[i])
			return &c->headers[i];
	return NULL;
}

static size_t trim(const char **text, size_t n)
{
	while (n && isspace((unsigned char)**text)) {
		(*text)++;
		n--;
	}
	while (n && isspace((unsigned char)(*text)[n - 1]))
		n--;
	return n;
}

static void forget(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

// Messages never quote a line: it may be the secret itself.
static int parse_line(struct credentials *c, const char *line, size_t n, const char *path, unsigned number, struct err *err)
{
	n = trim(&line, n);
	if (!n || line[0] == '#')
		return 0;
	const char *equals = memchr(line, '=', n);
	if (!equals)
		return err_set(err, ERR_FORMAT, "%s:%u: this is not a line 'name = value'", path, number);
	const char *name = line, *value = equals + 1;
	char **to = field(c, name, trim(&name, (size_t)(equals - line)));
	size_t n_value = trim(&value, (size_t)(line + n - value));
	if (!to)
		return err_set(err, ERR_FORMAT,
			       "%s:%u: an unknown name; there are token, user, password, access_key, secret_key, "
			       "session_token, certificate, "
			       "key and, at most eight times, header",
			       path, number);
	for (size_t i = 0; i < n_value; i++)
		if (iscntrl((unsigned char)value[i]))
			return err_set(err, ERR_FORMAT, "%s:%u: a control character in the value", path, number);
	forget(*to);
	*to = mem_strndup(value, n_value);
	return 0;
}

int credentials_parse(const char *path, const char *text, struct credentials *c, struct err *err)
{
	unsigned number = 0;
	for (const char *line = text; *line;) {
		size_t n = strcspn(line, "\n");
		if (parse_line(c, line, n, path, ++number, err) < 0) {
			credentials_release(c);
			return -1;
		}
		line += n + (line[n] == '\n');
	}
	return 0;
}

int credentials_read(const char *path, struct credentials *c, struct err *err)
{
	*c = (struct credentials){0};
	if (!path || !*path)
		return 0;
	struct buf text = {.max = FILE_MAX + 1};
	int rc = file_read_secret(path, FILE_MAX, &text, err);
	if (rc < 0)
		rc = err_wrap(err, "the credentials");
	if (rc == 0)
		rc = credentials_parse(path, text.data ? text.data : "", c, err);
	if (text.data)
		explicit_bzero(text.data, text.cap);
	buf_release(&text);
	return rc;
}

void credentials_release(struct credentials *c)
{
	char *secrets[] = {c->token,      c->user,          c->password,    c->access_key,
			   c->secret_key, c->session_token, c->certificate, c->key};
	for (size_t i = 0; i < COUNT_OF(secrets); i++)
		forget(secrets[i]);
	for (size_t i = 0; i < CREDENTIALS_HEADERS; i++)
		forget(c->headers[i]);
	*c = (struct credentials){0};
}
