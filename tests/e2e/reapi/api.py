# The Remote Execution API as a client sees it: Debian's python3-grpcio, with messages from proto/reapi.proto, which are ours; the
# paths of the methods and the texts that are compared are those of the published API.
import hashlib, os, subprocess, uuid

import grpc

import reapi_pb2 as pb

EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
V2 = '/build.bazel.remote.execution.v2.'


def squeeze(data, *words):
    return subprocess.run(['zstd', '-qc', *words], input=data, stdout=subprocess.PIPE, check=True).stdout


def expand(data):
    return subprocess.run(['zstd', '-qdc'], input=data, stdout=subprocess.PIPE, check=True).stdout


def digest(data):
    return pb.Digest(hash=hashlib.sha256(data).hexdigest(), size_bytes=len(data))


def name_of(d):
    return '%s/%d' % (d.hash, d.size_bytes)


class Client:
    def __init__(self, address, instance='acme', credentials=None, metadata=()):
        options = [('grpc.use_local_subchannel_pool', 1), ('grpc.max_receive_message_length', 8 << 20),
                   ('grpc.max_send_message_length', 8 << 20)]
        self.channel = (grpc.secure_channel(address, credentials, options) if credentials else
                        grpc.insecure_channel(address, options))
        self.instance, self.metadata = instance, metadata

    def unary(self, path, request, reply):
        call = self.channel.unary_unary(path, request_serializer=lambda m: m.SerializeToString(), response_deserializer=reply.FromString)
        return call(request, timeout=30, metadata=self.metadata)

    def stream(self, path, request, reply, timeout=60):
        call = self.channel.unary_stream(path, request_serializer=lambda m: m.SerializeToString(), response_deserializer=reply.FromString)
        return call(request, timeout=timeout, metadata=self.metadata)

    def capabilities(self):
        return self.unary(V2 + 'Capabilities/GetCapabilities', pb.GetCapabilitiesRequest(instance_name=self.instance), pb.ServerCapabilities)

    def missing(self, *digests, function=1):
        m = pb.FindMissingBlobsRequest(instance_name=self.instance, blob_digests=digests, digest_function=function)
        return self.unary(V2 + 'ContentAddressableStorage/FindMissingBlobs', m, pb.FindMissingBlobsResponse).missing_blob_digests

    def has(self, d):
        return not self.missing(d)

    def batch_update(self, *updates):
        m = pb.BatchUpdateBlobsRequest(instance_name=self.instance, requests=updates)
        return self.unary(V2 + 'ContentAddressableStorage/BatchUpdateBlobs', m, pb.BatchUpdateBlobsResponse).responses

    def put(self, *blobs):
        for blob in blobs:
            if len(blob) > 3 << 20:
                self.write(blob)
            else:
                one, = self.batch_update(pb.BatchUpdate(digest=digest(blob), data=blob))
                assert one.status.code == 0, one
        return digest(blobs[-1])

    def batch_read(self, *digests):
        m = pb.BatchReadBlobsRequest(instance_name=self.instance, digests=digests)
        return self.unary(V2 + 'ContentAddressableStorage/BatchReadBlobs', m, pb.BatchReadBlobsResponse).responses

    def get_tree(self, root, **more):
        m = pb.GetTreeRequest(instance_name=self.instance, root_digest=root, **more)
        return list(self.stream(V2 + 'ContentAddressableStorage/GetTree', m, pb.GetTreeResponse))

    def get_result(self, action, **more):
        m = pb.GetActionResultRequest(instance_name=self.instance, action_digest=action, **more)
        return self.unary(V2 + 'ActionCache/GetActionResult', m, pb.ActionResult)

    def update_result(self, action, result):
        m = pb.UpdateActionResultRequest(instance_name=self.instance, action_digest=action, action_result=result)
        return self.unary(V2 + 'ActionCache/UpdateActionResult', m, pb.ActionResult)

    # ---- ByteStream

    def prefix(self):
        return self.instance + '/' if self.instance else ''

    def upload_name(self, d, zstd=False, id=None):
        return '%suploads/%s/%s/%s' % (self.prefix(), id or uuid.uuid4(), 'compressed-blobs/zstd' if zstd else 'blobs', name_of(d))

    def write_messages(self, messages, timeout=30):
        call = self.channel.stream_unary('/google.bytestream.ByteStream/Write', request_serializer=lambda m: m.SerializeToString(),
                                         response_deserializer=pb.WriteResponse.FromString)
        return call(iter(messages), timeout=timeout, metadata=self.metadata).committed_size

    def pieces(self, name, data, size=64 << 10, offset=0, finish=True):
        at = offset
        while True:
            piece = data[at:at + size]
            last = at + len(piece) >= len(data)
            yield pb.WriteRequest(resource_name=name if at == offset else '', write_offset=at, data=piece, finish_write=last and finish)
            at += len(piece)
            if last:
                return

    def write(self, data, d=None, zstd=False, **more):
        d = d or digest(data)
        return self.write_messages(self.pieces(self.upload_name(d, zstd), squeeze(data) if zstd else data, **more))

    def query(self, name):
        return self.unary('/google.bytestream.ByteStream/QueryWriteStatus', pb.QueryWriteStatusRequest(resource_name=name),
                          pb.QueryWriteStatusResponse)

    def read(self, d, zstd=False, name=None, **more):
        name = name if name is not None else '%s%s/%s' % (self.prefix(), 'compressed-blobs/zstd' if zstd else 'blobs', name_of(d))
        m = pb.ReadRequest(resource_name=name, **more)
        return b''.join(r.data for r in self.stream('/google.bytestream.ByteStream/Read', m, pb.ReadResponse))


def status(fn, *words, **more):
    try:
        fn(*words, **more)
    except grpc.RpcError as e:
        return e.code().name
    return 'OK'
