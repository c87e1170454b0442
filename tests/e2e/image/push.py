"""Pushes an OCI layout into a registry: push.py LAYOUT http[s]://HOST:PORT NAME TAG [CA [USER:PASSWORD]]."""
import base64
import json
import ssl
import sys
import urllib.request

layout, registry, name, tag = sys.argv[1:5]
context = ssl.create_default_context(cafile=sys.argv[5]) if len(sys.argv) > 5 else None
user = {'Authorization': 'Basic ' + base64.b64encode(sys.argv[6].encode()).decode()} if len(sys.argv) > 6 else {}


def ask(method, url, data=None, **headers):
    request = urllib.request.Request(url, data, {k.replace('_', '-'): v for k, v in headers.items()} | user, method=method)
    return urllib.request.urlopen(request, context=context)


def blob(digest):
    return open(f'{layout}/blobs/sha256/{digest[7:]}', 'rb').read()


index = json.load(open(layout + '/index.json'))
top = index['manifests'][0]
manifest = json.loads(blob(top['digest']))
for d in [manifest['config']] + manifest['layers']:
    place = ask('POST', f'{registry}/v2/{name}/blobs/uploads/').headers['Location']
    ask('PUT', place + ('&' if '?' in place else '?') + 'digest=' + d['digest'], blob(d['digest']),
        Content_Type='application/octet-stream')
ask('PUT', f'{registry}/v2/{name}/manifests/{tag}', blob(top['digest']), Content_Type=manifest['mediaType'])
