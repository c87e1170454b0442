#!/usr/bin/env bash
# What a compile on a worker costs the client, by preprocessed text and by the user's own files, in one run:
# `bench/trees.sh [git|fmtlib [UNITS [FOLDER]]]`. UNITS of the project meet an empty worker, as many more one that has the headers.
set -eu
project=${1:-git} units=${2:-60}
here=$(cd "$(dirname "$0")" && pwd)
build=$(realpath "${BENCH_BUILD:-$here/../build/release}")
folder=${3:-${BENCH_SOURCES:-$here/../build/bench}}/trees-$project
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$here/fetch.sh" "$project" "$folder"
[ -e "$folder/commands" ] || "$here/project.sh" record "$project" "$folder/src" "$folder/commands"
python3 "$here/trees.py" "$build" "$work" "$folder/commands" "$units"
