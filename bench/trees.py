# The measurements of bench/trees.sh: the same units by preprocessed text and as files, one after the other, each with a worker and a
# cache of its own. `trees.py BUILD WORK COMMANDS UNITS`. CPU of the client is that of launchers, daemon and all that it runs.
import json, os, shutil, signal, subprocess, sys, time

BUILD, WORK, COMMANDS, UNITS = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
TICK = os.sysconf('SC_CLK_TCK')
COMPILED_HERE_S = 0.05  # no launcher that only waits takes so long


def commands():
    with open(COMMANDS, 'rb') as f:
        words = f.read().split(b'\0')[:-1]
    while words:
        n = int(words[0])
        yield words[1], words[2], words[3], words[4:4 + n]
        words = words[4 + n:]


def cpu_of(pid):  # with all children that it has waited for; seconds
    with open('/proc/%d/stat' % pid) as f:
        fields = f.read().rpartition(')')[2].split()
    return sum(map(int, fields[11:15])) / TICK


class Farm:
    def __init__(self, mode):
        self.home = '%s/%s' % (WORK, mode)
        shutil.rmtree(self.home, ignore_errors=True)
        os.makedirs(self.home)
        socket = self.home + '/w.sock'
        self.env = dict(os.environ, COFFER_CACHE_DIR=self.home + '/cache', COFFER_RUNTIME_DIR=self.home + '/run', COFFER_LOCAL_JOBS='1',
                        COFFER_SEND=mode, COFFER_WORKER='unix:' + socket, LC_ALL='C', HOME=self.home, COFFER_REPRODUCIBLE='off')
        self.worker = subprocess.Popen(
            [BUILD + '/cofferd', 'worker', '--insecure-loopback', '--listen', 'unix:' + socket, '--admin', '', '--name', 'w', '--folder',
             self.home + '/w', '--slots', '4', '--agent', BUILD + '/coffer-agent'], stdout=subprocess.DEVNULL, stderr=open(self.home + '/worker.log', 'w'))
        while not os.path.exists(socket):
            time.sleep(0.05)

    def status(self):
        return json.loads(subprocess.run([BUILD + '/coffer', 'status', '--json'], env=self.env, capture_output=True, check=True).stdout)

    def run(self, units):  # the CPU of each launcher, which compiles by itself what does not go away; seconds
        launchers = []
        for directory, out, _, words in units:
            launcher = subprocess.Popen([BUILD.encode() + b'/coffer', *words], cwd=directory, env=self.env)
            _, status, usage = os.wait4(launcher.pid, 0)
            launcher.returncode = status
            assert status == 0, words
            launchers.append(usage.ru_utime + usage.ru_stime)
        return launchers

    def compile(self, units):
        before, daemon = self.status()['counters'], self.status()['pid']
        cpu, began = cpu_of(daemon), time.monotonic()
        launchers = [t for t in self.run(units) if t < COMPILED_HERE_S]
        wall = time.monotonic() - began
        cpu = cpu_of(daemon) - cpu
        now = self.status()['counters']
        grown = {k: now[k] - before.get(k, 0) for k in now}
        sent = grown['remote_tree_bytes'] + grown['remote_text_bytes']
        return dict(units=len(units), away=grown['remote_compiles'] + grown['remote_hits'], trees=grown['remote_trees'],
                    ms=1000 * wall / len(units), daemon_ms=1000 * cpu / len(units), launcher_ms=1000 * sum(launchers) / max(1, len(launchers)),
                    kb=sent / 1000 / max(1, len(launchers)))

    def end(self):
        subprocess.run([BUILD + '/coffer', 'stop'], env=self.env, capture_output=True)
        self.worker.send_signal(signal.SIGTERM)
        self.worker.wait()
        shutil.rmtree(self.home, ignore_errors=not os.environ.get('KEEP'))


units = list(commands())
step = max(1, len(units) // (2 * UNITS))
units = units[::step][:2 * UNITS]
warm, first, known = units[:1], units[1:UNITS], units[UNITS:2 * UNITS]


def measure(farm, mode):
    farm.run(warm)  # worker, session, compiler: compared
    for name, some in (('first build', first), ('headers known', known)):
        r = farm.compile(some)
        print('%-5s %-14s %3d units, %3d away, %3d as files: %6.1f ms each; CPU here: launcher %.1f, daemon %.1f ms; %.1f KB sent' % (
            mode, name, r['units'], r['away'], r['trees'], r['ms'], r['launcher_ms'], r['daemon_ms'], r['kb']), flush=True)


for mode in ('text', 'tree'):
    farm = Farm(mode)
    try:
        measure(farm, mode)
    finally:
        farm.end()
