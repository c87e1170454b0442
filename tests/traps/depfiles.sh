# Traps 1-10: depfiles.
# shellcheck shell=bash

small_project()
{
	put inc/h.h 'int value(void);'
	put a.c '#include "h.h"' 'int f(void) { return value(); }'
	put sys/s.h 'int sys_value(void);'
	put s.c '#include <stddef.h>' '#include <s.h>' '#include "inc/h.h"' 'size_t g(void) { return sizeof(value()); }'
}

trap_01_depfile_target_is_rebuilt_on_a_hit()
{
	small_project
	same "$CC" -Iinc -MD -c a.c -o a.o
	expect_hit "$CC" -Iinc -MD -c a.c -o other.o
	has_text other.d 'other.o: a.c'
	mkdir -p deep/er
	expect_hit "$CC" -Iinc -MD -c a.c -o deep/er/x.o
	has_text deep/er/x.d 'deep/er/x.o: a.c'
	expect_hit "$CC" -Iinc -MD -c a.c -o "$PWD/absolute.o"
	same "$CC" -Iinc -MD -c a.c
	same "$CC" -Iinc -MD -MT one -c a.c -o a.o
	expect_hit "$CC" -Iinc -MD -MT two -c a.c -o b.o
	has_text b.d 'two: a.c'
	same "$CC" -Iinc -MD -MQ one -c a.c -o a.o
	expect_hit "$CC" -Iinc -MD -MQ two -c a.c -o a.o
	has_text a.d 'two: a.c'
}

trap_02_mt_is_verbatim_mq_and_default_are_escaped() # long
{
	local name tab=$'\t'
	small_project
	for name in 'a b.o' 'a#b.o' 'a$b.o' 'a$$b.o' 'a:b.o' 'a\b.o' 'a\ b.o' 'a\\ b.o' "a${tab}b.o" 'a%b.o' "a'b.o" 'a\#b.o'; do
		expect_right_target "$name" -o "$name" -MF d.d
		expect_right_target "$name" -o a.o -MF d.d -MT "$name"
		expect_right_target "$name" -o a.o -MF d.d -MQ "$name"
	done
	same "$CC" -Iinc -MD -MT 'a b$@' -MQ 'c d$@' -MT e -MQ 'f#' -c a.c -o a.o
	expect_hit "$CC" -Iinc -MD -MT 'g h$@' -MQ 'i j$@' -MT k -MQ 'l#' -c a.c -o a.o
	same "$CC" -Iinc -MD -MT a -MT a -MT '' -c a.c -o a.o
	same "$CC" -Iinc -MD -MTjoined -MQjo\$ined -MFd.d -c a.c -o a.o
	same "$CC" -Iinc -MD -MT "$(printf 'long%.0s' {1..60})" -MT "$(printf 'wide%.0s' {1..60})" -c a.c -o a.o
}

# One name must not decide whether there is a hit, but it must be right in the rule both times.
expect_right_target()
{
	check any "$CC" -Iinc -MD -c a.c "${@:2}"
	again hit "$CC" -Iinc -MD -c a.c "${@:2}"
	rm -f -- "$1" a.o d.d
}

trap_02_names_of_headers_are_escaped() # long
{
	local name tab=$'\t'
	for name in 'a b.h' 'a#b.h' 'a$b.h' 'a:b.h' "a${tab}b.h" 'a\b.h' 'a\ b.h' 'a%b.h' "a'b.h" 'ä.h' 'a\#b.h' '~.h' 'a=b.h' 'a;b.h'; do
		put "$name" 'int value(void);'
		put "$name.c" "#include \"$name\"" 'int f(void) { return value(); }'
		right "$CC" -MD -MP -c "$name.c" -o a.o -MF a.d
		put "$name" 'int value(int);'
		expect_changed "$CC" -MD -MP -c "$name.c" -o a.o -MF a.d
	done
}

trap_02_long_rules_break_lines_as_the_compiler_does()
{
	local i name lines=()
	for i in {1..40}; do
		name=$(printf "a_rather_long_folder_name_%0$((i % 17 + 1))d" "$i")
		put "$name/header.h" "int value_$i(void);"
		lines+=("#include \"$name/header.h\"")
	done
	put a.c "${lines[@]}"
	same "$CC" -MD -c a.c -o a.o
	same "$CC" -MD -MP -c a.c -o a.o
	same "$CC" -MD -MP -MT "$(printf 'x%.0s' {1..70})" -c a.c -o a.o
	same "$CC" -MD -MP -MT "$(printf 'x%.0s' {1..90})" -MT "$(printf 'y%.0s' {1..40})" -c a.c -o a.o
	expect_hit "$CC" -MD -c a.c -o "$(printf 'o%.0s' {1..65}).o"
}

trap_03_values_of_depfile_options_stay_out_of_the_key()
{
	small_project
	same "$CC" -Iinc -MD -MF one.d -MT one -c a.c -o a.o
	expect_hit "$CC" -Iinc -MD -MF two.d -MT two -c a.c -o a.o
	expect_hit "$CC" -Iinc -MD -MF two.d -MT two -c a.c -o b.o
	# That they are there matters: a hit without the depfile would be wrong.
	put b.c 'int b;'
	same "$CC" -c b.c -o b.o
	check any "$CC" -MD -c b.c -o b.o
	check any "$CC" -MD -MP -c b.c -o b.o
	check any "$CC" -MMD -MF x.d -c b.c -o b.o
	check any "$CC" -MD -MT t -c b.c -o b.o
	rm -f b.d x.d
	expect_hit "$CC" -c b.c -o b.o
	[ ! -e b.d ] || fail "a compile without -MD wrote a depfile"
}

trap_04_default_depfile_name_comes_from_the_output() # long
{
	local output
	small_project
	mkdir -p build.dir/deep.er
	for output in a.o a.b.c.o noext build.dir/noext build.dir/deep.er/a.b.o build.dir/deep.er/noext .hidden \
		build.dir/.hidden a. a.o.tmp ./a.o ./noext build.dir/../b.o a.d.o; do
		same "$CC" -Iinc -MMD -c a.c -o "$output"
	done
	put x.y.z.c 'int x;'
	same "$CC" -MD -c x.y.z.c
	same "$CC" -MD -S x.y.z.c
	put sub.dir/x.y.c 'int x;'
	same "$CC" -MD -c sub.dir/x.y.c
	put noext 'int x;'
	same "$CC" -MD -x c -c noext
}

trap_04_output_ending_in_d_is_not_lost()
{
	small_project
	# The default depfile is the output itself.
	right "$CC" -Iinc -MD -c a.c -o a.d
}

# As perf and its like ask for it; clang keeps its own target before.
trap_05_targets_for_the_preprocessor()
{
	put inc/h.h 'static inline int h(void) { return 1; }'
	put a.c '#include "h.h"' 'int f(void) { return h(); }'
	same "$CC" -Iinc -Wp,-MD,x.d -Wp,-MT,y -c a.c -o a.o
	same "$CC" -Iinc -Wp,-MT,y -Wp,-MMD,x.d -MT q -c a.c -o a.o
	# shellcheck disable=SC2016
	is_clang || same gcc -Iinc -Wp,-MD,x.d,-MT,y '-Wp,-MQ,y$z' -c a.c -o a.o
	# shellcheck disable=SC2016
	right "$CC" -Iinc -Wp,-MD,x.d '-Wp,-MQ,y$z' -c a.c -o a.o
	right "$CC" -Iinc -Wp,-MD,x.d,-MT,z -c a.c -o a.o
	right "$CC" -Iinc -MD -MF x.d -Wp,-MT,y -c a.c -o a.o
	check hit "$CC" -Iinc -Wp,-MD,other.d -Wp,-MT,other -c a.c -o a.o
	has_text other.d other:
}

trap_05_depfile_to_nowhere()
{
	put inc/h.h 'static inline int h(void) { return 1; }'
	put a.c '#include "h.h"' 'int f(void) { return h(); }'
	same "$CC" -Iinc -MD -MF /dev/null -c a.c -o a.o
	same "$CC" -Iinc -MMD -MP -MT x -MF /dev/null -c a.c
	sed -i 's/1;/2;/' inc/h.h
	check miss "$CC" -Iinc -MD -MF /dev/null -c a.c -o a.o
	[ -c /dev/null ] || fail "/dev/null is no device any more"
	check hit "$CC" -Iinc -MD -MF x.d -c a.c -o a.o
	has_text x.d inc/h.h
	right "$CC" -Iinc -Wp,-MD,/dev/null -c a.c -o a.o
}

trap_05_wp_md_chooses_the_compilers_own_target() # long
{
	local option
	small_project
	mkdir -p out
	for option in -MD -MMD; do
		same "$CC" -Iinc "-Wp,$option,x.d" -c a.c -o out/a.o
		expect_hit "$CC" -Iinc "-Wp,$option,y.d" -c a.c -o out/a.o
		right "$CC" -Iinc "-Wp,$option,y.d" -c a.c -o out/b.o
		right "$CC" -Iinc "-Wp,$option,y.d" -c a.c
		right "$CC" -Iinc "-Wp,$option,y.d" -MT target -c a.c -o out/a.o
		right "$CC" -Iinc "-Wp,$option,y.d" -MQ '$t' -MP -c a.c -o out/a.o
		right "$CC" -Iinc "-Wp,$option,y.d,-MT,target" -c a.c -o out/a.o
		right "$CC" -Iinc "-Wp,$option,y.d,-MP" -c a.c -o out/a.o
		right "$CC" -Iinc "-Wp,$option,y.d" "-Wp,-MT,target" -c a.c -o out/a.o
		right "$CC" -Iinc "-Wp,$option,y.d" -S a.c -o out/a.s
		# Without a file's name the next argument is taken for it, which may be the source.
		right "$CC" -Iinc "-Wp,$option" -c a.c -o out/a.o
		small_project
		right "$CC" -Iinc "-Wp,$option,missing/y.d" -c a.c -o out/a.o
	done
	right "$CC" -Iinc -Wp,-MD,x.d -Wp,-MD,y.d -c a.c -o out/a.o
	right "$CC" -Isys -isystem sys -Wp,-MMD,x.d -Wp,-MD,y.d -c s.c -o out/a.o
	right "$CC" -Iinc -Wp,-MT,target -MD -c a.c -o out/a.o
	right "$CC" -Iinc -Wp,-MF,x.d -MD -c a.c -o out/a.o
	right "$CC" -Iinc -Xpreprocessor -MD -Xpreprocessor x.d -c a.c -o out/a.o
}

trap_05_wp_md_and_mf_together_run_untouched()
{
	small_project
	untouched depfile_ambiguous "$CC" -Iinc -Wp,-MD,x.d -MF y.d -c a.c -o a.o
	untouched depfile_ambiguous "$CC" -Iinc -Wp,-MMD,x.d -MD -MF y.d -c a.c -o a.o
	right "$CC" -Iinc -Wp,-MD,x.d -MD -c a.c -o a.o
	right "$CC" -Iinc -MMD -Wp,-MMD,x.d -c a.c -o a.o
}

trap_06_depfiles_that_are_no_files()
{
	small_project
	right "$CC" -Iinc -MD -MF /dev/null -c a.c -o a.o
	[ -c /dev/null ] || fail "/dev/null was replaced"
	right "$CC" -Iinc -MD -MF - -c a.c -o a.o
	right "$CC" -Iinc -MD -MF /dev/stdout -c a.c -o a.o
	right "$CC" -Iinc -MD -MF /dev/stderr -c a.c -o a.o
	mkdir folder
	right "$CC" -Iinc -MD -MF folder -c a.c -o a.o
	mkfifo "$T/fifo"
	cat "$T/fifo" >"$T/fifo.out" &
	counted depfile_not_a_file coffer "$CC" -Iinc -MD -MF "$T/fifo" -c a.c -o a.o
	wait
	has_text "$T/fifo.out" 'a.o: a.c'
	[ -p "$T/fifo" ] || fail "the fifo was replaced"
}

trap_06_depfile_into_a_missing_folder_fails_alike()
{
	small_project
	right "$CC" -Iinc -MD -MF missing/a.d -c a.c -o a.o
	[ "$(<"$T/got/status")" != 0 ] || fail "the plain compiler did not fail"
	# The same compile was cached before.
	rm -f a.o
	same "$CC" -Iinc -MD -MF a.d -c a.c -o a.o
	echo old >a.o
	right "$CC" -Iinc -MD -MF missing/a.d -c a.c -o a.o
}

trap_06_depfile_while_making_assembler()
{
	small_project
	same "$CC" -Iinc -MD -S a.c
	same "$CC" -Iinc -MD -S a.c -o x.s
	same "$CC" -Iinc -MD -MF x.d -S a.c -o y.asm
	same "$CC" -Iinc -MMD -MP -S a.c -o noext
	untouched preprocess_only "$CC" -Iinc -MD -E a.c -o a.i
	if is_clang; then
		right clang -Iinc -MD -S -emit-llvm a.c
		right clang -Iinc -MD -c -emit-llvm a.c -o a.bc
		right clang -Iinc -MD -S -emit-llvm a.c -o x.ll
	fi
}

trap_07_md_and_mmd_are_two_depfiles_of_one_object()
{
	small_project
	same "$CC" -isystem sys -MMD -c s.c -o s.o
	lacks_text s.d sys/s.h
	check any "$CC" -isystem sys -MD -c s.c -o s.o
	has_text s.d sys/s.h
	again hit "$CC" -isystem sys -MD -c s.c -o s.o
	expect_hit "$CC" -isystem sys -MMD -c s.c -o s.o
	lacks_text s.d sys/s.h
}

trap_07_system_headers_are_inputs_with_mmd_too()
{
	small_project
	put sys/s.h '#define SYSTEM 1'
	put s.c '#include <s.h>' 'int g = SYSTEM;'
	same "$CC" -isystem sys -MMD -c s.c -o s.o
	put sys/s.h '#define SYSTEM 2'
	expect_miss "$CC" -isystem sys -MMD -c s.c -o s.o
	put sys/s.h '#define SYSTEM 3'
	expect_miss "$CC" -isystem sys -c s.c -o s.o
	expect_miss "$CC" -isystem sys -MMD -c s.c -o s.o || true
	put sys/s.h '#define SYSTEM 1'
	expect_hit "$CC" -isystem sys -MMD -c s.c -o s.o
}

trap_08_depfile_names_this_checkouts_headers()
{
	local tree
	for tree in one two; do
		mkdir -p "$tree/.git"
		put $tree/inc/h.h 'int value(void);'
		put $tree/src/a.c '#include "h.h"' 'int f(void) { return value(); }'
	done
	export COFFER_REPRODUCIBLE=on
	in_dir one check any "$CC" -I"$P/one/inc" -MD -c "$P/one/src/a.c" -o a.o
	in_dir two expect_hit "$CC" -I"$P/two/inc" -MD -c "$P/two/src/a.c" -o a.o
	has_text two/a.d "$P/two/inc/h.h"
	lacks_text two/a.d "$P/one"
	in_dir one/src check any "$CC" -I../inc -MD -c a.c -o a.o
	in_dir two/src expect_hit "$CC" -I../inc -MD -c a.c -o a.o
}

trap_08_same_text_found_elsewhere_gives_another_depfile()
{
	local tree
	for tree in one two; do
		mkdir -p $tree/.git $tree/a $tree/b
		put $tree/s.c '#include "h.h"' 'int f(void) { return value(); }'
	done
	put one/a/h.h 'int value(void);'
	put two/b/h.h 'int value(void);'
	for COFFER_REPRODUCIBLE in off on; do
		in_dir one check any "$CC" -Ia -Ib -MD -c s.c -o s.o
		in_dir two check any "$CC" -Ia -Ib -MD -c s.c -o s.o
		has_text two/s.d b/h.h
		in_dir one expect_hit "$CC" -Ia -Ib -MD -c s.c -o s.o
		has_text one/s.d a/h.h
	done
}

trap_09_phony_targets()
{
	small_project
	put b.c 'int b;'
	same "$CC" -Iinc -MD -MP -c a.c -o a.o
	same "$CC" -MD -MP -c b.c -o b.o
	same "$CC" -isystem sys -MMD -MP -c s.c -o s.o
	same "$CC" -isystem sys -MD -MP -c s.c -o s.o
	right "$CC" -Iinc -MP -c a.c -o a.o
}

trap_09_mg_with_missing_headers()
{
	small_project
	put g.c '#include "generated.h"' 'int g;'
	right "$CC" -MD -MG -c g.c -o g.o
	right "$CC" -Iinc -MD -MG -c a.c -o a.o
	untouched preprocess_only "$CC" -M -MG g.c
	untouched preprocess_only "$CC" -MM -MG g.c -MF g.d
}

trap_09_compilation_database_entry_is_not_lost() # clang
{
	small_project
	right clang -Iinc -MJ a.json -c a.c -o a.o
	has_text a.json '"file": "a.c"'
	right clang -Iinc -MJa.json -c a.c -o b.o
	has_text a.json b.o
}

trap_10_absolute_inputs_stay_in_the_depfile()
{
	small_project
	same "$CC" -I"$PWD/inc" -MD -c "$PWD/a.c" -o "$PWD/a.o"
	rm a.d a.o
	COFFER_REPRODUCIBLE=on again hit "$CC" -I"$PWD/inc" -MD -c "$PWD/a.c" -o "$PWD/a.o"
	has_text a.d "$PWD/inc/h.h"
	has_text a.d "$PWD/a.c"
	# Relative and absolute spellings of one file are different edges for make.
	check any "$CC" -Iinc -MD -c "$PWD/a.c" -o a.o
	check any "$CC" -I"$PWD/inc" -MD -c a.c -o a.o
	check any "$CC" -I./inc -MD -c ./a.c -o a.o
	check any "$CC" -Iinc/../inc -MD -c a.c -o a.o
	check any "$CC" -I"$PWD/inc" -MD -c a.c -o a.o
}

trap_10_make_sees_the_edges_after_a_hit()
{
	small_project
	put Makefile 'a.o: a.c' $'\t'"@echo run; \$(COFFER) $CC -I\$(CURDIR)/inc -MD -MP -c a.c -o a.o" '-include a.d'
	export COFFER COFFER_REPRODUCIBLE=on
	make >"$T/first"
	rm a.o a.d
	counted hit make >"$T/second"
	has_text "$T/second" run
	make >"$T/third"
	lacks_text "$T/third" run
	sleep 0.05
	put inc/h.h 'int value(int);'
	make >"$T/fourth" 2>&1
	has_text "$T/fourth" run
}
