// The farm as the client sees it: which workers there are, who may be asked for one more job, who has lost our trust.
//
// Routes come from the scheduler (Scheduler.Route) and are kept for their short life, so that one call serves hundreds of
// jobs; or they are workers of this very machine, named by the setting `worker`. A worker is used for a compiler only when
// it has the same one: version, target and built-in definitions are compared once (Worker.Describe).
// Thread: any.
#ifndef COFFER_CLIENT_FARM_FARM_H
#define COFFER_CLIENT_FARM_FARM_H

#include "base/buf.h"
#include "client/config.h"
#include "codec/hash.h"
#include "remote/rpc.h"

struct farm;

#define FARM_IDENTITY 80

// What the client knows of its own compiler, to be compared with the worker's.
struct farm_file { // a program, a library or a text that a compiler reads besides the source
	const char *path;
	uint8_t digest[16];
};
struct farm_compiler {
	const char *name;     // a base name: gcc, clang++
	const char *path;     // the whole of it, absolute
	const char *language; // "c" or "c++"
	char version[128], target[64];
	uint8_t defines[16];
	const struct farm_file *files; // for the arguments at hand; a host's worker must have the same
	size_t n_files;                // 0: that is not known
};

// NULL where the settings name no farm. A farm that can't be set up (a file can't be read) is an error, once.
int farm_open(const struct settings *config, struct farm **farm, struct err *err);
void farm_free(struct farm *farm); // NULL is fine

// A place for one job at one worker.
struct farm_seat {
	struct route *route;
	struct rpc_channel *channel;  // NULL: at a cluster
	struct cluster *cluster;      // NULL: at a worker of coffer's own
	char *authorization;          // "Bearer …" or NULL
	const char *worker;           // its name
	char identity[FARM_IDENTITY]; // of the worker's compiler, as it was compared
	bool takes_trees;             // it compiles the user's own text
	// To be set before farm_give, where there is something to say.
	int64_t took_ms; // from the call to an answer that was computed for it, or until it was late; 0: neither
	int pause_ms;    // for so long the worker wants to be left alone; 0: it has said nothing
	char why[160];   // it failed or lied
};
// 1: a seat; 0: there is none now (`err` says why). Sleeps for the scheduler's answer or a connection, some seconds at most.
int farm_take(struct farm *farm, const struct farm_compiler *compiler, struct farm_seat *seat, struct err *err);

// Has every worker that there is been asked, and none has this very compiler?
bool farm_lacks(struct farm *farm, const struct farm_compiler *compiler);
// Sleeps until a seat was given back, or the time is over.
void farm_wait(struct farm *farm, int ms);

enum farm_verdict {
	FARM_DONE,
	FARM_UNUSED,  // it was not asked for anything, or its answer was not waited for
	FARM_BUSY,    // it has too much to do: not for a while
	FARM_FAILED,  // it does not answer, or in no way that can be used
	FARM_CHANGED, // it is no longer what it was compared as: compare again
	FARM_LIED, // what it said about its answer was not true: it is struck out, by its name, for as long as this farm lives
};
// False: the worker has lied, now or in another job, so that its answer to this one is worth nothing either.
bool farm_give(struct farm *farm, struct farm_seat *seat, enum farm_verdict verdict);
// A worker's compiler had something to say, or failed, and the one here did the same, or not; and true where it said nothing. A worker of
// which that is wrong FARM_MOST_DOUBTS times, and never right in between, is struck out: each of its answers is a compile for nothing.
enum { FARM_MOST_DOUBTS = 8 };
void farm_note_words(struct farm *farm, const char *worker, bool is_right);
// A worker has compiled a tree, or has refused it or made something else of it. After FARM_MOST_TREE_FAILURES of these in a row it gets
// preprocessed text for some minutes, or until a tree that was under way ends well. A lost connection or a worker that fails is none.
enum { FARM_MOST_TREE_FAILURES = 3 };
void farm_note_tree(struct farm *farm, const char *worker, bool is_done);
// Compiles, by the keys of their manifests, in whose results the place of the build tree shows (client/job/place.h): some thousands of the
// last ones are remembered.
void farm_note_bound(struct farm *farm, const struct digest *key);
bool farm_is_bound(struct farm *farm, const struct digest *key);
// False while somebody sits there: it has lied meanwhile, and nothing that it will say counts.
bool farm_trusts(struct farm *farm, const struct farm_seat *seat);

// Whether a worker of this farm has said that clients keep nothing of their jobs: then that goes for all that is compiled
// with these settings, on whatever machine. What a worker has said last counts, also when it is gone.
bool farm_keeps_nothing(struct farm *farm);
// Where no worker has said anything yet: asks one, for some seconds at most and not more often than once a minute.
void farm_learn_policy(struct farm *farm, const struct farm_compiler *compiler);

// How long ago the last job ended well there; INT64_MAX: none ever has.
int64_t farm_last_done_ms(struct farm *farm, const struct farm_seat *seat);

// A compile here has taken so long: what workers are measured against.
void farm_note_local(struct farm *farm, int64_t ms);
// After so long a job that is away is late.
int64_t farm_patience_ms(struct farm *farm);

// The listing of the last tree that the worker got, copied, or nothing; and another one.
void farm_last_listing(struct farm *farm, const struct farm_seat *seat, struct buf *listing);
void farm_note_listing(struct farm *farm, const struct farm_seat *seat, const struct buf *listing);

// How a result was made that a worker has: kept there for the tenant, for explanations (worker/accounts.h).
struct farm_account {
	const uint8_t *unit, *variant; // 16 bytes each
	const uint8_t *key;            // 32 bytes: the result, as the worker calls it
	const char *maker;
	const void *how;
	size_t n_how;
};
// Waits for a worker of that name that takes accounts, a second at most for each call; one thread tells what others have to tell meanwhile.
// What is lost of it is not missed.
void farm_tell(struct farm *farm, const char *worker, const struct farm_account *account);
// What workers were told of a unit, newest first for each of them. Asks the scheduler, if it is time to, and all workers; takes `ms` and
// a question to the scheduler at most. -1: none has answered, `err` says why.
typedef void (*farm_told_fn)(void *ctx, const char *worker, const char *maker, int64_t time_s, const void *how,
			     size_t n_how);
int farm_explain(struct farm *farm, const uint8_t unit[16], int ms, farm_told_fn each, void *ctx, struct err *err);

const char *farm_image(const struct farm *farm);
int64_t farm_timeout_ms(const struct farm *farm);
// For `coffer status`: a JSON object (docs/status.md). Asks the scheduler, if it is time to, and all workers; takes 2 s and
// a question to the scheduler at most.
void farm_status(struct farm *farm, struct buf *out);

#endif
