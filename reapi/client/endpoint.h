// A server of the Remote Execution API that we call: where it is, as whom, and what it can do.
//
// Its place is a URL, grpcs://HOST[:PORT][/INSTANCE] (TLS, port 443) or grpc://HOST[:PORT][/INSTANCE] (plain text, port 80). What it
// wants to see of us is never part of it. One connection is used by all threads and made again when it is lost. Thread: any.
#ifndef COFFER_REAPI_CLIENT_ENDPOINT_H
#define COFFER_REAPI_CLIENT_ENDPOINT_H

#include "reapi/client/answers.h"
#include "remote/rpc.h"

enum { ENDPOINT_HEADERS = 8 };

struct endpoint_config {
	const char *url;
	const char *ca;                        // PEM; NULL: the system's
	const char *certificate, *key;         // ours, for servers that want one; NULL: none
	const char *token;                     // "authorization: Bearer …"; NULL: none
	const char *headers[ENDPOINT_HEADERS]; // "name: value", up to the first NULL
};

struct endpoint;
// Calls nobody. ERR_USAGE: the URL is none, or secrets would go over a network in plain text; ERR_ACCESS, ERR_NOT_FOUND, ERR_FORMAT:
// the files of certificates.
int endpoint_open(const struct endpoint_config *config, struct endpoint **out, struct err *err);
void endpoint_close(struct endpoint *e); // after every call has returned; NULL is fine

const char *endpoint_instance(const struct endpoint *e); // ""
// What it says that it can do, asked once.
int endpoint_limits(struct endpoint *e, int64_t until_ms, struct reapi_limits *limits, struct err *err);

// A call with one message each way: the answer's bytes, in `answer`. 1, 0: the server says NOT_FOUND, -1: ERR_TIMEOUT, ERR_ACCESS,
// ERR_PEER (also where it makes nothing of what we ask). Tried once more where the server has not begun it.
int endpoint_ask(struct endpoint *e, const char *path, const ProtobufCMessage *request, int64_t until_ms, struct buf *answer,
		 struct err *err);
// A call of streams, to be released by whoever asked for it.
int endpoint_start(struct endpoint *e, const char *path, int64_t until_ms, struct rpc_call **call, struct err *err);
// What a call that has failed makes of an error: 0: NOT_FOUND, else -1 with the code as above.
int endpoint_failed(struct rpc_call *call, struct err *err);

#endif
