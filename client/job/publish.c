#include "client/job/job.h"

#include "base/log.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

const char *job_output_name(const struct job *j, enum part part)
{
	switch (part) {
	case PART_OBJECT:
		return j->line.output;
	case PART_DWO:
		return j->line.dwo;
	case PART_GCNO:
		return j->line.gcno;
	case PART_SU:
		return j->line.su;
	default:
		return NULL;
	}
}

// Follows from all that the result depends on, so that the same compile has the same key wherever it ran. The names that
// must be absent or present are part of it: with __has_include two results can have the same inputs.
struct digest job_result_key(const struct job *j, const struct manifest_entry *e)
{
	AUTO_HASHER struct hasher h;
	hasher_init(&h);
	hasher_str(&h, "coffer result 2");
	hasher_digest(&h, &j->manifest_key);
	hasher_digest(&h, &e->messages_context);
	hasher_digest(&h, &e->time_context);
	hasher_digest(&h, &e->place_context);
	for (uint32_t i = 0; i < e->n_inputs; i++) {
		hasher_str(&h, e->inputs[i].name);
		hasher_digest(&h, &e->inputs[i].digest);
	}
	for (uint32_t i = 0; i < e->n_absent; i++) {
		hasher_str(&h, e->absent[i].dir);
		for (uint32_t k = 0; k < e->absent[i].n_names; k++)
			hasher_str(&h, e->absent[i].names[k]);
	}
	for (uint32_t i = 0; i < e->n_present; i++)
		hasher_str(&h, e->present[i]);
	for (uint32_t i = 0; i < e->n_links; i++)
		hasher_str(&h, e->links[i].real);
	return hasher_end(&h);
}

struct outputs {
	struct buf parts[PART_COUNT];
	bool has[PART_COUNT];
};

static void outputs_release(struct outputs *o)
{
	for (int p = 0; p < PART_COUNT; p++)
		buf_release(&o->parts[p]);
}

static enum reason read_outputs(const struct job *j, const int fds[WIRE_MAX_FDS], struct outputs *o)
{
	struct err err = ERR_INIT;
	size_t most = (size_t)config_number(j->config, SETTING_max_output);
	for (enum part p = 0; p < PART_STDOUT; p++) {
		const char *name = job_output_name(j, p);
		if (!name)
			continue;
		o->has[p] = true;
		if (file_read(j->cwd_fd, name, most, &o->parts[p], NULL, &err) < 0)
			return err.code == ERR_LIMIT ? REASON_output_too_large : REASON_output_missing;
	}
	for (int i = 0; i < 2; i++) {
		enum part p = PART_STDOUT + (enum part)i;
		if (lseek(fds[i], 0, SEEK_SET) < 0 || file_read_fd(fds[i], most, &o->parts[p], &err) < 0)
			return REASON_messages_too_large;
		o->has[p] = o->parts[p].len > 0;
	}
	return REASON_NONE;
}

// Some compilers put absolute names into the object whatever the maps say.
static bool names_the_tree(const struct job *j, const struct outputs *o)
{
	const char *names[] = {j->root, j->root_real};
	for (int p = 0; p < PART_STDOUT; p++)
		for (size_t i = 0; i < COUNT_OF(names); i++)
			if (o->has[p] && names[i] && o->parts[p].len &&
			    memmem(o->parts[p].data, o->parts[p].len, names[i], strlen(names[i])))
				return true;
	return false;
}

static int store_result(const struct job *j, const struct digest *key, const struct outputs *o, struct err *err)
{
	AUTO_BUF struct buf head = BUF_INIT;
	struct store_part parts[PART_COUNT + 1];
	size_t n = 1, bytes = 0;
	uint32_t count = 0;
	for (int p = 0; p < PART_COUNT; p++)
		count += o->has[p];
	buf_add_u32(&head, count);
	for (int p = 0; p < PART_COUNT; p++) {
		if (!o->has[p])
			continue;
		buf_add_u32(&head, (uint32_t)p);
		buf_add_u32(&head, (uint32_t)o->parts[p].len);
		parts[n++] = (struct store_part){o->parts[p].data ? o->parts[p].data : "", o->parts[p].len};
		bytes += o->parts[p].len;
	}
	parts[0] = (struct store_part){head.data, head.len};
	if (config_bool(j->config, SETTING_recache))
		store_remove(j->d->store, STORE_RESULT, key);
	if (store_put(j->d->store, STORE_RESULT, key, parts, n, err) < 0)
		return -1;
	stats_add(j->d->stats, STAT_stored, 1);
	stats_add(j->d->stats, STAT_bytes_written, bytes);
	return 0;
}

static enum reason store_all(struct job *j, struct manifest_entry *e, const struct outputs *o)
{
	struct err err = ERR_INIT;
	e->result = job_result_key(j, e);
	e->made_at = clock_now_ns() / 1000000000;
	e->wall_us = j->wall_us;
	j->result = e->result;
	// The result first: a manifest never names what was not published.
	size_t most = (size_t)config_number(j->config, SETTING_max_manifest_entries);
	struct digest text;
	if (store_result(j, &e->result, o, &err) < 0 ||
	    manifests_add(j->d->manifests, &j->manifest_key, e, most, &err) < 0 ||
	    (job_is_crowded(j) && job_text_key(j, &text) == 0 && manifests_add(j->d->manifests, &text, e, most, &err) < 0)) {
		log_warn("cannot store a result: %s", err.text);
		return REASON_store_failed;
	}
	unit_remember(j, j->d->store);
	return REASON_NONE;
}

static enum reason publish_outputs(struct job *j, struct manifest_entry *entry, const struct outputs *o)
{
	if (o->has[PART_STDOUT] || o->has[PART_STDERR])
		entry->messages_context = j->messages_context;
	if (j->reproducible && names_the_tree(j, o))
		entry->place_context = digest_of(j->root, strlen(j->root));
	return store_all(j, entry, o);
}

static bool stores_nothing(const struct job *j)
{
	return config_bool(j->config, SETTING_read_only) || j->keeping != KEEPING;
}

enum reason job_publish(struct job *j, const struct wire_result *r, int fds[WIRE_MAX_FDS])
{
	struct manifest_entry entry = {0};
	__attribute__((cleanup(outputs_release))) struct outputs outputs = {0};

	job_heed_policy(j, true);
	if (stores_nothing(j))
		return REASON_NONE;
	if (r->overflow)
		return REASON_messages_too_large;
	int next = 2;
	int dep_fd = r->has & RUN_DEPFILE ? fds[next++] : -1;
	int asm_dep_fd = r->has & RUN_ASM_DEPFILE ? fds[next++] : -1;
	enum reason reason = read_outputs(j, fds, &outputs);
	if (reason == REASON_NONE)
		reason = job_find_inputs(j, dep_fd, asm_dep_fd, &entry);
	return reason != REASON_NONE ? reason : publish_outputs(j, &entry, &outputs);
}

enum reason job_publish_outputs(struct job *j, struct manifest_entry *entry, const struct buf *all, size_t n_object)
{
	struct outputs outputs = {.parts[PART_OBJECT] = *all, .has[PART_OBJECT] = true, .has[PART_DWO] = j->line.dwo};
	job_heed_policy(j, false); // another worker may have told it while this one compiled
	outputs.parts[PART_OBJECT].len = n_object;
	outputs.parts[PART_DWO] = (struct buf){.data = all->data + n_object, .len = all->len - n_object};
	return stores_nothing(j) ? REASON_NONE : publish_outputs(j, entry, &outputs);
}
