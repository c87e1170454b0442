# Images from registries: a real one (Debian's docker-registry), and those that lie. All are on this machine.
# shellcheck shell=bash disable=SC2154
. "$TESTS/e2e/stores/lib.sh"

layout() { /usr/bin/python3 "$TESTS/e2e/image/layout.py" "$@"; }
push() { /usr/bin/python3 "$TESTS/e2e/image/push.py" "$@" >"$T/push.log" 2>&1 || fail "no push: $(tail -3 "$T/push.log")"; }

# docker-registry by TLS, which lets in whom $AUTH says (lines of its configuration).
docker_registry()
{
	put "$T/registry.yml" 'version: 0.1' 'storage: {filesystem: {rootdirectory: '"$T/blobs"'}}' \
		"http: {addr: '127.0.0.1:$1', secret: x, tls: {certificate: $T/cert.pem, key: $T/key.pem}}" "$AUTH"
	docker-registry serve "$T/registry.yml" >"$T/registry.log" 2>&1 &
}

certificate()
{
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=registry -addext subjectAltName=IP:127.0.0.1 -keyout "$T/key.pem" \
		-out "$T/cert.pem" 2>/dev/null || fail "no certificate"
}

credentials()
{
	put "$T/credentials" "user = $1" "password = $2"
	chmod 600 "$T/credentials"
}

nothing_is_left() { [ -z "$(ls -A "$T/images" 2>/dev/null)" ] || fail "$1 leaves $(ls -A "$T/images")"; }

e2e_registry_by_password() { # once
	need docker-registry
	local digest place
	export COFFER_IMAGES=$T/images
	digest=$(layout "$T/oci" good) || fail "no layout"
	certificate
	/usr/bin/python3 -W ignore -c 'import crypt; print("user:" + crypt.crypt("se:cret", crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))' >"$T/htpasswd"
	AUTH="auth: {htpasswd: {realm: here, path: $T/htpasswd}}"
	start_server docker_registry
	push "$T/oci" "https://127.0.0.1:$port" tools/gcc 12 "$T/cert.pem" user:se:cret
	place=127.0.0.1:$port/tools/gcc
	credentials user se:cret
	[ "$("$COFFER" image import "$place:12" --ca "$T/cert.pem" --credentials "$T/credentials" 2>"$T/said")" = "$digest" ] || fail "$(cat "$T/said")"
	grep -q "'$place:12' is $place:12@$digest" "$T/said" || fail "it does not say what the tag is: $(cat "$T/said")"
	"$COFFER" image ls | grep -q "$place:12@$digest" || fail "ls: $("$COFFER" image ls)"
	"$COFFER" image verify >/dev/null || fail "it is not as it was unpacked"
	[ "$(cat "$T/images/${digest/:/-}/rootfs/usr/bin/through-the-link")" = x ] || fail "another image"
	[ "$(ls -A "$T/images")" = "${digest/:/-}" ] || fail "something is left: $(ls -A "$T/images")"
	[ "$("$COFFER" image import "$place@$digest" --ca "$T/cert.pem" --credentials "$T/credentials" 2>"$T/said")" = "$digest" ] || fail "$(cat "$T/said")"
	grep -q 'here already' "$T/said" || fail "it says: $(cat "$T/said")"
	"$COFFER" image rm "$digest"
	"$COFFER" image import "$place:13" --ca "$T/cert.pem" --credentials "$T/credentials" >"$T/said" 2>&1 && fail "there is a 13"
	grep -q '404' "$T/said" || fail "it says: $(cat "$T/said")"
	"$COFFER" image import "$place:12" --ca "$T/cert.pem" >"$T/said" 2>&1 && fail "it lets anybody in"
	grep -q -- '--credentials' "$T/said" || fail "it says: $(cat "$T/said")"
	"$COFFER" image import "$place:12" --credentials "$T/credentials" >"$T/said" 2>&1 && fail "any certificate is taken"
	"$COFFER" image import "http://$place:12" --credentials "$T/credentials" >"$T/said" 2>&1 && fail "no TLS is taken"
	credentials user wr:ong
	"$COFFER" image import "$place:12" --ca "$T/cert.pem" --credentials "$T/credentials" >"$T/said" 2>&1 && fail "any password does"
	grep -q 'does not take these credentials' "$T/said" || fail "it says: $(cat "$T/said")"
	lacks_text "$T/said" wr:ong
	chmod 644 "$T/credentials"
	"$COFFER" image import "$place:12" --ca "$T/cert.pem" --credentials "$T/credentials" >"$T/said" 2>&1 && fail "anybody may read the password"
	nothing_is_left "what was refused"
}

e2e_registry_by_token() { # once
	need docker-registry
	/usr/bin/python3 -c 'import jwt' || skip "python3-jwt is not installed"
	local digest token_port said
	export COFFER_IMAGES=$T/images
	digest=$(layout "$T/oci" good) || fail "no layout"
	certificate
	AUTH=
	start_server docker_registry
	push "$T/oci" "https://127.0.0.1:$port" gcc 12 "$T/cert.pem"
	stop_servers
	tokens() { /usr/bin/python3 "$TESTS/e2e/image/tokens.py" "$1" "$T/key.pem" "$T/cert.pem" "$T/asked" >"$T/tokens.log" 2>&1 & }
	start_server tokens
	token_port=$port
	AUTH="auth: {token: {realm: 'http://127.0.0.1:$token_port/token', service: here, issuer: tests, rootcertbundle: $T/cert.pem}}"
	start_server docker_registry
	credentials user secret
	said=$("$COFFER" image import "127.0.0.1:$port/gcc:12" --ca "$T/cert.pem" --credentials "$T/credentials" 2>&1) && fail "the registry says where the password goes"
	grep -q -- "--token-server 127.0.0.1:$token_port" <<<"$said" || fail "it says: $said"
	[ ! -e "$T/asked" ] || fail "the token server was asked"
	[ "$("$COFFER" image import "127.0.0.1:$port/gcc:12" --ca "$T/cert.pem" --credentials "$T/credentials" \
		--token-server "127.0.0.1:$token_port" 2>"$T/said")" = "$digest" ] || fail "$(cat "$T/said" "$T/tokens.log")"
	[ "$(sort -u "$T/asked")" = "['here'] ['repository:gcc:pull']" ] || fail "asked for: $(cat "$T/asked")"
	"$COFFER" image rm "$digest"
	credentials user wrong
	"$COFFER" image import "127.0.0.1:$port/gcc:12" --ca "$T/cert.pem" --credentials "$T/credentials" --token-server "127.0.0.1:$token_port" \
		>"$T/said" 2>&1 && fail "any password does"
	grep -q 'no token from' "$T/said" || fail "it says: $(cat "$T/said")"
	nothing_is_left "what was refused"
}

# lying KIND: such a registry, with a log of what it was asked; $place is the image there.
lying()
{
	server() { /usr/bin/python3 "$TESTS/e2e/image/registry.py" "$T/oci" "$kind" "$T/asked" "$1" >"$T/server.log" 2>&1 & }
	rm -f "$T/asked" "$T/asked.cut"
	start_server server
	place=http://127.0.0.1:$port/gcc:12
}

e2e_registry_that_is_odd_serves() { # once
	local kind digest place
	export COFFER_IMAGES=$T/images
	digest=$(layout "$T/oci" good) || fail "no layout"
	credentials user secret:with:colons
	for kind in good auth index redirect cut; do
		lying
		[ "$("$COFFER" image import "$place" --credentials "$T/credentials" 2>"$T/said")" = "$digest" ] || fail "$kind: $(cat "$T/said" "$T/asked")"
		"$COFFER" image verify >/dev/null || fail "$kind: another image"
		"$COFFER" image rm "$digest"
		[ $kind != redirect ] || ! grep '^other' "$T/asked" | grep -v ' nothing$' || fail "the other host sees a token"
		[ $kind != redirect ] || grep -q '^other' "$T/asked" || fail "no redirect was followed"
		! grep -v token "$T/asked" | grep -q 'Basic' || fail "$kind: the password goes to more than the token server"
		nothing_is_left "$kind"
		stop_servers
	done
}

e2e_registry_that_lies_is_refused() { # once
	local kind place
	export COFFER_IMAGES=$T/images
	layout "$T/oci" good >/dev/null || fail "no layout"
	credentials user secret:with:colons
	while read -r kind words; do
		lying
		"$COFFER" image import "$place" --credentials "$T/credentials" >"$T/said" 2>&1 && fail "$kind is taken"
		[ "$(grep -c '^coffer: ' "$T/said")" -ge 1 ] || fail "$kind: it says: $(cat "$T/said")"
		grep -q -e "$words" "$T/said" || fail "$kind: it says: $(cat "$T/said")"
		! grep -q '^other' "$T/asked" || fail "$kind: the other host was asked: $(cat "$T/asked")"
		lacks_text "$T/said" "secret:"
		nothing_is_left "$kind"
		stop_servers
	done <<-'END'
		flip has sent
		short has sent .* bytes of the
		long more than
		endless more than
		loop more than 5 times
		file no URL that is followed
		secret no URL that is followed
		realm --token-server
		realm_file no URL that is followed
		token no token
		forever does not take these credentials
		elsewhere not for this machine
		both a manifest and an index
		many more than 256
		large larger than
	END
	kind=digest
	lying
	"$COFFER" image import "${place%:12}@sha256:$(printf '%064d' 1)" >"$T/said" 2>&1 && fail "another digest is taken"
	grep -q 'has sent' "$T/said" || fail "it says: $(cat "$T/said")"
	"$COFFER" image import "http://registry.example/gcc:12" >"$T/said" 2>&1 && fail "http is taken"
	grep -q -- '--plain-http' "$T/said" || fail "it says: $(cat "$T/said")"
	"$COFFER" image import "http://registry.example/gcc:12" --plain-http --credentials "$T/credentials" >"$T/said" 2>&1 && fail "a password goes over http"
	grep -q 'not sent over plain http' "$T/said" || fail "it says: $(cat "$T/said")"
	"$COFFER" image import registry.example/gcc >"$T/said" 2>&1 && fail "an image without a tag is taken"
	grep -q 'does not say which image' "$T/said" || fail "it says: $(cat "$T/said")"
}
