#include "jobserver/server.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "jobserver/tree.h"
#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	MOST_CONNS = 8192,
	SPARE_FDS = 64,
	ACCEPT_AT_ONCE = 256,
	TICK_MS = 200,
	IDLE_MS = 50, // a token of the parent that nobody uses is given back after this long
	LONGEST_PAUSE_MS = 400,
	STILL_MS = 3000,       // a build with held launchers in which no token moved for so long is looked at
	LOOK_AGAIN_MS = 1000,  // the second look, which must agree
	LOOK_LATER_MS = 10000, // nothing was wrong
};

struct launcher_conn {
	struct loop_source sock, proc; // proc: a gate's process; fd -1: none
	struct server *server;
	pid_t pid;
	struct client client;
	struct launcher_conn *prev, *next;
};

struct server {
	struct server_options o;
	struct token_pool pool;
	struct clients clients;
	struct clients_io io;
	struct loop *loop;
	struct loop_source listener, back, fifo, parent, signals; // fd -1: none
	struct sockaddr_un addr;
	struct launcher_conn *conns, *dead;
	unsigned n_conns, most_conns;
	struct rlimit old_files;
	sigset_t old_mask;
	struct sigaction old_pipe;
	pid_t tool;
	bool ended, resized;
	int status;
	int64_t tick_at, idle_at, pause_until, pause_ms; // 0: unset
	int64_t look_at;
	uint64_t moves_seen; // of clients.figures, when look_at was set
	struct buf to_tool;  // what it will be told
	unsigned missing;    // tokens that the first look did not find
};

// ---- descriptors ----

// What can't be watched now is asked for again when the next events are settled.
static void watch(const struct server *s, struct loop_source *src, bool on)
{
	if (src->fd >= 0)
		loop_watch(s->loop, src, on ? EPOLLIN : 0, NULL);
}

static void source_close(struct server *s, struct loop_source *src)
{
	if (src->fd < 0)
		return;
	watch(s, src, false);
	close(TAKE_FD(src->fd));
}

static void conn_free(struct server *s, struct launcher_conn *c)
{
	source_close(s, &c->sock);
	source_close(s, &c->proc);
	if (c->prev)
		c->prev->next = c->next;
	else
		s->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	s->n_conns--;
	// Events of this turn may still point to it.
	c->next = s->dead;
	s->dead = c;
	watch(s, &s->listener, true);
}

static void conn_end(struct server *s, struct launcher_conn *c)
{
	client_end(&s->clients, &c->client, &s->io);
	conn_free(s, c);
}

static struct launcher_conn *conn_of(struct client *c)
{
	return CONTAINER_OF(c, struct launcher_conn, client);
}

// ---- what the clients need from us ----

static unsigned io_unread(void *ctx)
{
	return pool_unread(&((struct server *)ctx)->pool);
}

static bool io_put(void *ctx)
{
	return pool_put(&((struct server *)ctx)->pool);
}

static bool io_take(void *ctx)
{
	return pool_take(&((struct server *)ctx)->pool);
}

static void say(const struct launcher_conn *c, const void *p, size_t n)
{
	// A few bytes on a fresh connection always fit; if the peer is gone, its end is the next event.
	if (c->sock.fd >= 0)
		(void)!send(c->sock.fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void io_go(void *ctx, struct client *client)
{
	(void)ctx;
	say(conn_of(client), &(const char){LEASE_MSG_GO}, 1);
}

// Each send() costs a socket's buffer much more than its bytes: they go together, when the events are settled.
static void io_stopped(void *ctx, struct client *tool, uint32_t pid)
{
	(void)tool;
	buf_add_u32(&((struct server *)ctx)->to_tool, pid);
}

static void send_to_tool(struct server *s)
{
	struct launcher_conn *c = s->clients.tool ? conn_of(s->clients.tool) : NULL;
	if (!c || !s->to_tool.len)
		return;
	ssize_t n = send(c->sock.fd, s->to_tool.data, s->to_tool.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0) {
		s->to_tool.len -= (size_t)n;
		memmove(s->to_tool.data, s->to_tool.data + n, s->to_tool.len);
	}
	loop_watch(s->loop, &c->sock, EPOLLIN | (s->to_tool.len ? EPOLLOUT : 0), NULL);
}

static void io_done(void *ctx, struct client *client)
{
	conn_free(ctx, conn_of(client));
}

static void on_process_end(struct loop_source *src, uint32_t events)
{
	struct launcher_conn *c = CONTAINER_OF(src, struct launcher_conn, proc);
	struct server *s = c->server;
	(void)events;
	if (client_command_ended(&s->clients, &c->client, &s->io)) {
		conn_free(s, c);
	} else {
		source_close(s, &c->sock);
		source_close(s, &c->proc);
	}
}

// A gate's slot lasts as long as its process: the connection cannot tell, since a background process that the command
// leaves behind would keep it open, and the command itself closes it by exec.
static void follow_process(struct server *s, struct launcher_conn *c)
{
	c->proc = (struct loop_source){.fd = (int)syscall(SYS_pidfd_open, c->pid, 0), .ready = on_process_end};
	watch(s, &c->proc, true);
}

static void answer_query(struct server *s, const struct launcher_conn *c)
{
	struct server_status st = server_status(s);
	char text[160];
	int n = snprintf(text, sizeof text, "limit %u local %ld remote %u held %u unread %u loans %llu\n", st.limit,
			 st.local, st.remote, st.held, st.unread, (unsigned long long)st.figures->loans);
	say(c, text, (size_t)n);
}

static void io_greet(void *ctx, struct client *client, enum lease_role role, const uint8_t hello[LEASE_HELLO_SIZE])
{
	struct server *s = ctx;
	struct launcher_conn *c = conn_of(client);
	if (role == LEASE_GATE)
		follow_process(s, c);
	say(c, hello, LEASE_HELLO_SIZE);
	if (role == LEASE_QUERY) {
		answer_query(s, c);
		shutdown(c->sock.fd, SHUT_RDWR);
	}
	if (role == LEASE_LEFT && s->clients.figures.left == 1)
		fputs("coffer: elastic mode is off below a make that does not use this build's jobserver\n"
		      "coffer: (a makefile sets -j itself, or a recipe that calls make has neither $(MAKE) nor '+')\n",
		      stderr);
}

// ---- events ----

static void on_conn(struct loop_source *src, uint32_t events)
{
	struct launcher_conn *c = CONTAINER_OF(src, struct launcher_conn, sock);
	struct server *s = c->server;
	uint8_t bytes[64];
	(void)events;
	s->clients.now_ms = clock_ms();
	ssize_t n = recv(src->fd, bytes, sizeof bytes, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && client_feed(&s->clients, &c->client, bytes, (size_t)n, &s->io))
		return;
	if (c->client.state == CLIENT_HAS_SLOT && c->proc.fd >= 0)
		source_close(s, &c->sock);
	else
		conn_end(s, c);
}

static void accept_one(struct server *s, int fd)
{
	struct ucred peer;
	socklen_t n = sizeof peer;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0 || peer.uid != geteuid()) {
		close(fd);
		return;
	}
	struct launcher_conn *c = mem_alloc(sizeof *c);
	client_init(&c->client);
	c->pid = peer.pid;
	c->client.pid = (uint32_t)peer.pid;
	c->server = s;
	c->sock = (struct loop_source){.fd = fd, .ready = on_conn};
	c->proc = (struct loop_source){.fd = -1};
	c->next = s->conns;
	if (c->next)
		c->next->prev = c;
	s->conns = c;
	s->n_conns++;
	watch(s, &c->sock, true);
}

static void on_listener(struct loop_source *src, uint32_t events)
{
	struct server *s = CONTAINER_OF(src, struct server, listener);
	(void)events;
	for (int i = 0; i < ACCEPT_AT_ONCE && s->n_conns < s->most_conns; i++) {
		int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0)
			break;
		accept_one(s, fd);
	}
	// Past the limit the others wait in the queue of the socket, at most for the launcher's own limit.
	if (s->n_conns >= s->most_conns)
		watch(s, src, false);
}

static void on_back(struct loop_source *src, uint32_t events)
{
	struct server *s = CONTAINER_OF(src, struct server, back);
	(void)events;
	unsigned n = pool_back(&s->pool);
	books_back(&s->clients.books, n);
	s->clients.figures.moves += n;
}

static void on_fifo(struct loop_source *src, uint32_t events)
{
	(void)src, (void)events; // settling takes the token
}

static void on_parent(struct loop_source *src, uint32_t events)
{
	struct server *s = CONTAINER_OF(src, struct server, parent);
	(void)events;
	if (parent_take(s->o.parent))
		s->clients.books.limit++;
}

static void on_signals(struct loop_source *src, uint32_t events)
{
	struct server *s = CONTAINER_OF(src, struct server, signals);
	struct signalfd_siginfo si;
	(void)events;
	while (read(src->fd, &si, sizeof si) == sizeof si) {
		if (si.ssi_signo == SIGCHLD && waitpid(s->tool, &s->status, WNOHANG) == s->tool)
			s->ended = true;
		else if (si.ssi_signo == SIGWINCH)
			s->resized = true;
		else if (si.ssi_signo != SIGCHLD &&
			 (si.ssi_code != SI_KERNEL || si.ssi_signo == SIGTERM || si.ssi_signo == SIGHUP))
			kill(s->tool, (int)si.ssi_signo);
	}
}

// ---- tokens of the jobserver around us ----

// Slots that nobody uses or waits for.
static long idle_slots(const struct server *s)
{
	const struct clients *c = &s->clients;
	long waiting = 0;
	for (const struct client *w = c->waiting.head; w; w = w->next)
		waiting++;
	return books_room(&c->books) + (long)pool_unread(&s->pool) - (long)c->books.held - waiting;
}

static void give_back_one(struct server *s)
{
	struct books *b = &s->clients.books;
	if (books_room(b) <= 0) {
		if (!pool_take(&s->pool))
			return;
		books_back(b, 1);
	}
	b->limit--;
	parent_give(s->o.parent, 1);
}

// Takes one token when all slots are in use, keeps at most one idle, and that one for a short time only. After that it
// asks again now and then, since nothing shows that a tool waits for a token.
static void balance_parent(struct server *s, int64_t now, bool active)
{
	struct parent *p = s->o.parent;
	if (!p)
		return;
	if (active)
		s->pause_ms = s->pause_until = 0;
	for (unsigned i = p->taken; i && p->taken && idle_slots(s) > 1; i--)
		give_back_one(s);
	long idle = idle_slots(s);
	if (idle <= 0 || !p->taken) {
		s->idle_at = 0;
	} else if (!s->idle_at) {
		s->idle_at = now + IDLE_MS;
	} else if (now >= s->idle_at) {
		give_back_one(s);
		s->idle_at = 0;
		s->pause_ms = !s->pause_ms                         ? IDLE_MS
			      : s->pause_ms * 2 > LONGEST_PAUSE_MS ? LONGEST_PAUSE_MS
								   : s->pause_ms * 2;
		s->pause_until = now + s->pause_ms;
	}
	if (now >= s->pause_until)
		s->pause_until = 0;
	watch(s, &s->parent, idle <= 0 && !s->pause_until && s->clients.books.limit < s->o.limit);
}

// ---- tokens that a killed make took with it ----

// Tokens that the books have out and no process has. A launcher whose make is gone and that is remote still has its slot;
// one that is held is about to go.
static unsigned missing_tokens(struct server *s)
{
	struct tree t;
	unsigned unread = pool_unread(&s->pool);
	long missing = (long)s->clients.books.out + s->clients.books.implicit - (long)unread;
	if (tree_read(&t, s->tool)) {
		missing -= tree_slots(&t);
		for (const struct launcher_conn *c = s->conns; c; c = c->next)
			missing -= c->client.state == CLIENT_REMOTE && !tree_is_below(&t, c->pid);
	} else {
		missing = 0;
	}
	tree_release(&t);
	return missing > 0 ? (unsigned)missing : 0;
}

static void replace_lost(struct server *s, unsigned n)
{
	books_back(&s->clients.books, n);
	s->clients.figures.lost += n;
	clients_settle(&s->clients, &s->io);
}

// Gates wait, and no command has a slot: all tokens that are out are lost.
static void look_behind_gate(struct server *s, int64_t now)
{
	const struct clients *c = &s->clients;
	bool is_stuck = c->waiting.head && !c->gates && c->books.out && !pool_unread(&s->pool);
	if (!is_stuck) {
		s->look_at = 0;
	} else if (!s->look_at) {
		s->look_at = now + STILL_MS;
	} else if (now >= s->look_at) {
		s->look_at = 0;
		replace_lost(s, c->books.out);
	}
}

// A build in which launchers are held and no token moves has long local jobs, or has lost tokens.
static void look_if_still(struct server *s, int64_t now)
{
	struct clients *c = &s->clients;
	if (c->behind_gate) {
		look_behind_gate(s, now);
		return;
	}
	if (!c->books.held) {
		s->look_at = 0;
		return;
	}
	if (!s->look_at || s->moves_seen != c->figures.moves) {
		s->look_at = now + STILL_MS;
		s->moves_seen = c->figures.moves;
		s->missing = 0;
		return;
	}
	if (now < s->look_at)
		return;
	unsigned missing = missing_tokens(s), agreed = missing < s->missing ? missing : s->missing;
	s->missing = missing;
	s->look_at = now + (missing ? LOOK_AGAIN_MS : LOOK_LATER_MS);
	if (agreed)
		replace_lost(s, agreed);
}

// ---- the loop ----

static void settle(struct server *s, bool active)
{
	int64_t now = clock_ms();
	s->clients.now_ms = now;
	clients_settle(&s->clients, &s->io);
	send_to_tool(s);
	look_if_still(s, now);
	balance_parent(s, now, active);
	// A fifo is readable whenever a token is idle: look only while somebody needs it.
	watch(s, &s->fifo, clients_want(&s->clients) || books_room(&s->clients.books) < 0);
	while (s->dead) {
		struct launcher_conn *c = s->dead;
		s->dead = c->next;
		free(c);
	}
	if (s->o.tick && (now >= s->tick_at || s->resized)) {
		struct server_status st = server_status(s);
		s->o.tick(s->o.ctx, &st, s->resized);
		s->resized = false;
		s->tick_at = now + TICK_MS;
	}
}

static int wait_ms(const struct server *s)
{
	int64_t now = clock_ms(), first = INT64_MAX;
	const int64_t ends[] = {s->o.tick ? s->tick_at : 0, s->idle_at, s->pause_until, s->look_at};
	for (size_t i = 0; i < COUNT_OF(ends); i++)
		if (ends[i] && ends[i] < first)
			first = ends[i];
	return first == INT64_MAX ? -1 : first <= now ? 0 : first - now > INT_MAX ? INT_MAX : (int)(first - now);
}

int server_run(struct server *s, pid_t tool)
{
	s->tool = tool;
	s->ended = waitpid(tool, &s->status, WNOHANG) == tool;
	settle(s, true);
	while (!s->ended) {
		int n = loop_turn(s->loop, wait_ms(s));
		settle(s, n > 0);
	}
	return s->status;
}

struct server_status server_status(const struct server *s)
{
	const struct books *b = &s->clients.books;
	unsigned unread = pool_unread(&s->pool);
	return (struct server_status){.limit = b->limit,
				      .remote = b->remote,
				      .held = b->held,
				      .unread = unread,
				      .local = books_local(b, unread),
				      .figures = &s->clients.figures};
}

// ---- start and end ----

static void raise_limits(struct server *s)
{
	s->most_conns = 128;
	if (getrlimit(RLIMIT_NOFILE, &s->old_files) < 0)
		return;
	struct rlimit more = s->old_files;
	const rlim_t wish = 2 * MOST_CONNS + SPARE_FDS; // a gate needs two each
	if (more.rlim_cur < wish)
		more.rlim_cur = more.rlim_max < wish ? more.rlim_max : wish;
	if (setrlimit(RLIMIT_NOFILE, &more) < 0)
		more = s->old_files;
	if (more.rlim_cur > 2 * SPARE_FDS)
		s->most_conns = more.rlim_cur >= wish ? MOST_CONNS : (unsigned)(more.rlim_cur - SPARE_FDS) / 2;
}

static int catch_signals(struct server *s, struct err *err)
{
	static const int caught[] = {SIGCHLD, SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGWINCH};
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < COUNT_OF(caught); i++)
		sigaddset(&set, caught[i]);
	sigprocmask(SIG_BLOCK, &set, &s->old_mask);
	sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, &s->old_pipe);
	s->signals = (struct loop_source){.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), .ready = on_signals};
	return s->signals.fd < 0 ? err_errno(err, "cannot wait for signals") : 0;
}

static int listen_there(struct server *s, struct err *err)
{
	s->addr.sun_family = AF_UNIX;
	int n = snprintf(s->addr.sun_path, sizeof s->addr.sun_path, "%s/socket", s->o.dir);
	if (n >= (int)sizeof s->addr.sun_path) {
		s->addr.sun_path[0] = '\0';
		return err_set(err, ERR_LIMIT, "the folder's name '%s' is too long for a socket", s->o.dir);
	}
	s->listener.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	s->listener.ready = on_listener;
	if (s->listener.fd < 0 || bind(s->listener.fd, (struct sockaddr *)&s->addr, sizeof s->addr) < 0 ||
	    listen(s->listener.fd, SOMAXCONN) < 0)
		return err_errno(err, "cannot listen at '%s'", s->addr.sun_path);
	return 0;
}

static int start(struct server *s, struct err *err)
{
	raise_limits(s);
	if (pool_open(&s->pool, s->o.kind, s->o.dir, err) < 0 || catch_signals(s, err) < 0 || listen_there(s, err) < 0 ||
	    loop_new(&s->loop, err) < 0)
		return -1;
	s->back = (struct loop_source){.fd = s->pool.back_fd, .ready = on_back};
	s->fifo = (struct loop_source){.fd = s->pool.kind == POOL_FIFO ? s->pool.unread_fd : -1, .ready = on_fifo};
	s->parent = (struct loop_source){.fd = s->o.parent ? s->o.parent->r : -1, .ready = on_parent};
	if (loop_watch(s->loop, &s->listener, EPOLLIN, err) < 0 || loop_watch(s->loop, &s->signals, EPOLLIN, err) < 0)
		return -1;
	watch(s, &s->back, true);
	return 0;
}

struct server *server_open(const struct server_options *o, struct err *err)
{
	struct server *s = mem_alloc(sizeof *s);
	s->o = *o;
	s->listener.fd = s->signals.fd = s->back.fd = s->fifo.fd = s->parent.fd = -1;
	s->pool = (struct token_pool)POOL_INIT;
	sigprocmask(SIG_BLOCK, NULL, &s->old_mask);
	sigaction(SIGPIPE, NULL, &s->old_pipe);
	// In a foreign jobserver the one slot that we were started with is the beginning.
	clients_init(&s->clients, o->parent ? 1 : o->limit, o->is_gate ? 0 : 1, o->cap);
	s->clients.has_pool = o->kind != POOL_NONE;
	s->io = (struct clients_io){s, io_unread, io_put, io_take, io_greet, io_go, io_stopped, io_done};
	s->tick_at = clock_ms() + TICK_MS;
	if (start(s, err) == 0)
		return s;
	server_close(s);
	return NULL;
}

const char *server_auth(const struct server *s)
{
	return s->pool.auth;
}

unsigned server_most_commands(const struct server *s)
{
	return s->most_conns / 2;
}

const char *server_socket(const struct server *s)
{
	return s->addr.sun_path;
}

void server_before_exec(const struct server *s)
{
	setrlimit(RLIMIT_NOFILE, &s->old_files);
	sigaction(SIGPIPE, &s->old_pipe, NULL);
	pool_inherit(&s->pool);
	sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
}

void server_close(struct server *s)
{
	while (s->conns)
		conn_free(s, s->conns);
	while (s->dead) {
		struct launcher_conn *c = s->dead;
		s->dead = c->next;
		free(c);
	}
	source_close(s, &s->listener);
	source_close(s, &s->signals);
	if (s->loop)
		loop_free(s->loop);
	if (s->addr.sun_path[0])
		unlink(s->addr.sun_path);
	if (s->o.parent)
		parent_close(s->o.parent);
	pool_close(&s->pool);
	buf_release(&s->to_tool);
	sigaction(SIGPIPE, &s->old_pipe, NULL);
	sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
	free(s);
}
