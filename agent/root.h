// The root of a compile of the user's own text: its tree under the names that it has at the user's, and beside it the toolchain
// of the session.
//
// In a whole directory of the tree nothing of the toolchain is to be seen: no header of this machine can be found there. Elsewhere the
// two stand side by side; a name that they have in different ways (a link and a directory), or for which the toolchain would have to
// make room, ends the job. The tree is read-only but for the directories of outputs and /tmp.
#ifndef COFFER_AGENT_ROOT_H
#define COFFER_AGENT_ROOT_H

#include <stddef.h>

struct root_directories { // below the tree's top
	char *const *writable;
	unsigned n_writable;
	char *const *whole; // none within another
	unsigned n_whole;
};
// In the first process of a job, with its own mounts and the right to make them; the scratch directory is mounted. Then that root is "/".
// 0, or -1 with errno.
int root_enter(const struct root_directories *d);

#endif
