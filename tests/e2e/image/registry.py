"""A registry that serves an OCI layout, well or as no registry should: registry.py LAYOUT KIND LOG PORT.

It listens on PORT and, as the other host, on the next free one. LOG gets a line for each request: where it came, its path, and what it
showed. KIND is good, or what is wrong."""
import base64
import http.server
import json
import os
import sys
import threading

layout, kind, log, port = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
index = json.load(open(layout + '/index.json'))
name = index['manifests'][0]['digest']
manifest = open(f'{layout}/blobs/sha256/{name[7:]}', 'rb').read()
layers = [layer['digest'] for layer in json.loads(manifest)['layers']]
lock = threading.Lock()


def index_of(*platforms):
    """One manifest that is right for amd64 and arm64, and others that are for nobody."""
    def one(os_, arch, digest, **more):
        return {'mediaType': 'application/vnd.oci.image.manifest.v1+json', 'digest': digest, 'size': len(manifest),
                'platform': {'os': os_, 'architecture': arch, **more}}
    none = 'sha256:' + '0' * 64
    entries = [one('linux', 'riscv64', none), one('unknown', 'unknown', none), one('windows', 'amd64', none)]
    for arch in platforms:
        entries += [one('linux', arch, none, variant='v9'), one('linux', arch, name)]
    return json.dumps({'schemaVersion': 2, 'manifests': entries}).encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def send(self, status, body=b'', **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace('_', '-'), value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def endless(self):
        self.send_response(200)
        self.send_header('Connection', 'close')
        self.end_headers()
        self.close_connection = True
        while True:
            self.wfile.write(b'x' * 65536)

    def challenge(self):
        realm = f'http://127.0.0.1:{other if kind == "realm" else port}/token'
        if kind == 'realm_file':
            realm = 'file:///etc/passwd'
        self.send(401, WWW_Authenticate=f'Bearer realm="{realm}",service="here",scope="repository:all:push,pull"')

    def manifest(self):
        if kind in ('amd64', 'index'):
            return index_of('amd64', 'arm64')
        if kind == 'elsewhere':
            return index_of()
        if kind == 'both':
            return json.dumps({**json.loads(manifest), 'manifests': []}).encode()
        if kind == 'many':
            one = json.loads(manifest)
            return json.dumps({**one, 'layers': one['layers'] * 200}).encode()
        if kind == 'large':
            one = json.loads(manifest)
            one['layers'][0]['size'] = 1 << 60
            return json.dumps(one).encode()
        return manifest + b' ' if kind == 'digest' else manifest

    def do_GET(self):
        here = 'here' if self.server.server_port == port else 'other'
        shown = self.headers.get('Authorization', 'nothing')
        with lock, open(log, 'a') as f:
            f.write(f'{here} {self.path} {shown}\n')
        try:
            self.answer(here, shown)
        except OSError:
            self.close_connection = True

    def answer(self, here, shown):
        if self.path.startswith('/token'):
            ok = shown in ('nothing', 'Basic ' + base64.b64encode(b'user:secret:with:colons').decode())
            token = 'abc\\r\\nX: y' if kind == 'token' else 'the-token'
            return self.send(200, b'{"token": "%s"}' % token.encode()) if ok else self.send(401)
        if kind in ('auth', 'realm', 'realm_file', 'token', 'forever', 'redirect') and here == 'here':
            if shown != 'Bearer the-token' or kind == 'forever':
                return self.challenge()
        what, digest = self.path.split('/')[-2:]
        if what == 'manifests':
            if kind == 'endless':
                return self.endless()
            return self.send(200, manifest if digest == name and kind != 'digest' else self.manifest())
        if not os.path.exists(f'{layout}/blobs/sha256/{digest[7:]}'):
            return self.send(404, b'{"errors": [{"code": "BLOB_UNKNOWN", "message": "no such blob"}]}')
        blob = open(f'{layout}/blobs/sha256/{digest[7:]}', 'rb').read()
        if digest not in layers:
            return self.send(200, blob)
        if kind == 'redirect' and here == 'here':
            return self.send(307, Location=f'http://127.0.0.1:{other}{self.path}')
        if kind == 'loop':
            return self.send(302, Location=self.path)
        if kind == 'file':
            return self.send(302, Location='file:///etc/passwd')
        if kind == 'secret':
            return self.send(302, Location=f'http://user:secret@127.0.0.1:{other}{self.path}')
        if kind == 'flip':
            return self.send(200, bytes([blob[0] ^ 1]) + blob[1:])
        if kind == 'short':
            return self.send(200, blob[:-1])
        if kind == 'long':
            return self.endless()
        if kind == 'cut' and not os.path.exists(log + '.cut'):
            open(log + '.cut', 'w').close()
            self.send_response(200)
            self.send_header('Content-Length', str(len(blob)))
            self.end_headers()
            self.wfile.write(blob[:-1])
            self.close_connection = True
            return None
        return self.send(200, blob)


elsewhere = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
other = elsewhere.server_port
threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
here = http.server.ThreadingHTTPServer(('127.0.0.1', port), Handler)
open(log + '.other', 'w').write(str(other))
here.serve_forever()
