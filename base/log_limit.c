#include "base/log_limit.h"

bool log_limit_take(struct log_limit *l, int64_t now_ms, uint64_t *left_out)
{
	pthread_mutex_lock(&l->lock);
	if (!l->since_ms || now_ms - l->since_ms >= LOG_LIMIT_MS) {
		l->since_ms = now_ms;
		l->lines = 0;
	}
	bool may_log = l->lines < LOG_LIMIT_LINES;
	*left_out = may_log ? l->left_out : 0;
	if (may_log) {
		l->lines++;
		l->left_out = 0;
	} else {
		l->left_out++;
	}
	pthread_mutex_unlock(&l->lock);
	return may_log;
}
