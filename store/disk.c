#include "store/disk.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <zstd.h>

#define SECOND INT64_C(1000000000)
#define TOUCH_AFTER (3600 * SECOND)
#define CLOCK_SLACK (60 * SECOND) // between this machine and a file server

const char *const store_kind_names[STORE_KINDS] = {
	[STORE_RESULT] = "result",       [STORE_MANIFEST] = "manifest", [STORE_UNIT] = "unit",       [STORE_TEXT] = "text",
	[STORE_TOOLCHAIN] = "toolchain", [STORE_ACTION] = "action",     [STORE_CONTENT] = "content",
};

static bool is_immutable(enum store_kind kind)
{
	return kind == STORE_RESULT || kind == STORE_TEXT || kind == STORE_CONTENT;
}

void disk_path(const struct store *s, enum store_kind kind, const struct digest *key, char path[PATH_MAX])
{
	char hex[DIGEST_HEX];
	digest_hex(key, hex);
	snprintf(path, PATH_MAX, "%s/%s/%.2s/%s", s->v1, store_kind_names[kind], hex, hex + 2);
}

// ---- open ----------------------------------------------------------------------------------------------------------

struct store *store_open(const char *dir, uint64_t max_bytes, int level, struct err *err)
{
	AUTO_FREE char *made = mem_printf("%s/v1/tmp", dir);
	if (file_make_dirs(made, 0700, err) < 0)
		return NULL;
	AUTO_FREE char *real = realpath(dir, NULL);
	if (!real) {
		err_errno(err, "cannot resolve '%s'", dir);
		return NULL;
	}
	AUTO_FREE char *v1 = mem_printf("%s/v1", real);
	struct stat st;
	if (lstat(v1, &st) < 0) {
		err_errno(err, "cannot open '%s'", v1);
		return NULL;
	}
	if (!S_ISDIR(st.st_mode) || strlen(v1) + PATH_ROOM > PATH_MAX) {
		err_set(err, ERR_USAGE, "'%s' cannot hold a cache: not a folder, or its name is too long", v1);
		return NULL;
	}
	// Whoever can write here can plant objects in other people's builds.
	if (st.st_mode & S_IWOTH) {
		err_set(err, ERR_ACCESS, "'%s' can be written by everybody", v1);
		return NULL;
	}
	struct store *s = mem_alloc(sizeof *s);
	s->v1 = TAKE(v1);
	s->level = level;
	s->max_bytes = max_bytes;
	if (getrandom(&s->random, sizeof s->random, GRND_NONBLOCK) != sizeof s->random)
		s->random = (uint64_t)clock_now_ns();
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/usage", s->v1);
	s->usage = usage_open(path);
	walk_drop_temps(s);
	return s;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	usage_close(s->usage);
	free(s->v1);
	free(s);
}

void store_set_limit(struct store *s, uint64_t max_bytes)
{
	s->max_bytes = max_bytes;
}

uint64_t store_bytes(const struct store *s)
{
	return usage_read(s->usage, NULL);
}

uint64_t store_take_corrupt(struct store *s)
{
	return atomic_exchange(&s->corrupt, 0);
}

bool store_is_over(const struct store *s)
{
	if (!usage_is_complete(s->usage))
		return true;
	uint64_t max = s->max_bytes;
	return atomic_load(&s->disk_is_full) || (max && store_bytes(s) > max);
}

// ---- put -----------------------------------------------------------------------------------------------------------

bool disk_wants_touch(const struct stat *st)
{
	int64_t age = clock_now_ns() - file_id_of(st).mtime_ns;
	return age > TOUCH_AFTER || age < -CLOCK_SLACK;
}

int disk_make_directories(const struct store *s, const char *path, struct err *err)
{
	AUTO_FREE char *tmp = mem_printf("%s/tmp", s->v1);
	AUTO_FREE char *directory = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
	if (file_make_dirs(tmp, 0700, err) < 0)
		return -1;
	return file_make_dirs(directory, 0700, err);
}

void disk_temp_name(struct store *s, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/tmp/%08x-%08x-%016llx", s->v1, (unsigned)getpid(), atomic_fetch_add(&s->serial, 1),
		 (unsigned long long)s->random);
}

static int temp_create(struct store *s, char path[PATH_MAX], struct err *err)
{
	for (int tries = 0; tries < 8; tries++) {
		disk_temp_name(s, path);
		int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd >= 0 || errno != EEXIST)
			return fd < 0 ? err_errno(err, "cannot create '%s'", path) : fd;
	}
	return err_errno(err, "cannot create '%s'", path);
}

int disk_write_temp(struct store *s, const struct buf *file, char tmp[PATH_MAX], struct err *err)
{
	int fd = temp_create(s, tmp, err);
	if (fd < 0)
		return -1;
	int done = file_write_fd(fd, file->data, file->len, err);
	// NFS and quotas may speak up only here.
	if (close(fd) < 0 && errno != EINTR && done == 0)
		done = err_errno(err, "cannot write '%s'", tmp);
	if (done < 0)
		unlink(tmp);
	return done;
}

// In a young cache the last directory of the name is often missing, and only that one.
static int give_name(const char *tmp, const char *path)
{
	if (rename(tmp, path) == 0)
		return 0;
	if (errno != ENOENT)
		return -1;
	char directory[PATH_MAX];
	snprintf(directory, sizeof directory, "%.*s", (int)(strrchr(path, '/') - path), path);
	return mkdir(directory, 0700) < 0 && errno != EEXIST ? -1 : rename(tmp, path);
}

// Writes a temp file and gives it the name `path`; whatever fails, no temp file stays.
static int publish_once(struct store *s, const char *path, const struct buf *file, struct err *err)
{
	char tmp[PATH_MAX];
	if (disk_write_temp(s, file, tmp, err) < 0)
		return -1;
	if (give_name(tmp, path) == 0)
		return 0;
	err_errno(err, "cannot rename '%s' to '%s'", tmp, path);
	unlink(tmp);
	return -1;
}

static int publish_file(struct store *s, const char *path, const struct buf *file, struct err *err)
{
	struct err why = ERR_INIT;
	int done = publish_once(s, path, file, &why);
	if (done < 0 && why.sys == ENOENT && disk_make_directories(s, path, &why) == 0)
		done = publish_once(s, path, file, &why);
	if (done < 0 && (why.sys == ENOSPC || why.sys == EDQUOT))
		atomic_store(&s->disk_is_full, true);
	if (done < 0 && err)
		*err = why;
	return done;
}

int disk_publish(struct store *s, const struct digest *key, const char *path, const struct buf *file, const struct stat *old,
		 struct err *err)
{
	if (publish_file(s, path, file, err) < 0)
		return -1;
	usage_add(s->usage, shard_of(key), (int64_t)disk_bytes(file->len) - (int64_t)(old ? disk_freed(old) : 0));
	return 0;
}

bool disk_is_kept(enum store_kind kind, const char *path, struct stat *old, bool *replaces)
{
	*replaces = lstat(path, old) == 0 && is_blob_file(old);
	if (!*replaces || !is_immutable(kind) || (uint64_t)old->st_size < BLOB_HEADER)
		return false;
	if (disk_wants_touch(old))
		utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
	return true;
}

int disk_check_size(const struct store *s, size_t size, struct err *err)
{
	uint64_t max = s->max_bytes;
	if (max && disk_bytes(size) > max)
		return err_set(err, ERR_LIMIT, "a blob of %zu bytes is larger than the whole cache may be", size);
	return 0;
}

int store_put(struct store *s, enum store_kind kind, const struct digest *key, const struct store_part *parts,
	      size_t n_parts, struct err *err)
{
	char path[PATH_MAX];
	struct stat old;
	bool replaces;
	disk_path(s, kind, key, path);
	if (disk_is_kept(kind, path, &old, &replaces))
		return 0;
	struct buf *file = blob_scratch();
	int done = blob_pack(kind, key, parts, n_parts, s->level, file, err);
	if (done == 0)
		done = disk_check_size(s, file->len, err);
	if (done == 0)
		done = disk_publish(s, key, path, file, replaces ? &old : NULL, err);
	blob_scratch_done(file);
	return done;
}

int store_keep_unpacked(struct store *s, enum store_kind kind, const struct digest *key, const struct store_part *raw,
			struct err *err)
{
	char path[PATH_MAX];
	struct stat old;
	disk_path(s, kind, key, path);
	uint64_t bytes = disk_bytes(BLOB_HEADER + raw->n), max = s->max_bytes;
	bool is_packed = lstat(path, &old) == 0 && is_blob_file(&old) && (uint64_t)old.st_size < BLOB_HEADER + raw->n;
	if (raw->n < STORE_UNPACKED_MIN || !is_packed || (max && store_bytes(s) + bytes > max / 4))
		return 0;
	// Another may stand there since it was read: one that was found wrong is replaced.
	AUTO_BUF struct buf now = {.max = raw->n + 1};
	if (store_get(s, kind, key, &now, NULL) != 1 || now.len != raw->n || memcmp(now.data, raw->p, raw->n) != 0)
		return 0;
	struct buf *file = blob_scratch();
	int done = blob_pack(kind, key, raw, 1, BLOB_UNPACKED, file, err);
	if (done == 0)
		done = disk_publish(s, key, path, file, &old, err);
	blob_scratch_done(file);
	return done;
}

// ---- get -----------------------------------------------------------------------------------------------------------

// `to` gets exactly `size` bytes from there on; fewer in the file are ERR_FORMAT.
static int read_at(int fd, size_t from, void *to, size_t size, struct err *err)
{
	for (size_t got = 0; got < size;) {
		ssize_t n = pread(fd, (char *)to + got, size - got, (off_t)(from + got));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, "cannot read a blob");
		if (n == 0)
			return err_set(err, ERR_FORMAT, "a blob ends early");
		got += (size_t)n;
	}
	return 0;
}

static int read_whole(int fd, size_t size, struct buf *file, struct err *err)
{
	char *to = buf_room(file, size);
	if (!to)
		return buf_check(file, "a blob file", err);
	if (read_at(fd, 0, to, size, err) < 0)
		return -1;
	buf_grew(file, size);
	return 0;
}

// A large blob that is not packed, straight into `out`. 1 it is there; 0 it is packed, and nothing is; -1 as disk_load().
static int load_unpacked(int fd, enum store_kind kind, const struct digest *key, size_t size, struct buf *out,
			 struct err *err)
{
	char header[BLOB_HEADER];
	if (read_at(fd, 0, header, sizeof header, err) < 0)
		return -1;
	if (!blob_is_unpacked(header, size))
		return 0;
	size_t n = size - BLOB_HEADER;
	char *to = buf_room(out, n);
	if (!to)
		return buf_check(out, "a blob", err);
	int done = read_at(fd, BLOB_HEADER, to, n, err);
	if (done == 0 && !blob_follows(header, to, n, kind, key))
		done = err_set(err, ERR_FORMAT, "not the whole blob of its key");
	buf_grew(out, done == 0 ? n : 0); // its '\0' was written over
	return done == 0 ? 1 : -1;
}

int disk_load(int fd, enum store_kind kind, const struct digest *key, struct buf *out, struct stat *st, struct err *err)
{
	if (fstat(fd, st) < 0)
		return err_errno(err, "cannot read a blob");
	if (!is_blob_file(st) || st->st_size < (off_t)BLOB_HEADER || st->st_size > (off_t)BLOB_FILE_MAX)
		return err_set(err, ERR_FORMAT, "a blob file of %lld bytes", (long long)st->st_size);
	if ((size_t)st->st_size >= STORE_UNPACKED_MIN) {
		int loaded = load_unpacked(fd, kind, key, (size_t)st->st_size, out, err);
		if (loaded != 0)
			return loaded < 0 ? -1 : 0;
	}
	struct buf *file = blob_scratch();
	int done = read_whole(fd, (size_t)st->st_size, file, err);
	size_t size = 0;
	const void *blob = done == 0 ? blob_find(file->data, file->len, kind, key, &size) : NULL;
	if (done == 0)
		done = blob ? blob_unpack(blob, size, kind, key, out, err)
			    : err_set(err, ERR_FORMAT, "the blob is not in its file");
	blob_scratch_done(file);
	return done;
}

int store_get(struct store *s, enum store_kind kind, const struct digest *key, struct buf *out, struct err *err)
{
	char path[PATH_MAX];
	disk_path(s, kind, key, path);
	// O_NONBLOCK: opening a fifo must not wait for a writer.
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ENXIO)) {
		disk_forget(s, kind, key);
		return 0;
	}
	if (fd < 0)
		return err_errno(err, "cannot open '%s'", path);
	struct stat st;
	struct err why = ERR_INIT;
	if (disk_load(fd, kind, key, out, &st, &why) == 0) {
		if (disk_wants_touch(&st))
			futimens(fd, NULL);
		return 1;
	}
	bool is_corrupt = why.code == ERR_FORMAT;
	if (is_corrupt && !is_blob_file(&st))
		return 0;
	if (is_corrupt)
		s->corrupt++;
	if (disk_is_useless(&why))
		store_remove(s, kind, key);
	if (err)
		*err = why;
	if (is_corrupt)
		return 0;
	return err_wrap(err, "'%s'", path);
}

bool store_has_kind(const struct store *s, enum store_kind kind)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/%s", s->v1, store_kind_names[kind]);
	return access(path, F_OK) == 0;
}

bool store_has(struct store *s, enum store_kind kind, const struct digest *key)
{
	char path[PATH_MAX];
	disk_path(s, kind, key, path);
	struct stat st;
	return lstat(path, &st) == 0 && is_blob_file(&st) && (uint64_t)st.st_size >= BLOB_HEADER;
}

bool store_use(struct store *s, enum store_kind kind, const struct digest *key)
{
	char path[PATH_MAX];
	disk_path(s, kind, key, path);
	struct stat st;
	if (lstat(path, &st) < 0 || !is_blob_file(&st) || (uint64_t)st.st_size < BLOB_HEADER)
		return false;
	if (disk_wants_touch(&st))
		utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
	return true;
}

// ---- what was there a moment ago --------------------------------------------------------------------------------------

enum { LATELY_S = 5, LATELY_BITS = 16 };

static uint64_t hash_of(enum store_kind kind, const struct digest *key)
{
	uint64_t words[2];
	memcpy(words, key->b, sizeof words);
	words[1] += kind;
	return hash64(words, sizeof words);
}

static atomic_uint_fast64_t *lately_at(struct store *s, uint64_t hash)
{
	return &s->lately[hash % STORE_LATELY];
}

void disk_forget(struct store *s, enum store_kind kind, const struct digest *key)
{
	uint64_t hash = hash_of(kind, key);
	uint_fast64_t there = atomic_load_explicit(lately_at(s, hash), memory_order_relaxed);
	if (there >> LATELY_BITS == hash >> LATELY_BITS)
		atomic_compare_exchange_strong(lately_at(s, hash), &there, 0);
}

bool store_uses(struct store *s, enum store_kind kind, const struct digest *key)
{
	uint64_t hash = hash_of(kind, key);
	uint16_t now = (uint16_t)(clock_ms() / 1000);
	uint_fast64_t there = atomic_load_explicit(lately_at(s, hash), memory_order_relaxed);
	if (there >> LATELY_BITS == hash >> LATELY_BITS && (uint16_t)(now - (uint16_t)there) < LATELY_S)
		return true;
	if (!store_use(s, kind, key))
		return false;
	atomic_store_explicit(lately_at(s, hash), hash >> LATELY_BITS << LATELY_BITS | now, memory_order_relaxed);
	return true;
}

void store_remove(struct store *s, enum store_kind kind, const struct digest *key)
{
	char path[PATH_MAX];
	disk_path(s, kind, key, path);
	disk_forget(s, kind, key);
	struct stat st;
	if (lstat(path, &st) == 0 && is_blob_file(&st) && unlink(path) == 0)
		usage_add(s->usage, shard_of(key), -(int64_t)disk_freed(&st));
}
