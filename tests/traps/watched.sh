# Traps 11 and 16 in folders that the daemon watches instead of looking at each header (setting watched_folders).
# shellcheck shell=bash disable=SC2016

# watched NAME...: for each name a header $T/sys/inc/NAME.h with H = 1, and NAME.c that shows which one was taken; all of
# them old enough to be trusted, and served so often that the daemon knows the headers without a look.
watched()
{
	local name
	export COFFER_WATCHED_FOLDERS=$T/sys:$T/gone
	flags=(-isystem "$T/sys/none" -isystem "$T/sys/early" -isystem "$T/sys/inc")
	mkdir -p "$T/sys/early"
	for name; do
		put "$T/sys/inc/$name.h" '#define H 1'
		put "$name.c" "#include <$name.h>" 'int value = H;'
	done
	settle_down "$@"
}

settle_down()
{
	local name
	sleep 2.1
	for name; do
		check any "$CC" "${flags[@]}" -c "$name.c" -o "$name.o"
	done
	for name; do
		known "$name"
	done
	[ "$(coffer status --json | sed -n 's/.*"watched": \([0-9]*\).*/\1/p')" -gt 0 ] || skip "this file system does not tell of changes"
}

# Two hits: the first one may still look.
known()
{
	counted hit coffer "$CC" "${flags[@]}" -c "$1.c" -o "$1.o"
	again_hit "$1"
}

again_hit() { check hit "$CC" "${flags[@]}" -c "$1.c" -o "$1.o"; }

# seen NAME CMD...: the command changes what NAME.c depends on.
seen()
{
	local name=$1
	shift
	known "$name"
	"$@" || fail "cannot do: $*"
	check changed "$CC" "${flags[@]}" -c "$name.c" -o "$name.o"
	check any "$CC" "${flags[@]}" -c "$name.c" -o "$name.o"
}

write_dated() { echo '#define H 2' >"$1" && touch -d '2020-01-01' "$1"; }
rename_over() { echo '#define H 2' >"$T/new.h" && touch -r "$1" "$T/new.h" && mv "$T/new.h" "$1"; }
rename_late() { mv "$1" "$T/late.h" && echo '#define H 2' >"$T/late.h" && mv "$T/late.h" "$1"; }
make_anew() { rm "$1" && echo '#define H 2' >"$1"; }
make_link() { echo '#define H 2' >"$T/target.h" && ln -sf "$T/target.h" "$1"; }

trap_16_watched_folders_headers_that_change() # long
{
	local inc=$T/sys/inc
	watched write append short over late anew link gone
	seen write write_dated "$inc/write.h"
	seen append eval "echo '#undef H
#define H 3' >>'$inc/append.h'"
	seen short eval "printf '#define H 12' >'$inc/short.h'"
	seen over rename_over "$inc/over.h"
	seen late rename_late "$inc/late.h"
	seen anew make_anew "$inc/anew.h"
	seen link make_link "$inc/link.h"
	# And what a link leads to is not watched.
	again_hit link
	echo '#define H 4' >"$T/target.h"
	check changed "$CC" "${flags[@]}" -c link.c -o link.o
	seen gone mv "$inc/gone.h" "$inc/away.h"
	mv "$inc/away.h" "$inc/gone.h"
	check served "$CC" "${flags[@]}" -c gone.c -o gone.o
}

trap_16_watched_folders_modes_and_dates()
{
	watched one two
	chmod 600 "$T/sys/inc/one.h"
	again_hit one
	touch "$T/sys/inc/two.h"
	again_hit two
	again_hit one
	put "$T/sys/inc/one.h" '#define H 1 /* the same */'
	check any "$CC" "${flags[@]}" -c one.c -o one.o
	ln "$T/sys/inc/two.h" "$T/second.h"
	again_hit two
	again_hit two
	echo '#define H 5' >"$T/second.h" # by its other name
	check changed "$CC" "${flags[@]}" -c two.c -o two.o
}

trap_16_watched_folders_replaced_while_the_daemon_runs() # long
{
	local way
	watched one two
	cp -a "$T/sys" "$T/other"
	echo '#define H 7' >"$T/other/inc/one.h"
	echo '#define H 8' >"$T/other/inc/two.h"
	touch -d '2020-01-01' "$T"/other/inc/*.h
	sleep 2.1 # all of them old, whichever is in place
	for way in inc sys; do
		local place=$T/sys other=$T/other
		[ $way = sys ] || place=$T/sys/inc other=$T/other/inc
		known one
		known two
		mv "$place" "$T/away"
		check any "$CC" "${flags[@]}" -c one.c -o one.o && fail "there is no header"
		mv "$other" "$place"
		check any "$CC" "${flags[@]}" -c one.c -o one.o
		check any "$CC" "${flags[@]}" -c two.c -o two.o
		known one
		known two
		mv "$place" "$other"
		mv "$T/away" "$place"
		known one
		known two
		# By a link in its place.
		mv "$place" "$T/away"
		ln -s "$other" "$place"
		known one
		rm "$place"
		mv "$T/away" "$place"
		known one
	done
	check hit "$CC" "${flags[@]}" -c two.c -o two.o
}

trap_16_watched_folders_in_turns() # long
{
	local i
	export COFFER_WATCHED_FOLDERS=$T/sys
	put a.c '#include <h.h>' 'int value = H;'
	for i in {1..9}; do
		put "$T/sys/$i/h.h" "#define H $i"
		"$CC" -DH="$i" -x c -c -o "$T/want.$i" - <<<'int value = H;'
	done
	mkdir "$T/sys/inc"
	sleep 2.1
	for i in {1..9} {1..9} 3 4 3 4; do
		rmdir "$T/sys/inc" 2>/dev/null
		mv "$T/sys/$i" "$T/sys/inc"
		check any "$CC" -isystem "$T/sys/inc" -c a.c -o a.o
		check hit "$CC" -isystem "$T/sys/inc" -c a.c -o a.o
		mv "$T/sys/inc" "$T/sys/$i"
	done
}

trap_16_watched_folders_many_at_once()
{
	local i k
	export COFFER_WATCHED_FOLDERS=$T/sys
	mkdir "$T/sys" "$T/want"
	for k in {1..6}; do
		put "a$k.c" '#include <h.h>' "int value$k = H;"
	done
	for i in 1 2 3; do
		put "$T/sys/inc/h.h" "#define H $i"
		for k in {1..6}; do
			"$CC" -isystem "$T/sys/inc" -c "a$k.c" -o "$T/want/$i.$k.o"
		done
		mv "$T/sys/inc" "$T/sys/$i"
	done
	sleep 2.1
	# The folder changes between the compiles, and something else in it while they run.
	for i in 1 2 3 1 2 3 1 1 2 2 3; do
		mv "$T/sys/$i" "$T/sys/inc"
		for k in {1..6} {1..6}; do
			"$COFFER" "$CC" -isystem "$T/sys/inc" -c "a$k.c" -o "a$k.o" || fail "the compile fails" &
			[ $((k % 3)) != 0 ] || touch "$T/sys/inc/other.h"
			[ "$k" != 6 ] || wait
		done
		for k in {1..6}; do
			same_file "a$k.o" "$T/want/$i.$k.o"
		done
		mv "$T/sys/inc" "$T/sys/$i"
	done
	[ "$(counter direct_hits)" -gt 90 ] || fail "only $(counter direct_hits) hits"
}

trap_16_watched_folders_under_a_mount() # once
{
	need_root
	watched one
	trap 'umount -l "$T/sys/inc" 2>/dev/null' EXIT
	mount -t tmpfs none "$T/sys/inc" 2>/dev/null || skip "cannot mount here"
	check any "$CC" "${flags[@]}" -c one.c -o one.o && fail "there is no header"
	echo '#define H 9' >"$T/sys/inc/one.h"
	check changed "$CC" "${flags[@]}" -c one.c -o one.o
	umount "$T/sys/inc"
	again_hit one
	mkdir "$T/two"
	echo '#define H 10' >"$T/two/one.h"
	mount --bind "$T/two" "$T/sys/inc"
	check changed "$CC" "${flags[@]}" -c one.c -o one.o
	sleep 2.1
	known one
	echo '#define H 11' >"$T/two/one.h"
	check changed "$CC" "${flags[@]}" -c one.c -o one.o
	umount "$T/sys/inc"
	mount --bind "$T/two/one.h" "$T/sys/inc/one.h"
	check any "$CC" "${flags[@]}" -c one.c -o one.o
	sleep 2.1
	known one
	echo '#define H 12' >"$T/two/one.h"
	check changed "$CC" "${flags[@]}" -c one.c -o one.o
	umount "$T/sys/inc/one.h"
	again_hit one
}

trap_11_watched_folders_headers_that_appear() # long
{
	watched one two three four
	put "$T/sys/inc/sub/s.h" '#define H 1'
	put five.c '#include <sub/s.h>' 'int value = H;'
	put six.c '#include <sub/s.h>' 'int value = H;'
	put seven.c '#if __has_include(<seven.h>)' 'int seven;' '#else' 'int none;' '#endif'
	put eight.c '#if __has_include(<sub/s.h>)' 'int eight;' '#else' 'int none;' '#endif'
	settle_down five six seven eight
	seen one put "$T/sys/early/one.h" '#define H 2'
	seen two put "$T/sys/none/two.h" '#define H 2'
	rm -r "$T/sys/none" "$T/sys/early/one.h"
	known one
	known two
	seen three eval 'mkdir "$T/none" && echo "#define H 3" >"$T/none/three.h" && mv "$T/none" "$T/sys/none"'
	rm -r "$T/sys/none"
	seen four eval 'echo "#define H 4" >"$T/four.h" && mv "$T/four.h" "$T/sys/early/four.h"'
	seen seven put "$T/sys/early/seven.h" '#error not read'
	rm "$T/sys/early/seven.h"
	known seven
	mkdir "$T/sys/early/sub"
	known five
	seen five put "$T/sys/early/sub/s.h" '#define H 5'
	rm -r "$T/sys/early/sub"
	known five
	seen six eval 'mkdir "$T/sub" && echo "#define H 6" >"$T/sub/s.h" && ln -s "$T/sub" "$T/sys/early/sub"'
	rm "$T/sys/early/sub"
	seen eight rm "$T/sys/inc/sub/s.h"
}

trap_11_watched_folders_folder_that_is_no_folder()
{
	watched one
	rmdir "$T/sys/early"
	check any "$CC" "${flags[@]}" -c one.c -o one.o
	known one
	echo file >"$T/sys/early"
	check any "$CC" "${flags[@]}" -c one.c -o one.o # gcc warns
	rm "$T/sys/early"
	ln -s "$T/sys/inc" "$T/sys/early"
	check any "$CC" "${flags[@]}" -c one.c -o one.o
	rm "$T/sys/early"
	mkdir "$T/sys/early"
	mkdir "$T/sys/early/one.h"
	check any "$CC" "${flags[@]}" -c one.c -o one.o
	rmdir "$T/sys/early/one.h"
	put "$T/sys/early/one.h" '#define H 2'
	check changed "$CC" "${flags[@]}" -c one.c -o one.o
}

trap_11_watched_folders_by_other_names() # long
{
	watched one
	ln -s "$T/sys" "$T/link"
	flags=(-isystem "$T/link/early" -isystem "$T/link/inc")
	check any "$CC" "${flags[@]}" -c one.c -o one.o
	known one
	cp -a "$T/sys" "$T/other"
	write_dated "$T/other/inc/one.h"
	seen one ln -sfn "$T/other" "$T/link"
	flags=(-isystem "$T/sys/inc/../early" -isystem "$T/sys/early/../inc")
	check any "$CC" "${flags[@]}" -c one.c -o one.o
	sleep 2.1
	known one
	seen one write_dated "$T/sys/inc/one.h"
	rm "$T/sys/early/one.h" 2>/dev/null
	sleep 2.1
	known one
	seen one put "$T/sys/early/one.h" '#define H 3'
}

trap_11_watched_folders_that_hold_the_source_tree() # once
{
	local i
	# Two checkouts share a manifest; what is below them is theirs.
	export COFFER_WATCHED_FOLDERS=$T COFFER_REPRODUCIBLE=on
	for i in 1 2; do
		mkdir -p "$T/c$i/.git" "$T/c$i/early"
		put "$T/c$i/inc/h.h" '#define H 1'
		put "$T/c$i/a.c" '#include <h.h>' 'int value = H;'
	done
	sleep 2.1
	for i in 1 2 1 2; do
		in_dir "$T/c$i" counted any coffer "$CC" -Iearly -I"$T/c$i/inc" -c a.c -o a.o
	done
	put "$T/c2/early/h.h" '#define H 2'
	in_dir "$T/c1" counted hit coffer "$CC" -Iearly -I"$T/c1/inc" -c a.c -o a.o
	in_dir "$T/c2" counted changed coffer "$CC" -Iearly -I"$T/c2/inc" -c a.c -o a.o
	rm "$T/c2/early/h.h"
	in_dir "$T/c2" counted hit coffer "$CC" -Iearly -I"$T/c2/inc" -c a.c -o a.o
	put "$T/c1/inc/h.h" '#define H 3'
	in_dir "$T/c1" counted changed coffer "$CC" -Iearly -I"$T/c1/inc" -c a.c -o a.o
	in_dir "$T/c2" counted hit coffer "$CC" -Iearly -I"$T/c2/inc" -c a.c -o a.o
	"$COFFER" stop >/dev/null
}

trap_11_watched_folders_may_be_off()  # once long
{
	local folders
	for folders in off "" / /nonexistent "$T/sys:/proc"; do
		export COFFER_WATCHED_FOLDERS=$folders
		put "$T/sys/inc/one.h" '#define H 1'
		put one.c '#include <one.h>' 'int value = H;'
		sleep 2.1
		check any "$CC" -isystem "$T/sys/inc" -c one.c -o one.o
		check hit "$CC" -isystem "$T/sys/inc" -c one.c -o one.o
		check hit "$CC" -isystem "$T/sys/inc" -c one.c -o one.o
		[ "$folders" != off ] || coffer status --json | grep -q '"watched": 0,' || fail "folders are watched"
		put "$T/sys/inc/one.h" '#define H 2'
		check any "$CC" -isystem "$T/sys/inc" -c one.c -o one.o
		"$COFFER" stop >/dev/null
	done
	export COFFER_WATCHED_FOLDERS=relative/folder
	"$COFFER" "$CC" -isystem "$T/sys/inc" -c one.c -o one.o 2>/dev/null || fail "the compile fails"
	"$COFFER" config >/dev/null 2>"$T/err" && fail "a relative folder is taken"
	has_text "$T/err" "absolute folders"
	"$COFFER" stop >/dev/null 2>&1
	unset COFFER_WATCHED_FOLDERS
}

# The folder that a build writes to: its own time of change says nothing, and the daemon is told of new names instead.
trap_11_build_folder_names_that_appear() # long
{
	local way
	mkdir -p inc sub
	put inc/opt.h '#define H 1'
	put inc/deep/opt.h '#define D 1'
	put a.c '#include <opt.h>' '#include <deep/opt.h>' 'int value = H * 10 + D;'
	for way in write rename_into link symbolic; do
		sleep 2.1
		repeat 4 check any "$CC" -I. -Iinc -c a.c -o a.o
		check hit "$CC" -I. -Iinc -c a.c -o a.o
		"$way" opt.h
		check any "$CC" -I. -Iinc -c a.c -o a.o
		rm opt.h
		repeat 4 check any "$CC" -I. -Iinc -c a.c -o a.o
		mkdir deep
		check any "$CC" -I. -Iinc -c a.c -o a.o
		"$way" deep/opt.h
		check any "$CC" -I. -Iinc -c a.c -o a.o
		rm -r deep
	done
	# Another folder, for the same entry.
	sleep 2.1
	repeat 4 check any "$CC" -I. -Iinc -c a.c -o a.o
	mv "$PWD" "$PWD.was" && cp -a "$PWD.was" "$PWD" && cd "$PWD" || fail "cannot move the folder"
	write opt.h
	check any "$CC" -I. -Iinc -c a.c -o a.o
}

repeat()
{
	local n=$1 i
	shift
	for ((i = 0; i < n; i++)); do
		"$@"
	done
}

write() { put "$1" '#define H 2' '#define D 2'; }
rename_into() { put other.h '#define H 2' '#define D 2' && mv other.h "$1"; }
link() { put other.h '#define H 2' '#define D 2' && ln other.h "$1"; }
symbolic() { put other.h '#define H 2' '#define D 2' && ln -s "$PWD/other.h" "$1"; }
