// What `coffer cache gc --store` reads out of a store. The first byte of the input says what the rest is:
//	's'  a list by S3; 'd'  by WebDAV; 'u'  a record of uses, which must give one that says the same, or be refused
#include "store/remote/listing.h"
#include "store/shared/uses.h"

#include <stdlib.h>

static int see(void *arg, const struct tier_item *item)
{
	(void)arg;
	if (item->name.space != TIER_CONTENT)
		abort();
	return 0;
}

static void list(enum listing_kind kind, const char *p, size_t n)
{
	struct listing l = {.kind = kind, .space = TIER_CONTENT, .fn = see};
	listing_parse(&l, p, n, NULL);
	if (strlen(l.next) >= sizeof l.next)
		abort();
}

static void uses(const void *p, size_t n)
{
	struct buf out = BUF_INIT, again = BUF_INIT;
	if (uses_decode(p, n, &out, NULL) == 0) {
		uses_encode((const struct store_use *)(const void *)out.data, (uint32_t)(out.len / sizeof(struct store_use)),
			    &again);
		if (again.len != n || memcmp(again.data, p, n) != 0)
			abort();
	}
	buf_release(&out);
	buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n == 0)
		return 0;
	if (data[0] == 's' || data[0] == 'd')
		list(data[0] == 's' ? LISTING_S3 : LISTING_DAV, (const char *)data + 1, n - 1);
	else if (data[0] == 'u')
		uses(data + 1, n - 1);
	return 0;
}
