// What the checks of a farm share: doctor_farm.c (scheduler), doctor_workers.c (each worker, and its compilers beside ours).
#ifndef COFFER_CLIENT_VERBS_DOCTOR_FARM_H
#define COFFER_CLIENT_VERBS_DOCTOR_FARM_H

#include "client/verbs/doctor.h"
#include "proto/coffer.pb-c.h"
#include "remote/rpc.h"

struct own_compilers;

// Whom we talk to, and what we know of this machine's compilers once it was asked for.
struct doctor_peers {
	struct doctor *doctor;
	struct loop *loop;
	struct rpc_tls *pinned; // for workers: the certificate that the scheduler tells
	struct own_compilers *own;
};
void doctor_peers_release(struct doctor_peers *p);

// What mends what a peer, the network or a certificate is said to be.
const char *doctor_fix_of(const char *what);
// `theirs_ms`: the peer's clock, asked for between the other two, which are ours; milliseconds since 1970. 0: not told.
void doctor_check_peer_clock(struct doctor *d, const char *whose, uint64_t theirs_ms, int64_t before_ms, int64_t after_ms);
// Connects, shows the token, asks for its clock and for each compiler that is here, too.
void doctor_check_worker_of_farm(struct doctor_peers *p, const Coffer__V1__Route *route);

#endif
