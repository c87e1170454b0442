// What one job may use. Every one of them always holds: there is no value for "without limit".
//
// The operator's settings are the most that anybody gets; what a client or a tenant asks for can only lower them.
// Thread: any.
#ifndef COFFER_WORKER_RUNTIME_LIMITS_H
#define COFFER_WORKER_RUNTIME_LIMITS_H

#include "base/err.h"

#include <stdint.h>

struct limits {
	uint32_t wall_ms;       // from its start to its end; then the whole tree of processes is killed
	uint32_t cpu_s;         // of each process
	uint64_t memory_bytes;  // address space of each process; of all together where there are cgroups
	uint32_t files;         // open at once, in each process
	uint32_t processes;     // at once, threads included
	uint64_t file_bytes;    // any one file written
	uint64_t scratch_bytes; // all files together, the source included
	uint64_t message_bytes; // stdout and stderr, each
};

// 600 s, 4 GB, 1024 files, 256 processes, 1 GB a file, 2 GB in all, 1 MB of messages.
extern const struct limits limits_default;

// The defaults where `set` has a zero: an operator may raise them.
struct limits limits_with_defaults(const struct limits *set);
// The lower of both in every field; a zero in `asked` means "as much as there is".
struct limits limits_lower(const struct limits *most, const struct limits *asked);
// ERR_USAGE for what no compiler could run with (a zero among them), and names it.
int limits_check(const struct limits *limits, struct err *err);

#endif
