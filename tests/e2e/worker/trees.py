# Trees of files from clients that are not ours: listings made by hand (sourcetree/source_tree.h), and files that are not what they are
# said to be. `trees.py SCENARIO`, as jobs.py.
import hashlib, os, queue, struct, sys, time

from jobs import CANT, FULL, HOME, INVALID, Answer, Worker, bomb, grpc, pb, read, squeeze, write

text = lambda s: struct.pack('<I', len(s)) + s
sha = lambda data: hashlib.sha256(data).digest()
file = lambda name, data, size=None, digest=None: (
    name, b'F' + text(name) + struct.pack('<Q', len(data) if size is None else size) + (digest or sha(data)))
link = lambda name, target: (name, b'L' + text(name) + text(target))
raw = lambda name, data: (name, data)


def directory(name, *entries, whole=True):
    inside = b''.join(data for _, data in sorted(entries, key=lambda e: e[0]))
    return name, (b'W' if whole else b'D') + text(name) + inside + b'U'


def listing(*entries, absent=()):
    head = b'coffer tree 1\n' + struct.pack('<I', len(absent)) + b''.join(map(text, absent))
    return head + b''.join(data for _, data in sorted(entries, key=lambda e: e[0]))


def project(*entries):  # /home/u with these
    return listing(directory(b'home', directory(b'u', *entries), whole=False))


class Trees:
    def __init__(self, client):
        self.c, self.needs = client, []

    def header(self, tree, words=(), **more):
        fields = dict(image=self.c.image, compiler='gcc', arguments=['-c', 'a.c', '-o', 'a.o', *words],
                      outputs=[pb.Output(kind=pb.Output.OBJECT, name='/home/u/a.o')])
        said = dict(directory='/home/u', environment=['LC_ALL=C', 'PWD=/home/u'], listing_size=len(tree))
        said.update(more.pop('said', {}))
        fields.update(more)
        return pb.CompileRequest(header=pb.CompileHeader(tree=pb.CompileTree(**said), **fields))

    # `blobs`: what is sent for each need, in order; a function of the worker's needs.
    def compile(self, tree, blobs=(), words=(), frame=None, packed=None, **more):
        messages = queue.Queue()
        self.needs = []
        messages.put(self.header(tree, words, **more))
        for piece in ([squeeze(tree)] if packed is None else packed):
            messages.put(pb.CompileRequest(listing=piece))
        messages.put(pb.CompileRequest(listing=b''))

        def replies():
            for m in self.c.stub.Compile(iter(messages.get, None), metadata=self.c.metadata, timeout=60):
                if m.WhichOneof('kind') != 'needs':
                    yield m
                    continue
                self.needs.append(m.needs)
                if m.needs.listing:
                    messages.put(pb.CompileRequest(listing=squeeze(tree)))
                    messages.put(pb.CompileRequest(listing=b''))
                    continue
                data = frame if frame is not None else squeeze(b''.join(blobs[i] for i in m.needs.files)) if m.needs.files else b''
                if data:
                    messages.put(pb.CompileRequest(files=data))
                messages.put(None)
        try:
            return Answer(replies())
        finally:
            messages.put(None)

    def refused(self, code, tree, *words, **more):
        try:
            self.compile(tree, *words, **more)
        except grpc.RpcError as e:
            assert e.code() in (code if isinstance(code, tuple) else (code,)), (e.code(), e.details())
            return
        raise AssertionError(('taken', tree[:200], more))


A = b'int a(int x) { return x + 1; }\n'


def scenario_hostile():
    w = Worker('--source-size', '32M')
    t = Trees(w.client(image='host:any'))
    good = project(file(b'a.c', A))
    first = t.compile(good, [A])
    assert first.exit == 0 and first.object and list(t.needs[0].files) == [0], first.err
    assert t.compile(good).cached and not t.needs

    # Files that are not what the listing says; none of them is kept.
    for i, frame in enumerate((lambda b: squeeze(A), lambda b: squeeze(b'x' + b), lambda b: squeeze(b[:-1]), lambda b: squeeze(b''),
                               lambda b: squeeze(b)[:-9], lambda b: b'no frame', lambda b: bomb(1100))):
        B = b'int b(int x) { return x + %d; }\n' % i
        other = project(file(b'a.c', B))
        t.refused(INVALID, other, frame=frame(B))
    t.refused(CANT, project(file(b'a.c', B, size=1 << 60)), frame=squeeze(B))
    t.refused(CANT, project(file(b'a.c', B, size=33 << 20)), frame=squeeze(B))
    honest = t.compile(other, [B])
    assert honest.exit == 0 and not honest.cached and list(t.needs[0].files) == [0] and honest.object != first.object

    # Names, links and orders that no listing has.
    for entry in (file(b'..', A), file(b'.', A), file(b'a/b', A), file(b'/etc/x', A), file(b'', A), file(b'a\0b', A), file(b'x' * 256, A),
                  link(b'l', b'../../etc/passwd'), link(b'l', b'/etc/passwd'), link(b'l', b'/proc/self/environ'), link(b'l', b'l'),
                  link(b'l', b''), link(b'l', b'/home/u/nothing'), raw(b'x', b'X'), raw(b'x', b'U' * 100), raw(b'x', b'F'),
                  raw(b'x', file(b'b.c', A)[1] * 2), raw(b'x', file(b'c.c', A)[1] + file(b'b.c', A)[1]),
                  raw(b'x', b'D' + text(b'open'))):
        t.refused(INVALID, project(file(b'a.c', A), entry))
    for top in (b'proc', b'sys', b'dev'):
        t.refused(INVALID, listing(directory(top, file(b'a.c', A))))
    t.refused(INVALID, listing(directory(b'home'), absent=[b'../x']))
    for packed in ([b'no frame'], [squeeze(good)[:-3]], [squeeze(good) + b'x'], [squeeze(good), squeeze(good)], [b'x' * 100]):
        t.refused(INVALID, good, packed=packed)

    # Too many and too large, at once.
    began = time.monotonic()
    many = b''.join(file(b'%07d' % i, b'')[1] for i in range(70000))
    t.refused(CANT, project(raw(b'x', many)))
    million = b''.join(b'L' + text(b'%07d' % i) + text(b'.') for i in range(1000000))
    t.refused(CANT, project(raw(b'x', million)), said={'listing_size': 1000})
    t.refused((CANT, INVALID), good, packed=[bomb(200)])
    t.refused(CANT, good, said={'listing_size': 1 << 40})
    assert time.monotonic() - began < 60

    # What only a header says.
    for said in (dict(directory='home/u'), dict(directory='/home/../etc'), dict(environment=['LD_PRELOAD=/x.so']), dict(environment=['PATH=/x']),
                 dict(environment=['COMPILER_PATH=/x']), dict(prefix=b'x', prefix_size=5)):
        t.refused(INVALID, good, said=said)
    output = lambda name: [pb.Output(kind=pb.Output.OBJECT, name=name)]
    for name in ('a.o', '/home/u/../a.o', '/home//a.o', ''):
        t.refused(INVALID, good, outputs=output(name))
    # Where it is to run or to write is not in the tree, or is no directory.
    for place in ('/home/none', '/home/u/a.c', '/home/u/none', '/usr'):
        t.refused(INVALID, good, said=dict(directory=place))
        t.refused(INVALID, good, outputs=output(place + '/a.o'))
        assert not t.needs
    for name in ('/usr/bin/x.o', '/usr/x.o', '/proc/x.o', '/dev/x.o'):
        t.refused((INVALID, CANT, grpc.StatusCode.UNAVAILABLE), good, [A], words=['-O1'], outputs=output(name))

    # Two names are two files.
    both = {b'A.h': b'#define UPPER 1\n', b'a.h': b'#define LOWER 2\n'}
    C = b'#include "A.h"\n#include "a.h"\nint x[UPPER + LOWER == 3 ? 1 : -1];\n'
    tree = project(file(b'a.c', C), *[file(n, d) for n, d in both.items()])
    assert t.compile(tree, [both[b'A.h'], C, both[b'a.h']]).exit == 0

    # What a job can read is the toolchain's and its own.
    write(HOME + '/secret', b'int secret_of_the_worker;\n')
    for name in (HOME + '/secret', '/proc/self/environ', '/proc/self/root/etc/shadow', '/proc/1/root/etc/shadow', '/proc/1/environ',
                 '/proc/self/cwd/../../../..' + HOME + '/secret', '/home/u/../..' + HOME + '/secret'):
        for line in (b'#include "%s"\n', b'__asm__(".incbin \\"%s\\"");\n'):
            source = line % name.encode()
            tree = project(file(b'a.c', source))
            try:
                said = t.compile(tree, [source])
            except grpc.RpcError as e:
                assert e.code() in (INVALID, CANT), e.details()
                continue
            leaked = b'root:' in (said.object or b'') or b'PATH=' in (said.object or b'') or b'secret' in (said.object or b'')
            assert not leaked and 'root:' not in said.err and 'secret_of' not in said.err, (name, said.err)
            assert said.exit != 0 or name.endswith('environ'), (name, said.err)

    # Contents and listings are a tenant's own.
    stranger = Trees(w.client('other', image='host:any'))
    theirs = stranger.compile(good, [A], said=dict(prefix=sha(good), prefix_size=len(good)))
    assert theirs.exit == 0 and not theirs.cached and stranger.needs[0].listing and list(stranger.needs[1].files) == [0]
    # And honest work goes on.
    assert t.compile(good).cached
    w.stop()


# What lies on the worker's disk may be damaged: the job is not done with it, and the client is asked for it again.
def scenario_damaged():
    w = Worker()
    t = Trees(w.client(image='host:any'))
    H = b'#define H 7\n'
    source = lambda i: b'#include "h.h"\nint f(void) { return H + %d; }\n' % i
    tree = lambda i: project(file(b'a.c', source(i)), file(b'h.h', H))
    one = t.compile(tree(1), [source(1), H])
    assert one.exit == 0 and list(t.needs[0].files) == [0, 1]
    assert t.compile(tree(2), [source(2), H]).exit == 0 and list(t.needs[0].files) == [0]
    damaged = 0
    for folder, _, files in os.walk(HOME + '/state-w1/results/tenant-acme/v1'):
        for name in files:
            data = bytearray(read(folder + '/' + name)) if len(name) == 30 else b''
            at = data.find(H)
            if at >= 0:
                data[at + len(H) - 2] ^= 1
                write(folder + '/' + name, bytes(data))
                damaged += 1
    assert damaged
    t.refused(FULL, tree(3), [source(3), H])
    assert w.status()['lost'] == 1
    three = t.compile(tree(3), [source(3), H])
    assert three.exit == 0 and 1 in list(t.needs[0].files)
    assert t.compile(tree(4), [source(4), H]).exit == 0 and list(t.needs[0].files) == [0]
    w.stop()


globals()['scenario_' + sys.argv[1]]()
