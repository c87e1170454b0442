# docs/fleet.md on three machines: each a network, a host name, processes, an /etc and a /root of its own, with a real sshd. Needs root.
# shellcheck shell=bash disable=SC2154

# What a machine is made of; the page's commands are run on `dev`.
fleet_begin()
{
	local name n=0
	need ip nsenter unshare ssh ssh-keygen curl jq make gcc
	need_root
	[ -x /usr/sbin/sshd ] || skip "sshd is not installed"
	unshare -m -u -p -f true 2>/dev/null || skip "namespaces can't be made"
	wire=coffer-${T##*.}-wire
	ip netns add "$wire" 2>/dev/null || skip "network namespaces can't be made"
	trap fleet_end EXIT
	ip -n "$wire" link add br0 type bridge 2>/dev/null && ip -n "$wire" link set br0 up || { fleet_end; skip "there is no bridge"; }
	mkdir -p "$T/fleet"
	ssh-keygen -q -t ed25519 -N '' -f "$T/fleet/key"
	printf '10.78.0.1 dev\n10.78.0.2 farm1\n10.78.0.3 farm2\n' >"$T/fleet/hosts"
	make -s -C "$TESTS/.." install DESTDIR="$T/installed" B="$COFFER_BUILD" >"$T/install.log" 2>&1 || fail "make install: $(tail -n 3 "$T/install.log")"
	for name in dev farm1 farm2; do fleet_machine "$name" $((n += 1)); done
}

fleet_machine()
{
	local name=$1 net=coffer-${T##*.}-$1
	mkdir -p "$T/fleet/$name"
	cp -a "$T/installed/usr/local" "$T/fleet/$name/local"
	ip netns add "$net" && ip link add "p$2" netns "$wire" type veth peer name eth0 netns "$net" || fail "no cable for $name"
	ip -n "$wire" link set "p$2" master br0 up
	ip -n "$net" addr add "10.78.0.$2/24" dev eth0
	ip -n "$net" link set eth0 up
	nsenter "--net=/run/netns/$net" unshare -m -u -p -f --kill-child bash "$TESTS/e2e/fleet/machine" "$name" "$T/fleet/$name" \
		"$T/fleet/$name/local" "$TESTS/e2e/fleet/systemctl" >"$T/fleet/$name.log" 2>&1 &
	echo $! >"$T/fleet/$name.pid"
	wait_until 20 "[ -e '$T/fleet/$name/up' ]" || fail "machine $name: $(<"$T/fleet/$name.log")"
}

fleet_end()
{
	local name
	for name in dev farm1 farm2; do
		# unshare heeds no SIGTERM while it waits for the machine; with it the machine's first process goes, and all others with that.
		[ ! -e "$T/fleet/$name.pid" ] || { kill -KILL "$(<"$T/fleet/$name.pid")" && wait "$(<"$T/fleet/$name.pid")"; } 2>/dev/null
		ip netns del "coffer-${T##*.}-$name" 2>/dev/null
	done
	ip netns del "$wire" 2>/dev/null
}

# on MACHINE COMMAND...: as root's shell there.
on()
{
	local inside
	inside=$(pgrep -P "$(<"$T/fleet/$1.pid")" | head -n 1)
	nsenter -t "$inside" -m -u -n -p env -i HOME=/root USER=root PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb LANG=C.UTF-8 bash -c "$2"
}

# typed HEADING: the commands below that heading of the page, one after the other in one shell of `dev`, as they stand.
typed()
{
	awk -v heading="## $1" '/^## / { on = $0 == heading } on && /^    / { print substr($0, 5) }' "$TESTS/../docs/fleet.md" >"$T/fleet/dev/typed"
	[ -s "$T/fleet/dev/typed" ] || fail "the page has no commands below '$1'"
	on dev "set -ex; cd ~/farm 2>/dev/null || cd; ${2:-}
$(<"$T/fleet/dev/typed")" >"$T/said" 2>&1 || fail "$1: $(tail -n 15 "$T/said")"
	n_typed=$((${n_typed:-0} + $(wc -l <"$T/fleet/dev/typed")))
}

workers() { on farm1 'curl -s localhost:7421/status' | jq -c '[.workers[].name] | sort'; }

e2e_fleet_of_three_machines_as_the_page_says() { # once long
	local i
	fleet_begin
	typed Keys
	typed 'The scheduler'
	typed 'The workers'
	grep -q 'sandboxes can be made\|ok .*sandbox' "$T/said" || fail "doctor worker: $(<"$T/said")"
	wait_until 20 '[ "$(workers)" = "[\"w1\",\"w2\"]" ]' || fail "the scheduler knows $(workers): $(on farm2 'tail -n 3 /run/units/*.log')"
	[ "$(on farm2 'stat -c "%a %u" /etc/coffer/worker-key.pem')" = '600 0' ] || fail "the worker's key is not root's alone"
	[ "$(on farm2 'ls /etc/coffer')" = $'ca.pem\njwks.json\nworker-key.pem\nworker.conf\nworker.pem' ] || fail "other files are there: $(on farm2 'ls /etc/coffer')"
	on farm1 'ls /etc/coffer' | grep -q ca-key && fail "the authority's key has left its machine"
	[ "$(on farm1 'stat -c %u /proc/$(cat /run/units/coffer-scheduler.pid)')" != 0 ] || fail "the scheduler is root"
	# A project of 40 files, where the page's user builds.
	for i in $(seq 40); do printf '#include <stdio.h>\nint f%d(int x) { printf("%%d", x); return x * %d; }\n' "$i" "$i" >"$T/fleet/dev/u$i.c"; done
	printf 'all: $(addsuffix .o,$(addprefix u,$(shell seq 40)))\n%%.o: %%.c\n\t$(CC) -O1 -c $< -o $@\n' >"$T/fleet/dev/Makefile"
	# The project is in the folder from which make is typed.
	cp -a "$T/fleet/dev" "$T/fleet/project"
	on dev "mkdir -p /root/farm && cp $T/fleet/project/u*.c $T/fleet/project/Makefile /root/farm/"
	typed 'A user' 'export COFFER_LOCAL_JOBS=1'
	grep -q '0 problems, 0 warnings' "$T/said" || fail "doctor finds something: $(grep -A1 coffer: "$T/said")"
	grep -q "compiles as this machine does: gcc" "$T/said" || fail "doctor does not compare compilers: $(<"$T/said")"
	for i in $(seq 40); do
		gcc -O1 -c "$T/fleet/dev/u$i.c" -o want.o
		on dev "cat /root/farm/u$i.o" >got.o
		same_file want.o got.o
	done
	[ "$(on dev 'coffer stats --json' | jq .remote_compiles)" -ge 5 ] || fail "hardly anything went away: $(on dev 'coffer status; coffer stats')"
	typed Later 'export COFFER_LOCAL_JOBS=1'
	on farm1 'curl -s localhost:7421/status' | jq -e '[.tenants[].name] | index("night")' >/dev/null || fail "the new tenant is not known"
	wait_until 30 '[ "$(workers)" = "[\"w1\",\"w2\"]" ]' || fail "after all of it the scheduler knows $(workers)"
	on dev 'cd ~/farm && rm -f *.o && coffer cache clear >/dev/null && export COFFER_LOCAL_JOBS=1 && coffer make -j16 CC="coffer gcc" >/dev/null && coffer doctor' \
		>"$T/said" 2>&1 || fail "a build after all of it: $(tail -n 5 "$T/said")"
	grep -q '0 problems, 0 warnings' "$T/said" || fail "doctor at the end: $(grep -A1 coffer: "$T/said")"
	[ "$n_typed" = 27 ] || fail "$n_typed lines were typed"
	on dev 'coffer stop' >/dev/null
}
