#!/usr/bin/env bash
# Which level of zstd for preprocessed text? bench/levels.sh [UNITS [PROJECT...]] prints a table for each project, with the CPU of the
# compiles beside it. The projects are those that `make bench` has fetched and built below build/bench (git, fmtlib); of each the
# first UNITS (20) of its commands are taken.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
units=${1:-20}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- git fmtlib
folder=${BENCH_FOLDER:-$here/build/bench}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC2046
"${CC:-cc}" -std=c17 -O2 -D_GNU_SOURCE -o "$work/levels" "$here/bench/levels.c" $(pkg-config --cflags --libs libzstd)
for project; do
	mkdir "$work/$project"
	python3 "$here/bench/levels.py" "$work/levels" "$folder/$project/commands" "$units" "$work/$project"
done
