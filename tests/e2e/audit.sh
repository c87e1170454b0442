# The audit log of a worker as an auditor uses it: rows, signatures, proofs, replay; and through crashes.
# shellcheck shell=bash disable=SC2154
. "$TESTS/e2e/farm/lib.sh"

python=/usr/bin/python3

audit_build() # N
{
	always_away
	farm_project "$1"
	worker_start w1
	all_away "$1" -O2
	farm_end
	log=$T/w1/audit
}

says() # STATUS WORDS COMMAND…
{
	local status=$1 words=$2 out rc
	shift 2
	out=$("$@" 2>&1)
	rc=$?
	[ $rc -eq "$status" ] || fail "'$*' ends with $rc: $out"
	[[ $out == *"$words"* ]] || fail "'$*' does not say '$words': $out"
}

# One of docs/audit.md's ten minutes.
e2e_audit_has_one_row_for_each_compile() { # gcc
	audit_build 12
	[ "$("$COFFER" audit ls --log "$log" --where outcome=run | grep -c '^host:')" = 12 ] || fail "not 12 rows: $("$COFFER" audit ls --log "$log")"
	[ "$("$COFFER" audit ls --log "$log" --format json | jq -s 'map(.job) | unique | length')" = 12 ] || fail "jobs are not unique"
	[ "$(jq -r .event "$log/events.jsonl" | sort | uniq -c | awk '{print $1}' | sort -u)" = 12 ] || fail "not two events for each job"
	"$COFFER" audit ls --log "$log" --format csv | $python -c 'import csv, sys; rows = list(csv.DictReader(sys.stdin)); assert len(rows) == 12 and rows[0]["tenant"] == "local"' ||
		fail "the CSV is none"
	local object
	object=$(sha256sum got/3.o | cut -d' ' -f1)
	"$COFFER" audit ls --log "$log" --where "output_digest=sha256:$object" | grep -q '^host:' || fail "the object of u3.c is in no row"
	says 0 '12 rows of' "$COFFER" audit verify --log "$log"
	# So do depfiles, of the user's own files.
	"$COFFER" audit ls --log "$log" --format json | jq -r .output_digest | sed -n 's/.*depfile=//p' | head -n 1 >depfile
	[ -s depfile ] && "$COFFER" audit ls --log "$log" --where "output_digest=$(<depfile)" | grep -q '^host:' || fail "the depfile is in no row"
	# A known result has its row as well.
	rm -rf got && "$COFFER" cache clear >/dev/null
	COFFER_WORKER='' worker_start w1
	all_away 12 -O2
	farm_end
	[ "$("$COFFER" audit ls --log "$log" --where outcome=hit | grep -c '^host:')" = 12 ] || fail "hits have no rows"
	says 0 '24 rows of' "$COFFER" audit verify --log "$log"
}

# Every command of the page, in its order and as it stands there. Only the place of the log and the day of the first job differ.
e2e_audit_page_holds_as_it_is_typed() { # once
	local line said n=0
	audit_build 20
	cp got/3.o x.o
	mkdir bin
	ln -s "$COFFER" bin/coffer
	export PATH=$T/work/bin:$PATH COFFER_AUDIT_LOG=$log STATE_DIRECTORY=$T/w1
	sed -nE 's/^    (coffer |cp )/\1/p' "$TESTS/../docs/audit.md" | grep -v '^coffer.conf' >page
	while IFS= read -r line <&3; do
		line=${line//…\/audit/$log}
		said=$(eval "$line" 2>&1) || fail "'$line' ends with $?: $said"
		n=$((n + 1))
	done 3<page
	[ "$n" = 15 ] || fail "$n commands are on the page"
	[ -s w1.pub ] && [ -s proof ] && [ -s continued ] && [ -s x.o.intoto.json ] || fail "the commands wrote nothing"
}

e2e_audit_proofs_hold_without_coffer() { # gcc long
	need $python
	$python -c 'import cryptography' 2>/dev/null || skip "python3-cryptography is not installed"
	audit_build 9
	"$COFFER" audit key --log "$log" >key
	cp "$log/checkpoint" kept
	for row in 0 4 8; do
		"$COFFER" audit prove "$row" --log "$log" >proof || fail "no proof of row $row"
		says 0 "row $row of 9" "$COFFER" audit check proof --key key
		[ "$($python "$TESTS/e2e/audit/check.py" proof key)" = "$(sed -n "$((row + 1))p" "$log/rows/00000000")" ] || fail "check.py differs"
	done
	rm -rf want got
	COFFER_WORKER='' worker_start w1
	all_away 9 -O1
	farm_end
	"$COFFER" audit prove --from kept --log "$log" >proof || fail "no proof of consistency"
	says 0 'continues' "$COFFER" audit check proof --key key
	[ "$($python "$TESTS/e2e/audit/check.py" proof key)" = 'consistent 9 18' ] || fail "check.py takes the proof for none"
	sed -i '2s/^./A/; 2s/^A./AB/' proof
	says 1 'coffer:' "$COFFER" audit check proof --key key
	says 0 'continue the checkpoint' "$COFFER" audit verify --log "$log" --key key --from kept
}

e2e_audit_shows_every_change() { # gcc
	audit_build 6
	local how
	"$COFFER" audit key --log "$log" >key
	cp -a "$log" good
	for how in 's/local/other/' '2d' '1{h;d};2{G}' '$a -	-	-	-	-	-	-	-	-	-	-	-	-	run'; do
		rm -rf "$log" && cp -a good "$log"
		sed -i "$how" "$log/rows/00000000"
		case $how in
		\$a*) says 0 'have no signature yet' "$COFFER" audit verify --log "$log" --key key ;;
		*) says 1 'row' "$COFFER" audit verify --log "$log" --key key ;;
		esac
	done
	# A log with fewer rows than were signed is not gone on with.
	rm -rf "$log" && cp -a good "$log"
	sed -i '$d' "$log/rows/00000000"
	says 1 'no audit log, so no jobs' "$COFFERD" worker --insecure-loopback --listen "unix:$T/x.sock" --admin '' --name w1 --folder "$T/w1" \
		--agent "$COFFER_BUILD/coffer-agent"
	# Another key signs nothing of this log.
	sed 's/^w1+/w2+/' key >other
	says 1 'not signed by the key' "$COFFER" audit verify --log good --key other
}

e2e_audit_rows_are_replayed() { # gcc
	export COFFER_SEND=text
	audit_build 5
	says 0 '5 identical, 0 different' "$COFFER" replay --folder "$T/w1" --agent "$COFFER_BUILD/coffer-agent" 0 1 2 3 4
	says 0 '3 identical' "$COFFER" replay --folder "$T/w1" --agent "$COFFER_BUILD/coffer-agent" --sample 3
	"$COFFER" audit ls --log "$log" --last 1 | sed 's/-O2/-O0/' >row
	says 1 'its output was' "$COFFER" replay --folder "$T/w1" --agent "$COFFER_BUILD/coffer-agent" - <row
	says 3 'here is only' "$COFFER" replay --folder "$T/w1" --agent "$COFFER_BUILD/coffer-agent" --runtime process 0
	rm -rf "$T/w1/results"
	says 3 'the source is no longer here' "$COFFER" replay --folder "$T/w1" --agent "$COFFER_BUILD/coffer-agent" 0
}

# Rows of the user's own text: directory, variables, words, outputs and files are found by the row's key.
e2e_audit_rows_of_trees_are_replayed() { # gcc
	local said
	always_away
	export COFFER_SEND=tree COFFER_REPRODUCIBLE=off LC_ALL=C
	log=$T/w1/audit
	again=("$COFFER" replay --folder "$T/w1" --agent "$COFFER_BUILD/coffer-agent")
	worker_start w1
	mkdir -p deep/er out inc
	put 'inc/h h.h' '#define MAX(a, b) ((a) > (b) ? (a) : (b))' '#define WHERE __FILE__'
	put deep/er/a.c '#include "h h.h"' '#include <stdio.h>' 'int f(int a, int b) { int unused; return MAX(a, b) + WHERE[0]; }'
	# The directory and where the outputs go are in no column; neither are these words, which are longer than one.
	(cd deep/er && "$COFFER" gcc -O2 -g3 -Wall -I../../inc -MD -MF ../../out/a.d -c a.c -o ../../out/a.o 2>/dev/null) || fail "the compile fails"
	"$COFFER" gcc -O2 -Iinc "-DLONG=$(printf '%030000d' 0)" -c "$P/deep/er/a.c" -o long.o || fail "the compile fails"
	put bad.c '#include "inc/h h.h"' 'int f(void) { return nothing; }'
	"$COFFER" gcc -c bad.c -o bad.o 2>/dev/null && fail "it compiles"
	rm out/a.o && "$COFFER" cache clear >/dev/null
	(cd deep/er && "$COFFER" gcc -O2 -g3 -Wall -I../../inc -MD -MF ../../out/a.d -c a.c -o ../../out/a.o 2>/dev/null) || fail "the compile fails"
	farm_end
	[ "$("$COFFER" audit ls --log "$log" --format json | jq -r '.language + " " + .outcome' | xargs)" = 'tree run tree run tree failed tree hit' ] ||
		fail "the rows are: $("$COFFER" audit ls --log "$log")"
	says 0 '4 identical, 0 different' "${again[@]}" 0 1 2 3
	"$COFFER" audit ls --log "$log" --last 1 | sed 's/-O2/-O0/' >row
	says 1 'its words are not those that its key stands for' "${again[@]}" - <row
	says 0 "$(sha256sum out/a.o | cut -d' ' -f1),depfile=sha256:" "${again[@]}" --sample 9
	# Provenance has what is in no column: directory, variables, whole words, and each file that could be reached.
	"$COFFER" audit key --log "$log" >key
	"$COFFER" audit provenance "$P/out/a.o" --log "$log" >envelope || fail "no provenance"
	says 0 'is its object' "$COFFER" audit verify-provenance envelope out/a.o --key key
	jq -r .payload envelope | base64 -d >statement
	jq -e --arg p "$P" --arg h "$(sha256sum 'inc/h h.h' | cut -d' ' -f1)" '.predicate.buildDefinition | .externalParameters.directory == $p + "/deep/er" and
		(.externalParameters.environment | index("LC_MESSAGES=C")) and (.resolvedDependencies |
		(.[0].annotations.coffer_files == length - 2) and any(.name == $p + "/inc/h h.h" and .digest.sha256 == $h) and any(.name | endswith("/stdio.h")))' statement >/dev/null ||
		fail "the statement is $(<statement)"
	! $python -c 'import cryptography, jsonschema' 2>/dev/null || $python "$TESTS/e2e/audit/provenance.py" envelope key >/dev/null || fail "not as the texts say"
	"$COFFER" audit provenance 1 --log "$log" | jq -r .payload | base64 -d | jq -e '.predicate.buildDefinition.externalParameters.arguments | any(length > 30000)' >/dev/null ||
		fail "the words are cut"
	says 0 '  (kept)' "$COFFER" inspect out/a.o --log "$log"
	# It is the output of the row, and the listing of the key, that count.
	"$COFFER" audit ls --log "$log" --format tsv | grep -v '^#' | sed -n 1p >row
	sed -E 's/(depfile=sha256:)..../\1ffff/; p; d' row >rows
	sed -E 's/^([^\t]*\tsha256:)..../\1ffff/' row >>rows
	sed 's/\ttree\t/\taction\t/' row >>rows
	said=$("${again[@]}" - <rows)
	[[ $said == *"its output was"*"its source is not what its key stands for"*"the action is none"* ]] || fail "changed rows: $said"
	says 3 "the runtime 'process' takes no trees" "${again[@]}" --runtime process - < <(sed 's/\tsandbox\t/\tprocess\t/' row)
	# What is missing is told: a file, the listing, what was asked for.
	gone() { rm "$T/w1/results/tenant-local/v1/content/${1:0:2}/${1:2:30}" || fail "there are no contents $1"; }
	gone "$(sha256sum 'inc/h h.h' | cut -d' ' -f1)"
	says 3 "files are no longer here, as '$P/inc/h h.h' (sha256:$(sha256sum 'inc/h h.h' | cut -d' ' -f1))" "${again[@]}" 0
	[ "$("$COFFER" inspect out/a.o --log "$log" --json | jq -r '.results[0] | .result + "; " + .source')" = 'kept; no longer kept' ] ||
		fail "inspect: $("$COFFER" inspect out/a.o --log "$log")"
	gone "$("$COFFER" audit ls --log "$log" --format json | jq -rs '.[0].source_digest | ltrimstr("sha256:")')"
	says 3 'the listing of its files is no longer here' "${again[@]}" 0
	gone "$("$COFFER" audit ls --log "$log" --format json | jq -rs '.[0].key | ltrimstr("sha256:")')"
	says 3 'what was asked for (directory, variables, words) is no longer here' "${again[@]}" 0
}

e2e_audit_says_what_it_knows_of_an_object() { # gcc
	audit_build 6
	local object key
	object=$(sha256sum got/3.o | cut -d' ' -f1)
	says 0 "made 1 times, given out 0 times" "$COFFER" inspect got/3.o --log "$log"
	says 0 "$object: output of 1 rows" "$COFFER" inspect "$object" --log "$log"
	rm -rf got && "$COFFER" cache clear >/dev/null
	COFFER_WORKER='' worker_start w1
	all_away 6 -O2
	farm_end
	key=$("$COFFER" inspect "sha256:${object:0:12}" --log "$log" --json | jq -r '.results[0].key')
	[ "$("$COFFER" inspect "$key" --log "$log" --json | jq -c '[.is, .results[0].runs, .results[0].hits, .results[0].result, .results[0].source]')" \
		= '[["key"],1,1,"kept","kept"]' ] || fail "the key: $("$COFFER" inspect "$key" --log "$log" --json)"
	rm -rf "$T/w1/results"
	says 0 'unknown' "$COFFER" inspect "$key" --log "$log"
	mkdir "$T/w1/results"
	says 0 'no longer kept' "$COFFER" inspect "$key" --log "$log"
	# A toolchain, a job, and what is in no row.
	says 0 'toolchain of 12 rows' "$COFFER" inspect "$("$COFFER" audit ls --log "$log" --last 1 --format json | jq -r .image_digest)" --log "$log"
	says 0 'job of 1 rows' "$COFFER" inspect "$("$COFFER" audit ls --log "$log" --last 1 --format json | jq -r .job)" --log "$log"
	says 1 "names 'ffffffff" "$COFFER" inspect ffffffffffff --log "$log"
	# The index is a help, not the evidence: it can go at any time.
	echo spoilt >"$log/index.sqlite" && rm -f "$log"/index.sqlite-*
	says 0 "output of 2 rows" "$COFFER" inspect "$object" --log "$log"
	says 0 '12 rows are in the index' "$COFFER" audit index --rebuild --log "$log"
}

e2e_audit_provenance_of_an_object_is_signed() { # gcc
	audit_build 4
	local statement
	"$COFFER" audit key --log "$log" >key
	"$COFFER" audit provenance got/3.o --log "$log" >envelope || fail "no provenance"
	statement=$($python "$TESTS/e2e/audit/provenance.py" envelope key) || fail "not as the texts say"
	[ "$(jq -r '.subject[0].digest.sha256' <<<"$statement")" = "$(sha256sum got/3.o | cut -d' ' -f1)" ] || fail "another subject"
	[ "$(jq -r '.predicate.runDetails.builder.id' <<<"$statement")" = urn:coffer:worker:w1:sandbox ] || fail "another builder"
	jq -e '.predicate.buildDefinition.externalParameters.arguments | index("-O2")' <<<"$statement" >/dev/null || fail "without its arguments"
	says 0 "'got/3.o' is its" "$COFFER" audit verify-provenance envelope got/3.o --key key
	says 1 "says nothing of 'got/2.o'" "$COFFER" audit verify-provenance envelope got/2.o --key key
	sed 's/^w1+/w2+/' key >other
	says 1 'not signed by the key' "$COFFER" audit verify-provenance envelope --key other
	sed 's/"payload":"./"payload":"f/' envelope >changed
	says 1 'coffer:' "$COFFER" audit verify-provenance changed --key key
	says 1 'no DSSE envelope' "$COFFER" audit verify-provenance got/3.o --key key
	says 1 'no file of that name' "$COFFER" audit provenance nobody --log "$log"
	says 1 'no row is about' "$COFFER" audit provenance key --log "$log"
	# Who got a known result: the run's provenance, and a record of its own.
	rm -rf got && "$COFFER" cache clear >/dev/null
	COFFER_WORKER='' worker_start w1
	all_away 4 -O2
	farm_end
	"$COFFER" audit provenance 5 --builder https://example.org/farm --log "$log" >envelope || fail "no provenance of a hit"
	statement=$($python "$TESTS/e2e/audit/provenance.py" envelope key) || fail "not as the texts say"
	[ "$(jq -r '.predicate.coffer_served.row' <<<"$statement")" = 5 ] || fail "it does not say who was served"
	[ "$(jq -r '.predicate.coffer_made.row' <<<"$statement")" -lt 4 ] || fail "it does not say which run made it"
	[ "$(jq -r '.predicate.runDetails.builder.id' <<<"$statement")" = https://example.org/farm/sandbox ] || fail "--builder"
	# A run that came later has made nothing that was given out before.
	rm -rf got "$T/w1/results" && "$COFFER" cache clear >/dev/null
	COFFER_WORKER='' worker_start w1
	all_away 4 -O2
	farm_end
	[ "$("$COFFER" audit ls --log "$log" --where outcome=run | grep -c '^host:')" = 8 ] || fail "nothing ran again"
	"$COFFER" audit provenance 5 --log "$log" >envelope || fail "no provenance of the hit"
	[ "$($python "$TESTS/e2e/audit/provenance.py" envelope key | jq -r '.predicate.coffer_made.row')" -lt 4 ] || fail "a later run is said to have made it"
	# What the log has not signed is not signed for it: a row in the file alone, and one that was changed there.
	sed -n 1p "$log/rows/00000000" >>"$log/rows/00000000"
	says 1 'row 12' "$COFFER" audit provenance 12 --log "$log"
	sed -i '1s/-O2/-O3/' "$log/rows/00000000"
	says 1 'row 0' "$COFFER" audit provenance 0 --log "$log"
	# A file of rows that was moved away is not the log's end.
	mv "$log/rows/00000000" "$log/rows/00000001"
	says 1 'bring it back' "$COFFER" audit ls --log "$log"
}

e2e_audit_rows_are_selected() { # gcc
	audit_build 6
	local all middle
	all=$("$COFFER" audit ls --log "$log")
	middle=$("$COFFER" audit ls --log "$log" --format json | jq -r .time | sed -n 4p)
	[ "$("$COFFER" audit ls --log "$log" --since "$middle")" = "$(sed '2,4d' <<<"$all")" ] || fail "--since"
	[ "$("$COFFER" audit ls --log "$log" --until "$middle")" = "$(sed '5,$d' <<<"$all")" ] || fail "--until"
	[ "$("$COFFER" audit ls --log "$log" --where 'isolation<microvm')" = "$all" ] || fail "isolation<microvm"
	[ "$("$COFFER" audit ls --log "$log" --where 'isolation<process' | wc -l)" = 1 ] || fail "isolation<process"
	[ "$("$COFFER" audit ls --log "$log" --where "job=$(sed -n 3p <<<"$all" | cut -f11)")" = "$(sed -n '1p;3p' <<<"$all")" ] || fail "job="
	says 2 "did you mean 'tenant'" "$COFFER" audit ls --log "$log" --where tennant=a
	says 2 'neither' "$COFFER" audit ls --log "$log" --where 'isolation<much'
	says 2 'neither' "$COFFER" audit ls --log "$log" --where 'tenant<a'
	says 2 '--last' "$COFFER" audit ls --log "$log" --last 0
}

# What other tools follow: two events for each job, in the file or with the log.
e2e_audit_events_say_what_became_of_a_job() { # gcc
	local events
	always_away
	farm_project 3
	echo 'int f(void) { return x; }' >u3.c
	worker_start w1 --audit-events stderr
	all_away 2 -O2
	"$COFFER" "$CC" -c u3.c -o got/3.o 2>/dev/null && fail "it compiles"
	farm_end
	log=$T/w1/audit
	[ ! -e "$log/events.jsonl" ] || fail "events are in the file as well"
	events=$(grep -h '^{.*"event":"compile' "$T/w1.log") || fail "no events with the log"
	[ "$(jq -r 'select(.event == "compile.started") | .job' <<<"$events" | sort -u | wc -l)" = 3 ] || fail "not started: $events"
	[ "$(jq -r 'select(.event == "compile.finished") | .outcome + " " + (.cache // "-")' <<<"$events" | sort | uniq -c | xargs)" = '1 failed - 2 success miss' ] ||
		fail "outcomes: $events"
	grep -q "instance=$(jq -rs '.[0].instance' <<<"$events")" "$T/w1.log" || fail "the first log lines do not name the instance"
}

# Whatever dies when, the worker or the first process of a session: every accepted job has one row. FULL=1: ten thousand jobs.
e2e_audit_loses_no_row_in_a_crash() { # gcc long
	local round started i rounds=4 jobs=60 clients
	[ "${FULL:-}" != 1 ] || rounds=50 jobs=200
	# Large enough that some are always under way.
	for ((i = 1; i <= jobs; i++)); do
		seq 3 | awk -v i="$i" '{ printf "int f%d(int *p, int n) { int s = %d; for (int k = 0; k < n; k++) s += p[k] * p[n - k] ^ %d; return s; }\n", $1, i, $1 }' >"u$i.i"
	done
	worker_start w1
	for ((round = 1; round <= rounds; round++)); do
		# Each job is asked for again until it is done, by a client that remembers nothing.
		seq "$jobs" | timeout 300 xargs -P 8 -I{} sh -c "until '$COFFER_BUILD/programs/compile_client' 'unix:$T/w1.sock' u{}.i -O$((round % 4)); do sleep 0.1; done" >"$T/log" 2>&1 &
		clients=$!
		sleep "0.$((RANDOM % 9))"
		if ((round % 2)); then
			pkill -KILL -P "$(<"$T/w1.pid")"
			sleep "0.$((RANDOM % 9))"
		fi
		worker_kill w1 KILL
		wait_until 10 "[ ! -d /proc/$(<"$T/w1.pid") ]"
		rm -f "$T/w1.sock"
		COFFER_WORKER='' worker_start w1
		wait $clients || fail "round $round does not end: $(tail -3 "$T/log")"
	done
	farm_end
	log=$T/w1/audit
	says 0 'are as they were signed' "$COFFER" audit verify --log "$log"
	started=$(jq -r 'select(.event == "compile.started") | .job' "$log"/events*.jsonl | sort)
	[ "$(sort -u <<<"$started")" = "$started" ] || fail "a job started twice"
	[ "$("$COFFER" audit ls --log "$log" --format json | jq -r .job | sort)" = "$started" ] || fail "jobs and rows differ"
	[ "$(wc -l <<<"$started")" -ge $((rounds * jobs)) ] || fail "not all jobs got to the worker: $(wc -l <<<"$started") of $((rounds * jobs))"
	"$COFFER" audit ls --log "$log" --where outcome=interrupted | grep -q '^[^#]' || fail "no job was under way at any death"
	[ -s "$log/pending" ] && fail "jobs are still pending"
	"$COFFER" audit ls --log "$log" --format json | jq -r .outcome | sort | uniq -c
	return 0
}

e2e_audit_columns_are_in_the_manual() { # once
	local name
	for name in $(sed -nE 's/^COLUMN\(([a-z_]+),.*/\1/p' "$TESTS/../audit/columns.def"); do
		grep -q "^| \`$name\` |" "$TESTS/../docs/audit.md" || fail "docs/audit.md lacks $name"
	done
}

# The client's own log: hits, compiles, failures and what was left alone, and what came out of each.
e2e_audit_has_rows_of_the_client() { # once
	EXPECT_ERRORS=1
	local log=$T/own object
	export COFFER_AUDIT_DIRECTORY=$log
	echo 'int a;' >a.c
	echo 'int a' >bad.c
	"$COFFER" "$CC" -c a.c -o a.o
	rm a.o
	"$COFFER" "$CC" -c a.c -o a.o || fail "the hit has failed"
	"$COFFER" "$CC" -c bad.c -o bad.o 2>/dev/null && fail "bad.c compiles"
	"$COFFER" "$CC" a.o -shared -o a.so || fail "the link has failed"
	outcomes() { "$COFFER" audit ls --log "$log" --format json | jq -r .outcome | tr '\n' ' '; }
	wait_until 10 '[ "$(outcomes)" = "run hit failed untouched " ]' || fail "the rows are: $(outcomes)"
	object=$(sha256sum a.o | cut -d' ' -f1)
	[ "$("$COFFER" audit ls --log "$log" --where "output_digest=sha256:$object" --format json | jq -r .outcome | tr '\n' ' ')" = "run hit " ] ||
		fail "the object is not in two rows: $("$COFFER" audit ls --log "$log")"
	"$COFFER" audit ls --log "$log" --format json --where outcome=run | jq -e --arg s "sha256:$(sha256sum a.c | cut -d' ' -f1)" \
		'.source_digest == $s and .exit == "0" and .isolation == "none" and (.image_digest | startswith("host:"))' >/dev/null ||
		fail "the row of the compile is another one: $("$COFFER" audit ls --log "$log" --where outcome=run)"
	says 0 'sha256:' "$COFFER" inspect a.o --log "$log"
	# With -flto gcc leaves this file to the linker: the one that is there is none of this compile.
	echo old >a.su
	sleep 2.1
	"$COFFER" gcc -flto -fstack-usage -c a.c -o a.o
	"$COFFER" gcc -flto -fstack-usage -c a.c -o a.o
	[ "$("$COFFER" audit ls --log "$log" --last 2 --format json | jq -r '.outcome + (.output_digest | gsub("[0-9a-f]{64}"; ""))' | tr '\n' ' ')" = \
		"runsha256: hitsha256: " ] || fail "the rows name other outputs: $("$COFFER" audit ls --log "$log" --last 2)"
	"$COFFER" stop
	says 0 '6 rows of' "$COFFER" audit verify --log "$log"
	# A paranoid user's rows say nothing of the compile.
	COFFER_PARANOID=on "$COFFER" "$CC" -c a.c -o a.o
	"$COFFER" stop
	"$COFFER" audit ls --log "$log" --last 1 --format json | jq -e '.flags == null and .output_digest == null and .outcome == "run"' >/dev/null ||
		fail "a paranoid row tells: $("$COFFER" audit ls --log "$log" --last 1)"
	says 0 '7 rows of' "$COFFER" audit verify --log "$log"
	# What can't be written ends the cache, and not the build.
	chmod 755 "$log"
	echo x >"$log/checkpoint"
	"$COFFER" "$CC" -c a.c -o a.o 2>said || fail "the compile has failed: $(<said)"
	grep -q 'coffer: .*audit log' said || fail "it is not told: $(<said)"
	[ "$(counter not_cached_audit_log)" = 1 ] || fail "it is not counted: $("$COFFER" stats)"
}

# The row of what a worker made has the digests of what came, though the files are gone at once.
e2e_audit_has_digests_of_what_a_worker_made() { # once
	local log=$T/own object dwo
	always_away
	export COFFER_AUDIT_DIRECTORY=$log
	farm_project 1
	worker_start w1
	"$COFFER" gcc -O2 -g -gsplit-dwarf -c u1.c -o x.o && mv x.o x.dwo "$T" || fail "the compile fails"
	object=$(sha256sum <"$T/x.o" | cut -d' ' -f1)
	dwo=$(sha256sum <"$T/x.dwo" | cut -d' ' -f1)
	wait_until 10 '"$COFFER" audit ls --log "$log" --where outcome=away | grep -q ^host:' || fail "no row: $("$COFFER" audit ls --log "$log")"
	"$COFFER" audit ls --log "$log" --format json | jq -e --arg o "sha256:$object,dwo=sha256:$dwo" --arg s "sha256:$(sha256sum u1.c | cut -d' ' -f1)" \
		'(.vm | endswith("w1.sock")) and .output_digest == $o and .source_digest == $s and (.key | startswith("xxh3:"))' >/dev/null ||
		fail "the rows are: $("$COFFER" audit ls --log "$log")"
	says 0 'output of 1 rows' "$COFFER" inspect "$T/x.o" --log "$log"
	farm_end
	"$COFFER" stop
	says 0 '1 rows of' "$COFFER" audit verify --log "$log"
}

e2e_audit_of_a_client_outlives_its_daemon() { # once
	local log=$T/own i pid
	export COFFER_AUDIT_DIRECTORY=$log
	for i in 1 2 3; do
		echo "int a$i;" >a.c
		"$COFFER" "$CC" -c a.c -o a.o
		pid=$("$COFFER" status --json | jq .pid)
		kill -KILL "$pid"
		while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
	done
	"$COFFER" "$CC" -c a.c -o a.o
	"$COFFER" stop
	says 0 '4 rows of' "$COFFER" audit verify --log "$log"
}
