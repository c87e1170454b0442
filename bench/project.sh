#!/usr/bin/env bash
# What is built of a project, and how:
#   project.sh record git|fmtlib|redis TREE FILE     writes down its compile commands
#   project.sh build git TREE JOBS COMPILER [TARGETS]   builds it with make, COMPILER being make's CC
#   project.sh clean git TREE                  removes what was built, but not what make generated
# A command in FILE is its number of words, the folder it runs in, the object, the depfile (or nothing), then the words
# from the compiler's name on, each ended by a NUL.
set -eu

# As the compiler: `project.sh compiler WORDS`. Compiles are noted and leave an empty object, so that make goes on and
# makes the headers that it generates; everything else (probes) is run.
note() {
	local out='' dep='' compiles='' previous='' w
	for w; do
		case $previous in
		-o) out=$w ;;
		-MF) dep=$w ;;
		esac
		[ "$w" = -c ] && compiles=yes
		previous=$w
	done
	if [ -z "$compiles" ] || [ "$out" = /dev/null ]; then
		exec "$@"
	fi
	printf '%s\0' $# "$PWD" "$out" "$dep" "$@" >>"$BENCH_COMMANDS"
	: >"$out"
}

# libgit, and the objects of the program git, with Debian's -g -O2 and without what needs further libraries.
make_git() {
	local tree=$1 jobs=$2 compiler=$3
	shift 3
	[ $# -gt 0 ] || set -- libgit.a git-objs xdiff-objs
	make -s -C "$tree" -j "$jobs" CC="$compiler" CFLAGS="-g -O2" NO_OPENSSL=1 NO_CURL=1 NO_EXPAT=1 NO_GETTEXT=1 NO_PERL=1 \
		NO_PYTHON=1 NO_TCLTK=1 "$@"
}

clean_git() {
	(cd "$1" && rm -rf libgit.a && find . \( -name '*.o' -o -name '*.o.d' \) -delete)
}

record_git() {
	make -s -C "$1" clean
	make_git "$1" 1 "$self compiler gcc" >"$log" 2>&1 || {
		tail "$log" >&2
		exit 1
	}
	clean_git "$1"
}

# The library, and those of its tests that need nothing but the library and gtest.
record_fmtlib() {
	local tests="args assert chrono color compile-fp compile core format-impl format gtest-extra noexception os ostream
		posix-mock printf ranges ranges-odr scan std unicode xchar" f
	cd "$1"
	for f in src/format.cc src/os.cc test/gtest-extra.cc test/util.cc test/test-main.cc \
		$(printf 'test/%s-test.cc ' $tests); do
		note g++ -std=c++17 -O2 -g -Iinclude -Itest -MD -MT "$f.o" -MF "$f.o.d" -o "$f.o" -c "$f"
	done
}

# The server and its tools, with the C library's malloc instead of the one that has to be configured first.
record_redis() {
	local f
	cd "$1/src"
	[ -e release.h ] || ./mkreleasehdr.sh >/dev/null
	for f in *.c; do
		note gcc -std=c11 -O2 -g -Wall -W -Wno-missing-field-initializers -DREDIS_STATIC= -I../deps/hiredis -I../deps/linenoise \
			-I../deps/lua/src -I../deps/hdr_histogram -MMD -MF "${f%.c}.d" -o "${f%.c}.o" -c "$f"
	done
}

case $1 in
compiler)
	shift
	note "$@"
	;;
record)
	self=$(realpath "$0")
	file=$(realpath -m "$4")
	log=$file.log
	export BENCH_COMMANDS=$file.new
	rm -f "$file.new"
	"record_$2" "$3"
	mv "$file.new" "$file"
	;;
build)
	shift
	project=$1
	shift
	"make_$project" "$@"
	;;
clean)
	"clean_$2" "$3"
	;;
esac
