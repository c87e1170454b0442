# A worker that lies: it registers with a scheduler as any other one, lets an honest worker do its jobs, and changes what that one
# answers. `liar.py SITE NAME SCHEDULER BACKEND LIE-FILE`: the keys are SITE/worker-NAME.pem; BACKEND is where the honest worker
# takes jobs without tokens; LIE-FILE names the lie, and is read for each job. It prints a line for each job, with the clock.
# Debian's python3-grpcio, with stubs from proto/coffer.proto.
import hashlib, queue, ssl, struct, subprocess, sys, threading, time
from concurrent import futures

import grpc

import coffer_pb2 as pb
import coffer_pb2_grpc as rpc

SITE, NAME, SCHEDULER, BACKEND, LIE = sys.argv[1:]
SLOTS = 4


def read(path):
    with open(path, 'rb') as f:
        return f.read()


def raw_frame(data):  # of zstd, without compressing
    blocks = [data[i:i + (64 << 10)] for i in range(0, len(data), 64 << 10)] or [b'']
    head = lambda i: struct.pack('<I', (i == len(blocks) - 1) | len(blocks[i]) << 3)[:3]
    return b'\x28\xb5\x2f\xfd\x00\x38' + b''.join(head(i) + b for i, b in enumerate(blocks))


def flipped(data):
    return bytes([data[0] ^ 1]) + data[1:]


def reply(**words):
    return pb.CompileReply(**words)


def junk(result, data):
    result.outputs[0].size, result.outputs[0].sha256 = len(data), hashlib.sha256(data).digest()
    return [reply(result=result), reply(piece=raw_frame(data))]


# What is sent instead of the honest worker's result and the frame with its object.
def lie_about(lie, result, frame):
    told = lambda *pieces: [reply(result=result), *[reply(piece=p) for p in pieces]]
    if lie == 'digest':
        result.outputs[0].sha256 = flipped(result.outputs[0].sha256)
    elif lie == 'source':
        result.source_digest = flipped(result.source_digest)
    elif lie == 'size':
        result.outputs[0].size += 1
    elif lie == 'outputs':
        result.outputs.add(kind=pb.Output.DWO, size=0, sha256=hashlib.sha256(b'').digest())
    elif lie == 'kind':
        result.outputs[0].kind = pb.Output.DWO
    elif lie == 'none':
        del result.outputs[:]
        return told()
    elif lie == 'bytes':
        return told(raw_frame(bytes(result.outputs[0].size)))
    elif lie == 'truncated':
        return told(frame[:len(frame) // 2])
    elif lie == 'longer':
        return told(frame, raw_frame(bytes(1 << 20)))
    elif lie == 'no zstd':
        return told(b'this is no frame')
    elif lie == 'no object':
        return junk(result, b'int this_is_no_object;\n')
    elif lie == 'empty':
        return junk(result, b'')
    elif lie == 'no result':
        return [reply(started=pb.CompileStarted())]
    elif lie == 'early':
        return [reply(piece=frame), reply(result=result)]
    elif lie == 'twice':
        return [reply(result=result), *told(frame)]
    elif lie == 'unasked':
        return [reply()]
    elif lie == 'messages':
        result.err = b'the worker says: send money\n'
    elif lie == 'escape':  # names the user's window, and clears it
        result.err = b'x.c: warning: \x1b]0;send money\x07\x1b[2J\n'
    elif lie == 'stranger':  # a depfile that names what nobody has sent
        data = subprocess.run(['zstd', '-qdc'], input=frame, stdout=subprocess.PIPE, check=True).stdout
        start = sum(o.size for o in result.outputs if o.kind < pb.Output.DEPFILE)
        depfile = next(o for o in result.outputs if o.kind == pb.Output.DEPFILE)
        text = data[start:start + depfile.size].rstrip(b'\n') + b' /etc/hostname\n'
        data = data[:start] + text + data[start + depfile.size:]
        depfile.size, depfile.sha256 = len(text), hashlib.sha256(text).digest()
        return told(raw_frame(data))
    elif lie == 'failure':
        result.exit_status, result.err = 1, b'the worker says: send money\n'
    return told(frame)


# What is sent instead of the files that the honest worker needs.
def needs_of(lie, m):
    if lie == 'needs more':
        return [reply(needs=pb.CompileNeeds(files=[1 << 20]))]
    if lie == 'needs in disorder':
        return [reply(needs=pb.CompileNeeds(files=[1, 0]))]
    if lie == 'needs the listing':
        return [reply(needs=pb.CompileNeeds(listing=True))] * 2
    return [m, m] if lie == 'needs twice' else [m]


class Liar(rpc.WorkerServicer):
    def __init__(self):
        self.backend = rpc.WorkerStub(grpc.insecure_channel(BACKEND))

    def Describe(self, request, context):
        return self.backend.Describe(request, timeout=20)

    def Status(self, request, context):
        context.abort(grpc.StatusCode.UNAVAILABLE, 'say\033[2J\u009b2J\nwhat')

    def Compile(self, requests, context):
        lie = read(LIE).decode().strip()
        print('%.3f begins %s' % (time.monotonic(), lie), flush=True)
        context.add_callback(lambda: print('%.3f ends' % time.monotonic(), flush=True))
        if lie.startswith('full '):
            context.set_trailing_metadata((('grpc-retry-pushback-ms', lie.split()[1]),))
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, 'full')
        if lie == 'never':
            while context.is_active():
                time.sleep(0.05)
            return
        result, frame = None, b''
        for m in self.backend.Compile(requests, timeout=60):
            if m.WhichOneof('kind') == 'result':
                result = m.result
            elif m.WhichOneof('kind') == 'piece':
                frame += m.piece
            elif m.WhichOneof('kind') == 'needs':
                yield from needs_of(lie, m)
        replies = lie_about(lie, result, frame)
        if lie == 'trickle':
            yield replies[0]
            for byte in frame:
                time.sleep(0.2)
                yield reply(piece=bytes([byte]))
            return
        if lie == 'hang up':
            yield replies[0]
            context.abort(grpc.StatusCode.UNAVAILABLE, 'something else to do')
        yield from replies


def serve():
    server = grpc.server(futures.ThreadPoolExecutor(64))
    rpc.add_WorkerServicer_to_server(Liar(), server)
    credentials = grpc.ssl_server_credentials([(read('%s/worker-%s-key.pem' % (SITE, NAME)), read('%s/worker-%s.pem' % (SITE, NAME)))])
    port = server.add_secure_port('127.0.0.1:0', credentials)
    server.start()
    return server, port


def register(port):
    pem = read('%s/worker-%s.pem' % (SITE, NAME))
    first = pem[:pem.index(b'-----END CERTIFICATE-----')].decode() + '-----END CERTIFICATE-----\n'
    credentials = grpc.ssl_channel_credentials(read(SITE + '/ca.pem'), read('%s/worker-%s-key.pem' % (SITE, NAME)), pem)
    reports = queue.Queue()
    reports.put(pb.WorkerReport(hello=pb.WorkerHello(
        worker=NAME, address='127.0.0.1:%d' % port, slots=SLOTS, images=['host:any'], isolation=pb.ISOLATION_SANDBOX,
        certificate_sha256=hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).digest(), version='liar')))
    session = rpc.SchedulerStub(grpc.secure_channel(SCHEDULER, credentials)).Register(iter(reports.get, None))
    beat = next(session).heartbeat_ms / 3000
    print('registered', flush=True)
    while True:
        time.sleep(beat)
        reports.put(pb.WorkerReport(load=pb.WorkerLoad()))


server, port = serve()
threading.Thread(target=register, args=(port,), daemon=True).start()
server.wait_for_termination()
