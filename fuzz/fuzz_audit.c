// An audit row and a proof, both from somebody else. What is taken as a row is written as the very same line; a proof without
// the key that it needs proves nothing.
#include "audit/proof.h"
#include "audit/row.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_row(const char *text, size_t n)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf again = BUF_INIT;
	struct audit_row row;
	size_t flags;
	if (audit_row_read(text, n, &a, &row, NULL) < 0)
		return;
	audit_row_write(&row, &again);
	if (again.len < n || memcmp(again.data, text, n) != 0)
		abort();
	const char **list = audit_flags_split(&a, row.value[AUDIT_flags], &flags);
	const char *joined = audit_flags_join(&a, list, flags);
	audit_flags_split(&a, joined, &flags);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char key[] = "w1+5c8f0a11+AaqxqZSs2JfE0Bv9yvJm3rQzcHEhJ8T7uHVr2dCqLxXk";
	struct audit_proven p;
	check_row((const char *)data, size);
	if (audit_check_proof((const char *)data, size, key, &p, NULL) == 0)
		abort();
	audit_proven_release(&p);
	audit_check_proof((const char *)data, size, NULL, &p, NULL);
	audit_proven_release(&p);
	return 0;
}
