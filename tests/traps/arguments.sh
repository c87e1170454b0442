# Traps 41-49: arguments.
# shellcheck shell=bash

trap_41_language_by_option_and_suffix() # long
{
	local suffix IGNORE
	is_gcc && IGNORE=b.o # a precompiled header of gcc is another one each time
	put a.c '#if defined __cplusplus' 'int cxx;' '#elif defined __ASSEMBLER__' '.byte 1' '#else' 'int c;' '#endif'
	same "$CC" -c a.c -o a.o
	check changed "$CC" -x c++ -c a.c -o a.o
	check any "$CC" -xc++ -c a.c -o a.o
	check any "$CC" -x c -c a.c -o a.o
	check changed "$CC" -x assembler-with-cpp -c a.c -o a.o
	check any "$CC" --language=c++ -c a.c -o a.o
	check any "$CC" --language c++ -c a.c -o a.o
	check any "$CC" -x c++ -x c -c a.c -o a.o
	check any "$CC" -x c++ -x none -c a.c -o a.o
	check any "$CC" -x none -c a.c -o a.o
	# After the source it says nothing.
	check any "$CC" -c a.c -x c++ -o a.o
	for suffix in cc cp cxx cpp CPP c++ C ii i m mm M mi mii s S sx asm txt h hpp foo bc ll d; do
		cp a.c "b.$suffix"
		rm -f b.o
		right "$CC" -c "b.$suffix" -o b.o
		rm -f b.o
	done
	same "$CC" -x c -c b.txt -o b.o
	right "$CC" -x c -c b.h -o b.o
	cp a.c noext
	right "$CC" -c noext -o b.o
	same "$CC" -x c++ -c noext -o b.o
}

trap_41_a_header_and_a_source_with_one_text()
{
	local IGNORE='*.gch'
	put a.h 'static int x;' 'int y;'
	cp a.h a.c
	same "$CC" -c a.c -o a.o
	right "$CC" -c a.h -o a.gch
	right "$CC" -x c -c a.h -o a.o
	right "$CC" -x c-header -c a.c -o a.gch
	right "$CC" -x c++-header a.c -o a.gch
	same "$CC" -Wall -x c -c a.h -o a.o
	check any "$CC" -Wall -c a.c -o a.o
}

trap_41_preprocessed_sources()
{
	put a.c '#define X 1' 'int x = X;'
	"$CC" -E a.c -o a.i
	cp a.i a.ii
	same "$CC" -c a.i -o a.o
	same "$CC" -c a.ii -o a.o
	cp a.i b.c
	same "$CC" -x cpp-output -c b.c -o a.o
	right "$CC" -x cpp-output -c a.c -o a.o
	right "$CC" -x c++-cpp-output -c a.i -o a.o
	put b.i '#define Y 1' 'int y = Y;' '#include "missing.h"'
	right "$CC" -c b.i -o b.o
	put b.i '#define Y 1' '#define Z 2'
	right "$CC" -c b.i -o b.o
}

trap_42_response_files() # long
{
	put 'a b.c' '#ifndef X' '#define X 0' '#endif' 'int value = X; const char *s = S;'
	put args '-DX=1 "-DS=\"q\"" -c '"'a b.c'" '-o a.o'
	same "$CC" @args
	put args '-DX=2 -DS=\"q\"' '-c' '' '   a\ b.c' $'\t-o\ta.o'
	check changed "$CC" @args
	put args "-DX=3 '-DS=\"a'\\''b\"' -c \"a b.c\" -o a.o"
	right "$CC" @args
	put args '-DX=4 -D"S="\"x\\\\y\" @inner'
	put inner '-c "a b.c" @more'
	put more '-o a.o'
	same "$CC" @args
	put more '-o b.o'
	check any "$CC" @args
	put inner '-c "a b.c" -O2 @more'
	check changed "$CC" @args
	printf '%s\r\n' '-DX=5' '-DS=0' '-c' '"a b.c"' '-o' 'a.o' >args
	right "$CC" @args
	printf '%s' '-DX=6 -DS=0 -c "a b.c" -o a.o' >args
	same "$CC" @args
	: >args
	right "$CC" @args -DS=0 -c 'a b.c' -o a.o
	# Not there: a file of that name.
	right "$CC" @missing -DS=0 -c 'a b.c' -o a.o
	put @literal.c 'int literal;'
	right "$CC" -c @literal.c -o a.o
	put args '-DS=0 @missing'
	right "$CC" @args -c 'a b.c' -o a.o
	put args '-DS=0 -DX=7'
	same "$CC" @"$P/args" -c 'a b.c' -o a.o
	mkdir sub
	put sub/args '-DS=0 -DX=8'
	in_dir sub same "$CC" @args -c '../a b.c' -o a.o
	put args '-DS=0 @args'
	right "$CC" @args -c 'a b.c' -o a.o
	mkdir folder
	right "$CC" @folder -DS=0 -c 'a b.c' -o a.o
	put args '-DS="unfinished'
	right "$CC" @args -c 'a b.c' -o a.o
	put args "-DS=0 '' \"\" -c 'a b.c' -o a.o"
	right "$CC" @args
	put args '-MD -MF x.d -MT t -DS=0 -c'
	same "$CC" @args 'a b.c' -o a.o
	# As the value of an option.
	put value 'inc'
	mkdir inc
	right "$CC" -DS=0 -I @value -c 'a b.c' -o a.o
}

trap_43_outputs_in_all_spellings() # long
{
	put a.c 'int a;'
	mkdir out
	same "$CC" -c a.c -oa.o
	same "$CC" -oout/a.o -c a.c
	same "$CC" -c a.c --output=out/b.o
	same "$CC" -c a.c --output out/c.o
	same "$CC" -c a.c -o out/../d.o
	same "$CC" -c a.c -o "out/with space.o"
	right "$CC" -c a.c -o one.o -o two.o
	right "$CC" -c a.c -o
	right "$CC" -c a.c -o ''
	same "$CC" -c out/../a.c
	same "$CC" -S a.c
	cp a.c out/b.c
	same "$CC" -c out/b.c
	right "$CC" -c -- a.c
	right "$CC" -c -o x.o -- a.c
	cp a.c ./-dash.c
	right "$CC" -c -o x.o -- -dash.c
	same "$CC" -c ./-dash.c
}

trap_43_outputs_that_can_not_be_written()
{
	put a.c 'int a;'
	same "$CC" -c a.c -o a.o
	right "$CC" -c a.c -o missing/a.o
	[ "$(<"$T/got/status")" != 0 ] || fail "the plain compiler did not fail"
	mkdir folder
	right "$CC" -c a.c -o folder
	right "$CC" -c a.c -o folder/
	right "$CC" -c a.c -o a.c/x.o
	right "$CC" -c a.c -o a.c
	right "$CC" -MD -c a.c -o missing/a.o
}

trap_43_outputs_that_are_inputs_or_other_outputs()
{
	local text=('int a;')
	put a.c "${text[@]}"
	ln -s a.c link
	ln a.c hard
	same "$CC" -c a.c -o a.o
	check output_not_a_file "$CC" -c a.c -o ./a.c
	rm -f a.c && put a.c "${text[@]}"
	check output_not_a_file "$CC" -c a.c -o "$P/link"
	rm -f a.c hard && put a.c "${text[@]}"
	ln a.c hard
	check output_not_a_file "$CC" -c a.c -o hard
	rm -f a.c hard && put a.c "${text[@]}"
	check output_not_a_file "$CC" -MD -MF a.c -c a.c -o a.o
	rm -f a.c && put a.c "${text[@]}"
	check output_not_a_file "$CC" -MD -MF ./b.o -c a.c -o b.o
	check output_not_a_file "$CC" -MD -MF b.su -fstack-usage -c a.c -o b.o
	put a.h 'int h;'
	put b.c '#include "a.h"'
	right "$CC" -c b.c -o b.o
	check any "$CC" -c b.c -o a.h
	return 0
}

trap_43_outputs_that_are_no_files()
{
	put a.c 'int a;'
	same "$CC" -c a.c -o /dev/null
	[ -c /dev/null ] || fail "/dev/null was replaced"
	# An object is none to that, and the other way round.
	same "$CC" -c a.c -o a.o
	# What configure scripts and the kernel ask.
	same "$CC" -Wall -Werror -c -x c /dev/null -o .tmp.o
	same "$CC" -Werror -S -x c /dev/null -o /dev/null
	same "$CC" -c -x assembler-with-cpp /dev/null -o /dev/null
	same "$CC" -fsyntax-only -x c /dev/null
	put warns.c 'int f(void) { int unused; return 1; }'
	same "$CC" -Wall -fsyntax-only warns.c
	put wrong.c 'int f(void) { return }'
	right "$CC" -fsyntax-only wrong.c
	right "$CC" -Wall -c -x c /dev/null -o /dev/null -MD
	right "$CC" -g -gsplit-dwarf -c a.c -o /dev/null
	COFFER_REPRODUCIBLE=off expect_hit "$CC" -c a.c -o b.o
	right "$CC" -S a.c -o -
	right "$CC" -c a.c -o -
	right "$CC" -S a.c -o /dev/stdout
	[ -e /dev/stdout ] || fail "/dev/stdout is gone"
	mkfifo "$T/fifo"
	cat "$T/fifo" >"$T/fifo.out" &
	counted output_not_a_file timeout 20 "$COFFER" "$CC" -S a.c -o "$T/fifo"
	kill $! 2>/dev/null
	wait
	"$CC" -S a.c -o a.s
	if [ -p "$T/fifo" ]; then
		same_file a.s "$T/fifo.out"
	else
		same_file a.s "$T/fifo" # clang replaces it
	fi
}

trap_44_values_that_look_like_something_else() # long
{
	put a.c '#ifndef X' '#define X 0' '#endif' 'int value = X;'
	put inc/h.h 'int h;'
	put ./-x.h '#define X 3'
	mkdir -p ./-I
	same "$CC" -D X -c a.c -o a.o
	same "$CC" -D a.c -c a.c -o a.o
	same "$CC" -D b.o -c a.c -o a.o
	right "$CC" -D -c -c a.c -o a.o
	same "$CC" -I -I -c a.c -o a.o
	right "$CC" -I a.c -c a.c -o a.o
	right "$CC" -U -o -c a.c -o a.o
	same "$CC" -MD -MF -x.d -c a.c -o a.o
	same "$CC" -MD -MF b.c -c a.c -o a.o
	rm -f b.c
	same "$CC" -MD -MT -c -c a.c -o a.o
	same "$CC" -MD -MT a.c -MQ -o -c a.c -o a.o
	same "$CC" -c a.c -o -x.o
	same "$CC" -c a.c -o -MD
	same "$CC" -include -x.h -c a.c -o a.o
	same "$CC" -imacros -x.h -c a.c -o a.o
	right "$CC" -idirafter -c -c a.c -o a.o
	right "$CC" -Xlinker b.c -c a.c -o a.o
	right "$CC" -Xlinker -o -Xlinker x -c a.c -o a.o
	right "$CC" -L b.c -c a.c -o a.o
	right "$CC" -u -c -c a.c -o a.o
	right "$CC" -z defs -c a.c -o a.o
	right "$CC" -T b.c -c a.c -o a.o
	right "$CC" -l m -c a.c -o a.o
	right "$CC" -e main -c a.c -o a.o
	right "$CC" --param max-inline-insns-auto=5 -c a.c -o a.o
	right "$CC" --param=max-inline-insns-auto=6 -c a.c -o a.o
	right "$CC" -A machine=x -c a.c -o a.o
	right "$CC" -iquote -MD -c a.c -o a.o
	right "$CC" -Xassembler -c -c a.c -o a.o
	right "$CC" -Xpreprocessor -DX=5 -c a.c -o a.o
	right "$CC" -dumpbase b.c -c a.c -o a.o
	right "$CC" -dumpdir out/ -c a.c -o a.o
	if is_gcc; then
		right gcc -aux-info b.c -c a.c -o a.o
	else
		right clang -mllvm -inline-threshold=5 -c a.c -o a.o
		right clang -Xclang -O1 -c a.c -o a.o
		right clang -target x86_64-linux-gnu -c a.c -o a.o
		right clang -arch x86_64 -c a.c -o a.o
		right clang -framework a.c -c a.c -o a.o
	fi
	return 0
}

trap_45_several_sources_and_none()
{
	put a.c 'int a;'
	put b.c 'int b;'
	untouched several_sources "$CC" -c a.c b.c
	untouched several_sources "$CC" -c a.c a.c
	untouched several_sources "$CC" -S a.c b.c
	untouched several_sources "$CC" -c a.c b.c -o x.o
	untouched no_source "$CC" -c
	untouched no_source "$CC" -c -o a.o
	right "$CC"
	right "$CC" -c missing.c -o missing.o
	right "$CC" -c a.c missing.c
	rm -f ./*.o
	same "$CC" -c a.c -o a.o
	right "$CC" -c b.c a.o -o b.o
	right "$CC" -c b.c -lm -o b.o
	right "$CC" -c b.c missing.o -o b.o
	right "$CC" -c a.o -o b.o
	mkdir folder
	right "$CC" -c folder -o b.o
	right "$CC" -c folder/ -o b.o
	right "$CC" -c a.c ''
}

trap_45_source_from_standard_input()
{
	put a.c 'int a;'
	STDIN=a.c untouched stdin_source "$CC" -x c -c - -o a.o
	nm a.o | grep -q ' a$' || fail "the source was not read"
	STDIN=a.c untouched stdin_source "$CC" -x c -S - -o -
	has_text "$T/got/stdout" a
	STDIN=a.c right "$CC" -x c -c /dev/stdin -o a.o
	STDIN=a.c untouched preprocess_only "$CC" -E -x c -
	# It is left alone where the source is a file.
	put in 'one' 'two'
	{
		"$COFFER" "$CC" -c a.c -o b.o
		cat >out
	} <in
	same_file in out
	{
		"$COFFER" "$CC" -c a.c -o b.o
		cat >out
	} <in
	same_file in out
	put b.c '#include "/dev/stdin"' 'int b;'
	STDIN=a.c right "$CC" -c b.c -o b.o
	STDIN=a.c right "$CC" -include /dev/stdin -c b.c -o b.o
	# By a link, and by the assembler.
	local i
	ln -s /dev/stdin link.c
	put d.c '#include "link.c"' 'int d;'
	put e.s '.incbin "/dev/stdin"'
	for i in 1 2; do
		put in "int i = $i;"
		STDIN=in right "$CC" -c link.c -o l.o
		STDIN=in right "$CC" -c d.c -o d.o
		STDIN=in right "$CC" -c e.s -o e.o
	done
	"$COFFER" "$CC" -c a.c -o c.o <&- || fail "fails with its standard input closed"
	"$COFFER" "$CC" -c a.c -o d.o <&- >&- 2>&- || fail "fails with all closed"
	same_file c.o d.o
	rm -f c.o d.o
	"$COFFER" "$CC" -O3 -c a.c -o d.o <&- >&- 2>&- || fail "a miss fails with all closed"
	"$CC" -O3 -c a.c -o c.o
	same_file c.o d.o
}

trap_45_what_makes_no_object() # long
{
	put a.c '#include <stddef.h>' 'int main(void) { int unused; return 0; }'
	untouched link "$CC" a.c -o prog
	untouched link "$CC" a.c
	untouched preprocess_only "$CC" -E a.c
	untouched preprocess_only "$CC" -E a.c -o a.i
	untouched preprocess_only "$CC" -M a.c
	untouched preprocess_only "$CC" -MM a.c -MF a.d
	untouched preprocess_only "$CC" -E -dM a.c
	untouched preprocess_only "$CC" -c -E a.c
	untouched preprocess_only "$CC" -M -c a.c -o a.o
	same "$CC" -Wall -fsyntax-only a.c
	same "$CC" -fsyntax-only -c a.c -o a.o
	MODES=off NORMALIZE="s,/tmp/[^ \"]*,TEMP,g" twice 'no_output|information' any "$CC" '-###' -c a.c
	same "$CC" -S a.c
	same "$CC" -S -c a.c
	same "$CC" -c -S a.c -o x.s
	check any "$CC" -c a.c -o main.o
	untouched link "$CC" main.o -o prog
	./prog || fail "the program does not run"
	untouched link "$CC" -shared -fPIC a.c -o lib.so
	right "$CC" -r a.c -o r.o
	if is_clang; then
		right clang --analyze a.c
		right clang -emit-llvm -c a.c -o a.bc
		right clang -emit-llvm -S a.c -o a.ll
		right clang -emit-ast a.c -o a.ast
		right clang --precompile a.c
		right clang -rewrite-objc a.c
		right clang -verify-pch a.c
	fi
}

trap_46_commas_and_pairs()
{
	put a.c '#ifndef X' '#define X 0' '#endif' 'int value = X;'
	put b.S '.byte sym'
	right "$CC" -Wa,--defsym,sym=1 -c b.S -o b.o
	check any "$CC" -Wa,--defsym,sym=2 -c b.S -o b.o
	check any "$CC" -Xassembler --defsym -Xassembler sym=3 -c b.S -o b.o
	check any "$CC" -Wa,--defsym -Wa,sym=4 -c b.S -o b.o
	right "$CC" -Wl,-z,now -c a.c -o a.o
	right "$CC" -Wp,-DX=1,-UX,-DX=2 -c a.c -o a.o
	right "$CC" -Wp,-D,X=3 -c a.c -o a.o
	right "$CC" -Wp,-I,inc -c a.c -o a.o
	put f.h '#define X 4'
	right "$CC" -Wp,-include,f.h -c a.c -o a.o
	put f.h '#define X 5'
	check changed "$CC" -Wp,-include,f.h -c a.c -o a.o
	right "$CC" -Xpreprocessor -include -Xpreprocessor f.h -c a.c -o a.o
	put f.h '#define X 6'
	check changed "$CC" -Xpreprocessor -include -Xpreprocessor f.h -c a.c -o a.o
	right "$CC" -Wp,-o,x -c a.c -o a.o
	right "$CC" -Wp, -c a.c -o a.o
	right "$CC" -Wa, -c a.c -o a.o
	right "$CC" -Xarch_x86_64 -DX=7 -c a.c -o a.o
	right "$CC" -Xarch_host -DX=8 -c a.c -o a.o
}

trap_46_assembler_options_with_effects()
{
	put a.c 'int f(void) { return 1; }'
	IGNORE='list*' right "$CC" -Wa,-a=list.txt -c a.c -o a.o
	IGNORE='list*' right "$CC" -Wa,-aln=list2.txt -c a.c -o a.o
	IGNORE='as*.d' right "$CC" -Wa,--MD,as.d -c a.c -o a.o
	IGNORE='as*.d' right "$CC" -Wa,--MD -Wa,as2.d -c a.c -o a.o
	right "$CC" -Wa,-o,elsewhere.o -c a.c -o a.o
	right "$CC" -Wa,-oelsewhere2.o -c a.c -o a.o
	right "$CC" -Wa,-W -c a.c -o a.o
	put as.args --defsym one=1
	right "$CC" -Wa,@as.args -c a.c -o a.o
	put as.args --defsym two=2
	check any "$CC" -Wa,@as.args -c a.c -o a.o
	put other.s '.byte 1'
	right "$CC" -Wa,other.s -c a.c -o a.o
	put other.s '.byte 2'
	check any "$CC" -Wa,other.s -c a.c -o a.o
	# The name of the driver's temp file is in the object.
	IGNORE=a.o right "$CC" -Wa,--gdwarf-5 -c a.c -o a.o
	if is_clang; then
		right clang -Wa,-mrelax-all -c a.c -o a.o
	fi
}

trap_47_unknown_options_are_never_dropped()
{
	put a.c '#ifndef X' '#define X 0' '#endif' 'int value = X; int f(int x) { return x; }'
	put b.c 'int b;'
	right "$CC" -funknown-option -c a.c -o a.o
	right "$CC" -funknown-option=b.c -c a.c -o a.o
	right "$CC" -Wunknown-option -c a.c -o a.o
	right "$CC" -Wno-unknown-option -c a.c -o a.o
	right "$CC" -munknown=x -c a.c -o a.o
	right "$CC" --unknown-option -c a.c -o a.o
	right "$CC" --unknown-option b.c -c a.c -o a.o
	right "$CC" -Xunknown b.c -c a.c -o a.o
	right "$CC" -unknown -c a.c -o a.o
	right "$CC" -gunknown -c a.c -o a.o
	right "$CC" -Ounknown -c a.c -o a.o
	right "$CC" -c a.c -o a.o -
	right "$CC" --param unknown=1 -c a.c -o a.o
	same "$CC" -c a.c -o a.o
	check changed "$CC" -fno-common -fno-inline -fstack-protector-all -c a.c -o a.o
	check changed "$CC" -fpatchable-function-entry=4 -c a.c -o a.o
	# Where there is another message, gcc also tells of unknown -Wno- options.
	put w.c 'int f(void) { int unused; return 0; }'
	same "$CC" -Wall -Wno-unknown-option -c w.c -o w.o
	check any "$CC" -Wall -c w.c -o w.o
}

trap_48_command_line_in_the_object() # long
{
	local option
	put a.c 'int a;'
	for option in -frecord-gcc-switches -frecord-command-line -grecord-gcc-switches -grecord-command-line; do
		compiler_takes $option || continue
		rm -f a.o
		right "$CC" $option -DX=1 -c a.c -o a.o
		check any "$CC" $option -DX=2 -c a.c -o a.o
		check any "$CC" -DX=2 $option -c a.c -o a.o
		check any "$CC" $option -I. -DX=2 -c a.c -o a.o
		check any "$CC" $option -MD -MF x.d -DX=2 -c a.c -o a.o
		check any "$CC" $option -DX=2 -c a.c -o b.o
		check any "$CC" $option -Wall -DX=2 -c "$PWD/a.c" -o a.o
		check any "$CC" $option -g -DX=2 -c a.c -o a.o
		check any "$CC" $option -g -DX=3 -c a.c -o a.o
	done
	MODES=off same "$CC" -g -O1 -c a.c -o a.o
	check changed "$CC" -g -O2 -c a.c -o a.o
	check any "$CC" -g -O1 -fno-inline -c a.c -o a.o
	check any "$CC" -g -fno-inline -O1 -c a.c -o a.o
}

# option_file FIRST SECOND CMD...: the file "list" is an input, whatever it is good for.
option_file()
{
	put list "$1"
	MODES=off twice any handled "${@:3}"
	put list "$2"
	check any "${@:3}"
	again any "${@:3}"
	rm list
	check any "${@:3}"
	return 0
}

trap_49_options_that_name_input_files() # clang long
{
	put a.c 'int g; int f(int *x, int i) { g = i; return x[i]; }'
	option_file 'fun:other' 'fun:f' clang -fsanitize=address -fsanitize-ignorelist=list -c a.c -o a.o
	option_file 'fun:other' 'fun:f' clang -fsanitize=address -fsanitize-blacklist=list -c a.c -o a.o
	option_file 'fun:other' 'fun:f' clang -fsanitize=address -fsanitize-system-ignorelist=list -c a.c -o a.o
	option_file $'fun:other\nsrc:*' $'fun:f\nsrc:*' clang -fsanitize-coverage=trace-pc-guard,edge \
		-fsanitize-coverage-allowlist=list -c a.c -o a.o
	option_file 'fun:other' $'fun:f' clang -fsanitize-coverage=trace-pc-guard,edge -fsanitize-coverage-ignorelist=list \
		-c a.c -o a.o
	option_file 'fun:other' 'fun:f' clang -fprofile-instr-generate -fprofile-list=list -c a.c -o a.o
	option_file 'fun:other' 'fun:f' clang -fxray-instrument -fxray-instruction-threshold=1 -fxray-always-instrument=list \
		-c a.c -o a.o
	option_file 'fun:other' 'fun:f' clang -fxray-instrument -fxray-instruction-threshold=1 -fxray-never-instrument=list \
		-c a.c -o a.o
	option_file $'[always]\nfun:other' $'[always]\nfun:f' clang -fxray-instrument -fxray-attr-list=list -c a.c -o a.o
	option_file 'f:10:1' 'f:20000:10000' clang -O2 -fprofile-sample-use=list -c a.c -o a.o
	option_file 'f' 'g' clang -fbasic-block-sections=list -c a.c -o a.o
	option_file 'f' 'g' clang -fsymbol-partition=list -c a.c -o a.o
	option_file 'SEED' 'OTHER' clang -frandomize-layout-seed-file=list -c a.c -o a.o
	option_file 'x' 'y' clang -fthinlto-index=list -c a.c -o a.o
	option_file 'x' 'y' clang -fauto-profile=list -c a.c -o a.o
	option_file 'x' 'y' clang -fprofile-remapping-file=list -O2 -c a.c -o a.o
	option_file 'x' 'y' clang -fwarn-flags-file=list --warning-suppression-mappings=list -c a.c -o a.o
}

trap_49_overlay_file_systems() # clang
{
	put real1.h '#define H 1'
	put real2.h '#define H 2'
	put a.c '#include "virtual.h"' 'int value = H;'
	overlay() {
		put overlay.yaml "{ \"version\": 0, \"roots\": [ { \"name\": \"$P/v\", \"type\": \"directory\", \"contents\": [" \
			"{ \"name\": \"virtual.h\", \"type\": \"file\", \"external-contents\": \"$P/$1\" } ] } ] }"
	}
	overlay real1.h
	right clang -ivfsoverlay overlay.yaml -I"$P/v" -c a.c -o a.o
	[ -e a.o ] || fail "clang does not take the overlay"
	overlay real2.h
	check any clang -ivfsoverlay overlay.yaml -I"$P/v" -c a.c -o a.o
	put real2.h '#define H 3'
	check any clang -ivfsoverlay overlay.yaml -I"$P/v" -c a.c -o a.o
	check any clang -ivfsoverlayoverlay.yaml -I"$P/v" -c a.c -o a.o
	check any clang -Xclang -ivfsoverlay -Xclang overlay.yaml -I"$P/v" -c a.c -o a.o
}

trap_49_options_that_name_input_files_of_gcc() # gcc
{
	put a.c 'int g; int f(int *x, int i) { g = i; return x[i]; }'
	option_file 'x' 'y' gcc -fauto-profile=list -O2 -c a.c -o a.o
	option_file 'x' 'y' gcc -frandomize-layout-seed-file=list -c a.c -o a.o
	option_file 'x' 'y' gcc -fdump-noaddr -fdbg-cnt-list -c a.c -o a.o
	option_file 'void *malloc(long);' 'int g;' gcc -fmacro-prefix-map=list=x -include list -c a.c -o a.o
	option_file 'x' 'y' gcc -fmodule-mapper=list -c a.c -o a.o
	option_file 'x' 'y' gcc -foffload-options=list -c a.c -o a.o
	option_file 'x' 'y' gcc -imultilib list -c a.c -o a.o
}

# As the distributions use them.
trap_49_spec_files() # gcc
{
	local file
	put a.c 'extern int g; int f(void) { return g; }'
	put list '*self_spec:' '+ %{!fpic:-fPIC}'
	same gcc -O2 -specs="$P/list" -c a.c -o a.o
	put list '*self_spec:' '+ %{!fpic:-fno-PIE}'
	check changed gcc -O2 -specs="$P/list" -c a.c -o a.o
	check any gcc -O2 -specs="$P/list" -fpic -c a.c -o a.o
	put list '*self_spec:' '+ -DX' 'echo x'
	untouched option_dangerous gcc -O2 -specs="$P/list" -c a.c -o a.o
	rm list
	right gcc -O2 -specs="$P/list" -c a.c -o a.o
	for file in /usr/share/dpkg/*pie-compile.specs /usr/lib/rpm/redhat/redhat-hardened-cc1; do
		[ ! -e "$file" ] || same gcc -O2 -specs="$file" -MD -c a.c -o a.o
	done
}
trap_43_macros_may_name_descriptors()
{
	put a.c "const char *name = NAME;"
	same "$CC" -DNAME=\"/proc/self/exe\" -c a.c -o a.o
	same "$CC" -D NAME=\"/dev/stdin\" -c a.c -o a.o
}

trap_41_where_c_and_colours_stand()
{
	put a.c 'int a;'
	put w.c 'int f(void) { int unused; return 1; }'
	COFFER_REPRODUCIBLE=off check miss "$CC" -g -O2 -c a.c -o a.o
	COFFER_REPRODUCIBLE=off check hit "$CC" -c -g -O2 a.c -o a.o
	COFFER_REPRODUCIBLE=off check hit "$CC" -g -O2 a.c -o a.o -c
	COFFER_REPRODUCIBLE=off check hit "$CC" -fdiagnostics-color=always -g -O2 -c a.c -o a.o
	COFFER_REPRODUCIBLE=off check hit "$CC" -fno-diagnostics-color -g -O2 -c a.c -o a.o
	# With messages each kind has its own.
	same "$CC" -Wall -c w.c -o w.o
	same "$CC" -Wall -fdiagnostics-color=always -c w.c -o w.o
	same "$CC" -Wall -fdiagnostics-color=never -c w.c -o w.o
	check hit "$CC" -Wall -c w.c -o w.o
	check hit "$CC" -Wall -fdiagnostics-color=always -c w.c -o w.o
}

# Two build directories in one tree. What a relative name leads to counts, and where debug information is made, the directory.
trap_50_build_directories_in_one_tree()
{
	export COFFER_REPRODUCIBLE=on
	put inc/config.h '#define C 1'
	put a.c '#include "config.h"' '#include <assert.h>' 'int f(int x) { assert(x); return C; }'
	put s.S '.globl x' 'x: .byte 1'
	mkdir -p b1 b2 deep/b3
	in_dir b1 check miss "$CC" -O2 -I. -I../inc -MD -c ../a.c -o a.o
	in_dir b2 check hit "$CC" -O2 -I. -I../inc -MD -c ../a.c -o other.o
	has_text b2/other.d other.o:
	in_dir deep/b3 check any "$CC" -O2 -I. -I../../inc -MD -c ../../a.c -o a.o
	# A name that leads elsewhere in one of the directories.
	mkdir -p far/away
	put far/a.c 'int far;'
	ln -s far/away link
	in_dir link check miss "$CC" -O2 -I. -I../inc -MD -c ../a.c -o a.o
	has_text far/away/a.d ../a.c
	# A header that is found earlier, in one of the directories.
	put b2/config.h '#define C 2'
	in_dir b2 check miss "$CC" -O2 -I. -I../inc -MD -c ../a.c -o a.o
	in_dir b1 check hit "$CC" -O2 -I. -I../inc -MD -c ../a.c -o a.o
	put b1/config.h '#define C 2'
	in_dir b1 check hit "$CC" -O2 -I. -I../inc -MD -c ../a.c -o a.o
	put b1/config.h '#define C 3'
	in_dir b1 check miss "$CC" -O2 -I. -I../inc -MD -c ../a.c -o a.o
	in_dir b2 check hit "$CC" -O2 -I. -I../inc -MD -c ../a.c -o a.o
	# Another file behind the same relative name.
	put z.c 'int z;'
	put deep/z.c 'int other;'
	mkdir deep/b4
	in_dir deep/b4 check miss "$CC" -O2 -c ../z.c -o z.o
	in_dir b1 check miss "$CC" -O2 -c ../z.c -o z.o
	in_dir b2 check hit "$CC" -O2 -c ../z.c -o z.o
	# The directory is in debug information, in what link-time optimisation reads, and for an assembler.
	in_dir b1 check miss "$CC" -g -O2 -I. -I../inc -c ../a.c -o a.o
	in_dir b2 check miss "$CC" -g -O2 -I. -I../inc -c ../a.c -o a.o
	in_dir b1 check any "$CC" -frandom-seed=1 -flto -O2 -I../inc -c ../a.c -o a.o
	in_dir b2 check changed "$CC" -frandom-seed=1 -flto -O2 -I../inc -c ../a.c -o a.o
	in_dir b1 check any "$CC" -c ../s.S -o s.o
	in_dir b2 check changed "$CC" -c ../s.S -o s.o
	# Messages name files as they were given.
	put w.c 'int f(void) { int unused; return 0; }'
	in_dir b1 check miss "$CC" -Wall -c ../w.c -o w.o
	in_dir b2 check hit "$CC" -Wall -c ../w.c -o w.o
	in_dir b1 check miss "$CC" -Wall -c "$P/w.c" -o w.o
	in_dir b2 check any "$CC" -Wall -c "$P/w.c" -o w.o
}
