#include "image/registry/reference.h"

#include "base/mem.h"
#include "base/value.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
	const char *begin;
	bool is_plain;
} schemes[] = {{"docker://", false}, {"https://", false}, {"http://", true}};

static const char *after_scheme(const char *text, bool *is_plain)
{
	for (size_t i = 0; i < COUNT_OF(schemes); i++)
		if (strncmp(text, schemes[i].begin, strlen(schemes[i].begin)) == 0) {
			*is_plain = schemes[i].is_plain;
			return text + strlen(schemes[i].begin);
		}
	return NULL;
}

bool reference_is_one(const char *text)
{
	bool is_plain;
	size_t host = strcspn(text, "/");
	if (after_scheme(text, &is_plain))
		return true;
	if (text[0] == '.' || host == 0 || !text[host])
		return false;
	return memchr(text, '.', host) || memchr(text, ':', host) || (host == 9 && strncmp(text, "localhost", 9) == 0);
}

// ---- parts ----------------------------------------------------------------------------------------------------------

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_host(const char *host)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	const char *rest;
	if (host[0] == '[') {
		size_t n = strspn(host + 1, "0123456789abcdefABCDEF:.");
		if (n < 2 || host[n + 1] != ']')
			return false;
		rest = host + n + 2;
	} else {
		size_t n = strspn(host, letters);
		if (n == 0)
			return false;
		while (host[n] && (is_alnum(host[n]) || host[n] == '-' || host[n] == '.'))
			n++;
		rest = host + n;
	}
	if (!*rest)
		return true;
	size_t digits = strspn(rest + 1, "0123456789");
	return *rest == ':' && digits >= 1 && digits <= 5 && !rest[1 + digits] && atoi(rest + 1) <= 65535;
}

// Parts of small letters and digits, with '.', '_' and '-' between them.
static bool is_name(const char *name)
{
	for (const char *part = name;; part++) {
		size_t n = strspn(part, "abcdefghijklmnopqrstuvwxyz0123456789._-");
		if (n == 0 || !is_alnum(part[0]) || !is_alnum(part[n - 1]))
			return false;
		part += n;
		if (*part != '/')
			return !*part;
	}
}

static bool is_tag(const char *tag)
{
	return value_is_name(tag, REFERENCE_TAG - 1, "._-") && tag[0] != '.' && tag[0] != '-';
}

static bool cut(const char *from, size_t n, char *to, size_t room)
{
	if (n >= room)
		return false;
	memcpy(to, from, n);
	to[n] = '\0';
	return true;
}

int reference_parse(const char *text, struct reference *r, struct err *err)
{
	*r = (struct reference){.is_plain = false};
	const char *at = after_scheme(text, &r->is_plain);
	at = at ? at : text;
	size_t host = strcspn(at, "/"), name;
	const char *rest = at + host + (at[host] == '/');
	name = strcspn(rest, ":@");
	const char *tag = rest + name, *digest = strchr(tag, '@');
	size_t n_tag = *tag == ':' ? strcspn(tag + 1, "@") : 0;
	if (!cut(at, host, r->host, sizeof r->host) || !is_host(r->host))
		return err_set(err, ERR_USAGE, "'%.100s' does not begin with a registry's name", text);
	if (!cut(rest, name, r->name, sizeof r->name) || !is_name(r->name))
		return err_set(err, ERR_USAGE, "'%.100s' has no name of an image behind the registry's", text);
	if (*tag == ':' && (!cut(tag + 1, n_tag, r->tag, sizeof r->tag) || !is_tag(r->tag)))
		return err_set(err, ERR_USAGE, "the tag of '%.100s' is none", text);
	if (digest && (!blob_is_digest(digest + 1) || !cut(digest + 1, strlen(digest + 1), r->digest, sizeof r->digest)))
		return err_set(err, ERR_USAGE, "the digest of '%.100s' is none: it is sha256: and 64 digits", text);
	if (!r->tag[0] && !r->digest[0])
		return err_set(err, ERR_USAGE, "'%.100s' does not say which image: add @sha256:… or a tag, as :12", text);
	return 0;
}

void reference_pinned(const struct reference *r, const char *digest, char pinned[REFERENCE_PINNED])
{
	snprintf(pinned, REFERENCE_PINNED, "%s/%s%s%s@%s", r->host, r->name, r->tag[0] ? ":" : "", r->tag, digest);
}

// ---- where URLs lead ------------------------------------------------------------------------------------------------

static bool get_part(CURLU *u, CURLUPart part, char *to, size_t room)
{
	char *text = NULL;
	bool ok = curl_url_get(u, part, &text, 0) == CURLUE_OK && cut(text, strlen(text), to, room);
	curl_free(text);
	return ok;
}

static bool has_part(CURLU *u, CURLUPart part)
{
	char *text = NULL;
	bool has = curl_url_get(u, part, &text, 0) == CURLUE_OK;
	curl_free(text);
	return has;
}

static int read_origin(CURLU *u, struct origin *o)
{
	char scheme[16], port[8] = "", host[REFERENCE_HOST - 8];
	if (!get_part(u, CURLUPART_SCHEME, scheme, sizeof scheme) || !get_part(u, CURLUPART_HOST, host, sizeof host) ||
	    has_part(u, CURLUPART_USER) || has_part(u, CURLUPART_PASSWORD))
		return -1;
	o->is_plain = strcasecmp(scheme, "http") == 0;
	if (!o->is_plain && strcasecmp(scheme, "https") != 0)
		return -1;
	if (has_part(u, CURLUPART_PORT) && !get_part(u, CURLUPART_PORT, port, sizeof port))
		return -1;
	if (strcmp(port, o->is_plain ? "80" : "443") == 0)
		port[0] = '\0';
	snprintf(o->host, sizeof o->host, "%s%s%s", host, port[0] ? ":" : "", port);
	return is_host(o->host) ? 0 : -1;
}

int origin_resolve(const char *base, const char *location, char **url, struct origin *origin, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	char *text = NULL;
	CURLU *u = curl_url();
	*origin = (struct origin){.is_plain = false};
	bool ok = u && curl_url_set(u, CURLUPART_URL, base, 0) == CURLUE_OK &&
		  curl_url_set(u, CURLUPART_URL, location, 0) == CURLUE_OK &&
		  curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0) == CURLUE_OK && read_origin(u, origin) == 0 &&
		  curl_url_get(u, CURLUPART_URL, &text, 0) == CURLUE_OK;
	if (ok)
		*url = mem_strdup(text);
	curl_free(text);
	curl_url_cleanup(u);
	return ok ? 0 : err_set(err, ERR_FORMAT, "'%s' is no URL that is followed", value_shown(&a, location));
}

bool origin_equal(const struct origin *a, const struct origin *b)
{
	return a->is_plain == b->is_plain && strcasecmp(a->host, b->host) == 0;
}

bool origin_is_private(const struct origin *o)
{
	char address[REFERENCE_HOST + 4];
	const char *bracket = strchr(o->host, ']');
	bool has_port = strchr(bracket ? bracket : o->host, ':');
	snprintf(address, sizeof address, "%s%s", o->host, has_port ? "" : ":80");
	return !o->is_plain || value_is_of_this_machine(address);
}
