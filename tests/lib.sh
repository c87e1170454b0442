# What every end-to-end test uses. tests/run sources it in a fresh process, in the empty build tree $P below the test's
# own folder $T, with a daemon and a cache of its own. README.md says how a test is written.
# shellcheck shell=bash
set -u

# ---- verdicts -------------------------------------------------------------------------------------------------------

# Says what is wrong and ends the test, also from a subshell.
fail()
{
	printf 'FAILED: %s\n' "$*"
	: >"$T/failed"
	exit 1
}

# Ends the test where something it needs is not there.
skip()
{
	printf '%s\n' "$*" >"$T/skipped"
	exit 0
}

need()
{
	local program
	for program; do
		command -v "$program" >/dev/null || skip "$program is not installed"
	done
}

need_root()
{
	[ "$(id -u)" = 0 ] || skip "needs root"
}

is_gcc() { [ "$CC" = gcc ]; }
is_clang() { [ "$CC" = clang ]; }

# Whether the plain compiler takes these arguments.
compiler_takes()
{
	echo 'int x;' >"$T/probe.c"
	"$CC" "$@" -c "$T/probe.c" -o "$T/probe.o" 2>/dev/null >&2
}

# ---- files ----------------------------------------------------------------------------------------------------------

# put FILE LINE...: writes the lines, or standard input where there are none. Makes the folder.
put()
{
	mkdir -p -- "$(dirname -- "$1")"
	if [ $# -gt 1 ]; then
		printf '%s\n' "${@:2}" >"$1"
	else
		cat >"$1"
	fi
}

# A source that keeps the compiler busy for about N/250 seconds at -O2.
slow_source()
{
	local i
	for ((i = 0; i < $2; i++)); do
		echo "int slow_$i(int a,int b){int s=0;for(int i=0;i<a;i++){s+=i*b^$i;if(s>$i)s-=b;}return s;}"
	done >"$1"
}

# package_sources PACKAGE: the sources of a package as the distribution has them, unpacked here. They are fetched once, into a folder
# beside the builds.
package_sources()
{
	local folder=${COFFER_TEST_SOURCES:-$TESTS/../build/sources} archive
	mkdir -p "$folder"
	archive=$(find "$folder" -name "$1_*.orig.tar.*" ! -name '*.asc' | head -1)
	if [ -z "$archive" ]; then
		need apt-get
		mkdir -p "$T/apt/lists/partial" "$T/apt/archives/partial"
		# shellcheck disable=SC1091
		echo "deb-src http://deb.debian.org/debian $(. /etc/os-release && echo "$VERSION_CODENAME") main" >"$T/apt/sources.list"
		set -- "$1" -qq -o Dir::Etc::sourcelist="$T/apt/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$T/apt/lists" \
			-o Dir::Cache="$T/apt" -o Acquire::Retries=0
		(cd "$T" && timeout 40 apt-get "${@:2}" update && timeout 20 apt-get "${@:2}" --download-only source "$1") >"$T/apt.log" 2>&1
		archive=$(find "$T" -maxdepth 1 -name "$1_*.orig.tar.*" ! -name '*.asc' | head -1)
		[ -n "$archive" ] || skip "the sources of $1 can't be had: $(tail -1 "$T/apt.log")"
		cp "$archive" "$folder/"
	fi
	tar xf "$archive" --strip-components=1
}

# in_dir FOLDER CMD...: runs a command of these tests in another folder.
in_dir()
{
	(cd "$1" && "${@:2}")
	local status=$?
	[ ! -e "$T/failed" ] || exit 1
	return $status
}

# generated_project N [FOLDER]: a makefile and N small sources with headers of their own and shared ones. FLAGS go to the
# compiler; WRAP stands before it.
generated_project()
{
	local i dir=${2:-.}
	mkdir -p "$dir/src" "$dir/inc"
	for ((i = 1; i <= $1; i++)); do
		printf '%s\n' '#include "common.h"' "#include \"h$((i % 20)).h\"" "int u$i(int x)" '{' \
			" return x * $i + h$((i % 20))(x) + COMMON;" '}' "const char *file_$i(void) { return __FILE__; }" >"$dir/src/u$i.c"
	done
	for ((i = 0; i < 20; i++)); do
		echo "static inline int h$i(int x) { return x + $i; }" >"$dir/inc/h$i.h"
	done
	echo '#define COMMON 7' >"$dir/inc/common.h"
	put "$dir/Makefile" <<'END'
OBJ := $(patsubst src/%.c,out/%.o,$(wildcard src/*.c))
all: $(OBJ)
out/%.o: src/%.c | out
	@$(WRAP) $(CC) $(FLAGS) -Iinc -MMD -MP -c $< -o $@
out:
	@mkdir $@
-include $(OBJ:.o=.d)
END
}

# same_file A B
same_file()
{
	cmp -- "$1" "$2" || fail "'$1' and '$2' differ"
}

has_text()
{
	grep -qF -e "$2" -- "$1" || fail "'$1' lacks '$2': $(head -c 2000 "$1")"
}

lacks_text()
{
	! grep -qF -e "$2" -- "$1" || fail "'$1' has '$2': $(head -c 2000 "$1")"
}

# Waits for a condition (a shell command) for some seconds.
wait_until()
{
	local seconds=$1 end=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000))
	shift
	until eval "$*"; do
		[ "${EPOCHREALTIME/[.,]/}" -lt $end ] || { echo "not within $seconds s: $*"; return 1; }
		sleep 0.02
	done
}

# Prints a port that nobody listens on. It is none of those that the kernel gives to whoever asks for any, or connects: a program that
# is started with it some seconds later finds it free, whatever else the machine does.
free_port()
{
	local first port
	read -r first _ </proc/sys/net/ipv4/ip_local_port_range
	[ "$first" -ge 20000 ] || first=60000
	while true; do
		port=$((10000 + SRANDOM % (first - 10000)))
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
	done
	echo "$port"
}

# The clock in milliseconds.
now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }

# ---- counters -------------------------------------------------------------------------------------------------------

declare -A counters_before counters_after

coffer() { "$COFFER" "$@"; }

# Reads all counters into the associative array of that name, as `coffer stats --tsv` does.
read_counters()
{
	local -n counters=$1
	local name value
	counters=()
	while IFS=$'\t' read -r name value; do
		counters[$name]=$value
	done < <("$COFFER_BUILD/programs/counters")
	[ -n "${counters[compiles]:-}" ] || fail "there is no counter 'compiles'"
}

# Prints one counter.
counter() { "$COFFER_BUILD/programs/counters" "$1" || fail "there is no counter '$1'"; }

# How far a counter went up during the last command.
grown() { echo $((${counters_after[$1]:-0} - ${counters_before[$1]:-0})); }

# All counters of events that went up, for messages.
all_grown()
{
	local name
	for name in "${!counters_after[@]}"; do
		case $name in *_us | *bytes* | zeroed_at) continue ;; esac
		((counters_after[$name] == ${counters_before[$name]:-0})) ||
			printf ' %s+%s' "$name" $((counters_after[$name] - ${counters_before[$name]:-0}))
	done
}

# A daemon stores what a worker has made after the launcher has ended: waits until each compile's outcome is counted, which is the
# last of its counters; they are in counters_after then. A compile whose daemon was killed has none: it is not waited for any longer.
settle()
{
	local open name end=$((${EPOCHREALTIME/[.,]/} + 5000000))
	while true; do
		read_counters counters_after
		open=$((counters_after[compiles] - ${counters_before[compiles]:-0}))
		for name in "${!counters_after[@]}"; do
			case $name in
			direct_hits | preprocessed_hits | misses | not_cached_*)
				open=$((open - counters_after[$name] + ${counters_before[$name]:-0}))
				;;
			esac
		done
		[ $open -gt 0 ] && [ "${EPOCHREALTIME/[.,]/}" -lt $end ] || return 0
		sleep 0.02
	done
}

# Waits until the daemon is at no compile: behind its answers it writes its journal, keeps copies and compares texts.
at_rest()
{
	wait_until 20 '"$COFFER" status --json | grep -qE "\"(jobs\": 0|running\": false),"' || fail "the daemon is still at work: $("$COFFER" status)"
}

# texts_known N: waits until as many texts are kept for later compiles.
texts_known() { wait_until 20 '[ "$(counter text_runs)" -ge '"$1"' ]' || fail "$(counter text_runs) of $1 texts are known"; }

# The last command's outcome in the counters. What may be expected:
#   hit           taken from the cache by its inputs' digests
#   preprocessed  taken from the cache since the inputs differ only in comments
#   served        either of the two
#   miss          looked up, compiled, stored
#   changed       anything but a direct hit
#   handled       a hit, or a counted reason why it can't be one, or a wrapper that was followed
#   any           anything
#   REASON        not cached, for that reason of reasons.def (several with '|' between them)
judge()
{
	local direct preprocessed outcome reason
	[ "$1" != any ] || return 0
	direct=$(grown direct_hits)
	preprocessed=$(grown preprocessed_hits)
	case $1 in
	hit) [ "$direct" = 1 ] ;;
	preprocessed) [ "$preprocessed" = 1 ] ;;
	served) [ $((direct + preprocessed)) = 1 ] ;;
	miss) [ "$(grown misses)" = 1 ] && [ $((direct + preprocessed)) = 0 ] && [ "$(grown stored)" -ge 1 ] ;;
	changed) [ "$direct" = 0 ] && [ "$(grown compiles)" = 1 ] ;;
	handled) [ $((direct + preprocessed)) = 1 ] || [ "$(grown not_cached)" = 1 ] || [ "$(grown followed)" -ge 1 ] ;;
	*)
		outcome=1
		for reason in ${1//|/ }; do
			[ -n "${counters_after[not_cached_$reason]:-}" ] || fail "there is no reason '$reason'"
			[ "$(grown "not_cached_$reason")" != 1 ] || outcome=0
		done
		return $outcome
		;;
	esac
}

# counted EXPECTED CMD...: runs a command (a shell function, too) and looks at nothing but the counters.
counted()
{
	local expected=$1
	shift
	read_counters counters_before
	"$@"
	local status=$?
	settle
	judge "$expected" || fail "expected $expected, but counted:$(all_grown): $*"
	return $status
}

# ---- the comparison with the plain compiler -------------------------------------------------------------------------

# A test does this some dozens of times: it pays to start few programs here.

# Every file of the build tree in a line, in no order: name, type, mode, target of a link; with -i also what tells a changed file.
tree_list()
{
	local identity=
	[ "${1:-}" != -i ] || identity='\001%i\001%C@'
	find "$P" -mindepth 1 -path "$P/.git" -prune -o -type d -printf '%P\001d\001%m\n' -o \
		-printf "%P\\001%y\\001%m\\001%l$identity\\n"
}

# lines_only_in A B: puts the lines of file A that file B lacks into the array `lines`.
lines_only_in()
{
	local line list
	local -A known=()
	mapfile -t list <"$2"
	for line in "${list[@]}"; do known["=$line"]=1; done
	mapfile -t list <"$1"
	lines=()
	for line in "${list[@]}"; do
		[ -n "${known["=$line"]:-}" ] || lines+=("$line")
	done
}

tree_save()
{
	rm -rf "$T/saved"
	cp -a "$P" "$T/saved"
	tree_list -i >"$T/saved.list"
}

# Puts the tree back as it was at tree_save. What did not change stays the same file; hard links stay hard links.
tree_restore()
{
	local lines
	tree_list -i >"$T/now.list"
	lines_only_in "$T/now.list" "$T/saved.list"
	lines=("${lines[@]%%$'\001'*}")
	[ ${#lines[@]} = 0 ] || (cd "$P" && exec rm -rf -- "${lines[@]/#/./}")
	lines_only_in "$T/saved.list" "$T/now.list"
	lines=("${lines[@]%%$'\001'*}")
	[ ${#lines[@]} = 0 ] || (cd "$T/saved" && exec cp -a --parents -- "${lines[@]/#/./}" "$P")
}

# run_into DIR CMD...: messages and exit status go to DIR. Standard input comes from the file $STDIN. Random names of the
# compiler's temp files are made equal, and what else the sed script $NORMALIZE does.
run_into()
{
	local dir=$1
	shift
	[ -d "$dir" ] || mkdir -p "$dir"
	"$@" <"${STDIN:-/dev/null}" >"$dir/stdout" 2>"$dir/stderr"
	echo $? >"$dir/status"
	[ -s "$dir/stdout" ] || [ -s "$dir/stderr" ] || return 0
	if [ -n "${NORMALIZE:-}" ] || grep -qsF "$TMPDIR/" "$dir/stdout" "$dir/stderr"; then
		sed -E -i "s,$TMPDIR/(cc[A-Za-z0-9]{6}|[^/ ]*-[0-9a-f]{6}\\.),$TMPDIR/ccXXXXXX,g;${NORMALIZE:-}" \
			"$dir/stdout" "$dir/stderr"
	fi
}

# The root of the build tree above the current folder, as coffer finds it.
tree_root()
{
	local dir=$PWD
	while [ "$dir" != / ]; do
		for mark in .git .hg .svn .jj; do
			[ ! -e "$dir/$mark" ] || { echo "$dir"; return; }
		done
		dir=$(dirname "$dir")
	done
	echo "$PWD"
}

# What coffer's compile must be equal to goes to command_line: the plain command, or with COFFER_REPRODUCIBLE=on the plain
# command with the options that this setting stands for (docs/reproducible.md).
plain_command()
{
	command_line=("$@")
	if [ "$COFFER_REPRODUCIBLE" = on ]; then
		mapfile -t options < <(reproducible_options "$@")
		command_line=("$1" "${options[@]}" "${@:2}")
	fi
}

# As `any`, `macros`, `debug` and `below` of the caller say.
map_options()
{
	local up
	if [ -n "$below" ]; then
		up=$(sed 's,[^/]*,..,g' <<<"$below")/
		[ -z "$macros" ] || echo "-fmacro-prefix-map=$1/=./"
		case $compiler:$relative in
		*clang*:) echo "-fdebug-prefix-map=$1/=./" ;;
		*clang*) echo "-fdebug-prefix-map=$1/=$up" ;;
		*)
			echo "-fdebug-prefix-map=$1/=$up"
			[ "${PWD#"$1"/}" = "$PWD" ] || printf '%s\n' "-fdebug-prefix-map=$PWD=./$below" "-fdebug-prefix-map=$PWD/=$up$below/"
			;;
		esac
		return
	fi
	[ -n "$any" ] || echo "-ffile-prefix-map=$1/=./"
	[ -z "$any" ] || [ -z "$macros" ] || echo "-fmacro-prefix-map=$1/=./"
	[ -z "$any" ] || [ -z "$debug" ] || echo "-fdebug-prefix-map=$1/=./"
}

reproducible_options()
{
	local word source= kind= seed= root tree old any= macros=1 debug=1 below= relative= before= compiler=${1##*/}
	root=$(tree_root)
	tree=$(realpath "$root")
	# Nothing is mapped of what is measured, nor where a map of the user's own is for a directory above the tree; and nothing
	# that a map of the user's own for the tree itself maps; nor names in debug information where the user renames the directory.
	for word; do
		case $word in
		--coverage | -coverage | -ftest-coverage | -fprofile-arcs | -fprofile-generate* | -fprofile-instr-generate* | -fcoverage-mapping | -fc*-coverage | -fpath-coverage) return ;;
		-fdebug-compilation-dir* | -ffile-compilation-dir*) debug='' any=1 ;;
		-f*-prefix-map=*)
			any=1
			old=${word#*=}
			case $old in /*) old=$(realpath -ms "${old%%=*}") ;; *) continue ;; esac
			case $root/ in
			"${old%/}"/) ;;
			"${old%/}"/*) return ;;
			*)
				case $word:$PWD/ in -f[fd][ie]*:"${old%/}"/*) debug='' ;; esac
				[ "$old" = "$tree" ] || continue
				;;
			esac
			case $word in
			-ffile-*) macros='' debug='' ;;
			-fmacro-*) macros='' ;;
			-fdebug-*) debug='' ;;
			esac
			;;
		esac
	done
	# Names in debug information that is made below the tree's root.
	for word; do
		case $word in
		-g | -g[123] | -ggdb* | -gdwarf* | -gline*) [ -z "$debug" ] || [ "$PWD" = "$root" ] || below=${PWD#"$root/"} ;;
		-I/* | -isystem/*) ;;
		-I?* | [!-/]*.c | [!-/]*.cc | [!-/]*.[Ss] | [!-/]*.cpp) [ "$before" = -o ] || relative=1 ;;
		esac
		before=$word
	done
	case "$compiler $*" in *clang*-gsplit-dwarf*) below= ;; esac
	if [ "$tree" != "$root" ]; then
		map_options "$tree"
		[ "$PWD" != "$tree" ] || [ -z "$debug" ] || echo "-fdebug-prefix-map=$tree=."
	fi
	map_options "$root"
	case $compiler:${below:+below}:$relative in
	*clang*:below:) echo -fdebug-compilation-dir=. ;;
	*clang*:below:*) echo "-fdebug-compilation-dir=./$below" ;;
	esac
	[ "$PWD" != "$root" ] || [ -z "$debug" ] || echo "-fdebug-prefix-map=$root=."
	for word; do
		case $word in
		-frandom-seed*) return ;;
		-flto* | --coverage | -coverage | -ftest-coverage | -fprofile-arcs) seed=1 ;;
		-x*++* | c++*) kind=c++ ;;
		-*) ;;
		*.cc | *.cpp | *.cxx | *.C | *.mm | *.ii) source=$word kind=c++ ;;
		*.c | *.m | *.i | *.S | *.s) source=$word ;;
		esac
	done
	case ${1##*/} in
	*clang*) return ;;
	*g++* | c++) kind=c++ ;;
	esac
	[ -z "$source" ] || [ -z "$seed$kind" ] || {
		source=$(realpath -ms "$source")
		echo "-frandom-seed=${source#"$root/"}"
	}
}

# Compares what the last command left with what the plain one had left: every file of the tree with its mode, both
# streams, the exit status. Of files that match $IGNORE, which the compiler writes differently each time, only names and
# modes count.
tree_compare()
{
	local bad= file lines
	diff -rq -x tree -x list -x diff "$T/plain" "$T/got" >/dev/null || for file in status stdout stderr; do
		cmp -s "$T/plain/$file" "$T/got/$file" || {
			bad=1
			echo "$file differs (- plain, + coffer)"
			diff -u "$T/plain/$file" "$T/got/$file" | tail -n +3 | grep '^[-+]' | head -20
		}
	done
	tree_list >"$T/got/list"
	for file in plain:got:- got:plain:+; do
		IFS=: read -r -a file <<<"$file"
		lines_only_in "$T/${file[0]}/list" "$T/${file[1]}/list"
		[ ${#lines[@]} = 0 ] || {
			bad=1
			echo "files differ (- plain, + coffer)"
			printf "${file[2]}%s\n" "${lines[@]:0:20}" | tr '\001' ' '
		}
	done
	diff -r --no-dereference -x .git ${IGNORE:+-x "$IGNORE"} "$T/plain/tree" "$P" >"$T/got/diff" 2>&1 || {
		bad=1
		echo "files differ (< plain, > coffer)"
		head -20 "$T/got/diff"
	}
	[ -z "$bad" ]
}

# check EXPECTED CMD...: runs the command plainly, puts the tree back, runs it through coffer, compares, and looks at the
# counters. What coffer left stays.
check()
{
	local expected=$1 status command_line options
	shift
	tree_save
	rm -rf "$T/plain" "$T/got"
	plain_command "$@"
	run_into "$T/plain" "${command_line[@]}"
	tree_list >"$T/plain/list"
	cp -a "$P" "$T/plain/tree"
	tree_restore
	again "$expected" "$@"
	status=$(<"$T/got/status")
	return "$status"
}

# again EXPECTED CMD...: the coffer half of the last check once more.
again()
{
	local expected=$1
	shift
	read_counters counters_before
	run_into "$T/got" "$COFFER" "$@"
	settle
	tree_compare ||
		fail "not as the plain compiler, with reproducible=$COFFER_REPRODUCIBLE, counted:$(all_grown): $*"
	judge "$expected" ||
		fail "expected $expected with reproducible=$COFFER_REPRODUCIBLE, but counted:$(all_grown): $*"
}

expect_hit() { check hit "$@"; }
expect_preprocessed_hit() { check preprocessed "$@"; }
expect_served() { check served "$@"; }
expect_miss() { check miss "$@"; }
expect_changed() { check changed "$@"; }
expect_reason() { check "$@"; }

# twice FIRST SECOND CMD...: as the plain compiler, with and without the reproducible setting, cold and warm.
twice()
{
	local first=$1 second=$2 mode status=0
	shift 2
	for mode in ${MODES:-off on}; do
		COFFER_REPRODUCIBLE=$mode check "$first" "$@" || status=$?
		tree_restore
		COFFER_REPRODUCIBLE=$mode again "$second" "$@"
		[ "$mode" != off ] || [ "${MODES:-}" = off ] || tree_restore
	done
	return $status
}

# same CMD...: right when cold, and a hit when warm.
same() { twice any hit "$@"; }

# right CMD...: right when cold and when warm; whether it was cached is coffer's own affair, but it must be counted. Only
# without the reproducible setting, unless MODES says otherwise.
right() { MODES=${MODES:-off} twice any handled "$@"; }

# untouched REASON CMD...: right, and never cached, for that reason. Nothing is added to such a command.
untouched()
{
	local reason=$1
	shift
	MODES=off twice "$reason" "$reason" "$@"
}

# ---- processes ------------------------------------------------------------------------------------------------------

# Process ids of this test's daemons.
daemons()
{
	local exe pid
	for pid in $(leftovers); do
		exe=$(readlink "/proc/$pid/exe") || continue
		[ "${exe##*/}" != cofferd ] || ! grep -qzx daemon "/proc/$pid/cmdline" || echo "$pid"
	done
}

# Process ids that have this test's folder in their environment, arguments or mappings (the test's own shell, too).
leftovers()
{
	local file pid
	# By standard input, so that grep does not find itself.
	grep -lsF -f - /proc/[0-9]*/{environ,cmdline,maps} <<<"$T" | while read -r file; do
		pid=${file#/proc/}
		pid=${pid%%/*}
		[ ! -d "/proc/$pid" ] || echo "$pid"
	done | sort -un
}

# All processes below a process.
descendants()
{
	local child
	for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
		echo "$child"
		descendants "$child"
	done
}

# Process ids of the compilers below a launcher, which may also have started a daemon.
compilers_below()
{
	local pid name
	for pid in $(descendants "$1"); do
		name=$(cat "/proc/$pid/comm" 2>/dev/null)
		case $name in gcc | g++ | cc1 | cc1plus | as | clang | clang++) echo "$pid" ;; esac
	done
}

compiler_runs()
{
	wait_until 10 "[ -n \"\$(compilers_below $1)\" ]" || fail "no compiler is started"
}

# Ends this test's daemons as a user would.
stop_daemons()
{
	local mode
	for mode in off on; do
		COFFER_REPRODUCIBLE=$mode timeout 10 "$COFFER" stop >/dev/null 2>&1
	done
	wait_until 10 '[ -z "$(daemons)" ]'
}
