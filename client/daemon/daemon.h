// The daemon of one user: accepts launchers and serves each to its end (client/job/job.h tells the story of a compile).
//
// Threads: main waits for signals, idle time and housekeeping; each launcher has a thread of a pool, which blocks in
// accept(2), in messages from its launcher and nowhere else.
#ifndef COFFER_CLIENT_DAEMON_DAEMON_H
#define COFFER_CLIENT_DAEMON_DAEMON_H

#include "client/services/services.h"

#include <stdatomic.h>

#define DAEMON_MAX_THREADS 2000u // launchers served at once; more wait in the socket's queue
#define DAEMON_RECV_S 10         // a launcher that connects and then says nothing is dropped

struct daemon {
	struct services services;
	int listen_fd;
	atomic_int busy, threads; // jobs under way, threads there are
	atomic_llong last_work_ns;
	atomic_bool stopping;
	const char *narrow; // the inherited limit that could not be taken back, or NULL
	uint64_t limit;     // max_size as our own environment and files say it; the main thread
};

int daemon_main(int argc, char **argv);

// control.c: reads what a launcher or a verb wants, and answers it.
void serve_launcher(struct daemon *d, int sock);

#endif
