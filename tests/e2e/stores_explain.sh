# What `coffer explain` says of a miss where others have put the same source into the shared store.
# shellcheck shell=bash

source "$TESTS/e2e/stores/lib.sh"
unset COFFER_REPRODUCIBLE

# CI has built three sources; a laptop may read.
ci_builds()
{
	checkout one 3
	checkout deep/two
	machine ci
	COFFER_SHARED_STORE_ACCESS=read-write COFFER_SHARED_STORE_NAME=${ci_name-ci} build one
	written 3
	mkdir -p deep/two/out
	machine laptop
}

# compiles FLAG...: one source of the laptop's checkout.
compiles()
{
	(cd deep/two && coffer "$CC" "$@" -Iinc -MMD -MP -c src/u1.c -o out/u1.o) || fail "$CC $* src/u1.c"
	settle
}

# shared FILTER: of what explain says of it.
shared()
{
	(cd deep/two && coffer explain src/u1.c --json) | jq -r "if .shared then .shared | $1 else \"no comparison\" end"
}

is_shared()
{
	local now
	now=$(shared "$1")
	[ "$now" = "$2" ] || fail "explain has '$now', not '$2': $(cd deep/two && coffer explain src/u1.c)"
}

e2e_stores_explain_what_others_made()
{
	mkdir "$T/folder"
	store=file:$T/folder
	ci_builds
	compiles -g -O2
	is_shared '.made_by + " " + .cause.kind + " " + (.cause.changes | map(.was + ">" + .now) | join(","))' 'ci arguments -O1>-O2'
	(cd deep/two && coffer explain src/u1.c) >"$T/out"
	grep -q "the shared store has what 'ci' made on 20" "$T/out" && grep -q -- '-O1, now -O2' "$T/out" || fail "$(<"$T/out")"

	echo 'static inline int h1(int x) { return x + 11; }' >deep/two/inc/h1.h
	compiles -g -O1
	is_shared '.cause.kind + " " + (.cause.changes | map(.name) | join(","))' "input $P/deep/two/inc/h1.h"
	is_shared '.cause.changes[0] | (.was != .now) and (.now | length) == 64' true
	(cd deep/two && coffer explain src/u1.c) | grep -q "'.*inc/h1.h' has another text here" || fail "$(cd deep/two && coffer explain src/u1.c)"

	cp one/inc/h1.h deep/two/inc/h1.h
	echo '/* mine */ int mine;' >>deep/two/src/u1.c
	compiles -g -O1
	is_shared '.cause.kind + " " + .cause.changes[0].name' "input $P/deep/two/src/u1.c"

	# The laptop's own result is no news to it.
	COFFER_SHARED_STORE_ACCESS=read-write compiles -g -O3
	written 1
	is_shared '.made_by' ci
	stop_machines
}

# Who may not see it, what is not told, and a store that does not answer.
e2e_stores_explain_what_may_be_seen() # once
{
	mkdir "$T/folder"
	store=file:$T/folder
	echo 'a key that all machines of the team have' >"$T/key"
	chmod 600 "$T/key"
	export COFFER_SHARED_STORE_KEY=$T/key
	ci_name='' ci_builds
	COFFER_TENANT=other compiles -O2
	[ "$(COFFER_TENANT=other shared .why_not)" = 'it has no result of this source' ] || fail "another tenant: $(COFFER_TENANT=other shared .)"
	compiles -O3
	is_shared '.made_by' "$(hostname)"
	# Whoever can write there and has no key says nothing.
	find "$T/folder" -path '*/ac/*' -type f | while read -r name; do printf X | dd of="$name" bs=1 seek=60 conv=notrunc status=none; done
	is_shared '.cause' null
	grep -q 'seal' <<<"$(shared .why_not)" || fail "a changed unit: $(shared .)"
	mv "$T/folder" "$T/away"
	is_shared '.cause' null
	mkdir "$T/folder"
	rm -r deep/two/out
	machine quiet
	COFFER_SHARED_STORE_ACCESS=read-write COFFER_SHARED_STORE_EXPLAIN=off FLAGS=-O2 build deep/two
	written 3
	machine other
	compiles -O1
	is_shared .why_not 'it has no result of this source'
	machine plain
	COFFER_SHARED_STORE='' compiles -O3 -g
	COFFER_SHARED_STORE='' is_shared . 'no comparison'
	stop_machines
}

# What was pulled is compared with where the store's own copy is no good.
e2e_stores_explain_what_was_pulled() # once
{
	mkdir "$T/folder"
	store=file:$T/folder
	echo 'a key that all machines of the team have' >"$T/key"
	chmod 600 "$T/key"
	export COFFER_SHARED_STORE_KEY=$T/key
	checkout one 3
	checkout deep/two
	machine ci
	COFFER_SHARED_STORE_ACCESS=push COFFER_SHARED_STORE_NAME=ci build one
	written 3
	(cd one && COFFER_SHARED_STORE_ACCESS=push coffer cache push --build b) >"$T/out" 2>&1 || fail "no push: $(<"$T/out")"
	machine laptop
	(cd deep/two && coffer cache pull --build b) >"$T/out" 2>&1 || fail "no pull: $(<"$T/out")"
	find "$T/folder" -path '*/ac/*' -type f | while read -r name; do printf X | dd of="$name" bs=1 seek=60 conv=notrunc status=none; done
	mkdir -p deep/two/out
	compiles -g -O2
	is_shared '.made_by + " " + .cause.kind' 'ci arguments'
	stop_machines
}
