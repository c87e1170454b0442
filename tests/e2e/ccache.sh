# What somebody types who comes from ccache, and settings changed by hand and by word.
# shellcheck shell=bash disable=SC2154

gives() # STATUS WORDS ARGUMENT…: coffer with these arguments
{
	local status=$1 words=$2 out rc
	shift 2
	out=$("$COFFER" "$@" 2>&1)
	rc=$?
	[ $rc -eq "$status" ] || fail "'coffer $*' ends with $rc: $out"
	[[ $out == *"$words"* ]] || fail "'coffer $*' does not say '$words': $out"
}

e2e_ccache_options_do_what_they_mean() { # once
	export HOME=$T/home COFFER_CONFIG=$T/home/coffer.conf
	mkdir -p "$HOME"
	put a.c 'int a;'
	"$COFFER" gcc -c a.c && "$COFFER" gcc -c a.c || fail "the compile fails"
	gives 0 'direct hits' -s
	gives 0 'counters are zero' -z
	gives 0 'max_size = 5G' -M 5G
	gives 0 '5G' -k max_size
	gives 0 'max_size = 3G' --max-size=3G
	gives 0 'compression = 4' -o compression=4
	gives 0 'removed' -C
	gives 0 "$HOME/coffer.conf" -p
	gives 0 'coffer ' -V
	gives 2 'takes one word' -M
	gives 2 'takes no word' -s x
	gives 2 'bytes, not files' -F 100
	gives 2 "can't be 'huge'" -M huge
	gives 2 "there is no setting 'sloppiness'" -o sloppiness=time_macros
	gives 2 "unknown option '-q'" -q
}

e2e_config_changes_one_line() { # once
	export HOME=$T/home COFFER_CONFIG=$T/home/link.conf
	mkdir -p "$HOME/real"
	ln -s real/mine.conf "$HOME/link.conf"
	printf '# my settings\n  max_size = 1G # small\ncompression=2\nmax_size = 2G\n# the end' >"$HOME/real/mine.conf"
	chmod 600 "$HOME/real/mine.conf"
	gives 0 'max_size = 7G' config set max_size 7G
	[ "$(cat "$HOME/real/mine.conf")" = "$(printf '# my settings\nmax_size = 7G\ncompression=2\n# the end')" ] || fail "the file: $(cat "$HOME/real/mine.conf")"
	[ -L "$HOME/link.conf" ] && [ "$(stat -c %a "$HOME/real/mine.conf")" = 600 ] || fail "the link or the mode has gone"
	gives 0 '' config set extra_key 'a b'
	gives 0 'a b' config get extra_key
	gives 0 'no longer set' config unset max_size
	gives 0 "'max_size' is not set" config unset max_size
	cp "$HOME/real/mine.conf" before
	gives 2 "did you mean 'max_size'" config set max_sise 1G
	gives 2 'one line' config set extra_key "$(printf 'a\nmax_size = 1')"
	gives 2 "can't be" config set read_only perhaps
	gives 2 'it takes' config set max_size
	gives 2 'it takes' config put max_size 1
	cmp before "$HOME/real/mine.conf" || fail "a mistake has changed the file"
	COFFER_CONFIG='' gives 1 'no file of yours' config set max_size 1G
}

# Programs that are no compilers, and that nobody means.
e2e_launcher_asks_what_is_meant() { # once
	gives 2 'coffer cache clear' clear
	gives 2 'coffer stats' stat
	gives 0 '1' stat -c 1 /
}
