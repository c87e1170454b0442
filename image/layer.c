#include "image/layer.h"

#include "base/mem.h"
#include "base/tree.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PIECE = 256 * 1024, DEPTH = 64, NAME = 4096, TRIES = 1000 };

static struct archive *open_archive(int fd, bool raw, struct err *err)
{
	struct archive *a = archive_read_new();
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_zstd(a);
	if (raw)
		archive_read_support_format_raw(a);
	else
		archive_read_support_format_tar(a);
	if (lseek(fd, 0, SEEK_SET) == 0 && archive_read_open_fd(a, fd, PIECE) == ARCHIVE_OK)
		return a;
	err_set(err, ERR_FORMAT, "a layer is no archive: %.200s", archive_error_string(a));
	archive_read_free(a);
	return NULL;
}

// ---- its digest, unpacked -------------------------------------------------------------------------------------------

static int check_diff_id(int fd, const char *diff_id, uint64_t most, struct err *err)
{
	AUTO_FREE char *piece = mem_alloc(PIECE);
	struct archive_entry *entry;
	char found[BLOB_DIGEST];
	uint8_t sha256[32];
	uint64_t bytes = 0;
	la_ssize_t n = 0;
	struct archive *a = open_archive(fd, true, err);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = a && ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
		  archive_read_next_header(a, &entry) == ARCHIVE_OK;
	while (ok && (n = archive_read_data(a, piece, PIECE)) > 0 && bytes <= most) {
		ok = EVP_DigestUpdate(ctx, piece, (size_t)n) == 1;
		bytes += (uint64_t)n;
	}
	ok = ok && n == 0 && EVP_DigestFinal_ex(ctx, sha256, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	if (a)
		archive_read_free(a);
	if (bytes > most)
		return err_set(err, ERR_LIMIT, "a layer unpacks to more than %llu bytes", (unsigned long long)most);
	if (!ok)
		return err_set(err, ERR_FORMAT, "a layer cannot be unpacked");
	blob_digest_text(sha256, found);
	return strcmp(found, diff_id) == 0
		       ? 0
		       : err_set(err, ERR_FORMAT, "a layer unpacks to '%s' instead of '%s'", found, diff_id);
}

// ---- names ----------------------------------------------------------------------------------------------------------

// Without "./" and '/' at the ends. False: it is absolute, has "..", is too deep or too long.
static bool tidy(const char *name, char out[NAME])
{
	size_t n = 0;
	unsigned depth = 0;
	if (!name || name[0] == '/')
		return false;
	for (const char *p = name; *p;) {
		size_t part = strcspn(p, "/");
		if (part == 2 && memcmp(p, "..", 2) == 0)
			return false;
		if (part > 0 && !(part == 1 && *p == '.')) {
			if (n + part + 2 > NAME || ++depth > DEPTH)
				return false;
			if (n)
				out[n++] = '/';
			memcpy(out + n, p, part);
			n += part;
		}
		p += part + (p[part] == '/');
	}
	out[n] = '\0';
	return true;
}

// A directory below the root. Links in it lead to where they would if the root was the file system's.
static int open_in_root(int root, const char *name)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	int fd = -1;
	// EAGAIN: something was renamed or mounted on this machine while ".." of a link was followed.
	for (int i = 0; i < TRIES && (fd = (int)syscall(SYS_openat2, root, *name ? name : ".", &how, sizeof how)) < 0 &&
			errno == EAGAIN;
	     i++)
		;
	return fd;
}

// The parent of a name, made where it is missing; *base is what follows.
static int open_parent(int root, char *name, const char **base, struct err *err)
{
	char *slash = strrchr(name, '/');
	*base = slash ? slash + 1 : name;
	if (slash)
		*slash = '\0';
	int fd = open_in_root(root, slash ? name : "");
	if (fd < 0 && errno == ENOENT && slash) {
		AUTO_FREE char *above = mem_strdup(name);
		const char *missing;
		AUTO_CLOSE int parent = open_parent(root, above, &missing, err);
		if (parent < 0 || (mkdirat(parent, missing, 0755) < 0 && errno != EEXIST))
			return parent < 0 ? -1 : err_errno(err, "cannot make '%.200s'", name);
		fd = open_in_root(root, name);
	}
	if (fd < 0)
		err_errno(err, "cannot open the directory '%.200s' of the image", name);
	if (slash)
		*slash = '/';
	return fd;
}

// ---- entries --------------------------------------------------------------------------------------------------------

static void remove_entry(int parent, const char *name)
{
	if (unlinkat(parent, name, 0) < 0 && (errno == EISDIR || errno == EPERM))
		tree_remove(parent, name);
}

static void remove_children(int parent)
{
	int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	for (struct dirent *e; d && (e = readdir(d));)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			remove_entry(parent, e->d_name);
	if (d)
		closedir(d);
}

static int write_file(struct layer_root *root, struct archive *a, int parent, const char *name, mode_t mode, struct err *err)
{
	AUTO_FREE char *piece = mem_alloc(PIECE);
	la_ssize_t n;
	remove_entry(parent, name);
	AUTO_CLOSE int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, "cannot make '%.200s'", name);
	while ((n = archive_read_data(a, piece, PIECE)) > 0) {
		if ((uint64_t)n > root->left.bytes)
			return err_set(err, ERR_LIMIT, "the image is larger than it may be");
		root->left.bytes -= (uint64_t)n;
		if (write(fd, piece, (size_t)n) != (ssize_t)n)
			return err_errno(err, "cannot write '%.200s'", name);
	}
	if (n < 0)
		return err_set(err, ERR_FORMAT, "a layer is damaged: %.200s", archive_error_string(a));
	return fchmod(fd, (mode & 0755) | 0400) < 0 ? err_errno(err, "cannot set the mode of '%.200s'", name) : 0;
}

static int make_directory(int parent, const char *name, mode_t mode, struct err *err)
{
	struct stat st;
	if (!*name)
		return 0;
	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode))
		remove_entry(parent, name);
	if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST)
		return err_errno(err, "cannot make '%.200s'", name);
	return fchmodat(parent, name, (mode & 0755) | 0700, 0) < 0 ? err_errno(err, "cannot set the mode of '%.200s'", name)
								   : 0;
}

static int make_hard_link(struct layer_root *root, const char *to, int parent, const char *name, struct err *err)
{
	char target[NAME];
	const char *base;
	if (!tidy(to, target))
		return err_set(err, ERR_FORMAT, "the image has a link to '%.200s', which leads out of it", to);
	AUTO_CLOSE int from = open_parent(root->fd, target, &base, err);
	if (from < 0)
		return -1;
	remove_entry(parent, name);
	return linkat(from, base, parent, name, 0) < 0 ? err_errno(err, "cannot link '%.200s' to '%.200s'", name, to) : 0;
}

// Whiteouts are about the layers below, so they are applied before anything of their own layer.
static int apply_entry(struct layer_root *root, struct archive *a, struct archive_entry *e, bool whiteouts, struct err *err)
{
	char name[NAME];
	const char *base, *link = archive_entry_hardlink(e), *target = archive_entry_symlink(e);
	if (!tidy(archive_entry_pathname(e), name))
		return err_set(err, ERR_FORMAT, "the image has a file '%.200s', which is not below its root",
			       archive_entry_pathname(e) ? archive_entry_pathname(e) : "");
	const char *slash = strrchr(name, '/');
	if ((strncmp(slash ? slash + 1 : name, ".wh.", 4) == 0) != whiteouts)
		return 0;
	AUTO_CLOSE int parent = open_parent(root->fd, name, &base, err);
	if (parent < 0)
		return -1;
	if (strcmp(base, ".wh..wh..opq") == 0) {
		remove_children(parent);
		return 0;
	}
	if (strncmp(base, ".wh.", 4) == 0) {
		if (base[4] && strcmp(base + 4, ".") != 0 && strcmp(base + 4, "..") != 0)
			remove_entry(parent, base + 4);
		return 0;
	}
	if (link)
		return make_hard_link(root, link, parent, base, err);
	switch (archive_entry_filetype(e)) {
	case AE_IFREG:
		return write_file(root, a, parent, base, archive_entry_perm(e), err);
	case AE_IFDIR:
		return make_directory(parent, base, archive_entry_perm(e), err);
	case AE_IFLNK:
		remove_entry(parent, base);
		if (!target || symlinkat(target, parent, base) < 0)
			return err_errno(err, "cannot make the link '%.200s'", base);
		return 0;
	default:
		root->left_out++;
		return 0;
	}
}

static int apply_all(struct layer_root *root, int fd, bool whiteouts, struct err *err)
{
	struct archive_entry *e;
	struct archive *a = open_archive(fd, false, err);
	int rc;
	if (!a)
		return -1;
	err_clear(err);
	while ((rc = archive_read_next_header(a, &e)) == ARCHIVE_OK || rc == ARCHIVE_WARN) {
		if (!whiteouts && root->left.entries-- == 0) {
			rc = err_set(err, ERR_LIMIT, "the image has more files than it may have");
			break;
		}
		if (apply_entry(root, a, e, whiteouts, err) < 0) {
			rc = -1;
			break;
		}
	}
	if (rc != ARCHIVE_EOF && err->code == ERR_NONE)
		err_set(err, ERR_FORMAT, "a layer is damaged: %.200s", archive_error_string(a));
	archive_read_free(a);
	return rc == ARCHIVE_EOF ? 0 : -1;
}

int layer_apply(struct layer_root *root, int fd, const char *diff_id, struct err *err)
{
	// Archives are a little larger than the files in them.
	if (check_diff_id(fd, diff_id, root->left.bytes + root->left.bytes / 8 + (64 << 20), err) < 0)
		return -1;
	return apply_all(root, fd, true, err) < 0 ? -1 : apply_all(root, fd, false, err);
}
