// Which names have come into a folder, told by the kernel (inotify): so that a folder in which a build writes all the time
// need not be asked for a hundred names that must not be there.
//
// A folder is known by its device and inode, whatever leads to it, and has a stamp: a number that no other folder ever has,
// and that changes when one of the expected names is made in it or moved to it. inotify's news are there before the writer's
// system call returns. Names are compared without regard to case, as some folders do. File systems that may change in other
// ways than by this kernel's system calls have no stamps. Bounded; when it is full, everything starts anew. Thread: any.
#ifndef COFFER_DEPSCAN_DIRECTORY_WATCH_H
#define COFFER_DEPSCAN_DIRECTORY_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define ARRIVALS_MAX_FOLDERS 256u
#define ARRIVALS_MAX_NAMES 100000u // in all folders; about 80 bytes each

struct arrivals;
struct arrivals *arrivals_new(void); // NULL: there is no way to
void arrivals_free(struct arrivals *a);

// Takes note of what has come before this call. `a` may be NULL, here and below.
void arrivals_read(struct arrivals *a);
// The folder's stamp, from now on; 0: nothing can be said. `st` is what stat() says of `dir` (relative to `cwd_fd`).
uint64_t arrivals_stamp(struct arrivals *a, int cwd_fd, const char *dir, const struct stat *st);
// From now on the folder with this stamp gets another one when one of these names appears, or for "x/y" when x does. False
// if it has another one already. To be called before one looks whether the names are absent.
bool arrivals_expect(struct arrivals *a, uint64_t stamp, const char *const *names, uint32_t n);

#endif
