// ContentAddressableStorage and ByteStream of somebody's server. What comes back is compared with its name; what is no larger than
// a batch goes and comes in batches, the rest as streams. Calls block until `until_ms` of clock_ms(). Errors as those of
// endpoint_ask(); ERR_LIMIT: larger than the server takes. Thread: any.
#ifndef COFFER_REAPI_CLIENT_BLOBS_H
#define COFFER_REAPI_CLIENT_BLOBS_H

#include "reapi/client/endpoint.h"

struct reapi_blob { // on its way to the server
	struct reapi_digest digest;
	const void *p;           // NULL: there is only the frame, and the server takes those
	bool is_packed;          // zstd would make it no smaller
	const struct buf *frame; // the same as one zstd frame, if there is one
};

int blobs_missing(struct endpoint *e, const struct reapi_digest *digests, size_t n, bool *missing, int64_t until_ms,
		  struct err *err);
// All of them, whether they are there or not.
int blobs_upload(struct endpoint *e, const struct reapi_blob *blobs, size_t n, int64_t until_ms, struct err *err);
// Only those that are not there. Adds the bytes that went to *bytes; NULL is fine.
int blobs_upload_missing(struct endpoint *e, const struct reapi_blob *blobs, size_t n, int64_t until_ms, uint64_t *bytes,
			 struct err *err);
// Those that are there: is_there. What is not there is no error. `out` of each must be able to take its bytes.
int blobs_download(struct endpoint *e, struct reapi_wanted *wanted, size_t n, int64_t until_ms, struct err *err);

#endif
