#!/usr/bin/python3
"""The gateway in figures: blobs up and down, look-ups, results of compile actions, execution. See reapi.md.

Needs python3-grpcio and protoc. BENCH_ROOT names a root that has buildbox-casd, recc and gcc (Debian sid, say): with it, and as root,
hits by recc from coffer's gateway are compared with hits from buildbox-casd. BENCH_COFFERD is another cofferd.
"""

import os
import pathlib
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

TREE = pathlib.Path(__file__).resolve().parent.parent
WORK = pathlib.Path(tempfile.mkdtemp(prefix="coffer-bench-reapi-"))
os.environ["COFFERD"] = os.environ.get("BENCH_COFFERD", str(TREE / "build/release/cofferd"))
os.environ["REAPI_RUNTIME"] = "sandbox"
subprocess.run(["protoc", "-I", TREE / "proto", f"--python_out={WORK}", "reapi.proto"], check=True)
sys.path[:0] = [str(WORK), str(TREE / "tests/e2e"), str(TREE / "tests/e2e/reapi")]
sys.dont_write_bytecode = True
(WORK / "home").mkdir()
os.chdir(WORK / "home")

import reapi_pb2 as pb  # noqa: E402
from api import Client, digest  # noqa: E402
from cache import Gateway, open_gateway  # noqa: E402
from exec import Worker, farm, operations, prepare  # noqa: E402

ROOT = os.environ.get("BENCH_ROOT")


def say(figure, value, aim=""):
    print(f"| {figure} | {value} | {aim} |", flush=True)


def cpu(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Span:
    """Wall time, and the CPU time of a program meanwhile."""

    def __init__(self, program):
        self.pid = program.process.pid

    def __enter__(self):
        self.wall, self.cpu = time.monotonic(), cpu(self.pid)
        return self

    def __exit__(self, *_):
        self.wall, self.cpu = time.monotonic() - self.wall, cpu(self.pid) - self.cpu


def run(c, action, **more):
    last = list(operations(c, action, **more))[-1]
    response = pb.ExecuteResponse()
    response.ParseFromString(last.response.value)
    assert response.status.code == 0 and response.result.exit_code == 0, response
    return last


# ---- blobs ------------------------------------------------------------------------------------------------------------


def blobs():
    g, c = open_gateway("--tenant-size=20G")
    size, n = 64 << 20, 8
    for kind in "random", "text":
        piece = random.Random(1).randbytes(1 << 20) if kind == "random" else (b"int f(int a) { return a + 1; }\n" * 34000)[: 1 << 20]
        data = [b"%08d" % i + piece * (size >> 20) for i in range(n)]
        digests = [digest(d) for d in data]
        with Span(g) as up:
            for d, k in zip(data, digests):
                c.write(d, k, size=1 << 20)
        with Span(g) as down:
            for k in digests:
                name = f"{c.prefix()}blobs/{k.hash}/{k.size_bytes}"
                for _ in c.stream("/google.bytestream.ByteStream/Read", pb.ReadRequest(resource_name=name), pb.ReadResponse):
                    pass
        total = size * n / 1e6
        say(f"blobs of 64 MiB, {kind}, up", f"{total / up.wall:.0f} MB/s; the gateway's CPU {total / max(up.cpu, 0.01):.0f} MB/s", "500 MB/s")
        say("the same, down", f"{total / down.wall:.0f} MB/s; the gateway's CPU {total / max(down.cpu, 0.01):.0f} MB/s", "500 MB/s")
    missing = [digest(b"%d" % i) for i in range(10000)]
    there = [digest(b"x%d" % i) for i in range(10000)]
    for i in range(0, 10000, 2000):
        c.batch_update(*[pb.BatchUpdate(digest=there[k], data=b"x%d" % k) for k in range(i, i + 2000)])
    for what, ask in ("missing", missing), ("there", there):
        walls = []
        with Span(g) as span:
            for _ in range(9):
                began = time.monotonic()
                c.missing(*ask)
                walls.append(time.monotonic() - began)
        say(f"FindMissingBlobs of 10,000, {what}", f"{1000 * min(walls):.1f} ms best, {1000 * statistics.median(walls):.1f} median; CPU {1000 * span.cpu / 9:.1f} ms", "50 ms")
    g.stop()


# ---- execution --------------------------------------------------------------------------------------------------------


def execution():
    g, c, w = farm()
    actions = [prepare(c, ["/bin/true", str(i)], do_not_cache=True) for i in range(60)]
    run(c, actions[0])
    walls = []
    with Span(g) as gate, Span(w) as work:
        for a in actions[1:]:
            began = time.monotonic()
            run(c, a)
            walls.append(time.monotonic() - began)
    n = len(walls)
    say("Execute of /bin/true, one after the other", f"{1000 * min(walls):.1f} ms best, {1000 * statistics.median(walls):.1f} median; CPU of gateway {1000 * gate.cpu / n:.1f}, of worker {1000 * work.cpu / n:.1f} ms", "10 ms over the sandbox")
    for inputs in 10, 1000:
        tree = {"f%04d" % i: b"%d" % i for i in range(inputs)}
        actions = [prepare(c, ["/bin/true", "t%d" % i], tree, do_not_cache=True) for i in range(12)]
        for a in actions[:3]:  # from the third one on directories stay laid out
            run(c, a)
        walls = []
        with Span(g) as gate, Span(w) as work:
            for a in actions[3:] * 8:
                began = time.monotonic()
                run(c, a)
                walls.append(time.monotonic() - began)
        n = len(walls)
        say(f"the same with {inputs} inputs that the worker has", f"{1000 * min(walls):.1f} ms best, {1000 * statistics.median(walls):.1f} median; CPU of gateway {1000 * gate.cpu / n:.1f}, of worker {1000 * work.cpu / n:.1f} ms", "5 ms over its process at 1,000")
    for p in (g, w):
        p.stop()


def fan_out():
    slots, jobs = 500, 500
    w = Worker("many", "--slots", str(slots), "--runtime", "process")
    g = Gateway("--insecure-loopback", "--workers=" + w.address)
    clients = [Client(g.address) for _ in range(4)]
    actions = [prepare(clients[0], ["/bin/sleep", "1", "%d" % i][:2], env={"N": str(i)}, do_not_cache=True) for i in range(jobs)]
    run(clients[0], actions[0])
    done = []

    def one(i):
        done.append(run(clients[i % 4], actions[i], timeout=120).done)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(jobs)]
    with Span(g) as gate, Span(w) as work:
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    say(f"{jobs} actions of 1 s on {slots} slots", f"{gate.wall:.2f} s, {len(done)} done; CPU of gateway {gate.cpu:.2f}, of worker {work.cpu:.2f} s", "1.3 s")
    for p in (g, w):
        p.stop()


# ---- recc -------------------------------------------------------------------------------------------------------------


def in_root(*words, **env):
    return ["chroot", ROOT, "env", "-i", "PATH=/usr/bin:/bin", *[f"{k}={v}" for k, v in env.items()], *words]


def free_port():
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def recc():
    inside, port = f"/tmp/{WORK.name}", free_port()
    outside = pathlib.Path(ROOT + inside)
    outside.mkdir(parents=True)
    names = ["u%02d.c" % i for i in range(12)]
    for n in names:
        (outside / n).write_text("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n" + "".join(
            f"int f{k}_{n[1:3]}(const char *s) {{ printf(\"%s %d\", s, {k}); return (int)strlen(s); }}\n" for k in range(40)))
    g, _ = open_gateway()
    casd = subprocess.Popen(in_root("buildbox-casd", "--bind", f"127.0.0.1:{port}", "--log-level", "error", inside + "/casd"),
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(2)
    servers = {"coffer": (g.address, "acme"), "casd": (f"127.0.0.1:{port}", "")}

    def compile_all(server):
        walls = []
        for n in names:
            words = in_root("sh", "-c", f"cd {inside} && rm -f x.o && exec recc /usr/bin/gcc -O1 -g -c {n} -o x.o",
                            RECC_SERVER="http://" + servers[server][0], RECC_INSTANCE=servers[server][1], RECC_CACHE_ONLY="1",
                            RECC_CACHE_UPLOAD_LOCAL_BUILD="1", RECC_PROJECT_ROOT=inside, HOME=inside)
            began = time.monotonic()
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            walls.append(1000 * (time.monotonic() - began))
        return walls

    for s in servers:
        compile_all(s)
    hits = g.status()["result_hits"]
    walls = {s: [] for s in servers}
    for _ in range(5):
        for s in servers:  # in turn, so that what else the machine does meets both
            walls[s] += compile_all(s)
    assert g.status()["result_hits"] - hits == 5 * len(names), g.status()
    m = {s: statistics.median(walls[s]) for s in servers}
    say("a hit by recc", f"coffer {m['coffer']:.1f} ms, casd {m['casd']:.1f} ms, {m['coffer'] / m['casd']:.2f} of it; best {min(walls['coffer']):.1f} and {min(walls['casd']):.1f}", "1.3 of it, aimed at 0.5")
    # The servers' part of it: the result and its two blobs.
    parts = {}
    blob = random.Random(2).randbytes(20000) + b"x" * 30000
    for s, (address, instance) in servers.items():
        c = Client(address, instance)
        out = c.put(blob)
        log = c.put(b"a depfile\n" * 200)
        action = c.put(pb.Action(command_digest=out, input_root_digest=log).SerializeToString())
        c.update_result(action, pb.ActionResult(output_files=[pb.OutputFile(path="x.o", digest=out), pb.OutputFile(path="x.d", digest=log)]))
        parts[s] = []
        for _ in range(200):
            began = time.monotonic()
            c.get_result(action)
            c.batch_read(out, log)
            parts[s].append(1000 * (time.monotonic() - began))
    m = {s: statistics.median(parts[s]) for s in servers}
    say("the servers' part: GetActionResult, BatchReadBlobs", f"coffer {m['coffer']:.2f} ms, casd {m['casd']:.2f} ms, {m['coffer'] / m['casd']:.2f} of it", "")
    casd.send_signal(signal.SIGTERM)
    casd.wait()
    g.stop()
    shutil.rmtree(outside)


if __name__ == "__main__":
    parts = {f.__name__: f for f in (blobs, execution, fan_out, recc)}
    try:
        print("| figure | measured | asked for |\n|---|---|---|")
        for name in sys.argv[1:] or [n for n in parts if n != "recc" or ROOT]:
            parts[name]()
    finally:
        os.chdir("/")
        shutil.rmtree(WORK, ignore_errors=True)
