#!/usr/bin/env bash
# Many compiles at once, from the launcher to a worker of this machine and back: `bench/fanout.sh [JOBS [AT_ONCE]]`.
# The compiler is a stand-in that sleeps a second (standin.c), installed as /usr/local/bin/coffer-standin-gcc for the time of the
# measurement, since workers look for compilers in the usual places only: needs root. RUNTIME=sandbox|process.
# The ideal is JOBS / AT_ONCE seconds. TMPDIR should be a tmpfs: ext4 walks past all inodes that were freed a moment before, those of
# the run before among them, whenever a file is made.
set -eu
jobs=${1:-1000} at_once=${2:-500}
here=$(cd "$(dirname "$0")" && pwd)
build=${BENCH_BUILD:-$here/../build/release}
work=$(mktemp -d)
export COFFER_CACHE_DIR=$work/cache COFFER_WORKER=unix:$work/w.sock COFFER_REMOTE_JOBS=$at_once
standin=/usr/local/bin/coffer-standin-gcc
[ ! -e $standin ] || { echo "coffer: '$standin' is there already" >&2; exit 1; }
cc=$(command -v musl-gcc || echo gcc)
"$cc" -O2 -static -o $standin "$here/standin.c"
worker=
end() {
	"$build/coffer" stop >/dev/null 2>&1 || true
	[ -z "$worker" ] || kill "$worker" 2>/dev/null || true
	rm -rf "$standin" "$work"
}
trap end EXIT

"$build/cofferd" worker --insecure-loopback --listen "unix:$work/w.sock" --admin '' --folder "$work/worker" --slots "$at_once" \
	--queue "$jobs" --runtime "${RUNTIME:-process}" --compilers coffer-standin-gcc 2>"$work/worker.log" &
worker=$!
cd "$work"
mkdir o
for ((i = 1; i <= jobs; i++)); do echo "int f$i;" >"f$i.c"; done
echo 'int w;' >w.c
# The daemon, the worker's session and the first look at the compiler are not what is measured.
for i in 1 2 3 4; do "$build/coffer" coffer-standin-gcc -c w.c -o "w$i.o" -fsleep="$i" & done
wait %2 %3 %4 %5

# CPU of daemon, worker and agent with its jobs, in ms: also of the threads and processes that have ended.
cpu() {
	local pid
	for pid in $(pgrep -f 'cofferd (daemon|worker)|coffer-agent'); do
		grep -l "$work" "/proc/$pid/environ" >/dev/null 2>&1 && sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null
	done | awk -v tick="$(getconf CLK_TCK)" '{ s += $12 + $13 } END { print s * 1000 / tick }'
}
run() { seq "$jobs" | xargs -P "$at_once" -I{} "$@" -c f{}.c -o o/{}.o; }
before=$(cpu)
s=$(date +%s.%N)
run "$build/coffer" coffer-standin-gcc
e=$(date +%s.%N)
after=$(cpu)
[ "$(find o -name '*.o' | wc -l)" = "$jobs" ] || { echo "coffer: objects are missing" >&2; exit 1; }
s2=$(date +%s.%N)
run coffer-standin-gcc
e2=$(date +%s.%N)
awk -v n="$jobs" -v m="$at_once" -v farm="$(echo "$e - $s" | bc)" -v direct="$(echo "$e2 - $s2" | bc)" -v cpu="$(echo "$after - $before" | bc)" \
	'BEGIN { printf "%d jobs, %d at once: farm %.2f s, the stand-in itself %.2f s, ideal %.2f s; daemon, worker and agent %.2f ms a job\n",
		n, m, farm, direct, n / m, cpu / n }'
"$build/coffer" stats --tsv | grep '^remote'
