#include "reapi/resource.h"

#include <stdlib.h>
#include <string.h>

enum { SEGMENTS = 64 };

struct segments {
	const char *at[SEGMENTS];
	size_t n[SEGMENTS];
	size_t count, next;
};

static bool split(const char *name, struct segments *s)
{
	for (const char *p = name; p; p = strchr(p, '/')) {
		p += p != name;
		if (s->count == SEGMENTS)
			return false;
		s->at[s->count] = p;
		s->n[s->count++] = strcspn(p, "/");
	}
	return true;
}

static bool is_word(const struct segments *s, size_t i, const char *word)
{
	return i < s->count && s->n[i] == strlen(word) && memcmp(s->at[i], word, s->n[i]) == 0;
}

static bool take_word(struct segments *s, const char *word)
{
	bool is_there = is_word(s, s->next, word);
	s->next += is_there;
	return is_there;
}

// Up to the first word that can't be part of an instance's name.
static bool take_instance(struct segments *s, struct reapi_resource *r)
{
	static const char *const words[] = {"blobs",      "uploads",      "actions",         "actionResults",
					    "operations", "capabilities", "compressed-blobs"};
	for (; s->next < s->count; s->next++)
		for (size_t i = 0; i < sizeof words / sizeof *words; i++)
			if (is_word(s, s->next, words[i]))
				goto found;
	return false;
found:
	if (s->next == 0)
		return true;
	size_t n = (size_t)(s->at[s->next] - s->at[0]) - 1;
	if (n > REAPI_INSTANCE_MAX)
		return false;
	memcpy(r->instance, s->at[0], n);
	return true;
}

static bool take_uuid(struct segments *s, struct reapi_resource *r)
{
	if (!take_word(s, "uploads") || s->next == s->count)
		return false;
	size_t n = s->n[s->next];
	if (n == 0 || n > REAPI_UUID_MAX)
		return false;
	memcpy(r->uuid, s->at[s->next++], n);
	return true;
}

static bool take_size(struct segments *s, int64_t *size)
{
	char digits[20] = "";
	if (s->next == s->count)
		return false;
	size_t n = s->n[s->next];
	if (n == 0 || n > 18 || (n > 1 && *s->at[s->next] == '0'))
		return false;
	memcpy(digits, s->at[s->next++], n);
	*size = strtoll(digits, NULL, 10);
	return strspn(digits, "0123456789") == n;
}

static bool take_digest(struct segments *s, struct reapi_digest *d)
{
	char hash[SHA256_HEX] = "";
	take_word(s, "sha256");
	if (s->next == s->count || s->n[s->next] != SHA256_HEX - 1)
		return false;
	memcpy(hash, s->at[s->next++], SHA256_HEX - 1);
	return sha256_parse(hash, &d->hash) && take_size(s, &d->size);
}

static bool parse(const char *name, bool is_upload, struct reapi_resource *r)
{
	struct segments s = {.count = 0};
	if (strlen(name) > REAPI_RESOURCE_MAX || !split(name, &s) || !take_instance(&s, r) ||
	    (is_upload && !take_uuid(&s, r)))
		return false;
	if (take_word(&s, "compressed-blobs")) {
		r->is_zstd = true;
		if (!take_word(&s, "zstd"))
			return false;
	} else if (!take_word(&s, "blobs")) {
		return false;
	}
	return take_digest(&s, &r->digest) && (is_upload || s.next == s.count);
}

int reapi_resource_parse(const char *name, bool is_upload, struct reapi_resource *r, struct err *err)
{
	memset(r, 0, sizeof *r);
	if (parse(name, is_upload, r))
		return 0;
	return err_set(err, ERR_FORMAT, "'%.200s' names no blob: %s", name,
		       is_upload ? "[INSTANCE/]uploads/UUID/blobs/SHA256/SIZE is what is written"
				 : "[INSTANCE/]blobs/SHA256/SIZE is what is read");
}
