// The parser of blob files. The first byte of the input says what the rest is:
//	'w'  a whole file, as it would lie on the disk: a blob or a bundle
//	'z'  the bytes behind the header: magic, key, raw size and checksum are made right, so that zstd gets to see them
//	'p'  the raw bytes of a blob, which must come back as they were
// The raw size given with 'z' is its next two bytes, little-endian.
#include "store/blob.h"

#include <stdlib.h>

static const struct digest key = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

static int unpack(const struct buf *file)
{
	struct buf out = {.max = (size_t)1 << 24};
	buf_adds(&out, "before");
	struct err err = ERR_INIT;
	size_t size = 0;
	const void *blob = blob_find(file->data, file->len, STORE_RESULT, &key, &size);
	if (blob && ((const char *)blob < file->data || (const char *)blob + size > file->data + file->len))
		abort();
	int done = blob ? blob_unpack(blob, size, STORE_RESULT, &key, &out, &err)
			: err_set(&err, ERR_FORMAT, "the blob is not in its file");
	if (done < 0 && (out.len != 6 || out.data[6] != '\0' || (err.code != ERR_FORMAT && err.code != ERR_LIMIT)))
		abort();
	if (memcmp(out.data, "before", 6) != 0 || out.data[out.len] != '\0')
		abort();
	buf_release(&out);
	return done;
}

static void repaired(const uint8_t *p, size_t n)
{
	if (n < 2)
		return;
	struct buf file = BUF_INIT;
	struct store_part none = {"", 0};
	if (blob_pack(STORE_RESULT, &key, &none, 1, 1, &file, NULL) < 0)
		abort();
	buf_add(&file, p + 2, n - 2);
	file.data[25] = 1; // zstd
	memcpy(file.data + 48, p, 2);
	struct digest sum = digest_of(file.data + 24, file.len - 24);
	memcpy(file.data + 8, sum.b, sizeof sum.b);
	unpack(&file);
	buf_release(&file);
}

static void round_trip(const uint8_t *p, size_t n)
{
	struct buf file = BUF_INIT, out = BUF_INIT;
	struct store_part parts[] = {{p, n / 3}, {p + n / 3, n - n / 3}};
	if (blob_pack(STORE_RESULT, &key, parts, 2, 1, &file, NULL) < 0 ||
	    blob_unpack(file.data, file.len, STORE_RESULT, &key, &out, NULL) < 0 || out.len != n ||
	    memcmp(out.data, p, n) != 0)
		abort();
	// The same as the last of a bundle
	struct buf bundle = BUF_INIT;
	blob_bundle_begin(&bundle);
	blob_bundle_add(&bundle, &out);
	blob_bundle_add(&bundle, &file);
	size_t size;
	const void *blob = blob_find(bundle.data, bundle.len, STORE_RESULT, &key, &size);
	if (!blob || size != file.len || memcmp(blob, file.data, size) != 0)
		abort();
	buf_release(&bundle);
	buf_release(&file);
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n == 0)
		return 0;
	struct buf file = BUF_INIT;
	switch (data[0]) {
	case 'w':
		buf_add(&file, data + 1, n - 1);
		unpack(&file);
		break;
	case 'z':
		repaired(data + 1, n - 1);
		break;
	case 'p':
		round_trip(data + 1, n - 1);
		break;
	}
	buf_release(&file);
	return 0;
}
