# What `coffer explain` says of a miss where a worker has made something near for a teammate or CI.
# shellcheck shell=bash disable=SC2154

# shellcheck source=tests/e2e/farm/lib.sh
source "$TESTS/e2e/farm/lib.sh"
source "$TESTS/e2e/stores/lib.sh"
always_away
store=''
unset COFFER_REPRODUCIBLE

# compiles CHECKOUT FLAG...: one source of it, on a worker.
compiles()
{
	local directory=$1 made
	shift
	made=$(($(counter remote_compiles) + $(counter remote_hits) + 1))
	mkdir -p "$directory/out"
	(cd "$directory" && coffer "$CC" "$@" -Iinc -MMD -MP -c src/u1.c -o out/u1.o) || fail "$CC $* src/u1.c"
	settle
	[ "$(($(counter remote_compiles) + $(counter remote_hits)))" = $made ] || fail "$HOME: it was compiled here: $(coffer status) $(daemon_log 'compiled here|did not compile')"
}

# told FILTER: of what explain says of the laptop's last compile.
told()
{
	(cd deep/two && coffer explain src/u1.c --json) | jq -r "if .farm then .farm | $1 else \"no comparison\" end"
}

is_told()
{
	local now
	now=$(told "$1")
	[ "$now" = "$2" ] || fail "explain has '$now', not '$2': $(cd deep/two && coffer explain src/u1.c)"
}

by_ci() { COFFER_SHARED_STORE_NAME=ci "$@"; }

explains_what_others_made()
{
	worker_start w1
	checkout one 3
	checkout deep/two
	machine ci
	by_ci compiles one -O1
	machine laptop
	compiles deep/two -O2
	is_told '(.worker | contains("w1") | tostring) + " " + .made_by + " " + .cause.kind + " " + (.cause.changes | map(.was + ">" + .now) | join(","))' 'true ci arguments -O1>-O2'
	(cd deep/two && coffer explain src/u1.c) >"$T/out"
	grep -q "worker '.*w1.*' has what 'ci' made on 20" "$T/out" && grep -q -- '-O1, now -O2' "$T/out" || fail "$(<"$T/out")"

	CPATH=$P/deep compiles deep/two -O1
	is_told '.made_by + " " + .cause.kind + " " + .cause.changes[0].name + " " + .cause.changes[0].now' "ci environment CPATH $P/deep"

	echo 'static inline int h1(int x) { return x + 11; }' >deep/two/inc/h1.h
	compiles deep/two -O1
	is_told '.made_by + " " + .cause.kind + " " + (.cause.changes | map(.name) | join(","))' "ci input $P/deep/two/inc/h1.h"
	is_told '.cause.changes[0] | (.was != .now) and (.now | length) == 32' true
	(cd deep/two && coffer explain src/u1.c) | grep -q "'.*inc/h1.h' has another text here" || fail "$(cd deep/two && coffer explain src/u1.c)"

	cp one/inc/h1.h deep/two/inc/h1.h
	echo '/* mine */ int mine;' >>deep/two/src/u1.c
	compiles deep/two -O1
	is_told '.cause.kind + " " + .cause.changes[0].name' "input $P/deep/two/src/u1.c"

	# A worker that does not answer: what is known here is said all the same.
	worker_kill w1 KILL
	is_told '.cause' null
	(cd deep/two && coffer explain src/u1.c) | grep -q "the farm can't be compared with" || fail "nothing is said of a worker that is gone"
	stop_machines
}

e2e_farm_explains_what_others_made() # clock
{
	export COFFER_SEND=text
	explains_what_others_made
}

e2e_farm_explains_what_others_made_of_trees() # clock
{
	export COFFER_SEND=tree
	explains_what_others_made
}

# What is not told, who may not see it, and who tries much.
e2e_farm_explains_within_a_tenant() # once clock
{
	local n
	site_keys w1
	"$COFFER" keys add "$T/site" --tenant other >"$T/keys.log" 2>&1 || fail "no tenant: $(<"$T/keys.log")"
	sed -n '/^\[tenant other\]/,$p' "$T/keys.log" >>"$T/site/tenants.conf"
	sed -i "s/:7420/:${scheduler##*:}/" "$T/site/tenant-other.conf"
	scheduler_start
	wait_until 30 "grep -qs 'scheduler serves' $T/scheduler.log" || fail "no scheduler: $(<"$T/scheduler.log")"
	site_worker_start w1
	checkout one 3
	checkout deep/two
	machine ci
	by_ci compiles one -O1
	machine stranger
	COFFER_CONFIG=$T/site/tenant-other.conf
	compiles deep/two -O2
	is_told .why_not 'no worker has another result of this source'
	COFFER_FARM_EXPLAIN=off compiles deep/two -O3
	is_told '.cause.changes[0] | .was + ">" + .now' '-O2>-O3'
	coffer stop >"$T/out" || fail "$(<"$T/out")"
	machine silent
	COFFER_FARM_EXPLAIN=off compiles deep/two -O0
	is_told '.cause.changes[0] | .was + ">" + .now' '-O2>-O0'
	coffer stop >"$T/out" || fail "$(<"$T/out")"
	# The other tenant has told nothing to this one, and the many tries of one do not hide what CI has.
	COFFER_CONFIG=$T/site/tenant-me.conf
	machine laptop
	for n in 1 2 3 4 5 6 7 8 9 10; do
		compiles deep/two -O2 -DTRY=$n
	done
	compiles deep/two -O1 -DNEAR
	is_told '.made_by + " " + .cause.kind + " " + (.cause.changes | map(.now) | join(","))' 'ci arguments -DNEAR'
	# Nothing of a result that the worker no longer has.
	rm -rf "$T/w1/results/tenant-me"
	worker_kill w1 TERM
	wait_until 30 "[ ! -d /proc/$(<"$T/w1.pid") ]" || fail "it does not end"
	site_worker_start w1
	is_told .why_not 'no worker has a result of this source'
	farm_end
	stop_machines
}

# Jobs that end together are told together, and none is lost.
e2e_farm_explains_each_of_many_at_once() # once clock
{
	local i n=24
	worker_start w1 --slots 24
	checkout one $n
	mkdir -p one/out
	machine ci
	(cd one && seq $n | COFFER_SHARED_STORE_NAME=ci xargs -P $n -I{} "$COFFER" "$CC" -O1 -Iinc -c src/u{}.c -o out/{}.o) || fail "compiles fail"
	settle
	[ "$(($(counter remote_compiles) + $(counter remote_hits)))" = $n ] || fail "not all went away: $(coffer status)"
	machine laptop
	for ((i = 1; i <= n; i++)); do
		(cd one && coffer "$CC" -O2 -Iinc -c "src/u$i.c" -o "out/$i.o") || fail "a compile fails"
		settle
		[ "$(cd one && coffer explain "src/u$i.c" --json | jq -r '.farm.made_by + " " + .farm.cause.kind')" = 'ci arguments' ] ||
			fail "of u$i.c nothing is known: $(cd one && coffer explain "src/u$i.c")"
	done
	stop_machines
	farm_end
}
