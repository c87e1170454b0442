# Compiles that see other files than the usual daemon, or make files for another group: a container, a sandbox, `sg`. They have
# daemons of their own over the same cache.
# shellcheck shell=bash

# inside COMMAND: in a mount namespace of its own, and where $1 is --pid in a pid namespace as well.
inside()
{
	local pid=()
	[ "$1" != --pid ] || { pid=(--pid --fork --mount-proc) && shift; }
	unshare --user --map-root-user --mount "${pid[@]}" true 2>/dev/null || skip "no namespaces can be made here"
	unshare --user --map-root-user --mount "${pid[@]}" bash -euc "$1" inside "${@:2}"
}

E2E_WORLDS_SOURCE=('#include "a.h"' 'int f(void) { return A; }')

e2e_worlds_share_the_cache()
{
	put a.c "${E2E_WORLDS_SOURCE[@]}"
	put a.h '#define A 1'
	put other.h '#define A 2'
	$CC -c a.c -o plain.o
	counted miss "$COFFER" "$CC" -c a.c -o a.o
	rm a.o
	read_counters counters_before
	inside '"$1" "$2" -c a.c -o a.o; "$1" "$2" -c a.c -o b.o' "$COFFER" "$CC"
	settle
	[ "$(grown direct_hits)" = 2 ] || fail "no hits:$(all_grown)"
	same_file plain.o a.o
	same_file plain.o b.o
	# What differs there is seen there, and only there.
	inside 'mount --bind other.h a.h; "$2" -c a.c -o plain2.o; "$1" "$2" -c a.c -o a.o; "$1" "$2" -c a.c -o b.o' "$COFFER" "$CC"
	same_file plain2.o a.o
	same_file plain2.o b.o
	! cmp -s plain.o plain2.o || fail "the other header makes no difference"
	counted hit "$COFFER" "$CC" -c a.c -o a.o
	same_file plain.o a.o
}

# The compiler's own files as well: here a header of the system.
e2e_worlds_have_their_own_compilers()
{
	local header=/usr/include/stdlib.h
	put a.c '#include <stdlib.h>' '#ifdef OTHER' 'int other;' '#endif' 'int f(void) { return 1; }'
	put other.h '#define OTHER'
	cat "$header" >>other.h
	counted miss "$COFFER" "$CC" -c a.c -o a.o
	inside 'mount --bind other.h "$3"; "$2" -c a.c -o plain.o; "$1" "$2" -c a.c -o b.o; "$1" "$2" -c a.c -o c.o' "$COFFER" "$CC" $header
	same_file plain.o b.o
	same_file plain.o c.o
	counted hit "$COFFER" "$CC" -c a.c -o a.o
	! cmp -s a.o b.o || fail "the other header makes no difference"
}

# Each ends by SIGKILL with its namespace, as in Bazel's sandbox: what it has made is there, and nothing piles up.
e2e_worlds_that_end_leave_nothing()
{
	local i left
	put a.c 'int f(void) { return 1; }'
	$CC -c a.c -o plain.o
	counted miss "$COFFER" "$CC" -c a.c -o a.o
	for ((i = 0; i < 5; i++)); do
		read_counters counters_before
		put b$i.c "int b(void) { return $i; }"
		inside --pid '"$1" "$2" -c b"$3".c -o b.o' "$COFFER" "$CC" $i
		inside --pid '"$1" "$2" -c b"$3".c -o c.o; "$1" "$2" -c a.c -o a.o' "$COFFER" "$CC" $i
		settle
		[ "$(grown direct_hits)" = 2 ] && [ "$(grown misses)" = 1 ] || fail "in round $i:$(all_grown)"
		same_file plain.o a.o
		same_file b.o c.o
	done
	left=$(find "$COFFER_CACHE_DIR/run" -type s -name 'daemon-*-*-*' | wc -l)
	[ "$left" -le 1 ] || fail "$left sockets are left"
}

# Where there can be no daemon the compiler runs, and the reason is counted.
e2e_worlds_that_can_write_nothing_are_counted()
{
	put a.c 'int f(void) { return 1; }'
	$CC -c a.c -o plain.o
	counted miss "$COFFER" "$CC" -c a.c -o a.o
	read_counters counters_before
	inside 'mount --bind "$3" "$3"; mount -o remount,bind,ro "$3"; "$1" "$2" -c a.c -o a.o' "$COFFER" "$CC" "$COFFER_CACHE_DIR"
	settle
	[ "$(grown not_cached_mount_namespace)" = 1 ] || fail "not counted:$(all_grown)"
	same_file plain.o a.o
	# /proc is that of another pid namespace: nobody can tell who is who.
	read_counters counters_before
	unshare --user --map-root-user --mount --pid --fork "$COFFER" "$CC" -c a.c -o a.o
	settle
	[ "$(grown not_cached_mount_namespace)" = 1 ] || fail "not counted:$(all_grown)"
	same_file plain.o a.o
}

e2e_worlds_of_another_group() # once
{
	[ "$(id -u)" = 0 ] || skip "needs root"
	put a.c 'int f(void) { return 1; }'
	counted miss "$COFFER" gcc -c a.c -o a.o
	rm a.o
	read_counters counters_before
	setpriv --regid 60 --keep-groups "$COFFER" gcc -c a.c -o a.o
	settle
	[ "$(grown direct_hits)" = 1 ] || fail "no hit:$(all_grown)"
	[ "$(stat -c %g a.o)" = 60 ] || fail "the object belongs to group $(stat -c %g a.o)"
}
