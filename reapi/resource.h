// Names of blobs in ByteStream (remote_execution.proto, ContentAddressableStorage):
//
//	[INSTANCE/]blobs/HASH/SIZE                           read
//	[INSTANCE/]compressed-blobs/zstd/HASH/SIZE           read
//	[INSTANCE/]uploads/UUID/blobs/HASH/SIZE[/…]          written
//	[INSTANCE/]uploads/UUID/compressed-blobs/zstd/HASH/SIZE[/…]
// Thread: any.
#ifndef COFFER_REAPI_RESOURCE_H
#define COFFER_REAPI_RESOURCE_H

#include "reapi/digest.h"

enum { REAPI_INSTANCE_MAX = 255, REAPI_RESOURCE_MAX = 1024, REAPI_UUID_MAX = 128 };

struct reapi_resource {
	char instance[REAPI_INSTANCE_MAX + 1];
	char uuid[REAPI_UUID_MAX + 1]; // of an upload; else ""
	struct reapi_digest digest;    // of what is in it, uncompressed
	bool is_zstd;
};
// ERR_FORMAT.
int reapi_resource_parse(const char *name, bool is_upload, struct reapi_resource *r, struct err *err);

#endif
