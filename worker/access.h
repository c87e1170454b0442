// Who may have a job done here: the check of a route's token, which the scheduler has signed.
//
// A token names one tenant, one image and one worker, a least isolation, and ends after minutes. The key set is read again
// when its file changes, so that a key can be taken back without a restart; a set that is bad is not taken, and the old one
// stays. Tokens that were found good are remembered by their SHA-256 until they end or the keys change, as checking a
// signature costs more than a hit. Thread: any.
#ifndef COFFER_WORKER_ACCESS_H
#define COFFER_WORKER_ACCESS_H

#include "auth/token.h"

struct access_config {
	const char *jwks;   // the file
	const char *worker; // our name
	int isolation;      // what we offer
	bool is_open;       // nobody shows anything, and all are the tenant "local"
};

struct access;
// ERR_FORMAT, ...: the key set can't be read.
int access_new(const struct access_config *config, struct access **access, struct err *err);
void access_free(struct access *a);
// Reads the key set again now, whatever its file looks like.
int access_reload(struct access *a, struct err *err);
// `authorization` may be NULL. ERR_ACCESS.
int access_check(struct access *a, const char *authorization, struct token_claims *claims, struct err *err);
// Whether a job of the claims may use that image. ERR_ACCESS.
int access_check_image(const struct access *a, const struct token_claims *claims, const char *image, struct err *err);

#endif
