// Lending without a front end: under a plain `make -jN` the launcher puts its own token into make's pipe while it waits
// for another machine, and reads one back before it ends.
//
// Only where that is safe: make named its jobserver in MAKEFLAGS, its -j is not far above the cores (with -j500 nothing
// would be won, and local commands would be limited by nobody), and the pipe can be reached: by its path, or through
// /proc of the make above us that has it open, since make closes it for recipes without '+'. The write end is held only
// for the one write: whoever holds it keeps make from ending. A launcher that is killed on loan leaves one token too
// many, which make reports when it ends; the build's status does not change. COFFER_LEND=0 turns it off.
// Needs no library. Thread: any.
#ifndef COFFER_JOBSERVER_CLIENT_LEND_H
#define COFFER_JOBSERVER_CLIENT_LEND_H

#include <stdbool.h>
#include <stdint.h>

struct lend {
	char reader[256], writer[256]; // what to open for one end of make's pipe; "": nothing to lend to
};
#define LEND_INIT      \
	{              \
		"", "" \
	}

bool lend_open(struct lend *l);                              // is lending possible here?
bool lend_put(const struct lend *l);                         // false: nothing was lent
bool lend_take_back(const struct lend *l, int64_t limit_ms); // waits for a token; false: none came in time

#endif
