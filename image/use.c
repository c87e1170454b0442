#include "image/use.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DAY = 86400 };

// ---- locks ----------------------------------------------------------------------------------------------------------

static bool is_still(int fd, const char *path)
{
	struct stat a, b;
	return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int lock(const char *images, const char *name, int how, int *fd, struct err *err)
{
	if (!blob_is_digest(name))
		return err_set(err, ERR_USAGE, "'%.80s' is no name of an image: it is sha256: and 64 digits", name);
	AUTO_FREE char *dir = mem_printf("%s/sha256-%s", images, name + 7);
	AUTO_CLOSE int own = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (own < 0)
		return errno == ENOENT ? err_set(err, ERR_NOT_FOUND, "there is no image '%s' in '%s'", name, images)
				       : err_errno(err, "cannot open '%s'", dir);
	// On a file system without locks the image is used all the same.
	if (flock(own, how | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return err_set(err, ERR_BUSY, "the image '%s' is in use", name);
	if (!is_still(own, dir))
		return err_set(err, ERR_NOT_FOUND, "the image '%s' was removed", name);
	*fd = TAKE_FD(own);
	return 0;
}

int image_hold(const char *images, const char *name, int *fd, struct err *err)
{
	struct err why = ERR_INIT;
	if (lock(images, name, LOCK_SH, fd, &why) == 0)
		return 0;
	if (why.code == ERR_BUSY)
		return err_set(err, ERR_NOT_FOUND, "the image '%s' is being removed", name);
	return err_take(err, &why);
}

int image_claim(const char *images, const char *name, int *fd, struct err *err)
{
	return lock(images, name, LOCK_EX, fd, err);
}

// ---- the last use ---------------------------------------------------------------------------------------------------

void image_note_use(const char *uses, const char *name)
{
	if (!uses || !blob_is_digest(name))
		return;
	AUTO_FREE char *path = mem_printf("%s/sha256-%s", uses, name + 7);
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0 && errno == ENOENT && file_make_dirs(uses, 0755, NULL) == 0)
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd >= 0)
		futimens(fd, NULL);
}

int64_t image_last_use(const char *images, const char *const *uses, const char *name)
{
	struct stat st;
	AUTO_FREE char *dir = mem_printf("%s/sha256-%s", images, name + 7);
	int64_t last = stat(dir, &st) == 0 ? st.st_mtim.tv_sec : 0;
	for (; last && uses && *uses; uses++) {
		AUTO_FREE char *note = mem_printf("%s/sha256-%s", *uses, name + 7);
		if (stat(note, &st) == 0 && st.st_mtim.tv_sec > last)
			last = st.st_mtim.tv_sec;
	}
	return last;
}

// ---- removing -------------------------------------------------------------------------------------------------------

static int collect(const struct image_gc *gc, const char *const *uses, const char *name, struct err *err)
{
	struct image_info info;
	int64_t last = image_last_use(gc->images, uses, name);
	enum image_fate fate = IMAGE_KEPT;
	// What somebody has unpacked there by hand is left to them.
	if (image_read(gc->images, name, &info, NULL) < 0)
		return 0;
	if (time(NULL) - last >= gc->unused_s) {
		struct err why = ERR_INIT;
		int claimed = -1,
		    rc = gc->is_dry ? image_claim(gc->images, name, &claimed, &why) : image_remove(gc->images, name, &why);
		if (rc < 0 && why.code != ERR_BUSY)
			return err_take(err, &why);
		fate = rc < 0 ? IMAGE_IN_USE : IMAGE_REMOVED;
	}
	for (; fate == IMAGE_REMOVED && !gc->is_dry && uses && *uses; uses++) {
		AUTO_FREE char *note = mem_printf("%s/sha256-%s", *uses, name + 7);
		unlink(note);
	}
	gc->tell(gc->ctx, &info, last, fate);
	return 0;
}

// "….new-PID" and the like, of a process that has ended; a day old, as the directory may be another machine's, too.
static bool is_left_over(int images, const char *name)
{
	static const char *const marks[] = {".new-", ".gone-", ".registry-", ".layout-"};
	struct stat st;
	for (size_t i = 0; i < COUNT_OF(marks); i++) {
		const char *mark = strstr(name, marks[i]);
		int pid = mark ? atoi(mark + strlen(marks[i])) : 0;
		if (pid > 0 && kill(pid, 0) < 0 && errno == ESRCH)
			return fstatat(images, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && time(NULL) - st.st_mtim.tv_sec > DAY;
	}
	return false;
}

// Disks that a worker has made of images which are gone.
static void remove_disks(const char *images, const char *folder)
{
	AUTO_FREE char *path = mem_printf("%s/%s", folder, WORKER_DISKS);
	DIR *d = opendir(path);
	struct stat st;
	for (const struct dirent *e; d && (e = readdir(d));) {
		if (strlen(e->d_name) != 71 + 6 || strncmp(e->d_name, "sha256-", 7) != 0 ||
		    strcmp(e->d_name + 71, ".erofs") != 0)
			continue;
		AUTO_FREE char *image = mem_printf("%s/%.71s", images, e->d_name);
		if (stat(image, &st) < 0 && errno == ENOENT)
			unlinkat(dirfd(d), e->d_name, 0);
	}
	if (d)
		closedir(d);
}

static int collect_all(const struct image_gc *gc, const char *const *uses, struct err *err)
{
	DIR *d = opendir(gc->images);
	int rc = d ? 0 : err_errno(err, "cannot open '%s'", gc->images);
	for (const struct dirent *e; d && (e = readdir(d));) {
		char name[BLOB_DIGEST];
		snprintf(name, sizeof name, "sha256:%.64s", strncmp(e->d_name, "sha256-", 7) == 0 ? e->d_name + 7 : "");
		if (strlen(e->d_name) == 71 && blob_is_digest(name))
			rc = collect(gc, uses, name, err) < 0 ? -1 : rc;
		else if (!gc->is_dry && is_left_over(dirfd(d), e->d_name))
			tree_remove(dirfd(d), e->d_name);
	}
	if (d)
		closedir(d);
	return rc;
}

int image_gc(const struct image_gc *gc, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	size_t n = 0;
	while (gc->folders && gc->folders[n])
		n++;
	const char **uses = arena_alloc(&a, (n + 1) * sizeof *uses);
	for (size_t i = 0; i < n; i++)
		uses[i] = arena_printf(&a, "%s/%s", gc->folders[i], WORKER_USES);
	int rc = collect_all(gc, uses, err);
	for (size_t i = 0; i < n && !gc->is_dry; i++)
		remove_disks(gc->images, gc->folders[i]);
	return rc;
}
