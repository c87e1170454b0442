"""Servers that no store should be. usage: bad.py KIND PORT"""
import socket
import sys
import threading
import time

kind, port = sys.argv[1], int(sys.argv[2])


def answer(c):
    data = b""
    while b"\r\n\r\n" not in data:
        more = c.recv(4096)
        if not more:
            return False
        data += more
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
