# The measurements of bench/farm.sh. CPU is that of everything: of the worker with its agents and jobs, and of the client.
import json, os, re, resource, shutil, signal, subprocess, sys, time, urllib.request

BUILD, WORK = sys.argv[1], sys.argv[2]
IMAGE = 'sha256:' + 64 * 'a'
PORT, ADMIN = 17430, 17431
CXX = '#include <map>\n#include <string>\n#include <vector>\n#include <iostream>\n#include <algorithm>\n' \
      'int f(std::map<std::string, std::vector<int>> &m) { int n = 0; for (auto &p : m) { std::sort(p.second.begin(), p.second.end());' \
      ' n += p.second.size(); std::cout << p.first; } return n; }\n'


def cpu_of(usage):
    return usage.ru_utime + usage.ru_stime


class Children:  # CPU of all children that were waited for meanwhile
    def __enter__(self):
        self.before, self.began = cpu_of(resource.getrusage(resource.RUSAGE_CHILDREN)), time.monotonic()
        return self

    def __exit__(self, *_):
        self.wall = time.monotonic() - self.began
        self.cpu = cpu_of(resource.getrusage(resource.RUSAGE_CHILDREN)) - self.before


class Worker:
    def __init__(self, *words):
        shutil.rmtree(WORK + '/state', ignore_errors=True)
        self.log = open(WORK + '/worker.log', 'w')
        self.process = subprocess.Popen(
            [BUILD + '/cofferd', 'worker', '--insecure-loopback', '--listen', '127.0.0.1:%d' % PORT, '--admin', '127.0.0.1:%d' % ADMIN,
             '--folder', WORK + '/state', '--images', WORK + '/images', *words], stderr=self.log)
        while not self.is_ready():
            time.sleep(0.05)

    def is_ready(self):
        try:
            return self.status()['images']
        except OSError:
            return False

    def status(self):
        with urllib.request.urlopen('http://127.0.0.1:%d/status' % ADMIN, timeout=30) as f:
            return json.load(f)

    def memory(self, what='VmRSS'):
        with open('/proc/%d/status' % self.process.pid) as f:
            return int(re.search(what + r':\s+(\d+)', f.read()).group(1))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait() == 0


def client(*words):
    done = subprocess.run([BUILD + '/programs/compile_client', *words[:-2], '127.0.0.1:%d' % PORT, words[-2], *words[-1]],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(w.split('=') for w in done.stdout.split()) if 'jobs=' in done.stdout else done.stdout


def fan_out(jobs, at_once, slots):
    with Children() as idle:
        Worker('--slots', str(slots)).stop()
    with Children() as all_of_it:
        w = Worker('--slots', str(slots), '--queue', '16384', '--processes', '16')
        client('--image', IMAGE, WORK + '/tiny.i', [])  # opens the session
        walls = [float(client('--image', IMAGE, '--jobs', str(jobs), '--at-once', str(at_once), WORK + '/tiny.i', [])['wall_s'])
                 for _ in range(3)]
        w.stop()
    per_job = (all_of_it.cpu - idle.cpu) * 1000 / (3 * jobs)
    ideal = -(-jobs // slots) * 1.0
    print('fan-out: %d jobs of 1 s, %d at once, %d slots: %s s (ideal %.1f), %.2f ms CPU a job' %
          (jobs, at_once, slots, ' '.join('%.2f' % x for x in walls), ideal, per_job), flush=True)


def directly(jobs, at_once):
    with Children() as all_of_it:
        subprocess.run('seq %d | xargs -P %d -I{} %s/bin/gcc -o %s/out.{}' % (jobs, at_once, WORK, WORK), shell=True, check=True)
    print('the stand-in run directly, %d at once: %.2f s, %.2f ms CPU a job' % (at_once, all_of_it.wall, all_of_it.cpu * 1000 / jobs), flush=True)
    subprocess.run('rm -f %s/out.*' % WORK, shell=True)


def distcc_servers(slots, path):
    servers = []
    for port in (17441, 17442, 17443):
        servers.append(subprocess.Popen(['distccd', '--no-detach', '--daemon', '--port', str(port), '--jobs', str(slots), '--allow', '127.0.0.1',
                                         '--enable-tcp-insecure', '--log-file', WORK + '/distccd.%d' % port],
                                        env=dict(os.environ, PATH=path), stderr=subprocess.DEVNULL))
    time.sleep(1)
    hosts = ' '.join('127.0.0.1:%d/%d' % (port, slots) for port in (17441, 17442, 17443))
    return servers, dict(os.environ, DISTCC_HOSTS=hosts, DISTCC_DIR=WORK + '/distcc', DISTCC_FALLBACK='0', PATH=path)


def cpu_of_tree(pid):  # with what it has waited for; it ends without waiting for all
    try:
        with open('/proc/%d/stat' % pid) as f:
            fields = f.read().rsplit(')', 1)[1].split()
        with open('/proc/%d/task/%d/children' % (pid, pid)) as f:
            children = [int(p) for p in f.read().split()]
    except OSError:
        return 0
    return sum(map(int, fields[11:15])) / os.sysconf('SC_CLK_TCK') + sum(map(cpu_of_tree, children))


def stop_servers(servers):
    for s in servers:
        s.terminate()
    for s in servers:
        s.wait()


def distcc(jobs, at_once):
    if not shutil.which('distcc'):
        print('distcc is not installed')
        return
    servers, env = distcc_servers(170, WORK + '/bin:' + os.environ['PATH'])
    with Children() as all_of_it:
        rc = subprocess.run('seq %d | xargs -P %d -I{} distcc gcc -c %s/tiny.i -o %s/out.{}' % (jobs, at_once, WORK, WORK), shell=True, env=env,
                            stderr=subprocess.DEVNULL).returncode
    cpu = all_of_it.cpu + sum(cpu_of_tree(p.pid) for p in servers)
    stop_servers(servers)
    print('distcc, three servers with 170 slots each, %d at once: %.2f s, %.2f ms CPU a job%s' %
          (at_once, all_of_it.wall, cpu * 1000 / jobs, '' if rc == 0 else ' (some failed)'), flush=True)
    subprocess.run('rm -f %s/out.*' % WORK, shell=True)


def streams(n):
    w = Worker('--slots', str(n), '--queue', '256', '--processes', '16', '--source-memory', '4G')
    client('--image', IMAGE, WORK + '/tiny.i', [])
    before = w.memory()
    process = subprocess.Popen([BUILD + '/programs/compile_client', '--image', IMAGE, '--jobs', str(n), '--at-once', str(n), '127.0.0.1:%d' % PORT,
                                WORK + '/tiny.i', '-fsleep=20000'], stdout=subprocess.PIPE, text=True)
    most, running, steady = 0, 0, 0
    while process.poll() is None:
        now = w.status()['running']
        most, running = w.memory('VmHWM'), max(running, now)
        steady = w.memory() if now == n else steady
        time.sleep(0.5)
    line = process.stdout.read().strip()
    w.stop()
    print('streams: %s; %d jobs ran at once; %.1f KiB of the worker a stream while all run, %.1f at its highest' %
          (line, running, (steady - before) / n, (most - before) / n), flush=True)


def real_source():
    with open(WORK + '/real.cc', 'w') as f:
        f.write(CXX)
    subprocess.run(['g++', '-O2', '-E', WORK + '/real.cc', '-o', WORK + '/real.ii'], check=True)
    return WORK + '/real.ii'


def sandbox_jobs(rounds):
    source = real_source()
    raw, packed = os.path.getsize(source), len(subprocess.run(['zstd', '-3', '-qc', source], stdout=subprocess.PIPE).stdout)
    with Children() as plain:
        for _ in range(rounds):
            subprocess.run(['g++', '-O2', '-x', 'c++-cpp-output', '-c', source, '-o', WORK + '/real.o'], check=True)
    words = ['--image', 'host:any', '--compiler', 'g++', '--language', 'c++-cpp-output', '--suffix', '.ii']
    # Of the farm's, what is not the compiler's own is counted, as compiles differ by more than that from one time to the next.
    with Children() as idle:
        w = Worker()
        client(*words, source, ['-O2'])
        w.stop()
    with Children() as farm:
        w = Worker()
        client(*words, source, ['-O2'])
        line = client(*words, '--jobs', str(rounds), '--at-once', '1', source, ['-O2'])
        w.stop()
    servers, env = distcc_servers(2, os.environ['PATH'])
    with Children() as theirs:
        for _ in range(rounds):
            subprocess.run(['distcc', 'g++', '-O2', '-x', 'c++-cpp-output', '-c', source, '-o', WORK + '/real.o'], check=True, env=env,
                           stderr=subprocess.DEVNULL)
    servers_cpu = sum(cpu_of_tree(p.pid) for p in servers)
    stop_servers(servers)
    ms = lambda x: x * 1000 / rounds
    print('C++, %d KiB of text (%d packed, %.1fx): plain compile %.1f ms CPU; in the sandbox %s ms, and coffer itself %.1f ms; distcc adds %.1f ms' %
          (raw >> 10, packed >> 10, raw / packed, ms(plain.cpu), line['job_cpu_ms'], ms(farm.cpu - idle.cpu) - float(line['job_cpu_ms']),
           ms(theirs.cpu + servers_cpu - plain.cpu)), flush=True)


def hits(rounds):
    source = real_source()
    words = ['--image', 'host:any', '--compiler', 'g++', '--language', 'c++-cpp-output', '--suffix', '.ii', '--repeat', '--hint']
    w = Worker()
    client(*words[:-2], source, ['-O2'])
    early = client(*words, '--jobs', str(rounds), '--at-once', '1', source, ['-O2'])
    late = client(*words[:-1], '--jobs', str(rounds), '--at-once', '1', source, ['-O2'])
    w.stop()
    for name, line in (('early, its digest named', early), ('after the upload', late)):
        assert line['cached'] == line['jobs'], line
        print('a hit %s: %.2f ms' % (name, float(line['wall_s']) * 1000 / rounds), flush=True)


os.makedirs(WORK + '/distcc', exist_ok=True)
with open(WORK + '/tiny.i', 'w') as f:
    f.write('int x;\n')
ALL = {'directly': lambda: directly(1000, 500), 'fan-out': lambda: fan_out(1000, 500, 500), 'wide': lambda: fan_out(2000, 1000, 1000),
       'distcc': lambda: distcc(1000, 500), 'streams': lambda: streams(5000), 'jobs': lambda: sandbox_jobs(20), 'hits': lambda: hits(200)}
for name in sys.argv[3:] or ALL:
    ALL[name]()
