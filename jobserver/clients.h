// Who speaks to the front end, and what each is owed: launchers on loan, gates waiting for a slot. No I/O: bytes come in
// by client_feed(), and what is to be sent goes out through `struct clients_io`, so that all of it can be tested and
// fuzzed without a socket.
//
// A launcher is LOCAL, goes REMOTE by 'R', is HELD after 'L' and LOCAL again when it was let go ('G'). Past the cap of
// loans it is UNLENT instead of REMOTE, which differs only in the books. A gate WAITS and then HAS a slot, which lasts
// until its process ends. Behind a gate a launcher lends the slot named in its greeting, and nothing if that slot is
// unknown or lent by another launcher already.
//
// Where the tool behind the gate speaks to us, too, a slot whose process has ended (ENDED) is free when the tool has seen that end
// and goes on: it could have been a failure after which it starts nothing. When it says that it does not, the gates that wait, and
// those that come later, are STOPPED: they get no slot, and the tool is told of each.
//
// Commands behind a gate find a pool as well, for tokens beside the slot that they have; gates come first. Of front ends that run beside
// each other in one command the first one CLAIMS the command's slot; the others wait for it. Thread: one.
#ifndef COFFER_JOBSERVER_CLIENTS_H
#define COFFER_JOBSERVER_CLIENTS_H

#include "jobserver/books.h"
#include "jobserver/client/lease.h"

#include <stddef.h>
#include <stdint.h>

enum client_state {
	CLIENT_NEW,
	CLIENT_LOCAL,
	CLIENT_REMOTE,
	CLIENT_UNLENT,
	CLIENT_HELD,
	CLIENT_WAITS,
	CLIENT_STOPPED,
	CLIENT_HAS_SLOT,
	CLIENT_ENDED,
	CLIENT_TOOL,
	CLIENT_CLAIMS,
	CLIENT_OTHER
};

struct client {
	enum client_state state;
	uint8_t hello[LEASE_HELLO_SIZE];
	size_t n_hello;
	uint32_t pid;             // a gate's process, set by the owner
	uint32_t slot;            // a gate's number, or the one a launcher lends; 0: none
	struct client *lender;    // a gate: the launcher that lent its slot
	struct client *claimer;   // a gate: the front end that uses its slot as its first
	struct client *gate;      // a launcher: whose slot it lends or may lend
	int64_t since_ms;         // held since
	struct client *next;      // in the queue it is in
	struct client *next_gate; // in the list of gates with a slot
	uint8_t msg[LEASE_TOOL_SIZE];
	size_t n_msg; // of a tool's message
};

struct client_queue {
	struct client *head, **tail;
};

struct client_figures {
	uint64_t loans, helds, held_ms, longest_held_ms;
	uint64_t moves;                            // tokens put, taken or come back, and launchers let go
	unsigned lost;                             // tokens that a killed make took with it
	unsigned most_remote, most_local, refused; // refused: loans past the cap
	unsigned left;                             // launchers below a make that does not use the pool
};

struct clients {
	struct books books;
	bool behind_gate;
	bool has_pool;                             // tokens can be put: always, but behind some gates
	struct client_queue held, waiting, claims; // oldest first
	struct client *gates;   // those that have a slot, or have ended with it; the last one granted first
	struct client *claimer; // who uses the slot of a command that is the tool itself
	struct client *tool;    // the tool, where it speaks to us
	bool stopped;           // it starts nothing more
	uint32_t last_slot;
	int64_t now_ms; // set by the owner before each call
	struct client_figures figures;
};

// What the clients need from the world.
struct clients_io {
	void *ctx;
	unsigned (*unread)(void *ctx); // tokens in the pipe
	bool (*put)(void *ctx);        // a token into it
	bool (*take)(void *ctx);       // an unread one back
	void (*greet)(void *ctx, struct client *c, enum lease_role role, const uint8_t hello[LEASE_HELLO_SIZE]);
	void (*go)(void *ctx, struct client *c);                       // send 'G'; a failure shows as the connection's end
	void (*stopped)(void *ctx, struct client *tool, uint32_t pid); // tell the tool
	void (*done)(void *ctx, struct client *c); // a gate of client_command_ended(): nobody needs it any more
};

void clients_init(struct clients *s, unsigned limit, unsigned implicit, unsigned cap);
void client_init(struct client *c);
// Bytes from one connection; false: it broke the protocol, so end it (client_end, then close).
bool client_feed(struct clients *s, struct client *c, const uint8_t *p, size_t n, const struct clients_io *io);
// Its connection has ended. The memory is the owner's.
void client_end(struct clients *s, struct client *c, const struct clients_io *io);
// The process of a gate has ended. True: as client_end(); false: it is needed until `done`.
bool client_command_ended(struct clients *s, struct client *c, const struct clients_io *io);
// Does what the books allow until they say wait. Call it after every batch of events.
void clients_settle(struct clients *s, const struct clients_io *io);
bool clients_want(const struct clients *s); // does anybody wait for a slot?

#endif
