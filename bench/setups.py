"""The configurations that are compared: plain, ccache, sccache, coffer, each with a home and a cache of its own."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import time

PATH = "/usr/local/bin:/usr/bin:/bin"


class Setup:
    """A program before the compiler. `hits()` and `misses()` are its own statistics so far."""

    words = ()
    daemon = None

    def __init__(self, name, work, extra=None):
        self.name = name
        self.home = work / name / "home"
        self.home.mkdir(parents=True, exist_ok=True)
        self.cache = work / name / "cache"
        self.env = {"PATH": PATH, "HOME": str(self.home), "LANG": "C.UTF-8", **(extra or {})}
        self.file = work / f"{name}.config"

    def write(self):
        """The configuration as replay reads it."""
        lines = [f"name {self.name}", *(f"word {w}" for w in self.words), *(f"env {k}={v}" for k, v in self.env.items())]
        if self.daemon:
            lines.append(f"daemon {self.daemon}")
        self.file.write_text("\n".join(lines) + "\n")
        return self.file

    def start(self):
        pass

    def stop(self):
        pass

    def hits(self):
        return 0

    def misses(self):
        return 0

    def ask(self, *argv):
        return subprocess.run(argv, env=self.env, check=True, stdout=subprocess.PIPE, text=True).stdout

    def cc(self, compiler):
        return " ".join((*self.words, compiler))


class Plain(Setup):
    pass


class Before(Setup):
    """Some other program in the launcher's place."""

    def __init__(self, name, work, program):
        super().__init__(name, work)
        self.words = (str(program),)


class Ccache(Setup):
    def __init__(self, name, work, inode_cache, shared=None):
        super().__init__(name, work)
        config = work / "ccache.conf"
        config.touch()
        if shared:
            self.cache = shared.cache
        self.env |= {"CCACHE_DIR": str(self.cache), "CCACHE_CONFIGPATH": str(config),
                     "CCACHE_INODECACHE" if inode_cache else "CCACHE_NOINODECACHE": "1"}
        self.words = (shutil.which("ccache", path=PATH),)

    def stats(self):
        return {k: int(v) for k, v in (line.split("\t") for line in self.ask("ccache", "--print-stats").splitlines())}

    def hits(self):
        s = self.stats()
        return s["direct_cache_hit"] + s["preprocessed_cache_hit"]

    def misses(self):
        return self.stats()["cache_miss"]


class Sccache(Setup):
    def __init__(self, name, work):
        super().__init__(name, work)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.env |= {"SCCACHE_DIR": str(self.cache), "SCCACHE_SERVER_PORT": str(port), "SCCACHE_IDLE_TIMEOUT": "0"}
        self.words = (shutil.which("sccache", path=PATH),)
        self.server = None

    def start(self):
        env = self.env | {"SCCACHE_START_SERVER": "1", "SCCACHE_NO_DAEMON": "1"}
        self.server = subprocess.Popen(self.words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.daemon = self.server.pid
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", int(self.env["SCCACHE_SERVER_PORT"]))).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("the sccache server does not answer")

    def stop(self):
        if self.server:
            self.server.terminate()
            self.server.wait()

    def stats(self):
        return json.loads(self.ask("sccache", "--show-stats", "--stats-format", "json"))["stats"]

    def hits(self):
        return sum(self.stats()["cache_hits"]["counts"].values())

    def misses(self):
        return sum(self.stats()["cache_misses"]["counts"].values())


class Coffer(Setup):
    def __init__(self, name, work, coffer, extra=None):
        super().__init__(name, work, extra)
        self.env |= {"COFFER_CACHE_DIR": str(self.cache), "COFFER_RUNTIME_DIR": str(work / name / "run"),
                     "COFFER_IDLE_TIMEOUT": "2h"}
        self.coffer = str(coffer)
        self.words = (self.coffer,)

    def find_daemon(self):
        """Whose environment names our runtime folder."""
        mark = f"COFFER_RUNTIME_DIR={self.env['COFFER_RUNTIME_DIR']}".encode()
        for p in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(p / "exe").endswith("/cofferd") and mark in (p / "environ").read_bytes().split(b"\0"):
                    return int(p.name)
            except OSError:
                pass
        return None

    def start(self):
        """The launcher starts the daemon with the first compile."""
        source = self.home / "start.c"
        source.write_text("int start;\n")
        subprocess.run([self.coffer, "gcc", "-c", "-o", "start.o", "start.c"], env=self.env, cwd=self.home, check=True)
        self.daemon = self.find_daemon()
        if not self.daemon:
            raise RuntimeError("the launcher started no daemon")
        self.ask(self.coffer, "stats", "--zero")

    def stop(self):
        if self.daemon:
            subprocess.run([self.coffer, "stop"], env=self.env, stdout=subprocess.DEVNULL, check=False)

    def stats(self):
        return {k: int(v) for k, v in (line.split("\t")[:2] for line in self.ask(self.coffer, "stats", "--tsv").splitlines())}

    def hits(self):
        s = self.stats()
        return s["direct_hits"] + s["preprocessed_hits"]

    def misses(self):
        return self.stats()["misses"]
