# Images of toolchains: imported from OCI layouts, whole or not at all, and used by jobs.
# shellcheck shell=bash disable=SC2154
. "$TESTS/e2e/farm/lib.sh"

layout() { /usr/bin/python3 "$TESTS/e2e/image/layout.py" "$@"; }

e2e_image_is_unpacked_as_its_layers_say() { # once
	local digest root
	digest=$(layout "$T/oci" good) || fail "no layout"
	export COFFER_IMAGES=$T/images
	[ "$("$COFFER" image import "$T/oci" 2>"$T/said")" = "$digest" ] || fail "another digest: $(cat "$T/said")"
	grep -q '1 devices and the like were left out' "$T/said" || fail "it says: $(cat "$T/said")"
	root=$T/images/${digest/:/-}/rootfs
	[ "$(cat "$root/usr/bin/through-the-link")" = x ] || fail "a name through a link is elsewhere"
	[ "$(readlink "$root/bin")" = usr/bin ] || fail "the link is gone"
	[ "$(stat -c %a "$root/usr/bin/tool")" = 755 ] || fail "the set-user-id bit is there"
	[ "$root/usr/bin/same" -ef "$root/usr/bin/tool" ] || fail "the hard link is none"
	[ ! -e "$root/etc/gone" ] && [ "$(ls "$root/opt/old")" = c ] || fail "whiteouts do not hold"
	[ -z "$(find "$root" ! -type l -perm /022)" ] || fail "others may write to it: $(find "$root" ! -type l -perm /022)"
	[ ! -e "$root/dev/sda" ] || fail "there is a device"
	# Again, by name, from an archive: the same image.
	tar cf "$T/oci.tar" -C "$T/oci" .
	[ "$("$COFFER" image import "$T/oci.tar" --ref gcc 2>"$T/said")" = "$digest" ] || fail "from the archive: $(cat "$T/said")"
	grep -q 'here already' "$T/said" || fail "it says: $(cat "$T/said")"
	"$COFFER" image rm "$digest" || fail "it cannot be removed"
	[ "$("$COFFER" image import "$T/oci.tar" 2>/dev/null)" = "$digest" ] || fail "no import from the archive"
	"$COFFER" image ls | grep -q "^$digest" || fail "ls: $("$COFFER" image ls)"
	"$COFFER" image verify >/dev/null || fail "it is not as it was unpacked"
	echo y >"$root/usr/bin/tool"
	"$COFFER" image verify "$digest" >"$T/said" 2>&1 && fail "a changed file does not show"
	grep -q 'no longer those' "$T/said" || fail "it says: $(cat "$T/said")"
	[ "$(ls -A "$T/images")" = "${digest/:/-}" ] || fail "something is left: $(ls -A "$T/images")"
}

e2e_image_that_is_bad_is_refused_whole() { # once
	local kind
	export COFFER_IMAGES=$T/images
	mkdir -p "$T/outside"
	for kind in absolute dotdot hardlink diff_id blob missing json; do
		layout "$T/$kind" "$kind" >/dev/null || fail "no layout"
		"$COFFER" image import "$T/$kind" >"$T/said" 2>&1 && fail "$kind is taken"
		grep -q '^coffer: ' "$T/said" || fail "$kind: it says: $(cat "$T/said")"
		[ -z "$(ls -A "$T/images")" ] || fail "$kind leaves $(ls -A "$T/images")"
	done
	# A link that leads out of the root leads to where it would if the root was the file system's.
	layout "$T/symlink" symlink >/dev/null
	"$COFFER" image import "$T/symlink" >/dev/null 2>&1
	[ -z "$(ls -A "$T/outside")" ] || fail "a file came out of the image"
	"$COFFER" image import "$T/oci-that-is-not" >"$T/said" 2>&1 && fail "nothing is taken"
	"$COFFER" image import /etc/passwd >"$T/said" 2>&1 && fail "no archive is taken"
	grep -q 'no archive of an OCI image layout' "$T/said" || fail "it says: $(cat "$T/said")"
	"$COFFER" image improt x 2>&1 | grep -q "did you mean 'import'" || fail "no help with a slip"
}

e2e_image_compiles_as_the_host_does() { # once long
	[ "$(id -u)" = 0 ] || skip "the image's files are made as root"
	local digest root=$T/root
	gcc_rootfs "$root"
	layout "$T/oci" good "$root" >/dev/null
	digest=$("$COFFER" image import "$T/oci" --images "$T/images" 2>/dev/null) || fail "no import"
	put x.i 'int f(int x) { return 3 * x; }'
	worker_start w1 --images "$T/images"
	"$COFFER_BUILD/programs/compile_client" --image "$digest" --output got.o "unix:$T/w1.sock" x.i -O2 >"$T/log" 2>&1 || fail "$(cat "$T/log")"
	gcc -O2 -c x.i -o want.o
	cmp <(objcopy -O binary -j .text got.o /dev/stdout) <(objcopy -O binary -j .text want.o /dev/stdout) || fail "the code differs"
	"$COFFER" image rm "$digest" --images "$T/images" 2>/dev/null && fail "an image can be removed under a worker's session"
	"$COFFER" image gc --unused 0s --images "$T/images" --folder "$T/w1" | grep -q "^$digest  in use" || fail "gc does not see the session"
	[ -e "$T/w1/images/${digest/:/-}" ] || fail "no note of the use"
	"$COFFER" audit ls --log "$T/w1/audit" --format json | jq -e "select(.image_digest == \"$digest\")" >/dev/null || fail "the row has no image"
	farm_end
}

e2e_image_disk_is_the_same_everywhere() { # once
	need mkfs.erofs
	local digest a b
	digest=$(layout "$T/oci" good) || fail "no layout"
	for a in a b; do
		"$COFFER" image import "$T/oci" --images "$T/$a" >"$T/said" 2>&1 || fail "$(cat "$T/said")"
		# As another machine would have unpacked it: later, and in another order.
		sleep 1.1
	done
	a=$T/a/${digest/:/-}
	b=$T/b/${digest/:/-}
	same_file "$a/disk.erofs" "$b/disk.erofs"
	[ "sha256:$(sha256sum <"$a/disk.erofs" | cut -d' ' -f1)" = "$(jq -r .disk "$a/image.json")" ] || fail "another digest is recorded"
	"$COFFER" image verify --images "$T/a" >/dev/null || fail "it is not as it was made"
	chmod 644 "$a/disk.erofs"
	printf x | dd of="$a/disk.erofs" bs=1 seek=2000 conv=notrunc 2>/dev/null
	"$COFFER" image verify --images "$T/a" >"$T/said" 2>&1 && fail "a changed disk does not show"
	grep -q 'no longer the one that was made' "$T/said" || fail "it says: $(cat "$T/said")"
	"$COFFER" image import "$T/oci" --images "$T/c" --no-disk >/dev/null 2>&1
	[ ! -e "$T/c/${digest/:/-}/disk.erofs" ] || fail "--no-disk makes one"
	# As many files as a real one has, of which mkfs.erofs would say more than anybody reads.
	mkdir -p "$T/many/usr"
	(cd "$T/many/usr" && seq -f "a-file-with-a-name-that-is-long-enough-for-this-test-%g" 2000 | xargs touch)
	layout "$T/oci-many" good "$T/many" >/dev/null
	"$COFFER" image import "$T/oci-many" --images "$T/d" >"$T/said" 2>&1 || fail "an image with many files: $(cat "$T/said")"
	"$COFFER" image verify --images "$T/c" >/dev/null || fail "one without a disk is not right"
}

e2e_image_is_collected_when_unused() { # once
	local digest image note=$T/w/images
	export COFFER_IMAGES=$T/images COFFER_WORKER_FOLDER=$T/none:$T/w
	digest=$(layout "$T/oci" good) || fail "no layout"
	image=$T/images/${digest/:/-}
	mkdir -p "$note" "$T/w/scratch/vm" "$T/images/by-hand"
	"$COFFER" image import "$T/oci" >/dev/null 2>&1 || fail "no import"
	cp -r "$image" "$T/images/sha256-$(printf '%064d' 0)"
	rm "$T/images/sha256-$(printf '%064d' 0)/image.json"
	"$COFFER" image gc >"$T/said" 2>&1 && grep -q "^$digest  kept" "$T/said" || fail "a new one: $(cat "$T/said")"
	touch -d '40 days ago' "$image" "$T/images/"*
	: >"$note/${digest/:/-}"
	"$COFFER" image gc >"$T/said" 2>&1 && grep -q "^$digest  kept" "$T/said" || fail "one that was used: $(cat "$T/said")"
	"$COFFER" image ls 2>&1 | grep -q "used $(date +%Y-%m-%d)" || fail "ls: $("$COFFER" image ls)"
	touch -d '31 days ago' "$note/${digest/:/-}"
	"$COFFER" image gc --unused 32d >"$T/said" 2>&1 && grep -q "^$digest  kept" "$T/said" || fail "--unused 32d: $(cat "$T/said")"
	"$COFFER" image gc --dry-run >"$T/said" 2>&1 && grep -q "^$digest  would go" "$T/said" || fail "--dry-run: $(cat "$T/said")"
	[ -e "$image/rootfs" ] || fail "--dry-run removes it"
	(flock -s 9 && exec sleep 60) 9<"$image" &
	wait_until 5 "! flock -n -x '$image' true"
	"$COFFER" image gc >"$T/said" 2>&1 && grep -q "^$digest  in use" "$T/said" || fail "one in use: $(cat "$T/said")"
	"$COFFER" image rm "$digest" >"$T/said" 2>&1 && fail "one in use can be removed"
	grep -q 'is in use' "$T/said" || fail "it says: $(cat "$T/said")"
	kill %1
	wait_until 5 "flock -n -x '$image' true"
	: >"$T/w/scratch/vm/${digest/:/-}.erofs"
	mkdir "$T/images/${digest/:/-}.new-999999999" "$T/images/.registry-999999999" "$T/images/.layout-$$"
	touch -d '2 days ago' "$T/images/"*.new-* "$T/images/".[lr]*
	"$COFFER" image gc >"$T/said" 2>&1 && grep -q "^$digest  removed" "$T/said" || fail "one that is unused: $(cat "$T/said")"
	[ "$(cd "$T/images" && echo .[a-z]* *)" = ".layout-$$ by-hand sha256-$(printf '%064d' 0)" ] || fail "there is $(ls -A "$T/images")"
	[ -z "$(ls "$note" "$T/w/scratch/vm" | grep sha256)" ] || fail "notes or disks are left"
	[ "$("$COFFER" image gc --unused soon 2>&1 | grep -c duration)" = 1 ] || fail "any duration is taken"
}
