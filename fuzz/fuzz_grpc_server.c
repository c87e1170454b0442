// A client's bytes into a server's connection: HTTP/2, headers, messages, compression, protobuf. Whatever comes, the server
// lives, and its memory stays in proportion.
#include "fuzz/grpc_feed.h"

#include "proto/coffer.pb-c.h"
#include "remote/server.h"

static struct loop *loop;

// Takes what is there, and answers with it.
static void serve(struct rpc_call *call, void *arg)
{
	Coffer__V1__CompileRequest *q;
	(void)arg;
	rpc_call_set_encoding(call, RPC_ZSTD);
	while (rpc_receive(call, &coffer__v1__compile_request__descriptor, 0, &q, NULL) == 1) {
		rpc_call_has_news(call);
		if (rpc_call_metadata(call, "x-answer"))
			rpc_reply(call, &q->base);
		coffer__v1__compile_request__free_unpacked(q, NULL);
	}
	rpc_call_time_left_ms(call);
	rpc_finish(call, RPC_ABORTED, "%s", rpc_call_path(call));
}

static const struct rpc_method methods[] = {{.path = "/a.B/C", .serve = serve, .speaks_first = true}};

// There are no threads here.
static int serve_now(struct rpc_call *call)
{
	if (strstr(call->path, "Watch")) // which would wait
		rpc_finish(call, RPC_UNIMPLEMENTED, "not here");
	server_serve(call);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct rpc_server_config config = {.methods = methods,
						 .n_methods = 1,
						 .limits = {.message_bytes = 1 << 16,
							    .first_message_ms = 1,
							    .send_bytes = 1 << 24,
							    .header_bytes = 2048,
							    .calls = 100}};
	struct rpc_server *server;
	if (!loop && loop_new(&loop, NULL))
		abort();
	if (rpc_server_new(loop, &config, &server, NULL))
		abort();
	server->begin = serve_now;
	server_add_transport(server, feed_new(data, size));
	for (int i = 0; i < 1000 && server->n_conns; i++)
		loop_turn(loop, 0);
	if (server->conns)
		conn_fail(server->conns, "enough");
	loop_turn(loop, 0);
	if (server->n_conns)
		abort();
	rpc_server_free(server);
	return 0;
}
