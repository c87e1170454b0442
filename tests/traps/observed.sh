# Traps 71 to 80: what a compiler looks at besides the source, its headers and the command line (docs/never-wrong.md).
# shellcheck shell=bash disable=SC2154

# after 'CHANGE' CMD…: CMD is as the plain compiler, cold and warm, and once more after the change, with the same daemon; then
# the change is taken back, and it is as before.
after()
{
	local change=$1 back=$2
	shift 2
	right "$@"
	eval "$change"
	check changed "$@"
	right "$@"
	eval "$back"
	right "$@"
}

trap_71_specs_that_appear() # gcc
{
	local dir
	put a.c '#ifndef V' '#define V 1' '#endif' 'int v = V;'
	# gcc looks for specs in the directories of LIBRARY_PATH, too.
	dir=$P/lib/$(gcc -dumpmachine)/$(gcc -dumpversion)
	export LIBRARY_PATH=$P/lib
	mkdir -p "$dir"
	gcc -dumpspecs | sed '/^\*cpp:/{n;s/$/ -DV=2/}' >"$T/specs"
	cp "$T/specs" "$dir/specs" && gcc -c a.c -o one.o && rm "$dir/specs" && gcc -c a.c -o two.o
	! cmp -s one.o two.o || skip "this gcc reads no specs there"
	rm -f one.o two.o
	after "cp $T/specs $dir/specs" "rm $dir/specs" gcc -c a.c -o a.o
	# Where the directory itself comes with it.
	rm -r lib
	after "mkdir -p lib/$(gcc -dumpmachine)/$(gcc -dumpversion); cp $T/specs $dir/specs" "rm -r lib" gcc -O1 -c a.c -o b.o
}

trap_71_the_newest_gcc_below_a_sysroot() # clang
{
	local of=sr/usr/lib/gcc/x86_64-linux-gnu version
	put a.cc '#include <foo.h>'
	for version in 11 12; do
		mkdir -p $of/$version sr/usr/include/c++/$version
		echo "int version = $version;" >sr/usr/include/c++/$version/foo.h
	done
	touch $of/11/crtbegin.o
	after "touch $of/12/crtbegin.o" "rm $of/12/crtbegin.o" clang++ --target=x86_64-linux-gnu --sysroot="$P/sr" -c a.cc -o a.o
	after "touch $of/12/crtbegin.o" "rm $of/12/crtbegin.o" clang++ --target=x86_64-linux-gnu --sysroot=sr -c a.cc -o a.o
}

trap_72_directories_that_are_searched_once_they_exist() # clang
{
	local multi=sr/usr/include/x86_64-linux-gnu
	put a.c '#include <foo.h>'
	put sr/usr/include/foo.h 'int h = 1;'
	after "mkdir $multi; echo 'int h = 2;' >$multi/foo.h" "rm -r $multi" clang --target=x86_64-linux-gnu --sysroot="$P/sr" -c a.c -o a.o
}

trap_72_frameworks() # clang
{
	local option
	put a.c '#include <Kit/k.h>'
	put fw2/Kit.framework/Headers/k.h 'int k = 1;'
	mkdir fw1
	clang -Ffw1 -Ffw2 -c a.c -o a.o 2>/dev/null || skip "this clang has no -F"
	rm a.o
	for option in -F -iframework; do
		after 'put fw1/Kit.framework/Headers/k.h "int k = 2;"' 'rm -r fw1/Kit.framework' clang $option fw1 $option fw2 -c a.c -o a.o
		after 'put fw1/Kit.framework/PrivateHeaders/k.h "int k = 3;"' 'rm -r fw1/Kit.framework' clang $option fw1 $option fw2 -c a.c -o a.o
	done
}

trap_73_programs_that_appear_earlier() # gcc
{
	local tool='printf "#!/bin/sh\nexec /usr/bin/as --defsym mine=1 \"\$@\"\n" >'
	put a.c 'int a;'
	mkdir tools
	PATH=$P/tools:$PATH
	after "$tool tools/as; chmod +x tools/as" 'rm tools/as' gcc -c a.c -o a.o
	export COMPILER_PATH=$P/other
	after "mkdir other; $tool other/as; chmod +x other/as" 'rm -r other' gcc -c a.c -o a.o
}

trap_73_a_new_daemon_knows_what_the_old_one_saw() # gcc
{
	put a.c 'int a;'
	mkdir tools
	PATH=$P/tools:$PATH
	same gcc -c a.c -o a.o
	"$COFFER" stop >/dev/null
	check hit gcc -c a.c -o a.o
	"$COFFER" stop >/dev/null
	printf '#!/bin/sh\nexec /usr/bin/as --defsym mine=1 "$@"\n' >tools/as
	chmod +x tools/as
	check changed gcc -c a.c -o a.o
}

trap_76_variables_that_some_targets_read() # clang
{
	local pair name target
	put a.c 'int v(void) { return 1; }'
	for pair in MACOSX:x86_64-apple-darwin IPHONEOS:arm64-apple-ios TVOS:arm64-apple-tvos WATCHOS:armv7k-apple-watchos; do
		name=${pair%%:*}_DEPLOYMENT_TARGET target=${pair#*:}
		(export "$name=12.0" && clang --target="$target" -c a.c -o one.o 2>/dev/null) || continue
		(export "$name=14.0" && clang --target="$target" -c a.c -o two.o)
		cmp -s one.o two.o && continue
		export "$name=12.0"
		right clang --target="$target" -c a.c -o a.o
		export "$name=14.0"
		right clang --target="$target" -c a.c -o a.o
		unset "$name"
	done
}

# A library asks itself whatever the compiler asks of its environment.
trap_76_every_variable_that_is_asked_for_is_known() # once
{
	local c name names=()
	need gcc clang
	cat >"$T/g.c" <<-'END'
		#define _GNU_SOURCE
		#include <dlfcn.h>
		#include <fcntl.h>
		#include <string.h>
		#include <unistd.h>
		static void note(const char *n)
		{
			char *(*real)(const char *) = (char *(*)(const char *))dlsym(RTLD_NEXT, "getenv");
			const char *f = real("GETENV_LOG");
			int fd = f ? open(f, O_WRONLY | O_APPEND | O_CREAT, 0644) : -1;
			if (fd < 0)
				return;
			(void)!write(fd, n, strlen(n));
			(void)!write(fd, "\n", 1);
			close(fd);
		}
		char *getenv(const char *n)
		{
			note(n);
			return ((char *(*)(const char *))dlsym(RTLD_NEXT, "getenv"))(n);
		}
		char *secure_getenv(const char *n)
		{
			note(n);
			return ((char *(*)(const char *))dlsym(RTLD_NEXT, "secure_getenv"))(n);
		}
	END
	gcc -shared -fPIC -o "$T/g.so" "$T/g.c" -ldl || skip "the library does not compile"
	put a.c 'int a;'
	export GETENV_LOG=$T/asked
	for c in 'gcc -c' 'g++ -x c++ -c' 'gcc -flto -c' 'gcc -g -O2 -fsanitize=address -c' 'gcc --coverage -c' 'clang -c' 'clang++ -x c++ -c' \
		'clang -target x86_64-apple-darwin -c' 'clang -target arm64-apple-ios -c' 'clang -target x86_64-pc-windows-msvc -c' \
		'clang -target x86_64-linux-android21 -c' 'clang -target wasm32-wasi -c' 'clang -target x86_64-w64-mingw32 -c' \
		'clang -fsanitize=address -g -c' 'clang -fno-integrated-as -c' 'clang -target riscv64-unknown-elf -c'; do
		# shellcheck disable=SC2086
		LD_PRELOAD=$T/g.so $c a.c -o x.o 2>/dev/null
	done
	[ -s "$T/asked" ] || fail "nothing was asked for"
	mapfile -t names < <(sed -n 's/^VARIABLE([A-Z]*, "\([^"]*\)").*/\1/p' "$here/../base/compiler_variables.def")
	[ ${#names[@]} -gt 50 ] || fail "the table is not understood"
	while read -r name; do
		for c in "${names[@]}"; do
			# shellcheck disable=SC2053
			[[ $name == $c ]] && continue 2
		done
		fail "'$name' is not in base/compiler_variables.def"
	done < <(sort -u "$T/asked")
}

trap_79_directories_of_the_search_that_come_and_go()
{
	put a.c 'int v;'
	mkdir gen
	right "$CC" -Wmissing-include-dirs -Igen -c a.c -o a.o
	rmdir gen
	right "$CC" -Wmissing-include-dirs -Igen -c a.c -o a.o
	EXPECT_ERRORS=1 right "$CC" -Werror=missing-include-dirs -Igen -c a.c -o a.o
	mkdir gen
	right "$CC" -Wmissing-include-dirs -Igen -c a.c -o a.o
	right "$CC" -Werror=missing-include-dirs -Igen -c a.c -o a.o
}

trap_79_lines_that_messages_quote_of_other_files()
{
	put gram.y 'one' 'int unused of grammar;' 'three'
	put a.c 'void f(void) {' '#line 2 "gram.y"' 'int unused;' '#line 2 "later.y"' 'int idle;' '}'
	right "$CC" -Wall -c a.c -o a.o
	sed -i 's/of grammar/of GRAMMAR/' gram.y
	right "$CC" -Wall -c a.c -o a.o
	put later.y 'one' 'int idle of later;'
	right "$CC" -Wall -c a.c -o a.o
	rm gram.y
	right "$CC" -Wall -c a.c -o a.o
}

trap_80_directories_with_a_default_acl()
{
	need python3
	put a.c 'int a;'
	mkdir d
	python3 - <<-'END' || skip "this file system has no ACLs"
		import os, struct
		e = lambda tag, perm, who=0xffffffff: struct.pack('<HHI', tag, perm, who)
		os.setxattr('d', 'system.posix_acl_default', struct.pack('<I', 2) + e(1, 7) + e(2, 7, 65534) + e(4, 7) + e(16, 7) + e(32, 5))
	END
	"$CC" -c a.c -o d/want.o
	"$COFFER" "$CC" -c a.c -o d/miss.o
	"$COFFER" "$CC" -c a.c -o d/hit.o
	[ "$(stat -c %A d/want.o d/miss.o d/hit.o | sort -u | wc -l)" = 1 ] || fail "modes differ: $(stat -c '%n %A' d/*)"
	mkdir sgid && chmod g+s sgid
	right "$CC" -c a.c -o sgid/a.o
}

trap_23_a_precompiled_header_in_the_place_of_the_source() # gcc
{
	put a.c 'int a;'
	put h.h 'int h;'
	same gcc -c a.c -o a.o
	gcc -x c-header h.h -o a.c.gch
	check any gcc -c a.c -o a.o
	check any gcc -c a.c -o a.o
	[ "$(counter direct_hits)" -lt 3 ] || fail "a hit in spite of a.c.gch"
	rm a.c.gch
	check hit gcc -c a.c -o a.o
}

# The processes of this test that a daemon observes.
observed()
{
	local pid
	for pid in $(leftovers); do
		grep -qs '^TracerPid:[[:space:]]*[1-9]' "/proc/$pid/status" && echo "$pid"
	done
}

trap_71_a_compiler_that_is_killed_while_it_is_observed() # gcc long
{
	local as job pids
	as=$(command -v as)
	put a.c 'int a;'
	# Slow, so that there is time to find it.
	put b/as '#!/bin/sh' 'sleep 2' "exec $as \"\$@\""
	chmod +x b/as
	"$COFFER" gcc -Bb -c a.c -o a.o &
	job=$!
	wait_until 20 'pids=$(observed); [ -n "$pids" ]' || fail "nothing is observed"
	# shellcheck disable=SC2086
	kill -KILL $pids 2>/dev/null
	wait $job || fail "it does not compile"
	check hit gcc -Bb -c a.c -o a.o
}
