# Traps 24-30 again, where a result is found by what the compiler sees of a unit: unused macros, dead branches, more folders.
# shellcheck shell=bash

small_unit()
{
	put h.h '#ifndef H' '#define H' '#define VERSION "1"' '#define ADD(x) ((x) + 1)' '#define HALF_ADD 3' \
		'static inline int h(int x) { return ADD(x); }' '#ifdef NOWHERE' 'int dead(void);' '#endif' '#endif'
	put a.c '#include "h.h"' 'int g(int);' 'int f(int x)' '{' '  return g(h(x)) + __LINE__;' '}'
}

trap_24_what_the_compiler_does_not_see()
{
	local mode flags
	for mode in off on; do
		for flags in '-O2' '-g -O2' '-fsanitize=undefined -MD'; do
			[ "$flags" = -O2 ] || is_gcc || continue # clang has checksums of files in debug information
			[ "$mode" = off ] || is_clang || [ "${flags#-g}" != "$flags" ] || continue
			small_unit
			"$COFFER" cache clear >"$T/cleared"
			"$COFFER" stats --zero >"$T/zeroed"
			export COFFER_REPRODUCIBLE=$mode
			# shellcheck disable=SC2086
			{
				check miss "$CC" $flags -c a.c -o a.o
				texts_known 1
				check preprocessed "$CC" $flags -DUNUSED=1 -c a.c -o a.o
				check hit "$CC" $flags -DUNUSED=1 -c a.c -o a.o
				mkdir -p more
				check preprocessed "$CC" $flags -DUNUSED=2 -Imore -c a.c -o a.o
				sed -i 's/VERSION "1"/VERSION "2"/' h.h
				check preprocessed "$CC" $flags -c a.c -o a.o
				sed -i 's/int dead/long very_dead/' h.h
				check preprocessed "$CC" $flags -c a.c -o a.o
				sed -i 's/dead(void)/dead(int) \/* why *\//' h.h
				check preprocessed "$CC" $flags -c a.c -o a.o
				check hit "$CC" $flags -c a.c -o a.o
				sed -i 's/^.define VERSION.*//' h.h
				check preprocessed "$CC" $flags -c a.c -o a.o
				at_rest
				"$COFFER" explain a.c >"$T/explained"
				has_text "$T/explained" 'a hit by the preprocessed text (an input has changed'
			}
		done
	done
}

# A header that the text asks for appears behind the compile, before its text is found out, and while a compile waits whose text was
# looked up already.
trap_12_a_name_that_appears_before_the_text_is_known()
{
	local slow
	put v.h '#define V 5'
	put a.c '#include "v.h"' '#if __has_include("foo.h")' 'int x = 1;' '#else' 'int x = V;' '#endif'
	check miss "$CC" -c a.c -o a.o
	put foo.h ''
	at_rest
	check changed "$CC" -c a.c -o a.o
	rm foo.h
	at_rest
	check any "$CC" -c a.c -o a.o
	[ -z "${FULL:-}" ] || {
		"$COFFER" stop >"$T/stopped"
		export COFFER_LOCAL_JOBS=1
		check any "$CC" -c a.c -o a.o
		at_rest
		put v.h '#define V 6'
		slow_source slow.c 1500
		"$COFFER" "$CC" -O2 -c slow.c -o slow.o &
		slow=$!
		wait_until 10 '"$COFFER" status --json | grep -q "\"local_running\": *1"' || fail "the slow compile is not under way"
		(cd "$P" && "$COFFER" "$CC" -c a.c -o b.o) &
		wait_until 10 '"$COFFER" status --json | grep -q "\"local_waiting\": *1"' || fail "the other one does not wait"
		put foo.h ''
		wait
		rm -f foo.h b.o slow.o
		check any "$CC" -c a.c -o a.o
	}
}

# A change that reaches the object, after a unit has become known: each in its own way.
trap_25_what_reaches_the_compiler() # long
{
	local change debug=-g
	is_gcc || debug= # clang has checksums of files in it
	for change in 's/x) + 1/x) + 2/' 's/return ADD/return  ADD/' '1i int before;' '1i /* a comment */' 's/ADD(x); }/ADD( x); }/' \
		's/^#ifdef NOWHERE/#ifndef NOWHERE/' 's/int h(int x)/__attribute__((noinline)) int h(int x)/' '2i #line 77' \
		'2i #pragma GCC optimize("O0")' 's/^#define ADD(x).*/#define ADD(x) (HALF_ADD)/'; do
		small_unit
		check any "$CC" ${debug:+"$debug"} -O2 -c a.c -o a.o
		texts_known 1
		sed -i "$change" h.h
		check changed "$CC" ${debug:+"$debug"} -O2 -c a.c -o a.o
		small_unit
		sed -i "$change" a.c
		check any "$CC" ${debug:+"$debug"} -O2 -c a.c -o a.o
	done
	small_unit
	check changed "$CC" ${debug:+"$debug"} -O2 -DNOWHERE -c a.c -o a.o
	# It counts on the line of its use, whatever stands in the definition.
	check changed "$CC" ${debug:+"$debug"} -O2 -Dh=i -c a.c -o a.o
	check any "$CC" -g3 -O2 -DUNUSED -c a.c -o a.o
	check changed "$CC" -g3 -O2 -DUNUSED=2 -c a.c -o a.o
	check any "$CC" -O2 -frecord-gcc-switches -DUNUSED -c a.c -o a.o
	check changed "$CC" -O2 -frecord-gcc-switches -DUNUSED=2 -c a.c -o a.o
}

trap_26_macros_that_are_pasted_or_asked_for_by_name()
{
	put a.c '#define CAT(a, b) a##b' '#define STR(x) #x' '#define SHOW(x) STR(x)' '#define VALUE_ONE 1' '#define VALUE_TWO 2' \
		'int one = CAT(VALUE_, ONE);' 'const char *two = SHOW(VALUE_TWO);'
	check any "$CC" -c a.c -o a.o
	texts_known 1
	sed -i 's/VALUE_ONE 1/VALUE_ONE 3/' a.c
	check changed "$CC" -c a.c -o a.o
	sed -i 's/VALUE_TWO 2/VALUE_TWO 4/' a.c
	check changed "$CC" -c a.c -o a.o
	put a.c '#define X 1' '#pragma push_macro("X")' '#undef X' '#define X 2' '#pragma pop_macro("X")' 'int x = X;'
	check any "$CC" -c a.c -o a.o
	texts_known 2
	put a.c '#define X 1' '' '#undef X' '#define X 2' '#pragma pop_macro("X")' 'int x = X;'
	check any "$CC" -c a.c -o a.o
	# A word that continues on the next line.
	put a.c '#define LONG_NAME 1' 'int x = LONG_\' 'NAME;'
	check any "$CC" -c a.c -o a.o
	sed -i 's/NAME 1/NAME 2/' a.c
	check changed "$CC" -c a.c -o a.o
	# A line that looks like a definition and is part of a string.
	put a.c '#define STR(x) #x' 'const char *s = STR( \' '#define UNUSED 1 \' ');'
	check any "$CC" -c a.c -o a.o
	sed -i 's/UNUSED 1/UNUSED 2/' a.c
	check any "$CC" -c a.c -o a.o
}

# The stored compile was silent; the new one is not, though the live text is the same.
trap_26_messages_about_what_is_not_seen() # long
{
	local line
	put a.c '#ifdef NOWHERE' '' '#endif' 'int a;'
	check any "$CC" -Wall -Wextra -Wundef -c a.c -o a.o
	texts_known 1
	for line in "don't" '/* /* */' '// \' '/* ??/ */' '"open' '#else x' '#warning "w"' '#pragma GCC warning "w"' '#pragma GCC poison a'; do
		put a.c '#ifdef NOWHERE' "$line" '#endif' 'int a;'
		check any "$CC" -Wall -Wextra -Wundef -c a.c -o a.o
		put a.c '' "$line" '' 'int a;'
		check any "$CC" -Wall -Wextra -Wundef -c a.c -o a.o
	done
	printf '#ifdef NOWHERE\n/* \xe2\x80\xae */\n#endif\nint a;\n' >a.c
	check any "$CC" -Wall -c a.c -o a.o
	put a.c '#if NOT_DEFINED' '' '#endif' 'int a;'
	check any "$CC" -Wall -Wundef -c a.c -o a.o
	put a.c '' '' '' 'int a;' '#pragma GCC poison b'
	check any "$CC" -Wall -c a.c -o a.o
	put a.c '#pragma GCC poison a' '' '' 'int a;'
	check any "$CC" -Wall -c a.c -o a.o
	put a.c '#define UNUSED 1' '' '' 'int a;'
	check any "$CC" -Wunused-macros -c a.c -o a.o
	check any "$CC" -Wall -DA=1 -DA=2 -c a.c -o a.o
	check any "$CC" -Wmissing-include-dirs -Inowhere -c a.c -o a.o
}

# A macro of a system header is silent where another one is not.
trap_26_macros_that_hide_warnings()
{
	put sys/s.h '#define NOTHING(x) if (x) ;' 'int s;'
	put a.c '#include "s.h"' 'void f(int x) { NOTHING(x) }'
	check any "$CC" -Wall -Wextra -Wempty-body -isystem sys -c a.c -o a.o
	texts_known 1
	check any "$CC" -Wall -Wextra -Wempty-body -Isys -c a.c -o a.o
	put a.c '#define ONE 1' 'int f(int x) { return x == ONE || x == ONE; }'
	check any "$CC" -Wall -Wextra -Wlogical-op -c a.c -o a.o
	put a.c '#define ONE 1' 'int f(int x) { return x == 1 || x == 1; }'
	check any "$CC" -Wall -Wextra -Wlogical-op -c a.c -o a.o
}

trap_10_depfiles_of_hits_by_text()
{
	mkdir -p one two
	put one/i.h 'int i;'
	cp one/i.h two/i.h
	put unused.h '#define NOTHING_MUCH 1'
	put a.c '#include "i.h"' 'int a;'
	check any "$CC" -MD -MP -Ione -c a.c -o a.o
	texts_known 1
	check any "$CC" -MD -MP -Itwo -c a.c -o a.o
	check any "$CC" -MD -MP -Ione -include unused.h -c a.c -o a.o
	check any "$CC" -MMD -MT 'some target' -Ione -include unused.h -c a.c -o a.o
	check any "$CC" -MMD -MT 'some target' -Ione -include unused.h -DNOT_USED -c a.c -o a.o
	check any "$CC" -MD -MF x/y.d -Ione -c a.c -o a.o
}

# As the kernel asks for depfiles.
trap_10_hits_by_text_with_depfiles_of_the_preprocessor()
{
	small_unit
	check miss "$CC" -O2 -Wp,-MMD,.a.d -Wp,-MT,x -c a.c -o a.o
	texts_known 1
	check preprocessed "$CC" -O2 -Wp,-MMD,.a.d -Wp,-MT,x -DUNUSED -c a.c -o a.o
	sed -i 's/int dead/long very_dead/' h.h
	check preprocessed "$CC" -O2 -Wp,-MMD,.b.d -c a.c -o a.o
	has_text .b.d h.h
	sed -i 's/x) + 1/x) + 2/' h.h
	check changed "$CC" -O2 -Wp,-MMD,.a.d -Wp,-MT,x -c a.c -o a.o
}

# All at once behind one header: each gets its turn, and none goes without an answer.
trap_24_many_texts_are_looked_up_at_once()
{
	local i
	small_unit
	for ((i = 0; i < 40; i++)); do
		put u$i.c '#include "h.h"' "int f$i(int x) { return h(x) + $i; }"
		"$COFFER" "$CC" -O2 -c u$i.c -o u$i.o
		texts_known $((i + 1))
	done
	mkdir plain
	mv u*.o plain
	sed -i 's/VERSION "1"/VERSION "2"/' h.h
	read_counters counters_before
	for ((i = 0; i < 40; i++)); do "$COFFER" "$CC" -O2 -c u$i.c -o u$i.o & done
	wait
	settle
	[ "$(grown preprocessed_hits)" = 40 ] || fail "not all are hits:$(all_grown)"
	for ((i = 0; i < 40; i++)); do same_file plain/u$i.o u$i.o; done
}

trap_24_texts_are_no_longer_compared_where_it_never_pays()
{
	local i runs
	for ((i = 0; i < 12; i++)); do
		put a.c "int a = $i;"
		check miss "$CC" -c a.c -o a.o
	done
	wait_until 10 '[ "$(counter misses)" -ge 12 ]'
	runs=$(counter text_runs)
	[ "$runs" -le 18 ] || fail "$runs runs for 12 texts that were never found"
	COFFER_TEXT_HITS=off check changed "$CC" -DUNUSED -c a.c -o a.o
	[ "$(counter text_hits)" = 0 ] || fail "found by text, though that is off"
	[ "$(counter text_us)" -gt 0 ] || fail "no time was counted"
}

# The headers of C++ have names twice in depfiles, raw strings, and words like "poison".
trap_24_what_a_compiler_of_cxx_does_not_see()
{
	local cxx=g++
	is_gcc || cxx=clang++
	put a.cpp '#include <map>' '#include <string>' '#include <vector>' '#include <algorithm>' \
		'int f() { std::map<std::string, std::vector<int>> m; m["a"].push_back(1); return (int)m.size(); }'
	COFFER_REPRODUCIBLE=off check miss $cxx -c a.cpp -o a.o
	texts_known 1
	COFFER_REPRODUCIBLE=off check preprocessed $cxx -DUNUSED=1 -c a.cpp -o a.o
	COFFER_REPRODUCIBLE=off check changed $cxx -Df=g -c a.cpp -o a.o
}

trap_26_how_deep_an_include_is()
{
	put b.h 'int x = __INCLUDE_LEVEL__;'
	put a.h '#include "b.h"'
	put a.c '#include "a.h"' 'int y;'
	check miss "$CC" -O2 -c a.c -o a.o
	texts_known 1
	put a.c '#include "b.h"' 'int y;'
	check miss "$CC" -O2 -c a.c -o a.o
}

# What can be read once only is left for the compiler, also where the unit is known.
trap_22_a_fifo_is_not_read_for_its_text()
{
	mkfifo "$T/fifo.h"
	put a.c 'int f(void) { return 1; }'
	check miss "$CC" -O2 -c a.c -o a.o
	texts_known 1
	echo 'int g(void) { return 2; }' >"$T/fifo.h" &
	counted input_not_a_file timeout 20 "$COFFER" "$CC" -O2 -include "$T/fifo.h" -c a.c -o a.o || fail "the compile failed or hung"
	wait
	nm a.o | grep -q ' g$' || fail "the FIFO is not in the object"
}
