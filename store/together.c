// Several blobs at once, the small ones in one file with a name for each: a bundle (store/blob.h).
#include "store/disk.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	BUNDLE_NAMES = 12,
	BUNDLE_BLOB = 8 << 10,  // a larger blob has its own file
	BUNDLE_BYTES = 16 << 10 // whoever reads one blob reads all: that must cost nothing
};

struct bundled {
	enum store_kind kind;
	struct digest key;
	size_t at, size; // in the bundle
	bool replaces;
	struct stat old;
};

struct bundle {
	struct buf file;
	struct bundled all[BUNDLE_NAMES];
	size_t n;
};

static void bundle_release(struct bundle *b)
{
	buf_release(&b->file);
}

static void bundle_clear(struct bundle *b)
{
	buf_clear(&b->file);
	b->n = 0;
}

static void path_of(const struct store *s, const struct bundled *one, char path[PATH_MAX])
{
	disk_path(s, one->kind, &one->key, path);
}

// A further name for `tmp`, in place of what has it. -1 with errno.
static int add_name(struct store *s, const char *tmp, const char *path)
{
	char second[PATH_MAX];
	if (link(tmp, path) == 0)
		return 0;
	if (errno != EEXIST)
		return -1;
	disk_temp_name(s, second);
	if (link(tmp, second) < 0)
		return -1;
	if (rename(second, path) == 0)
		return 0;
	int why = errno;
	unlink(second);
	errno = why;
	return -1;
}

// In their order: a manifest never has a name before the result that it tells of.
static int publish_once(struct store *s, const struct bundle *b, struct err *err)
{
	char tmp[PATH_MAX], path[PATH_MAX];
	if (disk_write_temp(s, &b->file, tmp, err) < 0)
		return -1;
	for (size_t i = 0; i < b->n; i++) {
		path_of(s, &b->all[i], path);
		bool is_last = i == b->n - 1;
		if ((is_last ? rename(tmp, path) : add_name(s, tmp, path)) == 0)
			continue;
		// In a young cache the last directory of the name is often missing.
		if (errno == ENOENT && disk_make_directories(s, path, NULL) == 0 &&
		    (is_last ? rename(tmp, path) : add_name(s, tmp, path)) == 0)
			continue;
		err_errno(err, "cannot give '%s' the name '%s'", tmp, path);
		unlink(tmp);
		return -1;
	}
	return 0;
}

static bool has_no_links(int why)
{
	return why == EPERM || why == EOPNOTSUPP || why == ENOSYS || why == EMLINK || why == EXDEV;
}

// Each in a file of its own.
static int publish_apart(struct store *s, const struct bundle *b, struct err *err)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct bundled *one = &b->all[i];
		char path[PATH_MAX];
		path_of(s, one, path);
		struct buf file = {.data = b->file.data + one->at, .len = one->size};
		if (disk_publish(s, &one->key, path, &file, one->replaces ? &one->old : NULL, err) < 0)
			return -1;
	}
	return 0;
}

static void count(struct store *s, const struct bundle *b)
{
	uint64_t bytes = disk_bytes(b->file.len), part = bytes / b->n;
	for (size_t i = 0; i < b->n; i++) {
		const struct bundled *one = &b->all[i];
		int64_t freed = (int64_t)(one->replaces ? disk_freed(&one->old) : 0);
		usage_add(s->usage, shard_of(&one->key), (int64_t)(i ? part : bytes - part * (b->n - 1)) - freed);
	}
}

static int bundle_publish(struct store *s, struct bundle *b, struct err *err)
{
	struct err why = ERR_INIT;
	if (b->n < 2 || atomic_load(&s->has_no_links))
		return publish_apart(s, b, err);
	int done = publish_once(s, b, &why);
	// The whole cache is gone: with its directories for temp files.
	if (done < 0 && why.sys == ENOENT) {
		char path[PATH_MAX];
		path_of(s, &b->all[0], path);
		done = disk_make_directories(s, path, &why) < 0 ? -1 : publish_once(s, b, &why);
	}
	if (done < 0 && has_no_links(why.sys)) {
		atomic_store(&s->has_no_links, true);
		return publish_apart(s, b, err);
	}
	if (done < 0 && (why.sys == ENOSPC || why.sys == EDQUOT))
		atomic_store(&s->disk_is_full, true);
	if (done < 0 && err)
		*err = why;
	if (done == 0)
		count(s, b);
	return done;
}

static int bundle_flush(struct store *s, struct bundle *b, struct err *err)
{
	int done = b->n ? bundle_publish(s, b, err) : 0;
	bundle_clear(b);
	return done;
}

static int put_one(struct store *s, struct bundle *b, const struct store_blob *blob, struct err *err)
{
	struct bundled one = {.kind = blob->kind, .key = blob->key};
	char path[PATH_MAX];
	path_of(s, &one, path);
	if (disk_is_kept(one.kind, path, &one.old, &one.replaces))
		return 0;
	struct buf *file = blob_scratch();
	int done = blob_pack(one.kind, &one.key, blob->parts, blob->n_parts, s->level, file, err);
	if (done == 0)
		done = disk_check_size(s, file->len, err);
	bool is_small = done == 0 && file->len <= BUNDLE_BLOB;
	// What stands before this one goes before it.
	if (done == 0 && (!is_small || b->n == BUNDLE_NAMES || b->file.len + file->len + 4 > BUNDLE_BYTES))
		done = bundle_flush(s, b, err);
	if (done == 0 && is_small) {
		if (b->n == 0)
			blob_bundle_begin(&b->file);
		one.at = b->file.len + 4;
		one.size = file->len;
		blob_bundle_add(&b->file, file);
		b->all[b->n++] = one;
	} else if (done == 0) {
		done = disk_publish(s, &one.key, path, file, one.replaces ? &one.old : NULL, err);
	}
	blob_scratch_done(file);
	return done;
}

int store_put_together(struct store *s, const struct store_blob *blobs, size_t n, struct err *err)
{
	__attribute__((cleanup(bundle_release))) struct bundle b = {.n = 0};
	for (size_t i = 0; i < n; i++)
		if (put_one(s, &b, &blobs[i], err) < 0)
			return -1;
	return bundle_flush(s, &b, err);
}

// ---- one more ------------------------------------------------------------------------------------------------------

// The file of a blob, open for one more, if it is a bundle with room for `size` bytes. -1: it is not.
static int open_bundle(const struct store *s, enum store_kind kind, const struct digest *key, size_t size, struct stat *st)
{
	char path[PATH_MAX], start[8];
	disk_path(s, kind, key, path);
	AUTO_CLOSE int fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, st) < 0 || !is_blob_file(st) || st->st_size > (off_t)(BUNDLE_BYTES - size) ||
	    pread(fd, start, sizeof start, 0) != sizeof start || !blob_is_bundle(start, sizeof start))
		return -1;
	return TAKE_FD(fd);
}

// A record that is torn here ends the bundle for its readers: those before it stay, those behind it are misses.
static bool append(struct store *s, int fd, off_t size, const struct buf *blob, const char *path)
{
	char of_fd[32];
	AUTO_BUF struct buf record = BUF_INIT;
	blob_bundle_add(&record, blob);
	ssize_t written = write(fd, record.data, record.len);
	if (written != (ssize_t)record.len) {
		struct stat st;
		// A torn record would end the bundle for all that come after it. Another may have come meanwhile: then it is theirs.
		if (written >= 0 && fstat(fd, &st) == 0 && st.st_size == size + written && ftruncate(fd, size) < 0)
			atomic_store(&s->disk_is_full, true);
		return false;
	}
	// By its descriptor: another file may have the name by now.
	snprintf(of_fd, sizeof of_fd, "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, of_fd, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
		return true;
	return errno == ENOENT && disk_make_directories(s, path, NULL) == 0 &&
	       linkat(AT_FDCWD, of_fd, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0;
}

int store_put_beside(struct store *s, const struct store_blob *blob, enum store_kind at_kind, const struct digest *at,
		     struct err *err)
{
	char path[PATH_MAX];
	struct stat st;
	bool done = false;
	disk_path(s, blob->kind, &blob->key, path);
	if (!atomic_load(&s->has_no_links) && access(path, F_OK) < 0) {
		struct buf *file = blob_scratch();
		bool is_small = blob_pack(blob->kind, &blob->key, blob->parts, blob->n_parts, s->level, file, NULL) == 0 &&
				file->len <= BUNDLE_BLOB;
		AUTO_CLOSE int fd = is_small ? open_bundle(s, at_kind, at, file->len + 4, &st) : -1;
		done = fd >= 0 && append(s, fd, st.st_size, file, path);
		if (done)
			usage_add(s->usage, shard_of(&blob->key),
				  (int64_t)disk_bytes((uint64_t)st.st_size + file->len + 4) -
					  (int64_t)disk_bytes((uint64_t)st.st_size));
		blob_scratch_done(file);
	}
	return done ? 0 : store_put(s, blob->kind, &blob->key, blob->parts, blob->n_parts, err);
}
