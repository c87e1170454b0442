# Several schedulers of one farm, which know each other's workers by etcd: the real one, of three members.
# shellcheck shell=bash disable=SC2154
. "$TESTS/e2e/farm/lib.sh"

# member_start N: one of the cluster; it can be killed and started again.
member_start()
{
	(exec etcd --name "m$1" --data-dir "$T/etcd.$1" --log-level error \
		--listen-client-urls "http://127.0.0.1:${client_port[$1]}" --advertise-client-urls "http://127.0.0.1:${client_port[$1]}" \
		--listen-peer-urls "http://127.0.0.1:${peer_port[$1]}" --initial-advertise-peer-urls "http://127.0.0.1:${peer_port[$1]}" \
		--initial-cluster "$members" >>"$T/etcd.$1.log" 2>&1 &
	echo $! >"$T/etcd$1.pid")
}

etcd_start()
{
	local i
	need etcd
	members='' endpoints=''
	for i in 1 2 3; do
		client_port[i]=$(free_port) peer_port[i]=$(free_port)
		members+="${members:+,}m$i=http://127.0.0.1:${peer_port[i]}"
		endpoints+="${endpoints:+ }127.0.0.1:${client_port[i]}"
	done
	for i in 1 2 3; do member_start "$i"; done
}

# sibling_start N: a scheduler of the site with an address of its own.
sibling_start()
{
	port[$1]=${port[$1]:-$(free_port)}
	admin[$1]=${admin[$1]:-$(free_port)}
	("$COFFERD" scheduler --config "$T/site/scheduler.conf" --listen "127.0.0.1:${port[$1]}" --admin "127.0.0.1:${admin[$1]}" \
		--heartbeat 500ms --etcd "$endpoints" "${SCHEDULER_FLAGS[@]}" >>"$T/scheduler.$1.log" 2>&1 &
	echo $! >"$T/scheduler$1.pid")
}
sibling_status() { curl -sS "http://127.0.0.1:${admin[$1]}/status" 2>&1; }
knows() { [ "$(sibling_status "$1" 2>/dev/null | jq -r '[.workers[].name] | sort | join(" ")' 2>/dev/null)" = "$2" ]; }
expect_knows() { wait_until "${3:-20}" "knows $1 '$2'" || fail "scheduler $1 does not know '$2': $(sibling_status "$1") $(tail -n 3 "$T/scheduler.$1.log" "$T"/w?.log)"; }

# sibling_worker NAME SCHEDULER...: registers with one of these.
sibling_worker()
{
	local name=$1 all='' i
	shift
	for i; do all+="${all:+ }127.0.0.1:${port[i]}"; done
	("$COFFERD" worker --config "$T/site/worker-$name.conf" --scheduler "$all" --admin '' --folder "$T/$name" --slots 4 --compilers "$CC" \
		--agent "$COFFER_BUILD/coffer-agent" >>"$T/$name.log" 2>&1 &
	echo $! >"$T/$name.pid")
}

# client_of SCHEDULER...: the next compiles ask one of these.
client_of()
{
	local all='' i
	for i; do all+="${all:+ }127.0.0.1:${port[i]}"; done
	"$COFFER" stop >/dev/null
	sed -i "s/^scheduler .*/scheduler = $all/" "$COFFER_CONFIG"
}

site_of_three()
{
	local i
	SCHEDULER_FLAGS=("$@")
	declare -ga port=() admin=() client_port=() peer_port=()
	etcd_start
	site_keys w1 w2
	sibling_start 1
	sibling_start 2
	sibling_start 3
	for i in 1 2 3; do wait_until 20 "sibling_status $i | grep -q version" || fail "no scheduler $i"; done
	sibling_worker w1 1
	sibling_worker w2 2 1
	farm_project 12
}

away() { rm -rf got want; "$COFFER" cache clear >/dev/null; local before=$(($(counter remote_compiles) + $(counter remote_hits))); all_away 12 "$@"; [ $(($(counter remote_compiles) + $(counter remote_hits))) -gt "$before" ] || fail "nothing went away: $(daemon_log .)"; }

e2e_schedulers_answer_for_each_others_workers() { # gcc
	local i
	site_of_three
	for i in 1 2 3; do expect_knows "$i" 'w1 w2' 40; done
	sibling_status 3 | jq -e '.etcd.connected and (.workers | all(.elsewhere))' >/dev/null || fail "its workers are its own: $(sibling_status 3)"
	client_of 3
	away
	# A worker that ends is gone everywhere, one that comes is there everywhere.
	kill -TERM "$(<"$T/w1.pid")"
	for i in 1 2 3; do expect_knows "$i" w2; done
	sibling_worker w1 3 2
	for i in 1 2 3; do expect_knows "$i" 'w1 w2'; done
	# A scheduler that is told to end takes its workers along at once, and they find another one.
	kill -TERM "$(<"$T/scheduler2.pid")"
	for i in 1 3; do expect_knows "$i" 'w1 w2'; done
	away -O1
	farm_end
}

e2e_schedulers_outlive_one_of_them_and_etcd() { # gcc long
	local i
	site_of_three
	for i in 1 2 3; do expect_knows "$i" 'w1 w2' 40; done
	client_of 1 2 3
	away
	# One is killed: its lease ends, its worker is gone; whoever asked it asks another one.
	kill -KILL "$(<"$T/scheduler1.pid")"
	away -O1
	expect_knows 3 w2 30
	kill -TERM "$(<"$T/w1.pid")"
	wait_until 10 "[ ! -d /proc/$(<"$T/w1.pid") ]"
	sibling_worker w1 1 2 3
	expect_knows 3 'w1 w2'
	# etcd is away: what is known stays, and the build goes on.
	for i in 1 2 3; do kill -KILL "$(<"$T/etcd$i.pid")"; done
	wait_until 20 "sibling_status 3 | jq -e '.etcd.connected | not' >/dev/null" || fail "it is not told: $(sibling_status 3)"
	knows 3 'w1 w2' || fail "the workers are forgotten: $(sibling_status 3)"
	away -O2
	sibling_start 1
	kill -TERM "$(<"$T/w2.pid")"
	wait_until 10 "[ ! -d /proc/$(<"$T/w2.pid") ]"
	# It comes back, and with it what has changed meanwhile.
	for i in 1 2 3; do member_start "$i"; done
	for i in 1 2 3; do expect_knows "$i" w1 60; done
	away -O3
	farm_end
}

# Without etcd nobody tells whether the workers of others are alive: after etcd_away they are forgotten, and are known again with it.
e2e_schedulers_forget_others_without_etcd() { # once
	local i own
	site_of_three --etcd-away 3s
	for i in 1 2 3; do expect_knows "$i" 'w1 w2' 40; done
	# w2 has chosen one of two.
	own=$(sibling_status 1 | jq -r '[.workers[] | select(.elsewhere | not).name] | sort | join(" ")')
	for i in 1 2 3; do kill -KILL "$(<"$T/etcd$i.pid")"; done
	expect_knows 3 '' 40
	expect_knows 1 "$own" 40
	for i in 1 2 3; do member_start "$i"; done
	for i in 1 2 3; do expect_knows "$i" 'w1 w2' 60; done
	farm_end
}

# With TLS on both sides, and users.
e2e_schedulers_show_etcd_who_they_are() { # once
	local ctl
	need etcd etcdctl
	site_keys w1
	declare -ga port=() admin=()
	endpoints=127.0.0.1:$(free_port)
	(exec etcd --data-dir "$T/etcd" --log-level error --listen-client-urls "https://$endpoints" --advertise-client-urls "https://$endpoints" \
		--listen-peer-urls "http://127.0.0.1:$(free_port)" --cert-file "$T/site/scheduler.pem" --key-file "$T/site/scheduler-key.pem" \
		--trusted-ca-file "$T/site/ca.pem" --client-cert-auth >>"$T/etcd.log" 2>&1 &
	echo $! >"$T/etcd.pid")
	ctl="etcdctl --endpoints=https://$endpoints --cacert=$T/site/ca.pem --cert=$T/site/worker-w1.pem --key=$T/site/worker-w1-key.pem"
	export ETCDCTL_API=3
	wait_until 20 "$ctl endpoint health >/dev/null 2>&1" || fail "no etcd: $(<"$T/etcd.log")"
	$ctl user add root:r >/dev/null && $ctl user add farm:sesame >/dev/null && $ctl role add farm >/dev/null &&
		$ctl role grant-permission farm readwrite --prefix=true /coffer/ >/dev/null && $ctl user grant-role farm farm >/dev/null &&
		$ctl user grant-role root root >/dev/null && $ctl auth enable >/dev/null || fail "etcd takes no users"
	echo sesame >"$T/password"
	SCHEDULER_FLAGS=(--etcd-ca "$T/site/ca.pem" --etcd-certificate "$T/site/worker-w1.pem" --etcd-key "$T/site/worker-w1-key.pem"
		--etcd-user farm --etcd-password-file "$T/password")
	sibling_start 1
	sibling_start 2
	sibling_worker w1 1
	expect_knows 2 w1 40
	# Whoever is not known there goes on alone, and says so.
	echo wrong >"$T/password"
	sibling_start 3
	wait_until 20 "sibling_status 3 | jq -e '.etcd.why | contains(\"does not let\")' >/dev/null" || fail "it says: $(sibling_status 3)"
	! grep -rqs sesame "$T"/scheduler.*.log || fail "the password is in a log"
	farm_end
}

e2e_schedulers_do_not_trust_any_etcd() { # once
	local text
	site_keys w1
	text=$("$COFFERD" scheduler --config "$T/site/scheduler.conf" --etcd 192.0.2.1:2379 2>&1) && fail "it starts without etcd_ca"
	[[ $text == *"needs 'etcd_ca'"* ]] || fail "it says: $text"
	text=$("$COFFERD" scheduler --config "$T/site/scheduler.conf" --etcd 127.0.0.1:2379 --etcd-user me 2>&1) && fail "it starts without a password"
	[[ $text == *"need each other"* ]] || fail "it says: $text"
}
