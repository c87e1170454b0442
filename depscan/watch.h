// Files that need no look, because the kernel tells when they change: inotify on the directories where packages put headers.
//
// An epoch is a stretch of time in which no watched directory told of anything. watch_epoch() begins a new one if there is
// news, and inotify's news are there before the writer's system call returns. So what watch_look() has found at a path holds
// for everybody who asks with the same epoch, and costs no system call. After any news everything is looked at again.
//
// A path is watched if it is absolute, below a watched directory, without symlinks, and every directory on the way, up to
// "/", is on a local file system that tells of all changes (not overlay, network or FUSE). Mounts are news, too
// (/proc/self/mountinfo). The files themselves have no watch, so these are refused: mount points, and files that have a
// second name (a write by way of the other name is told to the other directory). What nobody tells of: a write through a
// shared mapping while the file is still open, one through a second name that is made later, and one by a handle instead of
// a name (an NFS server). The setting watched_folders is a promise of the user that this does not happen there.
//
// The number of directories and of remembered paths is bounded; past it there is no watching, which is always right. Thread:
// any.
#ifndef COFFER_DEPSCAN_WATCH_H
#define COFFER_DEPSCAN_WATCH_H

#include "depscan/files.h"

#include <stdatomic.h>

#define WATCH_MAX_DIRECTORIES 4096u // watches of the kernel; about 1 KiB of its memory each
#define WATCH_MAX_PATHS 65536u      // remembered; about 250 bytes each

enum watched_state {
	WATCHED_REFUSED, // nothing can be said without a look
	WATCHED_FILE,    // a regular file with this identity and digest
	WATCHED_DIRECTORY,
	WATCHED_ABSENT,
};

// What is at a path. Only its epoch ever changes: when something else is found there, it gets another one.
struct watched {
	_Atomic uint64_t epoch; // the newest in which this was found true
	enum watched_state state;
	struct file_id id;
	struct digest digest;
};

struct watch;
// `directories`: absolute names with ':' between them; "" or "off" for none. NULL if there is nothing to watch, or no way
// to. Text is hashed by `files`, which must outlive this.
struct watch *watch_new(const char *directories, struct files *files);
void watch_free(struct watch *w);

// The epoch now, for changes that were made before the call. 0: nothing is watched. `w` may be NULL, here and below.
uint64_t watch_epoch(struct watch *w);
// What is at the path, known or looked at now; NULL if nothing can be said (a young file, too). A name that begins with
// PATH_CACHE_ANY is absent if there is no such name (places.h). `epoch` was asked for before, for the same job. The answer
// lives as long as `w`.
const struct watched *watch_look(struct watch *w, uint64_t epoch, const char *path);
// Watches the entries of a directory itself: from now on any change to them, or to where the name leads, is news.
bool watch_directory(struct watch *w, const char *dir);

static inline bool watched_holds(const struct watched *k, uint64_t epoch)
{
	return k && atomic_load_explicit(&k->epoch, memory_order_acquire) == epoch;
}
// Is the directory local, and written by nobody but this kernel's own system calls, with one inode for a file all the time?
bool watch_tells_everything(int dir_fd);
unsigned watch_count(struct watch *w); // directories that are watched, for `coffer status`

#endif
