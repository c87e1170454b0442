#include "service/admin.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/value.h"
#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ADMIN_AGAIN_MS = 200 };

struct admin_client {
	struct admin *admin;
	struct loop_source source; // fd -1: no client
	struct timer end;
	uint64_t number; // in the order in which they came
	struct buf in, out;
	size_t sent;
};

struct admin {
	struct admin_config config;
	char *token;             // NULL: there is none
	bool is_of_this_machine; // only this machine reaches the address
	struct loop *loop;
	struct loop_source listener;
	struct timer again; // when descriptors had run out
	struct loop_resident resident;
	uint64_t accepted;
	struct admin_client clients[ADMIN_MAX_CLIENTS];
};

// ---- one request --------------------------------------------------------------------------------------------------

static void client_close(struct admin_client *c)
{
	if (c->source.fd < 0)
		return;
	timer_clear(&c->admin->loop->timers, &c->end);
	loop_watch(c->admin->loop, &c->source, 0, NULL);
	close(TAKE_FD(c->source.fd));
	buf_release(&c->in);
	buf_release(&c->out);
}

static void answer(struct admin_client *c, int status, const char *type, const struct buf *body, bool is_head)
{
	const char *text = status == 200   ? "OK"
			   : status == 401 ? "Unauthorized"
			   : status == 403 ? "Forbidden"
			   : status == 404 ? "Not Found"
			   : status == 405 ? "Method Not Allowed"
			   : status == 431 ? "Request Header Fields Too Large"
			   : status == 503 ? "Service Unavailable"
					   : "Bad Request";
	buf_addf(&c->out, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n", status, text,
		 type, body->len);
	buf_adds(&c->out, "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n");
	// The page asks this port and nobody else, and stands in nobody else's page.
	buf_adds(&c->out,
		 "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
		 "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'\r\n");
	buf_adds(&c->out, status == 401   ? "WWW-Authenticate: Bearer\r\n\r\n"
			  : status == 405 ? "Allow: GET, HEAD\r\n\r\n"
					  : "\r\n");
	if (!is_head)
		buf_add(&c->out, body->data, body->len);
}

static void answer_error(struct admin_client *c, int status, const char *why)
{
	AUTO_BUF struct buf body = BUF_INIT;
	buf_addf(&body, "%d%s%s\n", status, *why ? ": " : "", why);
	answer(c, status, "text/plain", &body, false);
}

// The value of a header of the request; the end of its line is overwritten. NULL: it is not there.
static char *header_of(char *headers, const char *name)
{
	size_t n = strlen(name);
	for (char *line = headers; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncasecmp(line, name, n) != 0 || line[n] != ':')
			continue;
		line += n + 1 + strspn(line + n + 1, " \t");
		line[strcspn(line, "\r\n")] = '\0';
		return line;
	}
	return NULL;
}

// In a time that tells nothing of where they differ.
static bool is_same_secret(const char *given, const char *secret)
{
	size_t n = strlen(secret);
	unsigned char differs = 0;
	for (size_t i = 0; strlen(given) == n && i < n; i++)
		differs |= (unsigned char)(given[i] ^ secret[i]);
	return strlen(given) == n && !differs;
}

// 0: may see what is for operators; else the status that says why not.
static int check_operator(const struct admin *a, char *headers, const char **why)
{
	// The names of a copy, as header_of() cuts lines.
	AUTO_FREE char *copy = mem_strdup(headers);
	const char *host = header_of(copy, "Host"), *token = header_of(headers, "Authorization");
	*why = "";
	if (a->token)
		return token && strncasecmp(token, "Bearer ", 7) == 0 && is_same_secret(token + 7, a->token) ? 0 : 401;
	if (!a->is_of_this_machine)
		*why = "this is for operators: set admin_token_file, or listen on a loopback address";
	else if (host && (strncmp(host, "unix:", 5) == 0 || !value_is_of_this_machine(host)))
		*why = "this is answered under a name of this machine only, as 127.0.0.1 or localhost";
	return **why ? 403 : 0;
}

#include "service/page.inc" // static const char page[]: page.html

static int write_page(void *ctx, struct buf *body)
{
	(void)ctx;
	buf_add(body, page, sizeof page - 1);
	return 200;
}

static const struct admin_page *page_of(const struct admin *a, const char *path)
{
	static const struct admin_page start = {"/", "text/html; charset=utf-8", write_page, ADMIN_ANYBODY};
	if (strcmp(path, start.path) == 0)
		return &start;
	size_t i = 0;
	while (i < a->config.n_pages && strcmp(a->config.pages[i].path, path) != 0)
		i++;
	return i < a->config.n_pages ? &a->config.pages[i] : NULL;
}

// The request line is "METHOD PATH[?QUERY] HTTP/1.x" (RFC 9112 section 3).
static void serve(const struct admin *a, struct admin_client *c)
{
	char *line = c->in.data, *headers = line + strcspn(line, "\n");
	const char *why = "";
	headers += *headers == '\n';
	line[strcspn(line, "\r\n")] = '\0';
	char *path = strchr(line, ' '), *version = path ? strchr(path + 1, ' ') : NULL;
	if (!version || strncmp(version + 1, "HTTP/1.", 7) != 0 || path[1] != '/') {
		answer_error(c, 400, "");
		return;
	}
	*path++ = '\0';
	path[strcspn(path, " ?")] = '\0';
	bool is_head = strcmp(line, "HEAD") == 0;
	const struct admin_page *found = page_of(a, path);
	int refused = !is_head && strcmp(line, "GET") != 0 ? 405
		      : !found                             ? 404
		      : found->who == ADMIN_OPERATORS      ? check_operator(a, headers, &why)
							   : 0;
	if (refused) {
		answer_error(c, refused, why);
		return;
	}
	AUTO_BUF struct buf body = BUF_INIT;
	int status = found->write(a->config.ctx, &body);
	answer(c, status, found->type, &body, is_head);
}

static void client_read(const struct admin *a, struct admin_client *c)
{
	char *to = buf_room(&c->in, 2048);
	ssize_t n = recv(c->source.fd, to, 2048, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_close(c);
		return;
	}
	buf_grew(&c->in, (size_t)n);
	if (memchr(c->in.data, '\0', c->in.len))
		answer_error(c, 400, "");
	else if (strstr(c->in.data, "\r\n\r\n") || strstr(c->in.data, "\n\n"))
		serve(a, c);
	else if (c->in.len > ADMIN_MAX_REQUEST)
		answer_error(c, 431, "");
}

static void client_write(struct admin_client *c)
{
	ssize_t n = send(c->source.fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		client_close(c);
		return;
	}
	c->sent += n > 0 ? (size_t)n : 0;
	if (c->sent < c->out.len)
		return;
	// A close with unread bytes would reset the connection and might take the answer with it.
	shutdown(c->source.fd, SHUT_WR);
	char rest[2048];
	while (recv(c->source.fd, rest, sizeof rest, 0) > 0)
		;
	client_close(c);
}

// ---- the loop -----------------------------------------------------------------------------------------------------

// A free place, or that of the oldest client that has not asked yet: silent connections shut nobody out.
static struct admin_client *place_for_one(struct admin *a)
{
	struct admin_client *oldest = NULL;
	for (size_t i = 0; i < ADMIN_MAX_CLIENTS; i++) {
		struct admin_client *c = &a->clients[i];
		if (c->source.fd < 0)
			return c;
		if (!c->out.len && (!oldest || c->number < oldest->number))
			oldest = c;
	}
	return oldest;
}

static void client_ready(struct loop_source *source, uint32_t events)
{
	struct admin_client *c = CONTAINER_OF(source, struct admin_client, source);
	(void)events;
	if (!c->out.len)
		client_read(c->admin, c);
	if (c->source.fd >= 0 && c->out.len)
		client_write(c);
	if (c->source.fd >= 0 && loop_watch(c->admin->loop, &c->source, c->out.len ? EPOLLOUT : EPOLLIN, NULL) < 0)
		client_close(c);
}

static void client_times_out(struct timer *t)
{
	client_close(CONTAINER_OF(t, struct admin_client, end));
}

static void listen_again(struct timer *t)
{
	struct admin *a = CONTAINER_OF(t, struct admin, again);
	loop_watch(a->loop, &a->listener, EPOLLIN, NULL);
}

static void listener_ready(struct loop_source *source, uint32_t events)
{
	struct admin *a = CONTAINER_OF(source, struct admin, listener);
	int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	(void)events;
	if (fd < 0) {
		// Without a descriptor the connection stays in the queue, and would wake us again and again.
		bool is_short = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
		if (is_short && loop_watch(a->loop, source, 0, NULL) == 0)
			timer_set(&a->loop->timers, &a->again, clock_ms() + ADMIN_AGAIN_MS);
		return;
	}
	struct admin_client *c = place_for_one(a);
	if (!c) {
		close(fd);
		return;
	}
	client_close(c);
	*c = (struct admin_client){.admin = a,
				   .source = {.fd = fd, .ready = client_ready},
				   .end = {.fire = client_times_out},
				   .number = ++a->accepted};
	timer_set(&a->loop->timers, &c->end, clock_ms() + ADMIN_TIMEOUT_MS);
	client_ready(&c->source, EPOLLIN); // who asks has often done so by now, and is not in the way of others
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

static void evict(struct loop_resident *r)
{
	struct admin *a = CONTAINER_OF(r, struct admin, resident);
	for (size_t i = 0; i < ADMIN_MAX_CLIENTS; i++)
		client_close(&a->clients[i]);
	loop_watch(a->loop, &a->listener, 0, NULL);
	loop_move_out(r);
}

static void admin_free(struct admin *a)
{
	if (a->loop)
		loop_stop(a->loop);
	if (a->listener.fd >= 0)
		close(a->listener.fd);
	free(a->token);
	free(a);
}

struct begin {
	struct admin *admin;
	struct err *err;
	int rc;
};

static void begin(void *arg)
{
	struct begin *b = arg;
	loop_move_in(b->admin->loop, &b->admin->resident);
	b->rc = loop_watch(b->admin->loop, &b->admin->listener, EPOLLIN, b->err);
}

static int read_token(struct admin *a, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	const char *file = a->config.token_file;
	if (!file)
		return 0;
	if (file_read_secret(file, ADMIN_TOKEN_MAX, &text, err) < 0)
		return err_wrap(err, "the operators' token");
	size_t n = strcspn(text.data ? text.data : "", " \t\r\n");
	if (n < 16)
		return err_set(err, ERR_USAGE, "the operators' token in '%s' has fewer than 16 characters", file);
	a->token = mem_strndup(text.data, n);
	return 0;
}

int admin_start(const struct admin_config *config, char bound[ADMIN_ADDRESS_MAX], struct admin **admin, struct err *err)
{
	struct admin *a = mem_alloc(sizeof *a);
	struct begin b = {.admin = a, .err = err, .rc = -1};
	*admin = NULL;
	a->config = *config;
	a->is_of_this_machine = value_is_of_this_machine(config->address);
	a->resident.evict = evict;
	for (size_t i = 0; i < ADMIN_MAX_CLIENTS; i++)
		a->clients[i].source.fd = -1;
	a->listener = (struct loop_source){.fd = -1, .ready = listener_ready};
	a->again = (struct timer){.fire = listen_again};
	if (read_token(a, err) == 0)
		a->listener.fd = listen_at(config->address, bound, err);
	if (a->listener.fd >= 0 && loop_start(&a->loop, err) == 0)
		loop_run(a->loop, begin, &b);
	if (b.rc < 0) {
		admin_free(a);
		return -1;
	}
	*admin = a;
	return 0;
}

void admin_stop(struct admin *admin)
{
	if (admin)
		admin_free(admin);
}
