# What an operator meets first: units, mistakes, and what the programs say then.
# shellcheck shell=bash disable=SC2154

e2e_operator_units_verify() { # once
	local unit score
	need systemd-analyze
	mkdir -p "$T/units"
	for unit in scheduler worker; do
		sed "s#/usr/local/bin/coffer#$COFFER#" "$TESTS/../packaging/systemd/coffer-$unit.service" >"$T/units/coffer-$unit.service"
		systemd-analyze --man=no verify "$T/units/coffer-$unit.service" >"$T/said" 2>&1 || fail "coffer-$unit.service: $(<"$T/said")"
		# What it says about units of the machine itself is not ours.
		! grep "coffer-$unit" "$T/said" || fail "it has something to say"
	done
	systemd-analyze security --help 2>/dev/null | grep -q -- --offline || skip "this systemd does not rate units that are not installed"
	for score in scheduler=15 worker=40; do
		systemd-analyze security --offline=true --no-pager --threshold="${score#*=}" "$T/units/coffer-${score%=*}.service" >"$T/said" 2>&1 ||
			fail "coffer-${score%=*} is more exposed than docs/operator.md says: $(tail -n 1 "$T/said")"
	done
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
	says 1 "cannot open '$site/none.conf': No such file" "$COFFER" scheduler --config "$site/none.conf"
	says 1 'is not a regular file' "$COFFER" scheduler --config "$site"
	says 2 "'certificate' must be set" env COFFER_SCHEDULER_CONFIG= "$COFFER" scheduler
	says 1 "cannot read the key '$site/none.pem': No such file" "$COFFER" scheduler --config "$site/scheduler.conf" --key "$site/none.pem"
	says 1 "is not the one of the certificate '$site/scheduler.pem'" "$COFFER" scheduler --config "$site/scheduler.conf" --key "$site/worker-w1-key.pem"
	says 1 "ca.pem:1: this is not a line" "$COFFER" scheduler --config "$site/scheduler.conf" --tenants "$site/ca.pem"
	says 2 "unknown option '--listn'" "$COFFER" scheduler --config "$site/scheduler.conf" --listn 1
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
	wait_until 10 "grep -q 'scheduler serves' $T/first"
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
