# Calls between machines: other implementations of gRPC and HTTP/2 against ours in both directions, hostile peers, certificates
# that change, and drain. The programs are tests/programs/rpc_server and rpc_client.
# shellcheck shell=bash

python=/usr/bin/python3
helpers=$TESTS/e2e/remote
rpc_server=$COFFER_BUILD/programs/rpc_server
rpc_client=$COFFER_BUILD/programs/rpc_client

need_programs()
{
	if [ ! -x "$rpc_server" ] || [ ! -x "$rpc_client" ]; then skip "'make programs' has not been run"; fi
}

need_grpcio()
{
	need_programs
	"$python" -c 'import grpc' 2>/dev/null || skip "python3-grpcio is not installed"
}

# start FILE CMD…: runs it until the test ends; its address is in $address when it listens.
start()
{
	local out=$1
	shift
	: >"$out"
	"$@" >"$out" 2>"$out.err" </dev/null &
	pid=$!
	wait_until 20 "grep -q '^listening ' '$out' || [ ! -d /proc/$pid ]"
	address=$(sed -n 's/^listening //p' "$out")
	[ -n "$address" ] || fail "it does not listen: $(cat "$out" "$out.err")"
}

# Python's server ends with its standard input.
start_python_server()
{
	: >"$T/py"
	mkfifo "$T/stop"
	"$python" "$helpers/server.py" "$@" >"$T/py" 2>"$T/py.err" <"$T/stop" &
	pid=$!
	exec 9>"$T/stop"
	wait_until 20 "grep -q '^listening ' '$T/py' || [ ! -d /proc/$pid ]"
	address=$(sed -n 's/^listening //p' "$T/py")
	[ -n "$address" ] || fail "it does not listen: $(cat "$T/py.err")"
}

stop_python_server()
{
	exec 9>&-
	wait "$pid"
}

stop()
{
	kill -TERM "$pid" 2>/dev/null
	wait "$pid"
}

# counts WORD: waits until our server's counters have it (connections=N, calls=N).
counts()
{
	wait_until 10 "kill -USR1 $pid && sleep 0.05 && tail -n 1 '$T/out' | grep -q ' $1 '" || fail "the counters lack $1: $(cat "$T/out")"
}

# says TEXT CMD…: what it prints contains the text.
says()
{
	local text=$1
	shift
	timeout 60 "$@" >"$T/said" 2>&1
	has_text "$T/said" "$text"
}

# A little site with openssl: an authority, and leaves of it.
make_certificates()
{
	local name
	need openssl
	mkdir -p "$T/keys"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$T/keys/ca.key" -out "$T/keys/ca.pem" -days 2 \
		-subj /CN=ca 2>/dev/null || fail "openssl makes no authority"
	for name in server other client; do
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$T/keys/$name.key" -out "$T/keys/$name.csr" \
			-subj "/CN=$name" 2>/dev/null
		echo "subjectAltName=DNS:$name.example,DNS:localhost,IP:127.0.0.1" >"$T/keys/ext"
		openssl x509 -req -in "$T/keys/$name.csr" -CA "$T/keys/ca.pem" -CAkey "$T/keys/ca.key" -CAcreateserial -days 2 \
			-extfile "$T/keys/ext" -out "$T/keys/$name.pem" 2>/dev/null || fail "openssl makes no certificate"
	done
}

fingerprint() { openssl x509 -in "$1" -outform DER | sha256sum | cut -d' ' -f1; }

# ---- Python ---------------------------------------------------------------------------------------------------------

e2e_remote_python_client() { # once
	need_grpcio
	start "$T/out" "$rpc_server" 127.0.0.1:0
	timeout 120 "$python" "$helpers/client.py" "$address" || fail "see above"
	wait_until 5 "[ \$(grep -c '^cancelled /test.Echo/Sleep' '$T/out') = 2 ]" || fail "the server was not told: $(cat "$T/out")"
	stop || fail "it ends with $?"
}

e2e_remote_python_client_unix_socket() { # once
	need_grpcio
	start "$T/out" "$rpc_server" "unix:$T/socket"
	timeout 120 "$python" "$helpers/client.py" "unix:$T/socket" || fail "see above"
	stop || fail "it ends with $?"
	[ ! -e "$T/socket" ] || fail "the socket is left behind"
}

e2e_remote_python_client_tls() { # once long
	need_grpcio
	make_certificates
	start "$T/out" "$rpc_server" 127.0.0.1:0 cert="$T/keys/server.pem" key="$T/keys/server.key" ca="$T/keys/ca.pem"
	timeout 120 "$python" "$helpers/client.py" "$address" "$T/keys/ca.pem" || fail "see above"
	timeout 120 "$python" "$helpers/client.py" "$address" "$T/keys/ca.pem" "$T/keys/client.pem" "$T/keys/client.key" ||
		fail "see above"
	stop || fail "it ends with $?"
}

# What our client does with Python's server, plain or with TLS (further words for rpc_client).
ours_against_python()
{
	says "5 bytes: hello" "$rpc_client" call "$address" /test.Echo/Echo hello "$@"
	says "FAILED_PRECONDITION grüße 😈 100% (retry-pushback)" "$rpc_client" call "$address" /test.Echo/Fail '9 grüße 😈 100%' "$@"
	says "OK" "$rpc_client" call "$address" /test.Echo/Source '2000 10000' "$@"
	[ "$(grep -c '^10000 bytes' "$T/said")" = 2000 ] || fail "messages are missing"
	says "UNIMPLEMENTED" "$rpc_client" call "$address" /test.Echo/None x "$@"
	says "UNKNOWN" "$rpc_client" call "$address" /test.Echo/Raise x "$@"
	says "3 bytes: hit" "$rpc_client" call "$address" /test.Echo/Early x "$@"
	says "DEADLINE_EXCEEDED" "$rpc_client" call "$address" /test.Echo/Sleep 20000 deadline=1500 "$@"
	wait_until 5 "grep -q cancelled '$T/py'" || fail "the server was not told of the deadline"
	says "500 calls" "$rpc_client" load "$address" 500 20 size=5000 encoding=gzip "$@"
	says "100 calls" "$rpc_client" load "$address" 100 10 size=300000 encoding=zstd "$@" # which Python does not know
	says "20 calls" "$rpc_client" load "$address" 20 4 size=3000000 "$@"
	says "held 20" "$rpc_client" hold "$address" 20 "$@" </dev/null
}

e2e_remote_python_server() { # once
	need_grpcio
	start_python_server
	ours_against_python
	stop_python_server
}

e2e_remote_python_server_tls() { # once long
	need_grpcio
	make_certificates
	start_python_server "$T/keys/server.pem" "$T/keys/server.key" "$T/keys/ca.pem"
	ours_against_python ca="$T/keys/ca.pem" cert="$T/keys/client.pem" key="$T/keys/client.key"
	says "5 bytes: hello" "$rpc_client" call "$address" /test.Echo/Echo hello pin="$(fingerprint "$T/keys/server.pem")" \
		cert="$T/keys/client.pem" key="$T/keys/client.key"
	says "it is not the pinned one" "$rpc_client" call "$address" /test.Echo/Echo hello pin="$(fingerprint "$T/keys/other.pem")" \
		cert="$T/keys/client.pem" key="$T/keys/client.key"
	says "UNAVAILABLE" "$rpc_client" call "$address" /test.Echo/Echo hello ca="$T/keys/ca.pem"
	stop_python_server
}

# Python's server ends a connection that pings too often, and says so; its client does the same to ours.
e2e_remote_too_many_pings() { # once
	need_grpcio
	start_python_server
	says "UNAVAILABLE Too many pings" "$rpc_client" call "$address" /test.Echo/Sleep 20000 keepalive=100
	stop_python_server
	start "$T/out" "$rpc_server" 127.0.0.1:0
	says "slept" "$python" "$helpers/pings.py" "$address"
	has_text "$T/said" "calmer"
	kill -USR1 "$pid"
	wait_until 5 "grep -q 'attacks=1' '$T/out'" || fail "the server has let it: $(cat "$T/out")"
	stop
}

# ---- ruby: the official interoperability tests --------------------------------------------------------------------------

ruby_tests()
{
	need ruby
	ruby_pb=$(echo /usr/lib/*/rubygems-integration/*/gems/grpc-*/src/ruby/pb | tail -1)
	[ -e "$ruby_pb/test/client.rb" ] || skip "ruby-grpc is not installed"
	testdata=$ruby_pb/../spec/testdata
}

e2e_remote_ruby_client() { # once clock long
	local name
	need_programs
	ruby_tests
	start "$T/out" "$rpc_server" 127.0.0.1:0
	for name in empty_unary large_unary client_streaming server_streaming ping_pong timeout_on_sleeping_server empty_stream \
		cancel_after_begin cancel_after_first_response unimplemented_method unimplemented_service status_code_and_message \
		custom_metadata; do
		says "\"OK: $name\"" ruby "$ruby_pb/test/client.rb" --server_host=127.0.0.1 --server_port="${address##*:}" --test_case=$name
	done
	stop
	start "$T/out" "$rpc_server" 127.0.0.1:0 cert="$testdata/server1.pem" key="$testdata/server1.key"
	for name in large_unary ping_pong custom_metadata; do
		says "\"OK: $name\"" ruby "$ruby_pb/test/client.rb" --server_host=127.0.0.1 --server_port="${address##*:}" --test_case=$name \
			--use_tls=true --use_test_ca=true --server_host_override=foo.test.google.fr
	done
	stop
}

# start_ruby_server WORD…: it has no way to say which port it took.
start_ruby_server()
{
	local port tries
	for tries in 1 2 3 4 5; do
		port=$((20000 + RANDOM % 10000))
		ruby "$ruby_pb/test/server.rb" --port "$port" "$@" >"$T/ruby" 2>&1 &
		pid=$!
		address=127.0.0.1:$port
		if wait_until 15 "[ ! -d /proc/$pid ] || (exec 8<>/dev/tcp/127.0.0.1/$port) 2>/dev/null" && [ -d /proc/$pid ]; then
			return
		fi
	done
	fail "ruby's server does not start ($tries tries): $(cat "$T/ruby")"
}

e2e_remote_ruby_server() { # once
	need_programs
	ruby_tests
	start_ruby_server
	says "OK custom_metadata" "$rpc_client" interop "$address" all
	kill -KILL "$pid"
	start_ruby_server --use_tls true
	says "OK custom_metadata" "$rpc_client" interop "$address" all ca="$testdata/ca.pem" name=foo.test.google.fr
	kill -KILL "$pid"
}

# ---- nghttp2's own tools --------------------------------------------------------------------------------------------------

e2e_remote_nghttp2_client() { # once
	need_programs
	need h2load nghttp
	printf '\0\0\0\0\5hello' >"$T/body"
	start "$T/out" "$rpc_server" 127.0.0.1:0
	says "20000 succeeded, 0 failed" h2load -n 20000 -c 4 -m 100 -d "$T/body" -H 'content-type: application/grpc' \
		"http://$address/test.Echo/Echo"
	says "grpc-status: 0" nghttp -nv -d "$T/body" -H 'content-type: application/grpc' "http://$address/test.Echo/Echo"
	says ":status: 415" nghttp -nv -d "$T/body" -H 'content-type: text/plain' "http://$address/test.Echo/Echo"
	says ":status: 405" nghttp -nv "http://$address/test.Echo/Echo"
	says "grpc-status: 12" nghttp -nv -d "$T/body" -H 'content-type: application/grpc' "http://$address/none"
	stop
	make_certificates
	start "$T/out" "$rpc_server" 127.0.0.1:0 cert="$T/keys/server.pem" key="$T/keys/server.key"
	says "10000 succeeded, 0 failed" h2load -n 10000 -c 4 -m 100 -d "$T/body" -H 'content-type: application/grpc' \
		"https://$address/test.Echo/Echo"
	stop
}

# TLS 1.3 and h2, or nothing.
e2e_remote_tls_rules() { # once
	need_programs
	make_certificates
	start "$T/out" "$rpc_server" 127.0.0.1:0 cert="$T/keys/server.pem" key="$T/keys/server.key" ca="$T/keys/ca.pem" require=1
	says "alert protocol version" openssl s_client -connect "$address" -tls1_2 -alpn h2 </dev/null
	says "alert no application protocol" openssl s_client -connect "$address" -alpn http/1.1 </dev/null
	says "UNAVAILABLE" "$rpc_client" call "$address" /test.Echo/Peer x ca="$T/keys/ca.pem"
	says "client|DNS:client.example" "$rpc_client" call "$address" /test.Echo/Peer x ca="$T/keys/ca.pem" cert="$T/keys/client.pem" \
		key="$T/keys/client.key"
	stop
}

# ---- in service ---------------------------------------------------------------------------------------------------------

# Calls that stand go on, new connections see the new certificate.
e2e_remote_certificate_changes() { # once
	local holder
	need_programs
	make_certificates
	cp "$T/keys/server.pem" "$T/now.pem"
	cp "$T/keys/server.key" "$T/now.key"
	start "$T/out" "$rpc_server" 127.0.0.1:0 cert="$T/now.pem" key="$T/now.key"
	mkfifo "$T/hold"
	"$rpc_client" hold "$address" 50 ca="$T/keys/ca.pem" <"$T/hold" >"$T/held" &
	holder=$!
	exec 8>"$T/hold"
	wait_until 10 "grep -q 'held 50' '$T/held'" || fail "no calls"
	cp "$T/keys/other.pem" "$T/now.pem"
	cp "$T/keys/other.key" "$T/now.key"
	kill -HUP "$pid"
	wait_until 5 "grep -q 'reload done' '$T/out'" || fail "no reload: $(cat "$T/out")"
	says "OK" "$rpc_client" call "$address" /test.Echo/Echo x pin="$(fingerprint "$T/keys/other.pem")"
	says "not the pinned one" "$rpc_client" call "$address" /test.Echo/Echo x pin="$(fingerprint "$T/keys/server.pem")"
	counts calls=50
	exec 8>&-
	wait $holder || fail "the held calls fail"
	stop || fail "it ends with $?"
}

# SIGTERM: what runs is finished, what comes is sent elsewhere.
e2e_remote_drain() { # once
	local caller
	need_programs
	start "$T/out" "$rpc_server" 127.0.0.1:0
	"$rpc_client" call "$address" /test.Echo/Sleep 1500 >"$T/slept" &
	caller=$!
	counts calls=1
	kill -TERM "$pid"
	# It listens no longer.
	wait_until 10 "! (exec 7<>/dev/tcp/${address%:*}/${address##*:}) 2>/dev/null" || fail "it still listens"
	says "UNAVAILABLE" "$rpc_client" call "$address" /test.Echo/Echo late
	wait $caller || fail "the call fails"
	has_text "$T/slept" "5 bytes: slept"
	wait "$pid" || fail "it ends with $?"
	has_text "$T/out" "drained whole"
}

# 5,000 calls on one connection: none fails, and memory stays below 64 KB each with the threads' stacks in the kernel.
e2e_remote_5000_streams() { # once
	local memory
	need_programs
	[ "$(ulimit -u)" = unlimited ] || [ "$(ulimit -u)" -gt 12000 ] || skip "too few processes are allowed"
	start "$T/out" "$rpc_server" 127.0.0.1:0 streams=6000 calls=6000
	mkfifo "$T/hold"
	"$rpc_client" hold "$address" 5000 <"$T/hold" >"$T/held" 2>&1 &
	local holder=$!
	exec 8>"$T/hold"
	wait_until 60 "grep -q 'held 5000' '$T/held' || [ ! -d /proc/$holder ]"
	has_text "$T/held" "held 5000"
	memory=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$pid/status")
	echo "$memory kB for 5000 calls, and 16 kB of kernel stack each"
	[ $((memory + 5000 * 16)) -lt $((5000 * 64)) ] || fail "$memory kB for 5000 calls"
	exec 8>&-
	wait $holder || fail "calls fail: $(cat "$T/held")"
	stop || fail "it ends with $?"
}

# ---- hostile peers ------------------------------------------------------------------------------------------------------

e2e_remote_attacks() { # once long
	need_programs
	timeout 280 "$python" "$helpers/attacks.py" "$rpc_server" || fail "see above"
}

# A client that shakes hands slowly, or not at all, keeps nobody else out.
e2e_remote_slow_handshakes() { # once
	local i
	need_programs
	make_certificates
	start "$T/out" "$rpc_server" 127.0.0.1:0 cert="$T/keys/server.pem" key="$T/keys/server.key" handshake_ms=1500
	for i in $(seq 50); do
		# Half a ClientHello, and then nothing.
		(exec 7<>"/dev/tcp/127.0.0.1/${address##*:}" && printf '\x16\x03\x01\x02\x00\x01' >&7 && timeout 5 cat <&7 >/dev/null) &
		slow[i]=$!
	done
	says "OK" "$rpc_client" call "$address" /test.Echo/Echo x ca="$T/keys/ca.pem"
	wait "${slow[@]}"
	counts connections=0
	stop
}

# A network that is cut: for a second nobody notices, for ever both sides do within half a minute.
e2e_remote_network_cut() { # once clock long
	local net=coffer$$ subnet=10.$((200 + $$ / 256 % 50)).$(($$ % 256)) began seconds
	need_programs
	need_root
	need ip
	ip netns add $net 2>/dev/null || skip "no network namespaces are allowed"
	# shellcheck disable=SC2064
	trap "ip netns del $net; ip link del v$net 2>/dev/null" EXIT
	ip link add v$net type veth peer name w$net && ip link set w$net netns $net && ip addr add $subnet.1/30 dev v$net &&
		ip link set v$net up && ip -n $net addr add $subnet.2/30 dev w$net && ip -n $net link set w$net up ||
		skip "no virtual network is allowed"
	start "$T/out" ip netns exec $net "$rpc_server" $subnet.2:0
	"$rpc_client" call "$address" /test.Echo/Source '40000 65536' >"$T/bulk" 2>&1 &
	local bulk=$!
	sleep 0.3
	ip -n $net link set w$net down
	sleep 1
	ip -n $net link set w$net up
	wait $bulk
	[ "$(grep -c '^65536 bytes' "$T/bulk")" = 40000 ] || fail "a second's cut is felt: $(tail -1 "$T/bulk")"
	tail -1 "$T/bulk" | grep -q '^OK' || fail "a second's cut is felt: $(tail -1 "$T/bulk")"
	began=$SECONDS
	"$rpc_client" call "$address" /test.Echo/Sleep 100000 >"$T/cut" 2>&1 &
	bulk=$!
	sleep 0.5
	ip -n $net link set w$net down
	wait $bulk
	seconds=$((SECONDS - began))
	has_text "$T/cut" UNAVAILABLE
	[ $seconds -le 40 ] || fail "the client has waited $seconds s"
	wait_until 15 "grep -q '^cancelled' '$T/out'" || fail "the server holds the call"
	stop
}
