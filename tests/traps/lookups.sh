# Traps 11-23: which headers a compile reads, and which it looked for in vain.
# shellcheck shell=bash

# A source that shows in its object which h.h was taken.
shows_h()
{
	put "${1:-a.c}" '#include "h.h"' 'int value = H;'
}

# appears FILE CMD...: the compile is cached; then a header appears earlier in the path, and later goes again.
appears()
{
	local file=$1
	shift
	same "$@"
	put "$file" '#define H 2'
	expect_changed "$@"
	again served "$@"
	rm "$file"
	expect_served "$@"
}

trap_11_header_appears_beside_the_source()
{
	put inc/h.h '#define H 1'
	shows_h src/a.c
	appears src/h.h "$CC" -Iinc -MD -c src/a.c -o a.o
}

trap_11_header_appears_beside_the_header_that_includes_it()
{
	put inc/x/one.h '#include "h.h"'
	put inc/h.h '#define H 1'
	put a.c '#include <x/one.h>' 'int value = H;'
	appears inc/x/h.h "$CC" -Iinc -MD -c a.c -o a.o
}

trap_11_header_appears_earlier_in_the_path() # long
{
	local option
	put late/h.h '#define H 1'
	mkdir early
	shows_h
	for option in -I -iquote -isystem; do
		[ $option = -isystem ] || appears early/h.h "$CC" "${option}early" -Ilate -c a.c -o a.o
		appears early/h.h "$CC" $option early -isystem late -MMD -c a.c -o a.o
		appears early/h.h "$CC" $option early -idirafter late -c a.c -o a.o
	done
	appears early/h.h "$CC" -idirafter early -idirafter late -c a.c -o a.o
	appears early/h.h "$CC" -I"$PWD/early" -I"$PWD/late" -MD -c a.c -o a.o
	appears early/h.h "$CC" --include-directory=early -I late -c a.c -o a.o
}

trap_11_header_appears_in_a_folder_that_was_not_there()
{
	put late/h.h '#define H 1'
	shows_h
	appears early/h.h "$CC" -Iearly -Ilate -c a.c -o a.o
	rmdir early
	same "$CC" -Iearly -Ilate -c a.c -o a.o
	put real/h.h '#define H 3'
	ln -s real early
	expect_changed "$CC" -Iearly -Ilate -c a.c -o a.o
	rm early
	put early 'not a folder'
	check any "$CC" -Iearly -Ilate -c a.c -o a.o # gcc warns
	rm early
	put other/h.h '#define H 4'
	mv other early
	expect_changed "$CC" -Iearly -Ilate -c a.c -o a.o
}

trap_11_link_to_a_folder_becomes_one_to_a_header()
{
	put a.c '#include <h.h>' 'int value = H;'
	put late/h.h '#define H 1'
	mkdir -p early far/away
	ln -s ../far/away early/h.h
	same "$CC" -Iearly -Ilate -c a.c -o a.o
	sleep 3 # as the folder that was looked at is trusted then
	expect_served "$CC" -Iearly -Ilate -c a.c -o a.o
	rmdir far/away
	put far/away '#define H 2'
	expect_changed "$CC" -Iearly -Ilate -c a.c -o a.o
}

trap_11_subfolder_appears_in_an_earlier_folder()
{
	put late/sub/h.h '#define H 1'
	mkdir early
	put a.c '#include <sub/h.h>' 'int value = H;'
	appears early/sub/h.h "$CC" -Iearly -Ilate -c a.c -o a.o
	rmdir early/sub
	put a.c '#include <../x/h.h>' 'int value = H;'
	put late/x/h.h '#define H 1'
	mkdir late/y early/y
	same "$CC" -Iearly/y -Ilate/y -c a.c -o a.o
	put early/x/h.h '#define H 2'
	expect_changed "$CC" -Iearly/y -Ilate/y -c a.c -o a.o
}

trap_11_system_header_is_shadowed()
{
	mkdir early
	put a.c '#include <limits.h>' '#ifndef H' '#define H 1' '#endif' 'int value = H;'
	appears early/limits.h "$CC" -Iearly -c a.c -o a.o
	appears early/limits.h "$CC" -isystem early -MMD -c a.c -o a.o
	# One that a system header includes.
	put a.c '#include <stdlib.h>' '#ifndef H' '#define H 1' '#endif' 'int value = H;'
	mkdir -p early/bits
	appears early/alloca.h "$CC" -isystem early -c a.c -o a.o
}

trap_11_implicitly_included_header_appears() # gcc
{
	put a.c '#ifndef H' '#define H 1' '#endif' 'int value = H;'
	appears early/stdc-predef.h gcc -isystem early -c a.c -o a.o
}

trap_11_header_goes_and_a_later_one_is_taken()
{
	put early/h.h '#define H 1'
	put late/h.h '#define H 2'
	shows_h
	same "$CC" -Iearly -Ilate -MD -c a.c -o a.o
	rm early/h.h
	expect_changed "$CC" -Iearly -Ilate -MD -c a.c -o a.o
	rm late/h.h
	expect_changed "$CC" -Iearly -Ilate -MD -c a.c -o a.o
	put early/h.h '#define H 1'
	expect_served "$CC" -Iearly -Ilate -MD -c a.c -o a.o
}

trap_11_same_text_appears_earlier()
{
	put late/h.h '#define H 1'
	mkdir early
	shows_h
	same "$CC" -Iearly -Ilate -MD -c a.c -o a.o
	put early/h.h '#define H 1'
	expect_changed "$CC" -Iearly -Ilate -MD -c a.c -o a.o
	has_text a.d early/h.h
	same "$CC" -Iearly -Ilate -MD -g -c a.c -o a.o
	put early/h.h '#define H 1 /* one */'
	check any "$CC" -Iearly -Ilate -MD -c a.c -o a.o
	put a.c '#include "h.h"' 'const char *value = FILE_NAME;'
	put late/h.h '#define FILE_NAME file_name()' 'static inline const char *file_name(void) { return __FILE__; }'
	put a.c '#include "h.h"' 'const char *f(void) { return file_name(); }'
	rm early/h.h
	same "$CC" -Iearly -Ilate -c a.c -o a.o
	cp late/h.h early/h.h
	check any "$CC" -Iearly -Ilate -c a.c -o a.o
}

trap_11_file_named_by_include_option_appears()
{
	put inc/h.h '#define H 1'
	put a.c 'int value = H;'
	appears h.h "$CC" -include h.h -Iinc -c a.c -o a.o
	appears h.h "$CC" -imacros h.h -Iinc -c a.c -o a.o
	put src/a.c 'int value = H;'
	# -include looks in the working folder, not beside the source.
	same "$CC" -include h.h -Iinc -c src/a.c -o a.o
	put src/h.h '#define H 2'
	check any "$CC" -include h.h -Iinc -c src/a.c -o a.o
}

trap_11_many_headers_one_of_which_is_shadowed()
{
	local i lines=()
	for i in {1..30}; do
		put "late/h$i.h" "#define H$i 1"
		lines+=("#include \"h$i.h\"")
	done
	mkdir e1 e2 e3
	put a.c "${lines[@]}" 'int value = H17;'
	same "$CC" -Ie1 -Ie2 -Ie3 -Ilate -c a.c -o a.o
	put e3/h17.h '#define H17 2'
	expect_changed "$CC" -Ie1 -Ie2 -Ie3 -Ilate -c a.c -o a.o
	put e1/h17.h '#define H17 3'
	expect_changed "$CC" -Ie1 -Ie2 -Ie3 -Ilate -c a.c -o a.o
	rm e1/h17.h
	expect_served "$CC" -Ie1 -Ie2 -Ie3 -Ilate -c a.c -o a.o
}

trap_11_folders_that_change_their_nature()
{
	put b/h.h '#define H 1'
	put c/h.h '#define H 2'
	put a.c '#include <h.h>' 'int value = H;'
	# A folder of the header's name becomes the header.
	mkdir -p a/h.h
	right "$CC" -Ia -Ib -c a.c -o a.o
	rmdir a/h.h
	put a/h.h '#define H 3'
	check changed "$CC" -Ia -Ib -c a.c -o a.o
	rm -r a
	# A file in the path becomes a folder.
	echo file >a
	right "$CC" -Ia -Ib -c a.c -o a.o
	rm a
	put a/h.h '#define H 4'
	check changed "$CC" -Ia -Ib -c a.c -o a.o
	rm -r a
	# A second name of a folder, which the compiler leaves out, gets another target.
	mkdir a
	ln -s a l
	same "$CC" -Ia -Il -Ib -c a.c -o a.o
	ln -sfn c l
	check changed "$CC" -Ia -Il -Ib -c a.c -o a.o
	ln -sfn b l
	same "$CC" -Ic -Ib -isystem a -c a.c -o a.o
	same "$CC" -Ic -Ib -isystem l -c a.c -o a.o
	ln -sfn c l
	check any "$CC" -Ic -Ib -isystem l -c a.c -o a.o
}

trap_11_links_that_lead_nowhere()
{
	put late/h.h '#define H 1'
	mkdir early
	ln -s nowhere early/h.h
	put a.c '#include <h.h>' 'int value = H;'
	same "$CC" -Iearly -Ilate -c a.c -o a.o
	put early/nowhere '#define H 2'
	check changed "$CC" -Iearly -Ilate -c a.c -o a.o
	rm early/nowhere
	check served "$CC" -Iearly -Ilate -c a.c -o a.o
	ln -sf h.h early/h.h
	check any "$CC" -Iearly -Ilate -c a.c -o a.o
}

trap_11_header_that_is_found_twice()
{
	put h.h 'extern int h;'
	put a.c '#include <h.h>' '#include "h.h"' 'int a;'
	same "$CC" -I. -MD -c a.c -o a.o
	same "$CC" -I. -MD -MP -c a.c -o a.o
	same "$CC" -I"$PWD" -I. -MD -MP -c a.c -o a.o
	same "$CC" -include h.h -MMD -MP -I. -c a.c -o a.o
	put h.h 'extern long h;'
	check changed "$CC" -I. -MD -c a.c -o a.o
	# The same file by two names is no second copy.
	mkdir inc
	put inc/w.h 'int w(void);'
	put b.c '#include "inc/w.h"' 'int b;'
	same "$CC" -I"$PWD" -c "$PWD/b.c" -o b.o
	same "$CC" -I. -I"$PWD" -Iinc -c b.c -o b.o
}

trap_11_second_copies_that_were_left_out()
{
	put a/x.h '#pragma once' 'enum { k };'
	mkdir b
	cp a/x.h b/x.h
	touch -d '2020-01-01' a/x.h b/x.h
	put c.c '#include "a/x.h"' '#include "b/x.h"' 'int c;'
	right "$CC" -c c.c -o c.o
	put b/x.h '#pragma once' 'int new_one = 1;'
	check any "$CC" -c c.c -o c.o
	cp a/x.h b/x.h
	touch -d '2020-01-01' b/x.h
	check any "$CC" -c c.c -o c.o
	touch b/x.h
	check any "$CC" -c c.c -o c.o
	rm b/x.h
	ln -s ../a/x.h b/x.h
	check any "$CC" -c c.c -o c.o
	rm b/x.h
	cp a/x.h b/x.h
	check any "$CC" -c c.c -o c.o
	ln -f a/x.h b/x.h
	check any "$CC" -c c.c -o c.o
	put i.c '#import "a/x.h"' '#import "b/x.h"' 'int i;'
	right "$CC" -w -c i.c -o i.o
	rm b/x.h
	put b/x.h 'int other;'
	check any "$CC" -w -c i.c -o i.o
}

trap_12_has_include_behind_a_macro() # long
{
	put has.h '#ifdef __has_include' '#define HAS(x) __has_include(x)' '#else' '#define HAS(x) 0' '#endif'
	put a.c '#include "has.h"' '#if HAS("opt.h") || HAS(<sub/opt.h>)' 'int value = 1;' '#else' 'int value = 2;' '#endif'
	mkdir inc
	same "$CC" -Iinc -c a.c -o a.o
	put inc/opt.h
	check changed "$CC" -Iinc -c a.c -o a.o
	rm inc/opt.h
	check served "$CC" -Iinc -c a.c -o a.o
	put inc/sub/opt.h
	check changed "$CC" -Iinc -c a.c -o a.o
	check any "$CC" -Iinc -Dsub=inc -c a.c -o a.o
	put a.c '#include "has.h"' '#define WHAT "opt.h"' '#if HAS(WHAT)' 'int value = 1;' '#else' 'int value = 2;' '#endif'
	untouched unknown_probe "$CC" -Iinc -c a.c -o a.o
	put sys.h '#define sub other'
	put a.c '#include "has.h"' '#include "sys.h"' '#if HAS(<sub/opt.h>)' 'int value = 1;' '#else' 'int value = 2;' '#endif'
	rm -r inc/sub
	same "$CC" -Iinc -c a.c -o a.o
	put inc/other/opt.h
	check changed "$CC" -Iinc -c a.c -o a.o
	rm inc/other/opt.h
	check served "$CC" -Iinc -c a.c -o a.o
	put sys.h '#define sub(x) other'
	untouched unknown_probe "$CC" -Iinc -c a.c -o a.o
	put sys.h '#define sub other' '#define other __another'
	check any "$CC" -Iinc -c a.c -o a.o
	check served "$CC" -Iinc -c a.c -o a.o
	put inc/__another/opt.h
	check changed "$CC" -Iinc -c a.c -o a.o
	put sys.h '#define sub other' '#define other __INTMAX_TYPE__'
	untouched unknown_probe "$CC" -Iinc -c a.c -o a.o
	put a.c '#include "has.h"' '#if HAS(<linux/opt.h>)' 'int value = 1;' '#else' 'int value = 2;' '#endif'
	same "$CC" -Iinc -c a.c -o a.o
	put inc/1/opt.h
	check changed "$CC" -Iinc -c a.c -o a.o
	put a.c '#include "has.h"' '#define AGAIN(x) HAS(x)' '#if AGAIN("opt.h")' 'int value = 1;' '#endif'
	untouched unknown_probe "$CC" -Iinc -c a.c -o a.o
}

# Qt 5 has such a macro, and does not use it.
trap_12_has_include_next_behind_a_macro()
{
	put has.h '#define HAS(x) __has_include(x)' '#define HAS_NEXT(x) __has_include_next(x)' '#define NOBODYS(x) __has_include_next(x)'
	put a.c '#include "has.h"' '#if HAS("opt.h") && defined(HAS_NEXT)' 'int value = 1;' '#else' 'int value = 2;' '#endif'
	mkdir one two
	same "$CC" -Ione -Itwo -c a.c -o a.o
	put two/opt.h
	check changed "$CC" -Ione -Itwo -c a.c -o a.o
	put one/h.h '#include "has.h"' '#if HAS_NEXT(<h.h>)' 'int value = 1;' '#else' 'int value = 2;' '#endif'
	put a.c '#include <h.h>'
	untouched unknown_probe "$CC" -I. -Ione -Itwo -c a.c -o a.o
	put two/h.h
	check any "$CC" -I. -Ione -Itwo -c a.c -o a.o
	put one/h.h '#include "has.h"' '#if defined(ALIAS) && ALIAS(<h.h>)' 'int value = 1;' '#else' 'int value = 2;' '#endif'
	untouched unknown_probe "$CC" -I. -Ione -Itwo -DALIAS=HAS_NEXT -c a.c -o a.o
}

# The name of such a macro may stand nowhere as a whole: ## joins it, or the command line has it.
trap_12_has_include_by_a_joined_name()
{
	local call
	mkdir one two
	put has.h '#define HAS(x) __has_include(x)' '#define HAS_NEXT(x) __has_include_next(x)' '#define CAT(a,b) a##b' '#define CAT3(a,b,c) a##b##c' \
		'#define PROBE_8(x) __has_include(x)' '#define VALUES(a,b) CAT(a,b)'
	put a.c '#include <h.h>'
	for call in 'CAT(HA,S)' 'CAT3(H,A,S)' 'CAT(HAS_,NEXT)' 'BOTH(HA,S)' 'CAT(H,AS)' 'VALUES(PROBE_,__SIZEOF_POINTER__)' \
		'CAT(__has_,include_next)' 'CAT(__has_inc,lude)' 'CAT(__has,_include)'; do
		put one/h.h '#include "has.h"' "#if $call(<k.h>)" 'int value = 1;' '#else' 'int value = 2;' '#endif'
		rm -f two/k.h
		untouched unknown_probe "$CC" -I. -Ione -Itwo '-DBOTH(a,b)=a##b' -c a.c -o a.o
		put two/k.h
		check any "$CC" -I. -Ione -Itwo '-DBOTH(a,b)=a##b' -c a.c -o a.o
	done
	put one/h.h '#include "has.h"' "#if ALIAS(<k.h>)" 'int value = 1;' '#else' 'int value = 2;' '#endif'
	untouched unknown_probe "$CC" -I. -Ione -Itwo -DALIAS=HAS -c a.c -o a.o
}

trap_12_has_include_of_a_later_argument()
{
	local last
	mkdir inc
	for last in '<two.h>' TWO; do
		put a.c '#define HAS(x, y) (__has_include(x) || __has_include(y))' '#define TWO <two.h>' "#if HAS(<one.h>, $last)" \
			'int value = 1;' '#else' 'int value = 2;' '#endif'
		untouched unknown_probe "$CC" -Iinc -c a.c -o a.o
		put inc/two.h
		check any "$CC" -Iinc -c a.c -o a.o
		rm inc/two.h
	done
}

# A name in brackets is text like any other to a macro.
trap_12_has_include_of_a_name_with_macros()
{
	local name
	mkdir -p inc/1
	for name in 'one@at.h' 'one at.h' 'one/*x*/at.h'; do
		put a.c '#define HAS(x) __has_include(x)' '#define at f' "#if HAS(<$name>)" 'int value = 1;' '#else' 'int value = 2;' '#endif'
		untouched unknown_probe "$CC" -Iinc -c a.c -o a.o
	done
	# Defined by compilers for this machine alone.
	if echo i386 | "$CC" -m32 -E -P -x c - | grep -qx 1; then
		put a.c '#define HAS(x) __has_include(x)' '#if HAS(<i386/one.h>)' 'int value = 1;' '#else' 'int value = 2;' '#endif'
		same "$CC" -m32 -Iinc -c a.c -o a.o
		put inc/1/one.h
		check changed "$CC" -m32 -Iinc -c a.c -o a.o
	fi
}

trap_12_has_include_turns_true_and_false()
{
	local form
	mkdir inc
	for form in '"opt.h"' '<opt.h>' '  <opt.h>' '"./opt.h"' 'OPT'; do
		put a.c '#define OPT "opt.h"' "#if __has_include($form)" 'int value = 1;' '#else' 'int value = 2;' '#endif'
		[ "$form" != '"./opt.h"' ] || mkdir -p inc
		case $form in
		OPT) right "$CC" -Iinc -I. -c a.c -o a.o ;; # what the macro names can't be told: not cached
		*) same "$CC" -Iinc -I. -c a.c -o a.o ;;
		esac
		put inc/opt.h '#error not to be read'
		check any "$CC" -Iinc -I. -c a.c -o a.o
		put opt.h '#error not to be read'
		check any "$CC" -Iinc -I. -c a.c -o a.o
		rm inc/opt.h
		check any "$CC" -Iinc -I. -c a.c -o a.o
		rm opt.h
		[ "$form" = OPT ] || expect_served "$CC" -Iinc -I. -c a.c -o a.o
		check any "$CC" -Iinc -I. -c a.c -o a.o
	done
}

trap_12_has_include_hidden_in_macros()
{
	mkdir inc
	put a.c '#define HAS(x) __has_include(x)' '#define NAME <opt.h>' '#if HAS(NAME)' 'int value = 1;' '#else' \
		'int value = 2;' '#endif'
	right "$CC" -Iinc -c a.c -o a.o
	put inc/opt.h
	check any "$CC" -Iinc -c a.c -o a.o
	rm inc/opt.h
	put a.c '#if defined __has_include && \' '__has_\' 'include("op\' 't.h")' 'int value = 1;' '#else' 'int value = 2;' '#endif'
	right "$CC" -Iinc -c a.c -o a.o
	put inc/opt.h
	check any "$CC" -Iinc -c a.c -o a.o
	rm inc/opt.h
	# The question comes from the command line.
	put a.c '#if ASK' 'int value = 1;' '#else' 'int value = 2;' '#endif'
	right "$CC" '-DASK=__has_include("opt.h")' -Iinc -c a.c -o a.o
	put inc/opt.h
	check any "$CC" '-DASK=__has_include("opt.h")' -Iinc -c a.c -o a.o
}

trap_12_has_include_in_headers()
{
	put inc/h.h '#if __has_include("config.h")' '#include "config.h"' '#endif' '#ifndef H' '#define H 1' '#endif'
	shows_h
	appears inc/config.h "$CC" -Iinc -MD -c a.c -o a.o
	appears config.h "$CC" -Iinc -I. -MD -c a.c -o a.o
}

trap_12_include_next()
{
	put one/h.h '#include_next <h.h>' '#define H (H1 + 10)'
	mkdir two
	put three/h.h '#define H1 1'
	put a.c '#include <h.h>' 'int value = H;'
	same "$CC" -Ione -Itwo -Ithree -MD -c a.c -o a.o
	put two/h.h '#define H1 2'
	expect_changed "$CC" -Ione -Itwo -Ithree -MD -c a.c -o a.o
	put two/h.h '#define H1 3' '#include_next <h.h>'
	expect_changed "$CC" -Ione -Itwo -Ithree -MD -c a.c -o a.o
	rm two/h.h
	expect_served "$CC" -Ione -Itwo -Ithree -MD -c a.c -o a.o
	put one/h.h '#if __has_include_next(<h.h>)' '#define H 1' '#else' '#define H 2' '#endif'
	rm three/h.h
	same "$CC" -Ione -Itwo -Ithree -MD -c a.c -o a.o
	put two/h.h
	expect_changed "$CC" -Ione -Itwo -Ithree -MD -c a.c -o a.o
}

trap_12_computed_include()
{
	put late/h.h '#define H 1'
	put late/g.h '#define H 5'
	mkdir early
	put a.c '#define NAME "h.h"' '#include NAME' 'int value = H;'
	right "$CC" -Iearly -Ilate -c a.c -o a.o
	put early/h.h '#define H 2'
	expect_changed "$CC" -Iearly -Ilate -c a.c -o a.o
	rm early/h.h
	put a.c '#define STRING(x) #x' '#define QUOTED(x) STRING(x)' '#include QUOTED(NAME.h)' 'int value = H;'
	right "$CC" -DNAME=h -Iearly -Ilate -c a.c -o a.o
	check changed "$CC" -DNAME=g -Iearly -Ilate -c a.c -o a.o
	put early/h.h '#define H 2'
	expect_changed "$CC" -DNAME=h -Iearly -Ilate -c a.c -o a.o
	rm early/h.h
	put a.c '#define ANGLED <NAME.h>' '#include ANGLED' 'int value = H;'
	right "$CC" -DNAME=h -Iearly -Ilate -c a.c -o a.o
	put early/h.h '#define H 2'
	expect_changed "$CC" -DNAME=h -Iearly -Ilate -c a.c -o a.o
	rm early/h.h
	put late/list.h '#include ITEM'
	put a.c '#define ITEM "h.h"' '#include "list.h"' 'int value = H;'
	right "$CC" -Iearly -Ilate -c a.c -o a.o
	put early/h.h '#define H 2'
	expect_changed "$CC" -Iearly -Ilate -c a.c -o a.o
}

trap_12_include_in_other_spellings() # long
{
	local line
	put late/h.h '#define H 1'
	mkdir early
	for line in '#  include "h.h"' '  #include<h.h>' '%:include "h.h"' '/* x */ # /* y */ include /* z */ "h.h"' '#import "h.h"' \
		$'#inc\\\nlude "h.\\\nh"' $'#\tinclude\t<h.h>\t' $'#\finclude "h.h" // x' '#include "./h.h"' '#include "sub/../h.h"' \
		$'/* x\n */ #include "h.h"' '??=include "h.h"' $'#inclu??/\nde "h.h"'; do
		mkdir -p early/sub late/sub
		printf '%s\n' "$line" 'int value = H;' >a.c
		right "$CC" -trigraphs -w -Iearly -Ilate -c a.c -o a.o
		put early/h.h '#define H 2'
		expect_changed "$CC" -trigraphs -w -Iearly -Ilate -c a.c -o a.o
		rm early/h.h
	done
}

trap_12_has_embed_and_embed()
{
	put a.c '#ifdef __has_embed' 'int has;' '#else' '#error no' '#endif'
	"$CC" -std=c2x -fsyntax-only a.c 2>/dev/null || skip "$CC has no #embed"
	put a.c '#if __has_embed("blob")' 'char value[] = {' '#embed "blob"' '};' '#else' 'char value[] = "none";' '#endif'
	right "$CC" -std=c2x -c a.c -o a.o
	put blob 'one'
	check any "$CC" -std=c2x -c a.c -o a.o
	put blob 'two'
	check any "$CC" -std=c2x -c a.c -o a.o
}

# embeds CMD...: the file "blob" is in the object; it changes, goes, comes back, and appears earlier.
embeds()
{
	put blob 'one'
	right "$@"
	grep -q one a.o || fail "the blob is not in the object: $(<"$T/plain/stderr")"
	put blob 'two'
	check any "$@"
	grep -q two a.o || fail "the object has an old blob"
	again any "$@"
	rm blob
	check any "$@"
	put blob 'one'
	check any "$@"
}

trap_13_incbin_in_asm_strings() # long
{
	local body
	for body in 'asm(".incbin \"blob\"");' \
		'asm(".inc" "bin \"blob\"");' \
		'asm(".\151ncbin \"blob\"");' \
		'asm(".\x69ncbin \"blob\"");' \
		$'asm(".inc\\\nbin \\"blob\\"");' \
		'void f(void) { asm volatile(".incbin \"blob\"" ::: "memory"); }' \
		'void f(void) { __asm__(".inc%cbin".."x"); }' \
		'asm(".INCBIN \"blob\"");' \
		'asm("nop; .incbin \"blob\"");' \
		'__asm(".macro m op\n.inc\\op \"blob\"\n.endm\nm bin\n");' \
		'asm(".macro m a b\n\\a\\b \"blob\"\n.endm\nm .inc bin\n");' \
		'asm(".altmacro\n.irp x,bin\n.inc&x \"blob\"\n.endr\n");' \
		'asm(".set x,1\n.if x\n.incbin \"blob\"\n.endif\n");' \
		'_Pragma("GCC diagnostic push") asm(".incbin \"blob\"");'; do
		[[ $body != *'.."x"'* ]] || body='void f(void) { __asm__(".inc%c0bin \"blob\"" :: "i"(0)); }'
		put a.c "$body"
		put blob one
		"$CC" -c a.c -o "$T/try.o" 2>/dev/null && grep -q one "$T/try.o" || continue
		embeds "$CC" -c a.c -o a.o
	done
	# Spelled by one operand at a time, as the output of the preprocessor alone does not show.
	put a.c 'void f(void) { __asm__(".i%=ncbin \"blob\"" ::); }'
	right "$CC" -c a.c -o a.o
}

trap_13_incbin_pasted_by_macros() # long
{
	local lines
	for lines in $'#define STRING(x) #x\n#define S(x) STRING(x)\n#define BIN bin\n#define CAT(a,b) a##b\n#define C(a,b) CAT(a,b)\nasm("." S(C(inc,BIN)) " \\"blob\\"");' \
		$'#define DIRECTIVE ".inc" TAIL\n#define TAIL "bin"\nasm(DIRECTIVE " \\"blob\\"");' \
		$'#define EMBED(file) asm(".incbin \\"" file "\\"")\nEMBED("blob");' \
		$'#include "embed.h"\nEMBED(blob);'; do
		put embed.h '#define EMBED(file) asm(".section .rodata\n.inc" "bin \"" #file "\"\n.text")'
		printf '%s\n' "$lines" >a.c
		embeds "$CC" -c a.c -o a.o
	done
	put a.c 'asm(D " \"blob\"");'
	embeds "$CC" '-DD=".incbin"' -c a.c -o a.o
	put a.c 'asm("." D "bin \"blob\"");'
	embeds "$CC" '-DD="inc"' -c a.c -o a.o
	put forced.h 'asm(".incbin \"blob\"");'
	put a.c 'int a;'
	embeds "$CC" -include forced.h -c a.c -o a.o
}

trap_13_incbin_in_assembler_files() # long
{
	local lines
	for lines in '.incbin "blob"' \
		$'#define D .incbin\nD "blob"' \
		$'#define CAT(a,b) a##b\n#define C(a,b) CAT(a,b)\n.C(inc,bin) "blob"' \
		$'.macro m op\n.inc\\op "blob"\n.endm\nm bin' \
		$'.macro m op\n.inc\\()\\op "blob"\n.endm\nm bin' \
		$'nop; .incbin "blob"' \
		$'.include "inner.inc"' \
		$'.macro m op\n.\\op "inner.inc"\n.endm\nm include' \
		'.INCBIN "blob"' \
		$'.irpc c,b\n.inc\\c\\()in "blob"\n.endr'; do
		put inner.inc '.incbin "blob"'
		printf '%s\n' "$lines" >a.S
		put blob one
		"$CC" -c a.S -o "$T/try.o" 2>/dev/null && grep -q one "$T/try.o" || continue
		embeds "$CC" -c a.S -o a.o
		cp a.S a.s
		sed -i 's/^#define.*//' a.s
		"$CC" -c a.s -o "$T/try.o" 2>/dev/null && grep -q one "$T/try.o" || continue
		embeds "$CC" -c a.s -o a.o
	done
}

trap_13_assembler_include_changes() # long
{
	put inc/inner.inc '.ascii "one"'
	put a.c 'asm(".include \"inner.inc\"");'
	put b.S '.include "inner.inc"'
	cp b.S c.s
	for file in a.c b.S c.s; do
		put inc/inner.inc '.ascii "one"'
		right "$CC" -Wa,-Iinc -Iinc -c $file -o a.o
		put inc/inner.inc '.ascii "two"'
		check any "$CC" -Wa,-Iinc -Iinc -c $file -o a.o
		grep -q two a.o || fail "the object has the old file"
		# It appears earlier in the assembler's path.
		put inner.inc '.ascii "three"'
		check any "$CC" -Wa,-Iinc -Iinc -c $file -o a.o
		rm inner.inc
		check any "$CC" -Wa,-Iinc -Iinc -c $file -o a.o
	done
}

trap_13_assembler_search_path()
{
	mkdir d1
	put d2/x.inc '.byte 1'
	put a.s '.include "x.inc"'
	right "$CC" -Wa,-Id1 -Wa,-Id2 -c a.s -o a.o
	put d1/x.inc '.byte 2'
	check any "$CC" -Wa,-Id1 -Wa,-Id2 -c a.s -o a.o
	rm d1/x.inc
	right "$CC" -Wa,-Id1,-Id2 -c a.s -o a.o
	put d1/x.inc '.byte 3'
	check any "$CC" -Wa,-Id1,-Id2 -c a.s -o a.o
	rm d1/x.inc
	right "$CC" -Id1 -Id2 -c a.s -o a.o
	put d1/x.inc '.byte 4'
	check any "$CC" -Id1 -Id2 -c a.s -o a.o
	rm d1/x.inc
	right "$CC" -Xassembler -Id1 -Xassembler -Id2 -c a.s -o a.o
	put d1/x.inc '.byte 5'
	check any "$CC" -Xassembler -Id1 -Xassembler -Id2 -c a.s -o a.o
}

trap_13_incbin_of_a_preprocessed_source()
{
	put x.c 'asm(".inc" "bin \"blob\"");'
	put blob one
	"$CC" -E x.c -o a.i
	embeds "$CC" -c a.i -o a.o
}

# What a kernel's offsets are read from. gcc copies the statement; clang reads the file here, too.
trap_13_incbin_in_assembler_text()
{
	put a.c 'asm(".inc" "bin \"blob\"");' '#define DEFINE(name, value) asm volatile("\n.ascii \"->" #name " %0\"" : : "i"(value))' \
		'void f(void) { DEFINE(SIZE, sizeof(long)); }'
	if [[ $CC == *clang* ]]; then
		put blob one
		right "$CC" -S a.c -o a.s
		put blob two
		check changed "$CC" -S a.c -o a.s
		return
	fi
	expect_miss "$CC" -S a.c -o a.s
	expect_hit "$CC" -S a.c -o a.s
	put blob one
	right "$CC" -c a.c -o a.o
	put blob two
	expect_hit "$CC" -S a.c -o a.s
	check changed "$CC" -c a.c -o a.o
}

# changes_in_time CMD...: the object has the time in it; a second later it must have another.
changes_in_time()
{
	counted any coffer "$@" || fail "the compile failed"
	cp a.o "$T/first.o"
	sleep 1.01
	rm -f a.o
	counted any coffer "$@"
	! cmp -s a.o "$T/first.o" || fail "the object has an old time: $*"
	rm -f a.o
}

trap_14_time_is_never_old()
{
	put a.c 'const char *t = __TIME__;'
	changes_in_time "$CC" -c a.c -o a.o
	put h.h '#define NOW __TIME__'
	put a.c '#include "h.h"' 'const char *t = NOW;'
	changes_in_time "$CC" -c a.c -o a.o
	put a.c 'const char *t = T;'
	changes_in_time "$CC" -DT=__TIME__ -c a.c -o a.o
	changes_in_time "$CC" -include h.h -DT=NOW -c a.c -o a.o
	changes_in_time "$CC" -imacros h.h -DT=NOW -c a.c -o a.o
}

trap_14_time_hidden_from_the_eye()
{
	put a.c '#define CAT(a, b) a##b' 'const char *t = CAT(__TI, ME__);'
	changes_in_time "$CC" -c a.c -o a.o
	put a.c 'const char *t = __TI\' 'ME__;'
	changes_in_time "$CC" -c a.c -o a.o
	put a.c '#define CAT(a, b) a##b' '#define C(a, b) CAT(a, b)' 'const char *t = C(C(__, TIME), __);'
	changes_in_time "$CC" -c a.c -o a.o
	put a.c 'const char *t = X;'
	changes_in_time "$CC" '-DCAT(a,b)=a##b' '-DX=CAT(__T,IME__)' -c a.c -o a.o
	put h.h '#define CAT(a, b) a##b'
	put a.c '#include "h.h"' '#define HALF __TI' '#define C(a, b) CAT(a, b)' 'const char *t = C(HALF, ME__);'
	changes_in_time "$CC" -c a.c -o a.o
	# The line markers of a preprocessed source do not stop the compiler's own expansion where it preprocesses again.
	put a.c 'const char *t = __TIME__;'
	cp a.c a.i
	changes_in_time "$CC" -x c -c a.i -o a.o
}

trap_14_date_and_time_are_counted()
{
	put a.c 'const char *d = __DATE__;'
	untouched time_macros "$CC" -c a.c -o a.o
	put h.h '#define WHEN __DATE__ " x"'
	put a.c '#include "h.h"' 'const char *d = WHEN;'
	counted time_macros coffer "$CC" -c a.c -o a.o
	# Only whole words count.
	put a.c 'int my__DATE__, __TIME__x, __DATE__S, a__TIMESTAMP__b;'
	same "$CC" -c a.c -o a.o
}

# Where the words reach nothing (the compilers heed SOURCE_DATE_EPOCH since gcc 7 and clang 16).
trap_14_dates_that_nobody_uses() # gcc
{
	put h.h '#define WHEN __DATE__ " x"' '#ifdef STAMPED' 'const char *when = __TIME__;' '#endif' '#define ONE 1'
	put a.c '#include "h.h"' '#if 0' 'const char *d = __DATE__;' '#endif' 'int f(void) { return ONE; }'
	same gcc -O2 -c a.c -o a.o
	same gcc -O2 -g3 -MD -include h.h -c a.c -o a.o
	changes_in_time gcc -O2 -DSTAMPED -c a.c -o a.o
	counted time_macros "$COFFER" gcc -O2 -c -DSTAMPED a.c -o b.o
	# The same inputs never say more, and others are looked at again.
	sed -i 's/return ONE/return ONE + (int)sizeof WHEN/' a.c
	counted time_macros "$COFFER" gcc -O2 -c a.c -o a.o
	put a.c '#include "h.h"' '#define CAT(a, b) a##b' 'const char *t = CAT(__TI, ME__);'
	changes_in_time gcc -c a.c -o a.o
	put a.c '#include "h.h"' 'const char *t = __TIMESTAMP__;'
	counted time_macros "$COFFER" gcc -c a.c -o a.o
	# Looked for by the preprocessed text.
	put a.c '#include "h.h"' 'int f(void) { return ONE; }'
	check miss gcc -O2 -c a.c -o a.o
	texts_known 1
	check any gcc -O2 -DUNUSED -c a.c -o a.o
	sed -i 's/ONE 1/ONE (WHEN[0] != 0)/' h.h
	counted time_macros "$COFFER" gcc -O2 -DUNUSED -c a.c -o a.o
}

trap_14_timestamp_is_the_sources_mtime()
{
	put a.c 'const char *t = __TIMESTAMP__;'
	touch -d '2020-01-02 03:04:05' a.c
	right "$CC" -c a.c -o a.o
	touch -d '2021-02-03 04:05:06' a.c
	check any "$CC" -c a.c -o a.o
	grep -q 2021 a.o || fail "the object has an old time stamp"
	put h.h '#define STAMP __TIMESTAMP__'
	put a.c '#include "h.h"' 'const char *t = STAMP;'
	touch -d '2020-01-02 03:04:05' a.c
	right "$CC" -c a.c -o a.o
	touch -d '2022-02-03 04:05:06' a.c
	check any "$CC" -c a.c -o a.o
	put a.c '#define CAT(a, b) a##b' 'const char *t = CAT(__TIME, STAMP__);'
	touch -d '2020-01-02 03:04:05' a.c
	right "$CC" -c a.c -o a.o
	touch -d '2022-02-03 04:05:06' a.c
	check any "$CC" -c a.c -o a.o
}

trap_14_time_behind_a_warning_that_is_an_error() # gcc
{
	# gcc does not warn of what system headers do.
	put sys/s.h 'static const char when[] = __TIME__;'
	put a.c '#include <s.h>' 'const char *f(void) { return when; }'
	changes_in_time "$CC" -Werror=date-time -isystem sys -c a.c -o a.o
	put sys/s.h '#pragma GCC system_header' 'static const char when[] = __TIME__;'
	changes_in_time "$CC" -Werror=date-time -Wdate-time -Isys -c a.c -o a.o
}

trap_14_macros_that_are_defined_away()
{
	put a.c 'int a;'
	same "$CC" -Wno-builtin-macro-redefined -D__DATE__= -D__TIME__= -D__TIMESTAMP__= -c a.c -o a.o
	put a.c 'const char *d = __DATE__ "";'
	right "$CC" -Wno-builtin-macro-redefined -D__DATE__= -D__TIME__= -D__TIMESTAMP__= -c a.c -o a.o
	changes_in_time "$CC" -Wno-builtin-macro-redefined -D__DATE__=__TIME__ -c a.c -o a.o
	put a.c '#undef __DATE__' '#define __DATE__ __TIME__' 'const char *d = __DATE__ "";'
	changes_in_time "$CC" -w -D__DATE__= -c a.c -o a.o
}

trap_14_source_date_epoch()
{
	put a.c 'const char *t = __DATE__ __TIME__;'
	export SOURCE_DATE_EPOCH=1000000000
	if is_gcc; then
		right gcc -c a.c -o a.o
	fi
	counted any coffer "$CC" -c a.c -o a.o
	SOURCE_DATE_EPOCH=1200000000
	counted any coffer "$CC" -c a.c -o b.o
	! cmp -s a.o b.o || [ "$(grown direct_hits)" = 0 ] || fail "another SOURCE_DATE_EPOCH made a hit"
	if is_gcc; then
		check any gcc -c a.c -o a.o
		grep -q 2008 a.o || fail "the object has another date"
		SOURCE_DATE_EPOCH=x check any gcc -c a.c -o a.o
	fi
	unset SOURCE_DATE_EPOCH
	changes_in_time "$CC" -c a.c -o a.o
}

trap_14_date_time_warnings()
{
	put a.c 'const char *t = __TIMESTAMP__;'
	touch -d '2020-01-02 03:04:05' a.c
	right "$CC" -Wdate-time -c a.c -o a.o
	right "$CC" -Werror=date-time -c a.c -o a.o
	[ "$(<"$T/got/status")" != 0 ] || fail "-Werror=date-time did not fail"
	put a.c '#define CAT(a, b) a##b' 'const char *t = CAT(__TI, ME__);'
	right "$CC" -Werror=date-time -c a.c -o a.o
}

# edited_meanwhile FILE: changes FILE while the slow compile of a.c runs, in several ways. `late.h` is read when the
# compile begins, so the result may belong to the old or the new text; it must never be found under the wrong one.
edited_meanwhile()
{
	local file=$1 way old="#define H 1" new="#define H 2" when
	shift
	# A text of its own for each way: no compile is answered by the one before it.
	echo 'enum { WAY };' >>a.c
	for way in write keep rename; do
		put "$file" "$old"
		touch -d '2020-01-01' "$file"
		"$COFFER" "$CC" -O2 -DWAY=$way -Iearly -I. -c a.c -o a.o "$@" &
		compiler_runs $!
		sleep 0.2
		case $way in
		write) put "$file" "$new" ;;
		keep)
			when=$(stat -c %y "$file")
			put "$file" "$new"
			touch -d "$when" "$file"
			;;
		rename)
			put new.tmp "$new"
			touch -d '2020-01-01' new.tmp
			mv new.tmp "$file"
			;;
		esac
		wait $! || fail "the compile failed"
		check any "$CC" -O2 -DWAY=$way -Iearly -I. -c a.c -o a.o "$@"
		put "$file" "$old"
		touch -d '2020-01-01' "$file"
		check any "$CC" -O2 -DWAY=$way -Iearly -I. -c a.c -o a.o "$@"
	done
}

trap_15_header_edited_during_the_compile() # long
{
	slow_source slow.c 200
	{ echo '#include "h.h"'; cat slow.c; echo 'int value = H;'; } >a.c
	edited_meanwhile h.h
}

trap_15_source_edited_during_the_compile() # long
{
	slow_source slow.c 250
	{ echo 'int value = 1;'; cat slow.c; } >a.c
	counted input_changed edit_source_meanwhile
	check any "$CC" -O2 -c a.c -o a.o
	sed -i 's/value = 2/value = 1/' a.c
	check any "$CC" -O2 -c a.c -o a.o
}

edit_source_meanwhile()
{
	"$COFFER" "$CC" -O2 -c a.c -o a.o &
	compiler_runs $!
	sleep 0.2
	sed -i 's/value = 1/value = 2/' a.c
	wait $!
}

trap_15_header_appears_earlier_during_the_compile() # long
{
	slow_source slow.c 200
	{ echo '#include "h.h"'; cat slow.c; echo 'int value = H;'; } >a.c
	put h.h '#define H 1'
	mkdir early
	"$COFFER" "$CC" -O2 -iquote early -c a.c -I. -o a.o &
	compiler_runs $!
	sleep 0.2
	put early/h.h '#define H 2'
	wait $!
	check any "$CC" -O2 -iquote early -I. -c a.c -o a.o
	rm early/h.h
	check any "$CC" -O2 -iquote early -I. -c a.c -o a.o
}

trap_15_folder_moved_during_the_compile() # long
{
	local way
	slow_source slow.c 250
	{ printf '%s\n' '#include "h.h"' 'enum { WAY };'; cat slow.c; echo 'int value = H;'; } >a.c
	for way in link rename touched; do
		rm -rf v0 v1 v2 current
		put v1/h.h '#define H 1'
		put v2/h.h '#define H 2'
		ln -s v1 current
		sleep 0.02
		"$COFFER" "$CC" -O2 -DWAY=$way -Icurrent -Iv1 -c a.c -o a.o &
		compiler_runs $!
		sleep 0.2
		case $way in
		link) ln -sfn v2 current ;;
		rename) mv v1 v0 && mv v2 v1 ;;
		touched) mv v1 v0 && mv v2 v1 && touch v1/other ;;
		esac
		wait $! || fail "the compile failed"
		check any "$CC" -O2 -DWAY=$way -Icurrent -Iv1 -c a.c -o a.o
	done
}

trap_15_input_made_in_the_same_moment_is_not_trusted()
{
	local i
	# Written right before each compile: whatever the clock's tick is, each result is the right one.
	put a.c '#include "h.h"' 'int value = H;'
	for i in {1..20}; do
		echo "#define H $((i % 7))" >h.h
		"$COFFER" "$CC" -c a.c -o a.o || fail "the compile failed"
		"$CC" -c a.c -o b.o
		same_file a.o b.o
	done
}

trap_16_rewritten_right_after_the_compile()
{
	local i
	put a.c '#include "h.h"' 'int value = H;'
	for i in {1..40}; do
		echo "#define H $((i % 3))" >h.h
		"$COFFER" "$CC" -c a.c -o "$i.o" || fail "the compile failed"
		echo "#define H $((i % 3 + 3))" >h.h
		"$COFFER" "$CC" -c a.c -o "other_$i.o" || fail "the compile failed"
	done
	for i in {0..5}; do
		echo "#define H $i" >h.h
		"$CC" -c a.c -o "$T/plain_$i.o"
	done
	for i in {1..40}; do
		same_file "$i.o" "$T/plain_$((i % 3)).o"
		same_file "other_$i.o" "$T/plain_$((i % 3 + 3)).o"
	done
}

trap_16_same_size_and_mtime()
{
	local way
	put a.c '#include "h.h"' 'int value = H;'
	put h.h '#define H 1'
	touch -d '2020-01-01' h.h a.c
	same "$CC" -c a.c -o a.o
	# The daemon has had time to trust what it knows of the file.
	sleep 2.2
	expect_hit "$CC" -c a.c -o a.o
	for way in 2 3 4 5 6; do
		case $way in
		2) echo '#define H 2' >h.h ;;
		3) echo '#define H 3' >new && touch -d '2020-01-01' new && mv new h.h ;;
		4) rm h.h && echo '#define H 4' >h.h ;;
		5) printf 5 | dd of=h.h bs=1 seek=10 conv=notrunc status=none ;;
		6) mkdir -p other && echo '#define H 6' >other/h.h && touch -d '2020-01-01' other/h.h && cp -p other/h.h h.h ;;
		esac
		touch -d '2020-01-01' h.h
		[ "$(stat -c '%s %Y' h.h)" = "12 $(date -d 2020-01-01 +%s)" ] || fail "the test's own file is wrong"
		expect_changed "$CC" -c a.c -o a.o
		[ "$(<h.h)" = "#define H $way" ] || fail "the test's own file is wrong"
	done
	sed -i 's/value/other/' a.c
	touch -d '2020-01-01' a.c
	expect_changed "$CC" -c a.c -o a.o
}

trap_16_inode_is_used_again()
{
	local i
	put a.c '#include "h.h"' 'int value = H;'
	for i in 1 2 3 4 5 6 7 8; do
		rm -f h.h
		echo "#define H $i" >h.h
		touch -d '2020-01-01' h.h
		counted any coffer "$CC" -c a.c -o a.o
		"$CC" -c a.c -o b.o
		same_file a.o b.o
	done
}

trap_16_times_in_the_future()
{
	put a.c '#include "h.h"' 'int value = H;'
	put h.h '#define H 1'
	touch -d '+1 day' h.h a.c
	right "$CC" -c a.c -o a.o
	echo '#define H 2' >h.h
	touch -d '+1 day' h.h
	expect_changed "$CC" -c a.c -o a.o
	echo '#define H 3' >h.h
	touch -d '1901-01-01' h.h
	expect_changed "$CC" -c a.c -o a.o
	touch -d '2400-01-01' h.h
	right "$CC" -c a.c -o a.o
}

trap_17_same_text_at_two_paths() # long
{
	local dir
	for dir in one two; do
		put $dir/a.c '#include <assert.h>' 'const char *file = __FILE__, *base = __BASE_FILE__;' \
			'void f(int x) { assert(x); }'
	done
	same "$CC" -c one/a.c -o a.o
	check changed "$CC" -c two/a.c -o a.o
	same "$CC" -g -c one/a.c -o a.o
	check changed "$CC" -g -c two/a.c -o a.o
	same "$CC" -c ./one/a.c -o a.o
	same "$CC" -c "$PWD/one/a.c" -o a.o
	same "$CC" -c one/../one/a.c -o a.o
	in_dir one same "$CC" -c a.c -o a.o
	in_dir two same "$CC" -c a.c -o a.o
	in_dir one same "$CC" -g -c a.c -o a.o
	in_dir two same "$CC" -g -c a.c -o a.o
	in_dir one same "$CC" -g -c ../two/a.c -o a.o
}

trap_17_same_header_at_two_paths()
{
	local dir
	for dir in one two; do
		put $dir/h.h 'static inline const char *where(void) { return __FILE__; }'
	done
	put a.c '#include "h.h"' 'const char *f(void) { return where(); }'
	same "$CC" -Ione -c a.c -o a.o
	check changed "$CC" -Itwo -c a.c -o a.o
	same "$CC" -I"$PWD/one" -c a.c -o a.o
	same "$CC" -I./one -c a.c -o a.o
	same "$CC" -Ione -g -c a.c -o a.o
	check changed "$CC" -Itwo -g -c a.c -o a.o
}

# For gcc two files with one text and one date are one, for clang two names of one, which `#pragma once` and #import take once.
trap_17_equal_texts_that_count_once()
{
	local include second
	mkdir a b
	for include in include import; do
		put a.c "#$include \"a/x.h\"" "#$include \"b/y.h\""
		put a/x.h "$([ $include = import ] || echo '#pragma once')" '#define JOIN2(a, b) a##b' '#define JOIN(a, b) JOIN2(a, b)' \
			'int JOIN(v, __COUNTER__);'
		cp a/x.h b/y.h
		touch -d @1700000000 a/x.h
		for second in 5 0 5 0; do
			touch -d @170000000$second b/y.h
			check any "$CC" -c a.c -o a.o
		done
		ln -sf ../a/x.h b/y.h
		check any "$CC" -c a.c -o a.o
		rm b/y.h
	done
}

# What differs in comments only may become such a file.
trap_17_comments_that_make_texts_equal()
{
	mkdir a b
	put a.c '#include "a/x.h"' '#include "b/y.h"'
	put a/x.h '#pragma once' '#define JOIN2(a, b) a##b' '#define JOIN(a, b) JOIN2(a, b)' 'int JOIN(v, __COUNTER__); // one'
	sed 's/one$/two/' a/x.h >b/y.h
	touch -d @1700000000 a/x.h b/y.h
	check any "$CC" -c a.c -o a.o
	cp -p a/x.h b/y.h
	check any "$CC" -c a.c -o a.o
}

trap_17_same_text_with_other_names()
{
	put a.c 'const char *file = __FILE__; int x;'
	cp a.c b.c
	same "$CC" -c a.c -o x.o
	check changed "$CC" -c b.c -o x.o
	# Without any mention of its name the object has it all the same, as a symbol.
	put a.c 'int x;'
	cp a.c b.c
	same "$CC" -c a.c -o x.o
	check changed "$CC" -c b.c -o x.o
	cp a.c a.cc
	cp a.c a.i
	check changed "$CC" -c a.cc -o x.o
	check changed "$CC" -c a.i -o x.o
}

trap_18_line_markers_that_name_no_file()
{
	put a.c '# 1 "missing.h" 1' '# 1 "also/missing.h" 1 3 4' 'int x;' '# 2 "a.c" 2' '#line 100 "parser.y"' \
		'const char *f(void) { return __FILE__; }' 'int warn(void) { int unused; }'
	same "$CC" -Wall -MD -c a.c -o a.o
	same "$CC" -Wall -g -MMD -c a.c -o a.o
	put h.h 'static int in_header(void) { return 1; }'
	put b.c '#include "h.h"' 'int g(void) { return in_header(); }'
	"$CC" -E b.c -o b.i
	rm h.h b.c
	same "$CC" -c b.i -o b.o
	same "$CC" -g -MD -c b.i -o b.o
	put c.i '# 1 "<built-in>"' '# 1 "<command-line>"' '# 1 "<stdin>"' '# 1 "/gone//"' '# 1 "a\\b\"c.h"' 'int x;'
	same "$CC" -g -c c.i -o c.o
	put h.h 'int h;'
	put d.c '#line 1 "h.h"' 'int x;'
	same "$CC" -MD -c d.c -o d.o
	put h.h 'int changed;'
	check any "$CC" -MD -c d.c -o d.o
}

trap_19_includes_resolve_beside_the_symlink()
{
	put real/a.c '#include "h.h"' 'int value = H;'
	put real/h.h '#define H 1'
	put link/h.h '#define H 2'
	ln -s ../real/a.c link/a.c
	same "$CC" -MD -c link/a.c -o a.o
	check changed "$CC" -MD -c real/a.c -o a.o
	put link/h.h '#define H 3'
	expect_changed "$CC" -MD -c link/a.c -o a.o
	put real/h.h '#define H 4'
	check any "$CC" -MD -c link/a.c -o a.o
	rm link/h.h
	expect_changed "$CC" -MD -c link/a.c -o a.o
	# The source behind the link.
	sed -i 's/value/other/' real/a.c
	put link/h.h '#define H 3'
	expect_changed "$CC" -MD -c link/a.c -o a.o
}

trap_19_links_that_change_their_target()
{
	put v1/h.h '#define H 1'
	put v2/h.h '#define H 2'
	touch -d '2020-01-01' v1/h.h v2/h.h
	ln -s v1 current
	ln -s v1/h.h direct.h
	put a.c '#include "h.h"' '#include "direct.h"' 'int value = H;'
	same "$CC" -w -Icurrent -c a.c -o a.o
	ln -sfn v2 current
	ln -sf v2/h.h direct.h
	expect_changed "$CC" -w -Icurrent -c a.c -o a.o
	ln -sfn v1 current
	ln -sf v1/h.h direct.h
	expect_served "$CC" -w -Icurrent -c a.c -o a.o
	ln -sf missing.h direct.h
	check any "$CC" -w -Icurrent -c a.c -o a.o
}

trap_19_working_folder_through_a_link()
{
	put real/sub/a.c 'const char *f(void) { return __FILE__; }'
	put real/h.h '#define H 1'
	ln -s real/sub link
	cd "$P/link" || fail "no folder"
	same "$CC" -g -c a.c -o a.o
	cd "$P/real/sub" || fail "no folder"
	check any "$CC" -g -c a.c -o a.o
	PWD=/ check any "$CC" -g -c a.c -o a.o
	PWD=$P/link check any "$CC" -g -c a.c -o a.o
	(
		unset PWD
		check any env -u PWD "$CC" -g -c a.c -o a.o
	)
	PWD=$P/link
	export PWD
	right "$CC" -g -c "$P/link/a.c" -o a.o
	right "$CC" -c -I.. -include h.h "$P/link/a.c" -o a.o
}

trap_20_manifests_do_not_grow_without_bound()
{
	local i
	export COFFER_MAX_MANIFEST_ENTRIES=4
	put a.c '#include "h.h"' 'int value = H;'
	for i in {1..12}; do
		put h.h "#define H $i"
		check miss "$CC" -c a.c -o a.o
	done
	for i in 12 11 10 9; do
		put h.h "#define H $i"
		expect_hit "$CC" -c a.c -o a.o
	done
	for i in 1 2 3; do
		put h.h "#define H $i"
		check any "$CC" -c a.c -o a.o
	done
	"$COFFER" stop
}

trap_20_manifest_entries_with_many_headers_each()
{
	local i lines=()
	for i in {1..200}; do
		put "inc/h$i.h" "#define H$i $i"
		lines+=("#include \"h$i.h\"")
	done
	put a.c "${lines[@]}" 'int value = H200;'
	same "$CC" -Iinc -MD -c a.c -o a.o
	for i in 1 100 200; do
		put "inc/h$i.h" "#define H$i 9$i"
		expect_changed "$CC" -Iinc -MD -c a.c -o a.o
	done
	expect_hit "$CC" -Iinc -MD -c a.c -o a.o
}

# option_reads FILE CMD...: FILE is an input; another content is another object. OPTION_READS=handled: such a command need
# not be cached.
option_reads()
{
	local file=$1
	shift
	put "$file" '#define H 1'
	MODES=off twice any ${OPTION_READS:-hit} "$@"
	put "$file" '#define H 2'
	expect_changed "$@"
	put "$file" '#define H 1'
	[ -n "${OPTION_READS:-}" ] || expect_served "$@"
}

trap_21_options_that_name_headers_and_folders() # long
{
	put a.c 'int value = H;'
	put b.c '#include <h.h>' 'int value = H;'
	mkdir empty
	option_reads f.h "$CC" -include f.h -c a.c -o a.o
	option_reads f.h "$CC" -includef.h -c a.c -o a.o
	option_reads f.h "$CC" --include f.h -c a.c -o a.o
	option_reads f.h "$CC" --include=f.h -c a.c -o a.o
	option_reads f.h "$CC" -include ./f.h -MD -c a.c -o a.o
	option_reads f.h "$CC" -include "$PWD/f.h" -c a.c -o a.o
	option_reads f.h "$CC" -imacros f.h -c a.c -o a.o
	option_reads f.h "$CC" -imacros f.h -include f.h -w -c a.c -o a.o
	option_reads d/h.h "$CC" -Id -c b.c -o a.o
	option_reads d/h.h "$CC" -I d -c b.c -o a.o
	option_reads d/h.h "$CC" --include-directory d -c b.c -o a.o
	option_reads d/h.h "$CC" --include-directory=d -c b.c -o a.o
	option_reads d/h.h "$CC" -isystem d -c b.c -o a.o
	option_reads d/h.h "$CC" -isystemd -c b.c -o a.o
	option_reads d/h.h "$CC" -idirafter d -c b.c -o a.o
	option_reads d/h.h "$CC" -idirafterd -c b.c -o a.o
	option_reads d/h.h "$CC" --include-directory-after=d -c b.c -o a.o
	option_reads d/h.h "$CC" -iprefix ./ -iwithprefix d -c b.c -o a.o
	option_reads d/h.h "$CC" -iprefix ./ -iwithprefixbefore d -c b.c -o a.o
	option_reads d/h.h "$CC" -nostdinc -I empty -I d -c b.c -o a.o
	OPTION_READS=handled option_reads d/h.h "$CC" -Wp,-Id -c b.c -o a.o
	OPTION_READS=handled option_reads d/h.h "$CC" -Xpreprocessor -Id -c b.c -o a.o
	put b.c '#include "h.h"' 'int value = H;'
	option_reads d/h.h "$CC" -iquote d -c b.c -o a.o
	option_reads d/h.h "$CC" -iquoted -c b.c -o a.o
	if is_clang; then
		put b.cc '#include <h.h>' 'int value = H;'
		option_reads d/h.h clang++ -cxx-isystem d -c b.cc -o a.o
		option_reads d/h.h clang++ -stdlib++-isystem d -c b.cc -o a.o
		OPTION_READS=handled option_reads d/h.h clang -Xclang -internal-isystem -Xclang d -c b.c -o a.o
	fi
}

trap_21_long_forms_of_folders()
{
	put a.c '#if __has_include(<h.h>)' '#include <h.h>' '#endif' '#ifndef H' '#define H 1' '#endif' 'int value = H;'
	for option in --include-directory= --include-directory-after= -I -idirafter -isystem; do
		rm -rf later
		right "$CC" ${option}later -c a.c -o a.o
		put later/h.h '#define H 2'
		check changed "$CC" ${option}later -c a.c -o a.o
	done
	rm -rf later
	right "$CC" --include-prefix=./ --include-with-prefix=later -c a.c -o a.o
	put later/h.h '#define H 3'
	check changed "$CC" --include-prefix=./ --include-with-prefix=later -c a.c -o a.o
}

trap_21_sysroots()
{
	put a.c '#include <h.h>' 'int value = H;'
	for root in one two; do
		put $root/usr/include/h.h "#define H \"$root\"[0]"
		put $root/inc/h.h "#define H \"$root\"[1]"
		put $root/usr/include/stdc-predef.h
	done
	put one/usr/include/h.h '#define H 1'
	put two/usr/include/h.h '#define H 2'
	put one/inc/h.h '#define H 3'
	put two/inc/h.h '#define H 4'
	same "$CC" --sysroot=one -c a.c -o a.o
	check changed "$CC" --sysroot=two -c a.c -o a.o
	same "$CC" --sysroot "$PWD/one" -c a.c -o a.o
	check changed "$CC" --sysroot "$PWD/two" -c a.c -o a.o
	right "$CC" -isysroot one -c a.c -o a.o
	check any "$CC" -isysroot two -c a.c -o a.o
	same "$CC" --sysroot=one -I=/inc -c a.c -o a.o
	check changed "$CC" --sysroot=two -I=/inc -c a.c -o a.o
	same "$CC" --sysroot=one -isystem =/inc -c a.c -o a.o
	check changed "$CC" --sysroot=two -isystem =/inc -c a.c -o a.o
	right "$CC" --sysroot=one '-I$SYSROOT/inc' -c a.c -o a.o
	put one/inc/h.h '#define H 5'
	expect_changed "$CC" --sysroot=one -I=/inc -c a.c -o a.o
	put one/usr/include/h.h '#define H 6'
	expect_changed "$CC" --sysroot=one -c a.c -o a.o
	# A header appears earlier in a sysroot.
	mkdir -p one/early
	same "$CC" --sysroot=one -I=/early -c a.c -o a.o
	put one/early/h.h '#define H 7'
	expect_changed "$CC" --sysroot=one -I=/early -c a.c -o a.o
}

trap_21_order_of_search_options_counts()
{
	put one/h.h '#define H 1'
	put two/h.h '#define H 2'
	put a.c '#include "h.h"' 'int value = H;'
	same "$CC" -Ione -Itwo -c a.c -o a.o
	check changed "$CC" -Itwo -Ione -c a.c -o a.o
	check changed "$CC" -isystem one -Itwo -c a.c -o a.o
	check changed "$CC" -idirafter one -isystem two -c a.c -o a.o
	check any "$CC" -Itwo -isystem two -Ione -c a.c -o a.o
	check any "$CC" -nostdinc -Ione -Itwo -c a.c -o a.o
	check any "$CC" -Ione -I- -Itwo -c a.c -o a.o
	right "$CC" -iquote one -I- -c a.c -o a.o
}

trap_21_pragmas_and_nostdinc()
{
	put inc/stddef.h 'typedef int size_t;' '#define H 1'
	put a.c '#include <stddef.h>' 'int value = H;'
	option_reads inc/stddef.h "$CC" -nostdinc -Iinc -c a.c -o a.o
	if is_clang; then
		option_reads inc/stddef.h clang -nobuiltininc -Iinc -c a.c -o a.o
	fi
	put inc/cstddef '#define H 1'
	put a.cc '#include <cstddef>' 'int value = H;'
	option_reads inc/cstddef "$CXX" -nostdinc++ -Iinc -c a.cc -o a.o
	put inc/once.h '#pragma once' '#define H 1'
	put a.c '#include "once.h"' '#include "../p/inc/once.h"' 'int value = H;'
	right "$CC" -Iinc -c a.c -o a.o
}

trap_22_a_folder_in_the_place_of_a_header()
{
	mkdir -p one/h.h
	put two/h.h '#define H 1'
	put a.c '#include "h.h"' 'int value = H;'
	right "$CC" -Ione -Itwo -MD -c a.c -o a.o
	rmdir one/h.h
	check any "$CC" -Ione -Itwo -MD -c a.c -o a.o
	put one/h.h '#define H 2'
	expect_changed "$CC" -Ione -Itwo -MD -c a.c -o a.o
	rm one/h.h
	mkdir one/h.h
	check any "$CC" -Ione -Itwo -MD -c a.c -o a.o
	put b.c '#include "two"' 'int value;'
	right "$CC" -c b.c -o b.o
}

trap_22_dev_null_is_an_empty_header()
{
	put a.c '#include "/dev/null"' 'int value;'
	right "$CC" -MD -c a.c -o a.o
	put a.c 'int value;'
	right "$CC" -include /dev/null -c a.c -o a.o
	right "$CC" -imacros /dev/null -c a.c -o a.o
	right "$CC" -x c -c /dev/null -o a.o
}

trap_22_a_fifo_is_read_once_and_not_cached()
{
	local i
	mkfifo "$T/fifo.h"
	put a.c "#include \"$T/fifo.h\"" 'int value = H;'
	for i in 1 2; do
		echo "#define H $i" >"$T/fifo.h" &
		counted input_not_a_file timeout 20 "$COFFER" "$CC" -c a.c -o a.o || fail "the compile failed or hung"
		wait
		echo "int value = $i;" >plain.c
		echo "# 2 \"a.c\"" >>plain.c
		put want.c "int value = $i;"
		"$CC" -S -o - want.c | grep -v '\.file\|\.ident' >"$T/want"
		echo "#define H $i" >"$T/fifo.h" &
		timeout 20 "$COFFER" "$CC" -S -o a.s a.c
		wait
		grep -v '\.file\|\.ident' a.s >"$T/is"
		same_file "$T/want" "$T/is"
	done
}

trap_22_a_fifo_as_source()
{
	mkfifo "$T/fifo.c"
	echo 'int value;' >"$T/fifo.c" &
	counted any timeout 20 "$COFFER" "$CC" -c "$T/fifo.c" -o a.o || fail "the compile failed or hung"
	wait
	[ -s a.o ] || fail "no object"
}

trap_23_precompiled_header_beside_the_header() # gcc
{
	put h.h '#define H 1'
	put a.c '#include "h.h"' 'int value = H;'
	put b.c 'int value = H;'
	same gcc -c a.c -o a.o
	same gcc -include h.h -c b.c -o b.o
	# gcc takes it without a look at the header's text.
	put other/h.h '#define H 2'
	gcc -x c-header other/h.h -o h.h.gch
	check changed gcc -c a.c -o a.o
	check changed gcc -include h.h -c b.c -o b.o
	put other/h.h '#define H 3'
	gcc -x c-header other/h.h -o h.h.gch
	check changed gcc -c a.c -o a.o
	check changed gcc -MD -c a.c -o a.o
	check any gcc -Winvalid-pch -O2 -c a.c -o a.o
	# A folder with several of them.
	mv h.h.gch one.gch
	check any gcc -c a.c -o a.o
	mkdir h.h.gch
	mv one.gch h.h.gch/
	check changed gcc -c a.c -o a.o
	rm -r h.h.gch
	check any gcc -c a.c -o a.o
}

trap_23_precompiled_header_that_is_made_again() # gcc
{
	local include
	# As a build system does it: the header, its precompiled form and the compile, each time again.
	put inner.h '#define H 1'
	put h.h '#include "inner.h"'
	put a.c '#include "h.h"' 'int value = H;'
	put b.c 'int value = H;'
	for include in '' '-include h.h' "-Winvalid-pch -include $PWD/h.h -MD"; do
		put inner.h '#define H 1'
		gcc -x c-header h.h -o h.h.gch
		# shellcheck disable=SC2086
		right gcc $include -c a.c -o a.o
		put inner.h '#define H 2'
		gcc -x c-header h.h -o h.h.gch
		# shellcheck disable=SC2086
		check changed gcc $include -c a.c -o a.o
		rm h.h.gch
		put inner.h '#define H 3'
		# shellcheck disable=SC2086
		check changed gcc $include -c a.c -o a.o
	done
	mkdir h.h.gch
	right gcc -c a.c -o a.o
	put inner.h '#define H 4'
	gcc -x c-header h.h -o h.h.gch/one.gch
	put inner.h '#define H 3'
	check changed gcc -c a.c -o a.o
	put inner.h '#define H 5'
	gcc -x c-header h.h -o h.h.gch/one.gch
	put inner.h '#define H 3'
	check changed gcc -c a.c -o a.o
}

trap_23_precompiled_header_in_the_search_path() # gcc
{
	put inc/h.h '#define H 1'
	put other/h.h '#define H 2'
	mkdir early
	put a.c '#include "h.h"' 'int value = H;'
	same gcc -Iearly -Iinc -c a.c -o a.o
	gcc -x c-header other/h.h -o inc/h.h.gch
	check changed gcc -Iearly -Iinc -c a.c -o a.o
	rm inc/h.h.gch
	# Without its header, earlier in the path.
	gcc -x c-header other/h.h -o early/h.h.gch
	check any gcc -Iearly -Iinc -c a.c -o a.o
}

trap_23_clang_takes_pch_beside_a_forced_include() # clang
{
	put h.h '#define H 1'
	put a.c 'int value = H;'
	same clang -include h.h -c a.c -o a.o
	clang -x c-header h.h -o h.h.pch
	check any clang -include h.h -c a.c -o a.o
	mv h.h.pch h.h.gch
	check any clang -include h.h -c a.c -o a.o
	rm h.h.gch
	put a.c '#include "h.h"' 'int value = H;'
	clang -x c-header h.h -o h.h.pch
	check any clang -c a.c -o a.o
	put h.h '#define H 2'
	check any clang -c a.c -o a.o
	rm h.h.pch
	put a.c 'int value = H;'
	check any clang -include h.h -c a.c -o a.o
}

# A configure script compiles hundreds of texts under one name: the second run finds them all but the first few.
trap_16_many_texts_of_one_name() # long
{
	local i round hits
	for round in 1 2; do
		read_counters counters_before
		for ((i = 0; i < 60; i++)); do
			echo "int value_$i;" >conftest.c
			"$COFFER" "$CC" -c conftest.c -o conftest.o || fail "the compile fails"
			nm conftest.o | grep -qw "value_$i" || fail "the object of another text"
		done
		settle
	done
	hits=$(grown direct_hits)
	[ "$hits" -ge 50 ] || fail "only $hits hits in the second round"
}

trap_11_one_header_under_two_spellings()
{
	local dir
	put p/h.h '#pragma once' '#define H 1'
	put p/1.c '#include "h.h"' 'int value = H;'
	put util/a.h '#pragma once' '#define A 1'
	put net/x.h ''
	put p/2.c '#include "../net/../util/a.h"' '#include "../util/a.h"' 'int value = A;'
	cd p || return
	# As CMake calls the compiler in a build beside the sources, and the reverse.
	same "$CC" -c "$PWD/1.c" -o 1.o
	same "$CC" "-I$PWD" -c 1.c -o 1.o
	same "$CC" -MMD -MF 1.d -c "$PWD/1.c" -o 1.o
	same "$CC" -c 2.c -o 2.o
	put h.h '#pragma once' '#define H 2'
	expect_changed "$CC" -c "$PWD/1.c" -o 1.o
	put ../util/a.h '#pragma once' '#define A 2'
	expect_changed "$CC" -c 2.c -o 2.o
	same "$CC" -c 2.c -o 2.o
	# The directory leads elsewhere: to a copy, which is read as well.
	mkdir -p ../other/net
	cp -r ../util ../other/util
	rm -r ../net
	ln -s other/net ../net
	expect_changed "$CC" -c 2.c -o 2.o
}
