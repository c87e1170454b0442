#!/usr/bin/env bash
# Gets the source package PACKAGE of this distribution and unpacks it: `bench/fetch.sh PACKAGE FOLDER`.
# The machine's own apt configuration stays as it is: most have no deb-src lines, so a private copy of the distribution's
# entries asks for sources, with lists of its own. FOLDER/src is the tree at the end; a tree that is there is kept.
set -eu
package=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
[ -e "$folder/src" ] && exit 0

apt=$folder/apt
mkdir -p "$apt/parts" "$apt/lists/partial" "$apt/cache/archives/partial"
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")

# One-line style and deb822 style. Only what belongs to the distribution: others have no sources of it, and one that
# does not answer would be an error.
shopt -s nullglob
for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
	[ -f "$f" ] || continue
	awk -v codename="$codename" '$1 == "deb" {
		at = 2
		if ($at ~ /^\[/) { while ($at !~ /\]$/) at++; at++ }
		if ($(at + 1) ~ "^" codename) { $1 = "deb-src"; print }
	}' "$f"
done >"$apt/parts/bench.list"
for f in /etc/apt/sources.list.d/*.sources; do
	awk -v RS= -v codename="$codename" '
		$0 ~ "(^|\n)Suites:[^\n]*[ \t]" codename && /(^|\n)Types:[^\n]*deb/ {
			sub(/Types:[^\n]*/, "Types: deb-src")
			print $0 "\n"
		}' "$f"
done >"$apt/parts/bench.sources"

get() {
	apt-get -q -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$apt/parts" -o Dir::State::Lists="$apt/lists" \
		-o Dir::Cache="$apt/cache" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
		-o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none "$@"
}
cd "$folder"
if ! { get update && get source --download-only "$package"; } >"$folder/fetch.log" 2>&1; then
	tail -5 "$folder/fetch.log" >&2
	echo "coffer: cannot get the sources of '$package' with apt-get; the whole log is in '$folder/fetch.log'" >&2
	exit 1
fi
rm -rf "$apt" new
dpkg-source --no-check -x ./*.dsc new >>"$folder/fetch.log" 2>&1
mv new src
