// What names a result: SHA-256 over everything that it depends on. Computed by the worker alone, over what it has itself
// received and found; nothing that a client claims goes into a key under which something is stored.
//
// The bytes that are hashed: each field as a little-endian 32-bit length and its bytes, in this order:
// "coffer key 1", scope (the tenant), toolchain identity, the compiler's name, language, suffix, output name, the wanted outputs
// (a byte for each kind, ascending), the number of arguments (as text), each argument, source digest (32 bytes).
// Of a compile of the user's own text: "coffer tree key 1", scope, toolchain identity, the compiler's name, directory, the number of
// variables (as text), each variable, the number of outputs, each output's kind (as text) and name, the number of arguments, each
// argument, the listing's digest (32 bytes).
// A worker keeps these bytes of a tree's key, by the key, which is their digest: with a row of the audit log that has the key they say
// what was asked for (worker/tree_request.h). Thread: any.
#ifndef COFFER_WORKER_KEY_H
#define COFFER_WORKER_KEY_H

#include "base/buf.h"

#include "proto/coffer.pb-c.h"

#include <stdint.h>

struct key {
	uint8_t b[32];
};
#define KEY_HEX 65

struct key key_of(const char *scope, const char *identity, const Coffer__V1__CompileHeader *h, const uint8_t source[32]);
#define KEY_TREE "coffer tree key 1"
void key_add_tree(struct buf *bytes, const char *scope, const char *identity, const Coffer__V1__CompileHeader *h,
		  const uint8_t listing[32]); // the bytes of key_of_tree
struct key key_of_tree(const char *scope, const char *identity, const Coffer__V1__CompileHeader *h,
		       const uint8_t listing[32]);
// The key under which a different second result is kept.
struct key key_aside(const struct key *key);
void key_hex(const struct key *key, char out[KEY_HEX]);

#endif
