// Who calls: what certificate and bearer token prove. Thread: one caller per call.
#ifndef COFFER_SCHEDULER_CALLER_H
#define COFFER_SCHEDULER_CALLER_H

#include "remote/rpc.h"
#include "scheduler/service.h"

struct caller {
	struct caller_identity identity; // points into what follows and into the call
	struct token_user user;
	const char *claims[TOKEN_USER_VALUES];
	char worker[TOKEN_NAME_MAX + 1]; // by a worker's token; "" without
};

// A user, by certificate or the identity provider's token; or a worker, by certificate or a token of ours. -1: it is nobody,
// or the token that it shows is not good, and the text may be told to it.
int caller_of_user(struct caller *caller, struct rpc_call *call, const struct trust *trust,
		   const struct service_config *config, struct err *err);
int caller_of_worker(struct caller *caller, struct rpc_call *call, const struct trust *trust,
		     const struct service_config *config, struct err *err);
// Whether it may register under that name.
bool caller_is_worker(const struct caller *caller, const struct trust *trust, const char *worker);

#endif
