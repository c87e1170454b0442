// Messages of the Remote Execution API out of bytes that somebody else has made. Thread: any.
#ifndef COFFER_REAPI_MESSAGE_H
#define COFFER_REAPI_MESSAGE_H

#include "base/buf.h"

#include <protobuf-c/protobuf-c.h>

// A few bytes of a message become a hundred in memory: no more parts than this, in all depths.
enum { REAPI_MAX_PARTS = 400000 };

// How many bytes of memory the message takes at most once it is unpacked; nothing is unpacked for that. ERR_FORMAT; ERR_LIMIT: more
// than REAPI_MAX_PARTS.
int reapi_measure(const ProtobufCMessageDescriptor *descriptor, const void *p, size_t n, uint64_t *bytes, struct err *err);
// *message is to be freed with protobuf_c_message_free_unpacked. Errors as those of reapi_measure.
int reapi_unpack(const ProtobufCMessageDescriptor *descriptor, const void *p, size_t n, void *message, struct err *err);
// The same for what is named by its digest, where each text must mean one thing: what the message says again must be the very same
// bytes. So fields are in order, none is there twice, and no name has a NUL in it.
int reapi_unpack_canonical(const ProtobufCMessageDescriptor *descriptor, const void *p, size_t n, void *message,
			   struct err *err);
// One text of a message that is not unpacked yet: the field of that name, "" if it is not there. `room` bytes, with the final '\0'.
// ERR_FORMAT: no message, or the text is longer or has a NUL in it.
int reapi_peek_text(const ProtobufCMessageDescriptor *descriptor, const char *field, const void *p, size_t n, char *text,
		    size_t room, struct err *err);
void reapi_pack(const ProtobufCMessage *message, struct buf *out); // adds to `out`

#endif
