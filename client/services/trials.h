// Where it pays to compare preprocessed texts (client/job/same_text.h). A unit, or a whole tree, whose texts are never found again
// is asked less and less often. In memory only: a new daemon tries again. Bounded; when it is full, it is emptied. Thread: any.
#ifndef COFFER_CLIENT_SERVICES_TRIALS_H
#define COFFER_CLIENT_SERVICES_TRIALS_H

#include "codec/hash.h"

#include <stdbool.h>

enum {
	TRIALS_OF_UNIT = 4,   // look-ups without a hit after which a unit has only one chance in TRIALS_RARELY
	TRIALS_OF_TREE = 400, // preprocessor runs behind compiles without a hit after which the same holds for a tree
	TRIALS_RARELY = 16,
	TRIALS_WAITING = 256, // texts of compiles that are to be found out later; more are left out
	TRIALS_MAX = 20000,   // units and trees
};

struct trials;
struct trials *trials_new(void);

// Is a text to be looked up, after a direct look-up of the unit has failed?
bool trials_look(struct trials *t, const struct digest *unit);
void trials_note(struct trials *t, const struct digest *unit, const char *tree, bool hit);

// Is the text of a compile to be found out behind it, so that it can be looked up later? True: trials_leave() follows.
bool trials_enter(struct trials *t, const char *tree);
void trials_leave(struct trials *t);

#endif
