// Any messages as a call of Worker.Compile: the whole story up to the session, which can't be opened here. Each message is a
// byte of length (times eight) and its bytes. However wild they are, the call ends with one of the statuses that
// docs/farm.md names, and the worker is as it was before.
#include "base/mem.h"
#include "base/tree.h"
#include "worker/service.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct worker_service service;
static struct toolchain_config toolchain;
static struct rpc_channel *channel;
static char directory[] = "/tmp/coffer-fuzz-XXXXXX";

static void need(int rc, const struct err *err)
{
	if (rc == 0)
		return;
	fprintf(stderr, "%s\n", err->text);
	abort();
}

static void tidy_up(void)
{
	tree_remove(AT_FDCWD, directory);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *const none[] = {NULL};
	static char image[256];
	struct loop *loop;
	struct rpc_server *server;
	struct err err = ERR_INIT;
	int ends[2];
	(void)argc;
	(void)argv;
	if (!mkdtemp(directory))
		abort();
	atexit(tidy_up);
	// An image, which the runtime `process` does not run.
	snprintf(image, sizeof image, "%s/sha256-%064d", directory, 0);
	mkdir(image, 0700);
	strcat(image, "/rootfs");
	mkdir(image, 0700);
	worker_service_init(&service);
	toolchain = (struct toolchain_config){.images = directory, .no_host = true};
	need(loop_start(&loop, &err), &err);
	struct runtime_config runtime = {
		.loop = loop, .agent = "/bin/true", .directory = directory, .toolchain = &toolchain};
	need(runtime_new(ISOLATION_PROCESS, &runtime, &service.runtime, &err), &err);
	need(access_new(&(struct access_config){.is_open = true}, &service.access, &err), &err);
	service.name = "fuzz";
	service.limits = (struct worker_limits){1 << 20, 1 << 20, 1000, 1000};
	service.images = images_new(&toolchain, none);
	service.queue = queue_new(&(struct queue_config){2, 2, 0, 4 << 20, 0});
	service.flights = single_flight_new();
	service.tally = tenant_stats_new();
	service.misses = misses_new();
	service.sessions = sessions_new(service.runtime, &(struct sessions_config){.most = 2, .idle_ms = 1000});
	service.results = results_new(directory, 1 << 20);
	service.accounts = accounts_new(service.results);
	struct rpc_server_config config = {.methods = worker_methods, .n_methods = WORKER_METHODS, .arg = &service};
	need(rpc_server_new(loop, &config, &server, &err), &err);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		abort();
	need(rpc_server_adopt(server, ends[0], &err), &err);
	need(rpc_channel_adopt(loop, ends[1], NULL, &channel, &err), &err);
	return 0;
}

static bool is_expected(enum rpc_code code)
{
	static const enum rpc_code codes[] = {RPC_INVALID_ARGUMENT,   RPC_PERMISSION_DENIED, RPC_FAILED_PRECONDITION,
					      RPC_RESOURCE_EXHAUSTED, RPC_UNAVAILABLE,       RPC_INTERNAL,
					      RPC_CANCELLED};
	for (size_t i = 0; i < COUNT_OF(codes); i++)
		if (codes[i] == code)
			return true;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = ERR_INIT;
	struct rpc_call *call;
	struct queue_load load;
	need(rpc_call_start(channel, "/coffer.v1.Worker/Compile", NULL, &call, &err), &err);
	while (size) {
		size_t n = (size_t)data[0] * 8 < size - 1 ? (size_t)data[0] * 8 : size - 1;
		if (rpc_send_bytes(call, data + 1, n, &err) != 0)
			break;
		data += n + 1;
		size -= n + 1;
	}
	rpc_send_end(call);
	enum rpc_code code = rpc_wait_status(call)->code;
	if (!is_expected(code)) {
		fprintf(stderr, "%s\n", rpc_code_name(code));
		abort();
	}
	rpc_call_release(call);
	// The call's thread may be a moment behind its answer.
	for (int i = 0; i < 1000; i++) {
		queue_look(service.queue, &load);
		if (!load.tenants)
			return 0;
		usleep(100);
	}
	abort();
}
