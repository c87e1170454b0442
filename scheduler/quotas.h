// What the schedulers of one farm have given to each tenant, by way of etcd: each writes down what its clients want and what its tokens
// claim, under its lease, and counts that of the others against the quota (grants_set_elsewhere).
//
// Keys: PREFIXschedulers/ID, value "1", for who is there; PREFIXtenants/TENANT/ID, values: TenantRecord. What grows is told at the next turn,
// what shrinks once in QUOTA_SHRINKS_MS. Limits: QUOTA_MAX_SCHEDULERS, QUOTA_MAX_RECORDS; what is beyond is left out. Thread: the one that
// talks to etcd; it takes the service's lock.
#ifndef COFFER_SCHEDULER_QUOTAS_H
#define COFFER_SCHEDULER_QUOTAS_H

#include "scheduler/etcd.h"
#include "scheduler/service.h"

enum { QUOTA_MAX_SCHEDULERS = 64, QUOTA_MAX_RECORDS = 16384, QUOTA_SHRINKS_MS = 1000 };

struct quotas;
struct quotas *quotas_new(struct service *service, const char *own_id); // the ID must live as long
void quotas_free(struct quotas *q);

// etcd has been read or is told of a key. `value` NULL: the key is gone. False: it is none of these.
bool quotas_take(struct quotas *q, const char *key, size_t n_key, const void *value, size_t n_value);
// Around etcd_read: what was not told in between is gone, and all has to be told to the others again.
void quotas_begin_read(struct quotas *q);
void quotas_end_read(struct quotas *q);
int quotas_tell(struct quotas *q, struct etcd *etcd, struct err *err); // what has changed here
void quotas_forget(struct quotas *q);                                  // the others: nobody has told of them for too long

#endif
