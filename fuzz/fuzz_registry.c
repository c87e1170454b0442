// What a registry and its token server answer, and what a user calls an image: the first byte says which.
#include "image/layout.h"
#include "image/registry/challenge.h"
#include "image/registry/reference.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void reference(const char *text)
{
	struct reference r, again;
	char pinned[REFERENCE_PINNED];
	if (reference_parse(text, &r, NULL) < 0)
		return;
	if (!r.host[0] || !r.name[0] || (!r.tag[0] && !r.digest[0]) || strpbrk(r.name, "?#% ") || strstr(r.name, "/."))
		abort();
	if (!r.digest[0])
		return;
	reference_pinned(&r, r.digest, pinned);
	if (reference_parse(pinned, &again, NULL) < 0 || strcmp(again.name, r.name) != 0 || strcmp(again.host, r.host) != 0)
		abort();
}

static void location(const char *text)
{
	struct origin o, again;
	char *url = NULL, *same = NULL;
	if (origin_resolve("https://registry.example/v2/gcc/blobs/x", text, &url, &o, NULL) < 0)
		return;
	if (!o.host[0] || origin_resolve(url, url, &same, &again, NULL) < 0 || !origin_equal(&o, &again))
		abort();
	free(same);
	free(url);
}

static void challenge(const char *text)
{
	struct challenge c;
	if (challenge_parse(text, &c, NULL) == 0 && c.kind > CHALLENGE_BEARER)
		abort();
}

static void token(const char *text, size_t n)
{
	char *value = NULL;
	if (challenge_parse_token(text, n, &value, NULL) == 0 && strpbrk(value, " \t\r\n"))
		abort();
	free(value);
}

static void index_text(const char *text, size_t n)
{
	struct blob_descriptor d;
	if (layout_parse_index(text, n, &d, NULL) == 1 && !blob_is_digest(d.digest))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	AUTO_FREE char *text = mem_strndup((const char *)data + 1, size - 1);
	switch (data[0]) {
	case 'r':
		reference(text);
		break;
	case 'l':
		location(text);
		break;
	case 'c':
		challenge(text);
		break;
	case 't':
		token(text, size - 1);
		break;
	default:
		index_text(text, size - 1);
		break;
	}
	return 0;
}
