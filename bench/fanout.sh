#!/usr/bin/env bash
# Many compiles at once, from the launcher to a worker of this machine and back: `bench/fanout.sh [JOBS [AT_ONCE]]`.
# The compiler is a stand-in that sleeps a second (standin.c), installed as /usr/local/bin/coffer-standin-gcc for the time of the
# measurement, since workers look for compilers in the usual places only: needs root. RUNTIME=sandbox|process.
# STRANGERS=1000: meanwhile so many connections to the worker are open that say HTTP/2's first words and nothing else, and are opened
# again when they are closed; the worker listens on TCP then.
# The ideal is JOBS / AT_ONCE seconds. TMPDIR should be a tmpfs: ext4 walks past all inodes that were freed a moment before, those of
# the run before among them, whenever a file is made.
set -eu
jobs=${1:-1000} at_once=${2:-500}
here=$(cd "$(dirname "$0")" && pwd)
build=${BENCH_BUILD:-$here/../build/release}
work=$(mktemp -d)
export COFFER_CACHE_DIR=$work/cache COFFER_REMOTE_JOBS=$at_once
listen=unix:$work/w.sock
[ -z "${STRANGERS:-}" ] || listen=127.0.0.1:$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export COFFER_WORKER=$listen
standin=/usr/local/bin/coffer-standin-gcc
[ ! -e $standin ] || { echo "coffer: '$standin' is there already" >&2; exit 1; }
cc=$(command -v musl-gcc || echo gcc)
"$cc" -O2 -static -o $standin "$here/standin.c"
worker= strangers=
end() {
	[ -z "$strangers" ] || kill "$strangers" 2>/dev/null || true
	"$build/coffer" stop >/dev/null 2>&1 || true
	[ -z "$worker" ] || kill "$worker" 2>/dev/null || true
	rm -rf "$standin" "$work"
}
trap end EXIT

"$build/cofferd" worker --insecure-loopback --listen "$listen" --admin '' --folder "$work/worker" --slots "$at_once" \
	--queue "$jobs" --runtime "${RUNTIME:-process}" --compilers coffer-standin-gcc 2>"$work/worker.log" &
worker=$!
if [ -n "${STRANGERS:-}" ]; then
	/usr/bin/python3 - "${listen##*:}" "$STRANGERS" <<'END' &
import select, socket, sys, time
port, n, kept, poll = int(sys.argv[1]), int(sys.argv[2]), {}, select.poll()
while True:
    for _ in range(min(50, n - len(kept))):
        try:
            s = socket.create_connection(('127.0.0.1', port), timeout=5)
            s.sendall(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + b'\0\0\0\4\0\0\0\0\0')
        except OSError:
            break
        s.setblocking(False)
        kept[s.fileno()] = s
        poll.register(s, select.POLLIN)
    for fd, _ in poll.poll(100):
        try:
            gone = not kept[fd].recv(65536)
        except OSError:
            gone = True
        if gone:
            poll.unregister(fd)
            kept.pop(fd).close()
END
	strangers=$!
	sleep 3
fi
cd "$work"
mkdir o
for ((i = 1; i <= jobs; i++)); do echo "int f$i;" >"f$i.c"; done
echo 'int w;' >w.c
# The daemon, the worker's session and the first look at the compiler with these words are not what is measured.
"$build/coffer" coffer-standin-gcc -c w.c -o w0.o
first=()
for i in 1 2 3 4; do
	"$build/coffer" coffer-standin-gcc -c w.c -o "w$i.o" -fsleep="$i" &
	first+=($!)
done
wait "${first[@]}"

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
