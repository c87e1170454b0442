// Which programs pass for compilers.
#include "compiler/compiler.h"
#include "depscan/files.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[] = "/tmp/test_compiler.XXXXXX";
static struct arena arena;
static struct compilers *cs;
static struct files *files;

static void setup(void)
{
	files = files_new();
	cs = compilers_new(files_digester(files), NULL);
}

static void teardown(void)
{
	compilers_free(cs);
	files_free(files);
	arena_release(&arena);
}

static const char *link_as(const char *name, const char *target)
{
	const char *path = arena_printf(&arena, "%s/%s", dir, name);
	unlink(path);
	ck_assert_int_eq(symlink(target, path), 0);
	return path;
}

static const char *told; // by the user

static const struct compiler *find(const char *path, enum reason *reason)
{
	static const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
	return compilers_find(cs, &(struct compiler_call){.path = path, .argv0 = path, .env = env, .told = told}, reason,
			      NULL);
}

static void expect(const char *path, enum reason want)
{
	enum reason reason;
	const struct compiler *c = find(path, &reason);
	ck_assert_msg(reason == want, "'%s' is '%s'", path, reason_name(reason));
	ck_assert((c != NULL) == (want == REASON_NONE));
}

START_TEST(a_compiler_is_known_with_its_version)
{
	enum reason reason;
	const struct compiler *c = find(link_as("gcc", "/usr/bin/gcc"), &reason);
	ck_assert_ptr_nonnull(c);
	ck_assert_int_eq(c->family, FAMILY_GCC);
	ck_assert_uint_ge(c->version, 4);
	ck_assert(!c->is_cxx);
	ck_assert_ptr_eq(find(c->path, &reason), c);
}
END_TEST

START_TEST(a_program_that_answers_like_none_is_refused_until_it_is_another)
{
	const char *path = link_as("cc", "/bin/true");
	expect(path, REASON_compiler_unknown);
	expect(path, REASON_compiler_unknown);
	link_as("cc", "/usr/bin/gcc");
	expect(path, REASON_NONE);
	link_as("cc", "/bin/true");
	expect(path, REASON_compiler_unknown);
	expect(link_as("cc", "/missing"), REASON_compiler_unknown);
}
END_TEST

START_TEST(other_names_scripts_and_launchers_are_not_asked)
{
	expect("/bin/true", REASON_compiler_unknown);
	const char *script = arena_printf(&arena, "%s/g++", dir);
	AUTO_CLOSE int fd = open(script, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	ck_assert_int_eq(write(fd, "#!/bin/sh\n", 10), 10);
	expect(script, REASON_compiler_script);
	const char *launcher = link_as("ccache", "/bin/true");
	unlink(launcher);
	ck_assert_int_eq(link("/bin/true", launcher) == 0 || symlink("/bin/true", launcher) == 0, 1);
	expect(link_as("clang", launcher), REASON_compiler_unknown);
}
END_TEST

START_TEST(a_link_to_a_compiler_is_one_whatever_its_name)
{
	enum reason reason;
	const struct compiler *c = find(link_as("mine", "/usr/bin/gcc"), &reason);
	ck_assert(c && c->family == FAMILY_GCC && !c->is_cxx);
	c = find(link_as("mine-too", "/usr/bin/g++"), &reason);
	ck_assert(c && c->is_cxx);
	// clang would be another driver under such a name.
	expect(link_as("my-cl", "/usr/bin/gcc"), REASON_compiler_unknown);
	expect(link_as("my-cpp-12", "/usr/bin/gcc"), REASON_compiler_unknown);
	static const char *const others[] = {"cl-mine", "CL.exe-mine", "mine-flang-14", "mine++-x", "mine++2"};
	for (size_t i = 0; i < COUNT_OF(others); i++) {
		const char *link = link_as(others[i], "/usr/bin/gcc");
		expect(link, REASON_compiler_unknown);
		unlink(link);
	}
	expect(link_as("mine-three", "/bin/true"), REASON_compiler_unknown);
}
END_TEST

START_TEST(the_user_says_what_a_name_is)
{
	enum reason reason;
	const char *path = link_as("mine", "/bin/true");
	expect(path, REASON_compiler_unknown);
	told = "other:clang mine:gcc";
	const struct compiler *c = find(path, &reason);
	ck_assert_msg(c != NULL, "%s", reason_name(reason));
	ck_assert(c->family == FAMILY_GCC && c->version == 0);
	told = arena_printf(&arena, "mine:gcc %s:clang", path);
	c = find(path, &reason);
	ck_assert(c && c->family == FAMILY_CLANG);
	// What says itself which it is knows better.
	told = "gcc:clang mine:clang";
	c = find("/usr/bin/gcc", &reason);
	ck_assert(c && c->family == FAMILY_GCC && c->version > 4);
	told = "/mine:gcc ine:gcc mine2:gcc";
	expect(path, REASON_compiler_unknown);
	told = NULL;
}
END_TEST

// A compiler is many times as large as what is read at once.
START_TEST(a_large_file_has_the_digest_of_its_bytes)
{
	enum { N = 3 << 20 };
	AUTO_FREE char *bytes = mem_alloc(N);
	for (size_t i = 0; i < N; i++)
		bytes[i] = (char)(i * 7 + i / 251);
	const char *path = arena_printf(&arena, "%s/large", dir);
	const size_t sizes[] = {(1 << 20) - 1, 1 << 20, (1 << 20) + 1, (1 << 20) + (128 << 10), N - 1, N};
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct digest is, wanted = digest_of(bytes, sizes[i]);
		struct stat st;
		ck_assert_int_eq(file_write_atomic(AT_FDCWD, path, bytes, sizes[i], 0644, NULL), 0);
		ck_assert_int_eq(files_digest(files, AT_FDCWD, path, &is, &st, NULL), 0);
		ck_assert_msg(digest_equal(&is, &wanted) && (size_t)st.st_size == sizes[i], "%zu bytes", sizes[i]);
		// Younger than what is trusted: it is read again, and seen to be another.
		bytes[sizes[i] - 1]++;
	}
	unlink(path);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_compiler_is_known_with_its_version,
		a_program_that_answers_like_none_is_refused_until_it_is_another,
		other_names_scripts_and_launchers_are_not_asked,
		a_link_to_a_compiler_is_one_whatever_its_name,
		the_user_says_what_a_name_is,
		a_large_file_has_the_digest_of_its_bytes,
	};
	if (!mkdtemp(dir))
		return EXIT_FAILURE;
	Suite *s = suite_create("compiler");
	TCase *t = tcase_create("compiler");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	for (size_t i = 0; i < COUNT_OF(tests); i++)
		tcase_add_test(t, tests[i]);
	suite_add_tcase(s, t);
	int failed = unit_run(s);
	static const char *const left[] = {"gcc",  "cc",       "g++",   "ccache",    "clang",
					   "mine", "mine-too", "my-cl", "my-cpp-12", "mine-three"};
	for (size_t i = 0; i < COUNT_OF(left); i++) {
		AUTO_FREE char *name = mem_printf("%s/%s", dir, left[i]);
		unlink(name);
	}
	rmdir(dir);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
