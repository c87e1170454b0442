# The tables of bench/levels.sh: preprocesses and compiles the units of a project, and has levels.c try what it got.
import os, resource, subprocess, sys

program, commands, units, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]


def read_commands(path):
    with open(path, 'rb') as f:
        fields = f.read().decode().split('\0')
    at = 0
    while at < len(fields) and fields[at]:
        n = int(fields[at])
        yield fields[at + 1], fields[at + 4:at + 4 + n]  # folder, words
        at += 4 + n


def cpu_of(argv, cwd):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    if subprocess.run(argv, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
        sys.exit('coffer: failed: ' + ' '.join(argv))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def words_without(argv, *options):  # each with its value
    out, skip = [], False
    for w in argv:
        if not skip and w not in options:
            out.append(w)
        skip = w in options and not skip
    return out


texts, compile_ms, raw = [], 0.0, 0
for cwd, argv in list(read_commands(commands))[:units]:
    words = [w for w in words_without(argv, '-o', '-MF', '-MQ', '-MT') if w not in ('-c', '-MMD', '-MD', '-MP')]
    is_cxx = any(w.endswith(('.cc', '.cpp', '.cxx')) for w in words)
    text = '%s/%d.%s' % (folder, len(texts), 'ii' if is_cxx else 'i')
    cpu_of(words + ['-E', '-o', text], cwd)
    source = next(w for w in words if w.endswith(('.c', '.cc', '.cpp', '.cxx')))
    compile_ms += cpu_of([w for w in words if w != source] + ['-c', text, '-o', '/dev/null'], cwd)
    texts.append(text)
    raw += os.path.getsize(text)
mb = raw / 1e6
print('\n%s: %d units, %.1f KB of text each, %.0f ms of CPU to compile each\n' %
      (os.path.basename(folder), len(texts), raw / 1e3 / len(texts), compile_ms / len(texts)))
print('| level | smaller by | to pack, ms a MB | to unpack, ms a MB | packing, of the compile |\n|---|---|---|---|---|')
for line in subprocess.run([program, *texts], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines():
    level, packed, packing, unpacking = line.split()
    print('| %s | %.2f | %.2f | %.2f | %.2f %% |' % (level, raw / float(packed), float(packing) / mb, float(unpacking) / mb,
                                                 100 * float(packing) / compile_ms))
