// The bytes of the lease protocol. Built into libcoffer-gate.so, too, so that it needs nothing else.
#include "jobserver/client/lease.h"

#include <string.h>

// "cofj" and the protocol's version; another version changes the last byte.
static const uint8_t magic[5] = {'c', 'o', 'f', 'j', 1};

void lease_put_number(uint8_t out[4], uint32_t n)
{
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t)(n >> (8 * i));
}

uint32_t lease_get_number(const uint8_t in[4])
{
	uint32_t n = 0;
	for (int i = 0; i < 4; i++)
		n |= (uint32_t)in[i] << (8 * i);
	return n;
}

void lease_put_hello(uint8_t out[LEASE_HELLO_SIZE], const struct lease_hello *h)
{
	memcpy(out, magic, sizeof magic);
	out[5] = (uint8_t)h->role;
	out[6] = h->flags;
	out[7] = h->limit_s;
	lease_put_number(out + 8, h->slot);
}

bool lease_get_hello(struct lease_hello *h, const uint8_t in[LEASE_HELLO_SIZE])
{
	if (memcmp(in, magic, sizeof magic) != 0 || !in[5] || !strchr("slxgqtc", in[5]))
		return false;
	*h = (struct lease_hello){.role = in[5], .flags = in[6], .limit_s = in[7], .slot = lease_get_number(in + 8)};
	return true;
}
