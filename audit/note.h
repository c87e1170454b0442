// Signed notes and checkpoints (C2SP signed-note and tlog-checkpoint): the text that says "the log of this origin has this many
// rows and this root", signed with Ed25519. Anybody who keeps one can later show that a row was left out or changed.
//
//   ORIGIN \n SIZE \n BASE64(ROOT) \n \n — ORIGIN BASE64(4 bytes of key id, 64 bytes of signature) \n
//
// A verifier key is one line, ORIGIN+HEX(key id)+BASE64(0x01, 32 bytes of public key). Thread: any.
#ifndef COFFER_AUDIT_NOTE_H
#define COFFER_AUDIT_NOTE_H

#include "audit/merkle.h"
#include "base/buf.h"

enum { NOTE_MAX = 4096, NOTE_ORIGIN_MAX = 128, NOTE_KEY_MAX = 256 };

struct checkpoint {
	char origin[NOTE_ORIGIN_MAX + 1];
	uint64_t size;
	struct merkle_hash root;
};

// The private key, PEM of mode 0600. `make`: one is made where there is none.
struct note_signer;
int note_signer_open(const char *path, const char *origin, bool make, struct note_signer **signer, struct err *err);
void note_signer_free(struct note_signer *signer);
const char *note_signer_verifier(const struct note_signer *signer); // its verifier key
int note_sign_bytes(const struct note_signer *signer, const void *p, size_t n, uint8_t sig[64], struct err *err);
int note_sign(const struct note_signer *signer, const struct checkpoint *c, struct buf *note, struct err *err);

// Parses a note and checks its signature by the verifier key; `verifier` NULL: only parses. ERR_FORMAT; ERR_ACCESS: the
// signature is not one by that key.
int note_open(const char *text, size_t n, const char *verifier, struct checkpoint *c, struct err *err);
// For DSSE as well: whether `sig` is the key's signature over these bytes.
bool note_verify(const char *verifier, const void *p, size_t n, const uint8_t sig[64]);

enum { BASE64_MAX = 1 << 20 };                                   // of a text that is decoded
void base64_encode(struct buf *out, const void *p, size_t n);    // with padding (RFC 4648 section 4)
bool base64_decode(struct buf *out, const char *text, size_t n); // strictly; false: it is not base64
bool note_is_origin(const char *text);                           // 1 to 128 of A-Z a-z 0-9 . _ - / :

#endif
