// base64url without padding (RFC 4648 section 5, RFC 7515 appendix C), strictly: one text for each sequence of bytes.
// Thread: any.
#ifndef COFFER_AUTH_BASE64_H
#define COFFER_AUTH_BASE64_H

#include "base/buf.h"

void base64url_encode(struct buf *out, const void *p, size_t n);
// Adds the bytes. False: n characters are not base64url, or not as base64url_encode() would write them.
bool base64url_decode(struct buf *out, const char *text, size_t n);

#endif
