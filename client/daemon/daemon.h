// The daemon of one user: what all jobs share. See job.h for the story of one compile.
//
// Threads: main waits for signals, idle time and housekeeping; each job has a thread of a pool, which blocks in accept(2),
// in messages from its launcher and nowhere else.
#ifndef COFFER_CLIENT_DAEMON_DAEMON_H
#define COFFER_CLIENT_DAEMON_DAEMON_H

#include "client/config.h"
#include "client/job/record.h"
#include "client/services/idle.h"
#include "client/services/manifests.h"
#include "client/services/settings.h"
#include "client/stats.h"
#include "depscan/compiler.h"
#include "depscan/directory_watch.h"
#include "depscan/files.h"
#include "depscan/search.h"
#include "depscan/watch.h"
#include "jobserver/slots.h"
#include "store/store.h"

#include <stdatomic.h>

#define DAEMON_MAX_THREADS 2000u // launchers served at once; more wait in the socket's queue
#define DAEMON_RECV_S 10         // a launcher that connects and then says nothing is dropped

struct daemon {
	char *cache_dir;
	int listen_fd;
	struct store *store;
	struct stats *stats;
	struct files *files;
	struct compilers *compilers;
	struct searches *searches;
	struct watch *watch;       // NULL: no folder is watched
	struct arrivals *arrivals; // NULL: the same
	struct manifests *manifests;
	struct settings_cache *settings;
	struct journal *journal;
	struct farms *farms;
	struct slots slots;                    // compiles on this machine
	struct idle idle;                      // and behind front ends
	uint64_t mount_ns, root_dev, root_ino; // the file system that we see
	atomic_int busy, threads;              // jobs under way, threads there are
	atomic_llong last_work_ns;
	atomic_bool stopping;
};

int daemon_main(int argc, char **argv);

#endif
