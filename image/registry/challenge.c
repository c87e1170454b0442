#include "image/registry/challenge.h"

#include "base/mem.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { NAME = 64 };

// RFC 9110, 5.6.2.
static size_t token_length(const char *p)
{
	return strspn(p, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
}

static const char *skip(const char *p, const char *blanks)
{
	return p + strspn(p, blanks);
}

// A token, a quoted string or the rest of a token68. NULL: it is none of them, or longer than `room`.
static const char *read_value(const char *p, char *to, size_t room)
{
	size_t n = 0;
	if (*p != '"') {
		n = strcspn(p, " \t,\"");
		if (n >= room)
			return NULL;
		memcpy(to, p, n);
		to[n] = '\0';
		return p + n;
	}
	for (p++; *p && *p != '"'; p++) {
		if (*p == '\\' && p[1])
			p++;
		if (n + 1 >= room)
			return NULL;
		to[n++] = *p;
	}
	to[n] = '\0';
	return *p == '"' ? p + 1 : NULL;
}

static enum challenge_kind kind_of(const char *scheme, size_t n)
{
	if (n == 6 && strncasecmp(scheme, "Bearer", n) == 0)
		return CHALLENGE_BEARER;
	return n == 5 && strncasecmp(scheme, "Basic", n) == 0 ? CHALLENGE_BASIC : CHALLENGE_NONE;
}

static void set_parameter(struct challenge *c, const char *name, size_t n, const char *value)
{
	size_t size = strlen(value) + 1;
	if (n == 5 && strncasecmp(name, "realm", n) == 0 && size <= sizeof c->realm)
		memcpy(c->realm, value, size);
	else if (n == 7 && strncasecmp(name, "service", n) == 0 && size <= sizeof c->service)
		memcpy(c->service, value, size);
}

int challenge_parse(const char *header, struct challenge *c, struct err *err)
{
	struct challenge one = {.kind = CHALLENGE_NONE};
	char value[CHALLENGE_REALM];
	*c = one;
	for (const char *p = skip(header, " \t,"); p && *p; p = p ? skip(p, " \t,") : NULL) {
		size_t n = token_length(p);
		const char *behind = skip(p + n, " \t");
		if (n == 0 || n > NAME)
			return err_set(err, ERR_FORMAT, "the registry asks for credentials in a way that does not parse");
		if (*behind == '=') {
			const char *name = p;
			p = read_value(skip(behind + 1, " \t"), value, sizeof value);
			if (p)
				set_parameter(&one, name, n, value);
		} else {
			one = (struct challenge){.kind = kind_of(p, n)};
			p += n;
		}
		if (!p)
			return err_set(err, ERR_FORMAT, "the registry asks for credentials in a way that does not parse");
		if (one.kind != CHALLENGE_NONE && one.kind >= c->kind)
			*c = one;
	}
	return 0;
}

int challenge_parse_token(const char *json, size_t n, char **token, struct err *err)
{
	json_error_t why;
	json_t *o = json_loadb(json ? json : "", n, JSON_REJECT_DUPLICATES, &why);
	const char *text = json_string_value(json_object_get(o, "token"));
	if (!text)
		text = json_string_value(json_object_get(o, "access_token"));
	bool ok = text && text[0] && strlen(text) <= TOKEN_MOST;
	for (const char *p = text; ok && *p; p++)
		ok = *p > ' ' && *p < 0x7f;
	if (ok)
		*token = mem_strdup(text);
	json_decref(o);
	return ok ? 0 : err_set(err, ERR_FORMAT, "the token server's answer has no token");
}
