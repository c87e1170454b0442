// Somebody's cluster that runs actions of the Remote Execution API, as the one worker of a farm: compiles go there as preprocessed
// text, and never anything else. What decides whether a compile may go is the same as for coffer's own workers.
//
// The cluster knows nothing of coffer: what the compiler is there, the action itself looks at. `b2sum -c` compares the programs,
// libraries and texts that the compiler reads here with those of the machine it runs on, before each compile; a result that was kept
// there was compared when it was made. Only where a property names an image by its digest is it compared once. Thread: any.
#ifndef COFFER_CLIENT_FARM_CLUSTER_H
#define COFFER_CLIENT_FARM_CLUSTER_H

#include "client/farm/call.h"
#include "client/farm/farm.h"

struct cluster;

// ERR_USAGE, ERR_ACCESS, ERR_NOT_FOUND: its settings, or files that they name. Calls nobody.
int cluster_open(const struct settings *config, struct cluster **out, struct err *err);
void cluster_close(struct cluster *c);             // NULL is fine
const char *cluster_name(const struct cluster *c); // its URL

// Is the compiler there this one? 1, with the name under which cluster_compile knows it; 0: *differs says what (a static text, or one
// of `compiler`); -1: it could not be asked. Runs an action that is not kept, some seconds at most.
int cluster_compare(struct cluster *c, const struct farm_compiler *compiler, char identity[FARM_IDENTITY],
		    const char **differs, struct err *err);
// As remote_compile, which calls it.
enum remote_outcome cluster_compile(struct cluster *c, struct remote_call *call, struct farm_seat *seat, struct err *err);
// For people: does it answer, and does it run actions? -1 with what is wrong.
int cluster_check(struct cluster *c, int64_t until_ms, struct err *err);

// "NAME=VALUE …" into sorted properties; they point into `words`, a copy that is changed. ERR_USAGE.
struct reapi_run_property;
int cluster_read_properties(char *words, struct reapi_run_property *list, size_t most, size_t *n, struct err *err);

#endif
