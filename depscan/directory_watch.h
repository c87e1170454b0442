// Which names have come into a directory, told by the kernel (inotify): so that a directory in which a build writes all the
// time need not be asked for a hundred names that must not be there.
//
// A directory is known by its device and inode, whatever leads to it, and has a stamp: a number that no other directory ever
// has, and that changes when one of the expected names is made in it or moved to it. inotify's news are there before the
// writer's system call returns. Names are compared without regard to case, as some directories do. File systems that may
// change in other ways than by this kernel's system calls have no stamps. Bounded; when it is full, it is emptied.
// Thread: any.
#ifndef COFFER_DEPSCAN_DIRECTORY_WATCH_H
#define COFFER_DEPSCAN_DIRECTORY_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define DIRECTORY_WATCH_MAX_DIRECTORIES 256u
#define DIRECTORY_WATCH_MAX_NAMES 100000u // in all directories; about 80 bytes each

struct directory_watch;
struct directory_watch *directory_watch_new(void); // NULL: there is no way to
void directory_watch_free(struct directory_watch *a);

// Takes note of what has come before this call. `a` may be NULL, here and below.
void directory_watch_read(struct directory_watch *a);
// The directory's stamp, from now on; 0: nothing can be said. `st` is what stat() says of `dir` (relative to `cwd_fd`).
uint64_t directory_watch_stamp(struct directory_watch *a, int cwd_fd, const char *dir, const struct stat *st);
// From now on the directory with this stamp gets another one when one of these names appears, or for "x/y" when x does.
// False if it has another one already. To be called before one looks whether the names are absent.
bool directory_watch_expect(struct directory_watch *a, uint64_t stamp, const char *const *names, uint32_t n);

#endif
