#include "scheduler/tokens.h"

#include "base/map.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

struct kept {
	int64_t signed_s;
	char *text;
};

struct tokens {
	struct map all;
};

struct tokens *tokens_new(void)
{
	return mem_alloc(sizeof(struct tokens));
}

static void kept_free(struct kept *k)
{
	if (!k)
		return;
	free(k->text);
	free(k);
}

void tokens_forget(struct tokens *t)
{
	void *value;
	for (size_t at = 0; map_next(&t->all, &at, NULL, NULL, &value);)
		kept_free(value);
	map_release(&t->all);
	t->all = (struct map)MAP_INIT;
}

void tokens_free(struct tokens *t)
{
	if (!t)
		return;
	tokens_forget(t);
	free(t);
}

int tokens_get(struct tokens *t, const struct token_signer *signer, const struct token_claims *claims, int64_t now_s,
	       int64_t lifetime_s, const char **text, struct err *err)
{
	char key[3 * TOKEN_NAME_MAX + TOKEN_IMAGE_MAX + 40];
	int n = snprintf(key, sizeof key, "%s %s %s %d %u", claims->worker, claims->tenant, claims->image, claims->isolation,
			 claims->slots);
	struct kept *k = map_get(&t->all, key, (size_t)n);
	if (k && now_s >= k->signed_s && now_s - k->signed_s <= lifetime_s / 4) {
		*text = k->text;
		return 0;
	}
	struct token_claims c = *claims;
	char *made;
	c.not_before = now_s;
	c.expires = now_s + lifetime_s;
	if (token_make(signer, &c, &made, err) < 0)
		return -1;
	if (!k && t->all.n >= TOKENS_MAX)
		tokens_forget(t);
	k = mem_alloc(sizeof *k);
	*k = (struct kept){now_s, made};
	kept_free(map_put(&t->all, key, (size_t)n, k));
	*text = made;
	return 0;
}
