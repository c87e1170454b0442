#!/bin/sh
# The verbs for developers, through the launcher: what they print, what they refuse, and with which exit status they end.
# usage: tests/e2e/verbs.sh [BUILD_FOLDER]   (default: $COFFER_BUILD, else build/release)
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "${1:-${COFFER_BUILD:-$top/build/release}}" && pwd) || exit 2
work=$(mktemp -d "${TMPDIR:-/tmp}/coffer-verbs-XXXXXX") || exit 2
trap 'run coffer stop >/dev/null 2>&1; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP

failures=0
home=$work/home
cache=$home/.cache/coffer
runtime=$work/run
conf=$home/.config/coffer/coffer.conf
mkdir -p "$home/.config/coffer" "$work/tree/src"
cd "$work/tree" || exit 2

# A fixed environment; NAME=value words come first.
run() {
	env -i PATH="$build:/usr/bin:/bin" HOME="$home" COFFER_RUNTIME_DIR="$runtime" LC_ALL=C TERM=xterm "$@"
}

# check CLAIM STATUS COMMAND...: leaves stdout in $out and stderr in $errs.
check() {
	claim=$1
	want=$2
	shift 2
	run "$@" >"$work/out" 2>"$work/errs"
	got=$?
	out=$(cat "$work/out")
	errs=$(cat "$work/errs")
	if [ "$got" = "$want" ]; then
		echo "ok      $claim"
	else
		fail "ended with $got instead of $want"
	fi
}

fail() {
	failures=$((failures + 1))
	echo "FAILED  $claim: $1"
	printf '%s\n%s\n' "$out" "$errs" | head -20 | sed 's/^/        | /'
}

# has TEXT PATTERN: the text of the last command has a line that matches.
has() {
	printf '%s\n' "$1" | grep -q -e "$2" || fail "no line matches '$2'"
}

lacks() {
	! printf '%s\n' "$1" | grep -q -e "$2" || fail "a line matches '$2'"
}

is_json() {
	printf '%s\n' "$out" | python3 -c 'import json, sys; json.load(sys.stdin)' 2>/dev/null || fail "this is not JSON"
}

tab=$(printf '\t')

# ---- help ----
check "help lists every verb" 0 coffer help
for verb in stats explain config cache doctor status stop help version; do
	has "$out" "^  $verb "
done
check "--help is help" 0 coffer --help
has "$out" '^usage: coffer'
check "-h is help" 0 coffer -h
has "$out" '^usage: coffer'
check "no word at all is help" 0 coffer
has "$out" '^usage: coffer'
check "--version names the version" 0 coffer --version
has "$out" '^coffer [0-9]'
check "version names the version" 0 coffer version
has "$out" '^coffer [0-9]'
for verb in stats explain config cache doctor status stop help version; do
	check "$verb has --help" 0 coffer "$verb" --help
	has "$out" "^usage: coffer $verb"
	check "$verb has -h" 0 coffer "$verb" -h
	has "$out" "^usage: coffer $verb"
	check "help $verb says the same" 0 coffer help "$verb"
	has "$out" "^usage: coffer $verb"
	check "$verb refuses an unknown option" 2 coffer "$verb" --jsn
	has "$errs" '^coffer: .*--jsn'
	check "$verb refuses an unknown letter" 2 coffer "$verb" -Z
	has "$errs" '^coffer: '
done
check "help refuses an unknown verb" 2 coffer help stast
has "$errs" "^coffer: unknown verb 'stast'; did you mean 'stats'?"
check "an unknown option of coffer is refused" 2 coffer --verison
has "$errs" "did you mean 'version'?"
check "cofferd alone is refused" 2 cofferd
has "$errs" '^coffer: '
check "cofferd refuses an unknown verb" 2 cofferd staats
has "$errs" '^coffer: '
check "an extra word is refused" 2 coffer stats now
has "$errs" "^coffer: stats: unexpected word 'now'"
check "a full disk behind stdout is a failure" 1 sh -c 'coffer help >/dev/full'
has "$errs" '^coffer: cannot write to standard output'

# ---- config ----
check "config shows defaults" 0 coffer config
has "$out" '^max_size  *10G  *default$'
check "config --tsv has name, value, origin" 0 coffer config --tsv
has "$out" "^max_size${tab}10G${tab}default\$"
settings=$(printf '%s\n' "$out" | cut -f1)
check "config --json is JSON" 0 coffer config --json
is_json
check "two formats at once are refused" 2 coffer config --json --tsv
has "$errs" '^coffer: '

printf '# mine\nmax_size = 5G\n' >"$conf"
check "the user's file counts" 0 coffer config --tsv
has "$out" "^max_size${tab}5G${tab}$conf:2\$"
check "the environment wins over it" 0 COFFER_MAX_SIZE=6G coffer config --tsv
has "$out" "^max_size${tab}6G${tab}environment\$"
mkdir .git
printf 'extra_key = abi\n' >.coffer.conf
cd src || exit 2
check "the tree's file counts in its folders" 0 coffer config --tsv
has "$out" "^extra_key${tab}abi${tab}$work/tree/.coffer.conf:1\$"
printf 'max_size = 1G\n' >../.coffer.conf
check "a tree can't set what does harm" 1 coffer config
has "$errs" "^coffer: $work/tree/.coffer.conf:1: 'max_size' can't be set by a build tree"
rm ../.coffer.conf
cd .. || exit 2
printf 'max_size = 5G\ncompresion = 3\n' >"$conf"
check "a typo in a file is an error with its line" 1 coffer config
has "$errs" "^coffer: $conf:2: unknown setting 'compresion'; did you mean 'compression'?"
lacks "$out" '.'
check "a bad value is an error" 1 COFFER_CONFIG= COFFER_MAX_SIZE=big coffer config
has "$errs" "^coffer: COFFER_MAX_SIZE: 'max_size' can't be 'big'"
rm "$conf"
check "a field with a tab stays one field" 0 COFFER_EXTRA_KEY="a${tab}b" coffer config --tsv
has "$out" '^extra_key.a\\tb.environment$'

# ---- stats ----
check "stats work before there is a cache" 0 coffer stats
has "$out" 'all  *0$'
[ ! -e "$cache" ] || fail "stats made a cache folder"
check "stats --tsv has every counter" 0 coffer stats --tsv
for counter in compiles direct_hits misses not_cached not_cached_link not_cached_daemon_lost cache_bytes; do
	has "$out" "^$counter${tab}0\$"
done
has "$out" "^cache_limit_bytes${tab}10737418240\$"
check "stats --json is JSON" 0 coffer stats --json
is_json
mkdir -p "$cache" "$runtime"
chmod 700 "$runtime"
printf '...' >"$runtime/lost"
check "compiles that did not reach the daemon are counted" 0 coffer stats --tsv
has "$out" "^not_cached_daemon_lost${tab}3\$"
has "$out" "^not_cached${tab}3\$"
check "they are counted once" 0 coffer stats
has "$out" 'not cached  *3 .*100.0 %$'
has "$out" '^ *3  the daemon could not be reached'
lacks "$out" 'the command links'
check "no colour where there is no terminal" 0 coffer stats
lacks "$out" "$(printf '\033')"
check "stats --zero sets all to zero" 0 coffer stats --zero
check "and they are zero then" 0 coffer stats --tsv
has "$out" "^not_cached${tab}0\$"
check "stats refuse a bad setting" 1 COFFER_MAX_SIZE=big coffer stats
check "no HOME is an error that says what to do" 1 env -u HOME coffer stats
has "$errs" '^coffer: no cache folder is known: neither COFFER_CACHE_DIR nor HOME'
if command -v script >/dev/null; then
	check "colour on a terminal" 0 script -qec 'coffer stats' /dev/null
	has "$out" "$(printf '\033')"
	check "NO_COLOR turns it off" 0 NO_COLOR=1 script -qec 'coffer stats' /dev/null
	lacks "$out" "$(printf '\033')"
fi

# ---- cache ----
check "cache path names the folder" 0 coffer cache path
has "$out" "^$cache\$"
check "COFFER_CACHE_DIR names another" 0 COFFER_CACHE_DIR=/some/where coffer cache path
has "$out" '^/some/where$'
check "a relative one is refused" 1 COFFER_CACHE_DIR=where coffer cache path
has "$errs" "^coffer: COFFER_CACHE_DIR is 'where'"
check "cache needs a word" 2 coffer cache
check "cache refuses an unknown word" 2 coffer cache purge
has "$errs" "^coffer: cache: unknown word 'purge'"
for word in gc verify clear; do
	check "cache $word works on an empty cache" 0 coffer cache $word
	check "cache $word works without a cache" 0 COFFER_CACHE_DIR="$work/none" coffer cache $word
	[ ! -e "$work/none" ] || fail "it made a cache folder"
done

# ---- doctor ----
check "doctor finds nothing wrong" 0 coffer doctor
has "$out" '^0 problems, '
check "doctor --json is JSON" 0 coffer doctor --json
is_json
check "doctor tells of an unknown variable" 0 COFFER_MAXSIZE=5G coffer doctor
has "$out" '^coffer: warning: the variable COFFER_MAXSIZE means nothing'
has "$out" '^ *fix: did you mean COFFER_MAX_SIZE?'
check "doctor tells of a bad setting" 1 COFFER_MAX_SIZE=big coffer doctor
has "$out" '^coffer: problem: COFFER_MAX_SIZE'
has "$out" '^ *fix: '
chmod 755 "$runtime"
check "doctor tells of an open runtime folder" 1 coffer doctor
has "$out" "^ *fix: chmod 700 '$runtime'"
chmod 700 "$runtime"
chmod 777 "$cache"
check "doctor tells of an open cache folder" 1 coffer doctor
has "$out" "^ *fix: chmod 700 '$cache'"
chmod 700 "$cache"
check "doctor tells of a cache folder that can't be" 1 COFFER_CACHE_DIR=/proc/none coffer doctor
has "$out" '^coffer: problem: nothing can be written'
mkdir "$work/links" "$work/real"
ln -s "$build/coffer" "$work/links/gcc"
cp /bin/true "$work/real/gcc"
check "doctor knows a masquerade link" 0 PATH="$work/links:$work/real:$build:/usr/bin:/bin" coffer doctor
has "$out" "^ok  *gcc is '$work/links/gcc', a link to coffer, then '$work/real/gcc'"
check "doctor tells of a link that is never reached" 0 PATH="$work/real:$work/links:$build:/usr/bin:/bin" coffer doctor
has "$out" '^coffer: warning: .*never reached'
check "doctor tells of a link with no compiler behind" 1 PATH="$work/links:$build" coffer doctor
has "$out" '^coffer: problem: .*no real gcc'
ln -sf /nowhere/gcc "$work/real/gcc"
check "doctor tells of a broken link" 0 PATH="$work/real:$build:/usr/bin:/bin" coffer doctor
has "$out" '^coffer: warning: .*a link to nothing'
cp /bin/true "$work/ccache"
ln -sf "$work/ccache" "$work/real/gcc"
check "doctor tells of ccache" 0 PATH="$work/real:$build:/usr/bin:/bin" coffer doctor
has "$out" '^coffer: warning: gcc is .*a link to ccache'
check "doctor tells of two caches in CC" 0 CC='ccache coffer gcc' coffer doctor
has "$out" '^coffer: warning: CC names both ccache and coffer'
check "doctor tells of a jobserver that is closed" 0 MAKEFLAGS=' -j4 --jobserver-auth=77,78' coffer doctor
has "$out" '^coffer: warning: MAKEFLAGS names a jobserver'
check "doctor tells of few descriptors" 1 sh -c 'ulimit -n 100; exec coffer doctor'
has "$out" '^ *fix: ulimit -n'

# ---- status and stop ----
check "status without a daemon is no failure" 0 coffer status
has "$out" '^no daemon is running$'
check "stop without a daemon is no failure" 0 coffer stop
has "$out" '^no daemon is running$'
echo 'int x;' >x.c
check "a compile starts the daemon" 0 coffer gcc -c x.c
check "status shows it" 0 coffer status
has "$out" '^coffer [0-9.]*, daemon [0-9]*, [01] compiles\{0,1\} under way$'
has "$out" '^  this machine  0 of [0-9]* cores* at work, 0 waiting$'
has "$out" "^  settings      none: there is no '$conf'\$"
check "a daemon of other settings" 0 env COFFER_CONFIG=/dev/null COFFER_CACHE_DIR="$work/other" coffer gcc -c x.c
check "status tells that there is another one" 0 coffer status
has "$out" '^  one more      a daemon of other settings or another cache: pid [0-9]*, '
check "and so does the other one" 0 env COFFER_CONFIG=/dev/null COFFER_CACHE_DIR="$work/other" coffer status
has "$out" '^  settings      /dev/null$'
has "$out" '^  one more      a daemon of other'
check "the other one ends" 0 env COFFER_CONFIG=/dev/null COFFER_CACHE_DIR="$work/other" coffer stop
check "status for programs" 0 coffer status --json
has "$out" '^  "running": true,$'
has "$out" '^  "farms": \[\],*$'
check "status again and again, elsewhere than on a terminal, until ^C" 0 timeout --preserve-status -s INT 3 coffer status --watch --interval 300ms
[ "$(grep -c '^coffer ' "$work/out")" -ge 2 ] || fail "it was shown once"
! grep -q "$(printf '\033')" "$work/out" || fail "there are escapes in it"
check "the same for programs" 0 timeout --preserve-status -s INT 2 coffer status --watch --interval 0.2 --json
has "$out" '^{"running":true,'
if command -v script >/dev/null; then
	check "on a terminal it shows it in its place, and gives the screen back at the end" 0 script -qec \
		"timeout --preserve-status --foreground -s INT 3 coffer status --watch --interval 300ms" /dev/null
	tr '\033' '@' <"$work/out" >"$work/screen"
	[ "$(grep -o '@\[?1049[hl]' "$work/screen" | tr -d '\n')" = '@[?1049h@[?1049l' ] || fail "the screen is not given back"
	[ "$(grep -o '@\[?25[hl]' "$work/screen" | tail -1)" = '@[?25h' ] || fail "the cursor is not given back"
	[ "$(grep -o '@\[H' "$work/screen" | wc -l)" -ge 2 ] || fail "it was shown once"
fi
check "an interval that is none" 2 coffer status --watch --interval soon
has "$errs" "takes a time from 100ms to 1h, not 'soon'"
check "an interval without --watch" 2 coffer status --interval 1s
check "an interval without its value" 2 coffer status --watch --interval
has "$errs" "option '--interval' needs a value"
check "doctor finds it" 0 coffer doctor
has "$out" '^ok  *the daemon answers'
check "a compile more" 0 coffer gcc -c x.c
check "the compiles are counted" 0 coffer stats --tsv
has "$out" "^compiles${tab}2\$"
has "$out" "^cache_bytes${tab}[1-9]"
check "cache verify finds them sound" 0 coffer cache verify
has "$out" '^  results  *1 '
blob=$(find "$cache/v1/result" -type f | head -1)
printf 'torn' | dd of="$blob" bs=1 seek=40 conv=notrunc 2>/dev/null
check "cache verify removes a corrupt one and says so" 1 coffer cache verify
has "$out" '^corrupt and removed: 1$'
[ ! -e "$blob" ] || fail "the corrupt blob is still there"
check "after that all is sound" 0 coffer cache verify
check "the compile is a miss again, and stored" 0 coffer gcc -c x.c
check "cache clear removes them" 0 coffer cache clear
has "$out" '^  results  *1 '
check "stop ends the daemon" 0 coffer stop
has "$out" '^the daemon has ended$'
check "it has gone" 0 coffer status
has "$out" '^no daemon is running$'

# ---- what is written about all this ----
claim="the manual and the completions know every setting"
out=
errs=
for setting in $settings; do
	grep -q "^\.It Sy $setting\$" "$top/man/coffer.conf.5" || fail "coffer.conf.5 lacks $setting"
	grep -qw "$setting" "$top/completion/coffer.bash" || fail "coffer.bash lacks $setting"
	grep -qw "$setting" "$top/completion/_coffer" || fail "_coffer lacks $setting"
	variable=COFFER_$(printf '%s' "$setting" | tr '[:lower:]' '[:upper:]')
	grep -q "$variable" "$top/man/coffer.conf.5" || fail "coffer.conf.5 lacks $variable"
done
echo "ok      $claim"
claim="the manual and the completions know every verb"
for verb in $(run coffer help | sed -n 's/^  \([a-z]*\)  .*/\1/p'); do
	grep -q "^\.Ic $verb\|^\.It Ic $verb" "$top/man/coffer.1" || fail "coffer.1 lacks $verb"
	grep -qw "$verb" "$top/completion/coffer.bash" || fail "coffer.bash lacks $verb"
	grep -qw "$verb" "$top/completion/_coffer" || fail "_coffer lacks $verb"
done
echo "ok      $claim"
check "bash completes a setting" 0 bash -c ". '$top/completion/coffer.bash'
	COMP_WORDS=(coffer --set max_s) COMP_CWORD=2; _coffer 2>/dev/null; echo \"\${COMPREPLY[*]}\""
has "$out" '^max_size=$'
check "bash completes a verb's option" 0 bash -c ". '$top/completion/coffer.bash'
	COMP_WORDS=(coffer --set recache = on stats --t) COMP_CWORD=6; _coffer 2>/dev/null; echo \"\${COMPREPLY[*]}\""
has "$out" '^--tsv$'
claim="bash completes each value of a setting that takes one of a few"
errs=
sed -nE 's/^SETTING\(([a-z_]*), VALUE_BOOL,.*/\1 on off/p
	s/^SETTING\(([a-z_]*), VALUE_CHOICE, "[^"]*", 0, 0, "([^"]*)".*/\1 \2/p' "$top/client/wire/settings.def" | tr '|' ' ' >"$work/choices"
[ "$(wc -l <"$work/choices")" -gt 10 ] || fail "too few settings of that kind are found"
while read -r setting values; do
	out=$(run bash -c ". '$top/completion/coffer.bash'
		COMP_WORDS=(coffer --set $setting = '') COMP_CWORD=4; _coffer 2>/dev/null; echo \"\${COMPREPLY[*]}\"")
	[ "$out" = "$values" ] || fail "$setting takes $values"
done <"$work/choices"
echo "ok      $claim"
claim="bash completes each option that a verb's help names"
run coffer worker --help | grep -o '^  --[a-z-]*' >"$work/options"
[ "$(wc -l <"$work/options")" -gt 60 ] || fail "too few options of a worker"
for verb in $(run coffer help | sed -n 's/^  \([a-z]*\)  .*/\1/p'); do
	out=$(run bash -c ". '$top/completion/coffer.bash'
		COMP_WORDS=(coffer $verb --) COMP_CWORD=2; _coffer 2>/dev/null; printf '%s\\n' \"\${COMPREPLY[@]}\"")
	for option in $(run coffer "$verb" --help | grep -oE '^ +--[a-z-]+' | sort -u); do
		printf '%s\n' "$out" | grep -qxF -e "$option" || fail "$verb lacks $option"
	done
done
echo "ok      $claim"
if command -v zsh >/dev/null; then
	check "the zsh completion has no slip" 0 zsh -n "$top/completion/_coffer"
fi
if command -v mandoc >/dev/null; then
	claim="the manuals are sound"
	for page in coffer.1 coffer.conf.5 cofferd.8; do
		out=$(mandoc -Tlint -Wwarning "$top/man/$page") || fail "$page"
	done
	echo "ok      $claim"
fi

echo "$failures failed"
[ "$failures" = 0 ]
