# Whatever happens to the daemon, its files or the compiler: the build goes on, and every object is the right one.
# shellcheck shell=bash

# The objects of the generated project as the plain compiler makes them.
plain_objects()
{
	make -s -j2 CC="$CC" FLAGS= WRAP= || fail "the plain build fails"
	mv out "$T/want"
}

objects_are_right()
{
	diff -r "$T/want" out >"$T/diff" || fail "$1: objects differ: $(head -5 "$T/diff")"
}

e2e_faults_daemon_killed_at_random() { # once long
	local kills=0 limit=40 round=0 pid make_pid delay
	EXPECT_TEMPS=1 EXPECT_ERRORS=1
	[ -z "${FULL:-}" ] || limit=200
	generated_project 200
	plain_objects
	# Other texts, same objects.
	echo 'enum { round_is = ROUND };' >>inc/common.h
	RANDOM=1
	while [ $kills -lt $limit ]; do
		round=$((round + 1))
		rm -rf out
		# Each second round finds its results in the cache.
		make -s -j8 CC="$CC" FLAGS="-DROUND=$((round / 2))" WRAP="$COFFER" >"$T/make.log" 2>&1 &
		make_pid=$!
		while [ -d /proc/$make_pid ]; do
			printf -v delay '0.%03d' $((RANDOM % 250))
			sleep "$delay"
			for pid in $(daemons); do
				kill -KILL "$pid" 2>/dev/null && kills=$((kills + 1))
			done
		done
		wait $make_pid || fail "make fails in round $round: $(head -c 2000 "$T/make.log")"
		[ ! -s "$T/make.log" ] || fail "messages in round $round: $(head -c 2000 "$T/make.log")"
		objects_are_right "round $round"
		[ $round -lt 100 ] || fail "only $kills kills in $round rounds"
	done
	# And once more in peace.
	rm -rf out
	make -s -j8 CC="$CC" FLAGS="-DROUND=$((round / 2))" WRAP="$COFFER" || fail "make fails"
	objects_are_right "at the end"
	echo "$kills kills in $round builds"
}

e2e_faults_cache_folder_removed() { # once clock long
	local make_pid
	EXPECT_TEMPS=1 EXPECT_ERRORS=1
	generated_project 60
	plain_objects
	make -s -j8 CC="$CC" FLAGS= WRAP="$COFFER" || fail "make fails"
	rm -rf "$COFFER_CACHE_DIR" out
	make -s -j8 CC="$CC" FLAGS= WRAP="$COFFER" >"$T/log" 2>&1 || fail "make fails without the cache's folder: $(<"$T/log")"
	[ ! -s "$T/log" ] || fail "messages: $(<"$T/log")"
	objects_are_right "after the folder was removed"
	rm -rf out
	make -s -j4 CC="$CC" FLAGS=-DX WRAP="$COFFER" >"$T/log" 2>&1 &
	make_pid=$!
	while [ -d /proc/$make_pid ]; do
		sleep 0.1
		rm -rf "$COFFER_CACHE_DIR" 2>/dev/null
	done
	wait $make_pid || fail "make fails: $(<"$T/log")"
	[ ! -s "$T/log" ] || fail "messages: $(<"$T/log")"
	objects_are_right "while the folder was removed"
	# It comes back.
	rm -rf out "$COFFER_CACHE_DIR"
	stop_daemons
	counted any coffer "$CC" -Iinc -c src/u1.c -o a.o
	counted hit coffer "$CC" -Iinc -c src/u1.c -o a.o
}

sockets() { find "$COFFER_CACHE_DIR" "${XDG_RUNTIME_DIR:-/nonexistent}" -type s 2>/dev/null; }

# quick CMD...: a command that must succeed within some seconds, with the right object.
quick()
{
	local start
	rm -f a.o
	start=$(now_ms)
	timeout 30 "$COFFER" "$CC" -c a.c -o a.o 2>"$T/err" || fail "$1: the compile fails: $(<"$T/err")"
	[ $(($(now_ms) - start)) -lt "${2:-5000}" ] || fail "$1: the compile takes $(($(now_ms) - start)) ms"
	[ ! -s "$T/err" ] || fail "$1: messages: $(<"$T/err")"
	same_file a.o want.o
}

e2e_faults_stale_sockets() { # once long
	local socket pid kind
	EXPECT_TEMPS=1 EXPECT_ERRORS=1
	need perl
	put a.c 'int a;'
	"$CC" -c a.c -o want.o
	quick 'at first'
	socket=$(sockets)
	[ "$(wc -l <<<"$socket")" = 1 ] && [ -n "$socket" ] || fail "no single socket: $socket"
	for kind in dead file folder link loop silent closing garbage; do
		for pid in $(daemons); do kill -KILL "$pid"; done
		wait_until 3 '[ -z "$(daemons)" ]'
		case $kind in
		dead) ;;
		file) rm -f "$socket" && echo x >"$socket" ;;
		folder) rm -f "$socket" && mkdir -p "$socket" ;;
		link) rm -rf "$socket" && ln -s /nonexistent/x "$socket" ;;
		loop) rm -rf "$socket" && ln -s "$socket" "$socket" ;;
		*)
			rm -rf "$socket"
			perl -e 'use Socket; chdir $ARGV[1] or die; socket(S, PF_UNIX, SOCK_STREAM, 0); bind(S, sockaddr_un($ARGV[2])) or die $!;
				listen(S, 64); $SIG{ALRM} = sub { exit }; alarm 20; $SIG{PIPE} = "IGNORE";
				while (accept(my $c, S)) {
					if ($ARGV[0] eq "silent") { push @keep, $c } elsif ($ARGV[0] eq "garbage") { syswrite $c, "x" x 4096 }
				}' $kind "$(dirname "$socket")" "$(basename "$socket")" 2>"$T/perl.err" &
			wait_until 3 "[ -S '$socket' ]" || fail "$(<"$T/perl.err")"
			;;
		esac
		quick "with a $kind socket" 10000
		quick "with a $kind socket, again" 10000
		kill %% 2>/dev/null && wait %% 2>/dev/null
		rm -rf "$socket"
	done
	quick 'at the end'
}

e2e_faults_stopped_daemon() { # once clock long
	local pid start
	EXPECT_ERRORS=1
	put a.c 'int a;'
	"$CC" -c a.c -o want.o
	quick 'at first'
	for pid in $(daemons); do kill -STOP "$pid"; done
	quick 'with a stopped daemon' 4000
	quick 'with a stopped daemon, again' 4000
	put b.c 'int f(void) { int unused; return 0; }'
	"$CC" -Wall -c b.c -o wantb.o 2>"$T/want.err"
	timeout 20 "$COFFER" "$CC" -Wall -c b.c -o b.o 2>"$T/b.err" || fail "a miss fails with a stopped daemon"
	same_file "$T/want.err" "$T/b.err"
	same_file b.o wantb.o
	start=$(now_ms)
	timeout 20 "$COFFER" stats >/dev/null || fail "'coffer stats' fails with a stopped daemon"
	timeout 30 "$COFFER" status >/dev/null 2>&1
	[ $? != 124 ] || fail "'coffer status' hangs with a stopped daemon"
	for pid in $(daemons); do kill -CONT "$pid"; done
	sleep 0.1
	counted hit quick 'after it goes on'
}

e2e_faults_home_is_missing() { # once long
	local home
	put a.c 'int a;'
	"$CC" -c a.c -o want.o
	for home in /nonexistent /dev/null /proc '' relative; do
		(
			unset COFFER_CACHE_DIR XDG_CACHE_HOME
			HOME=$home
			quick "with HOME=$home" && quick "with HOME=$home, again"
			timeout 10 "$COFFER" stop >/dev/null 2>&1
			true
		) || exit 1
		[ "$home" != relative ] || rm -rf relative
	done
	(
		unset COFFER_CACHE_DIR HOME
		quick 'without HOME'
	) || exit 1
	XDG_RUNTIME_DIR=/nonexistent quick 'with a missing XDG_RUNTIME_DIR'
	XDG_RUNTIME_DIR=/nonexistent timeout 10 "$COFFER" stop >/dev/null 2>&1
	mkdir -m 0777 "$T/runtime"
	XDG_RUNTIME_DIR=$T/runtime quick 'with an open XDG_RUNTIME_DIR'
	XDG_RUNTIME_DIR=$T/runtime timeout 10 "$COFFER" stop >/dev/null 2>&1
	return 0
}

e2e_faults_two_versions_side_by_side() { # once long
	local version bin
	put a.c 'int a;'
	"$CC" -c a.c -o want.o
	version=$("$COFFER" --version | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -1)
	bin=$T/other
	mkdir "$bin"
	cp "$COFFER" "$COFFERD" "$bin/"
	LC_ALL=C sed -i "s/${version//./\\.}/${version%.*}.9/g" "$bin/coffer" "$bin/cofferd"
	export COFFERD
	COFFERD=$bin/cofferd "$bin/coffer" --version | grep -q "${version%.*}.9" || skip "the version can't be changed in the programs"
	quick 'this version'
	COFFERD=$bin/cofferd COFFER=$bin/coffer quick 'another version'
	[ "$(daemons | wc -l)" = 2 ] || fail "$(daemons | wc -l) daemons for two versions"
	[ "$(sockets | wc -l)" = 2 ] || fail "the versions share a socket: $(sockets)"
	quick 'this version again'
	COFFERD=$bin/cofferd COFFER=$bin/coffer quick 'the other version again'
	COFFERD=$bin/cofferd timeout 10 "$bin/coffer" stop >/dev/null
	wait_until 3 '[ "$(daemons | wc -l)" = 1 ]' || fail "'coffer stop' ends the other version's daemon"
	counted any quick 'this version at the end'
}

e2e_faults_two_users() { # once long
	local nobody
	need_root
	need setpriv
	EXPECT_ERRORS=1
	nobody="setpriv --reuid 65534 --regid 65534 --clear-groups"
	chmod 0755 "$T" "$P"
	mkdir -m 0777 "$P/out" "$T/theirs"
	chmod 0777 "$T/tmp"
	put a.c 'int a;'
	"$CC" -c a.c -o want.o
	quick 'as root'
	# Somebody else with a cache of their own.
	COFFER_CACHE_DIR=$T/theirs HOME=$T/theirs $nobody "$COFFER" "$CC" -c a.c -o out/a.o || fail "as nobody: the compile fails"
	same_file out/a.o want.o
	[ "$(stat -c %u out/a.o)" = 65534 ] || fail "the object belongs to user $(stat -c %u out/a.o)"
	# root comes to their daemon: its files would belong to them.
	COFFER_CACHE_DIR=$T/theirs HOME=$T/theirs counted 'other_user|daemon_lost' quick 'as root with the cache of nobody'
	[ "$(stat -c %u a.o)" = 0 ] || fail "the object belongs to user $(stat -c %u a.o)"
	COFFER_CACHE_DIR=$T/theirs HOME=$T/theirs $nobody timeout 10 "$COFFER" stop >/dev/null
	# Another group, and another set of groups.
	setpriv --regid 65534 --clear-groups "$COFFER" "$CC" -c a.c -o g.o || fail "with another group: the compile fails"
	[ "$(stat -c %g g.o)" = 65534 ] || fail "the object belongs to group $(stat -c %g g.o)"
	same_file g.o want.o
}

e2e_faults_compiler_that_crashes() { # clang long
	local status
	put a.c 'int a;' '#pragma clang __debug parser_crash'
	clang -c a.c -o a.o 2>/dev/null
	status=$?
	rm -rf "${T:?}/tmp"/*
	"$COFFER" clang -c a.c -o a.o 2>"$T/err"
	[ $? = $status ] || fail "another exit status"
	has_text "$T/err" 'PLEASE'
	[ ! -e a.o ] || fail "an object is left"
	rm -rf "${T:?}/tmp"/*
	counted 'compile_failed|compile_killed' "$COFFER" clang -c a.c -o a.o 2>/dev/null
	rm -rf "${T:?}/tmp"/*
	put a.c 'int a;'
	check miss clang -c a.c -o a.o
}

e2e_faults_compiler_that_writes_very_much() # long
{
	local i
	# Each message quotes the line, which is long.
	for i in {1..400}; do printf 'void f%d(void) { int unused; } /*%0800d*/ ' "$i" 0; done >a.c
	right "$CC" -Wall -c a.c -o a.o
	[ "$(stat -c %s "$T/got/stderr")" -gt 50000000 ] || echo "only $(stat -c %s "$T/got/stderr") bytes of messages"
}

e2e_faults_compiler_that_never_ends() # long
{
	local launcher status pid below
	need perl
	mkfifo "$T/never"
	put a.c "#include \"$T/never\""
	perl -e 'setpgrp; $SIG{INT} = "DEFAULT"; exec @ARGV' "$COFFER" "$CC" -c a.c -o a.o &
	launcher=$!
	compiler_runs $launcher
	sleep 0.2
	[ -d /proc/$launcher ] || fail "the compile has ended"
	below=$(compilers_below $launcher)
	kill -INT -- -$launcher
	wait_until 5 "[ ! -d /proc/$launcher ]" || fail "the launcher does not end"
	wait $launcher
	status=$?
	[ $status = 130 ] || fail "exit status $status"
	for pid in $below; do wait_until 2 "[ ! -d /proc/$pid ]" || fail "the compiler goes on"; done
	put a.c 'int a;'
	check miss "$CC" -c a.c -o a.o
}

e2e_faults_daemon_ends_when_idle() { # once long
	export COFFER_IDLE_TIMEOUT=1s
	put a.c 'int a;'
	"$CC" -c a.c -o want.o
	quick 'at first'
	[ "$(daemons | wc -l)" = 1 ] || fail "$(daemons | wc -l) daemons"
	wait_until 6 '[ -z "$(daemons)" ]' || fail "the daemon does not end when idle"
	counted hit quick 'after it ended'
	# Not while a compile runs.
	slow_source b.c 600
	"$CC" -O2 -c b.c -o wantb.o
	counted any coffer "$CC" -O2 -c b.c -o b.o
	same_file b.o wantb.o
	counted hit coffer "$CC" -O2 -c b.c -o b.o
	wait_until 6 '[ -z "$(daemons)" ]' || fail "the daemon does not end when idle"
	counted hit quick 'after it ended again'
}

e2e_faults_daemon_program_is_missing() { # once long
	EXPECT_ERRORS=1
	put a.c 'int a;'
	"$CC" -c a.c -o want.o
	unset COFFERD
	mkdir "$T/alone"
	cp "$COFFER" "$T/alone/coffer"
	COFFER=$T/alone/coffer quick 'without cofferd'
	printf '#!/bin/sh\nexit 1\n' >"$T/alone/cofferd"
	chmod +x "$T/alone/cofferd"
	COFFER=$T/alone/coffer quick 'with a cofferd that fails' 10000
	printf 'nonsense' >"$T/alone/cofferd"
	COFFER=$T/alone/coffer quick 'with a cofferd that is none' 10000
	printf '#!/bin/sh\nexec sleep 30\n' >"$T/alone/cofferd"
	COFFER=$T/alone/coffer quick 'with a cofferd that does nothing' 10000
	for pid in $(leftovers); do
		case $(cat "/proc/$pid/comm" 2>/dev/null) in sleep | cofferd) kill "$pid" ;; esac
	done
	return 0
}

e2e_faults_two_daemons_on_one_cache() { # once long
	local i
	put a.c 'int a;'
	"$CC" -c a.c -o want.o
	mkdir -m 0700 "$T/r1" "$T/r2"
	for i in 1 2 1 2; do COFFER_RUNTIME_DIR=$T/r$i quick "daemon $i"; done
	[ "$(daemons | wc -l)" = 2 ] || fail "$(daemons | wc -l) daemons"
	[ "$(counter direct_hits)" = 3 ] || fail "the daemons do not share what is stored"
	generated_project 60
	plain_objects
	rm -f a.o want.o
	COFFER_RUNTIME_DIR=$T/r1 make -s -j4 CC="$CC" FLAGS= WRAP="$COFFER" &
	mkdir other
	cp -r src inc Makefile other
	COFFER_RUNTIME_DIR=$T/r2 make -s -C other -j4 CC="$CC" FLAGS= WRAP="$COFFER" || fail "make fails"
	wait $! || fail "make fails"
	objects_are_right "the first build"
	diff -r "$T/want" other/out >"$T/diff" || fail "the second build: $(head -3 "$T/diff")"
	for i in 1 2; do COFFER_RUNTIME_DIR=$T/r$i timeout 10 "$COFFER" stop >/dev/null; done
}
