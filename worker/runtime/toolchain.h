// What a job finds where it runs: the files of an image, or the host's own compilers.
//
// `host` is the host's /usr, /bin, /lib* and what belongs to them in /etc (alternatives, the loader's cache), with the
// operator's further directories (as /opt/cross), and nothing else of the host. An image is a directory
// IMAGES/sha256-<64 hex digits>/rootfs that somebody has unpacked and checked. Either way it is read-only for jobs, with an
// own small /dev and an empty /tmp, and without /proc, /sys, /home, /root, /run and /var.
// Thread: any, one at a time for each toolchain; toolchain_identity and toolchain_facts at any time.
#ifndef COFFER_WORKER_RUNTIME_TOOLCHAIN_H
#define COFFER_WORKER_RUNTIME_TOOLCHAIN_H

#include "base/err.h"
#include "codec/hash.h"
#include "compiler/parity.h"
#include "proto/guest.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct runtime_session;
struct compilers; // compiler/compiler.h

struct toolchain_config {
	const char *images; // the directory of unpacked images, or NULL: there are none
	const char *uses;   // a directory that notes the last use of each (image/use.h), or NULL
	const char *const *
		extra; // the host's further directories, "/opt/cross" or "/srv/x:/opt/x" (where jobs see it), NULL-terminated
	bool no_host;  // only images: "host:…" is refused
};

enum toolchain_entry_kind {
	TOOLCHAIN_DIRECTORY, // an empty directory
	TOOLCHAIN_LINK,      // a symbolic link to `source`
	TOOLCHAIN_BIND,      // the host's directory or file `source`, read-only
	TOOLCHAIN_DEVICE,    // the host's device file `source`
};
struct toolchain_entry {
	enum toolchain_entry_kind kind;
	const char *path; // below the new root, without a leading '/'; directories come before what is in them
	const char *source;
	bool is_file; // TOOLCHAIN_BIND of a file
};

struct toolchain;
// `image`: "host", "host:…" or "sha256:<64 hex digits>". ERR_NOT_FOUND: there is no such image here; ERR_USAGE: no name of
// one.
int toolchain_open(const char *image, const struct toolchain_config *config, struct toolchain **toolchain, struct err *err);
void toolchain_free(struct toolchain *toolchain);
// Until it is freed nobody removes the image: for whoever runs jobs in it. ERR_NOT_FOUND.
int toolchain_hold(struct toolchain *toolchain, const struct toolchain_config *config, struct err *err);
bool toolchain_is_host(const struct toolchain *toolchain);
const char *toolchain_image(const struct toolchain *toolchain); // "sha256:…"; NULL: it is the host
// What the root consists of, in the order in which it can be made.
const struct toolchain_entry *toolchain_entries(const struct toolchain *toolchain, size_t *n);

// The host's compiler of that name; NULL with err as below. Lives as long as `compilers`.
const struct compiler *toolchain_host_compiler(struct compilers *compilers, const char *compiler, struct err *err);
// What stands for the toolchain in keys: the image's digest, or "host:" and a digest over the compiler of that name and all
// it runs (compiler/compiler.h). Looked up in GUEST_PATH. `compilers` may be NULL for images.
#define TOOLCHAIN_IDENTITY 80
int toolchain_identity(const struct toolchain *toolchain, struct compilers *compilers, const char *compiler,
		       char identity[TOOLCHAIN_IDENTITY], struct err *err);

// Runs the compiler in the session, as any other job. language: "c" or "c++".
int toolchain_facts(struct runtime_session *session, const char *compiler, const char *language,
		    struct toolchain_facts *facts, struct err *err);

#endif
