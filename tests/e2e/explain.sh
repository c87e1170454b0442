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
