# The elastic jobserver with real tools and stand-in compiles: local commands never exceed the slots, whoever the tool
# is; what goes wrong ends the build as it would have ended without coffer.
# shellcheck shell=bash disable=SC2154,SC2016,SC2153
# shellcheck source=tests/e2e/jobserver/lib.sh
source "$TESTS/e2e/jobserver/lib.sh"
js_tools || fail "the stand-ins do not build"

# The private folders of builds.
folders() { find "$TMPDIR" -maxdepth 1 -name 'coffer-build.*'; }

# strict MAX COMMANDS LOANS: what the last `measured` build must have done. The maximum is exact: that it is reached shows
# that the slots are used.
strict()
{
	[ "$status" = 0 ] || fail "exit status $status"
	[ "$max_local" -le "$1" ] || fail "$max_local local commands at once, $1 slots"
	[ "$commands" = "$2" ] || fail "$commands commands instead of $2"
	[ "$loans" = "$3" ] || fail "$loans loans instead of $3"
	[ -z "$(folders)" ] || fail "a folder is left in TMPDIR"
}

# In a fraction of the time that the compiles would need with so many jobs.
elastic()
{
	[ "$wall_ms" -lt "$1" ] || fail "not elastic: $wall_ms ms"
}

e2e_jobserver_make() { # once
	load_w1 80 6
	measured coffer make -j2 -f w1.mk
	strict 2 86 80
	elastic 20000 # with -j2: 41 s
}

e2e_jobserver_make_one_slot() { # once
	load_w1 30 2
	measured coffer make -j1 -f w1.mk
	strict 1 32 30
	elastic 15000
}

e2e_jobserver_burst() { # once long
	load_w3 10 500
	for n in 1 2 4; do
		measured coffer make --jobs=$n -f w3.mk
		strict $n 110 100
	done
}

e2e_jobserver_sub_makes() { # once
	load_w5 8
	measured coffer make -j2 -f w5.mk
	strict 2 88 80
}

e2e_jobserver_fifo_of_make_4_4() { # once
	load_w3 10 500
	js_fake_tool make 'GNU Make 4.4.1'
	PATH=$PWD/fake:$PATH measured coffer make -j2 w3.list
	strict 2 110 100
}

e2e_jobserver_fifo_of_ninja_1_14() { # once
	load_w3 10 500
	js_fake_tool ninja 1.14.0
	PATH=$PWD/fake:$PATH measured coffer ninja -j 2 w3.list
	strict 2 110 100
}

e2e_jobserver_pipes_of_kitwares_ninja() { # once
	load_w3 10 500
	js_fake_tool ninja 1.10.2.git.kitware.jobserver-1
	PATH=$PWD/fake:$PATH measured coffer ninja -j 2 w3.list
	strict 2 110 100
}

e2e_jobserver_gate_for_old_ninja() { # once
	need ninja
	case $(ninja --version) in 1.1[4-9]* | 1.[2-9]?.*) skip "this ninja is a jobserver client" ;; esac
	export COFFER_WORKER=127.0.0.1:1 # or no more would be started than may run
	load_w1 80 6
	measured coffer ninja -j2 -f w1.ninja >out
	strict 2 86 80
	elastic 20000
	load_w3 10 500
	measured coffer ninja -j2 -f w3.ninja >out
	strict 2 110 100
}

# Few descriptors: the tool is told of no more commands than the gate can count, and none runs without having been counted.
e2e_jobserver_gate_holds_the_limit_with_few_files() { # once
	need ninja
	case $(ninja --version) in 1.1[4-9]* | 1.[2-9]?.*) skip "this ninja is a jobserver client" ;; esac
	{
		printf 'rule o\n command = $$WORK local 20\n'
		seq -f 'build obj%.0f: o' 800
	} >few.ninja
	export COFFER_WORKER=127.0.0.1:1
	measured sh -c "ulimit -n 1024 && exec '$COFFER' ninja -j2 -f few.ninja" >out
	strict 2 800 0
}

# A gate whose build ends while it waits does not run its command.
e2e_jobserver_gate_ends_with_its_build() { # once
	local dir=$T/place pid
	mkdir -p "$dir"
	/usr/bin/python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(1); print("there", flush=True); time.sleep(3)' "$dir/socket" >said &
	pid=$!
	wait_until 5 "grep -q there said"
	COFFER_JOBSERVER=$dir/socket "$COFFER_BUILD/coffer-gate" touch touch ran 2>why && fail "it says that all is well"
	[ ! -e ran ] || fail "its command has run"
	has_text why "no slot for 'touch'"
	wait $pid
	# Where there is no build any more, it does: what a build has left running can start a ninja of its own.
	COFFER_JOBSERVER=$dir/socket "$COFFER_BUILD/coffer-gate" touch touch ran || fail "it does not go on"
	[ -e ran ] || fail "its command has not run"
}

# After a failure ninja starts nothing more, with us as without, and its last words and its exit status are its own. Slots are lent out in
# both, and with a farm ninja has started them all long before, in an order that the gates need not keep.
e2e_jobserver_ninja_stops_at_a_failure() { # once
	need ninja
	local keep want got farm
	{
		printf 'rule r\n  command = echo x$status >>started; sleep 0.02; exit $status\n'
		seq -f 'build o%.0f: r' 20 | sed '5a\  status = 1' | sed '9a\  status = 3'
	} >build.ninja
	for keep in -k1 -k2 -k0; do
		rm -f started .ninja_log
		ninja -j1 $keep >want
		want=$?
		for farm in '' 127.0.0.1:1; do
			cp started plain
			rm -f started .ninja_log
			COFFER_WORKER=$farm coffer ninja -j1 $keep >out
			got=$?
			# From 1.12 on it is that of the command that failed.
			[ $got = $want ] || [[ $farm && $want$got == [13][13] ]] || fail "exit status $got, not $want, with $keep and '$farm'"
			[ "$(grep -c '^FAILED' out)" = "$(grep -c '^FAILED' want)" ] || fail "$(grep FAILED out) with $keep and '$farm'"
			[ "$(tail -1 out)" = "$(tail -1 want)" ] || fail "$(tail -1 out) with $keep and '$farm'"
			[ $keep = -k0 ] || [[ "$(tail -1 started)" = x[13] ]] || fail "started after the last failure: $(cat started)"
			[ "$(grep -c 'x[13]' started)" = "$(grep -c 'x[13]' plain)" ] || fail "$keep, '$farm': $(cat started)"
		done
	done
}

# With several slots what has begun beside the one that fails depends on the moment, but ends as always.
lets_others_end() # FARM TARGET…
{
	rm -f begun goes console ran*
	COFFER_WORKER=$1 timeout 60 "$COFFER" ninja -j2 "${@:2}" >out
	[ $? = 1 ] || fail "another exit status: $(cat out)"
	[ -e goes ] || fail "what ran beside it did not end"
	[ "$(grep -c FAILED out)" = 1 ] || fail "not one failure: $(grep FAILED out)"
	has_text out broken
	has_text out went
	[ "$(tail -1 out)" = 'ninja: build stopped: subcommand failed.' ] || fail "the last line is $(tail -1 out)"
	[ "$(find . -name 'ran*' | wc -l)" -lt 200 ] || fail "it went on"
}

e2e_jobserver_ninja_lets_others_end_after_a_failure() { # once
	need ninja
	local farm
	cat >build.ninja <<'END'
rule r
  command = $cmd
build fails: r
  cmd = until [ -e begun ]; do sleep 0.02; done; echo broken; exit 7
build goes: r
  cmd = touch begun; sleep 0.5; touch goes; echo went
build console: r
  cmd = touch console
  pool = console
END
	seq 300 | sed 's/.*/build o&: r\n  cmd = touch ran&; sleep 0.01/' >>build.ninja
	for farm in '' 127.0.0.1:1; do
		# The console's command at first and at last: what the others say waits in ninja for its end.
		lets_others_end "$farm" fails goes console $(seq -f 'o%.0f' 300)
		lets_others_end "$farm" fails goes $(seq -f 'o%.0f' 300) console
	done
}

# One that waits in pselect() tells nothing of what it sees: its commands run as without a failure, and all ends.
e2e_jobserver_ninja_that_waits_otherwise() { # once
	mkdir fake
	gcc -O1 -o fake/ninja "$TESTS/e2e/jobserver/pselect.c" || fail "the stand-in does not build"
	for farm in '' 127.0.0.1:1; do
		PATH=$PWD/fake:$PATH COFFER_WORKER=$farm timeout 60 "$COFFER" ninja -j2 >out 2>&1
		[ $? = 1 ] || fail "with the farm '$farm' it ends with $?, or not at all: $(tail -5 out)"
	done
}

# What ninja's commands print, return and get as environment is what it would be without the gate.
e2e_jobserver_gate_is_not_noticed() { # once
	need ninja
	cat >build.ninja <<'END'
rule r
  command = $cmd
build big: r
  cmd = head -c 300000 /dev/zero | tr '\0' x; echo
build env: r
  cmd = env | grep -E '^(LD_PRELOAD|COFFER_GATE)' ; true
build leaves: r
  cmd = sleep 5 > /dev/null 2>&1 < /dev/null & echo $$! > sleeper
build fails: r
  cmd = echo this fails; exit 3
END
	coffer ninja -j1 -k0 big env leaves >out || fail "ninja failed: $(tail -5 out)"
	kill "$(cat sleeper)"
	[ "$(tr -cd x <out | wc -c)" -ge 300000 ] || fail "output is lost"
	lacks_text out LD_PRELOAD=
	coffer ninja fails >out && fail "a failing command is not seen"
	has_text out "this fails"
	coffer ninja -t targets >out || fail "a tool of ninja fails"
	[ "$(coffer ninja --version)" = "$(ninja --version)" ] || fail "the version differs"
}

e2e_jobserver_without_gate_old_ninja_runs_with_j() { # once
	need ninja
	case $(ninja --version) in 1.1[4-9]* | 1.[2-9]?.*) skip "this ninja is a jobserver client" ;; esac
	mkdir bare
	cp "$COFFER" "$COFFERD" bare/
	COFFERD=$PWD/bare/cofferd
	load_w1 4 2
	measured "$PWD/bare/coffer" ninja -j2 -f w1.ninja >out 2>errs
	strict 2 6 0
	has_text errs "elastic mode is off"
}

e2e_jobserver_cmake_build() { # once
	need cmake ninja
	cat >CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.13)
project(stand_in NONE)
foreach(i RANGE 1 20)
  add_custom_target(obj${i} COMMAND $ENV{WORK} remote 0 500)
  list(APPEND objs obj${i})
endforeach()
foreach(i RANGE 1 4)
  add_custom_target(link${i} ALL COMMAND $ENV{WORK} local 100)
  add_dependencies(link${i} ${objs})
endforeach()
END
	for generator in "Unix Makefiles" Ninja; do
		cmake -G "$generator" -S . -B "b $generator" >out || fail "cmake: $(cat out)"
		measured coffer cmake --build "b $generator" -j 2 >out 2>errs
		strict 2 24 20
		lacks_text errs "jobserver mode"
		CMAKE_BUILD_PARALLEL_LEVEL=1 measured coffer cmake --build "b $generator" >out
		strict 1 24 20
	done
}

e2e_jobserver_run_gives_any_client_its_jobserver() { # once
	load_w1 10 2
	printf '#!/bin/sh\nexec make -f w1.mk "$@"\n' >script
	chmod +x script
	measured coffer run -j 2 -- ./script
	strict 2 12 10
	measured coffer run ./script -k </dev/null
	[ "$status" = 0 ] || fail "status $status"
	coffer run -- sh -c 'exit 7'
	[ $? = 7 ] || fail "the exit status is lost"
	coffer run --nonsense 2>/dev/null
	[ $? = 2 ] || fail "an unknown option is taken"
	coffer run -j 0 -- true 2>/dev/null
	[ $? = 2 ] || fail "-j 0 is taken"
	coffer run nonexistent-program 2>errs
	[ $? = 127 ] || fail "a missing program is not told from others"
	has_text errs "cannot run 'nonexistent-program'"
}

e2e_jobserver_jobs_of_makeflags_and_of_nobody() { # once
	load_w3 4 500
	MAKEFLAGS=-j1 measured coffer make -f w3.mk
	strict 1 44 40
	MAKEFLAGS=kj3 measured coffer make -f w3.mk
	strict 3 44 40
	measured taskset -c 0 "$COFFER" make -f w3.mk # one processor
	strict 1 44 40
}

# `coffer make` in a recipe of a build whose jobserver is coffer, or make.
e2e_jobserver_nested() { # once
	load_w5 3
	export SUBMAKE="$COFFER make"
	measured coffer make -j2 -f w5.mk
	strict 2 33 30
	export SUBMAKE="$COFFER make -j1"
	measured coffer make -j2 -f w5.mk
	strict 2 33 30
}

# A ninja that knows no jobserver: its commands find the build's, and front ends beside each other in one command share its slot.
e2e_jobserver_nested_ninja() { # once
	need ninja
	local n
	printf 'rule o\n command = $$WORK local 20\n' >in.ninja
	seq -f 'build obj%.0f: o' 12 >>in.ninja
	printf 'all:%s\n%%.x:\n\t@$(WORK) local 20\n' "$(seq -f ' %.0f.x' -s '' 12)" >in.mk
	export COFFER_NINJA="$COFFER ninja"
	for n in 1 2; do
		measured coffer run -j $n -- sh -c '$COFFER_NINJA -f in.ninja & $COFFER_NINJA -f in.ninja & wait' >out 2>&1
		strict $n 24 0
		[ "$max_local" = $n ] || fail "$max_local of $n slots are used"
	done
	printf 'rule r\n command = $cmd\nbuild ninja: r\n cmd = $$COFFER_NINJA -f in.ninja\nbuild make: r\n cmd = make -f in.mk\n' >out.ninja
	printf 'build two: r\n cmd = $$COFFER_NINJA -f in.ninja & $$COFFER_NINJA -f in.ninja & wait\n' >>out.ninja
	for n in 1 2; do
		for what in ninja make 'ninja make two'; do
			# shellcheck disable=SC2086
			measured timeout 60 "$COFFER" ninja -j$n -f out.ninja $what >out 2>&1
			[ "$status" = 0 ] || fail "$what: status $status: $(cat out)"
			[ "$max_local" = $n ] || fail "$what: $max_local at once with $n slots"
			lacks_text out warning
		done
	done
}

e2e_jobserver_below_make_it_takes_makes_tokens() { # once
	load_w5 3
	export SUBMAKE="$COFFER make"
	for n in 1 2 3; do
		[ $n = 1 ] || set -- -j$n # make without -j has no jobserver: each recipe in turn has the machine
		[ $n = 1 ] && set -- COFFER_LEND=0
		measured make "$@" -f w5.mk 2>errs
		strict $((n > 1 ? n : $(nproc))) 33 30
		lacks_text errs INTERNAL
	done
}

e2e_jobserver_below_make_without_plus_it_has_one_slot() { # once
	load_w5 2
	sed -i 's/+//' w5.mk
	export SUBMAKE="$COFFER make"
	measured make -j2 -f w5.mk 2>errs
	strict 2 22 20
	# Since 4.4 make's jobserver is a fifo, which every recipe can open.
	case $(make --version) in
	'GNU Make 4.'[0-3]*) has_text errs "using 1 local job" ;;
	*) lacks_text errs coffer: ;;
	esac
}

# A makefile that sets -j itself leaves the pool; it is said once, and what is lent elsewhere stays right.
e2e_jobserver_makefile_with_its_own_j() { # once
	load_w5 1
	sed -i 's/--no-print-directory/-j64/' w5.mk
	measured coffer make -j2 -f w5.mk >out 2>errs
	[ "$status$loans" = 00 ] || fail "status $status, $loans loans"
	[ "$(grep -c 'elastic mode is off below a make' errs)" = 1 ] || fail "$(cat errs)"
}

# The same launcher under a plain make, without any front end.
e2e_jobserver_plain_make_is_lent_the_token() { # once
	load_w1 40 4
	measured make -j2 -f w1.mk 2>errs
	strict 2 44 40
	elastic 15000 # without: 21 s
	lacks_text errs INTERNAL
	load_w3 8 500
	measured make -j2 -f w3.mk 2>errs
	strict 2 88 80
	COFFER_LEND=0 measured make -j8 -f w3.mk
	[ "$loans" = 0 ] || fail "lent although it was told not to"
	measured make -j500 -f w3.mk
	[ "$loans" = 0 ] || fail "lent under -j500"
}

e2e_jobserver_exit_status_and_messages_are_the_tools() { # once
	printf 'all:\n\t@exit 3\nsig:\n\t@kill -KILL $$PPID\n' >Makefile
	make >want 2>&1
	expected=$?
	coffer make >got 2>&1
	[ $? = $expected ] || fail "the exit status differs"
	same_file want got || fail "messages differ: $(cat got)"
	coffer make sig >/dev/null 2>&1
	[ $? = 137 ] || fail "a tool killed by a signal is not seen as such"
	[ -z "$(ls -A "$TMPDIR")" ] || fail "left in TMPDIR: $(ls -A "$TMPDIR")"
}

# end_by WHOM SIGNAL: starts a long build in a process group of its own and sends the signal to the group, to the front
# end or to make.
end_by()
{
	local target make
	export WORK_COUNT=$PWD/count
	rm -f "$WORK_COUNT" pids
	# A shell gives its background jobs an ignored SIGINT; env puts it back.
	setsid env --default-signal=INT,QUIT "$COFFER" make -j2 -f slow.mk >out 2>&1 &
	front=$!
	wait_until 20 '[ "$("$WORK" count | cut -d" " -f4)" -ge 20 ]' || fail "the build does not start"
	make=$(pgrep -P "$front" -x make)
	case $1 in
	group) target=-$front ;;
	front) target=$front ;;
	make) target=$make ;;
	esac
	kill -"$2" -- "$target"
	wait "$front"
	status=$?
	wait_until 10 "! kill -0 $make 2>/dev/null" || fail "make is left after $2 to the $1"
}

e2e_jobserver_signals_end_the_build() { # once
	load_w1 60 2
	sed 's/remote 0 1000/remote 0 8000/' w1.mk >slow.mk
	for case in group:INT group:QUIT front:INT front:TERM group:HUP make:TERM make:KILL; do
		end_by ${case%:*} ${case#*:}
		[ $status != 0 ] || fail "$case: exit status 0"

		[ -z "$(folders)" ] || fail "$case: a folder is left in TMPDIR"
		# Killed, make cannot end its launchers; that they do not wait for anybody is another test's claim.
		for pid in $(pgrep -g "$front" 2>/dev/null); do kill -KILL "$pid"; done
	done
	end_by front KILL
	[ $status = 137 ] || fail "status $status"
	[ -n "$(folders)" ] || fail "nobody could have removed the folder"
	coffer run true
	[ -z "$(folders)" ] || fail "the next build does not remove the folder"
}

# Launchers that are killed while they are remote or held: the slots come back, and the build goes on with -k.
e2e_jobserver_killed_launchers() { # once clock
	load_w1 40 4
	sed 's/remote 0 1000/remote 0 3000/' w1.mk >slow.mk
	export WORK_COUNT=$PWD/count
	# In the background, so that its launchers can be killed by their parent.
	"$COFFER" make -k -j2 -f slow.mk >out 2>&1 &
	front=$!
	wait_until 20 '[ "$("$WORK" count | cut -d" " -f4)" -ge 30 ]' || fail "the build does not start"
	make=$(pgrep -P "$front" -x make)
	for pid in $(pgrep -P "$make" | head -15); do kill -KILL "$pid"; done
	start=$(now_ms)
	wait "$front"
	[ $? = 2 ] || fail "the exit status is not make's"
	[ $(($(now_ms) - start)) -lt 15000 ] || fail "it was slow after the kills"
	[ "$("$WORK" count | cut -d" " -f3)" -ge 40 ] || fail "not all compiles were started"
}

# Nothing but the front end's word lets a returned launcher go: its result is there, and it waits while the slots are
# taken.
e2e_jobserver_query() { # once
	printf 'all:\n\t@$(WORK) remote 0 1\n\t@printf "cofj\\001q\\000\\000\\000\\000\\000\\000" | timeout 5 python3 -c "%s"\n' \
		'import os,socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(os.environ[\"COFFER_JOBSERVER\"]); s.sendall(sys.stdin.buffer.read()); d=b\"\"; [d:=d+x for x in iter(lambda: s.recv(99), b\"\")]; print(d[12:].decode(), end=\"\")' >Makefile
	need python3
	measured coffer make -j3 >out
	has_text out "limit 3 local 1 remote 0 held 0 unread 2 loans 1"
}

e2e_jobserver_summary_and_progress() { # once
	load_w1 4 1
	measured coffer make -j2 --summary --no-progress -f w1.mk 2>errs
	has_text errs "2 slots"
	has_text errs "remote: 4"
	need script
	TERM=xterm script -qec "stty rows 24 cols 80; $COFFER make -j2 -f w1.mk" /dev/null </dev/null >tty
	has_text tty "remote"
	measured coffer make -j2 -f w1.mk 2>errs
	[ ! -s errs ] || fail "not silent without a terminal: $(cat errs)"
}

# Compilers that the build calls by name are cached, whatever the makefile calls them; nothing else changes.
e2e_jobserver_compilers_go_through_the_cache() { # once
	put Makefile <<'END'
prog: a.o b.o
	$(CC) -o $@ $^
b.o: b.c
	gcc -c -o $@ $<
origin:
	@echo $(origin CC) $(CC)
END
	echo 'int b(void); int main(void) { return b(); }' >a.c
	echo 'int b(void) { return 0; }' >b.c
	counted any coffer make
	./prog || fail "the program does not run"
	rm -f ./*.o prog
	counted any coffer make
	[ "$(grown direct_hits)" = 2 ] || fail "no hits: $(all_grown)"
	[ "$(coffer make -s origin)" = "$(make -s origin)" ] || fail "CC is another"
}
