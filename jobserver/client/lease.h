// A launcher's loan: while a compile waits for another machine, the slot it was started with is lent out.
//
// The story of a launcher: lease_open(); before it waits for the other machine lease_remote() ('R'); when the result is
// written lease_return() ('L', then waits for 'G'), and only then does it end or compile here; lease_close(). A result
// from the cache lends nothing. Whatever goes wrong (no front end, it ended, silence for longer than it promised) means
// "go on": a lease never fails a build. It can be taken again after lease_return().
//
// On the wire (a unix stream socket): both sides open with a greeting of LEASE_HELLO_SIZE bytes; then the launcher sends
// single bytes and the server answers 'L' with 'G' when it said LEASE_WILL_GO. The other roles: a gate asks for a slot by
// its greeting alone and is answered by 'G'; the slot ends with the process. A query is answered by one line of text, "limit
// N local N …". A front end that was started in a command of another one claims that command's slot as long as it is connected; if
// another one has it, 'G' comes when that has left. A tool behind a gate (the library in its process) says with LEASE_TOOL_SIZE bytes for each of its commands that
// it has seen its end and goes on ('D' and the process), and once that it starts nothing more ('S' and 0); from then on it is
// told each process that waits at the gate and will get no slot (four bytes).
//
// Environment, set by the front end for what it starts: COFFER_JOBSERVER is the socket, COFFER_JOBSERVER_AUTH what
// MAKEFLAGS must still say for us to be in that pool (absent where there is none), COFFER_SLOT the slot a gate got.
// Without a front end, see lend.h. Needs no library: it is built into the launcher. Thread: any, a lease belongs to one.
#ifndef COFFER_JOBSERVER_CLIENT_LEASE_H
#define COFFER_JOBSERVER_CLIENT_LEASE_H

#include "base/err.h"
#include "jobserver/client/lend.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct lease {
	int fd;           // the front end, or -1
	bool on_loan;     // between lease_remote() and lease_return()
	bool will_go;     // the server answers 'L'
	int64_t limit_ms; // how long lease_return() waits at most
	struct lend lend; // the make around us, where there is no front end
};
#define LEASE_INIT                             \
	{                                      \
		-1, false, false, 0, LEND_INIT \
	}

// 1: there is something to lend to; 0: there is not; -1: there should be, but it cannot be used. In all three cases the
// other functions may be called.
int lease_open(struct lease *l, struct err *err);
void lease_remote(struct lease *l);
// true: we were let go (or had lent nothing); false: the time was over or the server gone.
bool lease_return(struct lease *l);
void lease_close(struct lease *l);

// Asks the front end for a slot for this very process, which then becomes the command: it ends with the process. Waits as long
// as it takes, also for a server that has no room for us yet. 1: granted, *slot is its number; 0: there is no gate around us, or
// it has gone with its build; -1: it ended while we waited, and nobody counts us any more, so the command must not run.
int lease_gate(uint32_t *slot, struct err *err);

// A front end in a command of another one: is the slot of that command its own, or does one beside it use it already? False only if
// so. The connection in *fd (-1: none) holds the claim, and after false 'G' comes there when the slot is free; *server is the other
// one's process.
bool lease_claim(const char *path, int *fd, pid_t *server);

// Asks the front end at that socket how many of its slots no local command uses. -1: it does not say. A second at most.
long lease_idle_slots(const char *path);

enum { LEASE_HELLO_SIZE = 12, LEASE_LIMIT_S = 20 };
enum lease_role {
	LEASE_SERVER = 's',
	LEASE_LAUNCHER = 'l',
	LEASE_LEFT = 'x', // a launcher below a make that does not use the pool: it lends nothing, and the user is told once
	LEASE_GATE = 'g',
	LEASE_QUERY = 'q',
	LEASE_TOOL = 't',
	LEASE_CLAIM = 'c',
};
enum { LEASE_WILL_GO = 1 };
enum { LEASE_MSG_REMOTE = 'R', LEASE_MSG_RETURN = 'L', LEASE_MSG_GO = 'G' };
enum { LEASE_MSG_DONE = 'D', LEASE_MSG_STOP = 'S', LEASE_TOOL_SIZE = 5 };

void lease_put_number(uint8_t out[4], uint32_t n); // the order of bytes of all numbers here
uint32_t lease_get_number(const uint8_t in[4]);

struct lease_hello {
	enum lease_role role;
	uint8_t flags;   // LEASE_WILL_GO, from the server
	uint8_t limit_s; // from the server: go on when 'G' has not come for so long
	uint32_t
		slot; // from a launcher or a claim behind a gate: $COFFER_SLOT; to a gate: its number; to a claim: 1, it is yours; else 0
};
void lease_put_hello(uint8_t out[LEASE_HELLO_SIZE], const struct lease_hello *h);
bool lease_get_hello(struct lease_hello *h, const uint8_t in[LEASE_HELLO_SIZE]); // false: not this protocol or version

#endif
