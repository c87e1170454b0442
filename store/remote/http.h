// HTTP calls through libcurl: blocking, from any thread, over connections that stay open between calls.
#ifndef COFFER_STORE_REMOTE_HTTP_H
#define COFFER_STORE_REMOTE_HTTP_H

#include "base/buf.h"

#include <stdint.h>

enum { HTTP_HEADERS = 8, HTTP_WORDS = 400, HTTP_VALUE = 4096 };

// A header of an answer. Several of that name are one, with commas between them (RFC 9110, 5.2).
struct http_header {
	const char *name;
	char value[HTTP_VALUE]; // filled in; "": it was not there, or is longer
};

struct http;
// `ca`: a PEM file, or NULL for the system's. TLS certificates are always checked, redirects never followed.
struct http *http_new(const char *ca);
void http_free(struct http *h); // after every call has returned

struct http_call {
	const char *method; // GET, HEAD, PUT, POST, DELETE or PROPFIND
	const char *url;
	const char *headers[HTTP_HEADERS]; // "Name: value", up to the first NULL
	const char *user, *password;       // basic authentication, or the keys of `sigv4`
	const char *sigv4;                 // "aws:amz:REGION:s3": signs
	const void *body;
	size_t n_body;
	size_t max;      // the longest body that is taken
	struct buf *out; // gets it if the status is 200 or 207; may be NULL
	// Gets the body of a 200 instead of `out`, piece by piece as it comes, also of calls that fail later. Not 0: it takes no more,
	// and the call fails with ERR_IO.
	int (*sink)(void *ctx, const void *p, size_t n);
	void *sink_ctx;
	struct http_header *wanted; // of the answer
	size_t n_wanted;
	int64_t idle_ms; // with hardly a byte for so long the call fails with ERR_TIMEOUT; 0: there is only until_ms
	int64_t until_ms;
	long status;            // filled in
	char words[HTTP_WORDS]; // filled in: the beginning of the body of any other answer
};
// 0 with a status, or -1: ERR_TIMEOUT, ERR_LIMIT, ERR_ACCESS (the server's certificate), ERR_PEER. `out` has whole bodies only.
int http_call(struct http *h, struct http_call *c, struct err *err);
// The same, tried again a few times on 429 and 5xx, and on lost connections, as long as there is time: for what nobody waits for.
int http_call_again(struct http *h, struct http_call *c, struct err *err);
// What a status that is none of those expected means: ERR_ACCESS for 401 and 403, else ERR_PEER.
int http_unexpected(const struct http_call *c, struct err *err);

#endif
