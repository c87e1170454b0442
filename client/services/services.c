#include "client/services/services.h"

#include "base/log.h"
#include "client/services/audit_logs.h"
#include "client/services/farms.h"
#include "client/services/followed.h"
#include "client/services/journal.h"
#include "client/services/oddities.h"
#include "client/services/shared_stores.h"
#include "client/services/trials.h"
#include "depscan/builtins.h"
#include "jobserver/client/cores.h"

#include <errno.h>

int services_open(struct services *s, const struct settings *config, struct err *err)
{
	static struct arena forever;
	s->cache_dir = config_cache_dir(&forever, process_env, NULL);
	if (!s->cache_dir)
		return err_set(err, ERR_NOT_FOUND, "no cache folder is known: set HOME or COFFER_CACHE_DIR");
	if (wire_own_world(&s->world))
		log_warn("'/proc' does not tell of this process, so that it can't be known who sees the same files: nobody "
			 "is served");
	s->store = store_open(s->cache_dir, (uint64_t)setting_number(config, SETTING_max_size),
			      (int)setting_number(config, SETTING_compression), err);
	if (!s->store)
		log_error("no cache, every compile is left alone: %s", err->text);
	s->stats = stats_open(s->cache_dir, err);
	if (!s->stats)
		log_warn("no statistics: %s", err->text);
	s->files = files_new();
	s->contents = contents_new();
	s->toolchain_names = toolchain_names_new(s->contents);
	s->shared_stores = shared_stores_new();
	s->watch = watch_new(setting_text(config, SETTING_watched_folders), s->files);
	s->arrivals = s->watch ? directory_watch_new() : NULL;
	const char *scratch = arena_printf(&forever, "%s/v1", s->cache_dir);
	views_remove_leftovers(scratch);
	s->views = views_new(s->files, s->watch, s->store, scratch);
	struct part_keeper keeper = views_part_keeper(s->views);
	s->compilers = compilers_new(files_digester(s->files), &keeper);
	s->searches = searches_new();
	s->builtins = builtins_new();
	s->manifests = manifests_new(s->store);
	s->oddities = oddities_new();
	s->followed = followed_new();
	s->settings = settings_cache_new();
	s->journal = journal_open(s->cache_dir);
	s->audit_logs = audit_logs_new();
	s->farms = farms_new();
	s->flights = single_flight_new();
	notices_init(&s->notices);
	int64_t jobs = setting_number(config, SETTING_local_jobs);
	idle_init(&s->idle);
	slots_init(&s->slots, jobs > 0 ? (unsigned)jobs : cores_available());
	slots_init(&s->text_slots, 2 * cores_available());
	rest_init(&s->rest, cores_available());
	s->trials = trials_new();
	return 0;
}
