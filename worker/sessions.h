// The runtime sessions of a worker: one for each tenant and image that is in use, opened when the first job needs it, replaced when
// it has died. There are never more open than a number; one without jobs makes room for a new one. A session without jobs for a while
// is saved, where the runtime can do that, and resumed for the next job of the same tenant and image; else it is closed. Its life
// is one table (sessions.c). Thread: any. Taking and giving may take as long as a session's opening and closing.
#ifndef COFFER_WORKER_SESSIONS_H
#define COFFER_WORKER_SESSIONS_H

#include "worker/runtime/runtime.h"

struct sessions;
struct pooled_session;
struct layers;

struct sessions_config {
	unsigned most;        // open at once
	int64_t idle_ms;      // without a job: saved, or closed
	unsigned most_saved;  // the longest unused goes first; 0: none is saved
	int64_t saved_ms;     // saved: closed
	uint64_t layer_bytes; // of the inputs that one keeps laid out; 0: none
};
struct sessions *sessions_new(struct runtime *runtime, const struct sessions_config *config);
void sessions_free(struct sessions *s); // when nobody has one any more; closes all

// ERR_LIMIT: there are too many, or they take too much memory, and all are in use. Else as runtime_session_open.
int sessions_take(struct sessions *s, const char *tenant, const char *image, struct pooled_session **session,
		  struct err *err);
struct runtime_session *pooled_session(struct pooled_session *session);
struct layers *pooled_session_layers(struct pooled_session *session); // NULL: it has none
void sessions_give(struct sessions *s, struct pooled_session *session);
void sessions_tidy(struct sessions *s); // saves or closes what has been idle for too long, or has died
unsigned sessions_count(struct sessions *s);
unsigned sessions_count_saved(struct sessions *s);
unsigned sessions_count_of(struct sessions *s, const char *tenant);

#endif
