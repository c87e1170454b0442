#!/usr/bin/env bash
# What a session in a microVM costs, beside the sandbox in the same run: `bench/microvm.sh [ROUNDS]`. Root, x86-64, QEMU and mkfs.erofs;
# on KVM where it can be used (`ACCEL=kvm`), else emulated.
set -eu
cd "$(dirname "$0")/.."
rounds=${1:-5}
build=build/release
session=$build/programs/vm_session
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
image=sha256:$(printf 'c%.0s' {1..64})
read -r kernel modules < <(tools/vm-kernel 2>/dev/null)
mkdir -p "$work"/images/"${image/:/-}"/rootfs/usr/{bin,lib} "$work/scratch"
ln -s usr/bin usr/lib "$work/images/${image/:/-}/rootfs/"
gcc -static -O1 -o "$work/images/${image/:/-}/rootfs/usr/bin/probe" tests/e2e/microvm/probe.c

drive() # RUNTIME COMMAND...
{
	"$session" --runtime "$1" --accel "${ACCEL:-tcg}" --kernel "$kernel" --modules "$modules" --images "$work/images" --image "$image" \
		--directory "$work/scratch" --agent "$build/coffer-agent" --memory "${MEMORY:-256}" --ahead 1 "${@:2}"
}

for runtime in microvm sandbox; do
	echo "== $runtime"
	for ((i = 0; i < rounds; i++)); do
		drive "$runtime" open close
	done
	drive "$runtime" open empty 200 probe true ';' upload 64 memory
	MEMORY=1024 drive "$runtime" open many 500 probe true ';'
done
echo "== microvm, ahead and asleep"
for ((i = 0; i < rounds; i++)); do
	drive microvm ahead open run probe true ';' memory save resume run probe true ';' memory
done
