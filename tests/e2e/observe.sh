# What compiles look at, against what the cache remembers (tests/observe).
# shellcheck shell=bash disable=SC2154

e2e_observe_everything_that_is_looked_at_is_covered() { # long
	need strace python3
	[ -x "$COFFER_BUILD/programs/covers" ] || fail "make programs"
	"$here/observe" -b "$COFFER_BUILD" "$CC" >"$T/observed" 2>&1 || fail "$(<"$T/observed")"
	grep -q '^ok ' "$T/observed" || fail "nothing was compared: $(<"$T/observed")"
}
