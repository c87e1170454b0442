// DSSE envelopes (secure-systems-lab/dsse, protocol 1.0.2): a payload and its signature over "DSSEv1 TYPE-LENGTH TYPE LENGTH PAYLOAD".
// The key is an audit log's (note.h). No checkpoint can be taken for such a text: an origin has no blank. Thread: any.
#ifndef COFFER_AUDIT_DSSE_H
#define COFFER_AUDIT_DSSE_H

#include "audit/note.h"

// Of an envelope, and of the payload that it has room for beside type, key and signature.
enum { DSSE_MAX = 1 << 20, DSSE_PAYLOAD_MAX = (DSSE_MAX - 1024) / 4 * 3 };

// ERR_LIMIT: nobody could open it.
int dsse_sign(const struct note_signer *signer, const char *type, const struct buf *payload, struct buf *envelope,
	      struct err *err);
// Adds the payload, if one of the signatures is the key's. ERR_FORMAT: it is no envelope of that type; ERR_ACCESS: the key has
// not signed it.
int dsse_open(const char *text, size_t n, const char *type, const char *verifier, struct buf *payload, struct err *err);

#endif
