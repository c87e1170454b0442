# Workers without room: disk, memory for sources, memory for jobs, memory of their own. Builds end right, the worker says what it
# lacks, and it is used again when it has it.
# shellcheck shell=bash disable=SC2154
# shellcheck source=tests/e2e/farm/lib.sh
source "$TESTS/e2e/farm/lib.sh"

# small_disk FOLDER SIZE: a file system of its own there, until the test ends.
small_disk()
{
	need_root
	mkdir -p "$1"
	mount -t tmpfs -o "size=$2" tmpfs "$1" 2>/dev/null || skip "file systems can't be mounted"
	# shellcheck disable=SC2064
	trap "(farm_end); umount -l '$1'" EXIT
}
larger_disk() { mount -o "remount,size=$2" "$1" || fail "the disk does not grow"; }

# w1_start FLAG...: the worker with a port where it tells of itself.
w1_start()
{
	need perl
	admin=$(free_port)
	worker_start w1 --admin "127.0.0.1:$admin" "$@"
}

# Prints a counter of the worker.
w1_counts()
{
	exec 7<>"/dev/tcp/127.0.0.1/$admin" || fail "the worker has no /metrics"
	printf 'GET /metrics HTTP/1.0\r\n\r\n' >&7
	sed -n "s/^coffer_worker_$1_total \([0-9]*\).*/\1/p" <&7
	exec 7>&-
}

# Objects that do not shrink: each unit has 40 KB of its own noise.
noisy_project()
{
	local i
	for ((i = 1; i <= $1; i++)); do
		printf 'const unsigned char noise_%d[] = {' "$i"
		head -c 40000 /dev/urandom | od -An -v -tu1 | sed 's/  */,/g; 1s/^,//'
		echo '};'
	done | awk -v RS='};\n' '{ print $0 "};" > ("u" NR ".c") }'
}

# Files of trees have to be kept there: where they can't be, the text goes.
e2e_farm_full_disk_of_files() { # once long
	small_disk "$T/w1/results" 200k
	export COFFER_SEND=auto
	w1_start
	noisy_project 12
	all_away 12 -O1
	settle
	[ "$(counter remote_compiles)" -ge 8 ] || fail "hardly anything went away: $("$COFFER" stats --tsv | grep remote)"
	[ "$(counter no_tree_refused)" -ge 1 ] && [ "$(counter remote_texts)" -ge 4 ] || fail "the text did not go: $("$COFFER" stats)"
	[ "$(w1_counts broken)" = 0 ] || fail "the worker is broken: $(tail -n 3 "$T/w1.log")"
	farm_end
}

e2e_farm_full_disk_of_results() { # once long
	small_disk "$T/w1/results" 200k
	w1_start
	noisy_project 12
	all_away 12 -O1
	settle
	[ "$(counter remote_compiles)" -ge 8 ] || fail "hardly anything went away: $("$COFFER" stats --tsv | grep remote)"
	[ "$(w1_counts not_stored)" -ge 4 ] && [ "$(w1_counts broken)" = 0 ] || fail "the worker does not say so: $(tail -n 3 "$T/w1.log")"
	# Each time that it becomes so, and not for each job.
	said=$(grep -c 'result not stored' "$T/w1.log")
	[ "$said" -ge 1 ] && [ "$said" -le $(($(w1_counts not_stored) / 2 + 1)) ] || fail "the log: $(<"$T/w1.log")"
	larger_disk "$T/w1/results" 64m
	for _ in 1 2; do
		rm -rf got
		COFFER_RECACHE=1 all_away 12 -O1
	done
	settle
	grep -q 'results are stored again' "$T/w1.log" || fail "the worker does not say that it has room: $(tail -n 3 "$T/w1.log")"
	[ "$(counter remote_hits)" -ge 8 ] || fail "it still stores nothing: $("$COFFER" stats --tsv | grep remote)"
	farm_end
}

e2e_farm_full_disk_of_jobs() { # once long
	small_disk "$T/w1" 64m
	w1_start --runtime process
	farm_project 16
	all_away 4
	settle
	[ "$(counter remote_compiles)" -ge 2 ] || fail "hardly anything went away: $("$COFFER" stats --tsv | grep remote)"
	head -c 60m /dev/zero >"$T/w1/ballast" 2>/dev/null
	sleep 0.7
	rm -rf want
	all_away 12 -O2
	settle
	[ "$(w1_counts no_space)" -ge 1 ] || fail "the worker does not say so: $(tail -n 3 "$T/w1.log")"
	[ "$(grep -c 'error no space for jobs' "$T/w1.log")" = 1 ] || fail "the log: $(<"$T/w1.log")"
	[ "$(counter remote_messages)" = 0 ] || fail "its trouble was taken for the compiler's: $("$COFFER" stats --tsv | grep remote)"
	rm "$T/w1/ballast"
	before=$(counter remote_compiles)
	again() { rm -rf got want; COFFER_RECACHE=1 all_away 8 -O3; settle; [ $(($(counter remote_compiles) + $(counter remote_hits))) -gt "$before" ]; }
	wait_until 30 again || fail "the worker is not used again: $("$COFFER" status)"
	grep -q 'there is space for jobs again' "$T/w1.log" || fail "the worker does not say so: $(tail -n 3 "$T/w1.log")"
	farm_end
}

# A source that will never fit is done here, and the worker goes on with the others.
e2e_farm_sources_that_a_worker_has_no_memory_for() { # once long
	export COFFER_SEND=text
	w1_start --source-memory 1M
	farm_project 8
	printf 'const char *big[] = {\n' >u3.c
	head -c 1500000 /dev/urandom | base64 -w 100 | sed 's/.*/"&",/' >>u3.c
	echo '0};' >>u3.c
	all_away 8 -O1
	settle
	[ "$(counter remote_compiles)" -ge 4 ] || fail "hardly anything went away: $("$COFFER" stats --tsv | grep remote)"
	[ "$(w1_counts impossible)" -ge 1 ] || fail "the worker does not say so: $(tail -n 3 "$T/w1.log")"
	grep -q 'more than half of the worker' "$T/w1.log" || fail "the log: $(tail -n 5 "$T/w1.log")"
	farm_end
}

e2e_farm_jobs_that_a_worker_has_no_memory_for() { # once long
	w1_start --memory 48M
	farm_project 6
	slow_source u7.c 300
	slow_source u8.c 300
	all_away 8 -O2
	settle
	[ "$(w1_counts limits)" -ge 1 ] || fail "nothing hit the limit: $(tail -n 5 "$T/w1.log")"
	farm_end
}

# The worker itself gets no more memory: it ends, as its service manager starts it again.
e2e_farm_worker_out_of_memory() { # once long
	need prlimit
	w1_start
	farm_project 30
	all_away 4
	prlimit --pid "$(<"$T/w1.pid")" --as=1000000
	rm -rf want
	all_away 26 -O2
	kill -KILL "$(<"$T/w1.pid")" 2>/dev/null
	wait_until 10 "[ ! -d /proc/$(<"$T/w1.pid") ]"
	COFFER_WORKER='' worker_start w1
	export COFFER_WORKER=unix:$T/w1.sock
	settle
	before=$(($(counter remote_compiles) + $(counter remote_hits)))
	again() { rm -rf got want; COFFER_RECACHE=1 all_away 8 -O3; settle; [ $(($(counter remote_compiles) + $(counter remote_hits))) -gt "$before" ]; }
	wait_until 60 again || fail "the worker is not used again: $("$COFFER" status)"
	farm_end
}
