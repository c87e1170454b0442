# Traps 36-40: which compiler it is.
# shellcheck shell=bash

trap_36_the_name_is_part_of_the_identity() # long
{
	local real name
	put a.c '#ifdef __cplusplus' 'int cxx;' '#else' 'int c;' '#endif'
	same "$CC" -c a.c -o a.o
	check changed "$CXX" -c a.c -o a.o
	# One file with several names.
	real=$(readlink -f "$(command -v "$CC")")
	mkdir bin
	for name in cc mycc; do ln -s "$real" "bin/$name"; done
	right "$P/bin/cc" -c a.c -o a.o
	right bin/mycc -c a.c -o a.o
	PATH=$P/bin:$PATH right mycc -c a.c -o a.o
	right "$(command -v "$CC")" -c a.c -o a.o
	if is_clang; then
		for name in clang++ aarch64-linux-gnu-clang i686-linux-gnu-clang x86_64-linux-gnu-clang++ clang-cpp; do
			ln -s "$real" "bin/$name"
			right "$P/bin/$name" -c a.c -o a.o
		done
		# The time is in its objects.
		ln -s "$real" bin/clang-cl
		IGNORE=a.o untouched compiler_unknown "$P/bin/clang-cl" -c a.c -o a.o
		same clang -target aarch64-linux-gnu -c a.c -o a.o
		check changed clang -target i686-linux-gnu -c a.c -o a.o
		check any clang --target=i686-linux-gnu -c a.c -o a.o
		check any clang --driver-mode=g++ -c a.c -o a.o
	else
		right x86_64-linux-gnu-gcc -c a.c -o a.o
		check any x86_64-linux-gnu-g++ -c a.c -o a.o
	fi
}

trap_36_cc_and_cxx_as_they_are_installed()  # once long
{
	local compiler
	put a.c 'int a;'
	put a.cc 'int a;'
	for compiler in cc c++ gcc g++ clang clang++ c89 c99 gcc-12 g++-12 clang-14 clang++-14; do
		command -v $compiler >/dev/null || continue
		right $compiler -c a.c -o a.o
		right $compiler -c a.cc -o a.o
	done
}

trap_37_wrapper_scripts_that_look_alike()
{
	local dir
	put a.c 'int a = X;'
	for dir in 1 2; do
		put w$dir/cc '#!/bin/sh' "exec $CC -DX=$dir \"\$@\""
		chmod +x w$dir/cc
		touch -d '2020-01-01' w$dir/cc
	done
	same "$P/w1/cc" -c a.c -o a.o
	same "$P/w2/cc" -c a.c -o a.o
	same w2/cc -c a.c -o a.o
	PATH=$P/w1:$PATH same cc -c a.c -o a.o
	PATH=$P/w2:$PATH same cc -c a.c -o a.o
	sed -i 's/X=1/X=3/' w1/cc
	touch -d '2020-01-01' w1/cc
	same "$P/w1/cc" -c a.c -o a.o
	# A script without its first line, which only a shell can start.
	sed -i 1d w2/cc
	NORMALIZE='s/.*Exec format error.*/exec/' check any "$P/w2/cc" -c a.c -o a.o
	return 0
}

# A program that calls the real compiler with one more argument: a wrapper that is no script.
binary_wrapper()
{
	put wrap.c '#include <unistd.h>' 'int main(int argc, char **argv) {' ' char *args[4000] = {argv[0], "-DX='"$2"'"};' \
		' for (int i = 1; i <= argc; i++) args[i + 1] = argv[i];' " execv(\"$(command -v "$CC")\", args);" ' return 127;' '}'
	"$CC" wrap.c -o "$1"
	rm wrap.c
}

trap_37_updated_compiler_with_the_same_size_and_time()
{
	put a.c 'int a = X;'
	mkdir bin
	binary_wrapper bin/gcc 1
	touch -d '2020-01-01' bin/gcc
	right "$P/bin/gcc" -c a.c -o a.o
	sleep 2.2
	check any "$P/bin/gcc" -c a.c -o a.o
	binary_wrapper "$T/new" 2
	[ "$(stat -c %s "$T/new")" = "$(stat -c %s bin/gcc)" ] || fail "the wrappers differ in size"
	cat "$T/new" >bin/gcc
	touch -d '2020-01-01' bin/gcc
	check changed "$P/bin/gcc" -c a.c -o a.o
	binary_wrapper "$T/new" 3
	touch -d '2020-01-01' "$T/new"
	mv "$T/new" bin/gcc
	check changed "$P/bin/gcc" -c a.c -o a.o
	# A link that goes elsewhere.
	binary_wrapper bin/four 4
	binary_wrapper bin/five 5
	touch -d '2020-01-01' bin/four bin/five
	ln -sf four bin/gcc
	check changed "$P/bin/gcc" -c a.c -o a.o
	ln -sf five bin/gcc
	check changed "$P/bin/gcc" -c a.c -o a.o
}

trap_37_compiler_that_is_replaced_while_the_daemon_runs()
{
	put a.c 'int a;'
	mkdir bin
	cp /bin/true bin/gcc
	check any "$P/bin/gcc" -c a.c -o a.o
	rm bin/gcc
	"$COFFER" "$P/bin/gcc" -c a.c -o a.o 2>"$T/err"
	[ $? = 127 ] || fail "no status 127 without a compiler"
	[ -s "$T/err" ] || fail "no message"
	ln -s "$(command -v "$CC")" bin/gcc
	check any "$P/bin/gcc" -c a.c -o a.o
	[ -e a.o ] || fail "no object"
	rm bin/gcc a.o
	"$COFFER" "$P/bin/gcc" -c a.c -o a.o 2>"$T/err"
	[ $? = 127 ] || fail "no status 127 without a compiler"
	[ ! -e a.o ] || fail "an object without a compiler"
	check any "$CC" -c a.c -o a.o
}

trap_38_programs_named_by_options() # gcc
{
	put a.c 'int a;'
	for i in 1 2; do
		put dir$i/as '#!/bin/sh' "exec /usr/bin/as --defsym made_by=$i \"\$@\""
		chmod +x dir$i/as
		touch -d '2020-01-01' dir$i/as
	done
	same gcc -c a.c -o a.o
	right gcc -B"$P/dir1" -c a.c -o a.o
	nm a.o | grep -q made_by || fail "gcc did not take the assembler"
	check any gcc -B"$P/dir2" -c a.c -o a.o
	check any gcc -B "$P/dir2/" -c a.c -o a.o
	check any gcc -Bdir1/ -c a.c -o a.o
	sed -i 's/made_by=1/made_by=3/' dir1/as
	touch -d '2020-01-01' dir1/as
	check any gcc -Bdir1/ -c a.c -o a.o
	check any gcc "-B$P/dir1" -c a.c -o a.o
	check any gcc --prefix=dir2/ -c a.c -o a.o
	check any gcc -wrapper /usr/bin/env,LC_ALL=C -c a.c -o a.o
	check any gcc -no-canonical-prefixes -c a.c -o a.o
	check any gcc -pipe -c a.c -o a.o
}

trap_38_specs() # gcc
{
	put a.c 'int a = X;'
	put x.specs '*cpp_unique_options:' '+ -DX=1' ''
	check any gcc -specs=x.specs -c a.c -o a.o
	again any gcc -specs=x.specs -c a.c -o a.o
	put x.specs '*cpp_unique_options:' '+ -DX=2' ''
	check changed gcc -specs=x.specs -c a.c -o a.o
	put x.specs '*cpp_unique_options:' '+ -DX=3' ''
	check changed gcc -specs x.specs -c a.c -o a.o
	put x.specs '%include <inner.specs>' ''
	put inner.specs '*cpp_unique_options:' '+ -DX=4' ''
	check any gcc -specs=x.specs -c a.c -o a.o
	put inner.specs '*cpp_unique_options:' '+ -DX=5' ''
	check any gcc -specs=x.specs -c a.c -o a.o
	check any gcc --specs=x.specs -c a.c -o a.o
	check any gcc -specs=missing.specs -c a.c -o a.o
}

trap_38_specs_of_distributions() # gcc
{
	local specs=/usr/share/dpkg/no-pie-compile.specs
	[ -r $specs ] || skip "there is no $specs"
	put a.c 'int a; int *f(void) { return &a; }'
	right gcc -specs=$specs -c a.c -o a.o
	check any gcc -c a.c -o a.o
}

trap_38_plugins()
{
	put a.c 'int a;'
	untouched plugin "$CC" -fplugin=./missing.so -c a.c -o a.o
	if is_clang; then
		untouched plugin clang -Xclang -load -Xclang ./missing.so -c a.c -o a.o
		right clang -fpass-plugin=./missing.so -c a.c -o a.o
		right clang -Xclang -add-plugin -Xclang missing -c a.c -o a.o
		right clang -Xclang -plugin -Xclang missing -c a.c -o a.o
	else
		right gcc -fplugin=./missing.so -fplugin-arg-missing-x=1 -c a.c -o a.o
	fi
}

trap_38_other_toolchains() # clang
{
	local i
	put a.cc '#include <x.h>' 'int a = X;'
	for i in 1 2; do
		mkdir -p gcc$i/lib/gcc/x86_64-linux-gnu/12
		: >gcc$i/lib/gcc/x86_64-linux-gnu/12/crtbegin.o
		put gcc$i/include/c++/12/x.h "#define X $i"
		put gcc$i/include/c++/12/x86_64-linux-gnu/y.h
	done
	right clang++ --gcc-toolchain="$P/gcc1" -c a.cc -o a.o
	check changed clang++ --gcc-toolchain="$P/gcc2" -c a.cc -o a.o
	put gcc2/include/c++/12/x.h '#define X 3'
	check any clang++ --gcc-toolchain="$P/gcc2" -c a.cc -o a.o
	# A newer one appears.
	mkdir -p gcc2/lib/gcc/x86_64-linux-gnu/13
	: >gcc2/lib/gcc/x86_64-linux-gnu/13/crtbegin.o
	put gcc2/include/c++/13/x.h '#define X 4'
	put gcc2/include/c++/13/x86_64-linux-gnu/y.h
	check any clang++ --gcc-toolchain="$P/gcc2" -c a.cc -o a.o
}

trap_38_external_assembler() # clang
{
	local i
	put a.c 'int a;'
	same clang -c a.c -o a.o
	right clang -no-integrated-as -c a.c -o a.o
	right clang -fno-integrated-as -c a.c -o a.o
	for i in 1 2; do
		put dir$i/as '#!/bin/sh' "exec /usr/bin/as --defsym made_by=$i \"\$@\""
		chmod +x dir$i/as
	done
	PATH=$P/dir1:$PATH check any clang -fno-integrated-as -c a.c -o a.o
	PATH=$P/dir2:$PATH check any clang -fno-integrated-as -c a.c -o a.o
	check any clang -fno-integrated-as -B"$P/dir1" -c a.c -o a.o
	check any clang -fno-integrated-as -B"$P/dir2" -c a.c -o a.o
}

trap_38_resource_folder() # clang
{
	local real
	put a.c '#include <stddef.h>' '#ifndef X' '#define X 0' '#endif' 'int a = X;'
	real=$(clang -print-resource-dir)
	cp -rL "$real" resource
	right clang -resource-dir "$P/resource" -c a.c -o a.o
	echo '#define X 7' >>resource/include/stddef.h
	check changed clang -resource-dir "$P/resource" -c a.c -o a.o
	check any clang -resource-dir="$P/resource" -c a.c -o a.o
}

trap_39_native_options_are_right_here()
{
	put a.c '#ifdef __AVX2__' 'int avx2;' '#endif' 'int f(int x) { return __builtin_popcount(x); }'
	same "$CC" -O2 -march=native -c a.c -o a.o
	same "$CC" -O2 -mtune=native -c a.c -o a.o
	check changed "$CC" -O2 -march=x86-64 -c a.c -o a.o
	put args '-march=native'
	right "$CC" -O2 @args -c a.c -o a.o
	put args '-march=x86-64'
	check any "$CC" -O2 @args -c a.c -o a.o
}

# Folders with links to coffer under compilers' names.
masquerade()
{
	local name
	mkdir -p "$1"
	for name in gcc g++ clang clang++ cc c++; do ln -sf "$COFFER" "$1/$name"; done
}

trap_40_coffer_finds_itself_in_path()
{
	local path=$PATH status
	put a.c 'int a;'
	masquerade "$T/masq"
	masquerade "$T/masq2"
	"$CC" -c a.c -o want.o
	PATH=$T/masq:$path
	counted any timeout 20 "$CC" -c a.c -o a.o || fail "fails"
	same_file a.o want.o
	rm a.o
	counted hit timeout 20 "$CC" -c a.c -o a.o || fail "fails"
	same_file a.o want.o
	rm a.o
	counted hit timeout 20 "$COFFER" "$CC" -c a.c -o a.o || fail "fails"
	same_file a.o want.o
	rm a.o
	PATH=$T/masq:$T/masq2:$path
	counted hit timeout 20 "$CC" -c a.c -o a.o || fail "fails with two folders of links"
	same_file a.o want.o
	rm a.o
	counted any timeout 20 "$T/masq/$CC" -c a.c -o a.o || fail "fails by its absolute name"
	same_file a.o want.o
	rm a.o
	counted any timeout 20 "$COFFER" "$T/masq/$CC" -c a.c -o a.o || fail "fails as a compiler of itself"
	same_file a.o want.o
	rm a.o
	counted any timeout 20 "$COFFER" "$COFFER" "$CC" -c a.c -o a.o || fail "fails before itself"
	same_file a.o want.o
	# Nothing but links: it must end, and say so.
	PATH=$T/masq:$T/masq2
	status=0
	/usr/bin/timeout 20 "$T/masq/$CC" -c a.c -o b.o 2>"$T/err" || status=$?
	PATH=$path
	[ $status = 127 ] || fail "no status 127 where there is no compiler: $(<"$T/err")"
	has_text "$T/err" coffer:
	[ ! -e b.o ] || fail "an object without a compiler"
}

trap_40_copies_and_hard_links_of_coffer()
{
	local path=$PATH
	put a.c 'int a;'
	mkdir "$T/copy" "$T/link"
	cp "$COFFER" "$T/copy/$CC"
	ln "$COFFER" "$T/link/$CC" 2>/dev/null || cp -l "$T/copy/$CC" "$T/link/$CC"
	"$CC" -c a.c -o want.o
	PATH=$T/copy:$T/link:$path
	timeout 20 "$CC" -c a.c -o a.o || fail "fails"
	same_file a.o want.o
	rm a.o
	timeout 20 "$COFFER" "$CC" -c a.c -o a.o || fail "fails"
	same_file a.o want.o
	PATH=$path
}

trap_40_ccache_before_and_after() # gcc
{
	local path=$PATH
	need ccache
	export CCACHE_DIR=$T/ccache
	put a.c 'int a;'
	gcc -c a.c -o want.o
	timeout 20 ccache "$COFFER" gcc -c a.c -o a.o || fail "ccache coffer gcc fails"
	same_file a.o want.o
	rm a.o
	timeout 20 "$COFFER" ccache gcc -c a.c -o a.o || fail "coffer ccache gcc fails"
	same_file a.o want.o
	rm a.o
	masquerade "$T/masq"
	PATH=$T/masq:$path
	timeout 20 ccache gcc -c a.c -o a.o || fail "ccache gcc, where gcc is coffer, fails"
	same_file a.o want.o
	mkdir "$T/ccache.bin"
	ln -s "$(command -v ccache)" "$T/ccache.bin/gcc"
	for PATH in "$T/ccache.bin:$T/masq:$path" "$T/masq:$T/ccache.bin:$path"; do
		rm -f a.o
		timeout 20 gcc -c a.c -o a.o || fail "fails with PATH=$PATH"
		same_file a.o want.o
	done
	PATH=$path
	export CCACHE_PREFIX=$COFFER
	rm a.o
	timeout 20 ccache gcc -DX -c a.c -o a.o || fail "fails as ccache's prefix"
	same_file a.o want.o
}
