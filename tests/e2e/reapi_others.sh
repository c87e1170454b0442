# Clients of the gateway that are not ours: recc and Siso, of this machine, or of a root with a newer Debian (COFFER_TEST_REAPI_ROOT).
# shellcheck shell=bash disable=SC2154

# ---- where they run -----------------------------------------------------------------------------------------------------

# others_begin PROGRAM: sets $folder, which the clients know as $inside.
others_begin()
{
	folder=$T/project
	inside=$folder
	in_root=()
	trap others_end EXIT
	if [ -n "${COFFER_TEST_REAPI_ROOT:-}" ]; then
		need_root
		[ -e "$COFFER_TEST_REAPI_ROOT/usr/bin/$1" ] || skip "$1 is not in $COFFER_TEST_REAPI_ROOT"
		inside=/tmp/coffer-others.$$
		folder=$COFFER_TEST_REAPI_ROOT$inside
		# shellcheck disable=SC2016
		in_root=(unshare -m sh -c 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"' "$COFFER_TEST_REAPI_ROOT")
	else
		need "$1"
	fi
	mkdir -p "$folder"
}

others_end()
{
	[ -z "${gateway_pid:-}" ] || kill "$gateway_pid"
	[ -z "${worker_pid:-}" ] || kill "$worker_pid"
	wait
	rm -rf "$folder"
}

# start_program KIND WORD...: sets ${KIND}_pid and ${KIND}_address.
start_program()
{
	local kind=$1
	shift
	"$COFFERD" "$kind" --insecure-loopback --log-format=text --listen=127.0.0.1:0 "$@" 2>"$T/$kind.log" &
	eval "${kind}_pid=$!"
	wait_until 15 "grep -q '$kind serves' '$T/$kind.log'" || fail "no $kind: $(tail -3 "$T/$kind.log")"
	eval "${kind}_address=\$(sed -nE 's/.* $kind serves.* address=\"?(127\.0\.0\.1:[0-9]+).*/\\1/p' '$T/$kind.log' | tail -1)"
}

others_serve()
{
	start_program worker --admin= --name=w1 --folder="$T/worker" --slots=4 --compilers=gcc --landlock=if_available
	start_program gateway --admin=127.0.0.1:0 --folder="$T/gateway" --workers="$worker_address" '--result-writers=*'
	admin=$(sed -nE 's/.* admin="?(127\.0\.0\.1:[0-9]+).*/\1/p' "$T/gateway.log" | tail -1)
}

# gateway_count NAME
gateway_count() { curl -s "http://$admin/status" | jq ".$1"; }

others_project()
{
	local i
	put "$folder/v.h" '#define V 1'
	for i in 1 2 3 4 5; do
		put "$folder/u$i.c" '#include "v.h"' "int f$i(void) { return V + $i; }"
	done
	put "$folder/main.c" '#include <stdio.h>' 'int f1(void), f2(void), f3(void), f4(void), f5(void);' \
		'int main(void) { printf("%d\n", f1() + f2() + f3() + f4() + f5()); return 0; }'
}

# expect_counts EXECUTED HITS
expect_counts()
{
	[ "$(gateway_count executions_run)" = "$1" ] || fail "not $1 but $(gateway_count executions_run) actions were run"
	[ "$(gateway_count result_hits)" = "$2" ] || fail "not $2 but $(gateway_count result_hits) hits"
}

# ---- Siso ---------------------------------------------------------------------------------------------------------------

siso_project()
{
	local i
	others_project
	mkdir -p "$folder/build/config/siso" "$folder/out"
	cat >"$folder/build/config/siso/main.star" <<-'END'
		load("@builtin//encoding.star", "json")
		load("@builtin//struct.star", "module")
		def init(ctx):
		    return module("config", step_config = json.encode({
		        "platforms": {"default": {"OSFamily": "Linux"}},
		        "rules": [{"name": "cc", "action": "cc", "platform_ref": "default", "remote": True, "timeout": "2m"}],
		    }), filegroups = {}, handlers = {})
	END
	{
		printf '%s\n' 'rule cc' '  command = gcc -O1 -MMD -MF $out.d -c $in -o $out' '  depfile = $out.d' '  deps = gcc' \
			'rule ld' '  command = gcc $in -o $out'
		for i in main u1 u2 u3 u4 u5; do
			echo "build $i.o: cc ../$i.c"
		done
		echo 'build app: ld main.o u1.o u2.o u3.o u4.o u5.o'
	} >"$folder/out/build.ninja"
}

# siso_build RESULT WORD...
siso_build()
{
	local result=$1
	shift
	rm -rf "$folder"/out/*.o "$folder/out/app" "$folder"/out/.siso*
	# shellcheck disable=SC2016
	timeout 100 "${in_root[@]}" env -i PATH=/usr/bin:/bin HOME="$inside" sh -c 'cd "$0" && exec siso ninja -C out -project none -reapi_insecure=true "$@"' "$inside" \
		-reapi_address "$gateway_address" -reapi_instance acme "$@" >"$T/siso.log" 2>&1 || fail "siso: $(tr "\n" " " <"$T/siso.log" | tail -c 1500)"
	[ "$("${in_root[@]}" "$inside/out/app")" = "$result" ] || fail "the program says another thing than $result"
}

e2e_reapi_others_siso_builds() { # once long
	others_begin siso
	siso_project
	others_serve
	siso_build 20 -strict_remote
	expect_counts 6 0
	siso_build 20 -strict_remote
	expect_counts 6 6
	put "$folder/v.h" '#define V 2'
	siso_build 25 -strict_remote
	expect_counts 11 7
	# As a cache alone.
	siso_build 25 -re_exec_enable=false -re_cache_enable_write
	expect_counts 11 13
}

# ---- recc ---------------------------------------------------------------------------------------------------------------

# recc_build RESULT NAME=VALUE...
recc_build()
{
	local result=$1
	shift
	rm -f "$folder"/*.o "$folder/app"
	# shellcheck disable=SC2016
	timeout 100 "${in_root[@]}" env -i PATH=/usr/bin:/bin HOME="$inside" RECC_SERVER="http://$gateway_address" RECC_INSTANCE=acme RECC_PROJECT_ROOT="$inside" "$@" \
		sh -c 'cd "$0" && for i in main u1 u2 u3 u4 u5; do recc /usr/bin/gcc -O1 -c $i.c -o $i.o || exit; done && gcc *.o -o app' "$inside" \
		>"$T/recc.log" 2>&1 || fail "recc: $? $(tr "\n" " " <"$T/recc.log" | tail -c 1500)"
	[ "$("${in_root[@]}" "$inside/app")" = "$result" ] || fail "the program says another thing than $result"
}

e2e_reapi_others_recc_builds() { # once long
	others_begin recc
	others_project
	others_serve
	recc_build 20
	expect_counts 6 0
	recc_build 20
	expect_counts 6 6
	put "$folder/v.h" '#define V 2'
	recc_build 25
	expect_counts 11 7
	# As a cache alone: compiles here, once.
	put "$folder/v.h" '#define V 3'
	recc_build 30 RECC_CACHE_ONLY=1 RECC_CACHE_UPLOAD_LOCAL_BUILD=1
	expect_counts 11 8
	recc_build 30 RECC_CACHE_ONLY=1 RECC_CACHE_UPLOAD_LOCAL_BUILD=1
	expect_counts 11 14
}
