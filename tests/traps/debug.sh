# Traps 50-52: debug information and prefixes.
# shellcheck shell=bash

two_folders()
{
	local dir
	for dir in one two; do
		put $dir/a.c '#include <assert.h>' '#include "h.h"' 'int f(int x) { assert(x); return in_h(x); }' \
			'const char *file(void) { return __FILE__; }'
		put $dir/inc/h.h 'static inline int in_h(int x) { return x + 1; }'
	done
}

trap_50_working_folder_is_in_debug_information() # long
{
	local option
	two_folders
	put a.c 'int x;'
	for option in -g -g1 -ggdb3 -gdwarf-4 -gz -gz=zlib; do
		in_dir one same "$CC" $option -c ../a.c -o a.o
		in_dir two same "$CC" $option -c ../a.c -o a.o
		in_dir one same "$CC" $option -c "$P/a.c" -o a.o
		in_dir two check any "$CC" $option -c "$P/a.c" -o a.o
	done
	in_dir one same "$CC" -g -Iinc -c a.c -o a.o
	in_dir two same "$CC" -g -Iinc -c a.c -o a.o
	in_dir one check changed "$CC" -g -Iinc -S a.c -o a.s
	in_dir two check changed "$CC" -g -Iinc -S a.c -o a.s
	in_dir two again hit "$CC" -g -Iinc -S a.c -o a.s
}

trap_50_last_debug_option_wins() # long
{
	local options
	two_folders
	for options in '-g -g0' '-g0 -g' '-ggdb3 -g0' '-g0 -ggdb3' '-g3 -g1' '-g1 -g3' '-gdwarf-5 -g0' '-g -gz=none' '-gz' \
		'-g -gno-column-info' '-gline-tables-only' '-g0 -gz' '-gdwarf -gstrict-dwarf' '-g -gdwarf-3 -gdwarf-5' '-g -fdebug-types-section' \
		'-gstabs' '-g -gno-record-gcc-switches' '-gdwarf-2 -g0' '-ggdb -ggdb0' '-g -femit-struct-debug-baseonly' '-g00' '-g2 -gxcoff0' \
		'-feliminate-unused-debug-symbols -g' '-fno-eliminate-unused-debug-types -g' '-gtoggle' '-g -gtoggle' '-gsplit-dwarf -g0'; do
		# shellcheck disable=SC2086
		compiler_takes $options || continue
		# shellcheck disable=SC2086
		in_dir one check any "$CC" $options -Iinc -c a.c -o a.o
		# shellcheck disable=SC2086
		in_dir two check any "$CC" $options -Iinc -c a.c -o a.o
		# shellcheck disable=SC2086
		in_dir two again handled "$CC" $options -Iinc -c a.c -o a.o
		rm -f one/a.* two/a.o two/a.dwo
		cp two/a.c one/a.c
	done
}

trap_50_checkouts_share_objects_with_debug_information()
{
	local tree
	two_folders
	mkdir one/.git two/.git
	export COFFER_REPRODUCIBLE=on
	in_dir one check miss "$CC" -g -Iinc -c a.c -o a.o
	in_dir two check hit "$CC" -g -Iinc -c a.c -o a.o
	same_file one/a.o two/a.o
	in_dir one check any "$CC" -g -I"$P/one/inc" -MD -c "$P/one/a.c" -o a.o
	in_dir two check hit "$CC" -g -I"$P/two/inc" -MD -c "$P/two/a.c" -o a.o
	same_file one/a.o two/a.o
	! grep -q "$P" one/a.o || fail "the folder's name is in the object"
	mkdir one/sub two/sub
	in_dir one/sub check any "$CC" -g -I../inc -c ../a.c -o a.o
	in_dir two/sub check hit "$CC" -g -I../inc -c ../a.c -o a.o
	in_dir one/sub check any "$CC" -g -I../inc -c "$P/one/a.c" -o a.o
	in_dir one check any "$CC" -g -Iinc -c "$P/one/a.c" -o a.o
	# Elsewhere than the build tree nothing is mapped.
	put elsewhere/a.c 'int x;'
	in_dir one check any "$CC" -g -c "$P/elsewhere/a.c" -o a.o
	in_dir two check any "$CC" -g -c "$P/elsewhere/a.c" -o a.o
	in_dir elsewhere check any "$CC" -g -c a.c -o a.o
}

trap_50_root_may_be_set()
{
	two_folders
	export COFFER_REPRODUCIBLE=on
	COFFER_ROOT=$P/one in_dir one counted miss coffer "$CC" -g -Iinc -c a.c -o a.o
	COFFER_ROOT=$P/two in_dir two counted hit coffer "$CC" -g -Iinc -c a.c -o a.o
	same_file one/a.o two/a.o
	in_dir one "$CC" -ffile-prefix-map="$P/one/"=./ -fdebug-prefix-map="$P/one"=. -g -Iinc -c a.c -o b.o
	same_file one/a.o one/b.o
}

trap_50_working_folder_spelled_otherwise()
{
	local name
	put a.c 'int x;'
	same "$CC" -g -c a.c -o a.o
	for name in "$(dirname "$P")/./$(basename "$P")" "/$P" "$P/" "$P/../$(basename "$P")"; do
		PWD=$name check any "$CC" -g -c a.c -o a.o
		PWD=$name again any "$CC" -g -c a.c -o a.o
		check any "$CC" -g -c a.c -o a.o
	done
}

trap_50_folders_that_no_map_reaches() # long
{
	local tree options
	for tree in one two; do
		mkdir -p $tree/.git $tree/b
		put $tree/src/a.s '.text' '.globl f' 'f: ret'
		cp $tree/src/a.s $tree/src/b.S
		put $tree/src/x.c 'int arr[4]; int k(int a) { return arr[a] / a; }'
	done
	export COFFER_REPRODUCIBLE=on
	for tree in one two; do
		in_dir $tree/b check any "$CC" -g -c ../src/a.s -o a.o
		in_dir $tree/b check any "$CC" -g -c "$P/$tree/src/a.s" -o a.o
		in_dir $tree/b check any "$CC" -g -c ../src/b.S -o b.o
		in_dir $tree/b check any "$CC" -g -c "$P/$tree/src/b.S" -o b.o
		for options in -fsanitize=undefined -fsanitize=address '-flto -frandom-seed=1' '-fverbose-asm' '-g -fsanitize=thread'; do
			# shellcheck disable=SC2086
			in_dir $tree/b check any "$CC" $options -c "$P/$tree/src/x.c" -o x.o
			# shellcheck disable=SC2086
			in_dir $tree/b check any "$CC" $options -S "$P/$tree/src/x.c" -o x.s
		done
		is_gcc || in_dir $tree/b check any clang -emit-llvm -S "$P/$tree/src/x.c" -o x.ll
	done
}

trap_50_checkout_reached_through_a_link()
{
	put real/inc/h.h '#define H 1'
	put real/src/a.c '#include <h.h>' 'int a = H;' 'int f(void) { int unused; return 0; }'
	mkdir real/.git
	ln -s real link
	export COFFER_REPRODUCIBLE=on
	cd "$P/link" || exit 1
	for inc in "$P/real/inc" "$P/link/inc" "$P/real/./inc" "$P/real//inc" inc ./inc; do
		check any "$CC" -Wall -g -I"$inc" -MD -c src/a.c -o a.o
		again any "$CC" -Wall -g -I"$inc" -MD -c src/a.c -o a.o
	done
	for source in "$P/real/src/a.c" "$P/link/src/a.c"; do
		check any "$CC" -Wall -I"$P/real/inc" -MD -c "$source" -o a.o
		check any "$CC" -Wall -I"$P/link/inc" -MD -c "$source" -o a.o
	done
	cd "$P/real" || exit 1
	check any "$CC" -Wall -g -I"$P/link/inc" -MD -c src/a.c -o a.o
}

trap_51_text_of_a_prefix_map_is_not_in_the_key()
{
	local option
	two_folders
	mkdir one/.git two/.git
	export COFFER_REPRODUCIBLE=on
	for option in -ffile-prefix-map -fdebug-prefix-map; do
		in_dir one check any "$CC" -g -Iinc $option="$P/one"=/src -c a.c -o a.o
		in_dir two check any "$CC" -g -Iinc $option="$P/two"=/src -c a.c -o a.o
		in_dir two again hit "$CC" -g -Iinc $option="$P/two"=/src -c a.c -o a.o
	done
	in_dir one check any "$CC" -Iinc -ffile-prefix-map="$P/one"=/src -c "$P/one/a.c" -o a.o
	in_dir two check served "$CC" -Iinc -ffile-prefix-map="$P/two"=/src -c "$P/two/a.c" -o a.o
}

trap_51_effect_of_a_prefix_map_is_in_the_key() # long
{
	local option
	two_folders
	for option in -ffile-prefix-map -fdebug-prefix-map -fmacro-prefix-map -fcoverage-prefix-map -fprofile-prefix-map; do
		compiler_takes $option=a=b || continue
		in_dir one same "$CC" -g -Iinc $option="$P/one"=/a -c "$P/one/a.c" -o a.o
		in_dir one same "$CC" -g -Iinc $option="$P/one"=/b -c "$P/one/a.c" -o a.o
		in_dir one same "$CC" -Iinc $option="$P/one"=/a -c "$P/one/a.c" -o a.o
		in_dir one same "$CC" -Iinc $option="$P/one"=/b -c "$P/one/a.c" -o a.o
		in_dir one same "$CC" -Iinc $option="$P/one"= -c "$P/one/a.c" -o a.o
		in_dir one check any "$CC" -g -Iinc $option="$P/two"=/a -c "$P/one/a.c" -o a.o
		in_dir one check any "$CC" -g -Iinc $option="$P"=/a -c "$P/one/a.c" -o a.o
		in_dir one check any "$CC" -g -Iinc $option="$P"=/a $option="$P/one"=/b -c "$P/one/a.c" -o a.o
		in_dir one check any "$CC" -g -Iinc $option="$P/one"=/b $option="$P"=/a -c "$P/one/a.c" -o a.o
		in_dir one check any "$CC" -Iinc $option=a.c=b.c -c a.c -o a.o
		in_dir one check any "$CC" -g -Iinc $option=inc=elsewhere -c a.c -o a.o
		in_dir one check any "$CC" -g -Iinc $option=nonsense -c a.c -o a.o
		in_dir one check any "$CC" -g -Iinc $option= -c a.c -o a.o
		COFFER_REPRODUCIBLE=on in_dir one check any "$CC" -g -Iinc $option="$P/one"=/b -c "$P/one/a.c" -o a.o
		COFFER_REPRODUCIBLE=on in_dir one check any "$CC" -g -Iinc $option=.=/b -c "$P/one/a.c" -o a.o
	done
	return 0
}

trap_51_compilation_folder_option() # clang
{
	two_folders
	in_dir one same clang -g -Iinc -fdebug-compilation-dir=/x -c a.c -o a.o
	in_dir one check changed clang -g -Iinc -fdebug-compilation-dir=/y -c a.c -o a.o
	in_dir two check any clang -g -Iinc -fdebug-compilation-dir=/y -c a.c -o a.o
	in_dir one check any clang -g -Iinc -fdebug-compilation-dir . -c a.c -o a.o
	in_dir one check any clang -g -Iinc -ffile-compilation-dir=/z -c a.c -o a.o
	in_dir one check any clang -g -Iinc -working-directory "$P/two" -c a.c -o b.o
	in_dir one right clang -g -working-directory="$P/two" -Iinc -MD -c a.c -o c.o
}

trap_51_coverage_and_prefix_maps() # clang
{
	two_folders
	in_dir one right clang -fprofile-instr-generate -fcoverage-mapping -Iinc -c a.c -o a.o
	in_dir two right clang -fprofile-instr-generate -fcoverage-mapping -Iinc -c a.c -o a.o
	in_dir one check any clang -fprofile-instr-generate -fcoverage-mapping -fcoverage-prefix-map="$P/one"=/a -Iinc -c a.c -o a.o
	in_dir two check any clang -fprofile-instr-generate -fcoverage-mapping -fcoverage-prefix-map="$P/two"=/a -Iinc -c a.c -o a.o
	in_dir two check any clang -fprofile-instr-generate -fcoverage-mapping -fcoverage-prefix-map="$P/two"=/b -Iinc -c a.c -o a.o
	in_dir two check any clang -fprofile-instr-generate -fcoverage-mapping -fcoverage-compilation-dir=/x -Iinc -c a.c -o a.o
	in_dir two check any clang -fprofile-instr-generate=x.profraw -Iinc -c a.c -o a.o
	in_dir two check any clang -fprofile-instr-generate=y.profraw -Iinc -c a.c -o a.o
}

trap_52_split_debug_information() # long
{
	two_folders
	cd one || exit 1
	mkdir -p out.d/sub
	same "$CC" -g -gsplit-dwarf -Iinc -c a.c -o a.o
	[ -s a.dwo ] || fail "no a.dwo"
	rm a.dwo
	same "$CC" -gsplit-dwarf -g -Iinc -c a.c -o out.d/sub/x.y.o
	same "$CC" -g -gsplit-dwarf -Iinc -c a.c -o out.d/noext
	same "$CC" -g -gsplit-dwarf -Iinc -c a.c
	same "$CC" -g -gsplit-dwarf -Iinc -MD -c "$PWD/a.c" -o "$PWD/b.o"
	same "$CC" -g -gsplit-dwarf -gz -Iinc -c a.c -o c.o
	check any "$CC" -g -gsplit-dwarf -Iinc -c a.c -o other.o
	check any "$CC" -g -gsplit-dwarf -Iinc -S a.c -o s.s
	check any "$CC" -gsplit-dwarf -Iinc -c a.c -o only.o
	cd ../two || exit 1
	same "$CC" -g -gsplit-dwarf -Iinc -c a.c -o a.o
}

trap_52_stale_dwo_files() # long
{
	local options
	two_folders
	cd one || exit 1
	for options in '-g' '-gsplit-dwarf -g0' '-g0 -gsplit-dwarf' '-g -gsplit-dwarf -gno-split-dwarf' '-g1 -gsplit-dwarf' \
		'-gline-tables-only -gsplit-dwarf' '-g -gsplit-dwarf=single' '-g -gsplit-dwarf=split'; do
		# shellcheck disable=SC2086
		compiler_takes $options || continue
		echo stale >a.dwo
		# shellcheck disable=SC2086
		right "$CC" $options -Iinc -c a.c -o a.o
	done
	rm -f a.dwo a.o
	check any "$CC" -g -gsplit-dwarf -Iinc -c a.c -o a.o
	echo stale >a.dwo
	again hit "$CC" -g -gsplit-dwarf -Iinc -c a.c -o a.o
}

trap_52_names_of_dumps() # gcc long
{
	local options
	two_folders
	cd one || exit 1
	mkdir -p d
	for options in '-dumpdir d/' '-dumpdir d/x-' '-dumpbase b' '-dumpbase b.c' '-dumpbase b.c -dumpbase-ext .c' '-dumpbase d/b' \
		'-dumpdir d -dumpbase b'; do
		# shellcheck disable=SC2086
		right gcc -g -gsplit-dwarf $options -Iinc -c a.c -o a.o
		# shellcheck disable=SC2086
		right gcc -fstack-usage $options -Iinc -c a.c -o a.o
		# shellcheck disable=SC2086
		right gcc -MD $options -Iinc -c a.c -o a.o
		rm -f ./*.dwo ./*.su ./*.d d/*
	done
	return 0
}

trap_77_the_users_own_maps_of_the_tree_win() # long
{
	local option other
	put sub/a.c '#include "h.h"' 'const char *f(void) { return __FILE__; }'
	put sub/h.h 'static const char *h(void) { return __FILE__; }' 'const char *g(void) { return h(); }'
	export COFFER_REPRODUCIBLE=on
	for option in -ffile-prefix-map -fmacro-prefix-map -fdebug-prefix-map; do
		for other in "$P=/x" "$P/=/x/" "${P%/*}=/x" "$P/sub=/x"; do
			check any "$CC" -g $option="$other" -c "$P/sub/a.c" -o a.o
			strings -a a.o >strings
			[ $option = -fdebug-prefix-map ] || grep -q '^/x.*a\.c$' strings || fail "$option=$other lost: $(grep 'a\.c' strings)"
			check any "$CC" -g $option="$other" -c sub/a.c -o a.o
		done
	done
	check any "$CC" -g -fmacro-prefix-map="$P"=/m -fdebug-prefix-map="$P"=/d -c "$P/sub/a.c" -o a.o
	strings -a a.o | grep -q '^/m/sub/a\.c$' || fail "the map for macros lost"
}

trap_78_coverage_names_the_sources_as_the_compiler_does() # gcc
{
	need gcov
	put src/a.c 'int main(void) { return 0; }'
	mkdir build
	export COFFER_REPRODUCIBLE=on
	for i in 1 2; do
		(cd build && rm -f a.* a.c.gcov && "$COFFER" gcc --coverage -c "$P/src/a.c" -o a.o && gcc --coverage a.o -o a && ./a && gcov a.gcda) >"$T/gcov" 2>&1
		grep -q 'Lines executed:100' "$T/gcov" && [ -s build/a.c.gcov ] || fail "gcov: $(<"$T/gcov")"
		grep -q "Source:$P/src/a.c" build/a.c.gcov || fail "$(head -3 build/a.c.gcov)"
	done
}

# found DEBUGGER PROGRAM TEXT FUNCTION: the debugger, started in the tree's root and in / with the documented setting, lists a line
# of the function's source.
found()
{
	local said
	case $1 in
	gdb) said=$(cd "$P" && gdb -nx -batch -ex "list $4" "$2" 2>&1; cd / && gdb -nx -batch -ex "set substitute-path . $P" -ex "list $4" "$2" 2>&1) ;;
	lldb)
		said=$(cd "$P" && lldb --no-lldbinit -b -o "target create $2" -o "source list -n $4" 2>&1
			cd / && lldb --no-lldbinit -b -o "settings set target.source-map . $P" -o "target create $2" -o "source list -n $4" 2>&1)
		;;
	esac
	[ "$(grep -cF "$3" <<<"$said")" = 2 ] || fail "$1 does not find $4 of $2: $said"
}

trap_78_debuggers_find_the_sources() # long
{
	need gdb lldb
	local dir names inc debugger from
	mkdir -p build build2 deep/er "$T/elsewhere"
	put src/x.c '#include "h.h"' '#include "k.h"' 'int twice(int x)' '{' '	return inl(x) * 2 + other(x);' '}'
	put inc/h.h 'static inline int inl(int x)' '{' '	return x + 1;' '}'
	put build2/k.h 'static inline int other(int x)' '{' '	return x + 3;' '}'
	put m.c 'int twice(int);' 'int main(void) { return twice(3); }'
	"$CC" -c m.c -o "$T/m.o"
	for dir in "$P" "$P/build" "$P/deep/er" "$T/elsewhere"; do
		for names in relative absolute; do
			case $names in
			relative) from=$(realpath --relative-to="$dir" "$P") ;;
			absolute) from=$P ;;
			esac
			[ "$dir" != "$T/elsewhere" ] || export COFFER_ROOT=$P
			in_dir "$dir" counted any "$COFFER" "$CC" -g -I"$from/inc" -I"$from/build2" -c "$from/src/x.c" -o x.o || fail "it does not compile"
			unset COFFER_ROOT
			"$CC" "$dir/x.o" "$T/m.o" -o "$T/program"
			for debugger in gdb lldb; do
				# The lldb of Debian 12 drops the first ".." of a source's name in clang's objects.
				[ "$debugger $names" != "lldb relative" ] || is_gcc || [ "$dir" = "$P" ] || continue
				found $debugger "$T/program" 'return inl(x) * 2' twice
				found $debugger "$T/program" 'return x + 1' inl
				found $debugger "$T/program" 'return x + 3' other
			done
		done
	done
}

# The directory of the compile under a name of the user's own: names are not relative to it.
trap_78_debuggers_find_the_sources_whatever_the_directory_is_called() # long
{
	need gdb
	local dir word
	put src/x.c 'int twice(int x)' '{' '	return x * 2;' '}'
	put m.c 'int twice(int);' 'int main(void) { return twice(3); }'
	"$CC" -c m.c -o "$T/m.o"
	mkdir -p build/deep
	export COFFER_REPRODUCIBLE=on
	for dir in "$P" "$P/build" "$P/build/deep"; do
		for word in "-fdebug-prefix-map=$dir=/d" "-ffile-prefix-map=$dir=." "-ffile-prefix-map=$P/build=/d" -fdebug-compilation-dir=/d \
			-ffile-compilation-dir=. '-Xclang -fdebug-compilation-dir -Xclang /d'; do
			# With the root itself it is another matter: either coffer adds nothing, or the directory is called as ever.
			[ "$dir" != "$P" ] || [[ $word != *"=$P"* ]] || continue
			[[ $word != *compilation-dir* ]] || is_clang || continue
			for _ in 1 2; do
				# shellcheck disable=SC2086
				in_dir "$dir" counted any "$COFFER" "$CC" -g $word -c "$P/src/x.c" -o x.o || fail "it does not compile"
				"$CC" "$dir/x.o" "$T/m.o" -o "$T/program"
				(cd / && gdb -nx -batch -ex 'list twice' "$T/program") >"$T/listed" 2>&1
				has_text "$T/listed" 'return x * 2'
			done
		done
	done
}
