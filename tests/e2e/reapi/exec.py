# Actions that run on workers, asked for by a client that is not ours. `exec.py SCENARIO` runs one; FOLDER is the current one.
import json, os, subprocess, sys, threading, time, urllib.request

import grpc

import reapi_pb2 as pb
from api import EMPTY, V2, Client, digest, status
from cache import Gateway
from program import COFFERD, HOME, Program, read, run

RUNTIME = os.environ.get('REAPI_RUNTIME', 'sandbox')


class Worker(Program):
    def __init__(self, name='w1', *words):
        at = self.start('worker', 'worker serves', '--insecure-loopback', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--name', name, '--folder',
                        HOME + '/' + name, '--runtime', RUNTIME, '--slots', '4', '--compilers', 'gcc', '--landlock', 'if_available', *words)
        self.address, self.admin = at['address'], at['admin']


def farm(*words, n=1, **more):
    workers = [Worker('w%d' % (i + 1), *words) for i in range(n)]
    g = Gateway('--insecure-loopback', '--result-writers=*', '--workers=' + ' '.join(w.address for w in workers))
    return (g, Client(g.address), *workers)


def node(tree):  # {'name': bytes | (bytes, 'x') | {…} | '->target'} -> blobs, Directory
    blobs, d = [], pb.Directory()
    for name in sorted(tree):
        value = tree[name]
        if isinstance(value, dict):
            more, child = node(value)
            blobs += more
            d.directories.append(pb.DirectoryNode(name=name, digest=digest(child.SerializeToString())))
        elif isinstance(value, str):
            d.symlinks.append(pb.SymlinkNode(name=name, target=value[2:]))
        else:
            data, x = value if isinstance(value, tuple) else (value, '')
            blobs.append(data)
            d.files.append(pb.FileNode(name=name, digest=digest(data), is_executable=bool(x)))
    return blobs + [d.SerializeToString()], d


def prepare(c, arguments, tree=None, outputs=(), env=None, upload=True, **more):
    command = pb.Command(arguments=arguments, output_paths=sorted(outputs), working_directory=more.pop('cwd', ''),
                         environment_variables=[pb.EnvironmentVariable(name=k, value=v) for k, v in sorted((env or {}).items())])
    if 'platform' in more:
        command.platform.properties.extend(pb.Property(name=k, value=v) for k, v in sorted(more.pop('platform').items()))
    for key in ('output_files', 'output_directories'):
        getattr(command, key).extend(more.pop(key, []))
    blobs, root = node(tree or {})
    action = pb.Action(command_digest=digest(command.SerializeToString()), input_root_digest=digest(root.SerializeToString()), **more)
    if upload:
        c.put(*[b for b in blobs if b], command.SerializeToString(), action.SerializeToString())
    return digest(action.SerializeToString())


def operations(c, action, timeout=60, **more):
    return c.stream(V2 + 'Execution/Execute', pb.ExecuteRequest(instance_name=c.instance, action_digest=action, **more), pb.Operation, timeout=timeout)


def response(operation):
    assert operation.done and not operation.HasField('error'), operation
    assert operation.response.type_url == 'type.googleapis.com/build.bazel.remote.execution.v2.ExecuteResponse', operation.response.type_url
    assert operation.metadata.type_url == 'type.googleapis.com/build.bazel.remote.execution.v2.ExecuteOperationMetadata'
    assert pb.ExecuteOperationMetadata.FromString(operation.metadata.value).stage == 4
    return pb.ExecuteResponse.FromString(operation.response.value)


def execute(c, *words, **more):
    ask = {k: more.pop(k) for k in ('skip_cache_lookup', 'inline_output_files', 'inline_stdout') if k in more}
    return response(list(operations(c, prepare(c, *words, **more), **ask))[-1])


def shell(c, script, tree=None, outputs=(), **more):
    return execute(c, ['/bin/sh', '-c', script], tree, outputs, **more)


def files(c, r):
    return {f.path: c.read(f.digest) for f in r.result.output_files}


# ---- scenarios --------------------------------------------------------------------------------------------------------------


def runs():
    g, c, w = farm()
    m = c.capabilities()
    assert m.execution_capabilities.exec_enabled and m.execution_capabilities.digest_function == 1
    r = execute(c, ['gcc', '-c', 'src/a.c', '-Iinclude', '-o', 'out/deep/a.o'], {'src': {'a.c': b'#include "a.h"\nint f(void) { return A; }\n'}, 'include': {'a.h': b'#define A 7\n'}},
                ['out/deep/a.o'])
    assert r.status.code == 0 and r.result.exit_code == 0 and not r.cached_result, r
    assert files(c, r)['out/deep/a.o'][:4] == b'\x7fELF'
    assert r.result.execution_metadata.worker == 'w1'
    # Known now, also to GetActionResult; with skip_cache_lookup it runs again.
    words = (['/bin/sh', '-c', 'date +%N >t; echo out; echo err >&2'], {}, ['t'])
    first, second, third = execute(c, *words), execute(c, *words), execute(c, *words, skip_cache_lookup=True)
    assert not first.cached_result and second.cached_result and first.result.output_files == second.result.output_files
    assert not third.cached_result and third.result.output_files != first.result.output_files
    assert c.get_result(prepare(c, *words)).output_files == third.result.output_files
    assert first.result.stdout_raw == b'out\n' and first.result.stderr_raw == b'err\n' and c.read(first.result.stdout_digest) == b'out\n'
    inline = execute(c, *words, inline_output_files=['t'])
    assert inline.result.output_files[0].contents == c.read(inline.result.output_files[0].digest)
    # What fails is an answer, and is not kept.
    bad = shell(c, 'echo no >&2; exit 3', outputs=['x'])
    assert bad.status.code == 0 and bad.result.exit_code == 3 and bad.result.stderr_raw == b'no\n' and not bad.result.output_files
    assert status(c.get_result, prepare(c, ['/bin/sh', '-c', 'echo no >&2; exit 3'], {}, ['x'])) == 'NOT_FOUND'
    # do_not_cache.
    a = execute(c, ['/bin/sh', '-c', 'date +%N >t'], {}, ['t'], do_not_cache=True)
    b = execute(c, ['/bin/sh', '-c', 'date +%N >t'], {}, ['t'], do_not_cache=True)
    assert not b.cached_result and a.result.output_files != b.result.output_files
    rows = json.loads(urllib.request.urlopen('http://%s/rows' % w.admin).read())
    assert [x['outcome'] for x in rows[:1]] == ['run'] and rows[0]['language'] == 'action' and rows[0]['compiler'] == 'sh', rows[0]
    assert len(rows) == 6 and sum(x['outcome'] == 'failed' for x in rows) == 1, [x['outcome'] for x in rows]
    g.stop()
    w.stop()


def trees():
    g, c, w = farm()
    tree = {'bin': {'tool': (b'#!/bin/sh\necho "tool $@ $PWD" >made\n', 'x')}, 'data': {'a': b'A', 'b': b'', 'link': '->a', 'up': '->../bin/tool'}, 'd': {'e': {'f': {}}}}
    r = shell(c, 'test -x bin/tool && test ! -x data/a && test -d d/e/f && cat data/link && test -f data/b && readlink data/up && ls -A', tree)
    assert r.result.exit_code == 0 and r.result.stdout_raw == b'A../bin/tool\nbin\nd\ndata\n', r
    # A program of the input root runs; the working directory is where it starts and where outputs are named from.
    r = execute(c, ['../bin/tool', 'x'], {**tree, 'work': {'in': b'1'}}, ['made'], cwd='work')
    assert r.result.exit_code == 0 and files(c, r)['made'].startswith(b'tool x '), r
    # Attributes of files are not to be had, and programs go on without.
    r = shell(c, 'cp -p data/a n && mv n data/b && cp -a bin q && q/tool x && cat data/b made', tree)
    assert r.result.exit_code == 0 and not r.result.stderr_raw and r.result.stdout_raw.startswith(b'Atool x '), r
    # Environment: its own before ours, and PATH where it says nothing.
    r = execute(c, ['sh', '-c', 'echo "$A $HOME $LC_ALL"'], env={'A': 'one two', 'HOME': '/h'})
    assert r.result.stdout_raw == b'one two /h C.UTF-8\n', r
    r = execute(c, ['mytool'], {'p': {'mytool': (b'#!/bin/sh\necho mine\n', 'x')}}, env={'PATH': 'p:/usr/bin'})
    assert r.result.stdout_raw == b'mine\n', r
    # Outputs of all kinds, and what is not there is left out.
    r = shell(c, 'mkdir -p o/x/y o/empty; echo 1 >o/1; echo 2 >o/x/2; chmod +x o/x/2; ln -s 1 o/l; echo 2 >o/x/y/2; ln -s nowhere s; echo f >f; chmod 755 f',
              outputs=['f', 'missing', 'o', 's'])
    assert [f.path for f in r.result.output_files] == ['f'] and r.result.output_files[0].is_executable
    assert [(s.path, s.target) for s in r.result.output_symlinks] == [('s', 'nowhere')], r
    d, = r.result.output_directories
    t = pb.Tree.FromString(c.read(d.tree_digest))
    known = {digest(x.SerializeToString()).hash: x for x in t.children}
    assert d.path == 'o' and [f.name for f in t.root.files] == ['1'] and [(l.name, l.target) for l in t.root.symlinks] == [('l', '1')]
    assert [x.name for x in t.root.directories] == ['empty', 'x']
    x = known[t.root.directories[1].digest.hash]
    assert [(f.name, f.is_executable) for f in x.files] == [('2', True)] and c.read(x.files[0].digest) == b'2\n' and x.directories[0].name == 'y'
    assert known[t.root.directories[0].digest.hash] == pb.Directory()
    # The old way to name outputs.
    r = execute(c, ['/bin/sh', '-c', 'mkdir d; echo 1 >d/1; echo f >f'], output_files=['f'], output_directories=['d'])
    assert [f.path for f in r.result.output_files] == ['f'] and [f.path for f in r.result.output_directories] == ['d']
    # Nothing of one action is there for the next; an output with many bytes comes whole.
    assert shell(c, 'ls -A; echo x >left').result.stdout_raw == b'' and shell(c, 'ls -A; : 2').result.stdout_raw == b''
    r = shell(c, 'head -c 20000000 /dev/zero | tr "\\0" x >big', outputs=['big'])
    assert c.read(r.result.output_files[0].digest) == b'x' * 20000000
    # Equal directories stand at many places, and come once.
    same = {'same%d' % i: {'f': b'same'} for i in range(50)}
    assert shell(c, 'cat */f | wc -c', same).result.stdout_raw == b'200\n'
    many = {'d%02d' % i: {'f%02d' % k: b'%d %d' % (i, k) for k in range(50)} for i in range(20)}
    assert shell(c, 'cat */* | wc -c', many).result.stdout_raw.strip().isdigit()
    g.stop()
    w.stop()


def refused():
    g, c, w = farm('--wall-time', '20s')
    # Missing: by a PreconditionFailure that names each.
    tree = {'a': b'here', 'b': b'not here', 'd': {'c': b'nor here'}}
    action = prepare(c, ['true'], tree, upload=False)

    def missing(*uploads):
        c.put(*uploads)
        r = response(list(operations(c, action))[-1])
        assert r.status.code == 9, r
        detail, = r.status.details
        assert detail.type_url == 'type.googleapis.com/google.rpc.PreconditionFailure'
        v = pb.PreconditionFailure.FromString(detail.value).violations
        assert all(x.type == 'MISSING' for x in v)
        return sorted(x.subject for x in v)

    subject = lambda d: 'blobs/%s/%d' % (d.hash, d.size_bytes)
    blobs, root = node(tree)
    command = pb.Command(arguments=['true'])
    message = pb.Action(command_digest=digest(command.SerializeToString()), input_root_digest=digest(root.SerializeToString()))
    assert missing(b'here') == [subject(action)]
    assert missing(message.SerializeToString()) == sorted(map(subject, (message.command_digest, message.input_root_digest)))
    assert missing(command.SerializeToString(), root.SerializeToString()) == sorted(map(subject, (digest(b'not here'), digest(blobs[-2]))))
    assert missing(blobs[-2]) == sorted(map(subject, (digest(b'not here'), digest(b'nor here'))))
    c.put(b'not here', b'nor here')
    assert response(list(operations(c, action))[-1]).status.code == 0
    # Input roots that make no sense.
    f = lambda name, data=b'x': pb.FileNode(name=name, digest=digest(data))
    link = lambda name, target: pb.SymlinkNode(name=name, target=target)
    c.put(b'x')
    empty = pb.DirectoryNode(name='a', digest=pb.Digest(hash=EMPTY))
    for bad in (pb.Directory(files=[f('b'), f('a')]), pb.Directory(files=[f('a'), f('a')]), pb.Directory(files=[f('..')]), pb.Directory(files=[f('.')]),
                pb.Directory(files=[f('')]), pb.Directory(files=[f('a/b')]), pb.Directory(files=[f('/a')]), pb.Directory(files=[f('a\0b')]), pb.Directory(files=[f('a' * 256)]),
                pb.Directory(files=[f('a')], directories=[empty]), pb.Directory(files=[f('a')], symlinks=[link('a', 'b')]),
                pb.Directory(directories=[empty], symlinks=[link('a', 'b')]), pb.Directory(symlinks=[link('a', '/etc/passwd')]), pb.Directory(symlinks=[link('a', '../x')]),
                pb.Directory(symlinks=[link('a', 'b/../../x')]), pb.Directory(symlinks=[link('a', '')]), pb.Directory(files=[pb.FileNode(name='a')]),
                b'\xff\xff', pb.Directory(files=[f('a')]).SerializeToString() * 2):
        data = bad if isinstance(bad, bytes) else bad.SerializeToString()
        message = pb.Action(command_digest=c.put(command.SerializeToString()), input_root_digest=c.put(data))
        r = response(list(operations(c, c.put(message.SerializeToString())))[-1])
        assert r.status.code == 3, (bad, r)
    # Directories that double at each level: a few blobs, and more files than there are atoms.
    level = pb.Directory(files=[f('x')])
    c.put(level.SerializeToString())
    for i in range(90):
        level = pb.Directory(directories=[pb.DirectoryNode(name=n, digest=digest(level.SerializeToString())) for n in 'ab'])
        c.put(level.SerializeToString())
    message = pb.Action(command_digest=digest(command.SerializeToString()), input_root_digest=digest(level.SerializeToString()))
    assert response(list(operations(c, c.put(message.SerializeToString())))[-1]).status.code == 3
    # Commands and actions that make no sense.
    for arguments, more in (([], {}), ([''], {}), (['true'], {'outputs': ['../x']}), (['true'], {'outputs': ['/x']}), (['true'], {'outputs': ['a//b']}),
                            (['true'], {'cwd': '../..'}), (['true'], {'cwd': '/tmp'}), (['a\0b'], {}), (['true'], {'env': {'': 'x'}}),
                            (['true'], {'timeout': pb.Duration(seconds=100000)}), (['true'], {'timeout': pb.Duration(seconds=-1)}),
                            (['true'], {'platform': {'OSFamily': 'Windows'}}), (['true'], {'platform': {'no-such': 'x'}}), (['true'], {'platform': {'ISA': 'arm-a64'}}),
                            (['true'], {'platform': {'container-image': 'docker://x:latest'}}), (['true'], {'platform': {'minimum-isolation': 'perfect'}})):
        r = execute(c, arguments, **more)
        assert r.status.code == 3 and not r.HasField('result'), (arguments, more, r)
    assert execute(c, ['true'], platform={'OSFamily': 'Linux', 'ISA': 'x86-64', 'Pool': 'any', 'minimum-isolation': 'process'}).status.code == 0
    # No worker does with less than is wanted, also where no scheduler chooses it.
    assert execute(c, ['true'], platform={'minimum-isolation': 'microvm'}).status.code == 9
    # No such program; a symbolic link on the way to an output; a device for an output.
    assert execute(c, ['no-such-program']).status.code == 5
    if RUNTIME == 'sandbox':
        assert shell(c, 'rmdir d; ln -s /etc d', outputs=['d/passwd']).status.code == 3
        assert shell(c, 'mkfifo p', outputs=['p']).status.code == 3
    for bad in (pb.Digest(), pb.Digest(hash='x', size_bytes=1)):
        assert status(lambda: list(operations(c, bad))) == 'INVALID_ARGUMENT'
    wait = lambda client, name: list(client.stream(V2 + 'Execution/WaitExecution', pb.WaitExecutionRequest(name=name), pb.Operation))
    assert status(wait, c, 'acme/operations/0123') == 'NOT_FOUND' and status(wait, c, 'nonsense') == 'INVALID_ARGUMENT'
    assert g.status()['broken'] == 0
    g.stop()
    w.stop()


def times():
    g, c, w = farm()
    # A timeout: the code, the result, and nothing kept.
    r = shell(c, 'echo begun; sleep 60', timeout=pb.Duration(seconds=1))
    assert r.status.code == 4 and r.result.exit_code != 0, r
    assert status(c.get_result, prepare(c, ['/bin/sh', '-c', 'echo begun; sleep 60'], timeout=pb.Duration(seconds=1))) == 'NOT_FOUND'
    # An operation outlives its connection, and whoever wants the same joins it; another tenant finds nothing.
    action = prepare(c, ['/bin/sh', '-c', 'sleep 3; date +%N'], {})
    call = operations(c, action)
    name = next(iter(call)).name
    call.cancel()
    other = Client(g.address, 'other')
    wait = lambda client, name: list(client.stream(V2 + 'Execution/WaitExecution', pb.WaitExecutionRequest(name=name), pb.Operation))
    assert status(wait, other, name.replace('acme', 'other')) == 'NOT_FOUND'
    both = [None, None]
    threads = [threading.Thread(target=lambda i=i, f=f: both.__setitem__(i, response(f()[-1])))
               for i, f in enumerate((lambda: wait(c, name), lambda: list(operations(c, action))))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert both[0].result == both[1].result and both[0].result.exit_code == 0, both
    assert response(wait(c, name)[-1]).result == both[0].result
    assert g.status()['executions_joined'] == 1
    # Many at once on four slots.
    began = time.monotonic()
    results = []
    threads = [threading.Thread(target=lambda i=i: results.append(shell(c, 'sleep .2; echo %d' % i).result.stdout_raw)) for i in range(40)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(results) == sorted(b'%d\n' % i for i in range(40)), results
    print('40 actions of 0.2 s on 4 slots:', time.monotonic() - began)
    g.stop()
    w.stop()


def killed():
    g, c, w1, w2 = farm(n=2)
    results = []
    threads = [threading.Thread(target=lambda i=i: results.append(shell(c, 'sleep 1; echo %d' % i).result.stdout_raw)) for i in range(12)]
    for t in threads:
        t.start()
    time.sleep(.7)
    w1.process.kill()
    for t in threads:
        t.join()
    assert sorted(results) == sorted(b'%d\n' % i for i in range(12)), results
    # A worker that has lost its disk asks for everything again.
    assert shell(c, 'cat a', {'a': b'input'}).result.stdout_raw == b'input'
    w2.process.kill()
    w2.process.wait()
    os.system('rm -rf %s/w2/results' % HOME)
    port = w2.address
    w2.start('worker', 'worker serves', '--insecure-loopback', '--listen', port, '--admin', '', '--name', 'w2', '--folder', HOME + '/w2', '--runtime', RUNTIME,
             '--slots', '4', '--compilers', 'gcc', '--landlock', 'if_available')
    assert shell(c, 'cat a; :', {'a': b'input'}).result.stdout_raw == b'input'
    g.stop()
    w2.stop()


def farmed():
    # Routes, tokens and certificates as in a farm. The gateway has a name of its own, which the operator lets act for tenants.
    run('keys', 'init', HOME + '/farm', '--worker', 'w1', '--worker', 'gw', '--tenant', 'acme', '--tenant', 'other')
    conf = read(HOME + '/farm/tenants.conf', 'r')
    conf = conf.replace('[tenant acme]', '[tenant acme]\ncertificate = URI:coffer://worker/gw')
    with open(HOME + '/farm/tenants.conf', 'w') as f:
        f.write(conf)
    s, w = Program(), Program()
    at = s.start('scheduler', 'scheduler serves', '--config', HOME + '/farm/scheduler.conf', '--listen', '127.0.0.1:0', '--admin', '', '--heartbeat', '500ms')
    scheduler = 'localhost:' + at['address'].split(':')[1]
    w.start('worker', 'worker serves', '--config', HOME + '/farm/worker-w1.conf', '--scheduler', scheduler, '--listen', '127.0.0.1:0', '--address', '', '--admin', '',
            '--folder', HOME + '/w1', '--runtime', RUNTIME, '--slots', '2', '--compilers', 'gcc', '--landlock', 'if_available')
    s.wait_for_log('worker registered')
    g = Gateway('--certificate', HOME + '/farm/worker-gw.pem', '--key', HOME + '/farm/worker-gw-key.pem', '--client-ca', HOME + '/farm/ca.pem', '--tenants',
                HOME + '/farm/tenants.conf', '--scheduler', scheduler, '--scheduler-ca', HOME + '/farm/ca.pem')
    ca = read(HOME + '/farm/ca.pem')

    def client(tenant):
        pem = [read('%s/farm/tenant-%s%s.pem' % (HOME, tenant, k)) for k in ('-key', '')]
        return Client('localhost:' + g.address.split(':')[1], tenant, grpc.ssl_channel_credentials(ca, *pem))

    acme, other = client('acme'), client('other')
    assert shell(acme, 'cat a', {'a': b'of acme'}).result.stdout_raw == b'of acme'
    assert acme.get_result(prepare(acme, ['/bin/sh', '-c', 'cat a'], {'a': b'of acme'})).stdout_raw == b'of acme'
    assert status(acme.update_result, digest(b'x'), pb.ActionResult(exit_code=1)) == 'PERMISSION_DENIED'
    # The gateway may not act for this one; and nobody gets less isolation than there must be.
    r = shell(other, 'echo no')
    assert r.status.code == 7 and 'tenant' in r.status.message, r
    assert shell(acme, 'echo strong', platform={'minimum-isolation': 'microvm'}, timeout=pb.Duration(seconds=5)).status.code == 14
    wait = lambda c, name: list(c.stream(V2 + 'Execution/WaitExecution', pb.WaitExecutionRequest(name=name), pb.Operation))
    call = operations(acme, prepare(acme, ['sleep', '1']))
    name = next(iter(call)).name
    assert status(wait, other, name) == 'PERMISSION_DENIED' and status(wait, other, name.replace('acme', 'other')) == 'NOT_FOUND'
    assert response(wait(acme, name)[-1]).status.code == 0
    g.stop()
    w.stop()
    s.stop()

# Rows of actions are run again from what the worker has kept.
def replayed():
    g, c, w = farm()
    made = execute(c, ['gcc', '-c', 'src/a.c', '-Iinclude', '-o', 'out/a.o'], {'src': {'a.c': b'#include "a.h"\nint f(void) { return A; }\n'}, 'include': {'a.h': b'#define A 7\n'}}, ['out/a.o'])
    shell(c, 'mkdir -p o/x; cp data/a o/x/a; ln -s x/a o/l; echo said; echo "$V" >&2', {'data': {'a': b'A', 'link': '->a'}, 'bin': {'t': (b'#!/bin/sh\n', 'x')}}, ['o'], env={'V': 'v'})
    shell(c, 'echo no >&2; exit 3', outputs=['x'])
    shell(c, 'date +%N >t', outputs=['t'])
    shell(c, 'date +%N', outputs=['t'])
    g.stop()
    w.stop()
    words = ('replay', '--folder', HOME + '/w1', '--runtime', RUNTIME, '--agent', os.path.dirname(COFFERD) + '/coffer-agent')
    said = run(*words, '0', '1', '2')
    assert '3 identical, 0 different, 0 missing' in said, said
    said = run(*words, '3', '4', status=1)
    assert "another file 't'" in said and 'other words on stdout' in said and '2 different' in said, said
    said = run(*words, '--sample', '9', status=1)
    assert '2 identical, 2 different, 0 missing' in said, said
    # A row that says of another boundary, or another input root, is not run.
    row = run('audit', 'ls', '--log', HOME + '/w1/audit', '--last', '5').splitlines()
    row = [line for line in row if not line.startswith('#') and '\tgcc\t' in line][0]
    columns = row.split('\t')
    said = run(*words, '-', input=row + '\n')
    assert '1 identical' in said, said
    other = '\t'.join('sha256:' + '0' * 64 if value == columns[1] else value for value in columns)
    said = run(*words, '-', input=other + '\n', status=3)
    assert "not the action's input root" in said, said
    # Provenance of an action: its files by name and digest, as the log has signed them.
    key = HOME + '/key.pub'
    open(key, 'w').write(run('audit', 'key', '--log', HOME + '/w1/audit'))
    open(HOME + '/envelope', 'w').write(run('audit', 'provenance', '0', '--log', HOME + '/w1/audit'))
    said = json.loads(subprocess.check_output([sys.executable, os.path.join(os.path.dirname(__file__), '../audit/provenance.py'), HOME + '/envelope', key]))
    definition = said['predicate']['buildDefinition']
    assert definition['buildType'] == 'urn:coffer:action:v1', definition
    assert [s['name'] for s in said['subject']] == ['result', 'out/a.o'], said['subject']
    assert said['subject'][1]['digest']['sha256'] == made.result.output_files[0].digest.hash, said
    assert definition['externalParameters']['arguments'] == ['gcc', '-c', 'src/a.c', '-Iinclude', '-o', 'out/a.o'], definition
    files = {d['name']: d['digest']['sha256'] for d in definition['resolvedDependencies'] if 'digest' in d}
    assert files['include/a.h'] == digest(b'#define A 7\n').hash and 'src/a.c' in files, files
    # What is gone is named.
    contents = [os.path.join(at, name) for at, _, names in os.walk(HOME + '/w1/results') for name in names]
    source = digest(b'#define A 7\n').hash
    gone = [path for path in contents if source[4:30] in path.replace('/', '')]
    assert gone, contents[:5]
    for path in gone:
        os.unlink(path)
    said = run(*words, '0', status=3)
    assert 'a file of its input root is no longer here (sha256:%s' % source in said, said


if __name__ == "__main__":
    globals()[sys.argv[1]]()
