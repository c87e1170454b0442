#include "worker/access.h"

#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"

#include <openssl/sha.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REMEMBERED = 4096, LOOK_AGAIN_S = 1 };

// A key set that is in use stays until nobody uses it.
struct shared_keys {
	atomic_uint refs;
	struct jwks set;
};

struct access {
	struct access_config config;
	pthread_mutex_t lock;
	struct shared_keys *keys;
	struct file_id file; // that the keys are from
	int64_t looked_at;   // at the file
	struct map good;     // SHA-256 of a token -> its claims
};

static void keys_unref(struct shared_keys *k)
{
	if (!k || atomic_fetch_sub(&k->refs, 1) != 1)
		return;
	jwks_release(&k->set);
	free(k);
}

static void forget_tokens(struct access *a)
{
	void *claims;
	for (size_t at = 0; map_next(&a->good, &at, NULL, NULL, &claims);)
		free(claims);
	map_release(&a->good);
	a->good = (struct map)MAP_INIT;
}

static int64_t now_s(void)
{
	return time(NULL);
}

static struct file_id id_of(const char *path)
{
	const struct file_id none = {0};
	struct stat st;
	return stat(path, &st) < 0 ? none : file_id_of(&st);
}

int access_reload(struct access *a, struct err *err)
{
	if (a->config.is_open)
		return 0;
	struct shared_keys *k = mem_alloc(sizeof *k);
	atomic_init(&k->refs, 1);
	// Before it is read: a change in between is seen the next time.
	struct file_id id = id_of(a->config.jwks);
	int rc = jwks_read(a->config.jwks, &k->set, err);
	pthread_mutex_lock(&a->lock);
	a->file = id;
	a->looked_at = now_s();
	if (rc == 0) {
		struct shared_keys *old = a->keys;
		a->keys = k;
		k = old;
		forget_tokens(a);
	}
	pthread_mutex_unlock(&a->lock);
	if (rc < 0)
		free(TAKE(k));
	keys_unref(k);
	return rc;
}

int access_new(const struct access_config *config, struct access **access, struct err *err)
{
	struct access *a = mem_alloc(sizeof *a);
	a->config = *config;
	pthread_mutex_init(&a->lock, NULL);
	*access = a;
	if (access_reload(a, err) == 0)
		return 0;
	access_free(a);
	*access = NULL;
	return -1;
}

void access_free(struct access *a)
{
	if (!a)
		return;
	forget_tokens(a);
	keys_unref(a->keys);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

static void look_at_file(struct access *a)
{
	pthread_mutex_lock(&a->lock);
	bool is_due = now_s() - a->looked_at >= LOOK_AGAIN_S;
	if (is_due)
		a->looked_at = now_s();
	struct file_id known = a->file;
	pthread_mutex_unlock(&a->lock);
	if (!is_due)
		return;
	struct file_id id = id_of(a->config.jwks);
	struct err err = ERR_INIT;
	if (file_id_equal(&id, &known))
		return;
	if (access_reload(a, &err) < 0)
		log_event(LOG_LEVEL_ERROR, "keys of tokens not read again, the old ones stay", LOG_TEXT("why", err.text));
	else
		log_event(LOG_LEVEL_INFO, "keys of tokens read again");
}

// ---- tokens ---------------------------------------------------------------------------------------------------------

static bool is_remembered(struct access *a, const uint8_t id[32], struct token_claims *claims)
{
	int64_t now = now_s();
	pthread_mutex_lock(&a->lock);
	struct token_claims *known = map_get(&a->good, id, 32);
	bool is_good = known && now <= known->expires && now >= known->not_before;
	if (is_good)
		*claims = *known;
	else if (known)
		free(map_del(&a->good, id, 32));
	pthread_mutex_unlock(&a->lock);
	return is_good;
}

// Unless the keys have changed since it was checked.
static void remember(struct access *a, const uint8_t id[32], const struct token_claims *claims,
		     const struct shared_keys *keys)
{
	pthread_mutex_lock(&a->lock);
	if (a->good.n >= REMEMBERED)
		forget_tokens(a);
	if (keys == a->keys) {
		struct token_claims *copy = mem_alloc(sizeof *copy);
		*copy = *claims;
		free(map_put(&a->good, id, 32, copy));
	}
	pthread_mutex_unlock(&a->lock);
}

static struct shared_keys *present_keys(struct access *a)
{
	pthread_mutex_lock(&a->lock);
	struct shared_keys *k = a->keys;
	atomic_fetch_add(&k->refs, 1);
	pthread_mutex_unlock(&a->lock);
	return k;
}

int access_check(struct access *a, const char *authorization, struct token_claims *claims, struct err *err)
{
	if (a->config.is_open) {
		*claims = (struct token_claims){.use = TOKEN_ROUTE, .tenant = "local", .isolation = a->config.isolation};
		return 0;
	}
	const char *text = authorization ? token_of_header(authorization) : NULL;
	if (!text)
		return err_set(err, ERR_ACCESS, "show the token of a route");
	uint8_t id[32];
	look_at_file(a);
	SHA256((const uint8_t *)text, strlen(text), id);
	if (is_remembered(a, id, claims))
		return 0;
	struct token_expected expected = {
		.use = TOKEN_ROUTE, .worker = a->config.worker, .isolation = a->config.isolation, .now = now_s()};
	struct shared_keys *keys = present_keys(a);
	int rc = token_check(&keys->set, text, &expected, claims, err);
	if (rc == 0)
		remember(a, id, claims, keys);
	keys_unref(keys);
	return rc;
}

int access_check_image(const struct access *a, const struct token_claims *claims, const char *image, struct err *err)
{
	if (a->config.is_open || strcmp(claims->image, image) == 0)
		return 0;
	return err_set(err, ERR_ACCESS, "the token is for another image");
}
