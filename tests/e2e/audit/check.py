"""Checks proofs of an audit log with nothing of coffer's: RFC 6962 and C2SP notes, written from their texts.

check.py PROOF VERIFIER: prints the row, or "consistent OLD NEW"; ends with 1 where the proof does not hold.
"""
import base64
import hashlib
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def sha(*parts):
    return hashlib.sha256(b''.join(parts)).digest()


def node(left, right):
    return sha(b'\x01', left, right)


def open_note(text, verifier):
    origin, key_id, key = verifier.split('+', 2)
    key = base64.b64decode(key, validate=True)
    assert key[0] == 1 and sha(origin.encode(), b'\n', key)[:4].hex() == key_id
    body, signatures = text.split(b'\n\n', 1)
    body += b'\n'
    for line in signatures.decode().splitlines():
        if not line:
            break
        dash, name, signature = line.split(' ')
        raw = base64.b64decode(signature, validate=True)
        if dash == '\u2014' and name == origin and raw[:4].hex() == key_id:
            Ed25519PublicKey.from_public_bytes(key[1:]).verify(raw[4:], body)
            lines = body.decode().splitlines()
            assert lines[0] == origin
            return int(lines[1]), base64.b64decode(lines[2], validate=True)
    raise InvalidSignature('no signature of that key')


def root_from_inclusion(index, size, leaf, proof):
    """The recursive definition PATH(m, D[n]), upside down."""
    if size == 1:
        assert not proof
        return leaf
    k = 1
    while k * 2 < size:
        k *= 2
    if index < k:
        return node(root_from_inclusion(index, k, leaf, proof[:-1]), proof[-1])
    return node(proof[-1], root_from_inclusion(index - k, size - k, leaf, proof[:-1]))


def roots_from_consistency(old, size, proof, old_root, is_whole=True):
    """SUBPROOF(m, D[n], b), upside down: the roots of both trees."""
    if old == size:
        if is_whole:
            assert not proof
            return old_root, old_root
        assert len(proof) == 1
        return proof[0], proof[0]
    k = 1
    while k * 2 < size:
        k *= 2
    if old <= k:
        was, now = roots_from_consistency(old, k, proof[:-1], old_root, is_whole)
        return was, node(now, proof[-1])
    was, now = roots_from_consistency(old - k, size - k, proof[:-1], old_root, False)
    return node(proof[-1], was), node(proof[-1], now)


def main():
    text, verifier = open(sys.argv[1], 'rb').read(), open(sys.argv[2]).read().strip()
    head, note = text.split(b'\n\n', 1)
    lines = head.decode().split('\n')
    if lines[0] == 'c2sp.org/tlog-proof@v1':
        assert lines[1].startswith('extra ') and lines[2].startswith('index ')
        row = base64.b64decode(lines[1][6:], validate=True)
        size, root = open_note(note, verifier)
        hashes = [base64.b64decode(h, validate=True) for h in lines[3:]]
        assert root_from_inclusion(int(lines[2][6:]), size, sha(b'\x00', row), hashes) == root
        print(row.decode())
        return
    assert lines[0] == 'coffer consistency 1'
    hashes = [base64.b64decode(h, validate=True) for h in lines[1:]]
    body, rest = note.split(b'\n\n', 1)
    signature, new = rest.split(b'\n\n', 1)
    old_size, old_root = open_note(body + b'\n\n' + signature + b'\n', verifier)
    size, root = open_note(new, verifier)
    was, now = roots_from_consistency(old_size, size, hashes, old_root)
    assert was == old_root and now == root
    print('consistent', old_size, size)


try:
    main()
except (AssertionError, InvalidSignature, ValueError, IndexError) as error:
    print('does not hold:', repr(error), file=sys.stderr)
    sys.exit(1)
