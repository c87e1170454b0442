// Between the runtime `microvm` and its monitors: what a VM consists of, how it is saved, and what it says.
#ifndef COFFER_WORKER_RUNTIME_VM_H
#define COFFER_WORKER_RUNTIME_VM_H

#include "base/mem.h"
#include "proto/vm.h"
#include "worker/runtime/parts.h"

#define VM_WHAT "cannot set up the microVM"

// A VM that is to be started: from nothing, or as it was saved (place->memory and place->state, which are whole and whose owner is
// already vm_user's).
struct vm_start {
	const char *disk;
	unsigned serial;
	bool is_resumed;
};
struct vm_monitor {
	const char *name;
	uint64_t overhead;                                      // memory that it takes besides the guest's, in bytes
	int (*check)(const struct runtime *r, struct err *err); // once: can it be used here?
	// Starts a VM with the kernel, the initial file system (vm_file "initramfs") and the disk, and returns when its guest is
	// ready (VM_READY was said) or is running again: place->control is then the connection to its first process and place->fd
	// the one to the agent. ERR_TIMEOUT, ERR_PEER: the guest or the monitor is at fault.
	int (*start)(struct runtime *r, const struct vm_start *vm, struct place *place, struct err *err);
	// The guest is ready and place->fd closed. Writes it into the files place->memory and place->state and ends the monitor.
	int (*save)(struct runtime *r, struct place *place, struct err *err);
};
extern const struct vm_monitor vm_qemu, vm_firecracker;
unsigned qemu_clock_khz(void); // takes 20 ms

uint64_t vm_memory(const struct runtime *r);                                     // of a guest, in bytes
const char *vm_file(struct arena *a, const struct runtime *r, const char *name); // in the runtime's own directory
// Reads a line from the guest, and not a byte more: `wanted`, or what it could not set up.
int vm_expect(int fd, const char *wanted, uint32_t within_ms, struct err *err);

#endif
