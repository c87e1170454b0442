// gcc's spec files on the command line.
#include "tests/unit/cmdline_helpers.h"

#include "base/file.h"
#include "compiler/cmdline_parts.h"

#include <unistd.h>

static char dir[] = "/tmp/test_specs.XXXXXX";

static const char *write_specs(const char *text)
{
	const char *name = arena_printf(&arena, "%s/x.specs", dir);
	ck_assert_int_eq(file_write_atomic(AT_FDCWD, name, text, strlen(text), 0644, NULL), 0);
	return name;
}

static void expect_specs(const char *text, enum reason reason)
{
	const char *name = write_specs(text);
	parse(arena_printf(&arena, "gcc -specs=%s -c x.c", name));
	ck_assert_msg(c.reason == reason, "'%s' is '%s'", text, reason_name(c.reason));
	if (reason == REASON_NONE) {
		ck_assert_uint_eq(c.n_extra_inputs, 1);
		ck_assert_str_eq(c.extra_inputs[0], name);
	}
}

START_TEST(specs_that_only_add_harmless_options_are_inputs)
{
	expect_specs("*self_spec:\n+ %{!r:%{!fpie:%{!fPIE:%{!fpic:%{!fPIC:%{!fno-pic:-fno-PIE}}}}}}\n", REASON_NONE);
	expect_specs("*self_spec:\n+ %{!static:%{!shared:%{!r:%{!no-pie:-fPIE -pie}}}}", REASON_NONE);
	expect_specs("*cc1_options:\n+ %{!r:%{!fpie:-fPIE}}\n\n*self_spec:\n+ -fstack-protector-strong\n", REASON_NONE);
	expect_specs("\n\n*cc1plus:\n+ %{fpie|fPIE:-fPIE;fpic:-fpic;:-fno-PIC}\n", REASON_NONE);
	expect_specs("", REASON_NONE);
}
END_TEST

START_TEST(specs_that_do_more_are_refused)
{
	static const char *const texts[] = {
		"%include <x>\n",
		"%rename cc1 old\n\n*cc1:\n+ -fPIE\n",
		"*self_spec:\n+ -fplugin=annobin\n",
		"*self_spec:\n+ %:find-plugindir()\n",
		"*self_spec:\n+ -fPIE\nrm x\n",
		"*self_spec:\n+ -fPIE \\\nx\n",
		"*self_spec:\n-fPIE\n",
		"*self_spec:\n\n+ -fPIE\n",
		"*self_spec:\n",
		"*self_spec:",
		"*self_spec:\n+ %{!r:-fPIE\n",
		"*self_spec:\n+ -fPIE}\n",
		"*self_spec:\n+ %<fPIE\n",
		"*self_spec:\n+ %(cc1)\n",
		"*self_spec:\n+ -g\n",
		"*self_spec:\n+ -O2 -finput-charset=latin1\n",
		"*self_spec:\n+ -DX\n",
		"*self_spec:\n+ -I/x\n",
		"*self_spec:\n+ -m32\n",
		"*self_spec:\n+ -fstack-usage\n",
		"*self_spec:\n+ x.c\n",
		"*self_spec:\n+ -fPIE | x\n",
		"*cc1_command:\n+ -fPIE\n",
		"*link_command:\nx\n",
		".c:\nx\n",
		"*self_spec:\n+ -fPIE\n*cc1:\n+ -fPIE\n",
	};
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		expect_specs(texts[i], REASON_option_dangerous);
	ck_assert(!specs_are_harmless(&arena, "*cc1:\n+ -fPIE\0x", 15));
}
END_TEST

START_TEST(specs_need_a_readable_file_with_an_absolute_name)
{
	expect_reason("gcc -specs=x.specs -c x.c", REASON_option_dangerous);
	expect_reason("gcc -specs=/missing/x.specs -c x.c", REASON_option_dangerous);
	expect_reason("gcc -specs=/tmp -c x.c", REASON_option_dangerous);
	const char *name = write_specs("*self_spec:\n+ -fPIE\n");
	expect_reason(arena_printf(&arena, "gcc --specs=%s -c x.c", name), REASON_NONE);
	expect_reason(arena_printf(&arena, "gcc -specs %s -c x.c", name), REASON_NONE);
	ck_assert_int_eq(word_of(name)->role, ARGUMENT_KEY_PATH);
	expect_reason(arena_printf(&arena, "clang -specs=%s -c x.c", name), REASON_option_dangerous);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		specs_that_only_add_harmless_options_are_inputs,
		specs_that_do_more_are_refused,
		specs_need_a_readable_file_with_an_absolute_name,
	};
	if (!mkdtemp(dir))
		return EXIT_FAILURE;
	int status = run_tests("specs", tests, COUNT_OF(tests));
	AUTO_FREE char *name = mem_printf("%s/x.specs", dir);
	unlink(name);
	rmdir(dir);
	return status;
}
