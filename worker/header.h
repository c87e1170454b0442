// The first message of a compile, checked: nothing that follows looks at what a client said without having been told here
// that it may. Thread: any.
#ifndef COFFER_WORKER_HEADER_H
#define COFFER_WORKER_HEADER_H

#include "compiler/arguments.h"

#include "proto/coffer.pb-c.h"

enum {
	HEADER_MAX_OUTPUT_NAME = 512,
	HEADER_MAX_OUTPUTS = 4,
	// With a tree; what an agent takes of a job (agent/request.h) is a little more.
	HEADER_MAX_PATH = 1000,
	HEADER_MAX_WORDS = 16000,
	HEADER_MAX_WORD_BYTES = 110 * 1024,
};

// ERR_USAGE says what is wrong. `found` is what the arguments mean.
int header_check(const Coffer__V1__CompileHeader *h, struct arguments *found, struct err *err);
// Of a compile of the user's own text: the words are any, as what the job can reach is all in its key.
int header_check_tree(const Coffer__V1__CompileHeader *h, struct err *err);
int header_check_describe(const Coffer__V1__DescribeRequest *r, struct err *err);
const char *output_kind_name(int kind);              // "object", "dwo", …; "?" for others
int output_kind_by_name(const char *name, size_t n); // -1: there is none
// It is for the client to check and names the compiler's temporary files: no two runs have the same, and no row names it.
bool output_kind_is_passing(int kind);
bool header_wants(const Coffer__V1__CompileHeader *h, int kind);

#endif
