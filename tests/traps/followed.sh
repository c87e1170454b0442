# Traps 88-90: compilers that are scripts and wrappers. What they do can depend on anything, so that they run each time.
# shellcheck shell=bash

# script FILE LINE...: an executable script.
script()
{
	put "$1" "${@:2}"
	chmod +x "$1"
}

trap_88_scripts_run_and_their_compiler_is_cached() # gcc
{
	local real
	real=$(command -v "$CC")
	put a.c '#ifndef X' '#define X 0' '#endif' 'int a = X;'
	same c99 -c a.c -o a.o
	same c89 -Wall -c a.c -o a.o
	# As the NDK has it: not by exec.
	script ndk/target-cc '#!/usr/bin/env bash' 'bin=$(dirname "$0")' 'if [ "$1" != "-cc1" ]; then' "  \"\$bin/cc\" -DX=21 \"\$@\"" \
		'else' '  "$bin/cc" "$@"' 'fi'
	ln -s "$real" ndk/cc
	same ndk/target-cc -c a.c -o a.o
	same "$P/ndk/target-cc" -g -MD -c a.c -o a.o
	COFFER_REPRODUCIBLE=off check hit nice -n 1 ndk/target-cc -c a.c -o a.o
	COFFER_REPRODUCIBLE=off check hit env Y=1 sh -c 'exec "$@"' sh ndk/target-cc -c a.c -o a.o
	# A script without its first line, and one behind another.
	script plain/cc ": no first line" "exec ../cc -DX=5 \"\$@\""
	script cc '#!/bin/sh' "exec $real \"\$@\""
	cd plain && same ./cc -c ../a.c -o a.o
	# What it does besides happens each time, and its exit status is its own.
	cd ..
	script after/cc '#!/bin/sh' "$real \"\$@\" || exit 7" 'echo ran >>log' 'exit 3'
	check miss after/cc -O1 -c a.c -o a.o
	check hit after/cc -O1 -c a.c -o a.o
	[ "$(<"$T/got/status")" = 3 ] || fail "the exit status is $(<"$T/got/status")"
	[ "$(grep -c ran log)" = 2 ] || fail "the script did not run once: $(<log)"
	put bad.c 'int a'
	check compile_failed after/cc -c bad.c -o a.o
	[ "$(<"$T/got/status")" = 7 ] || fail "the exit status is $(<"$T/got/status")"
}

trap_88_a_script_may_ask_anything() # gcc
{
	local real i
	real=$(command -v "$CC")
	put a.c 'int a = X;'
	script env/cc '#!/bin/sh' "exec $real -DX=\$VALUE \"\$@\""
	for i in 1 2 1; do VALUE=$i COFFER_REPRODUCIBLE=off check any env/cc -c a.c -o a.o; done
	judge hit || fail 'the same value is no hit'
	script file/cc '#!/bin/sh' "read -r x <\"\$(dirname \"\$0\")/value\"" "exec $real -DX=\$x \"\$@\""
	for i in 1 2 1; do
		echo $i >file/value
		COFFER_REPRODUCIBLE=off check any file/cc -c a.c -o a.o
	done
	judge hit || fail 'the same value is no hit'
	script count/cc '#!/bin/sh' 'n=$(cat n); echo $((n + 1)) >n' "exec $real -DX=\$n \"\$@\""
	echo 1 >n
	for i in 1 2 3; do COFFER_REPRODUCIBLE=off check any count/cc -c a.c -o a.o; done
	script stdin/cc '#!/bin/sh' 'read -r x' "exec $real -DX=\$x \"\$@\""
	for i in 1 2; do
		echo $i >in
		STDIN=in COFFER_REPRODUCIBLE=off check any stdin/cc -c a.c -o a.o
	done
	# A directory, a umask, a stream and a limit of its own.
	script moved/cc '#!/bin/sh' 'cd moved; umask 077; exec 2>messages; ulimit -c 0' "exec $real -Wall -DX=q \"\$@\""
	put moved/a.c '#warning w' 'int q; int *a = &X;'
	for i in 1 2; do COFFER_REPRODUCIBLE=off check any moved/cc -c a.c -o a.o; done
	judge hit || fail 'the same compile is no hit'
}

trap_89_what_a_script_starts_sees_nothing_of_it() # gcc
{
	put a.c 'int a;'
	script cc '#!/bin/sh' 'env >env.sh' 'sh -c env >env.below; python3 -c "import os; print(os.environ)" >env.python 2>/dev/null' 'exec gcc "$@"'
	LD_PRELOAD=libc.so.6 COFFER_REPRODUCIBLE=off "$COFFER" ./cc -c a.c -o a.o || fail 'it does not compile'
	has_text env.sh LD_PRELOAD=libc.so.6
	! grep -q -e libcoffer -e COFFER_FOLLOW= env.sh env.below env.python || fail "it shows: $(grep -e libcoffer env.*)"
	# A compile by words alone, and programs whose words only look so.
	script tool/cc '#!/bin/sh' 'grep -c int a.c; wc -c a.c' 'exec gcc "$@"'
	COFFER_REPRODUCIBLE=off check any tool/cc -c a.c -o a.o
	# What can't be followed runs untouched: a script of a static shell, a setuid program, another cache.
	if command -v busybox >/dev/null; then
		script static/cc "#!$(command -v busybox) sh" 'exec gcc "$@"'
		if ! grep -q interpreter <<<"$(file -L "$(command -v busybox)")"; then
			untouched compiler_script static/cc -c a.c -o a.o
		fi
	fi
	script ccache '#!/bin/sh' 'shift' 'exec gcc "$@"'
	MODES=off right ./ccache gcc -c a.c -o a.o
	# The script itself calls coffer: no circle.
	script own/gcc '#!/bin/sh' "exec $COFFER gcc \"\$@\""
	PATH=$PATH:$P/own COFFER_REPRODUCIBLE=off check hit own/gcc -c a.c -o a.o
}

trap_89_what_leads_to_no_compile_is_counted_in_the_end() # gcc long
{
	put a.c 'int a;'
	script odd '#!/bin/sh' 'shift 3; : >"$1"'
	local i
	for i in 1 2 3 4 5; do MODES=off COFFER_REPRODUCIBLE=off check any ./odd -c a.c -o a.o; done
	sleep 6
	COFFER_REPRODUCIBLE=off check 'compiler_script|compiler_unknown' ./odd -c a.c -o a.o
	same c99 -c a.c -o a.o
}

trap_90_a_directory_of_another_cache_is_passed_by() # gcc
{
	put a.c 'int a;'
	script bin/ccache '#!/bin/sh' 'echo ccache ran >&2' 'exec /usr/bin/gcc "$@"'
	ln -s ../bin/ccache bin/gcc
	PATH=$P/bin:$PATH COFFER_REPRODUCIBLE=off "$COFFER" gcc -c a.c -o a.o 2>err || fail 'it does not compile'
	[ ! -s err ] || fail "the other cache ran: $(<err)"
	counted hit env PATH="$P/bin:$PATH" COFFER_REPRODUCIBLE=off "$COFFER" "$P/bin/gcc" -c a.c -o a.o
	# It may have been told of another compiler.
	PATH=$P/bin:$PATH CCACHE_COMPILER=/usr/bin/gcc "$COFFER" gcc -c a.c -o a.o 2>err || fail 'it does not compile'
	has_text err 'ccache ran'
	# Where there is nothing else, it is what runs.
	ln -s ccache bin/only-gcc
	PATH=$P/bin:$PATH "$COFFER" only-gcc -c a.c -o a.o 2>err || fail "it does not compile: $(<err)"
	has_text err 'ccache ran'
}

trap_88_a_compiler_by_another_name() # gcc
{
	local real parts
	real=$(readlink -f "$(command -v "$CC")")
	parts=$(dirname "$("$CC" -print-prog-name=cc1)")
	put a.c 'int a;'
	mkdir bin
	ln -s "$real" bin/vendor
	same bin/vendor -c a.c -o a.o
	cp "$real" bin/own
	COFFER_REPRODUCIBLE=off check any bin/own "-B$parts" -c a.c -o a.o
	COFFER_COMPILER='own:gcc' same bin/own "-B$parts" -c a.c -o a.o
	! COFFER_COMPILER=own:pascal "$COFFER" config >out 2>&1 || fail "it is taken: $(<out)"
	has_text out 'NAME:gcc or NAME:clang'
}

trap_88_mpicc() # gcc long
{
	local name any=
	put a.c 'int a;'
	for name in mpicc.openmpi mpicc.mpich; do
		command -v $name >/dev/null || continue
		any=1
		same $name -c a.c -o a.o
	done
	[ -n "$any" ] || skip 'there is no mpicc'
}

# By the name of a compiler, or told to be one: what it runs in the end counts, whatever it has asked for before.
trap_88_a_program_that_runs_a_compiler() # gcc
{
	local real i
	real=$(readlink -f "$(command -v "$CC")")
	put a.c '#ifndef X' '#define X 0' '#endif' 'int a = X;'
	cat >w.c <<-EOF
		#include <stdio.h>
		#include <stdlib.h>
		#include <unistd.h>
		int main(int n, char **words)
		{
			char *all[99] = {"gcc"}, define[60];
			int k = 1;
			if (getenv("WRAPPED")) {
				snprintf(define, sizeof define, "-DX=%s", getenv("WRAPPED"));
				all[k++] = define;
			}
			for (int i = 1; i <= n && k < 99; i++)
				all[k++] = words[i];
			execv("$real", all);
			return 9;
		}
	EOF
	mkdir in
	"$CC" w.c -o in/gcc && cp in/gcc in/vendor
	for i in 1 2 1; do
		WRAPPED=$i COFFER_REPRODUCIBLE=off check any in/gcc -c a.c -o a.o
		WRAPPED=$i COFFER_REPRODUCIBLE=off COFFER_COMPILER=vendor:gcc check any in/vendor -c a.c -o a.o
	done
	judge hit || fail 'the same compile is no hit'
	same in/gcc -c a.c -o a.o
}
