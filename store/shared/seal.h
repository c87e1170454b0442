// Who wrote an entry of a shared store: a MAC under a key that all share, or an Ed25519 signature of those who may write.
//
// An action's entry is sealed over the name that it is for, the scope (a tenant) and its bytes; so nothing that was changed, cut,
// put under another name or taken from another tenant opens. Content needs no seal: its name is its SHA-256, and stands in a
// sealed entry. An entry:
//   8 bytes "cofferE1", u8 kind (0 none, 1 HMAC-SHA256, 2 Ed25519), 3 zero bytes, u32 length, the bytes, the seal (0, 32 or 64 bytes)
// sealed: "coffer shared entry 1\n", u32 length and bytes of the scope, u8 space, 32 bytes of the name, and the whole entry before
// the seal.
//
// An entry is opened by one kind of seal only, the configured one: with a key or verifiers, an entry without a seal is none.
// Thread: any; const once opened.
#ifndef COFFER_STORE_SHARED_SEAL_H
#define COFFER_STORE_SHARED_SEAL_H

#include "store/tier.h"

#define SEAL_MAX_ENTRY ((size_t)8 << 20)
#define SEAL_OVERHEAD 80 // bytes that a seal adds at most
enum { SEAL_KEY_MIN = 32, SEAL_VERIFIERS = 16 };
#define SEAL_ORIGIN "coffer-store" // of the Ed25519 keys (audit/note.h)

struct seal_config {           // names of files; "" or NULL: none
	const char *key;       // at least 32 characters that nobody guesses; others may not read it
	const char *signer;    // Ed25519, PEM: may write
	const char *verifiers; // lines of audit/note.h's verifier keys: whose entries are taken
};

struct seal;
// All empty: nothing is sealed and everything is opened. A key beside the others is ERR_USAGE.
int seal_open(const struct seal_config *config, struct seal **out, struct err *err);
void seal_free(struct seal *s);            // NULL is fine
bool seal_is_none(const struct seal *s);   // whoever can write to the store decides what is taken from it
bool seal_can_write(const struct seal *s); // has what entries are sealed with

int seal_put(const struct seal *s, const char *scope, const struct tier_name *name, const struct buf *bytes,
	     struct buf *entry, struct err *err);
// Points into the entry. ERR_FORMAT: it is none; ERR_ACCESS: its seal is not by who may write.
int seal_get(const struct seal *s, const char *scope, const struct tier_name *name, const void *entry, size_t n_entry,
	     const void **bytes, size_t *n, struct err *err);

#endif
