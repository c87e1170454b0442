// What `coffer farm try --runtime microvm` needs on this machine besides coffer: a monitor, a kernel, an image. Thread: main.
#ifndef COFFER_CLIENT_VERBS_FARM_VM_H
#define COFFER_CLIENT_VERBS_FARM_VM_H

#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>

struct farm_vm {
	// NULL: looked for. What is named is taken as it is; `modules` may be "": all is built into the kernel.
	const char *kernel, *modules, *images, *image;
	bool is_emulated; // filled in: KVM runs no guests here, so that its jobs are kept in by nothing that counts
};
// Fills in what is NULL, in the arena: the kernel from /boot, one for virtual machines first, else the newest; the only image of
// the directory of images. ERR_NOT_FOUND: a part is missing; the text says which, and its second line what to do.
int farm_vm_find(struct farm_vm *vm, struct arena *a, struct err *err);

#endif
