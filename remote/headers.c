#include "remote/headers.h"

#include "base/mem.h"

#include <string.h>

void headers_addn(struct headers *h, const void *name, size_t name_len, const void *value, size_t value_len)
{
	buf_add(&h->text, name, name_len);
	buf_addc(&h->text, '\0');
	buf_add(&h->text, value, value_len);
	buf_addc(&h->text, '\0');
	h->n++;
}

void headers_add(struct headers *h, const char *name, const char *value)
{
	headers_addn(h, name, strlen(name), value, strlen(value));
}

bool headers_next(const struct headers *h, size_t *at, const char **name, const char **value)
{
	if (*at >= h->text.len)
		return false;
	*name = h->text.data + *at;
	*value = *name + strlen(*name) + 1;
	*at = (size_t)(*value - h->text.data) + strlen(*value) + 1;
	return true;
}

const char *headers_get(const struct headers *h, const char *name)
{
	const char *n, *value;
	for (size_t at = 0; headers_next(h, &at, &n, &value);)
		if (strcmp(n, name) == 0)
			return value;
	return NULL;
}

static bool is_metadata_name(const char *name)
{
	static const char *const reserved[] = {"te",   "content-type", "connection",
					       "host", "user-agent",   "transfer-encoding"};
	if (strcmp(name, "grpc-retry-pushback-ms") == 0)
		return true;
	if (!*name || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-.") != strlen(name) ||
	    strncmp(name, "grpc-", 5) == 0)
		return false;
	for (size_t i = 0; i < COUNT_OF(reserved); i++)
		if (strcmp(name, reserved[i]) == 0)
			return false;
	return true;
}

bool headers_is_metadata(const char *name, const char *value)
{
	for (const char *p = value; *p; p++)
		if (*p < 0x20 || *p > 0x7e)
			return false;
	return is_metadata_name(name);
}

void headers_release(struct headers *h)
{
	buf_release(&h->text);
	h->n = 0;
}
