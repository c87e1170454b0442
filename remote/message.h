// Messages on their way: DATA frames into messages, and messages into pieces that wait to be sent. A message is one byte of
// flags, four of length (big-endian) and its bytes; frames cut it anywhere.
#ifndef COFFER_REMOTE_MESSAGE_H
#define COFFER_REMOTE_MESSAGE_H

#include "base/buf.h"

#define MESSAGE_PREFIX 5

// One that has arrived, in a list.
struct message {
	struct message *next;
	size_t len;
	bool is_compressed;
	char data[];
};
static inline size_t message_wire_size(const struct message *m)
{
	return m->len + MESSAGE_PREFIX;
}
void messages_free(struct message *list);

// Takes pieces of DATA in, and has whole messages out. At the beginning only max_len is set.
struct deframer {
	size_t max_len; // of one message on the wire
	uint8_t prefix[MESSAGE_PREFIX];
	unsigned prefix_len;
	struct message *partial; // grows as its bytes arrive, not as its prefix claims
	size_t want, cap;
};
// Puts whole messages at *tail and moves it. ERR_LIMIT: one is too long; ERR_FORMAT: flags that gRPC does not know.
int deframe(struct deframer *d, const uint8_t *p, size_t n, struct message ***tail, struct err *err);
bool deframer_is_between(const struct deframer *d); // no piece of a message waits for its rest
void deframer_release(struct deframer *d);

// One that is to be sent, with its prefix; in a queue.
struct chunk {
	struct chunk *next;
	size_t len, sent;
	char data[];
};
struct chunk *chunk_new(size_t payload, bool is_compressed); // the payload is to be written at data + MESSAGE_PREFIX

#endif
