// The input root of an action: a tree of Directory messages, each named by its digest, read and checked as a whole.
//
// Taken are canonical messages with sorted names, each one part of a path and there once; symbolic links that stay inside. One
// directory may be at many places: what counts is how many entries there would be on disk. Thread: one at a time.
#ifndef COFFER_REAPI_INPUT_ROOT_H
#define COFFER_REAPI_INPUT_ROOT_H

#include "base/map.h"
#include "base/mem.h"
#include "reapi/digest.h"
#include "reapi/message.h"

enum { INPUT_MAX_DEPTH = 100, INPUT_MAX_ENTRIES = 120000, INPUT_MAX_DIRECTORIES = 50000 };

struct input_directory {
	struct reapi_digest digest;
	Reapi__Directory *message;
	char *bytes; // the message as it came
	size_t n;
	int depth;            // the least at which it stands
	uint64_t entries;     // with all below it; 0: not counted yet
	uint64_t directories; // the same, with itself; one counts at each place where it stands
	uint64_t file_bytes;
};
struct input_root {
	struct input_directory **directories; // the top first
	size_t n_directories;
	struct reapi_digest *files; // each once, without the empty one
	size_t n_files;
	struct reapi_digest *missing; // directories that are not there
	size_t n_missing;
	uint64_t entries, file_bytes, message_bytes; // on disk; of all messages
	struct map by_digest, file_set;
};

// 1 with the bytes, 0: it is not there, -1.
typedef int (*input_get_fn)(void *ctx, const struct reapi_digest *d, struct buf *out, struct err *err);
// ERR_FORMAT, ERR_LIMIT. Where directories are missing it returns 0 and lists them.
int input_root_read(struct input_root *r, const struct reapi_digest *top, input_get_fn get, void *ctx, struct err *err);
const struct input_directory *input_root_find(const struct input_root *r, const Reapi__Digest *digest);
void input_root_release(struct input_root *r);

// A path of an output or a working directory: relative, no empty part, no "." or "..". "" only if `may_be_empty`.
int input_check_path(const char *path, bool may_be_empty, struct err *err);

#endif
