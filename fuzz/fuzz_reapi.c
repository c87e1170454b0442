// What clients of the Remote Execution API send: a byte says what the rest is. A name of a blob means one blob only; a message that is
// taken as canonical is the same bytes when it is written again; a compressed blob never becomes larger than it may be.
#include "base/mem.h"
#include "gateway/inflate.h"
#include "reapi/message.h"
#include "reapi/resource.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_name(const char *text, bool is_upload)
{
	struct reapi_resource r;
	char again[REAPI_RESOURCE_MAX], hash[SHA256_HEX];
	if (reapi_resource_parse(text, is_upload, &r, NULL) < 0)
		return;
	sha256_hex(&r.digest.hash, hash);
	if (r.digest.size < 0 || !strstr(text, hash) || strncmp(text, r.instance, strlen(r.instance)) != 0 ||
	    is_upload != (*r.uuid != '\0'))
		abort();
	snprintf(again, sizeof again, "%s%s%s%s%s/%s/%lld", r.instance, *r.instance ? "/" : "", is_upload ? "uploads/" : "",
		 is_upload ? r.uuid : "",
		 r.is_zstd   ? (is_upload ? "/compressed-blobs/zstd" : "compressed-blobs/zstd")
		 : is_upload ? "/blobs"
			     : "blobs",
		 hash, (long long)r.digest.size);
	struct reapi_resource second;
	if (reapi_resource_parse(again, is_upload, &second, NULL) < 0 || memcmp(&r, &second, sizeof r) != 0)
		abort();
}

static void try_message(const ProtobufCMessageDescriptor *descriptor, const uint8_t *p, size_t n)
{
	AUTO_BUF struct buf again = BUF_INIT;
	ProtobufCMessage *m;
	if (reapi_unpack_canonical(descriptor, p, n, &m, NULL) < 0)
		return;
	reapi_pack(m, &again);
	if (again.len != n || (n && memcmp(again.data, p, n) != 0))
		abort();
	protobuf_c_message_free_unpacked(m, NULL);
}

static void try_blob(const uint8_t *p, size_t n)
{
	enum { MOST = 100000 };
	AUTO_BUF struct buf out = BUF_INIT;
	struct inflate z;
	size_t half = n / 2;
	inflate_begin(&z, NULL);
	if (inflate_take(&z, p, half, &out, MOST, NULL) == 0 &&
	    inflate_take(&z, p + half, n - half, &out, MOST, NULL) == 0 && inflate_end(&z, NULL) == 0 && out.len > MOST)
		abort();
	inflate_release(&z);
}

// Whose it is, is read before it is unpacked: both must see the same name.
static void try_request(const uint8_t *p, size_t n)
{
	Reapi__ExecuteRequest *m;
	char instance[REAPI_INSTANCE_MAX + 1];
	int rc =
		reapi_peek_text(&reapi__execute_request__descriptor, "instance_name", p, n, instance, sizeof instance, NULL);
	if (reapi_unpack(&reapi__execute_request__descriptor, p, n, &m, NULL) < 0)
		return;
	if (rc == 0 && strcmp(instance, m->instance_name) != 0)
		abort();
	reapi__execute_request__free_unpacked(m, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const ProtobufCMessageDescriptor *const named[] = {&reapi__directory__descriptor, &reapi__command__descriptor,
								  &reapi__action__descriptor, &reapi__tree__descriptor};
	if (size == 0)
		return 0;
	AUTO_FREE char *text = mem_strndup((const char *)data + 1, size - 1);
	switch (data[0] % 8) {
	case 0:
	case 1:
		try_name(text, data[0] % 8);
		break;
	case 2:
		try_blob(data + 1, size - 1);
		break;
	case 3:
		try_request(data + 1, size - 1);
		break;
	default:
		try_message(named[data[0] % 4], data + 1, size - 1);
	}
	return 0;
}
