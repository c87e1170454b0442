# Two checkouts of one project in different folders share what they compile.
# shellcheck shell=bash

# build FOLDER FLAGS [MAKE WORDS...]
build()
{
	make -s -C "$1" -j2 CC="$CC" FLAGS="$2" WRAP="$COFFER" "${@:3}" || fail "make fails in $1"
}

all_hits()
{
	settle
	[ "$(grown direct_hits)" = "$(grown compiles)" ] || fail "not all are hits:$(all_grown)"
	[ "$(grown compiles)" -gt 0 ] || fail "nothing was compiled"
}

e2e_checkouts_share_entries()
{
	local flags file tree
	unset COFFER_REPRODUCIBLE
	for tree in one deeper/two; do
		mkdir -p $tree/.git
		generated_project 12 $tree
	done
	for flags in '' '-g -O1' '-g -gsplit-dwarf' '-fstack-usage' '-O1 -g3' '-Wall -Wextra'; do
		build one "$flags"
		read_counters counters_before
		build deeper/two "$flags"
		all_hits
		diff -r one/out deeper/two/out >"$T/diff" || fail "with '$flags': $(head -5 "$T/diff")"
		! grep -rq "$P" one/out || fail "with '$flags' the folder's name is in $(grep -rl "$P" one/out | head -1)"
		rm -r one/out deeper/two/out
	done
}

e2e_checkouts_with_absolute_names()
{
	local tree dir file
	unset COFFER_REPRODUCIBLE
	for tree in one two; do
		mkdir -p $tree/.git
		generated_project 8 $tree
		# As CMake calls the compiler.
		sed -i "s,-Iinc,-I$P/$tree/inc,; s,-c \$<,-c $P/$tree/\$<," $tree/Makefile
	done
	for flags in '' '-g'; do
		build one "$flags"
		read_counters counters_before
		build two "$flags"
		all_hits
		for file in one/out/*.o; do same_file "$file" "two/${file#one/}"; done
		grep -q "$P/two/inc/common.h" two/out/u1.d || fail "the depfile does not name this checkout's header"
		! grep -rq "$P/one" two/out || fail "another checkout's name is in $(grep -rl "$P/one" two/out | head -1)"
		# What make knows from them is right: a changed header builds again what includes it.
		[ -n "$flags" ] || { sleep 0.01 && touch two/inc/h1.h; }
		[ -n "$flags" ] || make -C two -n CC="$CC" FLAGS= WRAP= | grep -q u1.c || fail "make does not see the header"
		rm -r one/out two/out
	done
}

e2e_checkouts_file_macro_is_relative()
{
	local tree
	unset COFFER_REPRODUCIBLE
	for tree in one two; do
		mkdir -p $tree/.git
		put $tree/main.c '#include <stdio.h>' '#include "inc/where.h"' \
			'int main(void) { printf("%s %s\n", __FILE__, where()); return 0; }'
		put $tree/inc/where.h 'static const char *where(void) { return __FILE__; }'
		in_dir $tree counted any coffer "$CC" -I"$P/$tree" -c "$P/$tree/main.c" -o main.o
		"$CC" $tree/main.o -o $tree/main
		$tree/main >$tree/says
	done
	same_file one/says two/says
	has_text one/says ./main.c
	[ "$(counter direct_hits)" = 1 ] || fail "the second checkout has no hit"
}

e2e_checkouts_that_differ_do_not_share()
{
	local tree n=0
	unset COFFER_REPRODUCIBLE
	for tree in one two three; do
		mkdir -p $tree/.git
		generated_project 5 $tree
	done
	echo '#define COMMON 8' >two/inc/common.h
	echo '#define COMMON 7 /* only a comment */' >three/inc/common.h
	for tree in one two three; do
		build $tree -O1
		make -s -C $tree CC="$CC" FLAGS="-O1 -ffile-prefix-map=$P/$tree/=./ -fdebug-prefix-map=$P/$tree=." OBJ="$(cd $tree && echo src/*.c | sed 's,src/\(u[0-9]*\).c,plain/\1.o,g')" \
			-f - <<'END'
all: $(OBJ)
plain/%.o: src/%.c
	@mkdir -p plain
	@$(CC) $(FLAGS) -Iinc -c $< -o $@
END
		for file in "$tree"/plain/*.o; do same_file "$file" "$tree/out/${file##*/}" && n=$((n + 1)); done
	done
	[ $n = 15 ] || fail "only $n objects were compared"
	! cmp -s one/out/u1.o two/out/u1.o || fail "checkouts with different headers have one object"
}

e2e_checkouts_without_reproducible_stay_apart()
{
	local tree
	for tree in one two; do
		mkdir -p $tree/.git
		generated_project 5 $tree
		build $tree '-g'
		make -s -C $tree CC="$CC" FLAGS=-g WRAP= OBJ="$(cd $tree && echo src/*.c | sed 's,src/,plain/,g; s,\.c,.o,g')" -f - <<'END'
all: $(OBJ)
plain/%.o: src/%.c
	@mkdir -p plain
	@$(CC) $(FLAGS) -Iinc -c $< -o $@
END
		for file in "$tree"/plain/*.o; do same_file "$file" "$tree/out/${file##*/}"; done
	done
}

# two_trees WORD...: in a second checkout the compile is a hit, and what it makes is what the compiler makes there. TREE stands
# for the checkout.
two_trees()
{
	local tree want=miss
	for tree in one two; do
		in_dir $tree check $want "$CC" "${@//TREE/$P/$tree}" -o x.o
		cp $tree/x.o $tree.o
		want=hit
		settle
	done
	same_file one.o two.o
}

small_trees()
{
	local tree
	export COFFER_REPRODUCIBLE=on
	for tree in one two; do
		mkdir -p $tree/.git
		put $tree/inc/h.h '#define H 1' 'int f(int);'
		put $tree/src/a.c '#include "h.h"' 'int g[4] = {H};' 'int f(int x) { return g[x]; }'
		put $tree/src/w.c '#include "h.h"' 'int f(int x) { int unused; return x; }'
		put $tree/src/v.c '#include "warn.h"'
		put $tree/inc/warn.h 'static int unused(void) { return 1; }'
	done
}

e2e_checkouts_with_untidy_names()
{
	local option
	export COFFER_TEXT_HITS=off # this is about keys
	small_trees
	for option in -ITREE/inc/ -ITREE/./inc -ITREE//inc -ITREE/inc// '-ITREE/ -ITREE/inc' '-isystem TREE/inc/' '-iquote TREE/./inc'; do
		# shellcheck disable=SC2086
		two_trees -g $option -MD -MF x.d -c src/a.c
		[ "$(sed "s,$P/one,TREE," one/x.d)" = "$(sed "s,$P/two,TREE," two/x.d)" ] || fail "depfiles with '$option'"
	done
	# The tree itself and "TREE/." are two names, though the compiler may see the same text.
	in_dir one check changed "$CC" "-I$P/one/." -Iinc -MD -MF x.d -c src/a.c -o x.o
	in_dir one check changed "$CC" "-I$P/one" -Iinc -MD -MF x.d -c src/a.c -o x.o
}

e2e_checkouts_share_what_does_not_hold_the_place()
{
	small_trees
	two_trees -g -fsanitize=address,undefined -ITREE/inc -c src/a.c
	two_trees -Wall -Iinc -c src/w.c
	! is_clang || two_trees -flto -g -ITREE/inc -c src/a.c
	! is_clang || two_trees -flto=thin -ITREE/inc -c src/a.c
	# The tree's name is in the object, or in the messages.
	for tree in one two; do
		in_dir $tree check miss "$CC" -fsanitize=address -Iinc -c "$P/$tree/src/a.c" -o x.o
		in_dir $tree check miss "$CC" -Wall "-I$P/$tree/inc" -c src/v.c -o x.o
		in_dir $tree check miss "$CC" -flto -Iinc -c "$P/$tree/src/a.c" -o x.o
		in_dir $tree check hit "$CC" -Wall "-I$P/$tree/inc" -c src/v.c -o x.o
	done
}
