#include "store/blob.h"

#include "base/mem.h"
#include "codec/zstd.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
	AT_CHECKSUM = 8,
	AT_COVERED = 24, // the checksum covers the file from here
	AT_KIND = 24,
	AT_PACKING = 25,
	AT_KEY = 32,
	AT_RAW_SIZE = 48,

	PACKING_RAW = 0,
	PACKING_ZSTD = 1,

	TINY = 128,                    // bytes; below, zstd's own frame eats what it saves
	SCRATCH_KEEP = 4 * 1024 * 1024 // bytes a thread may hold between two calls
};

static const uint8_t magic[AT_CHECKSUM] = "coffer\0\1";
static const uint8_t bundle_magic[AT_CHECKSUM] = "coffer\0\2";

// ---- what a thread keeps -------------------------------------------------------------------------------------------

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void scratch_free(void *p)
{
	struct buf *file = p;
	buf_release(file);
	free(file);
}

static void scratch_key_make(void)
{
	if (pthread_key_create(&scratch_key, scratch_free) != 0)
		abort();
}

struct buf *blob_scratch(void)
{
	pthread_once(&scratch_once, scratch_key_make);
	struct buf *file = pthread_getspecific(scratch_key);
	if (!file) {
		file = mem_alloc(sizeof *file);
		file->max = ZSTD_COMPRESSBOUND(STORE_MAX_BLOB) + BLOB_HEADER;
		if (pthread_setspecific(scratch_key, file) != 0)
			abort();
	}
	buf_clear(file);
	return file;
}

void blob_scratch_done(struct buf *file)
{
	if (file->cap > SCRATCH_KEEP)
		buf_release(file);
}

// ---- packing -------------------------------------------------------------------------------------------------------

static size_t pack_with(ZSTD_CCtx *c, const struct store_part *parts, size_t n_parts, size_t raw_size, int level, void *to,
			size_t room)
{
	if (ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level)) ||
	    ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(c, raw_size)))
		return 0;
	ZSTD_outBuffer out = {to, room, 0};
	for (size_t i = 0; i < n_parts; i++) {
		ZSTD_inBuffer in = {parts[i].p, parts[i].n, 0};
		bool last = i == n_parts - 1;
		size_t left = ZSTD_compressStream2(c, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
		if (ZSTD_isError(left) || in.pos != in.size || (last && left != 0))
			return 0;
	}
	return out.pos;
}

// Compresses the parts into `to`. 0 when zstd could not, which the caller answers by storing them raw.
static size_t pack_zstd(const struct store_part *parts, size_t n_parts, size_t raw_size, int level, void *to, size_t room)
{
	ZSTD_CCtx *c = zstd_take_packer();
	size_t n = pack_with(c, parts, n_parts, raw_size, level, to, room);
	zstd_give_packer(c);
	return n;
}

static void seal(char *file, size_t n, enum store_kind kind, int packing, const struct digest *key, size_t raw_size)
{
	memset(file, 0, BLOB_HEADER);
	memcpy(file, magic, sizeof magic);
	file[AT_KIND] = (char)kind;
	file[AT_PACKING] = (char)packing;
	memcpy(file + AT_KEY, key->b, sizeof key->b);
	for (size_t i = 0; i < 8; i++)
		file[AT_RAW_SIZE + i] = (char)(uint8_t)((uint64_t)raw_size >> (8 * i));
	struct digest sum = digest_of(file + AT_COVERED, n - AT_COVERED);
	memcpy(file + AT_CHECKSUM, sum.b, sizeof sum.b);
}

int blob_pack(enum store_kind kind, const struct digest *key, const struct store_part *parts, size_t n_parts, int level,
	      struct buf *file, struct err *err)
{
	size_t raw_size = 0;
	for (size_t i = 0; i < n_parts; i++) {
		if (parts[i].n > STORE_MAX_BLOB - raw_size)
			return err_set(err, ERR_LIMIT, "a blob is larger than %zu bytes", STORE_MAX_BLOB);
		raw_size += parts[i].n;
	}
	size_t room = level == BLOB_UNPACKED ? raw_size : ZSTD_compressBound(raw_size);
	char *to = buf_room(file, BLOB_HEADER + room);
	if (!to)
		return buf_check(file, "a blob file", err);
	size_t stored = 0;
	if (raw_size >= TINY && level != BLOB_UNPACKED)
		stored = pack_zstd(parts, n_parts, raw_size, level, to + BLOB_HEADER, room);
	// What does not shrink by a sixteenth is not worth unpacking at every hit.
	int packing = stored && stored < raw_size - raw_size / 16 ? PACKING_ZSTD : PACKING_RAW;
	if (packing == PACKING_RAW) {
		stored = 0;
		for (size_t i = 0; i < n_parts; i++) {
			if (parts[i].n)
				memcpy(to + BLOB_HEADER + stored, parts[i].p, parts[i].n);
			stored += parts[i].n;
		}
	}
	seal(to, BLOB_HEADER + stored, kind, packing, key, raw_size);
	buf_grew(file, BLOB_HEADER + stored);
	return 0;
}

// ---- bundles -------------------------------------------------------------------------------------------------------

void blob_bundle_begin(struct buf *file)
{
	buf_add(file, bundle_magic, sizeof bundle_magic);
}

void blob_bundle_add(struct buf *file, const struct buf *blob)
{
	buf_add_u32(file, (uint32_t)blob->len);
	buf_add(file, blob->data, blob->len);
}

bool blob_is_bundle(const void *file, size_t n)
{
	return n >= sizeof bundle_magic && memcmp(file, bundle_magic, sizeof bundle_magic) == 0;
}

const void *blob_find(const void *file, size_t n, enum store_kind kind, const struct digest *key, size_t *size)
{
	*size = n;
	if (!blob_is_bundle(file, n))
		return file;
	struct rd r = RD((const char *)file + sizeof bundle_magic, n - sizeof bundle_magic);
	const uint8_t *found = NULL;
	for (;;) {
		uint32_t length = rd_u32(&r);
		const uint8_t *blob = rd_bytes(&r, length);
		if (!blob || r.bad)
			return found;
		if (length < BLOB_HEADER || blob[AT_KIND] != (uint8_t)kind ||
		    memcmp(blob + AT_KEY, key->b, sizeof key->b) != 0)
			continue;
		*size = length;
		found = blob;
	}
}

// ---- unpacking -----------------------------------------------------------------------------------------------------

static bool is_header(const uint8_t *file, const struct digest *sum, enum store_kind kind, const struct digest *key)
{
	return memcmp(file, magic, sizeof magic) == 0 && memcmp(file + AT_CHECKSUM, sum->b, sizeof sum->b) == 0 &&
	       file[AT_KIND] == (uint8_t)kind && memcmp(file + AT_KEY, key->b, sizeof key->b) == 0;
}

static bool header_fits(const uint8_t *file, size_t n, enum store_kind kind, const struct digest *key)
{
	if (n < BLOB_HEADER)
		return false;
	struct digest sum = digest_of(file + AT_COVERED, n - AT_COVERED);
	return is_header(file, &sum, kind, key);
}

static uint64_t raw_size_of(const uint8_t *header)
{
	struct rd at_size = RD(header + AT_RAW_SIZE, 8);
	return rd_u64(&at_size);
}

bool blob_is_unpacked(const void *header, size_t size)
{
	const uint8_t *p = header;
	return size >= BLOB_HEADER && p[AT_PACKING] == PACKING_RAW && raw_size_of(p) == size - BLOB_HEADER;
}

bool blob_follows(const void *header, const void *stored, size_t n, enum store_kind kind, const struct digest *key)
{
	AUTO_HASHER struct hasher h;
	const uint8_t *p = header;
	hasher_init(&h);
	hasher_raw(&h, p + AT_COVERED, BLOB_HEADER - AT_COVERED);
	hasher_raw(&h, stored, n);
	struct digest sum = hasher_end(&h);
	return blob_is_unpacked(header, BLOB_HEADER + n) && is_header(p, &sum, kind, key);
}

static bool unpack_zstd(const void *stored, size_t n, void *to, size_t raw_size)
{
	ZSTD_DCtx *d = zstd_take_unpacker();
	size_t got = ZSTD_decompressDCtx(d, to, raw_size, stored, n);
	zstd_give_unpacker(d);
	return got == raw_size;
}

int blob_unpack(const void *file, size_t n, enum store_kind kind, const struct digest *key, struct buf *out, struct err *err)
{
	if (!header_fits(file, n, kind, key))
		return err_set(err, ERR_FORMAT, "not the whole blob of its key");
	const uint8_t *p = file;
	uint64_t raw_size = raw_size_of(p);
	const uint8_t *stored = p + BLOB_HEADER;
	size_t n_stored = n - BLOB_HEADER;
	bool is_zstd = p[AT_PACKING] == PACKING_ZSTD;
	// The sizes must agree before any memory is asked for.
	uint64_t claimed = is_zstd ? ZSTD_getFrameContentSize(stored, n_stored) : n_stored;
	if (p[AT_PACKING] > PACKING_ZSTD || raw_size > STORE_MAX_BLOB || claimed != raw_size)
		return err_set(err, ERR_FORMAT, "a blob's sizes do not fit");
	char *to = buf_room(out, (size_t)raw_size);
	if (!to)
		return buf_check(out, "a blob", err);
	if (is_zstd && !unpack_zstd(stored, n_stored, to, (size_t)raw_size)) {
		buf_grew(out, 0); // its '\0' was written over
		return err_set(err, ERR_FORMAT, "a blob does not unpack");
	}
	if (!is_zstd && n_stored)
		memcpy(to, stored, n_stored);
	buf_grew(out, (size_t)raw_size);
	return 0;
}
