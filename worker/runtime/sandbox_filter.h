// Which system calls a job in the sandbox may make: an allow-list, compiled once with libseccomp. Thread: any.
#ifndef COFFER_WORKER_RUNTIME_SANDBOX_FILTER_H
#define COFFER_WORKER_RUNTIME_SANDBOX_FILTER_H

#include "base/err.h"

// A sealed memory file with the BPF program (an array of struct sock_filter), which belongs to this module and stays open.
int sandbox_filter(int *fd, struct err *err);

#endif
