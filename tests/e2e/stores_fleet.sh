# Workers that share results through a store, for clients that keep nothing and have no credentials.
# shellcheck shell=bash disable=SC2154

source "$TESTS/e2e/stores/lib.sh"
# shellcheck source=tests/e2e/farm/lib.sh
source "$TESTS/e2e/farm/lib.sh"
export COFFER_PARANOID=on
always_away

fleet_worker() { COFFER_WORKER='' && worker_start "$1" --store "$store" --store-key "$T/fleet.key" "${@:2}"; }

# worker_end NAME: told to end, and gone. One in its place would find its audit log in use before.
worker_end()
{
	worker_kill "$1" TERM
	wait_until 30 "[ ! -d /proc/$(<"$T/$1.pid") ]" || fail "SIGTERM does not end $1"
}

fleet_key()
{
	echo "$1" >"$T/fleet.key"
	chmod 600 "$T/fleet.key"
}

# away N: N compiles by the worker; sets $known, those whose result it had.
away()
{
	rm -rf got
	read_counters counters_before
	all_away "$1" -O2
	settle
	known=$(grown remote_hits)
	[ $(($(grown remote_compiles) + known)) = "$1" ] || fail "not all went away:$(all_grown)"
}

e2e_fleet_shares_results()
{
	start_redis
	fleet_key 'a key that all workers of the fleet have'
	fleet_worker w1
	farm_project 6
	away 6
	[ "$known" = 0 ] || fail "$known results were known"
	wait_until 10 "[ \"\$(redis-cli -p $port --raw keys 'coffer:ac:*' | wc -l)\" = 6 ]" || fail "the results are not in the store"
	worker_end w1
	# Another machine's disk, and a worker that may only read.
	fleet_worker w2 --store-access read-only
	away 6
	[ "$known" = 6 ] || fail "$known of 6 results were known:$(all_grown)"
	worker_end w2
	# It has them on its own disk now.
	stop_servers
	fleet_worker w2
	away 6
	[ "$known" = 6 ] || fail "$known of 6 results are kept:$(all_grown)"
	farm_end
}

# Who can write to the store and has not the key poisons nobody.
e2e_fleet_does_not_take_a_strangers_results() # gcc
{
	mkdir "$T/folder"
	store=file:$T/folder
	fleet_key 'a key that all workers of the fleet have'
	fleet_worker w1
	farm_project 4
	away 4
	wait_until 10 "[ \"\$(find '$T/folder/ac' -type f | wc -l)\" = 4 ]" || fail "the results are not in the store"
	worker_end w1
	cp -a "$T/folder" "$T/good"
	local file what
	for what in other_key changed swapped content; do
		fleet_key 'a key that all workers of the fleet have'
		rm -rf "$T/folder"
		cp -a "$T/good" "$T/folder"
		mapfile -t file < <(find "$T/folder/ac" -type f | sort)
		case $what in
		other_key) fleet_key 'a key that is another one than it was' ;;
		changed) for name in "${file[@]}"; do printf X | dd of="$name" bs=1 seek=60 conv=notrunc status=none; done ;;
		swapped) cp "${file[0]}" "$T/x" && cp "${file[1]}" "${file[0]}" && cp "${file[2]}" "${file[1]}" && cp "${file[3]}" "${file[2]}" && cp "$T/x" "${file[3]}" ;;
		content) while read -r name; do printf X | dd of="$name" bs=1 seek=20 conv=notrunc status=none; done < <(find "$T/folder/cas" -type f) ;;
		esac
		fleet_worker "w-$what" --store-access read-only
		away 4
		[ "$known" = 0 ] || fail "$what: $known results were taken"
		[ "$(grep -c 'shared result not taken' "$T/w-$what.log")" -ge 4 ] || fail "$what is not told: $(tail -n 5 "$T/w-$what.log")"
		worker_end "w-$what"
	done
	farm_end
}

e2e_fleet_without_a_seal_does_not_start() # once
{
	mkdir "$T/folder"
	! "$COFFERD" worker --insecure-loopback --listen "unix:$T/w.sock" --admin '' --name w --folder "$T/w" --store "file:$T/folder" \
		--agent "$COFFER_BUILD/coffer-agent" >"$T/out" 2>&1 || fail "it starts"
	has_text "$T/out" "needs 'store_key'"
}

# A store that is dead delays no job by more than its bound, and fails none.
e2e_fleet_with_a_dead_store() # gcc
{
	start_server python_at silent
	store=http://127.0.0.1:$port/x
	fleet_key 'a key that all workers of the fleet have'
	fleet_worker w1
	farm_project 6
	away 6
	[ "$known" = 0 ] || fail "$known results were known"
	grep -q 'left alone' "$T/w1.log" || fail "it is not left alone: $(tail -n 5 "$T/w1.log")"
	farm_end
	stop_servers
}
