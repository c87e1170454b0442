#include "store/shared/seal.h"

#include "audit/note.h"
#include "base/file.h"
#include "base/mem.h"

#include <ctype.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <unistd.h>

enum { HEAD = 16, FILE_MAX = 64 << 10, SIGNATURE = 64 };
enum seal_kind { KIND_NONE, KIND_MAC, KIND_SIGNATURE };
static const char magic[8] = {'c', 'o', 'f', 'f', 'e', 'r', 'E', '1'};
static const size_t seal_sizes[] = {[KIND_NONE] = 0, [KIND_MAC] = sizeof(struct sha256), [KIND_SIGNATURE] = SIGNATURE};

struct seal {
	enum seal_kind kind;
	struct buf key;
	struct note_signer *signer;
	char *verifiers[SEAL_VERIFIERS];
	size_t n_verifiers;
};

// ---- files ----------------------------------------------------------------------------------------------------------

static int read_key(const char *path, struct buf *key, struct err *err)
{
	key->max = FILE_MAX + 1;
	if (file_read_secret(path, FILE_MAX, key, err) < 0)
		return err_wrap(err, "the key of the store");
	while (key->len && isspace((unsigned char)key->data[key->len - 1]))
		key->data[--key->len] = '\0';
	if (key->len < SEAL_KEY_MIN)
		return err_set(err, ERR_USAGE, "the key '%s' has less than %d characters ('openssl rand -hex 32' makes one)",
			       path, SEAL_KEY_MIN);
	return 0;
}

// One verifier key a line; '#' begins a comment.
static int read_verifiers(struct seal *s, const char *path, struct err *err)
{
	AUTO_BUF struct buf text = {.max = FILE_MAX + 1};
	struct stat st;
	if (file_read(AT_FDCWD, path, FILE_MAX, &text, &st, err) < 0)
		return -1;
	if (st.st_mode & S_IWOTH || (st.st_uid != geteuid() && st.st_uid != 0))
		return err_set(err, ERR_ACCESS,
			       "the verifier keys '%s' are not used: everybody may write to the file, or it is not yours",
			       path);
	char *save = NULL;
	for (char *line = strtok_r(text.data ? text.data : NULL, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (line[0] == '#' || !line[strspn(line, " \t\r")])
			continue;
		if (strncmp(line, SEAL_ORIGIN "+", strlen(SEAL_ORIGIN) + 1) != 0)
			return err_set(err, ERR_FORMAT, "'%s': a line is no verifier key of a store (" SEAL_ORIGIN "+…)",
				       path);
		if (s->n_verifiers == SEAL_VERIFIERS)
			return err_set(err, ERR_LIMIT, "'%s' has more than %d verifier keys", path, SEAL_VERIFIERS);
		s->verifiers[s->n_verifiers++] = mem_strdup(line);
	}
	return s->n_verifiers ? 0 : err_set(err, ERR_FORMAT, "'%s' has no verifier key", path);
}

static bool is_given(const char *text)
{
	return text && *text;
}

static int open_files(struct seal *s, const struct seal_config *c, struct err *err)
{
	bool has_key = is_given(c->key), has_pair = is_given(c->signer) || is_given(c->verifiers);
	if (has_key && has_pair)
		return err_set(err, ERR_USAGE, "entries are sealed by a shared key or by signatures, not by both");
	s->kind = has_key ? KIND_MAC : has_pair ? KIND_SIGNATURE : KIND_NONE;
	if (has_key)
		return read_key(c->key, &s->key, err);
	if (is_given(c->signer) && note_signer_open(c->signer, SEAL_ORIGIN, false, &s->signer, err) < 0)
		return -1;
	if (is_given(c->verifiers))
		return read_verifiers(s, c->verifiers, err);
	if (s->signer) // whoever writes takes its own
		s->verifiers[s->n_verifiers++] = mem_strdup(note_signer_verifier(s->signer));
	return 0;
}

int seal_open(const struct seal_config *config, struct seal **out, struct err *err)
{
	struct seal *s = mem_alloc(sizeof *s);
	if (open_files(s, config, err) < 0) {
		seal_free(s);
		return -1;
	}
	*out = s;
	return 0;
}

void seal_free(struct seal *s)
{
	if (!s)
		return;
	if (s->key.data)
		OPENSSL_cleanse(s->key.data, s->key.cap);
	buf_release(&s->key);
	note_signer_free(s->signer);
	for (size_t i = 0; i < s->n_verifiers; i++)
		free(s->verifiers[i]);
	free(s);
}

bool seal_is_none(const struct seal *s)
{
	return s->kind == KIND_NONE;
}

bool seal_can_write(const struct seal *s)
{
	return s->kind != KIND_SIGNATURE || s->signer;
}

// ---- entries --------------------------------------------------------------------------------------------------------

// What stands in front of the entry when it is sealed.
static void add_context(struct buf *b, const char *scope, const struct tier_name *name)
{
	buf_adds(b, "coffer shared entry 1\n");
	buf_add_str(b, scope);
	buf_add_u8(b, (uint8_t)name->space);
	buf_add(b, name->id.b, sizeof name->id.b);
}

static int sign(const struct seal *s, const struct buf *sealed, struct buf *entry, struct err *err)
{
	uint8_t signature[SIGNATURE];
	if (!s->signer)
		return err_set(err, ERR_ACCESS, "an entry can't be signed: there is no key to sign with");
	if (note_sign_bytes(s->signer, sealed->data, sealed->len, signature, err) < 0)
		return -1;
	buf_add(entry, signature, sizeof signature);
	return 0;
}

int seal_put(const struct seal *s, const char *scope, const struct tier_name *name, const struct buf *bytes,
	     struct buf *entry, struct err *err)
{
	if (bytes->len > SEAL_MAX_ENTRY)
		return err_set(err, ERR_LIMIT, "an entry of %zu bytes is too long to be shared", bytes->len);
	buf_add(entry, magic, sizeof magic);
	buf_add_u32(entry, (uint32_t)s->kind);
	buf_add_u32(entry, (uint32_t)bytes->len);
	buf_add(entry, bytes->data, bytes->len);
	AUTO_BUF struct buf sealed = BUF_INIT;
	add_context(&sealed, scope, name);
	buf_add(&sealed, entry->data, entry->len);
	if (s->kind == KIND_MAC) {
		struct sha256_part part = {sealed.data, sealed.len};
		struct sha256 mac = sha256_hmac(s->key.data, s->key.len, &part, 1);
		buf_add(entry, mac.b, sizeof mac.b);
	}
	return s->kind == KIND_SIGNATURE ? sign(s, &sealed, entry, err) : 0;
}

static bool is_sealed(const struct seal *s, const struct buf *sealed, const uint8_t *seal)
{
	if (s->kind == KIND_MAC) {
		struct sha256_part part = {sealed->data, sealed->len};
		struct sha256 mac = sha256_hmac(s->key.data, s->key.len, &part, 1), theirs;
		memcpy(theirs.b, seal, sizeof theirs.b);
		return sha256_equal_in_time(&mac, &theirs);
	}
	bool ok = s->kind == KIND_NONE;
	for (size_t i = 0; i < s->n_verifiers && !ok; i++)
		ok = note_verify(s->verifiers[i], sealed->data, sealed->len, seal);
	return ok;
}

int seal_get(const struct seal *s, const char *scope, const struct tier_name *name, const void *entry, size_t n_entry,
	     const void **bytes, size_t *n, struct err *err)
{
	struct rd rd = RD(entry, n_entry);
	const void *begin = rd_bytes(&rd, sizeof magic);
	uint32_t kind = rd_u32(&rd), length = rd_u32(&rd);
	if (rd.bad || memcmp(begin, magic, sizeof magic) != 0 || kind > KIND_SIGNATURE || length > SEAL_MAX_ENTRY ||
	    n_entry != HEAD + (size_t)length + seal_sizes[kind])
		return err_set(err, ERR_FORMAT, "not an entry of a shared store, or not the whole of it");
	if (kind != (uint32_t)s->kind)
		return err_set(err, ERR_ACCESS, "the entry is not sealed as the settings want it");
	AUTO_BUF struct buf sealed = BUF_INIT;
	add_context(&sealed, scope, name);
	buf_add(&sealed, entry, HEAD + length);
	if (!is_sealed(s, &sealed, (const uint8_t *)entry + HEAD + length))
		return err_set(err, ERR_ACCESS, "the entry's seal is not by one who may write it");
	*bytes = (const uint8_t *)entry + HEAD;
	*n = length;
	return 0;
}
