// What macros a compiler defines by itself and by the words of a command (`-E -dM`), as it has told once: asking takes a compiler's start.
//
// The key stands for all that the answer depends on: the toolchain, the words, the environment, the working directory, and the texts that
// every compile reads (stdc-predef.h). Who has more of them (-include) asks again each time. At most BUILTINS_MAX answers are kept, and
// none of more than BUILTINS_MAX_BYTES. Thread: any.
#ifndef COFFER_DEPSCAN_BUILTINS_H
#define COFFER_DEPSCAN_BUILTINS_H

#include "base/buf.h"
#include "codec/hash.h"

enum { BUILTINS_MAX = 256, BUILTINS_MAX_BYTES = 256 << 10 };

struct builtins;
struct builtins *builtins_new(void);
void builtins_free(struct builtins *b); // NULL is fine

bool builtins_find(struct builtins *b, const struct digest *key, struct buf *out); // appends; false: it is not known
void builtins_keep(struct builtins *b, const struct digest *key, const struct buf *answer);

#endif
