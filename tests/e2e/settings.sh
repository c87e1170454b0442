# The settings that change what happens to a compile.
# shellcheck shell=bash

one_source() { put a.c 'int a;'; }

e2e_setting_enabled() { # once
	one_source
	check miss "$CC" -c a.c -o a.o
	# The launcher sees this variable itself, and asks nobody.
	COFFER_ENABLED=off check any "$CC" -c a.c -o a.o
	[ "$(grown direct_hits)" = 0 ] && [ "$(grown misses)" = 0 ] || fail "counted:$(all_grown)"
	put .coffer.conf 'enabled = off'
	check disabled "$CC" -c a.c -o a.o
	rm .coffer.conf
	expect_hit "$CC" -c a.c -o a.o
}

e2e_setting_read_only() { # once
	one_source
	put b.c 'int b;'
	check miss "$CC" -c a.c -o a.o
	export COFFER_READ_ONLY=on
	check hit "$CC" -c a.c -o a.o
	read_counters counters_before
	run_into "$T/got" "$COFFER" "$CC" -c b.c -o b.o
	run_into "$T/got" "$COFFER" "$CC" -c b.c -o b.o
	read_counters counters_after
	[ "$(grown stored)" = 0 ] && [ "$(grown direct_hits)" = 0 ] || fail "counted:$(all_grown)"
	"$CC" -c b.c -o want.o
	same_file b.o want.o
	"$COFFER" stop >/dev/null
	unset COFFER_READ_ONLY
	check miss "$CC" -c b.c -o b.o
}

e2e_recompile_check() { # gcc
	local i
	one_source
	check miss gcc -c a.c -o a.o
	"$COFFER" recompile-check gcc -c a.c -o a.o >"$T/out" 2>&1 || fail "$(cat "$T/out")"
	has_text "$T/out" '0 hits compiled again, 0 differ' # the real gcc alone
	"$COFFER" recompile-check "$COFFER" gcc -c a.c -o a.o >"$T/out" 2>&1 || fail "$(cat "$T/out")"
	has_text "$T/out" 'coffer: 1 hits compiled again, 0 differ'
	"$COFFER" explain a.c >"$T/out"
	has_text "$T/out" 'is equal'
	# gcc itself makes another object each time.
	export COFFER_REPRODUCIBLE=off
	check any gcc -O2 -c a.c -o l.o
	"$COFFER" gcc -flto -c a.c -o l.o
	counted hit "$COFFER" gcc -flto -c a.c -o l.o
	cp l.o old.o
	"$COFFER" recompile-check "$COFFER" gcc -flto -c a.c -o l.o >"$T/out" 2>&1
	[ $? = 3 ] || fail "the status is not 3: $(cat "$T/out")"
	has_text "$T/out" '1 hits compiled again, 1 differ'
	has_text "$T/out" 'a.c: l.o'
	cmp -s l.o old.o && fail "the objects are equal"
	# What differed is replaced.
	cp l.o new.o
	counted hit "$COFFER" gcc -flto -c a.c -o l.o
	same_file l.o new.o
	# A share of the hits.
	export COFFER_RECOMPILE_CHECK=20
	read_counters counters_before
	for i in 1 2 3 4 5 6 7 8 9 10; do "$COFFER" gcc -O2 -c a.c -o l.o; done
	settle
	[ "$(grown rechecked)" = 2 ] && [ "$(grown direct_hits)" = 8 ] && [ "$(grown recheck_differs)" = 0 ] || fail "counted:$(all_grown)"
	COFFER_RECOMPILE_CHECK=100 check any gcc -O2 -c a.c -o l.o
	"$COFFER" recompile-check sh -c 'exit 5' 2>"$T/out"
	[ $? = 5 ] || fail "the status of the command is lost"
	"$COFFER" recompile-check --percent 0 true 2>"$T/out"
	[ $? = 2 ] || fail "0 percent is taken"
}

e2e_setting_recache() { # once
	one_source
	check miss "$CC" -c a.c -o a.o
	check hit "$CC" -c a.c -o a.o
	COFFER_RECACHE=on check changed "$CC" -c a.c -o a.o
	COFFER_RECACHE=on "$COFFER" stop >/dev/null
	check hit "$CC" -c a.c -o a.o
}

e2e_setting_max_output() { # once
	put a.c 'char a[100000] = {1};'
	export COFFER_MAX_OUTPUT=10K
	untouched output_too_large "$CC" -c a.c -o a.o
	put b.c 'int b;'
	check miss "$CC" -c b.c -o b.o
	"$COFFER" stop >/dev/null
}

e2e_setting_extra_key() { # once
	one_source
	check miss "$CC" -c a.c -o a.o
	export COFFER_EXTRA_KEY=one
	check miss "$CC" -c a.c -o a.o
	check hit "$CC" -c a.c -o a.o
	"$COFFER" stop >/dev/null
	COFFER_EXTRA_KEY=two
	check miss "$CC" -c a.c -o a.o
	"$COFFER" stop >/dev/null
	unset COFFER_EXTRA_KEY
	check hit "$CC" -c a.c -o a.o
	put .coffer.conf 'extra_key = one'
	check hit "$CC" -c a.c -o a.o
}

e2e_setting_preprocessed() { # once
	one_source
	check miss "$CC" -c a.c -o a.o
	at_rest # the text is known
	put a.c 'int a; /* comment */'
	check preprocessed "$CC" -c a.c -o a.o
	export COFFER_PREPROCESSED=off
	put a.c 'int a; /* another comment */'
	check miss "$CC" -c a.c -o a.o
	"$COFFER" stop >/dev/null
}

stored_bytes() { find "$COFFER_CACHE_DIR"/v1/*/ -type f -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'; }

e2e_setting_max_size() { # once long
	local i bytes
	export COFFER_MAX_SIZE=400K
	for i in {1..60}; do
		{
			echo "int a${i}[] = {"
			for ((j = 0; j < 3000; j++)); do echo "$((j * j * i)),"; done
			echo '};'
		} >a.c
		counted any coffer "$CC" -c a.c -o a.o || fail "the compile fails"
		[ $((i % 10)) != 0 ] || { "$CC" -c a.c -o want.o && same_file a.o want.o; }
	done
	wait_until 5 '[ "$(stored_bytes)" -lt 450000 ]' || fail "the cache has $(stored_bytes) bytes"
	[ "$(counter evicted)" -gt 0 ] || fail "nothing was evicted"
	counted hit coffer "$CC" -c a.c -o a.o
	"$COFFER" stop >/dev/null
}

e2e_setting_compression() { # once
	local level
	put a.c 'enum { level = L };' 'char a[100000] = {1};'
	for level in -5 1 19; do
		export COFFER_COMPRESSION=$level
		check any "$CC" -DL=$level -c a.c -o a.o
		again hit "$CC" -DL=$level -c a.c -o a.o
		"$COFFER" stop >/dev/null
	done
}

e2e_setting_nonsense() { # once
	local name
	EXPECT_ERRORS=1
	one_source
	"$CC" -c a.c -o want.o
	# A wrong setting must never break a build.
	for name in COFFER_MAX_SIZE=lots COFFER_ENABLED=perhaps COFFER_COMPRESSION=99 COFFER_IDLE_TIMEOUT=-3 COFFER_NO_SUCH_SETTING=1 \
		COFFER_CONFIG=/nonexistent/file COFFER_ROOT=/nonexistent COFFER_LOG_LEVEL=shouting; do
		rm -f a.o
		env "$name" "$COFFER" "$CC" -c a.c -o a.o 2>"$T/err" || fail "$name: the compile fails: $(<"$T/err")"
		same_file a.o want.o
		env "$name" "$COFFER" stop >/dev/null 2>&1
	done
	export COFFER_CONFIG=
	put .coffer.conf 'compresion = 1'
	for name in a b c; do put "$name.c" "int $name;"; "$COFFER" "$CC" -c "$name.c" -o "$name.o" 2>>"$T/build.err" || fail "it does not compile"; done
	[ "$(<"$T/build.err")" = "coffer: $P/.coffer.conf:1: unknown setting 'compresion'; did you mean 'compression'?; without these settings nothing is cached ('coffer doctor')" ] ||
		fail "a build of three says: $(<"$T/build.err")"
	# Who only asks is told nothing, and neither is autoconf, which takes messages for answers; another build is told again.
	put conftest.c 'int x;'
	setsid -w "$COFFER" "$CC" -c conftest.c -o c.o 2>"$T/err"
	setsid -w "$COFFER" "$CC" -dumpversion >/dev/null 2>>"$T/err"
	[ ! -s "$T/err" ] || fail "it says: $(<"$T/err")"
	setsid -w "$COFFER" "$CC" -c a.c -o a.o 2>"$T/err"
	grep -qx "coffer: .*/.coffer.conf:1: .*" "$T/err" || fail "another build is told: $(<"$T/err")"
	put .coffer.conf 'this is no setting' '= =' 'max_size = 1'
	rm -f a.o
	"$COFFER" "$CC" -c a.c -o a.o 2>"$T/err" || fail "a bad .coffer.conf: the compile fails: $(<"$T/err")"
	same_file a.o want.o
	head -c 3000000 /dev/urandom >.coffer.conf
	"$COFFER" "$CC" -c a.c -o a.o 2>"$T/err" || fail "a random .coffer.conf: the compile fails: $(<"$T/err")"
	same_file a.o want.o
	rm .coffer.conf
	mkdir .coffer.conf
	"$COFFER" "$CC" -c a.c -o a.o 2>"$T/err" || fail "a folder .coffer.conf: the compile fails: $(<"$T/err")"
	same_file a.o want.o
	# A build tree may not set what could harm its user.
	rmdir .coffer.conf
	put .coffer.conf 'max_size = 1' 'root = /' 'read_only = on'
	"$COFFER" "$CC" -c a.c -o a.o 2>"$T/err" || fail "a forbidden setting: the compile fails: $(<"$T/err")"
	same_file a.o want.o
}
