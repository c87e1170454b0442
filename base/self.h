// Where our own program is. Thread: any.
#ifndef COFFER_BASE_SELF_H
#define COFFER_BASE_SELF_H

#include "base/mem.h"

// Its file as the kernel names it; NULL where /proc does not tell, or the name is longer than PATH_MAX.
char *self_file(struct arena *a);
// A file that is installed relative to it ("coffer-agent", "../bin/coffer"); NULL as above. It need not be there.
char *self_beside(struct arena *a, const char *name);

#endif
