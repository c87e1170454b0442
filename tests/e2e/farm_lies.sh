# Workers that lie, and workers that say when to come again: what the client makes of them. Such a worker is
# tests/e2e/farm/liar.py; an honest one works for it.
# shellcheck shell=bash disable=SC2154
# shellcheck source=tests/e2e/farm/lib.sh
source "$TESTS/e2e/farm/lib.sh"

# The distribution's, which has its packages.
python=/usr/bin/python3

# liar_start: a farm whose one worker is the liar; the honest one behind it is known to nobody.
liar_start()
{
	need $python protoc grpc_python_plugin perl
	$python -c 'import grpc' 2>/dev/null || skip "python3-grpcio is not installed"
	protoc -I "$TESTS/../proto" --python_out="$T" --grpc_python_out="$T" \
		--plugin=protoc-gen-grpc_python="$(command -v grpc_python_plugin)" coffer.proto || fail "protoc fails"
	site_keys liar "$@"
	scheduler_start
	worker_start behind --slots 16
	unset COFFER_WORKER
	tell truth
	(PYTHONPATH=$T PYTHONDONTWRITEBYTECODE=1 $python "$TESTS/e2e/farm/liar.py" "$T/site" liar "$scheduler" "unix:$T/behind.sock" "$T/lie" >"$T/liar.log" 2>&1 &
	echo $! >"$T/liar.pid")
	wait_until 30 "grep -qs registered $T/liar.log" || fail "the liar does not register: $(tail -n 5 "$T/liar.log" "$T/scheduler.log")"
}

tell()
{
	echo "$*" >"$T/lie.new"
	mv "$T/lie.new" "$T/lie"
}

jobs_of_liar() { grep -c begins "$T/liar.log"; }

# A fresh daemon and a fresh build with this lie: right objects, no word of the worker, a warm build that is right as well.
build_with()
{
	tell "$1"
	stop_daemons
	rm -rf got want
	read_counters counters_before
	jobs=$(jobs_of_liar)
	all_away 6 -O1 "-DLIE=\"$1\""
	settle
	[ "$(jobs_of_liar)" -gt "$jobs" ] || fail "the lie '$1' was not told: $("$COFFER" status)"
	rm -rf want.warm got
	mv want want.warm
	all_away 6 -O1 "-DLIE=\"$1\""
}

e2e_farm_lies_strike_a_worker_out() { # once long
	local lie
	liar_start
	farm_project 6
	for lie in digest source size outputs kind none bytes truncated longer 'no zstd' 'no object' empty 'no result' early twice unasked; do
		build_with "$lie"
		[ "$(grown remote_compiles)" = 0 ] && [ "$(grown remote_hits)" = 0 ] || fail "a lie was believed: $lie:$(all_grown)"
		[ "$(grown remote_lies)" -ge 1 ] || fail "the lie was not counted: $lie:$(all_grown)"
		"$COFFER" status | grep -q "^ *liar .* struck out: it\|^ *liar .* struck out: the object\|^ *liar .* struck out: a section" || fail "status after '$lie': $("$COFFER" status)"
	done
	# Once for each daemon.
	[ "$(daemon_log "worker 'liar' is struck out" | wc -l)" = 16 ] || fail "the log: $(daemon_log liar)"
	farm_end
}

e2e_farm_words_of_a_liar_do_nothing_to_a_terminal() { # once long
	liar_start
	farm_project 1
	tell 'hang up'
	all_away 1 -O1
	# With its escape sequence it would be the terminal's.
	"$COFFER" status >"$T/status"
	grep -q '^ *liar .*say?\[2J??2J?what' "$T/status" || fail "status: $(<"$T/status")"
	"$COFFER" status --json | grep -qi 'say.u001b' || fail "status --json: $("$COFFER" status --json)"
	farm_end
}

e2e_farm_lies_in_messages_are_not_shown() { # once long
	export COFFER_SEND=text
	local lie
	liar_start
	farm_project 6
	for lie in messages failure; do
		build_with "$lie"
		[ "$(grown remote_messages)" -ge 1 ] || fail "'$lie' was not counted:$(all_grown)"
	done
	daemon_log money && fail "what the worker says is in the log"
	farm_end
}

# About the user's own files neither, where the user does not want the workers' words.
e2e_farm_lies_in_messages_about_trees_are_not_shown() { # once long
	local lie
	export COFFER_SEND=auto COFFER_WORKER_MESSAGES=check
	liar_start
	farm_project 6
	build_with truth
	[ "$(counter remote_trees)" -ge 1 ] || fail "nothing goes as a tree: $("$COFFER" stats)"
	for lie in messages failure; do
		build_with "$lie"
		[ "$(grown remote_messages)" -ge 1 ] || fail "'$lie' was not counted:$(all_grown)"
	done
	daemon_log money && fail "what the worker says is in the log"
	farm_end
}

# Each answer of such a worker is a compile for nothing: after a bound it gets no more.
e2e_farm_worker_that_always_has_messages_is_struck_out() { # once long
	export COFFER_SEND=text
	liar_start
	farm_project 40
	tell messages
	stop_daemons
	read_counters counters_before
	all_away 40 -O1
	"$COFFER" status >"$T/said" || fail "no status"
	daemon_log "worker 'liar' is struck out: its compiles fail or have messages" | grep -q . ||
		fail "it is not struck out: $(<"$T/said")$(all_grown)"
	farm_end
}

e2e_farm_answers_that_never_come_are_waited_for_in_bounds() { # once clock long
	local lie before
	liar_start
	farm_project 6
	for lie in never trickle 'hang up'; do
		before=$(now_ms)
		COFFER_REMOTE_TIMEOUT=2s build_with "$lie"
		[ $(($(now_ms) - before)) -lt 60000 ] || fail "it took $(($(now_ms) - before)) ms"
		[ "$(grown remote_compiles)" = 0 ] && [ "$(grown remote_failed)" -ge 1 ] || fail "'$lie':$(all_grown)"
		[ "$(grown remote_lies)" = 0 ] || fail "a failure is no lie"
	done
	farm_end
}

e2e_farm_liars_neighbour_gets_the_jobs() { # once long
	liar_start honest
	site_worker_start honest
	farm_project 24
	tell digest
	all_away 24 -O2
	settle
	"$COFFER" status | grep -q '^ *liar .* struck out' || fail "status: $("$COFFER" status)"
	"$COFFER" status | grep -q '^ *honest .* fine' || fail "status: $("$COFFER" status)"
	[ "$(counter remote_compiles)" -ge 15 ] || fail "the honest worker did not get the jobs: $("$COFFER" status)"
	# A new address makes no new worker of it.
	kill -TERM "$(<"$T/liar.pid")"
	tell truth
	jobs=$(jobs_of_liar)
	(PYTHONPATH=$T PYTHONDONTWRITEBYTECODE=1 $python "$TESTS/e2e/farm/liar.py" "$T/site" liar "$scheduler" "unix:$T/behind.sock" "$T/lie" >"$T/liar.log.2" 2>&1 &
	echo $! >"$T/liar.pid")
	wait_until 30 "grep -qs registered $T/liar.log.2" || fail "the liar does not register: $(<"$T/liar.log.2")"
	rm -rf got want
	all_away 24 -O1
	! grep -q begins "$T/liar.log.2" || fail "it got a job: $("$COFFER" status)"
	farm_end
}

# A full worker is not asked earlier than it says; the other one gets the jobs.
e2e_farm_full_worker_is_left_alone_for_as_long_as_it_says() { # once clock long
	local said
	liar_start honest
	site_worker_start honest
	farm_project 40
	tell full 4000
	timeout 60 "$COFFER" "$CC" -c u1.c -o warm.o
	# The first jobs are under way together. Later ones come in one process after the other for several seconds.
	all_away 16 -O2
	before=$(now_ms)
	while [ $(($(now_ms) - before)) -lt 9000 ]; do
		rm -rf got
		COFFER_RECACHE=1 all_away 8 -O2
	done
	grep begins "$T/liar.log" | sort -n | awk '
		NR > 1 && $1 - last > 0.5 && $1 - last < 3.9 { bad = bad " " $1 - last }
		NR > 1 && $1 - last >= 3.9 { again++ }
		{ last = $1 }
		END { if (bad) print "asked again after" bad; else if (!again) print "never asked again" }' >"$T/gaps"
	[ ! -s "$T/gaps" ] || fail "$(<"$T/gaps"): $(grep begins "$T/liar.log")"
	[ "$(counter remote_compiles)" -ge 8 ] || fail "the other worker did not get the jobs: $("$COFFER" status)"
	# What is no number is the longest pause: the worker is not asked again while this test lasts.
	for said in -1 soon; do
		tell full "$said"
		stop_daemons
		rm -rf got
		all_away 16 -O2 "-DSAID=\"$said\""
		jobs=$(jobs_of_liar)
		sleep 1.5
		rm -rf got
		COFFER_RECACHE=1 all_away 16 -O2 "-DSAID=\"$said\""
		[ "$(jobs_of_liar)" = "$jobs" ] || fail "asked again after '$said'"
	done
	farm_end
}

# Below another coffer nobody knows of idle cores: a job that the worker never begins comes back after 30 s.
e2e_farm_jobs_that_never_begin_come_back() { # once clock long
	local before
	liar_start
	farm_project 3
	tell never
	before=$(now_ms)
	COFFER_DEPTH=1 all_away 3 -O1
	before=$(($(now_ms) - before))
	echo "it took $before ms"
	[ $before -ge 25000 ] && [ $before -lt 55000 ] || fail "it took $before ms"
	settle
	[ "$(jobs_of_liar)" -ge 1 ] && [ "$(counter remote_compiles)" = 0 ] || fail "nothing went away: $("$COFFER" status)"
	farm_end
}

# The same of the user's own text; and what only such a worker can say.
e2e_farm_lies_about_trees() { # once long
	local lie
	export COFFER_SEND=auto
	liar_start
	farm_project 6
	build_with truth
	[ "$(counter remote_trees)" -ge 1 ] || fail "nothing goes as a tree: $("$COFFER" stats)"
	for lie in source bytes 'no object' 'needs more' 'needs in disorder' 'needs the listing' 'needs twice'; do
		build_with "$lie"
		[ "$(grown remote_compiles)" = 0 ] && [ "$(grown remote_hits)" = 0 ] || fail "a lie was believed: $lie:$(all_grown)"
		[ "$(grown remote_lies)" -ge 1 ] || fail "the lie was not counted: $lie:$(all_grown)"
	done
	build_with stranger
	[ "$(grown remote_compiles)" = 0 ] && [ "$(grown remote_hits)" = 0 ] && [ "$(grown no_tree_stranger)" -ge 1 ] ||
		fail "a strange depfile was believed:$(all_grown)"
	# What could do something to a terminal is never shown (build_with fails at any message).
	build_with escape
	[ "$(grown remote_messages)" -ge 1 ] || fail "it was not counted:$(all_grown)"
	farm_end
}
