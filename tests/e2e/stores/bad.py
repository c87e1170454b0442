"""Servers that no store should be. usage: bad.py KIND PORT"""
import socket
import sys
import threading
import time

kind, port = sys.argv[1], int(sys.argv[2])
objects = {}


def bucket(c, data):
    """A bucket that knows `If-None-Match: *` (kind bucket), or says that it does not (bucket501). Checks no signatures."""
    head, _, body = data.partition(b"\r\n\r\n")
    method, path = head.split(b"\r\n", 1)[0].decode().split(" ")[:2]
    fields = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
    length = int(fields.get("content-length", 0))
    while len(body) < length:
        body += c.recv(65536)
    conditional = fields.get("if-none-match") == "*"
    status, answer = (200, objects[path]) if path in objects else (404, b"")
    if method == "PUT":
        status = 501 if conditional and kind == "bucket501" else 412 if conditional and path in objects else 200
        answer = b""
        if status == 200:
            objects[path] = body
    print(method, path, status, "conditional" if conditional else "", flush=True)
    c.sendall(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n" % (status, len(answer)))
    if method != "HEAD":
        c.sendall(answer)
    return True


def answer(c):
    data = b""
    while b"\r\n\r\n" not in data:
        more = c.recv(4096)
        if not more:
            return False
        data += more
    if kind.startswith("bucket"):
        return bucket(c, data)
    method = data.split(b" ", 1)[0]
    if kind == "record":  # what was asked, to standard output
        print(data.decode(), flush=True)
    if method == b"PUT":  # takes nothing
        c.sendall(b"HTTP/1.1 403 no\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return False
    if kind == "silent":
        time.sleep(600)
    elif kind in ("slow", "record"):
        time.sleep(0.25 if kind == "slow" else 0)
        c.sendall(b"HTTP/1.1 404 no\r\nContent-Length: 0\r\n\r\n")
    elif kind == "huge":
        c.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for _ in range(2000):
            c.sendall(b"x" * 1000000)
        return False
    elif kind == "html":
        body = b"<html>please log in</html>"
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    elif kind == "redirect":
        c.sendall(b"HTTP/1.1 302 there\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n")
    elif kind == "cut":
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\ncofferE1")
        return False
    return True


def serve(c):
    try:
        while answer(c):
            pass
    except OSError:
        pass
    c.close()


s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", port))
s.listen(200)
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
