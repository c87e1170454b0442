#!/usr/bin/python3
"""A stand-in for Firecracker where there is none: its API as its sources have it, strict, and a guest that is a coffer-agent.

It answers as Firecracker 1.16.1 does: the same methods, paths, fields (an unknown one is refused), order, limits and words, one
request at a time; hybrid vsock with CONNECT and OK, and the guest's call. It has no KVM and no boundary: what it tests is
the worker's side. STUB_* in the file `stub` beside the jail's root change what it does (see HOW).
"""
import json
import os
import re
import socket
import subprocess
import sys
import threading

VERSION = '1.16.1'
HOW = {'network': False, 'version': VERSION, 'guest': 'agent', 'refuse': '', 'die': ''}
NAME = re.compile(r'^[A-Za-z0-9_]+$')
STARTED = 'The requested operation is not supported after starting the microVM.'
NOT_STARTED = 'The requested operation is not supported before starting the microVM.'


class Refused(Exception):
    pass


def fields(body, required, optional):
    """deny_unknown_fields, with serde's words."""
    head = 'An error occurred when deserializing the json body of a request: '
    for name in body:
        if name not in required and name not in optional:
            raise Refused(head + f'unknown field `{name}`, expected one of ' + ', '.join(f'`{n}`' for n in {**required, **optional}))
    for name, kind in {**required, **optional}.items():
        if name not in body:
            if name in required:
                raise Refused(head + f'missing field `{name}`')
        elif not isinstance(body[name], kind) or (kind is int and isinstance(body[name], bool)):
            raise Refused(head + f'invalid type for `{name}`')


class Vm:
    def __init__(self, name, root):
        self.name, self.root, self.state = name, root, 'Not started'
        self.config, self.done = {'drives': [], 'network-interfaces': []}, set()

    def path(self, text):
        assert text.startswith('/'), 'paths of the API are those of the jail'
        return os.path.join(self.root, text[1:])

    def exists(self, text, what):
        if not os.path.isfile(self.path(text)):
            raise Refused(f'{what} cannot be opened: No such file or directory (os error 2)')

    # ---- before the start ----

    def logger(self, body, _):
        fields(body, {}, {'log_path': str, 'level': str, 'show_level': bool, 'show_log_origin': bool, 'module': str})
        if body.get('level', 'Info') not in ('Off', 'Trace', 'Debug', 'Info', 'Warn', 'Warning', 'Error'):
            raise Refused('unknown log level')
        open(self.path(body['log_path']), 'a').close()

    def metrics(self, body, _):
        if 'metrics' in self.done:
            raise Refused('The metrics system was already initialized.')
        open(self.path(body['metrics_path']), 'a').close()

    def machine(self, body, _):
        fields(body, {'vcpu_count': int, 'mem_size_mib': int}, {'smt': bool, 'cpu_template': str, 'track_dirty_pages': bool, 'huge_pages': str})
        if not 1 <= body['vcpu_count'] <= 32 or body['mem_size_mib'] < 1:
            raise Refused('The vCPU number is invalid! The vCPU number can only be 1 or an even number when SMT is enabled.')
        self.config['machine-config'] = body

    def boot_source(self, body, _):
        fields(body, {'kernel_image_path': str}, {'initrd_path': str, 'boot_args': str})
        self.exists(body['kernel_image_path'], 'Boot source error: The kernel file')
        if 'initrd_path' in body:
            self.exists(body['initrd_path'], 'Boot source error: The initrd file')
        if len(body.get('boot_args', '')) > 2000:
            raise Refused('Boot source error: The kernel command line is invalid')
        if 'nomodule' in body.get('boot_args', 'nomodule'):
            print('stub: the guest could load no module', file=sys.stderr)
        self.config['boot-source'] = body

    def drive(self, body, name):
        fields(body, {'drive_id': str, 'is_root_device': bool},
               {'path_on_host': str, 'is_read_only': bool, 'partuuid': str, 'cache_type': str, 'io_engine': str, 'rate_limiter': dict, 'socket': str})
        if body['drive_id'] != name:
            raise Refused('The id from the path does not match the id from the body!')
        self.exists(body['path_on_host'], 'Drive error: Unable to create the virtio block device: Virtio backend error: Error manipulating the backing file')
        self.config['drives'].append(body)

    def vsock(self, body, _):
        fields(body, {'guest_cid': int, 'uds_path': str}, {'vsock_id': str})
        if body['guest_cid'] < 3:
            raise Refused('Vsock error: guest CIDs below 3 are reserved')
        self.socket = socket.socket(socket.AF_UNIX)
        try:
            self.socket.bind(self.path(body['uds_path']))
        except OSError as e:
            raise Refused(f'Cannot create backend for vsock device: Error binding to the host-side Unix socket: {e.strerror} (os error {e.errno})')
        self.socket.listen(64)
        self.config['vsock'] = body

    # ---- pause, save, load ----

    def vm_state(self, body):
        fields(body, {'state': str}, {})
        if body['state'] not in ('Paused', 'Resumed'):
            raise Refused('An error occurred when deserializing the json body of a request: unknown variant')
        if self.state == 'Not started':
            raise Refused(NOT_STARTED)
        if body['state'] == 'Resumed' and self.state == 'Paused':
            threading.Thread(target=run_guest, args=(self, True), daemon=True).start()
        self.state = 'Running' if body['state'] == 'Resumed' else 'Paused'

    def save(self, body):
        fields(body, {'snapshot_path': str, 'mem_file_path': str}, {'snapshot_type': str})
        if self.state == 'Not started':
            raise Refused(NOT_STARTED)
        if self.state != 'Paused':
            raise Refused('Create snapshot error: Cannot perform snapshot on a running microVM')  # it must be paused
        open(self.path(body['snapshot_path']), 'w').write(json.dumps(self.config))
        with open(self.path(body['mem_file_path']), 'wb') as f:
            f.truncate(self.config['machine-config']['mem_size_mib'] << 20)
            f.seek(123 << 12)
            f.write(os.urandom(10000))

    def load(self, body):
        fields(body, {'snapshot_path': str}, {'mem_backend': dict, 'mem_file_path': str, 'resume_vm': bool, 'network_overrides': list, 'track_dirty_pages': bool,
                                             'vsock_override': dict, 'clock_realtime': bool})
        if ('mem_backend' in body) == ('mem_file_path' in body):
            raise Refused('Load snapshot error: exactly one of mem_backend and mem_file_path')
        if self.state != 'Not started' or self.done - {'logger', 'metrics'}:
            raise Refused('Load snapshot error: Loading a microVM snapshot not allowed after configuring boot-specific resources.')
        fields(body['mem_backend'], {'backend_type': str, 'backend_path': str}, {})
        self.config = json.load(open(self.path(body['snapshot_path'])))
        if os.stat(self.path(body['mem_backend']['backend_path'])).st_size != self.config['machine-config']['mem_size_mib'] << 20:
            raise Refused('Load snapshot error: the memory file has another size')
        for drive in self.config['drives']:
            self.exists(drive['path_on_host'], 'Load snapshot error: the drive')
        vsock = self.config.pop('vsock')
        self.vsock({name: vsock[name] for name in ('guest_cid', 'uds_path')}, None)
        self.state = 'Paused'
        if body.get('resume_vm'):
            self.vm_state({'state': 'Resumed'})

    def entropy(self, body, _):
        fields(body, {}, {'rate_limiter': dict})
        self.config['entropy'] = body

    # ---- the start, and after it ----

    def action(self, body, _):
        fields(body, {'action_type': str}, {})
        if body['action_type'] not in ('InstanceStart', 'FlushMetrics', 'SendCtrlAltDel'):
            raise Refused('An error occurred when deserializing the json body of a request: unknown variant')
        if body['action_type'] != 'InstanceStart':
            if self.state == 'Not started':
                raise Refused(NOT_STARTED)
            return
        if self.state != 'Not started':
            raise Refused(STARTED)
        if 'boot-source' not in self.config:
            raise Refused('Start microvm error: Cannot start microvm without kernel configuration.')
        self.state = 'Running'
        threading.Thread(target=run_guest, args=(self,), daemon=True).start()

    def get(self, path):
        if path == '/':
            return {'id': self.name, 'state': self.state, 'vmm_version': HOW['version'], 'app_name': 'Firecracker'}
        if path == '/version':
            return {'firecracker_version': HOW['version']}
        if path == '/vm/config':
            return {**self.config, 'network-interfaces': [{'iface_id': 'eth0'}] if HOW['network'] else []}
        if path == '/machine-config':
            return self.config.get('machine-config', {'vcpu_count': 1, 'mem_size_mib': 128})
        raise Refused(f'Invalid request method and/or path: GET {path[1:]}.')

    def put(self, path, body):
        before = {'logger': self.logger, 'metrics': self.metrics, 'machine-config': self.machine, 'boot-source': self.boot_source,
                  'vsock': self.vsock, 'entropy': self.entropy}
        parts = path[1:].split('/')
        if path == '/actions':
            return self.action(body, None)
        if path == '/snapshot/create':
            return self.save(body)
        if path == '/snapshot/load':
            return self.load(body)
        if len(parts) == 2 and parts[0] == 'drives':
            if not NAME.match(parts[1]):
                raise Refused('API Resource IDs can only contain alphanumeric characters and underscores.')
            work, name = self.drive, parts[1]
        elif path[1:] in before:
            work, name = before[path[1:]], None
        else:
            raise Refused(f'Invalid request method and/or path: PUT {path[1:]}.')
        if self.state != 'Not started':
            raise Refused(STARTED)
        if HOW['refuse'] and path.startswith(HOW['refuse']):
            raise Refused('refused by the test')
        work(body, name)
        self.done.add(parts[0])


# ---- the guest ----

def carry(a, b):
    while data := a.recv(65536):
        b.sendall(data)


def start_agent(vm):
    ours, theirs = socket.socketpair()
    scratch = os.path.join(vm.root, 'scratch')
    os.makedirs(scratch, exist_ok=True)
    agent = subprocess.Popen([os.environ['STUB_AGENT'], '--runtime', 'process', '--socket', str(theirs.fileno()), '--scratch', scratch, '--cgroups', 'none',
                              '--jobs', vm.config['boot-source']['boot_args'].split('coffer.jobs=')[1].split()[0]], pass_fds=[theirs.fileno()])
    theirs.close()
    return ours, agent


def serve_control(vm, host):
    """What the guest's first process says (agent/vm_channel.c)."""
    vm.begun.clear()
    vm.control = host
    host.sendall(b'coffer ready 2\n')
    line = host.makefile('rb').readline()
    if not line:
        return
    if not re.fullmatch(rb'begin \d{19} [0-9a-f]{64}\n', line) or HOW['guest'] == 'deaf':
        os._exit(0)
    host.sendall(b'begun\n')
    vm.begun.set()


def serve_data(vm, host):
    vm.begun.wait()
    ours, agent = start_agent(vm)
    threading.Thread(target=carry, args=(ours, host), daemon=True).start()
    try:
        carry(host, ours)
    except OSError:
        pass
    ours.close()
    agent.kill()
    agent.wait()
    vm.control.sendall(b'coffer ready 2\n')


def serve_host(vm, host):
    line = host.recv(32)  # one read: a split line is not waited for
    served = {5000: serve_data, 5002: serve_control}
    if not re.fullmatch(rb'(?i)CONNECT \d+\n', line) or int(line.split()[1]) not in served:
        return host.close()
    host.sendall(b'OK 1073741824\n')
    threading.Thread(target=served[int(line.split()[1])], args=(vm, host), daemon=True).start()


def run_guest(vm, is_resumed=False):
    if HOW['die'] == 'boot':
        os._exit(1)
    if HOW['guest'] == 'silent':
        return
    vm.begun = threading.Event()
    if not is_resumed:
        call = socket.socket(socket.AF_UNIX)
        call.connect(vm.path(vm.config['vsock']['uds_path']) + '_5001')
        call.sendall(b'coffer ready 2\n' if HOW['guest'] in ('agent', 'deaf') else b'coffer failed: mount the image: Invalid argument\n')
        call.close()
    while True:
        serve_host(vm, vm.socket.accept()[0])


# ---- HTTP ----

def read_request(client):
    head = b''
    while b'\r\n\r\n' not in head:
        piece = client.recv(1024)
        if not piece:
            return None
        head += piece
    head, body = head.split(b'\r\n\r\n', 1)
    lines = head.decode().split('\r\n')
    if any(len(line) > 1024 for line in lines):
        raise Refused('The request line or a header is too long')
    headers = {name.lower(): value for name, value in (line.split(': ', 1) for line in lines[1:])}
    if 'transfer-encoding' in headers:
        raise Refused('Empty PUT request.')
    length = int(headers.get('content-length', 0))
    if length > 51200:
        raise Refused('Request payload with size is larger than the limit of 51200 allowed by server.')
    while len(body) < length:
        body += client.recv(length - len(body))
    return lines[0].split(' ')[0], lines[0].split(' ')[1], body


def answer(vm, method, path, body):
    if method == 'GET':
        if body:
            raise Refused('GET request cannot have a body.')
        return 200, vm.get(path)
    if method == 'PATCH' and path == '/vm':
        return 204, vm.vm_state(json.loads(body))
    if method != 'PUT':
        raise Refused(f'Invalid request method and/or path: {method} {path[1:]}.')
    if not body:
        raise Refused('Empty PUT request.')
    vm.put(path, json.loads(body))
    return 204, None


def serve(vm, client):
    while request := read_request(client):
        try:
            status, body = answer(vm, *request)
        except Refused as e:
            status, body = 400, {'fault_message': str(e)}
        head = f'HTTP/1.1 {status} {"OK" if status == 200 else "Bad Request" if status == 400 else ""}\r\nServer: Firecracker API\r\nConnection: keep-alive\r\n'
        text = json.dumps(body).encode() if body is not None else b''
        if body is not None:
            head += f'Content-Type: application/json\r\nContent-Length: {len(text)}\r\n'
        client.sendall(head.encode() + b'\r\n' + text)


def main():
    arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    assert set(arguments) <= {'--id', '--api-sock', '--start-time-us', '--start-time-cpu-us', '--parent-cpu-time-us'}, arguments
    assert re.fullmatch(r'[A-Za-z0-9-]{1,64}', arguments['--id'])
    root = '.'  # the jail's
    if os.path.exists(os.environ['STUB_HOW']):
        HOW.update(json.load(open(os.environ['STUB_HOW'])))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.path.join(root, arguments['--api-sock'].lstrip('/')))
    listener.listen(10)
    vm = Vm(arguments['--id'], root)
    while True:
        client, _ = listener.accept()
        serve(vm, client)
        client.close()


main()
