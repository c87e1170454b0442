// What a job may ask of the agent: everything in an ExecHeader is checked here before anything is done. Thread: any.
#ifndef COFFER_AGENT_REQUEST_H
#define COFFER_AGENT_REQUEST_H

#include "base/err.h"
#include "proto/coffer.pb-c.h"

enum {
	REQUEST_MAX_ARGUMENTS = 16384,
	REQUEST_ARGUMENT_BYTES = 120 * 1024,
	REQUEST_MAX_OUTPUTS = 64,
	REQUEST_TREE_OUTPUTS = 4096,    // of an action
	REQUEST_MAX_ABSENT = 4096,      // names of a root
	REQUEST_MAX_WHOLE = 256,        // directories of it
	REQUEST_MAX_LAYERS = 64,        // of an action
	REQUEST_MAX_REMOVED = 4096,     // layers that go
	REQUEST_ROOT_BYTES = 64 * 1024, // of the names of all its directories
	REQUEST_MAX_NAME = 1024
};

// A name below the scratch directory: relative, no empty part, no "." or "..".
int request_check_name(const char *name, struct err *err);
// ERR_USAGE names the field; every limit must be given.
int request_check(const Coffer__V1__ExecHeader *header, struct err *err);

#endif
