# The measurements of bench/trees_farm.sh: `trees_farm.py BUILD WORK COMMANDS SLOTS AT_ONCE`. Each way of sending with a worker of its own: the
# first build of a client, and that of another client with other results, for which the worker has the headers. CPU of the farm is worker,
# agent and stand-in.
import json, os, resource, shutil, signal, subprocess, sys, time

BUILD, WORK, COMMANDS, SLOTS, AT_ONCE = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5]
TICK = os.sysconf('SC_CLK_TCK')


def write_commands(name, run, only=None):  # for the stand-in, and each run for other results
    with open(COMMANDS, 'rb') as f:
        words = f.read().split(b'\0')[:-1]
    out, units = [], 0
    while words and (only is None or units < only):
        n = int(words[0])
        command = [b'coffer-real-gcc', b'-falign-loops=%d' % run] + words[5:4 + n]
        out += [b'%d' % len(command)] + words[1:4] + command
        words, units = words[4 + n:], units + 1
    path = '%s/%s.%d' % (WORK, name, run)
    with open(path, 'wb') as f:
        f.write(b'\0'.join(out) + b'\0')
    return path, units


def cpu_of(pid):  # with all threads and the children that it has waited for; seconds
    with open('/proc/%d/stat' % pid) as f:
        fields = f.read().rpartition(')')[2].split()
    return sum(map(int, fields[11:15])) / TICK


class Farm:
    def __init__(self, mode):
        self.mode, self.home = mode, '%s/%s' % (WORK, mode)
        os.makedirs(self.home)
        socket = self.home + '/w.sock'
        self.env = dict(os.environ, COFFER_CACHE_DIR=self.home + '/cache', COFFER_RUNTIME_DIR=self.home + '/run', COFFER_SEND=mode,
                        COFFER_WORKER='unix:' + socket, COFFER_REMOTE_JOBS=str(SLOTS), LC_ALL='C', HOME=self.home, COFFER_REPRODUCIBLE='off')
        self.worker = subprocess.Popen(
            [BUILD + '/cofferd', 'worker', '--insecure-loopback', '--listen', 'unix:' + socket, '--admin', '', '--name', 'w', '--folder',
             self.home + '/w', '--slots', str(SLOTS), '--queue', '1000', '--compilers', 'coffer-real-gcc', '--agent', BUILD + '/coffer-agent'],
            stdout=subprocess.DEVNULL, stderr=open(self.home + '/worker.log', 'w'))
        while not os.path.exists(socket):
            time.sleep(0.05)
        self.config = self.home + '/config'

    def client(self, name):  # one who has compiled nothing yet: units that are known here are preprocessed to look for an equal text
        self.env['COFFER_CACHE_DIR'] = self.home + '/' + name
        with open(self.config, 'w') as f:
            print('name', self.mode, '\nword', BUILD + '/coffer', file=f)
            for k, v in self.env.items():
                print('env %s=%s' % (k, v), file=f)
        self.burst(write_commands(self.mode, 1, 1)[0], 1)  # session and compiler: compared

    def stop(self):
        subprocess.run([BUILD + '/coffer', 'stop'], env=self.env, capture_output=True)

    def status(self):
        return json.loads(subprocess.run([BUILD + '/coffer', 'status', '--json'], env=self.env, capture_output=True, check=True).stdout)

    def burst(self, file, at_once):
        out = subprocess.run([WORK + '/burst', str(at_once), file, self.config], env=self.env, capture_output=True, check=True).stdout.decode()
        name, n, _, wall, failed = out.rstrip('\n').split('\t')
        assert failed == '0', out
        return float(wall) / 1e9

    def measure(self, what, run):
        file, units = write_commands(self.mode, run)
        before, daemon = self.status()['counters'], self.status()['pid']
        began, cpu = resource.getrusage(resource.RUSAGE_CHILDREN), cpu_of(daemon)
        wall = self.burst(file, AT_ONCE)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        now = self.status()['counters']
        grown = {k: now[k] - before.get(k, 0) for k in now}
        launchers = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
        ideal = units / SLOTS
        print('%-5s %-14s %3d units, %3d away, %3d as files: %5.2f s (%.2f times the ideal %.2f s); CPU here a unit: launcher %.1f, daemon %.1f ms' % (
            self.mode, what, units, grown['remote_compiles'] + grown['remote_hits'], grown['remote_trees'], wall, wall / ideal, ideal,
            1000 * launchers / units, 1000 * (cpu_of(daemon) - cpu) / units), flush=True)

    def end(self):
        self.stop()
        with open('/proc/%d/stat' % self.worker.pid) as f:
            own = sum(map(int, f.read().rpartition(')')[2].split()[11:13])) / TICK
        began = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.worker.send_signal(signal.SIGTERM)
        self.worker.wait()
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        print('%-5s CPU of the farm in all: worker %.1f s, with agent and stand-ins %.1f s' % (
            self.mode, own, ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime), flush=True)
        shutil.rmtree(self.home, ignore_errors=True)


for mode in ('text', 'tree'):
    farm = Farm(mode)
    try:
        for run, what in ((2, 'first build'), (3, 'headers known')):
            farm.client(what.split()[0])
            farm.measure(what, run)
            farm.stop()
    finally:
        farm.end()
