// The workers of all schedulers of one farm, by way of etcd: each scheduler writes down the workers whose sessions it has, under a lease,
// and takes those of the others into its registry. So any of them answers for the whole fleet.
//
// When a scheduler dies its lease ends, and its workers are gone until they have found another one. When etcd can't be reached every
// scheduler goes on with what it knows, and with its own workers as they come and go; what has changed meanwhile is made good
// afterwards. What is given to tenants is told in the same way (scheduler/quotas.h). After `away_ms` it knows only its own workers any more: of the others nobody could tell that they have died. Keys: PREFIXworkers/NAME, values: WorkerRecord. Who may write there names workers and their certificates, so
// etcd is trusted as the scheduler's own files are. A thread of its own does all that. Thread: main, but for siblings_state.
#ifndef COFFER_SCHEDULER_SIBLINGS_H
#define COFFER_SCHEDULER_SIBLINGS_H

#include "scheduler/etcd.h"
#include "scheduler/service.h"

struct siblings_config {
	struct loop *loop;
	const char *endpoints; // HOST:PORT, with blanks between several
	struct rpc_tls *tls;   // NULL: plain text
	const char *prefix;    // ends with '/'
	const char *user, *password_file;
	int lease_s;
	int64_t away_ms; // without etcd for so long, the workers of others are forgotten
};
struct siblings;
// The service must live until siblings_stop.
struct siblings *siblings_start(const struct siblings_config *config, struct service *service);
void siblings_stop(struct siblings *f); // its workers are gone for the others at once. NULL is fine

struct siblings_state {
	bool is_connected;
	int64_t since_ms; // of clock_ms()
	char why[256];    // it is not connected
};
void siblings_state(const struct siblings *f, struct siblings_state *state); // any thread

#endif
