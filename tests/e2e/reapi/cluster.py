# Somebody's cluster, as coffer's clients meet it: a small server of the Remote Execution API that is none of ours, in honest ways
# and in others. `cluster.py PORT WAY [CERTIFICATE KEY CA]`, and "serves" on standard output once it does. Each call is a line there:
# the method, and what it was about.
import concurrent.futures, hashlib, os, subprocess, sys, tempfile, threading, time

import grpc

import reapi_pb2 as pb
from api import V2, digest, expand, squeeze

PORT, WAY = sys.argv[1], sys.argv[2]
BATCH = 1500 if WAY in ('small', 'zstd') else 0 # so that the rest comes as streams
blobs, results, operations, lock = {}, {}, {}, threading.Lock()


def say(*words):
    with lock:
        print(*words, flush=True)


def key(d):
    return d.hash, d.size_bytes


def lie(data):
    return bytes([data[0] ^ 1]) + data[1:] if data and WAY == 'wrong' else data[:-1] if WAY == 'short' else data


def enter(method, request, context):
    say(method, getattr(request, 'resource_name', '') or getattr(request, 'instance_name', ''))
    if WAY == 'headers' and dict(context.invocation_metadata()).get('x-api-key') != 'open sesame':
        context.abort(grpc.StatusCode.UNAUTHENTICATED, 'no key')
    if WAY == 'full':
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, 'too much to do')
    if WAY == 'silent':
        time.sleep(30)


def capabilities(m, context):
    enter('GetCapabilities', m, context)
    cache = pb.CacheCapabilities(digest_functions=[1], max_batch_total_size_bytes=BATCH,
                                 supported_compressors=[0, 1] if WAY == 'zstd' else [0])
    cache.action_cache_update_capabilities.update_enabled = True
    if WAY == 'md5':
        cache.digest_functions[0] = 3
    run = pb.ExecutionCapabilities(digest_function=1, exec_enabled=True)
    return pb.ServerCapabilities(cache_capabilities=cache, execution_capabilities=run, low_api_version=pb.SemVer(major=2),
                                 high_api_version=pb.SemVer(major=2, minor=3))


def missing(m, context):
    enter('FindMissingBlobs', m, context)
    gone = [d for d in m.blob_digests if key(d) not in blobs]
    return pb.FindMissingBlobsResponse(missing_blob_digests=gone if WAY != 'other' else [digest(b'nobody asked')])


def update_blobs(m, context):
    enter('BatchUpdateBlobs', m, context)
    answer = pb.BatchUpdateBlobsResponse()
    for r in m.requests:
        one = answer.responses.add(digest=r.digest)
        if key(digest(r.data)) != key(r.digest):
            one.status.code = 3
        else:
            blobs[key(r.digest)] = r.data
    return answer


def read_blobs(m, context):
    enter('BatchReadBlobs', m, context)
    answer = pb.BatchReadBlobsResponse()
    for d in m.digests:
        one = answer.responses.add(digest=d)
        if key(d) in blobs:
            one.data = lie(blobs[key(d)])
        else:
            one.status.code = 5
    return answer


def named(name):
    words = name.split('/')
    at = max(i for i, w in enumerate(words) if w in ('blobs', 'compressed-blobs'))
    is_zstd = words[at] != 'blobs'
    at += is_zstd
    return (words[at + 1], int(words[at + 2])), is_zstd


def write(stream, context):
    data, name, is_done = b'', '', False
    for m in stream:
        name = name or m.resource_name
        if not data:
            enter('Write', m, context)
        assert m.write_offset == len(data), (m.write_offset, len(data))
        data += m.data
        is_done = m.finish_write
    d, is_zstd = named(name)
    n = len(data)
    data = expand(data) if is_zstd else data
    if not is_done or key(digest(data)) != d:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, 'not the blob')
    blobs[d] = data
    return pb.WriteResponse(committed_size=n)


def read(m, context):
    enter('Read', m, context)
    d, is_zstd = named(m.resource_name)
    if d not in blobs:
        context.abort(grpc.StatusCode.NOT_FOUND, 'no such blob')
    data = lie(blobs[d])
    data = squeeze(data) if is_zstd else data
    for at in range(0, len(data), 50000):
        yield pb.ReadResponse(data=data[at:at + 50000])
    if WAY == 'endless':
        while context.is_active():
            yield pb.ReadResponse(data=b'x' * 50000)


def get_result(m, context):
    enter('GetActionResult', m, context)
    r = results.get(key(m.action_digest))
    if r is None:
        context.abort(grpc.StatusCode.NOT_FOUND, 'no such result')
    r = pb.ActionResult.FromString(r.SerializeToString())
    if WAY == 'inline':
        for f in r.output_files:
            if f.path in m.inline_output_files:
                f.contents = blobs[key(f.digest)]
    if WAY == 'large':
        r.output_files[0].digest.size_bytes = 1 << 40
    return r


def update_result(m, context):
    enter('UpdateActionResult', m, context)
    if WAY == 'read_only':
        context.abort(grpc.StatusCode.PERMISSION_DENIED, 'you may read')
    results[key(m.action_digest)] = m.action_result
    return m.action_result


# ---- Execution: honest, but for its way -------------------------------------------------------------------------------------


def keep(data):
    blobs[key(digest(data))] = data
    return digest(data)


def perform(action):
    command = pb.Command.FromString(blobs[key(action.command_digest)])
    root = pb.Directory.FromString(blobs[key(action.input_root_digest)])
    result = pb.ActionResult()
    with tempfile.TemporaryDirectory(dir=os.path.dirname(pb.__file__)) as folder:
        for f in root.files:
            data = blobs[key(f.digest)]
            if f.name == 'toolchain' and (WAY == 'other_toolchain' or (WAY == 'drifts' and not action.do_not_cache)):
                data = data.replace(b'  /', b'  /nowhere/')
            with open(folder + '/' + f.name, 'wb') as out:
                out.write(data)
        for path in command.output_paths:
            os.makedirs(os.path.dirname(folder + '/' + path), exist_ok=True)
        done = subprocess.run(command.arguments, cwd=folder, env={v.name: v.value for v in command.environment_variables}, capture_output=True)
        result.exit_code = done.returncode
        result.stdout_digest.CopyFrom(keep(done.stdout))
        if len(done.stderr) < 100:
            result.stderr_raw = done.stderr
        result.stderr_digest.CopyFrom(keep(done.stderr))
        for path in command.output_paths:
            if os.path.exists(folder + '/' + path):
                with open(folder + '/' + path, 'rb') as made:
                    result.output_files.add(path=path, digest=keep(made.read()))
    return result


def spoil(result):
    if not result.output_files: # the probe
        return
    f = result.output_files[0]
    if WAY == 'no_object':
        del result.output_files[:]
    elif WAY == 'no_elf':
        f.digest.CopyFrom(keep(b'x' * 1000))
    elif WAY == 'exit_999':
        result.exit_code = 999
    elif WAY == 'other_output':
        f.path = '../x.o'
    elif WAY == 'twice':
        result.output_files.add().CopyFrom(f)


def operation(name, stage, response=None):
    o = pb.Operation(name=name, done=response is not None)
    o.metadata.type_url = 'type.googleapis.com/build.bazel.remote.execution.v2.ExecuteOperationMetadata'
    o.metadata.value = pb.ExecuteOperationMetadata(stage=stage).SerializeToString()
    if response is not None:
        o.response.type_url = 'type.googleapis.com/build.bazel.remote.execution.v2.ExecuteResponse'
        o.response.value = response.SerializeToString() if WAY != 'garbage_result' or not response.result.output_files else b'\xff\xff'
    return o


def refusal(code, text):
    r = pb.ExecuteResponse(message=text)
    r.status.code, r.status.message = code, text
    return r


def execute(m, context):
    enter('Execute', m, context)
    name = 'operations/%d' % len(operations)
    if WAY == 'no_execution':
        context.abort(grpc.StatusCode.PERMISSION_DENIED, 'a cache only')
    if WAY == 'dies':
        os._exit(1)
    action = pb.Action.FromString(blobs[key(m.action_digest)])
    is_probe = action.do_not_cache
    if WAY == 'refuses' and not is_probe:
        yield operation(name, 4, refusal(3, 'not here'))
        return
    if WAY == 'forgets_blobs' and key(m.action_digest) not in operations:
        operations[key(m.action_digest)] = True
        blobs.pop(key(action.command_digest))
        yield operation(name, 4, refusal(9, 'a blob is missing'))
        return
    operations[name] = m
    yield operation(name, 2)
    if WAY == 'breaks':
        context.abort(grpc.StatusCode.UNAVAILABLE, 'the stream breaks')
    yield from finish(name)


def finish(name):
    m = operations[name]
    action = pb.Action.FromString(blobs[key(m.action_digest)])
    yield operation(name, 3)
    result = perform(action)
    spoil(result)
    if not action.do_not_cache and result.exit_code == 0:
        results[key(m.action_digest)] = result
    yield operation(name, 4, pb.ExecuteResponse(result=result))


def wait_execution(m, context):
    say('WaitExecution', m.name)
    yield from finish(m.name)


def streamed(f, request):
    return grpc.unary_stream_rpc_method_handler(f, request.FromString, lambda m: m.SerializeToString())


def unary(f, request):
    out = lambda m: b'\xff\xff\xff' if WAY == 'garbage' else m.SerializeToString()
    return grpc.unary_unary_rpc_method_handler(f, request.FromString, out)


CAS, AC = V2 + 'ContentAddressableStorage/', V2 + 'ActionCache/'
METHODS = {
    V2 + 'Capabilities/GetCapabilities': unary(capabilities, pb.GetCapabilitiesRequest),
    CAS + 'FindMissingBlobs': unary(missing, pb.FindMissingBlobsRequest),
    CAS + 'BatchUpdateBlobs': unary(update_blobs, pb.BatchUpdateBlobsRequest),
    CAS + 'BatchReadBlobs': unary(read_blobs, pb.BatchReadBlobsRequest),
    AC + 'GetActionResult': unary(get_result, pb.GetActionResultRequest),
    AC + 'UpdateActionResult': unary(update_result, pb.UpdateActionResultRequest),
    V2 + 'Execution/Execute': streamed(execute, pb.ExecuteRequest),
    V2 + 'Execution/WaitExecution': streamed(wait_execution, pb.WaitExecutionRequest),
    '/google.bytestream.ByteStream/Write': grpc.stream_unary_rpc_method_handler(write, pb.WriteRequest.FromString, lambda m: m.SerializeToString()),
    '/google.bytestream.ByteStream/Read': streamed(read, pb.ReadRequest),
}


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        return METHODS.get(details.method)


def serve():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(32), options=[('grpc.so_reuseport', 0)])
    server.add_generic_rpc_handlers((Handler(),))
    if len(sys.argv) > 3:
        certificate, secret, ca = (open(f, 'rb').read() for f in sys.argv[3:6])
        port = server.add_secure_port('127.0.0.1:' + PORT, grpc.ssl_server_credentials([(secret, certificate)], ca, True))
    else:
        port = server.add_insecure_port('127.0.0.1:' + PORT)
    assert port == int(PORT)
    server.start()
    say('serves')
    server.wait_for_termination()


serve()
