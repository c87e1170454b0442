// Tokens that were signed lately: the same one does for every client of a tenant that is told the same of a worker, while it is good
// for long enough. A signature takes longer than all the rest of a route. Thread: guard it yourself.
#ifndef COFFER_SCHEDULER_TOKENS_H
#define COFFER_SCHEDULER_TOKENS_H

#include "auth/token.h"

enum { TOKENS_MAX = 65536 }; // that are kept; past it all are forgotten

struct tokens;
struct tokens *tokens_new(void);
void tokens_free(struct tokens *t);
void tokens_forget(struct tokens *t); // the key is another one now
// The claims without time and id. Good for at least three quarters of lifetime_s, and for lifetime_s at most. *text is good until the
// next call.
int tokens_get(struct tokens *t, const struct token_signer *signer, const struct token_claims *claims, int64_t now_s,
	       int64_t lifetime_s, const char **text, struct err *err);

#endif
