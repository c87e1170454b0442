#!/usr/bin/env bash
# Hits with large objects (debug information): coffer and ccache by turns, each with what it keeps by default, from its local cache.
# Wall time and CPU of one hit, the size of the object, and what each cache keeps of it. See stores.md.
# usage: bench/large.sh [FUNCTIONS...]
set -eu
ROUNDS=${ROUNDS:-15}
here=$(cd "$(dirname "$0")/.." && pwd)
coffer=${BENCH_COFFER:-$here/build/release/coffer}
work=$(mktemp -d)
export HOME=$work COFFER_CACHE_DIR=$work/coffer CCACHE_DIR=$work/ccache CCACHE_INODECACHE=1 CCACHE_MAXSIZE=5G
trap '"$coffer" stop >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
mkdir -p "$work/src/.git" && cd "$work/src"
# Types, variables and small functions: nearly all of such an object is debug information.
cat >many.py <<'PY'
import sys
for i in range(int(sys.argv[1])):
    members = " ".join(f"{('int', 'long', 'char *', 'double')[(i + k) % 4]} field{k}_of_{i};" for k in range(12))
    print(f"struct node{i} {{ struct node{i} *next; {members} }} node{i};")
    print(f"long get{i}(struct node{i} *n) {{ return n->next ? (long)n->field{i % 12}_of_{i} : {i}; }}")
PY
cat >turns.py <<'PY'
import os, resource, statistics, subprocess, sys, time
rounds, coffer, source = int(sys.argv[1]), sys.argv[2], sys.argv[3]
figures = {}
for turn in range(rounds):
    for name, wrapper in (("coffer", coffer), ("ccache", "ccache")):
        if os.path.exists("u.o"):
            os.remove("u.o")
        begin = time.monotonic()
        subprocess.run([wrapper, "gcc", "-g", "-O1", "-c", source, "-o", "u.o"], check=True)
        figures.setdefault(name, []).append((time.monotonic() - begin) * 1000)
ms = {name: statistics.median(all) for name, all in figures.items()}
least = {name: min(all) for name, all in figures.items()}
print(f"{os.path.getsize('u.o') / 2**20:6.1f} MiB: coffer {ms['coffer']:6.1f} ms, ccache {ms['ccache']:6.1f} ms, ratio {ms['coffer'] / ms['ccache']:.2f}; "
      f"least {least['coffer']:.1f} and {least['ccache']:.1f} ms, ratio {least['coffer'] / least['ccache']:.2f}")
PY
for n in "${@:-2000 10000 40000}"; do
	for functions in $n; do
		/usr/bin/python3 many.py "$functions" >u.c
		touch -d '1 hour ago' u.c
		"$coffer" gcc -g -O1 -c u.c -o u.o && ccache gcc -g -O1 -c u.c -o u.o
		/usr/bin/python3 turns.py "$ROUNDS" "$coffer" u.c
	done
done
echo "kept: coffer $(du -sk "$COFFER_CACHE_DIR/v1/result" | cut -f1) KiB, ccache $(du -sk "$CCACHE_DIR" | cut -f1) KiB"
"$coffer" stats --tsv | grep -E '^(direct_hits|misses)'
ccache --print-stats | grep -E '^(direct_cache_hit|cache_miss)'
