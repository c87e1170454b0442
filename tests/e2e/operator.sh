# What an operator meets first: units, mistakes, and what the programs say then.
# shellcheck shell=bash disable=SC2154

e2e_operator_units_verify() { # once
	local unit score packaging=$TESTS/../packaging/systemd
	need systemd-analyze
	mkdir -p "$T/units"
	for unit in "$packaging"/*; do
		sed "s#/usr/local/bin/coffer#$COFFER#" "$unit" >"$T/units/${unit##*/}"
	done
	for unit in "$T"/units/*; do
		systemd-analyze --man=no verify "$unit" >"$T/said" 2>&1 || fail "${unit##*/}: $(<"$T/said")"
		# What it says about units of the machine itself is not ours.
		! grep "coffer-" "$T/said" || fail "it has something to say"
	done
	systemd-analyze security --help 2>/dev/null | grep -q -- --offline || skip "this systemd does not rate units that are not installed"
	for score in scheduler=15 gateway=15 worker=40; do
		systemd-analyze security --offline=true --no-pager --threshold="${score#*=}" "$T/units/coffer-${score%=*}.service" >"$T/said" 2>&1 ||
			fail "coffer-${score%=*} is more exposed than docs/operator.md says: $(tail -n 1 "$T/said")"
	done
}

# What the comments of the units say: keys are handed over, nothing is root's, and nobody is killed while it may drain.
e2e_operator_units_are_what_they_say() { # once
	local unit key seconds packaging=$TESTS/../packaging/systemd
	for unit in scheduler worker gateway; do
		grep -qx 'DynamicUser=yes' "$packaging/coffer-$unit.service" && grep -qx 'CapabilityBoundingSet=' "$packaging/coffer-$unit.service" ||
			fail "coffer-$unit.service runs as somebody"
		for key in $(sed -nE 's/^Environment=.*=%d\/(.*)$/\1/p' "$packaging/coffer-$unit.service"); do
			grep -qx "LoadCredential=$key:/etc/coffer/$key" "$packaging/coffer-$unit.service" || fail "coffer-$unit.service: $key is not handed over"
		done
		# Every private key of its settings: the last word of the option's name.
		for key in $(sed -nE 's/^OPTION\(((token_)?key), VALUE_PATH.*/\1/p' "$TESTS/../$unit/options.def"); do
			grep -q "^Environment=COFFER_${unit^^}_${key^^}=%d/" "$packaging/coffer-$unit.service" || fail "coffer-$unit.service: '$key' is read by name"
		done
		seconds=$(sed -nE 's/^OPTION\(drain_time, VALUE_DURATION, "([0-9]+)(s|m)".*/\1 \2/p' "$TESTS/../$unit/options.def")
		[ "${seconds#* }" = m ] && seconds=$((${seconds% *} * 60)) || seconds=${seconds% *}
		[ "$(sed -n 's/^TimeoutStopSec=//p' "$packaging/coffer-$unit.service")" -ge $((seconds + 15)) ] || fail "coffer-$unit.service is killed while it drains"
	done
	grep -qx 'KillMode=mixed' "$packaging/coffer-worker.service" || fail "jobs get the worker's SIGTERM"
	grep -qx 'Delegate=memory pids' "$packaging/coffer-worker.service" || fail "no cgroups for jobs"
}

# says STATUS TEXT COMMAND...: it ends soon, with the text in one line that begins with "coffer:", and at most one more of advice.
says()
{
	local status=$1 text=$2 got
	shift 2
	timeout 20 "$@" >"$T/said" 2>&1
	got=$?
	[ $got = "$status" ] || fail "it ends with $got: $* $(<"$T/said")"
	head -n 1 "$T/said" | grep -q -- "^coffer: .*$text" || fail "it does not say '$text': $(<"$T/said")"
	[ "$(wc -l <"$T/said")" -le 2 ] && ! grep -v '^coffer: ' "$T/said" || fail "it says too much: $(<"$T/said")"
}

e2e_operator_mistakes_are_named() { # once
	local site=$T/site
	"$COFFER" keys init "$site" --tenant me >/dev/null || fail "no keys"
	says 1 'something in the folder' "$COFFER" keys init "$site"
	says 1 "$site/none.conf: cannot be read: No such file" "$COFFER" scheduler --config "$site/none.conf"
	says 1 'is not a regular file' "$COFFER" scheduler --config "$site"
	says 2 "'certificate' must be set" env COFFER_SCHEDULER_CONFIG= "$COFFER" scheduler
	says 1 "cannot read the key '$site/none.pem': No such file" "$COFFER" scheduler --config "$site/scheduler.conf" --key "$site/none.pem"
	says 1 "is not the one of the certificate '$site/scheduler.pem'" "$COFFER" scheduler --config "$site/scheduler.conf" --key "$site/worker-w1-key.pem"
	says 1 "ca.pem:1: this is not a line" "$COFFER" scheduler --config "$site/scheduler.conf" --tenants "$site/ca.pem"
	says 2 "unknown word 'int'; did you mean 'init'?" "$COFFER" keys int
	says 2 "the folder is missing: 'coffer keys init FOLDER'" "$COFFER" keys init
	says 2 "a word is missing: 'init', 'add' or 'rotate'" "$COFFER" keys
	says 2 "unknown option '--wrker'; did you mean '--worker'?" "$COFFER" keys add "$site" --wrker w9
	says 1 "'$T/nowhere' is not the folder of a farm" "$COFFER" keys add "$T/nowhere" --worker w9
	says 2 "unknown word 'trry'; did you mean 'try'?" "$COFFER" farm trry
	says 2 "'coffer farm try -- make'" "$COFFER" farm try make
	says 2 "unknown option '--wrkers'; did you mean '--workers'?" "$COFFER" farm --wrkers 2 try
	says 2 '--site is missing' "$COFFER" farm add h1
	says 2 "unknown word 'isue'; did you mean 'issue'?" "$COFFER" token isue
	says 2 "unknown option '--listn'" "$COFFER" scheduler --config "$site/scheduler.conf" --listn 1
	says 2 "did you mean '--listen'" "$COFFER" scheduler --config "$site/scheduler.conf" --listn 1
	printf 'tokn_key = x\n' >"$T/typo.conf"
	says 2 "typo.conf:1: unknown setting 'tokn_key'; did you mean 'token_key'" "$COFFER" scheduler --config "$T/typo.conf"
	says 2 "can't be '7420'; it takes HOST:PORT" "$COFFER" scheduler --config "$site/scheduler.conf" --listen 7420
	says 1 'Cannot assign requested address' "$COFFER" scheduler --config "$site/scheduler.conf" --listen 203.0.113.7:1
	says 1 'no certificate' "$COFFER" worker --config "$site/worker-w1.conf" --ca "$site/jwks.json" --folder "$T/w" --listen 127.0.0.1:0
	says 1 'cannot look into the folder of images' "$COFFER" worker --config "$site/worker-w1.conf" --images "$T/none" --folder "$T/w"
	says 2 "unexpected word 'on'; with a '='" "$COFFER" worker --config "$site/worker-w1.conf" --paranoid on
	says 2 "goes with an address of this machine only" "$COFFER" worker --insecure-loopback --listen 0.0.0.0:0
	grep -q '^coffer: ' "$T/said" || fail "there is no advice"
}

e2e_operator_port_in_use_is_named() { # once
	"$COFFER" keys init "$T/site" --tenant me >/dev/null || fail "no keys"
	"$COFFERD" scheduler --config "$T/site/scheduler.conf" --listen 127.0.0.1:0 --admin '' 2>"$T/first" &
	wait_until 30 "grep -q 'scheduler serves' $T/first"
	says 1 "cannot listen on '127.0.0.1:[0-9]*': Address already in use" "$COFFER" scheduler --config "$T/site/scheduler.conf" --admin '' \
		--listen "$(grep -o '127.0.0.1:[0-9]*' "$T/first" | head -n 1)"
	tail -n 1 "$T/said" | grep -q 'ss -ltnp' || fail "no advice: $(<"$T/said")"
	kill $!
	wait
}

e2e_operator_users_see_why_there_is_no_farm() { # once
	"$COFFER" keys init "$T/site" --tenant me >/dev/null || fail "no keys"
	put a.c 'int a;'
	export COFFER_CONFIG=$T/site/tenant-me.conf
	COFFER_CERTIFICATE_KEY=/nonexistent "$COFFER" "$CC" -c a.c || fail "the compile fails"
	COFFER_CERTIFICATE_KEY=/nonexistent "$COFFER" status | grep -q "cannot read the key '/nonexistent': No such file" || fail "status: $("$COFFER" status)"
	stop_daemons
	COFFER_SCHEDULER=127.0.0.1:1 "$COFFER" "$CC" -O1 -c a.c || fail "the compile fails"
	COFFER_SCHEDULER=127.0.0.1:1 "$COFFER" status | grep -q 'no routes from the scheduler: .*Connection refused' || fail "status: $("$COFFER" status)"
}

# Every family has what it is and its type, and a parser that is not ours takes the text.
metrics_of()
{
	curl -sf "http://$1/metrics" >"$T/metrics" || fail "no metrics at $1"
	/usr/bin/python3 - "$T/metrics" "$2" <<-'END' || fail "metrics of $1"
		import re, sys
		from prometheus_client.parser import text_string_to_metric_families
		text = open(sys.argv[1]).read()
		families = list(text_string_to_metric_families(text))
		names = [f.name for f in families]
		assert len(names) == len(set(names)), 'a family comes twice'
		for f in families:
		    assert f.name.startswith('coffer_'), f.name
		    assert f.type in ('counter', 'gauge'), (f.name, f.type)
		    assert len(f.documentation) > 5, f.name
		    assert f.samples, f.name
		    labels = [tuple(sorted(s.labels.items())) for s in f.samples]
		    assert len(labels) == len(set(labels)), (f.name, 'a sample comes twice')
		    for s in f.samples:
		        assert s.value >= 0, s
		        assert (f.type == 'counter') == s.name.endswith('_total'), s.name
		told = set(re.findall(r'(?m)^# TYPE (\S+) ', text))
		assert told == set(re.findall(r'(?m)^# HELP (\S+) ', text))
		for line in text.splitlines():
		    assert line.startswith('# ') or re.match(r'[a-z_]+(\{.*\})? [0-9.e+]+$', line), line
		    assert line.startswith('# ') or re.match('[a-z_]+', line).group() in told, line
		assert any(s.value > 0 for f in families if f.name == sys.argv[2] for s in f.samples), sys.argv[2]
	END
}

e2e_operator_metrics_and_logs_are_for_programs() { # once
	need curl
	/usr/bin/python3 -c 'import prometheus_client' 2>/dev/null || skip "python3-prometheus-client is not installed"
	"$COFFER" keys init "$T/site" --tenant 'me' --tenant other >/dev/null || fail "no keys"
	"$COFFERD" scheduler --config "$T/site/scheduler.conf" --listen 127.0.0.1:0 --admin 127.0.0.1:0 --log-level debug 2>"$T/s.log" &
	wait_until 30 "grep -q 'scheduler serves' $T/s.log"
	local scheduler=$! address admin worker_admin
	address=localhost:$(sed -n 's/.*"address":"127.0.0.1:\([0-9]*\)".*/\1/p' "$T/s.log" | head -n 1)
	"$COFFERD" worker --config "$T/site/worker-w1.conf" --listen 127.0.0.1:0 --address '' --scheduler "$address" --admin 127.0.0.1:0 --folder "$T/w1" \
		--runtime process --log-level debug --agent "$COFFER_BUILD/coffer-agent" 2>"$T/w.log" &
	local worker=$!
	wait_until 30 "grep -q '\"registered\"' $T/w.log"
	admin=$(sed -n 's/.*"admin":"\([^"]*\)".*/\1/p' "$T/s.log" | head -n 1)
	worker_admin=$(sed -n 's/.*"admin":"\([^"]*\)".*/\1/p' "$T/w.log" | head -n 1)
	put a.c 'int a;'
	put b.c 'int b;'
	sed -i 's/^isolation = sandbox/isolation = process/' "$T/site/tenants.conf"
	kill -HUP $scheduler
	wait_until 30 "grep -qi 'read again' $T/s.log"
	export COFFER_CONFIG=$T/site/tenant-me.conf COFFER_SCHEDULER=$address COFFER_LOCAL_JOBS=1
	printf 'a\nb\na\nb\n' | COFFER_RECACHE=1 xargs -P 4 -I{} "$COFFER" "$CC" -c {}.c -o {}.o || fail "the compile fails"
	metrics_of "$admin" coffer_scheduler_workers
	metrics_of "$worker_admin" coffer_worker_compiles
	kill $scheduler $worker
	wait
	jq -e 'has("time") and has("level") and has("event") and (.time | test("^[0-9-]+T[0-9:.]+Z$"))' "$T/s.log" "$T/w.log" >"$T/said" ||
		fail "a line of the log is not what it should be"
	[ "$(sort -u "$T/said")" = true ] || fail "a line of the log lacks something"
}

# page_of ADDRESS [FLAG...]: what a browser shows of it, as its document after a while.
page_of()
{
	timeout 60 chromium --headless=new --no-sandbox --disable-gpu --user-data-dir="$T/profile$RANDOM" --virtual-time-budget=4000 --dump-dom "http://$1/" "${@:2}" 2>/dev/null
}

e2e_operator_sees_the_farm_in_a_browser() { # once long
	need chromium curl
	"$COFFER" keys init "$T/site" --tenant '<b>me' >/dev/null 2>&1 && fail "a tenant has any name"
	"$COFFER" keys init "$T/site" --tenant me >/dev/null || fail "no keys"
	"$COFFERD" scheduler --config "$T/site/scheduler.conf" --listen 127.0.0.1:0 --admin 127.0.0.1:0 2>"$T/s.log" &
	wait_until 30 "grep -q 'scheduler serves' $T/s.log"
	local address admin worker_admin page
	address=localhost:$(sed -n 's/.*"address":"127.0.0.1:\([0-9]*\)".*/\1/p' "$T/s.log" | head -n 1)
	echo 'a token of some length' | tr ' ' - >"$T/token"
	chmod 600 "$T/token"
	"$COFFERD" worker --config "$T/site/worker-w1.conf" --listen 127.0.0.1:0 --address '' --scheduler "$address" --admin 127.0.0.1:0 --folder "$T/w1" \
		--agent "$COFFER_BUILD/coffer-agent" 2>"$T/w.log" &
	wait_until 30 "grep -q '\"registered\"' $T/w.log"
	admin=$(sed -n 's/.*"admin":"\([^"]*\)".*/\1/p' "$T/s.log" | head -n 1)
	worker_admin=$(sed -n 's/.*"admin":"\([^"]*\)".*/\1/p' "$T/w.log" | head -n 1)
	put a.c 'int a;'
	put b.c 'int b = c;'
	export COFFER_CONFIG=$T/site/tenant-me.conf COFFER_SCHEDULER=$address COFFER_LOCAL_JOBS=1
	printf 'a\na\na\na\n' | COFFER_RECACHE=1 xargs -P 4 -I{} "$COFFER" "$CC" '-DTEXT="<img src=x>"' -c {}.c -o {}.o || fail "the compile fails"
	page=$(page_of "$worker_admin") || fail "no page of the worker"
	grep -q '<h1 id="name">w1</h1>' <<<"$page" || fail "it does not name the worker: $page"
	grep -q 'class="good">serves, known to the scheduler' <<<"$page" || fail "it does not say that it serves"
	grep -q '<td class=" good" title="run">run</td>' <<<"$page" || fail "no row of a run: $(curl -s "http://$worker_admin/rows")"
	# Of four equal compiles the first had no known result. (Another one only where a core here took that back.)
	grep -q '<td>a source that was not here since the start, or long ago</td><td class="n">1</td>' <<<"$page" ||
		fail "no misses by cause: $page"
	grep -q '<img' <<<"$page" && fail "a flag becomes a part of the page"
	page=$(page_of "$admin") || fail "no page of the scheduler"
	grep -q '<td>w1</td>' <<<"$page" || fail "the fleet lacks the worker: $page"
	grep -q '<td>me</td>' <<<"$page" || fail "the tenant is missing"
	# It asks for a token where one is needed.
	"$COFFERD" scheduler --config "$T/site/scheduler.conf" --listen 127.0.0.1:0 --admin 127.0.0.1:0 --admin-token-file "$T/token" 2>"$T/t.log" &
	wait_until 30 "grep -q 'scheduler serves' $T/t.log"
	admin=$(sed -n 's/.*"admin":"\([^"]*\)".*/\1/p' "$T/t.log" | head -n 1)
	page=$(page_of "$admin")
	grep -q 'a token is needed' <<<"$page" || fail "it does not ask for a token: $page"
	grep -q '<form id="ask">' <<<"$page" || fail "there is no field for a token"
	[ "$(curl -s -o /dev/null -w '%{http_code}' "http://$admin/status")" = 401 ] || fail "/status is open"
	curl -sf -H "Authorization: Bearer $(<"$T/token")" "http://$admin/status" | jq -e .version >/dev/null || fail "/status with the token"
	kill $(jobs -p)
	wait
}

# One command: keys, scheduler, workers, a build on them with the compiler's own objects, and nothing is left.
e2e_operator_tries_a_farm() { # gcc clock
	local i
	mkdir -p out want "$T/tmp"
	for ((i = 1; i <= 16; i++)); do
		put "u$i.c" '#include <stdio.h>' "int f$i(int x) { printf(\"%d\", x); return x * $i; }"
		"$CC" -O1 -c "u$i.c" -o "want/u$i.o"
	done
	TMPDIR=$T/tmp timeout 120 "$COFFER" farm try --workers 2 -- sh -c \
		"seq 16 | xargs -P 6 -I{} '$COFFER' '$CC' -O1 -c u{}.c -o out/u{}.o && exit 7" 2>"$T/said"
	[ $? = 7 ] || fail "the command's status is not passed on: $(<"$T/said")"
	grep -q 'COFFER_CONFIG=.* coffer make' "$T/said" || fail "it does not say how to use it: $(<"$T/said")"
	for ((i = 1; i <= 16; i++)); do same_file "want/u$i.o" "out/u$i.o"; done
	[ "$(counter remote_compiles)" -ge 3 ] || fail "hardly anything went away: $(counter remote_compiles)"
	[ -z "$(ls "$T/tmp")" ] || fail "something is left: $(ls "$T/tmp")"
	grep -q 'of 16 compiles went to the workers' "$T/said" || fail "it does not say what came of it: $(<"$T/said")"
	TMPDIR=$T/tmp timeout 120 "$COFFER" farm try --workers 1 -- true 2>"$T/said" || fail "true fails: $(<"$T/said")"
	grep -q "'true' has compiled nothing by coffer" "$T/said" || fail "it does not say that nothing came: $(<"$T/said")"
	says 2 'is no number of workers' "$COFFER" farm try --workers 99
	says 1 'cannot make the folder' env TMPDIR="$T/none" "$COFFER" farm try
}

e2e_operator_two_workers_on_one_machine() { # once
	local site=$T/site
	says 2 'has a port or brackets' "$COFFER" keys init "$site" --scheduler localhost:7420
	says 2 'has a port or brackets' "$COFFER" keys init "$site" --worker w1=host:7430
	env -u USER "$COFFER" keys init "$site" --worker w1 --worker w2 >"$T/said" || fail "no keys"
	[ -e "$site/tenant-$(id -un).conf" ] || fail "no tenant of the login name: $(ls "$site")"
	"$COFFER" keys add "$site" --worker w3 >"$T/said" || fail "no third worker"
	grep -q "coffer worker --config $site/worker-w3.conf" "$T/said" || fail "it does not say what comes next"
	[ "$(sed -n 's/^\(listen\|admin\|folder\) = //p' "$site"/worker-w[123].conf | sort -u | wc -l)" = 7 ] ||
		fail "ports or folders are the same: $(cat "$site"/worker-w*.conf)"
	# They work as printed: only the fixed ports are others here, as a machine has them once.
	"$COFFERD" worker --config "$site/worker-w2.conf" --check >"$T/said" 2>&1 || fail "$(<"$T/said")"
}

# By an ssh that is this machine's shell, a /etc and a systemctl of the test's own.
e2e_operator_adds_a_machine() { # once
	local site=$T/site
	"$COFFER" keys init "$site" --scheduler farm.example.org --tenant me >/dev/null || fail "no keys"
	mkdir -p "$T/bin" "$T/etc"
	printf '#!/bin/sh\necho "$1" >>%s\nsed "s#/etc/coffer#%s/etc#g" <<E >%s/remote\n$2\nE\nexec sh %s/remote\n' \
		"$T/hosts" "$T" "$T" "$T" >"$T/bin/ssh"
	printf '#!/bin/sh\necho "$@" >>%s\n' "$T/systemctl" >"$T/bin/systemctl"
	chmod +x "$T/bin/ssh" "$T/bin/systemctl"
	PATH=$T/bin:$PATH "$COFFER" farm add w7.example.org --site "$site" >"$T/said" 2>&1 || fail "it fails: $(<"$T/said")"
	[ "$(<"$T/hosts")" = root@w7.example.org ] || fail "another host: $(<"$T/hosts")"
	[ "$(<"$T/systemctl")" = $'enable coffer-worker\nrestart coffer-worker' ] || fail "not started: $(<"$T/systemctl")"
	[ "$(stat -c %a "$T/etc/worker-key.pem")" = 600 ] || fail "others can read the key"
	same_file "$site/worker-w7.pem" "$T/etc/worker.pem"
	[ ! -e "$T/etc/ca-key.pem" ] && [ ! -e "$T/etc/token-key.pem" ] || fail "a key that stays at home was sent"
	"$COFFERD" worker --config "$T/etc/worker.conf" --check >"$T/said" 2>&1 || fail "the files do not work there: $(<"$T/said")"
	says 2 "is no host's name or address" "$COFFER" farm add 'w8:7430' --site "$site"
}

e2e_operator_doctor_looks_at_the_farm() { # once
	local site=$T/site
	mkdir -p "$T/tmp"
	"$COFFER" keys init "$site" --tenant me >/dev/null || fail "no keys"
	COFFER_CONFIG=$site/tenant-me.conf "$COFFER" doctor >"$T/said" 2>&1
	grep -q "problem: the scheduler 'localhost:7420'" "$T/said" || fail "no scheduler, and it does not say so: $(<"$T/said")"
	cp "$site/scheduler-key.pem" "$site/tenant-me-key.pem"
	COFFER_CONFIG=$site/tenant-me.conf "$COFFER" doctor >"$T/said" 2>&1
	grep -q "is not the one of the certificate" "$T/said" || fail "the wrong key: $(<"$T/said")"
	COFFER_SCHEDULER=localhost:1 "$COFFER" doctor >"$T/said" 2>&1
	grep -q "nothing that says to it who we are" "$T/said" || fail "no certificate: $(<"$T/said")"
	TMPDIR=$T/tmp "$COFFER" farm try --workers 1 -- "$COFFER" doctor >"$T/said" 2>&1
	grep -q "ok .*the scheduler '.*' answers" "$T/said" && grep -q "ok .*worker 'w[12]' .* compiles as this machine does: .*gcc" "$T/said" || fail "a farm that works: $(<"$T/said")"
}

# doctor_says WORDS FIX COMMAND...: `coffer doctor` there finds this, and says that to do about it.
doctor_says()
{
	local words=$1 fix=$2
	shift 2
	timeout 60 "$@" "$COFFER" doctor >"$T/said" 2>&1
	grep -A1 -- "^coffer: [a-z]*: .*$words" "$T/said" | grep -q "fix: .*$fix" || fail "it does not say '$words' and '$fix': $(grep -A1 coffer: "$T/said")"
}

# farm_part NAME [VARIABLE=...]: the site's scheduler, or its worker, with a clock of its own.
farm_part()
{
	: >"$T/$1.log"
	case $1 in
	scheduler) env "${@:2}" "$COFFERD" scheduler --config "$T/site/scheduler.conf" --admin '' --log-format text 2>>"$T/scheduler.log" & ;;
	*) env "${@:2}" "$COFFERD" worker --config "$T/site/worker-w1.conf" --admin '' --folder "$T/w1" --compilers gcc --log-format text \
		--agent "$COFFER_BUILD/coffer-agent" 2>>"$T/worker.log" & ;;
	esac
	echo $! >"$T/$1.pid"
	wait_until 30 "grep -qE 'scheduler serves|info registered' '$T/$1.log'" || fail "no $1: $(<"$T/$1.log")"
}

farm_part_ends() { kill "$(<"$T/$1.pid")" && wait "$(<"$T/$1.pid")"; }

# certificate_of NAME DAYS ALTERNATIVE: another one for its key, of the farm's own authority.
certificate_of()
{
	openssl req -new -key "$T/site/$1-key.pem" -subj "/CN=$1" -out "$T/csr" 2>/dev/null &&
		openssl x509 -req -in "$T/csr" -CA "$T/site/ca.pem" -CAkey "$T/site/ca-key.pem" -CAcreateserial -days "$2" \
			-extfile <(echo "subjectAltName=$3") -out "$T/site/$1.pem" 2>/dev/null || fail "openssl makes no certificate"
}

# Each mistake by its own words, with what mends it: certificates, tokens, clocks, reachability, toolchains.
e2e_operator_doctor_names_what_is_wrong_with_a_farm() { # once long
	local site=$T/site skew="LD_PRELOAD=$T/skew.so"
	need openssl gcc
	mkdir -p "$T/tools"
	gcc -D_GNU_SOURCE -shared -fPIC -O1 -o "$T/skew.so" "$TESTS/e2e/farm/skew.c" || fail "the clock does not compile"
	"$COFFER" keys init "$site" --tenant me >/dev/null && "$COFFER" keys init "$T/other" --tenant me >/dev/null || fail "no keys"
	# shellcheck source=tests/e2e/farm/lib.sh
	source "$TESTS/e2e/farm/lib.sh"
	sed -i "s/:7420/:$(free_port)/; s/:7430/:$(free_port)/" "$site"/*.conf
	export COFFER_CONFIG=$site/tenant-me.conf
	doctor_says 'Connection refused' 'nothing listens there' env
	doctor_says "cannot find 'nosuch.invalid" 'no machine of that name' env COFFER_SCHEDULER=nosuch.invalid:7420
	farm_part scheduler
	doctor_says 'no worker is there' 'look in its log' env
	doctor_says 'authority that has signed our certificate' "another farm's" \
		env COFFER_CERTIFICATE="$T/other/tenant-me.pem" COFFER_CERTIFICATE_KEY="$T/other/tenant-me-key.pem"
	doctor_says 'no authority that is known here' "set 'scheduler_ca'" env COFFER_SCHEDULER_CA="$T/other/ca.pem"
	doctor_says 'not one of yours' "unset 'tenant'" env COFFER_TENANT=you
	doctor_says 'belong to no tenant' 'tenants.conf' env COFFER_CERTIFICATE="$site/worker-w1.pem" COFFER_CERTIFICATE_KEY="$site/worker-w1-key.pem"
	echo a.b.c >"$T/token"
	chmod 644 "$T/token"
	doctor_says 'no tokens of users' 'users_jwks' env COFFER_CERTIFICATE= COFFER_CERTIFICATE_KEY= COFFER_TOKEN_FILE="$T/token"
	grep -q "everybody on this machine can read the token" "$T/said" || fail "a token for everybody: $(<"$T/said")"
	doctor_says 'is another machine\|is on another machine' 'name a scheduler' env COFFER_CONFIG= COFFER_WORKER=192.0.2.1:7430
	# A worker whose clock is wrong, by much and by little, that knows other keys, that has another assembler.
	farm_part worker "$skew" SKEW_S=-60
	doctor_says 'the token is not valid yet' "of the scheduler and of this worker" env
	farm_part_ends worker
	farm_part worker "$skew" SKEW_S=60
	doctor_says "clock of worker 'w1' .* is [56][0-9] s ahead of" 'timedatectl' env
	farm_part_ends worker
	cp "$site/jwks.json" "$T/jwks.json"
	cp "$T/other/jwks.json" "$site/jwks.json"
	farm_part worker
	doctor_says 'not one that is accepted here' 'jwks.json' env
	farm_part_ends worker
	cp "$T/jwks.json" "$site/jwks.json"
	farm_part worker
	printf '#!/bin/sh\nexec /usr/bin/as "$@"\n' >"$T/tools/as"
	chmod +x "$T/tools/as"
	doctor_says "is not used for 'gcc': here it reads '$T/tools/as'" 'the same packages' env COMPILER_PATH="$T/tools"
	farm_part_ends scheduler
	farm_part scheduler "$skew" SKEW_S=100
	doctor_says 'clock of the scheduler is [0-9]* s ahead of' 'timedatectl' env
	farm_part_ends scheduler
	certificate_of scheduler -1 DNS:localhost
	farm_part scheduler
	doctor_says 'the certificate shown is not trusted: it has expired' "tell the farm's operator" env
	farm_part_ends scheduler
	certificate_of scheduler 2 DNS:farm.example.org
	farm_part scheduler
	doctor_says 'it is for another name' 'a name that is in the certificate' env
	certificate_of tenant-me 3 URI:coffer://tenant/me
	doctor_says 'expires in 7[0-2] hours' 'coffer keys add' env
	certificate_of tenant-me -1 URI:coffer://tenant/me
	doctor_says 'has expired: make a new one' 'coffer keys add' env
	farm_part_ends scheduler
	farm_part_ends worker
}

# What a machine can do, tried as the user that a worker would be.
e2e_operator_asks_what_a_machine_can_do() { # once
	local said
	said=$("$COFFER" doctor worker --json)
	[ "$(jq -r '.findings[] | select(.check == "sandbox") | .level' <<<"$said")" = ok ] || fail "sandbox: $said"
	[ "$(jq -r '.findings[] | select(.check == "process") | .level' <<<"$said")" = ok ] || fail "process: $said"
	jq -e '.findings[] | select(.check == "kvm") | .text | test("KVM runs guests|no microVM here")' <<<"$said" >/dev/null || fail "kvm: $said"
	"$COFFER" doctor wroker 2>"$T/said" && fail "any word will do"
	grep -q "not 'wroker'" "$T/said" || fail "it says: $(<"$T/said")"
	"$COFFER" doctor --json | jq -e '[.findings[].check] | index("kvm") | not' >/dev/null || fail "everybody's doctor looks at KVM"
}
