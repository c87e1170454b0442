#!/usr/bin/env bash
# How many routes a scheduler gives on one core: bench/routes.sh [SECONDS [WORKERS...]]. Needs `make all build/release/bin-routes`.
# The scheduler has the first core and the clients have the others; with two cores it is often these that are slower, so that
# "a CPU second" (of the scheduler's own) tells more than the rate. bench/routes.md has figures.
# BENCH_CLIENTS (4) ask BENCH_AT_ONCE (8) questions each at once: with 1 and 1 p99 is what one question takes, and not how many wait.
# BENCH_REALTIME=1 gives both a real-time priority (root): what else runs on the machine does not count then.
# With BENCH_ETCD=1 the scheduler tells an etcd of its workers (Debian's etcd-server).
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
bin=$here/build/release
seconds=${1:-5}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- 1 100 1000 2000
T=$(mktemp -d)
pid=
etcd_pid=
end() {
	[ -z "$etcd_pid" ] || kill "$etcd_pid" 2>/dev/null || :
	[ -z "$pid" ] || kill "$pid" 2>/dev/null || :
	rm -rf "$T"
}
trap end EXIT
export HOME=$T
first=()
[ -z "${BENCH_REALTIME:-}" ] || first=(chrt -f 5)
"$bin/cofferd" keys init "$T/site" --scheduler 127.0.0.1 --worker w1=127.0.0.1 --tenant bench >"$T/keys.log"
sed -i 's/^slots *=.*/slots = 1000000/' "$T/site/tenants.conf"
etcd=()
if [ -n "${BENCH_ETCD:-}" ]; then
	etcd --data-dir "$T/etcd" --log-level error --listen-client-urls http://127.0.0.1:42379 \
		--advertise-client-urls http://127.0.0.1:42379 --listen-peer-urls http://127.0.0.1:42380 2>"$T/etcd.log" &
	etcd_pid=$!
	etcd=(--etcd 127.0.0.1:42379)
	sleep 2
fi
for n; do
	: >"$T/log"
	taskset -c 0 "${first[@]}" "$bin/cofferd" scheduler --config "$T/site/scheduler.conf" --listen 127.0.0.1:0 --admin '' --heartbeat 1m \
		--tenant-routes 1000000 "${etcd[@]}" 2>>"$T/log" &
	pid=$!
	for _ in $(seq 100); do
		port=$(sed -n 's/.*"address":"127.0.0.1:\([0-9]*\)".*/\1/p' "$T/log")
		[ -z "$port" ] || break
		sleep 0.05
	done
	taskset -c "${BENCH_CLIENT_CORES:-1}" "${first[@]}" "$bin/bin-routes" "127.0.0.1:$port" "$T/site" "$pid" "$seconds" "$n" 8 500
	kill "$pid"
	wait "$pid" || :
	pid=
done
