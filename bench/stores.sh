#!/usr/bin/env bash
# Hits out of a Redis on this machine: coffer, ccache and sccache against the same server, one after the other, every local cache
# empty. Wall time of N compiles, and CPU of commands and daemon. Then 4N at once through coffer, against local hits. See stores.md.
set -eu
# As root, `chrt -f 5 bench/stores.sh`: what else runs on the machine does not count then. TMPDIR on a tmpfs: the file system counts less.
N=${N:-50}
here=$(cd "$(dirname "$0")/.." && pwd)
coffer=${BENCH_COFFER:-$here/build/release/coffer}
work=$(mktemp -d)
redis=
finish()
{
	for home in "$work"/home-*; do
		[ -d "$home" ] && as "$home" "$coffer" stop >/dev/null 2>&1
		[ -d "$home" ] && as "$home" sccache --stop-server >/dev/null 2>&1
	done
	[ -z "$redis" ] || kill "$redis"
	rm -rf "$work"
}
trap 'finish || true' EXIT
port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$work" >/dev/null &
redis=$!
mkdir -p "$work/src/.git" && cd "$work/src"
for ((i = 0; i < 4 * N; i++)); do
	printf '#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n#include <sys/stat.h>\n' >u$i.c
	for ((k = 0; k < 40; k++)); do echo "int f${i}_$k(const char *s) { printf(\"%s %d\", s, $k); return (int)strlen(s) * $i + $k; }"; done >>u$i.c
done
touch -d '1 hour ago' ./*.c
sleep 2

# as HOME CMD...
as()
{
	local home=$1
	shift
	env -i PATH="$PATH" HOME="$home" COFFER_CACHE_DIR="$home/coffer" COFFER_SHARED_STORE="redis://127.0.0.1:$port" \
		COFFER_SHARED_STORE_ACCESS=read-write COFFER_SHARED_STORE_KEY="$work/key" CCACHE_DIR="$home/ccache" \
		CCACHE_REMOTE_STORAGE="redis://127.0.0.1:$port" CCACHE_INODECACHE=1 SCCACHE_REDIS="redis://127.0.0.1:$port" \
		SCCACHE_SERVER_PORT=$((port + 1)) SCCACHE_IDLE_TIMEOUT=0 "$@"
}
openssl rand -hex 32 >"$work/key" && chmod 600 "$work/key"

# all HOME WRAPPER FROM TO: compiles them one after the other.
all()
{
	as "$1" bash -c 'for ((i = $2; i < $3; i++)); do $1 gcc -g -O1 -c u$i.c -o u$i.o || exit 1; done' - "$2" "$3" "$4"
}

milliseconds() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }

# CPU so far of a process that stays, in milliseconds.
cpu_of() { [ -z "$1" ] && echo 0 || awk '{print ($14 + $15) * 10}' "/proc/$1/stat"; }
daemon_of()
{
	case $2 in
	*coffer) as "$1" "$coffer" status --json | jq .pid ;;
	*sccache) pgrep -n -x sccache ;;
	esac
}

printf '%-10s %12s %12s %14s\n' '' 'ms a hit' 'CPU ms a hit' 'of the daemon'
for name in coffer ccache sccache; do
	wrapper=$(command -v $name || true)
	[ $name != coffer ] || wrapper=$coffer
	[ -n "$wrapper" ] || { echo "$name is not installed" && continue; }
	mkdir -p "$work/home-$name-1" "$work/home-$name-2"
	# Debian's sccache is built without Redis.
	[ $name != sccache ] || as "$work/home-sccache-1" sccache --start-server >/dev/null 2>&1 || { echo "sccache does not start with this store" && continue; }
	all "$work/home-$name-1" "$wrapper" 0 $((4 * N))
	[ $name != coffer ] || as "$work/home-$name-1" "$coffer" stop >/dev/null
	[ $name != sccache ] || as "$work/home-$name-1" sccache --stop-server >/dev/null 2>&1
	# Another machine, which has compiled something before.
	cp u0.c warm.c && echo 'int warm;' >>warm.c && touch -d '1 hour ago' warm.c
	as "$work/home-$name-2" $wrapper gcc -g -O1 -c warm.c -o warm.o
	pid=$(daemon_of "$work/home-$name-2" $wrapper)
	before=$(cpu_of "$pid") began=$(milliseconds)
	/usr/bin/python3 - "$work/cpu" bash -c "$(declare -f as all); work=$work port=$port coffer=$coffer; all $work/home-$name-2 $wrapper 0 $N" <<'END'
import os, resource, subprocess, sys
subprocess.run(sys.argv[2:], check=True)
r = resource.getrusage(resource.RUSAGE_CHILDREN)
open(sys.argv[1], "w").write(str(int((r.ru_utime + r.ru_stime) * 1000)))
END
	took=$(($(milliseconds) - began)) daemon=$(($(cpu_of "$pid") - before))
	awk -v n="$name" -v t=$took -v c="$(cat "$work/cpu")" -v d=$daemon -v N="$N" 'BEGIN { printf "%-10s %12.2f %12.2f %14.2f\n", n, t/N, c/N, d/N }'
done
as "$work/home-coffer-2" "$coffer" stats --tsv | grep -E '^(shared_hits|misses|shared_failed)'
as "$work/home-ccache-2" ccache --print-stats 2>/dev/null | grep -E 'remote_storage_(hit|miss)' || true
as "$work/home-sccache-2" sccache --show-stats 2>/dev/null | grep -E '^Cache (hits|misses) +[0-9]' || true

# Many at once.
at_once() { as "$1" bash -c 'seq 0 $(($2 - 1)) | xargs -P 50 -I{} $1 gcc -g -O1 -c u{}.c -o u{}.o' - "$coffer" $((4 * N)); }
as "$work/home-coffer-2" "$coffer" stop >/dev/null
mkdir -p "$work/home-3"
as "$work/home-3" "$coffer" gcc -g -O1 -c warm.c -o warm.o
began=$(milliseconds) && at_once "$work/home-3" && remote=$(($(milliseconds) - began))
# What was fetched is written after its compile has ended, and counts for neither.
while [ "$(as "$work/home-3" "$coffer" status --json | jq '.shared_stores[0].waiting')" != 0 ]; do sleep 0.05; done
began=$(milliseconds) && at_once "$work/home-3" && local_=$(($(milliseconds) - began))
echo "$((4 * N)) hits, 50 at once: from Redis $remote ms, from the local cache $local_ ms"
# The server's own part: the same entries, asked for by two programs that do nothing else.
cat >"$work/ask.py" <<'END'
import socket, sys, time
keys = [k for k in open(sys.argv[2]).read().split() if k.startswith('coffer:')][int(sys.argv[3])::2]
began = time.monotonic()
s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
f = s.makefile('rb')
for k in keys:
    s.sendall(b'*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n' % (len(k), k.encode()))
    f.read(int(f.readline()[1:]) + 2)
print('%d entries from Redis to one of two who only ask: %.0f ms' % (len(keys), 1e3 * (time.monotonic() - began)))
END
redis-cli -p "$port" --scan --pattern 'coffer:*' >"$work/keys"
/usr/bin/python3 "$work/ask.py" "$port" "$work/keys" 0 >"$work/asked" & asker=$!
/usr/bin/python3 "$work/ask.py" "$port" "$work/keys" 1
wait "$asker"
as "$work/home-3" "$coffer" stats --tsv | grep -E '^(shared_hits|direct_hits|misses)'
