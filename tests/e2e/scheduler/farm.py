# A scheduler as an operator starts it, and stand-ins for workers and clients that are not ours: Debian's python3-grpcio, with
# stubs from proto/coffer.proto, and PyJWT. `farm.py SCENARIO` runs one; FOLDER is the current one.
import base64, json, os, queue, re, signal, socket, subprocess, sys, threading, time, urllib.request

import grpc
import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import load_pem_x509_certificate

import coffer_pb2 as pb
import coffer_pb2_grpc as rpc
from program import COFFERD, HOME, Program, read, run, write

IMAGE = 'host:x'


class Farm(Program):
    def __init__(self, *words, heartbeat='500ms', init=('--worker', 'w1', '--worker', 'w2', '--tenant', 'acme')):
        self.dir = HOME + '/farm'
        if not os.path.exists(self.dir):
            run('keys', 'init', self.dir, *init)
        self.words = words
        self.heartbeat = heartbeat
        self.listen = '127.0.0.1:0'
        self.start()

    def start(self):
        served = super().start('scheduler', 'scheduler serves', '--config', self.dir + '/scheduler.conf', '--listen', self.listen,
                               '--admin', '127.0.0.1:0', '--heartbeat', self.heartbeat, *self.words)
        self.listen, self.admin = served['address'], served['admin']

    def channel(self, name=None, ca=None):
        of = lambda ending: read('%s/%s%s' % (self.dir, name, ending)) if name else None
        credentials = grpc.ssl_channel_credentials(read(ca or self.dir + '/ca.pem'), of('-key.pem'), of('.pem'))
        return grpc.secure_channel('localhost:' + self.listen.split(':')[1], credentials,
                                   [('grpc.use_local_subchannel_pool', 1)])

    def client(self, name='tenant-acme', bearer=None):
        return Client(self.channel(name), bearer)

    def worker(self, name='w1', certificate='worker-w1', bearer=None, **hello):
        return Worker(self.channel(certificate), name, bearer, hello)


def metadata_of(bearer):
    return [('authorization', 'Bearer ' + bearer)] if bearer else []


class Client:
    def __init__(self, channel, bearer=None):
        self.channel, self.bearer = channel, bearer
        self.stub = rpc.SchedulerStub(channel)

    def route(self, slots=4, image=IMAGE, tenant='', isolation=0, avoid=()):
        request = pb.RouteRequest(tenant=tenant, image=image, slots=slots, minimum_isolation=isolation, avoid=avoid)
        return self.stub.Route(request, timeout=10, metadata=metadata_of(self.bearer))

    def slots(self, **words):
        return sum(r.slots for r in self.route(**words).routes)


class Worker:
    def __init__(self, channel, name, bearer, hello):
        self.out = queue.Queue()
        fields = dict(worker=name, address='localhost:7430', slots=8, images=[IMAGE, 'sha256:' + 64 * 'a'],
                      isolation=pb.ISOLATION_SANDBOX, certificate_sha256=32 * b'\x07', version='test')
        fields.update(hello)
        self.out.put(pb.WorkerReport(hello=pb.WorkerHello(**fields)))
        self.channel = channel
        self.call = rpc.SchedulerStub(channel).Register(iter(self.out.get, None), metadata=metadata_of(bearer))

    def registered(self):
        self.heartbeat_ms = next(self.call).heartbeat_ms
        return self

    def report(self, **load):
        self.out.put(pb.WorkerReport(load=pb.WorkerLoad(**load)))

    def keep_alive(self, running=0):
        self.beating = True

        def beat():
            while self.beating:
                self.report(jobs=10, hits=4, running=running, sessions=1)
                time.sleep(self.heartbeat_ms / 2000)
        threading.Thread(target=beat, daemon=True).start()
        return self

    # The status with which the scheduler ends the session.
    def code(self):
        try:
            for _ in self.call:
                pass
            return grpc.StatusCode.OK
        except grpc.RpcError as e:
            return e.code()


def fails(code, text, function, *words, **fields):
    try:
        got = function(*words, **fields)
    except grpc.RpcError as e:
        assert e.code() == code and text in e.details(), (e.code(), e.details())
        return
    raise AssertionError('it went well: %s' % got)


def until(seconds, what):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, 'not within %s s' % seconds
        time.sleep(0.02)


UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED
INVALID, UNAVAILABLE = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAVAILABLE


# ---- scenarios ------------------------------------------------------------------------------------------------------

def scenario_route():
    farm = Farm()
    certificate = load_pem_x509_certificate(read(farm.dir + '/worker-w1.pem')).fingerprint(hashes.SHA256())
    farm.worker(certificate_sha256=certificate).registered().keep_alive()
    reply = farm.client().route(slots=6)
    route, = reply.routes
    assert (route.worker, route.address, route.slots) == ('w1', 'localhost:7430', 6), route
    assert route.certificate_sha256 == certificate and route.isolation == pb.ISOLATION_SANDBOX
    assert reply.lifetime_ms == 30000 and reply.reason == ''
    # PyJWT checks what libjwt has signed.
    key = jwt.PyJWK(json.loads(read(farm.dir + '/jwks.json'))['keys'][0])
    claims = jwt.decode(route.token, key.key, algorithms=['ES256'], audience='w1', issuer='coffer-scheduler',
                        options={'require': ['exp', 'nbf', 'iat', 'jti', 'sub']})
    assert (claims['sub'], claims['image'], claims['use'], claims['isolation'], claims['slots']) == (
        'acme', IMAGE, 'route', 'sandbox', 6), claims
    assert claims['exp'] - claims['iat'] == 120
    assert jwt.get_unverified_header(route.token)['kid'] == key.key_id
    client = farm.client()
    assert 'has the image' in client.route(image='host:nothing').reason
    assert 'isolates' in client.route(isolation=pb.ISOLATION_MICROVM).reason
    reply = client.route(avoid=['w1'])
    assert not reply.routes and 'avoided' in reply.reason and 0 < reply.lifetime_ms <= 5000, reply
    farm.worker('w2', 'worker-w2').registered().keep_alive()
    assert {r.worker for r in client.route(slots=16).routes} == {'w1', 'w2'}
    assert client.route(slots=16, avoid=['w1']).routes[0].worker == 'w2'
    farm.stop()


def scenario_strangers():
    farm = Farm()
    worker = farm.worker().registered().keep_alive()
    fails(UNAUTHENTICATED, 'certificate or a bearer', farm.client(None).route)
    fails(UNAUTHENTICATED, 'no tokens of users', farm.client(None, 'a.b.c').route)
    fails(UNAUTHENTICATED, 'no tokens of users', farm.client('tenant-acme', 'a.b.c').route)
    fails(DENIED, 'belong to no tenant', farm.client('worker-w1').route)
    fails(DENIED, 'not one of yours', farm.client().route, tenant='other')
    fails(INVALID, "a tenant's name", farm.client().route, tenant='../x')
    fails(INVALID, 'an image is', farm.client().route, image='gcc:12')
    fails(INVALID, "a worker's name", farm.client().route, avoid=['a b'])
    # No tenant and no other worker takes a worker's name.
    for name, certificate in ('w1', 'tenant-acme'), ('acme', 'tenant-acme'), ('w1', 'worker-w2'), ('w3', 'worker-w1'):
        assert farm.worker(name, certificate).code() == DENIED, (name, certificate)
    assert farm.worker('w1', None).code() == UNAUTHENTICATED
    assert farm.worker('../w1').code() == INVALID
    assert farm.worker('w1', slots=0).code() == INVALID
    assert farm.worker('w1', images=['x']).code() == INVALID
    # A certificate that somebody else has signed, and none of TLS at all.
    run('keys', 'init', HOME + '/evil', '--tenant', 'acme')
    credentials = grpc.ssl_channel_credentials(read(farm.dir + '/ca.pem'), read(HOME + '/evil/tenant-acme-key.pem'),
                                               read(HOME + '/evil/tenant-acme.pem'))
    target = 'localhost:' + farm.listen.split(':')[1]
    fails(UNAVAILABLE, '', Client(grpc.secure_channel(target, credentials)).route)
    fails(UNAVAILABLE, '', Client(grpc.insecure_channel(target)).route)
    assert farm.client().slots() == 4
    worker.beating = False
    farm.stop()


def scenario_tokens():
    farm = Farm()
    key = farm.dir + '/token-key.pem'
    token = run('token', 'issue', '--key', key, '--worker', 'w9').strip()
    assert 'good: a worker' in subprocess.run([COFFERD, 'token', 'inspect', '--jwks', farm.dir + '/jwks.json'], input=token,
                                              capture_output=True, text=True).stdout
    farm.worker('w9', None, token).registered().keep_alive()
    assert farm.client().slots() == 4
    assert farm.worker('w8', None, token).code() == DENIED
    # With a tenant's certificate besides it is a tenant's.
    assert farm.worker('w9', 'tenant-acme', token).code() == DENIED
    route = farm.client().route().routes[0].token
    now = int(time.time())
    claims = dict(iss='coffer-scheduler', aud='coffer-scheduler', sub='w7', use='register', iat=now, nbf=now, exp=now + 60,
                  jti='0')
    private, public = read(key), json.loads(read(farm.dir + '/jwks.json'))['keys'][0]
    pem = jwt.PyJWK(public).key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    sign = lambda c, k=private, alg='ES256': jwt.encode(c, k, algorithm=alg, headers={'kid': public['kid']})
    good = sign(claims)
    farm.worker('w7', None, good).registered()
    b64 = lambda b: base64.urlsafe_b64encode(b).rstrip(b'=').decode()
    hs256 = b64(json.dumps({'alg': 'HS256', 'typ': 'JWT', 'kid': public['kid']}).encode()) + '.' + good.split('.')[1]
    import hashlib, hmac
    hs256 += '.' + b64(hmac.new(pem, hs256.encode(), hashlib.sha256).digest())
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    bad = {
        'a route': route,
        'expired': sign(dict(claims, exp=now - 60)),
        'not yet': sign(dict(claims, nbf=now + 600, exp=now + 900)),
        'no exp': sign({k: v for k, v in claims.items() if k != 'exp'}),
        'another audience': sign(dict(claims, aud='w1')),
        'another issuer': sign(dict(claims, iss='x', aud='x')),
        'none': jwt.encode(claims, None, algorithm='none'),
        'HS256 with the public key': hs256,
        'another key': sign(claims, other),
        'changed': good[:-4] + ('AAAA' if good[-4:] != 'AAAA' else 'BBBB'),
        'claims exchanged': '.'.join([good.split('.')[0], b64(json.dumps(dict(claims, sub='w1')).encode()),
                                      good.split('.')[2]]),
        'oversized': sign(dict(claims, x='y' * 8000)),
        'empty': '', 'dots': '..', 'junk': 'x',
    }
    for what, token in bad.items():
        got = farm.worker('w7', None, token).code()
        assert got == UNAUTHENTICATED, (what, got)
    text = read(farm.log_path, 'r')
    for secret in [good, route, *bad.values()]:
        assert len(secret) < 4 or secret not in text and secret.split('.')[-1][-20:] not in text or not secret.split('.')[-1]
    farm.stop()


def scenario_users():
    provider_key = rsa.generate_private_key(65537, 2048)
    numbers = provider_key.public_key().public_numbers()
    b64 = lambda n, size: base64.urlsafe_b64encode(n.to_bytes(size, 'big')).rstrip(b'=').decode()
    write(HOME + '/users.json', json.dumps({'keys': [
        {'kty': 'RSA', 'kid': 'r1', 'use': 'sig', 'alg': 'RS256', 'n': b64(numbers.n, 256), 'e': b64(numbers.e, 3)}]}))
    farm = Farm('--users-jwks', HOME + '/users.json', '--users-issuer', 'https://id.example', '--users-audience', 'coffer',
                '--users-claim', 'groups')
    write(farm.dir + '/tenants.conf', read(farm.dir + '/tenants.conf', 'r') +
          '\n[tenant zeta]\nslots = 2\nimage = *\nclaim = team-zeta\n')
    farm.process.send_signal(signal.SIGHUP)
    farm.wait_for_log('tenants and keys read again')
    farm.worker().registered().keep_alive()
    now = int(time.time())
    claims = {'iss': 'https://id.example', 'aud': 'coffer', 'exp': now + 60, 'groups': ['x', 'team-zeta']}
    sign = lambda c, alg='RS256', key=provider_key: jwt.encode(c, key, algorithm=alg, headers={'kid': 'r1'})
    assert farm.client(None, sign(claims)).slots() == 2
    assert farm.client(None, sign(claims)).route(slots=1, tenant='zeta').reason == "all 2 slots of tenant 'zeta' are in use"
    fails(DENIED, 'not one of yours', farm.client(None, sign(claims)).route, tenant='acme')
    # With the certificate of the one and the token of the other: both, by name.
    fails(DENIED, 'say which one', farm.client('tenant-acme', sign(claims)).route)
    assert farm.client('tenant-acme', sign(claims)).slots(tenant='acme') == 4
    fails(DENIED, 'no tenant', farm.client(None, sign(dict(claims, groups='y'))).route)
    bad = [dict(claims, exp=now - 60), dict(claims, aud='other'), dict(claims, iss='https://evil.example'),
           {k: v for k, v in claims.items() if k != 'exp'}, {k: v for k, v in claims.items() if k != 'groups'}]
    tokens = [sign(c) for c in bad] + [
        sign(claims, 'RS512'), sign(claims, 'PS256'), jwt.encode(claims, None, algorithm='none'),
        sign(claims, 'RS256', rsa.generate_private_key(65537, 2048))]
    for token in tokens:
        fails(UNAUTHENTICATED, 'the token', farm.client(None, token).route)
    assert farm.worker('w1', None, sign(claims)).code() == UNAUTHENTICATED
    farm.stop()


def scenario_dead():
    farm = Farm(heartbeat='1s')
    client = farm.client()
    worker = farm.worker().registered()
    assert worker.heartbeat_ms == 1000
    worker.report(running=1)
    start = time.monotonic()
    assert client.slots() == 4
    until(3, lambda: not client.slots())
    silent = time.monotonic() - start
    assert 1.5 < silent < 2.3, silent
    assert worker.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    # A process that is stopped, one that is killed: its end of the connection says nothing, or that it is gone.
    for number, least, most in (signal.SIGSTOP, 0.9, 2.3), (signal.SIGKILL, 0, 0.5):
        child = subprocess.Popen([sys.executable, __file__, 'worker', farm.listen], stdout=subprocess.PIPE)
        assert child.stdout.readline() == b'registered\n'
        assert client.slots() == 4
        start = time.monotonic()
        child.send_signal(number)
        until(4, lambda: not client.slots())
        gone = time.monotonic() - start
        child.kill()
        child.wait()
        assert least <= gone < most, (number, gone)
    farm.stop()


def scenario_drain():
    farm = Farm(heartbeat='2s')
    client = farm.client()
    worker = farm.worker().registered()
    assert client.slots() == 4
    worker.report(draining=True)
    until(2, lambda: not client.slots())  # of itself it would be missed after three to four seconds
    assert 'shut down' in client.route().reason
    worker.report(draining=False)
    until(2, client.slots)
    # Without a word: its stream ends, and it is out at once.
    worker.out.put(None)
    assert worker.code() == grpc.StatusCode.OK
    until(2, lambda: not client.slots())
    # A second session under the name takes its place.
    first = farm.worker(slots=2).registered()
    second = farm.worker(slots=3).registered().keep_alive()
    assert client.slots() == 3
    first.report()
    assert first.code() == grpc.StatusCode.ABORTED
    assert client.slots() == 3
    farm.stop()


def scenario_reload():
    farm = Farm()
    client, conf = farm.client(), farm.dir + '/tenants.conf'
    worker = farm.worker().registered().keep_alive()
    other = farm.worker('w2', 'worker-w2').registered().keep_alive()
    assert client.slots(slots=16) == 16
    good = read(conf, 'r')
    write(conf, good.replace('slots = 500', 'slots = many'))
    farm.process.send_signal(signal.SIGHUP)
    why = farm.wait_for_log('tenants and keys not read again, the old ones stay')['why']
    assert re.search(r"tenants.conf:\d+: 'slots' can't be 'many'", why), why
    assert client.slots(slots=16) == 16
    write(conf, good.replace('slots = 500', 'slots = 3').replace('[workers]', '[workers]\ndeny = w2'))
    farm.process.send_signal(signal.SIGHUP)
    farm.wait_for_log('tenants and keys read again')
    assert client.slots(slots=16) == 3
    assert {r.worker for r in client.route().routes} == {'w1'}
    assert other.code() == DENIED
    assert farm.worker('w2', 'worker-w2').code() == DENIED
    write(conf, good.replace('[tenant acme]', '[tenant beta]'))
    farm.process.send_signal(signal.SIGHUP)
    until(10, lambda: len([l for l in farm.logs() if l['event'] == 'tenants and keys read again']) == 2)
    assert client.slots(tenant='beta') == 4
    # A key for tokens that does not fit the public ones is not taken either.
    run('keys', 'init', HOME + '/evil')
    key = read(farm.dir + '/token-key.pem', 'r')
    write(farm.dir + '/token-key.pem', read(HOME + '/evil/token-key.pem', 'r'))
    os.chmod(farm.dir + '/token-key.pem', 0o600)
    farm.process.send_signal(signal.SIGHUP)
    until(10, lambda: any('public half' in l.get('why', '') for l in farm.logs()))
    write(farm.dir + '/token-key.pem', key)
    os.chmod(farm.dir + '/token-key.pem', 0o600)
    # The two steps of a rotation, with nobody left out.
    kid = lambda: jwt.get_unverified_header(client.route(tenant='beta').routes[0].token)['kid']
    before = kid()
    for expected in (lambda k: k == before), (lambda k: k != before):
        run('keys', 'rotate', farm.dir)
        loaded = len([l for l in farm.logs() if l['event'] == 'tenants and keys read again'])
        farm.process.send_signal(signal.SIGHUP)
        until(10, lambda: len([l for l in farm.logs() if l['event'] == 'tenants and keys read again']) > loaded)
        assert expected(kid())
    assert len(json.loads(read(farm.dir + '/jwks.json'))['keys']) == 2
    worker.beating = False
    farm.stop()


def scenario_restart():
    farm = Farm()
    client = farm.client()
    worker = farm.worker().registered().keep_alive()
    route = client.route().routes[0]
    farm.process.send_signal(signal.SIGTERM)
    assert worker.code() == UNAVAILABLE
    assert farm.process.wait(10) == 0
    assert [l['event'] for l in farm.logs()][-2:] == ['worker gone', 'scheduler ends'] or \
        farm.logs()[-1]['event'] == 'scheduler ends'
    assert farm.logs()[-1]['calls_left'] == 0
    # The next one, at the same address: workers and clients come again, and the old token is still good.
    farm.start()
    farm.worker().registered().keep_alive()
    until(15, lambda: tries(client.slots))
    run('token', 'inspect', '--jwks', farm.dir + '/jwks.json', save(route.token))
    farm.stop()


def tries(function):
    try:
        return function()
    except grpc.RpcError:
        return None


def save(text):
    write(HOME + '/saved', text)
    return HOME + '/saved'


def scenario_quota():
    farm = Farm('--route-lifetime', '2s')
    conf = farm.dir + '/tenants.conf'
    write(conf, read(conf, 'r').replace('slots = 500', 'slots = 10') +
          '\n[tenant b]\nslots = 50\nimage = *\ncertificate = URI:coffer://tenant/b\n')
    run('keys', 'add', farm.dir, '--tenant', 'b')
    farm.process.send_signal(signal.SIGHUP)
    farm.wait_for_log('tenants and keys read again')
    farm.worker(slots=40).registered().keep_alive()
    one, two, other = farm.client(), farm.client(), farm.client('tenant-b')
    assert one.slots(slots=100) == 10
    reply = two.route(slots=100)
    assert reply.reason == "all 10 slots of tenant 'acme' are in use" and reply.lifetime_ms == 2000, reply
    assert one.slots(slots=100) == 5
    assert two.slots(slots=100) == 5
    assert other.slots(slots=100) == 30
    status = farm.status()
    granted = {t['name']: (t['quota'], t['granted'], t['clients']) for t in status['tenants']}
    assert granted == {'acme': (10, 10, 2), 'b': (50, 30, 1)}, granted
    until(10, lambda: farm.status()['tenants'][0]['granted'] == 0)
    farm.stop()


# Three schedulers and one etcd: what one of them has given counts at the others.
def scenario_quota_of_three():
    free = lambda: (lambda s: (s.bind(('127.0.0.1', 0)), s.getsockname()[1], s.close())[1])(socket.socket())
    etcd_at, peer = '127.0.0.1:%d' % free(), 'http://127.0.0.1:%d' % free()
    etcd = subprocess.Popen(['etcd', '--data-dir', HOME + '/etcd', '--log-level', 'error', '--listen-client-urls', 'http://' + etcd_at,
                             '--advertise-client-urls', 'http://' + etcd_at, '--listen-peer-urls', peer,
                             '--initial-advertise-peer-urls', peer, '--initial-cluster', 'default=' + peer])
    try:
        words = '--route-lifetime', '2s', '--token-lifetime', '10s', '--etcd', etcd_at
        run('keys', 'init', HOME + '/farm', '--worker', 'w1', '--tenant', 'acme')
        conf = HOME + '/farm/tenants.conf'
        write(conf, read(conf, 'r').replace('slots = 500', 'slots = 9'))
        farms = [Farm(*words, heartbeat='5s') for _ in range(3)]
        for farm in farms:
            until(20, lambda: farm.status()['etcd']['connected'])
        farms[0].worker(slots=40).registered().keep_alive()
        tenant = lambda farm: farm.status()['tenants'][0]
        for farm in farms:
            until(20, lambda: len(farm.status()['workers']) == 1)
        one, two, three = [farm.client() for farm in farms]
        # Who is alone has all of it, at any of them, as soon as the others have heard.
        reply = one.route(slots=100)
        assert reply.lifetime_ms == 1000 and sum(r.slots for r in reply.routes) == 3, reply
        until(10, lambda: one.slots(slots=100) == 9)
        for farm in farms[1:]:
            until(10, lambda: tenant(farm)['elsewhere'] == 9)
        # The others may give their part at once, and no more; the first one gives less as soon as it has heard of that.
        assert two.slots(slots=100) == 3
        assert three.slots(slots=100) == 3
        until(10, lambda: tenant(farms[0])['elsewhere'] == 6)
        assert one.slots(slots=100) == 3
        # When the first tokens have ended, all that are good claim no more than the quota.
        def claimed():
            routes = [c.route(slots=100).routes for c in (one, two, three)]
            return sum(jwt.decode(r.token, options={'verify_signature': False})['slots'] for all in routes for r in all)
        until(25, lambda: claimed() == 9 and tenant(farms[0])['elsewhere'] == 6 and tenant(farms[2])['elsewhere'] == 6)
        # After a pause, all at the same moment.
        until(30, lambda: tenant(farms[0])['elsewhere'] == 0 and tenant(farms[1])['elsewhere'] == 0)
        assert claimed() == 9
        # One that ends leaves its part to the others.
        farms[2].stop()
        until(10, lambda: tenant(farms[0])['elsewhere'] == 3)
        until(10, lambda: one.slots(slots=100) > 3)
        for farm in farms[:2]:
            farm.stop()
    finally:
        etcd.kill()
        etcd.wait()


def scenario_operator():
    farm = Farm()
    farm.worker().registered().keep_alive(running=1)
    until(3, lambda: farm.status()['totals']['jobs'] == 10)
    farm.client().route()
    status = farm.status()
    assert status['totals']['hit_rate'] == 0.4 and status['totals']['slots'] == 8 and status['totals']['sessions'] == 1
    worker, = status['workers']
    assert worker['name'] == 'w1' and worker['isolation'] == 'sandbox' and worker['running'] == 1, worker
    assert status['calls']['given'] == 1 and status['calls']['registrations'] == 1
    with urllib.request.urlopen('http://%s/metrics' % farm.admin, timeout=5) as f:
        metrics = f.read().decode()
    for line in ('coffer_scheduler_workers 1', 'coffer_worker_hits_total{worker="w1"} 4',
                 'coffer_scheduler_routes_total{outcome="given"} 1', 'coffer_tenant_granted_slots{tenant="acme"} 4'):
        assert line + '\n' in metrics, (line, metrics)
    for line in metrics.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[^}]*\})? \d+', line), line
    with urllib.request.urlopen('http://%s/healthz' % farm.admin, timeout=5) as f:
        assert f.status == 200
    # The health service of gRPC, of who has shown nothing.
    check = farm.channel().unary_unary('/grpc.health.v1.Health/Check')
    assert check(b'\x0a\x13coffer.v1.Scheduler', timeout=5) == b'\x08\x01'
    for line in farm.logs():
        assert {'time', 'level', 'event'} <= line.keys(), line
    farm.stop()


# A worker in a process of its own, for scenario_dead.
def main_worker(listen):
    farm = Farm.__new__(Farm)
    farm.dir, farm.listen = HOME + '/farm', listen
    farm.worker().registered().keep_alive()
    print('registered', flush=True)
    time.sleep(60)


if sys.argv[1] == 'worker':
    main_worker(sys.argv[2])
else:
    globals()['scenario_' + sys.argv[1]]()
