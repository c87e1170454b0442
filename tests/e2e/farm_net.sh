# The network between a client and its farm is cut in the middle of a build: both sides are network namespaces with a cable
# between them. Needs root.
# shellcheck shell=bash disable=SC2154
# shellcheck source=tests/e2e/farm/lib.sh
source "$TESTS/e2e/farm/lib.sh"

# Two machines: `here`, where the client is, and `there`, with scheduler and worker.
two_machines()
{
	need ip nsenter gcc make
	need_root
	here=coffer-${T##*.}-here there=coffer-${T##*.}-there
	ip netns add "$here" 2>/dev/null || skip "network namespaces can't be made"
	trap '(farm_end); machines_end' EXIT
	ip netns add "$there" && ip link add v0 netns "$here" type veth peer name v1 netns "$there" || { machines_end; skip "there is no veth"; }
	# Unlike `ip netns exec` this leaves the file systems as they are: a daemon serves only who sees the same ones.
	on_here=(nsenter "--net=/run/netns/$here")
	on_there=(nsenter "--net=/run/netns/$there")
	ip -n "$here" addr add 10.77.0.1/24 dev v0
	ip -n "$there" addr add 10.77.0.2/24 dev v1
	link here lo up
	link there lo up
	link here v0 up
	link there v1 up
}

machines_end()
{
	ip netns del "$here" 2>/dev/null
	ip netns del "$there" 2>/dev/null
}

# link WHERE DEVICE up|down
link() { ip -n "${!1}" link set "$2" "$3"; }

# A farm on `there` with a compiler that sleeps (bench/standin.c).
farm_there()
{
	standin_make
	"$COFFER" keys init "$T/site" --scheduler 10.77.0.2 --worker w1=10.77.0.2 --tenant me >"$T/keys.log" 2>&1 || fail "no keys: $(<"$T/keys.log")"
	sed -i "s/isolation = sandbox/isolation = process/" "$T/site/tenants.conf"
	export COFFER_CONFIG=$T/site/tenant-me.conf
	("${on_there[@]}" "$COFFERD" scheduler --config "$T/site/scheduler.conf" --admin '' >>"$T/scheduler.log" 2>&1 &
	echo $! >"$T/scheduler.pid")
	("${on_there[@]}" "$COFFERD" worker --config "$T/site/worker-w1.conf" --admin '' --folder "$T/w1" --slots "$1" --runtime process \
		--compilers standin-gcc --agent "$COFFER_BUILD/coffer-agent" >>"$T/w1.log" 2>&1 &
	echo $! >"$T/w1.pid")
	wait_until 20 "grep -q 'registered.*w1' $T/scheduler.log" || fail "the worker does not register: $(tail -n 3 "$T/scheduler.log" "$T/w1.log")"
}

# cut_build HOW MAKE...: a build of 60 jobs of half a second; the command HOW runs in the middle of it. $took is how long it was.
cut_build()
{
	local before how=$1
	shift
	standin_project 60
	# The farm is known and in use before it counts.
	"${on_here[@]}" timeout 60 make -j4 ONLY='1 2 3 4 5 6 7 8' >"$T/warm.log" 2>&1 || fail "the first jobs: $(<"$T/warm.log")"
	[ "$(counter remote_compiles)" -ge 1 ] || fail "nothing goes away: $("$COFFER" status) $(daemon_log .)"
	before=$(now_ms)
	"${on_here[@]}" timeout 200 "$@" >"$T/build.log" 2>&1 &
	wait_until 60 '[ "$(find out -name "*.o" | wc -l)" -ge 20 ]' || fail "the build does not get on: $(<"$T/build.log")"
	eval "$how"
	wait $! || fail "the build fails: $(tail -n 5 "$T/build.log")"
	took=$(($(now_ms) - before))
	standin_right 60 "$T/warm.log" "$T/build.log"
}

e2e_farm_net_is_cut_for_a_second() { # once clock long
	own_mounts
	two_machines
	farm_there 8
	cut_build 'link here v0 down; sleep 1; link here v0 up' make -j24
	[ $took -lt 60000 ] || fail "it took $took ms"
	# The connection outlives it: no job has failed.
	[ "$(counter remote_failed)" = 0 ] || fail "jobs have failed: $("$COFFER" stats --tsv | grep remote)"
	echo "the build took $took ms"
	farm_end
}

e2e_farm_net_is_cut_for_ever() { # once clock long
	own_mounts
	two_machines
	farm_there 8
	cut_build 'link here v0 down' make -j24
	# What was away comes back after 30 s at the most, and what remains is done here, two at a time.
	[ $took -lt 90000 ] || fail "it took $took ms"
	echo "the build took $took ms"
	# The next one does not wait again.
	rm -rf out
	before=$(now_ms)
	COFFER_RECACHE=1 "${on_here[@]}" timeout 100 make -j8 ONLY="$(seq -s ' ' 8)" >"$T/build.log" 2>&1 || fail "the build fails: $(tail -n 5 "$T/build.log")"
	standin_right 8 "$T/build.log"
	echo "the next one took $(($(now_ms) - before)) ms"
	[ $(($(now_ms) - before)) -lt 30000 ] || fail "the next build took $(($(now_ms) - before)) ms"
	# And when the cable is there again, the farm is used again.
	link here v0 up
	used() { rm -rf out; COFFER_RECACHE=1 "${on_here[@]}" make -j8 ONLY="$(seq -s ' ' 8)" >"$T/build.log" 2>&1; [ "$(counter remote_hits)" -gt "$hits" ]; }
	hits=$(counter remote_hits)
	wait_until 120 used || fail "the farm is not used again: $("$COFFER" status)"
	standin_right 8 "$T/build.log"
	farm_end
}

# Behind the elastic front end the daemon knows of no idle core: what is away is waited for until the connection is given up.
e2e_farm_net_is_cut_for_ever_behind_the_front_end() { # once clock long
	own_mounts
	two_machines
	farm_there 8
	cut_build 'link here v0 down' "$COFFER" make -j2
	[ $took -lt 120000 ] || fail "it took $took ms"
	echo "the build took $took ms"
	farm_end
}
