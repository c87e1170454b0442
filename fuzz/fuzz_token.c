// Tokens and key sets from outside. Nothing passes that the key has not signed.
#include "auth/token.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The example of RFC 7517, appendix A.1.
static const char keys_text[] = "{\"keys\": [{\"kty\": \"EC\", \"crv\": \"P-256\", \"kid\": \"k\", \"x\": "
				"\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\", "
				"\"y\": \"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"}]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct jwks keys;
	if (!keys.n && jwks_parse(keys_text, sizeof keys_text - 1, &keys, NULL) < 0)
		abort();
	AUTO_FREE char *text = mem_strndup((const char *)data, size);
	struct token_expected route = {.use = TOKEN_ROUTE, .worker = "w1", .isolation = 3, .now = 1800000000};
	struct token_expected registers = {.use = TOKEN_REGISTER, .now = 1800000000};
	struct token_user_expected user_expected = {"https://id.example", "coffer", "sub", 1800000000};
	struct token_claims claims;
	struct token_user user;
	if (token_check(&keys, text, &route, &claims, NULL) == 0 ||
	    token_check(&keys, text, &registers, &claims, NULL) == 0 ||
	    token_check_user(&keys, text, &user_expected, &user, NULL) == 0)
		abort();
	free(token_show(text));
	free(token_audience(text));
	token_of_header(text);
	struct jwks set;
	if (jwks_parse((const char *)data, size, &set, NULL) == 0) {
		if (set.n == 0 || set.n > JWKS_MAX_KEYS)
			abort();
		jwks_release(&set);
	}
	return 0;
}
