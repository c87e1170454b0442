# Compiles on workers: client, scheduler and worker as users run them.
# shellcheck shell=bash disable=SC2154

# shellcheck source=tests/e2e/farm/lib.sh
source "$TESTS/e2e/farm/lib.sh"

e2e_farm_objects_are_the_compilers()
{
	export COFFER_SEND=text
	always_away
	worker_start w1
	farm_project 8
	all_away 8 -O2
	[ "$(counter remote_compiles)" -ge 6 ] || fail "hardly anything was compiled by the worker: $(tail -n 3 "$T/w1.log")"
	# What was compiled there is a hit here.
	read_counters counters_before
	rm -f got/*
	all_away 8 -O2
	settle
	[ "$(grown direct_hits)" = 8 ] || fail "no hits:$(all_grown)"
	put inc/h.h '#define H 2' 'static inline int twice(int x) { return 2 * x + H; }'
	rm -f got/* want/*
	all_away 8 -O2
	farm_end
}

e2e_farm_native_means_this_machine() # gcc
{
	export COFFER_SEND=text
	always_away
	worker_start w1
	put u1.c 'float f(float *a, int n) { float s = 0; for (int i = 0; i < n; i++) s += a[i] * a[i]; return s; }'
	all_away 1 -O3 -ffast-math -march=native -mtune=native
	settle
	[ "$(counter remote_compiles)" = 1 ] || fail "it was not compiled by the worker"
	farm_end
}

e2e_farm_split_dwarf_is_the_compilers()
{
	export COFFER_SEND=text
	local name
	always_away
	worker_start w1
	put u1.c 'int twice(int x)' '{' '	int y = x * 2;' '	return y;' '}'
	put d/u2.c 'static int h(int x) { return x + 1; }' 'int g(int x)' '{' '	return h(x) * 3;' '}'
	mkdir -p out want
	for name in out/u1.o:u1.c u1.c.o:u1.c d/u2.o:d/u2.c out/very.long.o:d/u2.c; do
		"$CC" -g -gsplit-dwarf -O1 -c "${name#*:}" -o "${name%:*}" || fail "the plain compile fails"
		mv "${name%:*}" want/o && mv "$(sed 's/\.o$/.dwo/' <<<"${name%:*}")" want/dwo || fail "the plain compile makes something else"
		"$COFFER" "$CC" -g -gsplit-dwarf -O1 -c "${name#*:}" -o "${name%:*}" || fail "the compile fails"
		same_file want/o "${name%:*}"
		same_file want/dwo "$(sed 's/\.o$/.dwo/' <<<"${name%:*}")"
		# What was compiled there is a hit here, with both.
		cp "${name%:*}" again.o && rm "${name%:*}" "$(sed 's/\.o$/.dwo/' <<<"${name%:*}")"
		check hit "$COFFER" "$CC" -g -gsplit-dwarf -O1 -c "${name#*:}" -o "${name%:*}"
		same_file again.o "${name%:*}"
		same_file want/dwo "$(sed 's/\.o$/.dwo/' <<<"${name%:*}")"
	done
	# A name that no worker can make stays here, and so do clang's, as its debug information has checksums of the sources.
	"$COFFER" "$CC" -g -gsplit-dwarf -O1 -c u1.c -o "$P/out/abs.o" || fail "the compile fails"
	case $CC in
	*clang*) [ "$(counter remote_compiles)" = 0 ] || fail "clang's debug information is from another machine" ;;
	*) [ "$(counter remote_compiles)" = 4 ] || fail "not all went away: $(counter remote_compiles)" ;;
	esac
	farm_end
}

# Debug information made in a build directory, as CMake calls compilers: by absolute and by relative names.
e2e_farm_debug_information_of_a_build_directory() # gcc long
{
	export COFFER_SEND=text
	local mode source n
	always_away
	mkdir -p .git src inc build/deep
	put inc/h.h 'static inline int h(int x)' '{' '	return x + 1;' '}'
	put src/u.c '#include "h.h"' 'int u(int x)' '{' '	int y = h(x);' '	return y * 2;' '}'
	worker_start w1
	cd build/deep || exit 1
	for mode in off on; do
		export COFFER_REPRODUCIBLE=$mode
		for source in "$P/src/u.c" ../../src/u.c; do
			n=$(($(counter remote_compiles) + $(counter remote_hits)))
			check any "$CC" -g -O1 -I"$P/inc" -MD -MF u.d -c "$source" -o u.o
			[ $(($(counter remote_compiles) + $(counter remote_hits) - n)) = 1 ] || fail "$source stayed here with reproducible=$mode: $(all_grown)"
			again hit "$CC" -g -O1 -I"$P/inc" -MD -MF u.d -c "$source" -o u.o
		done
	done
	farm_end
}

e2e_farm_objective_c_is_the_compilers()
{
	export COFFER_SEND=text
	local lang
	export COFFER_SEND=text
	always_away
	worker_start w1
	put a.m '#import "a.h"' '@implementation A' '- (int) f { return x; }' '@end'
	put a.mm '#import "a.h"' '@implementation A' '- (int) f { bool is = true; return is ? x : 0; }' '@end'
	put a.h '__attribute__((objc_root_class))' '@interface A { int x; }' '- (int) f;' '@end'
	for lang in m mm; do
		"$CC" -O1 -c a.$lang -o want.o 2>/dev/null || continue # there is no such compiler here
		"$COFFER" "$CC" -O1 -c a.$lang -o got.o || fail "the compile fails"
		same_file want.o got.o
		check hit "$COFFER" "$CC" -O1 -c a.$lang -o got.o
	done
	[ -e want.o ] || skip "no compiler for Objective-C"
	# clang's object names its source.
	case $CC in
	*clang*) [ "$(counter remote_compiles)" = 0 ] || fail "a compile of clang's went away" ;;
	*) [ "$(counter remote_compiles)" -ge 1 ] || fail "nothing went away: $("$COFFER" status)" ;;
	esac
	farm_end
}

e2e_farm_depfiles_are_the_compilers()
{
	export COFFER_SEND=text
	local flags
	worker_start w1
	farm_project 1
	for flags in -MD -MMD '-MD -MP' '-MD -MF other.d' '-MMD -MT x -MT y' '-MD -MQ a$b'; do
		rm -f -- *.d got.o
		# shellcheck disable=SC2086
		"$CC" -O1 -c u1.c -o got.o $flags || fail "the plain compile fails"
		mkdir -p plain
		mv -- *.d plain/
		# shellcheck disable=SC2086
		"$COFFER" "$CC" -O1 -c u1.c -o got.o $flags || fail "the compile fails"
		diff -r plain . --exclude='*.[coh]' --exclude=inc --exclude=plain >/dev/null ||
			cmp plain/*.d -- *.d || fail "another depfile: $flags"
		rm -rf plain
	done
	[ "$(counter remote_compiles)" -ge 1 ] || [ "$(counter remote_hits)" -ge 1 ] || fail "nothing went away"
	farm_end
}

e2e_farm_messages_are_the_compilers()
{
	export COFFER_SEND=text
	worker_start w1
	put a.c '#define MAX(a, b) ((a) > (b) ? (a) : (b))' 'int f(int a, unsigned b) { int unused; return MAX(a, b); }'
	put e.c 'int f(void) { return nothing; }'
	put w.c '#warning "from the preprocessor"' 'int w;'
	right "$CC" -Wall -Wextra -c a.c -o a.o
	right "$CC" -c e.c -o e.o
	right "$CC" -c w.c -o w.o
	right "$CC" -Wall -Werror -c a.c -o a.o
	[ "$(counter remote_messages)" -ge 1 ] || fail "no compile was sent away"
	farm_end
}

e2e_farm_two_checkouts_make_the_same_object()
{
	export COFFER_SEND=text
	local tree
	always_away
	unset COFFER_REPRODUCIBLE
	worker_start w1
	for tree in one two; do
		mkdir -p $tree/.git $tree/inc
		put $tree/inc/h.h 'static const char *where(void) { return __FILE__; }'
		put $tree/a.c '#include "inc/h.h"' 'const char *f(void) { return where(); }' 'const char *g(void) { return __FILE__; }'
		# The second is no hit of the local cache, but one of the worker's.
		COFFER_RECACHE=1 in_dir $tree "$COFFER" "$CC" -O1 -I"$P/$tree" -c "$P/$tree/a.c" -o a.o || fail "the compile fails"
	done
	same_file one/a.o two/a.o
	settle
	[ "$(counter remote_compiles)" = 1 ] && [ "$(counter remote_hits)" = 1 ] || fail "the two are not one to the worker: $("$COFFER" stats --tsv | grep remote)"
	strings one/a.o | grep -q "$P" && fail "the object names its checkout"
	farm_end
}

# What the worker knows is not sent once more, however large it is.
e2e_farm_known_results_need_no_upload() { # once
	export COFFER_SEND=text
	local i texts
	worker_start w1
	farm_project 8
	for i in $(seq 8); do
		seq 400 | awk -v u="$i" '{ print "int f" u "_" $1 "(int a) { return a * " $1 * 7919 % 1009 " + " $1 * u * 31337 % 65521 "; }" }' >>"u$i.c"
	done
	all_away 8 -O0
	settle
	texts=$(counter remote_bytes_sent)
	[ "$texts" -gt 32768 ] || fail "the texts are too small for this test: $texts"
	"$COFFER" cache clear >/dev/null
	rm -rf got
	read_counters counters_before
	COFFER_RECACHE=1 all_away 8 -O0
	settle
	read_counters counters_after
	[ "$(grown remote_hits)" -ge 4 ] || fail "the worker does not know them:$(all_grown)"
	# On a busy machine some answers come too late for their text.
	[ "$(grown remote_bytes_sent)" -le $((texts / 2)) ] || fail "known texts were sent:$(all_grown)"
	farm_end
}

e2e_farm_worker_is_killed() { # once
	worker_start w1 --runtime process
	worker_start w2 --runtime process
	farm_project 40
	(sleep 0.7; worker_kill w1 KILL; sleep 0.5; worker_kill w2 KILL) &
	all_away 40 -O2
	wait
	rm -f got/*
	# Nobody is there any more: this machine does it.
	COFFER_RECACHE=1 all_away 4 -O2
	farm_end
}

e2e_farm_worker_stands_still() { # once
	worker_start w1
	farm_project 4
	all_away 1
	worker_kill w1 STOP
	rm -f want/*
	COFFER_REMOTE_TIMEOUT=2s all_away 4 -O1
	worker_kill w1 CONT
	farm_end
}

e2e_farm_worker_has_another_compiler() { # once
	worker_start w1 --toolchain-folders "$T/toolchain:/opt/none"
	mkdir -p "$T/toolchain"
	put a.c 'int a;'
	mkdir bin
	ln -s "$(command -v gcc)" bin/strange-gcc
	"$COFFER" bin/strange-gcc -c a.c -o a.o || fail "the compile fails"
	[ "$(counter remote_compiles)" = 0 ] || fail "the worker compiled for a compiler that it does not have"
	farm_end
}

e2e_farm_elastic_make_lends_its_slots() # once
{
	local i
	worker_start w1 --runtime process --slots 20
	for ((i = 1; i <= 20; i++)); do put "f$i.c" "int f$i(int x) { return x * $i; }"; done
	printf 'all: $(addsuffix .o,$(addprefix f,$(shell seq 20)))\n%%.o: %%.c\n\t@$(CC) -O1 -c $< -o $@\n' >Makefile
	timeout 60 "$COFFER" make --summary >"$T/log" 2>&1 || fail "the build fails: $(tail -n 3 "$T/log")"
	grep -q 'at most 2 commands at once\|at most 1 commands at once\|local: at most' "$T/log" || fail "no summary: $(<"$T/log")"
	[ "$(counter remote_compiles)" -ge 15 ] || fail "hardly anything went away: $(<"$T/log")"
	grep -q 'remote: [12][0-9]' "$T/log" || fail "slots were not lent: $(<"$T/log")"
	farm_end
}

e2e_farm_paranoid_keeps_nothing_here() { # once long
	worker_start w1
	export COFFER_PARANOID=on
	farm_project 4
	all_away 4 -O2
	rm -f got/*
	all_away 4 -O2
	settle
	[ "$(counter stored)" = 0 ] && [ "$(counter direct_hits)" = 0 ] || fail "the local cache was used: $(all_grown)"
	[ "$(counter remote_hits)" -ge 1 ] || fail "the worker's results were not used"
	nothing_is_kept
	"$COFFER" explain last | grep -q "because the setting 'paranoid'" || fail "explain: $("$COFFER" explain last)"
	# Nor of what is not cached.
	"$COFFER" "$CC" -fplugin-arg-DSECRET=1 -c u1.c -o got/1.o 2>/dev/null
	settle
	grep -q '"reason":"plugin"' "$COFFER_CACHE_DIR/v1/journal.jsonl" || fail "it is not in the journal: $(tail -n 1 "$COFFER_CACHE_DIR/v1/journal.jsonl")"
	nothing_is_kept
	farm_end
}

# Of the project's jobs there are their names in the journal, which `explain` needs, and no more than that.
nothing_is_kept()
{
	local journal=$COFFER_CACHE_DIR/v1/journal.jsonl
	at_rest
	[ "$(counter stored)" = 0 ] && [ "$(counter direct_hits)" = 0 ] || fail "the local cache was used: $(all_grown)"
	grep -rlaE 'twice|printf|DSECRET' "$COFFER_CACHE_DIR" && fail "a source or a word is in the cache folder"
	grep -q '"source":"[^"]*/u1.c"' "$journal" || fail "the journal does not name the compile"
	grep -qE '"(unit|key|result|was|now)"' "$journal" && fail "the journal tells more than names: $(tail -n 1 "$journal")"
	find "$COFFER_CACHE_DIR" -type f -path '*/v1/*' ! -name 'journal*' -printf '%P %s\n' >"$T/kept"
	! grep -E '/(result|manifest|text|unit|blobs?)/|^v1/[0-9a-f]{2}/' "$T/kept" || fail "something is on disk"
}

e2e_farm_policy_keeps_nothing_here() { # once long
	worker_start w1 --paranoid
	farm_project 6
	# The first compile of a daemon is one for a core of its own: nothing has been sent anywhere, and yet it asks.
	all_away 1 -O2 -DSECRET=1
	settle
	nothing_is_kept
	all_away 6 -O2 -DSECRET=1
	rm -f got/*
	all_away 6 -O2 -DSECRET=1
	settle
	[ "$(counter remote_hits)" -ge 1 ] || fail "the worker's results were not used"
	nothing_is_kept
	"$COFFER" explain last | grep -q 'because the policy of the farm' || fail "explain: $("$COFFER" explain last)"
	"$COFFER" status | grep -q 'nothing is kept on this machine: worker .*w1.sock' || fail "status: $("$COFFER" status)"
	farm_end
}

e2e_farm_policy_of_a_worker_without_our_compiler() { # once
	need clang
	[ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null || skip "it takes a namespace of its own"
	put "$T/without-clang" '#!/bin/sh' "mount --bind /dev/null '$(readlink -f "$(command -v clang)")' && exec $COFFERD \"\$@\""
	chmod +x "$T/without-clang"
	put "$T/worker" '#!/bin/sh' "exec unshare -m $T/without-clang \"\$@\""
	chmod +x "$T/worker"
	COFFERD=$T/worker worker_start w1 --runtime process --paranoid
	put a.c 'int secret;'
	"$COFFER" clang -c a.c -o a.o || fail "the compile fails"
	settle
	[ "$(counter misses)" = 1 ] || fail "it is not cached at all: $(all_grown)"
	[ "$(counter stored)" = 0 ] || fail "it was kept: $(all_grown)"
	[ "$(counter remote_no_compiler)" = 1 ] || fail "why it stays here is not counted: $(all_grown)"
	"$COFFER" status | grep -q 'nothing is kept on this machine' || fail "status: $("$COFFER" status)"
	farm_end
}

e2e_farm_policy_is_heeded_as_soon_as_it_changes() { # once long
	worker_start w1 --runtime process
	farm_project 8
	all_away 4 -O2
	settle
	[ "$(counter stored)" = 4 ] || fail "not stored: $(all_grown)"
	worker_kill w1 TERM
	wait_until 10 "[ ! -d /proc/$(<"$T/w1.pid") ]" || fail "it does not end"
	rm -f "$T/w1.sock"
	COFFER_WORKER='' worker_start w1 --runtime process --paranoid
	export COFFER_WORKER=unix:$T/w1.sock
	# The daemon knows the worker as one without such a policy; no compile of these that went there is stored.
	wait_until 20 'COFFER_RECACHE=1 all_away 8 -O2; "$COFFER" status | grep -q "nothing is kept"' || fail "it has not learned: $("$COFFER" status)"
	settle
	read_counters counters_before
	rm -f got/*
	all_away 8 -O2
	settle
	[ "$(grown stored)" = 0 ] && [ "$(grown direct_hits)" = 0 ] || fail "the local cache was used:$(all_grown)"
	farm_end
}

# Another assembler for the worker alone, which finds it first.
other_assembler()
{
	nsenter -t "$(<"$T/w1.pid")" -m sh -c "cat >/usr/local/bin/new && chmod +x /usr/local/bin/new && mv /usr/local/bin/new /usr/local/bin/as" <<-END
		#!/bin/sh
		exec /usr/bin/as --defsym mine=1 "\$@"
	END
}

e2e_farm_compiler_that_changes_while_a_job_waits() { # once long
	local first second i
	[ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null || skip "it takes a namespace of its own"
	(COFFER_WORKER_LOG_FORMAT=text unshare -m sh -c 'mount -t tmpfs none /usr/local/bin && exec "$@"' - \
		"$COFFERD" worker --insecure-loopback --listen "unix:$T/w1.sock" --admin '' --name w1 --runtime process \
		--folder "$T/w1" --slots 1 --agent "$COFFER_BUILD/coffer-agent" >"$T/w1.log" 2>&1 &
	echo $! >"$T/w1.pid")
	wait_until 30 "[ -S $T/w1.sock ]" || fail "no worker: $(<"$T/w1.log")"
	export COFFER_WORKER=unix:$T/w1.sock
	farm_project 3
	for i in $(seq 1500); do echo "int g$i(int *p, int n) { int s = 0; for (int i = 0; i < n; i++) s += p[i] * $i % (i + 3); return s; }"; done >slow.c
	"$COFFER" gcc -O3 -c slow.c -o slow.o &
	first=$!
	wait_until 20 '"$COFFER" status | grep -q "1 of 1 at work for all"' || fail "no job has begun: $("$COFFER" status) $(<"$T/w1.log")"
	"$COFFER" gcc -O1 -c u2.c -o 2.o &
	second=$!
	wait_until 4 '"$COFFER" status | grep -q "1 waiting"' || fail "it does not wait: $("$COFFER" status)"
	other_assembler
	wait $first $second
	gcc -O1 -c u2.c -o want.o
	same_file want.o 2.o
	# The worker stored nothing of it, and was compared again.
	settle
	[ "$(counter remote_hits)" = 0 ] && [ "$(counter remote_compiles)" -lt 2 ] || fail "the other assembler's object was taken: $(all_grown)"
	[ "$(counter remote_no_compiler)" -ge 1 ] || fail "the other assembler is not counted: $(all_grown)"
	"$COFFER" status | grep -q "differs: the '.*' of its gcc" || fail "status: $("$COFFER" status)"
	farm_end
}

e2e_farm_with_a_scheduler() { # once
	need perl jq
	site_start
	# The one core here is at work as well: of twenty-four at once it gets its part.
	farm_project 24
	all_away 24 -O2
	[ "$(counter remote_compiles)" -ge 8 ] || fail "hardly anything went away: $("$COFFER" status) $(tail -n 3 "$T/w1.log")"
	"$COFFER" status | grep -q '^ *w1 .* fine$' || fail "status does not name the worker"
	"$COFFER" status --json >"$T/status" || fail "no status"
	jq -e '.running and (.farms | length) == 1 and (.farms[0].workers[0] | .name == "w1" and .state == "fine" and .slots_all == 4 and
		.sessions >= 1 and .own_answers >= 8 and .running == 0 and .keep_nothing == false) and .counters.remote_compiles >= 8' "$T/status" >/dev/null ||
		fail "status is $(<"$T/status")"
	[ "$("$COFFER" status | awk '{ if (length > most) most = length } END { print most }')" -le 80 ] || fail "it is wider than 80 columns"
	# Without its scheduler a client goes on with the routes that it has.
	kill -KILL "$(<"$T/scheduler.pid")"
	read_counters counters_before
	rm -f got/*
	COFFER_RECACHE=1 all_away 12 -O2
	settle
	[ $(($(grown remote_compiles) + $(grown remote_hits))) -ge 1 ] || fail "nothing went away:$(all_grown)"
	# A daemon that knows no routes compiles here.
	stop_daemons
	rm -f got/*
	COFFER_RECACHE=1 all_away 4 -O2
	! grep -rqs eyJ "$COFFER_CACHE_DIR" "$T"/*.log || fail "a token is in a file"
	farm_end
}

e2e_farm_settings_that_are_wrong() { # once
	put a.c 'int a;'
	COFFER_WORKER=192.0.2.1:7430 "$COFFER" "$CC" -c a.c -o a.o || fail "the compile fails"
	rm a.o
	COFFER_SCHEDULER=127.0.0.1:1 timeout 20 "$COFFER" "$CC" -O1 -c a.c -o a.o || fail "the compile fails without a scheduler"
	rm a.o
	COFFER_SCHEDULER=127.0.0.1:1 COFFER_SCHEDULER_CA=/nonexistent timeout 20 "$COFFER" "$CC" -O2 -c a.c -o a.o || fail "the compile fails"
	rm a.o
	COFFER_SCHEDULER=nonsense COFFER_ISOLATION=iron timeout 20 "$COFFER" "$CC" -O3 -c a.c -o a.o || fail "the compile fails"
}

# The client's compiler finds another assembler, or reads a specs file: its objects are its own.
e2e_farm_toolchain_of_the_client_counts() { # gcc
	local i before
	worker_start w1
	farm_project 6
	all_away 6 -O1
	before=$(counter remote_compiles)
	[ "$before" -gt 0 ] || fail "nothing went away"
	mkdir "$T/tools"
	printf '#!/bin/sh\nexec /usr/bin/as --defsym mine=1 "$@"\n' >"$T/tools/as"
	chmod +x "$T/tools/as"
	for i in 1 2 3 4 5 6; do COMPILER_PATH=$T/tools "$COFFER" gcc -O2 -c u$i.c -o got/$i.o & done
	wait
	settle
	[ "$(counter remote_compiles)" = "$before" ] || fail "some went away: $(counter remote_compiles) after $before"
	for i in 1 2 3 4 5 6; do
		COMPILER_PATH=$T/tools gcc -O2 -c u$i.c -o want.o
		nm got/$i.o | grep -q mine || fail "u$i was not made by the client's assembler"
	done
	"$COFFER" status | grep -q "of its gcc is another one" || fail "status: $("$COFFER" status)"
	farm_end
}

e2e_farm_columns_stay_here() { # gcc
	export COFFER_SEND=text
	local i before
	export COFFER_SEND=text
	worker_start w1
	farm_project 4
	all_away 4 -O1
	before=$(counter remote_compiles)
	[ "$before" -gt 0 ] || fail "nothing went away"
	put c.cc '#define TWICE(x) ((x) + (x))' 'int f(int a) { return TWICE(a) + __builtin_COLUMN(); }'
	put s.cc '#define TWICE(x) ((x) + (x))' 'int f(int a) { return TWICE(a) + a; }'
	for i in 1 2 3 4; do
		"$COFFER" clang++ -DN=$i -c c.cc -o c$i.o &
		"$COFFER" g++ -DN=$i -fsanitize=undefined -c s.cc -o s$i.o &
	done
	wait
	settle
	[ "$(counter remote_compiles)" = "$before" ] || fail "some went away: $(counter remote_compiles) after $before"
	farm_end
}

# One that swallows what it is told hides no other: all are asked at the same time.
e2e_farm_status_asks_all_workers_at_once() { # once
	need python3 jq
	python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); time.sleep(60)' "$T/dead.sock" &
	local dead=$! state
	wait_until 10 "[ -S $T/dead.sock ]"
	export COFFER_WORKER="unix:$T/dead.sock"
	worker_start w1
	put a.c 'int x;'
	COFFER_WORKER="unix:$T/w1.sock" "$COFFER" "$CC" -c a.c -o a.o
	state() { "$COFFER" status --json | jq -r ".farms[].workers[] | select(.address | endswith(\"$1\")) | .state" | sort -u; }
	[ "$(state dead.sock)" = 'no answer' ] || fail "status: $("$COFFER" status)"
	state=$(state w1.sock)
	[ "$state" = fine ] || fail "the other one is '$state': $("$COFFER" status)"
	kill "$dead"
	farm_end
}

e2e_farm_two_workers_of_one_name_are_told() { # once
	need perl
	need_root
	site_start
	farm_project 4
	(cd "$T" && exec "$COFFERD" worker --config "$T/site/worker-w1.conf" --admin '' --folder "$T/again" --slots 4 --agent "$COFFER_BUILD/coffer-agent" \
		--listen "127.0.0.1:$(free_port)" --address '' >"$T/again.log" 2>&1 &
	echo $! >"$T/again.pid")
	wait_until 60 "grep -q 'two workers of one name' $T/scheduler.log" || fail "the scheduler says nothing: $(tail -n 5 "$T/scheduler.log")"
	told() { rm -rf got; all_away 4 -O1; "$COFFER" status | grep -q ' same name as: '; }
	wait_until 60 told || fail "status: $("$COFFER" status)"
	farm_end
}

# What is wrong has a time, and goes when it no longer holds.
e2e_farm_trouble_is_told_as_long_as_it_holds() { # once
	need perl
	need_root
	site_keys w1
	sed -i 's/^listen/route_lifetime = 2s\n&/' "$T/site/scheduler.conf"
	scheduler_start
	wait_until 30 "grep -qs 'scheduler serves' $T/scheduler.log" || fail "no scheduler: $(<"$T/scheduler.log")"
	site_worker_start w1
	farm_project 4
	all_away 4 -O1
	! "$COFFER" status | grep -q trouble || fail "there is trouble: $("$COFFER" status)"
	kill -TERM "$(<"$T/scheduler.pid")"
	wait_until 60 '"$COFFER" status | grep -qE "^  trouble +since [0-9:]{8}: no routes from the scheduler: "' || fail "status: $("$COFFER" status)"
	scheduler_start
	wait_until 60 '! "$COFFER" status | grep -q trouble' || fail "it does not end: $("$COFFER" status)"
	farm_end
}
