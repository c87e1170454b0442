"""Makes an OCI image layout: layout.py DIR KIND [ROOTFS]. KIND is good, or the way in which it is bad."""
import gzip
import hashlib
import io
import json
import os
import sys
import tarfile

top, kind = sys.argv[1], sys.argv[2]
os.makedirs(top + '/blobs/sha256')


def blob(data, media):
    digest = hashlib.sha256(data).hexdigest()
    with open(f'{top}/blobs/sha256/{digest}', 'wb') as f:
        f.write(data)
    return {'mediaType': media, 'digest': 'sha256:' + digest, 'size': len(data)}


def entry(tar, name, data=b'', **fields):
    e = tarfile.TarInfo(name)
    e.size = len(data)
    e.mode = 0o644
    for field, value in fields.items():
        setattr(e, field, value)
    tar.addfile(e, io.BytesIO(data))


def layer(fill):
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode='w', format=tarfile.PAX_FORMAT) as tar:
        fill(tar)
    plain = plain.getvalue()
    diff_ids.append('sha256:' + hashlib.sha256(plain).hexdigest())
    layers.append(blob(gzip.compress(plain, mtime=0), 'application/vnd.oci.image.layer.v1.tar+gzip'))


def base(tar):
    if len(sys.argv) > 3:
        tar.add(sys.argv[3], arcname='.')
        return
    entry(tar, 'usr', type=tarfile.DIRTYPE, mode=0o755)
    entry(tar, './usr/bin/', type=tarfile.DIRTYPE, mode=0o755)
    entry(tar, 'bin', type=tarfile.SYMTYPE, linkname='usr/bin')
    entry(tar, 'usr/bin/tool', b'tool', mode=0o4755)
    entry(tar, 'usr/bin/same', type=tarfile.LNKTYPE, linkname='usr/bin/tool')
    entry(tar, 'etc/gone', b'gone', mode=0o666)
    entry(tar, 'opt', type=tarfile.DIRTYPE, mode=0o1777)
    entry(tar, 'opt/old/a', b'a')
    entry(tar, 'opt/old/b', b'b')
    entry(tar, 'dev/sda', type=tarfile.BLKTYPE)


def second(tar):
    entry(tar, 'etc/.wh.gone')
    entry(tar, 'opt/old/c', b'c')
    entry(tar, 'opt/old/.wh..wh..opq')  # about the layers below, not about c
    entry(tar, 'bin/through-the-link', b'x', mode=0o755)


def hostile(tar):
    if kind == 'absolute':
        entry(tar, '/etc/passwd', b'x')
    elif kind == 'dotdot':
        entry(tar, 'a/../../escaped', b'x')
    elif kind == 'symlink':
        entry(tar, 'out', type=tarfile.SYMTYPE, linkname=os.path.abspath(top + '/../outside'))
        entry(tar, 'out/escaped', b'x')
    elif kind == 'hardlink':
        entry(tar, 'passwd', type=tarfile.LNKTYPE, linkname='../../../../../../etc/passwd')


diff_ids, layers = [], []
layer(base)
if len(sys.argv) <= 3:
    layer(second)
if kind in ('absolute', 'dotdot', 'symlink', 'hardlink'):
    layer(hostile)
if kind == 'diff_id':
    diff_ids[0] = 'sha256:' + '0' * 64
config = blob(json.dumps({'architecture': 'amd64', 'os': 'linux', 'rootfs': {'type': 'layers', 'diff_ids': diff_ids}}).encode(),
              'application/vnd.oci.image.config.v1+json')
manifest = blob(json.dumps({'schemaVersion': 2, 'mediaType': 'application/vnd.oci.image.manifest.v1+json', 'config': config,
                            'layers': layers}).encode(), 'application/vnd.oci.image.manifest.v1+json')
manifest['annotations'] = {'org.opencontainers.image.ref.name': 'gcc'}
if kind == 'blob':
    name = f"{top}/blobs/sha256/{layers[0]['digest'][7:]}"
    data = bytearray(open(name, 'rb').read())
    data[len(data) // 2] ^= 1
    open(name, 'wb').write(data)
if kind == 'missing':
    os.remove(f"{top}/blobs/sha256/{layers[0]['digest'][7:]}")
index = json.dumps({'schemaVersion': 2, 'manifests': [manifest]})
with open(top + '/index.json', 'w') as f:
    f.write(index if kind != 'json' else index[:40])
with open(top + '/oci-layout', 'w') as f:
    f.write('{"imageLayoutVersion": "1.0.0"}')
print(manifest['digest'])
