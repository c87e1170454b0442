// Who may have how much of a server's room: calls, and connections.
//
// One rule for everybody: whoever wants one more may have it while it has less than what is still free. A tenant that is alone
// gets up to a half of the calls, two greedy ones a third each, n of them 1/(n+1) each: there is always room for the next one. (Connections
// are cheaper: three times what is free.) Strangers - calls and connections for which nobody has said yet whose they are - have a
// part of their own, which is shared by the same rule between blocks of addresses (IPv4 /24, IPv6 /56); what strangers do never
// takes room from tenants. Blocks are counted in buckets, by a hash that only this process knows.
//
// A server without `stranger_calls` in its limits has no shares: one peer that is trusted may have all.
// Thread: any; it locks itself.
#ifndef COFFER_REMOTE_SHARES_H
#define COFFER_REMOTE_SHARES_H

#include "base/err.h"
#include "base/map.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { SHARE_BUCKETS = 1024, SHARE_STREAM_CALLS = 32 };

// A tenant with calls or connections here.
struct share {
	char *name;
	uint32_t calls, connections;
};

// One call's. All zero: nothing.
struct charge {
	struct share *share; // or NULL: a stranger's, of that bucket
	uint16_t bucket;
	bool is_taken;
};

// Whose a connection is.
struct owner {
	struct share *share; // NULL: a stranger's
	bool is_gone;        // the connection has ended
};

struct shares {
	pthread_mutex_t lock;
	uint32_t most_calls, most_connections; // of tenants
	uint32_t stranger_calls, stranger_connections;
	uint64_t salt[2];
	struct map tenants;
	uint32_t calls, connections; // of tenants, now
	uint32_t strange_calls, strange_connections;
	uint32_t bucket_calls[SHARE_BUCKETS], bucket_connections[SHARE_BUCKETS];
};

// stranger_calls 0: no shares.
void shares_init(struct shares *s, uint32_t calls, uint32_t stranger_calls, uint32_t connections,
		 uint32_t stranger_connections);
void shares_release(struct shares *s);
static inline bool shares_are_used(const struct shares *s)
{
	return s->stranger_calls > 0;
}
// The bucket of an address block; `n` bytes of the address: 4 or 16; 0: no address.
uint16_t shares_bucket(const struct shares *s, const void *address, size_t n);

// ---- calls --------------------------------------------------------------------------------------------------------------
// One more call on a connection that has so many already. ERR_LIMIT says whose share is used up; ERR_FULL: a stranger's, and it would
// do if another stranger's call went.
int shares_take_call(struct shares *s, const struct owner *owner, uint16_t bucket, size_t n_of_connection, struct charge *c,
		     struct err *err);
void shares_give_call(struct shares *s, struct charge *c);
// The call is that tenant's, and so is its connection if it is nobody's yet. is_trusted: the operator's own machines, which no
// tenant's share holds back. 1: the connection has become the tenant's; 0; or -1 with ERR_LIMIT.
int shares_admit(struct shares *s, const char *tenant, bool is_trusted, struct charge *c, struct owner *owner,
		 struct err *err);

// ---- connections --------------------------------------------------------------------------------------------------------
void shares_add_stranger(struct shares *s, uint16_t bucket);
void shares_remove_stranger(struct shares *s, uint16_t bucket);
bool shares_are_full(struct shares *s);          // of strangers' connections
uint16_t shares_fattest(struct shares *s);       // the bucket with most of them
uint16_t shares_fattest_calls(struct shares *s); // and of strangers' calls
void shares_close_connection(struct shares *s, struct owner *owner);

#endif
