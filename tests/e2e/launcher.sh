#!/usr/bin/env bash
# The launcher with a daemon that a test commands (tests/fake_daemon.c) and a compiler that shows what it was given.
# Runs by itself or under tests/run. COFFER: the launcher to test, else it is built. NAME...: only these tests.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
top=$(mktemp -d "${TMPDIR:-/tmp}/coffer-launcher.XXXXXX") || exit 1
coffer_given=${COFFER:-}

# ---- what the tests need --------------------------------------------------------------------------------------------

build()
{
	local flags=(-std=c17 -O1 -g -D_GNU_SOURCE -DCOFFER_VERSION='"0.1.0"' -I"$here")
	local shared=("$here"/client/wire/{place,wire}.c "$here"/base/{buf,err,limits,mem}.c)
	gcc "${flags[@]}" -w "$here/tests/fake_daemon.c" "${shared[@]}" -o "$top/fake_daemon" || exit 1
	mkdir -p "$top/bin"
	if [ -n "$coffer_given" ]; then
		cp "$coffer_given" "$top/bin/coffer"
	else
		$(command -v musl-gcc || echo gcc) -static "${flags[@]}" -w "$here"/client/launcher/*.c "$here"/jobserver/client/*.c "${shared[@]}" \
			-o "$top/bin/coffer" || exit 1
	fi
	gcc "${flags[@]}" -w "$here/tests/fake_compiler.c" -o "$top/compiler" || exit 1
}

fail()
{
	printf 'FAILED: %s\n' "$*"
	exit 1
}

is()
{
	[ "$1" = "$2" ] || fail "${3:-it} is '$1' instead of '$2'"
}

# Text may have several lines.
holds() { [[ "$(tr -d '\0' <"$1" 2>/dev/null)"$'\n' == *"$2"* ]]; }
has() { holds "$1" "$2" || fail "'$1' lacks '$2': $(head -c 1000 "$1")"; }
lacks() { ! holds "$1" "$2" || fail "'$1' has '$2': $(head -c 1000 "$1")"; }

# The daemon's report may come after the launcher has ended.
reported()
{
	local text=$1
	wait_for 'holds report "$text"'
}

wait_for()
{
	local i
	for ((i = 0; i < 500; i++)); do
		! eval "$1" || return 0
		sleep 0.01
	done
	fail "not within 5 s: $1"
}

# daemon [--report FILE] MODE...: starts one for this test.
daemon()
{
	fake=$("$top/fake_daemon" "$@" 2>daemon.log) || fail "no daemon: $(cat daemon.log)"
	echo "$fake" >>"$T/fakes"
}

# run CMD...: status, out, err (files).
run()
{
	"$@" >out 2>err
	status=$?
}

# A fake daemon is the leader of the processes that serve its launchers.
end_daemons()
{
	local pid
	for pid in $(cat "$T/fakes" 2>/dev/null); do kill -KILL -- "-$pid" "$pid"; done 2>/dev/null
}

lost() { cat "$COFFER_CACHE_DIR"/run/lost 2>/dev/null | wc -c; }
compilers_left()
{
	local exe
	for exe in /proc/[0-9]*/exe; do
		[ "$(readlink "$exe")" != "$T/path/mycc" ] || return 0
	done
	return 1
}
# What a signal ends takes a moment; of itself it would go on for longer than is waited.
no_compilers_left() { wait_for '! compilers_left'; }
now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }

# A folder, an environment and a compiler `mycc` in PATH behind a link `linked` to coffer.
prepare()
{
	mkdir -p "$top/t/$1"/{home,work,path,links}
	cd "$top/t/$1/work" || exit 1
	T=$top/t/$1
	cp "$top/compiler" "$T/path/mycc"
	ln -s "$top/bin/coffer" "$T/links/mycc"
	unset "${!COFFER@}" XDG_RUNTIME_DIR XDG_CACHE_HOME XDG_CONFIG_HOME OLDPWD
	export HOME=$T/home COFFER_CACHE_DIR=$T/cache PATH=$T/path:$top/bin:/usr/local/bin:/usr/bin:/bin
}

# ---- what the daemon is told ----------------------------------------------------------------------------------------

t_job_says_what_the_user_typed()
{
	daemon echo
	(umask 027; run coffer --set recache=on --set=max_size=1G mycc -c 'a b' ''; is $status 0; mv out out1)
	has out1 'umask=27'
	has out1 "compiler=$T/path/mycc"
	has out1 $'argv=mycc\nargv=-c\nargv=a b\nargv=\nenv='
	has out1 $'set=recache=on\nset=max_size=1G'
	has out1 "cwd=$PWD"
	has out1 "dir=$((0x$(stat -c %D .) >> 8 << 8 | 0x$(stat -c %D .) & 255)):$(stat -c %i .)"
	has out1 'flags=0'
}

t_secrets_do_not_travel()
{
	daemon echo
	AWS_SECRET_ACCESS_KEY=a PATHOLOGY=b CPATH=/c LC_ALL=C GCC_COLORS=d CCACHE_X=e COFFER_ROOT=f HOMEX=g CPAT=h run coffer mycc
	for word in CPATH=/c LC_ALL=C GCC_COLORS=d COFFER_ROOT=f PATH= HOME=; do has out "env=$word"; done
	for word in AWS_ PATHOLOGY CCACHE_X HOMEX CPAT=; do lacks out "$word"; done
}

t_cwd_is_pwd_where_it_fits()
{
	daemon echo
	mkdir real; ln -s real link
	(cd link; run coffer mycc; has out "cwd=$T/work/link")
	(cd real; PWD=/nonsense; run coffer mycc; has out "cwd=$T/work/real")
	(cd real; PWD=../link; run coffer mycc; has out "cwd=$T/work/real")
	(cd real; PWD=/usr; run coffer mycc; has out "cwd=$T/work/real")
}

t_compiler_by_path_is_made_absolute()
{
	daemon echo
	cp "$top/compiler" other
	run coffer ./other
	has out "compiler=$T/work/./other"
	has out 'argv=./other'
	PATH=:$PATH run coffer other
	has out "compiler=$T/work/./other"
}

t_deleted_cwd_runs_the_compiler()
{
	daemon done 7 '' ''
	mkdir gone; cd gone; rmdir ../gone
	"$top/bin/coffer" mycc show >../out 2>../err
	is $? 0
	has ../out '[mycc][show]'
}

# ---- which compiler is run ------------------------------------------------------------------------------------------

t_exec_runs_the_original()
{
	daemon exec
	run coffer mycc show env print x exit 3
	is $status 3
	has out '[mycc][show][env]'
	has out 'COFFER_DEPTH=1'
	env | LC_ALL=C sort >plain_env
	grep = out | grep -v -e COFFER_DEPTH -e '^_=' | LC_ALL=C sort >got_env
	grep -v '^_=' plain_env | cmp - got_env || fail "the environment changed"
	is "$(lost)" 0
}

t_masquerade_gives_the_full_name()
{
	daemon exec
	PATH=$T/links:$PATH run mycc show
	has out "[$T/path/mycc][show]"
	PATH=$T/links:$PATH run coffer mycc show
	has out "[$T/path/mycc][show]"
	PATH=$T/links:$PATH run coffer "$T/links/mycc" show
	has out "[$T/path/mycc][show]"
	PATH=$T/path:$T/links run "$top/bin/coffer" mycc show
	has out "[mycc][show]"
}

t_other_copies_of_coffer_are_passed_over()
{
	daemon exec
	mkdir copy other
	cp "$top/bin/coffer" copy/coffer
	echo >>copy/coffer # another version
	ln -s ../copy/coffer other/mycc
	PATH=$PWD/other:$PATH run coffer mycc show
	has out "[$T/path/mycc][show]"
	rm other/mycc
	cp "$top/bin/coffer" other/mycc
	ln "$top/bin/coffer" "$top/$$.link"
	mkdir third
	mv "$top/$$.link" third/mycc
	for path in "$PWD/other:$PWD/third" "$PWD/third:$PWD/other"; do
		PATH=$path:$PATH run coffer mycc show
		has out "[$T/path/mycc][show]"
		PATH=$path:$PATH run mycc show
		has out "[$T/path/mycc][show]"
	done
	# Copies of another version that take each other for the compiler come to an end.
	echo >>other/mycc
	PATH=$PWD/other:$PWD/third run "$top/bin/coffer" mycc
	is $status 127
	has err 'and so on'
}

t_probes_of_the_daemon_are_told_not_to_ask_it()
{
	daemon echo
	COFFER_DEPTH=3 run coffer mycc
	has out 'env=COFFER_DEPTH=4'
	has out 'env=COFFER_DISABLE=1'
	lacks out 'env=COFFER_DEPTH=3'
}

t_coffer_twice_is_coffer()
{
	daemon echo
	run coffer coffer --set read_only=on "$top/bin/coffer" mycc x
	has out $'argv=mycc\nargv=x'
	has out 'set=read_only=on'
}

t_what_is_not_there_is_said()
{
	run coffer gccc -c x.c
	is $status 127
	has err "coffer: 'gccc' is neither a compiler in PATH nor a verb"
	is "$(wc -l <err)" 2
	ln -s "$top/bin/coffer" "$T/links/nocc"
	PATH=$T/links:$PATH run nocc
	is $status 127
	has err "cannot find the real 'nocc'"
	run coffer ./nothing
	is $status 127
	has err "cannot execute './nothing': No such file"
	run coffer ''
	is $status 127
	mkdir dir
	run coffer ./dir
	is $status 126
	echo x >"$T/path/plaincc"
	run coffer plaincc
	is $status 127
}

t_script_without_interpreter_runs()
{
	echo 'echo "script $0 $*"' >"$T/path/scc"
	chmod +x "$T/path/scc"
	for mode in exec run; do
		daemon $mode
		run coffer scc a 'b c'
		is $status 0
		has out "script $T/path/scc a b c"
		kill "$fake"
	done
}

t_loop_ends_with_a_message()
{
	daemon exec
	printf '#!/bin/sh\nexec coffer loopcc "$@"\n' >"$T/path/loopcc"
	chmod +x "$T/path/loopcc"
	run coffer loopcc
	is $status 127
	has err "and so on"
}

t_what_a_compiler_starts_is_not_cached_again()
{
	daemon --report report run
	printf '#!/bin/sh\nexec coffer mycc "$@"\n' >"$T/path/wrapcc"
	chmod +x "$T/path/wrapcc"
	run coffer wrapcc show
	has out '[mycc][show]'
	reported 'status=0'
	is "$(grep -c status= report)" 1
}

t_disabled_asks_nobody()
{
	daemon done 9 '' ''
	run coffer mycc; is $status 9
	for off in COFFER_DISABLE=1 COFFER_ENABLED=off COFFER_ENABLED=no; do
		run env $off coffer mycc show; is $status 0 "$off"; has out '[mycc]'
	done
	run coffer --set enabled=off mycc; is $status 0
	COFFER_ENABLED=off run coffer --set enabled=on mycc; is $status 9
	COFFER_DISABLE=0 run coffer mycc; is $status 9
}

t_without_a_home_the_compiler_runs()
{
	unset HOME COFFER_CACHE_DIR
	run coffer mycc show exit 4
	is $status 4
	HOME=relative run coffer mycc exit 5
	is $status 5
	[ ! -e relative ] || fail "a relative HOME was used"
}

# ---- DONE -----------------------------------------------------------------------------------------------------------

t_done_replays_messages_and_status()
{
	for mode in done done-file; do
		daemon $mode 5 "to out" "to err"
		run coffer mycc exit 1
		is $status 5 $mode
		is "$(cat out)" "to out"
		is "$(cat err)" "to err"
		# Where the messages can't be written only the compiler itself knows how it ends.
		coffer mycc exit 3 >&- 2>err; is $? 3
		coffer mycc exit 3 2>&- >out; is $? 3
		coffer mycc exit 3 2>&- >&- <&-; is $? 3
		coffer mycc exit 3 >/dev/full 2>err; is $? 3
		kill "$fake"
	done
}

t_done_waits_for_a_reader_that_does_not_block()
{
	head -c 3000000 /dev/zero | tr '\0' x >big
	daemon done-file 0 "$(head -c 100000 big)" ""
	# The reader makes the pipe non-blocking, which the writer shares.
	cat >reader.py <<'END'
import os, sys, time
os.set_blocking(1, False) if sys.argv[1] == "set" else None
END
	command -v python3 >/dev/null || return 0
	{ python3 reader.py set; coffer mycc; } | { sleep 0.3; cat; } >out
	is "$(wc -c <out)" 100000
}

# ---- RUN ------------------------------------------------------------------------------------------------------------

t_run_reports_what_happened()
{
	daemon --report report run add=say add=extra
	run coffer mycc print out1 say err1 print out2
	is $status 0
	is "$(cat out)" $'out1\nout2'
	is "$(cat err)" $'err1\nextra'
	reported $'status=0 overflow=0 has=0 fds=2\nstdout<<out1\nout2\n>>\nstderr<<err1\nextra\n>>'
	is "$(lost)" 0
}

t_run_passes_the_status_on()
{
	daemon --report report run
	run coffer mycc say no exit 3
	is $status 3
	reported 'status=300 overflow=0'
	for sig in 6 9 11 15; do
		(ulimit -c 0; "$top/bin/coffer" mycc die $sig; exit $?) 2>/dev/null
		is $? $((128 + sig))
		"$top/compiler" die $sig 2>/dev/null
	done
	reported 'status=9 '
	reported 'status=b '
}

t_run_gives_depfiles_in_memory()
{
	daemon --report report run add=depfile depfile= add=depfile asm=
	run coffer mycc
	is $status 0
	reported $'has=3 fds=4\nstdout<<>>\nstderr<<>>\nfile1<<x.o: x.c\n>>\nfile2<<x.o: x.c\n>>'
	# A jobserver at the very numbers stays what it is.
	run coffer mycc show 100<out 101<out
	has out '[depfile][/dev/fd/102][depfile][/dev/fd/103]'
}

t_run_needs_free_descriptors_or_runs_the_original()
{
	daemon --report report run add=depfile depfile=
	(ulimit -n 64; run coffer mycc show; is $status 0; is "$(cat out)" '[mycc][show]') || exit 1
	(ulimit -n 7; run coffer mycc show; is $status 0; is "$(cat out)" '[mycc][show]') || exit 1
	is "$(lost)" 2
}

t_run_marks_messages_that_are_too_long()
{
	daemon --report report run max=4
	run coffer mycc say 123
	reported 'overflow=0'
	run coffer mycc say 1234
	is "$(cat err)" 1234
	reported 'overflow=1'
}

t_hundred_megabytes_pass_in_bounded_memory()
{
	daemon --report report run max=100000
	# Neither the launcher nor its memory files can be large: the folder of a test has no such file, either.
	(ulimit -v 30000; coffer mycc flood 100 exit 3 2>&1 >/dev/null) | wc -c >count
	is "$(cat count)" 104857600
	reported 'overflow=1'
	is "$(wc -c <report | awk '{print ($1 < 200000)}')" 1
}

t_messages_come_while_the_compiler_runs()
{
	daemon run
	coffer mycc say early sleep 20000 2>err &
	local pid=$!
	wait_for 'holds err early'
	kill "$pid"
	wait "$pid"
	is $? 143
}

t_order_within_a_stream_is_kept()
{
	daemon run
	run coffer mycc print a say b print c
	coffer mycc print a sleep 50 say b sleep 50 print c >both 2>&1
	is "$(tr -d '\n' <both)" abc
}

t_compiler_gets_no_descriptor_of_ours()
{
	for mode in exec run run-die deaf; do
		daemon $mode
		run coffer mycc fds 7</dev/null
		cp err err1
		run "$top/compiler" fds 7</dev/null
		cmp err err1 || fail "$mode: the descriptors are $(cat err1)"
		kill "$fake"
	done
}

t_closed_descriptors_stay_closed()
{
	for mode in exec run; do
		daemon --report report $mode
		coffer mycc fds 2>err <&-; is $? 0; "$top/compiler" fds 2>err1 <&-; cmp err err1 || fail "$(cat err)"
		coffer mycc fds 2>err >&-; is $? 0; "$top/compiler" fds 2>err1 >&-; cmp err err1 || fail "$(cat err)"
		coffer mycc fds 2>err >&- <&-; is $? 0; "$top/compiler" fds 2>err1 >&- <&-; cmp err err1 || fail "$(cat err)"
		coffer mycc print yes 2>&- >out; is $? 0; is "$(cat out)" yes
		coffer mycc print yes 2>&- >&- <&-; is $? 0
		kill "$fake"
	done
	is "$(head -1 err)" 'fd 2'
	reported 'overflow=1'
}

t_signals_are_as_the_user_had_them()
{
	for mode in exec run; do
		daemon $mode
		(trap '' HUP PIPE CHLD; umask 031; run coffer mycc signals; cp err err1; run "$top/compiler" signals; cmp err err1) ||
			fail "$mode: differs: $(cat err1)"
		has err1 'signal 1 blocked 0 ignored 1'
		has err1 'umask 31'
		run coffer mycc signals; cp err err1; run "$top/compiler" signals
		cmp err err1 || fail "$mode: differs: $(cat err1)"
		kill "$fake"
	done
}

t_signal_reaches_the_compiler_and_ends_us()
{
	daemon --report report run
	for sig in INT TERM HUP QUIT USR1; do
		# Not as a job in the background, for which the shell ignores SIGINT.
		env --default-signal=INT,QUIT "$top/bin/coffer" mycc say ready sleep 20000 2>err &
		local pid=$! start
		start=$(now_ms)
		wait_for 'grep -q ready err'
		kill -$sig $pid
		wait $pid
		is $? $((128 + $(kill -l $sig))) "status after SIG$sig"
		[ $(($(now_ms) - start)) -lt 5000 ] || fail "SIG$sig came late"
	done
	no_compilers_left
}

t_signal_reaches_the_stages_of_the_compiler()
{
	daemon run
	coffer mycc below below say ready sleep 20000 2>err &
	local pid=$!
	wait_for 'grep -q ready err'
	kill -TERM $pid
	wait $pid
	is $? 143
	no_compilers_left
}

t_ignored_signal_is_not_passed_on()
{
	daemon run
	(trap '' HUP; exec coffer mycc say ready sleep 700 exit 6 2>err) &
	local pid=$!
	wait_for 'grep -q ready err'
	kill -HUP $pid
	wait $pid
	is $? 6
}

t_stop_and_continue()
{
	daemon run
	coffer mycc say ready sleep 1500 say end exit 6 2>err &
	local pid=$!
	wait_for 'grep -q ready err'
	kill -STOP $pid
	sleep 2
	lacks err end
	kill -CONT $pid
	wait $pid
	is $? 6
	has err end
}

t_reader_that_goes_away_ends_the_compiler()
{
	daemon --report report run
	{ coffer mycc flood 10; echo $? >status; } 2>&1 >/dev/null | head -c 10 >/dev/null
	is "$(cat status)" 141
	reported 'status=d '
}

t_reader_that_sleeps_does_not_hold_a_signal_up()
{
	daemon run
	mkfifo pipe
	sleep 30 <pipe &
	local sleeper=$!
	coffer mycc flood 10 2>pipe &
	local pid=$!
	sleep 0.5
	kill -TERM $pid
	local start
	start=$(now_ms)
	wait $pid
	is $? 143
	[ $(($(now_ms) - start)) -lt 10000 ] || fail "took too long"
	kill $sleeper
}

t_process_left_behind_can_still_print()
{
	daemon --report report run
	local start
	start=$(now_ms)
	coffer mycc leave say now 2>err
	[ $(($(now_ms) - start)) -lt 2500 ] || fail "waited for it"
	is "$(cat err)" now
	reported 'overflow=1'
	wait_for 'grep -q late err'
}

t_terminal_is_seen_by_the_compiler()
{
	command -v script >/dev/null || return 0
	daemon --report report run
	# The terminal's newline is made by the terminal, once; what the daemon gets has none of it.
	script -qec "stty cols 93; coffer mycc tty say '$(printf '\033[1mbold')' exit 3" /dev/null >typescript </dev/null
	is $? 3
	has typescript $'tty 1 1 93\r\n'
	has typescript $'tty 2 1 93\r\n'
	has typescript $'\033[1mbold\r\n'
	lacks typescript $'\r\r'
	reported $'\033[1mbold\n'
	lacks report $'\r'
	kill "$fake"
	daemon --report report2 run
	script -qec "stty cols 93; coffer mycc tty print x >file" /dev/null >typescript </dev/null
	has typescript 'tty 1 0 0'
	has typescript 'tty 2 1 93'
	is "$(cat file)" x
	kill "$fake"
	daemon echo
	script -qec "stty cols 93; coffer mycc" /dev/null >typescript </dev/null
	has typescript 'flags=7'
	has typescript 'columns=93'
}

t_much_on_a_terminal_passes()
{
	command -v script >/dev/null || return 0
	daemon run
	script -qec "coffer mycc flood 3" /dev/null </dev/null | tr -dc x | wc -c >count
	is "$(cat count)" 3145728
}

t_interrupt_key_ends_all()
{
	command -v script >/dev/null || return 0
	daemon run
	# The key comes from the terminal's other side, when the compiler is under way.
	{ wait_for 'grep -q ready typescript' >&2; printf '\003'; sleep 1; } |
		script -qefc "coffer mycc say ready sleep 20000; echo status \$?" /dev/null >typescript
	has typescript 'ready'
	no_compilers_left
}

# ---- a daemon that does not do what it should -----------------------------------------------------------------------

# bad_daemon LIMIT_MS MODE...
bad_daemon()
{
	local limit=$1 start took
	shift
	daemon --report report "$@"
	start=$(now_ms)
	run coffer mycc show say message exit 3
	took=$(($(now_ms) - start))
	is $status 3 "status with $1"
	is "$(cat out)" '[mycc][show][say][message][exit][3]' "$1: stdout"
	is "$(cat err)" message "$1: stderr"
	[ $took -lt "$limit" ] || fail "$1: took $took ms"
	kill "$fake"
}

t_bad_daemons_do_no_harm()
{
	for mode in die die-late nonsense half huge wrong-type wrong-run 'wrong-file 0 x y' 'done 256 x y'; do
		bad_daemon 1500 $mode
	done
	is "$(lost)" 9
}

t_daemon_that_dies_during_the_compile_does_no_harm()
{
	bad_daemon 1500 run-die
	bad_daemon 2500 run-die-late
	is "$(lost)" 0
}

t_daemon_that_reads_nothing_is_given_two_seconds() { bad_daemon 6000 deaf; is "$(lost)" 1; }
t_daemon_that_stops_halfway_is_given_two_seconds() { bad_daemon 6000 half-hang; is "$(lost)" 1; }
t_daemon_that_never_answers_is_given_ten_seconds() { bad_daemon 16000 mute; is "$(lost)" 1; }

t_daemon_that_is_slow_is_waited_for()
{
	bad_daemon 9000 slow 5000
	is "$(lost)" 0
}

t_daemon_that_never_releases_is_given_five_seconds()
{
	daemon run-hang
	local start code
	for code in 0 1; do
		start=$(now_ms)
		run coffer mycc exit $code
		is $status $code
		start=$(($(now_ms) - start))
		[ $start -gt 4500 ] && [ $start -lt 9000 ] || fail "took $start ms"
	done
}

t_stopped_daemon_with_a_long_job_is_given_two_seconds()
{
	daemon exec
	kill -STOP "$fake"
	local long start
	printf -v long '%*s' 100000 ''
	start=$(now_ms)
	run coffer mycc show "$long" "$long" "$long" "$long" "$long"
	is $status 0
	is "$(wc -c <out)" 500023
	[ $(($(now_ms) - start)) -lt 8000 ] || fail "took too long"
	kill -KILL "$fake"
}

t_long_command_arrives()
{
	daemon echo
	# shellcheck disable=SC2046
	run coffer mycc $(seq 100000)
	is $status 0
	is "$(grep -c ^argv= out)" 100001
}

# ---- starting the daemon --------------------------------------------------------------------------------------------

# A cofferd that notes each start, then is a fake daemon.
cofferd_script()
{
	cat >"$T/cofferd" <<END
#!/bin/bash
echo "\$*" >>$T/starts
echo \$\$ >>$T/fakes
env >$T/daemon_env
pwd >$T/daemon_pwd
umask >>$T/daemon_pwd
ls -l /proc/self/fd >$T/daemon_fds
cut -d' ' -f1,6 /proc/\$\$/stat >$T/daemon_sid
sleep ${2:-0}
exec $top/fake_daemon --socket-fd 3 $1
END
	chmod +x "$T/cofferd"
	export COFFERD=$T/cofferd
}

t_daemon_is_started_once()
{
	cofferd_script echo 0.3
	(trap '' HUP; export SECRET=1 LD_AUDIT=; exec 9<"$top"; run coffer mycc; is $status 0; has out 'argv=mycc') || exit 1
	local pids=() i
	for i in $(seq 30); do coffer mycc >out$i 2>&1 & pids+=($!); done
	wait "${pids[@]}"
	for i in $(seq 30); do has out$i 'argv=mycc'; done
	is "$(cat "$T/starts")" 'daemon --socket-fd 3'
	is "$(tr '\n' ' ' <"$T/daemon_pwd")" '/ 0077 '
	lacks "$T/daemon_env" SECRET
	lacks "$T/daemon_env" LD_AUDIT
	has "$T/daemon_env" "HOME=$HOME"
	has "$T/daemon_fds" '3 -> socket'
	lacks "$T/daemon_fds" '9 -> '
	lacks "$T/daemon_fds" '.lock'
	[ "$(cut -d' ' -f2 "$T/daemon_sid")" != "$(cut -d' ' -f6 /proc/$$/stat)" ] || fail "the daemon is in our session"
	is "$(stat -c %a "$T/cache/run")" 700
	is "$(stat -c %a "$T/cache/run/cofferd.log")" 600
}

t_many_at_once_start_one_daemon()
{
	cofferd_script exec 0.3
	local pids=() i
	for i in $(seq 40); do coffer mycc exit 3 >out$i 2>&1 & pids+=($!); done
	for i in "${pids[@]}"; do wait $i; is $? 3; done
	is "$(wc -l <"$T/starts")" 1
	is "$(lost)" 0
}

t_stale_socket_is_replaced()
{
	daemon exec
	kill -KILL "$fake"
	wait_for '! grep -qs "^State:.[^XZ]" "/proc/$fake/status"'
	cofferd_script echo
	run coffer mycc
	has out 'argv=mycc'
}

t_cofferd_that_fails_does_no_harm()
{
	export COFFERD=/bin/false
	run coffer mycc exit 3
	is $status 3
	export COFFERD=$T/nothing
	run coffer mycc exit 3
	is $status 3
	echo nonsense >"$T/cofferd"
	chmod +x "$T/cofferd"
	export COFFERD=$T/cofferd
	run coffer mycc exit 3
	is $status 3
	has "$T/cache/run/cofferd.log" 'cannot execute'
	is "$(lost)" 3
}

t_log_does_not_grow_for_ever()
{
	mkdir -p "$T/cache/run"
	chmod 700 "$T/cache/run"
	head -c 1100000 /dev/zero >"$T/cache/run/cofferd.log"
	export COFFERD=/bin/false
	run coffer mycc
	is "$(stat -c %s "$T/cache/run/cofferd.log")" 0
}

t_folder_that_others_can_enter_is_refused()
{
	mkdir -p "$T/cache/run"
	chmod 755 "$T/cache/run"
	cofferd_script exec
	run coffer mycc exit 3
	is $status 3
	[ ! -e "$T/starts" ] || fail "a daemon was started"
	rmdir "$T/cache/run"
	: >"$T/cache/run"
	run coffer mycc exit 3
	is $status 3
}

t_folder_of_another_user_is_refused()
{
	[ "$(id -u)" = 0 ] || return 0
	mkdir -p "$T/cache/run"
	chmod 700 "$T/cache/run"
	chown 12345 "$T/cache/run"
	cofferd_script exec
	run coffer mycc exit 3
	is $status 3
	[ ! -e "$T/starts" ] || fail "a daemon was started"
}

t_daemon_of_another_user_is_not_told_anything()
{
	[ "$(id -u)" = 0 ] && command -v setpriv >/dev/null || return 0
	local place=/tmp/coffer-launcher-$$
	daemon exec
	kill "$fake"
	mkdir -m 777 "$place"
	trap "rm -rf $place; end_daemons" EXIT
	chmod 755 "$top"
	# A daemon of user 12345 where the launcher looks.
	fake=$(COFFER_RUNTIME_DIR=$place/d setpriv --reuid 12345 --regid 12345 --clear-groups "$top/fake_daemon" \
		done 9 '' '' 2>daemon.log) || fail "$(cat daemon.log)"
	echo "$fake" >>"$T/fakes"
	COFFER_RUNTIME_DIR=$place/d run coffer mycc exit 3
	is $status 3
	kill "$fake"
}

t_runtime_folder_is_used()
{
	mkdir -m 700 xdg
	XDG_RUNTIME_DIR=$PWD/xdg daemon done 9 '' ''
	[ -n "$(ls xdg/coffer)" ] || fail "not in XDG_RUNTIME_DIR"
	XDG_RUNTIME_DIR=$PWD/xdg run coffer mycc; is $status 9
	# A folder that is not there, or not ours alone, is passed over.
	daemon done 8 '' ''
	XDG_RUNTIME_DIR=$PWD/none run coffer mycc; is $status 8
	chmod 777 xdg
	XDG_RUNTIME_DIR=$PWD/xdg run coffer mycc; is $status 8
	COFFER_RUNTIME_DIR=$T/own daemon done 7 '' ''
	XDG_RUNTIME_DIR=$PWD/xdg COFFER_RUNTIME_DIR=$T/own run coffer mycc; is $status 7
	# Another configuration has another daemon.
	COFFERD=/bin/false COFFER_CONFIG=/x COFFER_RUNTIME_DIR=$T/own run coffer mycc; is $status 0
}

t_long_paths_work()
{
	local long
	printf -v long '%0150d' 0
	COFFER_RUNTIME_DIR=$T/$long/run daemon done 9 '' ''
	COFFER_RUNTIME_DIR=$T/$long/run run coffer mycc
	is $status 9
}

# ---- verbs ----------------------------------------------------------------------------------------------------------

t_verbs_run_cofferd()
{
	printf '#!/bin/sh\necho "cofferd $*"; echo "recache=$COFFER_RECACHE"; exit 6\n' >"$T/cofferd"
	chmod +x "$T/cofferd"
	export COFFERD=$T/cofferd
	run coffer stats --json 'a b'
	is $status 6
	is "$(head -1 out)" 'cofferd stats --json a b'
	for verb in make help --version -h; do run coffer $verb; is "$(head -1 out)" "cofferd $verb"; done
	run coffer
	is "$(head -1 out)" 'cofferd help'
	run coffer --set recache=on make x
	is "$(cat out)" $'cofferd make x\nrecache=on'
	run coffer --set recach=on make
	is $status 2
	has err "there is no setting 'recach'"
	run coffer --set
	is $status 2
	cp "$top/compiler" make
	COFFER_DISABLE=1 run coffer ./make show
	is "$(cat out)" '[./make][show]'
}

t_cofferd_is_found_where_it_is_installed()
{
	unset COFFERD
	mkdir -p prefix/bin prefix/libexec/coffer prefix/lib/coffer
	cp "$top/bin/coffer" prefix/bin/coffer
	run prefix/bin/coffer stats
	is $status 127
	has err "cannot find 'cofferd'"
	for place in lib/coffer libexec/coffer bin; do
		printf '#!/bin/sh\necho %s\n' $place >prefix/$place/cofferd
		chmod +x prefix/$place/cofferd
		run prefix/bin/coffer stats
		is "$(cat out)" $place
	done
	ln -s prefix/bin/coffer coffer
	run ./coffer stats
	is "$(cat out)" bin
}

# ---- real compilers -------------------------------------------------------------------------------------------------

t_real_compiler_works_in_every_way()
{
	echo 'int f(void) { int unused; return 0; }' >x.c
	for cc in gcc clang; do
		command -v $cc >/dev/null || continue
		$cc -Wall -c x.c -o plain.o 2>plain.err
		ln -sf "$top/bin/coffer" "$T/links/$cc"
		for mode in exec 'run depfile=-Wp,-MMD,'; do
			daemon --report report $mode
			run coffer $cc -Wall -c x.c -o x.o
			is $status 0
			cmp x.o plain.o && cmp err plain.err || fail "$cc: differs under $mode: $(cat err)"
			PATH=$T/links:$PATH run $cc -Wall -c x.c -o x.o
			cmp x.o plain.o && cmp err plain.err || fail "$cc: differs as a link under $mode: $(cat err)"
			kill "$fake"
		done
		reported 'x.o: x.c'
	done
}

# ---- all ------------------------------------------------------------------------------------------------------------

one()
{
	prepare "$1"
	trap end_daemons EXIT
	"$1"
}

build
tests=("$@")
[ $# != 0 ] || mapfile -t tests < <(declare -F | sed -n 's/^declare -f \(t_.*\)/\1/p')
failed=0
reap()
{
	wait -n || failed=$((failed + 1))
}
running=0
for test in "${tests[@]}"; do
	(
		one "$test" >"$top/$test.log" 2>&1
	) || { echo "not ok $test"; sed 's/^/    /' "$top/$test.log" | head -20; exit 1; } &
	running=$((running + 1))
	[ $running -lt 4 ] || { reap; running=$((running - 1)); }
done
while [ $running -gt 0 ]; do reap; running=$((running - 1)); done
echo "$((${#tests[@]} - failed)) passed, $failed failed"
[ -n "${KEEP:-}" ] || rm -rf "$top"
[ $failed = 0 ]
