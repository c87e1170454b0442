// What two machines compare before they trust each other's compiler of one name to be the same. Thread: any.
#ifndef COFFER_COMPILER_PARITY_H
#define COFFER_COMPILER_PARITY_H

#include "base/err.h"
#include "codec/hash.h"

struct toolchain_facts {
	char version[128]; // "gcc version 12.2.0 (Debian 12.2.0-14+deb12u1)"
	char target[64];   // "x86_64-linux-gnu"
	struct digest defines;
};
// Of what `COMPILER -v -E -dM -x LANGUAGE EMPTY-FILE` prints to stdout and stderr. ERR_FORMAT for what is no such text.
int toolchain_facts_of_text(const char *defines, size_t n_defines, const char *verbose, struct toolchain_facts *facts,
			    struct err *err);

#endif
