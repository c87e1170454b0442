#!/usr/bin/env bash
# Real packages of the distribution, one for each kind of build: built plainly, cold and warm through coffer, compared.
# By hand: it fetches sources with apt-get (deb-src lines are needed) and takes some minutes.
#
# usage: tests/e2e/jobserver/packages.sh [-b BUILD_FOLDER] [-d FOLDER_WITH_SOURCES] [NAME...]
#
# What must be true: what configure and meson find out is the same as plainly; the build succeeds, makes the same program
# (by its tests or its output) and, the second time, comes from the cache; nothing is counted as an error.
set -u
here=$(cd "$(dirname "$0")" && pwd)
TESTS=$(cd "$here/../.." && pwd)
COFFER_BUILD=$TESTS/../build/release
sources=
while getopts b:d: option; do
	case $option in
	b) COFFER_BUILD=$OPTARG ;;
	d) sources=$(cd "$OPTARG" && pwd) || exit 2 ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
COFFER_BUILD=$(cd "$COFFER_BUILD" && pwd) || exit 2
# shellcheck source=tests/e2e/jobserver/lib.sh
source "$here/lib.sh"
js_tools || exit 2
work=$(mktemp -d "${TMPDIR:-/tmp}/coffer-packages.XXXXXX") || exit 2
trap '"$COFFER" stop >/dev/null 2>&1; rm -rf "$work"' EXIT
mkdir "$work/home" "$work/tmp"
export RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup} CARGO_HOME=${CARGO_HOME:-$HOME/.cargo}
export HOME=$work/home TMPDIR=$work/tmp COFFER_CACHE_DIR=$work/cache
PATH=$(dirname "$COFFER"):$PATH
passed=0 failed=0

counter() { "$COFFER" stats --tsv | awk -v name="$1" '$1 == name { print $2 }'; }

# Unpacks a source package into a fresh folder and goes there.
unpack()
{
	cd "$work" || exit 2
	[ -n "$sources" ] || { mkdir -p fetched && cd fetched && apt-get source --download-only "$1" >/dev/null 2>&1; sources=$work/fetched; }
	cd "$work" || exit 2
	[ -e "$sources/$(basename "$(ls "$sources"/"$1"_*.dsc)")" ] || (cd "$sources" && apt-get source --download-only "$1" >/dev/null 2>&1)
	rm -rf src
	dpkg-source -x "$sources/$1"_*.dsc src >/dev/null 2>&1 || { echo "$1: cannot be unpacked"; return 1; }
}

# check CLAIM COMMAND...
check()
{
	if "${@:2}" >"$work/log" 2>&1; then
		passed=$((passed + 1))
		printf 'ok      %s\n' "$1"
	else
		failed=$((failed + 1))
		printf 'FAILED  %s\n' "$1"
		tail -15 "$work/log" | sed 's/^/        /'
	fi
}

# hits AT_LEAST_PERCENT COMMAND...: so many of its compiles that can be cached are hits.
hits()
{
	local hits misses
	hits=$(($(counter direct_hits) + $(counter preprocessed_hits))) misses=$(counter misses)
	"${@:2}" || return 1
	hits=$(($(counter direct_hits) + $(counter preprocessed_hits) - hits)) misses=$(($(counter misses) - misses))
	echo "$hits hits, $misses misses"
	[ $hits -gt 0 ] && [ $((hits * 100)) -ge $(((hits + misses) * $1)) ] && [ "$(counter errors)" = 0 ]
}

# In a copy of the sources, so that every build has the same folder name.
fresh() { rm -rf "$work/run" && cp -a "$work/src" "$work/run" && cd "$work/run"; }

autotools()
{
	unpack hello || return
	plain() { fresh && ./configure --quiet && touch hello.1 && make -s -j2 && cp config.h "$work/plain.h" && ./hello >"$work/plain.out"; }
	with() { fresh && ./configure --quiet CC="coffer gcc" && touch hello.1 && coffer make -s && cmp config.h "$work/plain.h" && ./hello | cmp - "$work/plain.out"; }
	check 'autotools: plain' plain
	check 'autotools: cold, config.h is the same' with
	again() { make -s clean && touch hello.1 && coffer make -s; }
	check 'autotools: warm' hits 95 again
	by_name() { fresh && coffer run -- ./configure --quiet && touch hello.1 && coffer make -s && cmp config.h "$work/plain.h"; }
	check 'autotools: configure and make find coffer by PATH' by_name
	check 'autotools: make check' coffer make -s check
}

cmake_c()
{
	unpack cjson || return
	for generator in Ninja "Unix Makefiles"; do
		with() { fresh && coffer cmake -G "$generator" -S . -B "${1:-b}" -DCMAKE_INSTALL_PREFIX="$work/inst" && coffer cmake --build "${1:-b}" && coffer cmake --install "${1:-b}"; }
		check "cmake C, $generator: cold" with
		check "cmake C, $generator: warm" hits 95 with
		check "cmake C, $generator: a second build folder" with b2
		check "cmake C, $generator: its tests" ctest --test-dir b2
		check "cmake C, $generator: installed" test -e "$work/inst/include/cjson/cJSON.h"
	done
}

cmake_cxx()
{
	unpack fmtlib || return
	for generator in Ninja "Unix Makefiles"; do
		with() { fresh && cmake -G "$generator" -S . -B b -DFMT_TEST=OFF -DCMAKE_TOOLCHAIN_FILE="$TOP/integrations/cmake/coffer-toolchain.cmake" -DCMAKE_INSTALL_PREFIX="$work/inst" && coffer cmake --build b && coffer cmake --install b; }
		check "cmake C++, $generator: cold" with
		check "cmake C++, $generator: warm" hits 95 with
		check "cmake C++, $generator: installed" test -e "$work/inst/include/fmt/core.h"
	done
}

meson_c()
{
	unpack dav1d || return
	with() { fresh && CC="coffer gcc" CXX="coffer g++" meson setup b -Denable_asm=false -Dbitdepths=8 -Denable_tests=false && "$@"; }
	check 'meson: cold, coffer ninja' with coffer ninja -C b
	check 'meson: warm, meson compile' hits 95 with meson compile -C b
	check 'meson: it runs' "$work/run/b/tools/dav1d" --version
}

kernel_style()
{
	unpack busybox || return
	export KCONFIG_NOTIMESTAMP=1 # else a header says when it was configured
	config() { make -s O="$work/out" allnoconfig >/dev/null && sed -i 's/.*CONFIG_\(ECHO\|CAT\|ASH\|SED\|AWK\|LS\|VI\|TAR\)[ =].*/CONFIG_\1=y/' "$work/out/.config" && yes '' | make -s O="$work/out" oldconfig >/dev/null; }
	plain() { fresh && rm -rf "$work/out" && mkdir "$work/out" && config && make -s -rR -j2 -C "$work/out" && "$work/out/busybox" echo x; }
	with() { fresh && rm -rf "$work/out" && mkdir "$work/out" && config && coffer make -s -rR -C "$work/out" "$@" && "$work/out/busybox" echo x; }
	check 'kernel style: plain' plain
	check 'kernel style: cold' with
	check 'kernel style: warm' hits 95 with
	check 'kernel style: warm by CC=' hits 95 with CC="coffer gcc" HOSTCC="coffer gcc"
}

cargo_cc()
{
	local crate
	crate=$(ls -d /usr/share/cargo/registry/cc-1.* 2>/dev/null | head -1)
	command -v cargo >/dev/null && [ -n "$crate" ] || { echo 'skip    cargo: needs cargo and librust-cc-dev'; return; }
	rm -rf "$work/src" && mkdir -p "$work/src/src" "$work/src/.git" && cp -a "$crate" "$work/src/cc" && cd "$work/src" || return
	sed -i '/^\[dependencies.jobserver\]/,/^$/d; /^parallel/d' cc/Cargo.toml
	printf '[package]\nname = "x"\nversion = "0.1.0"\nedition = "2021"\n[build-dependencies]\ncc = { path = "cc" }\n' >Cargo.toml
	echo 'fn main() { cc::Build::new().file("src/a.c").file("src/b.c").compile("ab"); }' >build.rs
	echo 'extern "C" { fn a() -> i32; } fn main() { println!("{}", unsafe { a() }); }' >src/main.rs
	echo 'int b(void); int a(void) { return b(); }' >src/a.c
	echo 'int b(void) { return 42; }' >src/b.c
	with() { fresh && CC="coffer cc" cargo build --offline -q && [ "$(target/debug/x)" = 42 ]; }
	run() { fresh && coffer run -- cargo build --offline -q && [ "$(target/debug/x)" = 42 ]; }
	check 'cargo, cc crate: CC="coffer cc", cold' with
	check 'cargo, cc crate: CC="coffer cc", warm' hits 50 with
	check 'cargo, cc crate: coffer run' run
}

for name in ${*:-autotools cmake_c cmake_cxx meson_c kernel_style cargo_cc}; do
	$name
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
