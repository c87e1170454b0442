// What a server of the Remote Execution API answers, out of the bytes of its messages: taken apart, compared with what it was asked,
// and never more than may be. Nothing here calls anybody, so that it can be fuzzed. Thread: any.
#ifndef COFFER_REAPI_CLIENT_ANSWERS_H
#define COFFER_REAPI_CLIENT_ANSWERS_H

#include "base/buf.h"
#include "reapi/digest.h"

#include <stdbool.h>

// What is packed into one message at most, whatever the server says: gRPC's own limit is 4 MiB, and the rest is for what is around
// the bytes.
#define REAPI_BATCH_MOST ((size_t)4128768)

struct reapi_limits {       // what a server says of itself
	size_t batch_bytes; // of blobs in one message, at most REAPI_BATCH_MOST
	int64_t blob_bytes; // of one blob; INT64_MAX: it names no limit
	bool takes_zstd;    // in ByteStream, "compressed-blobs/zstd"
	bool may_update;    // results may be written; a guess: it may say so and refuse each
	bool executes;      // with SHA-256
};
// ServerCapabilities. ERR_PEER: it keeps nothing by SHA-256, or speaks another version of the API.
int answer_capabilities(const void *p, size_t n, struct reapi_limits *limits, struct err *err);

// FindMissingBlobsResponse: which of those that were asked for. ERR_FORMAT: it names others.
int answer_missing(const void *p, size_t n, const struct reapi_digest *asked, size_t n_asked, bool *missing,
		   struct err *err);

// BatchUpdateBlobsResponse: each that was sent is there. ERR_PEER: one is refused, or not spoken of.
int answer_updated(const void *p, size_t n, const struct reapi_digest *sent, size_t n_sent, struct err *err);

// One blob that is wanted, and where it goes.
struct reapi_wanted {
	struct reapi_digest digest;
	struct buf out;
	bool is_there;
};
// BatchReadBlobsResponse: adds the bytes of each that is there, whose number and SHA-256 are those of its name. ERR_FORMAT: they are
// not, or nobody wanted it; ERR_PEER.
int answer_blobs(const void *p, size_t n, struct reapi_wanted *wanted, size_t n_wanted, struct err *err);

// ActionResult that has one output file of that name, and nothing else: its digest, and its bytes where they came with it. 1, or 0:
// it is another one. ERR_FORMAT: bytes that are not as many as its digest says.
int answer_one_file(const void *p, size_t n, const char *path, struct reapi_digest *digest, struct buf *out,
		    struct err *err);

// An output that an action was to make.
struct reapi_output {
	const char *path;
	struct reapi_digest digest; // filled in, if is_there
	bool is_there;
};
struct reapi_words { // what it has printed
	struct reapi_digest digest;
	struct buf bytes; // all of it, if it came with the result
};
enum { REAPI_OPERATION_ROOM = 512, REAPI_WORDS_MOST = 1 << 20 };
// What became of an action so far. Released with outcome_release.
struct reapi_outcome {
	bool is_done;
	char name[REAPI_OPERATION_ROOM]; // of the operation, to be asked for again
	int stage;                       // 1 cache check, 2 queued, 3 executing, 4 completed; 0: the server does not say
	int status;                      // enum rpc_code; not 0: it was not run, or not to its end
	char why[200];                   // not 0: what the server says of it
	bool is_cached;
	int exit_code; // 0 to 255
	uint64_t wall_us;
	struct reapi_words out, errs;
};
// Operation, of Execute's stream; what it says replaces what was known. ERR_FORMAT: an exit status that none can be, an output that is
// none of these, or is there twice. ERR_LIMIT: it has printed more than REAPI_WORDS_MOST bytes. A link or a directory is no output.
int answer_operation(const void *p, size_t n, struct reapi_output *outputs, size_t n_outputs, struct reapi_outcome *o,
		     struct err *err);
// ActionResult, of the ActionCache.
int answer_result(const void *p, size_t n, struct reapi_output *outputs, size_t n_outputs, struct reapi_outcome *o,
		  struct err *err);
void outcome_release(struct reapi_outcome *o);

// WriteResponse to `sent` bytes of a blob of that size. ERR_PEER: it has taken another number of them.
int answer_written(const void *p, size_t n, int64_t size, int64_t sent, struct err *err);

#endif
