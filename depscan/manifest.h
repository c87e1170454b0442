// The memory of one translation unit: which inputs led to which result.
//
// A manifest belongs to one key (toolchain, canonical arguments, source path, environment). Each entry says: if these
// files have these digests, and these names are absent, and these are present, then the result is under this key. Names
// are canonical: below the build tree they begin with PATH_TREE and are relative to it, so that checkouts share entries.
// Entries are newest first and bounded.
//
// Of a struct manifest only the notes on files and directories it has seen change; it is shared by reference count.
// Thread: any; the lock guards the notes.
#ifndef COFFER_DEPSCAN_MANIFEST_H
#define COFFER_DEPSCAN_MANIFEST_H

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "codec/hash.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// First byte of a canonical name: what follows is relative to the build tree's root, as it is named or without symlinks.
#define PATH_TREE '\1'
#define PATH_TREE_REAL '\2'

struct watched;

enum {
	INPUT_IN_DEPFILE = 1, // the user's depfile names it
	INPUT_NO_CODE = 2,    // a change in its comments counts (not a C-family text)
	INPUT_BINARY = 4,     // a precompiled header: it is never read as a text
};
struct manifest_input {
	const char *name;
	struct digest digest;
	struct digest code; // see struct scan
	uint32_t flags;
	// Both are guarded by the manifest's lock: the file that was seen to have this digest, once it was old enough to be
	// trusted; and for an absolute name what is known of it without a look (watch.h).
	struct file_id seen;
	const struct watched *watched;
};

// Names that must not exist, below one directory ("h.h", "sys/h.h"). When the directory's own identity is unchanged since
// they were last checked, and no subdirectory of theirs was there then, nothing can have appeared. With a '/' at its end a
// name may become a directory, but no file.
struct absent_group {
	const char *dir;    // canonical; "" is the working directory
	const char **names; // sorted: those below one subdirectory stand together
	uint32_t n_names;
	struct file_id checked; // guarded by the manifest's lock, and so are the next ones
	bool checked_trusted;
	uint64_t epoch; // of watch.h: in it nothing had appeared. 0: not known without a look
	uint64_t stamp; // of arrivals.h, the same
};

struct manifest_link { // a directory of the search that is reached through a symlink, or by which one
	// header has two names, must still lead there
	const char *dir, *real;
};

struct manifest_entry {
	struct digest result;
	struct digest messages_context; // what the messages were made for (terminal, language); zero: there were none
	struct digest time_context;     // SOURCE_DATE_EPOCH where time macros are used; zero: they are not
	struct digest place_context;    // the build tree, where its name is in an output or a message; else zero
	int64_t made_at;                // seconds since 1970
	uint64_t wall_us;               // what the compile took
	struct manifest_input *inputs;  // those in the depfile first, in its order
	uint32_t n_inputs;
	uint32_t dep_main;   // as in struct depfile
	uint32_t dep_spaced; // 0 or 1
	struct absent_group *absent;
	uint32_t n_absent;
	const char **present; // names that must exist, whatever is in them
	uint32_t n_present;
	struct manifest_link *links;
	uint32_t n_links;
	uint32_t uses; // how often its result was read, as far as this process remembers; guarded by the manifest's lock
};

struct manifest {
	atomic_uint refs;
	struct digest key;
	pthread_mutex_t lock;
	struct arena arena;
	struct manifest_entry *entries;
	uint32_t n_entries;
	size_t memory; // bytes it takes
};

#define MANIFEST_MAX_INPUTS 50000u
#define MANIFEST_MAX_NAMES 500000u
#define MANIFEST_MAX_ENTRIES 1024u

struct manifest *manifest_decode(const struct digest *key, const void *p, size_t n, struct err *err);
void manifest_encode(const struct manifest_entry *entries, size_t n, struct buf *out);
// A manifest with `fresh` in front of the entries of `old` (may be NULL), those with the same inputs left out, at most
// `most`; and the same as manifest_encode() writes it.
struct manifest *manifest_with(const struct manifest *old, const struct digest *key, const struct manifest_entry *fresh,
			       size_t most, struct buf *bytes);
struct manifest *manifest_ref(struct manifest *m);
void manifest_unref(struct manifest *m); // NULL is fine

#endif
