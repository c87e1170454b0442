#!/usr/bin/env bash
# `coffer make` with hundreds of compiles on a worker of this machine: `bench/elastic.sh [JOBS [SLOTS]]`. Prints the wall time
# beside that of the farm alone (the same compiles started SLOTS at once, without make), and how many local processes were
# runnable at once, sampled every 20 ms: those of the build and the daemon, and not the worker's.
# The compiler is fanout.sh's stand-in, which sleeps a second on the worker: needs root.
set -eu
jobs=${1:-400} slots=${2:-200}
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${BENCH_BUILD:-$here/../build/release}" && pwd)
work=$(mktemp -d)
export COFFER_CACHE_DIR=$work/cache COFFER_WORKER=unix:$work/w.sock COFFER_REMOTE_JOBS=$slots COFFER_RECACHE=on
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

"$build/cofferd" worker --insecure-loopback --listen "unix:$work/w.sock" --admin '' --folder "$work/worker" --slots "$slots" \
	--queue "$jobs" --runtime process --compilers coffer-standin-gcc 2>"$work/worker.log" &
worker=$!
cd "$work"
mkdir o
for ((i = 1; i <= jobs; i++)); do echo "int f$i;" >"f$i.c"; done
cat >Makefile <<'EOF'
objs := $(foreach i,$(shell seq $(JOBS)),o/f$(i).o)
all: $(objs)
o/%.o: %.c
	@$(COFFER) coffer-standin-gcc -fsleep=$$((1000 + $(RUN))) -c $< -o $@
EOF
echo 'int w;' >w.c
for i in 1 2 3 4; do "$build/coffer" coffer-standin-gcc -c w.c -o "w$i.o" -fsleep="$i" & done
wait %2 %3 %4 %5
daemon=$("$build/coffer" status --json | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')

cat >sample.py <<'EOF'
import os, sys, time
daemon, group, cores = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
counts = []
while os.path.exists(f"/proc/{group}"):
    n = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            state, parent, pgrp = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[:3]
            if int(pid) == daemon:
                n += any(open(f"/proc/{pid}/task/{t}/stat").read().rsplit(")", 1)[1].split()[0] == "R" for t in os.listdir(f"/proc/{pid}/task"))
            elif state == "R" and (int(pgrp) == group or int(parent) == daemon):
                n += 1
        except OSError:
            pass
    counts.append(n)
    time.sleep(0.02)
counts.sort()
print(f"runnable local processes: at most {counts[-1]}, 95 % of {len(counts)} samples at most {counts[len(counts) * 95 // 100]}, median {counts[len(counts) // 2]}; asked {cores + 1}")
EOF

s=$(date +%s.%N)
seq "$jobs" | xargs -P "$slots" -I{} "$build/coffer" coffer-standin-gcc -fsleep=1001 -c f{}.c -o o/{}.o
e=$(date +%s.%N)
alone=$(echo "$e - $s" | bc)
for run in 2 3; do
	rm -f o/*
	s=$(date +%s.%N)
	setsid "$build/coffer" make --summary JOBS="$jobs" COFFER="$build/coffer" RUN=$run >log 2>&1 &
	make=$!
	sampler=
	[ $run = 2 ] || { python3 sample.py "$daemon" $make "$(nproc)" & sampler=$!; }
	wait $make || { cat log >&2; exit 1; }
	e=$(date +%s.%N)
	[ -z "$sampler" ] || wait "$sampler"
	[ "$(find o -name '*.o' | wc -l)" = "$jobs" ] || { echo "coffer: objects are missing" >&2; exit 1; }
	[ $run = 3 ] || awk -v n="$jobs" -v m="$slots" -v make="$(echo "$e - $s" | bc)" -v alone="$alone" 'BEGIN {
		printf "%d compiles, %d slots: coffer make %.2f s, the farm alone %.2f s (%+.0f %%), ideal %.2f s\n", n, m, make, alone, (make / alone - 1) * 100, n / m }'
	grep -v '^$' log | tail -n 4
done
