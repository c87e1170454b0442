// The books of the elastic jobserver: pure accounting, no I/O.
//
// A slot is the right to run one local command. The tool has `implicit` slots without asking; every token adds one.
// `out` counts the tokens that are not with us: in clients' hands or unread in the pipe (which of the two does not
// matter here). A launcher on loan does not use its slot: it waits for another machine (`remote`), or its result is
// back and it waits for our word (`held`). So out + implicit - remote - held local commands run at most, and
//
//	out + implicit - remote - held <= limit		at every instant
//
// as long as every step is taken only when books_next() says so. A launcher that dies on loan breaks it for a moment:
// its slot is in use again without our word; books_room() is below zero then, and tokens that come back are kept until
// it is not. Why a launcher is held instead of a debt noted: a tool gives a token back and takes it again before anybody
// else wakes, so a debt is not paid when many come back at once.
//
// One recipe that runs several launchers side by side lends one slot several times; nothing in the protocol tells.
// Thread: the one that owns the struct.
#ifndef COFFER_JOBSERVER_BOOKS_H
#define COFFER_JOBSERVER_BOOKS_H

#include <stdbool.h>

struct books {
	unsigned limit;    // local slots
	unsigned implicit; // slots without a token: 1 for make and ninja, 0 behind a gate
	unsigned cap;      // loans at most
	unsigned out, remote, held;
};

// What to do next; ask again after doing it.
enum books_step {
	BOOKS_WAIT, // nothing
	BOOKS_GO,   // let a held launcher go, then books_went()
	BOOKS_PUT,  // put a token into the pipe (or grant a waiting slot), then books_put()
	BOOKS_TAKE, // take an unread token back, then books_back(1)
};

void books_init(struct books *b, unsigned limit, unsigned implicit, unsigned cap);
long books_room(const struct books *b);                   // slots that nobody has; below zero after a launcher died on loan
long books_local(const struct books *b, unsigned unread); // local commands that can be running now
// `wanted`: a gate waits for a slot, which an unread token can become.
enum books_step books_next(const struct books *b, unsigned unread, bool wanted);

void books_put(struct books *b);
void books_back(struct books *b, unsigned n); // n tokens came back to us; more than went out are strays and not counted
bool books_lend(struct books *b);             // a launcher goes remote; false: the cap is reached and nothing changed
void books_hold(struct books *b);             // its result is back
void books_went(struct books *b);             // a held launcher was let go
void books_lost_remote(struct books *b);      // a launcher ended on loan
void books_lost_held(struct books *b);

#endif
