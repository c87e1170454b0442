# Bazel itself: a project of more than a hundred actions on a gateway, as cache and as executor, and with coffer as launcher.
# shellcheck shell=bash disable=SC2154

# ---- Bazel ------------------------------------------------------------------------------------------------------------

# Debian's Bazel knows no network: what it would fetch is put there, as far as C++ needs it.
bazel_stubs()
{
	local root=${COFFER_TEST_BAZEL_ROOT:-} name
	bazel_words=()
	if [ -d "$root/usr/share/bazel/rules/cc" ]; then # 7, with modules
		bazel_words+=(--noenable_workspace)
		for name in protobuf zlib buildozer apple_support; do
			put "$T/stubs/$name/MODULE.bazel" "module(name = \"$name\", version = \"0.0.0\")"
			put "$T/stubs/$name/BUILD" ''
			bazel_words+=("--override_module=$name=$T/stubs/$name")
		done
		put "$T/stubs/buildozer/buildozer_binary.bzl" 'def _file(ctx): ctx.file("BUILD", "")' \
			'_repo = repository_rule(implementation = _file)' \
			'def _impl(ctx): _repo(name = "buildozer_binary")' \
			'buildozer_binary = module_extension(implementation = _impl)'
	elif [ "$(cat "$root/usr/share/bazel/build-label.txt" 2>/dev/null)" = no_version ]; then # 4.2.3, with a WORKSPACE
		for name in rules_cc/cc rules_java/java rules_proto/proto remote_java_tools_linux bazel_skylib; do
			put "$T/stubs/$name/BUILD" ''
			put "$T/stubs/${name%/*}/WORKSPACE" ''
			bazel_words+=("--override_repository=${name%/*}=$T/stubs/${name%/*}")
		done
		put "$T/stubs/rules_cc/cc/BUILD" 'toolchain_type(name = "toolchain_type", visibility = ["//visibility:public"])'
		for name in cc_library cc_binary cc_test cc_import cc_toolchain cc_toolchain_suite; do
			echo "def $name(**a): native.$name(**a)"
		done >"$T/stubs/rules_cc/cc/defs.bzl"
		for name in java_import java_binary java_library java_toolchain java_runtime; do
			echo "def $name(**a): native.$name(**a)"
		done >"$T/stubs/rules_java/java/defs.bzl"
	fi
}

# The root is entered by a process that stays, so that Bazel's server and its clients see the same one.
enter_root()
{
	local root=$COFFER_TEST_BAZEL_ROOT
	need_root
	mkdir -p "$root$T" "$root/.old"
	# shellcheck disable=SC2016
	unshare -m sh -c 'mount --bind "$1" "$1" && mount --bind "$2" "$1$2" && mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" &&
		cd "$1" && pivot_root . .old && umount -l /.old && : >"$2/entered" && exec sleep 100000' - "$root" "$T" >"$T/root.log" 2>&1 &
	root_holder=$!
	wait_until 10 test -e "$T/entered" || fail "the root can't be entered: $(cat "$T/root.log")"
}

bazel_begin()
{
	root_holder=
	if [ -n "${COFFER_TEST_BAZEL_ROOT:-}" ]; then
		enter_root
	else
		need bazel
	fi
	bazel_stubs
	trap bazel_end EXIT
}

bazel_end()
{
	local base place
	for base in "$T"/base*; do
		for place in project second; do # a server for each workspace
			[ ! -d "$base" ] || [ ! -d "$T/$place" ] || PROJECT=$place BASE=${base##*/} bazel_run shutdown >/dev/null 2>&1
		done
	done
	if [ -n "$root_holder" ]; then
		kill "$root_holder"
		wait "$root_holder" 2>/dev/null
		rmdir -p "$COFFER_TEST_BAZEL_ROOT$T" 2>/dev/null
	fi
	[ -z "${worker_pid:-}" ] || kill "$worker_pid"
	[ -z "${gateway_pid:-}" ] || kill "$gateway_pid"
	wait
	chmod -R u+w "$T"/base* 2>/dev/null
}

# bazel_run COMMAND WORD...: in the project $PROJECT with the output base $BASE.
bazel_run()
{
	local command=$1
	shift
	set -- bazel "--output_user_root=$T/${BASE:-base}" --host_jvm_args=-Xmx600m "$command" "$@"
	# shellcheck disable=SC2016
	if [ -n "$root_holder" ]; then
		nsenter -m -t "$root_holder" env HOME="$HOME" sh -c 'cd "$1" && shift && exec "$@"' - "$T/${PROJECT:-project}" "$@"
	else
		(cd "$T/${PROJECT:-project}" && "$@")
	fi
}

# bazel_build WORD...: builds all; what Bazel says is in $T/build.log.
bazel_build()
{
	bazel_run build "${bazel_words[@]}" --color=no --curses=no --noshow_progress --jobs=4 "$@" //:app >"$T/build.log" 2>&1 ||
		fail "bazel build $*: $(tail -15 "$T/build.log")"
}

# processes KIND: how many actions ended so, in the last build ("remote cache hit", "remote", "local").
processes()
{
	sed -nE 's/^INFO: [0-9]+ process(es)?: (.*)\.$/\2/p' "$T/build.log" | tr ',' '\n' | sed -nE "s/^ *([0-9]+) $1( .*)?\$/\1/p" | head -1
}

# ran KIND LEAST: at least so many.
ran()
{
	local n
	n=$(processes "$1")
	[ "${n:-0}" -ge "$2" ] || fail "not $2 actions but ${n:-0} were '$1': $(grep '^INFO: .* process' "$T/build.log")"
}

# ---- the project --------------------------------------------------------------------------------------------------------

# zlib, zstd and fmt, and 30 C++ units that use them: 100 actions and some.
ACTIONS=100
bazel_project()
{
	local i
	mkdir -p "$T/project/u"
	for i in zlib libzstd fmtlib; do
		mkdir -p "$T/project/$i"
		(cd "$T/project/$i" && package_sources "$i") || exit
		[ ! -e "$T/skipped" ] || exit 0
	done
	find "$T/project" \( -name 'BUILD*' -o -name 'MODULE.bazel' -o -name 'WORKSPACE*' \) -delete
	put "$T/project/u/u.h" '#include <string>' '#define VALUE 1' 'std::string number(int);'
	for ((i = 0; i < 30; i++)); do
		put "$T/project/u/u$i.cc" '#include "u/u.h"' "std::string u$i(int x) { return number(x + VALUE) + \"$i\"; }"
	done
	put "$T/project/u/number.cc" '#include "u/u.h"' '#include <fmt/format.h>' 'std::string number(int x) { return fmt::format("{} ", x); }'
	{
		printf '#include <cstdio>\n#include <string>\n#include "zlib.h"\n#include "zstd.h"\n'
		for ((i = 0; i < 30; i++)); do echo "std::string u$i(int);"; done
		echo 'int main() { std::string s;'
		for ((i = 0; i < 30; i++)); do echo "s += u$i($i);"; done
		echo 'std::printf("%s %s %s\n", s.c_str(), zlibVersion(), ZSTD_versionString()); }'
	} >"$T/project/main.cc"
	put "$T/project/BUILD" <<'END'
cc_library(name = "zlib", srcs = glob(["zlib/*.c", "zlib/*.h"], exclude = ["zlib/gz*.c"]), hdrs = ["zlib/zlib.h"], includes = ["zlib"],
           linkstatic = 1)
cc_library(name = "zstd", srcs = glob(["libzstd/lib/%s/*.c" % d for d in ["common", "compress", "decompress", "dictBuilder"]] + ["libzstd/lib/**/*.h"]),
           hdrs = ["libzstd/lib/zstd.h"], includes = ["libzstd/lib"], copts = ["-DZSTD_DISABLE_ASM"], linkstatic = 1)
cc_library(name = "fmt", srcs = ["fmtlib/src/format.cc", "fmtlib/src/os.cc"], hdrs = glob(["fmtlib/include/fmt/*.h"]),
           includes = ["fmtlib/include"], linkstatic = 1)
cc_library(name = "number", srcs = ["u/number.cc"], hdrs = ["u/u.h"], deps = [":fmt"], linkstatic = 1)
[cc_library(name = "u%d" % i, srcs = ["u/u%d.cc" % i], hdrs = ["u/u.h"], deps = [":number"], linkstatic = 1) for i in range(30)]
cc_binary(name = "app", srcs = ["main.cc"], deps = [":zlib", ":zstd"] + [":u%d" % i for i in range(30)])
END
	toolchains "$T/project"
}

# Both kinds of integrations/bazel, for those who have modules and those who have not.
toolchains()
{
	local folder=$TESTS/../integrations/bazel
	mkdir -p "$T/integrations"
	cp "$folder"/* "$T/integrations/"
	cp "$folder"/*.bazelrc "$1/"
	put "$1/WORKSPACE" "local_repository(name = \"coffer\", path = \"$T/integrations\")" 'load("@coffer//:toolchain.bzl", "coffer_cc_toolchain")' \
		"coffer_cc_toolchain(name = \"coffer_cc\", coffer = \"$COFFER\")" 'coffer_cc_toolchain(name = "farm_cc", launcher = False)'
	put "$1/MODULE.bazel" 'module(name = "project")' 'bazel_dep(name = "coffer", version = "0.1.0")' \
		"local_path_override(module_name = \"coffer\", path = \"$T/integrations\")" \
		'coffer = use_extension("@coffer//:extensions.bzl", "coffer")' \
		"coffer.cc_toolchain(name = \"coffer_cc\", coffer = \"$COFFER\")" \
		'coffer.cc_toolchain(name = "farm_cc", launcher = False)' 'use_repo(coffer, "coffer_cc", "farm_cc")'
	printf 'import %%workspace%%/%s.bazelrc\n' cache executor launcher >"$1/.bazelrc"
}

# The digests of all objects and of the program of the last build.
outputs()
{
	bazel_run info "${bazel_words[@]}" bazel-bin 2>/dev/null >"$T/bin"
	(cd "$(cat "$T/bin")" && find . \( -name '*.o' -o -name '*.a' -o -name app \) -type f -print0 | sort -z | xargs -0 sha256sum)
}

# ---- the farm -----------------------------------------------------------------------------------------------------------

# start_program KIND WORD...: sets ${KIND}_pid and ${KIND}_address.
start_program()
{
	local kind=$1
	shift
	"$COFFERD" "$kind" --insecure-loopback --log-format=text "$@" 2>>"$T/$kind.log" &
	eval "${kind}_pid=$!"
	wait_until 15 "grep -q '$kind serves' '$T/$kind.log'" || fail "no $kind: $(tail -3 "$T/$kind.log")"
	eval "${kind}_address=\$(sed -nE 's/.* $kind serves.* address=\"?(127\.0\.0\.1:[0-9]+).*/\\1/p' '$T/$kind.log' | tail -1)"
}

start_worker()
{
	: >"$T/worker.log"
	start_program worker --listen="${worker_address:-127.0.0.1:0}" --admin= --name=w1 --folder="$T/worker" --slots=4 --compilers=gcc
}

start_gateway()
{
	: >"$T/gateway.log"
	start_program gateway --listen="${gateway_address:-127.0.0.1:0}" --admin= --folder="$T/gateway" --workers="$worker_address" '--result-writers=*'
}

farm_words()
{
	echo --extra_toolchains=@farm_cc//:toolchain --incompatible_enable_cc_toolchain_resolution --remote_timeout=20
}

on_farm()
{
	echo "--remote_executor=grpc://$gateway_address" --remote_instance_name=acme --spawn_strategy=remote --genrule_strategy=remote "$(farm_words)"
}

as_cache()
{
	echo "--remote_cache=grpc://$gateway_address" --remote_instance_name=acme --spawn_strategy=local "$(farm_words)"
}

same_compilers()
{
	[ -z "$root_holder" ] || [ "$(gcc -dumpfullversion)" = "$(chroot "$COFFER_TEST_BAZEL_ROOT" gcc -dumpfullversion)" ]
}

# shellcheck disable=SC2046
e2e_bazel_builds_on_the_farm() { # once long
	bazel_begin
	bazel_project
	start_worker
	start_gateway
	if same_compilers; then
		bazel_build --spawn_strategy=local $(farm_words)
		outputs >"$T/outputs.local"
		bazel_run clean >/dev/null 2>&1
	fi
	bazel_build $(on_farm) --remote_download_outputs=all
	ran remote $ACTIONS
	outputs >"$T/outputs.farm"
	[ ! -e "$T/outputs.local" ] || same_file "$T/outputs.local" "$T/outputs.farm"
	# Known, in this output base and in another one.
	bazel_run clean >/dev/null 2>&1
	bazel_build $(on_farm) --remote_download_minimal
	ran 'remote cache hit' $ACTIONS
	BASE=base2 bazel_build $(on_farm) --remote_download_outputs=all
	ran 'remote cache hit' $ACTIONS
	BASE=base2 outputs >"$T/outputs.base2"
	same_file "$T/outputs.farm" "$T/outputs.base2"
	# One header, and only what is of it.
	sed -i 's/VALUE 1/VALUE 2/' "$T/project/u/u.h"
	BASE=base2 bazel_build $(on_farm)
	ran remote 31
	[ "$(processes remote)" -lt 80 ] || fail "all is run again: $(processes remote)"
}

# shellcheck disable=SC2046
e2e_bazel_runs_again_what_it_must_not_take() { # once long
	bazel_begin
	bazel_project
	start_worker
	start_gateway
	bazel_build $(on_farm) --remote_download_outputs=all
	outputs >"$T/outputs.first"
	bazel_run clean >/dev/null 2>&1
	bazel_build $(on_farm) --noremote_accept_cached --remote_download_outputs=all
	ran remote $ACTIONS
	outputs >"$T/outputs.again"
	same_file "$T/outputs.first" "$T/outputs.again"
}

# shellcheck disable=SC2046
e2e_bazel_takes_what_others_have_built() { # once long
	bazel_begin
	bazel_project
	start_worker
	start_gateway
	bazel_build $(as_cache)
	ran local $ACTIONS
	outputs >"$T/outputs.local"
	BASE=base2 bazel_build $(as_cache) --remote_download_outputs=all
	ran 'remote cache hit' $ACTIONS
	BASE=base2 outputs >"$T/outputs.cached"
	same_file "$T/outputs.local" "$T/outputs.cached"
}

# interrupted WHAT CMD...: while a build runs, CMD is run. The build ends, and what it has made is right.
# shellcheck disable=SC2046
interrupted()
{
	local what=$1 build
	shift
	rm -rf "$T/gateway/tenants"
	bazel_run clean >/dev/null 2>&1
	bazel_build $(on_farm) --remote_local_fallback --remote_download_outputs=all --remote_retries=10 &
	build=$!
	wait_until 60 is_busy || fail "the build does not begin"
	"$@"
	wait "$build" || fail "the build has not outlived $what"
	outputs >"$T/outputs.$what"
	same_file "$T/outputs.whole" "$T/outputs.$what"
}

is_busy() { [ "$(find "$T/gateway/tenants/acme/v1/action" -type f 2>/dev/null | wc -l)" -ge 15 ]; }

another_worker()
{
	kill -9 "$worker_pid"
	wait "$worker_pid" 2>/dev/null
	start_worker
}

another_gateway()
{
	kill -9 "$gateway_pid"
	wait "$gateway_pid" 2>/dev/null
	start_gateway
}

no_store() { rm -rf "$T/gateway/tenants/acme/v1/content"/?[0-7] "$T/gateway/tenants/acme/v1/action"/?[0-7]; }

# shellcheck disable=SC2046
begin_to_interrupt()
{
	bazel_begin
	bazel_project
	start_worker
	start_gateway
	bazel_build $(on_farm) --remote_download_outputs=all
	outputs >"$T/outputs.whole"
}

e2e_bazel_ends_right_when_a_worker_dies() { # once long
	begin_to_interrupt
	interrupted worker another_worker
}

e2e_bazel_ends_right_when_the_gateway_dies() { # once long
	begin_to_interrupt
	interrupted gateway another_gateway
}

e2e_bazel_ends_right_when_blobs_are_lost() { # once long
	begin_to_interrupt
	interrupted store no_store
}

# all_hits WORD...: a build whose compiles all are.
all_hits()
{
	settle
	read_counters counters_before
	bazel_build "$@"
	settle
	[ "$(grown direct_hits)" -ge "$compiles" ] || fail "not all of $compiles compiles are hits:$(all_grown)"
	outputs >"$T/outputs.warm"
	same_file "$T/outputs.first" "$T/outputs.warm"
}

# begin_with_launcher [WORD...]: the words of the first build; --config=coffer where there are none.
begin_with_launcher()
{
	bazel_begin
	[ -z "$root_holder" ] || skip "coffer is not in that root"
	bazel_project
	# Bazel ends whatever an action leaves behind, so the daemon begins outside.
	"$COFFER" "$CC" -c -x c /dev/null -o "$T/empty.o"
	settle
	read_counters counters_before
	bazel_build "${@---config=coffer}"
	outputs >"$T/outputs.first"
	settle
	compiles=$(grown stored)
	[ "$compiles" -ge 60 ] || fail "only $compiles compiles are stored:$(all_grown)"
}

e2e_bazel_runs_the_compiler_by_the_launcher() { # once long
	local compiles
	begin_with_launcher
	bazel_run clean >/dev/null 2>&1
	all_hits --config=coffer
	BASE=base2 all_hits --config=coffer
}

# A checkout at another place: hits or not, it is right.
e2e_bazel_is_right_where_the_launcher_is_short() { # once long
	local compiles
	begin_with_launcher
	bazel_run shutdown >/dev/null 2>&1
	cp -a "$T/project" "$T/second"
	rm -f "$T"/second/bazel-*
	PROJECT=second BASE=base2 bazel_build --config=coffer
	PROJECT=second BASE=base2 outputs >"$T/outputs.second"
	same_file "$T/outputs.first" "$T/outputs.second"
}

# In Bazel's own sandbox each compile has mounts of its own, and so a daemon that ends with it.
e2e_bazel_sandboxes_share_the_cache() { # once long
	local compiles sandboxed=(--config=coffer --strategy=CppCompile=linux-sandbox "--sandbox_writable_path=$COFFER_CACHE_DIR")
	begin_with_launcher "${sandboxed[@]}"
	bazel_run clean >/dev/null 2>&1
	all_hits "${sandboxed[@]}"
	bazel_run shutdown >/dev/null 2>&1
	cp -a "$T/project" "$T/second"
	rm -f "$T"/second/bazel-*
	PROJECT=second BASE=base2 all_hits "${sandboxed[@]}"
}
