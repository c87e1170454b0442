# The scheduler as an operator runs it, with clients and workers that are not ours (tests/e2e/scheduler/farm.py).
# shellcheck shell=bash disable=SC2154

# The distribution's, which has its packages.
python=/usr/bin/python3

scenario()
{
	need $python protoc grpc_python_plugin
	$python -c 'import grpc, jwt, cryptography' 2>/dev/null || skip "python3-grpcio or python3-jwt is not installed"
	protoc -I "$TESTS/../proto" --python_out="$T" --grpc_python_out="$T" \
		--plugin=protoc-gen-grpc_python="$(command -v grpc_python_plugin)" coffer.proto || fail "protoc fails"
	mkdir -p "$T/work"
	(cd "$T/work" && PYTHONPATH=$T:$TESTS/e2e PYTHONDONTWRITEBYTECODE=1 timeout 120 $python "$TESTS/e2e/scheduler/farm.py" "$1") ||
		{ tail -n 40 "$T"/work/log.* 2>/dev/null; fail "scenario $1"; }
}

e2e_scheduler_routes_with_tokens_that_others_can_check() { # once
	scenario route
}

e2e_scheduler_keeps_strangers_out() { # once
	scenario strangers
}

e2e_scheduler_takes_no_bad_token() { # once
	scenario tokens
}

e2e_scheduler_takes_users_of_an_identity_provider() { # once long
	scenario users
}

e2e_scheduler_forgets_dead_workers_within_two_heartbeats() { # once long
	scenario dead
}

e2e_scheduler_sends_nobody_to_a_draining_worker() { # once
	scenario drain
}

e2e_scheduler_reads_good_files_again_and_keeps_the_old_ones_else() { # once
	scenario reload
}

e2e_scheduler_drains_and_comes_again() { # once
	scenario restart
}

e2e_scheduler_shares_slots() { # once
	scenario quota
}

e2e_schedulers_share_a_tenants_quota() { # once
	need etcd
	scenario quota_of_three
}

e2e_scheduler_tells_the_operator() { # once
	scenario operator
}

e2e_scheduler_says_what_is_wrong_with_its_settings() { # once
	local text
	text=$("$COFFERD" scheduler 2>&1) && fail "it starts without keys"
	[[ $text == *"'certificate' must be set"* ]] || fail "$text"
	"$COFFERD" keys init "$T/farm" >/dev/null || fail "keys init"
	text=$("$COFFERD" scheduler --config "$T/farm/scheduler.conf" --heartbeat 1h 2>&1) && fail "an hour's heartbeat"
	[[ $text == *"--heartbeat: 'heartbeat' can't be '1h'; it takes 100ms to 1m"* ]] || fail "$text"
	chmod o+r "$T/farm/token-key.pem"
	text=$("$COFFERD" scheduler --config "$T/farm/scheduler.conf" --listen 127.0.0.1:0 --admin '' --log-format text 2>&1) &&
		fail "it takes a key that everybody can read"
	[[ $text == *"everybody can read the key"* ]] || fail "$text"
}

e2e_scheduler_has_a_manual_for_every_setting() { # once
	local name found=0
	for name in $(sed -nE 's/^OPTION\(([a-z_]+),.*/\1/p' "$TESTS/../scheduler/options.def"); do
		grep -qE "^\.It Sy (.* )?$name( |\$)" "$TESTS/../man/coffer-scheduler.8" || fail "coffer-scheduler.8 lacks $name"
		"$COFFERD" scheduler --help | grep -q -e "^  --${name//_/-}[ =\[]" || fail "--help lacks $name"
		found=$((found + 1))
	done
	[ $found -gt 15 ] || fail "only $found settings"
}

e2e_keys_are_made_once_and_kept_secret() { # once
	local file mode
	umask 0000
	"$COFFERD" keys init "$T/farm" --worker a --worker b=10.0.0.1 --tenant t >"$T/out" || fail "keys init"
	[ "$(grep -c '^  ' "$T/out")" = 4 ] || fail "$(cat "$T/out")"
	[ "$(stat -c %a "$T/farm")" = 700 ] || fail "the folder's mode"
	for file in "$T"/farm/*; do
		mode=$(stat -c %a "$file")
		case $file in
		*-key.pem) [ "$mode" = 600 ] || fail "$file has mode $mode" ;;
		*) [ "$mode" = 644 ] || [ "$mode" = 666 ] || fail "$file has mode $mode" ;;
		esac
	done
	"$COFFERD" keys init "$T/farm" 2>/dev/null && fail "it writes over keys"
	mkdir -p "$T/mine" && chmod 755 "$T/mine" && touch "$T/mine/file"
	"$COFFERD" keys init "$T/mine" 2>/dev/null && fail "it takes a folder that is somebody's"
	[ "$(stat -c %a "$T/mine")" = 755 ] || fail "it changes the mode of somebody's folder"
	"$COFFERD" keys add "$T/farm" --worker a 2>/dev/null && fail "it writes over a worker's key"
	"$COFFERD" keys add "$T/farm" --worker c --tenant u >"$T/out" || fail "keys add"
	grep -q '^certificate = URI:coffer://tenant/u$' "$T/out" || fail "$(cat "$T/out")"
	for file in "$T"/farm/{scheduler,worker-a,worker-b,worker-c,tenant-t,tenant-u}.pem; do
		openssl verify -x509_strict -CAfile "$T/farm/ca.pem" "$file" >/dev/null || fail "$file does not verify"
	done
}
