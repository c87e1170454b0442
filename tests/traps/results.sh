# Traps 59-70: results, the cache's own faults, signals, terminals, questions to the compiler.
# shellcheck shell=bash

trap_59_failing_compiles_are_not_stored()
{
	put a.c 'int f(void) { return undeclared; }'
	untouched compile_failed "$CC" -c a.c -o a.o
	[ "$(<"$T/got/status")" = 1 ] || fail "another exit status"
	has_text "$T/got/stderr" undeclared
	check compile_failed "$CC" -MD -c a.c -o a.o
	put w.c 'int f(void) { int unused; return 0; }'
	untouched compile_failed "$CC" -Wall -Werror -c w.c -o w.o
	put m.c '#include "missing.h"'
	untouched compile_failed "$CC" -MD -c m.c -o m.o
	# The header comes: no failure is remembered.
	put missing.h 'int here;'
	check miss "$CC" -MD -c m.c -o m.o
	put e.c '#error no'
	untouched compile_failed "$CC" -c e.c -o e.o
	put s.c 'asm("nonsense");'
	untouched compile_failed "$CC" -c s.c -o s.o
	put s.S 'nonsense'
	untouched compile_failed "$CC" -c s.S -o s.o
	COFFER_REPRODUCIBLE=on check compile_failed "$CC" -c a.c -o a.o
	COFFER_REPRODUCIBLE=on check compile_failed "$CC" -Wall -Werror -c "$PWD/w.c" -o w.o
	return 0
}

trap_59_a_compiler_killed_by_a_signal()
{
	local launcher compiler status
	EXPECT_TEMPS=1 # a killed driver leaves its own behind
	slow_source a.c 800
	read_counters counters_before
	"$COFFER" "$CC" -O2 -c a.c -o a.o 2>"$T/err" &
	launcher=$!
	compiler_runs $launcher
	sleep 0.1
	for compiler in $(compilers_below $launcher); do kill -KILL "$compiler"; done
	wait $launcher
	status=$?
	# The driver itself was killed: the launcher must end as it did.
	[ $status = 137 ] || fail "exit status $status: $(<"$T/err")"
	settle
	judge compile_killed || fail "counted:$(all_grown)"
	[ ! -e a.o ] || fail "an object is left behind"
	slow_source a.c 1
	check miss "$CC" -O2 -c a.c -o a.o
}

trap_59_a_stage_killed_by_a_signal() # gcc
{
	local launcher stage status
	slow_source a.c 800
	"$COFFER" gcc -O2 -c a.c -o a.o 2>"$T/err" &
	launcher=$!
	wait_until 5 'stage=$(compilers_below $launcher | tail -1); [ "$(cat /proc/$stage/comm 2>/dev/null)" = cc1 ]' ||
		fail "no cc1 is started"
	kill -KILL "$stage"
	wait $launcher
	status=$?
	gcc -O2 -c a.c -o b.o 2>"$T/plain.err" &
	launcher=$!
	wait_until 5 'stage=$(compilers_below $launcher | tail -1); [ "$(cat /proc/$stage/comm 2>/dev/null)" = cc1 ]'
	kill -KILL "$stage"
	wait $launcher
	[ $status = $? ] || fail "exit status $status"
	same_file "$T/err" "$T/plain.err"
	[ ! -e a.o ] || fail "an object is left behind"
}

trap_60_an_old_object_after_a_failure()
{
	local text
	for text in 'int f(void) { return undeclared; }' 'asm("nonsense");' '#include "missing.h"' '#error x'; do
		put a.c "$text"
		echo old >a.o
		echo old >a.d
		check compile_failed "$CC" -MD -c a.c -o a.o
		rm -f a.o a.d a.gcno a.su a.dwo
		for file in a.gcno a.su a.dwo; do echo old >$file; done
		echo old >a.o
		ln a.o other.o
		check compile_failed "$CC" -g -gsplit-dwarf -fstack-usage -frandom-seed=1 --coverage -c a.c -o a.o
		check any "$CC" -S a.c -o a.o
		rm -f a.o other.o
		echo old >target.o
		ln -s target.o a.o
		check compile_failed "$CC" -c a.c -o a.o
		rm -f a.o target.o
	done
	echo old >a.o
	# It fails on a declaration too, so that nobody can say what this compiler looks at.
	check toolchain_unobserved "$CC" -funknown-option-x -c a.c -o a.o
	check any "$CC" -c missing.c -o a.o
	return 0
}

trap_61_links_as_outputs()
{
	local cold
	put a.c 'int a;'
	for cold in cold warm; do
		mkdir real
		echo old >real/r.o
		echo old >real/r.d
		ln -s real/r.o a.o
		ln -s real/r.d a.d
		check any "$CC" -MD -c a.c -o a.o
		rm -rf a.o a.d real
		ln -s nowhere.o a.o
		check any "$CC" -c a.c -o a.o
		rm -f a.o nowhere.o
		mkdir real
		ln -s real out
		check any "$CC" -MD -c a.c -o out/a.o
		rm -r out real
		ln -s real.s a.s
		check any "$CC" -S a.c -o a.s
		rm -f a.s real.s
		ln -s a.o a.o
		check any "$CC" -c a.c -o a.o
		rm -f a.o
		ln -s a.c link.o
		[ $cold = cold ] || check any "$CC" -c a.c -o link.o
		put a.c 'int a;'
		rm -f link.o
		ln -s /dev/null null.o
		check any "$CC" -c a.c -o null.o
		[ -c /dev/null ] || fail "/dev/null was replaced"
		rm -f null.o
	done
}

trap_61_hard_links_and_modes_of_old_outputs()
{
	local mode
	put a.c 'int a;'
	for mode in 444 600 755 000 666; do
		for output in a.o a.s; do
			local options=-c
			[ $output = a.o ] || options=-S
			echo 'something old and much longer than any line' >$output
			[ $output = a.s ] || head -c 100000 /dev/zero >>$output
			chmod $mode $output
			ln $output other
			echo old >a.d
			chmod $mode a.d
			ln a.d other.d
			same "$CC" -MD $options a.c -o $output
			# Whether the compiler writes into the old file shows in its other name, which same compares as well.
			rm -f $output other a.d other.d
		done
	done
}

trap_61_empty_outputs_that_were_there()
{
	local mode
	put a.c 'int a;'
	check any "$CC" -MD -c a.c -o z.o
	# As configure and kernel scripts do with mktemp.
	for mode in 600 644 444; do
		: >a.o
		: >a.d
		chmod $mode a.o a.d
		ln a.o other.o
		check any "$CC" -MD -c a.c -o a.o
		check any "$CC" -MD -c a.c -o a.o
		rm -f a.o a.d other.o
	done
}

trap_61_outputs_that_are_inputs()
{
	put h.h '#define H 1'
	put a.c '#include "h.h"' 'int a = H;'
	check any "$CC" -MD -c a.c -o a.o
	for output in a.c ./a.c "$PWD/a.c"; do
		check any "$CC" -c a.c -o "$output"
		is_clang || [ "$(<"$T/got/status")" != 0 ] || fail "the source was overwritten"
		put a.c '#include "h.h"' 'int a = H;'
	done
	ln -s a.c link.o
	check any "$CC" -c a.c -o link.o
	put a.c '#include "h.h"' 'int a = H;'
	ln -f a.c hard.o
	check any "$CC" -c a.c -o hard.o
	put a.c '#include "h.h"' 'int a = H;'
	cp h.h saved.h
	check any "$CC" -c a.c -o h.h
	cp saved.h h.h
	check any "$CC" -MD -MF h.h -c a.c -o a.o
	cp saved.h h.h
	check any "$CC" -MD -MF a.c -c a.c -o a.o
	put a.c '#include "h.h"' 'int a = H;'
	check any "$CC" -MD -MF a.o -c a.c -o a.o
	return 0
}

trap_61_the_cache_is_not_linked_to_the_build()
{
	put a.c 'int a = 12345;'
	same "$CC" -MD -c a.c -o a.o
	rm a.o a.d
	counted hit coffer "$CC" -MD -c a.c -o a.o
	[ "$(stat -c %h a.o)" = 1 ] || fail "the object has several names"
	printf 'damage' | dd of=a.o conv=notrunc status=none
	: >a.d
	"$CC" -c a.c -o want.o
	rm a.o a.d
	counted hit coffer "$CC" -MD -c a.c -o a.o
	same_file a.o want.o
	has_text a.d 'a.o: a.c'
}

trap_61_nobody_sees_half_an_object()
{
	local i
	slow_source a.c 60
	"$CC" -c a.c -o want.o
	counted any coffer "$CC" -c a.c -o a.o
	same_file a.o want.o
	{
		while [ ! -e "$T/stop" ]; do
			cp a.o "$T/seen.o" 2>/dev/null && { cmp -s "$T/seen.o" want.o || : >"$T/half"; }
		done
	} &
	for i in {1..60}; do "$COFFER" "$CC" -c a.c -o a.o || fail "the compile failed"; done
	: >"$T/stop"
	wait
	[ ! -e "$T/half" ] || fail "half an object was seen"
	[ "$(counter direct_hits)" -ge 60 ] || fail "no hits"
}

trap_61_nothing_is_left_beside_the_output()
{
	put a.c 'int a;'
	mkdir out
	counted any coffer "$CC" -MD -c a.c -o out/a.o
	counted hit coffer "$CC" -MD -c a.c -o out/a.o
	[ "$(ls -A out | tr '\n' ' ')" = 'a.d a.o ' ] || fail "there is more: $(ls -A out)"
}

trap_62_modes_follow_the_umask()
{
	local mask state
	put a.c 'int a;' 'int f(void) { return a; }'
	for state in cold warm; do
		for mask in 077 002 000 027 0777; do
			umask $mask
			check any "$CC" -MD -c a.c -o a.o
			check any "$CC" -g -gsplit-dwarf -fstack-usage -frandom-seed=1 --coverage -c a.c -o a.o
			check any "$CC" -S a.c -o a.s
			umask 022
			rm -f a.o a.s a.d a.dwo a.su a.gcno
		done
	done
	mkdir shared
	chmod 2775 shared
	check any "$CC" -MD -c a.c -o shared/a.o
}

trap_62_mtime_is_now()
{
	local stamp
	put a.c '#include "h.h"' 'int a;'
	put h.h 'int h;'
	touch -d '2020-01-01' a.c h.h
	same "$CC" -MD -c a.c -o a.o
	touch -d '2021-01-01' a.o a.d
	: >"$T/stamp"
	sleep 0.02
	counted hit coffer "$CC" -MD -c a.c -o a.o
	[ a.o -nt "$T/stamp" ] || fail "the object is as old as $(stat -c %y a.o)"
	[ a.d -nt "$T/stamp" ] || fail "the depfile is as old as $(stat -c %y a.d)"
	put Makefile 'a.o: a.c h.h' $'\t@echo run; $(COFFER) '"$CC"' -c a.c -o a.o'
	sleep 0.02
	touch h.h
	COFFER=$COFFER make >"$T/first"
	has_text "$T/first" run
	COFFER=$COFFER make >"$T/second"
	lacks_text "$T/second" run
}

# Flips the bits of one byte of a file.
flip()
{
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
	# shellcheck disable=SC2059
	printf "\\x$(printf %02x $((byte ^ ${3:-255})))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

trap_63_corrupt_entries_are_a_miss() # long
{
	local file way size n=0
	EXPECT_ERRORS=1 EXPECT_TEMPS=1
	put a.c '#include "h.h"' 'int value = H; int f(void) { int unused; return H; }'
	put h.h '#define H 1'
	check any "$CC" -Wall -MD -c a.c -o a.o
	again hit "$CC" -Wall -MD -c a.c -o a.o
	"$COFFER" stop
	cp -a "$COFFER_CACHE_DIR" "$T/good"
	while read -r file; do
		size=$(stat -c %s "$T/good/$file")
		for way in first header middle last short empty longer garbage gone folder; do
			n=$((n + 1))
			rm -rf "$COFFER_CACHE_DIR"
			cp -a "$T/good" "$COFFER_CACHE_DIR"
			case $way in
			first) flip "$COFFER_CACHE_DIR/$file" 0 ;;
			header) flip "$COFFER_CACHE_DIR/$file" $((size > 30 ? 30 : size / 2)) ;;
			middle) flip "$COFFER_CACHE_DIR/$file" $((size / 2)) 1 ;;
			last) flip "$COFFER_CACHE_DIR/$file" $((size - 1)) 128 ;;
			short) truncate -s $((size / 2)) "$COFFER_CACHE_DIR/$file" ;;
			empty) truncate -s 0 "$COFFER_CACHE_DIR/$file" ;;
			longer) head -c 5000 /dev/urandom >>"$COFFER_CACHE_DIR/$file" ;;
			garbage) head -c "$size" /dev/urandom >"$COFFER_CACHE_DIR/$file" ;;
			gone) rm "$COFFER_CACHE_DIR/$file" ;;
			folder) rm "$COFFER_CACHE_DIR/$file" && mkdir "$COFFER_CACHE_DIR/$file" ;;
			esac
			rm -f a.o a.d
			timeout 20 "$COFFER" "$CC" -Wall -MD -c a.c -o a.o 2>"$T/err" || fail "$way of $file: the compile failed: $(<"$T/err")"
			cmp a.o "$T/plain/tree/a.o" || fail "$way of $file: a wrong object"
			cmp a.d "$T/plain/tree/a.d" || fail "$way of $file: a wrong depfile"
			cmp "$T/err" "$T/plain/stderr" || fail "$way of $file: other messages"
			"$COFFER" stop >/dev/null 2>&1
		done
	done < <(cd "$COFFER_CACHE_DIR" && cache_files_in .)
	[ $n -ge 20 ] || fail "there are hardly any files in the cache: $(find "$COFFER_CACHE_DIR")"
}

cache_files_in() { find "$1" -type f -size +0 -printf '%P\n'; }

trap_63_corruption_under_a_running_daemon()
{
	local file i
	EXPECT_ERRORS=1
	put a.c 'int value = 1;'
	check any "$CC" -c a.c -o a.o
	for i in 1 2 3; do
		rm a.o
		counted hit coffer "$CC" -c a.c -o a.o
		# Each file once, whatever its names are; the first and the last of those that share it.
		while read -r _ file; do
			flip "$file" $(($(stat -c %s "$file") - 1))
			[ "$(stat -c %s "$file")" -lt 150 ] || flip "$file" 100
		done < <(find "$COFFER_CACHE_DIR"/v1 -type f -path '*/v1/*/??/*' -size +0 -printf '%i %p\n' | sort -u -k1,1)
		rm a.o
		counted any coffer "$CC" -c a.c -o a.o || fail "the compile failed"
		same_file a.o "$T/plain/tree/a.o"
	done
	[ "$(counter corrupt)" -ge 1 ] || fail "no corrupt entry is counted"
	rm a.o
	counted hit coffer "$CC" -c a.c -o a.o
	same_file a.o "$T/plain/tree/a.o"
}

# compiles_here [CMD...]: two different compiles succeed, are right, and print nothing but what the compiler does.
compiles_here()
{
	local round
	for round in 1 2; do
		put b.c "int b$round; int f(void) { int unused; return 0; }"
		"$CC" -Wall -MD -MF want.d -MT b.o -c b.c -o want.o 2>"$T/want.err"
		rm -f b.o b.d
		timeout 30 "$@" "$COFFER" "$CC" -Wall -MD -c b.c -o b.o 2>"$T/b.err" || {
			echo "status $?, messages:"
			cat "$T/b.err"
			return 1
		}
		cmp b.o want.o && cmp b.d want.d && cmp "$T/b.err" "$T/want.err" || return 1
	done
}

# in_mounts FUNCTION ARGS...: runs a function of these tests in its own mount name space.
in_mounts()
{
	need_root
	unshare -m true 2>/dev/null || skip "no name spaces here"
	export -f "$1" compiles_here put fail stop_daemons daemons leftovers wait_until
	export CC T P
	unshare -m --propagation private bash -c 'set -u; cd "$P"; "$@"' - "$@" || fail "see above"
}

cache_on_small_disk()
{
	mkdir -p "$COFFER_CACHE_DIR"
	mount -t tmpfs -o "size=256k,$1" none "$COFFER_CACHE_DIR" || exit 1
	compiles_here || fail "with $1"
	[ -z "${2:-}" ] || dd if=/dev/zero of="$COFFER_CACHE_DIR/filler" bs=1k count=1024 status=none 2>/dev/null
	compiles_here || fail "with $1 and no space left"
	stop_daemons || fail "daemons do not stop"
}

trap_64_no_space_in_the_cache()
{
	EXPECT_ERRORS=1
	for options in size=256k size=64k size=4k nr_inodes=20 nr_inodes=5 nr_inodes=2; do
		in_mounts cache_on_small_disk $options full
	done
}

cache_is_read_only()
{
	mkdir -p "$COFFER_CACHE_DIR"
	[ -z "${1:-}" ] || compiles_here || fail "before"
	[ -z "${1:-}" ] || stop_daemons
	mount --bind "$COFFER_CACHE_DIR" "$COFFER_CACHE_DIR"
	mount -o remount,bind,ro "$COFFER_CACHE_DIR"
	compiles_here || fail "read-only"
	stop_daemons || fail "daemons do not stop"
	# It becomes read-only under a daemon.
	umount "$COFFER_CACHE_DIR"
	compiles_here || fail "writable again"
	mount --bind "$COFFER_CACHE_DIR" "$COFFER_CACHE_DIR"
	mount -o remount,bind,ro "$COFFER_CACHE_DIR"
	compiles_here || fail "read-only under a daemon"
	stop_daemons || fail "daemons do not stop"
}

trap_64_read_only_cache()
{
	EXPECT_ERRORS=1
	in_mounts cache_is_read_only
	in_mounts cache_is_read_only filled
}

trap_64_cache_folder_of_somebody_else()
{
	EXPECT_ERRORS=1
	need_root
	need setpriv
	mkdir -p "$COFFER_CACHE_DIR" "$T/shared"
	chmod 0700 "$COFFER_CACHE_DIR"
	chmod 0755 "$T" "$T/p"
	chmod 0777 "$T/p" "$T/tmp" "$T/shared"
	compiles_here setpriv --reuid 65534 --regid 65534 --clear-groups || fail "as another user"
	rm -f b.* want.*
	COFFER_CACHE_DIR=$T/shared compiles_here setpriv --reuid 65534 --regid 65534 --clear-groups || fail "as another user"
	COFFER_CACHE_DIR=$T/shared timeout 10 setpriv --reuid 65534 --regid 65534 --clear-groups "$COFFER" stop
	rm -f b.* want.*
}

trap_64_cache_folders_that_are_none()
{
	EXPECT_ERRORS=1
	local dir
	put "$T/file" 'a file'
	ln -s loop "$T/loop"
	for dir in "$T/file" "$T/file/below" /dev/null /proc/nothing "$T/loop" "$T/$(printf 'x%.0s' {1..300})" relative/folder \
		"$T/$(printf 'deep/%.0s' {1..60})" "$T/with space"; do
		COFFER_CACHE_DIR=$dir compiles_here || fail "with the cache folder '$dir'"
		COFFER_CACHE_DIR=$dir timeout 10 "$COFFER" stop >/dev/null 2>&1
	done
	COFFER_CACHE_DIR='' compiles_here || fail "with an empty name"
	COFFER_CACHE_DIR='' timeout 10 "$COFFER" stop >/dev/null 2>&1
	return 0
}

trap_64_few_descriptors()
{
	local n
	EXPECT_ERRORS=1
	# As many as the plain compiler needs are enough.
	for n in 4 5 6 7 8 9 10 11 12 14 16 20 30; do
		put b.c "int b$n;"
		rm -f b.o want.o
		(ulimit -n $n && exec "$CC" -c b.c -o want.o) 2>/dev/null || continue
		(ulimit -n $n && exec timeout 20 "$COFFER" "$CC" -c b.c -o b.o) || fail "fails with $n descriptors"
		same_file b.o want.o
		rm b.o
		(ulimit -n $n && exec timeout 20 "$COFFER" "$CC" -c b.c -o b.o) || fail "fails with $n descriptors, warm"
		same_file b.o want.o
		stop_daemons
	done
}

trap_64_a_daemon_with_few_descriptors()
{
	local i
	EXPECT_ERRORS=1
	(ulimit -n 12 && exec "$COFFER" "$CC" --version) >/dev/null
	for i in {1..24}; do put "u$i.c" "int u$i;"; done
	(
		ulimit -n 24
		for i in {1..24}; do
			timeout 60 "$COFFER" "$CC" -c "u$i.c" -o "u$i.o" || echo "$i" >>"$T/bad" &
		done
		wait
	)
	[ ! -e "$T/bad" ] || fail "compiles fail: $(<"$T/bad")"
	for i in {1..24}; do
		"$CC" -c "u$i.c" -o want.o
		same_file "u$i.o" want.o
	done
}

trap_64_a_limit_on_file_sizes()
{
	EXPECT_ERRORS=1
	put a.c 'int a;'
	"$CC" -c a.c -o want.o
	# Enough for the object, not for what a cache might want to write; SIGXFSZ must kill nobody.
	(ulimit -f 8 && exec timeout 20 "$COFFER" "$CC" -c a.c -o a.o) || fail "fails"
	same_file a.o want.o
	stop_daemons
	(ulimit -v 2000000 && exec timeout 20 "$COFFER" "$CC" -O2 -c a.c -o a.o) || fail "fails with little memory"
}

trap_65_many_writers_of_one_key()
{
	local i
	slow_source a.c 20
	"$CC" -O2 -MD -MT x.o -c a.c -o want.o
	for i in {1..20}; do
		"$COFFER" "$CC" -O2 -MD -c a.c -o "out$i.o" || echo "$i" >>"$T/bad" &
	done
	wait
	[ ! -e "$T/bad" ] || fail "compiles failed: $(<"$T/bad")"
	for i in {1..20}; do
		same_file "out$i.o" want.o
		has_text "out$i.d" "out$i.o: a.c"
	done
	expect_hit "$CC" -O2 -MD -c a.c -o a.o
	# All into one file.
	for i in {1..20}; do
		"$COFFER" "$CC" -O2 -MD -c a.c -o one.o || echo "$i" >>"$T/bad" &
	done
	wait
	[ ! -e "$T/bad" ] || fail "compiles failed: $(<"$T/bad")"
	same_file one.o want.o
}

trap_65_stale_locks_of_the_dead() # clock
{
	local pid start
	EXPECT_TEMPS=1
	put a.c 'int a;'
	check any "$CC" -c a.c -o a.o
	for pid in $(daemons); do kill -KILL "$pid"; done
	start=$(now_ms)
	check hit "$CC" -c a.c -o a.o
	[ $(($(now_ms) - start)) -lt 3000 ] || fail "a killed daemon costs $(($(now_ms) - start)) ms"
	# What may be left of one: its socket, its lock.
	for pid in $(daemons); do kill -STOP "$pid" && kill -KILL "$pid"; done
	find "$COFFER_CACHE_DIR" \( -name '*.lock' -o -name 'lock*' \) -exec sh -c 'echo 999999 >"$1"' - {} \;
	start=$(now_ms)
	check hit "$CC" -c a.c -o a.o
	[ $(($(now_ms) - start)) -lt 3000 ] || fail "a stale lock costs $(($(now_ms) - start)) ms"
}

trap_65_daemons_of_several_processes_start_once()
{
	local i
	put a.c 'int a;'
	"$CC" -c a.c -o want.o
	for i in {1..30}; do
		"$COFFER" "$CC" -c a.c -o "out$i.o" || echo "$i" >>"$T/bad" &
	done
	wait
	[ ! -e "$T/bad" ] || fail "compiles failed: $(<"$T/bad")"
	wait_until 10 '[ "$(daemons | wc -l)" = 1 ]' || fail "there are $(daemons | wc -l) daemons"
	for i in {1..30}; do same_file "out$i.o" want.o; done
}

# killed_by SIGNAL TO: a slow compile gets the signal; it and its children must be gone, and so must their files.
killed_by()
{
	local signal=$1 to=$2 number launcher below pid status
	number=$(kill -l "$signal")
	mkdir -p out
	# A process group of its own, with the signals at their defaults, as from an interactive shell.
	perl -e 'setpgrp; $SIG{INT} = $SIG{QUIT} = "DEFAULT"; exec @ARGV or die' "$COFFER" "$CC" -O2 -MD -c a.c -o out/a.o 2>"$T/err" &
	launcher=$!
	compiler_runs $launcher
	sleep 0.2
	below=$(compilers_below $launcher)
	case $to in
	launcher) kill -"$signal" $launcher ;;
	group) kill -"$signal" -- -$launcher ;;
	esac
	wait $launcher
	status=$?
	[ $status = $((128 + number)) ] || fail "$signal to the $to: exit status $status"
	for pid in $below; do
		wait_until 2 "[ ! -d /proc/$pid ] || grep -q '^State:.Z' /proc/$pid/status" || fail "$signal to the $to: a child goes on"
	done
	[ ! -e out/a.o ] || fail "$signal to the $to: an object is left"
	[ -z "$(ls -A out)" ] || [ "$(ls -A out)" = a.d ] || fail "$signal to the $to: left behind: $(ls -A out)"
	[ -z "$(ls -A "$TMPDIR")" ] || fail "$signal to the $to: left in TMPDIR: $(ls -A "$TMPDIR")"
	lacks_text "$T/err" coffer:
	rm -rf out
}

trap_66_signals_end_everything()
{
	local signal to
	need perl
	slow_source a.c 2000
	for signal in INT TERM HUP; do
		for to in launcher group; do
			killed_by $signal $to
		done
	done
	slow_source a.c 1
	check any "$CC" -O2 -c a.c -o a.o
}

# A compiler that gets a second signal ends before it has removed its files. Here it takes its time to do so.
trap_66_a_signal_to_the_group_comes_once() # clang
{
	local signal
	need perl
	put slow.c '#define _GNU_SOURCE' '#include <sys/syscall.h>' '#include <time.h>' '#include <unistd.h>' \
		'int unlink(const char *name)' '{' 'struct timespec t = {0, 200000000};' 'while (nanosleep(&t, &t)) ;' \
		'return (int)syscall(SYS_unlink, name);' '}'
	"$CC" -shared -fPIC -o "$T/slow.so" slow.c || fail "slow.so"
	slow_source a.c 2000
	export LD_PRELOAD=$T/slow.so
	for signal in INT TERM HUP; do killed_by $signal group; done
	unset LD_PRELOAD
}

trap_66_the_signal_is_raised_again() # once
{
	need perl
	slow_source a.c 1000
	for signal in INT TERM HUP QUIT PIPE; do
		perl -e '
			$SIG{INT} = $SIG{QUIT} = $SIG{PIPE} = "DEFAULT";
			my $pid = fork;
			if (!$pid) { setpgrp; exec @ARGV or die }
			select undef, undef, undef, 0.5;
			kill "'$signal'", -$pid;
			waitpid $pid, 0;
			printf "%d", $? & 127;' "$COFFER" "$CC" -O2 -c a.c -o a.o >"$T/status" 2>/dev/null
		[ "$(<"$T/status")" = "$(kill -l $signal)" ] || fail "$signal: ended by signal $(<"$T/status")"
		rm -f core* a.o
	done
	[ -z "$(ls -A "$TMPDIR")" ] || EXPECT_TEMPS=1
}

trap_66_a_killed_launcher_harms_nobody()
{
	local i launcher
	EXPECT_TEMPS=1
	slow_source a.c 300
	"$CC" -O2 -c a.c -o want.o
	for i in 1 2 3; do
		"$COFFER" "$CC" -O2 -c a.c -o a.o &
		launcher=$!
		sleep 0.1$i
		kill -KILL $launcher
		wait $launcher 2>/dev/null
	done
	# Not those that the daemon observes: these are nobody's compiles.
	for i in $(leftovers); do
		grep -qs '^TracerPid:[[:space:]]*0$' "/proc/$i/status" || continue
		case $(cat "/proc/$i/comm" 2>/dev/null) in cc1 | gcc | as | clang) kill -KILL "$i" ;; esac
	done
	rm -f a.o
	counted any coffer "$CC" -O2 -c a.c -o a.o
	same_file a.o want.o
	rm -f a.o
	counted hit coffer "$CC" -O2 -c a.c -o a.o
	same_file a.o want.o
}

trap_66_ignored_signals_stay_ignored() # once
{
	need perl
	put a.c 'int a;'
	# As under nohup: the compiler inherits what is ignored.
	perl -e '$SIG{HUP} = "IGNORE"; exec @ARGV' "$COFFER" "$CC" -c a.c -o a.o || fail "fails"
	slow_source a.c 150
	perl -e '$SIG{HUP} = "IGNORE"; exec @ARGV' "$COFFER" "$CC" -O2 -c a.c -o a.o &
	compiler_runs $!
	kill -HUP $!
	wait $! || fail "an ignored signal killed the compile"
	[ -s a.o ] || fail "no object"
}

# Nothing of the build that started a daemon may stay open in it.
# held_by PID: what of the build it has open.
held_by()
{
	local link to
	for link in /proc/"$1"/fd/*; do
		to=$(readlink "$link")
		case $to in
		"$P"* | pipe:* | /dev/pts/*) echo "$to ($link)" ;;
		esac
	done
}

daemon_holds_nothing()
{
	local pid
	for pid in $(daemons); do
		# While it finds out the text of what was compiled, it has its own pipes to the preprocessor, and the folder.
		wait_until 20 "[ -z \"\$(held_by $pid)\" ]" || fail "the daemon holds $(held_by "$pid")"
		case $(readlink "/proc/$pid/cwd") in
		"$P"*) fail "the daemon's working folder is $(readlink "/proc/$pid/cwd")" ;;
		esac
		[ "$(awk '{print $5}' "/proc/$pid/stat")" != "$(awk '{print $5}' "/proc/$$/stat")" ] ||
			fail "the daemon is in the build's process group"
	done
	[ -n "$(daemons)" ] || fail "there is no daemon"
}

trap_67_the_jobserver_is_not_kept_open() # clock
{
	local i start
	{
		echo 'all: u1.o u2.o u3.o u4.o u5.o u6.o u7.o u8.o sub'
		echo 'sub: ; @$(MAKE) -s -C . u9.o u10.o'
		printf '%%.o: %%.c\n\t@$(COFFER) %s -c $< -o $@\n' "$CC"
	} >Makefile
	for i in {1..10}; do put "u$i.c" "int u$i;"; done
	export COFFER
	start=$(now_ms)
	# The pipe must end with make, too.
	timeout 60 make -j4 2>&1 | cat >"$T/out"
	[ "${PIPESTATUS[0]}" = 0 ] || fail "make fails: $(<"$T/out")"
	[ $(($(now_ms) - start)) -lt 30000 ] || fail "make took $(($(now_ms) - start)) ms"
	[ ! -s "$T/out" ] || fail "messages: $(<"$T/out")"
	daemon_holds_nothing
	rm ./*.o
	timeout 60 make -j4 2>&1 | cat >"$T/out"
	[ ! -s "$T/out" ] || fail "messages: $(<"$T/out")"
	stop_daemons
	rm ./*.o
	out=$(timeout 60 make -j4 2>&1) || fail "make fails: $out"
	daemon_holds_nothing
}

trap_67_daemon_started_in_a_terminal_or_a_pipe()
{
	need script
	put a.c 'int a;'
	timeout 30 script -qec "$COFFER $CC -c a.c -o a.o" /dev/null >"$T/out" </dev/null || fail "fails or hangs: $(<"$T/out")"
	daemon_holds_nothing
	stop_daemons
	out=$(cd "$P" && timeout 30 "$COFFER" "$CC" -c a.c -o a.o 2>&1) || fail "fails: $out"
	daemon_holds_nothing
	stop_daemons
	exec 7>"$P/held"
	"$COFFER" "$CC" -c a.c -o a.o
	exec 7>&-
	daemon_holds_nothing
}

# in_terminal FILE COLUMNS CMD...: what a command shows in a terminal.
in_terminal()
{
	local file=$1 columns=$2
	shift 2
	printf '%q ' "$@" >"$T/command"
	timeout 30 script -qec "stty cols $columns; . $T/command" /dev/null </dev/null | tr -d '\r' >"$file"
}

trap_68_colours_in_a_terminal() # long
{
	local TERM=xterm-256color order options
	export TERM
	need script
	put a.c 'int f(void) { int unused_variable_with_a_long_name; return 0; } /* a long comment that makes the line wide */'
	for options in '' -fdiagnostics-color=never -fdiagnostics-color=always -fdiagnostics-color=auto -fno-diagnostics-color \
		-fdiagnostics-color; do
		for order in terminal pipe; do
			rm -rf "$COFFER_CACHE_DIR/v1/"{result,manifest}* 2>/dev/null
			"$COFFER" cache clear >/dev/null 2>&1
			# shellcheck disable=SC2086
			in_terminal "$T/want.tty" 80 "$CC" -Wall $options -c a.c -o a.o
			# shellcheck disable=SC2086
			"$CC" -Wall $options -c a.c -o a.o 2>"$T/want.pipe"
			if [ $order = terminal ]; then
				# shellcheck disable=SC2086
				in_terminal "$T/got" 80 "$COFFER" "$CC" -Wall $options -c a.c -o a.o
				same_file "$T/want.tty" "$T/got"
			fi
			# shellcheck disable=SC2086
			"$COFFER" "$CC" -Wall $options -c a.c -o a.o 2>"$T/got"
			same_file "$T/want.pipe" "$T/got"
			# shellcheck disable=SC2086
			in_terminal "$T/got" 80 "$COFFER" "$CC" -Wall $options -c a.c -o a.o
			same_file "$T/want.tty" "$T/got"
			# shellcheck disable=SC2086
			counted hit coffer "$CC" -Wall $options -c a.c -o a.o 2>"$T/got"
			same_file "$T/want.pipe" "$T/got"
		done
	done
	in_terminal "$T/want.tty" 40 "$CC" -Wall -c a.c -o a.o
	in_terminal "$T/got" 40 "$COFFER" "$CC" -Wall -c a.c -o a.o
	same_file "$T/want.tty" "$T/got"
	in_terminal "$T/got" 40 "$COFFER" "$CC" -Wall -c a.c -o a.o
	same_file "$T/want.tty" "$T/got"
	TERM=dumb in_terminal "$T/want.tty" 80 "$CC" -Wall -c a.c -o a.o
	TERM=dumb in_terminal "$T/got" 80 "$COFFER" "$CC" -Wall -c a.c -o a.o
	same_file "$T/want.tty" "$T/got"
	export GCC_COLORS=
	in_terminal "$T/want.tty" 80 "$CC" -Wall -c a.c -o a.o
	in_terminal "$T/got" 80 "$COFFER" "$CC" -Wall -c a.c -o a.o
	same_file "$T/want.tty" "$T/got"
}

trap_68_only_one_stream_is_a_terminal()
{
	local TERM=xterm
	export TERM
	need script
	put a.c 'int f(void) { int unused; return 0; }'
	in_terminal "$T/want" 80 sh -c "$CC -Wall -c a.c -o a.o >$T/file"
	in_terminal "$T/got" 80 sh -c "$COFFER $CC -Wall -c a.c -o a.o >$T/file"
	same_file "$T/want" "$T/got"
	in_terminal "$T/want" 80 sh -c "$CC -Wall -c a.c -o a.o 2>$T/want.err"
	in_terminal "$T/got" 80 sh -c "$COFFER $CC -Wall -c a.c -o a.o 2>$T/got.err"
	same_file "$T/want" "$T/got"
	same_file "$T/want.err" "$T/got.err"
}

trap_69_a_lost_daemon_shows_no_message_twice() # long
{
	local pid launcher source way status
	EXPECT_TEMPS=1
	for source in good bad; do
		slow_source a.c 150
		echo 'int f(void) { int unused; return 0; }' >>a.c
		[ $source = good ] || echo 'int g(void) { return undeclared; }' >>a.c
		"$CC" -O2 -Wall -c a.c -o want.o 2>"$T/want.err"
		status=$?
		for way in KILL STOP TERM; do
			"$COFFER" "$CC" --version >/dev/null
			rm -f a.o
			sed -i "1s/^.*$/int way_$way;/" a.c
			"$CC" -O2 -Wall -c a.c -o want.o 2>"$T/want.err"
			"$COFFER" "$CC" -O2 -Wall -c a.c -o a.o 2>"$T/err" &
			launcher=$!
			sleep 0.15
			for pid in $(daemons); do kill -$way "$pid"; done
			wait_until 20 "[ ! -d /proc/$launcher ]" || fail "the launcher hangs after $way"
			wait $launcher
			[ $? = $status ] || fail "$way of the daemon: another exit status"
			same_file "$T/err" "$T/want.err"
			[ $source = bad ] || same_file a.o want.o
			for pid in $(daemons); do kill -KILL "$pid"; done
			wait_until 3 '[ -z "$(daemons)" ]'
		done
	done
}

trap_70_questions_to_the_compiler_run_untouched()
{
	local question
	put a.c 'int main(void) { return 0; }'
	for question in --version -v -dumpversion -dumpmachine --help -print-search-dirs -print-libgcc-file-name \
		-print-file-name=libc.so -print-prog-name=ld -print-multi-directory -print-multi-lib -print-multi-os-directory; do
		untouched information "$CC" $question
	done
	if is_gcc; then
		for question in -dumpspecs -dumpfullversion -print-sysroot -print-multiarch --target-help --help=target -print-sysroot-headers-suffix \
			--help=warnings; do
			untouched information gcc $question
		done
	else
		for question in -print-resource-dir -print-target-triple -print-targets -print-effective-triple -print-runtime-dir \
			-print-supported-cpus -print-rocm-search-dirs -print-ivar-layout; do
			right clang $question
		done
	fi
	NORMALIZE="s,/tmp/[^ \"]*,TEMP,g" untouched information "$CC" -v -c a.c -o a.o
	right "$CC" --version -c a.c
	right "$CC" -c a.c --help
	right "$CC" -E -dM -x c /dev/null
	STDIN=/dev/null right "$CC" -E -v -
	right "$CC" -Q --help=optimizers
	right "$CXX" --version
	right "$CC" -Wl,--version
	NORMALIZE="s,/tmp/[^ \"]*,TEMP,g" right "$CC" -Wl,-v a.c -o prog
}

trap_70_options_of_coffer_are_not_the_compilers() # once
{
	put a.c 'int a;'
	"$COFFER" --version >"$T/version" 2>&1 || fail "coffer --version fails"
	has_text "$T/version" coffer
	"$COFFER" gcc --version >"$T/version"
	lacks_text "$T/version" coffer
	"$COFFER" --help >"$T/help" 2>&1 || fail "coffer --help fails"
	has_text "$T/help" coffer
}

# with_stream KIND CMD...: standard error is a pipe that nobody reads, or a full disk. Prints the status.
with_stream()
{
	PYTHONCOERCECLOCALE=0 python3 - "$@" <<-'END'
		import os, subprocess, sys
		kind, command = sys.argv[1], sys.argv[2:]
		if kind == "full":
		    out = os.open("/dev/full", os.O_WRONLY)
		else:
		    r, out = os.pipe()
		    os.close(r)
		print(subprocess.run(command, stdout=out, stderr=out, restore_signals=kind != "ignored").returncode)
	END
}

# What the compiler does then only the compiler knows: gcc and clang end in ways of their own.
trap_66_nobody_reads_the_messages_of_a_hit()
{
	need python3
	local kind plain got
	put a.c 'int f(void) { int unused; return 1; }'
	check any "$CC" -Wall -c a.c -o a.o
	again hit "$CC" -Wall -c a.c -o a.o
	for kind in closed ignored full; do
		plain=$(with_stream $kind "$CC" -Wall -c a.c -o a.o)
		got=$(with_stream $kind "$COFFER" "$CC" -Wall -c a.c -o a.o)
		[ "$got" = "$plain" ] || fail "$kind: it ends with $got, the plain compiler with $plain"
	done
}
