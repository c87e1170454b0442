# Real servers for the tests of shared stores, and machines to share them. Sourced by stores*.sh.
# shellcheck shell=bash

servers=()
stop_servers()
{
	local pid
	for pid in "${servers[@]}"; do
		kill "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	servers=()
}
trap stop_servers EXIT

is_listening()
{
	(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# start_server FUNCTION: calls it with a port until what it starts in the background listens there. Sets $port and $server. (Where
# another has taken the port meanwhile the server does not start.)
start_server()
{
	local tries
	for tries in 1 2 3 4 5; do
		port=$(free_port)
		"$@" "$port"
		server=$!
		servers+=("$server")
		wait_until 20 "is_listening $port || [ ! -d /proc/$server ]"
		! is_listening "$port" || return 0
	done
	fail "'$1' does not start: $(tail -n 5 "$T"/*.log 2>/dev/null)"
}

# nginx with dav, which is the layout that bazel-remote and ccache use. $NGINX has more lines for its server.
nginx_at()
{
	local dir=$T/nginx modules=/usr/lib/nginx/modules/ngx_http_dav_ext_module.so
	mkdir -p "$dir/www" "$dir/tmp"
	{
		[ "$(id -u)" != 0 ] || echo 'user root;'
		[ ! -e $modules ] || echo "load_module $modules;"
		cat <<END
worker_processes 1; daemon off; pid $dir/pid; error_log $T/nginx.log;
events { worker_connections 512; }
http { access_log $dir/access.log; client_body_temp_path $dir/tmp; proxy_temp_path $dir/tmp; fastcgi_temp_path $dir/tmp;
uwsgi_temp_path $dir/tmp; scgi_temp_path $dir/tmp; keepalive_requests 100000;
server { listen 127.0.0.1:$1 ${NGINX_LISTEN:-}; ${NGINX:-}
location / { root $dir/www; dav_methods PUT DELETE; create_full_put_path on; client_max_body_size 1g; } } }
END
	} >"$dir/conf"
	nginx -c "$dir/conf" >"$T/nginx.out" 2>&1 &
}

start_nginx()
{
	need nginx
	start_server nginx_at
	store=http://127.0.0.1:$port/builds
	kept=$T/nginx/www
}

# machine NAME: from now on coffer is that machine's: its own HOME, cache, daemon and settings.
machine()
{
	[ -d "$T/machines/$1" ] || mkdir -p "$T/machines/$1/home"
	export HOME=$T/machines/$1/home COFFER_CACHE_DIR=$T/machines/$1/cache
	export COFFER_SHARED_STORE=${store-}
}

forget_machine()
{
	coffer stop >/dev/null 2>&1
	rm -rf "$T/machines/$1"
}

# checkout NAME [N]: a copy of one generated project, old enough for its files to be trusted.
checkout()
{
	[ -d "$T/origin" ] || { mkdir -p "$T/origin/.git" && generated_project "${2:-12}" "$T/origin"; }
	mkdir -p "$P/$(dirname "$1")"
	cp -a "$T/origin" "$P/$1"
	find "$P/$1" -type f -exec touch -d '1 hour ago' {} +
}

# build FOLDER [MAKE WORDS...]
build()
{
	make -s -C "$P/$1" -j"${JOBS:-4}" CC="$CC" FLAGS="${FLAGS--g -O1}" WRAP="$COFFER" "${@:2}" || fail "make fails in $1"
}

# Waits until what was compiled is in the store.
written()
{
	wait_until 20 "[ \$((\$(counter shared_stored) + \$(counter shared_dropped))) -ge $1 ]" || fail "not all is written: $(counter shared_stored)"
	[ "$(counter shared_dropped)" = 0 ] || fail "$(counter shared_dropped) results were dropped"
}

# Waits until what came out of the store is on this machine's disk, too.
copies_written()
{
	wait_until 20 "[ \$(coffer status --json | jq '.jobs + ([.shared_stores[].waiting] | add)') = 0 ]" || fail "copies are not written: $(coffer status --json)"
}

# Ends a test of many machines: lib.sh knows of one daemon.
stop_machines()
{
	local dir
	for dir in "$T"/machines/*; do
		machine "$(basename "$dir")"
		coffer stop >/dev/null 2>&1
	done
	stop_servers
}

# first_builds N: the first machine compiles N files and gives them to the store; then we are on the second.
first_builds()
{
	checkout one "$1"
	checkout deep/two
	machine first
	build one
	written "$1"
	machine second
	read_counters counters_before
}

all_from_store()
{
	settle
	[ "$(grown shared_hits)" = "$1" ] && [ "$(grown direct_hits)" = "$1" ] || fail "not all are from the store:$(all_grown)"
}

none_from_store()
{
	settle
	[ "$(grown shared_hits)" = 0 ] && [ "$(grown misses)" = "$1" ] || fail "something is from the store:$(all_grown)"
}

# What any kind of store must do.
shares_a_build()
{
	first_builds 12
	build deep/two
	all_from_store 12
	diff -r one/out deep/two/out >"$T/diff" || fail "the outputs differ: $(head -5 "$T/diff")"
	# It is in the local cache now.
	copies_written
	rm -r deep/two/out
	read_counters counters_before
	build deep/two
	settle
	[ "$(grown direct_hits)" = 12 ] && [ "$(grown shared_hits)" = 0 ] || fail "not kept here:$(all_grown)"
	# A changed header is a miss, and what is compiled then is for others, too.
	rm -r deep/two/out one/out
	for tree in one deep/two; do
		echo 'static inline int h1(int x) { return x + 11; }' >"$tree/inc/h1.h"
		touch -d '1 hour ago' "$tree/inc/h1.h"
	done
	read_counters counters_before
	build deep/two
	settle
	[ "$(grown misses)" = 1 ] && [ "$(grown direct_hits)" = 11 ] || fail "after a header changed:$(all_grown)"
	written 1
	machine first
	read_counters counters_before
	build one
	settle
	[ "$(grown shared_hits)" = 1 ] && [ "$(grown direct_hits)" = 12 ] || fail "the first machine:$(all_grown)"
	diff -r one/out deep/two/out >"$T/diff" || fail "after a header changed the outputs differ: $(head -5 "$T/diff")"
}

redis_at()
{
	redis-server --port "$1" --bind 127.0.0.1 --save '' --appendonly no --dir "$T" --unixsocket "$T/redis.sock" --unixsocketperm 700 \
		${REDIS:-} >"$T/redis.log" 2>&1 &
}

# Swift with its S3 interface, and a bucket "builds".
swift_at()
{
	bash "$TESTS/e2e/stores/swift.sh" "$T/swift" "$1" >"$T/swift.log" 2>&1 &
}

start_swift()
{
	local answer token url
	need_root
	need swift-proxy-server swift-ring-builder memcached curl unshare
	mkdir -p "$T/swift"
	port=$(free_port)
	swift_at "$port"
	servers+=($!)
	wait_until 120 "is_listening $port" || fail "Swift does not start: $(tail -n 5 "$T/swift.log")"
	wait_until 60 "curl -sf -H 'X-Storage-User: test:tester' -H 'X-Storage-Pass: testing' http://127.0.0.1:$port/auth/v1.0" || fail "$(tail -n 5 "$T/swift.log")"
	answer=$(curl -s -i -H 'X-Storage-User: test:tester' -H 'X-Storage-Pass: testing' "http://127.0.0.1:$port/auth/v1.0" | tr -d '\r')
	token=$(sed -n 's/^X-Storage-Token: //p' <<<"$answer") url=$(sed -n 's/^X-Storage-Url: //p' <<<"$answer")
	curl -sf -X PUT -H "X-Auth-Token: $token" "$url/builds" || fail "no bucket: $(tail -n 5 "$T/swift.log")"
	store="s3://builds?endpoint=http://127.0.0.1:$port"
	printf 'access_key = test:tester\nsecret_key = testing\n' >"$T/credentials"
	chmod 600 "$T/credentials"
	export COFFER_SHARED_STORE_CREDENTIALS=$T/credentials COFFER_SHARED_STORE_TIMEOUT=5s
}

start_redis()
{
	need redis-server redis-cli
	start_server redis_at
	store=redis://127.0.0.1:$port
}

# A server that no store should be (bad.py).
python_at()
{
	/usr/bin/python3 "$TESTS/e2e/stores/bad.py" "$1" "$2" >"$T/bad.log" 2>&1 &
}
