# Workers that are slow, or never begin: the build is not held up. The compiler is a stand-in that sleeps.
# shellcheck shell=bash disable=SC2154
# shellcheck source=tests/e2e/farm/lib.sh
source "$TESTS/e2e/farm/lib.sh"

# A worker beside another one that is a hundred times as fast. A job of 300 ms takes 30 s there: a core here that is idle takes it
# after 5 s.
slow_build()
{
	need perl jq
	site_keys fast slow
	standin_farm_start fast 8 slow 8
	standin_project 80 300 20
	before=$(now_ms)
	timeout 200 "$@" >"$T/build.log" 2>&1 || fail "the build fails: $(tail -n 5 "$T/build.log")"
	took=$(($(now_ms) - before))
	standin_right 80 "$T/build.log"
	wait_until 10 "\"$COFFER\" status --json | jq -e '[.farms[0].workers[].in_flight] | add == 0' >/dev/null" || fail "status: $("$COFFER" status)"
	[ "$(counter remote_compiles)" -ge 20 ] || fail "the fast worker was hardly used: $("$COFFER" stats --tsv | grep remote)"
	echo "the build took $took ms; $("$COFFER" stats --tsv | grep ^remote | tr '\n' ' ')"
	[ $took -lt 28000 ] || fail "it took $took ms"
	farm_end
}

e2e_farm_slow_worker_holds_nobody_up() { # once long
	own_mounts
	slow_build make -j20
}

e2e_farm_slow_worker_holds_nobody_up_behind_the_front_end() { # once clock long
	own_mounts
	slow_build "$COFFER" make -j2
}

# A worker that takes jobs in and never begins, behind a scheduler, is the whole farm (tests/e2e/farm/liar.py says nothing at all;
# here the worker's processes stand still as soon as it has jobs).
stuck_build()
{
	local i
	need perl
	standin_site 8
	standin_project 24 300 8
	timeout 60 make -j4 ONLY='1 2 3' >"$T/warm.log" 2>&1 || fail "the first jobs: $(<"$T/warm.log")"
	[ "$(counter remote_compiles)" -ge 1 ] || fail "nothing goes away: $("$COFFER" status)"
	for i in $(descendants "$(<"$T/w1.pid")"); do kill -STOP "$i"; done
	before=$(now_ms)
	timeout 200 "$@" >"$T/build.log" 2>&1 || fail "the build fails: $(tail -n 5 "$T/build.log")"
	took=$(($(now_ms) - before))
	for i in $(descendants "$(<"$T/w1.pid")"); do kill -CONT "$i"; done
	standin_right 24 "$T/warm.log" "$T/build.log"
	echo "the build took $took ms; $("$COFFER" stats --tsv | grep ^remote | tr '\n' ' ')"
	[ $took -lt 28000 ] || fail "it took $took ms"
	farm_end
}

e2e_farm_queue_that_does_not_move_holds_nobody_up() { # once long
	own_mounts
	stuck_build make -j12
}

e2e_farm_queue_that_does_not_move_holds_nobody_up_behind_the_front_end() { # once long
	own_mounts
	stuck_build "$COFFER" make -j2
}

# The agent of a session stands still, and so does whoever waits for it.
e2e_farm_a_worker_that_drains_ends_at_its_limit() { # once
	local started pid agents
	farm_project 4
	worker_start w --drain-time 1s --runtime process
	all_away 4 -O1
	pid=$(<"$T/w.pid")
	agents=$(ps -o pid= --ppid "$pid")
	[ -n "$agents" ] || fail "there is no session"
	# shellcheck disable=SC2086
	kill -STOP $agents
	started=$(now_ms)
	kill -TERM "$pid"
	wait_until 20 "[ ! -d /proc/$pid ]" || fail "the worker still runs 20 s after SIGTERM"
	[ $(($(now_ms) - started)) -ge 900 ] || fail "it has ended at once"
	# shellcheck disable=SC2086
	kill -CONT $agents 2>/dev/null
	wait_until 10 "! ps -p ${agents// /,} >/dev/null" || fail "processes stay behind"
}
