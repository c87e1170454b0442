// The runtime sessions of a worker: one for each tenant and image that is in use, opened when the first job needs it, closed
// when it has been idle, replaced when it has died. There are never more than a number; an idle one makes room for a new
// one. Thread: any. Taking and giving may take as long as a session's opening and closing.
#ifndef COFFER_WORKER_SESSIONS_H
#define COFFER_WORKER_SESSIONS_H

#include "worker/runtime/runtime.h"

struct sessions;
struct pooled_session;

struct sessions *sessions_new(struct runtime *runtime, unsigned most, int64_t idle_ms);
void sessions_free(struct sessions *s); // when nobody has one any more; closes all

// ERR_LIMIT: there are too many, and all are in use. Else as runtime_session_open.
int sessions_take(struct sessions *s, const char *tenant, const char *image, struct pooled_session **session,
		  struct err *err);
struct runtime_session *pooled_session(struct pooled_session *session);
void sessions_give(struct sessions *s, struct pooled_session *session);
void sessions_tidy(struct sessions *s); // closes what has been idle for too long, or has died
unsigned sessions_count(struct sessions *s);
unsigned sessions_count_of(struct sessions *s, const char *tenant);

#endif
