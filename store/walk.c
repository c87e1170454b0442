#include "store/disk.h"

#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	TEMP_NAMES_MAX = 10000,   // looked at in one go
	TEMP_OLD = 3600,          // seconds; no writer takes so long
	TEMP_ANCIENT = 24 * 3600, // its process's number may belong to another by now
	TEMP_NAME = 34            // pid-serial-random in hex: 8 + 1 + 8 + 1 + 16
};

static void close_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}
#define AUTO_DIR __attribute__((cleanup(close_dir)))

static int open_directory_at(int at, const char *name)
{
	return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int walk_open_directory(const struct store *s, enum store_kind kind, unsigned shard)
{
	char two[3];
	snprintf(two, sizeof two, "%02x", shard & 0xff);
	AUTO_CLOSE int v1 = open_directory_at(AT_FDCWD, s->v1);
	if (v1 < 0)
		return -1;
	AUTO_CLOSE int of_kind = open_directory_at(v1, store_kind_names[kind]);
	if (of_kind < 0)
		return -1;
	return open_directory_at(of_kind, two);
}

// The directory is a stream from here on, `fd` belongs to it.
static DIR *stream_of(int fd)
{
	DIR *d = fdopendir(fd);
	if (!d)
		close(fd);
	return d;
}

static bool key_of_name(unsigned shard, const char *rest, struct digest *key)
{
	char hex[DIGEST_HEX];
	if (strlen(rest) != NAME_REST)
		return false;
	snprintf(hex, sizeof hex, "%02x", shard & 0xff);
	memcpy(hex + 2, rest, NAME_REST + 1);
	return digest_parse(hex, key);
}

// Time of use; one ahead of the clock counts as now, and is set to now, or the blob could not age.
static int64_t used_of(int directory, const char *name, const struct stat *st)
{
	int64_t now = clock_now_ns(), used = file_id_of(st).mtime_ns;
	if (used <= now)
		return used;
	if (disk_wants_touch(st))
		utimensat(directory, name, NULL, AT_SYMLINK_NOFOLLOW);
	return now;
}

// Adds to *kept what the directory's blobs count for after `fn` has judged them.
static int walk_directory(DIR *d, enum store_kind kind, unsigned shard, walk_fn *fn, void *arg, uint64_t *kept,
			  struct err *err)
{
	for (;;) {
		errno = 0;
		const struct dirent *e = readdir(d);
		if (!e)
			return errno ? err_errno(err, "cannot read a folder of the cache") : 0;
		struct walk_blob b = {.kind = kind, .directory = dirfd(d), .name = e->d_name};
		struct stat st;
		if (!key_of_name(shard, e->d_name, &b.key) || fstatat(b.directory, b.name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !is_blob_file(&st))
			continue;
		b.size = (uint64_t)st.st_size;
		b.bytes = disk_share(&st);
		b.used_ns = used_of(b.directory, b.name, &st);
		if (fn(arg, &b) == WALK_KEEP)
			*kept += b.bytes;
		else if (unlinkat(b.directory, b.name, 0) < 0 && errno != ENOENT)
			return err_errno(err, "cannot remove the blob '%02x/%s'", shard, b.name);
	}
}

int walk_shard(struct store *s, unsigned shard, walk_fn *fn, void *arg, struct err *err)
{
	uint64_t kept = 0;
	for (enum store_kind kind = 0; kind < STORE_KINDS; kind++) {
		int fd = walk_open_directory(s, kind, shard);
		if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
			continue;
		AUTO_DIR DIR *d = fd < 0 ? NULL : stream_of(fd);
		if (!d)
			return err_errno(err, "cannot open '%s/%s/%02x'", s->v1, store_kind_names[kind], shard);
		if (walk_directory(d, kind, shard, fn, arg, &kept, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < STORE_LATELY; i++)
		atomic_store_explicit(&s->lately[i], 0, memory_order_relaxed);
	usage_set(s->usage, shard, kept);
	return 0;
}

int walk_all(struct store *s, walk_fn *fn, void *arg, struct err *err)
{
	for (unsigned shard = 0; shard < USAGE_SHARDS; shard++) {
		if (walk_shard(s, shard, fn, arg, err) < 0)
			return -1;
	}
	usage_set_complete(s->usage);
	return 0;
}

// ---- temp files ----------------------------------------------------------------------------------------------------

static bool parse_temp_name(const char *name, pid_t *pid)
{
	if (strlen(name) != TEMP_NAME)
		return false;
	for (int i = 0; i < TEMP_NAME; i++) {
		bool is_dash = i == 8 || i == 17;
		if (is_dash ? name[i] != '-' : !strchr("0123456789abcdef", name[i]))
			return false;
	}
	*pid = (pid_t)strtoul(name, NULL, 16);
	return true;
}

static bool is_stray(pid_t pid, int64_t age_s)
{
	bool is_dead = pid <= 0 || (kill(pid, 0) < 0 && errno == ESRCH);
	return age_s > TEMP_ANCIENT || (age_s > TEMP_OLD && is_dead);
}

uint64_t walk_drop_temps(const struct store *s)
{
	AUTO_CLOSE int v1 = open_directory_at(AT_FDCWD, s->v1);
	int fd = v1 < 0 ? -1 : open_directory_at(v1, "tmp");
	AUTO_DIR DIR *d = fd < 0 ? NULL : stream_of(fd);
	if (!d)
		return 0;
	uint64_t dropped = 0;
	const struct dirent *e;
	for (int seen = 0; seen < TEMP_NAMES_MAX && (e = readdir(d)); seen++) {
		struct stat st;
		pid_t pid;
		if (parse_temp_name(e->d_name, &pid) && fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode) && is_stray(pid, time(NULL) - st.st_mtime) && unlinkat(dirfd(d), e->d_name, 0) == 0)
			dropped++;
	}
	return dropped;
}
