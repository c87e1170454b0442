// The worker's session with the scheduler: says what it has, then how busy it is, until it is told to stop. When the session
// is lost it begins another one, with pauses that become longer. A thread of its own does that; all else goes on without a
// scheduler. Thread: any.
#ifndef COFFER_WORKER_REGISTER_H
#define COFFER_WORKER_REGISTER_H

#include "remote/rpc.h"
#include "worker/service.h"

struct register_config {
	struct loop *loop;
	const char *scheduler; // HOST:PORT
	struct rpc_tls *tls;   // as a client
	const char *token;     // a file, or NULL
	const char *address;   // where clients reach us
	struct rpc_tls *server_tls;
	unsigned slots;
	struct worker_service *service;
};

struct registration;
struct registration *registration_start(const struct register_config *config);
void registration_renew(struct registration *r); // something that the hello says has changed
bool registration_is_up(const struct registration *r);
// Tells the scheduler that we drain (service->is_draining is set); waits for that, at most a second.
void registration_drain(struct registration *r);
void registration_stop(struct registration *r);

#endif
