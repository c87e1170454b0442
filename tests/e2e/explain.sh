# What `coffer explain` says of a whole build.
# shellcheck shell=bash disable=SC2154

# A whole build in one report: each cause once, the dearest first, as text, JSON and a page without anything from elsewhere.
e2e_explain_a_build() { # gcc
	local i round
	put inc/v.h '#define V 1'
	for i in 1 2 3; do put "u$i.c" '#include "v.h"' "int f$i(int x) { return x * V; }"; done
	put when.c 'const char *when = __TIME__;'
	for round in -O2 -O2; do
		for i in 1 2 3; do "$COFFER" "$CC" $round -Iinc -c "u$i.c" || fail "the compile fails"; done
		"$COFFER" "$CC" -c when.c || fail "the compile fails"
	done
	put inc/v.h '#define V 2 // <b>"two"</b>'
	for i in 1 2 3; do "$COFFER" "$CC" -O2 -Iinc -c "u$i.c" || fail "the compile fails"; done
	at_rest
	"$COFFER" explain --build --json >report || fail "no report"
	[ "$(jq -c '[.compiles, .direct_hits, .misses, .not_cached]' report)" = '[11,3,6,2]' ] || fail "counts: $(jq -c . report)"
	[ "$(jq -c '[.causes[] | [.compiles, (.reason // .cause.kind)]] | sort' report)" = '[[2,"time_macros"],[3,"first"],[3,"input"]]' ] ||
		fail "causes: $(jq -c '[.causes[] | [.compiles, (.cause.kind // .reason), .reason]]' report)"
	jq -e '[.causes[].seconds] | . == (sort | reverse)' report >/dev/null || fail "the dearest is not the first"
	"$COFFER" explain --build | grep -q "an input has changed: 'inc/v.h'" || fail "text: $("$COFFER" explain --build)"
	"$COFFER" explain --build --html page.html >/dev/null || fail "no page"
	grep -q '#define V 2 // &lt;b&gt;&quot;two&quot;&lt;/b&gt;' page.html || fail "the page lacks the line that changed"
	grep -qE '<script|src=|href=|@import|url\(' page.html && fail "the page asks for something"
	"$COFFER" explain --build --since 1d --json | jq -e '.compiles == 11' >/dev/null || fail "--since"
	"$COFFER" explain --build x 2>/dev/null
	[ $? = 2 ] || fail "a FILE with --build"
}

# caused WHAT TEXT CMD...: the compile is no hit, for this cause or reason, and people are told so.
caused()
{
	local what=$1 text=$2
	shift 2
	sleep 0.05 # what was written just now may have changed during the compile
	"$COFFER" "$@" 2>/dev/null
	"$COFFER" explain last --json >last.json || fail "$what: nothing is explained"
	[ "$(jq -r '.miss.reason // .miss.cause.kind' last.json)" = "$what" ] ||
		fail "expected $what, explained as $(jq -c '[.miss.reason, .miss.cause]' last.json): $*"
	"$COFFER" explain last | grep -qF -e "$text" || fail "$what lacks '$text': $("$COFFER" explain last)"
	echo "$what" >>"$T/named"
}

# Every cause with what brings it about, and what people read.
e2e_explain_names_each_cause() { # gcc
	export COFFER_TEXT_HITS=off # some of them change nothing that the compiler sees
	put inc/h.h '#define H 1'
	put early/.keep
	put a.c '#include "h.h"' 'int a = H;'
	caused first 'has not been compiled before' gcc -Iearly -Iinc -c a.c -o a.o
	caused arguments "-O2 is new" gcc -O2 -Iearly -Iinc -c a.c -o a.o
	caused order 'the same in another order' gcc -Iearly -Iinc -O2 -c a.c -o a.o
	caused environment 'CPATH' env CPATH=early "$COFFER" gcc -Iearly -Iinc -O2 -c a.c -o a.o
	put inc/h.h '#define H 2'
	caused input 'inc/h.h' gcc -Iearly -Iinc -c a.c -o a.o
	put early/h.h '#define H 3'
	caused appeared 'early/h.h' gcc -Iearly -Iinc -c a.c -o a.o
	put early/h.h '#define H 5'
	caused input 'early/h.h' gcc -Iearly -Iinc -c a.c -o a.o
	rm early/h.h
	put other/h.h '#define H 4'
	caused arguments 'other' gcc -Iearly -Iinc -Iother -c a.c -o b.o
	rm inc/h.h
	caused vanished 'inc/h.h' gcc -Iearly -Iinc -Iother -c a.c -o b.o
	put inc/h.h '#define H 1'
	caused recache "the setting 'recache'" --set recache=on gcc -Iearly -Iinc -c a.c -o a.o
	caused paranoid "the setting 'paranoid'" --set paranoid=on gcc -Iearly -Iinc -c a.c -o a.o
	caused settings 'a setting of coffer' --set extra_key=x gcc -Iearly -Iinc -c a.c -o a.o
	put b.c 'int b;'
	caused first 'has not been compiled' gcc -c b.c -o b.o
	find "$COFFER_CACHE_DIR/v1/result" -type f -newer b.c -delete
	caused evicted 'evicted' gcc -c b.c -o b.o
	find "$COFFER_CACHE_DIR/v1/result" -type f -newer b.c -exec sh -c 'printf XXXXXXXX | dd of="$1" bs=1 seek=40 conv=notrunc 2>/dev/null' - {} \;
	caused corrupt 'damaged' gcc -c b.c -o b.o
	put w.c 'int f(void) { int unused; return 1; }'
	caused first 'has not been compiled' gcc -Wall -c w.c -o w.o
	caused messages 'another terminal or language' env GCC_COLORS= "$COFFER" gcc -Wall -c w.c -o w.o
	put two.c '#include "h.h"' 'int two = H;'
	put other/h.h '#define H 1'
	ln -s inc linked
	caused first 'has not been compiled' gcc -Ilinked -c two.c -o two.o
	ln -sfn other linked
	caused link "linked: $P/inc, now $P/other" gcc -Ilinked -c two.c -o two.o
	put k.c 'int k;'
	mkdir tools
	cp "$(command -v as)" tools/as
	caused first 'has not been compiled' gcc -Btools -c k.c -o k.o
	echo >>tools/as
	caused toolchain "'$P/tools/as' has changed" gcc -Btools -c k.c -o k.o
	rm tools/as
	caused toolchain "'$P/tools/as' is no longer there" gcc -Btools -c k.c -o k.o
	if command -v clang >/dev/null; then
		caused toolchain "$(command -v clang) (clang" clang -O1 -Btools -c k.c -o k.o
		put m.c 'int m;'
		caused first 'has not been compiled' clang -c m.c -o m.o
		caused toolchain '-O1 is new' gcc -O1 -c m.c -o m.o
	fi
	COFFER_RECOMPILE_CHECK=100 caused checked 'and is equal' gcc -Btools -c k.c -o k.o
	# gcc makes another object each time.
	caused arguments '-flto is new' gcc -flto -Btools -c k.c -o k.o
	COFFER_RECOMPILE_CHECK=100 caused differs 'k.o' gcc -flto -Btools -c k.c -o k.o
	put t.c 'const char *t = __DATE__;'
	caused first 'has not been compiled' env SOURCE_DATE_EPOCH=1 "$COFFER" gcc -c t.c -o t.o
	caused time 'SOURCE_DATE_EPOCH is another one' env SOURCE_DATE_EPOCH=99999999 "$COFFER" gcc -c t.c -o t.o
	mkdir -p one/.git two/.git
	put one/p.c 'int f(void) { int unused; return 1; }'
	cp one/p.c two/p.c
	COFFER_REPRODUCIBLE=on in_dir one caused first 'has not been compiled' gcc -Wall -c "$P/one/p.c" -o p.o
	COFFER_REPRODUCIBLE=on in_dir two caused place 'the name of the build tree that it was made in' gcc -Wall -c "$P/two/p.c" -o p.o
	caused time_macros '__DATE__' gcc -c t.c -o t.o
	put p.h 'int p;'
	gcc -c p.h -o p.h.gch
	put p.c '#include "p.h"'
	caused precompiled_header_used 'precompiled header could be used' gcc -c p.c -o p.o
	caused precompiled_header 'makes a precompiled header' gcc -c p.h
	# All that there are; the farm's policy is in farm.sh.
	sed -n '/^## `--json/q; s/^| `\([a-z]*\)` |.*/\1/p' "$TESTS/../docs/explain.md" | grep -vx policy | sort >"$T/all"
	grep -qx differs "$T/all" || fail "the table of causes is not found"
	sort -u "$T/named" | comm -13 - "$T/all" >"$T/without"
	[ ! -s "$T/without" ] || fail "without a case: $(tr '\n' ' ' <"$T/without")"
	EXPECT_ERRORS=1
}

e2e_explain_counts_only_the_same_cause() { # gcc
	local i
	for i in 1 2 3; do
		put "a$i.c" "int a$i;"
		put "t$i.c" "const char *t = __TIME__;"
		"$COFFER" gcc -c "a$i.c"
		"$COFFER" gcc -c "t$i.c"
		"$COFFER" gcc -c --new-option=x/y "a$i.c" 2>/dev/null
	done
	"$COFFER" gcc -O1 -c a1.c
	"$COFFER" gcc -O1 -c a2.c
	"$COFFER" gcc -O2 -c a3.c
	at_rest
	[ "$("$COFFER" explain a1.c --json | jq .same_cause)" = 1 ] || fail "-O1 is new in two compiles: $("$COFFER" explain a1.c)"
	[ "$("$COFFER" explain a3.c --json | jq .same_cause)" = 0 ] || fail "-O2 is new in one compile: $("$COFFER" explain a3.c)"
	[ "$("$COFFER" explain t1.c --json | jq .same_cause)" = 0 ] || fail "each source uses the time by itself: $("$COFFER" explain t1.c)"
}

# A terminal obeys what is printed to it.
e2e_explain_prints_no_escape_sequences() { # gcc
	local name=$'x\e[31m\x07.c'
	put "$name" 'int a;'
	"$COFFER" gcc -c "$name" -o a.o
	put "$name" $'int a; // \e]0;title\x07'
	"$COFFER" gcc $'-DX=\e[1m' -c "$name" -o a.o
	at_rest
	"$COFFER" explain "$name" >said || fail "nothing is explained"
	! grep -q $'[\e\x07]' said || fail "escapes: $(cat -v said)"
	put "$name" $'int b; // \e]0;title\x07'
	"$COFFER" gcc $'-DX=\e[1m' -c "$name" -o a.o
	"$COFFER" explain "$name" >said
	! grep -q $'[\e\x07]' said || fail "escapes: $(cat -v said)"
}
