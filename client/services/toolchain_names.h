// What a toolchain is called on every machine that has the same: SHA-256 over the compiler and all it looks at. Found out once for
// each toolchain of this daemon, which reads the compiler's files once. Thread: any; of several that ask the same, one reads.
#ifndef COFFER_CLIENT_SERVICES_TOOLCHAIN_NAMES_H
#define COFFER_CLIENT_SERVICES_TOOLCHAIN_NAMES_H

#include "codec/sha/sha256.h"
#include "compiler/compiler.h"
#include "depscan/content.h"
#include "depscan/view.h"

struct toolchain_names;
struct toolchain_names *toolchain_names_new(struct contents *contents);

struct named_toolchain {
	const struct digest *local; // what it is called here
	const struct compiler *compiler;
	const struct view *view;      // or NULL
	const char *root, *root_real; // the build tree, where what is found below it counts by its place in it; or NULL
};
// -1: a file is not, or no longer, what it was when the toolchain was looked at.
int toolchain_names_find(struct toolchain_names *names, const struct named_toolchain *t, struct sha256 *name,
			 struct err *err);

#endif
