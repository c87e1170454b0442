#!/usr/bin/python3
"""A stand-in for Firecracker's jailer: checks what it is told, and how it was started; goes to the jail's root and becomes the program.

It can't change the root, as the stand-in for Firecracker is a script.
"""
import os
import sys

own, _, rest = ' '.join(sys.argv[1:]).partition(' -- ')
words = own.split(' ')
told = dict(zip(words[::2], words[1::2]))
limits = [value for name, value in zip(words[::2], words[1::2]) if name == '--resource-limit']
assert sorted(limit.split('=')[0] for limit in limits) == ['fsize', 'no-file'], limits
assert set(told) == {'--id', '--exec-file', '--uid', '--gid', '--chroot-base-dir', '--resource-limit'}, told
assert int(told['--uid']) != 0 and int(told['--gid']) != 0, 'it stays root'
assert os.path.isabs(told['--exec-file'])
interfaces = open('/proc/net/dev').read().splitlines()[2:]
assert [i.split(':')[0].strip() for i in interfaces] == ['lo'], f'the network namespace is not empty: {interfaces}'
root = os.path.join(told['--chroot-base-dir'], os.path.basename(told['--exec-file']), told['--id'], 'root')
files = sorted(os.listdir(root))
assert [f for f in files if f not in ('memory', 'state')] == ['disk', 'initramfs', 'kernel', 'vsock_5001'], files
for name in ('disk', 'initramfs', 'kernel'):
    assert os.stat(os.path.join(root, name)).st_mode & 0o777 == 0o444 or name == 'initramfs'
for name in [f for f in files if f in ('memory', 'state')]:
    seen = os.stat(os.path.join(root, name))
    assert seen.st_mode & 0o777 == 0o600 and seen.st_uid == int(told['--uid']), f'{name} is not its own'
assert len(os.listdir('/proc/self/fd')) <= 4, 'it has inherited descriptors: ' + str([os.readlink('/proc/self/fd/' + f) for f in os.listdir('/proc/self/fd')])
os.chown(root, int(told['--uid']), int(told['--gid']))
os.chdir(root)
os.setgroups([])
os.setresgid(*[int(told['--gid'])] * 3)
os.setresuid(*[int(told['--uid'])] * 3)
os.execve(told['--exec-file'], ['firecracker', '--id', told['--id']] + rest.split(' '), {**os.environ})
