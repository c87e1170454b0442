# Compiles on somebody's cluster of the Remote Execution API: coffer's own gateway and worker, a small server in Python, buildbox-casd.
# shellcheck shell=bash disable=SC2154,SC2016

source "$TESTS/e2e/stores/lib.sh"
source "$TESTS/e2e/farm/lib.sh"

# gateway_at PORT: with a worker behind it.
gateway_at()
{
	"$COFFERD" gateway --insecure-loopback --listen "127.0.0.1:$1" --admin 127.0.0.1:0 --folder "$T/gateway" --workers "$worker_address" 2>"$T/gateway.log" &
}

worker_at()
{
	"$COFFERD" worker --insecure-loopback --listen "127.0.0.1:$1" --admin '' --name w1 --folder "$T/w1" --slots 4 --compilers "$CC $CXX" \
		--runtime "${RUNTIME:-process}" --agent "$COFFER_BUILD/coffer-agent" 2>"$T/w1.log" &
}

start_gateway()
{
	start_server worker_at
	worker_address=127.0.0.1:$port
	start_server gateway_at
	export COFFER_CLUSTER=grpc://127.0.0.1:$port/acme
}

cluster_at()
{
	PYTHONPATH=$T:$TESTS/e2e/reapi PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$TESTS/e2e/reapi/cluster.py" "$2" "$1" >"$T/cluster.$1" 2>&1 &
}

# start_cluster WAY
start_cluster()
{
	need protoc zstd
	/usr/bin/python3 -c 'import grpc' 2>/dev/null || skip "python3-grpcio is not installed"
	[ -e "$T/reapi_pb2.py" ] || protoc -I "$TESTS/../proto" --python_out="$T" reapi.proto || fail "protoc fails"
	start_server cluster_at "$1"
	export COFFER_CLUSTER=grpc://127.0.0.1:$port/some/where
}

# rounds CONDITION: compiles until it holds. A core here that is idle first may take any of them.
rounds()
{
	local i
	for ((i = 0; i < 10; i++)); do
		all_away 6 "-DROUND=$i" -O1
		settle
		! eval "$1" || return 0
		rm -rf got want
	done
	return 1
}

state_is()
{
	coffer status --json | jq -e ".farms[0].workers[0].state == \"$1\"" >/dev/null
}

e2e_cluster_objects_are_the_compilers() # gcc
{
	start_gateway
	farm_project 8
	rounds '[ "$(counter remote_compiles)" -ge 1 ]' || fail "nothing went there: $(coffer status --json | jq -c .farms)"
	rm -rf got want
	all_away 8 -O2
	# What was compiled there is a hit here; and where it is forgotten here, the cluster still has it.
	read_counters counters_before
	rm -f got/*
	all_away 8 -O2
	settle
	[ "$(grown direct_hits)" = 8 ] || fail "no hits:$(all_grown)"
	coffer cache clear >/dev/null
	rm -f got/*
	read_counters counters_before
	all_away 8 -O2
	settle
	[ "$(grown remote_hits)" -ge 1 ] || fail "the cluster keeps nothing:$(all_grown)"
	stop_servers
}

e2e_cluster_split_dwarf_is_the_compilers() # gcc long
{
	start_gateway
	put u1.c 'int twice(int x)' '{' '	int y = x * 2;' '	return y;' '}'
	mkdir -p out want
	"$CC" -g -gsplit-dwarf -O1 -c u1.c -o out/u1.o && mv out/u1.o out/u1.dwo want
	"$COFFER" "$CC" -g -gsplit-dwarf -O1 -c u1.c -o out/u1.o || fail "the compile fails"
	same_file want/u1.o out/u1.o
	same_file want/u1.dwo out/u1.dwo
	stop_servers
}

# What the compiler says is said by the one here, once, and the status is its own.
e2e_cluster_messages_are_the_compilers() # once long
{
	start_cluster honest
	put warn.c 'int f(void) { int unused; return 1; }'
	put bad.c 'int f(void) { return 1'
	run_both() { "$@" -Wall -c warn.c -o o.o 2>&1; "$@" -c bad.c -o b.o 2>&1; echo "$?"; }
	run_both "$CC" >want
	run_both "$COFFER" "$CC" >got
	diff want got >&2 || fail "other messages"
	stop_servers
}

# Each way of a cluster to be wrong: the object is that of the compiler, and it is counted.
e2e_cluster_that_lies() # once long
{
	local way
	farm_project 6
	for way in wrong short no_object no_elf exit_999 other_output twice garbage_result; do
		start_cluster $way
		rounds 'state_is "struck out"' || fail "$way is believed: $(coffer status --json | jq -c .farms)"
		[ "$(counter remote_compiles)" = 0 ] || fail "$way: $(coffer stats)"
		coffer stop >/dev/null
		rm -rf got "$COFFER_CACHE_DIR"
	done
	stop_servers
}

# Each way to fail without a lie: it is compiled here, in time.
e2e_cluster_that_fails() # once long
{
	local way began
	farm_project 6
	export COFFER_REMOTE_TIMEOUT=10s
	for way in full silent md5 no_execution other_toolchain drifts refuses forgets_blobs breaks dies; do
		start_cluster $way
		began=$(date +%s)
		case $way in
		forgets_blobs | breaks) # it uploads, or asks, once more
			rounds '[ "$(counter remote_compiles)" -ge 1 ]' || fail "$way: nothing is compiled there: $(coffer stats); $(tail -30 "$T/cluster.$way")" ;;
		*)
			all_away 6 -O1
			settle
			[ "$(counter remote_compiles)" = 0 ] || fail "$way: $(coffer stats)"
			[ $(($(date +%s) - began)) -lt 60 ] || fail "$way costs $(($(date +%s) - began)) s" ;;
		esac
		! state_is 'struck out' || fail "$way is no lie: $(coffer status --json | jq -c .farms)"
		coffer stop >/dev/null
		rm -rf got "$COFFER_CACHE_DIR"
	done
	stop_servers
}

casd_at()
{
	local program=(buildbox-casd)
	[ -z "${COFFER_TEST_REAPI_ROOT:-}" ] || program=(env TMPDIR=/tmp unshare -m sh -c 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"' \
		"$COFFER_TEST_REAPI_ROOT" /usr/bin/buildbox-casd)
	"${program[@]}" --bind "127.0.0.1:$1" --log-level info --buildbox-run /usr/bin/buildbox-run-hosttools --jobs 2 "$casd_folder" >"$T/casd.log" 2>&1 &
}

# In a root of its own the compiler is another one: no compile goes there.
e2e_cluster_casd() # gcc long
{
	casd_folder=$T/casd
	if [ -n "${COFFER_TEST_REAPI_ROOT:-}" ]; then
		need_root
		casd_folder=/tmp/coffer-casd.$$
		trap 'stop_servers; rm -rf "$COFFER_TEST_REAPI_ROOT/tmp/coffer-casd.$$"' EXIT
	else
		need buildbox-casd
	fi
	start_server casd_at
	export COFFER_CLUSTER=grpc://127.0.0.1:$port
	farm_project 6
	if [ -n "${COFFER_TEST_REAPI_ROOT:-}" ]; then
		rounds 'state_is differs' || fail "$(coffer status --json | jq -c .farms)"
		[ "$(counter remote_compiles)" = 0 ] || fail "another compiler was used: $(coffer stats)"
	else
		rounds '[ "$(counter remote_compiles)" -ge 1 ]' || fail "nothing went there: $(coffer stats)"
	fi
	stop_servers
}
