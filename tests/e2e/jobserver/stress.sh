#!/usr/bin/env bash
# Builds in which processes are killed at random: launchers while they are remote or held, make, a sub-make, the front
# end. By hand: it takes some minutes.
#
# usage: tests/e2e/jobserver/stress.sh [-b BUILD_FOLDER] [-n RUNS] [-s SEED]
#
# What must be true of each run: it ends (a run that is not done after two minutes has hung); a build with killed
# launchers fails with make's status and one without kills succeeds; with launchers killed only, the pool is whole at the
# end; nothing is left in the temporary folder and no process of the run is left.
# shellcheck disable=SC2154
set -u
here=$(cd "$(dirname "$0")" && pwd)
TESTS=$(cd "$here/../.." && pwd)
COFFER_BUILD=$TESTS/../build/release
runs=34 seed=1
while getopts b:n:s: option; do
	case $option in
	b) COFFER_BUILD=$OPTARG ;;
	n) runs=$OPTARG ;;
	s) seed=$OPTARG ;;
	*) exit 2 ;;
	esac
done
COFFER_BUILD=$(cd "$COFFER_BUILD" && pwd) || exit 2
# shellcheck source=tests/e2e/jobserver/lib.sh
source "$here/lib.sh"
js_tools || exit 2
work=$(mktemp -d "${TMPDIR:-/tmp}/coffer-stress.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
mkdir tmp home
export TMPDIR=$work/tmp HOME=$work/home WORK_COUNT=$work/count
RANDOM=$seed
bad=0

# The state of the pool at the end of a build, as its front end has it: asked by the last recipe.
cat >query.py <<'END'
import os, socket
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["COFFER_JOBSERVER"])
s.sendall(b"cofj\1q" + bytes(6))
print(b"".join(iter(lambda: s.recv(99), b""))[12:].decode(), end="")
END

# 20 sub-makes or a flat build, with short and long remote times.
cat >flat.mk <<'END'
objs := $(foreach i,$(shell seq 120),obj$(i))
links := $(foreach i,$(shell seq 10),link$(i))
all: $(objs) $(links)
$(links):
	@$(WORK) local 50
$(objs):
	@$(WORK) remote 5 $$(( $(subst obj,,$@) * 37 % 700 + 100 ))
pool:
	@sleep 0.3; python3 query.py >pool
.PHONY: all pool $(objs) $(links)
END
cat >deep.mk <<'END'
subs := $(foreach i,$(shell seq 12),sub$(i))
all: $(subs)
$(subs):
	@+$(MAKE) --no-print-directory -f sub.mk
pool:
	@sleep 0.3; python3 query.py >pool
.PHONY: all pool $(subs)
END
cat >sub.mk <<'END'
objs := 1 2 3 4 5 6 7 8 9 10
all: $(objs)
	@$(WORK) local 50
$(objs):
	@$(WORK) remote 5 $$(( $@ * 61 + 100 ))
.PHONY: all $(objs)
END

# The processes of this run that are this program.
running() { ps -eo pid=,pgid=,comm= | awk -v group="$outer" -v name="$1" '$2 == group && $3 == name { print $1 }'; }

# kill_some PROGRAM COUNT
kill_some()
{
	local pid
	for pid in $(running "$1" | shuf -n "$2" --random-source=<(yes "$RANDOM")); do
		kill -KILL "$pid" 2>/dev/null && killed=$((killed + 1))
	done
}

say_bad()
{
	echo "run $run: $*"
	bad=$((bad + 1))
}

for run in $(seq "$runs"); do
	n=$((RANDOM % 4 + 1)) shape=flat killed=0
	[ $((RANDOM % 2)) = 0 ] || shape=deep
	case $((run % 6)) in
	0) whom='make' ;;    # the tool itself
	1) whom=front ;;     # the front end
	2) whom=sub-make ;;  # one that is not the tool; with deep builds
	*) whom=launchers ;;
	esac
	[ $whom != sub-make ] || shape=deep
	rm -f count pool
	# `pool` comes after `all` by the order of the goals: -k goes on to it, and .WAIT does not exist in make 4.3.
	setsid timeout -k 5 120 "$COFFER" make -k -j$n -f $shape.mk all >out 2>&1 &
	outer=$!
	front=
	until [ -n "$front" ] || ! kill -0 $outer 2>/dev/null; do
		front=$(pgrep -P $outer -f cofferd | head -1)
	done
	start=${EPOCHREALTIME/[.,]/}
	sleep 0.$((RANDOM % 8 + 2))
	make=$(pgrep -P "$front" -x make)
	case $whom in
	launchers)
		for _ in 1 2 3 4 5; do
			kill_some work $((RANDOM % 12 + 1))
			sleep 0.$((RANDOM % 3))
		done
		;;
	make) kill -KILL "$make" ;;
	sub-make)
		kill_some work 5
		pid=$(running make | grep -vx "$make" | head -1)
		[ -z "$pid" ] || kill -KILL "$pid"
		[ -n "$pid" ] || whom=launchers
		;;
	front) kill -KILL "$front" ;;
	esac
	wait $outer
	status=$?
	seconds=$(((${EPOCHREALTIME/[.,]/} - start) / 1000000))
	wanted=2
	case $whom in
	make | front) wanted=137 ;;
	launchers) [ $killed != 0 ] || wanted=0 ;;
	esac
	[ $status != 124 ] || say_bad "it hung"
	[ $status = $wanted ] || say_bad "exit status $status, not $wanted ($whom, $shape, -j$n)"
	# A fresh build by the same folder: also removes what a killed front end has left behind.
	"$COFFER" make -j$n -f $shape.mk pool >out2 2>&1 || say_bad "the next build fails: $(cat out2)"
	grep -q "limit $n local 1 remote 0 held 0 unread $((n - 1)) " pool || say_bad "the next pool: $(cat pool)"
	[ -z "$(ls -A tmp)" ] || say_bad "left in TMPDIR: $(ls -A tmp)"
	left=$(pgrep -g $outer | wc -l)
	# Sub-makes of a make that was killed end with their jobs: nobody reads what they write any more.
	for _ in $(seq 60); do
		[ "$left" = 0 ] && break
		sleep 0.3
		left=$(pgrep -g $outer | wc -l)
	done
	[ "$left" = 0 ] || say_bad "$left processes are left ($whom)"
	printf 'run %2d: -j%d %s, killed %s%s, status %d, %d s\n' "$run" $n $shape $whom \
		"$([ $killed = 0 ] || echo " ($killed)")" $status $seconds
done
echo "$runs runs, $bad things wrong"
[ $bad = 0 ]
