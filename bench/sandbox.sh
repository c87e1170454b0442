#!/usr/bin/env bash
# What a sandbox costs for each job, beside bwrap --unshare-all in the same run, and many jobs at once. bench/sandbox.md says more.
#
# usage: bench/sandbox.sh [-b BUILD_FOLDER] [-r ROUNDS] [-a]        (-a: also 500 sleeping jobs, and 5,000 under `process`)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$here/../build/release rounds=500 at_once=
while getopts b:r:a option; do
	case $option in
	b) build=$OPTARG ;;
	r) rounds=$OPTARG ;;
	a) at_once=1 ;;
	*) exit 2 ;;
	esac
done
command -v bwrap >/dev/null || { echo "bubblewrap is needed" >&2; exit 2; }
cd "$here/.."
build=$(realpath --relative-to=. "$build")
make --no-print-directory VARIANT="$(basename "$build")" "$build/coffer-agent" "$build/cofferd" >/dev/null
work=$(mktemp -d "${TMPDIR:-/tmp}/coffer-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/programs" "$work/scratch"
chmod 755 "$work" "$work/programs"

# The stand-in: a static program that starts as quickly as a program can.
cat >"$work/stub.c" <<'END'
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) { return argc > 1 ? (int)sleep((unsigned)atoi(argv[1])) : 0; }
END
"$(command -v musl-gcc || command -v "${CC:-cc}")" -static -O2 -o "$work/programs/stub" "$work/stub.c"
# shellcheck disable=SC2046
"${CC:-cc}" -std=c17 -O2 -D_GNU_SOURCE -I. -I"$build" -o "$work/sandbox" bench/sandbox.c \
	-Wl,--start-group "$build"/{worker/runtime,image,auth,remote,proto,compiler,depscan,store,codec,base}/lib.a -Wl,--end-group \
	$(pkg-config --libs libzstd libxxhash jansson inih libnghttp2 openssl libprotobuf-c libseccomp libjwt zlib libarchive) -lpthread
run() { "$work/sandbox" "$build/coffer-agent" "$work/scratch" "$work/programs" "$@"; }

run "$rounds" >"$work/result"
awk '
{ median[$1] = $2; least[$1] = $3; cpu[$1] = $4 }
END {
	print "| | wall, median | least | CPU of everything | set-up and tear-down | to bwrap |"
	print "|---|---|---|---|---|---|"
	for (i = split("plain bwrap process sandbox", names); i; i--) order[i] = names[i]
	for (i = 1; i <= 4; i++) {
		n = order[i]
		own = median[n] - median["plain"]
		printf "| %s | %.2f ms | %.2f ms | %.2f ms | %s | %s |\n", n, median[n] / 1000, least[n] / 1000, cpu[n] / 1000,
			n == "plain" ? "" : sprintf("%.2f ms", own / 1000),
			n == "plain" ? "" : sprintf("%.2f", own / (median["bwrap"] - median["plain"]))
	}
}' "$work/result"
if [ -n "$at_once" ]; then
	echo
	echo "500 jobs that sleep 1 s, sandbox: $(run at-once sandbox 500 1)"
	echo "5,000 jobs that sleep 20 s, process: $(run at-once process 5000 20)"
fi
# On a busy machine everything takes longer, bwrap too: 2 ms were asked for where that took 3.5.
awk '{ own[$1] = $2 } END { exit (own["sandbox"] - own["plain"]) / (own["bwrap"] - own["plain"]) > 2 / 3.5 }' "$work/result" ||
	{ echo "more than the 2 ms for a job that were asked for" >&2; exit 1; }
