#include "image/disk.h"

#include "base/child.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MKFS_MS = 600000 };

int disk_make(const char *mkfs, const char *rootfs, const char *disk, struct err *err)
{
	AUTO_FREE char *temp = mem_printf("%s.new-%d", disk, (int)getpid());
	const char *const words[] = {"mkfs.erofs", "--quiet", "-T0", "-U00000000-0000-0000-0000-000000000000",
				     "--all-root", "-x-1",    temp,  rootfs,
				     NULL};
	struct child c = {.argv = words, .program = mkfs, .cwd_fd = -1, .time_limit_ms = MKFS_MS, .max_output = 65536};
	int rc = child_run(&c, err);
	if (rc == 0 && c.status != 0)
		rc = err_set(err, ERR_IO, "mkfs.erofs cannot pack '%s': %.200s", rootfs, c.errs.data ? c.errs.data : "");
	child_release(&c);
	if (rc == 0 && (chmod(temp, 0444) < 0 || rename(temp, disk) < 0))
		rc = err_errno(err, "cannot keep '%s'", disk);
	if (rc < 0)
		unlink(temp);
	return rc;
}

static int copy_bytes(int from, const char *to, struct err *err)
{
	struct stat st;
	AUTO_CLOSE int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (fd < 0 || fstat(from, &st) < 0)
		return err_errno(err, "cannot make '%s'", to);
	// Not copy_file_range(): it is mostly needed from one file system to another.
	for (off_t at = 0; at < st.st_size;)
		if (sendfile(fd, from, &at, (size_t)(st.st_size - at)) <= 0)
			return err_errno(err, "cannot write '%s'", to);
	return 0;
}

int disk_copy(const char *images, const char *name, const char *to, struct err *err)
{
	struct image_info info;
	char found[BLOB_DIGEST];
	if (image_read(images, name, &info, NULL) < 0 || !info.disk[0])
		return 0;
	AUTO_FREE char *from = mem_printf("%s/sha256-%s/" IMAGE_DISK, images, name + 7);
	AUTO_FREE char *temp = mem_printf("%s.new-%d", to, (int)getpid());
	AUTO_CLOSE int disk = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (disk < 0)
		return err_errno(err, "cannot open '%s'", from);
	if (blob_digest_of(disk, found, err) < 0)
		return -1;
	if (strcmp(found, info.disk) != 0)
		return err_set(err, ERR_FORMAT,
			       "the disk of the image '%s' is no longer the one that was made: import it again", name);
	int rc = link(from, temp) == 0 ? 0 : copy_bytes(disk, temp, err);
	if (rc == 0 && rename(temp, to) < 0)
		rc = err_errno(err, "cannot keep '%s'", to);
	if (rc < 0)
		unlink(temp);
	return rc < 0 ? -1 : 1;
}
