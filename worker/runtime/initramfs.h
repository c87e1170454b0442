// The initial file system of a microVM, as the kernel takes it: a cpio archive of the format "newc"
// (Documentation/driver-api/early-userspace/buffer-format.rst), uncompressed. Thread: any.
#ifndef COFFER_WORKER_RUNTIME_INITRAMFS_H
#define COFFER_WORKER_RUNTIME_INITRAMFS_H

#include "base/buf.h"
#include "base/err.h"

void initramfs_add_directory(struct buf *archive, const char *name);
void initramfs_add_file(struct buf *archive, const char *name, unsigned mode, const void *bytes, size_t n);
void initramfs_end(struct buf *archive);

// All of it: the agent as /init, seccomp's filter, and from `modules`, a kernel's directory below /lib/modules, what a VM needs, in
// the order in which it is to be loaded. NULL: the kernel has all that built in. ERR_NOT_FOUND names a module that is not there.
int initramfs_make(struct buf *archive, int agent, int filter, const char *modules, struct err *err);

#endif
