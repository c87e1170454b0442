#include "jobserver/place.h"

#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char prefix[] = "coffer-build.";
static const char *const files[] = {"lock", "socket", "fifo"};
enum { LONGEST_BASE = 50 };

// MAKEFLAGS has blanks between words and backslashes in them, and clients disagree about quoting.
static bool is_fit(const char *dir)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@";
	struct stat st;
	return dir && dir[0] == '/' && strlen(dir) <= LONGEST_BASE && dir[strspn(dir, plain)] == '\0' &&
	       stat(dir, &st) == 0 && S_ISDIR(st.st_mode) && access(dir, W_OK | X_OK) == 0;
}

static const char *base_dir(void)
{
	const char *const wishes[] = {getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR")};
	for (size_t i = 0; i < COUNT_OF(wishes); i++)
		if (is_fit(wishes[i]))
			return wishes[i];
	return "/tmp";
}

static void empty(int dir)
{
	for (size_t i = 0; i < COUNT_OF(files); i++)
		unlinkat(dir, files[i], 0);
}

// Removes one directory of ours whose owner is gone. Its lock is free then; it is taken while removing.
static void remove_stale(int base, const char *name)
{
	int dir AUTO_CLOSE = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (dir < 0 || fstat(dir, &st) < 0 || st.st_uid != geteuid())
		return;
	int lock AUTO_CLOSE = openat(dir, "lock", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0)
		return;
	empty(dir);
	unlinkat(base, name, AT_REMOVEDIR);
}

static void sweep(const char *path)
{
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));)
		if (strncmp(e->d_name, prefix, sizeof prefix - 1) == 0)
			remove_stale(dirfd(d), e->d_name);
	if (d)
		closedir(d);
}

int place_make(struct build_place *p, struct err *err)
{
	const char *base = base_dir();
	sweep(base);
	*p = (struct build_place)PLACE_INIT;
	char dir[sizeof p->dir], lock[sizeof dir + 8];
	snprintf(dir, sizeof dir, "%s/%sXXXXXX", base, prefix);
	if (!mkdtemp(dir))
		return err_errno(err, "cannot make a folder in '%s'", base);
	snprintf(lock, sizeof lock, "%s/lock", dir);
	// Until the lock is held a sweep takes no notice of the directory: it has no lock file, or one that is held.
	char temp[sizeof lock + 4];
	snprintf(temp, sizeof temp, "%s.new", lock);
	p->lock = open(temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (p->lock < 0 || flock(p->lock, LOCK_EX | LOCK_NB) < 0 || rename(temp, lock) < 0) {
		err_errno(err, "cannot lock '%s'", dir);
		unlink(temp);
		mem_close_cleanup(&p->lock);
		p->lock = -1;
		rmdir(dir);
		return -1;
	}
	memcpy(p->dir, dir, sizeof dir);
	return 0;
}

void place_remove(struct build_place *p)
{
	if (!p->dir[0])
		return;
	int dir AUTO_CLOSE = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0)
		empty(dir);
	rmdir(p->dir);
	mem_close_cleanup(&p->lock);
	*p = (struct build_place)PLACE_INIT;
}
