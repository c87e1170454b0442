# CMake projects through coffer: the module, the toolchain file, the environment, for both generators. Precompiled headers
# and unity builds keep working, a second build folder is served from the cache, what is installed runs.
# shellcheck shell=bash disable=SC2154,SC2016
# shellcheck source=tests/e2e/jobserver/lib.sh
source "$TESTS/e2e/jobserver/lib.sh"
js_tools || fail "the stand-ins do not build"
# So that the module finds this coffer, as it would find an installed one.
PATH=$(dirname "$COFFER"):$PATH

project()
{
	need cmake ninja
	mkdir -p src
	cat >src/CMakeLists.txt <<END
cmake_minimum_required(VERSION 3.18)
project(demo C CXX)
$1
add_library(part STATIC part.c other.c)
set_property(TARGET part PROPERTY UNITY_BUILD ON)
add_library(plain STATIC plain.c)
add_executable(demo main.cpp more.cpp)
target_link_libraries(demo part plain)
target_precompile_headers(demo PRIVATE <string> <vector>)
install(TARGETS demo DESTINATION bin)
END
	echo 'int part(void) { return 40; }' >src/part.c
	echo 'int plain(void) { return 0; }' >src/plain.c
	echo 'int other(void) { return 2; }' >src/other.c
	echo 'int more() { std::vector<int> v(1, 0); return v[0]; }' >src/more.cpp
	cat >src/main.cpp <<'END'
#include <cstdio>
extern "C" int part(void);
extern "C" int other(void);
int more();
int main() { std::string s("answer"); std::printf("%s %d\n", s.c_str(), part() + other() + more()); }
END
}

# build GENERATOR FOLDER ARGUMENT...: configures, builds, installs and runs.
build()
{
	local generator=$1 folder=$2
	shift 2
	cmake -G "$generator" -S src -B "$folder" -DCMAKE_INSTALL_PREFIX="$PWD/installed-$folder" "$@" >log 2>&1 ||
		fail "configure: $(cat log)"
	coffer cmake --build "$folder" >log 2>&1 || fail "build: $(cat log)"
	coffer cmake --install "$folder" >log 2>&1 || fail "install: $(cat log)"
	[ "$("installed-$folder/bin/demo")" = "answer 42" ] || fail "the program is wrong"
	coffer cmake --build "$folder" >log 2>&1 || fail "nothing to do: $(cat log)"
}

# cold_and_warm GENERATOR ARGUMENT...
cold_and_warm()
{
	counted any build "$1" b "${@:2}"
	[ "$(grown compiles)" -ge 5 ] || fail "coffer is not used: $(all_grown)"
	rm -rf b
	counted any build "$1" b "${@:2}"
	[ "$(grown direct_hits)" -ge 2 ] || fail "no hits: $(all_grown)"
	[ "$(grown errors)" = 0 ] || fail "errors: $(all_grown)"
}

e2e_cmake_module() { # once long
	project 'find_package(Coffer REQUIRED)
coffer_enable()'
	cold_and_warm Ninja -DCoffer_DIR="$TOP/integrations/cmake"
	has_text b/build.ninja "pool = coffer_links"
	"$COFFER" ninja -C b -t clean >log || fail "ninja: $(cat log)"
}

e2e_cmake_module_leaves_other_launchers_alone() { # once long
	project 'find_package(Coffer 0.0.1 REQUIRED)
coffer_enable(LANGUAGES C CXX LINK_JOBS 0 GATE_LINKS)'
	build Ninja b -DCoffer_DIR="$TOP/integrations/cmake" -DCMAKE_C_COMPILER_LAUNCHER=env
	lacks_text b/build.ninja coffer_links
	has_text b/CMakeFiles/rules.ninja "command = env /usr/bin/cc"
	grep -qF "coffer /usr/bin/c++ \$FLAGS \$LINK_FLAGS" b/CMakeFiles/rules.ninja || fail "links do not pass coffer"
	project 'find_package(Coffer 99 QUIET)
if(Coffer_FOUND)
  message(FATAL_ERROR "a version that there is not")
endif()'
	build Ninja c -DCoffer_DIR="$TOP/integrations/cmake"
}

e2e_cmake_toolchain_file() { # once long
	project ''
	echo 'set(CHAINED yes CACHE STRING "")' >own.cmake
	cold_and_warm "Unix Makefiles" -DCMAKE_TOOLCHAIN_FILE="$TOP/integrations/cmake/coffer-toolchain.cmake" \
		-DCOFFER_CHAINLOAD_TOOLCHAIN_FILE="$PWD/own.cmake"
	has_text b/CMakeCache.txt CHAINED:STRING=yes
}

e2e_cmake_verb_sets_the_launcher() { # once long
	project ''
	need cmake ninja
	coffer cmake -G Ninja -S src -B b >log 2>&1 || fail "configure: $(cat log)"
	has_text b/CMakeCache.txt "CMAKE_CXX_COMPILER_LAUNCHER:STRING=$COFFER"
	counted any coffer cmake --build b
	[ "$(grown compiles)" -ge 4 ] || fail "coffer is not used: $(all_grown)"
	[ "$(coffer cmake --version)" = "$(cmake --version)" ] || fail "the version differs"
	coffer cmake --build nowhere 2>errs
	[ $? = 1 ] || fail "cmake's exit status is lost"
}

e2e_cmake_preset() { # once long
	project ''
	cp "$TOP/integrations/cmake/CMakePresets.json" src/
	cd src || fail "no folder"
	cmake --preset coffer >../log 2>&1 || fail "configure: $(cat ../log)"
	counted any cmake --build --preset coffer
	[ "$(grown compiles)" -ge 4 ] || fail "coffer is not used: $(all_grown)"
	coffer cmake --build --preset coffer >../log 2>&1 || fail "build: $(cat ../log)"
}
