// The shared stores that the settings of jobs name: one for each, opened when it is first asked for. Thread: any.
#ifndef COFFER_CLIENT_SERVICES_SHARED_STORES_H
#define COFFER_CLIENT_SERVICES_SHARED_STORES_H

#include "client/config.h"
#include "store/remote/shared_store.h"

struct shared_stores;
struct shared_stores *shared_stores_new(void);
// NULL: the settings name none, or it can't be used (which is logged once). What is returned lives until the end.
struct shared_store *shared_stores_find(struct shared_stores *all, const struct settings *config);
// Writes what is waiting, for so long at most. False: some of it was not written.
bool shared_stores_flush(struct shared_stores *all, int64_t most_ms);
void shared_stores_status(struct shared_stores *all, struct buf *out); // their objects with commas between

// Opens what the settings name, for `coffer doctor` and verbs of their own. 0 with *out (NULL: none is named), or -1.
int shared_stores_open(const struct settings *config, struct shared_store **out, struct err *err);

#endif
