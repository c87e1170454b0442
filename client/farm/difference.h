// In what a worker's compiler and ours are two. Thread: any.
#ifndef COFFER_CLIENT_FARM_DIFFERENCE_H
#define COFFER_CLIENT_FARM_DIFFERENCE_H

#include "client/farm/farm.h"
#include "proto/coffer.pb-c.h"

// The first thing that differs: "version" and the like, or the name of a file, in `ours` or `theirs`; NULL: nothing that could make
// another object. `isolation`: the least that will do.
const char *farm_difference(int isolation, const struct farm_compiler *ours, const Coffer__V1__DescribeReply *theirs);
// Which of the two reads the file.
bool farm_reads(const struct farm_compiler *ours, const char *path);
bool farm_worker_reads(const Coffer__V1__DescribeReply *theirs, const char *path);

#endif
