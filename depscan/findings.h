// What was found at names that something depends on: contents, what is there, names in a directory, where a link leads,
// nothing. And whether all of it still holds, at the cost of a few looks.
//
// A name is followed component by component when it is added: each symlink on the way is a finding of its own, and the last
// one stands at a name without symlinks. Of an absent name the first missing component is the finding. So no finding depends
// on anything but its own directory and itself, and:
// - while the kernel tells of no change (watch.h), a finding below a watched directory needs no look at all;
// - elsewhere one look at a directory tells of all names in it, since no name comes, goes or becomes another file without a new
//   time of change (trusted once it is FILES_AGE_FLOOR_NS old), and one look at each file whose contents count.
//
// Built by one thread; after findings_seal() only its notes change, under its own lock. Counted. Thread: any.
#ifndef COFFER_DEPSCAN_FINDINGS_H
#define COFFER_DEPSCAN_FINDINGS_H

#include "depscan/files.h"
#include "depscan/watch.h"

#define FINDINGS_MAX 30000u

enum finding_kind {
	FOUND_NOTHING,
	FOUND_DENIED,  // not for us to look at
	FOUND_FILE,    // a regular file, whatever is in it
	FOUND_CONTENT, // a regular file with this text
	FOUND_DIRECTORY,
	FOUND_LIST,  // a directory with these names
	FOUND_LINK,  // a symlink with this text
	FOUND_OTHER, // a device, socket or fifo
	FOUND_KINDS
};

struct finding {
	const char *path; // absolute; only the last component may be a symlink
	enum finding_kind kind;
	bool read;            // of a link: its text was asked for
	struct digest digest; // FOUND_CONTENT, FOUND_LIST, FOUND_LINK
	struct file_id seen;  // FOUND_CONTENT, FOUND_LIST: what had the digest, once it could be trusted; else zeros
};

// How much of what is there counts.
enum finding_want { WANT_KIND, WANT_LINK /* of a link: itself */, WANT_CONTENT, WANT_LIST };

struct findings;
struct findings *findings_new(void);
struct findings *findings_ref(struct findings *f);
void findings_unref(struct findings *f); // NULL is fine

// Looks at an absolute name and adds what is found. Returns the kind of what the name leads to in the end, or -1 with err
// (ERR_LIMIT: too many findings, a file too large to read; ERR_IO …).
int findings_add(struct findings *f, struct files *files, const char *path, enum finding_want want, struct err *err);
void findings_seal(struct findings *f);
// True if a text or a list was found that had changed at or after this time (by the clock of file dates). Before the seal.
bool findings_changed_since(const struct findings *f, int64_t ns);

// Does all of it still hold? `epoch` as in watch.h, asked for before, for the same job. If not, *culprit (may be NULL) is the
// first name where something else is found; it lives as long as `f`.
bool findings_hold(struct findings *f, struct files *files, struct watch *w, uint64_t epoch, const char **culprit);

// Over what was found, not over names where nothing was: two commands that found the same are the same, whatever else they
// asked for. Names below `root` or `root_real` (may be NULL) count by where they are below it.
struct digest findings_digest(const struct findings *f, const char *root, const char *root_real);
// Shows each finding that is in the digest, in its order; `below`: its place in the build tree, or NULL. Ends with -1 when `fn`
// does.
typedef int finding_fn(void *arg, const struct finding *found, const char *below);
int findings_each(const struct findings *f, const char *root, const char *root_real, finding_fn *fn, void *arg);
// In the order of their names.
const struct finding *findings_list(const struct findings *f, uint32_t *n);

void findings_encode(const struct findings *f, struct buf *out);
struct findings *findings_decode(struct rd *r); // sealed; NULL if the bytes are not understood

#endif
