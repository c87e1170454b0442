// The words of gRPC over HTTP/2: codes, timeouts, status texts (grpc/doc/PROTOCOL-HTTP2.md). Thread: any.
#ifndef COFFER_REMOTE_GRPC_H
#define COFFER_REMOTE_GRPC_H

#include "base/buf.h"
#include "remote/rpc.h"

enum rpc_code grpc_code_of_http(int status);        // where a reply has no grpc-status (http-grpc-status-mapping.md)
enum rpc_code grpc_code_of_reset(uint32_t h2_code); // of an RST_STREAM without trailers
enum rpc_code grpc_code_parse(const char *text);    // the value of grpc-status; what is no known number is RPC_UNKNOWN
enum err_code grpc_err_of_code(enum rpc_code code);

// grpc-message: everything outside of ' '..'~', and '%', is written as %XX.
void grpc_message_encode(struct buf *out, const char *text);
// Never fails: what is no %XX stays as it is. A NUL becomes '?'. To free().
char *grpc_message_decode(const char *value);

#define GRPC_TIMEOUT_MAX 16
// "250m", "3600S": at most 8 digits, rounded up.
void grpc_timeout_format(char out[GRPC_TIMEOUT_MAX], uint32_t ms);
// -1 for what is no timeout. Times past 2^31 ms are that.
int grpc_timeout_parse(const char *value, uint32_t *ms);

#define GRPC_CONTENT_TYPE "application/grpc"
bool grpc_is_content_type(const char *value); // also with "+proto" or ";…" after it

// Names of encodings. `accepted` is a set of bits (1 << enum rpc_encoding), always with RPC_IDENTITY.
const char *grpc_encoding_name(enum rpc_encoding e);
int grpc_encoding_parse(const char *name, enum rpc_encoding *e); // -1: unknown
unsigned grpc_accept_parse(const char *value);                   // NULL: only identity
#define GRPC_ACCEPT_ENCODING "identity,gzip,zstd"

#endif
