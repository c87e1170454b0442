#!/usr/bin/env bash
# What a worker costs: bench/farm.sh [FOLDER [MEASUREMENT...]]. Needs `make all programs`, a machine with nothing else to do, and for the comparison distcc.
# Ratios of one run are what counts; bench/farm.md has some.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$(mktemp -d)}
mkdir -p "$work/images/sha256-$(printf 'a%.0s' {1..64})/rootfs/usr/bin" "$work/bin"
rootfs=$work/images/sha256-$(printf 'a%.0s' {1..64})/rootfs
# musl's programs start without asking the processor what it is, which takes long in a virtual machine.
cc=$(command -v musl-gcc || command -v gcc)
"$cc" -O2 -static -o "$rootfs/usr/bin/gcc" "$here/bench/sleeper.c"
[ -e "$rootfs/bin" ] || ln -s usr/bin "$rootfs/bin"
cp "$rootfs/usr/bin/gcc" "$work/bin/gcc"
[ $# -eq 0 ] || shift
exec python3 "$here/bench/farm.py" "$here/build/release" "$work" "$@"
