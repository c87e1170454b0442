# Trees of two checkouts: a worker makes one result of both where the place shows nowhere, and two where it does.
# shellcheck shell=bash disable=SC2154

# shellcheck source=tests/e2e/farm/lib.sh
source "$TESTS/e2e/farm/lib.sh"
export COFFER_SEND=tree LC_ALL=C
unset COFFER_REPRODUCIBLE
always_away

# checkout NAME: a small project, the same for every name.
checkout()
{
	mkdir -p "$1/.git" "$1/inc/deep" "$1/build" "$1/src"
	put "$1/inc/h.h" '#include "deep/d.h"' '#define LINE(x) where(x, __FILE__)'
	put "$1/inc/deep/d.h" '#pragma once' 'static inline const char *where(int x, const char *f) { return x ? f : __FILE__; }'
	put "$1/src/a.c" '#include <inc/h.h>' '#include <stdio.h>' \
		'int f(int x) { int unused; printf("%s %s", __FILE__, LINE(x)); return x; }'
}

# as_local DIRECTORY WORD...: the same object, depfile and messages as the compiler alone makes with the words that coffer adds ("@" stands
# for the checkout). Twice, so that what a local cache is given is right, too.
as_local()
{
	local dir=$1 got=0 want=0 root maps
	shift
	root=$P/${dir%%/*}
	rm -rf want got && mkdir want got
	# What the compiler alone makes is what coffer has it make here, without a farm.
	(cd "$dir" && rm -f x.o x.d && COFFER_WORKER='' COFFER_RECACHE=1 "$COFFER" "$CC" "${@//@/$root}" 2>"$T/want.err") || want=$?
	mv "$dir"/x.[od] want/ 2>/dev/null
	(cd "$dir" && COFFER_RECACHE=1 "$COFFER" "$CC" "${@//@/$root}" 2>"$T/got.err") || got=$?
	mv "$dir"/x.[od] got/ 2>/dev/null
	[ $want = $got ] || fail "status $got, not $want: $(<"$T/got.err")"
	same_file "$T/want.err" "$T/got.err"
	diff -r want got >/dev/null || fail "$dir $*: another $(diff -rq want got; diff want/x.d got/x.d)"
	grep -q 'coffer\.tree' got/* "$T/got.err" && fail "$dir $*: the worker's name of the tree shows"
	# The hit of what was stored, which may be behind the answer.
	settle
	(cd "$dir" && "$COFFER" "$CC" "${@//@/$root}" 2>"$T/got.err") || fail "no hit: $(<"$T/got.err")"
	same_file "$T/want.err" "$T/got.err"
	mv "$dir"/x.[od] got/
	diff -r want got >/dev/null || fail "$dir $*: another one of the cache: $(diff -rq want got)"
}

# shared WORD...: the second checkout gets the result of the first.
shared()
{
	settle
	read_counters counters_before
	as_local "${dirs[0]}" "$@"
	as_local "${dirs[1]}" "$@"
	settle
	read_counters counters_after
	[ "$(grown remote_compiles)" = 1 ] && [ "$(grown remote_hits)" = 1 ] && [ "$(grown remote_trees)" = 2 ] ||
		fail "$*: not one result:$(all_grown) $(daemon_log 'compiled here|did not compile|shows' | tail -n 3)"
}

# apart WORD...: each has its own.
apart()
{
	settle
	read_counters counters_before
	as_local "${dirs[0]}" "$@"
	as_local "${dirs[1]}" "$@"
	settle
	read_counters counters_after
	[ "$(grown remote_compiles)" = 2 ] && [ "$(grown remote_hits)" = 0 ] && [ "$(grown remote_trees)" = 2 ] ||
		fail "$*: not two results:$(all_grown) $(daemon_log 'compiled here|did not compile' | tail -n 3)"
}

e2e_trees_places_two_checkouts_share() # clock
{
	local g dirs
	worker_start w1
	# Of unequal length, so that lines of depfiles break elsewhere.
	checkout one
	checkout a-second-checkout-with-a-name-that-is-much-longer-than-the-first
	for g in -O0 -g "-g -O2"; do
		dirs=(one a-second-checkout-with-a-name-that-is-much-longer-than-the-first)
		# Relative names, absolute ones, and those of a build system.
		shared $g -I. -c src/a.c -o x.o -MD -MF x.d
		shared $g -I@ -I@/inc -c @/src/a.c -o x.o -MD -MF x.d
		shared $g -I@ -isystem @/inc -Wall -c @/src/a.c -o @/x.o -MMD -MP -MF @/x.d
		shared $g -I@ -c @/src/a.c -o x.o -MD -MT src/x.o -MF x.d
		shared $g -Wall -Wextra -include @/inc/h.h -I. -c src/a.c -o x.o -MD -MF x.d
		dirs=("${dirs[@]/%//build}")
		shared $g -I.. -c ../src/a.c -o x.o -MD -MF x.d
		shared $g -I@ -Wall -c @/src/a.c -o x.o -MD -MF x.d
	done
	farm_end
}

e2e_trees_places_that_show_are_apart() # clock
{
	local dirs=(one second) name
	worker_start w1
	for name in one second; do
		checkout $name
		checkout $name-beside
		put $name/src/up.c "#if __has_include(\"../../$name/inc/h.h\")" 'int found = 1;' '#endif' 'int up;'
		put $name/src/beside.c '#include <inc/h.h>' 'const char *f(void) { return LINE(1); }'
		put $name/src/size.c '#ifdef PLACE' 'int size = sizeof PLACE;' '#endif' 'int sum(int a, int b) { return a + b; }'
	done
	# The place is in the object.
	apart -I. '-DPLACE="@"' -c src/size.c -o x.o -MD -MF x.d
	apart -I. -O1 -fsanitize=undefined -c @/src/size.c -o x.o -MD -MF x.d
	# Their surroundings are read, by a relative or an absolute name.
	apart -c src/up.c -o x.o -MD -MF x.d
	apart -I@-beside -c src/beside.c -o x.o -MD -MF x.d
	apart -I"../${dirs[1]}-beside" -c src/beside.c -o x.o -MD -MF x.d
	apart -I. "-ffile-prefix-map=$(dirname "$P")=/src" -c @/src/a.c -o x.o -MD -MF x.d
	if [[ $CC != *clang* ]]; then
		apart -g -gz -I. -c src/a.c -o x.o -MD -MF x.d
	fi
	# Nothing is mapped.
	export COFFER_REPRODUCIBLE=off
	apart -I@ -c @/src/a.c -o x.o -MD -MF x.d
	apart -g -I. -c src/a.c -o x.o -MD -MF x.d
	farm_end
}

# A text that names the directory that it lies in finds nothing there under another name.
e2e_trees_places_in_texts_are_found() # clock
{
	local dirs=(one second)
	worker_start w1
	for name in one second; do
		checkout $name
		put $name/src/abs.c "#if __has_include(\"$P/one/inc/h.h\")" 'int found = 1;' '#endif' 'int name;'
		put $name/src/line.c "#line 7 \"$P/one/src/parser.y\"" 'const char *f(void) { return __FILE__; }'
		mkdir -p $name/real && put $name/real/r.h '#define R 1'
		ln -s "$P/one/real" $name/linked
		put $name/src/linked.c '#include "linked/r.h"' 'int r = R;'
	done
	apart -c src/abs.c -o x.o -MD -MF x.d
	apart -g -c src/line.c -o x.o -MD -MF x.d
	apart -I. -g -c src/linked.c -o x.o -MD -MF x.d
	farm_end
}

# clang names types without a name by the file that they stand in, whatever is mapped, and a program can keep no more of that than a number.
e2e_trees_places_of_types_are_apart() # clock
{
	local dirs=(one second) name
	is_clang || skip "gcc maps these names"
	worker_start w1
	for name in one second; do
		checkout $name
		put $name/src/t.cc 'template <class T> constexpr unsigned id() { unsigned h = 2166136261u;' \
			'for (const char *p = __PRETTY_FUNCTION__; *p; p++) h = (h ^ (unsigned char)*p) * 16777619u; return h; }' \
			'inline constexpr auto lambda = [] { return 3; };' 'unsigned value = id<decltype(lambda)>();'
	done
	apart -std=c++17 -O2 -I@ -x c++ -c @/src/t.cc -o x.o -MD -MF x.d
	# And with the local cache alone.
	for name in one second; do
		(cd $name && COFFER_WORKER='' "$COFFER" "$CC" -std=c++17 -I. -x c++ -c "$P/$name/src/t.cc" -o x.o) || fail "no compile"
		"$CC" -std=c++17 -I$name -x c++ -c "$P/$name/src/t.cc" -o plain.o
		cmp <(objcopy -O binary -j .data $name/x.o /dev/stdout) <(objcopy -O binary -j .data plain.o /dev/stdout) || fail "$name has the number of another place"
	done
	farm_end
}

# An output below a directory of the same name as the tree's own.
e2e_trees_places_in_names_of_outputs() # clock
{
	local dirs=(one second) name
	worker_start w1
	for name in one second; do
		checkout $name
		mkdir -p "$name/obj$P/$name"
		(cd $name && COFFER_RECACHE=1 "$COFFER" "$CC" -I. -c src/a.c -o "obj$P/$name/z.o" -MD -MF "obj$P/$name/z.d" 2>/dev/null) || fail "no compile"
		[ -s "$name/obj$P/$name/z.o" ] && [ -s "$name/obj$P/$name/z.d" ] || fail "no outputs"
	done
	settle
	[ "$(counter remote_messages)" = 0 ] && [ $(($(counter remote_compiles) + $(counter remote_hits))) = 2 ] || fail "not made there: $("$COFFER" stats)"
	farm_end
}
