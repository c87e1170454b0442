// Where launchers and their daemon meet: the socket's name, its lock, and connecting to it.
// Built into both programs: needs no library. Thread: any.
#ifndef COFFER_CLIENT_WIRE_PLACE_H
#define COFFER_CLIENT_WIRE_PLACE_H

#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// Where the socket is: `dir` (0700) and the name inside it. The name covers version, cache directory and configuration, so
// that each combination has its own daemon. Environment: COFFER_RUNTIME_DIR, else XDG_RUNTIME_DIR/coffer (if that is a
// directory of ours, as the specification demands), else "run" below the cache directory; there the name covers the host,
// too, since homes are shared by hosts and sockets are not. false if none is known (no HOME).
struct wire_place {
	char *dir, *name; // in the arena; dir is absolute
};
bool wire_find_place(struct wire_place *p, struct arena *a, const char *(*env)(void *, const char *), void *ctx);

// Which files a process sees, and whose the files are that it makes: its mount namespace, its root directory, its effective
// group. A daemon serves its own world only; other worlds (a container, Bazel's sandbox, `sg GROUP`) have daemons of their own
// over the same cache.
struct wire_world {
	uint64_t mounts, root_dev, root_ino; // /proc/PID/ns/mnt is known by its inode
	gid_t group;
};
// Of this process, or of the one at the other end of a socket. -1 with errno where /proc does not tell: it is that of another pid
// namespace, or the other process is not in ours. Whoever does not know its own world takes nobody's for the same.
int wire_own_world(struct wire_world *w);
int wire_peer_world(struct wire_world *w, int sock);
bool wire_same_world(const struct wire_world *w, const struct wire_world *other);

// Where our own world's daemon is when the one at `usual` serves another: always "run" below the cache directory, as this is
// what both share and may write to. The name is `usual`'s, the host and the world. -1 if none is known.
int wire_find_place_in(struct wire_place *p, const struct wire_place *usual, struct arena *a,
		       const char *(*env)(void *, const char *), void *ctx);
// Removes what daemons of other worlds of this host have left behind here: many end with their world, by SIGKILL. Sockets that nobody
// listens at and whose lock is free go, with the lock; at most WIRE_LEFT_MAX names are looked at. `own` stays.
#define WIRE_LEFT_MAX 1000
void wire_remove_left(const struct wire_place *own);

// Who makes or removes the socket holds this lock (a file beside it). Makes `dir` where it is missing and refuses one that
// is not ours alone (ERR_ACCESS). Does not wait: ERR_TIMEOUT if another process holds the lock. close() gives it back.
int wire_lock(const struct wire_place *p, struct err *err);

// connect(2) or bind(2)+listen(2) there, also where the path is longer than a unix address holds. -1 with errno.
// Connecting does not wait longer than WIRE_TIMEOUT_S, and neither does the socket later. Listening removes the socket that
// was there: hold the lock and know that nobody answers. The caller sees to the umask.
int wire_connect(const struct wire_place *p);
int wire_listen(const struct wire_place *p);
// Whether the process at the other end is of our (effective) user: both sides look before they say anything. ERR_ACCESS.
int wire_check_peer(int sock, struct err *err);

#endif
