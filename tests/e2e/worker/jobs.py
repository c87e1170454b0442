# A worker as an operator starts it, and clients that are not ours: Debian's python3-grpcio, with stubs from proto/coffer.proto.
# `jobs.py SCENARIO` runs one; FOLDER is the current one.
import base64, hashlib, json, os, queue, re, signal, socket, struct, subprocess, sys, threading, time, urllib.request

import grpc
import jwt

import coffer_pb2 as pb
import coffer_pb2_grpc as rpc
from program import COFFERD, HOME, Program, read, run, write

STAND_IN = 'sha256:' + 64 * 'a'
C = b'# 1 "/x/a.c"\nint f(int x) { return x + 1; }\n'


def squeeze(data):
    return subprocess.run(['zstd', '-qc'], input=data, stdout=subprocess.PIPE, check=True).stdout


def expand(data):
    return subprocess.run(['zstd', '-qdc'], input=data, stdout=subprocess.PIPE, check=True).stdout


def bomb(blocks):  # so many blocks of 128 KiB of one byte
    head = b'\x28\xb5\x2f\xfd' + b'\x00' + b'\x38'  # no size, a window of 128 KiB
    block = lambda last: struct.pack('<I', last | 1 << 1 | (128 << 10) << 3)[:3] + b'a'
    return head + block(0) * (blocks - 1) + block(1)


class Scheduler(Program):
    def __init__(self, listen='127.0.0.1:0'):
        at = self.start('scheduler', 'scheduler serves', '--config', HOME + '/farm/scheduler.conf', '--listen', listen,
                        '--admin', '127.0.0.1:0', '--heartbeat', '500ms')
        self.listen, self.admin = at['address'], at['admin']
        self.address = 'localhost:' + self.listen.split(':')[1]


class Worker(Program):
    def __init__(self, *words, name='w1', scheduler=''):
        if not os.path.exists(HOME + '/farm'):
            run('keys', 'init', HOME + '/farm', '--worker', 'w1', '--worker', 'w2', '--tenant', 'acme', '--tenant', 'other')
        self.name = name
        self.words = words
        # The address is said again, as this one is free to choose.
        # Observing all six that it looks for by itself is a second of its start.
        if '--compilers' not in words:
            words = ('--compilers', 'gcc g++', *words)
        at = self.start('worker', 'worker serves', '--config', '%s/farm/worker-%s.conf' % (HOME, name), '--scheduler', scheduler,
                        '--listen', '127.0.0.1:0', '--address', '', '--admin', '127.0.0.1:0', '--folder',
                        '%s/state-%s' % (HOME, name), '--images', HOME + '/images', *words)
        self.port, self.admin = at['address'].split(':')[1], at['admin']

    def token(self, tenant='acme', image=STAND_IN, isolation='process', **more):
        return run('token', 'issue', '--key', HOME + '/farm/token-key.pem', '--worker', more.get('worker', self.name), '--tenant',
                   tenant, '--image', image, '--isolation', isolation, '--slots', str(more.get('slots', 1)), '--lifetime', more.get('lifetime', '5m')).strip()

    def channel(self):
        credentials = grpc.ssl_channel_credentials(read(HOME + '/farm/ca.pem'))
        return grpc.secure_channel('localhost:' + self.port, credentials, [('grpc.use_local_subchannel_pool', 1)])

    def client(self, tenant='acme', image=STAND_IN, **more):
        return Client(self.channel(), more.get('token') or self.token(tenant, image), image)

    def counts(self, **expected):
        now = self.status()
        assert {k: now[k] for k in expected} == expected, (expected, now)


class Answer:
    def __init__(self, replies):
        self.started = self.result = None
        self.frame = b''
        for m in replies:
            kind = m.WhichOneof('kind')
            if kind == 'started':
                assert not self.result
                self.started = m.started
            elif kind == 'result':
                assert not self.result
                self.result = m.result
            else:
                assert self.result
                self.frame += m.piece
        self.out, self.err = self.result.out.decode(), self.result.err.decode()
        self.exit, self.cached, self.limit = self.result.exit_status, self.result.cached, self.result.limit
        data, self.outputs = expand(self.frame) if self.frame else b'', {}
        for o in self.result.outputs:
            self.outputs[o.kind], data = data[:o.size], data[o.size:]
            assert hashlib.sha256(self.outputs[o.kind]).digest() == o.sha256
        assert not data
        self.object = self.outputs.get(pb.Output.OBJECT)


class Client:
    def __init__(self, channel, token, image):
        self.channel, self.image = channel, image
        self.metadata = [('authorization', 'Bearer ' + token)] if token else []
        self.stub = rpc.WorkerStub(channel)

    def header(self, words=(), **more):
        fields = dict(image=self.image, compiler='gcc', arguments=words, language='cpp-output', suffix='.i',
                      outputs=[pb.Output(kind=pb.Output.OBJECT)])
        fields.update(more)
        return pb.CompileRequest(header=pb.CompileHeader(**fields))

    def call(self, messages, timeout=60):
        return self.stub.Compile(iter(messages), metadata=self.metadata, timeout=timeout)

    def start(self, words=(), source=C, timeout=60, **more):
        data = squeeze(source)
        pieces = [pb.CompileRequest(source=data[i:i + (1 << 20)]) for i in range(0, len(data), 1 << 20)]
        return self.call([self.header(words, **more)] + pieces, timeout)

    def compile(self, words=(), source=C, **more):
        return Answer(self.start(words, source, **more))

    def refused(self, code, words=(), source=C, text='', messages=None, **more):
        try:
            Answer(self.call(messages) if messages else self.start(words, source, **more))
        except grpc.RpcError as e:
            assert e.code() == code and text in e.details(), (e.code(), e.details())
            return e
        raise AssertionError('taken: %r %r' % (words, more))


INVALID, DENIED, FULL = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.RESOURCE_EXHAUSTED
ABORTED = grpc.StatusCode.ABORTED
STRANGER, CANT = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.FAILED_PRECONDITION
GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN)


def in_threads(*functions):
    results = [None] * len(functions)

    def call(i):
        try:
            results[i] = functions[i]()
        except grpc.RpcError as e:
            results[i] = e
    threads = [threading.Thread(target=call, args=(i,)) for i in range(len(functions))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return results


def wait_until(what, within=10):
    end = time.monotonic() + within
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


# ---- results --------------------------------------------------------------------------------------------------------

def local(words, source, compiler, language, suffix):
    os.makedirs(HOME + '/local', exist_ok=True)
    write(HOME + '/local/source' + suffix, source)
    done = subprocess.run([compiler, *words, '-x', language, '-c', 'source' + suffix, '-o', 'x.o'], cwd=HOME + '/local',
                          env=dict(os.environ, LC_ALL='C.UTF-8'), capture_output=True, text=True)
    return done.returncode, done.stderr, read(HOME + '/local/x.o') if done.returncode == 0 else None


def preprocessed(compiler, text, words, language):
    return subprocess.run([compiler, *words, '-E', '-x', language, '-'], input=text, stdout=subprocess.PIPE, check=True).stdout


def scenario_results(*worker_words):
    w = Worker(*worker_words)
    c = w.client(image='host:any')
    first = c.compile(['-O2', '-g'])
    assert first.exit == 0 and not first.cached and first.started is not None and first.err == '', first.result
    assert first.result.source_digest == hashlib.sha256(C).digest() and len(first.result.key) == 32
    assert first.result.usage.wall_us > 0
    second = c.compile(['-O2', '-g'])
    assert second.cached and second.started is None and second.object == first.object
    assert second.result.key == first.result.key
    # The digest before the source: the answer comes without it.
    sent = queue.Queue()

    def slow():
        yield c.header(['-O2', '-g'], source_digest=hashlib.sha256(C).digest())
        sent.get(timeout=30)
        yield pb.CompileRequest(source=squeeze(C))
    early = Answer(c.call(slow()))
    sent.put(1)
    assert early.cached and early.object == first.object
    w.counts(hits=1, early_hits=1, runs=1, stored=1)
    # Other words, other text: other results.
    assert not c.compile(['-O1', '-g']).cached
    assert not c.compile(['-O2', '-g'], source=C + b'\n').cached
    # What fails is told as it is, and never kept.
    for _ in range(2):
        bad = c.compile(['-O2'], source=b'int main(void) { return y; }\n')
        assert bad.exit == 1 and not bad.cached and '‘y’ undeclared' in bad.err and not bad.outputs, bad.err
    # Warnings are part of a result.
    for cached in (False, True):
        warned = c.compile(['-Wall'], source=b'int f(void) { int unused; return 0; }\n')
        assert warned.exit == 0 and warned.cached == cached and '-Wunused-variable' in warned.err
    assembly = c.compile(['-S', '-O2'])
    assert b'.globl\tf' in assembly.object
    split = c.compile(['-g', '-gsplit-dwarf'], outputs=[pb.Output(kind=pb.Output.OBJECT), pb.Output(kind=pb.Output.DWO)],
                      output_name='out/a.o')
    assert b'out/a.dwo' in split.object and len(split.outputs[pb.Output.DWO]) > 100
    usage = c.compile(['-fstack-usage'], outputs=[pb.Output(kind=pb.Output.OBJECT), pb.Output(kind=pb.Output.STACK_USAGE)])
    assert usage.outputs[pb.Output.STACK_USAGE] == b'/x/a.c:1:5:f\t16\tstatic\n', usage.outputs
    again = c.compile(['-O2', '-g'], no_lookup=True)
    assert not again.cached and again.object == first.object
    w.counts(not_reproducible=0)
    # Why each of these was no hit.
    c.compile(['-O2'], compiler='g++', language='c++-cpp-output', suffix='.ii')
    causes = dict(miss_source=4, miss_toolchain=1, miss_arguments=4, miss_same=1, miss_isolation=0, miss_asked=1)
    w.counts(**causes, runs=sum(causes.values()))
    w.stop()


def scenario_local():
    w = Worker()
    c = w.client(image='host:any')
    c_text = b'#include <stdio.h>\n#include <stdlib.h>\nint main(int n, char **v) { printf("%d %s %s\\n", n, v[0], __FILE__); abort(); }\n'
    cxx_text = b'#include <map>\n#include <string>\nnamespace { int hidden(int x) { return x; } }\n' \
               b'int f() { std::map<std::string, int> m; m["x"] = hidden(3); try { throw 1; } catch (int) {} return m.size(); }\n'
    trials = [('gcc', 'c', c_text, words) for words in (['-O2'], ['-g'], ['-O2', '-g3', '-fPIC'], ['-O2', '-Wall', '-fstack-protector'])]
    trials += [('g++', 'c++', cxx_text, words) for words in (['-O2'], ['-g', '-O1', '-std=c++17'])]
    trials += [('clang', 'c', c_text, words) for words in (['-O2'], ['-O2', '-g', '-fdebug-compilation-dir=.'])]
    trials += [('clang++', 'c++', cxx_text, words) for words in (['-O2'], ['-g', '-fdebug-compilation-dir=/a/b'])]
    for compiler, language, text, words in trials:
        suffix, kind = ('.i', 'cpp-output') if language == 'c' else ('.ii', 'c++-cpp-output')
        source = preprocessed(compiler, text, words, language)
        mine = c.compile(words, source, compiler=compiler, language=kind, suffix=suffix)
        status, messages, theirs = local(words, source, compiler, kind, suffix)
        assert (mine.exit, mine.err) == (status, messages), (compiler, words, mine.err, messages)
        assert mine.object == theirs, (compiler, words)
    w.stop()


def scenario_process():
    scenario_results('--runtime', 'process')
    # A sandbox does not give out what was made without one.
    w = Worker()
    assert not w.client(image='host:any').compile(['-O2', '-g']).cached
    w.counts(miss_isolation=1, miss_source=0)
    w.stop()


def scenario_describe():
    w = Worker()
    c = w.client(image='host:any')
    ask = lambda **words: c.stub.Describe(pb.DescribeRequest(**words), metadata=c.metadata, timeout=20)
    for _ in range(2):
        facts = ask(image='host:any', compiler='gcc', language='c')
        version = subprocess.run(['gcc', '-v'], capture_output=True, text=True).stderr.splitlines()[-1].strip()
        assert facts.version == version and facts.target == 'x86_64-linux-gnu' and len(facts.defines) == 16
    assert re.fullmatch('host:[0-9a-f]{32}', facts.identity) and facts.isolation == pb.ISOLATION_SANDBOX
    wait_until(lambda: w.status()['images'])
    assert facts.identity in w.status()['images'] and 'host:any' in w.status()['images'] and STAND_IN in w.status()['images']
    assert ask(image='host:any', compiler='g++', language='c++').identity != facts.identity
    # The very compiler as an image.
    exact = w.client(image=facts.identity)
    assert exact.compile().exit == 0
    exact.refused(CANT, compiler='g++', text="not the image's")
    w.client(image='host:' + 32 * '0').refused(CANT, text="not the image's")
    w.client(image='sha256:' + 64 * 'b').refused(CANT, text='no image')
    c.refused(CANT, compiler='powerpc-linux-gnu-gcc', text='no compiler')
    for bad in (dict(compiler='sh'), dict(compiler='/bin/gcc'), dict(language='c; id'), dict(image='x')):
        try:
            ask(**dict(dict(image='host:any', compiler='gcc', language='c'), **bad))
            raise AssertionError(bad)
        except grpc.RpcError as e:
            assert e.code() == INVALID
    w.stop()


def scenario_policy():
    # What Describe has told must still be so when a job comes.
    w = Worker()
    c = w.client(image='host:any')
    ask = lambda c: c.stub.Describe(pb.DescribeRequest(image='host:any', compiler='gcc', language='c'), metadata=c.metadata, timeout=20)
    facts = ask(c)
    assert not facts.keep_nothing
    assert c.compile(identity=facts.identity).exit == 0 and c.compile(keeps_nothing=True).exit == 0
    c.refused(ABORTED, identity='host:' + 32 * '0', text='has changed')
    c.refused(ABORTED, identity='x' * 5000, text='has changed')
    w.counts(outdated=2)
    w.stop()
    # Nobody's job is taken who does not promise to keep nothing, not even a known result.
    w = Worker('--paranoid')
    c = w.client(image='host:any')
    assert ask(c).keep_nothing
    c.refused(ABORTED, text='policy')
    c.refused(ABORTED, source_digest=hashlib.sha256(C).digest(), text='policy')
    assert c.compile(identity=facts.identity, keeps_nothing=True).exit == 0
    w.counts(outdated=2)
    w.stop()


def scenario_status():
    # How busy it is, and what the caller's tenant has of that.
    w = Worker('--slots', '2')
    acme, other = w.client(), w.client('other')
    ask = lambda c: c.stub.Status(pb.StatusRequest(), metadata=c.metadata, timeout=20)
    empty = ask(acme)
    assert (empty.slots, empty.running, empty.sessions, empty.own_answers) == (2, 0, 0, 0) and empty.version
    for _ in range(3):
        assert acme.compile().exit == 0
    assert other.compile(source=C + b'int g;\n').exit == 0
    mine, theirs = ask(acme), ask(other)
    assert (mine.own_answers, mine.own_hits, mine.own_sessions, mine.sessions) == (3, 2, 1, 2), mine
    assert (theirs.own_answers, theirs.own_hits, theirs.own_sessions) == (1, 0, 1), theirs
    # Nowhere a name.
    assert b'other' not in mine.SerializeToString() and b'acme' not in theirs.SerializeToString()
    try:
        w.client(token='x').stub.Status(pb.StatusRequest(), metadata=[('authorization', 'Bearer x')], timeout=20)
        raise AssertionError('without a token')
    except grpc.RpcError as e:
        assert e.code() == STRANGER
    w.stop()


# ---- who may --------------------------------------------------------------------------------------------------------

def scenario_tokens():
    w = Worker()
    key = read(HOME + '/farm/token-key.pem', 'r')
    good = w.token()
    kid = jwt.get_unverified_header(good)['kid']
    claims = jwt.decode(good, options={'verify_signature': False})
    sign = lambda key=key, algorithm='ES256', kid=kid, **more: jwt.encode(dict(claims, **more), key, algorithm, headers={'kid': kid})
    assert w.client(token=good).compile().exit == 0
    assert w.client(token=sign()).compile().exit == 0
    head, body, signature = good.split('.')
    part = lambda o: base64.urlsafe_b64encode(json.dumps(o).encode()).rstrip(b'=').decode()
    now = int(time.time())
    other_key = run('keys', 'init', HOME + '/other') and read(HOME + '/other/token-key.pem', 'r')
    bad = {
        'none': part({'alg': 'none', 'typ': 'JWT', 'kid': kid}) + '.' + body + '.',
        'hs256': jwt.encode(claims, 'secret', 'HS256', headers={'kid': kid}),
        'tampered': head + '.' + part(dict(claims, sub='other')) + '.' + signature,
        'expired': sign(nbf=now - 400, iat=now - 400, exp=now - 100),
        'later': sign(nbf=now + 100, exp=now + 200),
        'worker': sign(aud='w2'),
        'use': sign(use='register'),
        'isolation': sign(isolation='microvm'),
        'key': sign(key=other_key),
        'long': sign(exp=now + 86400 * 30),
        'empty': '',
        'text': 'x.y.z',
    }
    for name, token in bad.items():
        Client(w.channel(), token, STAND_IN).refused(STRANGER)
    # Of another image, and of none.
    w.client(image='host:any', token=good).refused(DENIED)
    w.client(token=w.token(image='host:any')).refused(DENIED)
    # The health service asks for nothing.
    check = w.channel().unary_unary('/grpc.health.v1.Health/Check')
    assert check(b'\x0a\x10coffer.v1.Worker', timeout=5) == b'\x08\x01'
    for line in w.logs():
        assert good not in json.dumps(line)
    # A new key: taken without a restart, and the old one is not taken any more.
    for name in ('token-key.pem', 'jwks.json'):
        os.rename(HOME + '/other/' + name, HOME + '/farm/' + name)
    wait_until(lambda: in_threads(lambda: w.client(token=w.token()).compile())[0].__class__ is Answer)
    w.client(token=good).refused(STRANGER)
    w.stop()


def scenario_tenants():
    w = Worker()
    a, b = w.client('acme'), w.client('other')
    first = a.compile()
    assert not first.cached and a.compile().cached
    theirs = b.compile()
    assert not theirs.cached and theirs.result.key != first.result.key
    # Whoever knows the digest of another tenant's source gets nothing for it.
    secret = C + b'/* secret */\n'
    a.compile(source=secret)
    lie = Answer(b.call([b.header(source_digest=hashlib.sha256(secret).digest()), pb.CompileRequest(source=squeeze(C))]))
    assert lie.cached and lie.result.key == theirs.result.key
    # In the own tenant a lie finds what the tenant has, and leaves nothing behind.
    before = a.compile(source=C + b'1')
    lie = Answer(a.call([a.header(source_digest=hashlib.sha256(b'never seen').digest()), pb.CompileRequest(source=squeeze(C + b'2'))]))
    assert not lie.cached and lie.result.source_digest == hashlib.sha256(C + b'2').digest()
    a.refused(INVALID, messages=[a.header(source_digest=b'short')])
    assert not a.compile(source=b'never seen').cached
    folders = os.listdir(HOME + '/state-w1/results')
    assert sorted(folders) == ['tenant-acme', 'tenant-other']
    assert all(os.stat(HOME + '/state-w1/results/' + f).st_mode & 0o77 == 0 for f in folders)
    assert os.stat(HOME + '/state-w1/scratch').st_mode & 0o77 == 0
    # Nothing is left from one job to the next.
    for client in (a, b, a):
        assert client.compile(['-fleave'], no_lookup=True).err == 'nothing\n'
    w.stop()


# ---- what is asked for ----------------------------------------------------------------------------------------------

def scenario_hostile():
    w = Worker('--source-size', '32M')
    c = w.client(image='host:any')
    words = [['-include', '/etc/shadow'], ['@/etc/shadow'], ['-fplugin=/tmp/x.so'], ['-B', '/tmp'], ['-B/tmp'], ['-wrapper', 'sh,-c,id'],
             ['-specs=/tmp/x'], ['-Wa,-I/etc'], ['-Wp,-include,/etc/shadow'], ['-I/etc'], ['-o', '/tmp/x'], ['-x', 'c'], ['/etc/shadow'],
             ['-Xclang', '-load'], ['-fdump-tree-all'], ['-save-temps'], ['-march=native'], ['-'], [''], ['-O2\n-B.'], ['-O2'] * 2000]
    for w_ in words:
        c.refused(INVALID, w_)
    for more in (dict(compiler='/bin/sh'), dict(compiler='python3'), dict(compiler=''), dict(language='c'), dict(suffix='/../x.i'),
                 dict(output_name='../x.o'), dict(output_name='/tmp/x.o'), dict(output_name='-x'), dict(outputs=[]),
                 dict(outputs=[pb.Output(kind=3)]), dict(outputs=[pb.Output(kind=0)] * 2), dict(source_digest=b'x')):
        c.refused(INVALID, **more)
    source = lambda data: pb.CompileRequest(source=data)
    good = squeeze(C)
    header = c.header()
    for messages in ([source(good)], [pb.CompileRequest()], [header], [header, header], [header, source(b'')], [header, source(C)],
                     [header, source(good[:-3])], [header, source(good + b'x')], [header, source(good), header], [header, source(good + good)],
                     [header, source(bomb(1100))]):
        c.refused(INVALID, messages=messages)
    c.refused(CANT, source=os.urandom(33 << 20))
    for text in (b'asm(".incbin \\"/etc/shadow\\"");', b'asm(".include \\"/etc/shadow\\"");'):
        c.refused(INVALID, source=text)
    # What the compiler opens is the sandbox's.
    for text in (b'# 1 "/etc/shadow"\nint x = y;\n', b'# 1 "/proc/self/environ"\nint x = y;\n'):
        bad = c.compile(source=text)
        assert bad.exit == 1 and 'root:' not in bad.err and 'PATH' not in bad.err, bad.err
    # What a job leaves is looked at with suspicion.
    s = w.client()
    s.refused(CANT, ['-flink'])
    s.refused(CANT, ['-fnothing'])
    assert s.compile(['-fstatus=77']).exit == 77
    # And honest work goes on.
    assert c.compile().exit == 0 and s.compile().exit == 0
    w.stop()


def scenario_limits():
    w = Worker('--wall-time', '2s')
    s, c = w.client(), w.client(image='host:any')
    for more in ({}, dict(timeout_ms=300), dict(timeout_ms=100000)):
        began = time.monotonic()
        slow = s.compile(['-fsleep=30000'], **more)
        took = time.monotonic() - began
        assert slow.limit == 'wall' and slow.exit != 0 and not slow.outputs and took < 15, took
        assert (took < 1.9) == (more.get('timeout_ms') == 300), took
    assert c.compile().exit == 0 and s.compile().exit == 0
    w.stop()


def scenario_limits_of_bytes():
    w = Worker('--memory', '256M', '--message-size', '64K', '--output-size', '1M', '--upload-time', '2s')
    c = w.client(image='host:any')
    c.refused(CANT, source=b'char x[8 << 20] = {1};\n', text='outputs')
    loud = c.compile(source=b'int f(void) { %s }\n' % b''.join(b'y%d;' % i for i in range(5000)))
    assert loud.limit == 'messages' and loud.exit != 0 and len(loud.err.encode()) <= 64 << 10, (loud.limit, loud.exit)
    greedy = c.compile(['-O2'], source=b'template <int n> struct A { A<n + 1> a; int b[sizeof a]; }; A<0> x;\n', compiler='g++',
                       language='c++-cpp-output', suffix='.ii')
    assert greedy.exit != 0
    # A client that does not send its source is not waited for.
    began = time.monotonic()
    never = threading.Event()

    def stuck():
        yield c.header()
        never.wait(30)
    try:
        Answer(c.call(stuck()))
        raise AssertionError
    except grpc.RpcError as e:
        assert e.code() == grpc.StatusCode.DEADLINE_EXCEEDED, e
    never.set()
    assert time.monotonic() - began < 15
    assert c.compile().exit == 0
    w.stop()


# ---- many at once ---------------------------------------------------------------------------------------------------

def scenario_full():
    w = Worker('--slots', '1', '--queue', '2')
    a, b = w.client('acme'), w.client('other')
    job = lambda client, i: lambda: client.compile(['-fsleep=700'], source=b'%d' % i)
    results = in_threads(*[job(a, i) for i in range(5)])
    answers = [r for r in results if isinstance(r, Answer)]
    errors = [r for r in results if isinstance(r, grpc.RpcError)]
    assert len(answers) == 3 and all(r.exit == 0 for r in answers), results
    for e in errors:
        assert e.code() == FULL and ('grpc-retry-pushback-ms', '500') in [tuple(t) for t in e.trailing_metadata()], e
    # What was full is told before the source comes; what is known is answered all the same.
    busy = [a.start(['-fsleep=1500'], source=b'busy%d' % i) for i in range(3)]
    wait_until(lambda: w.status()['waiting'] == 2)
    never = threading.Event()

    def stuck(header):
        yield header
        never.wait(10)
    try:
        Answer(b.call(stuck(b.header())))
        raise AssertionError
    except grpc.RpcError as e:
        assert e.code() == FULL
    known = a.header(['-fsleep=700'], source_digest=answers[0].result.source_digest)
    assert Answer(a.call(stuck(known))).cached
    never.set()
    # Who goes away while waiting makes place.
    busy[2].cancel()
    wait_until(lambda: w.status()['waiting'] == 1)
    assert [Answer(call).exit for call in busy[:2]] == [0, 0]
    w.stop()


def scenario_fair():
    w = Worker('--slots', '2', '--queue', '200')
    a, b = w.client('acme'), w.client('other')
    ended = []

    def job(client, name, i):
        def work():
            client.compile(['-fsleep=100'], source=b'%s%d' % (name.encode(), i))
            ended.append(name)
        return work
    many = threading.Thread(target=lambda: in_threads(*[job(a, 'a', i) for i in range(60)]))
    many.start()
    wait_until(lambda: w.status()['waiting'] >= 30)
    before = len(ended)
    in_threads(*[job(b, 'b', i) for i in range(4)])
    between = ended[before:].count('a')
    assert between < 20, between  # in turn about as many as its own; at the end of the queue 30 and more
    many.join()
    assert len(ended) == 64
    w.stop()


# ---- a hostile tenant, in a process of its own (beside PORT TOKEN) ---------------------------------------------------

def silent_connections(port):
    kept = []
    while True:
        try:
            kept.append(socket.create_connection(('127.0.0.1', port), timeout=5))
        except OSError:
            pass
        if len(kept) > 600:
            kept.pop(0).close()
        time.sleep(0.02)


def silent_streams(client):  # health checks and compiles that never say anything
    def nothing():
        time.sleep(3600)
        yield
    while True:
        calls = [client.stub.Compile(nothing(), metadata=client.metadata, timeout=30) for _ in range(30)]
        time.sleep(5)
        for c in calls:
            c.cancel()


def headers_only(client):
    while True:
        def header():
            yield client.header()
            time.sleep(20)
        calls = [client.call(header(), timeout=30) for _ in range(40)]
        time.sleep(4)
        for c in calls:
            c.cancel()


def endless_jobs(client, i):
    n = 0
    while True:
        n += 1
        try:
            client.compile(['-fsleep=60000'], source=b'endless %d %d' % (i, n), no_lookup=True)
        except grpc.RpcError:
            time.sleep(0.2)


def bad_tokens(port_client):
    while True:
        try:
            port_client.compile(source=b'x')
        except grpc.RpcError:
            time.sleep(0.05)


def scenario_beside(port, token):
    class Nobody:
        pass
    w = Nobody()
    w.port = port
    at = lambda t: Client(Worker.channel(w), t, STAND_IN)
    work = [lambda: silent_connections(int(port)), lambda: silent_streams(at(token)), lambda: headers_only(at(token)),
            lambda: bad_tokens(at('a.b.c'))]
    work += [lambda i=i: endless_jobs(at(token), i) for i in range(12)]
    for f in work:
        threading.Thread(target=f, daemon=True).start()
    time.sleep(3600)


def p99(latencies):
    return sorted(latencies)[len(latencies) * 99 // 100]


def scenario_soak():
    n = int(os.environ.get('COFFER_SOAK_JOBS', '1000'))
    w = Worker('--slots', '4', '--queue', '32', '--busy-wall-time', '2s', '--log-level', 'info')
    honest = w.client('other', token=w.token('other', lifetime='1h'))  # 10,000 jobs take longer than 5 minutes

    def jobs(name, count):
        took = []
        for i in range(count):
            began = time.monotonic()
            answer = honest.compile(['-fsleep=20'], source=b'%s %d' % (name, i))
            took.append(time.monotonic() - began)
            assert answer.exit == 0 and answer.object and not answer.limit, answer.result
        return took
    jobs(b'warm', 20)
    alone = p99(jobs(b'alone', max(n // 4, 200)))
    hostile = subprocess.Popen([sys.executable, __file__, 'beside', w.port, w.token('acme', slots=100, lifetime='1h')])
    try:
        wait_until(lambda: w.status()['waiting'] >= 3, 30)
        beside = p99(jobs(b'beside', n))
        assert hostile.poll() is None
        status = w.status()
    finally:
        hostile.kill()
        hostile.wait()
    print('p99 alone %.0f ms, beside a hostile tenant %.0f ms; %d jobs ended for others, %d strangers' % (
        1e3 * alone, 1e3 * beside, status['overdue'], status['strangers']))
    assert any(t['name'] == 'acme' and t['running'] == 3 and t['waiting'] for t in status['tenants']), status
    assert beside <= 2 * alone, (alone, beside)
    assert w.page('/healthz') == 'serving\n'
    # What they caused in the log has a limit.
    lines = sum(1 for l in w.logs() if l['event'] in ('call refused', 'connection closed', 'handshake failed'))
    assert lines < 60000, lines
    w.process.kill()
    w.process.wait()


def scenario_same_key():
    w = Worker('--slots', '8')
    a, b = w.client('acme'), w.client('other')
    job = lambda c: lambda: c.compile(['-fsleep=500', '-frandom'])
    results = in_threads(*[job(a)] * 6, job(b))
    assert len({r.object for r in results[:6]}) == 1 and sorted(r.cached for r in results[:6]) == [False] + [True] * 5
    assert not results[6].cached and results[6].object != results[0].object
    w.counts(runs=2)
    # The one that runs goes away: another one of those that wait takes over.
    first = a.start(['-fsleep=1000'])
    wait_until(lambda: w.status()['running'] == 1)
    second = a.start(['-fsleep=1000'])
    time.sleep(0.2)
    first.cancel()
    assert Answer(second).exit == 0
    w.stop()


def scenario_second_opinion():
    w = Worker()
    c = w.client()
    first, second = c.compile(['-frandom']), c.compile(['-frandom'], no_lookup=True)
    assert first.object != second.object and not second.cached
    assert c.compile(['-frandom']).object == first.object
    w.counts(not_reproducible=1)
    w.wait_for_log('result not reproducible', tenant='acme', key=first.result.key.hex())
    assert 'coffer_worker_not_reproducible_total 1\n' in w.page('/metrics')
    w.stop()


# ---- what goes wrong ------------------------------------------------------------------------------------------------

def children(pid):  # by parent: /proc has them by thread, and threads end
    return [int(p) for p in subprocess.run(['pgrep', '-P', str(pid)], stdout=subprocess.PIPE).stdout.split()]


def scenario_killed():
    w = Worker()
    c = w.client()
    assert c.compile().exit == 0
    wait_until(lambda: len(children(w.process.pid)) == 1)  # what has begun the session may still end
    agents = children(w.process.pid)
    call = c.start(['-fsleep=1000'])
    wait_until(lambda: w.status()['running'] == 1)
    time.sleep(0.3)
    os.kill(agents[0], signal.SIGKILL)
    answer = Answer(call)
    assert answer.exit == 0 and answer.object
    w.counts(retried=1, broken=0)
    assert children(w.process.pid) != agents
    # The worker itself: its client is told at once, and nothing of the job goes on.
    call = c.start(['-fsleep=60000'])
    wait_until(lambda: w.status()['running'] == 1)
    agents = children(w.process.pid)
    w.process.kill()
    w.process.wait()
    try:
        Answer(call)
        raise AssertionError
    except grpc.RpcError as e:
        assert e.code() in GONE, e
    wait_until(lambda: not any(os.path.exists('/proc/%d/root/usr' % p) for p in agents))
    again = Worker()
    assert again.client().compile().cached
    again.stop()


def scenario_client_gone():
    w = Worker('--slots', '1')
    c = w.client()
    call = c.start(['-fsleep=60000'])
    wait_until(lambda: w.status()['running'] == 1)
    call.cancel()
    wait_until(lambda: w.status()['running'] == 0)
    # By its own deadline.
    try:
        Answer(c.start(['-fsleep=60000'], timeout=0.5))
        raise AssertionError
    except grpc.RpcError as e:
        assert e.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    wait_until(lambda: w.status()['running'] == 0)
    assert c.compile().exit == 0
    w.stop()


def scenario_disk_full():
    os.makedirs(HOME + '/state-w1/results')
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', HOME + '/state-w1/results'], check=True)
    try:
        w = Worker()
        c = w.client(image='host:any')
        source = b'const unsigned char x[] = {%s};\n' % b','.join(b'%d' % b for b in os.urandom(100000))
        for _ in range(2):
            answer = c.compile(source=source)
            assert answer.exit == 0 and not answer.cached
        w.counts(not_stored=2, broken=0)
        w.stop()
    finally:
        subprocess.run(['umount', '-l', HOME + '/state-w1/results'], check=True)


def scenario_audit_full():
    os.makedirs(HOME + '/state-w1/audit')
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', HOME + '/state-w1/audit'], check=True)
    try:
        w = Worker()
        c = w.client(image='host:any')
        assert c.compile().exit == 0
        with open(HOME + '/state-w1/audit/fill', 'wb', 0) as f:
            while tries_to_write(f):
                pass
        for i in range(300):  # what there is room for in the last page
            answer = in_threads(lambda: c.compile(source=C + b'/* %d */' % i))[0]
            if not isinstance(answer, Answer):
                break
        assert isinstance(answer, grpc.RpcError) and answer.code() == grpc.StatusCode.UNAVAILABLE, answer
        w.wait_for_log('audit row not written')
        # With room again it goes on.
        os.unlink(HOME + '/state-w1/audit/fill')
        assert c.compile(source=C + b'/* again */').exit == 0
        w.process.kill()
        w.process.wait()
    finally:
        subprocess.run(['umount', '-l', HOME + '/state-w1/audit'], check=True)


def tries_to_write(f):
    try:
        return f.write(b'x' * 4096)
    except OSError:
        return 0


def scenario_damaged():
    w = Worker()
    c = w.client()
    first = c.compile()
    for folder, _, files in os.walk(HOME + '/state-w1/results/tenant-acme/v1'):
        for name in files:
            if len(name) == 30:
                data = bytearray(read(folder + '/' + name))
                data[-3] ^= 1
                write(folder + '/' + name, bytes(data))
    again = c.compile()
    assert not again.cached and again.object == first.object
    assert w.status()['corrupt'] == 1 and c.compile().cached
    w.stop()


# ---- the farm -------------------------------------------------------------------------------------------------------

def route(s, image, tenant='acme', **more):
    of = lambda ending: read('%s/farm/tenant-%s%s' % (HOME, tenant, ending))
    credentials = grpc.ssl_channel_credentials(read(HOME + '/farm/ca.pem'), of('-key.pem'), of('.pem'))
    channel = grpc.secure_channel(s.address, credentials, [('grpc.use_local_subchannel_pool', 1)])
    return rpc.SchedulerStub(channel).Route(pb.RouteRequest(image=image, slots=4, **more), timeout=10)


def scenario_farm():
    run('keys', 'init', HOME + '/farm', '--worker', 'w1', '--worker', 'w2', '--tenant', 'acme', '--tenant', 'other')
    s = Scheduler()
    w = Worker(scheduler=s.address)
    s.wait_for_log('worker registered', worker='w1')
    facts = w.client(image='host:any').stub.Describe(pb.DescribeRequest(image='host:any', compiler='gcc', language='c'), timeout=10,
                                                     metadata=w.client(image='host:any').metadata)
    r = route(s, facts.identity).routes[0]
    certificate = subprocess.run(['openssl', 'x509', '-in', HOME + '/farm/worker-w1.pem', '-outform', 'DER'], capture_output=True).stdout
    assert r.worker == 'w1' and r.certificate_sha256 == hashlib.sha256(certificate).digest() and r.isolation == pb.ISOLATION_SANDBOX
    assert r.address == '127.0.0.1:' + w.port
    c = w.client(image=facts.identity, token=r.token)
    assert c.compile().exit == 0 and c.compile().cached
    wait_until(lambda: s.status()['totals']['hits'] == 1 and s.status()['totals']['jobs'] == 2)
    # The scheduler goes and comes: jobs go on, the worker is back by itself.
    s.stop()
    wait_until(lambda: not w.status()['registered'])
    assert c.compile(['-O3']).exit == 0
    s = Scheduler(s.listen)
    s.wait_for_log('worker registered', worker='w1')
    wait_until(lambda: w.status()['registered'])
    # A second worker registers with a token instead of a certificate.
    run('token', 'issue', '--key', HOME + '/farm/token-key.pem', '--worker', 'w2', '--out', HOME + '/w2.token')
    w2 = Worker('--register-token', HOME + '/w2.token', name='w2', scheduler=s.address)
    s.wait_for_log('worker registered', worker='w2')
    # The same job on both is the same, byte for byte.
    assert w2.client(image='host:any').compile(['-g', '-O2']).object == w.client(image='host:any').compile(['-g', '-O2']).object
    # A new certificate is told to the scheduler.
    run('keys', 'add', HOME + '/farm', '--worker', 'w9')
    for ending in ('.pem', '-key.pem'):
        write(HOME + '/farm/worker-w2' + ending, read(HOME + '/farm/worker-w9' + ending))
    w2.process.send_signal(signal.SIGHUP)
    certificate = subprocess.run(['openssl', 'x509', '-in', HOME + '/farm/worker-w2.pem', '-outform', 'DER'], capture_output=True).stdout
    digest = hashlib.sha256(certificate).digest()
    wait_until(lambda: digest in [r.certificate_sha256 for r in route(s, STAND_IN).routes])
    w2.stop()
    w.stop()
    s.stop()


def scenario_drain():
    run('keys', 'init', HOME + '/farm', '--worker', 'w1', '--worker', 'w2', '--tenant', 'acme', '--tenant', 'other')
    s = Scheduler()
    w = Worker('--slots', '1', scheduler=s.address)
    s.wait_for_log('worker registered', worker='w1')
    c = w.client()
    calls = [c.start(['-fsleep=1500'], source=b'%d' % i) for i in range(2)]
    wait_until(lambda: w.status()['running'] == 1 and w.status()['waiting'] == 1)
    assert len(route(s, STAND_IN).routes) == 1
    w.process.send_signal(signal.SIGTERM)
    wait_until(lambda: not route(s, STAND_IN).routes, within=2)
    late = in_threads(lambda: w.client().compile())[0]
    assert isinstance(late, grpc.RpcError) and late.code() in GONE, late
    assert [Answer(call).exit for call in calls] == [0, 0]
    assert w.process.wait(20) == 0
    s.stop()


def scenario_operator():
    w = Worker('--slots', '3')
    w.client().compile()
    status = w.status()
    assert status['name'] == 'w1' and status['slots'] == 3 and status['isolation'] == 'sandbox' and status['sessions'] == 1
    metrics = w.page('/metrics')
    for line in ('coffer_worker_slots 3', 'coffer_worker_runs_total 1', 'coffer_worker_sessions 1', 'coffer_worker_hits_total 0'):
        assert line + '\n' in metrics, (line, metrics)
    for line in metrics.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[^}]*\})? \d+', line), line
    assert w.page('/healthz') == 'serving\n'
    w.wait_for_log('compile', tenant='acme', outcome='run', exit=0)
    for line in w.logs():
        assert {'time', 'level', 'event'} <= line.keys(), line
    w.stop()


def scenario_insecure():
    run('worker', '--insecure-loopback', '--listen', '0.0.0.0:0', '--folder', HOME + '/s', status=2)
    run('worker', '--insecure-loopback', '--scheduler', 'localhost:1', '--folder', HOME + '/s', status=2)
    assert "'certificate' must be set" in run('worker', '--folder', HOME + '/s', status=2)
    w = Worker.__new__(Worker)
    at = w.start('worker', 'worker serves', '--insecure-loopback', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--folder',
                 HOME + '/s')
    w.wait_for_log('insecure: whoever reaches the address runs jobs here, as there is no TLS and no token')
    w.admin = at['admin']
    c = Client(grpc.insecure_channel(at['address']), '', 'host:any')
    assert c.compile().exit == 0 and c.compile().cached
    w.stop()
    at = w.start('worker', 'worker serves', '--insecure-loopback', '--listen', 'unix:' + HOME + '/sock', '--admin', '', '--folder',
                 HOME + '/s')
    assert os.stat(HOME + '/sock').st_mode & 0o77 == 0
    assert Client(grpc.insecure_channel('unix:' + HOME + '/sock'), '', 'host:any').compile().cached
    w.stop()


if __name__ == '__main__':
    globals()['scenario_' + sys.argv[1]](*sys.argv[2:])
