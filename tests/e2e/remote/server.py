#!/usr/bin/python3
"""Python's gRPC as a server for tests/programs/rpc_client: server.py [CERTIFICATE KEY [CA]]. Prints "listening ADDRESS", then what
happens, until standard input ends."""
import sys
import threading
import time
from concurrent import futures

import grpc


def say(*words):
    print(*words, flush=True)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def echo(requests, context):
    wish = dict(context.invocation_metadata()).get("x-encoding")
    if wish == "gzip":
        context.set_compression(grpc.Compression.Gzip)
    yield from requests


def sleep(request, context):
    gone = threading.Event()
    context.add_callback(gone.set)
    say("deadline", int((context.time_remaining() or 0) * 1000))
    if gone.wait(int(request) / 1000):
        say("cancelled")
    return b"slept"


def fail(request, context):
    number, _, text = request.decode().partition(" ")
    code = next(c for c in grpc.StatusCode if c.value[0] == int(number))
    context.set_trailing_metadata((("grpc-retry-pushback-ms", "250"),))
    context.abort(code, text)


def source(request, context):
    count, size = map(int, request.split())
    for _ in range(count):
        yield b"x" * size


def sink(requests, context):
    total = 0
    for r in requests:
        total += len(r)
        if total < 3000000:
            time.sleep(0.005)
    return b"%d" % total


def hold(requests, context):
    gone = threading.Event()
    context.add_callback(gone.set)
    yield b"held"
    gone.wait(60)


def early(requests, context):
    return b"hit"


def raising(request, context):
    raise ValueError("oops")


handlers = grpc.method_handlers_generic_handler("test.Echo", {
    "Echo": grpc.stream_stream_rpc_method_handler(echo),
    "Sleep": grpc.unary_unary_rpc_method_handler(sleep),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Source": grpc.unary_stream_rpc_method_handler(source),
    "Sink": grpc.stream_unary_rpc_method_handler(sink),
    "Hold": grpc.stream_stream_rpc_method_handler(hold),
    "Early": grpc.stream_unary_rpc_method_handler(early),
    "Raise": grpc.unary_unary_rpc_method_handler(raising),
})
server = grpc.server(futures.ThreadPoolExecutor(max_workers=64), options=[("grpc.max_receive_message_length", 8 << 20)])
server.add_generic_rpc_handlers((handlers,))
if len(sys.argv) > 2:
    root = read(sys.argv[3]) if len(sys.argv) > 3 else None
    credentials = grpc.ssl_server_credentials([(read(sys.argv[2]), read(sys.argv[1]))], root, root is not None)
    port = server.add_secure_port("127.0.0.1:0", credentials)
else:
    port = server.add_insecure_port("127.0.0.1:0")
server.start()
say("listening", "127.0.0.1:%d" % port)
sys.stdin.read()
server.stop(1)
