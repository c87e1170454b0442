# A cluster's cache as shared store: the Remote Execution API's ContentAddressableStorage and ActionCache, from coffer's own gateway and
# from servers that are none of ours.
# shellcheck shell=bash disable=SC2154

source "$TESTS/e2e/stores/lib.sh"
unset COFFER_REPRODUCIBLE
export COFFER_SHARED_STORE_ACCESS=read-write

# gateway_at PORT
gateway_at()
{
	"$COFFERD" gateway --insecure-loopback --listen "127.0.0.1:$1" --admin 127.0.0.1:0 --folder "$T/gateway" --result-writers='*' 2>"$T/gateway.log" &
}

# A server in Python, in one of the ways of cluster.py.
cluster_at()
{
	PYTHONPATH=$T:$TESTS/e2e/reapi PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$TESTS/e2e/reapi/cluster.py" "$2" "$1" "${TLS[@]}" >"$T/cluster.$1" 2>&1 &
}

TLS=()
# start_cluster WAY
start_cluster()
{
	need protoc zstd
	/usr/bin/python3 -c 'import grpc' 2>/dev/null || skip "python3-grpcio is not installed"
	[ -e "$T/reapi_pb2.py" ] || protoc -I "$TESTS/../proto" --python_out="$T" reapi.proto || fail "protoc fails"
	start_server cluster_at "$1"
	store=grpc://127.0.0.1:$port/some/where
}

e2e_stores_reapi_gateway_shares_a_build() # gcc
{
	start_server gateway_at
	store=grpc://127.0.0.1:$port/acme
	shares_a_build
	stop_machines
}

# A list of a build says how long each blob is: nothing is found by its hash alone there.
e2e_stores_reapi_pushes_and_pulls() # once long
{
	start_server gateway_at
	store=grpc://127.0.0.1:$port/acme
	checkout one 6
	machine first
	COFFER_SHARED_STORE_ACCESS=push build one
	COFFER_SHARED_STORE_ACCESS=push coffer stop >/dev/null
	(cd "$P/one" && COFFER_SHARED_STORE_ACCESS=push coffer cache push --build x) || fail "push fails"
	machine second
	checkout deep/two
	(cd "$P/deep/two" && coffer cache pull --build x) || fail "pull fails"
	stop_servers
	build deep/two
	settle
	[ "$(counter misses)" = 0 ] && [ "$(counter direct_hits)" = 6 ] || fail "not all is here:$(coffer stats)"
	stop_machines
}

# Results with their file or without, blobs in batches or in streams, packed or not.
e2e_stores_reapi_servers_of_all_kinds() # once long
{
	local way
	checkout one 4
	checkout deep/two
	# Outputs that are larger than what "small" takes in one message.
	for way in inline small zstd; do
		start_cluster $way
		machine first-$way
		rm -rf one/out deep/two/out
		FLAGS='-g3 -O1' build one
		written 4
		machine second-$way
		FLAGS='-g3 -O1' build deep/two
		settle
		[ "$(counter shared_hits)" = 4 ] && [ "$(counter misses)" = 0 ] || fail "$way: $(coffer stats)"
		diff -r one/out deep/two/out >"$T/diff" || fail "$way: the outputs differ: $(head -5 "$T/diff")"
	done
	grep -q '^Write .*some/where/uploads/[-0-9a-f]*/blobs/' "$T/cluster.small" || fail "no streams: $(<"$T/cluster.small")"
	grep -q '^Read some/where/blobs/' "$T/cluster.small" || fail "no streams come: $(<"$T/cluster.small")"
	grep -q '^Read some/where/compressed-blobs/zstd/' "$T/cluster.zstd" || fail "nothing is packed: $(<"$T/cluster.zstd")"
	! grep -q 'Read' "$T/cluster.inline" || [ "$(grep -c '^BatchRead' "$T/cluster.inline")" -le 8 ] || fail "results are read twice: $(<"$T/cluster.inline")"
	stop_machines
}

# Each lie is a miss; no build fails, none waits for long.
e2e_stores_reapi_servers_that_lie() # once long
{
	local way
	checkout one 4
	checkout deep/two
	for way in wrong short other large endless full garbage silent md5 read_only; do
		start_cluster $way
		machine first-$way
		rm -rf one/out deep/two/out
		build one
		wait_until 20 "[ \$((\$(counter shared_stored) + \$(counter shared_dropped))) -ge 4 ]" || [ $way = silent ] || fail "$way: not all is written"
		machine second-$way
		build deep/two
		settle
		if [ $way = endless ]; then # only streams have no end there, and all here fits into a message
			[ "$(counter shared_hits)" = 4 ] || fail "$way: $(coffer stats)"
		else
			[ "$(counter shared_hits)" = 0 ] && [ "$(counter misses)" = 4 ] || fail "$way: $(coffer stats)"
		fi
		diff -r one/out deep/two/out >"$T/diff" || fail "$way: the outputs differ: $(head -5 "$T/diff")"
		[ "$(coffer status --json | jq '.shared_stores[0].lost_ms')" -le 1300 ] || fail "$way costs too much: $(coffer status --json)"
	done
	stop_machines
}

# Certificates of both sides, and a header out of the file of credentials, which nobody sees.
e2e_stores_reapi_credentials() # once
{
	local name
	need openssl
	mkdir "$T/keys"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$T/keys/ca.key" -out "$T/keys/ca.pem" -days 2 -subj /CN=ca 2>/dev/null ||
		fail "openssl makes no authority"
	for name in server client; do
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$T/keys/$name.key" -out "$T/keys/$name.csr" -subj "/CN=$name" 2>/dev/null
		echo "subjectAltName=IP:127.0.0.1" >"$T/keys/ext"
		openssl x509 -req -in "$T/keys/$name.csr" -CA "$T/keys/ca.pem" -CAkey "$T/keys/ca.key" -CAcreateserial -days 2 -extfile "$T/keys/ext" \
			-out "$T/keys/$name.pem" 2>/dev/null || fail "openssl makes no certificate"
	done
	TLS=("$T/keys/server.pem" "$T/keys/server.key" "$T/keys/ca.pem")
	start_cluster headers
	store=grpcs://127.0.0.1:$port
	printf '%s = %s\n' header 'X-API-Key: open sesame' header 'x-other: 1' certificate "$T/keys/client.pem" key "$T/keys/client.key" >"$T/credentials"
	chmod 600 "$T/credentials"
	export COFFER_SHARED_STORE_CREDENTIALS=$T/credentials COFFER_SHARED_STORE_CA=$T/keys/ca.pem COFFER_LOG_LEVEL=debug
	first_builds 3
	build deep/two
	all_from_store 3
	coffer doctor | grep -q 'shared store' || fail "doctor: $(coffer doctor)"
	! grep -rqi 'sesame' "$T/machines" || fail "the secret is in $(grep -rli 'sesame' "$T/machines")"
	# Without the header, then without the certificate.
	sed -i 1d "$T/credentials"
	machine third
	coffer doctor >"$T/doctor"
	grep -q 'no key' "$T/doctor" || fail "doctor: $(<"$T/doctor")"
	: >"$T/credentials"
	machine fourth
	coffer doctor >"$T/doctor"
	grep -q 'does not answer' "$T/doctor" || fail "doctor: $(<"$T/doctor")"
	# A secret never goes over a network in plain text.
	echo 'token = open sesame' >"$T/credentials"
	store=grpc://192.0.2.1:80
	machine fifth
	coffer doctor >"$T/doctor"
	grep -q 'use grpcs://' "$T/doctor" || fail "doctor: $(<"$T/doctor")"
	stop_machines
}

# buildbox-casd, a cache that other projects use. COFFER_TEST_REAPI_ROOT: a root of a newer Debian that has it.
casd_at()
{
	local program=(buildbox-casd)
	[ -z "${COFFER_TEST_REAPI_ROOT:-}" ] || program=(chroot "$COFFER_TEST_REAPI_ROOT" /usr/bin/buildbox-casd)
	"${program[@]}" --bind "127.0.0.1:$1" --log-level info "$casd_folder" >"$T/casd.log" 2>&1 &
}

e2e_stores_reapi_casd_shares_a_build() # gcc long
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
	store=grpc://127.0.0.1:$port
	shares_a_build
	stop_machines
}
