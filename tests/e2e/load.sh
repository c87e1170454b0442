# Very many launchers at once.
# shellcheck shell=bash

# at_once N CMD...: N processes that start the command in the same moment; %d in a word is the process's number.
at_once()
{
	perl -e '
		my ($n, @cmd) = @ARGV;
		pipe(my $r, my $w);
		for my $i (1 .. $n) {
			my $pid = fork;
			die "fork: $!" unless defined $pid;
			if (!$pid) { close $w; sysread $r, my $b, 1; s/%d/$i/ for @cmd; exec @cmd or die }
		}
		close $r; close $w;
		my $bad = 0;
		while (wait > 0) { $bad++ if $? }
		print "$bad of $n failed\n" if $bad;
		exit($bad > 0);' "$@"
}

e2e_load_of_hits() { # once long
	local n i
	need perl
	put a.c '#include <stdio.h>' 'int f(void) { return printf("x"); }'
	counted any coffer "$CC" -O1 -MD -c a.c -o want.o
	mkdir out
	for n in 500 1000; do
		read_counters counters_before
		at_once $n timeout 100 "$COFFER" "$CC" -O1 -MD -c a.c -o out/%d.o >"$T/log" 2>&1 || fail "$n at once: $(head -5 "$T/log")"
		[ ! -s "$T/log" ] || fail "$n at once: messages: $(head -5 "$T/log")"
		for ((i = 1; i <= n; i++)); do cmp -s "out/$i.o" want.o || fail "$n at once: object $i is wrong"; done
		settle
		[ "$(grown direct_hits)" = $n ] || fail "$n at once:$(all_grown)"
		rm -f out/*
	done
}

e2e_load_of_misses() { # once long
	local i n=150
	need perl
	mkdir out want
	for ((i = 1; i <= n; i++)); do
		put "u$i.c" "int u$i(int x) { return x + $i; }"
	done
	read_counters counters_before
	at_once $n timeout 200 "$COFFER" "$CC" -c u%d.c -o out/u%d.o >"$T/log" 2>&1 || fail "$(head -5 "$T/log")"
	[ ! -s "$T/log" ] || fail "messages: $(head -5 "$T/log")"
	settle
	[ "$(grown misses)" = $n ] || fail "counted:$(all_grown)"
	for ((i = 1; i <= n; i += 7)); do
		"$CC" -c "u$i.c" -o "want/u$i.o"
		same_file "want/u$i.o" "out/u$i.o"
	done
	read_counters counters_before
	at_once $n timeout 100 "$COFFER" "$CC" -c u%d.c -o out/v%d.o >"$T/log" 2>&1 || fail "$(head -5 "$T/log")"
	settle
	[ "$(grown direct_hits)" = $n ] || fail "counted:$(all_grown)"
}

# most_at_once PATTERN: the most processes with such a command line while the last background job runs.
most_at_once()
{
	local most=0 now
	while [ -d /proc/$! ]; do
		now=$(pgrep -c -f -- "$1")
		[ "$now" -le "$most" ] || most=$now
	done
	echo "$most"
}

e2e_load_gate_keeps_compiles_within_the_limit() { # once long
	local i n=10 most
	export COFFER_LOCAL_JOBS=2
	mkdir out
	for ((i = 1; i <= n; i++)); do
		slow_source "u$i.c" 60
		echo "int u$i;" >>"u$i.c"
	done
	at_once $n timeout 200 "$COFFER" "$CC" -O2 -c "$PWD/u%d.c" -o out/u%d.o >"$T/log" 2>&1 &
	most=$(most_at_once "cc1 .*$PWD/u")
	wait $! || fail "$(head -5 "$T/log")"
	[ "$most" -ge 1 ] && [ "$most" -le 2 ] || fail "$most compiles ran at once"
	[ ! -s "$T/log" ] || fail "messages: $(head -5 "$T/log")"
	settle
	# A compiler that starts coffer again does not wait for itself.
	stop_daemons
	export COFFER_LOCAL_JOBS=1
	mkdir bin
	printf '#!/bin/sh\nexec "%s" gcc "$@"\n' "$COFFER" >bin/my-gcc
	chmod +x bin/my-gcc
	put x.c 'int x;'
	timeout 20 "$COFFER" bin/my-gcc -c x.c -o x.o || fail "a compiler that starts coffer does not end"
}

e2e_load_with_daemon_started_by_many() { # once long
	local n=200
	need perl
	put a.c 'int a;'
	"$CC" -c a.c -o want.o
	mkdir out
	at_once $n timeout 100 "$COFFER" "$CC" -c a.c -o out/%d.o >"$T/log" 2>&1 || fail "$(head -5 "$T/log")"
	[ ! -s "$T/log" ] || fail "messages: $(head -5 "$T/log")"
	for ((i = 1; i <= n; i++)); do cmp -s "out/$i.o" want.o || fail "object $i is wrong"; done
	wait_until 5 '[ "$(daemons | wc -l)" = 1 ]' || fail "$(daemons | wc -l) daemons"
	# At the start of a daemon a launcher may compile by itself, but that is a rare case.
	[ "$(counter not_cached_daemon_lost)" -lt $((n / 10)) ] || fail "$(counter not_cached_daemon_lost) of $n did not find the daemon"
}
