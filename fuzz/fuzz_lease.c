// The messages between launchers and the front end, from both sides: a server that is told anything, in any order, with
// connections that end at any moment. The books must stay within the limit but for the launchers that died on loan, and
// be balanced when all have gone.
#include "jobserver/clients.h"

#include "tests/unit/pipe_of_tokens.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_CLIENTS = 8, LIMIT = 3, CAP = 5 };

static struct clients s;
static struct client c[MOST_CLIENTS];
static unsigned in_hands;

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void io_greet(void *ctx, struct client *who, enum lease_role role, const uint8_t *hello)
{
	(void)ctx, (void)role;
	struct lease_hello h;
	check(who >= c && who < c + MOST_CLIENTS && lease_get_hello(&h, hello) && h.role == LEASE_SERVER);
}

static void io_go(void *ctx, struct client *who)
{
	(void)ctx;
	check(who >= c && who < c + MOST_CLIENTS);
	check(who->state == CLIENT_LOCAL || who->state == CLIENT_HAS_SLOT || who->state == CLIENT_CLAIMS);
}

static void io_stopped(void *ctx, struct client *tool, uint32_t pid)
{
	(void)ctx;
	(void)pid;
	check(tool == s.tool && tool->state == CLIENT_TOOL && s.stopped);
}

static void io_done(void *ctx, struct client *who)
{
	(void)ctx;
	check(who >= c && who < c + MOST_CLIENTS && who->state == CLIENT_NEW);
	client_init(who);
}

static const struct clients_io io = {NULL, io_unread, io_put, io_take, io_greet, io_go, io_stopped, io_done};

static void drop(unsigned i)
{
	client_end(&s, &c[i], &io);
	client_init(&c[i]);
	c[i].pid = i;
}

static unsigned count(enum client_state state)
{
	unsigned n = 0;
	for (unsigned i = 0; i < MOST_CLIENTS; i++)
		n += c[i].state == state;
	return n;
}

static void check_books(void)
{
	const struct books *b = &s.books;
	check(b->remote == count(CLIENT_REMOTE) && b->held == count(CLIENT_HELD));
	check(b->remote + b->held <= CAP);
	if (s.behind_gate)
		check(b->out == count(CLIENT_HAS_SLOT) + count(CLIENT_ENDED) + pipe_has + in_hands &&
		      b->remote + b->held <= b->out);
	else
		check(b->out == pipe_has + in_hands);
	// Whatever can be done is done.
	check(!(books_room(b) > 0 && (b->held || s.waiting.head)));
	check(!s.stopped || !s.waiting.head);
}

// One order of the input: which connection, what happens there, and for words how many bytes follow.
static size_t one_order(const uint8_t *p, size_t n)
{
	unsigned who = p[0] % MOST_CLIENTS, what = p[0] / MOST_CLIENTS % 4;
	uint8_t hello[LEASE_HELLO_SIZE];
	static const char roles[] = "lgqxstc";
	if (what == 0) {
		size_t len = p[0] / 32 < n - 1 ? p[0] / 32 : n - 1;
		if (!client_feed(&s, &c[who], p + 1, len, &io))
			drop(who);
		return 1 + len;
	}
	if (what == 1 && p[0] & 64) {
		if (client_command_ended(&s, &c[who], &io))
			client_init(&c[who]);
	} else if (what == 1) {
		drop(who);
	} else if (what == 2 && n > 1) {
		lease_put_hello(hello, &(struct lease_hello){.role = (enum lease_role)roles[p[1] % 7], .slot = p[1] / 8});
		if (!client_feed(&s, &c[who], hello, sizeof hello, &io))
			drop(who);
		return 2;
	} else if (pipe_has && p[0] & 64) {
		pipe_has--; // the tool takes a token
		in_hands++;
	} else if (in_hands) {
		in_hands--; // and gives one back
		books_back(&s.books, 1);
	}
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	pipe_has = in_hands = 0;
	for (unsigned i = 0; i < MOST_CLIENTS; i++) {
		client_init(&c[i]);
		c[i].pid = i;
	}
	clients_init(&s, LIMIT, size ? data[0] & 1 : 1, CAP);
	s.has_pool |= size && data[0] & 2;
	clients_settle(&s, &io);
	for (size_t at = 1; at < size;) {
		at += one_order(data + at, size - at);
		clients_settle(&s, &io);
		check_books();
	}
	for (unsigned i = 0; i < MOST_CLIENTS; i++)
		drop(i);
	check(s.books.remote + s.books.held == 0 && !s.held.head && !s.waiting.head && !s.claims.head && !s.gates);
	return 0;
}
