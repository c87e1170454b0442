#include "worker/runtime/snapshot.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, PIECE = 1 << 20, NONCE = 12 };

static uint8_t key[32];
static bool has_key;

static void make_key(void)
{
	has_key = RAND_bytes(key, sizeof key) == 1;
}

static int mac_number(EVP_MAC_CTX *mac, uint64_t n)
{
	return EVP_MAC_update(mac, (const uint8_t *)&n, sizeof n) == 1 ? 0 : -1;
}

static int mac_text(EVP_MAC_CTX *mac, const char *text)
{
	return mac_number(mac, strlen(text)) == 0 && EVP_MAC_update(mac, (const uint8_t *)text, strlen(text)) == 1 ? 0 : -1;
}

// Each page that is not all zeros, behind its place. Where the holes of a file are is of no account: it changes when it is written to
// the disk.
static int mac_pages(EVP_MAC_CTX *mac, const uint8_t *pages, size_t n, uint64_t at)
{
	static const uint8_t zeros[PAGE];
	for (size_t i = 0; i < n; i += PAGE) {
		uint64_t place[2] = {at + i, n - i < PAGE ? n - i : PAGE};
		if (memcmp(pages + i, zeros, place[1]) == 0)
			continue;
		if (EVP_MAC_update(mac, (const uint8_t *)place, sizeof place) != 1 ||
		    EVP_MAC_update(mac, pages + i, place[1]) != 1)
			return -1;
	}
	return 0;
}

// Its size, and what is in it.
static int mac_file(EVP_MAC_CTX *mac, int fd, uint8_t *piece)
{
	off_t size = lseek(fd, 0, SEEK_END), at = 0;
	if (size < 0 || mac_number(mac, (uint64_t)size) < 0)
		return -1;
	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		at &= -PAGE;
		off_t end = lseek(fd, at, SEEK_HOLE);
		if (end <= at)
			return -1;
		while (at < end) {
			ssize_t n = pread(fd, piece, PIECE, at);
			if (n <= 0 || mac_pages(mac, piece, (size_t)n, (uint64_t)at) < 0)
				return -1;
			at += n;
		}
	}
	return errno == ENXIO ? 0 : -1;
}

static int mac_of(const struct snapshot_owner *owner, int memory, int state, uint64_t number, uint8_t out[SNAPSHOT_MAC],
		  struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, make_key);
	uint8_t nonce[NONCE] = {0};
	size_t n = 0;
	memcpy(nonce, &number, sizeof number);
	EVP_MAC *kind = EVP_MAC_fetch(NULL, "GMAC", NULL);
	EVP_MAC_CTX *mac = kind ? EVP_MAC_CTX_new(kind) : NULL;
	OSSL_PARAM how[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, (char *)(uintptr_t) "AES-256-GCM", 0),
			    OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_IV, nonce, sizeof nonce),
			    OSSL_PARAM_construct_end()};
	AUTO_FREE uint8_t *piece = mem_alloc(PIECE);
	bool is_made = has_key && mac && EVP_MAC_init(mac, key, sizeof key, how) == 1 && mac_text(mac, owner->tenant) == 0 &&
		       mac_text(mac, owner->image) == 0 && mac_file(mac, memory, piece) == 0 &&
		       mac_file(mac, state, piece) == 0 && EVP_MAC_final(mac, out, &n, SNAPSHOT_MAC) == 1 &&
		       n == SNAPSHOT_MAC;
	EVP_MAC_CTX_free(mac);
	EVP_MAC_free(kind);
	return is_made ? 0 : err_set(err, ERR_IO, "the seal of a saved session can't be made");
}

static int open_file(const char *path, struct err *err)
{
	struct stat st;
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, "open '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_ACCESS, "'%s' is no file", path);
	return TAKE_FD(fd);
}

static int give(int fd, uid_t uid, gid_t gid, struct err *err)
{
	return fchmod(fd, 0600) < 0 || fchown(fd, uid, gid) < 0 ? err_errno(err, "change the owner of a saved session") : 0;
}

int snapshot_seal(const struct snapshot_owner *owner, const char *memory, const char *state, struct snapshot_seal *seal,
		  struct err *err)
{
	static atomic_uint_fast64_t numbers;
	*seal = (struct snapshot_seal){.number = atomic_fetch_add(&numbers, 1)};
	AUTO_CLOSE int m = open_file(memory, err);
	AUTO_CLOSE int s = m < 0 ? -1 : open_file(state, err);
	if (s < 0 || give(m, geteuid(), getegid(), err) < 0 || give(s, geteuid(), getegid(), err) < 0 ||
	    mac_of(owner, m, s, seal->number, seal->mac, err) < 0)
		return -1;
	seal->is_good = true;
	return 0;
}

int snapshot_break(const struct snapshot_owner *owner, const char *memory, const char *state, uid_t uid, gid_t gid,
		   struct snapshot_seal *seal, struct err *err)
{
	uint8_t mac[SNAPSHOT_MAC];
	if (!seal->is_good)
		return err_set(err, ERR_ACCESS, "a saved session is resumed once");
	seal->is_good = false;
	AUTO_CLOSE int m = open_file(memory, err);
	AUTO_CLOSE int s = m < 0 ? -1 : open_file(state, err);
	if (s < 0 || mac_of(owner, m, s, seal->number, mac, err) < 0)
		return -1;
	if (CRYPTO_memcmp(mac, seal->mac, sizeof mac) != 0)
		return err_set(err, ERR_ACCESS, "the saved session was changed, or is another tenant's");
	return give(m, uid, gid, err) < 0 ? -1 : give(s, uid, gid, err);
}
