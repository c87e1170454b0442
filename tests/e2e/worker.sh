# The worker as an operator runs it, with clients that are not ours (tests/e2e/worker/jobs.py, trees.py).
# shellcheck shell=bash disable=SC2154

# The distribution's, which has its packages.
python=/usr/bin/python3

# scenario NAME [SECONDS [FILE]]
scenario()
{
	local rootfs=$T/work/images/sha256-$(printf 'a%.0s' {1..64})/rootfs
	need $python protoc grpc_python_plugin zstd
	$python -c 'import grpc, jwt, cryptography' 2>/dev/null || skip "python3-grpcio or python3-jwt is not installed"
	unshare -Ur true 2>/dev/null || [ "$(id -u)" = 0 ] || skip "there are no namespaces for this user"
	protoc -I "$TESTS/../proto" --python_out="$T" --grpc_python_out="$T" \
		--plugin=protoc-gen-grpc_python="$(command -v grpc_python_plugin)" coffer.proto || fail "protoc fails"
	mkdir -p "$rootfs/usr/bin" && ln -s usr/bin "$rootfs/bin"
	gcc -O1 -static -o "$rootfs/usr/bin/gcc" "$TESTS/e2e/worker/stand_in.c" || fail "the stand-in does not compile"
	(cd "$T/work" && PYTHONPATH=$T:$TESTS/e2e PYTHONDONTWRITEBYTECODE=1 timeout "${2:-120}" $python "$TESTS/e2e/worker/${3:-jobs.py}" "$1") ||
		{ tail -n 30 "$T"/work/log.* 2>/dev/null; fail "scenario $1"; }
}

e2e_worker_runs_keeps_and_answers() { # once
	scenario results
}

e2e_worker_makes_what_the_local_compiler_makes() { # once long
	scenario local
}

e2e_worker_runs_in_plain_processes_too() { # once
	scenario process
}

e2e_worker_describes_its_compilers() { # once
	scenario describe
}

e2e_worker_takes_jobs_under_its_policy_only() { # once
	scenario policy
}

e2e_worker_tells_a_tenant_of_itself_only() { # once
	scenario status
}

e2e_worker_takes_no_bad_token() { # once
	scenario tokens
}

e2e_worker_keeps_tenants_apart() { # once
	scenario tenants
}

e2e_worker_refuses_hostile_requests() { # once
	scenario hostile
}

e2e_worker_ends_jobs_in_time() { # once
	scenario limits
}

e2e_worker_bounds_what_jobs_say_and_write() { # once
	scenario limits_of_bytes
}

e2e_worker_says_when_it_is_full() { # once
	scenario full
}

e2e_worker_is_fair_between_tenants() { # once
	scenario fair
}

e2e_worker_runs_one_job_for_one_key() { # once
	scenario same_key
}

e2e_worker_tells_of_results_that_differ() { # once
	scenario second_opinion
}

e2e_worker_loses_no_job_with_its_session() { # once
	scenario killed
}

e2e_worker_ends_jobs_that_nobody_waits_for() { # once
	scenario client_gone
}

e2e_worker_goes_on_with_a_full_disk() { # once
	[ "$(id -u)" = 0 ] || skip "needs root for a small file system"
	scenario disk_full
}

e2e_worker_refuses_what_it_cannot_audit() { # once
	[ "$(id -u)" = 0 ] || skip "needs root for a small file system"
	scenario audit_full
}

e2e_worker_drops_damaged_results() { # once
	scenario damaged
}

e2e_worker_registers_with_the_scheduler() { # once
	scenario farm
}

e2e_worker_drains() { # once
	scenario drain
}

e2e_worker_tells_the_operator() { # once
	scenario operator
}

e2e_worker_goes_without_tokens_on_one_machine_only() { # once
	scenario insecure
}

e2e_worker_has_a_manual_for_every_setting() { # once
	local name found=0
	for name in $(sed -nE 's/^OPTION\(([a-z_]+),.*/\1/p' "$TESTS/../worker/options.def"); do
		grep -qE "^\.It Sy (.* )?$name( |\$)" "$TESTS/../man/coffer-worker.8" || fail "coffer-worker.8 lacks $name"
		"$COFFERD" worker --help | grep -q -e "^  --${name//_/-}[ =\[]" || fail "--help lacks $name"
		found=$((found + 1))
	done
	[ $found -gt 30 ] || fail "only $found settings"
}

# A tenant that does what it can beside one that only works: COFFER_SOAK_JOBS jobs (1,000; 10,000 with FULL=1).
e2e_worker_honest_tenant_beside_a_hostile_one() { # once clock long
	[ -z "${FULL:-}" ] || export COFFER_SOAK_JOBS="${COFFER_SOAK_JOBS:-10000}"
	scenario soak 3600
}

e2e_worker_takes_no_hostile_tree() { # once
	scenario hostile 120 trees.py
}

e2e_worker_asks_again_for_damaged_files() { # once long
	scenario damaged 120 trees.py
}
