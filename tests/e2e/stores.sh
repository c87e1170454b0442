# Shared stores: what one machine compiled, others take. Real servers, two machines with a HOME, a cache and a daemon of their own,
# two checkouts in different folders.
# shellcheck shell=bash

source "$TESTS/e2e/stores/lib.sh"
unset COFFER_REPRODUCIBLE
export COFFER_SHARED_STORE_ACCESS=read-write

e2e_stores_http_shares_a_build()
{
	start_nginx
	shares_a_build
	stop_machines
}

e2e_stores_redis_shares_a_build()
{
	start_redis
	shares_a_build
	stop_machines
}

# Copies are written after the answer; a daemon that is told to end writes them first, and what is lost with one that is killed is only that.
e2e_stores_copies_outlive_their_daemon() # once long
{
	start_redis
	first_builds 12
	build deep/two
	coffer stop >/dev/null
	rm -r deep/two/out
	read_counters counters_before
	COFFER_SHARED_STORE='' build deep/two
	settle
	[ "$(grown direct_hits)" = 12 ] || fail "copies are lost:$(all_grown)"
	machine third
	build deep/two
	kill -KILL "$(coffer status --json | jq .pid)"
	rm -r deep/two/out
	build deep/two
	settle
	[ "$(counter direct_hits)" -ge 12 ] && [ "$(counter misses)" = 0 ] || fail "after a kill:$(coffer stats)"
	diff -r one/out deep/two/out >"$T/diff" || fail "the outputs differ: $(head -5 "$T/diff")"
	stop_machines
}

e2e_stores_folder_shares_a_build()
{
	mkdir "$T/folder"
	store=file:$T/folder
	shares_a_build
	[ -z "$(find "$T/folder" -name '.new*')" ] || fail "files are left: $(find "$T/folder" -name '.new*')"
	stop_machines
}

# as USER GROUP CMD...: as that user of the machine, who has a home, a cache and a daemon of its own, and a umask that shows nobody anything.
as()
{
	(
		cd "$G/$1/p" && umask 077 &&
			exec env -i PATH=/usr/bin:/bin HOME="$G/$1" COFFER_SHARED_STORE="file:$G/store" COFFER_SHARED_STORE_ACCESS=read-write \
				COFFER_SHARED_STORE_KEY="$G/key" setpriv --reuid="$1" --regid="$2" --clear-groups "${@:3}"
	)
}

# Users of one machine share a folder that belongs to their group; who is not in it neither reads nor writes.
e2e_stores_folder_of_a_group() # gcc once long
{
	local user
	need setpriv
	[ "$(id -u)" = 0 ] || skip "it needs root to become other users"
	G=$(mktemp -d /tmp/coffer-group.XXXXXX)
	trap 'rm -rf "$G"' EXIT
	mkdir -m 2770 "$G/store" && chgrp 20010 "$G/store"
	chmod 711 "$G" && chmod g+s "$G/store"
	head -c 32 /dev/urandom | base64 >"$G/key"
	chown 0:20010 "$G/key" && chmod 640 "$G/key"
	cp "$COFFER" "$COFFERD" "$G/" && chmod 755 "$G/coffer" "$G/cofferd"
	for user in 20001:20010 20002:20010 20003:20099; do
		mkdir -p "$G/${user%:*}/p/.git"
		echo 'int f(int x) { return x + 1; }' >"$G/${user%:*}/p/a.c"
		chown -R "$user" "$G/${user%:*}"
		as ${user/:/ } "$G/coffer" gcc -O2 -c a.c -o a.o || fail "user $user can't compile"
		as ${user/:/ } "$G/coffer" stop >/dev/null 2>&1 # what is for the store is written by then
		as ${user/:/ } "$G/coffer" stats --tsv >"$T/stats.${user%:*}" 2>/dev/null
	done
	grep -q "^shared_stored	1$" "$T/stats.20001" || fail "nothing is stored: $(cat "$T/stats.20001")"
	grep -q "^shared_hits	1$" "$T/stats.20002" || fail "no hit of another user: $(cat "$T/stats.20002")"
	grep -q "^misses	1$" "$T/stats.20003" || fail "a user of another group has no miss: $(cat "$T/stats.20003")"
	cmp "$G/20001/p/a.o" "$G/20002/p/a.o" || fail "another object"
	[ "$(stat -c '%a %u' "$G/20002/p/a.o")" = "600 20002" ] || fail "another mode or owner: $(stat -c '%a %u' "$G/20002/p/a.o")"
}

# Swift checks signatures and the digests of what is sent.
e2e_stores_s3_shares_a_build() # gcc long
{
	start_swift
	shares_a_build
	printf 'access_key = test:tester\nsecret_key = wrong\n' >"$T/credentials"
	rm -r one/out
	machine third
	build one
	settle
	[ "$(counter misses)" = 12 ] && [ "$(counter shared_hits)" = 0 ] || fail "with a wrong key: $(coffer stats)"
	coffer doctor | grep -q 'SignatureDoesNotMatch' || fail "doctor: $(coffer doctor)"
	stop_machines
}

# What no server here looks at: the bucket in the host's name, the token of a session, the prefix.
e2e_stores_s3_requests() # once
{
	printf 'access_key = AK\nsecret_key = SK\nsession_token = session\n' >"$T/credentials"
	chmod 600 "$T/credentials"
	export COFFER_SHARED_STORE_CREDENTIALS=$T/credentials
	start_server python_at record
	checkout one 1
	store="s3://bucket/a/b?endpoint=http://localhost:$port/&style=virtual&region=eu-1"
	machine first
	build one
	has_text "$T/bad.log" "Host: bucket.localhost:$port"
	grep -q '^GET /a/b/ac/[0-9a-f]\{64\} HTTP' "$T/bad.log" || fail "the path: $(<"$T/bad.log")"
	grep -qi '^x-amz-security-token: session' "$T/bad.log" || fail "no token: $(<"$T/bad.log")"
	grep -q '^Authorization: AWS4-HMAC-SHA256 Credential=AK/[0-9]*/eu-1/s3/aws4_request, SignedHeaders=[^,]*x-amz-security-token' "$T/bad.log" ||
		fail "the signature: $(<"$T/bad.log")"
	store="s3://bucket?endpoint=http://localhost:$port"
	machine second
	rm -r one/out
	build one
	has_text "$T/bad.log" "GET /bucket/cache/ac/"
	store="s3://bucket"
	export COFFER_SHARED_STORE_CREDENTIALS=
	machine third
	coffer doctor | grep -q 'needs access_key and secret_key' || fail "doctor: $(coffer doctor)"
	stop_machines
}

# By its socket, with a password, in a database of its own, with a time to live that a hit renews; and the server goes away.
e2e_stores_redis_as_sites_have_it() # once
{
	local key
	REDIS='--requirepass sesame' start_redis
	store="redis+unix:$T/redis.sock?db=3&ttl=1h"
	printf 'password = sesame\n' >"$T/credentials"
	chmod 600 "$T/credentials"
	# What explain reads is not renewed by a hit.
	export COFFER_SHARED_STORE_CREDENTIALS=$T/credentials COFFER_SHARED_STORE_EXPLAIN=off
	ask() { redis-cli --no-auth-warning -s "$T/redis.sock" -a sesame -n 3 "$@"; }
	first_builds 4
	[ "$(ask dbsize)" -ge 8 ] || fail "there are $(ask dbsize) keys"
	key=$(ask keys 'coffer:ac:*' | head -1)
	ask expire "$key" 100 >/dev/null
	build deep/two
	all_from_store 4
	[ "$(ask ttl "$key")" -gt 3000 ] || fail "a hit does not renew: $(ask ttl "$key")"
	# All connections are closed by the server: nobody notices.
	ask client kill type normal skipme yes >/dev/null
	rm -r deep/two/out
	coffer cache clear >/dev/null
	coffer stop >/dev/null
	read_counters counters_before
	build deep/two
	all_from_store 4
	stop_servers
	forget_machine second
	machine second
	rm -r deep/two/out
	build deep/two
	[ "$(counter misses)" = 4 ] || fail "without the server: $(coffer stats)"
	printf 'password = wrong\n' >"$T/credentials"
	REDIS='--requirepass sesame' start_redis
	machine third
	rm -r deep/two/out
	build deep/two
	[ "$(counter misses)" = 4 ] && [ "$(counter shared_failed)" -ge 1 ] || fail "with a wrong password: $(coffer stats)"
	coffer doctor | grep -q WRONGPASS || fail "doctor: $(coffer doctor)"
	stop_machines
}

e2e_stores_keep_all_outputs()
{
	local flags
	start_nginx
	checkout one 3
	checkout deep/two
	for flags in '-g -gsplit-dwarf' '-Wall -Wextra -O2' '-fstack-usage'; do
		is_clang && [ "$flags" = -fstack-usage ] && continue
		machine first
		FLAGS=$flags build one
		coffer stop >/dev/null # when it has ended all is written
		machine second
		read_counters counters_before
		FLAGS=$flags build deep/two
		all_from_store 3
		diff -r one/out deep/two/out >"$T/diff" || fail "with '$flags': $(head -5 "$T/diff")"
		rm -r one/out deep/two/out
	done
	stop_machines
}

# plain FOLDER FLAG...: what the compiler makes of u.c there, with the options that stand for reproducible=on.
plain()
{
	local folder=$1
	shift
	(cd "$folder" && "$CC" "$@" "-ffile-prefix-map=$P/$folder/=./" "-fdebug-prefix-map=$P/$folder=." -c u.c -o "$T/plain.o") || fail "the plain compile fails"
}

# differs WHAT FLAG...: on the second machine the checkout "two" is another one, so that nothing of the first machine's fits: what it
# gets is what its compiler makes.
differs()
{
	local what=$1
	shift
	read_counters counters_before
	(cd two && "$COFFER" "$CC" "$@" -c u.c -o u.o) || fail "$what: the compile fails"
	settle
	[ "$(grown shared_hits)" = 0 ] && [ "$(grown misses)" = 1 ] || fail "$what: counted:$(all_grown)"
	plain two "$@"
	same_file two/u.o "$T/plain.o"
}

# What is not the same on two machines without any input of the other's having changed.
e2e_stores_never_give_what_does_not_fit()
{
	local tree
	mkdir "$T/folder"
	store=file:$T/folder
	for tree in one two; do
		mkdir -p $tree/.git $tree/early $tree/late
		put $tree/late/h.h '#define H 1'
		put $tree/data '1234'
		put $tree/u.c '#include "h.h"' '#if __has_include("maybe.h")' 'int maybe;' '#endif' 'int h = H;' 'const char *file = __FILE__;'
		# What clang's assembler reads is not known.
		is_clang || echo '__asm__(".section .rodata\n.incbin \"data\"\n.text\n");' >>$tree/u.c
		find $tree -type f -exec touch -d '1 hour ago' {} +
	done
	machine first
	(cd one && "$COFFER" "$CC" -g -Iearly -Ilate -c u.c -o u.o) || fail "the compile fails"
	written 1
	machine second
	read_counters counters_before
	(cd two && "$COFFER" "$CC" -g -Iearly -Ilate -c u.c -o u.o) || fail "the compile fails"
	all_from_store 1
	same_file one/u.o two/u.o
	rm -f two/u.o
	# Each time with an empty cache of its own.
	again() { forget_machine second && machine second; }
	again
	put two/early/h.h '#define H 2'
	differs 'a header that is found earlier' -g -Iearly -Ilate
	rm two/early/h.h && again
	put two/late/maybe.h 'x'
	differs 'a header that is asked for' -g -Iearly -Ilate
	rm two/late/maybe.h && again
	if is_gcc; then
		put two/data '4321'
		differs 'what the assembler reads' -g -Iearly -Ilate
		put two/data '1234' && again
	fi
	differs 'another option' -g -O1 -Iearly -Ilate
	again
	C_INCLUDE_PATH=$P/two/late differs 'another environment' -g -Iearly
	stop_machines
}

# Where a source leads out of its tree by itself, nobody is told.
e2e_stores_are_not_given_what_reads_from_elsewhere() # once
{
	mkdir "$T/folder"
	store=file:$T/folder
	put "$T/elsewhere.h" '#define E 1'
	mkdir -p one/.git
	put one/u.c "#include \"$T/elsewhere.h\"" 'int e = E;'
	touch -d '1 hour ago' one/u.c "$T/elsewhere.h"
	machine first
	counted miss in_dir one "$COFFER" "$CC" -c u.c -o u.o
	coffer stop >/dev/null
	[ -z "$(find "$T/folder" -type f)" ] || fail "it is given: $(find "$T/folder" -type f)"
	stop_machines
}

e2e_stores_read_only_is_the_default() # once
{
	start_nginx
	unset COFFER_SHARED_STORE_ACCESS
	checkout one 3
	machine first
	build one
	sleep 0.5
	[ -z "$(ls -A "$kept")" ] || fail "something was written: $(find "$kept" -type f)"
	[ "$(counter shared_misses)" = 3 ] || fail "$(counter shared_misses) look-ups"
	stop_machines
}

# A store that makes room may remove a blob and keep the entry that names it, or the other way round.
e2e_stores_that_lose_something() # once
{
	local lost
	mkdir "$T/folder"
	store=file:$T/folder
	checkout one 3
	machine first
	build one
	written 3
	for lost in cas ac; do
		rm -r one/out "$T/folder/$lost"
		machine "second-$lost"
		build one
		[ "$(counter misses)" = 3 ] && [ "$(counter shared_refused)" = 0 ] || fail "without $lost: $(coffer stats)"
		written 3
		rm -r one/out
		machine "third-$lost"
		read_counters counters_before
		build one
		all_from_store 3
	done
	stop_machines
}

# Whoever can write to the store, but has not the key: each of these is a miss, counted, and the build is right.
e2e_stores_that_somebody_else_writes_to() # once
{
	local file what i
	start_nginx
	echo 'a key that all machines of the team have' >"$T/key"
	chmod 600 "$T/key"
	export COFFER_SHARED_STORE_KEY=$T/key
	first_builds 4
	for what in tampered swapped truncated emptied unsealed other_key other_tenant; do
		cp -a "$kept" "$T/kept"
		forget_machine second
		machine second
		mapfile -t file < <(find "$kept" -path '*/ac/*' -type f | sort)
		unset COFFER_TENANT
		case $what in
		tampered) for name in "${file[@]}"; do printf 'X' | dd of="$name" bs=1 seek=100 conv=notrunc status=none; done ;;
		swapped)
			cp "${file[0]}" "$T/first"
			for ((i = 1; i < ${#file[@]}; i++)); do cp "${file[i]}" "${file[i - 1]}"; done
			cp "$T/first" "${file[-1]}"
			;;
		truncated) for name in "${file[@]}"; do truncate -s -1 "$name"; done ;;
		emptied) for name in "${file[@]}"; do : >"$name"; done ;;
		unsealed) for name in "${file[@]}"; do printf '\0' | dd of="$name" bs=1 seek=8 conv=notrunc status=none; done ;;
		other_key)
			echo 'a key that only somebody else has, at home' >"$T/key"
			;;
		other_tenant)
			export COFFER_TENANT=b
			;;
		esac
		read_counters counters_before
		COFFER_SHARED_STORE_ACCESS=read-only build deep/two
		none_from_store 4
		[ $what = other_tenant ] && want=0 || want=4
		[ "$(grown shared_refused)" = $want ] || fail "$what: counted:$(all_grown)"
		diff -r one/out deep/two/out >"$T/diff" || fail "$what: the outputs differ: $(head -5 "$T/diff")"
		coffer stats | grep -q 'were not taken' || [ $want = 0 ] || fail "$what: 'coffer stats' does not tell"
		rm -rf deep/two/out "$kept"
		mv "$T/kept" "$kept"
		echo 'a key that all machines of the team have' >"$T/key"
	done
	# A blob that is not what its name says; and then all is as it was.
	unset COFFER_TENANT
	forget_machine second
	machine second
	while read -r name; do printf 'X' | dd of="$name" bs=1 seek=30 conv=notrunc status=none; done < <(find "$kept" -path '*/cas/*' -type f)
	read_counters counters_before
	COFFER_SHARED_STORE_ACCESS=read-only build deep/two
	none_from_store 4
	[ "$(grown shared_refused)" = 4 ] || fail "blobs: counted:$(all_grown)"
	diff -r one/out deep/two/out >"$T/diff" || fail "blobs: the outputs differ"
	stop_machines
}

# An entry without a seal, where none is asked for, may lie about its contents, but not lead anywhere.
e2e_stores_signatures() # once
{
	start_nginx
	openssl genpkey -algorithm ed25519 -out "$T/signer.pem" 2>/dev/null || fail "openssl"
	chmod 600 "$T/signer.pem"
	public=$(openssl pkey -in "$T/signer.pem" -pubout -outform DER | tail -c 32 | base64)
	id=$({ printf 'coffer-store\n\1'; echo "$public" | base64 -d; } | sha256sum | head -c 8)
	echo "coffer-store+$id+$({ printf '\1'; echo "$public" | base64 -d; } | base64)" >"$T/verifiers"
	export COFFER_SHARED_STORE_SIGNER=$T/signer.pem
	checkout one 3
	machine first
	build one
	written 3
	# Machines that may only read have no key that is worth stealing.
	unset COFFER_SHARED_STORE_SIGNER COFFER_SHARED_STORE_ACCESS
	export COFFER_SHARED_STORE_VERIFIERS=$T/verifiers
	rm -r one/out
	machine second
	read_counters counters_before
	build one
	all_from_store 3
	openssl genpkey -algorithm ed25519 -out "$T/other.pem" 2>/dev/null
	chmod 600 "$T/other.pem"
	export COFFER_SHARED_STORE_SIGNER=$T/other.pem COFFER_SHARED_STORE_ACCESS=read-write
	unset COFFER_SHARED_STORE_VERIFIERS
	rm -r one/out "$kept"
	machine enemy
	build one
	written 3
	unset COFFER_SHARED_STORE_SIGNER COFFER_SHARED_STORE_ACCESS
	export COFFER_SHARED_STORE_VERIFIERS=$T/verifiers
	rm -r one/out
	machine third
	read_counters counters_before
	build one
	none_from_store 3
	[ "$(grown shared_refused)" = 3 ] || fail "the enemy's entries: counted:$(all_grown)"
	stop_machines
}

# seconds_of CMD...
milliseconds_of()
{
	local began
	began=$(now_ms)
	"$@"
	echo $(($(now_ms) - began))
}

# A store that is not there, one that takes connections and says nothing, one that is slow: the build is right, and later by at
# most a second in all.
e2e_stores_that_are_dead_or_slow() # once clock
{
	local base cost lost
	need jq
	checkout one 60
	machine first
	store=
	machine plain
	build one
	rm -r one/out
	forget_machine plain
	machine plain
	base=$(JOBS=2 milliseconds_of build one)
	for kind in nobody silent slow; do
		rm -r one/out
		if [ $kind = nobody ]; then
			store=http://127.0.0.1:$(free_port)/x
		else
			start_server python_at $kind
			store=http://127.0.0.1:$port/x
		fi
		machine $kind
		cost=$(JOBS=2 milliseconds_of build one)
		cost=$((cost - base))
		echo "$kind: $cost ms more than $base"
		[ $cost -lt 4000 ] || fail "$kind costs the build $cost ms"
		lost=$(coffer status --json | jq '.shared_stores[0].lost_ms')
		[ "$lost" -le 1300 ] || fail "$kind: $lost ms were lost on waiting"
		[ "$(counter misses)" = 60 ] || fail "$kind: $(counter misses) misses"
		coffer doctor | grep -q 'shared store' || fail "$kind: doctor does not tell"
	done
	stop_machines
}

e2e_stores_that_answer_nonsense() # once
{
	checkout one 6
	for kind in huge html redirect cut; do
		start_server python_at $kind
		store=http://127.0.0.1:$port/x
		machine $kind
		build one
		[ "$(counter misses)" = 6 ] || fail "$kind: $(counter misses) misses"
		[ "$(counter shared_hits)" = 0 ] || fail "$kind: hits"
		rm -r one/out
	done
	stop_machines
}

# The URL and what is logged and shown have no secret in them.
e2e_stores_credentials() # once
{
	need openssl
	printf 'team:%s\n' "$(openssl passwd -apr1 'pass:word')" >"$T/htpasswd"
	NGINX="auth_basic x; auth_basic_user_file $T/htpasswd;" start_nginx
	printf 'user = team\npassword = pass:word\n' >"$T/credentials"
	chmod 600 "$T/credentials"
	export COFFER_SHARED_STORE_CREDENTIALS=$T/credentials COFFER_LOG_LEVEL=debug
	first_builds 3
	build deep/two
	all_from_store 3
	printf 'user = team\npassword = wrong\n' >"$T/credentials"
	forget_machine second
	machine second
	rm -r deep/two/out
	build deep/two
	[ "$(counter shared_failed)" -ge 1 ] && [ "$(counter misses)" = 3 ] || fail "wrong password: $(coffer stats)"
	chmod 644 "$T/credentials"
	rm -r deep/two/out
	machine third
	build deep/two
	coffer doctor | grep -q 'others must not read' || fail "doctor: $(coffer doctor)"
	! grep -rq 'pass:word' "$T/machines" || fail "the password is in $(grep -rl 'pass:word' "$T/machines")"
	stop_machines
}

e2e_stores_tls() # once
{
	need openssl
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$T/key.pem" -out "$T/ca.pem" -days 2 -subj /CN=store \
		-addext 'subjectAltName=IP:127.0.0.1' 2>/dev/null || fail "openssl"
	NGINX_LISTEN='ssl http2' NGINX="ssl_certificate $T/ca.pem; ssl_certificate_key $T/key.pem;" start_nginx
	store=https://127.0.0.1:$port/x
	checkout one 3
	machine first
	build one
	[ "$(counter shared_failed)" -ge 1 ] || fail "a certificate that nobody has signed is taken"
	rm -r one/out
	export COFFER_SHARED_STORE_CA=$T/ca.pem
	forget_machine first
	first_builds 3
	build deep/two
	all_from_store 3
	grep -q 'HTTP/2' "$T/nginx/access.log" || fail "it is not HTTP/2"
	stop_machines
}

# CI builds, and gives its results when its tests are green; a laptop takes all of them, and builds without a network.
e2e_stores_push_and_pull() # gcc
{
	start_nginx
	echo 'a key that all machines of the team have' >"$T/key"
	chmod 600 "$T/key"
	export COFFER_SHARED_STORE_KEY=$T/key
	checkout one 6
	checkout deep/one
	machine ci
	COFFER_SHARED_STORE_ACCESS=push build one
	coffer stop >/dev/null
	[ -z "$(find "$kept" -type f)" ] || fail "it is given before it is pushed: $(find "$kept" -type f)"
	(cd one && coffer cache push) >"$T/out" 2>&1 || fail "push: $(<"$T/out")"
	grep -q "^build 'one': 18 entries" "$T/out" && grep -q 'pushed *18 ' "$T/out" || fail "push: $(<"$T/out")"
	(cd one && coffer cache push) >"$T/out" 2>&1 || fail "push again: $(<"$T/out")"
	grep -q 'pushed *0 ' "$T/out" && grep -q 'there already *18' "$T/out" || fail "push again: $(<"$T/out")"
	machine laptop
	export COFFER_SHARED_STORE_ACCESS=read-only
	(cd deep/one && coffer cache pull --build nosuch) >"$T/out" 2>&1 && fail "there is no such build"
	(cd deep/one && coffer cache pull) >"$T/out" 2>&1 || fail "pull: $(<"$T/out")"
	grep -q 'pulled *18 ' "$T/out" || fail "pull: $(<"$T/out")"
	stop_servers
	read_counters counters_before
	build deep/one
	all_from_store 6
	diff -r one/out deep/one/out >"$T/diff" || fail "the outputs differ: $(head -5 "$T/diff")"
	# What was pulled is looked at like everything else that others made.
	(cd deep/one && coffer cache clear) >/dev/null
	start_nginx
	machine laptop
	while read -r name; do printf 'X' | dd of="$name" bs=1 seek=40 conv=notrunc status=none; done < <(find "$kept" -path '*/cas/*' -type f)
	(cd deep/one && coffer cache pull) >"$T/out" 2>&1 || fail "pull: $(<"$T/out")"
	grep -q 'refused *6 ' "$T/out" || fail "changed content: $(<"$T/out")"
	stop_machines
}

# What the cache has lost is not given, nor is what names it; and what a pull brings does not take the place of what is to be pushed.
e2e_stores_push_of_what_is_gone() # once
{
	local value
	mkdir "$T/folder"
	store=file:$T/folder
	checkout one 3
	export COFFER_SHARED_STORE_ACCESS=push
	machine ci
	build one
	coffer stop >/dev/null
	(cd one && coffer cache push --build first) >"$T/out" 2>&1 || fail "push: $(<"$T/out")"
	rm -r "$T/folder/ac" "$T/folder/cas"
	machine ci
	find "$COFFER_CACHE_DIR" -path "*/content/*" -type f | head -1 | xargs rm
	(cd one && coffer cache push --build second) >"$T/out" 2>&1 || fail "push: $(<"$T/out")"
	grep -q 'pushed *7 ' "$T/out" && grep -q 'gone *2 ' "$T/out" || fail "one is gone: $(<"$T/out")"
	# The other one's result of the same source, which is newer.
	rm -r "$T/folder"/*
	rm -r one/out
	for value in 1 2; do
		echo "static inline int h1(int x) { return x + $value; }" >one/inc/h1.h
		touch -d '1 hour ago' one/inc/h1.h
		machine "ci$value"
		build one
		mv one/out "one/out$value"
		coffer stop >/dev/null
		[ $value = 2 ] || (cd one && coffer cache push) >"$T/out" 2>&1 || fail "push: $(<"$T/out")"
	done
	(cd one && coffer cache pull && coffer cache push) >"$T/out" 2>&1 || fail "pull, push: $(<"$T/out")"
	machine laptop
	read_counters counters_before
	COFFER_SHARED_STORE_ACCESS=read-only build one
	all_from_store 3
	diff -r one/out one/out2 >/dev/null || fail "the outputs differ"
	stop_machines
}

# Of one source with other headers both results stay in the store, whoever pushes last.
e2e_stores_push_joins_what_is_there() # once
{
	mkdir "$T/folder"
	store=file:$T/folder
	checkout one 1
	export COFFER_SHARED_STORE_ACCESS=push
	for value in 1 2; do
		echo "static inline int h1(int x) { return x + $value; }" >one/inc/h1.h
		touch -d '1 hour ago' one/inc/h1.h
		machine "ci$value"
		build one
		mv one/out "one/out$value"
		coffer stop >/dev/null
		(cd one && coffer cache push) >"$T/out" 2>&1 || fail "push: $(<"$T/out")"
	done
	machine laptop
	COFFER_SHARED_STORE_ACCESS=read-only
	for value in 1 2; do
		echo "static inline int h1(int x) { return x + $value; }" >one/inc/h1.h
		touch -d '1 hour ago' one/inc/h1.h
		read_counters counters_before
		build one
		settle
		[ "$(grown shared_hits)" = 1 ] || fail "the results with $value are lost:$(all_grown)"
		diff -r one/out "one/out$value" >/dev/null || fail "with $value the outputs differ"
		rm -r one/out
	done
	stop_machines
}
