# Traps 53-58: files beside the object, modules, precompiled headers, link-time optimisation.
# shellcheck shell=bash

covered_project()
{
	local dir
	for dir in one two; do
		put $dir/inc/h.h 'static inline int in_h(int x) { return x ? 1 : 2; }'
		put $dir/a.c '#include "h.h"' 'int f(int x) { if (x) return in_h(x); return 0; }' 'int main(void) { return f(0); }'
		mkdir -p $dir/out.d
	done
	# gcc stamps each file with the time unless it is given a seed.
	SEED=-frandom-seed=1
}

trap_53_coverage_notes() # long
{
	covered_project
	cd one || exit 1
	same "$CC" $SEED --coverage -Iinc -c a.c -o a.o
	[ -s a.gcno ] || fail "no a.gcno"
	rm a.gcno
	same "$CC" $SEED -ftest-coverage -fprofile-arcs -Iinc -c a.c -o out.d/x.y.o
	same "$CC" $SEED -ftest-coverage -Iinc -c a.c -o out.d/notes.o
	same "$CC" $SEED -fprofile-arcs -Iinc -c a.c -o out.d/arcs.o
	same "$CC" $SEED --coverage -Iinc -c a.c -o out.d/noext
	same "$CC" $SEED --coverage -Iinc -MD -c "$PWD/a.c" -o "$PWD/out.d/abs.o"
	same "$CC" $SEED --coverage -Iinc -c a.c
	right "$CC" $SEED --coverage -Iinc -S a.c -o s.s
	check any "$CC" $SEED --coverage -Iinc -c a.c -o other.o
	again handled "$CC" $SEED --coverage -Iinc -c a.c -o other.o
	cd ../two || exit 1
	same "$CC" $SEED --coverage -Iinc -c a.c -o a.o
	same "$CC" $SEED -coverage -g -Iinc -c a.c -o a.o
}

trap_53_coverage_notes_in_checkouts()
{
	covered_project
	mkdir one/.git two/.git
	for COFFER_REPRODUCIBLE in off on; do
		in_dir one check any "$CC" $SEED --coverage -Iinc -c a.c -o a.o
		in_dir two check any "$CC" $SEED --coverage -Iinc -c a.c -o a.o
		in_dir one check any "$CC" $SEED --coverage -I"$P/one/inc" -c "$P/one/a.c" -o a.o
		in_dir two check any "$CC" $SEED --coverage -I"$P/two/inc" -c "$P/two/a.c" -o a.o
	done
}

trap_53_coverage_options_that_change_names() # long
{
	local options
	covered_project
	cd one || exit 1
	for options in -fprofile-abs-path "-fprofile-dir=$P/one/data" '-fprofile-dir=data -fprofile-abs-path' -fprofile-update=atomic \
		-fprofile-note=x.gcno '-fprofile-filter-files=a.c' '-fprofile-exclude-files=a.c' "-fprofile-prefix-path=$P" \
		"-fprofile-prefix-map=$P=/x" '-dumpbase b' '-dumpdir out.d/' '-ftest-coverage -fno-test-coverage' \
		'-fprofile-generate' "-fprofile-generate=$P/gen" '-fprofile-generate -fprofile-arcs' '-fcondition-coverage' \
		'-Xclang -coverage-version=408*' '-Xclang -coverage-notes-file=z.gcno' '-fcs-profile-generate' '-fprofile-values'; do
		# shellcheck disable=SC2086
		compiler_takes --coverage $options || continue
		# shellcheck disable=SC2086
		right "$CC" $SEED --coverage $options -Iinc -c a.c -o out.d/a.o
		# shellcheck disable=SC2086
		in_dir ../two check any "$CC" $SEED --coverage $options -Iinc -c a.c -o out.d/a.o
		rm -f ./*.gcno out.d/* ../two/out.d/*
	done
	rm -f "$P/one/probe.gcno"
}

trap_53_coverage_data_works_after_a_hit()
{
	covered_project
	cd one || exit 1
	same "$CC" $SEED --coverage -Iinc -c a.c -o a.o
	rm -f a.o a.gcno
	counted hit coffer "$CC" $SEED --coverage -Iinc -c a.c -o a.o
	"$CC" --coverage a.o -o prog && ./prog
	[ -s a.gcda ] || fail "the program wrote no a.gcda"
}

trap_54_profile_data_of_gcc() # gcc
{
	covered_project
	cd one || exit 1
	gcc -O2 -fprofile-generate -Iinc a.c -o prog && ./prog
	mkdir data
	cp ./*.gcda data/a.gcda
	rm -f ./*.gcda
	# Missing is legal.
	same gcc -O2 -fprofile-use -Iinc -c a.c -o a.o
	same gcc -O2 -fprofile-use -Wmissing-profile -Iinc -c a.c -o a.o
	cp data/a.gcda a.gcda
	check miss gcc -O2 -fprofile-use -Iinc -c a.c -o a.o
	again hit gcc -O2 -fprofile-use -Iinc -c a.c -o a.o
	# Other counts, and none again.
	gcc -O2 -fprofile-generate -Iinc a.c -o prog && ./prog && ./prog && ./prog
	cp prog-a.gcda a.gcda
	cmp a.gcda data/a.gcda >"$T/cmp" && fail "the counts are the same"
	check miss gcc -O2 -fprofile-use -Iinc -c a.c -o a.o
	rm a.gcda
	check hit gcc -O2 -fprofile-use -Iinc -c a.c -o a.o
	# Which data file it is follows from the object's name.
	cp data/a.gcda out.d/b.gcda
	check miss gcc -O2 -fprofile-use -Iinc -c a.c -o out.d/b.o
	check miss gcc -O2 -fprofile-use -Iinc -c a.c -o out.d/c.o
	check hit gcc -O2 -fprofile-use -Iinc -c a.c -o out.d/b.o
	# A comment moves what counts are found by.
	sed -i 's,^int f,/* x */ int f,' a.c
	check miss gcc -O2 -fprofile-use -Iinc -c a.c -o out.d/b.o
	right gcc $SEED -O2 -fprofile-use -fprofile-note=x -ftest-coverage -Iinc -c a.c -o a.o
	untouched profile_use gcc -O2 -fprofile-use -fsyntax-only -Iinc a.c
}

trap_54_profile_data_in_a_directory() # gcc
{
	local flat options
	covered_project
	cd one || exit 1
	flat=${PWD//\//#}
	gcc -O2 -fprofile-generate -Iinc a.c -o prog && ./prog
	mkdir data
	for options in -fprofile-use=data "-fprofile-use=$PWD/data" '-fprofile-use=data/ -fprofile-use' '-fprofile-use -fprofile-dir=data' \
		'-fbranch-probabilities -fprofile-dir=data' '-fprofile-use=x -fprofile-dir=data'; do
		rm -f data/*
		# shellcheck disable=SC2086
		{
			same gcc -O2 $options -Iinc -c a.c -o out.d/../a.o
			cp prog-a.gcda "data/$flat#out.d#^#a.gcda"
			check miss gcc -O2 $options -Iinc -c a.c -o out.d/../a.o
			again hit gcc -O2 $options -Iinc -c a.c -o out.d/../a.o
			rm data/*
			check hit gcc -O2 $options -Iinc -c a.c -o out.d/../a.o
		}
	done
	rm -f data/*
	same gcc -O2 -fprofile-use=data -Iinc -c a.c -o "$PWD/a.o"
	mkdir -p "data/$PWD"
	cp prog-a.gcda "data/$PWD/a.gcda"
	check miss gcc -O2 -fprofile-use=data -Iinc -c a.c -o "$PWD/a.o"
	# Who calls the directory by another name has other data.
	ln -s one ../link
	cd ../link || exit 1
	cp prog-a.gcda "data/${PWD//\//#}#l.gcda"
	in_dir ../link check miss gcc -O2 -fprofile-use=data -Iinc -c a.c -o l.o
	in_dir ../one check miss gcc -O2 -fprofile-use=data -Iinc -c a.c -o l.o
}

trap_54_profile_data_of_clang() # clang
{
	need llvm-profdata
	covered_project
	cd one || exit 1
	clang -fprofile-instr-generate -Iinc a.c -o prog && ./prog
	llvm-profdata merge -o one.profdata default.profraw
	sed -i 's/f(0)/f(1)/' a.c
	clang -fprofile-instr-generate -Iinc a.c -o prog
	./prog
	llvm-profdata merge -o two.profdata default.profraw
	rm default.profraw prog
	right clang -O2 -fprofile-instr-use=x.profdata -Iinc -c a.c -o a.o
	cp one.profdata x.profdata
	check any clang -O2 -fprofile-instr-use=x.profdata -Iinc -c a.c -o a.o
	cp two.profdata x.profdata
	check changed clang -O2 -fprofile-instr-use=x.profdata -Iinc -c a.c -o a.o
	same clang -O2 -fprofile-use=x.profdata -Iinc -c a.c -o a.o
	local option
	mkdir data
	for option in -fprofile-use -fprofile-instr-use -fprofile-use=data -fprofile-use=data/ -fprofile-use=; do
		cp one.profdata default.profdata
		cp one.profdata data/default.profdata
		same clang -O2 $option -Iinc -c a.c -o a.o
		cp two.profdata default.profdata
		cp two.profdata data/default.profdata
		check miss clang -O2 $option -Iinc -c a.c -o a.o
		again hit clang -O2 $option -Iinc -c a.c -o a.o
	done
	rm -r data
	right clang -O2 -fprofile-use=data -Iinc -c a.c -o a.o
	right clang -O2 -fprofile-instr-use=. -Iinc -c a.c -o a.o
}

trap_55_stack_usage()
{
	covered_project
	cd one || exit 1
	same "$CC" -fstack-usage -Iinc -c a.c -o a.o
	[ -s a.su ] || fail "no a.su"
	rm a.su
	same "$CC" -fstack-usage -Iinc -c a.c -o out.d/x.y.o
	same "$CC" -fstack-usage -Iinc -c a.c -o out.d/noext
	same "$CC" -fstack-usage -Iinc -c a.c
	same "$CC" -fstack-usage -Iinc -MD -c "$PWD/a.c" -o "$PWD/b.o"
	right "$CC" -fstack-usage -Iinc -S a.c -o s.s
	cd ../two || exit 1
	same "$CC" -fstack-usage -g --coverage $SEED -gsplit-dwarf -Iinc -MD -c a.c -o a.o
}

# keeps FILE CMD...: the command leaves FILE, a hit as well.
keeps()
{
	local file=$1
	shift
	same "$@"
	[ -e "$file" ] || fail "there is no $file: $*: $(ls -A)"
	rm -f -- "$file"
	COFFER_REPRODUCIBLE=${MODES:-on} again hit "$@"
}

trap_55_call_graphs_of_gcc() # gcc
{
	covered_project
	cd one || exit 1
	keeps a.ci gcc -fcallgraph-info -Iinc -c a.c -o a.o
	keeps out.d/x.y.ci gcc -fcallgraph-info=su,da -Iinc -c a.c -o out.d/x.y.o
	keeps a.ci gcc -fstack-usage -fcallgraph-info -Iinc -MD -c a.c
	right gcc -fcallgraph-info -Iinc -c a.c -o /dev/null
	# Positions are in it.
	sed -i 's,^int f,/* x */ int f,' a.c
	check miss gcc -fcallgraph-info -Iinc -c a.c -o a.o
}

trap_55_optimisation_records_of_gcc() # gcc
{
	local IGNORE='*.gz' # there are addresses in it
	covered_project
	cd one || exit 1
	keeps a.c.opt-record.json.gz gcc -O2 -fsave-optimization-record -Iinc -c a.c -o a.o
	keeps out.d/x.y.c.opt-record.json.gz gcc -O2 -fsave-optimization-record -Iinc -c a.c -o out.d/x.y.o
	right gcc -O2 -fsave-optimization-record -Iinc -c a.c -o /dev/null
	right gcc -O2 -fsave-optimization-record -x c -Iinc -c a.c -o a.o
	# Another tree has another record.
	mkdir .git ../two/.git
	sed -i 's,^int main.*,int main(void) { return f(1); },' a.c ../two/a.c
	COFFER_REPRODUCIBLE=on check miss gcc -O2 -fsave-optimization-record -I"$PWD/inc" -c "$PWD/a.c" -o a.o
	cd ../two || exit 1
	COFFER_REPRODUCIBLE=on check miss gcc -O2 -fsave-optimization-record -I"$PWD/inc" -c "$PWD/a.c" -o a.o
	zcat a.c.opt-record.json.gz | grep -q "$PWD/a.c" || fail "it does not name this tree"
	! zcat a.c.opt-record.json.gz | grep -q /one/ || fail "it names another tree"
}

trap_55_optimisation_records_of_clang() # clang
{
	covered_project
	cd one || exit 1
	keeps a.opt.yaml clang -O2 -fsave-optimization-record -Iinc -c a.c -o a.o
	keeps out.d/x.y.opt.yaml clang -O2 -fsave-optimization-record=yaml -Iinc -c a.c -o out.d/x.y.o
	keeps a.opt.yaml clang -O2 -fsave-optimization-record -Iinc -c a.c
	keeps x.yaml clang -O2 -fsave-optimization-record -foptimization-record-file=x.yaml -Iinc -c a.c -o a.o
	keeps y.yaml clang -O2 -foptimization-record-file=y.yaml -Iinc -c a.c -o a.o
	keeps a.opt.yaml clang -O2 -foptimization-record-passes=inline -Iinc -c a.c -o a.o
	keeps s.opt.yaml clang -O2 -fsave-optimization-record -Iinc -S a.c -o s.s
	right clang -O2 -fsave-optimization-record -Iinc -fsyntax-only a.c
	right clang -O2 -fsave-optimization-record -flto $SEED -Iinc -c a.c -o a.o
	sed -i 's,^int f,/* x */ int f,' a.c
	check miss clang -O2 -fsave-optimization-record -Iinc -c a.c -o a.o
	mkdir .git ../two/.git
	cp a.c ../two
	COFFER_REPRODUCIBLE=on check any clang -O2 -fsave-optimization-record -I"$PWD/inc" -c "$PWD/a.c" -o a.o
	cd ../two || exit 1
	COFFER_REPRODUCIBLE=on check any clang -O2 -fsave-optimization-record -I"$PWD/inc" -c "$PWD/a.c" -o a.o
}

trap_55_serialized_messages_of_clang() # clang
{
	covered_project
	cd one || exit 1
	keeps x.dia clang -Wall --serialize-diagnostics x.dia -Iinc -c a.c -o a.o
	put a.c 'int f(void) { int unused; return 0; }'
	keeps x.dia clang -Wall --serialize-diagnostics x.dia -c a.c -o a.o
	keeps x.dia clang -Wall -serialize-diagnostics x.dia -fsyntax-only a.c
	right clang -Wall --serialize-diagnostics - -c a.c -o a.o
	right clang -Wall --serialize-diagnostics y.dia -x assembler -c a.c -o a.o
	echo old >x.dia
	ln x.dia second.dia
	check hit clang -Wall --serialize-diagnostics x.dia -c a.c -o a.o
	put a.c 'int f(void) { /* x */ int unused; return 0; }'
	check miss clang -Wall --serialize-diagnostics x.dia -c a.c -o a.o
	# It names files as they were given.
	mkdir .git ../two/.git
	cp a.c ../two
	COFFER_REPRODUCIBLE=on check any clang -Wall --serialize-diagnostics x.dia -c "$PWD/a.c" -o a.o
	cd ../two || exit 1
	COFFER_REPRODUCIBLE=on check any clang -Wall --serialize-diagnostics x.dia -c "$PWD/a.c" -o a.o
}

trap_55_listings() # gcc
{
	local option MODES=off # names stay as they are
	covered_project
	cd one || exit 1
	for option in -Wa,-adhln=a.lst '-pipe -Wa,-a,-ad,-alnms=a.lst' '-g -Wa,-ahln=a.lst' '-Wa,-aln=x.lst -Wa,-aln=a.lst' \
		'-Wa,-aln=a.lst,--listing-lhs-width=2' '-Xassembler -aln=a.lst'; do
		# shellcheck disable=SC2086
		keeps a.lst gcc $option -Iinc -c a.c -o a.o
	done
	same gcc -Wa,-aln -Iinc -c a.c -o a.o
	IGNORE=a.lst right gcc -Wa,-ag=a.lst -pipe -Iinc -c a.c -o a.o
	right gcc -Wa,-aln=a.lst -Iinc -S a.c -o a.s
	right gcc -Wa,-aln=a.lst -Iinc -c a.c -o /dev/null
	right gcc -Wa,-aln=a.lst $SEED -flto -Iinc -c a.c -o a.o
	put b.s '.globl x' 'x: nop' '# a comment'
	keeps b.lst gcc -Wa,-aln=b.lst -c b.s -o b.o
	put b.s '.globl x' 'x: nop' '# another comment'
	check miss gcc -Wa,-aln=b.lst -c b.s -o b.o
	# Comments are in it, and lines of files that only the assembler reads.
	check any gcc -g -Wa,-ahln=a.lst -Iinc -c a.c -o a.o
	sed -i 's,^int f,/* x */ int f,' a.c
	check miss gcc -g -Wa,-ahln=a.lst -Iinc -c a.c -o a.o
	put y.c '/* */ #line 1 "y.y"' 'int y(void)' '{' 'return 1;' '}'
	check side_files gcc -g -Wa,-ahln=a.lst -c y.c -o y.o
	put y.y 'this is' 'a grammar'
	check side_files gcc -g -Wa,-ahln=a.lst -c y.c -o y.o
	same gcc -g -Wa,-aln=a.lst -c y.c -o y.o
	check any gcc -g -Wa,-ahln=a.lst -Iinc -c a.c -o a.o
	sed -i 's,x ?,x /* y */ ?,' inc/h.h
	check miss gcc -g -Wa,-ahln=a.lst -Iinc -c a.c -o a.o
	has_text a.lst 'x /* y */ ?'
}

# With -flto some compilers leave the file to the linker. A file of before is none of this compile.
trap_55_stack_usage_with_lto()
{
	covered_project
	cd one || exit 1
	same "$CC" $SEED -flto -fstack-usage -Iinc -c a.c -o a.o
	echo old >a.su
	sleep 0.05
	check hit "$CC" $SEED -flto -fstack-usage -Iinc -c a.c -o a.o
	sed -i 's/return 0/return 3/' a.c
	sleep 2.1
	same "$CC" $SEED -flto -fstack-usage -Iinc -c a.c -o a.o
	rm a.su
	check hit "$CC" $SEED -flto -fstack-usage -Iinc -c a.c -o a.o
	right "$CC" $SEED -flto -ffat-lto-objects -fstack-usage -Iinc -c a.c -o fat.o
	is_clang || IGNORE='*.gz' right gcc $SEED -flto -fcallgraph-info -O2 -fsave-optimization-record -Iinc -c a.c -o /dev/null
}

# clang leaves no .su of a unit without functions. The one of an earlier compile is not this one's.
trap_55_stack_usage_of_no_function() # clang long
{
	local old
	put a.c 'int a;'
	echo old >a.su
	sleep 2.1 # what is as new as that may have been written again without showing
	for old in cold warm; do
		check any clang -fstack-usage -c a.c -o a.o
		[ "$old" = cold ] || judge hit || fail "no hit"
		rm a.su
		check hit clang -fstack-usage -c a.c -o a.o
		echo other >a.su
	done
}

# What an earlier compile has left counts for nothing, whatever the file is. Here another objcopy leaves out the .dwo.
trap_55_outputs_of_an_earlier_compile() # gcc
{
	local when
	put a.c 'int f(int x) { return x; }'
	mkdir tools
	gcc -g -gsplit-dwarf -c a.c -o old.o && mv old.dwo a.dwo
	put tools/objcopy '#!/bin/sh' 'case $1 in --extract-dwo) exit 0 ;; esac' 'exec objcopy "$@"'
	chmod +x tools/objcopy
	for when in '3 hours ago' now; do
		touch -d "$when" a.dwo
		untouched output_missing gcc -Btools/ -g -gsplit-dwarf -c a.c -o a.o
	done
	put tools/objcopy '#!/bin/sh' 'case $1 in --extract-dwo) rm -f "$3"; exit 0 ;; esac' 'exec objcopy "$@"'
	untouched output_missing gcc -Btools/ -g -gsplit-dwarf -c a.c -o a.o
	# The date is the tool's affair: it makes the file all the same.
	put tools/objcopy '#!/bin/sh' 'objcopy "$@" || exit' 'case $1 in --extract-dwo) touch -d 2001-01-01 "$3" ;; esac'
	cp old.o a.dwo
	MODES=off keeps a.dwo gcc -Btools/ -g -gsplit-dwarf -c a.c -o a.o
}

# leaves FILE CMD...: the command must leave FILE, and the same files each time.
leaves()
{
	local file=$1
	shift
	right "$@"
	[ -e "$file" ] || fail "there is no $file: $*: $(ls -A)"
	rm -f -- "$file"
}

trap_55_further_files_of_gcc()  # gcc long
{
	covered_project
	cd one || exit 1
	leaves a.i gcc -save-temps -Iinc -c a.c -o a.o
	leaves a.s gcc -save-temps=cwd -Iinc -c a.c -o out.d/a.o
	leaves out.d/a.i gcc -save-temps=obj -Iinc -c a.c -o out.d/a.o
	leaves a.i gcc --save-temps -Iinc -c a.c -o a.o
	rm -f ./*.i ./*.s out.d/*
	untouched save_temps gcc -save-temps -Iinc -c a.c -o a.o
	untouched dump_files gcc -fdump-tree-optimized -Iinc -c a.c -o a.o
	IGNORE='a.c.*' right gcc -fdump-tree-all -Iinc -c a.c -o a.o
	IGNORE='a.c.*' right gcc -fdump-rtl-expand -fdump-ipa-all -Iinc -c a.c -o a.o
	IGNORE='a.c.*' right gcc -da -Iinc -c a.c -o a.o
	right gcc -dA -g -Iinc -S a.c -o a.s
	right gcc -dD -Iinc -c a.c -o a.o
	leaves x.txt gcc -fdump-tree-gimple=x.txt -Iinc -c a.c -o a.o
	leaves x.go gcc -fdump-go-spec=x.go -Iinc -c a.c -o a.o
	leaves x.txt gcc -aux-info x.txt -Iinc -c a.c -o a.o
	leaves x.txt gcc -O2 -fopt-info-all=x.txt -Iinc -c a.c -o a.o
	right gcc -fdiagnostics-format=json-file -Wall -Iinc -c a.c -o a.o
	right gcc -fdiagnostics-format=sarif-file -Wall -Iinc -c a.c -o a.o
	IGNORE=a.o right gcc -fcompare-debug -g -Iinc -c a.c -o a.o
	right gcc -fdump-final-insns=x.txt -Iinc -c a.c -o a.o
	right gcc -fdump-passes -Iinc -c a.c -o a.o
}

trap_55_further_files_of_clang()  # clang long
{
	covered_project
	cd one || exit 1
	IGNORE='*.json' leaves a.json clang -ftime-trace -Iinc -c a.c -o a.o
	IGNORE='*.json' right clang -ftime-trace=x.json -Iinc -c a.c -o a.o
	leaves a.i clang -save-temps -Iinc -c a.c -o a.o
	leaves a.bc clang -save-temps=cwd -Iinc -c a.c -o out.d/a.o
	leaves out.d/a.i clang -save-temps=obj -Iinc -c a.c -o out.d/a.o
	rm -f ./*.i ./*.s ./*.bc out.d/*
	untouched save_temps clang -save-temps -Iinc -c a.c -o a.o
	leaves a.json clang -MJ a.json -Iinc -c a.c -o a.o
	right clang -Wall -Xclang -serialize-diagnostic-file -Xclang y.dia -Iinc -c a.c -o a.o
	IGNORE='*.stats' right clang -save-stats -Iinc -c a.c -o a.o
	right clang -fcrash-diagnostics-dir=crash -Iinc -c a.c -o a.o
	right clang -emit-symbol-graph -Iinc -c a.c -o a.o
	right clang -Xclang -header-include-file -Xclang headers -Xclang -sys-header-deps -Iinc -c a.c -o a.o
	right clang -Xclang -dependency-file -Xclang deps.d -Xclang -MT -Xclang t -Iinc -c a.c -o a.o
	right clang -Xclang -diagnostic-log-file -Xclang log -Wall -Iinc -c a.c -o a.o
	right clang -Xclang -module-dependency-dir -Xclang mods -Iinc -c a.c -o a.o
	right clang -fstack-size-section -fstack-usage -Iinc -c a.c -o a.o
	IGNORE='*.txt' right clang -mllvm -debug-pass=Structure -Iinc -c a.c -o a.o
	IGNORE='*.csv' right clang -fproc-stat-report=x.csv -Iinc -c a.c -o a.o
}

trap_56_modules_of_gcc() # gcc
{
	local IGNORE='*.gcm'
	put m.cc 'export module m;' 'export int f() { return 1; }'
	put use.cc 'import m;' 'int g() { return f(); }'
	untouched modules g++ -std=c++20 -fmodules-ts -c m.cc -o m.o
	[ -e gcm.cache/m.gcm ] || fail "the module's interface is lost"
	untouched modules g++ -std=c++20 -fmodules-ts -c use.cc -o use.o
	put m.cc 'export module m;' 'export long f() { return 1; }'
	check any g++ -std=c++20 -fmodules-ts -c m.cc -o m.o
	check any g++ -std=c++20 -fmodules-ts -c use.cc -o use.o
	put h.h 'inline int h() { return 1; }'
	right g++ -std=c++20 -fmodules-ts -x c++-header h.h
	right g++ -std=c++20 -fmodules-ts -fmodule-header h.h
	put mapper 'm custom.gcm'
	right g++ -std=c++20 -fmodules-ts -fmodule-mapper=mapper -c m.cc -o m.o
	right g++ -std=c++20 -fmodules-ts -fmodule-only -c m.cc
	# Without the option "import" is an error, the same one.
	right g++ -std=c++20 -c use.cc -o use.o
}

# As CMake compiles every C++20 unit.
trap_56_units_that_only_could_use_modules() # gcc
{
	local modules='-std=c++20 -fmodules-ts -fmodule-mapper=a.modmap' format=
	put inc/h.h 'inline int h() { return 1; }'
	put a.cc '#include <stddef.h>' '#include "inc/h.h"' 'int f() { return h(); }'
	put a.modmap '$root .'
	mkdir o
	compiler_takes -fmodules-ts -MD -MF x.d -fdeps-format=p1689r5 && format=-fdeps-format=p1689r5
	# shellcheck disable=SC2086
	{
		same g++ $modules -MD -MT o/a.cc.o -MF o/a.cc.o.d $format -x c++ -o o/a.cc.o -c a.cc
		same g++ -std=c++20 -fmodules-ts -c a.cc -o a.o
		put inc/h.h 'inline int h() { return 2; }'
		check miss g++ $modules -c a.cc -o a.o
		# A compiled header would be taken in the place of a text.
		mkdir ,
		check modules g++ $modules -c a.cc -o a.o
		rmdir ,
		check hit g++ $modules -c a.cc -o a.o
		mkdir usr
		check modules g++ $modules -c a.cc -o a.o
		rmdir usr
		check miss g++ -std=c++20 -fmodules-ts -c a.cc -o a.o
		g++ -std=c++20 -fmodules-ts -I. -x c++-user-header inc/h.h
		[ -d gcm.cache ] || fail "there is no compiled header"
		check 'modules|depfile_unparsed' g++ -std=c++20 -fmodules-ts -c a.cc -o a.o
		rm -r gcm.cache
		check hit g++ -std=c++20 -fmodules-ts -c a.cc -o a.o
		# Modules, and where nobody knows.
		put a.modmap '$root .' 'm m.gcm'
		check modules g++ $modules -c a.cc -o a.o
		put a.modmap '$root other'
		check miss g++ $modules -c a.cc -o a.o
		put inc/h.h 'import m;'
		counted any "$COFFER" g++ $modules -c a.cc -o a.o 2>"$T/err"
		[ "$(grown stored)" = 0 ] || fail "a failed compile was stored"
		put inc/h.h 'inline int h() { return 1; }'
		put a.cc 'module;' '#include "inc/h.h"' 'export module m;' 'export int f() { return h(); }'
		check modules g++ $modules -c a.cc -o a.o
	}
}

trap_56_cmake_compiles_units_as_if_they_were_modules() # gcc
{
	need cmake
	need ninja
	compiler_takes -fmodules-ts -MD -MF "$T/x.d" -fdeps-format=p1689r5 || skip "this gcc tells CMake nothing of modules"
	put CMakeLists.txt 'cmake_minimum_required(VERSION 3.28)' 'project(p CXX)' 'set(CMAKE_CXX_STANDARD 20)' \
		'add_executable(p a.cpp b.cpp)'
	put h.h '#define V 1'
	put a.cpp '#include "h.h"' '#include <vector>' 'int b();' 'int main() { return (int)std::vector<int>(V).size() + b(); }'
	put b.cpp 'int b() { return 0; }'
	cmake -G Ninja -S . -B o "-DCMAKE_CXX_COMPILER_LAUNCHER=$COFFER" >"$T/log" 2>&1 || skip "$(tail -n 3 "$T/log")"
	ninja -C o >"$T/log" 2>&1 || fail "$(tail "$T/log")"
	cp o/CMakeFiles/p.dir/a.cpp.ddi a.ddi
	"$COFFER" stats --zero >"$T/log"
	ninja -C o -t clean >"$T/log"
	rm -f o/CMakeFiles/p.dir/*.ddi
	ninja -C o >"$T/log" 2>&1 || fail "$(tail "$T/log")"
	[ "$(counter direct_hits) $(counter not_cached)" = '2 0' ] || fail "$("$COFFER" stats)"
	same_file a.ddi o/CMakeFiles/p.dir/a.cpp.ddi
	put h.h '#define V 2'
	ninja -C o >"$T/log" 2>&1 || fail "$(tail "$T/log")"
	o/p
	[ $? = 2 ] || fail "the program is old"
}

trap_56_modules_of_clang() # clang
{
	local IGNORE='*.pcm'
	put m.cppm 'export module m;' 'export int f() { return 1; }'
	put use.cc 'import m;' 'int g() { return f(); }'
	right clang++ -std=c++20 --precompile m.cppm -o m.pcm
	[ -e m.pcm ] || fail "the module's interface is lost"
	right clang++ -std=c++20 -fmodule-file=m.pcm -c use.cc -o use.o
	right clang++ -std=c++20 -fprebuilt-module-path=. -c use.cc -o use.o
	right clang++ -std=c++20 -c m.pcm -o m.o
	IGNORE='m.*' right clang++ -std=c++20 -c m.cppm -o m.o
	# Without a depfile clang has no use for this, and says so.
	put d.c 'int d;'
	untouched modules clang -fno-module-file-deps -c d.c -o d.o
	# Implicit modules with a map.
	put inc/module.modulemap 'module h { header "h.h" }'
	put inc/h.h 'static inline int h(void) { return 1; }'
	put a.c '#include "h.h"' 'int f(void) { return h(); }'
	counted modules coffer clang -fmodules -fmodules-cache-path="$P/cache" -Iinc -c a.c -o a.o || fail "the compile failed"
	clang -fmodules -fmodules-cache-path="$T/cache2" -Iinc -c a.c -o b.o
	same_file a.o b.o
	put inc/h.h 'static inline int h(void) { return 2; }'
	counted any coffer clang -fmodules -fmodules-cache-path="$P/cache" -Iinc -c a.c -o a.o
	clang -fmodules -fmodules-cache-path="$T/cache2" -Iinc -c a.c -o b.o
	same_file a.o b.o
	rm -r cache
	right clang -fmodule-map-file=inc/module.modulemap -Iinc -c a.c -o a.o
	right clang -fmodule-name=h -Iinc -c a.c -o a.o
}

trap_57_precompiled_headers_of_gcc() # gcc
{
	local IGNORE='*.gch'
	put h.h 'static inline int h(void) { return 1; }' '#define H 1'
	cp h.h h.hpp
	put a.c '#include "h.h"' 'int f(void) { return h() + H; }'
	twice any any gcc -x c-header h.h -o h.h.gch
	again hit gcc -x c-header h.h -o h.h.gch
	[ -s h.h.gch ] || fail "no h.h.gch"
	rm h.h.gch
	untouched precompiled_header gcc h.h
	rm h.h.gch
	check any gcc -c h.h -o h.h.gch
	untouched precompiled_header g++ h.hpp
	rm h.hpp.gch
	right gcc -Winvalid-pch -c a.c -o a.o
	right gcc -Winvalid-pch -include h.h -c a.c -o a.o
	right gcc -fpch-preprocess -c a.c -o a.o
	right gcc -fpch-deps -MD -c a.c -o a.o
	put h.h 'static inline int h(void) { return 2; }' '#define H 2'
	check any gcc -c a.c -o a.o
	"$COFFER" gcc -x c-header h.h -o h.h.gch
	check any gcc -c a.c -o a.o
}

trap_57_precompiled_headers_of_clang() # clang
{
	put h.h 'static inline int h(void) { return 1; }' '#define H 1'
	put a.c 'int f(void) { return h() + H; }'
	untouched precompiled_header clang -x c-header h.h -o h.pch
	check any clang -include-pch h.pch -c a.c -o a.o
	again any clang -include-pch h.pch -c a.c -o a.o
	cp h.pch h.h.pch
	check any clang -include h.h -c a.c -o a.o
	again any clang -include h.h -c a.c -o a.o
	# clang refuses a header that is newer than its precompiled form.
	sleep 1.01
	touch h.h
	check any clang -include-pch h.pch -c a.c -o a.o
	[ "$(<"$T/got/status")" != 0 ] || fail "the plain compiler did not refuse the header"
	check any clang -include h.h -c a.c -o a.o
	rm h.h.pch
	put h.h 'static inline int h(void) { return 2; }' '#define H 2'
	clang -x c-header h.h -o h.pch
	check any clang -include-pch h.pch -c a.c -o a.o
	[ "$(<"$T/got/status")" = 0 ] || fail "the compile failed"
	rm h.pch
	check any clang -include-pch h.pch -c a.c -o a.o
	right clang -Xclang -emit-pch -x c-header -c h.h -o x.pch
	right clang -Xclang -include-pch -Xclang x.pch -c a.c -o a.o
	right clang -fpch-instantiate-templates -x c++-header h.h -o y.pch
	right clang -x c-header -fno-pch-timestamp h.h -o z.pch
}

# Who uses a precompiled header that was made here hits for as long as it and all that went into it are the same.
trap_57_users_of_precompiled_headers()
{
	local pch use mode=on
	put v.h '#define V 1'
	put h.h '#include "v.h"' 'static inline int h(void) { return V; }'
	put a.c 'int f(void) { return h() + V; }'
	if is_gcc; then
		pch='-x c-header h.h -o h.h.gch' use='-include h.h'
	else
		pch='-x c-header h.h -o h.h.pch' use='-include-pch h.h.pch'
	fi
	export COFFER_REPRODUCIBLE=$mode
	# shellcheck disable=SC2086
	{
		"$COFFER" "$CC" $pch
		check miss "$CC" -Winvalid-pch $use -MD -c a.c -o a.o
		again hit "$CC" -Winvalid-pch $use -MD -c a.c -o a.o
		put v.h '#define V 2'
		"$COFFER" "$CC" $pch
		check changed "$CC" -Winvalid-pch $use -MD -c a.c -o a.o
		put v.h '#define V 1'
		counted hit "$COFFER" "$CC" $pch
		check hit "$CC" -Winvalid-pch $use -MD -c a.c -o a.o
		# It is stale: what the compiler makes of it is not stored.
		put v.h '#define V 33'
		check any "$CC" $use -c a.c -o a.o
		[ "$(grown stored)" = 0 ] || fail "what came of a stale header was stored"
		# One that nobody here has made.
		put v.h '#define V 1'
		rm h.h.?ch
		"$CC" $pch
		check precompiled_header_used "$CC" $use -c a.c -o a.o
		# Time in what it brings along.
		put v.h '#define V __LINE__' 'static const char *when(void) { return __TIME__; }'
		counted time_macros "$COFFER" "$CC" $pch
		counted precompiled_header_used "$COFFER" "$CC" $use -c a.c -o a.o
		put a.c 'int f(void) { return 1; }'
		counted precompiled_header_used "$COFFER" "$CC" $use -c a.c -o a.o
	}
}

# shellcheck disable=SC2016
trap_57_cmake_with_precompiled_headers()
{
	export COFFER_REPRODUCIBLE=on # for clang
	local v launcher="-DCMAKE_CXX_COMPILER_LAUNCHER=$COFFER" cxx=g++ n
	command -v cmake >"$T/which" || skip "there is no cmake"
	is_gcc || cxx=clang++
	put CMakeLists.txt 'cmake_minimum_required(VERSION 3.16)' 'project(p CXX)' 'add_executable(p a.cpp b.cpp)' \
		'target_precompile_headers(p PRIVATE h.h <cstdio>)'
	put h.h '#include "v.h"' '#define ADD 0'
	put a.cpp 'int b(); int main() { return V + b(); }'
	put b.cpp 'int b() { return ADD + std::printf("%s", ""); }'
	cmake -S . -B o -DCMAKE_BUILD_TYPE=RelWithDebInfo "-DCMAKE_CXX_COMPILER=$cxx" "$launcher" >"$T/log" || fail "$(tail "$T/log")"
	"$COFFER" stats --zero >"$T/log"
	for v in 1 2 1; do
		sleep 1.01 # make looks at whole seconds in places
		put v.h '#pragma once' "#define V $v"
		cmake --build o >"$T/log" 2>&1 || fail "$(tail "$T/log")"
		o/p
		n=$?
		[ $n = $v ] || fail "the program says $n, not $v"
	done
	[ "$(counter misses) $(counter direct_hits) $(counter not_cached)" = '6 3 0' ] || fail "$("$COFFER" stats)"
	rm -r o
	cmake -S . -B o -DCMAKE_BUILD_TYPE=RelWithDebInfo "-DCMAKE_CXX_COMPILER=$cxx" "$launcher" >"$T/log"
	"$COFFER" stats --zero >"$T/log"
	cmake --build o >"$T/log" 2>&1 || fail "$(tail "$T/log")"
	[ "$(counter direct_hits) $(counter not_cached)" = '3 0' ] || fail "a second build: $("$COFFER" stats)"
	# The plain compiler takes what came from the cache.
	cmake -S . -B o -DCMAKE_CXX_COMPILER_LAUNCHER= >"$T/log"
	echo >>a.cpp
	cmake --build o >"$T/log" 2>&1 || fail "$(tail "$T/log")"
	! grep -qi warning "$T/log" || fail "$(cat "$T/log")"
}

trap_58_link_time_optimisation()
{
	local options
	put a.c 'int g(int); int f(int x) { return g(x); } int main(void) { return f(0); }'
	put b.c 'int g(int x) { return x; }'
	same "$CC" -frandom-seed=1 -O2 -flto -c a.c -o a.o
	for options in -flto=auto -flto=2 -flto=thin -flto=full '-flto -ffat-lto-objects' '-flto -fno-fat-lto-objects' '-flto -flto-partition=none' \
		'-flto -fno-lto' '-flto -fwhole-program-vtables' '-flto -funified-lto' '-flto -g' '-flto -flto-compression-level=5' \
		'-fno-use-linker-plugin -flto' '-flto -fsplit-lto-unit'; do
		# shellcheck disable=SC2086
		compiler_takes $options || continue
		# shellcheck disable=SC2086
		right "$CC" -frandom-seed=1 -O2 $options -c a.c -o a.o
	done
	counted any coffer "$CC" -frandom-seed=1 -O2 -flto -c a.c -o a.o
	counted any coffer "$CC" -frandom-seed=1 -O2 -flto -c b.c -o b.o
	"$COFFER" "$CC" -O2 -flto a.o b.o -o prog || fail "does not link"
	./prog || fail "the program fails"
}

trap_58_nothing_of_coffer_is_in_objects_for_the_linker()
{
	put a.c 'int main(void) { return 0; }'
	right "$CC" -frandom-seed=1 -O2 -flto -c a.c -o a.o
	! grep -q /dev/fd a.o || fail "a descriptor of coffer's is in the object"
	right "$CC" -frandom-seed=1 -O2 -flto -ffat-lto-objects -c a.c -o a.o
	"$CC" -O2 -flto a.o -o prog 101>"$T/written" 2>"$T/err" || fail "does not link"
	[ ! -s "$T/err" ] || fail "the linker says $(<"$T/err")"
	[ ! -s "$T/written" ] || fail "something was written"
}

trap_58_jobserver_for_link_time_optimisation() # gcc
{
	put a.c 'int main(void) { return 0; }'
	same gcc -frandom-seed=1 -flto=jobserver -c a.c -o a.o
	put Makefile 'all:' $'\t+@$(COFFER) gcc -O2 -flto=jobserver a.o -o prog'
	make -j2 COFFER="$COFFER" >"$T/out" 2>&1 || fail "$(<"$T/out")"
	lacks_text "$T/out" jobserver
	./prog || fail "the program fails"
}
