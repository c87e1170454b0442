// What registries and users say: names of images, where URLs lead, challenges, tokens, indexes.
#include "image/layout.h"
#include "image/registry/challenge.h"
#include "image/registry/reference.h"

#include "base/mem.h"

#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// ---- names ----------------------------------------------------------------------------------------------------------

static bool parses(const char *text, struct reference *r)
{
	struct err err = ERR_INIT;
	bool ok = reference_parse(text, r, &err) == 0;
	ck_assert_int_eq(err.code, ok ? ERR_NONE : ERR_USAGE);
	return ok;
}

START_TEST(a_reference_has_a_host_a_name_and_a_tag_or_a_digest)
{
	struct reference r;
	char pinned[REFERENCE_PINNED];
	ck_assert(parses("registry.example/tools/gcc:12.2-1", &r));
	ck_assert_str_eq(r.host, "registry.example");
	ck_assert_str_eq(r.name, "tools/gcc");
	ck_assert_str_eq(r.tag, "12.2-1");
	ck_assert(!r.is_plain && !r.digest[0]);
	reference_pinned(&r, "sha256:" HEX, pinned);
	ck_assert_str_eq(pinned, "registry.example/tools/gcc:12.2-1@sha256:" HEX);
	ck_assert(parses("http://127.0.0.1:5000/gcc@sha256:" HEX, &r));
	ck_assert_str_eq(r.host, "127.0.0.1:5000");
	ck_assert_str_eq(r.digest, "sha256:" HEX);
	ck_assert(r.is_plain && !r.tag[0]);
	ck_assert(parses("docker://[::1]:443/a/b-c/d_e:x@sha256:" HEX, &r));
	ck_assert_str_eq(r.host, "[::1]:443");
	ck_assert_str_eq(r.tag, "x");
	ck_assert_str_eq(r.digest, "sha256:" HEX);
}
END_TEST

START_TEST(a_reference_that_could_mean_something_else_is_none)
{
	static const char *const bad[] = {"registry.example/gcc",
					  "registry.example/",
					  "registry.example",
					  "/gcc:1",
					  "",
					  "registry.example/GCC:1",
					  "registry.example/../x:1",
					  "registry.example/a//b:1",
					  "registry.example/a/:1",
					  "registry.example/gcc:",
					  "registry.example/gcc:-a",
					  "registry.example/gcc:a/b",
					  "registry.example/gcc@sha256:12",
					  ("registry.example/gcc@sha512:" HEX),
					  "registry.example/gcc:1@",
					  "user:secret@registry.example/gcc:1",
					  "registry.example:x/gcc:1",
					  "registry.example:99999/gcc:1",
					  "registry.example/gcc:1?x=y",
					  "registry.example/gcc:1#x",
					  "registry example/gcc:1",
					  "ftp://registry.example/gcc:1"};
	struct reference r;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		ck_assert_msg(!parses(bad[i], &r), "%s", bad[i]);
}
END_TEST

START_TEST(files_are_told_from_registries)
{
	static const char *const files[] = {"oci", "./oci/x", "../a.b/c", "/a.b/c", "oci.tar", "dir/oci.tar", ""};
	static const char *const registries[] = {"registry.example/gcc:1", "localhost/gcc:1", "localhost:5000/gcc:1",
						 "r:5000/gcc", "https://r/gcc:1"};
	for (size_t i = 0; i < COUNT_OF(files); i++)
		ck_assert_msg(!reference_is_one(files[i]), "%s", files[i]);
	for (size_t i = 0; i < COUNT_OF(registries); i++)
		ck_assert_msg(reference_is_one(registries[i]), "%s", registries[i]);
}
END_TEST

// ---- URLs -----------------------------------------------------------------------------------------------------------

static const char base[] = "https://registry.example/v2/gcc/blobs/x";

static const char *leads_to(struct arena *a, const char *location)
{
	struct origin o;
	struct err err = ERR_INIT;
	char *url = NULL;
	if (origin_resolve(base, location, &url, &o, &err) < 0) {
		ck_assert_int_eq(err.code, ERR_FORMAT);
		return "nowhere";
	}
	const char *text = arena_printf(a, "%s %s %s", o.is_plain ? "http" : "https", o.host, url);
	free(url);
	return text;
}

START_TEST(a_url_leads_to_one_origin)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	ck_assert_str_eq(leads_to(&a, "/y?z=1"), "https registry.example https://registry.example/y?z=1");
	ck_assert_str_eq(leads_to(&a, "https://cdn.example:444/y#f"), "https cdn.example:444 https://cdn.example:444/y");
	ck_assert_str_eq(leads_to(&a, "//cdn.example/y"), "https cdn.example https://cdn.example/y");
	ck_assert_str_eq(leads_to(&a, "HTTP://h:80/"), "http h http://h:80/");
	ck_assert_str_eq(leads_to(&a, "file:///etc/passwd"), "nowhere");
	ck_assert_str_eq(leads_to(&a, "https://user:secret@h/"), "nowhere");
	ck_assert_str_eq(leads_to(&a, "gopher://h/"), "nowhere");
}
END_TEST

START_TEST(the_same_origin_is_scheme_host_and_port)
{
	struct origin a = {false, "r.example"}, b = {false, "R.example"}, c = {true, "r.example"},
		      d = {false, "r.example:444"};
	ck_assert(origin_equal(&a, &b));
	ck_assert(!origin_equal(&a, &c));
	ck_assert(!origin_equal(&a, &d));
	ck_assert(origin_is_private(&a));
	ck_assert(!origin_is_private(&c));
	static const char *const here[] = {"127.0.0.1:5000", "localhost", "localhost:5000",
					   "[::1]:80",       "[::1]",     "127.0.0.1"};
	for (size_t i = 0; i < COUNT_OF(here); i++) {
		struct origin o = {.is_plain = true};
		snprintf(o.host, sizeof o.host, "%s", here[i]);
		ck_assert_msg(origin_is_private(&o), "%s", here[i]);
	}
	struct origin e = {true, "127.example.org"}, f = {true, "localhost.example.org"};
	ck_assert(!origin_is_private(&e));
	ck_assert(!origin_is_private(&f));
}
END_TEST

// ---- challenges -----------------------------------------------------------------------------------------------------

static const char *asked(struct arena *a, const char *header)
{
	static const char *const kinds[] = {"none", "basic", "bearer"};
	struct challenge c;
	struct err err = ERR_INIT;
	if (challenge_parse(header, &c, &err) < 0) {
		ck_assert_int_eq(err.code, ERR_FORMAT);
		return "bad";
	}
	return arena_printf(a, "%s '%s' '%s'", kinds[c.kind], c.realm, c.service);
}

START_TEST(a_challenge_is_read_as_its_rfc_says)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	ck_assert_str_eq(asked(&a, "Bearer realm=\"https://auth/token\",service=\"r\",scope=\"repository:x:pull\""),
			 "bearer 'https://auth/token' 'r'");
	ck_assert_str_eq(asked(&a, "basic Realm = \"a \\\"b\\\"\" , charset=UTF-8"), "basic 'a \"b\"' ''");
	ck_assert_str_eq(asked(&a, "Negotiate, Basic realm=x, Bearer realm=\"y\", service=z"), "bearer 'y' 'z'");
	ck_assert_str_eq(asked(&a, "Bearer realm=\"y\", service=z, Basic realm=x"), "bearer 'y' 'z'");
	ck_assert_str_eq(asked(&a, "Digest realm=x"), "none '' ''");
	ck_assert_str_eq(asked(&a, ""), "none '' ''");
	ck_assert_str_eq(asked(&a, "Bearer realm=\"open"), "bad");
	ck_assert_str_eq(asked(&a, "Bearer realm=x =y"), "bad");
	AUTO_FREE char *longest = mem_alloc(3000);
	memset(longest, 'x', 2999);
	ck_assert_str_eq(asked(&a, arena_printf(&a, "Bearer realm=\"%s\"", longest)), "bad");
}
END_TEST

static bool has_token(const char *json, const char *wanted)
{
	char *token = NULL;
	bool ok = challenge_parse_token(json, strlen(json), &token, NULL) == 0;
	bool same = ok && strcmp(token, wanted) == 0;
	free(token);
	return same;
}

START_TEST(a_token_is_one_printable_word)
{
	ck_assert(has_token("{\"token\": \"a.b-c\", \"expires_in\": 300}", "a.b-c"));
	ck_assert(has_token("{\"access_token\": \"x\"}", "x"));
	char *token = NULL;
	static const char *const bad[] = {
		"{\"token\": \"a\\r\\nHost: x\"}", "{\"token\": \"\"}", "{\"token\": 7}", "[]", "", "{\"token\": \"a b\"}"};
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		ck_assert_int_eq(challenge_parse_token(bad[i], strlen(bad[i]), &token, NULL), -1);
}
END_TEST

// ---- indexes --------------------------------------------------------------------------------------------------------

static int choose(const char *text, struct blob_descriptor *d)
{
	return layout_parse_index(text, strlen(text), d, NULL);
}

#if defined(__x86_64__)
#define ARCH "amd64"
#else
#define ARCH "arm64"
#endif
#define ENTRY(size, arch, more)                                                                                            \
	"{\"digest\": \"sha256:" HEX "\", \"size\": " size ", \"platform\": {\"os\": \"linux\", \"architecture\": \"" arch \
	"\"" more "}}"

START_TEST(an_index_names_one_manifest_for_this_machine)
{
	struct blob_descriptor d;
	ck_assert_int_eq(choose("{\"manifests\": [" ENTRY("1", "none", "") "," ENTRY("2", ARCH, "") "]}", &d), 1);
	ck_assert_uint_eq(d.size, 2);
	ck_assert_int_eq(
		choose("{\"manifests\": [" ENTRY("1", ARCH, ", \"variant\": \"v3\"") "," ENTRY("2", ARCH, "") "]}", &d), 1);
	ck_assert_uint_eq(d.size, 2);
	ck_assert_int_eq(choose("{\"manifests\": [" ENTRY("1", ARCH, ", \"variant\": \"v3\"") "]}", &d), 1);
	ck_assert_int_eq(choose("{\"manifests\": [" ENTRY("1", ARCH, "") "," ENTRY("2", ARCH, "") "]}", &d), -1);
	ck_assert_int_eq(choose("{\"manifests\": [" ENTRY("1", "none", "") "]}", &d), -1);
	ck_assert_int_eq(choose("{\"layers\": []}", &d), 0);
}
END_TEST

START_TEST(a_text_is_not_a_manifest_and_an_index)
{
	static const char both[] =
		"{\"config\": {\"digest\": \"sha256:" HEX "\", \"size\": 1}, \"layers\": [{\"digest\": \"sha256:" HEX
		"\", \"size\": 1}], \"manifests\": [" ENTRY("1", ARCH, "") "]}";
	struct blob_descriptor d;
	struct manifest_of m = {.n_layers = 0};
	ck_assert_int_eq(choose(both, &d), -1);
	ck_assert_int_eq(layout_parse_manifest(both, strlen(both), &m, &d, NULL), -1);
	layout_release(&m);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("registry");
	TCase *t = tcase_create("registry");
	tcase_add_test(t, a_reference_has_a_host_a_name_and_a_tag_or_a_digest);
	tcase_add_test(t, a_reference_that_could_mean_something_else_is_none);
	tcase_add_test(t, files_are_told_from_registries);
	tcase_add_test(t, a_url_leads_to_one_origin);
	tcase_add_test(t, the_same_origin_is_scheme_host_and_port);
	tcase_add_test(t, a_challenge_is_read_as_its_rfc_says);
	tcase_add_test(t, a_token_is_one_printable_word);
	tcase_add_test(t, an_index_names_one_manifest_for_this_machine);
	tcase_add_test(t, a_text_is_not_a_manifest_and_an_index);
	suite_add_tcase(s, t);
	return s;
}
