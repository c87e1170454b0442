// What a registry wants to see: the header WWW-Authenticate (RFC 9110, 11.6.1), and the answer of a token server
// (distribution spec, "Token authentication"). From anybody: lengths are bounded. Thread: any.
#ifndef COFFER_IMAGE_REGISTRY_CHALLENGE_H
#define COFFER_IMAGE_REGISTRY_CHALLENGE_H

#include "base/err.h"

#include <stddef.h>

enum { CHALLENGE_REALM = 1024, CHALLENGE_SERVICE = 256, TOKEN_MOST = 16384 };

enum challenge_kind { CHALLENGE_NONE, CHALLENGE_BASIC, CHALLENGE_BEARER };
struct challenge {
	enum challenge_kind kind;
	char realm[CHALLENGE_REALM]; // CHALLENGE_BEARER: the token server's URL
	char service[CHALLENGE_SERVICE];
};

// Of several challenges Bearer counts, else Basic; CHALLENGE_NONE where there is neither. ERR_FORMAT.
int challenge_parse(const char *header, struct challenge *c, struct err *err);
// The token of such an answer, to be freed: printable and without blanks, so that it can be a header's value. ERR_FORMAT.
int challenge_parse_token(const char *json, size_t n, char **token, struct err *err);

#endif
