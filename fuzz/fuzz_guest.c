// What a guest and its monitor say to their worker before there is an agent to talk to: the lines of a guest's first process, and
// QEMU's answers. Whatever comes is taken to its end, or given up with an error. (What follows is gRPC: fuzz_grpc_client, and an
// agent's replies: fuzz_agent.)
#include "worker/runtime/qmp.h"
#include "worker/runtime/vm.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COMMANDS = 4 };

static void talk_to_qemu(int fd)
{
	struct qmp q;
	struct err err = ERR_INIT;
	qmp_open(&q, fd);
	int rc = qmp_greet(&q, &err);
	for (int i = 0; rc == 0 && i < COMMANDS; i++) {
		json_t *answer = NULL;
		rc = qmp_run(&q, "query-status", NULL, -1, &answer, &err);
		if (rc == 0 && !answer)
			abort();
		json_decref(answer);
	}
	if (rc == 0 ? err.code != 0 : err.code == 0)
		abort();
	qmp_close(&q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = ERR_INIT;
	int pair[2];
	if (size == 0 || size > 32768 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return 0;
	if (write(pair[1], data + 1, size - 1) != (ssize_t)size - 1)
		abort();
	// The other end has said all; it still reads.
	shutdown(pair[1], SHUT_WR);
	if (data[0] % 2)
		talk_to_qemu(pair[0]);
	else if (vm_expect(pair[0], data[0] % 4 ? VM_READY : VM_BEGUN, 100, &err) < 0 && err.code == 0)
		abort();
	close(pair[0]);
	close(pair[1]);
	return 0;
}
