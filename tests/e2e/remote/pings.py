#!/usr/bin/python3
"""Python's client with a keepalive that annoys: the server ends the connection, and the client goes on with a calmer one."""
import sys

import grpc

channel = grpc.insecure_channel(sys.argv[1], options=[("grpc.keepalive_time_ms", 200), ("grpc.keepalive_permit_without_calls", 1),
                                                      ("grpc.http2.max_pings_without_data", 0)])
call = channel.unary_unary("/test.Echo/Sleep")
try:
    print(call(b"9000", timeout=20).decode())
except grpc.RpcError as e:
    assert e.code() == grpc.StatusCode.UNAVAILABLE, e
    print("told to be calmer")
print(call(b"10", timeout=5, wait_for_ready=True).decode())
