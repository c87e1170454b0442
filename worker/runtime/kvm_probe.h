// Whether guests run on KVM here, found out by running one: a few bytes of code that count, in a VM of one page. That /dev/kvm can
// be opened says little: there are machines where every instruction of a guest is emulated, a thousand times slower, and a
// guest's kernel never gets through. Thread: any.
#ifndef COFFER_WORKER_RUNTIME_KVM_PROBE_H
#define COFFER_WORKER_RUNTIME_KVM_PROBE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { KVM_PROBE_MS = 2000, KVM_LEAST_MIPS = 200 }; // millions of instructions a second; hardware does thousands

struct kvm_probe {
	bool is_usable;
	bool is_over;  // it came to its end in KVM_PROBE_MS
	uint64_t mips; // if so
};
// 0 with the answer; ERR_ACCESS, ERR_NOT_FOUND, ERR_IO: why there is no guest at all. Takes KVM_PROBE_MS at most.
int kvm_probe(struct kvm_probe *probe, struct err *err);

#endif
