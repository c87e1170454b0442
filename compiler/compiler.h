// Which compiler this really is: a digest over the driver and the programs and libraries that it runs.
//
// The identity covers the name it is called by, its version text, its target, and the contents of the driver, cc1,
// cc1plus, the assembler, configuration files and their shared libraries. It is checked by file identity at every use; when
// anything changed, the compiler is asked again. Scripts and other caches are not accepted: nobody can tell what they would
// run. Thread: any.
#ifndef COFFER_COMPILER_COMPILER_H
#define COFFER_COMPILER_COMPILER_H

#include "base/file.h"
#include "codec/hash.h"
#include "compiler/cmdline.h"

#include <sys/stat.h>

struct compiler {
	char *path; // the driver, as it was found
	char *name; // how it was called: the last part of argv[0]
	enum compiler_family family;
	bool is_cxx;       // g++, clang++, c++: .c sources are C++
	bool gnu_as;       // its assembler is GNU as, which can list what .incbin reads
	unsigned version;  // major
	char *description; // "gcc version 12.2.0 (Debian 12.2.0-14) for x86_64-linux-gnu"
	struct digest identity;
};

// The environment of the client as "NAME=value" words, NULL-terminated; NULL when the name is not set.
const char *env_value(const char *const *env, const char *name);
// The same environment for helper runs whose output is parsed: messages in English.
const char *const *env_for_probe(struct arena *a, const char *const *env);

// Who knows the digests of files (depscan/files.h): asked for each part of a compiler. 0, or -1 with ERR_NOT_FOUND and the
// like; `st`, if not NULL, is filled in.
struct digester {
	int (*digest)(void *files, int dirfd, const char *path, struct digest *digest, struct stat *st, struct err *err);
	void *files;
};

// Who tells that nothing has changed at a compiler's parts, at less cost than a look at each (depscan/view.h).
struct part_keeper {
	// Looks at `n` names: the contents of a file count, with `lists` the names in a directory, and of a missing one that it stays
	// missing. NULL: it can't be told.
	void *(*keep)(void *ctx, const char *const *names, const bool *lists, size_t n);
	bool (*holds)(void *ctx, void *kept, uint64_t epoch); // is everything as it was then?
	void (*release)(void *kept);
	void *ctx;
};

// The files that the identity covers, in its order.
struct compiler_part {
	const char *path;
	struct digest digest;
};
const struct compiler_part *compiler_parts(const struct compiler *c, struct arena *a, size_t *n);

struct compilers;
// `keeper` may be NULL: then each part is looked at.
struct compilers *compilers_new(struct digester digester, const struct part_keeper *keeper);
void compilers_free(struct compilers *cs);

struct compiler_call {
	const char *path, *argv0;
	const char *const *env;
	uint64_t epoch;   // the keeper's (of watch.h), as asked for before; or 0
	const char *told; // what the user says of names: "NAME:gcc NAME:clang …" (compiler/names.h); or NULL
};

// The compiler, or NULL with *reason set (compiler_unknown, compiler_script, compiler_probe) and, for a probe that
// failed, err. What is returned lives as long as `cs`. Asked for what it is is a program with the name of a compiler, a link to
// such a program, and one of whose name the user says what it is.
const struct compiler *compilers_find(struct compilers *cs, const struct compiler_call *call, enum reason *reason,
				      struct err *err);

#endif
