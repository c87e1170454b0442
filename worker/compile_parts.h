// Between compile.c, which tells the story of a compile, compile_tree.c, which has the steps in which the user's own text comes in, and
// compile_run.c, which has its run.
// Thread: the call's.
#ifndef COFFER_WORKER_COMPILE_PARTS_H
#define COFFER_WORKER_COMPILE_PARTS_H

#include "worker/evidence.h"
#include "worker/service.h"
#include "worker/tree_source.h"
#include "worker/upload.h"

enum { STEP_DONE = 1 };

struct compile {
	struct worker_service *service;
	struct rpc_call *call;
	struct token_claims claims;
	Coffer__V1__CompileRequest *first; // holds the header
	const Coffer__V1__CompileHeader *header;
	struct arguments found;
	char identity[TOOLCHAIN_IDENTITY];
	bool has_ticket;
	struct ticket ticket;
	struct flight_member flight;
	struct job_cancel cancel;
	struct upload upload;    // of preprocessed text
	struct tree_source tree; // of the user's own
	struct key key;
	bool is_unread; // the results could not be looked at
	struct buf blob, out, errs;
	struct output_frame packer;
	struct job_result run;
	struct evidence evidence;
	int64_t began_ms, waited_ms;
	const char *outcome; // for the log
	// Of a failure.
	enum worker_counter counter;
	enum rpc_code code;
	struct err err;
};

// Both return -1.
int compile_fail(struct compile *c, enum worker_counter counter, enum rpc_code code);
int compile_fail_cancelled(struct compile *c);
// 1: a message; 0: the client sends no more; -1.
int compile_receive(struct compile *c, int timeout_ms, Coffer__V1__CompileRequest **m);
// STEP_DONE: the result of c->key is there, and has been sent. 0, -1.
int compile_look_up(struct compile *c, enum worker_counter counter, const char *outcome);

// Steps (compile_serve).
int compile_take_listing(struct compile *c);
int compile_look_up_by_listing(struct compile *c); // sets c->key
int compile_take_files(struct compile *c);
int compile_take_slot(struct compile *c);
int compile_tell_started(struct compile *c);
int compile_run(struct compile *c);
// For `coffer replay`: what was asked for, by c->key.
int compile_keep_request(struct compile *c, struct err *err);

#endif
