# Jobs in microVMs, emulated: the objects are the sandbox's, nothing is left, and a guest that dies takes no job with it.
# shellcheck shell=bash disable=SC2154
. "$TESTS/e2e/farm/lib.sh"

image=sha256:$(printf 'c%.0s' {1..64})

vm_needs_no_image()
{
	[ "$(uname -m)" = x86_64 ] || skip "only tried on x86-64"
	[ "$(id -u)" = 0 ] || skip "images need root"
	need qemu-system-x86_64 mkfs.erofs apt-get
	read -r kernel modules < <("$TESTS/../tools/vm-kernel" 2>"$T/kernel.log") || skip "there is no kernel for guests: $(tail -1 "$T/kernel.log")"
}

vm_needs()
{
	vm_needs_no_image
	gcc_rootfs "$T/images/${image/:/-}/rootfs"
}

vm_start() # NAME [FLAG...]
{
	worker_start "$1" --runtime microvm --vm-accel tcg --vm-kernel "$kernel" --vm-modules "$modules" --vm-ahead 0 --images "$T/images" "${@:2}"
}

job() # WORKER OUTPUT [FLAG...]: compiles x.i there
{
	timeout 180 "$COFFER_BUILD/programs/compile_client" --image "$image" --output "$2" "unix:$T/$1.sock" x.i "${@:3}" >"$T/job.log" 2>&1
}

monitors() # the pids of those that have files of this test mounted
{
	local pid
	for pid in $(pgrep -f '^qemu -nodefaults '); do
		grep -qs " $T/" "/proc/$pid/mountinfo" && echo "$pid"
	done
	return 0
}

e2e_microvm_makes_what_the_sandbox_makes() { # once clock
	vm_needs
	put x.c '#include <stdio.h>' 'int main(void) { printf("%s", __FILE__); return 0; }'
	gcc -E x.c -o x.i
	vm_start vm
	worker_start box --images "$T/images"
	job vm vm.o -O2 || fail "no object from the VM: $(cat "$T/job.log" "$T/vm.log")"
	job box box.o -O2 || fail "no object from the sandbox: $(cat "$T/job.log")"
	same_file box.o vm.o
	grep -q 'isolation=microvm-emulated' "$T/vm.log" || fail "an emulated VM is not labelled as no boundary"
	"$COFFER" audit ls --log "$T/vm/audit" --format json | jq -e 'select(.monitor == "qemu-tcg" and .isolation == "none")' >/dev/null ||
		fail "the row does not name the monitor"
	# A job that says something, and one that fails.
	printf 'int f(void) { return x; }\n' >x.i
	job vm bad.o -O2 && fail "a failing compile ends well"
	grep -q 'undeclared' "$T/job.log" || fail "no message of the compiler: $(cat "$T/job.log")"
	# The monitor is nobody and has nothing; when it is killed the next job gets another guest.
	local qemu
	qemu=$(monitors)
	[[ $qemu =~ ^[0-9]+$ ]] || fail "not one monitor: '$qemu'"
	[ "$(stat -c %u "/proc/$qemu")" != 0 ] || fail "the monitor runs as root"
	[ "$(nsenter -n -t "$qemu" ip -o link | grep -vc ' lo:')" = 0 ] || fail "the monitor has a network"
	kill -KILL "$qemu"
	printf 'int g(void) { return 1; }\n' >x.i
	job vm again.o -O2 || fail "no object after the monitor was killed: $(cat "$T/job.log")"
	farm_end
	[ -z "$(monitors)" ] || fail "a monitor is left"
}

# vm_probe_image: an image with the program of microvm/probe.c and nothing else.
vm_probe_image()
{
	local root=$T/images/${image/:/-}/rootfs
	mkdir -p "$root/usr/bin" "$root/usr/lib" "$T/scratch"
	gcc -static -O1 -o "$root/usr/bin/probe" "$TESTS/e2e/microvm/probe.c" || fail "no probe"
	ln -s usr/bin "$root/bin"
	ln -s usr/lib "$root/lib"
}

vm_session() # COMMAND...: a session by hand (programs/vm_session.c), its words in $T/session.log
{
	timeout 240 "$COFFER_BUILD/programs/vm_session" --kernel "$kernel" --modules "$modules" --images "$T/images" --image "$image" --directory "$T/scratch" \
		--agent "$COFFER_BUILD/coffer-agent" --memory 256 "$@" >"$T/session.log" 2>&1
}

# A session that nobody uses is saved and goes on later, as itself, with a new clock and new random numbers; nobody else's ever.
e2e_microvm_sleeps_and_wakes() { # once clock long
	vm_needs_no_image
	vm_probe_image
	local before after numbers
	vm_session open run probe clock ';' save sleep 2500 resume run probe clock ';' save resume twins probe random ';' run probe random ';' ||
		fail "it does not: $(<"$T/session.log")"
	[ -z "$(ls "$T/scratch/vm" | grep -E 'memory|state' | grep -v copy)" ] || fail "files are left: $(ls "$T/scratch/vm")"
	mapfile -t numbers < <(sed -nE 's/^(first|second|run) .*: 0 ([0-9a-f]{32})$/\2/p' "$T/session.log" | sort -u)
	[ "${#numbers[@]}" = 3 ] || fail "random numbers come again: $(<"$T/session.log")"
	read -r before after < <(sed -nE 's/^run .*: 0 ([0-9]{10})$/\1/p' "$T/session.log" | xargs)
	[ $((after - before)) -ge 2 ] && [ $((after - $(date +%s))) -ge -200 ] && [ $((after - $(date +%s))) -le 1 ] || fail "its clock is wrong: $before $after"
	# Changed on the disk, another tenant's, or twice: refused.
	vm_session open save spoil resume && fail "a changed memory is resumed"
	grep -q 'resume: the saved session was changed' "$T/session.log" || fail "it says: $(<"$T/session.log")"
	vm_session open save stranger resume && fail "another tenant's session is resumed"
	grep -q 'resume: the saved session was changed' "$T/session.log" || fail "it says: $(<"$T/session.log")"
}

# A job that means harm finds in a guest what it finds in the sandbox: nothing. It keeps nothing for the next one, and jobs that take
# all memory, or write more than there is together, end, but not the guest.
e2e_microvm_holds_a_hostile_job() { # once clock
	vm_needs_no_image
	vm_probe_image
	gcc -static -O1 -D_GNU_SOURCE -o "$T/images/${image/:/-}/rootfs/usr/bin/hostile" "$TESTS/e2e/sandbox/hostile.c" || fail "no hostile program"
	local try tries=(sockets reading writing tracing mounting calls rights running descriptors signalling machine leave look) words=()
	for try in "${tries[@]}"; do
		words+=(run hostile "$try" ';')
	done
	vm_session open "${words[@]}" run hostile foreign ';' run hostile memory 4000 ';' many 3 hostile fill ';' run hostile look ';' run probe clock ';' || fail "the guest did not live through it: $(<"$T/session.log")"
	grep -E 'bad:|odd:' "$T/session.log" && fail "something works that should not: $(<"$T/session.log")"
	[ "$(grep -cE ': (159|137) $' "$T/session.log")" = 2 ] || fail "foreign system calls and too much memory do not end a job: $(<"$T/session.log")"
	[ "$(grep -c ': 0 done$' "$T/session.log")" = $((${#tries[@]} + 1)) ] || fail "not every try came to its end: $(<"$T/session.log")"
}

# The same by a worker: idle, saved, resumed for the next job; guests that are booted ahead; no more memory than is given.
e2e_microvm_worker_saves_what_is_idle() { # once clock long
	vm_needs
	put x.i 'int f(void) { return 1; }'
	vm_start vm --session-idle 1s --session-memory 512M --vm-ahead 1
	job vm one.o -O2 || fail "no object: $(cat "$T/job.log" "$T/vm.log")"
	wait_until 60 "grep -q 'session saved' $T/vm.log" || fail "nothing is saved: $(<"$T/vm.log")"
	job vm again.o -O1 || fail "no object from the resumed one: $(cat "$T/job.log" "$T/vm.log")"
	grep -q 'session resumed' "$T/vm.log" || fail "nothing is resumed: $(<"$T/vm.log")"
	[ "$(grep -c 'session opened' "$T/vm.log")" = 1 ] || fail "there was another session: $(<"$T/vm.log")"
	farm_end
	[ -z "$(ls "$T/vm/scratch/vm" | grep -E 'memory|state')" ] || fail "files are left: $(ls "$T/vm/scratch/vm")"
}

# long_job FILE NUMBER: a source that takes seconds in an emulated guest
long_job()
{
	seq "$2" | sed 's/.*/int f&(int *p, int n) { int s = 0; for (int i = 0; i < n; i++) s += p[i] * (i ^ &); return s; }/' >"$1"
}

# In the middle of a job: the monitor is killed; it stands still and says nothing. The job is done in another guest, its user sees
# nothing of it, and nothing is left.
e2e_microvm_dies_in_a_job() { # once clock long
	vm_needs
	local how monitor
	long_job x.i 60
	vm_start vm --vm-watch 3s
	worker_start box --images "$T/images"
	for how in KILL STOP; do
		echo "int how_$how;" >>x.i
		job box "box.$how.o" -O2 || fail "no object from the sandbox: $(cat "$T/job.log")"
		job vm "$how.o" -O2 &
		wait_until 60 "[ -n \"\$(monitors)\" ] && grep -q 'session opened' $T/vm.log" || fail "no session: $(<"$T/vm.log")"
		monitor=$(monitors)
		sleep 1
		jobs -r | grep -q . || fail "the job was too short"
		kill -"$how" "$monitor"
		wait $! || fail "no object when the monitor gets SIG$how: $(cat "$T/job.log" "$T/vm.log")"
		same_file "box.$how.o" "$how.o"
		[ ! -d "/proc/$monitor" ] || fail "the monitor that got SIG$how is left"
	done
	farm_end
	[ -z "$(ls "$T/vm/scratch/vm" | grep -E 'memory|state|sock')" ] || fail "files are left: $(ls "$T/vm/scratch/vm")"
	[ -z "$(monitors)" ] || fail "a monitor is left"
}

# A job brings its guest to a bad end: the kernel panics, the agent is killed, the agent says nothing any more. What else ran there is
# done in another guest, and its user sees nothing of it.
e2e_microvm_ends_badly() { # once clock long
	vm_needs
	local how monitor honest killer
	long_job x.i 60
	vm_start vm --vm-watch 3s --agent "$COFFER_BUILD/programs/mortal_agent"
	worker_start box --images "$T/images"
	for how in panic agent silence; do
		echo "int how_$how;" >>x.i
		job box "box.$how.o" -O2 || fail "no object from the sandbox: $(cat "$T/job.log")"
		job vm "$how.o" -O2 &
		honest=$!
		wait_until 60 "[ -n \"\$(monitors)\" ] && grep -q 'session opened' $T/vm.log" || fail "no session: $(<"$T/vm.log")"
		monitor=$(monitors)
		"$COFFER_BUILD/programs/compile_client" --image "$image" --output killer.o "unix:$T/vm.sock" x.i -O2 "-frandom-seed=ends-$how" >"$T/killer.log" 2>&1 &
		killer=$!
		wait_until 60 "[ ! -d /proc/$monitor ]" || fail "the guest lives on ($how): $(<"$T/vm.log")"
		kill "$killer"
		wait "$killer"
		wait "$honest" || fail "no object when it ends by $how: $(cat "$T/job.log" "$T/vm.log")"
		same_file "box.$how.o" "$how.o"
	done
	farm_end
	[ -z "$(monitors)" ] || fail "a monitor is left"
}

# Guests, their agents and the worker are killed at random while jobs run: each job that was accepted has one row. FULL=1: more of them.
e2e_microvm_loses_no_row_in_a_crash() { # once clock long
	vm_needs
	local round i clients killer started rounds=2 jobs=6 log=$T/vm/audit
	local flags=(--vm-watch 3s --agent "$COFFER_BUILD/programs/mortal_agent")
	[ "${FULL:-}" != 1 ] || rounds=6 jobs=25
	for ((i = 1; i <= jobs; i++)); do
		put "u$i.i" "int f$i(int *p, int n) { int s = 0; for (int k = 0; k < n; k++) s += p[k] * $i; return s; }"
	done
	vm_start vm "${flags[@]}"
	for ((round = 1; round <= rounds; round++)); do
		killer=
		# Each is asked for again until it is done, by a client that remembers nothing.
		seq "$jobs" | timeout 400 xargs -P 4 -I{} sh -c "until '$COFFER_BUILD/programs/compile_client' --image '$image' --output o{} 'unix:$T/vm.sock' u{}.i -O2 -frandom-seed=round$round; do sleep 0.2; done" >"$T/log" 2>&1 &
		clients=$!
		wait_until 60 "[ -n \"\$(monitors)\" ]" || fail "no guest: $(tail -n 3 "$T/log" "$T/vm.log")"
		sleep "$((RANDOM % 4)).$((RANDOM % 9))"
		if ((round % 2)); then
			monitors | head -n 1 | xargs -r kill -KILL
		else
			"$COFFER_BUILD/programs/compile_client" --image "$image" --output killer.o "unix:$T/vm.sock" u1.i -O2 "-frandom-seed=ends-agent" >"$T/killer.log" 2>&1 &
			killer=$!
		fi
		sleep "$((RANDOM % 3)).$((RANDOM % 9))"
		if ((round % 4 != 1)); then
			worker_kill vm KILL
			wait_until 20 "[ ! -d /proc/$(<"$T/vm.pid") ]"
			rm -f "$T/vm.sock"
			COFFER_WORKER='' vm_start vm "${flags[@]}"
		fi
		wait $clients || fail "round $round does not end: $(tail -n 3 "$T/log" "$T/vm.log")"
		[ -z "$killer" ] || wait "$killer"
	done
	farm_end
	[ -z "$(monitors)" ] || fail "a monitor is left"
	says 0 'are as they were signed' "$COFFER" audit verify --log "$log"
	started=$(jq -r 'select(.event == "compile.started") | .job' "$log"/events*.jsonl | sort)
	[ "$(sort -u <<<"$started")" = "$started" ] || fail "a job started twice"
	[ "$("$COFFER" audit ls --log "$log" --format json | jq -r .job | sort)" = "$started" ] || fail "jobs and rows differ"
	[ "$(wc -l <<<"$started")" -ge $((rounds * jobs)) ] || fail "not all jobs got to the worker: $(wc -l <<<"$started")"
	[ "$("$COFFER" audit ls --log "$log" --format json | jq -r 'select(.outcome == "run" and .monitor == "qemu-tcg") | .job' | wc -l)" -ge "$jobs" ] ||
		fail "hardly anything ran in a guest"
	"$COFFER" audit ls --log "$log" --where outcome=interrupted | grep -q '^[^#]' || fail "no job was under way at any death"
	[ -s "$log/pending" ] && fail "jobs are still pending"
	"$COFFER" audit ls --log "$log" --format json | jq -r .outcome | sort | uniq -c
	return 0
}

e2e_microvm_says_what_is_wrong() { # once long
	vm_needs
	local words
	for words in "--vm-kernel $T/none --vm-modules $modules|cannot use" "--vm-kernel $kernel --vm-modules $T|has no module" "--vm-accel tcg|needs a kernel"; do
		out=$("$COFFERD" worker --insecure-loopback --listen "unix:$T/x.sock" --admin '' --name x --folder "$T/x" --agent "$COFFER_BUILD/coffer-agent" \
			--runtime microvm --vm-accel tcg --images "$T/images" ${words%%|*} 2>&1) && fail "it starts with ${words%%|*}"
		[[ $out == *"${words##*|}"* ]] || fail "it does not say '${words##*|}': $out"
	done
	# A kernel that is none: the guest is given up in time.
	put x.i 'int f(void) { return 1; }'
	head -c 100000 /dev/zero >"$T/zero"
	vm_start bad --vm-kernel "$T/zero" --vm-boot-time 5s
	job bad x.o -O2 && fail "there is an object"
	grep -q 'cannot set up the microVM' "$T/job.log" || fail "it says: $(cat "$T/job.log")"
	farm_end
}

# ---- images that were imported, and a farm of them ----

says() # STATUS WORDS COMMAND...
{
	local status=$1 words=$2
	shift 2
	timeout 60 "$@" >"$T/said" 2>&1
	[ $? = "$status" ] || fail "'$*' does not end with $status: $(<"$T/said")"
	grep -qF -- "$words" "$T/said" || fail "it does not say '$words': $(<"$T/said")"
}

imported() # ROOT: imports its files; prints the digest
{
	local layout
	layout=$(mktemp -d "$T/oci.XXXXXX")/layout
	/usr/bin/python3 "$TESTS/e2e/image/layout.py" "$layout" good "$1" >/dev/null || fail "no layout"
	"$COFFER" image import "$layout" --images "$T/imported" 2>"$T/said" || fail "no import: $(<"$T/said")"
}

# One command: the machines boot the image's own disk, a build's objects are this machine's, some are the guests', and nothing is left.
e2e_microvm_farm_is_tried() { # once clock long
	vm_needs_no_image
	local i digest
	gcc_rootfs "$T/root"
	# What gcc reads before every source is among what is compared.
	cp /usr/include/stdc-predef.h "$T/root/usr/include/" || skip "this machine's gcc is laid out in another way"
	digest=$(imported "$T/root")
	mkdir -p want out "$T/tmp"
	for i in 1 2 3 4 5 6 7 8; do
		put "u$i.c" '#include <stdio.h>' "int f$i(int x) { printf(\"%d\", x); return x * $i; }"
		gcc -O1 -c "u$i.c" -o "want/u$i.o"
	done
	# Behind a gate no core here takes a job back, however late an emulated guest is.
	TMPDIR=$T/tmp COFFER_GATE=none timeout 300 "$COFFER" farm try --workers 1 --runtime microvm --images "$T/imported" --vm-kernel "$kernel" --vm-modules "$modules" -- sh -c \
		"seq 8 | xargs -P 3 -I{} '$COFFER' gcc -O1 -c u{}.c -o out/u{}.o; '$COFFER' audit ls --log $T/tmp/coffer-farm-*/w1/audit --format json >'$T/rows'; exit 7" 2>"$T/said"
	[ $? = 7 ] || fail "the command's status is not passed on: $(<"$T/said")"
	grep -q "in virtual machines of $digest" "$T/said" || fail "it does not say what runs: $(<"$T/said")"
	for i in 1 2 3 4 5 6 7 8; do same_file "want/u$i.o" "out/u$i.o"; done
	[ "$(counter remote_compiles)" -ge 1 ] || fail "nothing went away: $(<"$T/said")"
	jq -e "select(.image_digest == \"$digest\" and (.monitor | startswith(\"qemu-\")))" "$T/rows" >/dev/null || fail "no row of a guest: $(<"$T/rows")"
	[ -z "$(ls "$T/tmp")" ] || fail "something is left: $(ls "$T/tmp")"
	[ -z "$(monitors)" ] || fail "a monitor is left"
}

# Before anything is made it says which part is missing, and what to do about it.
e2e_microvm_farm_names_what_is_missing() { # once long
	[ "$(id -u)" = 0 ] || skip "hides parts of the machine by mounts"
	[ -e /usr/bin/qemu-system-x86_64 ] && [ -d /boot ] || skip "there is no QEMU"
	need mkfs.erofs
	local try="'$COFFER' farm try --runtime microvm --images '$T/imported'" kernel="--vm-kernel '$T/vmlinuz'"
	export TMPDIR=$T/tmp
	mkdir -p "$T/tmp" "$T/root/usr/bin"
	: >"$T/vmlinuz"
	says 1 'no kernel for guests is in /boot' unshare -m sh -c "mount -t tmpfs none /boot && $try"
	grep -q '^coffer: install .*--vm-kernel' "$T/said" || fail "it does not say what to do: $(<"$T/said")"
	says 1 "cannot run '/usr/bin/qemu-system-x86_64'" unshare -m sh -c "mount --bind '$T/vmlinuz' /usr/bin/qemu-system-x86_64 && $try"
	says 1 "cannot use the kernel '$T/none'" sh -c "$try --vm-kernel '$T/none'"
	says 1 "no image of a toolchain is in '$T/imported'" sh -c "$try $kernel"
	grep -q '^coffer: import one: coffer image import' "$T/said" || fail "it does not say what to do: $(<"$T/said")"
	imported "$T/root" >"$T/digest"
	says 1 "the image 'sha256:1' is not in" sh -c "$try $kernel --image sha256:1"
	says 1 "does not describe its" sh -c "$try $kernel --workers 1"
	: >"$T/root/usr/bin/more"
	imported "$T/root" >/dev/null
	says 1 'several images are in' sh -c "$try $kernel"
	says 2 'there is no runtime' "$COFFER" farm try --runtime vm
	says 2 'is for --runtime microvm' "$COFFER" farm try --image "$(<"$T/digest")"
	[ -z "$(ls "$T/tmp")" ] || fail "something is left: $(ls "$T/tmp")"
}

# The recipe of packaging/images: the same bytes twice; and a guest compiles with it, from the disk that the import has made.
e2e_microvm_image_of_packages() { # once clock long
	vm_needs_no_image
	need mmdebstrap
	local make=$TESTS/../packaging/images/make-image one two
	says 1 "there is no image 'pascal'" "$make" pascal "$T/p"
	one=$("$make" gcc "$T/one" 2>"$T/said") || skip "no packages: $(tail -1 "$T/said")"
	sleep 1.1
	two=$("$make" gcc "$T/two" 2>"$T/said") || fail "not a second time: $(<"$T/said")"
	[ "$one" = "$two" ] && [ "$(cd "$T/one" && find . -type f | sort)" = "$(cd "$T/two" && find . -type f | sort)" ] || fail "another image: $one, $two"
	[ "$("$COFFER" image import "$T/one" --images "$T/images" 2>"$T/said")" = "$one" ] || fail "no import: $(<"$T/said")"
	image=$one
	put x.c '#include <stdio.h>' 'int main(void) { printf("%s", __FILE__); return 0; }'
	gcc -E x.c -o x.i
	vm_start vm
	worker_start box --images "$T/images"
	job vm vm.o -O2 || fail "no object from the VM: $(cat "$T/job.log" "$T/vm.log")"
	job box box.o -O2 || fail "no object from the sandbox: $(cat "$T/job.log")"
	same_file box.o vm.o
	farm_end
}

# ---- Firecracker: its API against a strict stand-in (microvm/firecracker.py), as it can't run here ----

firecracker_needs()
{
	[ "$(uname -m)" = x86_64 ] || skip "only tried on x86-64"
	[ "$(id -u)" = 0 ] || skip "the jailer needs root"
	[ -c /dev/kvm ] || skip "there is no /dev/kvm"
	need /usr/bin/python3 mkfs.erofs
	gcc_rootfs "$T/images/${image/:/-}/rootfs"
	local directory=$T
	mkdir -p "$T/stub"
	cp "$COFFER_BUILD/coffer-agent" "$T/stub/agent"
	cp "$TESTS"/e2e/microvm/*.py "$T/stub/"
	# What is started without an environment, and as another user: programs with all they need in them.
	put "$T/stub/jailer.c" '#include <stdio.h>' '#include <stdlib.h>' '#include <unistd.h>' 'int main(int c, char **v) {' \
		"setenv(\"STUB_AGENT\", \"$T/stub/agent\", 1); setenv(\"STUB_HOW\", \"$T/stub/how\", 1); setenv(\"PATH\", \"/usr/bin:/bin\", 1);" \
		"char *w[64] = {\"python3\", \"$T/stub/jailer.py\"}; for (int i = 1; i < c && i < 60; i++) w[i + 1] = v[i];" \
		'execv("/usr/bin/python3", w); perror("python3"); return 1; }'
	gcc -o "$T/stub/jailer" "$T/stub/jailer.c" || fail "no jailer"
	cp "$T/stub/firecracker.py" "$T/stub/firecracker"
	printf '\177ELF, and no more of a kernel' >"$T/stub/vmlinux"
	chmod 755 "$T/stub" "$T/stub"/*
	while [ "$directory" != / ]; do
		chmod o+x "$directory"
		directory=$(dirname "$directory")
	done
	put x.i 'int f(void) { return 1; }'
}

firecracker_start() # NAME [FLAG...]
{
	worker_start "$1" --runtime microvm --vm-monitor firecracker --vm-firecracker "$T/stub/firecracker" --vm-jailer "$T/stub/jailer" \
		--vm-kernel "$T/stub/vmlinux" --vm-ahead 0 --images "$T/images" "${@:2}"
}

e2e_microvm_firecracker_is_told_what_it_knows() { # once
	firecracker_needs
	firecracker_start fc
	job fc got.o -O2 || fail "no object: $(cat "$T/job.log" "$T/fc.log")"
	worker_start box --images "$T/images"
	job box want.o -O2 || fail "no object from the sandbox: $(cat "$T/job.log")"
	same_file want.o got.o
	job fc again.o -O1 || fail "no second object: $(cat "$T/job.log")"
	"$COFFER" audit ls --log "$T/fc/audit" --format json | jq -e 'select(.monitor == "firecracker")' >/dev/null || fail "the row does not name the monitor"
	[ "$(ls "$T/fc/scratch/vm/jail/firecracker" | wc -l)" = 1 ] || fail "not one VM for one session: $(ls "$T/fc/scratch/vm/jail/firecracker")"
	# When it is killed, the next job gets another one, and nothing is left of the first.
	pkill -KILL -f "^/usr/bin/python3 $T/stub/firecracker" || fail "no monitor runs"
	job fc third.o -O3 || fail "no object after the monitor was killed: $(cat "$T/job.log" "$T/fc.log")"
	farm_end
	[ -z "$(ls "$T/fc/scratch/vm/jail/firecracker")" ] || fail "jails are left: $(ls "$T/fc/scratch/vm/jail/firecracker")"
	pgrep -f "$T/stub/firecracker" >/dev/null && fail "a monitor is left"
	return 0
}

# Paused, saved and loaded as its reference has it; each time in a new one; guests ahead.
e2e_microvm_firecracker_saves_and_loads() { # once
	firecracker_needs
	firecracker_start fc --session-idle 1s --session-memory 64M
	job fc one.o -O2 || fail "no object: $(cat "$T/job.log" "$T/fc.log")"
	local i
	for i in 1 2; do
		wait_until 60 "[ \$(grep -c 'session saved' $T/fc.log) = $i ]" || fail "nothing is saved: $(<"$T/fc.log")"
		[ -z "$(ls "$T/fc/scratch/vm/jail/firecracker")" ] || fail "a jail is left"
		[ "$(stat -c '%a %u' "$T"/fc/scratch/vm/*.memory)" = '600 0' ] || fail "the memory is not the worker's: $(ls -l "$T/fc/scratch/vm")"
		job fc "again$i.o" "-O$((2 * i - 1))" || fail "no object from the resumed one: $(cat "$T/job.log" "$T/fc.log")"
		[ "$(grep -c 'session resumed' "$T/fc.log")" = "$i" ] || fail "nothing is resumed: $(<"$T/fc.log")"
	done
	[ "$(grep -c 'session opened' "$T/fc.log")" = 1 ] || fail "there was another session: $(<"$T/fc.log")"
	farm_end
	ls "$T/fc/scratch/vm" | grep -E 'memory|state' && fail "files are left"
	firecracker_start ahead --vm-ahead 2
	job ahead two.o -O2 || fail "no object: $(cat "$T/job.log" "$T/ahead.log")"
	wait_until 30 "[ \$(ls $T/ahead/scratch/vm/jail/firecracker | wc -l) = 3 ]" || fail "not two ahead: $(ls "$T/ahead/scratch/vm/jail/firecracker")"
	farm_end
	[ -z "$(ls "$T/ahead/scratch/vm/jail/firecracker")" ] || fail "jails are left"
}

# Each thing that can be wrong with it: the job is refused in time, in words, and nothing is left.
e2e_microvm_firecracker_is_not_believed() { # once
	firecracker_needs
	local how
	firecracker_start fc --vm-boot-time 3s
	for how in \
		'{"network": true}|network card' '{"version": "1.12.0"}|too old' '{"refuse": "/drives"}|refused by the test' '{"guest": "fails"}|mount the image' \
		'{"guest": "silent"}|not ready after' '{"die": "boot"}|has ended before\|does not answer'; do
		printf '%s' "${how%%|*}" >"$T/stub/how"
		printf 'int f(void) { return %d; }\n' "$RANDOM" >x.i
		job fc got.o -O2 && fail "a job runs with ${how%%|*}"
		grep -q -- "${how##*|}" "$T/job.log" || fail "with ${how%%|*} it says: $(cat "$T/job.log")"
		[ -z "$(ls "$T/fc/scratch/vm/jail/firecracker")" ] || fail "a jail is left with ${how%%|*}"
	done
	rm "$T/stub/how"
	put x.i 'int f(void) { return 1; }'
	job fc got.o -O2 || fail "no object afterwards: $(cat "$T/job.log")"
	farm_end
	# A bzImage is none that it takes.
	head -c 4096 /dev/zero >"$T/stub/vmlinux"
	out=$("$COFFERD" worker --insecure-loopback --listen "unix:$T/x.sock" --admin '' --name x --folder "$T/x" --agent "$COFFER_BUILD/coffer-agent" \
		--runtime microvm --vm-monitor firecracker --vm-firecracker "$T/stub/firecracker" --vm-jailer "$T/stub/jailer" \
		--vm-kernel "$T/stub/vmlinux" --images "$T/images" 2>&1) && fail "it starts with a kernel that is none"
	[[ $out == *'uncompressed ELF kernel'* ]] || fail "it says: $out"
}

# The user's own files in a guest: it has the headers of the client, a root of its own for each job, and makes what the plain compiler makes.
e2e_microvm_takes_trees() { # once clock long
	local i=0 before
	vm_needs
	gcc_rootfs_headers "$T/images/${image/:/-}/rootfs"
	export COFFER_IMAGE=$image COFFER_SEND=tree COFFER_REPRODUCIBLE=off COFFER_REMOTE_TIMEOUT=5m LC_ALL=C
	always_away
	vm_start vm
	put 'inc/h h.h' '#define MAX(a, b) ((a) > (b) ? (a) : (b))'
	put sub/a.c '#include "h h.h"' '#include <stdio.h>' 'int f(int a, int b) { int unused; return MAX(a, b) + N; }' 'const char *name(void) { return __FILE__; }'
	# The guest boots and its compiler is compared first; until then all is compiled here.
	wait_until 120 'put w.c "int w = $((i += 1));" && "$COFFER" gcc -c w.c -o w.o && [ "$(counter remote_trees)" -ge 1 ]' ||
		fail "nothing goes to the guest: $("$COFFER" stats) $("$COFFER" status) $(tail -5 "$T/vm.log")"
	at_rest
	before=$(counter remote_trees)
	for i in 1 2 3; do
		gcc -Iinc -DN=$i -O1 -g3 -Wall -MD -MF want.d -c sub/a.c -o x.o 2>want.err || fail "the plain compile fails"
		mv x.o want.o
		"$COFFER" gcc -Iinc -DN=$i -O1 -g3 -Wall -MD -MF x.d -c sub/a.c -o x.o 2>got.err || fail "a compile fails: $(<got.err) $(tail -5 "$T/vm.log")"
		same_file want.o x.o
		same_file want.err got.err
	done
	wait_until 20 '[ "$(counter remote_trees)" = $((before + 3)) ]' || fail "not all compiles were of trees: $("$COFFER" stats) $(tail -5 "$T/vm.log")"
	farm_end
}
