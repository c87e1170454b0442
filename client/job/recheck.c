#include "client/job/recheck.h"
#include "client/job/deliver.h"

#include <stdatomic.h>
#include <string.h>

bool recheck_is_due(const struct settings *config)
{
	static atomic_uint_fast64_t hits;
	uint64_t percent = (uint64_t)setting_number(config, SETTING_recompile_check);
	if (!percent)
		return false;
	uint64_t n = atomic_fetch_add(&hits, 1);
	return n * percent / 100 != (n + 1) * percent / 100;
}

const char *recheck_compare(const struct plan *p, const struct buf *stored, const struct buf parts[PART_COUNT],
			    const bool has[PART_COUNT])
{
	const void *data[PART_COUNT] = {0};
	size_t size[PART_COUNT] = {0};
	if (deliver_read_parts(stored, data, size, NULL) < 0)
		return "the stored result";
	for (enum part part = 0; part < PART_COUNT; part++) {
		bool same = has[part] == (data[part] != NULL) && parts[part].len == size[part] &&
			    (!size[part] || memcmp(parts[part].data, data[part], size[part]) == 0);
		if (!same)
			return part_is_message(part) ? "the messages" : plan_output_name(p, part);
	}
	return NULL;
}
