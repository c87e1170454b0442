#include "client/verbs/explain_known.h"

#include "base/path.h"
#include "client/job/variants.h"
#include "client/verbs/format.h"
#include "client/verbs/history.h"
#include "client/verbs/verbs.h"

#include <stdlib.h>
#include <string.h>

// ---- the miss -------------------------------------------------------------------------------------------------------

// The entry of the very result, in the manifest under the compile's key.
static bool find_entry(struct known_miss *k, struct store *disk)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	struct digest result;
	if (!digest_parse(record_text(k->miss, "result"), &result) ||
	    store_get(disk, STORE_MANIFEST, &k->key, &bytes, NULL) != 1)
		return false;
	k->manifest = manifest_decode(&k->key, bytes.data, bytes.len, NULL);
	for (uint32_t i = 0; k->manifest && i < k->manifest->n_entries && !k->ours; i++)
		if (digest_equal(&k->manifest->entries[i].result, &result))
			k->ours = &k->manifest->entries[i];
	return k->ours != NULL;
}

// The source's name in the manifest, where that is below the tree, tells which one it was. Another input may end alike, but is shorter.
static void find_root(struct known_miss *k)
{
	const char *source = record_text(k->miss, "source");
	size_t n = strlen(source), longest = 0;
	for (uint32_t i = 0; i < k->ours->n_inputs; i++) {
		const char *name = k->ours->inputs[i].name, *tail = name + 1;
		size_t len = strlen(tail);
		if (name[0] != PATH_TREE || len <= longest || len + 1 >= n || source[n - len - 1] != '/' ||
		    strcmp(source + n - len, tail) != 0)
			continue;
		longest = len;
		k->root = arena_strndup(k->arena, source, n - len - 1);
	}
	AUTO_FREE char *real = k->root ? realpath(k->root, NULL) : NULL;
	k->root_real = real ? arena_strdup(k->arena, real) : k->root;
}

bool known_miss_find(struct known_miss *k, struct arena *a, struct store *disk, const json_t *miss)
{
	*k = (struct known_miss){.arena = a, .miss = miss};
	if (disk && digest_parse(record_text(miss, "unit"), &k->unit) && digest_parse(record_text(miss, "key"), &k->key) &&
	    variants_find(disk, &k->unit, &k->key, a, &k->words) && find_entry(k, disk)) {
		find_root(k);
		return true;
	}
	known_miss_release(k);
	return false;
}

void known_miss_release(struct known_miss *k)
{
	manifest_unref(k->manifest);
	k->manifest = NULL;
}

const char *known_miss_path(const struct known_miss *k, const char *name)
{
	const char *root = name[0] == PATH_TREE ? k->root : name[0] == PATH_TREE_REAL ? k->root_real : "";
	if (!root)
		return NULL;
	return root[0] ? path_join(k->arena, root, name + 1) : path_join(k->arena, record_text(k->miss, "cwd"), name);
}

const char *known_miss_shown(const struct known_miss *k, const char *name)
{
	const char *path = known_miss_path(k, name);
	return path ? path : arena_strdup(k->arena, name + 1);
}

const struct manifest_input *known_input(const struct manifest_entry *e, const char *name, uint32_t *at)
{
	for (*at = 0; *at < e->n_inputs; ++*at)
		if (strcmp(e->inputs[*at].name, name) == 0)
			return &e->inputs[*at];
	return NULL;
}

// ---- the answer -----------------------------------------------------------------------------------------------------

static json_t *text_or_null(const char *text)
{
	return text ? json_text(text) : json_null();
}

static json_t *cause_json(const struct cause *cause)
{
	json_t *changes = json_array();
	for (unsigned i = 0; i < cause->n_changes; i++) {
		const struct change *x = &cause->changes[i];
		json_array_append_new(changes, json_pack("{s:o, s:o, s:o}", "name", text_or_null(x->name), "was",
							 text_or_null(x->was), "now", text_or_null(x->now)));
	}
	return json_pack("{s:s, s:i, s:o}", "kind", cause_name(cause->kind), "all", (int)cause->n_all, "changes", changes);
}

json_t *explain_told(const char *maker, int64_t made_at, const struct cause *cause)
{
	return json_pack("{s:o, s:I, s:o}", "made_by", text_or_null(maker), "made_at", (json_int_t)made_at, "cause",
			 cause_json(cause));
}

json_t *explain_why_not(const char *text)
{
	return json_pack("{s:o}", "why_not", json_text(text));
}
