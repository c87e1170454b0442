// What all jobs of one daemon share. Everything here locks itself, or is const once the daemon has started.
#ifndef COFFER_CLIENT_SERVICES_SERVICES_H
#define COFFER_CLIENT_SERVICES_SERVICES_H

#include "base/single_flight.h"
#include "client/config.h"
#include "client/services/idle.h"
#include "client/services/manifests.h"
#include "client/services/notices.h"
#include "client/services/rest.h"
#include "client/services/settings.h"
#include "client/services/toolchain_names.h"
#include "client/stats.h"
#include "client/wire/place.h"
#include "compiler/compiler.h"
#include "depscan/directory_watch.h"
#include "depscan/files.h"
#include "depscan/search.h"
#include "depscan/view.h"
#include "depscan/watch.h"
#include "jobserver/slots.h"
#include "store/store.h"

struct audit_logs;
struct farms;
struct oddities;
struct followed;
struct trials;
struct journal;
struct shared_stores;

struct services {
	char *cache_dir;
	struct store *store; // NULL: the cache could not be opened, and nothing is cached
	struct stats *stats;
	struct files *files;
	struct contents *contents;
	struct toolchain_names *toolchain_names;
	struct shared_stores *shared_stores;
	struct compilers *compilers;
	struct views *views;
	struct searches *searches;
	struct builtins *builtins;
	struct watch *watch;              // NULL: no directory is watched
	struct directory_watch *arrivals; // NULL: the same
	struct manifests *manifests;
	struct oddities *oddities;
	struct trials *trials;
	struct followed *followed;
	struct settings_cache *settings;
	struct journal *journal;
	struct audit_logs *audit_logs;
	struct notices notices;
	struct farms *farms;
	struct single_flight *flights; // compiles of the same text with the same arguments
	struct slots slots;            // compiles on this machine
	struct slots text_slots;       // preprocessors that run for a look-up
	struct idle idle;              // and behind front ends
	struct rest_turns rest;        // what waits for the end of all compiles
	struct wire_world world;       // the files that we see
};

// Opens everything below the cache's directory. What fails is logged and left out; only a cache directory that is not
// known is an error.
int services_open(struct services *s, const struct settings *config, struct err *err);

#endif
