// The directories coffer writes to, and the clocks of their file systems.
#include "base/file.h"
#include "base/path.h"
#include "client/verbs/doctor.h"
#include "client/verbs/format.h"
#include "client/verbs/verbs.h"
#include "client/wire/place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#define MIN_FREE_BYTES ((uint64_t)64 << 20)
#define SKEW_NS ((int64_t)2 * 1000000000) // the coarsest dates of files are two seconds apart

// Shared by machines, or slow, or without the locks and mappings that the counters need.
static const struct {
	unsigned long magic;
	const char *name;
} remote_systems[] = {
	{NFS_SUPER_MAGIC, "NFS"}, {SMB_SUPER_MAGIC, "SMB"}, {0xff534d42, "CIFS"}, {0xfe534d42, "SMB2"},
	{V9FS_MAGIC, "9p"},       {AFS_SUPER_MAGIC, "AFS"}, {0x65735546, "FUSE"}, {CODA_SUPER_MAGIC, "Coda"},
	{0x00c36400, "Ceph"},     {0x0bd00bd0, "Lustre"},   {0x47504653, "GPFS"},
};

static const char *remote_system(const char *dir)
{
	struct statfs fs;
	if (statfs(dir, &fs) < 0)
		return NULL;
	for (size_t i = 0; i < COUNT_OF(remote_systems); i++)
		if ((unsigned long)fs.f_type == remote_systems[i].magic)
			return remote_systems[i].name;
	return NULL;
}

static const char *nearest_existing(struct arena *a, const char *path)
{
	struct stat st;
	while (stat(path, &st) < 0 && strcmp(path, "/") != 0 && strcmp(path, ".") != 0)
		path = path_dir(a, path);
	return path;
}

// Makes a file and removes it; its date on the file system's clock is in *mtime_ns. -1 with errno.
static int try_to_write(struct arena *a, const char *dir, int64_t *mtime_ns)
{
	char *name = arena_printf(a, "%s/.coffer-doctor-XXXXXX", dir);
	AUTO_CLOSE int fd = mkostemp(name, O_CLOEXEC);
	struct stat st;
	if (fd < 0)
		return -1;
	unlink(name);
	if (write(fd, "x", 1) != 1 || fstat(fd, &st) < 0)
		return -1;
	*mtime_ns = file_id_of(&st).mtime_ns;
	return 0;
}

// ---- the cache directory ---------------------------------------------------------------------------------------------

static bool check_owner(struct doctor *d, const char *check, const char *dir, mode_t forbidden)
{
	struct stat st;
	if (stat(dir, &st) < 0) {
		found_problem(d, check, "give this user access to each folder on the way there, or name another folder",
			      "cannot look at '%s': %s", dir, strerror(errno));
		return false;
	}
	if (!S_ISDIR(st.st_mode)) {
		found_problem(d, check, arena_printf(&d->arena, "remove '%s', or name another folder", dir),
			      "'%s' is not a folder", dir);
		return false;
	}
	if (st.st_uid != geteuid()) {
		found_problem(d, check,
			      arena_printf(&d->arena, "chown -R %u '%s', or name another folder", (unsigned)geteuid(), dir),
			      "'%s' belongs to another user (uid %u)", dir, (unsigned)st.st_uid);
		return false;
	}
	if (st.st_mode & forbidden) {
		found_problem(d, check, arena_printf(&d->arena, "chmod 700 '%s'", dir),
			      "others have access to '%s' (mode %04o)", dir, (unsigned)(st.st_mode & 07777));
		return false;
	}
	return true;
}

static void check_space(struct doctor *d, const char *dir, const char *existing)
{
	struct statvfs vfs;
	if (statvfs(existing, &vfs) < 0)
		return;
	uint64_t available = (uint64_t)vfs.f_bavail * vfs.f_frsize, used = 0;
	const char *shown = format_bytes(&d->arena, available);
	if (available < MIN_FREE_BYTES) {
		found_problem(d, "free_space", "make room there, or set COFFER_CACHE_DIR to another disk",
			      "only %s are free at '%s'", shown, existing);
		return;
	}
	uint64_t limit = d->has_config ? (uint64_t)setting_number(&d->config, SETTING_max_size) : 0;
	if (d->has_config)
		verb_cache_bytes(dir, &d->config, &used, NULL);
	if (limit > used && limit - used > available)
		found_warning(d, "free_space",
			      arena_printf(&d->arena, "set max_size to %s or less in coffer.conf",
					   format_bytes(&d->arena, (used + available) / 10 * 9)),
			      "the cache may grow by %s, and %s are free", format_bytes(&d->arena, limit - used), shown);
	else
		found_ok(d, "free_space", "%s are free for the cache", shown);
}

void doctor_check_cache_directory(struct doctor *d)
{
	struct err err = ERR_INIT;
	const char *dir = verb_cache_dir(&d->arena, &err);
	if (!dir) {
		found_problem(d, "cache_folder", "set COFFER_CACHE_DIR to an absolute path", "%s", err.text);
		return;
	}
	const char *existing = nearest_existing(&d->arena, dir);
	int64_t mtime_ns;
	bool is_there = strcmp(existing, dir) == 0;
	if (is_there && !check_owner(d, "cache_folder", dir, 022))
		return;
	if (try_to_write(&d->arena, existing, &mtime_ns) < 0) {
		found_problem(d, "cache_folder", "make it writable, or set COFFER_CACHE_DIR to another folder",
			      "nothing can be written to '%s': %s", existing, strerror(errno));
		return;
	}
	found_ok(d, "cache_folder", "the cache folder is '%s'%s", dir, is_there ? "" : " (not made yet)");
	const char *remote = remote_system(existing);
	if (remote)
		found_warning(d, "file_system", "set COFFER_CACHE_DIR to a folder on a local disk",
			      "the cache is on a %s file system: slow, and not to be shared by machines", remote);
	check_space(d, dir, existing);
}

// ---- the runtime directory -------------------------------------------------------------------------------------------

void doctor_check_runtime_directory(struct doctor *d)
{
	struct wire_place place;
	const char *named = getenv("COFFER_RUNTIME_DIR");
	if (named && *named && *named != '/')
		found_warning(d, "runtime_folder", "set COFFER_RUNTIME_DIR to an absolute path, or unset it",
			      "COFFER_RUNTIME_DIR is '%s', which is not an absolute path and so is ignored", named);
	if (!wire_find_place(&place, &d->arena, process_env, NULL)) {
		found_problem(d, "runtime_folder", "set HOME or COFFER_RUNTIME_DIR",
			      "no folder is known for the daemon's socket");
		return;
	}
	struct stat st;
	if (lstat(place.dir, &st) < 0 && errno == ENOENT) {
		const char *existing = nearest_existing(&d->arena, place.dir);
		if (access(existing, W_OK) < 0)
			found_problem(d, "runtime_folder", "set COFFER_RUNTIME_DIR to a folder of yours",
				      "'%s' can't be made in '%s'", place.dir, existing);
		else
			found_ok(d, "runtime_folder", "the runtime folder is '%s' (not made yet)", place.dir);
		return;
	}
	if (check_owner(d, "runtime_folder", place.dir, 077))
		found_ok(d, "runtime_folder", "the runtime folder is '%s'", place.dir);
}

// ---- clocks -------------------------------------------------------------------------------------------------------

static void check_clock_of(struct doctor *d, const char *what, const char *dir)
{
	int64_t before = clock_now_ns(), mtime_ns;
	if (try_to_write(&d->arena, dir, &mtime_ns) < 0)
		return; // others say that it can't be written
	int64_t after = clock_now_ns();
	int64_t skew = mtime_ns < before ? mtime_ns - before : mtime_ns > after ? mtime_ns - after : 0;
	if (skew > SKEW_NS || skew < -SKEW_NS)
		found_problem(d, "clock", "let both machines set their clocks by NTP",
			      "files in %s ('%s') are dated %.1f s %s the clock of this machine", what, dir,
			      (double)(skew < 0 ? -skew : skew) / 1e9, skew < 0 ? "before" : "after");
	else
		found_ok(d, "clock", "the clock of the file system of %s is right", what);
}

void doctor_check_clock(struct doctor *d)
{
	const char *dir = verb_cache_dir(&d->arena, NULL);
	if (dir)
		check_clock_of(d, "the cache", nearest_existing(&d->arena, dir));
	check_clock_of(d, "the working directory", ".");
}
