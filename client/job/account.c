#include "client/job/account.h"
#include "client/job/shared_entry.h"
#include "client/job/shared_unit.h"

#include "client/farm/farm.h"

#include <stdlib.h>

enum { FORMAT = 0x31434341 }; // "ACC1"

// ---- bytes ----------------------------------------------------------------------------------------------------------

void account_encode(const char *identity, const struct variant *words, const struct manifest_entry *entry, struct buf *out)
{
	AUTO_BUF struct buf plain = BUF_INIT, manifest = BUF_INIT;
	struct manifest_entry bare = {.made_at = entry->made_at, .n_inputs = entry->n_inputs};
	bare.inputs = mem_alloc((entry->n_inputs + 1) * sizeof *bare.inputs);
	for (uint32_t i = 0; i < entry->n_inputs; i++)
		bare.inputs[i] = (struct manifest_input){.name = entry->inputs[i].name, .digest = entry->inputs[i].digest};
	manifest_encode(&bare, 1, &manifest);
	free(bare.inputs);
	buf_add_u32(&plain, FORMAT);
	buf_add_str(&plain, identity);
	variant_put(&plain, words);
	buf_add_strn(&plain, manifest.data, manifest.len);
	shared_pack(plain.data, plain.len, out);
}

static int decode_plain(const struct buf *plain, struct account_of_result *a, struct err *err)
{
	static const struct digest nobody;
	struct rd r = RD(plain->data, plain->len);
	size_t n_identity, n_manifest;
	if (rd_u32(&r) != FORMAT)
		return err_set(err, ERR_FORMAT, "an account of another format");
	const char *identity = rd_str(&r, &n_identity);
	a->identity = arena_strndup(&a->arena, identity ? identity : "", n_identity);
	variant_get(&r, &a->arena, &a->words);
	const char *manifest = rd_str(&r, &n_manifest);
	if (r.bad || rd_left(&r))
		return err_set(err, ERR_FORMAT, "an account does not parse");
	a->manifest = manifest_decode(&nobody, manifest, n_manifest, err);
	if (!a->manifest)
		return -1;
	return a->manifest->n_entries == 1 ? 0 : err_set(err, ERR_FORMAT, "an account of more than one compile");
}

int account_decode(const void *p, size_t n, struct account_of_result *a, struct err *err)
{
	AUTO_BUF struct buf plain = {.max = ACCOUNT_MAX};
	*a = (struct account_of_result){.arena = ARENA_INIT};
	if (shared_unpack_all(p, n, &plain, err) == 0 && decode_plain(&plain, a, err) == 0)
		return 0;
	account_release(a);
	return -1;
}

void account_release(struct account_of_result *a)
{
	manifest_unref(a->manifest);
	arena_release(&a->arena);
	*a = (struct account_of_result){.arena = ARENA_INIT};
}

// ---- telling --------------------------------------------------------------------------------------------------------

void account_tell(struct farm *farm, const char *worker, const char *identity, const uint8_t key[32], const struct plan *p,
		  const struct manifest_entry *entry)
{
	AUTO_BUF struct buf how = BUF_INIT;
	char maker[SHARED_UNIT_MAKER_MAX + 1];
	if (!setting_bool(p->config, SETTING_farm_explain))
		return;
	struct variant words = variant_of(p, p->arena);
	account_encode(identity, &words, entry, &how);
	if (how.len > ACCOUNT_PACKED_MAX)
		return;
	shared_maker(p->config, maker);
	const struct farm_account account = {.unit = p->unit_key.b,
					     .variant = p->manifest_key.b,
					     .key = key,
					     .maker = maker,
					     .how = how.data,
					     .n_how = how.len};
	farm_tell(farm, worker, &account);
}
