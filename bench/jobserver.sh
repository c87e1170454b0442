#!/usr/bin/env bash
# The elastic jobserver's figures, next to what they should be. Local commands are counted by the stand-ins themselves, at
# every start and every end (tests/e2e/jobserver/work.c), so a maximum is exact.
#
# usage: bench/jobserver.sh [-b BUILD_FOLDER] [-r REPEATS]
#
# Prints a table in markdown; bench/jobserver.md says what each workload is and holds the last results. It takes about
# three minutes on an idle machine, of which a loaded one makes more.
# shellcheck disable=SC2154,SC2016
set -u
here=$(cd "$(dirname "$0")" && pwd)
TESTS=$(cd "$here/../tests" && pwd)
COFFER_BUILD=$here/../build/release
repeats=3
while getopts b:r: option; do
	case $option in
	b) COFFER_BUILD=$OPTARG ;;
	r) repeats=$OPTARG ;;
	*) exit 2 ;;
	esac
done
COFFER_BUILD=$(cd "$COFFER_BUILD" && pwd) || exit 2
# shellcheck source=tests/e2e/jobserver/lib.sh
source "$TESTS/e2e/jobserver/lib.sh"
js_tools || exit 2
work=$(mktemp -d "${TMPDIR:-/tmp}/coffer-bench.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
mkdir "$work/home" "$work/tmp"
cd "$work" || exit 2
export HOME=$work/home TMPDIR=$work/tmp
missed=0

seconds() { printf '%d.%02d' $(($1 / 1000)) $(($1 % 1000 / 10)); }

# row NAME MAX_WALL_MS MAX_LOCAL CMD...: the median of the repeats' times, and the highest number of local commands. A
# limit of 0 is none.
row()
{
	local name=$1 wall_limit=$2 local_limit=$3 times=() most=0 verdict=ok
	shift 3
	for _ in $(seq "$repeats"); do
		measured "$@" >out 2>&1
		[ "$status" = 0 ] || { echo "$name: exit status $status: $(tail -3 out)" >&2; exit 1; }
		times+=("$wall_ms")
		[ "$max_local" -le "$most" ] || most=$max_local
	done
	median=$(printf '%s\n' "${times[@]}" | sort -n | sed -n "$(((repeats + 1) / 2))p")
	[ "$wall_limit" = 0 ] || [ "$median" -le "$wall_limit" ] || verdict=missed
	[ "$local_limit" = 0 ] || [ "$most" -le "$local_limit" ] || verdict=missed
	[ $verdict = ok ] || missed=$((missed + 1))
	[ "$wall_limit$local_limit" != 00 ] || verdict=
	printf '| %s | %s | %s | %s | %s | %s |\n' "$name" "$(seconds "$median")" \
		"$([ "$wall_limit" = 0 ] || seconds "$wall_limit")" "$most" "${local_limit#0}" "$verdict"
}

fake_path=$PATH
js_fake_tool make 'GNU Make 4.4.1'
with_fake() { PATH=$work/fake:$fake_path "$@"; }

printf 'Load before: %s\n\n' "$(cut -d' ' -f1-3 /proc/loadavg)"
echo '| what | seconds | at most | local at once | at most | |'
echo '| --- | --- | --- | --- | --- | --- |'

load_w1 200 20
repeats_were=$repeats repeats=1
COFFER_LEND=0 row 'w1: make -j2, nothing lent (once)' 0 0 make -j2 -f w1.mk
repeats=$repeats_were
row 'w1: make -j500' 0 0 make -j500 -f w1.mk
row 'w1: coffer make, N=2 (two pipes)' 4400 2 "$COFFER" make -j2 -f w1.mk
row 'w1: coffer ninja, N=2 (gate)' 4400 2 env COFFER_WORKER=127.0.0.1:1 "$COFFER" ninja -j2 -f w1.ninja
row 'w1: stand-in for make 4.4 (fifo), N=2' 0 2 with_fake "$COFFER" make -j2 w1.list
row 'w1: plain make -j2, the launcher lends' 4400 2 make -j2 -f w1.mk

load_w3 40 2000
row 'burst: coffer make, N=2 (two pipes)' 9200 2 "$COFFER" make -j2 -f w3.mk
row 'burst: coffer make, N=4' 0 4 "$COFFER" make -j4 -f w3.mk
row 'burst: coffer make, N=1' 0 1 "$COFFER" make -j1 -f w3.mk
row 'burst: coffer ninja, N=2 (gate)' 9200 2 env COFFER_WORKER=127.0.0.1:1 "$COFFER" ninja -j2 -f w3.ninja
row 'burst: stand-in for make 4.4 (fifo), N=2' 0 2 with_fake "$COFFER" make -j2 w3.list

load_w5 30
row '30 sub-makes: coffer make, N=2' 0 2 "$COFFER" make -j2 -f w5.mk
row '30 sub-makes: coffer make, N=4' 0 4 "$COFFER" make -j4 -f w5.mk

printf 't := $(foreach i,$(shell seq 1000),t$(i))\nall: $(t)\n$(t):\n\t@/bin/true\n.PHONY: all $(t)\n' >w0.mk
row '1,000 no-ops: make -j500' 0 0 make -j500 -f w0.mk
base=$median
row '1,000 no-ops: coffer make' $((base * 11 / 10)) 0 "$COFFER" make -f w0.mk
printf '\n%s of the figures missed; load after: %s\n' $missed "$(cut -d' ' -f1-3 /proc/loadavg)"
