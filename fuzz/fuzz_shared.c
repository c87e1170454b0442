// What comes out of a shared store, and the file of credentials. The first byte of the input says what the rest is:
//	'p'  an entry before it was packed, which must give one that can be encoded again, or be refused
//	'l'  a list of a build
//	'u'  a unit before it was packed, likewise
//	'e'  an entry as it is in a seal; 's'  with its seal; 'c'  a file of credentials
#include "client/job/shared_entry.h"
#include "client/job/shared_unit.h"
#include "settings/credentials.h"
#include "store/shared/build_list.h"
#include "store/shared/seal.h"

#include <stdlib.h>

static void entry(const void *p, size_t n)
{
	struct shared_entry e, again;
	struct err err = ERR_INIT;
	if (shared_entry_decode(p, n, &e, &err) < 0) {
		if (err.code != ERR_FORMAT && err.code != ERR_LIMIT)
			abort();
		return;
	}
	for (uint32_t i = 0; i < e.manifest->n_entries; i++) {
		struct buf out = BUF_INIT;
		if (shared_entry_encode(&e.manifest->entries[i], &e.results[i], &e, &out, NULL) < 0 ||
		    shared_entry_decode(out.data, out.len, &again, NULL) < 0 ||
		    !shared_entry_has(&again, &e.manifest->entries[i], &e.results[i]))
			abort();
		shared_entry_release(&again);
		buf_release(&out);
	}
	shared_entry_release(&e);
}

static void unit(const void *p, size_t n)
{
	struct shared_unit u, again;
	struct buf out = BUF_INIT, more = BUF_INIT;
	if (shared_unit_decode(p, n, &u, NULL) < 0)
		return;
	shared_unit_encode(&u, NULL, &out);
	if (shared_unit_decode(out.data, out.len, &again, NULL) < 0 || again.n != u.n)
		abort();
	shared_unit_encode(&again, NULL, &more);
	if (more.len != out.len || memcmp(more.data, out.data, out.len) != 0)
		abort();
	buf_release(&more);
	shared_unit_release(&again);
	shared_unit_release(&u);
	buf_release(&out);
}

static void list(const void *p, size_t n)
{
	struct build_list l;
	struct buf again = BUF_INIT;
	if (build_list_decode(p, n, &l, NULL) < 0)
		return;
	build_list_encode(&l, &again);
	if (again.len != n || memcmp(again.data, p, n) != 0)
		abort();
	build_list_release(&l);
	buf_release(&again);
}

static void sealed(const void *p, size_t n)
{
	static const struct tier_name name;
	static struct seal *none;
	const void *bytes;
	size_t n_bytes;
	if (!none && seal_open(&(struct seal_config){0}, &none, NULL) < 0)
		abort();
	if (seal_get(none, "", &name, p, n, &bytes, &n_bytes, NULL) == 0 &&
	    (n_bytes > n || (const char *)bytes < (const char *)p || (const char *)bytes + n_bytes > (const char *)p + n))
		abort();
}

static void credentials(const void *p, size_t n)
{
	struct credentials c = {0};
	char *text = mem_strndup(p, n);
	if (credentials_parse("f", text, &c, NULL) == 0)
		credentials_release(&c);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf packed = BUF_INIT;
	if (n == 0)
		return 0;
	switch (data[0]) {
	case 'p':
		shared_pack(data + 1, n - 1, &packed);
		entry(packed.data, packed.len);
		buf_release(&packed);
		break;
	case 'u':
		shared_pack(data + 1, n - 1, &packed);
		unit(packed.data, packed.len);
		buf_release(&packed);
		break;
	case 'e':
		entry(data + 1, n - 1);
		break;
	case 's':
		sealed(data + 1, n - 1);
		break;
	case 'l':
		list(data + 1, n - 1);
		break;
	case 'c':
		credentials(data + 1, n - 1);
		break;
	}
	return 0;
}
