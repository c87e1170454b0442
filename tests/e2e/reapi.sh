# The gateway: the Remote Execution API, asked by clients that are not ours.
# shellcheck shell=bash disable=SC2154

python=/usr/bin/python3

# reapi SCRIPT SCENARIO [SECONDS]
reapi()
{
	need $python protoc zstd
	$python -c 'import grpc' 2>/dev/null || skip "python3-grpcio is not installed"
	mkdir -p "$T/work"
	protoc -I "$TESTS/../proto" --python_out="$T" reapi.proto || fail "protoc fails"
	(cd "$T/work" && PYTHONPATH=$T:$TESTS/e2e:$TESTS/e2e/reapi PYTHONDONTWRITEBYTECODE=1 timeout "${3:-120}" $python "$TESTS/e2e/reapi/$1.py" "$2") ||
		{ tail -n 20 "$T"/work/log.* 2>/dev/null; fail "scenario $2"; }
}

e2e_reapi_says_what_it_can() { # once
	reapi cache capabilities
}

e2e_reapi_keeps_blobs() { # once
	reapi cache blobs
}

e2e_reapi_keeps_no_blob_that_is_not_what_it_says() { # once
	reapi cache wrong_blobs
}

e2e_reapi_refuses_words_that_make_no_sense() { # once
	reapi cache wrong_words
}

e2e_reapi_goes_on_with_a_broken_upload() { # once
	reapi cache resume
}

e2e_reapi_keeps_results() { # once
	reapi cache results
}

e2e_reapi_sends_whole_trees() { # once long
	reapi cache trees
}

e2e_reapi_keeps_tenants_apart() { # once
	reapi cache tenants
}

e2e_reapi_lets_those_write_whom_it_knows_by_that_kind() { # once
	$python -c 'import jwt, cryptography' 2>/dev/null || skip "python3-jwt is not installed"
	reapi cache writers
}

e2e_reapi_shares_results_through_a_store() { # once
	reapi cache shared
}

e2e_reapi_serves_a_thousand_streams() { # once
	reapi cache many
}

e2e_reapi_has_bounds_for_each_tenant() { # once long
	reapi cache full
}

e2e_reapi_bounds_what_it_reads_and_says() { # once
	reapi cache bounds
}

e2e_reapi_loses_nothing_but_what_was_cut() { # once
	reapi cache killed
}

e2e_reapi_has_a_manual_for_every_setting() { # once
	local name found=0
	for name in $(sed -nE 's/^OPTION\(([a-z_]+),.*/\1/p' "$TESTS/../gateway/options.def"); do
		grep -qE "^\.It Sy (.* )?$name( |\$)" "$TESTS/../man/coffer-gateway.8" || fail "coffer-gateway.8 lacks $name"
		"$COFFERD" gateway --help | grep -q -e "^  --${name//_/-}[ =\[]" || fail "--help lacks $name"
		found=$((found + 1))
	done
	[ "$found" -gt 10 ] || fail "only $found settings are found"
}

# ---- execution

# on_runtime RUNTIME SCENARIO [FILE]
on_runtime()
{
	[ "$1" = process ] || unshare -Ur true 2>/dev/null || [ "$(id -u)" = 0 ] || skip "there are no namespaces for this user"
	REAPI_RUNTIME=$1 reapi "${3:-exec}" "$2"
}

e2e_reapi_exec_runs_actions() { # once
	on_runtime sandbox runs
}

e2e_reapi_exec_lays_out_and_takes_trees() { # once
	on_runtime sandbox trees
}

e2e_reapi_exec_lays_out_and_takes_trees_in_plain_processes() { # once long
	on_runtime process trees
}

# Directories that many actions have stay laid out; no action sees what another one has done to them.
e2e_reapi_exec_keeps_inputs_laid_out() { # once
	on_runtime sandbox kept layers
}

e2e_reapi_exec_refuses_what_makes_no_sense() { # once
	on_runtime sandbox refused
}

e2e_reapi_exec_goes_by_time_and_not_by_connection() { # once
	on_runtime sandbox times
}

e2e_reapi_exec_goes_on_without_a_worker() { # once
	on_runtime sandbox killed
}

e2e_reapi_exec_goes_by_routes_and_tenants() { # once long
	on_runtime sandbox farmed
}

e2e_reapi_exec_is_replayed() { # once
	on_runtime sandbox replayed
}

# ---- what Bazel does not do

e2e_reapi_strangers_find_no_operation_of_others() { # once
	on_runtime sandbox operations_of_others strangers
}

e2e_reapi_strangers_find_and_write_no_result_of_others() { # once
	on_runtime sandbox results_of_others strangers
}

e2e_reapi_strangers_may_give_up_at_any_time() { # once
	on_runtime sandbox given_up strangers
}

e2e_reapi_strangers_that_do_not_read_hold_nobody_up() { # once
	on_runtime sandbox slow_readers strangers
}
