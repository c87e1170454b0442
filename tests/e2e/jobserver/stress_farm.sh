#!/usr/bin/env bash
# Builds with real compilers through the daemon and a farm, in which launchers, make, sub-makes, the worker and the daemon are
# killed at random. By hand: it takes some minutes.
#
# usage: tests/e2e/jobserver/stress_farm.sh [-b BUILD_FOLDER] [-n RUNS] [-s SEED]
#
# What must be true of each run: it ends (one that is not done after two minutes has hung); it fails only if launchers or make
# were killed; every object is the plain compiler's; the next build ends well with the pool whole; of the processes of the run
# and of the daemons none is left.
# shellcheck disable=SC2154
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$here/../../../build/release runs=34 seed=1
while getopts b:n:s: option; do
	case $option in
	b) build=$OPTARG ;;
	n) runs=$OPTARG ;;
	s) seed=$OPTARG ;;
	*) exit 2 ;;
	esac
done
build=$(cd "$build" && pwd) || exit 2
unset "${!COFFER_@}"
work=$(mktemp -d "${TMPDIR:-/tmp}/coffer-stress.XXXXXX") || exit 2
cd "$work" || exit 2
mkdir home cache want bin
cp "$build"/coffer "$build"/cofferd "$build"/coffer-agent bin/
COFFER=$work/bin/coffer
export HOME=$work/home COFFER_CACHE_DIR=$work/cache COFFER_WORKER=unix:$work/worker.sock COFFER_RECACHE=on
RANDOM=$seed
bad=0 worker=

worker_start()
{
	COFFER_WORKER_LOG_FORMAT=text bin/cofferd worker --insecure-loopback --listen "unix:$work/worker.sock" --admin '' --name w \
		--folder "$work/worker" --slots 30 --runtime process --agent bin/coffer-agent >>worker.log 2>&1 &
	worker=$!
	until [ -S worker.sock ]; do sleep 0.1; done
}
end_all()
{
	kill "$worker" 2>/dev/null
	"$COFFER" stop >/dev/null 2>&1
	wait
	[ $bad != 0 ] || rm -rf "$work"
}
trap end_all EXIT

# 96 units, flat or in 8 folders; each takes a while to compile.
for i in $(seq 96); do
	{
		echo "#include <stdio.h>"
		for k in $(seq 40); do echo "int f${i}_$k(int x) { int s = 0; for (int i = 0; i < x; i++) s += i * $k % (x + $i) + 0 * RUN; printf(\"%d\", s); return s; }"; done
	} >"u$i.c"
	gcc -O2 -DRUN=0 -c "u$i.c" -o "want/u$i.o"
done
cat >flat.mk <<'EOF'
objs := $(foreach i,$(shell seq 96),got/u$(i).o)
all: $(objs)
got/%.o: %.c
	@$(CC) -O2 -DRUN=$(RUN) -c $< -o $@
pool:
	@sleep 0.3; python3 query.py >pool
.PHONY: pool
EOF
cat >deep.mk <<'EOF'
subs := $(foreach i,1 2 3 4 5 6 7 8,sub$(i))
all: $(subs)
$(subs):
	@+$(MAKE) --no-print-directory -f sub.mk PART=$(subst sub,,$@)
pool:
	@sleep 0.3; python3 query.py >pool
.PHONY: pool $(subs)
EOF
cat >sub.mk <<'EOF'
objs := $(foreach i,$(shell seq $(PART) 8 96),got/u$(i).o)
all: $(objs)
got/%.o: %.c
	@$(CC) -O2 -DRUN=$(RUN) -c $< -o $@
EOF
cat >query.py <<'EOF'
import os, socket
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["COFFER_JOBSERVER"])
s.sendall(b"cofj\1q" + bytes(6))
print(b"".join(iter(lambda: s.recv(99), b""))[12:].decode(), end="")
EOF

daemon() { timeout 5 "$COFFER" status --json 2>/dev/null | sed -n 's/.*"pid": \([0-9]*\).*/\1/p'; }
running() { ps -eo pid=,pgid=,comm= | awk -v group="$outer" -v name="$1" '$2 == group && $3 == name { print $1 }'; }
# They have the compiler's name.
launchers() { for pid in $(pgrep -g "$outer"); do [ "/proc/$pid/exe" -ef bin/coffer ] && echo "$pid"; done; }
say_bad()
{
	echo "run $run: $*"
	bad=$((bad + 1))
}

kill_launchers()
{
	local pid
	for pid in $(launchers | shuf -n "$1" --random-source=<(yes "$RANDOM")); do
		kill -KILL "$pid" 2>/dev/null && killed=$((killed + 1))
	done
}

worker_start
for run in $(seq "$runs"); do
	n=$((RANDOM % 3 + 1)) shape=flat killed=0
	[ $((RANDOM % 2)) = 0 ] || shape=deep
	whoms=(daemon launchers make sub-make worker all)
	whom=${whoms[RANDOM % 6]}
	[ "$whom" != sub-make ] || shape=deep
	rm -rf got pool
	export RUN=$run # so that the worker knows none of the results
	mkdir got
	setsid timeout -k 5 120 "$COFFER" make -k -j$n -f $shape.mk all >out 2>&1 &
	outer=$!
	until [ -n "$(running make)" ] || ! kill -0 $outer 2>/dev/null; do :; done
	make=$(running make | head -1)
	start=${EPOCHREALTIME/[.,]/}
	for _ in $(seq $((RANDOM % 3 + 1))); do
		sleep 0.$((RANDOM % 9))
		case $whom in
		daemon | all) pid=$(daemon) && [ -n "$pid" ] && kill -KILL "$pid" ;;&
		launchers | all) kill_launchers $((RANDOM % 8 + 1)) ;;&
		worker | all) kill -KILL $worker 2>/dev/null && wait $worker 2>/dev/null && rm -f worker.sock; worker_start ;;&
		sub-make)
			pid=$(running make | grep -vx "$make" | head -1)
			[ -z "$pid" ] || { kill -KILL "$pid" && killed=$((killed + 1)); }
			;;
		make) kill -KILL "$make" 2>/dev/null && killed=1 ;;
		esac
	done
	wait $outer
	status=$?
	seconds=$(((${EPOCHREALTIME/[.,]/} - start) / 1000000))
	wanted=0
	[ $killed = 0 ] || wanted=2
	[ $killed = 0 ] || [ "$whom" != make ] || wanted=137
	[ $status != 124 ] || say_bad "it hung"
	# A launcher that was killed after it had put its object in place, or a make that was done: no failure.
	[ $status = $wanted ] || { [ $killed != 0 ] && [ $status = 0 ]; } || say_bad "exit status $status, not $wanted ($whom, $shape, -j$n): $(tail -n 3 out)"
	for o in got/*.o; do
		[ ! -e "$o" ] || cmp -s "$o" "want/${o#got/}" || say_bad "$o is not the plain compiler's ($whom)"
	done
	for goal in all pool; do
		timeout 60 "$COFFER" make -j$n -f $shape.mk $goal >out2 2>&1 || say_bad "the next build fails: $(tail -n 3 out2)"
	done
	grep -q "limit $n local 1 remote 0 held 0 unread $((n - 1)) " pool || say_bad "the next pool: $(cat pool)"
	for i in $(seq 96); do cmp -s "want/u$i.o" "got/u$i.o" || say_bad "the next build's u$i.o is another one ($whom)"; done
	for _ in $(seq 60); do
		left=$(pgrep -g $outer | wc -l)
		pid=$(daemon)
		children=$([ -z "$pid" ] || pgrep -P "$pid" | wc -l)
		[ "$left${children:-0}" = 00 ] && break
		sleep 0.3
	done
	[ "$left" = 0 ] || say_bad "$left processes are left ($whom)"
	[ "${children:-0}" = 0 ] || say_bad "$children children of the daemon are left ($whom)"
	find got -type f ! -name 'u*.o' | grep . && say_bad "that is left beside the objects"
	printf 'run %2d: -j%d %s, killed %s%s, status %d, %d s\n' "$run" $n $shape "$whom" "$([ $killed = 0 ] || echo " ($killed)")" $status $seconds
done
"$COFFER" stats --tsv | grep -E '^(compiles|remote_compiles|remote_hits)	'
echo "$runs runs, $bad things wrong"
[ $bad = 0 ]
