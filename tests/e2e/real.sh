# Builds of real projects: every object is the plain compiler's, and a second build is nothing but hits.
# shellcheck shell=bash

# builds_alike N FLAGS FILE...: the files are compiled plainly, cold and warm. At most N of them can't be cached.
builds_alike()
{
	local uncached=$1 flags=$2 n
	shift 2
	n=$#
	put Makefile <<'END'
all: $(OBJ)
$(OUT)/%.o: %.c
	@mkdir -p $(@D)
	@$(WRAP) $(CC) $(FLAGS) -MMD -MF $(OUT)/$*.d -MT $*.o -c $< -o $@
END
	build() { make -s -j2 CC="$CC" FLAGS="$flags" OUT="$1" WRAP="${2:-}" OBJ="$(printf "$1/%s " "${@:3}")"; }
	build plain '' "${@/%.c/.o}" >"$T/plain.log" 2>&1 || fail "the plain build fails: $(tail -5 "$T/plain.log")"
	read_counters counters_before
	build cold "$COFFER" "${@/%.c/.o}" >"$T/cold.log" 2>&1 || fail "the build fails: $(tail -5 "$T/cold.log")"
	settle
	[ "$(grown compiles)" = $n ] || fail "$(grown compiles) compiles instead of $n"
	[ "$(grown not_cached)" -le "$uncached" ] || fail "too little is cached:$(all_grown)"
	diff -r plain cold >"$T/diff" || fail "objects or depfiles differ: $(head -5 "$T/diff")"
	read_counters counters_before
	build warm "$COFFER" "${@/%.c/.o}" >"$T/warm.log" 2>&1 || fail "the build fails: $(tail -5 "$T/warm.log")"
	settle
	[ "$(grown direct_hits)" -ge $((n - uncached)) ] || fail "not all are hits:$(all_grown)"
	diff -r plain warm >"$T/diff" || fail "objects or depfiles differ: $(head -5 "$T/diff")"
	# Messages come in any order from a parallel build.
	for log in plain cold warm; do sort "$T/$log.log" >"$T/$log.sorted"; done
	same_file "$T/plain.sorted" "$T/cold.sorted"
	same_file "$T/plain.sorted" "$T/warm.sorted"
	rm -rf plain cold warm
}

e2e_real_own_sources()
{
	(cd "$TESTS/.." && find . -path ./build -prune -o \( -name '*.[ch]' -o -name '*.def' \) -print | tar chf - -T -) | tar xf -
	# Comments and strings that name __DATE__, #embed and .incbin are no uses of them.
	# shellcheck disable=SC2046
	builds_alike 0 '-O0 -g -Wall -std=c17 -D_GNU_SOURCE -DCOFFER_VERSION=\"0\" -DCOFFER_SYSCONFDIR=\"/etc\" -I.' \
		$(ls base/*.c codec/*.c compiler/*.c depscan/*.c store/*.c client/*.c)
}

e2e_real_zstd() # long
{
	local flags='-O1 -g -DZSTD_MULTITHREAD -DXXH_NAMESPACE=ZSTD_ -Ilib -Ilib/common'
	package_sources libzstd
	[ -z "${FULL:-}" ] || builds_alike 0 "$flags -O2" lib/*/*.c
	builds_alike 0 "$flags" lib/common/*.c lib/decompress/*.c lib/dictBuilder/*.c
}

# kernel_objects: the checksum and name of each object of the kernel that is built here.
kernel_objects()
{
	find . -name '*.o' ! -name 'vmlinux.o' ! -name '.tmp*' -print0 | sort -z | xargs -0 sha256sum
}

# build_kernel NAME COMPILER: builds tinyconfig where the last one was built, from the same files, and keeps the checksums of its objects.
build_kernel()
{
	local make="make -s -j2 KBUILD_BUILD_TIMESTAMP=0 KBUILD_BUILD_USER=u KBUILD_BUILD_HOST=h"
	rm -rf built
	cp -a source built
	(cd built && $make CC="$2" HOSTCC="$2" tinyconfig && $make CC="$2" HOSTCC="$2" vmlinux) >"$T/$1.log" 2>&1 ||
		fail "the kernel's $1 build fails: $(tail -5 "$T/$1.log")"
	(cd built && kernel_objects) >"$T/$1.objects"
}

# Kernels are built with assembler sources, probes of the compiler, `-Wp,-MMD,`, objects of data and headers that the build makes.
e2e_real_kernel() # long
{
	local objects object probes
	for tool in bc bison flex; do need $tool; done
	mkdir source
	(cd source && package_sources linux) || exit
	build_kernel plain "$CC"
	read_counters counters_before
	build_kernel cold "$COFFER $CC"
	settle
	[ "$(grown misses)" -gt 400 ] || fail "too little is cached:$(all_grown)"
	# Where there is debug information it names the tree as the default maps do; everything else is the plain compiler's.
	objects=$(wc -l <"$T/plain.objects")
	[ "$objects" -gt 400 ] || fail "only $objects objects"
	diff "$T/plain.objects" "$T/cold.objects" | sed -n 's/^> [0-9a-f]*  //p' >"$T/other"
	while read -r object; do
		readelf -SW "built/$object" | grep -q '\.debug_info' || fail "$object is not the plain compiler's"
	done <"$T/other"
	[ "$(wc -l <"$T/other")" -le $((objects / 10)) ] || fail "$(wc -l <"$T/other") of $objects objects differ"
	read_counters counters_before
	build_kernel warm "$COFFER $CC"
	settle
	same_file "$T/cold.objects" "$T/warm.objects"
	# Not cached: links, questions about the compiler, preprocessing alone, probes from standard input and probes that fail.
	probes=$(($(grown not_cached_link) + $(grown not_cached_information) + $(grown not_cached_preprocess_only) + $(grown not_cached_stdin_source) +
		$(grown not_cached_compile_failed) + $(grown not_cached_toolchain_unobserved) + $(grown not_cached_option_unknown)))
	[ "$(grown direct_hits)" -ge $((($(grown compiles) - probes) * 95 / 100)) ] || fail "not all are hits:$(all_grown)"
	[ "$probes" -le $(($(grown compiles) / 4)) ] || fail "too little is cached:$(all_grown)"
}
