# The daemon belongs to all who compile with its cache: nothing of one of them may stay with it.
# shellcheck shell=bash

stored_bytes() { find "$COFFER_CACHE_DIR"/v1/*/ -type f -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'; }

# random_table N: N bytes that no compression makes fewer.
random_table()
{
	printf 'char x[] = {'
	head -c "$1" /dev/urandom | od -An -v -tu1 -w1000 | tr -s ' ' ,| sed 's/^,//;s/$/,/'
	echo '};'
}

e2e_daemon_survives_a_mistake_in_the_settings_file() { # once
	EXPECT_ERRORS=1
	local pid
	put a.c 'int a;'
	counted any coffer "$CC" -c a.c -o a.o
	pid=$("$COFFER" status --json | jq .pid)
	mkdir -p "$HOME/.config/coffer"
	echo 'max_sice = 5M' >"$HOME/.config/coffer/coffer.conf"
	"$COFFER" status >"$T/status" 2>&1 || fail "no status: $(<"$T/status")"
	lacks_text "$T/status" status-json
	sleep 1.2 # housekeeping reads the settings, too
	kill -0 "$pid" || fail "the daemon has ended"
	rm "$HOME/.config/coffer/coffer.conf"
}

e2e_daemon_counts_when_its_cache_is_removed() { # once
	local i
	put a.c 'int a;'
	counted any coffer "$CC" -c a.c -o a.o
	for i in 1 2 3; do
		case $i in
		1) rm -rf "$COFFER_CACHE_DIR" ;;
		2) rm -rf "$COFFER_CACHE_DIR/v1" ;;
		3) mv "$COFFER_CACHE_DIR" "$T/old.$i" ;;
		esac
		"$COFFER" "$CC" -c a.c -o a.o
		"$COFFER" "$CC" -c a.c -o a.o
		! "$COFFER" "$CC" -c missing.c -o a.o 2>"$T/err" || fail "there is no such source"
		read_counters counters_after
		[ "${counters_after[compiles]} ${counters_after[direct_hits]} ${counters_after[misses]} ${counters_after[not_cached]}" = "3 1 1 1" ] ||
			fail "after removal $i: $(declare -p counters_after | tr ' ' '\n' | grep -v '="0"')"
	done
}

# What ends with a failure is counted before coffer has ended.
e2e_daemon_has_counted_when_a_compile_ends() { # once
	local i
	put bad.c 'int a = b;'
	for i in {1..15}; do
		! "$COFFER" "$CC" -c bad.c -o a.o 2>"$T/err" || fail "it compiles"
		[ "$(counter not_cached_compile_failed)" = $i ] || fail "failure $i is not counted yet"
	done
}

e2e_daemon_heeds_max_size_of_each_compile() { # once
	local i
	random_table 100000 >big.h
	for i in {1..6}; do
		put a.c "int y_$i;" '#include "big.h"'
		"$COFFER" "$CC" -c a.c -o a.o
	done
	[ "$(stored_bytes)" -gt 500000 ] || fail "only $(stored_bytes) bytes are stored"
	put b.c 'int b;'
	COFFER_MAX_SIZE=500K "$COFFER" "$CC" -c b.c -o b.o
	wait_until 5 '[ "$(stored_bytes)" -lt 500000 ]' || fail "the environment's max_size: $(stored_bytes) bytes"
	"$COFFER" --set max_size=200K "$CC" -DX -c b.c -o b.o
	wait_until 5 '[ "$(stored_bytes)" -lt 200000 ]' || fail "max_size of --set: $(stored_bytes) bytes"
}

e2e_daemon_makes_room_on_a_full_disk() { # once
	need_root
	local i
	EXPECT_ERRORS=1
	mkdir "$T/small"
	mount -t tmpfs -o size=3M none "$T/small" || skip "no tmpfs can be mounted"
	trap 'umount -l "$T/small"' EXIT
	export COFFER_CACHE_DIR=$T/small/cache
	random_table 200000 >big.h
	for i in {1..15}; do
		put "a$i.c" "int y_$i;" '#include "big.h"'
		"$COFFER" "$CC" -c "a$i.c" -o "a$i.o" || fail "the compile fails"
	done
	wait_until 5 '[ "$(counter evicted)" -gt 0 ]' || fail "nothing was evicted"
	"$COFFER" "$CC" -c a15.c -o a.o
	rm a.o
	counted hit coffer "$CC" -c a15.c -o a.o
	"$COFFER" stop >/dev/null
}

# Whoever starts the daemon may be a shell with limits of its own: its compiles have them, those of others do not.
e2e_daemon_has_no_limits_of_its_launcher() { # once
	local limit pid
	random_table 100000 >big.h
	put small.c 'int a;'
	put big.c '#include "big.h"' 'const char *limit = LIMIT;'
	for limit in "ulimit -f 40" "ulimit -t 5" "ulimit -v 2000000" "ulimit -n 64" "renice -n 5 -p \$BASHPID" "taskset -p 1 \$BASHPID"; do
		stop_daemons
		(eval "$limit" >/dev/null && "$COFFER" "$CC" -DLIMIT="\"$limit\"" -c small.c -o small.o) || fail "$limit: it does not compile"
		counted miss coffer "$CC" -DLIMIT="\"$limit\"" -c big.c -o big.o
		counted hit coffer "$CC" -DLIMIT="\"$limit\"" -c big.c -o big.o
		"$COFFER" doctor --json >"$T/doctor" || :
		[ "$(jq -r '.findings[] | select(.check == "daemon_limits") | .text' "$T/doctor")" = "" ] ||
			fail "$limit: $(jq -r '.findings[] | select(.check == "daemon_limits") | .text' "$T/doctor")"
		pid=$("$COFFER" status --json | jq .pid)
		[ "$(ps -o ni= -p "$pid" | tr -d ' ')" = 0 ] || fail "$limit: the daemon is nice"
		[ "$(taskset -p "$pid" | sed 's/.* //')" = "$(taskset -p $$ | sed 's/.* //')" ] || fail "$limit: the daemon has fewer processors"
	done
	# The compile has the limits of whoever asks for it.
	stop_daemons
	! (ulimit -f 40; "$CC" -DLIMIT=0 -c big.c -o big.o 2>"$T/plain") || fail "the plain compiler writes more than it may"
	! (ulimit -f 40; "$COFFER" "$CC" -DLIMIT=0 -c big.c -o big.o 2>"$T/err") || fail "coffer's compiler writes more than it may"
}

# A unit that takes some seconds.
slow_unit() { seq "$1" | sed 's/.*/int f&(int a) { return a * & + a % (& + 1); }/'; }

# Equal compiles of one moment are one compile.
e2e_daemon_joins_equal_compiles() { # once
	local i pids=()
	slow_unit 200 >a.c
	"$CC" -O2 -c a.c -o want.o
	for i in $(seq 20); do
		"$COFFER" "$CC" -O2 -c a.c -o "$i.o" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i" || fail "a compile has failed"; done
	for i in $(seq 20); do cmp "$i.o" want.o || fail "$i.o is another one"; done
	[ "$(counter misses)" = 1 ] || fail "not one miss: $("$COFFER" stats --tsv | grep -E 'miss|hits|joined')"
	[ "$(counter joined)" -ge 1 ] || fail "nobody has waited"
}

e2e_daemon_waits_not_long_for_an_equal_compile() { # once long
	local first began
	slow_unit 600 >a.c
	setsid "$COFFER" "$CC" -O2 -c a.c -o 1.o &
	first=$!
	sleep 0.7
	kill -STOP -- "-$first" || fail "the first compile is not there any more"
	began=$SECONDS
	"$COFFER" "$CC" -O2 -c a.c -o 2.o || fail "the second compile has failed"
	[ $((SECONDS - began)) -lt 60 ] || fail "it waited for $((SECONDS - began)) s"
	kill -CONT -- "-$first"
	wait "$first" || fail "the stopped compile has failed"
	"$CC" -O2 -c a.c -o want.o
	cmp 1.o want.o && cmp 2.o want.o || fail "another object"
	[ "$(counter misses)" = 2 ] || fail "both were to compile"
}

# What comes back again and again is read without unpacking it.
e2e_large_results_stand_unpacked_from_the_third_hit() { # gcc
	local i
	put a.c 'char big[400000] = {1};'
	gcc -c a.c -o want.o
	result() { find "$COFFER_CACHE_DIR/v1/result" -type f -printf '%s\n'; }
	for i in miss hit hit hit hit; do
		rm -f a.o
		counted $i "$COFFER" gcc -c a.c -o a.o
		same_file want.o a.o
		[ $i != miss ] || [ "$(result)" -lt 100000 ] || fail "a result of zeros takes $(result) bytes"
	done
	wait_until 5 '[ "$(result)" -gt 400000 ]' || fail "the result takes $(result) bytes"
	# A cache that is a quarter full keeps what it has packed.
	put b.c 'char big[500000] = {1};'
	export COFFER_MAX_SIZE=2M
	for i in 1 2 3; do "$COFFER" gcc -c b.c -o b.o; done
	settle
	sleep 0.2
	[ "$(result | awk '$1 > 400000' | wc -l)" = 1 ] || fail "results take $(result | tr '\n' ' ')"
}

# What is still to be found out of a compile that is over does not keep its directory busy, however long another one takes.
e2e_daemon_holds_no_directory_of_a_compile_that_is_over() # gcc
{
	[ "$(id -u)" = 0 ] || skip "mounts are made as root"
	local slow i
	mkdir "$T/mounted"
	mount -t tmpfs none "$T/mounted" 2>/dev/null || skip "nothing can be mounted here"
	slow_source slow.c 3000
	"$COFFER" gcc -O2 -c slow.c -o slow.o &
	slow=$!
	wait_until 10 '"$COFFER" status --json | grep -q "\"local_running\": *1"' || fail "the slow compile is not under way: $("$COFFER" status --json)"
	for i in 1 2 3; do
		echo "int f$i(void) { return $i; }" >"$T/mounted/$i.c"
		(cd "$T/mounted" && "$COFFER" gcc -c $i.c -o $i.o) || fail "no compile"
	done
	kill -0 $slow || fail "the slow compile was over too soon"
	wait_until 2 'umount "$T/mounted" 2>/dev/null' || {
		umount -l "$T/mounted"
		fail "the directory is held"
	}
	kill -0 $slow || fail "the slow compile was over too soon"
	kill $slow
	wait $slow
	rm -f slow.o
}
