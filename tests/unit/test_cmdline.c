// The words of a command line: sources, languages, values, what is refused.
#include "tests/unit/cmdline_helpers.h"

#include "compiler/options.h"

#include <stdio.h>

static void expect_path(const char *line, const char *word, enum argument_role role, const char *path)
{
	expect_role(line, word, role);
	ck_assert_str_eq(word + word_of(word)->prefix, path);
}

// ---- what is compiled -----------------------------------------------------------------------------------------------

START_TEST(a_plain_compile_is_understood)
{
	for (size_t i = 0; i < COUNT_OF(both); i++) {
		parse_for(both[i], "-O2 -c src/x.c -o obj/x.o");
		ck_assert_int_eq(c.reason, REASON_NONE);
		ck_assert_int_eq(c.lang, LANG_C);
		ck_assert(c.assembles && c.output_given);
		ck_assert_str_eq(c.source, "src/x.c");
		ck_assert_str_eq(c.output, "obj/x.o");
		ck_assert_str_eq(c.arguments[c.source_argument].text, "src/x.c");
		ck_assert_uint_eq(c.n_arguments, 5);
		ck_assert_int_eq(c.dep, DEP_NONE);
		ck_assert_ptr_null(c.depfile);
		ck_assert(!c.debug_info && !c.needs_cwd && !c.needs_output);
	}
}
END_TEST

START_TEST(suffixes_choose_the_language)
{
	static const struct {
		const char *suffix;
		enum lang gcc, clang;
	} cases[] = {
		{"c", LANG_C, LANG_C},
		{"cc", LANG_CXX, LANG_CXX},
		{"cp", LANG_CXX, LANG_CXX},
		{"cxx", LANG_CXX, LANG_CXX},
		{"cpp", LANG_CXX, LANG_CXX},
		{"CPP", LANG_CXX, LANG_CXX},
		{"c++", LANG_CXX, LANG_CXX},
		{"C", LANG_CXX, LANG_CXX},
		{"S", LANG_ASM_CPP, LANG_ASM_CPP},
		{"s", LANG_ASM, LANG_ASM},
		{"i", LANG_C_CPP_OUT, LANG_C_CPP_OUT},
		{"ii", LANG_CXX_CPP_OUT, LANG_CXX_CPP_OUT},
		{"m", LANG_OBJC, LANG_OBJC},
		{"mm", LANG_OBJCXX, LANG_OBJCXX},
		{"M", LANG_OBJCXX, LANG_OBJCXX},
		{"mi", LANG_C_CPP_OUT, LANG_C_CPP_OUT},
		{"sx", LANG_ASM_CPP, LANG_NONE},
		{"CXX", LANG_NONE, LANG_CXX},
		{"asm", LANG_NONE, LANG_ASM},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		parse_for("gcc", arena_printf(&arena, "-c d.ir/x.%s", cases[i].suffix));
		ck_assert_int_eq(c.lang, cases[i].gcc);
		ck_assert_int_eq(c.reason, cases[i].gcc ? REASON_NONE : REASON_source_type);
		parse_for("clang", arena_printf(&arena, "-c d.ir/x.%s", cases[i].suffix));
		ck_assert_int_eq(c.lang, cases[i].clang);
		ck_assert_int_eq(c.reason, cases[i].clang ? REASON_NONE : REASON_source_type);
	}
	expect_for_both("-c x.txt", REASON_source_type);
	expect_for_both("-c x.o", REASON_source_type);
	expect_for_both("-c d.c/x", REASON_source_type);
	expect_reason("gcc -c .c", REASON_source_type); // gcc takes that for an object, clang for C
	expect_lang("clang -c .c", LANG_C);
}
END_TEST

START_TEST(the_last_x_before_the_source_wins) // 41
{
	expect_lang("gcc -x c -x c++ -c x.c", LANG_CXX);
	expect_lang("gcc -xc++ -c x.txt", LANG_CXX);
	expect_lang("gcc -c x.c -x c++", LANG_C);
	expect_lang("gcc -x c++ -x none -c x.c", LANG_C);
	expect_lang("clang --language=c++ -c x.c", LANG_CXX);
	expect_lang("clang --language assembler-with-cpp -c x.c", LANG_ASM_CPP);
	expect_lang("clang -x objc-cpp-output -c x.c", LANG_C_CPP_OUT);
	expect_for_both("-x ada -c x.c", REASON_source_type);
	expect_for_both("-x none -c x", REASON_source_type);
}
END_TEST

START_TEST(cxx_drivers_take_c_for_cxx) // 36
{
	expect_lang("g++ -c x.c", LANG_CXX);
	expect_lang("g++ -c x.i", LANG_CXX_CPP_OUT);
	expect_lang("clang++ -c x.c", LANG_CXX);
	expect_lang("clang++ -c x.i", LANG_CXX_CPP_OUT);
	expect_lang("g++ -x c -c x.c", LANG_C);
	expect_lang("clang++ -x c -c x.c", LANG_C);
	expect_lang("g++ -c x.m", LANG_OBJC);
	// They differ here: g++ stops at the first -x, whatever it says.
	expect_lang("g++ -x none -c x.c", LANG_C);
	expect_lang("clang++ -x none -c x.c", LANG_CXX);
	expect_lang("g++ -c x.c -x c", LANG_CXX);
}
END_TEST

START_TEST(a_double_dash_ends_the_options_of_clang) // 43
{
	expect_reason("clang -c -- -x.c", REASON_NONE);
	ck_assert_str_eq(c.source, "-x.c");
	expect_reason("clang -c -- x.c -g", REASON_several_sources);
}
END_TEST

START_TEST(other_numbers_of_sources_are_refused) // 45
{
	expect_for_both("-c x.c y.c", REASON_several_sources);
	expect_for_both("-c x.c y.o", REASON_several_sources);
	expect_for_both("-c", REASON_no_source);
	expect_for_both("-c -", REASON_stdin_source);
	expect_for_both("-c -xc -", REASON_stdin_source);
	expect_for_both("-c -xc /dev/stdin", REASON_stdin_source);
	expect_for_both("-c -xc /dev/null", REASON_NONE);
	expect_for_both("-c -xc /dev/zero", REASON_source_type);
	parse("gcc");
	ck_assert_int_eq(c.reason, REASON_no_source);
	parse_words((const char *const[]){"gcc", "-c", "", NULL});
	ck_assert_int_eq(c.reason, REASON_source_type);
	parse_words((const char *const[]){"gcc", "-c", "x.c", "", NULL});
	ck_assert_int_eq(c.reason, REASON_several_sources);
}
END_TEST

START_TEST(what_is_no_compile_says_so) // 45
{
	expect_for_both("x.c", REASON_link);
	expect_for_both("x.o -o x -B. -plugin", REASON_link);
	expect_for_both("-E x.c", REASON_preprocess_only);
	expect_for_both("-E -c x.c -save-temps", REASON_preprocess_only);
	expect_for_both("-M x.c", REASON_preprocess_only);
	expect_for_both("-MM -c x.c", REASON_preprocess_only);
	expect_for_both("-fsyntax-only -c x.c -o x.o", REASON_NONE);
	ck_assert_str_eq(c.output, CMDLINE_NO_OUTPUT);
	expect_for_both("-fsyntax-only x.c", REASON_NONE);
	expect_for_both("-fsyntax-only -MD x.c", REASON_no_output); // its name is the compiler's own affair
	expect_reason("clang --analyze x.c", REASON_no_output);
	expect_for_both("-S x.S", REASON_no_output);
	expect_for_both("-S x.s", REASON_no_output);
}
END_TEST

START_TEST(questions_to_the_compiler_run_untouched) // 70
{
	static const char *const words[] = {"-v",
					    "-###",
					    "--version",
					    "--help",
					    "--help=common",
					    "-dumpmachine",
					    "-dumpversion",
					    "-print-file-name=x",
					    "-print-search-dirs",
					    "--print-prog-name=ld",
					    "--target-help",
					    "-Q",
					    "-H",
					    "-ftime-report",
					    "-time"};
	for (size_t i = 0; i < COUNT_OF(words); i++) {
		expect_for_both(words[i], REASON_information);
		expect_for_both(arena_printf(&arena, "-c x.c -fplugin=x %s -o x.o", words[i]), REASON_information);
		ck_assert_str_eq(c.culprit, words[i]);
	}
	expect_for_both("--print-file-name x -c x.c", REASON_information);
}
END_TEST

// ---- words and values -----------------------------------------------------------------------------------------------

START_TEST(values_are_not_taken_for_inputs) // 44
{
	static const char *const pairs[] = {
		"-D y.c",     "-U y.c", "-include y.c",  "-MD -MF y.c",    "-MD -MT y.c", "-Xlinker y.c", "-L y.c", "-T y.c",
		"-u y.c",     "-z y.c", "-e y.c",        "-l y.c",         "--param y.c", "-isystem y.c", "-I -c",  "-D -E",
		"-MD -MT -c", "-A y.c", "--sysroot y.c", "-idirafter y.c", "-Tbss y.c",   "-G y.c"};
	for (size_t i = 0; i < COUNT_OF(pairs); i++) {
		expect_for_both(arena_printf(&arena, "%s -c x.c", pairs[i]), REASON_NONE);
		ck_assert_str_eq(c.source, "x.c");
	}
	static const char *const clang_only[] = {"-arch y.c",
						 "-target y.c",
						 "-mllvm -y",
						 "-framework y.c",
						 "-sectcreate a b y.c",
						 "-segaddr a b",
						 "-fdebug-compilation-dir y.c",
						 "--system-header-prefix y.c",
						 "-install_name y.c",
						 "-V y.c"};
	for (size_t i = 0; i < COUNT_OF(clang_only); i++)
		expect_reason(arena_printf(&arena, "clang %s -c x.c", clang_only[i]), REASON_NONE);
	expect_reason("gcc --machine y.c --std c99 -Xf y.c -c x.c", REASON_NONE);
}
END_TEST

START_TEST(search_words_carry_their_path) // 21
{
	expect_path("gcc -I/a/b -c x.c", "-I/a/b", ARGUMENT_SEARCH, "/a/b");
	expect_role("gcc -I /a/b -c x.c", "-I", ARGUMENT_KEY);
	expect_path("gcc -I /a/b -c x.c", "/a/b", ARGUMENT_SEARCH, "/a/b");
	expect_path("clang --include-directory=/a -c x.c", "--include-directory=/a", ARGUMENT_SEARCH, "/a");
	expect_path("gcc --sysroot=/a -c x.c", "--sysroot=/a", ARGUMENT_SEARCH, "/a");
	static const char *const options[] = {"-isystem",  "-iquote",      "-idirafter",         "-isysroot",
					      "-iprefix",  "-iwithprefix", "-iwithprefixbefore", "-F",
					      "--sysroot", "-iframework"};
	for (size_t i = 0; i < COUNT_OF(options); i++)
		expect_path(arena_printf(&arena, "clang %s /a/b -c x.c", options[i]), "/a/b", ARGUMENT_SEARCH, "/a/b");
	static const char *const alone[] = {"-nostdinc", "-nostdinc++", "-stdlib=libc++", "-m32", "-mabi=lp64"};
	for (size_t i = 0; i < COUNT_OF(alone); i++)
		expect_role(arena_printf(&arena, "clang %s -c x.c", alone[i]), alone[i], ARGUMENT_SEARCH);
	expect_path("clang -nostdinc -c x.c", "-nostdinc", ARGUMENT_SEARCH, "");
	expect_path("clang --target=aarch64-linux-gnu -c x.c", "--target=aarch64-linux-gnu", ARGUMENT_SEARCH,
		    "aarch64-linux-gnu");
	expect_path("gcc -L/a -c x.c", "-L/a", ARGUMENT_KEY_PATH, "/a");
	expect_role("gcc -DP=/a/b -c x.c", "-DP=/a/b", ARGUMENT_KEY);
	expect_for_both("-I- -c x.c", REASON_option_dangerous);
	expect_reason("clang -I x.hmap -c x.c", REASON_option_dangerous);
}
END_TEST

START_TEST(forced_includes_are_listed) // 21
{
	expect_reason("gcc -include a.h -imacrosb.h --include=c.h --imacros d.h -c x.c", REASON_NONE);
	ck_assert_uint_eq(c.n_forced, 4);
	ck_assert_str_eq(c.forced[1], "b.h");
	ck_assert_str_eq(c.forced[2], "c.h");
	expect_reason("gcc -include-pch -c x.c", REASON_NONE); // for gcc that is "-include -pch"
	ck_assert_str_eq(c.forced[0], "-pch");
}
END_TEST

START_TEST(words_stay_as_they_are_and_in_order) // 29
{
	static const char *const argv[] = {"gcc", "-DA=1", "-UA", "-D", "A=2", "-P", "-C", "-c", "x.c", "-fdirectives-only",
					   NULL};
	parse_words(argv);
	ck_assert_int_eq(c.reason, REASON_NONE);
	for (unsigned i = 0; i < c.n_arguments; i++) {
		ck_assert_ptr_eq(c.arguments[i].text, argv[i + 1]);
		ck_assert_int_eq(c.arguments[i].role, i == c.source_argument ? ARGUMENT_NOT_KEY : ARGUMENT_KEY);
	}
}
END_TEST

START_TEST(unknown_words_stay_in_the_key_or_are_refused) // 47
{
	expect_role("gcc -fnew-thing=3 -c x.c", "-fnew-thing=3", ARGUMENT_KEY);
	expect_role("clang -Wnew-thing -c x.c", "-Wnew-thing", ARGUMENT_KEY);
	expect_reason("clang -qnew -c x.c", REASON_option_unknown);
	ck_assert_str_eq(c.culprit, "-qnew");
	expect_reason("clang -c x.c -qnew value", REASON_option_unknown);
	expect_reason("gcc -c --new-thing x.c", REASON_NONE); // -fnew-thing
	expect_reason("clang -c --new-thing x.c", REASON_option_unknown);
	expect_reason("gcc -arch x.c -c", REASON_option_unknown); // clang's
}
END_TEST

// Of options that another compiler may bring.
START_TEST(unknown_options_about_files_are_refused)
{
	static const char *const unknown[] = {"-fnew-coverage",       "-fprofile-newly", "-fnew-report=x", "-fdump-new",
					      "-fcallgraph-new",      "-frecord-new",    "-fsave-new",     "-mrecord-new",
					      "-fnew-trace",          "-fnew-output=x",  "-fnew-stats",    "-fnew-file=x",
					      "--new-mappings=x.txt", "--new=x",         "-fnew=a/b"};
	for (size_t i = 0; i < COUNT_OF(unknown); i++) {
		char command[100];
		snprintf(command, sizeof command, "clang %s -c x.c", unknown[i]);
		parse(command);
		ck_assert_msg(c.reason != REASON_NONE, "%s", command);
	}
	expect_reason("gcc -fdiagnostics-format=sarif-stderr -c x.c", REASON_messages_format);
	expect_reason("clang -fdiagnostics-format=sarif -c x.c", REASON_messages_format);
	expect_reason("gcc -fdiagnostics-format=sarif-file -c x.c", REASON_side_files);
	expect_reason("gcc -fdiagnostics-format=json -c x.c", REASON_NONE);
	expect_reason("gcc -Wnew-coverage -fno-new-profile -c x.c", REASON_NONE);
	expect_reason("gcc -fprofile-update=atomic -flto-report -c x.c", REASON_NONE);
}
END_TEST

START_TEST(gcc_knows_long_spellings)
{
	expect_reason("gcc --plugin=x.so -c x.c", REASON_plugin);
	expect_reason("gcc --profile-use -c x.c", REASON_NONE);
	ck_assert_str_eq(c.profile_data, "x.gcda");
	expect_reason("gcc --record-gcc-switches -c x.c", REASON_NONE);
	ck_assert(c.records_options);
	expect_reason("gcc --stack-usage -c x.c", REASON_NONE);
	ck_assert_str_eq(c.su, "x.su");
	expect_reason("gcc --debug=3 -c x.c", REASON_NONE);
	ck_assert(c.debug_info);
	expect_reason("gcc --warn-implicit-fallthrough=1 -c x.c", REASON_NONE);
	ck_assert(c.any_comment_matters);
	expect_role("gcc --machine-arch=native -c x.c", "--machine-arch=native", ARGUMENT_SEARCH);
	expect_reason("gcc --no-plugin-x -c x.c", REASON_NONE);
}
END_TEST

START_TEST(native_stays_in_the_key) // 39
{
	expect_role("gcc -march=native -c x.c", "-march=native", ARGUMENT_SEARCH);
	expect_role("clang -mtune=native -c x.c", "-mtune=native", ARGUMENT_SEARCH);
}
END_TEST

START_TEST(lists_for_one_stage_pass_only_if_known) // 46
{
	expect_for_both("-Wp,-D_FORTIFY_SOURCE=2,-UX -c x.c", REASON_NONE);
	expect_for_both("-Wp,-D,X -c x.c", REASON_option_dangerous);
	expect_for_both("-Wp,-include,x.h -c x.c", REASON_option_dangerous);
	expect_for_both("-Wp, -c x.c", REASON_option_dangerous);
	expect_for_both("-Xpreprocessor -DX -Xpreprocessor -fopenmp -c x.c", REASON_NONE);
	expect_for_both("-Xpreprocessor -MD -c x.c", REASON_option_dangerous);
	expect_for_both("-Wl,-z,now,x.c -Xlinker x.o -c x.c", REASON_NONE);
	expect_for_both("-Wa,--noexecstack,-I,dir,-march=x,--defsym,A=1 -c x.S", REASON_NONE);
	expect_for_both("-Xassembler --noexecstack -c x.c", REASON_NONE);
	expect_for_both("-Wa,--defsym -c x.c", REASON_option_dangerous);
	expect_for_both("-Wa,@file -c x.c", REASON_option_dangerous);
	expect_for_both("-Wa,other.s -c x.c", REASON_option_dangerous);
	expect_for_both("-Wa,--gdwarf-5 -c x.S", REASON_NONE);
	ck_assert(c.debug_info);
	expect_reason("clang -Xarch_x86_64 -O2 -Xarch_host -DX -c x.c", REASON_NONE);
	expect_reason("clang -Xarch_arm64 -fplugin=x -c x.c", REASON_option_dangerous);
	expect_reason("clang -Xarch_arm64 -MJx -c x.c", REASON_option_dangerous);
	expect_reason("clang -arch x86_64 -arch x86_64 -c x.c", REASON_NONE);
	expect_reason("clang -arch x86_64 -arch arm64 -c x.c", REASON_several_archs);
}
END_TEST

START_TEST(words_for_cc1_pass_only_if_known) // 46
{
	expect_reason("clang -Xclang -fno-pch-timestamp -Xclang -target-feature -Xclang +avx -c x.c", REASON_NONE);
	expect_reason("clang -Xclang -include -Xclang /a/f.h -c x.c", REASON_NONE);
	ck_assert_str_eq(c.forced[0], "/a/f.h");
	ck_assert_int_eq(word_of("/a/f.h")->role, ARGUMENT_KEY_PATH);
	ck_assert_int_eq(word_of("-include")->role, ARGUMENT_KEY_PATH);
	expect_reason("clang -Xclang -debug-info-kind=constructor -c x.c", REASON_NONE);
	ck_assert(c.debug_info);
	expect_reason("clang -Xclang -debug-info-kind=constructor -gsplit-dwarf -c x.c", REASON_NONE);
	ck_assert_ptr_null(c.dwo);
	expect_reason("clang -Xclang -debug-info-kind=/x -c x.c", REASON_option_dangerous);
	expect_reason("clang -Xclang -load -Xclang p.so -c x.c", REASON_plugin);
	expect_reason("clang -Xclang -plugin-arg-x -c x.c", REASON_plugin);
	expect_reason("clang -Xclang -ast-dump -c x.c", REASON_option_dangerous);
	expect_reason("clang -Xclang -dependency-file -Xclang f -c x.c", REASON_option_dangerous);
	expect_reason("clang -Xclang -fmodule-file=x -c x.c", REASON_option_dangerous);
	expect_reason("clang -Xclang -fprofile-list=x -c x.c", REASON_option_dangerous);
	expect_reason("clang -Xclang value -c x.c", REASON_option_dangerous);
	expect_reason("clang -c x.c -Xclang -target-feature", REASON_option_dangerous);
	expect_reason("clang -mllvm -inline-threshold=9 -c x.c", REASON_NONE);
	expect_reason("clang -mllvm -info-output-file=x -c x.c", REASON_option_dangerous);
	expect_reason("clang -Xclang -mllvm -Xclang -print-after-all -c x.c", REASON_option_dangerous);
}
END_TEST

// ---- further inputs, another compiler -------------------------------------------------------------------------------

START_TEST(the_driver_mode_chooses_the_language)
{
	expect_lang("clang --driver-mode=g++ -c x.c", LANG_CXX);
	expect_lang("clang++ --driver-mode=gcc -c x.c", LANG_C);
	expect_reason("clang --driver-mode=g++ --driver-mode=gcc -c x.c", REASON_option_dangerous);
	expect_reason("gcc --driver-mode=g++ --driver-mode=cl -c x.c", REASON_NONE); // gcc fails
}
END_TEST

START_TEST(values_are_known_whatever_they_look_like)
{
	expect_reason("clang -idirafter -c -I -I -D -c -c x.c", REASON_NONE);
	static const bool values[] = {false, true, false, true, false, true, false, false};
	ck_assert_uint_eq(c.n_arguments, COUNT_OF(values));
	for (unsigned i = 0; i < c.n_arguments; i++)
		ck_assert_int_eq(c.arguments[i].is_value, values[i]);
}
END_TEST

START_TEST(another_compiler_is_refused) // 32, 38
{
	static const char *const common[] = {"-specs=x -c x.c", "--specs x -c x.c", "-remap -c x.c"};
	static const char *const clang_only[] = {
		"-no-integrated-as",    "-fno-integrated-as", "--gcc-triple=x-y",      "--config x.cfg",
		"--config=x.cfg",       "--driver-mode=cl",   "-working-directory=x",  "-ivfsoverlay x.yaml",
		"-working-directory x", "-ccc-gcc-name x",    "--rsp-quoting=windows", "-fopenmp-targets=nvptx64"};
	for (size_t i = 0; i < COUNT_OF(common); i++)
		expect_for_both(common[i], REASON_option_dangerous);
	for (size_t i = 0; i < COUNT_OF(clang_only); i++)
		expect_reason(arena_printf(&arena, "clang %s -c x.c", clang_only[i]), REASON_option_dangerous);
	expect_for_both("-fplugin=x.so -c x.c", REASON_plugin);
	expect_reason("clang -fpass-plugin=x.so -c x.c", REASON_plugin);
	expect_reason("gcc -wrapper gdb,--args -c x.c", REASON_plugin);
}
END_TEST

START_TEST(files_that_options_name_are_inputs) // 49
{
	static const char *const options[] = {"-fsanitize-ignorelist=",         "-fsanitize-blacklist=",
					      "-fsanitize-coverage-allowlist=", "-fprofile-list=",
					      "-frandomize-layout-seed-file=",  "-fxray-attr-list=",
					      "-fprofile-instr-use=",           "-fprofile-use=",
					      "-fprofile-sample-use=",          "-fprofile-remapping-file=",
					      "-fbasic-block-sections=list="};
	for (size_t i = 0; i < COUNT_OF(options); i++) {
		const char *word = arena_printf(&arena, "%s/a/f", options[i]);
		expect_path(arena_printf(&arena, "clang %s -c x.c", word), word, ARGUMENT_KEY_PATH, "/a/f");
		ck_assert_uint_eq(c.n_extra_inputs, 1);
		ck_assert_str_eq(c.extra_inputs[0], "/a/f");
	}
	expect_reason("clang -fsanitize-ignorelist= -c x.c", REASON_option_dangerous);
	expect_role("clang -fbasic-block-sections=all -c x.c", "-fbasic-block-sections=all", ARGUMENT_KEY);
	ck_assert_uint_eq(c.n_extra_inputs, 0);
}
END_TEST

static void expect_profile(const char *line, const char *data, const char *directory)
{
	expect_reason(line, REASON_NONE);
	ck_assert(c.needs_output && c.needs_cwd && c.any_comment_matters);
	ck_assert_str_eq(c.profile_data, data);
	ck_assert_pstr_eq(c.profile_directory, directory);
}

START_TEST(profiles_of_gcc_are_named_by_the_output) // 54
{
	expect_profile("gcc -fprofile-use -c x.c", "x.gcda", NULL);
	expect_profile("gcc -fbranch-probabilities -c d/x.y.c", "x.y.gcda", NULL);
	expect_profile("gcc -fprofile-use=dir -c x.c -o d/z.y.o", "d/z.y.gcda", "dir");
	expect_profile("gcc -fprofile-use=dir -fprofile-use -c x.c", "x.gcda", "dir");
	expect_profile("gcc -fprofile-use=dir -fprofile-dir=other -c x.c", "x.gcda", "other");
	expect_reason("gcc -fauto-profile=f -c x.c", REASON_profile_use);
	expect_reason("gcc -fprofile-use -fprofile-prefix-path=/x -c x.c", REASON_profile_use);
	expect_reason("gcc -fprofile-use -c x.c -o /dev/null", REASON_profile_use);
	expect_reason("gcc -fprofile-use -c x.s", REASON_NONE);
	ck_assert_ptr_null(c.profile_data);
}
END_TEST

START_TEST(profiles_of_clang_have_a_name_in_directories) // 54
{
	static const char *const cases[][2] = {
		{"clang -fprofile-instr-use -c x.c", "./default.profdata"},
		{"clang -fprofile-use -c x.c", "./default.profdata"},
		{"clang -fprofile-use= -c x.c", "./default.profdata"},
		{"clang -fprofile-use=/usr -c x.c", "/usr/default.profdata"},
		{"clang -fprofile-use=/no/such -c x.c", "/no/such"},
		{"clang -fprofile-instr-use=x -c x.c", "x"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		expect_reason(cases[i][0], REASON_NONE);
		ck_assert_uint_eq(c.n_extra_inputs, 1);
		ck_assert_str_eq(c.extra_inputs[0], cases[i][1]);
	}
	expect_reason("clang -fprofile-sample-use= -c x.c", REASON_profile_use);
	expect_reason("clang -fprofile-sample-use -c x.c", REASON_profile_use);
}
END_TEST

START_TEST(precompiled_headers_are_made_and_are_inputs) // 57
{
	static const char *const sources[] = {
		"x.h", "x.hh", "x.hpp", "x.H", "-x c-header x.c", "-x c++-header x.hpp", "-x objective-c-header x"};
	static const enum lang langs[] = {LANG_C, LANG_CXX, LANG_CXX, LANG_CXX, LANG_C, LANG_CXX, LANG_OBJC};
	for (size_t i = 0; i < COUNT_OF(sources); i++) {
		expect_for_both(arena_printf(&arena, "-c %s -o x.gch", sources[i]), REASON_NONE);
		ck_assert(c.makes_pch);
		ck_assert_int_eq(c.lang, langs[i]);
		expect_for_both(arena_printf(&arena, "-c %s", sources[i]), REASON_precompiled_header);
	}
	expect_for_both("x.h -o x.gch", REASON_NONE); // without -c too
	expect_for_both("-S x.h -o x.gch", REASON_precompiled_header);
	expect_reason("gcc -c --coverage x.h -o x.gch", REASON_precompiled_header);
	expect_reason("clang -Xclang -emit-pch -c x.c", REASON_precompiled_header);
	expect_reason("clang -Xclang -emit-pch -c x.c -o x.pch", REASON_NONE);
	ck_assert(c.makes_pch);
	// The driver may take a precompiled one for it.
	expect_reason("clang -include y.h -c x.h -o x.pch", REASON_precompiled_header);
	expect_reason("clang -Xclang -include -Xclang y.h -c x.h -o x.pch", REASON_NONE);
	expect_path("clang -include-pch /a/x.pch -c x.c", "/a/x.pch", ARGUMENT_KEY_PATH, "/a/x.pch");
	ck_assert_str_eq(c.extra_inputs[0], "/a/x.pch");
	expect_path("clang -Xclang -include-pch -Xclang /a/x.pch -c x.c", "/a/x.pch", ARGUMENT_KEY_PATH, "/a/x.pch");
	ck_assert_str_eq(c.extra_inputs[0], "/a/x.pch");
}
END_TEST

START_TEST(modules_are_refused) // 56
{
	static const char *const common[] = {"-fmodule-mapper=no/such -c x.cc",
					     "-fmodule-file=x -c x.cc",
					     "-c x.cppm",
					     "-c x.ixx",
					     "-x c++-module -c x.cc",
					     "-fdeps-format=p1689r5 -c x.cc",
					     "-fmodule-header -c x.h"};
	for (size_t i = 0; i < COUNT_OF(common); i++)
		expect_for_both(common[i], REASON_modules);
	expect_reason("clang --precompile -c x.cc", REASON_modules);
	expect_reason("clang -fno-modules -c x.cc", REASON_NONE);
	expect_reason("clang -fmodules -c x.c", REASON_modules);
	expect_reason("clang -fmodules-ts -c x.cc", REASON_modules);
	expect_reason("gcc -fmodules-ts -fmodule-mapper=|x -c x.cc", REASON_modules);
	expect_reason("gcc -fmodules-ts -c x.h -o x.gch", REASON_modules);
}
END_TEST

START_TEST(units_that_only_could_use_modules_are_cached) // 56
{
	expect_reason("gcc -fmodules-ts -c x.cc", REASON_NONE);
	ck_assert_str_eq(c.modules_directory, "gcm.cache");
	ck_assert_ptr_null(c.ddi);
	expect_reason("gcc -fmodules -MD -fdeps-format=p1689r5 -c x.cc -o d/x.y.o", REASON_NONE);
	ck_assert_str_eq(c.ddi, "d/x.y.ddi");
	ck_assert(c.needs_output);
	expect_role("gcc -fmodules -MD -fdeps-format=p1689r5 -c x.cc -o d/x.y.o", "-fdeps-format=p1689r5", ARGUMENT_WRITES);
	expect_reason("gcc -fmodules -MD -MT z -fdeps-format=p1689r5 -c x.cc -o d/x.y.o", REASON_modules);
	expect_reason("gcc -fmodules -MD -fdeps-format=other -c x.cc -o x.o", REASON_modules);
	expect_reason("gcc -fmodules -MD -fdeps-file=x -c x.cc -o x.o", REASON_modules);
}
END_TEST

// ---- effects on the key and the messages ---------------------------------------------------------------------------

START_TEST(prefix_maps_have_a_role_of_their_own) // 51
{
	static const char *const maps[] = {"-ffile-prefix-map=/a=.", "-fdebug-prefix-map=/a=.", "-fmacro-prefix-map=/a=.",
					   "-fcoverage-prefix-map=/a=."};
	for (size_t i = 0; i < COUNT_OF(maps); i++) {
		expect_role(arena_printf(&arena, "clang %s -c x.c", maps[i]), maps[i], ARGUMENT_MAP);
		ck_assert(c.has_prefix_map);
	}
	expect_role("gcc -frandom-seed=x -c x.c", "-frandom-seed=x", ARGUMENT_KEY);
	ck_assert(c.has_random_seed && !c.has_prefix_map);
	expect_role("clang -fdebug-compilation-dir=/a -c x.c", "-fdebug-compilation-dir=/a", ARGUMENT_KEY);
}
END_TEST

START_TEST(recorded_command_lines_are_refused) // 48
{
	expect_reason("clang -frecord-gcc-switches -c x.c", REASON_records_command_line);
	expect_reason("gcc -frecord-gcc-switches -c x.c",
		      REASON_NONE); // as -g; older ones are refused where the version is known
	ck_assert(c.records_options);
	expect_for_both("-frecord-gcc-switches -fno-record-gcc-switches -c x.c", REASON_NONE);
	expect_reason("gcc -g -grecord-gcc-switches -c x.c", REASON_NONE); // only what steers the code
	expect_reason("clang -g -grecord-gcc-switches -c x.c", REASON_records_command_line);
	expect_reason("clang -grecord-command-line -c x.c", REASON_records_command_line);
	expect_reason("clang -frecord-command-line -c x.c", REASON_records_command_line);
	expect_reason("clang -fembed-bitcode -c x.c", REASON_records_command_line);
}
END_TEST

START_TEST(link_time_optimization_is_cached_without_a_jobserver) // 58
{
	expect_for_both("-flto -c x.c", REASON_NONE);
	expect_for_both("-flto=8 -c x.c", REASON_NONE);
	expect_for_both("-flto=thin -c x.c", REASON_NONE);
	expect_for_both("-flto=jobserver -c x.c", REASON_NONE);
}
END_TEST

START_TEST(what_steers_messages_is_noticed)
{
	expect_reason("gcc -Wimplicit-fallthrough=1 -c x.c", REASON_NONE);
	ck_assert(c.any_comment_matters);
	expect_reason("gcc -Wimplicit-fallthrough=3 -c x.c", REASON_NONE);
	ck_assert(!c.any_comment_matters);
	expect_reason("clang -Wdocumentation -c x.c", REASON_NONE);
	ck_assert(c.any_comment_matters);
}
END_TEST

START_TEST(comments_matter_to_options_only)
{
	static const char *const idle[] = {
		"gcc -o CMakeFiles/x.o -MD -MF CMakeFiles/x.d -MT CMakeFiles/x.o -c traditional/x.c",
		"clang -oCMakeFiles/x.o -c ansible.cc",
		"gcc -I Comments -iquote -C -DCC -c Cx.c",
		"gcc -std=c99 -std=gnu17 -std=iso9899:1999 -std=c9x -Wno-comment -c x.c",
		"clang -std=c++98 -Wall -Wextra -fPIC -c x.cc",
	};
	for (size_t i = 0; i < COUNT_OF(idle); i++) {
		expect_reason(idle[i], REASON_NONE);
		ck_assert_msg(!c.any_comment_matters, "%s", idle[i]);
	}
	static const char *const matter[] = {
		"gcc -ansi -c x.c",
		"gcc -std=c89 -c x.c",
		"gcc -std=gnu90 -c x.c",
		"clang --std=iso9899:1990 -c x.c",
		"clang -std=iso9899:199409 -c x.c",
		"gcc -C -c x.c",
		"gcc -traditional-cpp -c x.c",
		"gcc -fverbose-asm -S x.c",
		"gcc -Wc90-c99-compat -c x.c",
		"gcc -Wcomment -c x.c",
		"gcc -Werror=comment -c x.c",
		"gcc -Werror=implicit-fallthrough=1 -c x.c",
		"clang -Werror=documentation -c x.c",
		"clang -Weverything -c x.c",
		"clang -fcomment-block-commands=x -c x.c",
		"clang -g -gembed-source -c x.c",
		"clang -fprofile-instr-generate -fcoverage-mapping -c x.c",
		"clang -Xclang -std=c89 -c x.c",
	};
	for (size_t i = 0; i < COUNT_OF(matter); i++) {
		expect_reason(matter[i], REASON_NONE);
		ck_assert_msg(c.any_comment_matters, "%s", matter[i]);
	}
}
END_TEST

START_TEST(no_option_stands_twice_in_the_table)
{
	size_t n;
	const struct option *t = option_table(&n);
	for (size_t i = 0; i < n; i++) {
		ck_assert(t[i].name[0] == '-' && t[i].len == strlen(t[i].name) && t[i].forms && t[i].family);
		ck_assert_msg((t[i].action == OPTION_refuse) == (t[i].reason != REASON_NONE), "%s", t[i].name);
		for (size_t k = 0; k < i; k++)
			ck_assert_msg(!(t[i].family & t[k].family) || strcmp(t[i].name, t[k].name) != 0, "%s", t[i].name);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_plain_compile_is_understood,
		suffixes_choose_the_language,
		the_last_x_before_the_source_wins,
		cxx_drivers_take_c_for_cxx,
		a_double_dash_ends_the_options_of_clang,
		other_numbers_of_sources_are_refused,
		what_is_no_compile_says_so,
		questions_to_the_compiler_run_untouched,
		values_are_not_taken_for_inputs,
		search_words_carry_their_path,
		forced_includes_are_listed,
		words_stay_as_they_are_and_in_order,
		unknown_words_stay_in_the_key_or_are_refused,
		unknown_options_about_files_are_refused,
		gcc_knows_long_spellings,
		native_stays_in_the_key,
		lists_for_one_stage_pass_only_if_known,
		words_for_cc1_pass_only_if_known,
		the_driver_mode_chooses_the_language,
		values_are_known_whatever_they_look_like,
		another_compiler_is_refused,
		files_that_options_name_are_inputs,
		profiles_of_gcc_are_named_by_the_output,
		profiles_of_clang_have_a_name_in_directories,
		precompiled_headers_are_made_and_are_inputs,
		modules_are_refused,
		units_that_only_could_use_modules_are_cached,
		prefix_maps_have_a_role_of_their_own,
		recorded_command_lines_are_refused,
		link_time_optimization_is_cached_without_a_jobserver,
		what_steers_messages_is_noticed,
		comments_matter_to_options_only,
		no_option_stands_twice_in_the_table,
	};
	return run_tests("cmdline", tests, COUNT_OF(tests));
}
