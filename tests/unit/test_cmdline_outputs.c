// The names of what a compiler writes: objects, depfiles, side outputs.
#include "tests/unit/cmdline_helpers.h"

static void expect_depfile(const char *line, const char *depfile, const char *targets)
{
	expect_reason(line, REASON_NONE);
	ck_assert_ptr_nonnull(c.depfile);
	ck_assert_str_eq(c.depfile, depfile);
	const char *joined = c.dep_targets[0];
	for (unsigned i = 1; i < c.n_dep_targets; i++)
		joined = arena_printf(&arena, "%s %s", joined, c.dep_targets[i]);
	ck_assert_str_eq(joined, targets);
}

// ---- outputs -----------------------------------------------------------------------------------------------------------

START_TEST(default_outputs_are_named_by_the_source)
{
	for (size_t i = 0; i < COUNT_OF(both); i++) {
		parse_for(both[i], "-c d.ir/a.b.c");
		ck_assert_str_eq(c.output, "a.b.o");
		ck_assert(!c.output_given);
		parse_for(both[i], "-S d.ir/a.b.c");
		ck_assert_str_eq(c.output, "a.b.s");
		ck_assert(!c.assembles);
		parse_for(both[i], "-x c -c y.");
		ck_assert_str_eq(c.output, "y.o");
		parse_for(both[i], "-x c -c noext");
		ck_assert_str_eq(c.output, "noext.o");
		parse_for(both[i], "-c -S x.c");
		ck_assert_str_eq(c.output, "x.s");
	}
	parse("gcc -x c -c .c");
	ck_assert_str_eq(c.output, ".c.o");
	parse("clang -x c -c .c");
	ck_assert_str_eq(c.output, ".o");
	parse("clang -emit-llvm -c x.c");
	ck_assert_str_eq(c.output, "x.bc");
	parse("clang -emit-llvm -S x.c");
	ck_assert_str_eq(c.output, "x.ll");
	expect_reason("gcc -emit-llvm -c x.c", REASON_NONE); // -e mit-llvm
	ck_assert_str_eq(c.output, "x.o");
}
END_TEST

START_TEST(outputs_are_given_joined_and_separate) // 43
{
	static const char *const spellings[] = {"-o y.o", "-oy.o", "--output y.o", "--output=y.o", "-o y.o -oy.o"};
	for (size_t i = 0; i < COUNT_OF(spellings); i++) {
		parse_for("gcc", arena_printf(&arena, "-c x.c %s", spellings[i]));
		ck_assert_int_eq(c.reason, REASON_NONE);
		ck_assert_str_eq(c.output, "y.o");
		for (unsigned k = 2; k < c.n_arguments; k++)
			ck_assert_int_eq(c.arguments[k].role, ARGUMENT_NOT_KEY);
	}
	expect_for_both("-c x.c -o missing/y.o", REASON_NONE);
	expect_for_both("-c x.c -o -", REASON_output_not_a_file);
	expect_for_both("-c x.c -o /dev/null", REASON_NONE);
	expect_for_both("-c x.c -o /dev/full", REASON_output_not_a_file);
	expect_for_both("-c x.c -o /dev/fd/1", REASON_output_not_a_file);
	expect_for_both("-c x.c -o d/", REASON_output_not_a_file);
	expect_for_both("-c x.c -o y.o -o z.o", REASON_option_dangerous);
	expect_for_both("-c x.c -o", REASON_option_dangerous);
}
END_TEST

// ---- depfiles -------------------------------------------------------------------------------------------------------

START_TEST(depfile_names_follow_the_output) // 4
{
	for (size_t i = 0; i < COUNT_OF(both); i++) {
		const char *cc = both[i];
		expect_depfile(arena_printf(&arena, "%s -MD -c x.c", cc), "x.d", "x.o");
		expect_depfile(arena_printf(&arena, "%s -MD -c src/a.b.c", cc), "a.b.d", "a.b.o");
		expect_depfile(arena_printf(&arena, "%s -MD -c x.c -o d.ir/z", cc), "d.ir/z.d", "d.ir/z");
		expect_depfile(arena_printf(&arena, "%s -MD -c x.c -o d.ir/z.tar.o", cc), "d.ir/z.tar.d", "d.ir/z.tar.o");
		expect_depfile(arena_printf(&arena, "%s -MD -c x.c -o .hid", cc), ".d", ".hid");
		expect_depfile(arena_printf(&arena, "%s -MD -c x.c -o z.", cc), "z.d", "z.");
		expect_depfile(arena_printf(&arena, "%s -MD -x c -c noext", cc), "noext.d", "noext.o");
		expect_depfile(arena_printf(&arena, "%s -MD -c .hid.c", cc), ".hid.d", ".hid.o");
		expect_depfile(arena_printf(&arena, "%s -MD -c x.c -o ../z.o", cc), "../z.d", "../z.o");
	}
	expect_depfile("gcc -x c -MD -c .c", ".c.d", ".o");
	expect_depfile("clang -x c -MD -c .c", ".d", ".o");
}
END_TEST

START_TEST(depfiles_come_with_assembler_text_too) // 6
{
	for (size_t i = 0; i < COUNT_OF(both); i++) {
		expect_depfile(arena_printf(&arena, "%s -MD -S x.c", both[i]), "x.d", "x.o");
		expect_depfile(arena_printf(&arena, "%s -MD -S x.c -o d.ir/q.s", both[i]), "d.ir/q.d", "d.ir/q.s");
	}
}
END_TEST

START_TEST(odd_depfiles_are_named_or_refused) // 6
{
	expect_depfile("gcc -MD -MF /dev/null -c x.c", "/dev/null", "x.o");
	expect_depfile("gcc -MD -MF missing/x.d -c x.c", "missing/x.d", "x.o");
	expect_for_both("-MD -MF - -c x.c", REASON_depfile_not_a_file);
	expect_for_both("-MD -MF /dev/stdout -c x.c", REASON_depfile_not_a_file);
	expect_for_both("-MD -MF /proc/self/fd/1 -c x.c", REASON_depfile_not_a_file);
	expect_for_both("-MD -MF d/ -c x.c", REASON_depfile_not_a_file);
}
END_TEST

START_TEST(targets_come_from_mt_mq_and_o) // 1, 2
{
	expect_depfile("clang -MD -MT t$1 -MQ t$2 -c x.c -o z.o", "z.d", "t$1 t$$2");
	expect_depfile("gcc -MD -MT t$1 -MQ t$2 -c x.c -o z.o", "z.d", "t$1 t$$2");
	expect_depfile("gcc -MD -MTt1 -MT t1 -c x.c", "x.d", "t1 t1");
	expect_depfile("gcc -MD -c x.c -o a$b#c.o", "a$b#c.d", "a$$b\\#c.o");
}
END_TEST

START_TEST(gcc_puts_verbatim_targets_first)
{
	expect_depfile("gcc -MD -MQ q1 -MQ q2 -MT t1 -MT t2 -MT t3 -c x.c", "x.d", "t1 t2 t3 q2 q1");
	expect_depfile("clang -MD -MQ q1 -MQ q2 -MT t1 -MT t2 -MT t3 -c x.c", "x.d", "q1 q2 t1 t2 t3");
	expect_depfile("gcc -MD -MT t1 -MQ q1 -MT t2 -c x.c", "x.d", "t1 t2 q1");
}
END_TEST

START_TEST(gcc_leaves_out_a_leading_dot_slash)
{
	expect_depfile("gcc -MD -c x.c -o ./z.o", "./z.d", "z.o");
	expect_depfile("clang -MD -c x.c -o ./z.o", "./z.d", "./z.o");
	expect_depfile("gcc -MD -MT ././/t -c x.c -o .//z.o", ".//z.d", "t");
	expect_depfile("gcc -MD -c x.c -o ./../z.o", "./../z.d", "../z.o");
}
END_TEST

START_TEST(depfile_values_are_not_in_the_key) // 3
{
	static const char *const words[] = {"-MF", "f.d", "-MT", "t", "-MQq", "-o", "x.o", "src/x.c"};
	expect_for_both("-MD -MP -MF f.d -MT t -MQq -c src/x.c -o x.o", REASON_NONE);
	for (size_t i = 0; i < COUNT_OF(words); i++)
		ck_assert_int_eq(word_of(words[i])->role, ARGUMENT_NOT_KEY);
	ck_assert_int_eq(word_of("-MD")->role, ARGUMENT_KEY);
	ck_assert_int_eq(word_of("-MP")->role, ARGUMENT_KEY);
	ck_assert(c.dep_phony);
	expect_role("gcc -MMD -c x.c", "-MMD", ARGUMENT_KEY);
}
END_TEST

START_TEST(mmd_wins_over_md) // 7
{
	for (size_t i = 0; i < COUNT_OF(both); i++) {
		parse_for(both[i], "-MD -c x.c");
		ck_assert_int_eq(c.dep, DEP_ALL);
		parse_for(both[i], "-MMD -c x.c");
		ck_assert_int_eq(c.dep, DEP_USER);
		parse_for(both[i], "-MMD -MD -c x.c");
		ck_assert_int_eq(c.dep, DEP_USER);
		parse_for(both[i], "--write-dependencies --write-user-dependencies -c x.c");
		ck_assert_int_eq(c.dep, DEP_USER);
		parse_for(both[i], "-MD -MF a -MF b -c x.c");
		ck_assert_str_eq(c.depfile, "b");
	}
}
END_TEST

START_TEST(wp_md_has_each_compilers_own_target) // 5
{
	expect_depfile("gcc -Wp,-MD,f.d -c src/x.c -o d.ir/z.o", "f.d", "x.o");
	ck_assert(c.dep_wp);
	ck_assert_int_eq(c.dep, DEP_ALL);
	ck_assert_int_eq(word_of("-Wp,-MD,f.d")->role, ARGUMENT_NOT_KEY);
	expect_depfile("clang -Wp,-MMD,f.d -c src/x.c -o d.ir/z.o", "f.d", "d.ir/z.o");
	ck_assert_int_eq(c.dep, DEP_USER);
	expect_depfile("gcc -Wp,-MMD,f.d -S src/x.c -o d.ir/z.s", "f.d", "x.o");
	expect_depfile("clang -Wp,-MD,f.d -S src/x.c", "f.d", "x.o");
	expect_depfile("gcc -Wp,-MD,f.d -MQ t$ -c x.c -o z.o", "f.d", "t$$");
	expect_for_both("-Wp,-MD,f.d -MF g.d -c x.c", REASON_depfile_ambiguous);
	expect_for_both("-Wp,-MD,f.d -MD -c x.c", REASON_depfile_ambiguous);
	expect_for_both("-Wp,-MD,f.d -Wp,-MMD,g.d -c x.c", REASON_depfile_ambiguous);
	expect_for_both("-Wp,-MD -c x.c", REASON_option_dangerous);
	expect_reason("clang -Wp,-MD,f.d,-MT,t -c x.c", REASON_option_dangerous);
	expect_reason("clang -Wp,-MD,f.d -Wp,-MQ,t -c x.c", REASON_option_dangerous);
	expect_for_both("-Wp,-MT,t -MD -c x.c", REASON_depfile_ambiguous);
	expect_depfile("gcc -Wp,-MD,f.d,-MT,t -c x.c", "f.d", "t");
	expect_depfile("gcc -Wp,-MD,f.d -Wp,-MT,u -c x.c -MT t", "f.d", "t u");
	expect_depfile("clang -Wp,-MD,f.d -Wp,-MT,u -c x.c", "f.d", "x.o u");
}
END_TEST

START_TEST(dependency_options_without_md_are_refused) // 9
{
	expect_for_both("-MF f.d -c x.c", REASON_option_dangerous);
	expect_for_both("-MT t -c x.c", REASON_option_dangerous);
	expect_for_both("-MP -c x.c", REASON_option_dangerous);
	expect_for_both("-MD -MG -c x.c", REASON_option_dangerous);
	expect_reason("clang -MJ x.json -c x.c", REASON_side_files);
	expect_reason("clang -MD -MV -c x.c", REASON_option_dangerous);
}
END_TEST

START_TEST(preprocessed_and_assembler_sources_have_no_depfile)
{
	static const char *const sources[] = {"x.s", "x.i", "x.ii"};
	for (size_t i = 0; i < COUNT_OF(sources); i++) {
		parse_for("clang", arena_printf(&arena, "-MD -MF f.d -Wp,-DX -c %s -o x.o", sources[i]));
		ck_assert_int_eq(c.reason, REASON_NONE);
		ck_assert_int_eq(c.dep, DEP_NONE);
		ck_assert_ptr_null(c.depfile);
		// clang warns that they are not used, and the warning has the words
		ck_assert_int_eq(word_of("f.d")->role, ARGUMENT_KEY);
		ck_assert_int_eq(word_of("x.o")->role, ARGUMENT_NOT_KEY);
		ck_assert_int_eq(word_of(sources[i])->role, ARGUMENT_NOT_KEY);
	}
	expect_depfile("gcc -MD -c x.S", "x.d", "x.o");
}
END_TEST

START_TEST(make_escape_follows_gnu_make) // 2
{
	static const char *const cases[][2] = {
		{"plain/name.o", "plain/name.o"},
		{"a b", "a\\ b"},
		{"a\tb", "a\\\tb"},
		{"a#b", "a\\#b"},
		{"a$b", "a$$b"},
		{"a\\b", "a\\b"},
		{"a\\ b", "a\\\\\\ b"},
		{"a\\\\ b", "a\\\\\\\\\\ b"},
		{"a\\#b", "a\\\\#b"},
		{"C:\\x", "C:\\x"},
		{"\\", "\\"},
		{"", ""},
		{"a  b", "a\\ \\ b"},
		{"%;|*?", "%;|*?"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		ck_assert_str_eq(make_escape(&arena, cases[i][0]), cases[i][1]);
}
END_TEST

// ---- debug information ----------------------------------------------------------------------------------------------

START_TEST(the_last_g_wins) // 50
{
	static const struct {
		const char *arguments;
		bool on;
	} cases[] = {
		{"-g", true},
		{"-g0", false},
		{"-g -g0", false},
		{"-g0 -g", true},
		{"-ggdb3", true},
		{"-ggdb0", false},
		{"-g -ggdb0", false},
		{"-g0 -gdwarf-4", true},
		{"-gz", false},
		{"-gz=zlib", false},
		{"-gdwarf-5", true},
		{"-gpubnames", false},
		{"-g3 -gno-strict-dwarf", true},
		{"-gstrict-dwarf", false},
		{"-gdwarf32", false},
		{"-g1 -gz", true},
		{"-gfuture", true},
		{"--debug", true},
		{"-O2", false},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		expect_for_both(arena_printf(&arena, "%s -c x.c", cases[i].arguments), REASON_NONE);
		ck_assert_msg(c.debug_info == cases[i].on, "'%s'", cases[i].arguments);
	}
}
END_TEST

static void expect_dwo(const char *line, bool split, const char *dwo)
{
	expect_reason(line, REASON_NONE);
	ck_assert_msg(c.split_dwarf == split && c.needs_output == split, "'%s'", line);
	ck_assert_pstr_eq(c.dwo, dwo);
}

START_TEST(split_debug_information_is_named_by_the_output) // 52
{
	for (size_t i = 0; i < COUNT_OF(both); i++) {
		const char *cc = both[i];
		expect_dwo(arena_printf(&arena, "%s -g -gsplit-dwarf -c src/a.b.c", cc), true, "a.b.dwo");
		expect_dwo(arena_printf(&arena, "%s -g -gsplit-dwarf -c x.c -o d.ir/z", cc), true, "d.ir/z.dwo");
		expect_dwo(arena_printf(&arena, "%s -g -gsplit-dwarf -c x.c -o ./z.tar.o", cc), true, "./z.tar.dwo");
		expect_dwo(arena_printf(&arena, "%s -g -gsplit-dwarf -gno-split-dwarf -c x.c", cc), false, NULL);
		expect_dwo(arena_printf(&arena, "%s -gsplit-dwarf -g0 -g -c x.c", cc), true, "x.dwo");
	}
	expect_dwo("gcc -g -gsplit-dwarf -c x.c -o .hid", true, ".hid.dwo");
	expect_dwo("clang -g -gsplit-dwarf -c x.c -o .hid", true, ".dwo");
	expect_dwo("gcc -gsplit-dwarf -g0 -c x.c", true, "x.dwo"); // an empty one
	ck_assert(c.debug_info);
	expect_dwo("clang -gsplit-dwarf -g0 -c x.c", false, NULL);
	expect_dwo("gcc -g -gsplit-dwarf -S x.c", true, NULL);
	expect_dwo("clang -g -gsplit-dwarf=single -c x.c", true, NULL);
	expect_dwo("gcc -gsplit-dwarf -c x.s -o d/x.o", true, "d/x.dwo");
	expect_dwo("clang -gsplit-dwarf -g0 -c x.S -o d/x.o", true, "d/x.dwo");
	expect_dwo("clang -gsplit-dwarf=single -c x.s", true, NULL);
	expect_reason("clang -g -gsplit-dwarf -S x.c", REASON_side_files);
	expect_reason("clang -g -gsplit-dwarf -flto -c x.c", REASON_side_files);
	expect_reason("clang -g -gsplit-dwarf -fdebug-compilation-dir=/x -c x.c", REASON_side_files);
	expect_for_both("-dumpdir d/ -g -gsplit-dwarf -c x.c", REASON_side_files);
	expect_for_both("-dumpbase d -c x.c", REASON_side_files);
}
END_TEST

// ---- side outputs ---------------------------------------------------------------------------------------------------

START_TEST(coverage_notes_are_named_by_the_output) // 53
{
	for (size_t i = 0; i < COUNT_OF(both); i++) {
		parse_for(both[i], "--coverage -c src/a.b.c");
		ck_assert(c.coverage_notes && c.needs_cwd && c.needs_output);
		ck_assert_str_eq(c.gcno, "a.b.gcno");
		parse_for(both[i], "-ftest-coverage -c x.c -o d.ir/z.y.o");
		ck_assert(c.coverage_notes && c.needs_cwd && !c.needs_output);
		ck_assert_str_eq(c.gcno, "d.ir/z.y.gcno");
		parse_for(both[i], "-ftest-coverage -fno-test-coverage -c x.c");
		ck_assert(!c.coverage_notes);
		parse_for(both[i], "--coverage -fno-test-coverage -c x.c");
		ck_assert_str_eq(c.gcno, "x.gcno");
		parse_for(both[i], "--coverage -S x.c");
		ck_assert_str_eq(c.gcno, "x.gcno");
		parse_for(both[i], "--coverage -c x.S");
		ck_assert(!c.coverage_notes && !c.gcno && !c.needs_cwd);
		parse_for(both[i], "-fprofile-generate -c x.c");
		ck_assert(!c.gcno && c.needs_cwd && c.needs_output);
		expect_for_both("--coverage -fprofile-dir=/x -c x.c", REASON_NONE);
		ck_assert_str_eq(c.gcno, "x.gcno");
		expect_for_both("-fprofile-dir=/x -c x.c", REASON_NONE);
	}
	parse("gcc --coverage -c x.c -o .hid");
	ck_assert_str_eq(c.gcno, ".hid.gcno");
	parse("clang --coverage -c x.c -o .hid");
	ck_assert_str_eq(c.gcno, ".gcno");
	expect_reason("gcc --coverage -fprofile-note=x -c x.c", REASON_side_files);
	expect_reason("clang -fcoverage-mapping -c x.c", REASON_NONE);
	ck_assert(c.needs_cwd);
}
END_TEST

START_TEST(stack_usage_is_named_by_the_output) // 55
{
	for (size_t i = 0; i < COUNT_OF(both); i++) {
		parse_for(both[i], "-fstack-usage -c src/x.c -o d/z.o");
		ck_assert(c.stack_usage);
		ck_assert_str_eq(c.su, "d/z.su");
		parse_for(both[i], "-fstack-usage -S x.c");
		ck_assert_str_eq(c.su, "x.su");
		parse_for(both[i], "-fstack-usage -c x.s");
		ck_assert(!c.stack_usage && !c.su);
		ck_assert(!c.code_may_come_later);
		expect_for_both("-fstack-usage -flto -c x.c", REASON_NONE);
		ck_assert(c.code_may_come_later);
	}
}
END_TEST

START_TEST(what_is_written_beside_the_object_has_a_name) // 55
{
	expect_reason("gcc -fcallgraph-info=su -c x.c -o d/z.y.o", REASON_NONE);
	ck_assert_str_eq(c.callgraph, "d/z.y.ci");
	expect_reason("gcc -fsave-optimization-record -c x.y.c -o d/z.y.o", REASON_NONE);
	ck_assert_str_eq(c.remarks, "d/z.y.c.opt-record.json.gz");
	expect_reason("gcc -fsave-optimization-record -x c -c x.y", REASON_side_files);
	expect_reason("clang -fsave-optimization-record=yaml -c x.y.c", REASON_NONE);
	ck_assert_str_eq(c.remarks, "x.opt.yaml");
	expect_reason("clang -fsave-optimization-record -c x.c -o d/z.y.o", REASON_NONE);
	ck_assert_str_eq(c.remarks, "d/z.y.opt.yaml");
	expect_reason("clang -foptimization-record-file=/a/r -c x.c", REASON_NONE);
	ck_assert_str_eq(c.remarks, "/a/r");
	expect_role("clang -foptimization-record-file=/a/r -c x.c", "-foptimization-record-file=/a/r", ARGUMENT_WRITES);
	expect_reason("clang --serialize-diagnostics a --serialize-diagnostics b -c x.c", REASON_NONE);
	ck_assert_str_eq(c.serialized, "b");
	expect_role("clang --serialize-diagnostics b -c x.c", "--serialize-diagnostics", ARGUMENT_WRITES);
	expect_reason("gcc -Wa,-a,-ad,-alms=x.lst -c x.c", REASON_NONE);
	ck_assert(c.lists && c.any_comment_matters);
	ck_assert_str_eq(c.listing, "x.lst");
	expect_reason("gcc -Wa,-adhln -c x.c", REASON_NONE);
	ck_assert(c.lists && !c.listing);
	expect_reason("gcc -Wa,-adhln=x -S x.c", REASON_NONE);
	ck_assert(!c.lists && !c.listing);
}
END_TEST

START_TEST(other_side_files_are_refused) // 9, 55
{
	static const struct {
		const char *arguments;
		enum reason reason;
	} cases[] = {
		{"gcc -save-temps", REASON_save_temps},
		{"gcc -save-temps=obj", REASON_save_temps},
		{"clang --save-temps", REASON_save_temps},
		{"gcc -fdump-tree-all", REASON_dump_files},
		{"gcc -fdump-final-insns=x", REASON_dump_files},
		{"gcc -da", REASON_dump_files},
		{"gcc --dump a", REASON_dump_files},
		{"gcc -fopt-info-vec=x", REASON_dump_files},
		{"clang -ftime-trace", REASON_side_files},
		{"clang -ftime-trace=x", REASON_side_files},
		{"clang -fsave-optimization-record=bitstream", REASON_side_files},
		{"clang -foptimization-record-file=-", REASON_side_files},
		{"clang -fproc-stat-report=x", REASON_side_files},
		{"clang -gen-cdb-fragment-path x", REASON_side_files},
		{"clang -save-stats", REASON_side_files},
		{"clang --serialize-diagnostics -", REASON_side_files},
		{"clang --serialize-diagnostics /dev/stderr", REASON_side_files},
		{"gcc -fdiagnostics-format=json-file", REASON_side_files},
		{"gcc -fdiagnostics-format=sarif-file", REASON_side_files},
		{"gcc -aux-info x", REASON_side_files},
		{"gcc -time=x", REASON_side_files},
		{"gcc -Wa,-ag", REASON_side_files},
		{"gcc -Wa,-a=/dev/stderr", REASON_side_files},
		{"gcc -flto -Wa,-al", REASON_side_files},
		{"clang -Wa,-al", REASON_side_files},
		{"gcc -Wa,--MD,x", REASON_side_files},
		{"gcc -Wa,-o,x", REASON_side_files},
		{"gcc -Xassembler -o -Xassembler x", REASON_side_files},
		{"gcc -fdiagnostics-format=json", REASON_NONE},
		{"gcc -fopt-info-vec", REASON_NONE},
		{"clang -ftime-trace-granularity=9", REASON_NONE},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		expect_reason(arena_printf(&arena, "%s -c x.c -o x.o", cases[i].arguments), cases[i].reason);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		default_outputs_are_named_by_the_source,
		outputs_are_given_joined_and_separate,
		depfile_names_follow_the_output,
		depfiles_come_with_assembler_text_too,
		odd_depfiles_are_named_or_refused,
		targets_come_from_mt_mq_and_o,
		gcc_puts_verbatim_targets_first,
		gcc_leaves_out_a_leading_dot_slash,
		depfile_values_are_not_in_the_key,
		mmd_wins_over_md,
		wp_md_has_each_compilers_own_target,
		dependency_options_without_md_are_refused,
		preprocessed_and_assembler_sources_have_no_depfile,
		make_escape_follows_gnu_make,
		the_last_g_wins,
		split_debug_information_is_named_by_the_output,
		coverage_notes_are_named_by_the_output,
		stack_usage_is_named_by_the_output,
		what_is_written_beside_the_object_has_a_name,
		other_side_files_are_refused,
	};
	return run_tests("cmdline_outputs", tests, COUNT_OF(tests));
}
