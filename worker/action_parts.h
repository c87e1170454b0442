// What the story of an action (action.c) and running one again (action_replay.c) share. Thread: one.
#ifndef COFFER_WORKER_ACTION_PARTS_H
#define COFFER_WORKER_ACTION_PARTS_H

#include "base/map.h"
#include "reapi/input_root.h"
#include "reapi/message.h"
#include "worker/action_outputs.h"
#include "worker/evidence.h"
#include "worker/service.h"

#include <time.h>

struct action {
	struct worker_service *service;
	struct rpc_call *call;
	struct token_claims claims;
	Coffer__V1__ActionRequest *first; // holds the header
	const Coffer__V1__ActionHeader *header;
	Reapi__Action *action;
	Reapi__Command *command;
	struct reapi_digest digest; // of the action
	struct arena arena;
	struct map directories; // digest -> struct buf, as they came
	struct input_root root;
	bool has_ticket;
	struct ticket ticket;
	struct job_cancel cancel;
	const char *const *paths; // of outputs, as the command says them
	size_t n_paths;
	bool has_types;
	struct action_outputs outputs;
	struct buf out, errs;
	struct job_result run;
	struct evidence evidence;
	struct timespec began, started, ended;
	size_t n_layers;   // that the last run had
	uint32_t spent_ms; // of the action's timeout, by a run before
	// Of a failure.
	enum worker_counter counter;
	enum rpc_code code;
	struct err err;
};

// `call` NULL: nobody waits for it.
void action_init(struct action *x, struct rpc_call *call, struct worker_service *s);
void action_release(struct action *x);
// Reads x->header's action and command and checks what can be checked without the input root.
int action_open(struct action *x);
// Runs it in the session, with x->root and the tenant's content. `layers` NULL: all inputs are copied.
int action_exec(struct action *x, struct runtime_session *session, struct layers *layers);
// What came of it but for the metadata; in x->outputs' arena.
int action_result(struct action *x, Reapi__ActionResult *r);

#endif
