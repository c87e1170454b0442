#include "store/remote/shared_store.h"

#include "base/mem.h"

#include <stdlib.h>

static int open_parts(struct shared_store *s, const struct shared_store_settings *settings, struct err *err)
{
	struct shared_config shared = {.timeout_ms = settings->timeout_ms,
				       .notes_uses = settings->access != SHARED_READ_ONLY};
	if (seal_open(&settings->seal, &s->seal, err) < 0)
		return -1;
	if (s->access != SHARED_READ_ONLY && !seal_can_write(s->seal))
		return err_set(err, ERR_USAGE, "to write with signatures there must be a signer's key as well");
	if (remote_open(&settings->remote, &shared.tier, err) < 0)
		return -1;
	s->tier = shared.tier;
	s->shared = shared_new(&shared);
	return 0;
}

int shared_store_open(const struct shared_store_settings *settings, struct shared_store **out, struct err *err)
{
	*out = NULL;
	if (!*settings->remote.url)
		return 0;
	struct shared_store *s = mem_alloc(sizeof *s);
	s->access = settings->access;
	if (open_parts(s, settings, err) < 0) {
		shared_store_close(s, 0);
		return -1;
	}
	*out = s;
	return 0;
}

bool shared_store_close(struct shared_store *s, int64_t until_ms)
{
	if (!s)
		return true;
	if (!shared_close(s->shared, until_ms))
		return false;
	seal_free(s->seal);
	free(s);
	return true;
}
