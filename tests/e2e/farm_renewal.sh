# Certificates and services are renewed in the middle of a build. The compiler is a stand-in that sleeps, so that there is a middle.
# shellcheck shell=bash disable=SC2154
# shellcheck source=tests/e2e/farm/lib.sh
source "$TESTS/e2e/farm/lib.sh"

# renew NAME: a new key, and a certificate for it with the names of the old one, from the authority in the site's folder.
renew()
{
	local file=$T/site/$1
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$T/new-key.pem" 2>/dev/null &&
		openssl x509 -x509toreq -copy_extensions copy -in "$file.pem" -signkey "$T/new-key.pem" -out "$T/new.csr" 2>/dev/null &&
		openssl x509 -req -copy_extensions copy -in "$T/new.csr" -CA "${2:-$T/site/ca.pem}" -CAkey "${3:-$T/site/ca-key.pem}" -days 2 -out "$T/new.pem" 2>/dev/null &&
		openssl verify -CAfile "${2:-$T/site/ca.pem}" "$T/new.pem" >/dev/null || fail "openssl renews no certificate"
	chmod 600 "$T/new-key.pem"
	mv "$T/new.pem" "$file.pem"
	mv "$T/new-key.pem" "$file-key.pem"
}

reload() { kill -HUP "$(<"$T/$1.pid")"; }
renewed() { "$COFFER" stats --tsv | grep '^remote'; "$COFFER" status; }

e2e_farm_certificates_are_renewed_in_a_build() { # once long
	own_mounts
	local hits
	need perl openssl
	standin_site 16
	standin_project 80 400
	build_with_middle 'renew scheduler; renew worker-w1; reload scheduler; reload w1' 25 make -j24
	[ "$(counter remote_failed)" = 0 ] || fail "jobs have failed: $(renewed)"
	grep -q 'certificates and keys read again' "$T/w1.log" || fail "the worker has not read its files again: $(tail -n 3 "$T/w1.log")"
	# A worker whose connections are new shows the new certificate: the client knows another one, and asks the scheduler.
	kill -KILL "$(<"$T/w1.pid")"
	renew worker-w1
	standin_worker_start w1 16
	hits=$(counter remote_hits)
	again() { rm -rf out; COFFER_RECACHE=1 make -j8 ONLY="1 2 3 4 6 7 8 9" >"$T/again.log" 2>&1; [ "$(counter remote_hits)" -gt "$hits" ]; }
	wait_until 60 again || fail "the worker is not used again: $(renewed) $(daemon_log .)"
	[ ! -s "$T/again.log" ] || fail "messages: $(<"$T/again.log")"
	farm_end
}

e2e_farm_certificate_of_an_authority_that_nobody_knows() { # once long
	own_mounts
	need perl openssl
	standin_site 16
	standin_project 40 200
	"$COFFER" keys init "$T/other" --tenant me >"$T/keys.log" 2>&1 || fail "no keys: $(<"$T/keys.log")"
	# In the middle of a build: who is connected stays so, and what is renewed is the whole of the site's service.
	build_with_middle 'renew scheduler $T/other/ca.pem $T/other/ca-key.pem; reload scheduler' 12 make -j16
	# A daemon that has to connect anew.
	stop_daemons
	rm -rf out
	COFFER_RECACHE=1 timeout 60 make -j16 >"$T/again.log" 2>&1 || fail "the build fails: $(tail -n 3 "$T/again.log")"
	standin_right 40 "$T/again.log"
	"$COFFER" status | grep -q 'no worker .*certificate' || fail "status: $("$COFFER" status)"
	[ "$(daemon_log 'no routes from the scheduler: .*certificate' | wc -l)" = 1 ] || fail "the log: $(daemon_log .)"
	farm_end
}

e2e_farm_scheduler_is_restarted_in_a_build() { # once long
	own_mounts
	need perl
	standin_site 16
	standin_project 80 400
	build_with_middle 'kill -TERM "$(<"$T/scheduler.pid")"; wait_until 10 "[ ! -d /proc/$(<"$T/scheduler.pid") ]"; scheduler_start' 25 make -j24
	[ "$(counter remote_failed)" = 0 ] || fail "jobs have failed: $(renewed)"
	wait_until 20 "[ \$(grep -c 'registered.*w1' $T/scheduler.log) -ge 2 ]" || fail "the worker does not register again"
	stop_daemons
	rm -rf out
	COFFER_RECACHE=1 make -j24 >"$T/again.log" 2>&1 || fail "the build fails: $(tail -n 3 "$T/again.log")"
	standin_right 80 "$T/again.log"
	[ "$(counter remote_hits)" -ge 1 ] || fail "the new scheduler gives no routes: $(renewed)"
	farm_end
}

# Two workers, one of which is killed; 500 jobs, launched 500 at once.
e2e_farm_worker_is_killed_among_500_jobs() { # once clock long
	own_mounts
	need perl
	site_keys w1 w2
	standin_farm_start w1 100 w2 100
	standin_project 500 500 25
	build_with_middle 'kill -KILL "$(<"$T/w1.pid")"' 60 make -j500
	[ "$(counter remote_failed)" -ge 1 ] || fail "no job was lost with the worker: $(renewed)"
	echo "$took ms; $(renewed | tr '\n' ' ')"
	farm_end
}

e2e_farm_worker_is_killed_among_500_jobs_behind_the_front_end() { # once clock long
	own_mounts
	need perl
	site_keys w1 w2
	standin_farm_start w1 100 w2 100
	standin_project 500 500 25
	build_with_middle 'kill -KILL "$(<"$T/w1.pid")"; sleep 0.3; kill -TERM "$(<"$T/scheduler.pid")"; wait_until 10 "[ ! -d /proc/$(<"$T/scheduler.pid") ]"; scheduler_start' 60 "$COFFER" make -j2
	echo "$took ms; $(renewed | tr '\n' ' ')"
	farm_end
}

# A scheduler that stands still holds up one compile now and then; the others go on with the routes there are.
e2e_farm_scheduler_stands_still_in_a_build() { # once clock long
	own_mounts
	need perl
	site_keys w1
	sed -i 's/^listen/route_lifetime = 2s\n&/' "$T/site/scheduler.conf"
	standin_farm_start w1 16
	standin_project 200 400 50
	build_with_middle 'kill -STOP "$(<"$T/scheduler.pid")"' 25 make -j16
	kill -CONT "$(<"$T/scheduler.pid")"
	echo "$took ms"
	# Of itself it takes about 6 s; if all compiles waited for the scheduler, 3 s of each 8 would be added.
	[ "$(counter remote_failed)" = 0 ] || fail "jobs have failed: $(renewed)"
	[ "$(counter remote_compiles)" -ge 150 ] || fail "the worker was hardly used: $(renewed)"
	farm_end
}
