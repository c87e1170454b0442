// What launchers and gates say, and what they are told: order, limits, and ends at any moment.
#include "jobserver/clients.h"
#include "tests/unit/pipe_of_tokens.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 8 };

static struct clients s;
static struct client c[MOST];
static int gone[MOST]; // how often each was told to go
static struct lease_hello told[MOST];
static uint32_t stopped_pid; // the last one that the tool was told of
static int done;

static void io_greet(void *ctx, struct client *who, enum lease_role role, const uint8_t *hello)
{
	(void)ctx, (void)role;
	ck_assert(lease_get_hello(&told[who - c], hello));
}

static void io_go(void *ctx, struct client *who)
{
	(void)ctx;
	gone[who - c]++;
}

static void io_stopped(void *ctx, struct client *tool, uint32_t pid)
{
	(void)ctx;
	ck_assert_ptr_eq(tool, s.tool);
	stopped_pid = pid;
}

static void io_done(void *ctx, struct client *who)
{
	(void)ctx;
	client_init(who);
	done++;
}

static const struct clients_io io = {NULL, io_unread, io_put, io_take, io_greet, io_go, io_stopped, io_done};

static void begin(unsigned limit, unsigned implicit, unsigned cap)
{
	memset(gone, 0, sizeof gone);
	memset(told, 0, sizeof told);
	pipe_has = 0;
	stopped_pid = 0;
	done = 0;
	for (int i = 0; i < MOST; i++) {
		client_init(&c[i]);
		c[i].pid = 100 + (uint32_t)i;
	}
	clients_init(&s, limit, implicit, cap);
	clients_settle(&s, &io);
}

static bool hello(int i, enum lease_role role, uint32_t slot)
{
	uint8_t bytes[LEASE_HELLO_SIZE];
	lease_put_hello(bytes, &(struct lease_hello){.role = role, .slot = slot});
	return client_feed(&s, &c[i], bytes, sizeof bytes, &io);
}

static bool says(int i, const char *text)
{
	bool ok = client_feed(&s, &c[i], (const uint8_t *)text, strlen(text), &io);
	clients_settle(&s, &io);
	return ok;
}

static void ends(int i)
{
	client_end(&s, &c[i], &io);
	clients_settle(&s, &io);
}

START_TEST(the_greeting_promises_go_and_a_limit)
{
	begin(2, 1, 10);
	ck_assert(hello(0, LEASE_LAUNCHER, 0));
	ck_assert_int_eq(told[0].role, LEASE_SERVER);
	ck_assert(told[0].flags & LEASE_WILL_GO);
	ck_assert_int_eq(told[0].limit_s, 20);
}
END_TEST

START_TEST(a_greeting_may_come_in_pieces_and_with_the_first_word)
{
	begin(2, 1, 10);
	uint8_t bytes[LEASE_HELLO_SIZE + 1];
	lease_put_hello(bytes, &(struct lease_hello){.role = LEASE_LAUNCHER});
	bytes[LEASE_HELLO_SIZE] = LEASE_MSG_REMOTE;
	for (size_t i = 0; i < 5; i++)
		ck_assert(client_feed(&s, &c[0], bytes + i, 1, &io));
	ck_assert(client_feed(&s, &c[0], bytes + 5, sizeof bytes - 5, &io));
	ck_assert_int_eq(c[0].state, CLIENT_REMOTE);
}
END_TEST

START_TEST(what_is_no_greeting_ends_the_connection)
{
	begin(2, 1, 10);
	ck_assert(!client_feed(&s, &c[0], (const uint8_t *)"GET / HTTP/1", 12, &io));
	ck_assert(!hello(1, LEASE_SERVER, 0));
	ck_assert_msg(!hello(2, LEASE_GATE, 0), "there is no gate in a pool of tokens");
	uint8_t bytes[LEASE_HELLO_SIZE];
	lease_put_hello(bytes, &(struct lease_hello){.role = LEASE_LAUNCHER});
	bytes[4]++;
	ck_assert_msg(!client_feed(&s, &c[3], bytes, sizeof bytes, &io), "another version");
}
END_TEST

START_TEST(words_out_of_order_end_the_connection)
{
	begin(2, 1, 10);
	ck_assert(hello(0, LEASE_LAUNCHER, 0));
	ck_assert(!says(0, "L"));
	ck_assert(hello(1, LEASE_LAUNCHER, 0));
	ck_assert(says(1, "R"));
	ck_assert(!says(1, "R"));
	ends(1);
	ck_assert_uint_eq(s.books.remote, 0);
	ck_assert(hello(2, LEASE_LAUNCHER, 0));
	ck_assert(!says(2, "x"));
	ck_assert(hello(3, LEASE_QUERY, 0));
	ck_assert(!says(3, "R"));
}
END_TEST

START_TEST(a_returned_launcher_waits_until_a_slot_is_free)
{
	begin(1, 1, 10);
	ck_assert(hello(0, LEASE_LAUNCHER, 0));
	ck_assert(says(0, "R"));
	ck_assert_uint_eq(pipe_has, 1);
	pipe_has = 0; // the tool takes it and starts a job
	ck_assert(says(0, "L"));
	ck_assert_int_eq(gone[0], 0);
	ck_assert_uint_eq(s.books.held, 1);
	books_back(&s.books, 1); // that job ended
	clients_settle(&s, &io);
	ck_assert_int_eq(gone[0], 1);
	ck_assert_uint_eq(pipe_has, 0);
	ck_assert(says(0, "R")); // and again
	ck_assert(says(0, "L"));
	ck_assert_int_eq(gone[0], 2);
}
END_TEST

START_TEST(an_unread_token_is_taken_back_for_a_held_launcher)
{
	begin(1, 1, 10);
	ck_assert(hello(0, LEASE_LAUNCHER, 0));
	ck_assert(says(0, "R"));
	ck_assert_uint_eq(pipe_has, 1);
	ck_assert(says(0, "L"));
	ck_assert_int_eq(gone[0], 1);
	ck_assert_uint_eq(pipe_has, 0);
}
END_TEST

START_TEST(another_loan_lets_a_held_launcher_go)
{
	begin(1, 1, 10);
	ck_assert(hello(0, LEASE_LAUNCHER, 0) && hello(1, LEASE_LAUNCHER, 0));
	ck_assert(says(0, "R"));
	pipe_has = 0;
	ck_assert(says(0, "L"));
	ck_assert(says(1, "R"));
	ck_assert_int_eq(gone[0], 1);
	ck_assert_uint_eq(pipe_has, 0);
}
END_TEST

START_TEST(the_longest_held_goes_first)
{
	begin(1, 1, 10);
	for (int i = 0; i < 3; i++) {
		ck_assert(hello(i, LEASE_LAUNCHER, 0) && says(i, "R"));
		pipe_has = 0;
	}
	ck_assert(says(2, "L") && says(0, "L") && says(1, "L"));
	ck_assert_int_eq(gone[0] + gone[1] + gone[2], 0);
	books_back(&s.books, 1);
	clients_settle(&s, &io);
	ck_assert_int_eq(gone[2], 1);
	ends(0);
	books_back(&s.books, 2);
	clients_settle(&s, &io);
	ck_assert_int_eq(gone[0], 0);
	ck_assert_int_eq(gone[1], 1);
}
END_TEST

START_TEST(past_the_cap_a_launcher_keeps_its_slot_and_is_answered_at_once)
{
	begin(1, 1, 1);
	ck_assert(hello(0, LEASE_LAUNCHER, 0) && hello(1, LEASE_LAUNCHER, 0));
	ck_assert(says(0, "R") && says(1, "R"));
	ck_assert_uint_eq(pipe_has, 1);
	ck_assert_uint_eq(s.figures.refused, 1);
	ck_assert(says(1, "L"));
	ck_assert_int_eq(gone[1], 1);
	ends(1);
	ck_assert_uint_eq(s.books.remote, 1);
}
END_TEST

START_TEST(a_gate_grants_as_many_slots_as_there_are)
{
	begin(2, 0, 10);
	for (int i = 0; i < 4; i++)
		ck_assert(hello(i, LEASE_GATE, 0));
	clients_settle(&s, &io);
	ck_assert(gone[0] && gone[1] && !gone[2] && !gone[3]);
	ck_assert_uint_ne(told[0].slot, told[1].slot);
	ends(3); // killed while it waits
	ends(0);
	ck_assert_int_eq(gone[2], 1);
	ck_assert_int_eq(gone[3], 0);
	ends(1);
	ends(2);
	ck_assert_uint_eq(s.books.out, 0);
}
END_TEST

START_TEST(behind_a_gate_a_launcher_lends_the_slot_of_its_command)
{
	begin(1, 0, 10);
	ck_assert(hello(0, LEASE_GATE, 0) && hello(1, LEASE_GATE, 0));
	clients_settle(&s, &io);
	ck_assert(gone[0] && !gone[1]);
	ck_assert(hello(2, LEASE_LAUNCHER, told[0].slot) && says(2, "R"));
	ck_assert_int_eq(gone[1], 1);
	ck_assert(says(2, "L"));
	ck_assert_int_eq(gone[2], 0);
	ends(1);
	ck_assert_int_eq(gone[2], 1);
}
END_TEST

START_TEST(a_slot_is_lent_once_and_an_unknown_one_never)
{
	begin(1, 0, 10);
	ck_assert(hello(0, LEASE_GATE, 0));
	clients_settle(&s, &io);
	ck_assert(hello(1, LEASE_LAUNCHER, told[0].slot) && hello(2, LEASE_LAUNCHER, told[0].slot));
	ck_assert(hello(3, LEASE_LAUNCHER, 4711) && hello(4, LEASE_LAUNCHER, 0));
	for (int i = 1; i < 5; i++)
		ck_assert(says(i, "R"));
	ck_assert_uint_eq(s.books.remote, 1);
	for (int i = 2; i < 5; i++) {
		ck_assert(says(i, "L"));
		ck_assert_int_eq(gone[i], 1);
	}
}
END_TEST

START_TEST(a_command_that_ends_before_its_launcher_takes_the_loan_with_it)
{
	begin(1, 0, 10);
	ck_assert(hello(0, LEASE_GATE, 0));
	clients_settle(&s, &io);
	ck_assert(hello(1, LEASE_LAUNCHER, told[0].slot) && says(1, "R"));
	ends(0);
	ck_assert_uint_eq(s.books.remote + s.books.out, 0);
	ck_assert(says(1, "L"));
	ck_assert_int_eq(gone[1], 1);
	// The same for one that is held.
	ck_assert(hello(2, LEASE_GATE, 0) && hello(3, LEASE_GATE, 0));
	clients_settle(&s, &io);
	ck_assert(hello(4, LEASE_LAUNCHER, told[2].slot) && says(4, "R") && says(4, "L"));
	ck_assert_int_eq(gone[4], 0);
	ends(2);
	ck_assert_int_eq(gone[4], 1);
	ck_assert_uint_eq(s.books.held, 0);
	ends(4);
	ends(3);
	ck_assert_uint_eq(s.books.remote + s.books.held + s.books.out, 0);
}
END_TEST

static bool tool_says(int i, char what, uint32_t pid)
{
	uint8_t msg[LEASE_TOOL_SIZE] = {(uint8_t)what};
	lease_put_number(msg + 1, pid);
	bool ok = client_feed(&s, &c[i], msg, sizeof msg, &io);
	clients_settle(&s, &io);
	return ok;
}

static bool command_ends(int i)
{
	bool all = client_command_ended(&s, &c[i], &io);
	clients_settle(&s, &io);
	return all;
}

START_TEST(a_slot_is_free_when_the_tool_goes_on)
{
	begin(1, 0, 10);
	ck_assert(hello(7, LEASE_TOOL, 0));
	ck_assert(hello(0, LEASE_GATE, 0) && hello(1, LEASE_GATE, 0) && hello(2, LEASE_GATE, 0));
	clients_settle(&s, &io);
	ck_assert(gone[0] && !gone[1]);
	ck_assert(!command_ends(0));
	ck_assert_int_eq(gone[1], 0);
	ck_assert(tool_says(7, 'D', 100));
	ck_assert(gone[1] && done == 1);
	// The tool may be faster than the news of the process.
	ck_assert(tool_says(7, 'D', 101));
	ck_assert(gone[2] && done == 2);
	ck_assert_msg(tool_says(7, 'D', 4711), "a process that has no slot is not ours");
	ends(7); // the tool is gone: its word is not waited for
	ck_assert(command_ends(2));
	ck_assert_uint_eq(s.books.out, 0);
}
END_TEST

START_TEST(after_a_stop_no_gate_gets_a_slot_and_the_tool_knows_each)
{
	begin(1, 0, 10);
	ck_assert(hello(7, LEASE_TOOL, 0) && hello(0, LEASE_GATE, 0) && hello(1, LEASE_GATE, 0));
	clients_settle(&s, &io);
	ck_assert(!command_ends(0));
	ck_assert(tool_says(7, 'S', 0));
	ck_assert_uint_eq(stopped_pid, 101);
	ck_assert(tool_says(7, 'D', 100));
	ck_assert_uint_eq(s.books.out, 0);
	ck_assert(hello(2, LEASE_GATE, 0)); // it was on its way
	clients_settle(&s, &io);
	ck_assert_uint_eq(stopped_pid, 102);
	ck_assert(!gone[1] && !gone[2]);
	ends(1);
	ends(2);
	ends(7);
}
END_TEST

START_TEST(a_held_launcher_goes_when_the_tool_has_stopped)
{
	begin(1, 0, 10);
	ck_assert(hello(7, LEASE_TOOL, 0) && hello(0, LEASE_GATE, 0) && hello(1, LEASE_GATE, 0));
	clients_settle(&s, &io);
	ck_assert(hello(2, LEASE_LAUNCHER, told[0].slot) && says(2, "R"));
	ck_assert(gone[1] && says(2, "L") && !gone[2]);
	ck_assert(!command_ends(1)); // a failure
	ck_assert(tool_says(7, 'S', 0) && tool_says(7, 'D', 101));
	ck_assert_int_eq(gone[2], 1);
}
END_TEST

START_TEST(a_slot_is_claimed_by_one_front_end_after_the_other)
{
	begin(1, 0, 10);
	ck_assert(hello(0, LEASE_GATE, 0));
	clients_settle(&s, &io);
	for (int i = 1; i < 5; i++)
		ck_assert(hello(i, LEASE_CLAIM, told[0].slot));
	ck_assert(told[1].slot == 1 && !told[2].slot && !told[3].slot && !told[4].slot);
	ends(2);
	ends(1);
	ck_assert(!gone[2] && gone[3] == 1 && !gone[4]);
	ends(0); // the command has ended, and left them behind
	ends(3);
	ends(4);
	ck_assert(!s.claims.head);
	begin(2, 1, 10);
	ck_assert(hello(0, LEASE_CLAIM, 0) && hello(1, LEASE_CLAIM, 0));
	ck_assert(told[0].slot == 1 && !told[1].slot);
	ends(0);
	ck_assert(gone[1] == 1 && s.claimer == &c[1]);
}
END_TEST

START_TEST(commands_behind_a_gate_have_tokens_but_gates_come_first)
{
	begin(2, 0, 10);
	s.has_pool = true;
	ck_assert(hello(0, LEASE_GATE, 0));
	clients_settle(&s, &io);
	ck_assert(gone[0] && pipe_has == 1);
	ck_assert(hello(1, LEASE_GATE, 0));
	clients_settle(&s, &io);
	ck_assert(gone[1] && pipe_has == 0);
	ends(0);
	ck_assert_uint_eq(pipe_has, 1);
	pipe_has = 0; // a make takes it
	ck_assert(hello(2, LEASE_GATE, 0));
	clients_settle(&s, &io);
	ck_assert(!gone[2]);
	books_back(&s.books, 1);
	clients_settle(&s, &io);
	ck_assert(gone[2]);
}
END_TEST

START_TEST(what_a_tool_cannot_say_ends_its_connection)
{
	begin(1, 1, 10);
	ck_assert_msg(!hello(0, LEASE_TOOL, 0), "there is no gate");
	begin(1, 0, 10);
	ck_assert(hello(0, LEASE_TOOL, 0));
	ck_assert_msg(!hello(1, LEASE_TOOL, 0), "there is one already");
	ck_assert(!tool_says(0, 'X', 0));
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("jobserver clients");
	TCase *t = tcase_create("clients");
	tcase_add_test(t, the_greeting_promises_go_and_a_limit);
	tcase_add_test(t, a_greeting_may_come_in_pieces_and_with_the_first_word);
	tcase_add_test(t, what_is_no_greeting_ends_the_connection);
	tcase_add_test(t, words_out_of_order_end_the_connection);
	tcase_add_test(t, a_returned_launcher_waits_until_a_slot_is_free);
	tcase_add_test(t, an_unread_token_is_taken_back_for_a_held_launcher);
	tcase_add_test(t, another_loan_lets_a_held_launcher_go);
	tcase_add_test(t, the_longest_held_goes_first);
	tcase_add_test(t, past_the_cap_a_launcher_keeps_its_slot_and_is_answered_at_once);
	tcase_add_test(t, a_gate_grants_as_many_slots_as_there_are);
	tcase_add_test(t, behind_a_gate_a_launcher_lends_the_slot_of_its_command);
	tcase_add_test(t, a_slot_is_lent_once_and_an_unknown_one_never);
	tcase_add_test(t, a_command_that_ends_before_its_launcher_takes_the_loan_with_it);
	tcase_add_test(t, a_slot_is_free_when_the_tool_goes_on);
	tcase_add_test(t, after_a_stop_no_gate_gets_a_slot_and_the_tool_knows_each);
	tcase_add_test(t, a_held_launcher_goes_when_the_tool_has_stopped);
	tcase_add_test(t, a_slot_is_claimed_by_one_front_end_after_the_other);
	tcase_add_test(t, commands_behind_a_gate_have_tokens_but_gates_come_first);
	tcase_add_test(t, what_a_tool_cannot_say_ends_its_connection);
	suite_add_tcase(suite, t);
	return suite;
}
