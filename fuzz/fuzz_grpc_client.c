// A server's bytes into a client's connection with open calls. Each call ends, whatever comes.
#include "fuzz/grpc_feed.h"

#include "proto/coffer.pb-c.h"
#include "remote/channel.h"

#define N_CALLS 3

static struct loop *loop;

static void finish(struct rpc_call *call)
{
	Coffer__V1__CompileReply *r;
	while (rpc_receive(call, &coffer__v1__compile_reply__descriptor, 0, &r, NULL) == 1)
		coffer__v1__compile_reply__free_unpacked(r, NULL);
	rpc_call_metadata(call, "grpc-status");
	if (!rpc_wait_status(call)->text)
		abort();
	rpc_call_release(call);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct rpc_channel_config config = {.limits = {.message_bytes = 1 << 16, .header_bytes = 2048}};
	struct rpc_call *calls[N_CALLS];
	size_t n = 0;
	if (!loop && loop_new(&loop, NULL))
		abort();
	struct rpc_channel *ch = channel_new(loop, feed_new(data, size), &config, "fuzz");
	ch->is_usable = true;
	for (; n < N_CALLS; n++) {
		if (rpc_call_start(ch, "/a.B/C", NULL, &calls[n], NULL))
			break;
		rpc_send_bytes(calls[n], "abc", 3, NULL);
		if (n == 0)
			rpc_send_end(calls[n]);
	}
	for (int i = 0; i < 1000 && ch->conn; i++)
		loop_turn(loop, 0);
	if (ch->conn)
		conn_fail(ch->conn, "enough");
	loop_turn(loop, 0);
	for (size_t i = 0; i < n; i++)
		finish(calls[i]);
	rpc_channel_release(ch);
	loop_turn(loop, 0);
	loop_turn(loop, 0);
	return 0;
}
