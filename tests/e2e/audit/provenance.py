"""Checks a provenance envelope with nothing of coffer's: DSSE by its protocol text, the statement by a JSON schema.

provenance.py ENVELOPE VERIFIER: prints the statement; ends with an exception where it does not hold.
"""
import base64
import json
import os
import sys

import jsonschema
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

envelope = json.load(open(sys.argv[1]))
key = base64.b64decode(open(sys.argv[2]).read().strip().split('+', 2)[2], validate=True)
body, kind = base64.b64decode(envelope['payload'], validate=True), envelope['payloadType'].encode()
assert kind == b'application/vnd.in-toto+json'
signed = b'DSSEv1 %d %s %d %s' % (len(kind), kind, len(body), body)
Ed25519PublicKey.from_public_bytes(key[1:]).verify(base64.b64decode(envelope['signatures'][0]['sig']), signed)
statement = json.loads(body)
schema = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'slsa-provenance-v1.json')
jsonschema.validate(statement, json.load(open(schema)))
json.dump(statement, sys.stdout)
