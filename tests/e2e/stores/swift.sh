#!/usr/bin/env bash
# Swift with its S3 interface, which checks signatures and digests, all of it below one folder. usage: swift.sh FOLDER PORT
# Access key test:tester, secret key testing. Its file swift.conf has one place only, so that this runs in a mount namespace.
set -eu
T=$1 port=$2
if [ "${3:-}" != inside ]; then
	exec unshare --mount "$0" "$T" "$port" inside
fi
mkdir -p "$T/etc" "$T/disks/d1" "$T/run"
mount --bind "$T/etc" /etc/swift
cd "$T/etc"
free() { /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
printf '[swift-hash]\nswift_hash_path_prefix = a\nswift_hash_path_suffix = b\n[storage-policy:0]\nname = one\ndefault = yes\n' >swift.conf
cache=$(free)
memcached -u root -l 127.0.0.1 -p "$cache" &
pids=($!)
trap 'kill "${pids[@]}" 2>/dev/null; wait' EXIT TERM INT
for kind in account container object; do
	at=$(free)
	swift-ring-builder $kind.builder create 4 1 0 >/dev/null
	swift-ring-builder $kind.builder add "r1z1-127.0.0.1:$at/d1" 100 >/dev/null
	swift-ring-builder $kind.builder rebalance >/dev/null
	cat >$kind.conf <<END
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $at
devices = $T/disks
mount_check = false
workers = 0
user = root
log_address = $T/none
[pipeline:main]
pipeline = $kind-server
[app:$kind-server]
use = egg:swift#$kind
END
	swift-$kind-server $kind.conf &
	pids+=($!)
done
cat >proxy.conf <<END
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $port
workers = 0
user = root
log_address = $T/none
[pipeline:main]
pipeline = catch_errors cache s3api tempauth proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:$cache
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
END
swift-proxy-server proxy.conf &
pids+=($!)
wait
