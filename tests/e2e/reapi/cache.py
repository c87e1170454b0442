# The gateway as a cache, asked by what no real client sends. `cache.py SCENARIO` runs one; FOLDER is the current one.
import hashlib, json, os, random, sys, threading, time, urllib.request

import grpc

import reapi_pb2 as pb
from api import EMPTY, Client, digest, expand, name_of, squeeze, status
from program import HOME, Program, read, run, write


class Gateway(Program):
    def __init__(self, *words):
        at = self.start('gateway', 'gateway serves', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--folder', HOME + '/gateway', *words)
        self.address, self.admin = at['address'], at['admin']

    def status(self):
        return json.loads(urllib.request.urlopen('http://%s/status' % self.admin).read())

    # A call gives its memory back after its client has the answer.
    def check_at_rest(self):
        for _ in range(200):
            s = self.status()
            if s['memory_bytes'] == 0:
                break
            time.sleep(.05)
        assert s['memory_bytes'] == 0, s
        assert s['broken'] == 0, s


def open_gateway(*words):
    g = Gateway('--insecure-loopback', '--result-writers=*', *words)
    return g, Client(g.address)


def blob(n, seed=1):
    return random.Random(seed).randbytes(n // 2) + b'x' * (n - n // 2)


def file_of(d):
    key = d.hash[:16] + '%016x' % (int(d.hash[16:32], 16) ^ d.size_bytes)
    return '%s/gateway/tenants/acme/v1/content/%s/%s' % (HOME, key[:2], key[2:])


def nothing_is_stored():
    found = [f for d, _, files in os.walk(HOME + '/gateway') for f in files if '/content/' in d + '/']
    assert not found, found


# ---- scenarios ------------------------------------------------------------------------------------------------------------


def capabilities():
    g, c = open_gateway()
    m = c.capabilities()
    assert list(m.cache_capabilities.digest_functions) == [1], m
    assert m.cache_capabilities.action_cache_update_capabilities.update_enabled
    assert (m.low_api_version.major, m.low_api_version.minor) == (2, 0) and m.high_api_version.minor >= 1, m
    assert 0 < m.cache_capabilities.max_batch_total_size_bytes < 4 << 20
    assert 1 in m.cache_capabilities.supported_compressors
    assert not m.execution_capabilities.exec_enabled
    assert status(Client(g.address, 'no/such').capabilities) == 'PERMISSION_DENIED'
    g.stop()
    # Without writers a client is told so, and may not.
    g = Gateway('--insecure-loopback')
    c = Client(g.address)
    assert not c.capabilities().cache_capabilities.action_cache_update_capabilities.update_enabled
    assert status(c.update_result, digest(b'a'), pb.ActionResult(exit_code=1)) == 'PERMISSION_DENIED'
    assert status(c.get_result, digest(b'a')) == 'NOT_FOUND'
    g.stop()


def blobs():
    g, c = open_gateway()
    small, large = b'hello', blob(5 << 20)
    assert [d.hash for d in c.missing(digest(small), digest(large), pb.Digest(hash=EMPTY))] == [digest(small).hash, digest(large).hash]
    assert c.batch_update(pb.BatchUpdate(digest=digest(small), data=small))[0].status.code == 0
    assert c.write(large) == len(large)
    assert not c.missing(digest(small), digest(large))
    assert not c.has(pb.Digest(hash=digest(small).hash, size_bytes=6)) and not c.has(pb.Digest(hash=digest(small).hash))
    assert c.batch_read(digest(small))[0].data == small
    assert c.read(digest(large)) == large and expand(c.read(digest(large), zstd=True)) == large
    assert c.read(digest(large), read_offset=100, read_limit=1000) == large[100:1100]
    assert c.read(digest(large), read_offset=len(large)) == b''
    assert status(c.read, digest(large), read_offset=len(large) + 1) == 'OUT_OF_RANGE'
    assert status(c.read, digest(large), read_offset=-1) == 'OUT_OF_RANGE'
    assert status(c.read, digest(large), read_limit=-1) == 'INVALID_ARGUMENT'
    assert status(c.read, digest(large), zstd=True, read_limit=10) == 'INVALID_ARGUMENT'
    assert expand(c.read(digest(large), zstd=True, read_offset=1 << 20)) == large[1 << 20:]
    assert status(c.read, digest(b'not there')) == 'NOT_FOUND'
    assert c.read(pb.Digest(hash=EMPTY)) == b'' and c.batch_read(pb.Digest(hash=EMPTY))[0].status.code == 0
    # It is there: the answer comes before the rest, plain and compressed.
    assert c.write(large) == len(large) and c.write(large, zstd=True) == -1
    other = blob(3 << 20, 2)
    assert c.write(other, zstd=True) == len(squeeze(other)) and c.read(digest(other)) == other
    packed = b'batch' * 1000
    assert c.batch_update(pb.BatchUpdate(digest=digest(packed), data=squeeze(packed), compressor=1))[0].status.code == 0
    assert c.read(digest(packed)) == packed
    # Two frames, one behind the other, are one blob as well.
    c.write_messages(c.pieces(c.upload_name(digest(b'ab' * 500), True), squeeze(b'ab' * 200) + squeeze(b'ab' * 300)))
    assert c.read(digest(b'ab' * 500)) == b'ab' * 500
    # A restart loses nothing.
    g.stop()
    g, c = open_gateway()
    assert not c.missing(digest(small), digest(large), digest(other), digest(packed))
    assert g.status()['blobs_found'] == 4
    g.stop()


def wrong_blobs():
    g, c = open_gateway()
    data = blob(300000, 3)
    d, lie = digest(data), digest(b'something else')
    wrong_size = pb.Digest(hash=d.hash, size_bytes=len(data) + 1)
    short = pb.Digest(hash=d.hash, size_bytes=len(data) - 1)
    for bad in (lie, wrong_size, short):
        assert c.batch_update(pb.BatchUpdate(digest=bad, data=data))[0].status.code == 3
        assert status(c.write, data, bad) == 'INVALID_ARGUMENT', bad
        assert status(c.write, data, bad, zstd=True) == 'INVALID_ARGUMENT', bad
        assert status(c.read, bad) == 'NOT_FOUND' and c.missing(bad)
    # Of two, the good one counts.
    good = b'good'
    r = c.batch_update(pb.BatchUpdate(digest=lie, data=b'no'), pb.BatchUpdate(digest=digest(good), data=good))
    assert [x.status.code for x in r] == [3, 0] and c.has(digest(good))
    os.system('rm -rf %s/gateway/tenants/acme/v1/content' % HOME)
    # Cut off, in two ways; not zstd; zstd that ends early; a bomb.
    assert status(c.write, data, finish=False) == 'INVALID_ARGUMENT'
    half = c.upload_name(d)
    assert status(c.write_messages, [pb.WriteRequest(resource_name=half, data=data[:1000], finish_write=True)]) == 'INVALID_ARGUMENT'
    packed = squeeze(data)
    for bad in (data, packed[:-10], packed + b'junk', squeeze(b'\0' * (64 << 20)), b''):
        assert status(c.write_messages, c.pieces(c.upload_name(d, True), bad)) == 'INVALID_ARGUMENT', len(bad)
    assert c.batch_update(pb.BatchUpdate(digest=d, data=packed[:-10], compressor=1))[0].status.code == 3
    assert c.batch_update(pb.BatchUpdate(digest=d, data=data, compressor=2))[0].status.code == 3
    # Offsets that leave a gap, another name in the middle.
    n = c.upload_name(d)
    first = pb.WriteRequest(resource_name=n, data=data[:1000])
    for second in (pb.WriteRequest(write_offset=1001, data=data[1000:], finish_write=True),
                   pb.WriteRequest(write_offset=999, data=data[1000:], finish_write=True),
                   pb.WriteRequest(resource_name=c.upload_name(lie), write_offset=1000, data=data[1000:], finish_write=True)):
        assert status(c.write_messages, [first, second]) == 'INVALID_ARGUMENT'
    assert status(c.write_messages, [pb.WriteRequest(resource_name=n, write_offset=-1, data=data)]) == 'INVALID_ARGUMENT'
    assert status(c.write_messages, []) == 'INVALID_ARGUMENT'
    # Larger than blobs may be: told before a byte has come.
    huge = pb.Digest(hash=d.hash, size_bytes=1 << 50)
    assert status(c.write_messages, [pb.WriteRequest(resource_name=c.upload_name(huge), data=b'x')]) == 'INVALID_ARGUMENT'
    much = bytes((2 << 20) - 10000)
    assert status(c.batch_update, *[pb.BatchUpdate(digest=digest(much), data=much)] * 2) == 'INVALID_ARGUMENT'
    assert status(c.batch_update, *[pb.BatchUpdate(digest=digest(much), data=much)] * 3) == 'RESOURCE_EXHAUSTED'
    assert status(c.batch_read, *[pb.Digest(hash=d.hash, size_bytes=3 << 20)] * 2) == 'INVALID_ARGUMENT'
    nothing_is_stored()
    g.stop()


def wrong_words():
    g, c = open_gateway()
    h, size = digest(b'a').hash, 1
    for bad in ('', h, h.upper() + '/1', h[:-1] + '/1', 'blobs/' + h, 'blobs/%s/-1' % h, 'blobs/%s/01' % h, 'blobs/%s/1x' % h,
                'blobs/%s/99999999999999999999' % h, 'blobs/%s/1/more' % h, 'blobs/blake3/%s/1' % h, 'compressed-blobs/brotli/%s/1' % h,
                'compressed-blobs/%s/1' % h, '/' * 300 + 'blobs/%s/1' % h, 'x' * 2000 + '/blobs/%s/1' % h, 'uploads/u/blobs/%s/1' % h):
        assert status(c.read, digest(b'a'), name=bad) == 'INVALID_ARGUMENT', bad
    for bad in ('blobs/%s/1' % h, 'uploads/blobs/%s/1' % h, 'uploads//blobs/%s/1' % h, 'uploads/%s/blobs/%s/1' % ('u' * 200, h)):
        assert status(c.write_messages, [pb.WriteRequest(resource_name=bad, data=b'a', finish_write=True)]) == 'INVALID_ARGUMENT', bad
    for bad in (pb.Digest(), pb.Digest(hash='zz', size_bytes=1), pb.Digest(hash=h.upper(), size_bytes=1), pb.Digest(hash=h, size_bytes=-1)):
        assert status(c.missing, bad) == 'INVALID_ARGUMENT', bad
        assert status(c.batch_read, bad) == 'INVALID_ARGUMENT', bad
        assert c.batch_update(pb.BatchUpdate(digest=bad, data=b'a'))[0].status.code == 3
        assert status(c.get_result, bad) == 'INVALID_ARGUMENT' and status(c.get_tree, bad) == 'INVALID_ARGUMENT'
    for function in (2, 9, -1):
        assert status(c.missing, digest(b'a'), function=function) == 'INVALID_ARGUMENT'
    # No message, junk, a message of a million parts.
    raw = c.channel.unary_unary('/build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs')
    for junk in (b'\xff' * 10, b'\x12\x7f', b'\x12\x00' * 1000000):
        assert status(raw, junk, timeout=20) == 'INVALID_ARGUMENT', junk[:10]
    # What is not served.
    assert status(c.unary, '/build.bazel.remote.execution.v2.Execution/Execute', pb.ExecuteRequest(), pb.Operation) == 'UNIMPLEMENTED'
    nothing_is_stored()
    assert g.status()['broken'] == 0
    g.stop()


def resume():
    g, c = open_gateway()
    data = blob(1 << 20, 4)
    for zstd in (False, True):
        d = digest(data)
        wire = squeeze(data) if zstd else data
        n = c.upload_name(d, zstd, id='fixed')
        assert c.query(n).committed_size == 0 and not c.query(n).complete
        writer = c.channel.stream_unary('/google.bytestream.ByteStream/Write', request_serializer=lambda m: m.SerializeToString())
        # What was under way when it broke off does not count; on a slow machine that takes longer.
        for seconds in .5, 2, 8:
            broken_off = threading.Event()

            def broken():
                yield pb.WriteRequest(resource_name=n, data=wire[:100000])
                yield pb.WriteRequest(write_offset=100000, data=wire[100000:250000])
                broken_off.wait(30)

            call = writer.future(broken(), timeout=60)
            time.sleep(seconds)
            assert not c.has(d)
            call.cancel()
            broken_off.set()
            for _ in range(40):
                if c.query(n).committed_size == 250000:
                    break
                time.sleep(.05)
            if c.query(n).committed_size == 250000:
                break
        assert c.query(n).committed_size == 250000, c.query(n)
        # Another tenant, and another upload, know nothing of it.
        assert Client(g.address, 'other').query(n.replace('acme/', 'other/')).committed_size == 0
        assert status(c.write_messages, c.pieces(c.upload_name(d, zstd), wire, offset=250000)) == 'INVALID_ARGUMENT'
        assert c.write_messages(c.pieces(n, wire, offset=250000)) == len(wire)
        assert c.query(n).complete and c.query(n).committed_size == len(data)
        assert c.read(d) == data
        os.system('rm -rf %s/gateway/tenants/acme/v1/content' % HOME)
    g.stop()
    assert g.logs()[-1]['event'] == 'gateway ends'


def results():
    g, c = open_gateway()
    out, log = c.put(b'object'), c.put(b'warning')
    action = digest(b'an action')
    assert status(c.get_result, action) == 'NOT_FOUND'
    r = pb.ActionResult(output_files=[pb.OutputFile(path='a.o', digest=out, is_executable=True)], stdout_digest=log, exit_code=0)
    c.update_result(action, r)
    assert c.get_result(action) == r
    full = c.get_result(action, inline_output_files=['a.o', 'b.o'], inline_stdout=True)
    assert full.output_files[0].contents == b'object' and full.stdout_raw == b'warning'
    assert status(Client(g.address, 'other').get_result, action) == 'NOT_FOUND'
    for bad in (pb.ActionResult(), pb.ActionResult(output_files=[pb.OutputFile(path='/a', digest=out)]),
                pb.ActionResult(output_files=[pb.OutputFile(path='', digest=out)]), pb.ActionResult(output_files=[pb.OutputFile(path='a')]),
                pb.ActionResult(stdout_digest=pb.Digest(hash='x', size_bytes=1)), pb.ActionResult(output_directories=[pb.OutputDirectory(path='d')])):
        assert status(c.update_result, digest(b'other'), bad) == 'INVALID_ARGUMENT', bad
    assert status(c.get_result, digest(b'other')) == 'NOT_FOUND'
    # Something of it has gone, also of what is in a tree: it is no result any more.
    inner = c.put(b'inner')
    tree = pb.Tree(root=pb.Directory(directories=[pb.DirectoryNode(name='d', digest=digest(b'x'))]),
                   children=[pb.Directory(files=[pb.FileNode(name='f', digest=inner)])])
    t = c.put(tree.SerializeToString())
    c.update_result(digest(b'dir'), pb.ActionResult(output_directories=[pb.OutputDirectory(path='d', tree_digest=t)]))
    c.get_result(digest(b'dir'))
    for gone, of in ((inner, digest(b'dir')), (log, action)):
        os.unlink(file_of(gone))
        assert status(c.get_result, of) == 'NOT_FOUND'
    assert g.status()['result_incomplete'] == 2
    g.stop()


def trees():
    g, c = open_gateway()
    leaf = pb.Directory(files=[pb.FileNode(name='f%05d' % i, digest=digest(b'x')) for i in range(100)])
    level = [leaf]
    c.put(leaf.SerializeToString())
    every = [leaf]
    for depth in range(3):
        level = [pb.Directory(directories=[pb.DirectoryNode(name='d%d' % i, digest=digest(d.SerializeToString())) for i, d in enumerate(level)],
                              files=[pb.FileNode(name='n%d-%d' % (depth, k), digest=digest(b'x'))]) for k in range(20)]
        c.put(*[d.SerializeToString() for d in level])
        every += level
    root = pb.Directory(directories=[pb.DirectoryNode(name='r%02d' % i, digest=digest(d.SerializeToString())) for i, d in enumerate(level)])
    d = c.put(root.SerializeToString())
    got = [x for r in c.get_tree(d) for x in r.directories]
    assert len(got) == 62 and got[0] == root, len(got)
    paged = c.get_tree(d, page_size=10)
    assert len(paged) == 7 and not paged[-1].next_page_token and paged[0].next_page_token
    rest = [x for r in c.get_tree(d, page_size=10, page_token=paged[2].next_page_token) for x in r.directories]
    assert rest == got[30:]
    assert status(c.get_tree, d, page_token='x') == 'INVALID_ARGUMENT' and status(c.get_tree, digest(b'nope')) == 'NOT_FOUND'
    # What is missing is left out; 100,000 entries are many messages.
    part = c.put(pb.Directory(directories=[pb.DirectoryNode(name='a', digest=digest(leaf.SerializeToString())),
                                           pb.DirectoryNode(name='b', digest=digest(b'gone'))]).SerializeToString())
    assert sum(len(r.directories) for r in c.get_tree(part)) == 2
    wide = [pb.Directory(files=[pb.FileNode(name='%d-%d' % (k, i), digest=digest(b'x')) for i in range(1000)]) for k in range(100)]
    c.put(*[w.SerializeToString() for w in wide])
    top = c.put(pb.Directory(directories=[pb.DirectoryNode(name='%03d' % i, digest=digest(w.SerializeToString())) for i, w in enumerate(wide)]).SerializeToString())
    answers = c.get_tree(top)
    assert sum(len(x.files) for r in answers for x in r.directories) == 100000 and len(answers) > 1
    g.stop()


def tenants():
    run('keys', 'init', HOME + '/farm', '--worker', 'w1', '--tenant', 'acme', '--tenant', 'other')
    conf = read(HOME + '/farm/tenants.conf', 'r')
    g = Gateway('--certificate', HOME + '/farm/scheduler.pem', '--key', HOME + '/farm/scheduler-key.pem', '--client-ca', HOME + '/farm/ca.pem',
                '--tenants', HOME + '/farm/tenants.conf', '--result-writers', 'URI:coffer://tenant/acme')
    ca = read(HOME + '/farm/ca.pem')
    address = 'localhost:' + g.address.split(':')[1]

    def client(tenant, instance):
        pem = [read('%s/farm/tenant-%s%s.pem' % (HOME, tenant, k)) for k in ('-key', '')] if tenant else (None, None)
        return Client(address, instance, grpc.ssl_channel_credentials(ca, *pem))

    acme, other = client('acme', 'acme'), client('other', 'other')
    d = acme.put(b'of acme')
    assert acme.has(d) and client('acme', '').has(d) and not other.has(d)
    assert acme.capabilities().cache_capabilities.action_cache_update_capabilities.update_enabled
    assert not other.capabilities().cache_capabilities.action_cache_update_capabilities.update_enabled
    # Nobody, somebody else, and what does not exist: no answer tells which.
    spy = client('other', 'acme')
    for call in (lambda c: c.has(d), lambda c: c.read(d), lambda c: c.write(b'x'), lambda c: c.get_result(d), lambda c: c.capabilities(),
                 lambda c: c.query(c.upload_name(d)), lambda c: c.get_tree(d), lambda c: c.batch_read(d), lambda c: c.put(b'y')):
        assert status(call, client(None, 'acme')) == 'UNAUTHENTICATED'
        assert status(call, spy) == 'PERMISSION_DENIED' and status(call, client('other', 'nobody')) == 'PERMISSION_DENIED'
    assert status(other.read, d) == 'NOT_FOUND'
    bad = Client(address, 'acme', grpc.ssl_channel_credentials(ca), metadata=(('authorization', 'Bearer x.y.z'),))
    assert status(bad.has, d) == 'UNAUTHENTICATED'
    # Whoever shows nothing is sent away before it has said anything.
    began = time.monotonic()
    writer = client(None, 'acme').channel.stream_unary('/google.bytestream.ByteStream/Write')
    silent = threading.Event()
    assert status(lambda: writer((x for x in iter(lambda: silent.wait(30), True)), timeout=40)) == 'UNAUTHENTICATED'
    assert time.monotonic() - began < 5
    silent.set()
    # The operator takes the tenant away.
    write(HOME + '/farm/tenants.conf', conf.replace('[tenant other]', '[tenant third]'))
    g.process.send_signal(1)
    g.wait_for_log('tenants and keys read again')
    assert status(other.has, d) == 'PERMISSION_DENIED' and acme.has(d)
    assert g.status()['denied'] > 18 and g.status()['unauthenticated'] > 8
    g.stop()


# A claim that reads like a certificate's name is no certificate.
def writers():
    import jwt
    from cryptography.hazmat.primitives.asymmetric import ec
    run('keys', 'init', HOME + '/farm', '--worker', 'w1', '--tenant', 'acme')
    key = ec.generate_private_key(ec.SECP256R1())
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    write(HOME + '/users.json', json.dumps({'keys': [dict(public, kid='u', use='sig', alg='ES256')]}))
    write(HOME + '/farm/tenants.conf', read(HOME + '/farm/tenants.conf', 'r').replace(
        '[tenant acme]', '[tenant acme]\nclaim = ci\nclaim = dev\nclaim = URI:coffer://tenant/acme'))
    g = Gateway('--certificate', HOME + '/farm/scheduler.pem', '--key', HOME + '/farm/scheduler-key.pem', '--client-ca', HOME + '/farm/ca.pem',
                '--tenants', HOME + '/farm/tenants.conf', '--users-jwks', HOME + '/users.json', '--users-issuer=i', '--users-audience=a',
                '--result-writers', 'URI:coffer://tenant/acme claim:ci')
    ca, address = read(HOME + '/farm/ca.pem'), 'localhost:' + g.address.split(':')[1]

    def may_write(**who):
        pem = [read('%s/farm/tenant-acme%s.pem' % (HOME, k)) for k in ('-key', '')] if 'certificate' in who else (None, None)
        words = {'iss': 'i', 'aud': 'a', 'exp': int(time.time()) + 600, 'sub': who.get('claim')}
        token = (('authorization', 'Bearer ' + jwt.encode(words, key, 'ES256', {'kid': 'u'})),) if 'claim' in who else ()
        return Client(address, 'acme', grpc.ssl_channel_credentials(ca, *pem), token).capabilities().cache_capabilities.action_cache_update_capabilities.update_enabled

    assert may_write(certificate=True) and may_write(claim='ci')
    assert not may_write(claim='dev') and not may_write(claim='URI:coffer://tenant/acme')
    g.stop()


def shared():
    write(HOME + '/key', 'a key that nobody guesses: 0123456789abcdef\n')
    write(HOME + '/other-key', 'another key that nobody guesses: 0123456789\n')
    os.chmod(HOME + '/key', 0o600)
    os.chmod(HOME + '/other-key', 0o600)
    os.makedirs(HOME + '/store', 0o700)

    def gateway(folder, key='key', *words):
        g = Gateway('--insecure-loopback', '--result-writers=*', '--store=file:' + HOME + '/store', '--store-key=%s/%s' % (HOME, key), '--store-timeout=5s',
                    '--folder=%s/%s' % (HOME, folder), *words)
        return g, Client(g.address)

    def result(c, action, n):
        out, inner, log = blob(300000, n), b'inner %d' % n, b'warning %d' % n
        tree = pb.Tree(root=pb.Directory(files=[pb.FileNode(name='f', digest=digest(inner))]))
        c.put(out, inner, log, tree.SerializeToString())
        r = pb.ActionResult(output_files=[pb.OutputFile(path='a.o', digest=digest(out))], stdout_digest=digest(log),
                            output_directories=[pb.OutputDirectory(path='d', tree_digest=digest(tree.SerializeToString()))])
        c.update_result(action, r)
        return r, [out, inner, log, tree.SerializeToString()]

    a, c = gateway('a')
    one, two = digest(b'one'), digest(b'two')
    r, parts = result(c, one, 1)
    _, lost = result(c, two, 2)
    for _ in range(200):
        if a.status()['store_given'] == 2:
            break
        time.sleep(.05)
    assert a.status()['store_given'] == 2, a.status()
    a.stop()
    # Another gateway, which has nothing. What is in the store is no answer to anybody who has not the result.
    b, c = gateway('b')
    assert len(c.missing(*[digest(p) for p in parts])) == len(parts)
    assert status(Client(b.address, 'other').get_result, one) == 'NOT_FOUND'
    assert c.get_result(one) == r and not c.missing(*[digest(p) for p in parts])
    assert all(c.read(digest(p)) == p for p in parts)
    assert b.status()['store_hits'] == 1 and b.status()['store_misses'] == 1, b.status()
    # An output that is not what its name says, and one that has gone.
    place = [os.path.join(d, f) for d, _, files in os.walk(HOME + '/store') for f in files if digest(lost[0]).hash.endswith(f)]
    write(place[0], lost[0][:-1] + b'?')
    assert status(c.get_result, two) == 'NOT_FOUND' and b.status()['store_refused'] == 1, b.status()
    b.stop()
    # Entries that another key has sealed.
    b, c = gateway('c', 'other-key')
    assert status(c.get_result, one) == 'NOT_FOUND' and b.status()['store_refused'] == 1 and not c.has(digest(parts[0]))
    b.stop()
    # Without a store it goes on, and says so.
    os.rename(HOME + '/store', HOME + '/gone')
    write(HOME + '/store', 'no folder')
    b, c = gateway('d')
    assert status(c.get_result, one) == 'NOT_FOUND'
    result(c, one, 3)
    assert c.get_result(one) and b.status()['broken'] == 0
    b.stop()
    assert 'store_key' in run('gateway', '--insecure-loopback', '--listen=127.0.0.1:0', '--admin=', '--folder=' + HOME + '/e', '--store=file:' + HOME + '/gone',
                              '--store-access=read-only', status=2)


def many():
    g, c = open_gateway()
    # A thousand uploads at once, half of them lies; the others come in whole, and a bystander is served.
    clients = [Client(g.address) for _ in range(4)]
    bad, wrong = [], []

    def upload(i):
        data = b'%d ' % i * 5000
        d = digest(data) if i % 2 else digest(b'lie %d' % i)
        s = status(clients[i % 4].write, data, d, size=2000)
        if s != ('OK' if i % 2 else 'INVALID_ARGUMENT'):
            wrong.append((i, s))

    threads = [threading.Thread(target=upload, args=(i,)) for i in range(1000)]
    for t in threads:
        t.start()
    other = Client(g.address, 'bystander')
    slowest = 0
    while any(t.is_alive() for t in threads):
        began = time.monotonic()
        other.put(b'b')
        assert other.has(digest(b'b'))
        slowest = max(slowest, time.monotonic() - began)
    for t in threads:
        t.join()
    assert not wrong, wrong[:10]
    assert slowest < 20, slowest
    assert not c.missing(*[digest(b'%d ' % i * 5000) for i in range(1, 1000, 2)])
    assert len(c.missing(*[digest(b'lie %d' % i) for i in range(0, 1000, 2)])) == 500
    g.check_at_rest()
    began = time.monotonic()
    assert len(c.missing(*[digest(b'%d' % i) for i in range(10000)])) == 10000
    assert time.monotonic() - began < 5
    g.stop()


# What is read, and what is told, has a bound, whatever the words are.
def bounds():
    g, c = open_gateway('--memory=64M', '--blob-size=16M')
    c.channel = grpc.insecure_channel(g.address, [('grpc.use_local_subchannel_pool', 1), ('grpc.max_send_message_length', 8 << 20)])
    # Answers in one message of at most 4 MiB, which is the limit of this client: texts go first, then it is refused.
    answers = c.batch_update(*[pb.BatchUpdate(digest=pb.Digest(hash='x' * 64))] * 30000)
    assert len(answers) == 30000 and {a.status.code for a in answers} == {3}
    assert answers[0].status.message and not answers[-1].status.message
    answers = c.batch_read(*[digest(b'%d' % i) for i in range(40000)])
    assert len(answers) == 40000 and {a.status.code for a in answers} == {5}
    assert status(c.batch_read, *[digest(b'%d' % i) for i in range(50000)]) == 'INVALID_ARGUMENT'
    much = blob((1 << 20) - 100)
    c.put(much)
    result = pb.ActionResult(output_files=[pb.OutputFile(path='%06d' % i + 'x' * 1000, digest=digest(much)) for i in range(2860)])
    c.update_result(digest(b'action'), result)
    got = c.get_result(digest(b'action'), inline_output_files=[result.output_files[7].path])
    assert got.ByteSize() > 3080000 and not got.output_files[7].contents
    c.update_result(digest(b'action'), pb.ActionResult(output_files=result.output_files[:2600]))
    assert c.get_result(digest(b'action'), inline_output_files=[result.output_files[7].path]).output_files[7].contents == much
    # Trees.
    tree = b'\x12\x00' * (9 << 17)
    for i in range(8):
        c.write(tree + b'\x12\x00' * i)
    dirs = [pb.OutputDirectory(path='d', tree_digest=digest(tree + b'\x12\x00' * i)) for i in range(8)]
    assert status(c.update_result, digest(b'dirs'), pb.ActionResult(output_directories=dirs)) == 'RESOURCE_EXHAUSTED'
    wide = [pb.Directory(directories=[pb.DirectoryNode(name='%d-%d' % (k, i), digest=digest(b'%d-%d' % (k, i))) for i in range(1000)]) for k in range(101)]
    for i in range(0, 101, 20):
        c.put(*[w.SerializeToString() for w in wide[i:i + 20]])
    top = pb.Directory(directories=[pb.DirectoryNode(name='%03d' % i, digest=digest(w.SerializeToString())) for i, w in enumerate(wide)])
    assert status(c.get_tree, c.put(top.SerializeToString())) == 'RESOURCE_EXHAUSTED'
    # A window of 32 MiB is half of the memory, and no tenant gets more.
    data = blob(3 << 20, 7)
    assert status(c.write_messages, c.pieces(c.upload_name(digest(data), True), squeeze(data, '--long=25'))) == 'RESOURCE_EXHAUSTED'
    assert c.batch_update(pb.BatchUpdate(digest=digest(data), data=squeeze(data[:2000000], '--long=25'), compressor=1))[0].status.code == 8
    assert c.write(data, zstd=True) > 0
    # What came has gone, and nobody else was disturbed.
    assert Client(g.address, 'other').put(b'x')
    g.check_at_rest()
    g.stop()
    for words in ('--result-writers=ci', '--result-writers=claim:'), ('--memory=64M', '--blob-size=17M'):
        assert "coffer: " in run('gateway', '--check', '--insecure-loopback', *words, status=2)


def full():
    g, c = open_gateway('--memory=64M', '--blob-size=8M', '--tenant-size=4M')
    # One tenant's uploads that stand still leave room for others.
    stop = threading.Event()

    def slow(i):
        yield pb.WriteRequest(resource_name=c.upload_name(pb.Digest(hash=digest(b'%d' % i).hash, size_bytes=8 << 20)), data=bytes(1 << 20))
        stop.wait(40)

    writer = c.channel.stream_unary('/google.bytestream.ByteStream/Write', request_serializer=lambda m: m.SerializeToString())
    calls = [writer.future(slow(i), timeout=60) for i in range(48)]
    for _ in range(50):
        time.sleep(.2)
        if any(x.done() for x in calls):
            break
    ended = [x.code().name for x in calls if x.done()]
    assert ended and set(ended) == {'RESOURCE_EXHAUSTED'}, ended
    o = Client(g.address, 'other')
    assert o.write(blob(2 << 20)) == 2 << 20
    stop.set()
    for x in calls:
        x.cancel()
    # The disk's bound holds: what came first goes first.
    first = c.put(blob(1 << 20, 10))
    for i in range(11, 20):
        c.put(blob(1 << 20, i))
    for _ in range(100):
        if g.status()['disk_bytes'] < 6 << 20:
            break
        time.sleep(.2)
    assert g.status()['disk_bytes'] < 6 << 20, g.status()
    assert not c.has(first)
    g.stop()


def killed():
    g, c = open_gateway()
    for i in range(30):
        c.put(blob(50000, i))
    g.process.kill()
    g.process.wait()
    for d, _, files in os.walk(HOME + '/gateway/tenants/acme/v1/content'):
        for f in files[:1]:
            with open(d + '/' + f, 'r+b') as file:
                file.truncate(100)
    g, c = open_gateway()
    whole = 0
    for i in range(30):
        data = blob(50000, i)
        if status(c.read, digest(data)) == 'OK':
            assert c.read(digest(data)) == data
            whole += 1
        else:
            assert not c.has(digest(data))
            c.put(data)
            assert c.read(digest(data)) == data
    g.stop()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
