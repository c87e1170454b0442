#!/usr/bin/python3
"""Python's gRPC as a client of tests/programs/rpc_server: client.py ADDRESS [CA [CERTIFICATE KEY]]. Prints a line for each claim."""
import sys
import threading
import time

import grpc

address = sys.argv[1]
options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]


def read(path):
    with open(path, "rb") as f:
        return f.read()


def connect(more=()):
    if len(sys.argv) > 2:
        own = {}
        if len(sys.argv) > 4:
            own = {"certificate_chain": read(sys.argv[3]), "private_key": read(sys.argv[4])}
        credentials = grpc.ssl_channel_credentials(root_certificates=read(sys.argv[2]), **own)
        return grpc.secure_channel(address, credentials, options + list(more))
    return grpc.insecure_channel(address, options + list(more))


channel = connect()
unary = lambda name: channel.unary_unary("/test.Echo/" + name)
stream = lambda name: channel.stream_stream("/test.Echo/" + name)


def code_of(call):
    try:
        call()
    except grpc.RpcError as e:
        return e.code(), e.details()
    raise AssertionError("it succeeds")


def unary_call():
    assert unary("Echo")(b"hello", timeout=5) == b"hello"
    assert unary("Echo")(b"", timeout=5) == b""


def big_messages():
    data = bytes(range(256)) * 15000
    assert unary("Echo")(data, timeout=20) == data


def message_limit():
    assert code_of(lambda: unary("Echo")(b"x" * (5 << 20), timeout=20))[0] == grpc.StatusCode.RESOURCE_EXHAUSTED


def streaming():
    got = list(stream("Echo")((str(i).encode() for i in range(500)), timeout=20))
    assert got == [str(i).encode() for i in range(500)]


def server_streaming():
    got = channel.unary_stream("/test.Echo/Source")(b"2000 10000", timeout=20)
    assert sum(len(m) for m in got) == 20000000


def client_streaming():
    assert channel.stream_unary("/test.Echo/Sink")((b"y" * 50000 for _ in range(400)), timeout=20) == b"20000000"


def slow_reader():
    call = channel.unary_stream("/test.Echo/Source")(b"600 65536", timeout=30)
    n = 0
    for m in call:
        n += len(m)
        if n < 20 * 65536:
            time.sleep(0.02)
    assert n == 600 * 65536


def gzip():
    text = b"abcabc" * 5000
    f = unary("Echo")
    for wish in ("gzip", "zstd"):  # the second is one that Python does not know: it must come as it is
        got, call = f.with_call(text, timeout=5, compression=grpc.Compression.Gzip, metadata=(("x-encoding", wish),))
        assert got == text
        encodings = dict(call.initial_metadata()).get("grpc-encoding", "identity")
        assert encodings in ("gzip", "identity"), encodings


def unknown_encoding():
    # deflate is known to Python, not to the server.
    code, text = code_of(lambda: unary("Echo")(b"abc" * 1000, timeout=5, compression=grpc.Compression.Deflate))
    assert code == grpc.StatusCode.UNIMPLEMENTED and "deflate" in text, (code, text)


def deadline():
    began = time.time()
    code, _ = code_of(lambda: unary("Sleep")(b"20000", timeout=0.3))
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert 0.25 < time.time() - began < 3


def cancel():
    future = unary("Sleep").future(b"20000")
    time.sleep(1)  # the server has it by then, and is to be told
    future.cancel()
    assert future.cancelled()
    call = stream("Echo")(iter([b"one"]))
    assert next(call) == b"one"
    call.cancel()


def status_texts():
    for code in grpc.StatusCode:
        if code is grpc.StatusCode.OK:
            continue
        text = "grüße \U0001f608 100%\n\t\"%41\""
        got, details = code_of(lambda: unary("Fail")(("%d %s" % (code.value[0], text)).encode(), timeout=5))
        assert got == code and details == text, (got, details)


def trailers():
    try:
        unary("Fail")(b"8 full", timeout=5)
    except grpc.RpcError as e:
        assert dict(e.trailing_metadata())["grpc-retry-pushback-ms"] == "250"


def unknown_method():
    assert code_of(lambda: channel.unary_unary("/test.Echo/None")(b"", timeout=5))[0] == grpc.StatusCode.UNIMPLEMENTED


def metadata():
    got = unary("Peer")(b"", timeout=5, metadata=(("authorization", "Bearer abc"),)).split(b"|")
    assert got[2:] == [b"Bearer abc", b"deadline"], got
    if len(sys.argv) > 4:
        assert got[0] == b"client", got


def early_answer():
    call = channel.stream_unary("/test.Echo/Early")((b"z" * 65536 for _ in range(1000)), timeout=10)
    assert call == b"hit"


def many_at_once():
    futures = [unary("Echo").future(b"%d" % i, timeout=20) for i in range(2000)]
    assert [f.result() for f in futures] == [b"%d" % i for i in range(2000)]


def many_threads():
    failed = []

    def work(n):
        for i in range(50):
            text = b"%d %d" % (n, i)
            if unary("Echo")(text, timeout=20) != text:
                failed.append(text)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed


def health():
    check = channel.unary_unary("/grpc.health.v1.Health/Check")
    assert check(b"", timeout=5) == b"\x08\x01"
    assert check(b"\x0a\x09test.Echo", timeout=5) == b"\x08\x01"
    assert code_of(lambda: check(b"\x0a\x04none", timeout=5))[0] == grpc.StatusCode.NOT_FOUND
    watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"\x0a\x04none")
    assert next(watch) == b"\x08\x03"
    watch.cancel()


def headers_too_large():
    code, _ = code_of(lambda: unary("Echo")(b"", timeout=5, metadata=(("x-large", "v" * 20000),)))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED, code
    unary_call()


for claim in (unary_call, big_messages, message_limit, streaming, server_streaming, client_streaming, slow_reader, gzip,
              unknown_encoding, deadline, cancel, status_texts, trailers, unknown_method, metadata, early_answer, many_at_once,
              many_threads, health, headers_too_large):
    began = time.time()
    claim()
    print("ok %s %.2f s" % (claim.__name__, time.time() - began), flush=True)
channel.close()
