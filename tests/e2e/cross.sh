# Other languages and other targets.
# shellcheck shell=bash

e2e_cross_aarch64() { # once
	need aarch64-linux-gnu-gcc
	put h.h '#define H 1'
	put a.c '#include <stddef.h>' '#include "h.h"' '#ifdef __aarch64__' 'int arm = H;' '#endif' 'size_t f(void) { return sizeof(int); }'
	same aarch64-linux-gnu-gcc -O2 -MD -c a.c -o a.o
	same gcc -O2 -MD -c a.c -o a.o
	check hit aarch64-linux-gnu-gcc -O2 -MD -c a.c -o a.o
	readelf -h a.o | grep -q AArch64 || fail "the object is for another machine"
	same aarch64-linux-gnu-gcc -O2 -g -mcpu=cortex-a53 -c a.c -o a.o
	check changed aarch64-linux-gnu-gcc -O2 -g -mcpu=cortex-a72 -c a.c -o a.o
	put h.h '#define H 2'
	expect_changed aarch64-linux-gnu-gcc -O2 -MD -c a.c -o a.o
	put a.S '#include "h.h"' 'add x0, x1, #H'
	same aarch64-linux-gnu-gcc -c a.S -o a.o
	check compile_failed gcc -c a.S -o a.o
	right aarch64-linux-gnu-gcc --version
}

e2e_cross_targets_of_clang() { # clang long
	local target
	put a.c 'int f(int x) { return x * 3; }' 'long l = sizeof(long);'
	for target in aarch64-linux-gnu armv7-linux-gnueabihf riscv64-linux-gnu i686-linux-gnu wasm32 x86_64-apple-macosx10.15 \
		x86_64-w64-mingw32 bpf; do
		clang --target=$target -c a.c -o "$T/try.o" 2>/dev/null || continue
		same clang --target=$target -O1 -c a.c -o a.o
		same clang --target=$target -O1 -g -MD -c a.c -o a.o
	done
	export MACOSX_DEPLOYMENT_TARGET=11.0
	check any clang --target=x86_64-apple-macosx -c a.c -o a.o
	MACOSX_DEPLOYMENT_TARGET=12.0
	check any clang --target=x86_64-apple-macosx -c a.c -o a.o
	unset MACOSX_DEPLOYMENT_TARGET
}

e2e_cross_thirty_two_bits()
{
	put a.c 'long l = sizeof(long);'
	same "$CC" -m32 -c a.c -o a.o
	check changed "$CC" -c a.c -o a.o
	check any "$CC" -m64 -c a.c -o a.o
}

e2e_cross_objective_c()
{
	put h.h '#define H 1'
	put a.m '#import "h.h"' '#import "h.h"' '@interface A { int x; }' '- (int) f;' '@end' '@implementation A' '- (int) f { return H; }' '@end'
	cp a.m a.mm
	"$CC" -c a.m -o "$T/try.o" 2>/dev/null || skip "$CC has no Objective-C"
	same "$CC" -MD -c a.m -o a.o
	same "$CC" -g -MMD -c a.m -o a.o
	put h.h '#define H 2'
	expect_changed "$CC" -MD -c a.m -o a.o
	right "$CC" -MD -c a.mm -o a.o
	right "$CXX" -MD -c a.mm -o a.o
}

e2e_cross_assembler()
{
	put h.h '#define H 1'
	put a.S '#include "h.h"' '.globl f' 'f: mov $H, %eax' 'ret'
	same "$CC" -MD -c a.S -o a.o
	same "$CC" -g -c a.S -o a.o
	same "$CC" -x assembler-with-cpp -c a.S -o a.o
	put h.h '#define H 2'
	expect_changed "$CC" -MD -c a.S -o a.o
	check any "$CC" -DX -c a.S -o a.o
	put b.s '.globl g' 'g: ret'
	same "$CC" -c b.s -o b.o
	right "$CC" -g -c b.s -o b.o
	right "$CC" -MD -c b.s -o b.o
	put b.s '.globl g' 'g: nop' 'ret'
	expect_changed "$CC" -c b.s -o b.o
}

e2e_cross_cxx() # long
{
	put h.hpp '#pragma once' 'template <class T> T twice(T x) { return x + x; }'
	put a.cc '#include "h.hpp"' '#include <vector>' 'namespace { int hidden; }' \
		'int f(std::vector<int> &v) { v.push_back(twice(hidden)); return v.size(); }'
	same "$CXX" -O1 -MD -c a.cc -o a.o
	same "$CXX" -O1 -std=c++20 -g -c a.cc -o a.o
	put h.hpp '#pragma once' 'template <class T> T twice(T x) { return x * 2; }'
	expect_changed "$CXX" -O1 -MD -c a.cc -o a.o
	cp a.cc b.cpp
	same "$CC" -c b.cpp -o b.o
	put c.c 'int x = sizeof(char);'
	right "$CXX" -c c.c -o c.o
	check any "$CXX" -x c++ -c c.c -o c.o
}

e2e_cross_languages_that_are_not_ours()
{
	EXPECT_TEMPS=1 # clang itself leaves files where it can't call another compiler
	put a.f90 'subroutine s' 'end subroutine'
	right "$CC" -c a.f90 -o a.o
	put a.adb 'procedure A is begin null; end A;'
	right "$CC" -c a.adb -o a.o
	put a.d 'void main() {}'
	right "$CC" -c a.d -o a.o
	put a.go 'package main'
	right "$CC" -c a.go -o a.o
	put a.cu '__global__ void f() {}'
	right "$CC" -c a.cu -o a.o
	put a.ll 'define i32 @f() { ret i32 1 }'
	right "$CC" -c a.ll -o a.o
	put a.cl 'kernel void f(global int *x) { *x = 1; }'
	right "$CC" -c a.cl -o a.o
}

e2e_cross_other_users_of_the_driver() { # once
	local compiler
	need musl-gcc
	# A script around gcc with specs of its own.
	put a.c '#include <stdio.h>' 'int f(void) { return printf("x"); }'
	right musl-gcc -c a.c -o a.o
	for compiler in tcc pcc icc nvcc clang-cl; do
		command -v $compiler >/dev/null || continue
		right $compiler -c a.c -o a.o
	done
	return 0
}
