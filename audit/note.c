#include "audit/note.h"

#include "auth/keys.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/value.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ED25519 = 1, PUBLIC = 32, SIGNATURE = 64, KEY_ID = 4 };
#define DASH "\xe2\x80\x94 " // an em dash and a blank begin a signature line

struct note_signer {
	EVP_PKEY *key;
	char origin[NOTE_ORIGIN_MAX + 1];
	uint8_t id[KEY_ID];
	char verifier[NOTE_KEY_MAX];
};

bool note_is_origin(const char *text)
{
	return value_is_name(text, NOTE_ORIGIN_MAX, "._-/:");
}

// ---- base64 ---------------------------------------------------------------------------------------------------------

void base64_encode(struct buf *out, const void *p, size_t n)
{
	size_t room = (n + 2) / 3 * 4;
	EVP_EncodeBlock((unsigned char *)buf_room(out, room + 1), p, (int)n);
	buf_grew(out, room);
}

bool base64_decode(struct buf *out, const char *text, size_t n)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t padding = n && text[n - 1] == '=' ? (n > 1 && text[n - 2] == '=' ? 2 : 1) : 0, from = out->len;
	if (n % 4 || n > BASE64_MAX)
		return false;
	for (size_t i = 0; i < n - padding; i++)
		if (!text[i] || !strchr(alphabet, text[i]))
			return false;
	if (EVP_DecodeBlock((unsigned char *)buf_room(out, n / 4 * 3 + 1), (const unsigned char *)text, (int)n) < 0)
		return false;
	buf_grew(out, n / 4 * 3 - padding);
	// One text for each sequence of bytes: bits that nobody reads must be zero.
	AUTO_BUF struct buf again = BUF_INIT;
	base64_encode(&again, out->data + from, out->len - from);
	return again.len == n && memcmp(again.data, text, n) == 0;
}

// ---- keys -----------------------------------------------------------------------------------------------------------

// SHA-256(origin "\n" 0x01 public key), its first four bytes.
static void key_id(const char *origin, const uint8_t public[PUBLIC], uint8_t id[KEY_ID])
{
	AUTO_BUF struct buf b = BUF_INIT;
	uint8_t digest[SHA256_DIGEST_LENGTH];
	buf_addf(&b, "%s\n%c", origin, ED25519);
	buf_add(&b, public, PUBLIC);
	SHA256((const uint8_t *)b.data, b.len, digest);
	memcpy(id, digest, KEY_ID);
}

static int describe(struct note_signer *s, struct err *err)
{
	uint8_t typed[1 + PUBLIC] = {ED25519};
	size_t n = PUBLIC;
	AUTO_BUF struct buf b = BUF_INIT;
	if (EVP_PKEY_get_raw_public_key(s->key, typed + 1, &n) != 1 || n != PUBLIC)
		return err_set(err, ERR_FORMAT, "the key is no Ed25519 key");
	key_id(s->origin, typed + 1, s->id);
	base64_encode(&b, typed, sizeof typed);
	snprintf(s->verifier, sizeof s->verifier, "%s+%02x%02x%02x%02x+%.*s", s->origin, s->id[0], s->id[1], s->id[2],
		 s->id[3], (int)b.len, b.data);
	return 0;
}

static int read_or_make(const char *path, bool make, EVP_PKEY **key, struct err *err)
{
	if (!make || access(path, F_OK) == 0)
		return keys_read_private(path, key, err);
	*key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	if (!*key)
		return err_set(err, ERR_IO, "cannot make an Ed25519 key");
	return keys_write_private(path, *key, err);
}

int note_signer_open(const char *path, const char *origin, bool make, struct note_signer **signer, struct err *err)
{
	if (!note_is_origin(origin))
		return err_set(err, ERR_USAGE, "'%.60s' is no origin of a log: 1 to %d of A-Z a-z 0-9 . _ - / :", origin,
			       NOTE_ORIGIN_MAX);
	struct note_signer *s = mem_alloc(sizeof *s);
	snprintf(s->origin, sizeof s->origin, "%s", origin);
	if (read_or_make(path, make, &s->key, err) < 0 || describe(s, err) < 0) {
		note_signer_free(s);
		return err_wrap(err, "the audit key '%s'", path);
	}
	*signer = s;
	return 0;
}

void note_signer_free(struct note_signer *s)
{
	if (!s)
		return;
	EVP_PKEY_free(s->key);
	free(s);
}

const char *note_signer_verifier(const struct note_signer *s)
{
	return s->verifier;
}

// ---- notes ----------------------------------------------------------------------------------------------------------

static void put_body(struct buf *b, const struct checkpoint *c)
{
	buf_addf(b, "%s\n%" PRIu64 "\n", c->origin, c->size);
	base64_encode(b, c->root.b, sizeof c->root.b);
	buf_addc(b, '\n');
}

int note_sign_bytes(const struct note_signer *s, const void *p, size_t n, uint8_t sig[SIGNATURE], struct err *err)
{
	size_t n_sig = SIGNATURE;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok =
		ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, s->key) == 1 && EVP_DigestSign(ctx, sig, &n_sig, p, n) == 1;
	EVP_MD_CTX_free(ctx);
	return ok && n_sig == SIGNATURE ? 0 : err_set(err, ERR_IO, "cannot sign with the audit key");
}

int note_sign(const struct note_signer *s, const struct checkpoint *c, struct buf *note, struct err *err)
{
	uint8_t signature[KEY_ID + SIGNATURE];
	size_t from = note->len;
	put_body(note, c);
	if (note_sign_bytes(s, note->data + from, note->len - from, signature + KEY_ID, err) < 0)
		return -1;
	memcpy(signature, s->id, KEY_ID);
	buf_addf(note, "\n" DASH "%s ", s->origin);
	base64_encode(note, signature, sizeof signature);
	buf_addc(note, '\n');
	return 0;
}

// The parts of a verifier key. False: it is none.
static bool split_verifier(const char *verifier, char origin[NOTE_ORIGIN_MAX + 1], uint8_t id[KEY_ID],
			   uint8_t public[PUBLIC])
{
	AUTO_BUF struct buf raw = BUF_INIT;
	const char *plus = strchr(verifier, '+'), *second = plus ? strchr(plus + 1, '+') : NULL;
	unsigned parts[KEY_ID];
	if (!second || plus - verifier > NOTE_ORIGIN_MAX || second - plus != 9 ||
	    sscanf(plus + 1, "%2x%2x%2x%2x", &parts[0], &parts[1], &parts[2], &parts[3]) != KEY_ID)
		return false;
	size_t n = strcspn(second + 1, "\r\n");
	if (!base64_decode(&raw, second + 1, n) || raw.len != 1 + PUBLIC || raw.data[0] != ED25519)
		return false;
	snprintf(origin, NOTE_ORIGIN_MAX + 1, "%.*s", (int)(plus - verifier), verifier);
	memcpy(public, raw.data + 1, PUBLIC);
	key_id(origin, public, id);
	for (int i = 0; i < KEY_ID; i++)
		if (id[i] != parts[i])
			return false;
	return note_is_origin(origin);
}

static bool is_signed(const uint8_t public[PUBLIC], const void *p, size_t n, const uint8_t *signature)
{
	EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public, PUBLIC);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = key && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
		  EVP_DigestVerify(ctx, signature, SIGNATURE, p, n) == 1;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return ok;
}

bool note_verify(const char *verifier, const void *p, size_t n, const uint8_t sig[64])
{
	char origin[NOTE_ORIGIN_MAX + 1];
	uint8_t id[KEY_ID], public[PUBLIC];
	return split_verifier(verifier, origin, id, public) && is_signed(public, p, n, sig);
}

// The next line without its '\n'; NULL past the end.
static const char *line_of(const char **at, const char *end, size_t *n)
{
	const char *line = *at, *stop = line < end ? memchr(line, '\n', (size_t)(end - line)) : NULL;
	if (!stop)
		return NULL;
	*n = (size_t)(stop - line);
	*at = stop + 1;
	return line;
}

static bool parse_body(const char **at, const char *end, struct checkpoint *c)
{
	AUTO_BUF struct buf root = BUF_INIT;
	size_t n;
	const char *line = line_of(at, end, &n);
	if (!line || n == 0 || n > NOTE_ORIGIN_MAX)
		return false;
	snprintf(c->origin, sizeof c->origin, "%.*s", (int)n, line);
	line = line_of(at, end, &n);
	if (!line || n == 0 || n > 18 || strspn(line, "0123456789") != n || (line[0] == '0' && n > 1))
		return false;
	c->size = strtoull(line, NULL, 10);
	line = line_of(at, end, &n);
	if (!line || !base64_decode(&root, line, n) || root.len != sizeof c->root.b)
		return false;
	memcpy(c->root.b, root.data, sizeof c->root.b);
	return note_is_origin(c->origin);
}

// Is there a signature of that key among the lines from `at`?
static bool is_signed_by(const char *verifier, const char *text, size_t n_text, const char *at, const char *end)
{
	char origin[NOTE_ORIGIN_MAX + 1];
	uint8_t id[KEY_ID], public[PUBLIC];
	size_t n;
	if (!split_verifier(verifier, origin, id, public))
		return false;
	size_t name = strlen(origin);
	for (const char *line; (line = line_of(&at, end, &n));) {
		AUTO_BUF struct buf raw = BUF_INIT;
		size_t head = strlen(DASH) + name + 1;
		if (n <= head || memcmp(line, DASH, strlen(DASH)) != 0 || memcmp(line + strlen(DASH), origin, name) != 0 ||
		    line[head - 1] != ' ' || !base64_decode(&raw, line + head, n - head))
			continue;
		if (raw.len == KEY_ID + SIGNATURE && memcmp(raw.data, id, KEY_ID) == 0 &&
		    is_signed(public, text, n_text, (const uint8_t *)raw.data + KEY_ID))
			return true;
	}
	return false;
}

int note_open(const char *text, size_t n, const char *verifier, struct checkpoint *c, struct err *err)
{
	const char *at = text, *end = text + n;
	*c = (struct checkpoint){0};
	if (n > NOTE_MAX || !parse_body(&at, end, c))
		return err_set(err, ERR_FORMAT, "it is no checkpoint");
	size_t n_body = (size_t)(at - text), blank;
	const char *line = line_of(&at, end, &blank);
	if (!line || blank != 0)
		return err_set(err, ERR_FORMAT, "the checkpoint has no signature");
	if (verifier && !is_signed_by(verifier, text, n_body, at, end))
		return err_set(err, ERR_ACCESS, "the checkpoint is not signed by the key '%.40s…'", verifier);
	return 0;
}
