// The worker's side of a microVM: its connections, each a new state of the protocol with an agent of its own, and what is
// renewed before one begins (proto/vm.h).
#include "agent/vm_parts.h"

#include "base/mem.h"
#include "proto/vm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DEVICE_MS = 5000, WORKER_MS = 60000, CONNECT_MS = 5000, PIECE = 64 * 1024 };

// ---- opening --------------------------------------------------------------------------------------------------------

// The port of that name, as its number depends on the other devices.
static bool find_port(const char *wanted, char device[64])
{
	DIR *d = opendir("/sys/class/virtio-ports");
	bool found = false;
	for (struct dirent *e; d && !found && (e = readdir(d));) {
		char path[512], name[128];
		snprintf(path, sizeof path, "/sys/class/virtio-ports/%.200s/name", e->d_name);
		found = vm_read_text(path, name, sizeof name) > 0 && strcspn(name, "\n") == strlen(wanted) &&
			strncmp(name, wanted, strlen(wanted)) == 0;
		if (found)
			snprintf(device, 64, "/dev/%.40s", e->d_name);
	}
	if (d)
		closedir(d);
	return found;
}

static int open_port(const char *name, int *fd, struct err *err)
{
	char device[64];
	for (int waited = 0; !find_port(name, device) || (*fd = open(device, O_RDWR | O_CLOEXEC | O_NONBLOCK)) < 0;
	     waited++) {
		if (waited == DEVICE_MS)
			return err_set(err, ERR_NOT_FOUND, "there is no port '%s'", name);
		usleep(1000);
	}
	return 0;
}

static int listen_vsock(unsigned port, int *fd, struct err *err)
{
	struct sockaddr_vm a = {.svm_family = AF_VSOCK, .svm_port = port, .svm_cid = VMADDR_CID_ANY};
	*fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd < 0 || bind(*fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(*fd, 4) < 0)
		return err_errno(err, "listen on the vsock port %u", port);
	return 0;
}

int vm_open_channels(struct vm *vm, struct err *err)
{
	if (vm->has_vsock)
		return listen_vsock(VM_CONTROL_PORT, &vm->control_listener, err) < 0
			       ? -1
			       : listen_vsock(VM_DATA_PORT, &vm->data_listener, err);
	return open_port(VM_CONTROL, &vm->control, err) < 0 ? -1 : open_port(VM_DATA, &vm->data, err);
}

// ---- control --------------------------------------------------------------------------------------------------------

static bool tell(int fd, const char *text)
{
	size_t n = strlen(text);
	while (n > 0) {
		ssize_t done = write(fd, text, n);
		struct pollfd wait = {.fd = fd, .events = POLLOUT};
		if (done < 0 && errno == EAGAIN && poll(&wait, 1, CONNECT_MS) == 1 && !(wait.revents & (POLLHUP | POLLERR)))
			continue;
		if (done <= 0)
			return false;
		text += done;
		n -= (size_t)done;
	}
	return true;
}

// With vsock: the host's port is called, as nobody has connected yet.
static bool call_worker(const char *head, const char *text)
{
	struct sockaddr_vm host = {.svm_family = AF_VSOCK, .svm_port = VM_READY_PORT, .svm_cid = VMADDR_CID_HOST};
	AUTO_CLOSE int call = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return call >= 0 && connect(call, (struct sockaddr *)&host, sizeof host) == 0 && tell(call, head) &&
	       tell(call, text);
}

void vm_tell_failure(struct vm *vm, const char *why)
{
	char text[VM_LINE_MAX];
	snprintf(text, sizeof text, "%.500s\n", why);
	if (vm->control >= 0)
		(void)(tell(vm->control, VM_FAILED) && tell(vm->control, text));
	else if (vm->has_vsock)
		call_worker(VM_FAILED, text);
	usleep(100000); // the port is emptied by the other side
}

// One line without its end. False: the channel is closed, or it is no line.
static bool read_line(int fd, char line[VM_LINE_MAX])
{
	for (size_t n = 0; n < VM_LINE_MAX;) {
		ssize_t got = read(fd, line + n, 1);
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
			poll(&wait, 1, -1);
			continue;
		}
		if (got <= 0)
			return false;
		if (line[n] == '\n') {
			line[n] = '\0';
			return true;
		}
		n++;
	}
	return false;
}

// Nobody else's numbers may come again, and no time that has gone by: a resumed guest is as it was when it was saved.
static int renew(const char *line, struct err *err)
{
	union {
		struct rand_pool_info head;
		uint8_t room[sizeof(struct rand_pool_info) + VM_RANDOM];
	} pool = {.head = {.entropy_count = 8 * VM_RANDOM, .buf_size = VM_RANDOM}};
	size_t head = strlen(VM_BEGIN);
	char *end;
	long long now = strncmp(line, VM_BEGIN, head) == 0 ? strtoll(line + head, &end, 10) : 0;
	if (now <= 0 || *end != ' ' || strlen(end + 1) != 2 * VM_RANDOM)
		return err_set(err, ERR_FORMAT, "the worker speaks another language");
	for (size_t i = 0; i < VM_RANDOM; i++)
		if (sscanf(end + 1 + 2 * i, "%2hhx", &pool.room[sizeof pool.head + i]) != 1)
			return err_set(err, ERR_FORMAT, "the worker speaks another language");
	struct timespec t = {.tv_sec = (time_t)(now / 1000000000), .tv_nsec = (long)(now % 1000000000)};
	AUTO_CLOSE int device = open("/dev/random", O_RDWR | O_CLOEXEC);
	if (clock_settime(CLOCK_REALTIME, &t) < 0)
		return err_errno(err, "set the clock");
	if (device < 0 || ioctl(device, RNDADDENTROPY, &pool) < 0 || ioctl(device, RNDRESEEDCRNG) < 0)
		return err_errno(err, "renew the random numbers");
	return 0;
}

// With vsock. What has called before has gone meanwhile, or is not for this agent.
static bool accept_control(struct vm *vm)
{
	struct pollfd wait = {.fd = vm->control_listener, .events = POLLIN};
	mem_close_cleanup(&vm->control);
	if (poll(&wait, 1, WORKER_MS) != 1)
		return false;
	for (int old; (old = accept4(vm->data_listener, NULL, NULL, SOCK_CLOEXEC)) >= 0;)
		close(old);
	vm->control = accept4(vm->control_listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return vm->control >= 0 && tell(vm->control, VM_READY);
}

// The next VM_BEGIN. 1; 0: the worker has gone.
static int wait_begin(struct vm *vm, char line[VM_LINE_MAX])
{
	if (!vm->has_vsock)
		return read_line(vm->control, line);
	// Its connections end with each snapshot.
	while (vm->control < 0 || !read_line(vm->control, line))
		if (!accept_control(vm))
			return 0;
	return 1;
}

// ---- the other channel ----------------------------------------------------------------------------------------------

static bool is_closed(int fd)
{
	struct pollfd now = {.fd = fd, .events = POLLIN};
	return poll(&now, 1, 0) == 1 && (now.revents & (POLLHUP | POLLERR));
}

// The worker's connection. A port of a guest that was resumed may learn only now that somebody is there.
static int open_data(struct vm *vm, struct err *err)
{
	if (vm->has_vsock) {
		struct pollfd wait = {.fd = vm->data_listener, .events = POLLIN};
		if (poll(&wait, 1, CONNECT_MS) == 1)
			vm->data = accept4(vm->data_listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		return vm->data < 0 ? err_set(err, ERR_TIMEOUT, "the worker does not connect") : 0;
	}
	for (int waited = 0; is_closed(vm->data); waited++) {
		if (waited == CONNECT_MS)
			return err_set(err, ERR_TIMEOUT, "the worker does not connect");
		usleep(1000);
	}
	return 0;
}

// Nothing of the old connection is left for the new one.
static void end_data(struct vm *vm, char *bytes)
{
	if (vm->has_vsock)
		mem_close_cleanup(&vm->data);
	else
		while (read(vm->data, bytes, PIECE) > 0)
			;
}

// Bytes on their way in one direction.
struct way {
	int from, to;
	char *bytes;
	size_t at, n;
};

enum moved { MOVED, FROM_IS_CLOSED, TO_IS_CLOSED };

static enum moved move(struct way *w)
{
	if (w->n == 0) {
		ssize_t got = read(w->from, w->bytes, PIECE);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return MOVED;
		if (got <= 0)
			return FROM_IS_CLOSED;
		w->at = 0;
		w->n = (size_t)got;
	}
	ssize_t done = write(w->to, w->bytes + w->at, w->n);
	if (done < 0)
		return errno == EAGAIN || errno == EINTR ? MOVED : TO_IS_CLOSED;
	w->at += (size_t)done;
	w->n -= (size_t)done;
	return MOVED;
}

enum end { END_CONNECTION, END_WORKER, END_AGENT };

// It ends by itself, and well, when the worker has said goodbye; then the channel is closed in a moment.
static enum end agent_has_gone(struct vm *vm, char *bytes)
{
	struct pollfd wait = {.fd = vm->data, .events = POLLIN};
	int status = 0;
	while (waitpid(vm->keeper, &status, 0) < 0 && errno == EINTR)
		;
	vm->keeper = -1;
	while (status == 0 && poll(&wait, 1, CONNECT_MS) == 1)
		if (wait.revents & (POLLHUP | POLLERR) || read(vm->data, bytes, PIECE) == 0)
			return END_CONNECTION;
	return END_AGENT;
}

static enum end carry(struct vm *vm, struct way *in, struct way *out)
{
	enum { DATA, AGENT, CONTROL, N };
	const short gone = POLLHUP | POLLERR;
	for (;;) {
		struct pollfd f[N] = {
			[DATA] = {vm->data, (short)((in->n ? 0 : POLLIN) | (out->n ? POLLOUT : 0)), 0},
			[AGENT] = {vm->agent, (short)((out->n ? 0 : POLLIN) | (in->n ? POLLOUT : 0)), 0},
			[CONTROL] = {vm->control, POLLIN, 0},
		};
		if (poll(f, N, -1) < 0 && errno != EINTR)
			return END_WORKER;
		if (f[CONTROL].revents)
			return END_WORKER; // there is nothing to say meanwhile
		if (f[DATA].revents & gone)
			return END_CONNECTION;
		enum moved came = f[DATA].revents & POLLIN || f[AGENT].revents & POLLOUT ? move(in) : MOVED;
		enum moved went = f[AGENT].revents & (POLLIN | gone) || f[DATA].revents & POLLOUT ? move(out) : MOVED;
		if (came == FROM_IS_CLOSED || went == TO_IS_CLOSED)
			return END_CONNECTION;
		if (came == TO_IS_CLOSED || went == FROM_IS_CLOSED)
			return agent_has_gone(vm, in->bytes);
	}
}

// ---- the story ------------------------------------------------------------------------------------------------------

static enum end serve_connection(struct vm *vm, char *bytes[2])
{
	struct way in = {.from = vm->data, .to = vm->agent, .bytes = bytes[0]};
	struct way out = {.from = vm->agent, .to = vm->data, .bytes = bytes[1]};
	fcntl(vm->agent, F_SETFL, O_NONBLOCK);
	enum end end = carry(vm, &in, &out);
	vm_end_agent(vm);
	end_data(vm, bytes[0]);
	return end;
}

int vm_serve(struct vm *vm, struct err *err)
{
	char line[VM_LINE_MAX], *bytes[2] = {mem_alloc(PIECE), mem_alloc(PIECE)};
	if (vm->has_vsock && !call_worker(VM_READY, ""))
		return err_errno(err, "call the worker");
	for (bool is_first = true;; is_first = false) {
		if (!is_first && vm_start_agent(vm, err) < 0)
			return -1;
		// With vsock there may be nobody to tell; who connects is told.
		if (!(vm->has_vsock && vm->control < 0) && !tell(vm->control, VM_READY) && !vm->has_vsock)
			return 0;
		if (!wait_begin(vm, line))
			return 0;
		// The connection first: once the worker knows, it may close it at any time.
		if (renew(line, err) < 0 || open_data(vm, err) < 0)
			return -1;
		if (!tell(vm->control, VM_BEGUN))
			return 0;
		switch (serve_connection(vm, bytes)) {
		case END_CONNECTION:
			continue;
		case END_WORKER:
			return 0;
		case END_AGENT:
			return err_set(err, ERR_PEER, "the agent has died");
		}
	}
}
