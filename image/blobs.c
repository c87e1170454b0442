#include "image/blobs.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 256 * 1024 };

bool blob_is_digest(const char *text)
{
	return strncmp(text, "sha256:", 7) == 0 && strlen(text) == 71 && strspn(text + 7, "0123456789abcdef") == 64;
}

void blob_digest_text(const uint8_t sha256[32], char digest[BLOB_DIGEST])
{
	int at = snprintf(digest, BLOB_DIGEST, "sha256:");
	for (int i = 0; i < 32; i++)
		at += snprintf(digest + at, (size_t)(BLOB_DIGEST - at), "%02x", sha256[i]);
}

int blob_digest_of(int fd, char digest[BLOB_DIGEST], struct err *err)
{
	AUTO_FREE char *piece = mem_alloc(PIECE);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sha256[32];
	ssize_t n = 0;
	bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
	for (off_t at = 0; ok && (n = pread(fd, piece, PIECE, at)) > 0; at += n)
		ok = EVP_DigestUpdate(ctx, piece, (size_t)n) == 1;
	ok = ok && n == 0 && EVP_DigestFinal_ex(ctx, sha256, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	if (!ok)
		return n < 0 ? err_errno(err, "cannot read a blob") : err_set(err, ERR_IO, "cannot hash a blob");
	blob_digest_text(sha256, digest);
	return 0;
}

int blob_open(int layout, const struct blob_descriptor *d, int *fd, struct err *err)
{
	char name[128], found[BLOB_DIGEST];
	struct stat st;
	if (!blob_is_digest(d->digest))
		return err_set(err, ERR_FORMAT, "'%.80s' is no SHA-256 digest", d->digest);
	snprintf(name, sizeof name, "blobs/sha256/%s", d->digest + 7);
	AUTO_CLOSE int blob = openat(layout, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (blob < 0)
		return err_errno(err, "cannot open the blob '%s'", name);
	if (fstat(blob, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != d->size)
		return err_set(err, ERR_FORMAT, "the blob '%s' has not the %" PRIu64 " bytes that it should have", d->digest,
			       d->size);
	if (blob_digest_of(blob, found, err) < 0)
		return -1;
	if (strcmp(found, d->digest) != 0)
		return err_set(err, ERR_FORMAT, "the blob '%s' has the digest '%s'", d->digest, found);
	*fd = TAKE_FD(blob);
	return 0;
}

int blob_read(int layout, const struct blob_descriptor *d, size_t most, struct buf *out, struct err *err)
{
	int fd;
	if (d->size > most)
		return err_set(err, ERR_LIMIT, "the blob '%s' is larger than %zu bytes", d->digest, most);
	if (blob_open(layout, d, &fd, err) < 0)
		return -1;
	AUTO_CLOSE int blob = fd;
	return file_read_fd(blob, most, out, err);
}
