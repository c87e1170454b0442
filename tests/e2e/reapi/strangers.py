# What Bazel does not do: operations and results that are somebody else's, calls that are given up at every stage, clients that do not
# read. `strangers.py SCENARIO` runs one; FOLDER is the current one.
import json, sys, threading, time, urllib.request

import grpc
import reapi_pb2 as pb
from api import V2, Client, digest, status
from cache import Gateway
from exec import Worker, execute, farm, files, operations, prepare, response, shell


def wait(c, name, timeout=60):
    return list(c.stream(V2 + 'Execution/WaitExecution', pb.WaitExecutionRequest(name=name), pb.Operation, timeout=timeout))


def is_idle(g, w):
    s = json.loads(urllib.request.urlopen('http://%s/status' % w.admin).read())
    return s['running'] == 0 and s['waiting'] == 0


def until(what, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, 'it does not come to that'
        time.sleep(.05)


def operations_of_others():
    g, c, w = farm()
    other, nobody = Client(g.address, 'other'), Client(g.address, 'nobody')
    action = prepare(c, ['/bin/sh', '-c', 'sleep 2; echo done'])
    call = operations(c, action)
    name = next(iter(call)).name
    assert name.startswith('acme/operations/'), name
    # Neither by its name nor by one's own instance before its number, nor by what is no name.
    number = name.rpartition('/')[2]
    for client, asked in ((other, 'other/operations/' + number), (nobody, 'nobody/operations/' + number), (c, 'acme/operations/' + number[:-1]),
                          (c, 'acme/operations/' + '0' * len(number)), (c, 'acme/operations/' + number + '0'), (c, 'acme/operations/')):
        assert status(wait, client, asked) == 'NOT_FOUND', asked
    for asked in ('', 'x', 'operations', 'acme/' + number, '../acme/x', '\x7f' * 2000):
        assert status(wait, c, asked) in ('INVALID_ARGUMENT', 'NOT_FOUND'), asked
    # A thousand at once for one operation, and after its end.
    results = []
    clients = [Client(g.address) for _ in range(10)]
    threads = [threading.Thread(target=lambda k=k: results.append(response(wait(clients[k % 10], name)[-1]).result.stdout_raw)) for k in range(200)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [b'done\n'] * 200, len(results)
    assert response(wait(c, name)[-1]).result.stdout_raw == b'done\n'
    # Another tenant that asks for the same action has not the action's blobs.
    r = response(list(operations(other, action))[-1])
    assert r.status.code == 9 and not r.result.stdout_raw, r
    g.stop()
    w.stop()


def results_of_others():
    w = Worker('w1')
    g = Gateway('--insecure-loopback', '--workers=' + w.address)  # nobody may write results but workers
    c, other = Client(g.address), Client(g.address, 'other')
    words = (['/bin/sh', '-c', 'echo x >o'], {}, ['o'])
    r = execute(c, *words)
    action, out = prepare(c, *words), r.result.output_files[0].digest
    assert c.get_result(action).output_files == r.result.output_files
    assert status(other.get_result, action) == 'NOT_FOUND'
    planted = pb.ActionResult(output_files=[pb.OutputFile(path='o', digest=c.put(b'planted'))])
    for client in (c, other):
        assert status(client.update_result, action, planted) == 'PERMISSION_DENIED'
    assert c.get_result(action).output_files == r.result.output_files
    assert other.missing(out)[0] == out
    # The same action there is run there.
    prepare(other, *words)
    own = execute(other, *words)
    assert not own.cached_result and own.result.output_files == r.result.output_files
    # Paths that are there twice come back once.
    twice = execute(c, ['/bin/sh', '-c', 'echo a >a; mkdir d; echo b >d/b'], {}, ['a', 'a', 'd', 'd'])
    assert [f.path for f in twice.result.output_files] == ['a'] and [d.path for d in twice.result.output_directories] == ['d'], twice
    twice = execute(c, ['/bin/sh', '-c', 'echo a >a'], {}, output_files=['a', 'a'])
    assert [f.path for f in twice.result.output_files] == ['a'], twice
    # An image that no worker has is no matter of time.
    began = time.monotonic()
    r = execute(c, ['true'], platform={'container-image': 'docker://x@sha256:' + '1' * 64})
    assert r.status.code == 9 and not r.status.details, r
    assert time.monotonic() - began < 15
    assert shell(c, 'echo next').result.stdout_raw == b'next\n'
    g.stop()
    w.stop()


def given_up():
    g, c, w = farm()
    # Before it is asked, while it waits for a slot, while it runs, when it has ended: the operation goes on, as it is somebody's.
    actions = [prepare(c, ['/bin/sh', '-c', 'sleep .5; echo %d' % i], {'f': b'%d' % i}) for i in range(24)]
    names = []
    for i, a in enumerate(actions):
        call = operations(c, a)
        if i % 3:
            names.append((i, next(iter(call)).name))
        if i % 3 == 2:
            time.sleep(.02 * i)
        call.cancel()
    for i, name in names:
        assert response(wait(c, name)[-1]).result.stdout_raw == b'%d\n' % i
    # Uploads and downloads that are given up at each message.
    data = b'x' * (3 << 20)
    d = digest(data)

    def pieces(n):
        for i in range(n):
            yield pb.WriteRequest(resource_name='%suploads/u%d/blobs/%s/%d' % (c.prefix(), n, d.hash, d.size_bytes), write_offset=i << 16, data=data[i << 16:(i + 1) << 16])
        time.sleep(60)

    write = c.channel.stream_unary('/google.bytestream.ByteStream/Write', request_serializer=pb.WriteRequest.SerializeToString, response_deserializer=pb.WriteResponse.FromString)
    for n in (0, 1, 2, 20, 47):
        call = write.future(pieces(n))
        time.sleep(.1)
        call.cancel()
    assert [x.hash for x in c.missing(d)] == [d.hash]
    c.write(data, d)
    read = lambda: c.stream('/google.bytestream.ByteStream/Read', pb.ReadRequest(resource_name='%sblobs/%s/%d' % (c.prefix(), d.hash, d.size_bytes)), pb.ReadResponse)
    for n in range(4):
        call = read()
        for _ in range(n):
            next(iter(call))
        call.cancel()
    assert b''.join(m.data for m in read()) == data
    until(lambda: is_idle(g, w))
    assert g.status()['broken'] == 0
    g.stop()
    w.stop()


def slow_readers():
    g, c, w = farm()
    data = [bytes([i]) * (8 << 20) for i in range(4)]
    for x in data:
        c.write(x, digest(x), size=1 << 20)
    # Fifty calls whose answers nobody takes, on connections of their own with the smallest window there is.
    idle, calls = [], []
    for k in range(50):
        if k % 10 == 0:
            idle.append(Client(g.address))
        d = digest(data[k % 4])
        calls.append(idle[-1].stream('/google.bytestream.ByteStream/Read', pb.ReadRequest(resource_name='%sblobs/%s/%d' % (c.prefix(), d.hash, d.size_bytes)), pb.ReadResponse))
    began = time.monotonic()
    for k in range(20):
        assert shell(c, 'echo %d' % k).result.stdout_raw == b'%d\n' % k
        assert c.has(digest(data[0]))
    assert time.monotonic() - began < 60
    # An operation's stream that nobody reads holds nobody up, either.
    action = prepare(c, ['/bin/sh', '-c', 'head -c 60000 /dev/zero | tr "\\0" x'])
    deaf = [operations(idle[0], action) for _ in range(20)]
    assert len(response(list(operations(c, action))[-1]).result.stdout_raw) == 60000
    for call in calls + deaf:
        call.cancel()
    until(lambda: is_idle(g, w))
    g.stop()
    w.stop()


if __name__ == '__main__':
    {f.__name__: f for f in (operations_of_others, results_of_others, given_up, slow_readers)}[sys.argv[1]]()
