// The memory that all VMs of a runtime take together, which is bounded, and clean VMs: booted ahead for images that are in use,
// nobody's yet. A thread of the pool boots one when one was taken, while there is room. Thread: any.
#ifndef COFFER_WORKER_RUNTIME_VM_POOL_H
#define COFFER_WORKER_RUNTIME_VM_POOL_H

#include "worker/runtime/parts.h"

enum { VM_POOL_IMAGES = 16 }; // the latest; others wait for their boot

// Boots a VM, its memory being reserved. Called by the pool's thread.
typedef int (*vm_boot_fn)(struct runtime *r, const char *image, struct place *place, struct err *err);

struct vm_pool_config {
	unsigned per_image; // clean ones, 0: none
	uint64_t cost;      // bytes of memory of one VM with its monitor
	uint64_t most;      // of all
	vm_boot_fn boot;
};
struct vm_pool;
struct vm_pool *vm_pool_new(struct runtime *r, const struct vm_pool_config *config);
void vm_pool_free(struct vm_pool *pool); // closes the clean ones

// For one more VM; a clean one of the pool makes room. ERR_LIMIT: there is none.
int vm_pool_reserve(struct vm_pool *pool, struct err *err);
void vm_pool_release(struct vm_pool *pool);

// From now on there are to be clean ones of that image.
void vm_pool_want(struct vm_pool *pool, const char *image);
// Moves a clean one, its reservation with it, to `place`; false: there is none.
bool vm_pool_take(struct vm_pool *pool, const char *image, struct place *place);
unsigned vm_pool_count(struct vm_pool *pool); // of clean ones

#endif
