# A scheduler or a worker as an operator starts it: its log by events, its pages, its end. COFFERD names the program, and the
# current folder holds what it leaves.
import json, os, signal, subprocess, time, urllib.request

COFFERD = os.environ['COFFERD']
HOME = os.getcwd()


def run(*words, status=0, **more):
    done = subprocess.run([COFFERD, *words], capture_output=True, text=True, timeout=20, **more)
    assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def read(path, mode='rb'):
    with open(path, mode) as f:
        return f.read()


def write(path, data):
    with open(path + '.new', 'wb' if isinstance(data, bytes) else 'w') as f:
        f.write(data)
    os.rename(path + '.new', path)


class Program:
    def start(self, kind, served, *words):
        self.log_path = HOME + '/log.%s.%d' % (kind, time.monotonic_ns())
        with open(self.log_path, 'w') as log:
            self.process = subprocess.Popen([COFFERD, kind, *words, '--log-level', 'debug'], stderr=log)
        return self.wait_for_log(served)

    # Of a line that is being written there may be a part.
    def logs(self):
        return [json.loads(line) for line in read(self.log_path).rpartition(b'\n')[0].splitlines()]

    def wait_for_log(self, event, **fields):
        for _ in range(1000):
            for line in self.logs():
                if line['event'] == event and all(line.get(k) == v for k, v in fields.items()):
                    return line
            assert self.process.poll() is None, read(self.log_path, 'r')
            time.sleep(0.02)
        raise AssertionError((event, fields, self.logs()))

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        assert self.process.wait(60) == 0, self.logs()

    def page(self, name):
        with urllib.request.urlopen('http://%s%s' % (self.admin, name), timeout=5) as f:
            return f.read().decode()

    def status(self):
        return json.loads(self.page('/status'))
