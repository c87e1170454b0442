#include "client/job/precompiled.h"

#include "base/path.h"

#include <string.h>

bool precompiled_by_name(const char *path)
{
	const char *suffix = path_ext(path);
	return strcmp(suffix, ".gch") == 0 || strcmp(suffix, ".pch") == 0;
}

// Under this key the manifests keep which files went into it.
static struct digest key_of(const struct plan *p, const struct digest *digest)
{
	AUTO_HASHER struct hasher h;
	hasher_init(&h);
	hasher_str(&h, "coffer precompiled 1");
	hasher_str(&h, plan_canonical_path(p, p->cwd)); // its names are relative to that
	hasher_digest(&h, digest);
	return hasher_end(&h);
}

void precompiled_keep(const struct plan *p, const struct manifest_entry *e, const struct buf *bytes)
{
	struct digest digest = digest_of(bytes->data ? bytes->data : "", bytes->len);
	struct digest key = key_of(p, &digest);
	manifests_add(p->services->manifests, &key, e, 1, NULL);
}

// A precompiled header, with the files that went into it: these are known if it was made here, and must not have changed
// since. False: a refusal is set.
bool precompiled_add(struct inputs *in, const char *path)
{
	const struct plan *p = in->plan;
	struct digest digest, key;
	struct err err = ERR_INIT;
	if (files_digest(p->services->files, p->cwd_fd, path, &digest, NULL, &err) < 0) {
		in->refusal = refuse(REASON_precompiled_header_used, path);
		return false;
	}
	key = key_of(p, &digest);
	struct manifest *made = manifests_get(p->services->manifests, &key);
	if (!made || !made->n_entries)
		in->refusal = refuse(REASON_precompiled_header_used, path);
	inputs_add(in, path, INPUT_NO_CODE | INPUT_BINARY);
	for (uint32_t i = 0; !is_refused(in->refusal) && i < made->entries[0].n_inputs; i++) {
		const struct manifest_input *of = &made->entries[0].inputs[i];
		const char *name = arena_strdup(p->arena, plan_real_path(p, p->arena, of->name));
		inputs_add(in, name, of->flags & ~(uint32_t)INPUT_IN_DEPFILE);
		const struct input *now = inputs_find_one(in, name);
		if (!is_refused(in->refusal) && (!now || !digest_equal(&now->facts.digest, &of->digest)))
			in->refusal = refuse(REASON_input_changed, name);
	}
	manifest_unref(made);
	return !is_refused(in->refusal);
}
