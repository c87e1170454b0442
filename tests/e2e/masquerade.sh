# coffer under the compilers' names, in front of compilers that are not there, and with words it does not know.
# shellcheck shell=bash

masquerade()
{
	local name
	mkdir -p "$T/masq"
	for name in gcc g++ cc c++ clang clang++; do ln -s "$COFFER" "$T/masq/$name"; done
	PATH=$T/masq:$PATH
}

e2e_masquerade_builds_a_project()
{
	local path=$PATH
	generated_project 10
	make -s CC="$CC" FLAGS= WRAP= && mv out want || fail "the plain build fails"
	masquerade
	read_counters counters_before
	make -s -j2 CC="$CC" FLAGS= WRAP= >"$T/log" 2>&1 || fail "the build fails: $(<"$T/log")"
	settle
	[ "$(grown misses)" = 10 ] || fail "counted:$(all_grown)"
	diff -r want out || fail "objects differ"
	rm -r out
	read_counters counters_before
	make -s -j2 CC="$CC" FLAGS= WRAP= || fail "the build fails"
	settle
	[ "$(grown direct_hits)" -ge 9 ] || fail "counted:$(all_grown)" # with env -i the environment is another one
	diff -r want out || fail "objects differ"
	rm -r out
	# The same results as with the launcher's name before the compiler.
	PATH=$path
	read_counters counters_before
	make -s CC="$CC" FLAGS= WRAP="$COFFER" || fail "the build fails"
	settle
	[ "$(grown direct_hits)" -ge 9 ] || fail "counted:$(all_grown)" # with env -i the environment is another one
}

e2e_masquerade_answers_as_the_compiler()
{
	local question
	for question in --version -dumpmachine -print-search-dirs -v; do
		# gcc -v tells the name by which it was called: links to it in a folder of their own are called by path.
		"$(command -v "$CC")" $question >"$T/want" 2>&1
		(masquerade && "$CC" $question >"$T/got" 2>&1)
		rm -r "$T/masq"
		same_file "$T/want" "$T/got"
	done
	put main.c '#include <stdio.h>' 'int main(void) { puts("hello"); return 0; }'
	masquerade
	"$CC" main.c -o main || fail "does not link"
	[ "$(./main)" = hello ] || fail "the program is wrong"
	"$CC" -c main.c && "$CC" main.o -o main2 || fail "does not link"
	[ "$(./main2)" = hello ] || fail "the program is wrong"
}

e2e_masquerade_with_cmake()
{
	need cmake
	put CMakeLists.txt 'cmake_minimum_required(VERSION 3.10)' 'project(x C CXX)' 'add_executable(x a.c b.cc)'
	put a.c 'int b(void);' 'int main(void) { return b(); }'
	put b.cc 'extern "C" int b(void) { return 0; }'
	masquerade
	CC=$CC CXX=$CXX cmake -S . -B out >"$T/log" 2>&1 || fail "cmake fails: $(tail -5 "$T/log")"
	cmake --build out >"$T/log" 2>&1 || fail "the build fails: $(tail -5 "$T/log")"
	out/x || fail "the program is wrong"
	rm -rf out
	read_counters counters_before
	CC=$CC CXX=$CXX cmake -S . -B out >"$T/log" 2>&1 && cmake --build out >"$T/log" 2>&1 || fail "the build fails: $(tail -5 "$T/log")"
	settle
	[ "$(($(grown direct_hits) + $(grown preprocessed_hits)))" -ge 2 ] || fail "counted:$(all_grown)"
}

e2e_masquerade_missing_compilers() { # once
	local name
	put a.c 'int a;'
	for name in no-such-compiler ./no-such-compiler /no/such/compiler; do
		"$COFFER" $name -c a.c -o a.o >"$T/out" 2>"$T/err"
		[ $? = 127 ] || fail "no status 127 for $name"
		[ -s "$T/err" ] && head -1 "$T/err" | grep -q '^coffer: ' || fail "no message for $name: $(<"$T/err")"
		has_text "$T/err" "$name"
		[ ! -s "$T/out" ] || fail "words on standard output: $(<"$T/out")"
	done
	echo 'no program' >plainfile
	"$COFFER" ./plainfile -c a.c 2>"$T/err"
	case $? in
	126 | 127) ;;
	*) fail "no status 126 for a file that can't be executed" ;;
	esac
	[ -s "$T/err" ] || fail "no message"
	mkdir folder
	"$COFFER" ./folder -c a.c 2>"$T/err"
	[ $? != 0 ] || fail "a folder as compiler succeeds"
	ln -s "$COFFER" nosuchcc
	PATH=$P:$PATH nosuchcc -c a.c 2>"$T/err"
	[ $? = 127 ] || fail "no status 127 for a link without a compiler"
}

e2e_masquerade_mistyped_verbs() { # once
	local verb
	for verb in statz sttaus explan doctr caches; do
		"$COFFER" $verb >"$T/out" 2>"$T/err"
		[ $? != 0 ] || fail "'coffer $verb' succeeds"
		[ -s "$T/err" ] || fail "'coffer $verb' says nothing"
		[ ! -s "$T/out" ] || fail "'coffer $verb' prints $(<"$T/out")"
		has_text "$T/err" "'$verb'"
	done
	"$COFFER" stats --nonsense >"$T/out" 2>"$T/err"
	[ $? != 0 ] || fail "'coffer stats --nonsense' succeeds"
	"$COFFER" >"$T/out" 2>&1
	grep -q coffer "$T/out" || fail "'coffer' alone says nothing"
	# A compiler of a verb's name is reached by its path.
	put stats '#!/bin/sh' 'echo "compiler $*"'
	chmod +x stats
	[ "$("$COFFER" ./stats -c a.c)" = 'compiler -c a.c' ] || fail "a program with a verb's name is not reached"
}

# A ':' ends a name in PATH.
e2e_masquerade_cache_directory_with_a_colon() { # once
	need make
	export COFFER_CACHE_DIR=$T/job:1
	mkdir "$COFFER_CACHE_DIR"
	put a.c 'int a;'
	put Makefile 'a.o: a.c' $'\tgcc -c a.c -o a.o'
	"$COFFER" make >"$T/out" 2>&1 || fail "$(<"$T/out")"
	[ "$(counter misses)" = 1 ] || fail "nothing went through the cache: $("$COFFER" stats) $(<"$T/out")"
	"$COFFER" stop >/dev/null
}

# Programs that run a compiler under other conditions: coffer gets behind them.
e2e_masquerade_behind_prefix_commands()
{
	put h.h '#define V 1'
	put inc/h.h '#define V 2'
	put a.c '#include "h.h"' 'int a = V;'
	check miss "$CC" -c a.c -o a.o
	read_counters counters_before
	for command in "env A=b $CC" "env -u CPATH -- $CC" "env -i LC_ALL=${LC_ALL:-} LANG=${LANG:-} LC_CTYPE=${LC_CTYPE:-} PATH=$PATH HOME=$HOME TMPDIR=$TMPDIR XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-} COFFER_CACHE_DIR=$COFFER_CACHE_DIR COFFER_REPRODUCIBLE=$COFFER_REPRODUCIBLE $CC" \
		"nice $CC" "nice -n 1 $CC" "nice -n1 env X=y $CC" "timeout -k 5 20 $CC" "timeout --signal=INT 20 nice $CC" "stdbuf -oL $CC" \
		"/usr/bin/env $CC"; do
		rm -f a.o
		# shellcheck disable=SC2086
		"$COFFER" $command -c a.c -o a.o || fail "failed: $command"
		[ -s a.o ] || fail "no object: $command"
	done
	settle
	[ "$(grown direct_hits)" -ge 9 ] || fail "counted:$(all_grown)" # with env -i the environment is another one
	# What they do to the compiler counts.
	put b.c '#include <h.h>' 'int b = V;'
	env CPATH=. "$CC" -c b.c -o plain.o
	"$COFFER" env CPATH=. "$CC" -c b.c -o b.o
	same_file plain.o b.o
	env CPATH=inc "$CC" -c b.c -o plain.o
	"$COFFER" env CPATH=inc "$CC" -c b.c -o b.o
	same_file plain.o b.o
	# Anything else runs as it is.
	[ "$("$COFFER" env A=b sh -c 'echo $A')" = b ] || fail "env does not set a variable"
	"$COFFER" timeout 20 false
	[ $? = 1 ] || fail "another status"
	"$COFFER" env "$CC" -c nothing.c 2>"$T/errors" && fail "no failure"
	has_text "$T/errors" nothing.c
	"$COFFER" --set reproducible=off env "$CC" -c a.c -o a.o
}
