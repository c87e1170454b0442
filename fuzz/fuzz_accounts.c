// What clients tell of their results. The first byte of the input says what the rest is:
//	'u'  the accounts of a unit, as a worker keeps them
//	'h'  how a result was made, before it is packed, as `coffer explain` gets it from a worker
#include "client/job/account.h"
#include "client/job/shared_entry.h"
#include "worker/accounts.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void accounts(const void *p, size_t n)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct account_list list;
	if (accounts_decode(p, n, &a, &list, NULL) < 0 && list.n)
		abort();
	if (list.n > ACCOUNTS_MAX)
		abort();
	for (unsigned i = 0; i < list.n; i++)
		if (list.accounts[i].n_how > ACCOUNT_HOW_MAX || strlen(list.accounts[i].maker) > ACCOUNT_MAKER_MAX)
			abort();
}

static void how(const void *p, size_t n)
{
	AUTO_BUF struct buf packed = BUF_INIT, again = BUF_INIT;
	struct account_of_result x, y;
	shared_pack(p, n, &packed);
	if (account_decode(packed.data, packed.len, &x, NULL) < 0)
		return;
	account_encode(x.identity, &x.words, &x.manifest->entries[0], &again);
	if (account_decode(again.data, again.len, &y, NULL) < 0 || y.words.n_arguments != x.words.n_arguments ||
	    y.manifest->entries[0].n_inputs != x.manifest->entries[0].n_inputs)
		abort();
	account_release(&y);
	account_release(&x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size && data[0] == 'u')
		accounts(data + 1, size - 1);
	else if (size && data[0] == 'h')
		how(data + 1, size - 1);
	return 0;
}
