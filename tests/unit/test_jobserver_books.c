// The books of the elastic jobserver: never more than the limit, whatever happens in whatever order.
#include "jobserver/books.h"
#include "jobserver/clients.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

// ---- the books alone -----------------------------------------------------------------------------------------------

START_TEST(a_fresh_pool_gets_one_token_less_than_there_are_slots)
{
	for (unsigned n = 1; n < 10; n++) {
		struct books b;
		books_init(&b, n, 1, 1000);
		unsigned put = 0;
		while (books_next(&b, put, false) == BOOKS_PUT) {
			books_put(&b);
			put++;
		}
		ck_assert_uint_eq(put, n - 1);
		ck_assert_int_eq(books_next(&b, put, false), BOOKS_WAIT);
	}
}
END_TEST

START_TEST(a_loan_makes_room_for_one_token_and_its_return_for_none)
{
	struct books b;
	books_init(&b, 1, 1, 1000);
	ck_assert_int_eq(books_next(&b, 0, false), BOOKS_WAIT);
	ck_assert(books_lend(&b));
	ck_assert_int_eq(books_next(&b, 0, false), BOOKS_PUT);
	books_put(&b);
	ck_assert_int_eq(books_next(&b, 1, false), BOOKS_WAIT);
	books_hold(&b);
	ck_assert_msg(books_next(&b, 0, false) == BOOKS_WAIT, "the token is in use: the launcher stays held");
	ck_assert_msg(books_next(&b, 1, false) == BOOKS_TAKE, "an unread token serves the held launcher");
	books_back(&b, 1);
	ck_assert_int_eq(books_next(&b, 0, false), BOOKS_GO);
	books_went(&b);
	ck_assert_int_eq(books_next(&b, 0, false), BOOKS_WAIT);
	ck_assert_int_eq(books_local(&b, 0), 1);
}
END_TEST

START_TEST(held_launchers_come_before_new_tokens)
{
	struct books b;
	books_init(&b, 2, 1, 1000);
	books_put(&b);
	ck_assert(books_lend(&b));
	books_put(&b);
	books_hold(&b);
	ck_assert_int_eq(books_next(&b, 0, false), BOOKS_WAIT);
	books_back(&b, 1);
	ck_assert_int_eq(books_next(&b, 0, false), BOOKS_GO);
}
END_TEST

START_TEST(a_launcher_that_dies_on_loan_is_paid_with_the_next_tokens)
{
	struct books b;
	books_init(&b, 2, 1, 1000);
	books_put(&b);
	ck_assert(books_lend(&b));
	books_put(&b);
	books_lost_remote(&b);
	ck_assert_int_eq(books_room(&b), -1);
	ck_assert_int_eq(books_next(&b, 0, false), BOOKS_WAIT);
	ck_assert_int_eq(books_next(&b, 1, false), BOOKS_TAKE);
	books_back(&b, 1);
	ck_assert_int_eq(books_next(&b, 0, false), BOOKS_WAIT);
	books_back(&b, 1);
	ck_assert_int_eq(books_next(&b, 0, false), BOOKS_PUT);
}
END_TEST

START_TEST(past_the_cap_nothing_is_lent)
{
	struct books b;
	books_init(&b, 2, 1, 3);
	for (int i = 0; i < 3; i++)
		ck_assert(books_lend(&b));
	ck_assert(!books_lend(&b));
	books_hold(&b);
	ck_assert_msg(!books_lend(&b), "held ones count");
	books_went(&b);
	ck_assert(books_lend(&b));
}
END_TEST

START_TEST(stray_tokens_do_not_make_the_books_negative)
{
	struct books b;
	books_init(&b, 2, 1, 3);
	books_put(&b);
	books_back(&b, 17);
	ck_assert_uint_eq(b.out, 0);
	ck_assert_int_eq(books_room(&b), 1);
}
END_TEST

// Every state that small numbers can reach: each step that the books order keeps the sum within the limit.
START_TEST(every_step_keeps_the_sum_within_the_limit)
{
	for (unsigned limit = 1; limit <= 4; limit++)
		for (unsigned out = 0; out <= 8; out++)
			for (unsigned remote = 0; remote <= 6; remote++)
				for (unsigned held = 0; held <= 6; held++)
					for (unsigned unread = 0; unread <= out; unread++) {
						struct books b = {.limit = limit,
								  .implicit = 1,
								  .cap = 99,
								  .out = out,
								  .remote = remote,
								  .held = held};
						long before = books_room(&b);
						switch (books_next(&b, unread, false)) {
						case BOOKS_GO:
							ck_assert_uint_gt(held, 0);
							books_went(&b);
							ck_assert_int_ge(books_room(&b), 0);
							break;
						case BOOKS_PUT:
							ck_assert_uint_eq(held, 0);
							books_put(&b);
							ck_assert_int_ge(books_room(&b), 0);
							break;
						case BOOKS_TAKE:
							ck_assert_uint_gt(unread, 0);
							books_back(&b, 1);
							ck_assert_int_eq(books_room(&b), before + 1);
							break;
						case BOOKS_WAIT:
							ck_assert_int_le(before, 0);
							ck_assert(!unread || (!held && before == 0));
							break;
						}
					}
}
END_TEST

// ---- a whole build, with random timing -----------------------------------------------------------------------------

enum { MOST_JOBS = 64, STEPS = 20000 };

enum job_state { JOB_NONE, JOB_LOCAL, JOB_REMOTE, JOB_RETURNED, JOB_LAST };

// What really is: a tool with its tokens, and launchers. The clients under test know only what is sent to them.
struct build {
	struct clients clients;
	struct clients_io io;
	bool two_pipes;
	unsigned pipe, back; // tokens in the pipe to the tool, and on their way back to us
	unsigned hands;      // tokens the tool holds beside its implicit slot
	enum job_state jobs[MOST_JOBS];
	struct client launchers[MOST_JOBS];
	bool greeted[MOST_JOBS], went[MOST_JOBS];
	unsigned seed, most, goes, limit;
};

static unsigned dice(struct build *b, unsigned sides)
{
	return (unsigned)rand_r(&b->seed) % sides;
}

static unsigned local_now(const struct build *b)
{
	unsigned n = 0;
	for (int i = 0; i < MOST_JOBS; i++)
		n += b->jobs[i] == JOB_LOCAL || b->jobs[i] == JOB_LAST;
	return n;
}

static unsigned io_unread(void *ctx)
{
	return ((struct build *)ctx)->pipe;
}

static bool io_put(void *ctx)
{
	((struct build *)ctx)->pipe++;
	return true;
}

static bool io_take(void *ctx)
{
	struct build *b = ctx;
	if (!b->pipe)
		return false;
	b->pipe--;
	return true;
}

static void io_greet(void *ctx, struct client *c, enum lease_role role, const uint8_t *hello)
{
	(void)c, (void)role;
	struct lease_hello h;
	ck_assert(lease_get_hello(&h, hello));
	ck_assert(h.flags & LEASE_WILL_GO);
	((struct build *)ctx)->greeted[0] = true;
}

static void io_go(void *ctx, struct client *c)
{
	struct build *b = ctx;
	int i = (int)(c - b->launchers);
	ck_assert_int_eq(b->jobs[i], JOB_RETURNED);
	b->jobs[i] = JOB_LAST; // it is let go and ends soon; until then it counts
	b->goes++;
	ck_assert_uint_le(local_now(b), b->limit);
}

static unsigned running(const struct build *b)
{
	unsigned n = 0;
	for (int i = 0; i < MOST_JOBS; i++)
		n += b->jobs[i] != JOB_NONE;
	return n;
}

// The tool: starts a job with its implicit slot or a token, and gives a token back at a job's end unless it was the last.
static void tool_starts(struct build *b)
{
	int i = 0;
	while (i < MOST_JOBS && b->jobs[i] != JOB_NONE)
		i++;
	if (i == MOST_JOBS)
		return;
	if (running(b) > 0) {
		if (!b->pipe)
			return;
		b->pipe--;
		b->hands++;
	}
	b->jobs[i] = JOB_LOCAL;
	client_init(&b->launchers[i]);
	ck_assert_uint_le(local_now(b), b->limit);
}

static void job_ends(struct build *b, int i)
{
	client_end(&b->clients, &b->launchers[i], &b->io);
	b->jobs[i] = JOB_NONE;
	if (!b->hands)
		return;
	b->hands--;
	if (b->two_pipes)
		b->back++;
	else
		b->pipe++;
}

static void launcher_says(struct build *b, int i, uint8_t msg)
{
	struct client *c = &b->launchers[i];
	uint8_t hello[LEASE_HELLO_SIZE];
	lease_put_hello(hello, &(struct lease_hello){.role = LEASE_LAUNCHER});
	if (c->state == CLIENT_NEW)
		ck_assert(client_feed(&b->clients, c, hello, sizeof hello, &b->io));
	ck_assert(client_feed(&b->clients, c, &msg, 1, &b->io));
}

static void one_step(struct build *b)
{
	int i = (int)dice(b, MOST_JOBS);
	if (dice(b, 3) == 0)
		tool_starts(b);
	if (b->jobs[i] == JOB_LOCAL && dice(b, 4) == 0) {
		job_ends(b, i);
	} else if (b->jobs[i] == JOB_LOCAL) {
		b->jobs[i] = JOB_REMOTE;
		launcher_says(b, i, LEASE_MSG_REMOTE);
	} else if (b->jobs[i] == JOB_REMOTE) {
		b->jobs[i] = JOB_RETURNED;
		launcher_says(b, i, LEASE_MSG_RETURN);
	} else if (b->jobs[i] == JOB_LAST) {
		job_ends(b, i);
	}
	if (b->back && dice(b, 2)) {
		books_back(&b->clients.books, b->back);
		b->back = 0;
	}
	// The server may be late, but sooner or later it does what the books allow.
	if (dice(b, 2))
		clients_settle(&b->clients, &b->io);
	unsigned local = local_now(b);
	ck_assert_uint_le(local, b->limit);
	b->most = local > b->most ? local : b->most;
}

static void run_build(unsigned seed, unsigned limit, bool two_pipes)
{
	struct build *b = calloc(1, sizeof *b);
	b->seed = seed;
	b->limit = limit;
	b->two_pipes = two_pipes;
	b->io = (struct clients_io){b, io_unread, io_put, io_take, io_greet, io_go, NULL, NULL};
	clients_init(&b->clients, limit, 1, 1000);
	for (int i = 0; i < STEPS; i++)
		one_step(b);
	ck_assert_uint_eq(b->most, limit);
	ck_assert_uint_gt(b->goes, 100);
	// No more work: everything comes back and nobody stays held.
	for (int i = 0; i < STEPS && running(b); i++) {
		int j = i % MOST_JOBS;
		if (b->jobs[j] == JOB_LOCAL || b->jobs[j] == JOB_LAST) {
			job_ends(b, j);
		} else if (b->jobs[j] == JOB_REMOTE) {
			b->jobs[j] = JOB_RETURNED;
			launcher_says(b, j, LEASE_MSG_RETURN);
		}
		books_back(&b->clients.books, b->back);
		b->back = 0;
		clients_settle(&b->clients, &b->io);
	}
	ck_assert_uint_eq(running(b), 0);
	ck_assert_uint_eq(b->clients.books.remote + b->clients.books.held, 0);
	ck_assert_msg(b->pipe == limit - 1 && b->clients.books.out == limit - 1, "the pool is whole");
	free(b);
}

START_TEST(a_random_build_never_runs_more_local_commands_than_the_limit)
{
	for (unsigned limit = 1; limit <= 4; limit++)
		for (unsigned seed = 1; seed <= 5; seed++)
			for (int pipes = 0; pipes < 2; pipes++)
				run_build(seed * 7919 + limit, limit, pipes);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("jobserver books");
	TCase *t = tcase_create("books");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_fresh_pool_gets_one_token_less_than_there_are_slots);
	tcase_add_test(t, a_loan_makes_room_for_one_token_and_its_return_for_none);
	tcase_add_test(t, held_launchers_come_before_new_tokens);
	tcase_add_test(t, a_launcher_that_dies_on_loan_is_paid_with_the_next_tokens);
	tcase_add_test(t, past_the_cap_nothing_is_lent);
	tcase_add_test(t, stray_tokens_do_not_make_the_books_negative);
	tcase_add_test(t, every_step_keeps_the_sum_within_the_limit);
	tcase_add_test(t, a_random_build_never_runs_more_local_commands_than_the_limit);
	suite_add_tcase(s, t);
	return s;
}
