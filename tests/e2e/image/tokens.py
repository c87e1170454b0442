"""A token server for docker-registry: tokens.py PORT KEY CERTIFICATE LOG. It gives what is asked for to user:secret."""
import base64
import http.server
import sys
import time
import urllib.parse

import jwt

port, key, certificate, log = int(sys.argv[1]), open(sys.argv[2]).read(), open(sys.argv[3]).read(), sys.argv[4]
der = ''.join(line for line in certificate.splitlines() if not line.startswith('-'))


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        with open(log, 'a') as f:
            f.write(f'{query.get("service")} {query.get("scope")}\n')
        if self.headers.get('Authorization') != 'Basic ' + base64.b64encode(b'user:secret').decode():
            self.send_response(401)
            self.end_headers()
            return
        kind, name, actions = query['scope'][0].split(':')
        now = int(time.time())
        claims = {'iss': 'tests', 'sub': 'user', 'aud': query['service'][0], 'exp': now + 300, 'nbf': now - 10, 'iat': now,
                  'jti': str(now), 'access': [{'type': kind, 'name': name, 'actions': actions.split(',')}]}
        token = jwt.encode(claims, key, algorithm='RS256', headers={'x5c': [der]})
        body = ('{"token": "%s"}' % token).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.HTTPServer(('127.0.0.1', port), Handler).serve_forever()
