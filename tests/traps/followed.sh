# Traps 88-90: compilers that are scripts and wrappers. What they do can depend on anything, so that they run each time.
# shellcheck shell=bash

# script FILE LINE...: an executable script.
script()
{
	put "$1" "${@:2}"
	chmod +x "$1"
}

trap_88_scripts_run_and_their_compiler_is_cached() # gcc
{
	local real
	real=$(command -v "$CC")
	put a.c '#ifndef X' '#define X 0' '#endif' 'int a = X;'
	same c99 -c a.c -o a.o
	same c89 -Wall -c a.c -o a.o
	# As the NDK has it: not by exec.
	script ndk/target-cc '#!/usr/bin/env bash' 'bin=$(dirname "$0")' 'if [ "$1" != "-cc1" ]; then' "  \"\$bin/cc\" -DX=21 \"\$@\"" \
		'else' '  "$bin/cc" "$@"' 'fi'
	ln -s "$real" ndk/cc
	same ndk/target-cc -c a.c -o a.o
	same "$P/ndk/target-cc" -g -MD -c a.c -o a.o
	COFFER_REPRODUCIBLE=off check hit nice -n 1 ndk/target-cc -c a.c -o a.o
	COFFER_REPRODUCIBLE=off check hit env Y=1 sh -c 'exec "$@"' sh ndk/target-cc -c a.c -o a.o
	# One behind another.
	script plain/cc '#!/bin/sh' "exec ../cc -DX=5 \"\$@\""
	script cc '#!/bin/sh' "exec $real \"\$@\""
	cd plain && same ./cc -c ../a.c -o a.o
	# What it does besides happens each time, and its exit status is its own.
	cd ..
	script after/cc '#!/bin/sh' "$real \"\$@\" || exit 7" 'echo ran >>log' 'exit 3'
	check miss after/cc -O1 -c a.c -o a.o
	check hit after/cc -O1 -c a.c -o a.o
	[ "$(<"$T/got/status")" = 3 ] || fail "the exit status is $(<"$T/got/status")"
	[ "$(grep -c ran log)" = 2 ] || fail "the script did not run once: $(<log)"
	put bad.c 'int a'
	check compile_failed after/cc -c bad.c -o a.o
	[ "$(<"$T/got/status")" = 7 ] || fail "the exit status is $(<"$T/got/status")"
}

trap_88_a_script_may_ask_anything() # gcc
{
	local real i
	real=$(command -v "$CC")
	put a.c 'int a = X;'
	script env/cc '#!/bin/sh' "exec $real -DX=\$VALUE \"\$@\""
	for i in 1 2 1; do VALUE=$i COFFER_REPRODUCIBLE=off check any env/cc -c a.c -o a.o; done
	judge hit || fail 'the same value is no hit'
	script file/cc '#!/bin/sh' "read -r x <\"\$(dirname \"\$0\")/value\"" "exec $real -DX=\$x \"\$@\""
	for i in 1 2 1; do
		echo $i >file/value
		COFFER_REPRODUCIBLE=off check any file/cc -c a.c -o a.o
	done
	judge hit || fail 'the same value is no hit'
	script count/cc '#!/bin/sh' 'n=$(cat n); echo $((n + 1)) >n' "exec $real -DX=\$n \"\$@\""
	echo 1 >n
	for i in 1 2 3; do COFFER_REPRODUCIBLE=off check any count/cc -c a.c -o a.o; done
	script stdin/cc '#!/bin/sh' 'read -r x' "exec $real -DX=\$x \"\$@\""
	for i in 1 2; do
		echo $i >in
		STDIN=in COFFER_REPRODUCIBLE=off check any stdin/cc -c a.c -o a.o
	done
	# A directory, a umask, a stream and a limit of its own.
	script moved/cc '#!/bin/sh' 'cd moved; umask 077; exec 2>messages; ulimit -c 0' "exec $real -Wall -DX=q \"\$@\""
	put moved/a.c '#warning w' 'int q; int *a = &X;'
	for i in 1 2; do COFFER_REPRODUCIBLE=off check any moved/cc -c a.c -o a.o; done
	judge hit || fail 'the same compile is no hit'
}

trap_89_what_a_script_starts_sees_nothing_of_it() # gcc
{
	put a.c 'int a;'
	script cc '#!/bin/sh' 'env >env.sh' 'sh -c env >env.below; python3 -c "import os; print(os.environ)" >env.python 2>/dev/null' 'exec gcc "$@"'
	COFFER_REPRODUCIBLE=off "$COFFER" ./cc -c a.c -o a.o || fail 'it does not compile'
	! grep -q -e libcoffer -e COFFER_FOLLOW env.sh env.below env.python || fail "it shows: $(grep -e libcoffer -e COFFER_FOLLOW env.*)"
	# A compile by words alone, and programs whose words only look so.
	script tool/cc '#!/bin/sh' 'grep -c int a.c; wc -c a.c' 'exec gcc "$@"'
	COFFER_REPRODUCIBLE=off check any tool/cc -c a.c -o a.o
	# What can't be followed runs untouched: a script of a static shell, a setuid program, another cache.
	if command -v busybox >/dev/null; then
		script static/cc "#!$(command -v busybox) sh" 'exec gcc "$@"'
		if ! grep -q interpreter <<<"$(file -L "$(command -v busybox)")"; then
			untouched compiler_script static/cc -c a.c -o a.o
		fi
	fi
	script ccache '#!/bin/sh' 'shift' 'exec gcc "$@"'
	MODES=off right ./ccache gcc -c a.c -o a.o
	# The script itself calls coffer: no circle.
	script own/gcc '#!/bin/sh' "exec $COFFER gcc \"\$@\""
	PATH=$PATH:$P/own COFFER_REPRODUCIBLE=off check hit own/gcc -c a.c -o a.o
}

trap_89_what_leads_to_no_compile_is_counted_in_the_end() # gcc long
{
	put a.c 'int a;'
	script odd '#!/bin/sh' 'shift 3; : >"$1"'
	local i
	for i in 1 2 3 4 5; do MODES=off COFFER_REPRODUCIBLE=off check any ./odd -c a.c -o a.o; done
	sleep 6
	COFFER_REPRODUCIBLE=off check 'compiler_script|compiler_unknown' ./odd -c a.c -o a.o
	same c99 -c a.c -o a.o
}

# The compile is the plain one, and coffer has not cached it: what it can't be sure of it leaves alone.
not_taken()
{
	read_counters counters_before
	COFFER_REPRODUCIBLE=off check any "$@"
	settle
	[ "$(grown stored)" = 0 ] || fail "it was stored:$(all_grown): $*"
}

trap_89_a_file_is_the_one_that_the_kernel_takes() # gcc long
{
	put a.c '#ifndef X' '#define X 1' '#endif' 'int a = X;'
	script d/gcc '#!/bin/sh' 'exec /usr/bin/gcc -DX=77 "$@"'
	cp /usr/bin/gcc d/real
	need python3
	# A name without a folder is one of the working directory, whatever PATH has.
	script cc '#!/usr/bin/python3' 'import os, sys' 'os.chdir("d")' 'os.execve("gcc", ["gcc"] + sys.argv[1:], dict(os.environ))'
	not_taken ./cc -c ../a.c -o ../a.o
	mv d/real d/gcc
	! (cd d && "$COFFER" --program=no-such gcc -c ../a.c -o a.o) 2>err || fail 'a name without a folder is looked for in PATH'
	# What execve refuses is the script's to deal with: a text, a text of an interpreter that is not there, half a program.
	put text/x 'x=(5 6)' 'exec gcc -DX=${x[1]} "$@"'
	put text/none "#!$P/none" 'x'
	printf '\177ELFaaaa' >text/half
	for file in x none half; do
		mkdir -p text/$file.d
		cp text/$file text/$file.d/gcc
		chmod +x text/$file.d/gcc
		script text/$file.d/cc '#!/usr/bin/python3' 'import os, sys' "try: os.execv('text/$file.d/gcc', ['gcc'] + sys.argv[1:])" \
			"except OSError: os.execv('/usr/bin/gcc', ['gcc', '-DX=3'] + sys.argv[1:])"
		COFFER_REPRODUCIBLE=off check any text/$file.d/cc -c a.c -o a.o
		script text/$file.d/c++ '#!/bin/bash' "exec text/$file.d/gcc \"\$@\""
		COFFER_REPRODUCIBLE=off check any text/$file.d/c++ -c a.c -o a.o
	done
	script path/cc '#!/usr/bin/env perl' "\$ENV{PATH} = '$P/text/none.d:$P/text/half.d:' . \$ENV{PATH}; exec 'gcc', @ARGV; exit 9"
	COFFER_REPRODUCIBLE=off check any path/cc -c a.c -o a.o
	# Nobody waits for the other end of a pipe.
	mkfifo pipe
	chmod +x pipe
	ln -s pipe pipe-gcc
	script piped "#!$P/pipe"
	for file in ./pipe ./pipe-gcc ./piped; do
		timeout 20 "$COFFER" $file -c a.c -o a.o 2>err
		[ $? = 126 ] || fail "$file: $(<err)"
	done
	rm pipe pipe-gcc piped
	# A path below /proc is another file for each process.
	ln -s /usr/bin/gcc d/cc
	script proc/cc '#!/bin/sh' 'cd d; exec /proc/self/cwd/cc "$@"'
	not_taken proc/cc -c ../a.c -o ../a.o
}

trap_89_other_programs_are_not_touched() # gcc long
{
	put a.c '#ifndef N' '#define N 0' '#endif' 'int a = N;'
	put tool.c 'int main(void) { return 0; }'
	gcc -fsanitize=address tool.c -o tool 2>/dev/null && ./tool || skip 'no AddressSanitizer'
	script cc '#!/bin/sh' './tool || exit 5' 'env ./tool || exit 6' 'exec gcc "$@"'
	check miss ./cc -c a.c -o a.o
	check hit ./cc -c a.c -o a.o
	# Nor is one that is called like a carrier.
	cp tool bash
	script asan/cc '#!/bin/sh' './bash || exit 5' 'exec gcc -DN=1 "$@"'
	check any asan/cc -c a.c -o a.o
	# A program of the script's own that starts itself again.
	put again.c '#include <stdlib.h>' '#include <unistd.h>' 'int main(int c, char **v) { (void)c;' \
		'if (!getenv("Q")) { setenv("Q", "1", 1); execv("/proc/self/exe", v); return 8; }' 'v[0] = "gcc"; execvp("gcc", v); return 9; }'
	gcc again.c -o again
	COFFER_REPRODUCIBLE=off check any ./again -c a.c -o a.o
	# A thread with a small stack and many words.
	put thread.c '#include <limits.h>' '#include <pthread.h>' '#include <stdlib.h>' '#include <unistd.h>' 'static char *words[4000];' \
		'static void *go(void *v) { execvp("gcc", v); exit(9); }' 'int main(int c, char **v) { int n = 0; words[n++] = "gcc";' \
		'for (int i = 1; i < c; i++) words[n++] = v[i];' 'while (n < 3500) words[n++] = "-DA=1";' \
		'pthread_attr_t a; pthread_t t; pthread_attr_init(&a); pthread_attr_setstacksize(&a, 16384);' \
		'if (pthread_create(&t, &a, go, words)) return 8; pthread_join(t, 0); return 7; }'
	mkdir small
	gcc thread.c -o small/mpicc
	COFFER_REPRODUCIBLE=off check any small/mpicc -c a.c -o a.o
	# Who loads a library of its own sees what is executed.
	put log.c '#define _GNU_SOURCE' '#include <dlfcn.h>' '#include <fcntl.h>' '#include <unistd.h>' \
		'int execve(const char *f, char *const *a, char *const *e) {' \
		' int (*next)(const char *, char *const *, char *const *) = dlsym(RTLD_NEXT, "execve");' \
		" int fd = open(\"$P/log\", O_CREAT | O_APPEND | O_WRONLY, 0600);" ' if (fd >= 0 && write(fd, "x\n", 2) == 2) close(fd);' \
		' return next(f, a, e); }'
	gcc -shared -fPIC log.c -o log.so
	script logged/cc '#!/bin/bash' 'env true' 'exec gcc -DN=2 "$@"'
	LD_PRELOAD=$P/log.so logged/cc -c a.c -o a.o
	mv log plain
	LD_PRELOAD=$P/log.so "$COFFER" logged/cc -c a.c -o a.o
	[ "$(wc -l <log)" -ge "$(wc -l <plain)" ] || fail "the library saw $(wc -l <log) of $(wc -l <plain) calls"
}

trap_89_chains_of_scripts_end_as_they_would() # gcc long
{
	put a.c 'int a;'
	script again '#!/bin/bash' 'n=${N:-0}' 'if [ $n -lt 40 ]; then N=$((n + 1)) exec "$0" "$@"; fi' 'exec gcc "$@"'
	COFFER_REPRODUCIBLE=off check miss ./again -c a.c -o a.o
	COFFER_REPRODUCIBLE=off check hit ./again -c a.c -o a.o
	# Only scripts that call coffer without an end are a circle.
	script circle '#!/bin/sh' "exec $COFFER $P/circle \"\$@\""
	! timeout 60 "$COFFER" ./circle -c a.c -o a.o 2>err || fail 'a circle ends well'
	has_text err 'and so on'
}

trap_89_settings_that_a_script_takes_away_hold() # gcc
{
	local way
	put a.c 'int a;'
	mkdir h h/config
	way() { script "$1/cc" '#!/bin/sh' "exec $2"; }
	way none 'env -i PATH="$PATH" HOME="$PWD/h" gcc "$@"'
	way shell 'env -i PATH="$PATH" HOME="$PWD/h" sh -c '"'exec gcc \"\$@\"'"' sh "$@"'
	way one 'env -u COFFER_PARANOID -u COFFER_READ_ONLY gcc "$@"'
	way home 'env HOME="$PWD/h" gcc "$@"'
	way config 'env XDG_CONFIG_HOME="$PWD/h/config" gcc "$@"'
	script perl/cc '#!/usr/bin/perl' '%ENV = (PATH => $ENV{PATH}, HOME => "h");' 'exec "gcc", @ARGV;'
	for way in none shell one home config perl; do
		counted any env COFFER_PARANOID=on COFFER_REPRODUCIBLE=off "$COFFER" "$way/cc" -c a.c -o a.o || fail "$way does not compile"
		[ "$(grown stored)" = 0 ] || fail "$way: it was stored"
	done
	counted any env COFFER_READ_ONLY=on "$COFFER" none/cc -c a.c -o a.o || fail 'it does not compile'
	counted any "$COFFER" --set paranoid=on shell/cc -c a.c -o a.o || fail 'it does not compile'
	[ ! -e h/.cache ] || fail "there is another cache: $(find h)"
	# What adds a setting is heard.
	way more 'env COFFER_EXTRA_KEY=1 gcc "$@"'
	COFFER_REPRODUCIBLE=off check miss more/cc -c a.c -o a.o
	COFFER_REPRODUCIBLE=off check hit more/cc -c a.c -o a.o
}

trap_90_links_to_ccache_are_passed_by_unless_it_is_configured() # gcc
{
	local way
	put a.c '#ifndef X' '#define X 0' '#endif' 'int a = X;'
	put ccache.c '#include <stdio.h>' '#include <unistd.h>' \
		'int main(int c, char **v) { (void)c; fputs("ccache ran\n", stderr); v[0] = "/usr/bin/gcc"; execv(v[0], v); return 9; }'
	mkdir bin h
	gcc ccache.c -o bin/ccache
	ln -s ../bin/ccache bin/gcc
	unset "${!CCACHE_@}"
	PATH=$P/bin:$PATH COFFER_REPRODUCIBLE=off "$COFFER" gcc -c a.c -o a.o 2>err || fail 'it does not compile'
	[ -e /etc/ccache.conf ] || [ ! -s err ] || fail "the other cache ran: $(<err)"
	[ -e /etc/ccache.conf ] || counted hit env PATH="$P/bin:$PATH" COFFER_REPRODUCIBLE=off "$COFFER" "$P/bin/gcc" -c a.c -o a.o
	put "h/.config/ccache/ccache.conf" 'compiler = /bin/false'
	mkdir other
	for way in CCACHE_COMPILER=/x CCACHE_PATH=/x CCACHE_PREFIX=x CCACHE_DIR=/x "HOME=$P/h" "XDG_CONFIG_HOME=$P/h/.config" -uHOME; do
		env "$way" PATH="$P/bin:$PATH" "$COFFER" gcc -c a.c -o a.o 2>err || fail "$way: it does not compile: $(<err)"
		has_text err 'ccache ran'
		env "$way" "$COFFER" stop >/dev/null 2>&1
	done
	# Where there is nothing else, it is what runs; so is something else of its name.
	ln -s ccache bin/only-gcc
	PATH=$P/bin:$PATH "$COFFER" only-gcc -c a.c -o a.o 2>err || fail "it does not compile: $(<err)"
	has_text err 'ccache ran'
	script own/ccache '#!/bin/sh' 'echo own ran >&2' 'exec /usr/bin/gcc "$@"'
	ln -s ccache own/gcc
	PATH=$P/own:$PATH "$COFFER" gcc -c a.c -o a.o 2>err || fail 'it does not compile'
	has_text err 'own ran'
}

trap_88_a_compiler_by_another_name() # gcc
{
	local real parts
	real=$(readlink -f "$(command -v "$CC")")
	parts=$(dirname "$("$CC" -print-prog-name=cc1)")
	put a.c 'int a;'
	mkdir bin
	ln -s "$real" bin/vendor
	same bin/vendor -c a.c -o a.o
	cp "$real" bin/own
	COFFER_REPRODUCIBLE=off check any bin/own "-B$parts" -c a.c -o a.o
	COFFER_COMPILER='own:gcc' same bin/own "-B$parts" -c a.c -o a.o
	# It says itself what it is.
	COFFER_COMPILER="own:clang gcc:clang clang:gcc" COFFER_REPRODUCIBLE=off check hit bin/own "-B$parts" -c a.c -o a.o
	if command -v clang >/dev/null; then
		COFFER_COMPILER=clang:gcc COFFER_REPRODUCIBLE=off check any clang -c a.c -o a.o
	fi
	! COFFER_COMPILER=own:pascal "$COFFER" config >out 2>&1 || fail "it is taken: $(<out)"
	has_text out 'NAME:gcc or NAME:clang'
}

trap_88_mpicc() # gcc long
{
	local name any=
	put a.c 'int a;'
	for name in mpicc.openmpi mpicc.mpich; do
		command -v $name >/dev/null || continue
		any=1
		same $name -c a.c -o a.o
	done
	[ -n "$any" ] || skip 'there is no mpicc'
}

# By the name of a compiler, or told to be one: what it runs in the end counts, whatever it has asked for before.
trap_88_a_program_that_runs_a_compiler() # gcc
{
	local real i
	real=$(readlink -f "$(command -v "$CC")")
	put a.c '#ifndef X' '#define X 0' '#endif' 'int a = X;'
	cat >w.c <<-EOF
		#include <stdio.h>
		#include <stdlib.h>
		#include <unistd.h>
		int main(int n, char **words)
		{
			char *all[99] = {"gcc"}, define[60];
			int k = 1;
			if (getenv("WRAPPED")) {
				snprintf(define, sizeof define, "-DX=%s", getenv("WRAPPED"));
				all[k++] = define;
			}
			for (int i = 1; i <= n && k < 99; i++)
				all[k++] = words[i];
			execv("$real", all);
			return 9;
		}
	EOF
	mkdir in
	"$CC" w.c -o in/gcc && cp in/gcc in/vendor
	for i in 1 2 1; do
		WRAPPED=$i COFFER_REPRODUCIBLE=off check any in/gcc -c a.c -o a.o
		WRAPPED=$i COFFER_REPRODUCIBLE=off COFFER_COMPILER=vendor:gcc check any in/vendor -c a.c -o a.o
	done
	judge hit || fail 'the same compile is no hit'
	same in/gcc -c a.c -o a.o
}

# By posix_spawn and by the calls that take their words one by one. What is spawned into another directory is taken from there.
trap_88_spawned_compilers() # gcc
{
	local real how
	need /usr/bin/python3 perl
	real=$(command -v "$CC")
	put a.c 'int a = X;'
	put py/cc '#!/usr/bin/python3' 'import subprocess, sys' \
		"sys.exit(subprocess.run(['$real', '-DX=1'] + sys.argv[1:], close_fds=False).returncode)"
	put perl/cc "#!$(command -v perl)" "exec(\"$real -DX=2 @ARGV; exit 0\")"
	put sub/a.c 'char a = 3;'
	put spawn.c '#include <spawn.h>' '#include <stdlib.h>' '#include <string.h>' '#include <sys/wait.h>' '#include <unistd.h>' \
		'extern char **environ;' 'int main(int n, char **v) {' 'char *w[64] = {"gcc", "-DX=4"}; int st = -1; pid_t p;' \
		'for (int i = 1; i <= n && i < 60; i++) w[i + 1] = v[i];' 'const char *how = getenv("HOW") ? getenv("HOW") : "s";' \
		"if (!strcmp(how, \"l\")) execl(\"$real\", \"gcc\", \"-DX=5\", v[1], v[2], v[3], v[4], (char *)0);" \
		'if (!strcmp(how, "lp")) execlp("gcc", "gcc", "-DX=6", v[1], v[2], v[3], v[4], (char *)0);' \
		"if (!strcmp(how, \"le\")) execle(\"$real\", \"gcc\", \"-DX=7\", v[1], v[2], v[3], v[4], (char *)0, environ);" \
		'posix_spawn_file_actions_t a; posix_spawn_file_actions_init(&a);' \
		'if (strstr(how, "cd")) posix_spawn_file_actions_addchdir_np(&a, "sub");' \
		"int rc = *how == 'p' ? posix_spawnp(&p, \"gcc\", &a, 0, w, environ) : posix_spawn(&p, \"$real\", &a, 0, w, environ);" \
		'if (rc) return 100 + rc;' 'waitpid(p, &st, 0); return WEXITSTATUS(st); }'
	mkdir -p c
	"$real" -w -o c/cc spawn.c || fail 'the wrapper does not build'
	chmod +x py/cc perl/cc
	for how in py perl; do
		COFFER_REPRODUCIBLE=off check any $how/cc -c a.c -o a.o
		COFFER_REPRODUCIBLE=off check hit $how/cc -c a.c -o a.o
	done
	for how in l lp le s p cd; do
		export HOW=$how
		COFFER_REPRODUCIBLE=off check any c/cc -c a.c -o a.o
		COFFER_REPRODUCIBLE=off check hit c/cc -c a.c -o a.o
	done
	# The search goes through the directories as they are there.
	put sub/bin/gcc '#!/bin/sh' "exec $real -DX=77 \"\$@\""
	chmod +x sub/bin/gcc
	PATH=bin:$PATH HOW=pcd COFFER_REPRODUCIBLE=off check any c/cc -c a.c -o a.o
	put bad.c 'int a'
	HOW=s check compile_failed c/cc -c bad.c -o a.o
}
