#include "image/image.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH = 128 };

struct walk {
	EVP_MD_CTX *hash;
	uint64_t bytes, files;
	struct err *err;
};

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int no_dots(const struct dirent *e)
{
	return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

// A field with its length before it, so that no two lists of fields give the same bytes.
static int add(struct walk *w, const void *p, size_t n)
{
	uint64_t length = n;
	return EVP_DigestUpdate(w->hash, &length, sizeof length) == 1 && EVP_DigestUpdate(w->hash, p, n) == 1
		       ? 0
		       : err_set(w->err, ERR_IO, "cannot hash the image");
}

static int add_contents(struct walk *w, int parent, const char *name, const struct stat *st)
{
	char text[BLOB_DIGEST], target[4096];
	if (S_ISLNK(st->st_mode)) {
		ssize_t n = readlinkat(parent, name, target, sizeof target);
		return n < 0 ? err_errno(w->err, "cannot read the link '%.200s'", name) : add(w, target, (size_t)n);
	}
	AUTO_CLOSE int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(w->err, "cannot open '%.200s' of the image", name);
	w->bytes += (uint64_t)st->st_size;
	return blob_digest_of(fd, text, w->err) < 0 ? -1 : add(w, text, strlen(text));
}

static int walk(struct walk *w, int dir, unsigned depth)
{
	struct dirent **names;
	int n = scandirat(dir, ".", &names, no_dots, by_name), rc = 0;
	if (n < 0 || depth > DEPTH)
		return n < 0 ? err_errno(w->err, "cannot list the image")
			     : err_set(w->err, ERR_LIMIT, "the image is too deep");
	for (int i = 0; i < n; i++) {
		struct stat st;
		const char *name = names[i]->d_name;
		char head[64];
		if (rc == 0 && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			rc = err_errno(w->err, "cannot look at '%.200s' of the image", name);
		if (rc == 0) {
			int length = snprintf(head, sizeof head, "%u %o", depth, st.st_mode);
			w->files++;
			rc = add(w, name, strlen(name)) < 0 || add(w, head, (size_t)length) < 0 ? -1 : 0;
		}
		if (rc == 0 && (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode)))
			rc = add_contents(w, dir, name, &st);
		if (rc == 0 && S_ISDIR(st.st_mode)) {
			AUTO_CLOSE int sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			rc = sub < 0 ? err_errno(w->err, "cannot open '%.200s' of the image", name)
				     : walk(w, sub, depth + 1);
		}
		free(names[i]);
	}
	free(names);
	return rc;
}

int image_tree_digest(int root, char digest[BLOB_DIGEST], uint64_t *bytes, uint64_t *files, struct err *err)
{
	uint8_t sha256[32];
	struct walk w = {.hash = EVP_MD_CTX_new(), .err = err};
	int rc = w.hash && EVP_DigestInit_ex(w.hash, EVP_sha256(), NULL) == 1 ? walk(&w, root, 0)
									      : err_set(err, ERR_IO, "no hash");
	if (rc == 0 && EVP_DigestFinal_ex(w.hash, sha256, NULL) != 1)
		rc = err_set(err, ERR_IO, "cannot hash the image");
	if (rc == 0)
		blob_digest_text(sha256, digest);
	EVP_MD_CTX_free(w.hash);
	*bytes = w.bytes;
	*files = w.files;
	return rc;
}
