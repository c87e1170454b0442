# Compiles on workers of the user's own text: a tree of files instead of preprocessed text.
# shellcheck shell=bash disable=SC2154

# shellcheck source=tests/e2e/farm/lib.sh
source "$TESTS/e2e/farm/lib.sh"
export COFFER_SEND=tree
always_away

# of_trees N: so many compiles were of trees.
of_trees()
{
	local n
	settle
	n=${counters_after[remote_trees]}
	[ "$n" = "$1" ] || fail "$n of $1 compiles were of trees: $("$COFFER" status) $(tail -n 5 "$T"/w?.log) $(daemon_log 'compiled here|did not compile')"
}

e2e_trees_objects_are_the_compilers() # clock
{
	worker_start w1
	farm_project 4
	all_away 4 -O2 -g
	of_trees 4
	# What was compiled there is a hit here, until a header changes.
	read_counters counters_before
	rm -f got/*
	all_away 4 -O2 -g
	settle
	[ "$(grown direct_hits)" = 4 ] || fail "no hits:$(all_grown)"
	put inc/h.h '#define H 2' 'static inline int twice(int x) { return 2 * x + H; }'
	rm -f got/* want/*
	all_away 4 -O2 -g
	of_trees 8
	farm_end
}

# same_compile FILE FLAG...: the same object, depfile, messages and status as the compiler by itself has.
same_compile()
{
	local source=$1 plain=0 ours=0
	shift
	mkdir -p out
	rm -f out/*
	"$CC" "$@" -MD -MF out/x.d -c "$source" -o out/x.o 2>"$T/plain.err" || plain=$?
	rm -rf want && cp -r out want && rm -f out/*
	"$COFFER" "$CC" "$@" -MD -MF out/x.d -c "$source" -o out/x.o 2>"$T/ours.err" || ours=$?
	[ $plain = $ours ] || fail "$source $*: status $ours, not $plain: $(<"$T/ours.err")"
	same_file "$T/plain.err" "$T/ours.err"
	diff -r want out >/dev/null || fail "$source $*: another $(diff -rq want out)"
}

e2e_trees_what_had_to_stay_here_goes_away_now() # clock
{
	export LC_ALL=C COFFER_REPRODUCIBLE=off
	worker_start w1
	put 'deep/er/h h.h' '#pragma once' '#define MAX(a, b) ((a) > (b) ? (a) : (b))' 'static int unused_in_header(void) { return 1; }'
	put a.c '#include "deep/er/h h.h"' '#include <stdio.h>' 'int f(int a, unsigned b) { int unused; return MAX(a, b); }' \
		'const char *name(void) { return __FILE__; }'
	# Messages, the macros and checksums of debug information, sanitizers' columns, maps, names through a link and "..".
	same_compile a.c -Wall -Wextra -O1
	same_compile a.c -g3 -O2
	same_compile a.c -g -gdwarf-5
	same_compile a.c -g "-fdebug-prefix-map=$P=/src"
	same_compile a.c -fsanitize=undefined -O1
	same_compile "$P/a.c" -g
	ln -s deep linked
	put b.c '#include "linked/er/../er/h h.h"' 'int b(int x) { return MAX(x, 2); }'
	same_compile b.c -g -Wall
	put sub/c.c '#include <er/h h.h>' 'int c(int x) { return MAX(x, 2); }'
	same_compile sub/../sub/c.c -g -Ilinked -isystem "$P/deep/../sub"
	of_trees 8
	put o.m '__attribute__((objc_root_class))' '@interface A' '- (int) f;' '@end' '@implementation A' '- (int) f { return 1; }' '@end'
	if "$CC" -c o.m -o o.o 2>/dev/null; then
		same_compile o.m -O1
		of_trees 9
	fi
	[ "$(counter remote_messages)" = 0 ] || fail "a compile was done twice"
	# What fails is shown as the compiler here says it.
	put e.c 'int f(void) { return nothing; }'
	same_compile e.c
	farm_end
}

# With worker_messages = check no word of a worker's is shown: what says something is compiled here once more, and what says nothing is not.
e2e_trees_messages_are_those_of_the_compiler_here() # clock
{
	export LC_ALL=C COFFER_REPRODUCIBLE=off
	export COFFER_WORKER_MESSAGES=check
	worker_start w1
	put a.c 'int f(int a) { int unused; return a; }'
	same_compile a.c
	of_trees 1
	same_compile a.c -Wall
	same_compile a.c -Wall -g
	of_trees 1
	[ "$(counter remote_messages)" = 2 ] || fail "not counted: $("$COFFER" stats)"
	COFFER_WORKER_MESSAGES=show same_compile a.c -Wall -O1
	of_trees 2
	[ "$(counter remote_messages)" = 2 ] || fail "shown, and compiled twice: $("$COFFER" stats)"
	farm_end
}

# The language of the user's messages is asked for as one that every worker has. The last one no machine has: it is C.
e2e_trees_messages_are_in_the_users_language() # clock
{
	local locale n=0
	export COFFER_REPRODUCIBLE=off
	unset LC_ALL LC_CTYPE LC_MESSAGES LANG LANGUAGE
	worker_start w1
	put a.c 'int f(int a) { int unused; return a; }'
	for locale in C.UTF-8 en_US.UTF-8 xx_XX.UTF-8; do
		LANG=$locale same_compile a.c -Wall -DN=$((n += 1))
		LC_ALL=$locale LANGUAGE=en_US:en same_compile a.c -Wall -DN=$((n += 1))
	done
	[ "$(counter remote_messages)" = 0 ] || fail "compiles were done twice: $("$COFFER" stats)"
	of_trees $n
	farm_end
}

# The worker's machine has headers that the client has not: none of them counts.
e2e_trees_nothing_of_the_worker_is_seen() # gcc clock
{
	own_mounts
	export LC_ALL=C COFFER_REPRODUCIBLE=off
	put probe.c '#if __has_include(<only_there.h>) || __has_include(<sys/only_there.h>) || __has_include("only_there.h")' \
		'#error seen' '#endif' '#include <limits.h>' 'int x = INT_MAX;'
	put "$T/start" '#!/bin/bash' "mount -t tmpfs tmpfs /usr/local/include" 'echo "#error seen" >/usr/local/include/only_there.h' \
		'echo "#error seen" >/usr/local/include/limits.h' 'exec "$@"'
	chmod +x "$T/start"
	(COFFER_WORKER_LOG_FORMAT=text unshare -m "$T/start" "$COFFERD" worker --insecure-loopback --listen "unix:$T/w1.sock" --admin '' --name w1 \
		--folder "$T/w1" --slots 4 --compilers "$CC" --agent "$COFFER_BUILD/coffer-agent" >"$T/w1.log" 2>&1 &
	echo $! >"$T/w1.pid")
	wait_until 30 "[ -S $T/w1.sock ]" || fail "no worker: $(<"$T/w1.log")"
	export COFFER_WORKER=unix:$T/w1.sock
	same_compile probe.c -O1
	of_trees 1
	farm_end
}

e2e_trees_what_can_not_be_told_goes_as_text() # clock
{
	worker_start w1
	export COFFER_SEND=auto COFFER_REPRODUCIBLE=off
	put x.h 'int x;'
	put computed.c '#define NAME "x.h"' '#include NAME' 'int y;'
	put plain.c '#include "x.h"'
	same_compile computed.c -O1
	of_trees 0
	same_compile plain.c -O1
	of_trees 1
	[ "$(counter remote_compiles)" = 2 ] || fail "not all went away: $("$COFFER" status)"
	# With `tree` it stays here.
	put computed.c '#define NAME "x.h"' '#include NAME' 'int y, z;'
	COFFER_SEND=tree same_compile computed.c -O1
	[ "$(counter remote_compiles)" = 2 ] || fail "it went away"
	farm_end
}

# The runtime `process` has no roots for jobs, as older workers have none.
e2e_trees_a_worker_without_them_gets_text() # gcc clock
{
	export COFFER_SEND=auto
	worker_start w1 --runtime process
	farm_project 2
	all_away 2 -O1
	of_trees 0
	[ "$(counter remote_compiles)" -ge 1 ] || fail "nothing went away: $("$COFFER" status)"
	farm_end
}

# damage FILE: its last byte is another one.
damage()
{
	[ -s "$1" ] || fail "there is no '$1' to damage"
	printf '\377' | dd of="$1" bs=1 seek=$(($(stat -c %s "$1") - 1)) conv=notrunc status=none
}

# What a worker has lost since, it asks for again.
e2e_trees_lost_blobs_are_asked_for_again() # gcc clock
{
	local file
	worker_start w1
	farm_project 3
	all_away 1 -O1
	of_trees 1
	find "$T/w1/results" -type f -delete
	all_away 3 -O1
	of_trees 3
	# What is damaged is found out when it is read: the worker is asked once more, at once. Where all is damaged the text goes.
	touch "$T/before"
	put u2.c '#include "inc/h.h"' 'int changed(int x) { return twice(x) * 22; }'
	"$COFFER" "$CC" -O1 -c u2.c -o got/2.o || fail "a compile fails"
	of_trees 4
	find "$T/w1/results" -type f -size +0 -newer "$T/before" >"$T/files"
	while read -r file; do damage "$file"; done <"$T/files"
	"$COFFER" "$CC" -O2 -c u2.c -o got/2.o || fail "a compile fails"
	"$CC" -O2 -c u2.c -o want/2.o
	same_file want/2.o got/2.o
	of_trees 5
	grep -q ' gone from this worker' "$T/w1.log" || fail "nothing was lost"
	find "$T/w1/results" -type f -size +0 >"$T/files"
	while read -r file; do damage "$file"; done <"$T/files"
	COFFER_SEND=auto "$COFFER" "$CC" -O2 -c u3.c -o got/3.o || fail "a compile fails"
	"$CC" -O2 -c u3.c -o want/3.o
	same_file want/3.o got/3.o
	of_trees 5
	[ "$(counter remote_texts)" = 1 ] && [ "$(counter no_tree_failed)" = 1 ] || fail "the text did not go: $("$COFFER" stats)"
	farm_end
}

# A worker that says that it takes trees and does not take these: they go as preprocessed text, and soon nothing else is tried.
e2e_trees_refused_go_as_text() # gcc clock
{
	export COFFER_SEND=auto
	# The farm knows it by its address, however long that is.
	worker_start a_worker_with_more_letters_than_most_have_w1 --source-size 64K
	farm_project 7
	mkdir -p got
	for ((i = 1; i <= 7; i++)); do
		"$COFFER" "$CC" -O1 -c "u$i.c" -o "got/$i.o" 2>"$T/log" || fail "a compile fails: $(<"$T/log")"
		"$CC" -O1 -c "u$i.c" -o "$T/want.o"
		same_file "$T/want.o" "got/$i.o"
	done
	at_rest
	of_trees 0
	[ "$(counter remote_texts)" = 7 ] || fail "not all went as text: $("$COFFER" stats --tsv)"
	[ "$(counter no_tree_refused)" = 3 ] && [ "$(counter no_tree_worker)" = 4 ] || fail "not counted: $("$COFFER" stats)"
	"$COFFER" status | grep -q '^  not as files *7, of these 4: the worker takes no trees$' || fail "status: $("$COFFER" status)"
	"$COFFER" explain got/1.o >"$T/said" || fail "no explanation"
	grep -q "compiled by worker '.*w1.sock' from preprocessed text; that took .* of CPU here" "$T/said" &&
		grep -q "the files themselves did not go to a worker: a worker has refused the tree: '.*' (refused)" "$T/said" || fail "explain: $(<"$T/said")"
	# What only could go as a tree is compiled here.
	COFFER_SEND=tree "$COFFER" "$CC" -O2 -c u1.c -o got/t.o || fail "a compile fails"
	[ "$(counter remote_texts)" = 7 ] || fail "it went away"
	farm_end
}

# The worker is another program when it comes back, and its clients do not know.
e2e_trees_a_worker_comes_back_without_them() # gcc long clock
{
	export COFFER_SEND=auto
	worker_start w1
	farm_project 4
	all_away 1 -O1
	of_trees 1
	worker_kill w1 TERM
	wait_until 30 "[ ! -d /proc/$(<"$T/w1.pid") ]" || fail "it does not end"
	rm -f "$T/w1.sock"
	COFFER_WORKER='' worker_start w1 --runtime process
	export COFFER_WORKER=unix:$T/w1.sock
	rm -rf got
	all_away 4 -O1
	of_trees 1
	farm_end
}

# Several jobs are under way when the worker's machine goes down: that says nothing of trees, and the next ones go as trees again.
e2e_trees_go_on_after_a_restart() # gcc long clock
{
	export COFFER_SEND=auto
	worker_start w1
	farm_project 6
	all_away 1 -O1
	of_trees 1
	worker_kill w1 STOP
	seq 2 5 | xargs -P 4 -I{} "$COFFER" "$CC" -O1 -c u{}.c -o got/{}.o 2>"$T/log" &
	wait_until 20 "\"$COFFER\" status --json | grep -Eq '\"in_flight\": *[34]\\b'" || fail "they are not under way: $("$COFFER" status --json)"
	worker_kill w1 KILL
	wait $! || fail "a compile fails: $(<"$T/log")"
	of_trees 1
	[ "$(counter no_tree_failed)" -ge 3 ] || fail "they have not failed together: $("$COFFER" stats)"
	rm -f "$T/w1.sock"
	COFFER_WORKER='' worker_start w1
	export COFFER_WORKER=unix:$T/w1.sock
	wait_until 20 "\"$COFFER\" status --json | grep -Eq '\"state\": *\"fine\"'" || fail "the worker is not used again: $("$COFFER" status)"
	rm -rf want
	all_away 6 -O2
	[ "$(counter remote_trees)" -ge 2 ] && [ "$(counter no_tree_worker)" = 0 ] || fail "no trees any more: $("$COFFER" stats)"
	farm_end
}

# What is larger than max_output is so as text, too: it is compiled here at once, and says nothing of trees.
e2e_trees_too_large_is_not_sent_twice() # gcc clock
{
	local i
	export COFFER_SEND=auto COFFER_MAX_OUTPUT=64K
	worker_start w1
	put large.c 'int large[50000] = {N};'
	put small.c 'int small;'
	for i in 1 2 3; do
		"$COFFER" "$CC" -DN=$i -c large.c -o large.o || fail "a compile fails"
		"$CC" -DN=$i -c large.c -o want.o
		same_file want.o large.o
	done
	[ "$(counter remote_failed)" = 3 ] && [ "$(counter remote_texts)" = 0 ] && [ "$(counter no_tree_refused)" = 0 ] ||
		fail "it was sent again: $("$COFFER" stats --tsv)"
	same_compile small.c
	of_trees 1
	farm_end
}

# Where another worker has compiled it, the one that failed is still told by its own name.
e2e_trees_who_failed_is_told() # gcc long clock
{
	export COFFER_SEND=auto
	worker_start w1
	worker_start w2
	farm_project 2
	all_away 1 -O1
	of_trees 1
	worker_kill w1 STOP
	"$COFFER" "$CC" -O1 -c u2.c -o got/2.o 2>"$T/log" &
	wait_until 20 "\"$COFFER\" status --json | grep -Eq '\"in_flight\": *1\\b'" || fail "it is not under way"
	worker_kill w1 KILL
	wait $! || fail "a compile fails: $(<"$T/log")"
	at_rest
	"$COFFER" explain got/2.o >"$T/said" || fail "no explanation"
	grep -q "compiled by worker '.*w2.sock' from preprocessed text" "$T/said" &&
		grep -q "a worker has failed at the tree: '.*w1.sock' (failed)" "$T/said" || fail "explain: $(<"$T/said")"
	farm_end
}

# is_compiling: the worker's compiler runs in our directory.
is_compiling()
{
	local exe
	for exe in $(find /proc -maxdepth 2 -path '/proc/[0-9]*' -name exe -lname '*/cc1' 2>/dev/null); do
		[ "$(readlink "${exe%exe}cwd" 2>/dev/null)" = "$P" ] && return 0
	done
	return 1
}

# A header that changes before its text is asked for, and one that changes while the compiler runs.
e2e_trees_headers_that_change_meanwhile_spoil_nothing() # gcc long clock
{
	local i
	worker_start w1
	put h.h '#define H 1'
	put a.c '#include "h.h"' 'int h = H;'
	"$COFFER" "$CC" -O1 -c a.c -o a.o || fail "a compile fails"
	of_trees 1
	put h.h '#define H 2'
	worker_kill w1 STOP
	"$COFFER" "$CC" -O1 -c a.c -o a.o 2>"$T/log" &
	wait_until 20 "\"$COFFER\" status --json | grep -Eq '\"in_flight\": *1\\b'" || fail "it is not under way"
	sleep 1
	put h.h '#define H 3'
	worker_kill w1 CONT
	wait $! || fail "a compile fails: $(<"$T/log")"
	"$CC" -O1 -c a.c -o want.o
	same_file want.o a.o
	of_trees 1
	[ "$(counter no_tree_changed)" = 1 ] || fail "not counted: $("$COFFER" stats)"
	{ echo '#include "h.h"'; for ((i = 0; i < 200; i++)); do echo "int f$i(int x) { for (int k = 0; k < x; k++) x ^= k * H + $i; return x % (H + 1); }"; done; } >b.c
	"$CC" -O2 -c b.c -o was.o
	settle
	read_counters counters_before
	"$COFFER" "$CC" -O2 -c b.c -o b.o 2>"$T/log" &
	wait_until 30 is_compiling || fail "nothing is compiled there"
	put h.h '#define H 4'
	wait $! || fail "a compile fails: $(<"$T/log")"
	settle
	of_trees 2
	same_file was.o b.o
	[ "$(grown stored)" = 0 ] && [ "$(grown not_cached_input_changed)" = 1 ] || fail "it was kept:$(all_grown)"
	"$CC" -O2 -c b.c -o want.o
	"$COFFER" "$CC" -O2 -c b.c -o b.o || fail "a compile fails"
	same_file want.o b.o
	farm_end
}

# as_now FLAG: u.c with that kind of depfile, as the compiler by itself compiles it now.
as_now()
{
	local who
	for who in want got; do
		mkdir -p $who
		rm -f x.o x.d
		[ $who = want ] || set -- "$1" "$COFFER"
		"${@:2}" "$CC" -O1 -Ifirst -Isecond -isystem "$T/sys" "$1" -MF x.d -c u.c -o x.o 2>$who/err || true
		mv x.d x.o $who/ 2>/dev/null || true
	done
	diff -r want got || fail "$1: another compile"
}

# What the daemon knows of headers holds until one is edited, comes, goes or moves: in directories that are watched, in those that the
# build writes to, and with depfiles that leave out system headers.
e2e_trees_known_headers_that_change() # clock
{
	export LC_ALL=C COFFER_REPRODUCIBLE=off COFFER_WATCHED_FOLDERS=$T/sys COFFER_RECACHE=on
	worker_start w1
	put "$T/sys/deep/s.h" '#pragma once' '#include "t.h"' 'static inline int s(void) { return T; }'
	put "$T/sys/deep/t.h" '#define T 1'
	put "$T/sys/other.h" '#define OTHER 1'
	put first/none.h ''
	put second/h.h '#include <deep/s.h>' '#ifdef NEVER' '#include <other.h>' '#endif' '#define H 1'
	put u.c '#include "h.h"' 'int u(void) { return s() + H; }'
	sleep 2.1 # until what is known of the files is believed
	both() { as_now -MMD && as_now -MMD && as_now -MD; }
	both
	put "$T/sys/deep/t.h" '#define T 2'
	both
	# One that stands before it; a directory that has one comes; and they go again.
	put first/h.h '#include <deep/s.h>' '#define H 3'
	both
	rm first/h.h
	put first/deep/s.h 'static inline int s(void) { return 4; }'
	both
	rm -r first/deep
	both
	put "$T/sys/deep/t.h.gch" 'none'
	both
	rm "$T/sys/deep/t.h.gch"
	put h.h '#include <deep/s.h>' '#define H 5'
	both
	rm h.h
	both
	# The search path itself: another directory by that name, and a link.
	put third/h.h '#include <deep/s.h>' '#define H 6'
	mv second fourth && mv third second
	both
	rm -r second && ln -s fourth second
	both
	put "$T/sys/new/s.h" 'static inline int s(void) { return 7; }'
	mv "$T/sys/deep" "$T/sys/was" && mv "$T/sys/new" "$T/sys/deep"
	both
	rm "$T/sys/deep/s.h"
	both
	settle
	[ "${counters_after[remote_trees]}" -ge 30 ] || fail "only ${counters_after[remote_trees]} went as trees: $("$COFFER" stats)"
	farm_end
}

# Assembler sources go, and nothing that the assembler reads by itself is the worker's.
e2e_trees_assembler_and_what_it_reads() # gcc clock
{
	local crt
	export LC_ALL=C COFFER_REPRODUCIBLE=off
	crt=$("$CC" -print-file-name=crtend.o)
	[ -e "$crt" ] || skip "this compiler has no crtend.o"
	worker_start w1
	put inc/asm.h '#define VALUE 7' '.macro two a' '.long \a, \a' '.endm'
	put a.S '#include "asm.h"' '.data' '.globl x' 'x: two VALUE' '.section .note.GNU-stack,"",@progbits'
	same_compile a.S -Iinc
	same_compile a.S -Iinc -g
	put o.m 'int o(int x) { return x; }'
	same_compile o.m -O1
	of_trees 3
	# The name of the directive is put together by the assembler itself.
	put b.S '.macro take word' ".inc\\word \"$crt\"" '.endm' '.data' 'take bin'
	same_compile b.S
	of_trees 3
	[ "$(counter no_tree_stranger)" = 1 ] || fail "what the assembler read was believed: $("$COFFER" stats)"
	farm_end
}

# What the assembler is told to read goes along, where the text tells its name and the assembler lists what it has read.
e2e_trees_files_that_the_assembler_is_told_to_read() # clock
{
	export LC_ALL=C COFFER_SEND=auto COFFER_REPRODUCIBLE=off
	worker_start w1
	put blob.bin one
	put data/deep.bin two
	put inc/far.bin three
	put a.c 'asm(".section .rodata\n.globl blob\nblob: .incbin \"blob.bin\"\n .incbin \"data/deep.bin\",1,2\n .previous");' 'int a;'
	put b.S '.data' '.incbin "blob.bin"' '.INCBIN "far.bin"' '.section .note.GNU-stack,"",@progbits'
	same_compile a.c -O1
	put blob.bin another
	same_compile a.c -O1 -g
	case $CC in
	*clang*)
		# Its own assembler lists nothing.
		of_trees 0
		[ "$(counter no_tree_assembler)" = 2 ] || fail "not counted: $("$COFFER" stats)"
		;;
	*)
		of_trees 2
		same_compile b.S -Iinc
		same_compile b.S -Iinc -g
		of_trees 4
		# It is an input like any other: another one is another result, and the first one is known again.
		put blob.bin more
		same_compile b.S -Iinc
		of_trees 5
		put blob.bin another
		check hit "$COFFER" "$CC" -Iinc -MD -MF out/x.d -c b.S -o out/x.o
		# Names that do not stand there as they are, and files that are nowhere.
		put c.c '#define NAME "blob.bin"' 'asm(".incbin \"" NAME "\"");' 'int c;'
		same_compile c.c -O1
		rm blob.bin
		same_compile b.S -Iinc
		of_trees 5
		[ "$(counter no_tree_assembler)" = 2 ] || fail "not counted: $("$COFFER" stats)"
		;;
	esac
	farm_end
}

# A file that only the worker has. The plain compiler fails here, and so do we, also where names are mapped.
# gcc takes two files with one text and one date for one, clang two names of one file; at the worker the files have other dates.
e2e_trees_equal_texts_that_count_once() # clock
{
	local include second
	export COFFER_REPRODUCIBLE=off
	worker_start w1
	mkdir a b
	for include in include import; do
		put a.c "#$include \"a/x.h\"" "#$include \"b/y.h\"" '#define STRING(x) #x'
		put a/x.h "$([ $include = import ] || echo '#pragma once')" '#define JOIN2(a, b) a##b' '#define JOIN(a, b) JOIN2(a, b)' \
			'int JOIN(v, __COUNTER__);'
		cp a/x.h b/y.h
		touch -d @1700000000 a/x.h
		for second in 5 0 5; do
			touch -d @170000000$second b/y.h
			same_compile a.c -O1
		done
		rm b/y.h && ln a/x.h b/y.h
		same_compile a.c -O1
	done
	farm_end
}

e2e_trees_files_that_only_a_worker_has() { # gcc clock
	local hidden=/usr/share/doc/libc6 mode
	need unshare
	need_root
	[ -e $hidden/copyright ] || skip "there is no $hidden/copyright"
	export LC_ALL=C
	worker_start w1
	put sub/a.S '.macro take word' ".inc\\word \"$hidden/copyright\"" '.endm' '.data' 'take bin'
	for mode in off on; do
		export COFFER_REPRODUCIBLE=$mode
		"$COFFER" stop >/dev/null
		unshare -m bash -c "mount -t tmpfs none $hidden && cd sub && exec '$COFFER' $CC -g -c a.S -o a.o" >"$T/log" 2>&1 &&
			fail "$mode: it compiles: $(<"$T/log")"
		grep -q 'file not found' "$T/log" || fail "$mode: it says: $(<"$T/log")"
		[ "$(counter no_tree_stranger)" -ge 1 ] || fail "$mode: it did not go to the worker: $("$COFFER" stats)"
	done
	farm_end
}

# unit_is_the_same DIRECTORY OBJECT DEPFILE COMMAND...: object, depfile, messages and status are the plain compiler's.
unit_is_the_same()
{
	local directory=$1 object=$2 depfile=$3 who
	shift 3
	for who in plain ours; do
		(
			cd "$directory" || exit 1
			rm -f "$object" "$depfile"
			[ $who = plain ] || set -- "$COFFER" "$@"
			"$@" 2>"$T/$who.err"
			echo $? >"$T/$who.status"
			rm -f "$T/$who.o" "$T/$who.d"
			[ ! -e "$object" ] || cp "$object" "$T/$who.o"
			[ ! -e "$depfile" ] || cp "$depfile" "$T/$who.d"
		)
	done
	same_file "$T/plain.status" "$T/ours.status"
	same_file "$T/plain.err" "$T/ours.err"
	[ "$(<"$T/plain.status")" = 0 ] || return 0
	same_file "$T/plain.o" "$T/ours.o"
	[ ! -e "$T/plain.d" ] || same_file "$T/plain.d" "$T/ours.d"
}

# units_are_the_same PACKAGE EVERY: every so many'th unit of a project as it is compiled there, with and without debug information; with
# FULL=1 each unit, with and without in turn, most of them not optimized; with COFFER_TEST_ALL_UNITS=1 each as it is, in both ways.
units_are_the_same()
{
	local words at=0 i=0 n=0 every=$2 compiler how ways
	[ -z "${FULL:-}${COFFER_TEST_ALL_UNITS:-}" ] || every=1
	export LC_ALL=C COFFER_REPRODUCIBLE=off
	package_sources "$1"
	"$TESTS/../bench/project.sh" record "$1" "$P" "$T/commands" || fail "its commands can't be told"
	worker_start w1
	mapfile -d '' words <"$T/commands"
	for (( ; at < ${#words[@]}; at += 4 + words[at], i++)); do
		[ $((i % every)) = 0 ] || continue
		compiler=$CC ways=(-g -g0)
		[ "${words[at+4]}" != g++ ] || compiler=$CXX
		[ -n "${COFFER_TEST_ALL_UNITS:-}" ] || [ -z "${FULL:-}" ] || ways=("${ways[i % 2]}$([ $((i % 8)) -lt 2 ] || echo ' -O0')")
		for how in "${ways[@]}"; do
			n=$((n + 1))
			# shellcheck disable=SC2086
			unit_is_the_same "${words[@]:at+1:3}" "$compiler" "${words[@]:at+5:words[at]-1}" $how
		done
	done
	[ "$(counter remote_trees)" -ge $((n / 2)) ] || fail "of $n compiles $(counter remote_trees) went as trees: $("$COFFER" stats)"
}

e2e_trees_units_of_git() # long
{
	need make
	units_are_the_same git 60
	[ "$(counter remote_messages)" = 0 ] || fail "compiles were done twice: $("$COFFER" stats)"
	farm_end
}

# These say something when they are compiled, and some of them do not compile for want of a header.
e2e_trees_units_of_redis() # long
{
	units_are_the_same redis 30
	farm_end
}

e2e_trees_units_of_fmtlib() # long
{
	units_are_the_same fmtlib 24
	farm_end
}

# An image without the directories of headers that the client has has no room for a tree: its worker refuses it and gets text.
e2e_trees_an_image_without_room_for_them_gets_text() # once clock
{
	local image
	image=sha256:$(printf 'd%.0s' {1..64})
	need_root
	[ "$(uname -m)" = x86_64 ] || skip "only tried on x86-64"
	export COFFER_SEND=auto COFFER_IMAGE=$image
	gcc_rootfs "$T/images/${image/:/-}/rootfs"
	cp /usr/include/stdc-predef.h "$T/images/${image/:/-}/rootfs/usr/include/"
	worker_start w1 --images "$T/images"
	builds() { put x.c "int x = $1;" && "$COFFER" gcc -c x.c -o x.o && gcc -c x.c -o want.o && same_file want.o x.o; }
	builds 1 && builds 2 || fail "a compile fails"
	at_rest
	[ "$(counter no_tree_refused)" = 2 ] && [ "$(counter remote_texts)" = 2 ] || fail "not refused: $("$COFFER" stats) $(tail -3 "$T/w1.log")"
	# With them it takes trees.
	gcc_rootfs_headers "$T/images/${image/:/-}/rootfs"
	builds 3 || fail "a compile fails"
	of_trees 1
	farm_end
}
