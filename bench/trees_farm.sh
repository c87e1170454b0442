#!/usr/bin/env bash
# A real project's units at once on a farm of this machine, by preprocessed text and by the user's own files, in one run:
# `bench/trees_farm.sh [SLOTS [AT_ONCE]]`. What the client does is what it does for real compiles of git; the compiler is a stand-in that
# compiles in a second without CPU (standin.c), so that the ideal is one second for each SLOTS units. It is installed as
# /usr/local/bin/coffer-real-gcc for the time of the measurement: needs root.
set -eu
slots=${1:-200}
here=$(cd "$(dirname "$0")" && pwd)
build=$(realpath "${BENCH_BUILD:-$here/../build/release}")
folder=${BENCH_SOURCES:-$here/../build/bench}/trees-git
standin=/usr/local/bin/coffer-real-gcc
[ ! -e $standin ] || { echo "coffer: '$standin' is there already" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work" $standin' EXIT
"$here/fetch.sh" git "$folder"
[ -e "$folder/commands" ] || "$here/project.sh" record git "$folder/src" "$folder/commands"
"$(command -v musl-gcc || echo gcc)" -O2 -static -o $standin "$here/standin.c"
gcc -O2 -D_GNU_SOURCE -I"$here/.." -o "$work/burst" "$here/burst.c" "$here/commands.c"
python3 "$here/trees_farm.py" "$build" "$work" "$folder/commands" "$slots" "${2:-400}"
