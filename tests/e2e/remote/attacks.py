#!/usr/bin/python3
"""What a hostile peer does to a server of calls, in frames made by hand: attacks.py PROGRAM [NAME…].

PROGRAM is tests/programs/rpc_server. Each attack has a server of its own with short limits, must be stopped within them, and must
not touch a neighbour who makes ordinary calls meanwhile; the server's memory stays small."""
import gzip
import os
import socket
import struct
import subprocess
import sys
import threading
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
ENHANCE_YOUR_CALM = 11


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def integer(value, bits, first):
    if value < (1 << bits) - 1:
        return bytes((first | value,))
    out = bytes((first | (1 << bits) - 1,))
    value -= (1 << bits) - 1
    while value >= 128:
        out += bytes((value & 127 | 128,))
        value >>= 7
    return out + bytes((value,))


def literal(name, value, first=0, bits=4):
    return bytes((first,)) + integer(len(name), 7, 0) + name + integer(len(value), 7, 0) + value


def request(path, *more):
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"x"), (b"te", b"trailers"),
              (b"content-type", b"application/grpc")]
    return b"".join(literal(n, v) for n, v in fields + list(more))


def message(payload, compressed=0):
    return struct.pack(">BI", compressed, len(payload)) + payload


class Closed(Exception):
    pass


class Peer:
    """A connection whose frames are made by hand."""

    def __init__(self, address, preface=True, settings=b""):
        self.socket = socket.create_connection(address)
        self.socket.settimeout(10)
        self.buffer = b""
        if preface:
            self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def send(self, data):
        """False: the server has closed the connection."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def receive(self):
        while True:
            if len(self.buffer) >= 9:
                n = int.from_bytes(self.buffer[:3], "big")
                if len(self.buffer) >= 9 + n:
                    kind, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
                    payload, self.buffer = self.buffer[9:9 + n], self.buffer[9 + n:]
                    return kind, flags, stream, payload
            try:
                more = self.socket.recv(65536)
            except ConnectionError:
                more = b""
            if not more:
                raise Closed()
            self.buffer += more

    def get_ready(self):
        """Waits for the server's SETTINGS, which count from when they are acknowledged."""
        self.wait_for(SETTINGS)
        self.send(frame(SETTINGS, ACK, 0))

    def wait_for(self, wanted):
        while True:
            got = self.receive()
            if got[0] == wanted:
                return got

    def goaway(self):
        """The code of the GOAWAY before the end; None without one."""
        code = None
        try:
            while True:
                kind, _, _, payload = self.receive()
                if kind == GOAWAY:
                    code = struct.unpack(">II", payload[:8])[1]
        except Closed:
            return code


def is_stopped(peer, batches):
    """Sends one after the other until the server has had enough."""
    for batch in batches:
        if not peer.send(batch):
            return True
    return peer.goaway() is not None


class Server:
    def __init__(self, *settings):
        self.lines = []
        self.process = subprocess.Popen([sys.argv[1], "127.0.0.1:0", *settings], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True)
        host, port = self.process.stdout.readline().split()[1].split(":")
        self.address = host, int(port)
        self.stop = False
        self.failed = None
        self.calls = 0
        self.worst = 0
        self.limit_mb = 60
        threading.Thread(target=self.read_lines, daemon=True).start()
        self.neighbour = threading.Thread(target=self.call_all_the_time)
        self.neighbour.start()
        while not self.calls and not self.failed:
            time.sleep(0.01)

    def read_lines(self):
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def call_all_the_time(self):
        """The neighbour: one connection, a call after the other."""
        try:
            peer = Peer(self.address)
            stream = 1
            while not self.stop:
                began = time.time()
                peer.send(frame(HEADERS, END_HEADERS, stream, request(b"/test.Echo/Echo")) +
                          frame(DATA, END_STREAM, stream, message(b"neighbour")))
                status = b""
                while True:
                    kind, flags, at, payload = peer.receive()
                    if kind == HEADERS and at == stream and flags & END_STREAM:
                        status = payload
                        break
                    if kind == SETTINGS and not flags & ACK:
                        peer.send(frame(SETTINGS, ACK, 0))
                assert status, status
                self.calls += 1
                self.worst = max(self.worst, time.time() - began)
                stream += 2
                time.sleep(0.005)
        except Exception as e:
            self.failed = e

    def memory(self):
        with open("/proc/%d/status" % self.process.pid) as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) / 1024

    def stats(self):
        self.process.send_signal(10)
        for _ in range(100):
            for line in self.lines:
                if line.startswith("stats "):
                    self.lines.remove(line)
                    return dict((k, int(v)) for k, v in (w.split("=") for w in line.split()[1:]))
            time.sleep(0.02)
        raise AssertionError("no stats")

    def finish(self):
        before = self.calls
        time.sleep(0.1)
        assert self.calls > before or self.failed, "the neighbour stands still"
        self.stop = True
        self.neighbour.join(10)
        assert self.failed is None, "the neighbour: %r" % self.failed
        assert self.worst < 2, "the neighbour waited %.2f s" % self.worst
        memory = self.memory()
        assert memory < self.limit_mb, "%d MB" % memory
        self.process.terminate()
        assert self.process.wait(10) == 0
        return "neighbour: %d calls, at worst %.0f ms; server: %.0f MB" % (self.calls, self.worst * 1000, memory)


# ---- floods ---------------------------------------------------------------------------------------------------------------


def rapid_reset(s):
    peer = Peer(s.address)
    one = lambda i: (frame(HEADERS, END_HEADERS, i, request(b"/test.Echo/Echo")) + frame(RST, 0, i, struct.pack(">I", 8)))
    assert is_stopped(peer, (b"".join(one(2 * j + 1) for j in range(i, i + 100)) for i in range(0, 40000, 100)))
    assert s.stats()["calls"] < 300
    assert s.stats()["total_calls"] < 10000


def settings_flood(s):
    peer = Peer(s.address)
    assert is_stopped(peer, (frame(SETTINGS, 0, 0, struct.pack(">HI", 3, 100)) * 100 for _ in range(300)))


def ping_flood(s):
    peer = Peer(s.address)
    peer.send(frame(PING, 0, 0, b"12345678") * 100)
    assert peer.goaway() == ENHANCE_YOUR_CALM


def ping_flood_unread(s):
    """As fast as they go, and the answers are not read."""
    assert is_stopped(Peer(s.address), (frame(PING, 0, 0, b"12345678") * 100 for _ in range(3000)))


def ping_ack_flood(s):
    assert is_stopped(Peer(s.address), (frame(PING, ACK, 0, b"12345678") * 100 for _ in range(3000)))


def empty_data_flood(s):
    peer = Peer(s.address)
    peer.send(frame(HEADERS, END_HEADERS, 1, request(b"/test.Echo/Echo")))
    assert is_stopped(peer, (frame(DATA, 0, 1) * 100 for _ in range(1000)))


def priority_flood(s):
    assert is_stopped(Peer(s.address), (frame(PRIORITY, 0, 1, struct.pack(">IB", 0, 16)) * 100 for _ in range(1000)))


def unknown_frame_flood(s):
    """nghttp2 drops them before anybody sees them: they cost as little as the bytes that they are."""
    peer = Peer(s.address)
    for _ in range(1000):
        peer.send(frame(0x77, 0, 0, b"x") * 100)
    peer.send(frame(PING, 0, 0, b"12345678"))
    peer.wait_for(PING)


def continuation_flood(s):
    peer = Peer(s.address)
    peer.send(frame(HEADERS, 0, 1, request(b"/test.Echo/Echo")))
    assert is_stopped(peer, (frame(CONTINUATION, 0, 1, literal(b"x%d" % i, b"y")) for i in range(50000)))


def window_overflow(s):
    peer = Peer(s.address)
    peer.send(frame(WINDOW, 0, 0, struct.pack(">I", 0x7FFFFFFF)) * 2)
    assert peer.goaway() == 3


def too_many_streams(s):
    peer = Peer(s.address)
    peer.get_ready()
    for i in range(3000):
        peer.send(frame(HEADERS, END_HEADERS, 2 * i + 1, request(b"/test.Echo/Hold")) + frame(DATA, 0, 2 * i + 1, message(b"x")))
    refused = 0
    while refused < 2900:
        kind, _, _, payload = peer.receive()
        if kind == GOAWAY:
            break
        refused += kind == RST
    assert s.stats()["calls"] <= 101


# ---- bombs ----------------------------------------------------------------------------------------------------------------


def header_bomb(s):
    """A long header in the table, and references to it of one byte each: 65 MB in 16 kB."""
    peer = Peer(s.address)
    block = request(b"/test.Echo/Echo") + literal(b"x-bomb", b"b" * 3900, first=0x40) + b"\xbe" * 12000
    peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, block))
    assert peer.goaway() == ENHANCE_YOUR_CALM


def large_headers(s):
    """Larger than allowed, though no bomb: the call is refused and the connection goes on."""
    peer = Peer(s.address)
    peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, request(b"/test.Echo/Echo", (b"x", b"y" * 12000), (b"z", b"y" * 3000))))
    kind, flags, stream, _ = peer.wait_for(HEADERS)
    assert stream == 1 and flags & END_STREAM
    peer.send(frame(HEADERS, END_HEADERS, 3, request(b"/test.Echo/Echo")) + frame(DATA, END_STREAM, 3, message(b"abc")))
    assert peer.wait_for(DATA)[2] == 3


def zstd_frame_of_zeros(size):
    blocks = size // (128 << 10)
    out = b"\x28\xb5\x2f\xfd\x00\x58"
    for i in range(blocks):
        out += struct.pack("<I", (128 << 10) << 3 | 1 << 1 | (i == blocks - 1))[:3] + b"\0"
    return out


def bomb(s, encoding, packed):
    peer = Peer(s.address)
    peer.get_ready()
    for stream in (1, 3, 5, 7):
        peer.send(frame(HEADERS, END_HEADERS, stream, request(b"/test.Echo/Sink", (b"grpc-encoding", encoding))))
        data = message(packed, 1)
        for at in range(0, len(data), 16384):
            peer.send(frame(DATA, END_STREAM if at + 16384 >= len(data) else 0, stream, data[at:at + 16384]))
    for _ in range(4):
        kind, flags, _, _ = peer.wait_for(HEADERS)
        assert flags & END_STREAM, "it is accepted"


def zstd_bomb(s):
    bomb(s, b"zstd", zstd_frame_of_zeros(1 << 30))


def gzip_bomb(s):
    bomb(s, b"gzip", gzip.compress(bytes(200 << 20), 9))


def claimed_length(s):
    peer = Peer(s.address)
    peer.send(frame(HEADERS, END_HEADERS, 1, request(b"/test.Echo/Sink")) + frame(DATA, 0, 1, b"\0\xff\xff\xff\xff" + b"x" * 1000))
    kind, flags, _, _ = peer.wait_for(HEADERS)
    assert flags & END_STREAM


def memory_in_pieces(s):
    """Many calls, each with a large message that never ends."""
    peer = Peer(s.address)
    peer.get_ready()
    threading.Thread(target=lambda: peer.goaway(), daemon=True).start()
    piece = b"x" * 16384
    for i in range(99):
        if not peer.send(frame(HEADERS, END_HEADERS, 2 * i + 1, request(b"/test.Echo/Sink")) +
                         frame(DATA, 0, 2 * i + 1, struct.pack(">BI", 0, 4 << 20))):
            break
        for _ in range(200):
            peer.send(frame(DATA, 0, 2 * i + 1, piece))
    time.sleep(0.5)
    s.limit_mb = 180  # struct rpc_limits: 128 MiB for a connection


# ---- too slow ---------------------------------------------------------------------------------------------------------------


def closed_within(peer, seconds):
    began = time.time()
    code = peer.goaway()
    took = time.time() - began
    assert took < seconds, "%.1f s" % took
    return code


def silent_connection(s):
    closed_within(Peer(s.address, preface=False), 4)


def slow_preface(s):
    peer = Peer(s.address, preface=False)
    began = time.time()
    for byte in PREFACE:
        if not peer.send(bytes((byte,))):
            break
        time.sleep(0.2)
    assert time.time() - began < 6
    closed_within(peer, 4)


def preface_without_settings(s):
    peer = Peer(s.address, preface=False)
    peer.send(PREFACE)
    closed_within(peer, 4)


def half_a_header_block(s):
    peer = Peer(s.address)
    peer.send(frame(HEADERS, 0, 1, request(b"/test.Echo/Echo")))
    closed_within(peer, 4)


def half_a_frame(s):
    """Headers whose frame never ends, a byte now and then."""
    peer = Peer(s.address)
    block = frame(HEADERS, END_HEADERS, 1, request(b"/test.Echo/Echo"))
    began = time.time()
    for byte in block:
        if not peer.send(bytes((byte,))):
            break
        time.sleep(0.1)
    assert time.time() - began < 8
    closed_within(peer, 4)


def call_without_message(s):
    peer = Peer(s.address)
    peer.send(frame(HEADERS, END_HEADERS, 1, request(b"/test.Echo/Echo")))
    kind, flags, _, _ = peer.wait_for(HEADERS)
    assert flags & END_STREAM
    assert s.stats()["calls"] <= 1


def zero_window(s):
    """Asks for much and never opens its window."""
    peer = Peer(s.address, settings=struct.pack(">HI", 4, 0))
    for i in range(20):
        peer.send(frame(HEADERS, END_HEADERS, 2 * i + 1, request(b"/test.Echo/Source")) +
                  frame(DATA, END_STREAM, 2 * i + 1, message(b"1000 65536")))
    for _ in range(20):
        peer.wait_for(RST)
    time.sleep(0.2)
    assert s.stats()["calls"] <= 1


def tiny_window(s):
    """A window that opens by a byte now and then is progress; a deadline or the server's owner has to end that."""
    peer = Peer(s.address, settings=struct.pack(">HI", 4, 1))
    peer.send(frame(HEADERS, END_HEADERS, 1, request(b"/test.Echo/Source", (b"grpc-timeout", b"2S"))) +
              frame(DATA, END_STREAM, 1, message(b"1000 65536")))
    began = time.time()
    while time.time() - began < 4:
        peer.send(frame(WINDOW, 0, 1, struct.pack(">I", 1)))
        time.sleep(0.05)
    assert s.stats()["calls"] <= 1


def never_reading(s):
    """Asks for much with a large window, and does not read its socket."""
    peer = Peer(s.address, settings=struct.pack(">HI", 4, 0x7FFFFFFF))
    peer.send(frame(WINDOW, 0, 0, struct.pack(">I", 0x7FFF0000)))
    for i in range(20):
        peer.send(frame(HEADERS, END_HEADERS, 2 * i + 1, request(b"/test.Echo/Source")) +
                  frame(DATA, END_STREAM, 2 * i + 1, message(b"100000 65536")))
    time.sleep(4)
    assert s.stats()["calls"] <= 1


# ---- nonsense ---------------------------------------------------------------------------------------------------------------


def other_protocols(s):
    for text in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), os.urandom(5000)):
        peer = Peer(s.address, preface=False)
        peer.send(text)
        closed_within(peer, 4)


def wrong_streams(s):
    for bad in (frame(HEADERS, END_HEADERS, 2, request(b"/test.Echo/Echo")), frame(DATA, 0, 5, b"x"), frame(HEADERS, 4, 0, b"x"),
                frame(PUSH, 4, 1, b"xxxxx"), frame(SETTINGS, 0, 0, b"abc"), frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff")):
        peer = Peer(s.address)
        peer.send(bad)
        assert closed_within(peer, 4) is not None


def frame_too_large(s):
    peer = Peer(s.address)
    peer.send(b"\xff\xff\xff" + bytes((DATA, 0)) + struct.pack(">I", 1) + b"x" * 1000)
    assert closed_within(peer, 4) == 6


def many_connections(s):
    """No more than the limit for one address, and they do not stay without a word."""
    peers = [Peer(s.address, preface=False) for _ in range(200)]
    time.sleep(0.2)
    assert s.stats()["connections"] <= 61
    time.sleep(2.5)
    assert s.stats()["connections"] <= 1
    for p in peers:
        p.socket.close()


ATTACKS = (rapid_reset, settings_flood, ping_flood, ping_flood_unread, ping_ack_flood, empty_data_flood, priority_flood, unknown_frame_flood,
           continuation_flood, window_overflow, too_many_streams, header_bomb, large_headers, zstd_bomb, gzip_bomb, claimed_length,
           memory_in_pieces, silent_connection, slow_preface, preface_without_settings, half_a_header_block, half_a_frame,
           call_without_message, zero_window, tiny_window, never_reading, other_protocols, wrong_streams, frame_too_large,
           many_connections)
LIMITS = ("handshake_ms=1000", "first_message_ms=1000", "stall_ms=1000", "streams=100", "calls=1000", "per_address=60",
          "header_bytes=8192")
failed = False
for attack in ATTACKS:
    if len(sys.argv) > 2 and attack.__name__ not in sys.argv[2:]:
        continue
    server = Server(*LIMITS)
    try:
        attack(server)
        print("ok %s (%s)" % (attack.__name__, server.finish()), flush=True)
    except Exception as e:
        failed = True
        print("FAILED: %s: %s: %s" % (attack.__name__, type(e).__name__, e), flush=True)
        server.stop = True
        server.process.kill()
sys.exit(failed)
