// Between the runtime `microvm` and its monitors: what a VM consists of, and how a guest says that it is ready.
#ifndef COFFER_WORKER_RUNTIME_VM_H
#define COFFER_WORKER_RUNTIME_VM_H

#include "base/mem.h"
#include "worker/runtime/parts.h"

#define VM_WHAT "cannot set up the microVM"

struct vm_monitor {
	const char *name;
	int (*check)(const struct runtime *r, struct err *err); // once: can it be used here?
	// Starts a VM with the kernel, the initial file system (vm_file "initramfs") and the disk, and returns when its guest is
	// ready: place->fd is then the connection to the agent. ERR_TIMEOUT, ERR_PEER: the guest or the monitor is at fault.
	int (*open)(struct runtime *r, const char *disk, unsigned serial, struct place *place, struct err *err);
};
extern const struct vm_monitor vm_qemu, vm_firecracker;

uint64_t vm_memory(const struct runtime *r);                                     // of a guest, in bytes
const char *vm_file(struct arena *a, const struct runtime *r, const char *name); // in the runtime's own directory
// Reads the first line from the guest, and not a byte more: it is ready, or what it could not set up.
int vm_wait_ready(int fd, uint32_t within_ms, struct err *err);

#endif
