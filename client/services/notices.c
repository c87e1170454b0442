#include "client/services/notices.h"

#include "codec/hash.h"

#include <string.h>

void notices_init(struct notices *n)
{
	memset(n, 0, sizeof *n);
	pthread_mutex_init(&n->lock, NULL);
}

bool notices_is_first(struct notices *n, pid_t session, const char *text, int64_t now_ms)
{
	uint64_t hash = hash64(text, strlen(text)) | 1;
	pthread_mutex_lock(&n->lock);
	struct notice *oldest = &n->all[0], *found = NULL;
	for (unsigned i = 0; i < NOTICES_MAX && !found; i++) {
		struct notice *at = &n->all[i];
		if (at->text == hash && at->session == session)
			found = at;
		else if (!at->text || (oldest->text && at->needed_ms < oldest->needed_ms))
			oldest = at;
	}
	bool is_first = !found || now_ms - found->needed_ms > NOTICE_PAUSE_MS;
	*(found ? found : oldest) = (struct notice){hash, session, now_ms};
	pthread_mutex_unlock(&n->lock);
	return is_first;
}
