# Room in shared stores: `coffer cache gc --store`, against the real servers.
# shellcheck shell=bash disable=SC2154

source "$TESTS/e2e/stores/lib.sh"
unset COFFER_REPRODUCIBLE
# A result is one action and one content then.
export COFFER_SHARED_STORE_ACCESS=read-write COFFER_SHARED_STORE_EXPLAIN=off

# some FROM TO: the machine compiles these files of the checkout "one".
some()
{
	local i
	for ((i = $1; i <= $2; i++)); do
		in_dir one "$COFFER" "$CC" -Iinc -g -O1 -c "src/u$i.c" -o "u$i.o" || fail "u$i.c"
	done
}

gc() { coffer cache gc --store "$store" "$@" >"$T/gc" 2>&1 || fail "gc $*: $(<"$T/gc")"; }

# takes N FROM TO: a new machine finds N of these files in the store.
takes()
{
	forget_machine reader
	machine reader
	read_counters counters_before
	COFFER_SHARED_STORE_ACCESS=read-only some "$2" "$3"
	settle
	[ "$(grown shared_hits)" = "$1" ] || fail "$1 of $2 to $3 should be there:$(all_grown); $(<"$T/gc")"
	[ "$(grown shared_refused)" = 0 ] || fail "some were refused:$(all_grown)"
}

in_store() { awk '$1 == "entries" { print $2; exit }' "$T/gc"; }
removed() { awk '$1 == "entries" && ++n == 2 { print $2 }' "$T/gc"; }

e2e_upkeep_of_a_folder() # once
{
	mkdir "$T/folder" "$T/elsewhere"
	store=file:$T/folder
	checkout one 12
	machine first
	some 1 6
	written 6
	find "$T/folder" -type f -exec touch -d '10 days ago' {} +
	some 7 12
	written 12
	# Nothing is removed: too young, or only looked at.
	gc --max-age 30d --dry-run
	[ "$(removed)" = 0 ] || fail "too young: $(<"$T/gc")"
	gc --max-age 5d --dry-run
	has_text "$T/gc" 'would be removed'
	[ "$(in_store)" = 24 ] && [ "$(removed)" = 12 ] || fail "a dry run: $(<"$T/gc")"
	[ "$(find "$T/folder/ac" "$T/folder/cas" -type f | wc -l)" = 24 ] || fail "a dry run removes"
	# A hit counts as use.
	takes 2 1 2
	gc --max-age 5d
	[ "$(removed)" = 8 ] || fail "by age: $(<"$T/gc")"
	takes 2 1 6
	takes 6 7 12
	# By size: never what was used within the grace, then the least recently used.
	gc --max-size 1 --dry-run
	[ "$(removed)" = 0 ] || fail "within the grace: $(<"$T/gc")"
	has_text "$T/gc" 'within the grace'
	find "$T/folder" -type f -mmin +30 -exec false {} + || fail "something is old"
	# Somebody else is at it, until its time is over; what is not ours stays, and no link is followed.
	put "$T/elsewhere/$(printf 'a%.0s' {1..62})" x
	touch -d '10 days ago' "$T/elsewhere"/*
	ln -s "$T/elsewhere" "$T/folder/ac/zz"
	rm -rf "$T/folder/ac/ff"
	ln -s "$T/elsewhere" "$T/folder/ac/ff"
	put "$T/folder/ac/note.txt" 'mine'
	mkdir -p "$T/folder/lease/00"
	printf 'coffer lease 1\nseconds 600\nhost other machine\n' >"$T/folder/lease/00/$(printf '0%.0s' {1..62})"
	touch -d '2 minutes ago' "$T/folder/lease/00"/*
	gc --max-size 1 --grace 0s
	has_text "$T/gc" 'nothing is done: other machine is at it since'
	touch -d '11 minutes ago' "$T/folder/lease/00"/*
	gc --max-size 1 --grace 0s
	[ "$(find "$T/folder/ac" "$T/folder/cas" -type f)" = "$T/folder/ac/note.txt" ] || fail "left: $(find "$T/folder" -type f)"
	[ -z "$(find "$T/folder/lease" -type f)" ] || fail "leases are left"
	[ -n "$(ls "$T/elsewhere")" ] || fail "a link was followed"
	stop_machines
}

e2e_upkeep_wants_limits() # once
{
	machine first
	exits 2 coffer cache gc --store "file:$T"
	exits 2 coffer cache gc --max-size 1G
	exits 2 coffer cache verify --dry-run
	exits 2 coffer cache gc --store "file:$T" --max-size many
	exits 1 coffer cache gc --store redis://127.0.0.1:1 --max-size 1G
	exits 1 coffer cache gc --store "file:$T/missing" --max-size 1G
}

exits()
{
	local want=$1
	shift
	"$@" >"$T/out" 2>&1
	[ $? = "$want" ] || fail "'$*' does not end with $want: $(<"$T/out")"
}

# S3 does not see uses: the machines that may write tell them.
e2e_upkeep_of_a_bucket() # once long
{
	local all
	start_swift
	checkout one 12
	machine first
	some 1 12
	written 12
	coffer stop >/dev/null
	sleep 2
	machine second
	read_counters counters_before
	some 1 4
	settle
	[ "$(grown shared_hits)" = 4 ] || fail "no hits:$(all_grown)"
	coffer stop >/dev/null # what was used is told now
	gc --max-size 1 --dry-run
	[ "$(in_store)" = 24 ] && [ "$(removed)" = 0 ] || fail "within the grace: $(<"$T/gc")"
	grep -q 'records of uses *1$' "$T/gc" || fail "no record of uses: $(<"$T/gc")"
	all=$(awk '$1 == "entries" { print int($3 * ($4 == "KiB" ? 1024 : 1)); exit }' "$T/gc")
	gc --max-size $((all * 45 / 100)) --grace 0s
	[ "$(removed)" -ge 12 ] && [ "$(removed)" -le 16 ] || fail "by size: $(<"$T/gc")"
	takes 4 1 4
	gc --max-size 1 --grace 0s
	takes 0 1 12
	gc --max-size 1 --dry-run
	[ "$(in_store)" = 0 ] || fail "something is left: $(<"$T/gc")"
	stop_machines
}

# A web server that has lists (PROPFIND) and DELETE; one that has not says so.
e2e_upkeep_of_a_web_server() # once
{
	[ -e /usr/lib/nginx/modules/ngx_http_dav_ext_module.so ] || skip "nginx has no PROPFIND here"
	NGINX='dav_ext_methods PROPFIND;' start_nginx
	checkout one 12
	machine first
	some 1 6
	written 6
	find "$kept" -type f -exec touch -d '10 days ago' {} +
	some 7 12
	written 12
	gc --max-age 5d
	[ "$(in_store)" = 24 ] && [ "$(removed)" = 12 ] || fail "by age: $(<"$T/gc")"
	takes 0 1 6
	takes 6 7 12
	stop_servers
	start_nginx
	exits 1 coffer cache gc --store "$store" --max-age 5d
	has_text "$T/out" 'PROPFIND'
	stop_machines
}

# `If-None-Match: *`: one request for each new blob where the server knows it; where it does not, it is asked once.
e2e_upkeep_conditional_puts() # once
{
	printf 'access_key = AK\nsecret_key = SK\n' >"$T/credentials"
	chmod 600 "$T/credentials"
	export COFFER_SHARED_STORE_CREDENTIALS=$T/credentials
	checkout one 4
	start_server python_at bucket
	store="s3://bucket?endpoint=http://127.0.0.1:$port"
	machine first
	some 1 4
	written 4
	[ "$(grep -c '^PUT .*/cas/.* 200 conditional' "$T/bad.log")" = 4 ] || fail "the blobs: $(<"$T/bad.log")"
	! grep -q '^HEAD' "$T/bad.log" || fail "it asks before: $(<"$T/bad.log")"
	# What is there stays.
	machine second
	COFFER_RECACHE=on some 1 1
	coffer stop >/dev/null
	grep -q '^PUT .*/cas/.* 412 conditional' "$T/bad.log" || fail "no condition: $(<"$T/bad.log")"
	stop_servers
	start_server python_at bucket501
	store="s3://bucket?endpoint=http://127.0.0.1:$port"
	machine third
	some 1 4
	written 4
	[ "$(grep -c ' 501 conditional' "$T/bad.log")" -le 2 ] || fail "it does not remember: $(<"$T/bad.log")"
	[ "$(grep -c '^PUT .*/cas/.* 200' "$T/bad.log")" = 4 ] || fail "the blobs: $(<"$T/bad.log")"
	stop_machines
}
