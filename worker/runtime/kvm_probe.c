#include "worker/runtime/kvm_probe.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)

enum { PAGE = 4096, API_VERSION = 12, ROUNDS = 20000000, BYTE_OF_ROUNDS = 2 };

// What the child found: how long the guest has counted, or which step failed.
struct told {
	int64_t ns;
	int failed; // errno
	const char *what;
};

static struct told failed(const char *what)
{
	return (struct told){.failed = errno, .what = what};
}

// In real mode: mov ecx, ROUNDS; again: dec ecx; jnz again; hlt.
static void put_code(uint8_t *page)
{
	static const uint8_t code[] = {0x66, 0xb9, 0, 0, 0, 0, 0x66, 0x49, 0x75, 0xfc, 0xf4};
	uint32_t rounds = ROUNDS;
	memcpy(page, code, sizeof code);
	memcpy(page + BYTE_OF_ROUNDS, &rounds, sizeof rounds);
}

static struct told run_guest(int kvm)
{
	uint8_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (page == MAP_FAILED || vm < 0)
		return failed("make a VM");
	put_code(page);
	struct kvm_userspace_memory_region memory = {.memory_size = PAGE, .userspace_addr = (uint64_t)(uintptr_t)page};
	int cpu = ioctl(vm, KVM_SET_USER_MEMORY_REGION, &memory) < 0 ? -1 : ioctl(vm, KVM_CREATE_VCPU, 0);
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	struct kvm_run *run =
		cpu < 0 || size <= 0 ? MAP_FAILED : mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);
	if (run == MAP_FAILED)
		return failed("make a processor");
	struct kvm_sregs special;
	struct kvm_regs plain = {.rflags = 2};
	if (ioctl(cpu, KVM_GET_SREGS, &special) < 0)
		return failed("read its registers");
	special.cs.base = special.cs.selector = 0;
	if (ioctl(cpu, KVM_SET_SREGS, &special) < 0 || ioctl(cpu, KVM_SET_REGS, &plain) < 0)
		return failed("set its registers");
	int64_t began = clock_ns();
	if (ioctl(cpu, KVM_RUN, 0) < 0)
		return failed("run it");
	struct told told = {.ns = clock_ns() - began};
	if (run->exit_reason != KVM_EXIT_HLT) {
		errno = EPROTO;
		return failed("let it come to its end");
	}
	return told;
}

// A guest that never ends is ended with its process.
static int probe_in_child(int kvm, struct told *told, struct err *err)
{
	int ends[2], rc = -1;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, "cannot make a pipe");
	pid_t pid = fork();
	if (pid == 0) {
		struct told found = run_guest(kvm);
		_exit(write(ends[1], &found, sizeof found) == sizeof found ? 0 : 1);
	}
	close(ends[1]);
	struct pollfd wait = {.fd = ends[0], .events = POLLIN};
	if (pid < 0)
		err_errno(err, "cannot start a process");
	else if (poll(&wait, 1, KVM_PROBE_MS) == 1)
		rc = read(ends[0], told, sizeof *told) == sizeof *told ? 1
								       : err_set(err, ERR_IO, "the test of KVM has died");
	else
		rc = 0;
	close(ends[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return rc;
}

int kvm_probe(struct kvm_probe *probe, struct err *err)
{
	struct told told = {0};
	*probe = (struct kvm_probe){0};
	AUTO_CLOSE int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		return err_errno(err, "cannot open /dev/kvm");
	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != API_VERSION)
		return err_set(err, ERR_IO, "/dev/kvm has another API than version %d", API_VERSION);
	int rc = probe_in_child(kvm, &told, err);
	if (rc <= 0)
		return rc;
	if (told.what) {
		errno = told.failed;
		return err_errno(err, "KVM cannot %s", told.what);
	}
	probe->is_over = true;
	probe->mips = told.ns > 0 ? 2 * (uint64_t)ROUNDS * 1000 / (uint64_t)told.ns : UINT64_MAX;
	probe->is_usable = probe->mips >= KVM_LEAST_MIPS;
	return 0;
}

#else

int kvm_probe(struct kvm_probe *probe, struct err *err)
{
	*probe = (struct kvm_probe){0};
	return err_set(err, ERR_NOT_FOUND, "microVMs are made on x86-64 only");
}

#endif
