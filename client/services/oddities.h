// What is known of the oddities of texts (depscan/live.h), by their digests. Bounded; when it is full, it is emptied. Thread: any.
#ifndef COFFER_CLIENT_SERVICES_ODDITIES_H
#define COFFER_CLIENT_SERVICES_ODDITIES_H

#include "depscan/live.h"

enum { ODDITIES_MAX = 60000 };

struct oddities;
struct oddities *oddities_new(void);
// Of the file, which has this digest. -1: it can't be read, or has another one by now.
int oddities_find(struct oddities *o, int dirfd, const char *path, const struct digest *digest, struct live_oddities *out);

#endif
