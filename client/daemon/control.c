// What the daemon says of itself to `coffer status`, `doctor` and `stop`.
#include "client/job/job.h"

#include "base/json.h"
#include "client/services/farms.h"

#include <string.h>
#include <unistd.h>

// Lines "NAME VALUE".
const char *status_lines(struct job *j)
{
	return arena_printf(&j->arena, "version %s\npid %d\ncache %s\n", COFFER_VERSION, (int)getpid(), j->d->cache_dir);
}

// The farm of whoever asks is among the answers before any job was for it: `environment` has "NAME=value" lines.
static void find_farm(struct job *j, const char *environment)
{
	enum { MOST = 256 };
	const char **env = arena_alloc(&j->arena, (MOST + 1) * sizeof *env);
	unsigned n = 0;
	for (const char *line = environment; *line && n < MOST; line += strcspn(line, "\n"), line += *line == '\n')
		env[n++] = arena_strndup(&j->arena, line, strcspn(line, "\n"));
	const struct config *config = settings_find(j->d->settings, env, NULL, NULL, NULL);
	if (config)
		farms_find(j->d->farms, config);
}

static void add_counters(struct buf *b, const struct stats *stats)
{
	static const enum stat_counter shown[] = {
		STAT_compiles,        STAT_direct_hits, STAT_preprocessed_hits, STAT_misses,        STAT_not_cached,
		STAT_remote_compiles, STAT_remote_hits, STAT_remote_messages,   STAT_remote_failed, STAT_remote_lies};
	json_add_name(b, "counters");
	buf_addc(b, '{');
	for (size_t i = 0; i < COUNT_OF(shown); i++)
		json_add_number(b, stats_name(shown[i]), (int64_t)stats_value(stats, shown[i]));
	buf_addc(b, '}');
}

const char *status_json(struct job *j, const char *environment)
{
	struct daemon *d = j->d;
	struct buf b = BUF_INIT;
	unsigned slots, used, waiting;
	find_farm(j, environment);
	slots_look(&d->slots, &slots, &used, &waiting);
	buf_addc(&b, '{');
	json_add_field(&b, "version", COFFER_VERSION);
	json_add_number(&b, "pid", (int)getpid());
	json_add_field(&b, "cache", d->cache_dir);
	json_add_number(&b, "jobs", atomic_load(&d->busy) - 1); // but for this question
	json_add_number(&b, "threads", atomic_load(&d->threads));
	json_add_number(&b, "watched", watch_count(d->watch));
	json_add_number(&b, "local_slots", slots);
	json_add_number(&b, "local_running", used);
	json_add_number(&b, "local_waiting", waiting);
	add_counters(&b, d->stats);
	json_add_name(&b, "farms");
	buf_addc(&b, '[');
	farms_status(d->farms, &b);
	buf_adds(&b, "]}\n");
	const char *text = arena_strndup(&j->arena, b.data, b.len);
	buf_release(&b);
	return text;
}
