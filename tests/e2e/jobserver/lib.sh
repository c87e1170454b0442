# What the jobserver's tests and its benchmark share: the stand-ins, and the workloads. Needs $COFFER_BUILD and $TESTS.
# shellcheck shell=bash disable=SC2016,SC2034

JS=$TESTS/e2e/jobserver
TOP=$(cd "$TESTS/.." && pwd)

# The stand-ins are built once for a build folder, and again when their sources are newer.
js_tools()
{
	local bin=$COFFER_BUILD/e2e-jobserver lock
	local lease="jobserver/client/lease.c jobserver/client/hello.c jobserver/client/lend.c jobserver/client/makeflags.c jobserver/client/cores.c base/mem.c base/err.c base/buf.c"
	mkdir -p "$bin"
	exec {lock}>"$bin/lock"
	flock "$lock"
	if [ ! -e "$bin/done" ] || [ -n "$(find "$JS" "$TOP"/jobserver "$TOP"/base "$COFFER_BUILD"/cofferd -newer "$bin/done" -name '*[chd]' -type f)" ]; then
		(
			cd "$TOP" || exit 1
			set -e
			# shellcheck disable=SC2086
			{
				gcc -std=c17 -D_GNU_SOURCE -O1 -I. -static -o "$bin/work" "$JS/work.c" $lease
				gcc -std=c17 -D_GNU_SOURCE -O1 -I. -o "$bin/client" "$JS/client.c" $lease
				gcc -std=c17 -D_GNU_SOURCE -O1 -I. -static -o "$bin/coffer-gate" jobserver/gate/main.c $lease
				gcc -std=c17 -D_GNU_SOURCE -O1 -I. -shared -fPIC -o "$bin/libcoffer-gate.so" jobserver/preload/*.c jobserver/client/hello.c
			}
			# The front end looks for the gate beside its own file.
			cp "$COFFER_BUILD/coffer" "$COFFER_BUILD/cofferd" "$bin/"
			: >"$bin/done"
		) || { flock -u "$lock"; return 1; }
	fi
	exec {lock}>&-
	export WORK=$bin/work
	CLIENT=$bin/client
	COFFER=$bin/coffer COFFERD=$bin/cofferd
	export COFFERD
}

# A program of that name that says it is that version, and is the client of client.c.
js_fake_tool()
{
	mkdir -p fake
	printf '#!/bin/sh\n[ "$1" = --version ] && { echo "%s"; exit; }\nexec %s "$@"\n' "$2" "$CLIENT" >"fake/$1"
	chmod +x "fake/$1"
}

# ---- workloads ------------------------------------------------------------------------------------------------------

# load_w1 COMPILES LINKS: compiles that are 1 s on another machine, then links of 0.3 s.
load_w1()
{
	{
		printf 'objs := $(foreach i,$(shell seq %s),obj$(i))\nlinks := $(foreach i,$(shell seq %s),link$(i))\n' "$1" "$2"
		cat <<'END'
all: $(objs) $(links)
$(links): $(objs)
	@$(WORK) local 300
$(objs):
	@$(WORK) remote 0 1000
.PHONY: all $(links) $(objs)
END
	} >w1.mk
	local all
	all=$(seq -f 'obj%.0f' -s ' ' "$1")
	{
		printf 'rule o\n command = $$WORK remote 0 1000\nrule l\n command = $$WORK local 300\n'
		seq -f 'build obj%.0f: o' "$1"
		seq -f "build link%.0f: l $all" "$2"
	} >w1.ninja
	{
		seq -f 'obj%.0f : $WORK remote 0 1000' "$1"
		seq -f "link%.0f $all : \$WORK local 300" "$2"
	} >w1.list
}

# load_w3 GROUPS TICK_MS: in each group ten compiles of 20 ms here, all of which come back at the same tick, and then a
# link of 0.2 s. The objects stand before the links, so that make starts a link as soon as it may.
load_w3()
{
	local g i objs=
	{
		printf 'rule o\n command = $$WORK tick 20 %s\nrule l\n command = $$WORK local 200\n' "$2"
		for g in $(seq "$1"); do
			seq -f "build o${g}_%.0f: o" 0 9
			echo "build l$g: l $(seq -f "o${g}_%.0f" -s ' ' 0 9)"
		done
	} >w3.ninja
	{
		for g in $(seq "$1"); do seq -f "o${g}_%.0f : \$WORK tick 20 $2" 0 9; done
		for g in $(seq "$1"); do echo "l$g $(seq -f "o${g}_%.0f" -s ' ' 0 9) : \$WORK local 200"; done
	} >w3.list
	{
		for g in $(seq "$1"); do objs+=" $(seq -f "o${g}_%.0f" -s ' ' 0 9)"; done
		printf 'objs :=%s\nlinks :=%s\nall: $(objs) $(links)\n$(objs):\n\t@$(WORK) tick 20 %s\n' "$objs" \
			"$(seq -f ' l%.0f' -s '' "$1")" "$2"
		printf '$(links):\n\t@$(WORK) local 200\n.PHONY: all $(objs) $(links)\n'
		for g in $(seq "$1"); do echo "l$g: $(seq -f "o${g}_%.0f" -s ' ' 0 9)"; done
	} >w3.mk
}

# load_w5 SUBS: so many sub-makes at once, each ten compiles of 20 ms here and 1 s there, and a link of 0.5 s.
load_w5()
{
	cat >w5.mk <<END
subs := $(seq -f 'sub%.0f' -s ' ' "$1")
all: \$(subs)
\$(subs):
	@+\$(SUBMAKE) --no-print-directory -f w5sub.mk
.PHONY: all \$(subs)
END
	cat >w5sub.mk <<'END'
objs := 0 1 2 3 4 5 6 7 8 9
all: $(objs)
	@$(WORK) local 500
$(objs):
	@$(WORK) remote 20 1000
.PHONY: all $(objs)
END
	export SUBMAKE=make
}

# ---- measuring ------------------------------------------------------------------------------------------------------

# measured CMD...: leaves the exit status in $status, the time in $wall_ms, and what the stand-ins counted in $max_local,
# $now_local, $commands, $loans.
measured()
{
	export WORK_COUNT=$PWD/count
	rm -f "$WORK_COUNT"
	local start=${EPOCHREALTIME/[.,]/}
	"$@"
	status=$?
	wall_ms=$(((${EPOCHREALTIME/[.,]/} - start) / 1000))
	# shellcheck disable=SC2034
	read -r max_local now_local commands loans < <("$WORK" count)
}
