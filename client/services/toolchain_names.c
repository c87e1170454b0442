#include "client/services/toolchain_names.h"

#include "base/map.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>

enum { NAMES_MAX = 4000 };

struct toolchain_names {
	struct contents *contents;
	pthread_mutex_t lock;
	struct map known; // the local digest -> struct sha256
};

struct toolchain_names *toolchain_names_new(struct contents *contents)
{
	struct toolchain_names *names = mem_alloc(sizeof *names);
	names->contents = contents;
	pthread_mutex_init(&names->lock, NULL);
	return names;
}

struct naming {
	struct contents *contents;
	struct buf text;
	struct err *err;
};

static int add_file(struct naming *n, const char *path, const struct digest *digest)
{
	struct sha256 sha256;
	struct digest now;
	if (contents_find(n->contents, AT_FDCWD, path, &sha256, &now, n->err) < 0)
		return -1;
	if (!digest_equal(&now, digest))
		return err_set(n->err, ERR_FORMAT, "'%s' has changed", path);
	buf_add(&n->text, sha256.b, sizeof sha256.b);
	return 0;
}

static int add_finding(void *arg, const struct finding *found, const char *below)
{
	struct naming *n = arg;
	buf_add_u8(&n->text, below != NULL);
	buf_add_str(&n->text, below ? below : found->path);
	buf_add_u32(&n->text, (uint32_t)found->kind);
	if (found->kind == FOUND_CONTENT)
		return add_file(n, found->path, &found->digest);
	buf_add(&n->text, found->digest.b, sizeof found->digest.b);
	return 0;
}

static int name(struct naming *n, const struct named_toolchain *t)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	size_t count;
	const struct compiler_part *parts = compiler_parts(t->compiler, &a, &count);
	buf_add_str(&n->text, "coffer shared toolchain 1");
	buf_add_str(&n->text, t->compiler->name);
	buf_add_str(&n->text, t->compiler->description);
	buf_add_u32(&n->text, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		buf_add_str(&n->text, parts[i].path);
		if (add_file(n, parts[i].path, &parts[i].digest) < 0)
			return -1;
	}
	buf_add_u8(&n->text, t->view != NULL);
	return t->view ? findings_each(view_findings(t->view), t->root, t->root_real, add_finding, n) : 0;
}

int toolchain_names_find(struct toolchain_names *names, const struct named_toolchain *t, struct sha256 *out, struct err *err)
{
	pthread_mutex_lock(&names->lock);
	const struct sha256 *there = map_get(&names->known, t->local, sizeof *t->local);
	int rc = 0;
	if (there) {
		*out = *there;
	} else {
		struct naming n = {names->contents, BUF_INIT, err};
		rc = name(&n, t);
		if (rc == 0 && names->known.n < NAMES_MAX) {
			struct sha256 *fresh = mem_alloc(sizeof *fresh);
			*fresh = sha256_of(n.text.data, n.text.len);
			map_put(&names->known, t->local, sizeof *t->local, fresh);
		}
		if (rc == 0)
			*out = sha256_of(n.text.data, n.text.len);
		buf_release(&n.text);
	}
	pthread_mutex_unlock(&names->lock);
	return rc;
}
