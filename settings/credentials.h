// What we show to be let in: to a shared store, to a cluster. Read once, at the start; overwritten before the memory is given back.
#ifndef COFFER_SETTINGS_CREDENTIALS_H
#define COFFER_SETTINGS_CREDENTIALS_H

#include "base/err.h"

enum { CREDENTIALS_HEADERS = 8 };
struct credentials {                                   // NULL: not given
	char *token;                                   // Authorization: Bearer
	char *user, *password;                         // HTTP basic authentication; Redis AUTH
	char *access_key, *secret_key, *session_token; // S3
	char *certificate, *key;                       // PEM files of ours, for TLS; gRPC
	char *headers[CREDENTIALS_HEADERS];            // "name: value"; gRPC
};

// `path` "" or NULL: there are none. The file: `name = value` lines, '#' comments, at most 64 KiB; it belongs to us or to root, and
// nobody but the owner and the group may read it.
int credentials_read(const char *path, struct credentials *c, struct err *err);
// From the text of such a file.
int credentials_parse(const char *path, const char *text, struct credentials *c, struct err *err);
void credentials_release(struct credentials *c);

#endif
