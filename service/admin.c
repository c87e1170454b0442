#include "service/admin.h"
#include "base/clock.h"

#include "base/mem.h"
#include "base/value.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

struct client {
	int fd; // -1: no client
	int64_t ends_ms;
	uint64_t number; // in the order in which they came
	struct buf in, out;
	size_t sent;
};

struct admin {
	const struct admin_page *pages;
	size_t n_pages;
	void *ctx;
	int listener, stop_fd;
	pthread_t thread;
	uint64_t accepted;
	struct client clients[ADMIN_MAX_CLIENTS];
};

// ---- one request --------------------------------------------------------------------------------------------------

static void client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	buf_release(&c->in);
	buf_release(&c->out);
	*c = (struct client){.fd = -1};
}

static void answer(struct client *c, int status, const char *type, const struct buf *body, bool is_head)
{
	const char *text = status == 200   ? "OK"
			   : status == 404 ? "Not Found"
			   : status == 405 ? "Method Not Allowed"
			   : status == 431 ? "Request Header Fields Too Large"
			   : status == 503 ? "Service Unavailable"
					   : "Bad Request";
	buf_addf(&c->out, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n", status, text,
		 type, body->len);
	buf_adds(&c->out, "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n");
	buf_adds(&c->out, status == 405 ? "Allow: GET, HEAD\r\n\r\n" : "\r\n");
	if (!is_head)
		buf_add(&c->out, body->data, body->len);
}

static void answer_error(struct client *c, int status)
{
	AUTO_BUF struct buf body = BUF_INIT;
	buf_addf(&body, "%d\n", status);
	answer(c, status, "text/plain", &body, false);
}

// The request line is "METHOD PATH[?QUERY] HTTP/1.x" (RFC 9112 section 3); nothing else of the request matters here.
static void serve(const struct admin *a, struct client *c)
{
	char *line = c->in.data;
	line[strcspn(line, "\r\n")] = '\0';
	char *path = strchr(line, ' '), *version = path ? strchr(path + 1, ' ') : NULL;
	if (!version || strncmp(version + 1, "HTTP/1.", 7) != 0 || path[1] != '/') {
		answer_error(c, 400);
		return;
	}
	*path++ = '\0';
	path[strcspn(path, " ?")] = '\0';
	bool is_head = strcmp(line, "HEAD") == 0;
	if (!is_head && strcmp(line, "GET") != 0) {
		answer_error(c, 405);
		return;
	}
	for (size_t i = 0; i < a->n_pages; i++) {
		if (strcmp(a->pages[i].path, path) != 0)
			continue;
		AUTO_BUF struct buf body = BUF_INIT;
		int status = a->pages[i].write(a->ctx, &body);
		answer(c, status, a->pages[i].type, &body, is_head);
		return;
	}
	answer_error(c, 404);
}

static void client_read(const struct admin *a, struct client *c)
{
	char *to = buf_room(&c->in, 2048);
	ssize_t n = recv(c->fd, to, 2048, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_close(c);
		return;
	}
	buf_grew(&c->in, (size_t)n);
	if (memchr(c->in.data, '\0', c->in.len))
		answer_error(c, 400);
	else if (strstr(c->in.data, "\r\n\r\n") || strstr(c->in.data, "\n\n"))
		serve(a, c);
	else if (c->in.len > ADMIN_MAX_REQUEST)
		answer_error(c, 431);
}

static void client_write(struct client *c)
{
	ssize_t n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		client_close(c);
		return;
	}
	c->sent += n > 0 ? (size_t)n : 0;
	if (c->sent < c->out.len)
		return;
	// A close with unread bytes would reset the connection and might take the answer with it.
	shutdown(c->fd, SHUT_WR);
	char rest[2048];
	while (recv(c->fd, rest, sizeof rest, 0) > 0)
		;
	client_close(c);
}

// ---- the thread ---------------------------------------------------------------------------------------------------

// A free place, or that of the oldest client that has not asked yet: silent connections shut nobody out.
static struct client *place_for_one(struct admin *a)
{
	struct client *oldest = NULL;
	for (size_t i = 0; i < ADMIN_MAX_CLIENTS; i++) {
		struct client *c = &a->clients[i];
		if (c->fd < 0)
			return c;
		if (!c->out.len && (!oldest || c->number < oldest->number))
			oldest = c;
	}
	return oldest;
}

static void accept_client(struct admin *a)
{
	int fd = accept4(a->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	struct client *c = place_for_one(a);
	if (!c) {
		close(fd);
		return;
	}
	client_close(c);
	*c = (struct client){.fd = fd, .ends_ms = clock_ms() + ADMIN_TIMEOUT_MS, .number = ++a->accepted};
	client_read(a, c); // who asks has often done so by now, and is not in the way of others
	if (c->fd >= 0 && c->out.len)
		client_write(c);
}

// Fills in what to wait for; returns for how long.
static int prepare(struct admin *a, struct pollfd *fds)
{
	int64_t now = clock_ms(), wait = -1;
	fds[0] = (struct pollfd){.fd = a->stop_fd, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = a->listener, .events = POLLIN};
	for (size_t i = 0; i < ADMIN_MAX_CLIENTS; i++) {
		struct client *c = &a->clients[i];
		if (c->fd >= 0 && c->ends_ms <= now)
			client_close(c);
		fds[2 + i] = (struct pollfd){.fd = c->fd, .events = c->out.len ? POLLOUT : POLLIN};
		if (c->fd >= 0 && (wait < 0 || c->ends_ms - now < wait))
			wait = c->ends_ms - now;
	}
	return (int)wait;
}

static void *run(void *arg)
{
	struct admin *a = arg;
	struct pollfd fds[2 + ADMIN_MAX_CLIENTS];
	for (;;) {
		int wait = prepare(a, fds);
		if (poll(fds, 2 + ADMIN_MAX_CLIENTS, wait) <= 0)
			continue;
		if (fds[0].revents)
			return NULL;
		for (size_t i = 0; i < ADMIN_MAX_CLIENTS; i++) {
			struct client *c = &a->clients[i];
			if (c->fd < 0 || !fds[2 + i].revents)
				continue;
			if (!c->out.len)
				client_read(a, c);
			if (c->fd >= 0 && c->out.len)
				client_write(c);
		}
		if (fds[1].revents)
			accept_client(a);
	}
}

static int listen_at(const char *address, char bound[ADMIN_ADDRESS_MAX], struct err *err)
{
	AUTO_ARENA struct arena arena = ARENA_INIT;
	const char *host;
	uint16_t port;
	if (!value_split_address(&arena, address, &host, &port))
		return err_set(err, ERR_USAGE, "'%s' is not HOST:PORT", address);
	struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	int rc = getaddrinfo(*host ? host : NULL, arena_printf(&arena, "%u", port), &hints, &found);
	if (rc != 0)
		return err_set(err, ERR_NOT_FOUND, "cannot resolve '%s': %s", address, gai_strerror(rc));
	int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
	    bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0) {
		err_errno(err, "cannot listen at '%s'", address);
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(found);
	struct sockaddr_storage at = {0};
	socklen_t n = sizeof at;
	char name[128], service[16];
	if (fd >= 0 && bound && getsockname(fd, (struct sockaddr *)&at, &n) == 0 &&
	    getnameinfo((struct sockaddr *)&at, n, name, sizeof name, service, sizeof service,
			NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		snprintf(bound, ADMIN_ADDRESS_MAX, at.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", name, service);
	return fd;
}

// With all signals blocked: they belong to the main thread.
static int start_thread(struct admin *a, struct err *err)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	errno = pthread_create(&a->thread, NULL, run, a);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return errno ? err_errno(err, "cannot start a thread") : 0;
}

static void admin_free(struct admin *a)
{
	for (size_t i = 0; i < ADMIN_MAX_CLIENTS; i++)
		client_close(&a->clients[i]);
	if (a->listener >= 0)
		close(a->listener);
	if (a->stop_fd >= 0)
		close(a->stop_fd);
	free(a);
}

int admin_start(const char *address, const struct admin_page *pages, size_t n, void *ctx, char bound[ADMIN_ADDRESS_MAX],
		struct admin **admin, struct err *err)
{
	struct admin *a = mem_alloc(sizeof *a);
	*admin = NULL;
	a->pages = pages;
	a->n_pages = n;
	a->ctx = ctx;
	for (size_t i = 0; i < ADMIN_MAX_CLIENTS; i++)
		a->clients[i].fd = -1;
	a->stop_fd = eventfd(0, EFD_CLOEXEC);
	a->listener = a->stop_fd < 0 ? err_errno(err, "cannot make an event descriptor") : listen_at(address, bound, err);
	if (a->listener < 0 || start_thread(a, err) < 0) {
		admin_free(a);
		return -1;
	}
	*admin = a;
	return 0;
}

void admin_stop(struct admin *admin)
{
	if (!admin)
		return;
	uint64_t one = 1;
	(void)!write(admin->stop_fd, &one, sizeof one);
	pthread_join(admin->thread, NULL);
	admin_free(admin);
}
