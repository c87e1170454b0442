# Traps 31-35: the environment.
# shellcheck shell=bash

trap_31_include_path_variables() # long
{
	local name
	put one/h.h '#define H 1'
	put two/h.h '#define H 2'
	put a.c '#include <h.h>' 'int value = H;'
	for name in CPATH C_INCLUDE_PATH; do
		export "$name=one"
		same "$CC" -c a.c -o a.o
		export "$name=two"
		check changed "$CC" -c a.c -o a.o
		export "$name=two:one"
		check any "$CC" -MD -c a.c -o a.o
		export "$name=missing:one"
		check any "$CC" -MD -c a.c -o a.o
		put missing/h.h '#define H 3'
		check changed "$CC" -MD -c a.c -o a.o
		rm -r missing
		put one/h.h '#define H 4'
		check changed "$CC" -MD -c a.c -o a.o
		put one/h.h '#define H 1'
		# An empty name is the working folder.
		export "$name=:one"
		check any "$CC" -c a.c -o a.o
		put h.h '#define H 5'
		check changed "$CC" -c a.c -o a.o
		rm h.h
		unset "$name"
		check any "$CC" -c a.c -o a.o
	done
}

trap_31_variables_of_other_languages()
{
	put one/h.h '#define H 1'
	put two/h.h '#define H 2'
	put a.cc '#include <h.h>' 'int value = H;'
	cp a.cc a.m
	cp a.cc a.mm
	export CPLUS_INCLUDE_PATH=one
	same "$CXX" -c a.cc -o a.o
	CPLUS_INCLUDE_PATH=two
	check changed "$CXX" -c a.cc -o a.o
	unset CPLUS_INCLUDE_PATH
	check any "$CXX" -c a.cc -o a.o
	export OBJC_INCLUDE_PATH=one
	right "$CC" -c a.m -o a.o
	OBJC_INCLUDE_PATH=two
	check changed "$CC" -c a.m -o a.o
	unset OBJC_INCLUDE_PATH
	export OBJCPLUS_INCLUDE_PATH=one
	right "$CC" -c a.mm -o a.o
	OBJCPLUS_INCLUDE_PATH=two
	check any "$CC" -c a.mm -o a.o
	# A variable of another language does not disturb, whatever it says.
	export CPLUS_INCLUDE_PATH=one
	put a.c 'int a;'
	right "$CC" -c a.c -o a.o
}

# Programs that stand in for the assembler: each adds its own symbol.
fake_assembler()
{
	put "$1/as" '#!/bin/sh' "exec /usr/bin/as --defsym made_by=$2 \"\$@\""
	chmod +x "$1/as"
}

trap_32_where_the_compilers_programs_come_from() # gcc
{
	put a.c 'int a;'
	fake_assembler "$P/one" 1
	fake_assembler "$P/two" 2
	same gcc -c a.c -o a.o
	export COMPILER_PATH=$P/one
	right gcc -c a.c -o a.o
	COMPILER_PATH=$P/two
	check changed gcc -c a.c -o a.o
	fake_assembler "$P/two" 3
	check changed gcc -c a.c -o a.o
	unset COMPILER_PATH
	export GCC_EXEC_PREFIX=$P/one/
	check any gcc -c a.c -o a.o
	unset GCC_EXEC_PREFIX
	expect_served gcc -c a.c -o a.o
}

trap_32_variables_that_add_arguments() # clang
{
	put a.c 'int a = X;'
	export CCC_OVERRIDE_OPTIONS='# +-DX=1'
	right clang -c a.c -o a.o
	CCC_OVERRIDE_OPTIONS='# +-DX=2'
	check changed clang -c a.c -o a.o
	CCC_OVERRIDE_OPTIONS='# x-Wall +-DX=3'
	check changed clang -c a.c -o a.o
	unset CCC_OVERRIDE_OPTIONS
	check any clang -c a.c -o a.o
	export CLANG_NO_DEFAULT_CONFIG=1
	check any clang -c a.c -DX=1 -o a.o
}

trap_32_clang_configuration_files() # clang
{
	put a.c 'int a = X;'
	put x.cfg '-DX=1'
	right clang --config "$P/x.cfg" -c a.c -o a.o
	put x.cfg '-DX=2'
	check changed clang --config "$P/x.cfg" -c a.c -o a.o
	put x.cfg '@inner.cfg'
	put inner.cfg '-DX=3'
	check changed clang --config "$P/x.cfg" -c a.c -o a.o
	put inner.cfg '-DX=4'
	check changed clang --config "$P/x.cfg" -c a.c -o a.o
	# By a variable, for clang 16 and newer.
	mkdir one two
	put one/clang.cfg '-DX=5'
	put two/clang.cfg '-DX=6'
	export CLANG_CONFIG_FILE_USER_DIR=$P/one CLANG_CONFIG_FILE_SYSTEM_DIR=$P/one
	check any clang -DX=7 -Wno-macro-redefined -c a.c -o a.o
	CLANG_CONFIG_FILE_USER_DIR=$P/two
	check any clang -DX=7 -Wno-macro-redefined -c a.c -o a.o
}

trap_32_configuration_file_by_the_compilers_name() # clang
{
	local real
	put a.c '#ifndef X' '#define X 0' '#endif' 'int a = X;'
	real=$(readlink -f "$(command -v clang)")
	mkdir bin
	ln -s "$real" bin/mine-clang
	right "$P/bin/mine-clang" -c a.c -o a.o
	put bin/mine.cfg '-DX=1'
	check any "$P/bin/mine-clang" -c a.c -o a.o
	put bin/mine.cfg '-DX=2'
	check any "$P/bin/mine-clang" -c a.c -o a.o
	mkdir -p "$HOME/.llvm"
	put "bin/mine-clang.cfg" '-DX=3'
	check any "$P/bin/mine-clang" -c a.c -o a.o
}

trap_33_second_depfile_by_variable()
{
	put h.h 'int h;'
	put a.c '#include "h.h"' '#include <stddef.h>'
	same "$CC" -c a.c -o a.o
	export DEPENDENCIES_OUTPUT=deps.d
	untouched environment "$CC" -c a.c -o a.o
	is_clang || has_text deps.d 'a.o: a.c h.h'
	DEPENDENCIES_OUTPUT='deps2.d target.o'
	untouched environment "$CC" -c a.c -o a.o
	# It is appended to.
	put deps3.d '# begin'
	DEPENDENCIES_OUTPUT=deps3.d
	untouched environment "$CC" -MD -c a.c -o a.o
	unset DEPENDENCIES_OUTPUT
	export SUNPRO_DEPENDENCIES=sun.d
	untouched environment "$CC" -c a.c -o a.o
	unset SUNPRO_DEPENDENCIES
	expect_hit "$CC" -c a.c -o a.o
}

trap_33_clang_logs_by_variable() # clang
{
	put h.h 'int h;'
	put a.c '#include "h.h"' 'int f(void) { int unused; }'
	same clang -Wall -c a.c -o a.o
	CC_PRINT_HEADERS=1 CC_PRINT_HEADERS_FILE=$P/headers right clang -Wall -c a.c -o a.o
	CC_LOG_DIAGNOSTICS=1 CC_LOG_DIAGNOSTICS_FILE=$P/diagnostics right clang -Wall -c a.c -o a.o
	CC_PRINT_OPTIONS=1 CC_PRINT_OPTIONS_FILE=$P/options NORMALIZE='s/x/x/' right clang -Wall -c a.c -o a.o
}

trap_34_language_of_messages()
{
	put a.c 'int f(void) { int unused; return "x"; }'
	LC_ALL=C same "$CC" -Wall -c a.c -o a.o
	LC_ALL=C.UTF-8 check any "$CC" -Wall -c a.c -o a.o
	LANG=C.UTF-8 check any "$CC" -Wall -c a.c -o a.o
	LC_CTYPE=C.UTF-8 check any "$CC" -Wall -c a.c -o a.o
	LC_MESSAGES=C.UTF-8 check any "$CC" -Wall -c a.c -o a.o
	LANG=C LANGUAGE=de check any "$CC" -Wall -c a.c -o a.o
	LC_ALL=C check any "$CC" -Wall -c a.c -o a.o
	check any "$CC" -Wall -c a.c -o a.o
	# gcc quotes by the locale.
	if is_gcc; then
		LC_ALL=C.UTF-8 same gcc -Wall -c a.c -o a.o
		has_text "$T/got/stderr" ‘unused’
	fi
}

trap_34_colours_by_variable()
{
	put a.c 'int f(void) { int unused; return 0; }'
	same "$CC" -Wall -fdiagnostics-color=always -c a.c -o a.o
	GCC_COLORS='warning=01;32' check any "$CC" -Wall -fdiagnostics-color=always -c a.c -o a.o
	GCC_COLORS= check any "$CC" -Wall -fdiagnostics-color=always -c a.c -o a.o
	NO_COLOR=1 check any "$CC" -Wall -fdiagnostics-color=always -c a.c -o a.o
	NO_COLOR=1 check any "$CC" -Wall -c a.c -o a.o
	TERM=xterm-256color check any "$CC" -Wall -c a.c -o a.o
	TERM=xterm check any "$CC" -Wall -fdiagnostics-color=always -c a.c -o a.o
	CLICOLOR_FORCE=1 check any "$CC" -Wall -c a.c -o a.o
	COLUMNS=20 check any "$CC" -Wall -c a.c -o a.o
	if is_gcc; then
		TERM_URLS=st GCC_URLS=bel check any gcc -Wall -fdiagnostics-urls=auto -c a.c -o a.o
		same gcc -Wall -fdiagnostics-urls=always -c a.c -o a.o
		GCC_URLS=bel check any gcc -Wall -fdiagnostics-urls=always -c a.c -o a.o
		TERM_URLS=no check any gcc -Wall -fdiagnostics-urls=always -c a.c -o a.o
		put b.c '#include <stdio.h>' 'int f(void) { printf("%ld\n", 1); return 0; }'
		same gcc -Wall -c b.c -o b.o
		GCC_EXTRA_DIAGNOSTIC_OUTPUT=fixits-v1 check any gcc -Wall -c b.c -o b.o
		GCC_EXTRA_DIAGNOSTIC_OUTPUT=fixits-v2 check any gcc -Wall -c b.c -o b.o
		check any gcc -Wall -c b.c -o b.o
	fi
}

trap_35_source_date_epoch_where_no_date_is_used()
{
	put a.c 'int a;'
	same "$CC" -c a.c -o a.o
	SOURCE_DATE_EPOCH=1 check any "$CC" -c a.c -o a.o
	SOURCE_DATE_EPOCH=nonsense check any "$CC" -c a.c -o a.o
}

trap_35_temp_folder_that_is_not_there()
{
	put a.c 'int f(void) { int unused; return 0; }'
	TMPDIR=/nonexistent right "$CC" -Wall -c a.c -o a.o
	TMPDIR=/nonexistent check served "$CC" -Wall -c a.c -o a.o
	TMPDIR=/dev/null check any "$CC" -Wall -O1 -c a.c -o a.o
	TMPDIR=/proc check any "$CC" -Wall -O2 -c a.c -o a.o
	TMPDIR='' check any "$CC" -Wall -O3 -c a.c -o a.o
	(
		unset TMPDIR
		TMPDIR='' check any env -u TMPDIR "$CC" -Wall -Os -c a.c -o a.o
	)
}

trap_35_path_decides_which_programs_run() # gcc
{
	put a.c 'int a;'
	same gcc -c a.c -o a.o
	fake_assembler "$P/one" 1
	fake_assembler "$P/two" 2
	PATH=$P/one:$PATH check any gcc -c a.c -o a.o
	nm a.o | grep -q made_by || skip "this gcc does not look for its assembler in PATH"
	PATH=$P/two:$PATH check any gcc -c a.c -o a.o
	fake_assembler "$P/two" 3
	PATH=$P/two:$PATH check any gcc -c a.c -o a.o
	expect_served gcc -c a.c -o a.o
}

trap_35_umask_is_the_callers()
{
	local mask
	put a.c 'int a;'
	check any "$CC" -MD -c a.c -o a.o
	for mask in 077 002 000 027; do
		rm -f a.o a.d
		(umask $mask && expect_hit "$CC" -MD -c a.c -o a.o) || exit 1
	done
}

trap_35_an_empty_environment()
{
	put a.c 'int a;'
	local compiler
	compiler=$(command -v "$CC")
	env -i "$COFFER" "$compiler" -c a.c -o a.o || fail "fails without an environment"
	"$CC" -c a.c -o b.o
	same_file a.o b.o
	(cd / && env -i COFFER_CACHE_DIR="$COFFER_CACHE_DIR" "$COFFER" "$compiler" -c "$P/a.c" -o "$P/c.o") || fail "fails in /"
	same_file c.o b.o
	# Without a home folder it is another daemon.
	env -i COFFER_CACHE_DIR="$COFFER_CACHE_DIR" "$COFFER" stop >/dev/null
	env -i PATH="$PATH" HOME=/nonexistent "$COFFER" "$CC" -c a.c -o d.o || fail "fails without a home"
	same_file d.o b.o
	[ ! -e "/nonexistent" ] || fail "made /nonexistent"
}
