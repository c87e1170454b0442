// What a build tool understands of jobservers, by what it says of itself.
//
// make 4.3 and older know two descriptors (4.2 and older wait for a token in a blocking read, so that unread tokens
// cannot be taken back: no elastic mode), make 4.4 a fifo. ninja 1.14 knows a fifo and looks at it while work is ready;
// 1.13 takes tokens only when one of its own jobs ends, which is useless here; Kitware's ninja knows descriptors.
// Thread: any.
#ifndef COFFER_JOBSERVER_TOOL_H
#define COFFER_JOBSERVER_TOOL_H

#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>

enum tool_kind { TOOL_OTHER, TOOL_MAKE, TOOL_NINJA };
enum transport {
	TRANSPORT_NONE, // it runs with -jN
	TRANSPORT_PIPES,
	TRANSPORT_FIFO,
	TRANSPORT_GATE, // it runs with a large -j, and each of its commands waits for a slot
};

struct tool {
	enum tool_kind kind;
	unsigned major, minor;
	bool kitware;
};

struct tool tool_of_version(const char *text); // what `TOOL --version` printed
// Runs `path --version`; a program that cannot be run or does not say is TOOL_OTHER.
struct tool tool_probe(const char *path);
// `can_gate`: is this tool one whose commands we can make wait?
enum transport tool_transport(const struct tool *t, bool can_gate);

// The file that execvp would run, absolute; NULL if there is none. `skip` (may be NULL) is a directory that is left out.
char *tool_find(struct arena *a, const char *name, const char *path_list, const char *skip);

#endif
