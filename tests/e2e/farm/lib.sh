# What the tests of the farm share: workers, a site with keys, a project.
# shellcheck shell=bash disable=SC2154,SC2034

# With one core, which preprocesses, every compile goes away.
export COFFER_LOCAL_JOBS=1

# always_away: for tests that count what workers did. Behind a gate no core here takes a job back, however late a worker is.
always_away() { export COFFER_GATE=none; }

# worker_start NAME [FLAG...]: a worker without tokens on a socket of the test's own. It observes what the test's compilers look at, and
# not all six that it would look for: that is a second of its start.
worker_start()
{
	local name=$1
	shift
	(COFFER_WORKER_LOG_FORMAT=text "$COFFERD" worker --insecure-loopback --listen "unix:$T/$name.sock" --admin '' --name "$name" \
		--folder "$T/$name" --slots 4 --compilers "$CC $CXX" --agent "$COFFER_BUILD/coffer-agent" "$@" >"$T/$name.log" 2>&1 &
	echo $! >"$T/$name.pid")
	wait_until 30 "[ -S $T/$name.sock ]" || fail "no worker: $(<"$T/$name.log")"
	COFFER_WORKER="${COFFER_WORKER:+$COFFER_WORKER }unix:$T/$name.sock"
	export COFFER_WORKER
}

worker_kill() { kill -"$2" "$(<"$T/$1.pid")"; }

# Ends workers and schedulers as an operator would, and then the etcd that they need.
farm_end()
{
	local file told=()
	for file in "$T"/*.pid; do
		[[ $file != */etcd*.pid ]] || continue
		kill -TERM "$(<"$file")" 2>/dev/null && told+=("$file")
	done
	for file in "${told[@]}"; do
		wait_until 30 "[ ! -d /proc/$(<"$file") ]" || fail "SIGTERM does not end it: $file"
	done
	for file in "$T"/etcd*.pid; do
		[ ! -e "$file" ] || kill -KILL "$(<"$file")" 2>/dev/null
	done
	return 0
}

farm_project()
{
	local i
	put inc/h.h '#define H 1' 'static inline int twice(int x) { return 2 * x + H; }'
	for ((i = 1; i <= $1; i++)); do
		put "u$i.c" '#include <stdio.h>' '#include "inc/h.h"' '#ifdef LIE' "const char *lie$i = LIE;" '#endif' \
			"int u$i(int x) { printf(\"%s\", __FILE__); return twice(x) * $i; }"
	done
}

# gcc_rootfs_headers DIR: the directories of headers that an installed gcc has, and the header that its own definitions come from.
gcc_rootfs_headers()
{
	local directory
	for directory in $(gcc -xc -E -v /dev/null 2>&1 | sed -n '/^#include </,/^End of/s/^ //p'); do
		mkdir -p "$1$(realpath "$directory")"
	done
	cp /usr/include/stdc-predef.h "$1/usr/include/"
}

# all_away N [FLAG...]: N compiles at once end well, with the objects that the plain compiler makes.
all_away()
{
	local n=$1 i
	shift
	mkdir -p got want
	seq "$n" | timeout 120 xargs -P 16 -I{} "$COFFER" "$CC" "$@" -c u{}.c -o got/{}.o >"$T/log" 2>&1 || fail "compiles fail: $(head -5 "$T/log")"
	[ ! -s "$T/log" ] || fail "messages: $(head -5 "$T/log")"
	for ((i = 1; i <= n; i++)); do
		[ -e "want/$i.o" ] || "$CC" "$@" -c "u$i.c" -o "want/$i.o"
		same_file "want/$i.o" "got/$i.o"
	done
}

# scheduler_start: the site's scheduler, with its log in $T/scheduler.log.
scheduler_start()
{
	("$COFFERD" scheduler --config "$T/site/scheduler.conf" --admin '' --heartbeat 500ms >>"$T/scheduler.log" 2>&1 &
	echo $! >"$T/scheduler.pid")
}

# site_worker_start NAME [FLAG...]: one of the site's workers.
site_worker_start()
{
	local name=$1 seen
	shift
	seen=$(grep -c "registered.*$name" "$T/scheduler.log")
	("$COFFERD" worker --config "$T/site/worker-$name.conf" --admin '' --folder "$T/$name" --slots 4 --compilers "$CC $CXX" --agent "$COFFER_BUILD/coffer-agent" "$@" >>"$T/$name.log" 2>&1 &
	echo $! >"$T/$name.pid")
	wait_until 30 "[ \$(grep -c 'registered.*$name' $T/scheduler.log) -gt $seen ]" || fail "the worker does not register: $(tail -n 3 "$T/scheduler.log" "$T/$name.log")"
}

# site_keys [WORKER...]: a farm's keys, as docs/operator.md begins; COFFER_CONFIG is then its client's.
site_keys()
{
	local port name
	port=$(free_port)
	"$COFFER" keys init "$T/site" --tenant me "${@/#/--worker=}" >"$T/keys.log" 2>&1 || fail "no keys: $(<"$T/keys.log")"
	sed -i "s/:7420/:$port/" "$T"/site/*.conf
	for name; do sed -i "/^\\(listen\\|address\\) /s/:[0-9]*\$/:$(free_port)/" "$T/site/worker-$name.conf"; done
	scheduler=127.0.0.1:$port
	export COFFER_CONFIG=$T/site/tenant-me.conf
}

site_start()
{
	site_keys w1
	scheduler_start
	wait_until 30 "grep -qs 'scheduler serves' $T/scheduler.log" || fail "no scheduler: $(<"$T/scheduler.log")"
	site_worker_start w1
}

# Lines of the client's daemons that match.
daemon_log() { find "$T" -name 'cofferd.log*' -exec grep -hE "$1" {} +; }

# own_mounts: the test begins again, in a mount namespace of its own. Before anything else in it.
own_mounts()
{
	[ -z "${OWN_MOUNTS:-}" ] || return 0
	need_root
	need unshare
	unshare -m true 2>/dev/null || skip "mount namespaces can't be made"
	# shellcheck disable=SC2093
	OWN_MOUNTS=1 exec unshare -m bash "$TESTS/run" --one "$file" "$function" "$CC" "$T"
}

# standin_make: the compiler of bench/standin.c as /usr/local/bin/standin-gcc of the test's own mounts: where workers look for
# compilers, and the same file for them and for the client. After own_mounts.
standin_make()
{
	need gcc
	mkdir -p "$T/bin"
	gcc -O1 -o "$T/bin/standin-gcc" "$TESTS/../bench/standin.c" || fail "the stand-in does not compile"
	mount --bind "$T/bin" /usr/local/bin || fail "the stand-in can't be mounted"
}

# standin_project N [MS [EVERY]]: N sources whose compiles sleep; every fifth, or so, says a word of its own. `make ONLY="1 2"` makes
# some of them.
standin_project()
{
	local i
	every=${3:-5}
	for ((i = 1; i <= $1; i++)); do
		if [ $((i % every)) = 0 ]; then echo "//say unit $i speaks"; fi >"s$i.c"
		echo "int s$i;" >>"s$i.c"
	done
	put Makefile "N := $1" "MS := ${2:-500}" "LAUNCHER := $COFFER" "CC := /usr/local/bin/standin-gcc"
	cat >>Makefile <<'END'
ONLY := $(shell seq $(N))
all: $(ONLY:%=out/%.o)
out/%.o: s%.c | out
	@$(LAUNCHER) $(CC) -fsleep=$(MS) -c $< -o $@
out:
	@mkdir -p $@
END
}

# standin_right N LOG...: each object is that of its source, and each message is there once, in whatever order; nothing else is.
standin_right()
{
	local i n=$1
	shift
	for ((i = 1; i <= n; i++)); do
		"$T/bin/standin-gcc" -fsleep=0 -c "s$i.c" -o "$T/right.o" 2>/dev/null
		cmp "$T/right.o" "out/$i.o" || fail "object $i is wrong"
	done
	for ((i = every; i <= n; i += every)); do echo "unit $i speaks"; done | sort >"$T/expected"
	cat "$@" | sort >"$T/said"
	diff "$T/expected" "$T/said" >"$T/diff" || fail "what was said: $(head -n 20 "$T/diff")"
}

# standin_worker_start NAME SLOTS [FLAG...]: a worker of the site that has the stand-in; if its name begins with "slow", it is slow.
standin_worker_start()
{
	local name=$1 slots=$2 nice=0 seen
	shift 2
	[ "${name#slow}" = "$name" ] || nice=10
	seen=$(grep -c "registered.*$name" "$T/scheduler.log")
	(nice -n "$nice" "$COFFERD" worker --config "$T/site/worker-$name.conf" --admin '' --folder "$T/$name" --slots "$slots" --runtime process \
		--compilers standin-gcc --agent "$COFFER_BUILD/coffer-agent" "$@" >>"$T/$name.log" 2>&1 &
	echo $! >"$T/$name.pid")
	wait_until 30 "[ \$(grep -c 'registered.*$name' $T/scheduler.log) -gt $seen ]" || fail "the worker does not register: $(tail -n 3 "$T/scheduler.log" "$T/$name.log")"
}

# standin_farm_start NAME SLOTS [NAME SLOTS]...: scheduler and workers, after site_keys.
standin_farm_start()
{
	standin_make
	sed -i "s/isolation = sandbox/isolation = process/" "$T/site/tenants.conf"
	scheduler_start
	wait_until 30 "grep -qs 'scheduler serves' $T/scheduler.log" || fail "no scheduler: $(<"$T/scheduler.log")"
	for (( ; $# > 1; )); do
		standin_worker_start "$1" "$2"
		shift 2
	done
}

# standin_site SLOTS: a site with one worker.
standin_site()
{
	site_keys w1
	standin_farm_start w1 "$1"
}

# build_with_middle HOW N MAKE...: builds the project; HOW runs when N objects are there. $took is how long it took, in ms.
build_with_middle()
{
	local before how=$1 n=$2 all
	shift 2
	all=$(find . -maxdepth 1 -name 's*.c' | wc -l)
	# The farm is known and in use before it counts.
	timeout 60 make -j4 ONLY='1 2 3 4 5 6 7 8' >"$T/warm.log" 2>&1 || fail "the first jobs: $(<"$T/warm.log")"
	[ "$(counter remote_compiles)" -ge 1 ] || fail "nothing goes away: $("$COFFER" status) $(daemon_log .)"
	before=$(now_ms)
	timeout 200 "$@" >"$T/build.log" 2>&1 &
	wait_until 60 "[ \"\$(find out -name '*.o' | wc -l)\" -ge $n ]" || fail "the build does not get on: $(<"$T/build.log")"
	eval "$how"
	wait $! || fail "the build fails: $(tail -n 5 "$T/build.log")"
	took=$(($(now_ms) - before))
	standin_right "$all" "$T/warm.log" "$T/build.log"
}

# gcc_rootfs DIR: the files of an image with gcc's C compiler and assembler and the libraries that they need, from this machine.
gcc_rootfs()
{
	local root=$1 file link
	mkdir -p "$root/usr/include" "$root/usr/bin" "$root/usr/lib64"
	for file in "$(command -v gcc)" "$(command -v as)" "$(gcc -print-prog-name=cc1)" /lib64/ld-linux-x86-64.so.2; do
		[ -e "$file" ] || skip "this machine's gcc is laid out in another way"
		for link in "$file" "$(realpath "$file")" $(ldd "$(realpath "$file")" 2>/dev/null | grep -o '/[^ ]*'); do
			mkdir -p "$root$(realpath -m "$(dirname "$link")")"
			cp -L "$link" "$root$(realpath -m "$(dirname "$link")")/"
		done
	done
	cp -L /lib64/ld-linux-x86-64.so.2 "$root/usr/lib64/"
	ln -s usr/bin "$root/bin" && ln -s usr/lib "$root/lib" && ln -s usr/lib64 "$root/lib64"
}
