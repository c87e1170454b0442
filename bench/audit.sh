#!/usr/bin/env bash
# What the audit log costs: `bench/audit.sh [ROWS]`. Rows, verification, proofs, and whole-log look-ups.
set -eu
cd "$(dirname "$0")/.."
rows=${1:-1000000}
build=build/release
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${CC:-cc}" -std=c17 -O2 -D_GNU_SOURCE -I. -I"$build" -o "$work/audit" bench/audit.c \
	-Wl,--start-group "$build"/{audit,auth,settings,codec/sha,codec,proto,base}/lib.a -Wl,--end-group \
	$(pkg-config --libs openssl libxxhash libzstd jansson libprotobuf-c) -lpthread
"$work/audit" "$work/log" "$rows"
timed() { local label=$1; shift; /usr/bin/env bash -c 'TIMEFORMAT="%R s, %U s user"; time "$@" >/dev/null' bash "$@" 2>&1 | tail -1 | sed "s/^/$label: /"; }
timed "verify $rows rows" "$build/coffer" audit verify --log "$work/log"
timed "prove one row" "$build/coffer" audit prove $((rows / 2)) --log "$work/log"
job=$("$build/coffer" audit ls --log "$work/log" --last 1 --format json | sed 's/.*"job":"\([^"]*\)".*/\1/')
timed "make the index" "$build/coffer" audit index --log "$work/log"
timed "find a job by its name" "$build/coffer" audit prove "$job" --log "$work/log"
key=$("$build/coffer" audit ls --log "$work/log" --last 1 --format json | sed 's/.*"key":"\([^"]*\)".*/\1/')
timed "inspect a key" "$build/coffer" inspect "$key" --log "$work/log"
du -sh "$work/log/index.sqlite" | sed 's/\t.*/ of it is the index/'
du -sh "$work/log" | sed 's/\t.*/ on disk/'
