#include "jobserver/clients.h"

#include <string.h>

static void queue_init(struct client_queue *q)
{
	q->head = NULL;
	q->tail = &q->head;
}

static void queue_push(struct client_queue *q, struct client *c)
{
	c->next = NULL;
	*q->tail = c;
	q->tail = &c->next;
}

static void queue_remove(struct client_queue *q, struct client *c)
{
	struct client **at = &q->head;
	while (*at && *at != c)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = c->next;
	if (!*at)
		q->tail = at;
}

static struct client *queue_pop(struct client_queue *q)
{
	struct client *c = q->head;
	queue_remove(q, c);
	return c;
}

void clients_init(struct clients *s, unsigned limit, unsigned implicit, unsigned cap)
{
	*s = (struct clients){.behind_gate = implicit == 0, .has_pool = implicit > 0};
	books_init(&s->books, limit, implicit, cap);
	queue_init(&s->held);
	queue_init(&s->waiting);
	queue_init(&s->claims);
}

void client_init(struct client *c)
{
	*c = (struct client){.state = CLIENT_NEW};
}

static struct client *gate_with_slot(const struct clients *s, uint32_t slot)
{
	struct client *g = slot ? s->gates : NULL;
	while (g && g->slot != slot)
		g = g->next_gate;
	return g;
}

static void stop_waiting(struct clients *s, const struct clients_io *io)
{
	for (struct client *c; s->stopped && (c = queue_pop(&s->waiting));) {
		c->state = CLIENT_STOPPED;
		io->stopped(io->ctx, s->tool, c->pid);
	}
}

// Where it is noted who uses the slot that such a front end was started with. NULL: nobody knows that slot.
static struct client **claimer_of(struct clients *s, uint32_t slot)
{
	struct client *g = gate_with_slot(s, slot);
	return g ? &g->claimer : s->behind_gate ? NULL : &s->claimer;
}

// Whether the slot is its own now. Otherwise it is told when it becomes so.
static bool claim(struct clients *s, struct client *c)
{
	struct client **claimer = claimer_of(s, c->slot);
	if (!claimer)
		return true;
	if (*claimer)
		queue_push(&s->claims, c);
	else
		*claimer = c;
	return *claimer == c;
}

static void unclaim(struct clients *s, struct client *c, const struct clients_io *io)
{
	struct client **claimer = claimer_of(s, c->slot), *next = s->claims.head;
	queue_remove(&s->claims, c);
	if (!claimer || *claimer != c)
		return;
	while (next && claimer_of(s, next->slot) != claimer)
		next = next->next;
	*claimer = next;
	if (!next)
		return;
	queue_remove(&s->claims, next);
	io->go(io->ctx, next);
}

static bool greeted(struct clients *s, struct client *c, const struct clients_io *io)
{
	struct lease_hello theirs, ours = {.role = LEASE_SERVER, .flags = LEASE_WILL_GO, .limit_s = LEASE_LIMIT_S};
	if (!lease_get_hello(&theirs, c->hello))
		return false;
	switch (theirs.role) {
	case LEASE_LAUNCHER:
		c->state = CLIENT_LOCAL;
		c->slot = theirs.slot;
		break;
	case LEASE_GATE:
		if (!s->behind_gate)
			return false;
		c->state = CLIENT_WAITS;
		ours.slot = c->slot = ++s->last_slot;
		queue_push(&s->waiting, c);
		break;
	case LEASE_LEFT:
		s->figures.left++;
		c->state = CLIENT_OTHER;
		break;
	case LEASE_TOOL:
		if (!s->behind_gate || s->tool)
			return false;
		c->state = CLIENT_TOOL;
		s->tool = c;
		break;
	case LEASE_CLAIM:
		c->state = CLIENT_CLAIMS;
		c->slot = theirs.slot;
		ours.slot = claim(s, c);
		break;
	case LEASE_QUERY:
		c->state = CLIENT_OTHER;
		break;
	default:
		return false;
	}
	uint8_t hello[LEASE_HELLO_SIZE];
	lease_put_hello(hello, &ours);
	io->greet(io->ctx, c, theirs.role, hello);
	stop_waiting(s, io);
	return true;
}

static void goes_remote(struct clients *s, struct client *c)
{
	if (s->behind_gate) {
		struct client *g = gate_with_slot(s, c->slot);
		if (!g || g->lender) {
			c->state = CLIENT_UNLENT;
			return;
		}
		c->gate = g;
	}
	if (!books_lend(&s->books)) {
		s->figures.refused++;
		c->gate = NULL;
		c->state = CLIENT_UNLENT;
		return;
	}
	if (c->gate)
		c->gate->lender = c;
	c->state = CLIENT_REMOTE;
	s->figures.loans++;
	if (s->books.remote > s->figures.most_remote)
		s->figures.most_remote = s->books.remote;
}

static void is_back(struct clients *s, struct client *c, const struct clients_io *io)
{
	if (c->state == CLIENT_UNLENT) {
		c->state = CLIENT_LOCAL;
		io->go(io->ctx, c);
		return;
	}
	books_hold(&s->books);
	c->state = CLIENT_HELD;
	c->since_ms = s->now_ms;
	s->figures.helds++;
	queue_push(&s->held, c);
}

static void forget_loan(struct client *c)
{
	if (c->gate)
		c->gate->lender = NULL;
	c->gate = NULL;
}

// A launcher that lent its command's slot and outlived the command: nothing is owed for it.
static void end_loan(struct clients *s, struct client *gate, const struct clients_io *io)
{
	struct client *lender = gate->lender;
	if (!lender)
		return;
	forget_loan(lender);
	if (lender->state == CLIENT_HELD) {
		queue_remove(&s->held, lender);
		books_lost_held(&s->books);
		lender->state = CLIENT_LOCAL;
		io->go(io->ctx, lender);
	} else {
		books_lost_remote(&s->books);
		lender->state = CLIENT_UNLENT;
	}
}

static void end_slot(struct clients *s, struct client *c, const struct clients_io *io)
{
	struct client **at = &s->gates;
	while (*at != c)
		at = &(*at)->next_gate;
	*at = c->next_gate;
	books_back(&s->books, 1);
	end_loan(s, c, io);
	c->state = CLIENT_NEW;
}

// Slots that it would have told us of are free now.
static void end_tool(struct clients *s, const struct clients_io *io)
{
	s->tool = NULL;
	s->stopped = false;
	for (struct client *g = s->gates, *next; g; g = next) {
		next = g->next_gate;
		if (g->state != CLIENT_ENDED)
			continue;
		end_slot(s, g, io);
		io->done(io->ctx, g);
	}
}

void client_end(struct clients *s, struct client *c, const struct clients_io *io)
{
	if (c->state == CLIENT_REMOTE)
		books_lost_remote(&s->books);
	if (c->state == CLIENT_HELD) {
		queue_remove(&s->held, c);
		books_lost_held(&s->books);
	}
	if (c->state == CLIENT_WAITS)
		queue_remove(&s->waiting, c);
	if (c->state == CLIENT_TOOL)
		end_tool(s, io);
	if (c->state == CLIENT_CLAIMS)
		unclaim(s, c, io);
	if (c->state == CLIENT_HAS_SLOT || c->state == CLIENT_ENDED)
		end_slot(s, c, io);
	else
		forget_loan(c);
	c->state = CLIENT_NEW;
}

bool client_command_ended(struct clients *s, struct client *c, const struct clients_io *io)
{
	if (c->state != CLIENT_HAS_SLOT || !s->tool) {
		client_end(s, c, io);
		return true;
	}
	end_loan(s, c, io);
	c->state = CLIENT_ENDED;
	return false;
}

static bool launcher_says(struct clients *s, struct client *c, uint8_t msg, const struct clients_io *io)
{
	if (msg == LEASE_MSG_REMOTE && c->state == CLIENT_LOCAL)
		goes_remote(s, c);
	else if (msg == LEASE_MSG_RETURN && (c->state == CLIENT_REMOTE || c->state == CLIENT_UNLENT))
		is_back(s, c, io);
	else
		return false;
	return true;
}

// The tool has seen the end of that process. Numbers of processes come again: the slot is the one granted first.
static void tool_goes_on(struct clients *s, uint32_t pid, const struct clients_io *io)
{
	struct client *gate = NULL;
	for (struct client *g = s->gates; g; g = g->next_gate)
		if (g->pid == pid)
			gate = g;
	if (!gate)
		return;
	end_slot(s, gate, io);
	io->done(io->ctx, gate);
}

static bool tool_says(struct clients *s, struct client *c, uint8_t byte, const struct clients_io *io)
{
	c->msg[c->n_msg++] = byte;
	if (c->n_msg < LEASE_TOOL_SIZE)
		return true;
	c->n_msg = 0;
	if (c->msg[0] == LEASE_MSG_STOP)
		s->stopped = true;
	else if (c->msg[0] == LEASE_MSG_DONE)
		tool_goes_on(s, lease_get_number(c->msg + 1), io);
	else
		return false;
	stop_waiting(s, io);
	return true;
}

bool client_feed(struct clients *s, struct client *c, const uint8_t *p, size_t n, const struct clients_io *io)
{
	for (; n && c->n_hello < LEASE_HELLO_SIZE; n--) {
		c->hello[c->n_hello++] = *p++;
		if (c->n_hello == LEASE_HELLO_SIZE && !greeted(s, c, io))
			return false;
	}
	for (; n; n--) {
		uint8_t byte = *p++;
		if (!(c->state == CLIENT_TOOL ? tool_says(s, c, byte, io) : launcher_says(s, c, byte, io)))
			return false;
	}
	return true;
}

static void let_go(struct clients *s, const struct clients_io *io)
{
	struct client *c = queue_pop(&s->held);
	uint64_t ms = s->now_ms > c->since_ms ? (uint64_t)(s->now_ms - c->since_ms) : 0;
	s->figures.held_ms += ms;
	if (ms > s->figures.longest_held_ms)
		s->figures.longest_held_ms = ms;
	forget_loan(c);
	c->state = CLIENT_LOCAL;
	books_went(&s->books);
	io->go(io->ctx, c);
}

static void grant(struct clients *s, const struct clients_io *io)
{
	struct client *c = queue_pop(&s->waiting);
	c->state = CLIENT_HAS_SLOT;
	c->next_gate = s->gates;
	s->gates = c;
	books_put(&s->books);
	io->go(io->ctx, c);
}

static bool put(struct clients *s, const struct clients_io *io)
{
	if (s->waiting.head) {
		grant(s, io);
		return true;
	}
	if (!s->has_pool || !io->put(io->ctx))
		return false;
	books_put(&s->books);
	return true;
}

// One step; false when there is nothing to do.
static bool step(struct clients *s, const struct clients_io *io, unsigned unread)
{
	switch (books_next(&s->books, unread, s->waiting.head)) {
	case BOOKS_GO:
		let_go(s, io);
		return true;
	case BOOKS_PUT:
		return put(s, io);
	case BOOKS_TAKE:
		if (!io->take(io->ctx))
			return false;
		books_back(&s->books, 1);
		return true;
	case BOOKS_WAIT:
		break;
	}
	return false;
}

void clients_settle(struct clients *s, const struct clients_io *io)
{
	unsigned unread;
	do {
		unread = s->has_pool ? io->unread(io->ctx) : 0;
		long local = books_local(&s->books, unread);
		if (local > (long)s->figures.most_local)
			s->figures.most_local = (unsigned)local;
	} while (step(s, io, unread) && ++s->figures.moves);
}

bool clients_want(const struct clients *s)
{
	return s->held.head || s->waiting.head;
}
