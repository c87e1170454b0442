# Inputs that a sandbox keeps laid out for the actions to come. `layers.py SCENARIO` runs one; FOLDER is the current one.
import json, sys, threading, urllib.request

import reapi_pb2 as pb
from api import Client
from cache import Gateway
from exec import Worker, execute, files

RENAME = '/usr/bin/python3 -c "import os; '

# What an action may do to its inputs, each with what it says then. No two of them know of each other.
DEEDS = {
    'look': 'cat a/f3 a/b/g4 c/h5; ls a a/b c | wc -l',
    'write': 'echo bad >a/f3; echo more >>a/b/g4; cat a/f3 a/b/g4',
    'write through': 'exec 5<>a/f3; printf bad >&5; cat a/f3',
    'cut': ': >a/f3; wc -c <a/f3',
    'remove': 'rm a/f3 c/h5; ls a c | wc -l',
    'replace': 'rm -r a/b; mkdir a/b; echo new >a/b/only; ls a/b',
    'remove all': 'rm -r a c; ls',
    'rename a file': 'mv a/f3 a/z; cat a/z; ls a | wc -l',
    'rename a directory': 'mv a/b q; ls q | wc -l; ls a | wc -l',
    'rename the top one': 'mv a q; ls q/b | wc -l; ls',
    'rename(2) a directory': RENAME + "print('x'); os.rename('a/b', 'q'); print(len(os.listdir('q')), os.path.exists('a/b'))\"",
    'fail, and say so falsely': 'echo "Cross-Device Link" >&2; cat a/f3; exit 3',
    'mode': 'chmod 777 a/f3; chmod 000 a/b/g4; stat -c %a a/f3 a/b/g4 a/run c',
    'times': 'touch -d @1000000000 a/f3; stat -c %Y a/f3',
    'link': 'ln a/f3 a/hard && echo bad >a/hard; cat a/f3; ln -sf f4 a/f3; cat a/f3',
    'links': 'readlink a/up; cat a/up; rm a/up; ln -s f4 a/up; cat a/up',
    'run': 'a/run; echo "echo other" >a/run; a/run',
    'fill': 'mkdir a/more; for i in 1 2 3; do echo $i >a/more/$i; done; cat a/more/*; ls a | wc -l',
    'is a file': 'rm -r c && echo file >c; cat c',
    'find': 'find . -type f | sort | wc -l; find . -type d | sort',
    'tar': 'tar cf - a c | tar tf - | sort | head -30',
    'copy': 'cp -a a k && diff -r a k && echo same',
}


def tree(i):
    return {'a': {**{'f%d' % k: b'f%d\n' % k for k in range(20)}, 'b': {'g%d' % k: b'g%d\n' % k for k in range(20)}, 'up': '->f7',
                  'run': (b'#!/bin/sh\necho runs\n', 'x'), 'empty': {}},
            'c': {'h%d' % k: b'h%d\n' % k for k in range(20)}, 'own': {'n': b'%d' % i}}


def do(c, deed, i, outputs=()):
    r = execute(c, ['/bin/sh', '-c', deed], tree(i), outputs, env={'LC_ALL': 'C', 'N': str(i)}, do_not_cache=True)
    assert r.status.code == 0, r
    trees = [(d.path, c.read(d.tree_digest)) for d in r.result.output_directories]
    return r.result.exit_code, r.result.stdout_raw, r.result.stderr_raw, sorted(files(c, r).items()), trees


def farm(size):
    w = Worker('cache' + size, '--input-cache', size)
    g = Gateway('--insecure-loopback', '--workers=' + w.address)
    return g, w, Client(g.address)


def counted(w):
    s = json.loads(urllib.request.urlopen('http://%s/status' % w.admin).read())
    return s['layers_made'], s['layers_used']


def refused(w):
    return json.loads(urllib.request.urlopen('http://%s/status' % w.admin).read())['layers_refused']


def kept():
    plain, kept = farm('0'), farm('64M')
    expected = {name: do(plain[2], deed, 0) for name, deed in DEEDS.items()}
    assert counted(plain[1]) == (0, 0)
    for turn in range(3):
        for i, (name, deed) in enumerate(DEEDS.items()):
            got = do(kept[2], deed, 100 * turn + i)
            assert got == expected[name], (turn, name, got, expected[name])
    made, used = counted(kept[1])
    # One that renames and one that only says so, in each turn that had layers.
    assert refused(kept[1]) in (4, 5, 6) and refused(plain[1]) == 0, refused(kept[1])
    assert made == 2 and used >= 2 * 3 * len(DEEDS) - 8, (made, used)
    # What is written into such a directory, and what was there before, comes back as output.
    script = 'echo o >a/o; echo n >a/b/g4; rm a/b/g5; mkdir c/d; echo p >c/d/p'
    for outputs in (['a/o', 'a/f3', 'a/b/g4', 'a/up', 'a/run'], ['a/b', 'c'], ['a/b/g5', 'c/d/p', 'a/empty', 'c/d/no']):
        assert do(kept[2], script, 7, outputs) == do(plain[2], script, 7, outputs), outputs
    # At the same time, in one session.
    wrong = []

    def one(k):
        for name in list(DEEDS)[k::4]:
            got = do(kept[2], DEEDS[name], 1000 + k)
            if got != expected[name]:
                wrong.append((name, got))

    threads = [threading.Thread(target=one, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong, wrong
    # The whole input root again and again: one layer.
    for k in range(6):
        r = execute(kept[2], ['/bin/sh', '-c', 'cat f* | wc -c; echo $N >f1; cat f1'], {'f%d' % i: b'%d' % i for i in range(200)}, env={'N': str(k)}, do_not_cache=True)
        assert r.result.stdout_raw == b'490\n%d\n' % k, r
    # Where there is little room the longest unused goes, and what is larger than that is copied.
    small = farm('2M')
    for turn in range(3):
        for k in range(6):
            many = {'d%d' % k: {'f%d' % i: b'%d %d' % (k, i) for i in range(100)}, 'own': {'t': b'%d' % turn}}
            r = execute(small[2], ['/bin/sh', '-c', 'cat d*/* own/t | wc -c; rm -r d*'], many, do_not_cache=True)
            assert r.result.exit_code == 0 and r.result.stdout_raw == b'%d\n' % sum(len(v) for d in many.values() for v in d.values()), (turn, k, r)
    for turn in range(4):
        r = execute(small[2], ['/bin/sh', '-c', 'wc -c <x/large'], {'x': {'large': b'x' * 3000000, **{'f%d' % i: b'' for i in range(20)}}, 'own': {'t': b'%d' % turn}}, do_not_cache=True)
        assert r.result.stdout_raw == b'3000000\n', r
    assert counted(small[1])[0] >= 6, counted(small[1])
    for f in (plain, kept, small):
        f[0].stop()
        f[1].stop()


if __name__ == '__main__':
    {'kept': kept}[sys.argv[1]]()
