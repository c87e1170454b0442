// Bytes from the other side of the socket: the first says which payload the rest is, or that it is a whole message. What is
// accepted must be encoded to the very same bytes again, since a payload has one form only.
#include "client/wire/wire.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum what { JOB, DONE, RUN, RESULT, TEXT, MESSAGE, N_WHAT };

static void expect_same(const struct buf *got, const struct buf *again)
{
	if (got->len != again->len || memcmp(got->data, again->data, got->len) != 0)
		abort();
}

static void receive(const uint8_t *data, size_t size)
{
	AUTO_MSG struct wire_msg m = WIRE_MSG_INIT;
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
		return;
	// More than the socket holds would wait for us to read it.
	ssize_t sent = send(ends[0], data, size, MSG_DONTWAIT);
	close(ends[0]);
	while (sent >= 0 && wire_recv(ends[1], &m, NULL) == 0)
		if (m.payload.len > (size_t)sent)
			abort();
	close(ends[1]);
}

static void parse(enum what what, const struct buf *payload)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf again = BUF_INIT;
	struct wire_job job;
	struct wire_done done;
	struct wire_run run;
	struct wire_result result;
	const char *text = NULL;
	bool ok = false;
	if (what == JOB && (ok = wire_get_job(&job, &a, payload, NULL) == 0))
		wire_put_job(&again, &job);
	if (what == DONE && (ok = wire_get_done(&done, payload, NULL) == 0))
		wire_put_done(&again, &done);
	if (what == RUN && (ok = wire_get_run(&run, &a, payload, NULL) == 0))
		wire_put_run(&again, &run);
	if (what == RESULT && (ok = wire_get_result(&result, payload, NULL) == 0))
		wire_put_result(&again, &result);
	if (what == TEXT && (ok = (text = wire_get_text(&a, payload, NULL)) != NULL))
		wire_put_text(&again, text);
	if (ok)
		expect_same(payload, &again);
	// A few bytes must not make us reserve much.
	if (a.total > 65536 + payload->len * 16)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	AUTO_BUF struct buf payload = BUF_INIT;
	buf_add(&payload, data + 1, size - 1);
	if (data[0] % N_WHAT == MESSAGE)
		receive(data + 1, size - 1);
	else
		parse(data[0] % N_WHAT, &payload);
	return 0;
}
