// Which entries of a shared store the compiles of each build tree gave and took, so that `coffer cache push` knows what a build
// consists of: <cache>/v1/shared.log, a line for each: seconds, the tree by its digest, the action, its content, with blanks
// between. At most SHARE_LOG_MAX_BYTES, then it is renamed to shared.1.log, and a new one begins. Thread: any; several processes.
#ifndef COFFER_CLIENT_SERVICES_SHARE_LOG_H
#define COFFER_CLIENT_SERVICES_SHARE_LOG_H

#include "store/shared/build_list.h"

#define SHARE_LOG_MAX_BYTES ((int64_t)32 << 20)

// The first name is the action. What can't be written is left out.
void share_log_add(const char *cache_dir, const char *tree, const struct tier_name *names, size_t n);
// What was logged of the tree since then, each name once, the newest first. A log that is not there says nothing.
int share_log_read(const char *cache_dir, const char *tree, int64_t since_s, struct build_list *l, struct err *err);

#endif
