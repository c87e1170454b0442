// What a client may ask of a worker: the words for the compiler, the header, the command that becomes of them, the key.
#include "compiler/names.h"
#include "tests/unit/unit.h"
#include "worker/command.h"
#include "worker/header.h"
#include "worker/key.h"
#include "worker/tree_request.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct err err;
static struct arguments found;

// The words of a text, separated by single blanks.
static bool takes(const char *compiler, const char *text)
{
	static char copy[65536];
	const char *words[64];
	size_t n = 0;
	char *save = NULL;
	snprintf(copy, sizeof copy, "%s", text);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		words[n++] = w;
	err_clear(&err);
	bool is_taken = arguments_check(compiler, words, n, &found, &err) == 0;
	ck_assert(is_taken || err.code == ERR_USAGE);
	return is_taken;
}

START_TEST(words_that_steer_are_taken)
{
	static const char *const good[] = {
		"-O2 -g -Wall -Wextra -Werror -Wno-unused -std=c17 -fPIC -fno-strict-aliasing -march=x86-64-v3 -mavx2",
		"-g3 -ggdb -gdwarf-4 -gz=zlib -fstack-protector-strong -D_FORTIFY_SOURCE=2",
		"--param max-inline-insns-single=100 --param=ggc-min-expand=10 -fvisibility=hidden -pthread -pipe",
		"-Wa,--noexecstack -Wa,-mbranches-within-32B-boundaries,--fatal-warnings",
		"-ffile-prefix-map=/home/me/src=. -fdebug-prefix-map=/a=/b -frandom-seed=out/x.o -flto -fno-lto",
		"-S -fstack-usage -gsplit-dwarf -ftemplate-depth=2000 -fdiagnostics-color=always -w -ansi -pedantic",
		"-Wimplicit-fallthrough=3 -Wframe-larger-than=1024 -fsanitize=address,undefined -ftls-model=initial-exec",
	};
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		bool is_define = strstr(good[i], "-D_FORTIFY") != NULL;
		ck_assert_msg(takes("gcc", good[i]) == !is_define, "%s", err.text);
	}
	ck_assert_msg(takes("clang++-14", "-O2 -target aarch64-linux-gnu -fdebug-compilation-dir=/x/y -stdlib=libc++") ==
			      false,
		      "what only steers the link is not needed");
	ck_assert_msg(takes("clang++-14", "-O2 -target aarch64-linux-gnu -fdebug-compilation-dir=/x/y -fcolor-diagnostics"),
		      "%s", err.text);
	ck_assert_msg(takes("clang", "--target=aarch64-linux-gnu -Qunused-arguments"), "%s", err.text);
	ck_assert_msg(takes("cc", "-O2 -g -Wall"), "%s", err.text);
}
END_TEST

START_TEST(words_that_read_files_or_run_code_are_refused)
{
	static const char *const bad[] = {
		"-include /etc/shadow",
		"-include",
		"-imacros x",
		"@/etc/shadow",
		"@x",
		"-fplugin=/tmp/x.so",
		"-fplugin=x",
		"-fplugin-arg-x-y=z",
		"-B/tmp",
		"-B /tmp",
		"-B.",
		"-wrapper sh,-c,id",
		"-specs=/tmp/x",
		"-specs=x",
		"--specs=x",
		"-Wa,-I/etc",
		"-Wa,-I,etc",
		"-Wa,@x",
		"-Wa,-a=x.lst",
		"-Wa,-MD,x",
		"-Wa,--noexecstack,-I.",
		"-Xassembler -I",
		"-Wp,-include,/etc/shadow",
		"-Wp,-MD,x",
		"-Xpreprocessor -include",
		"-Wl,-T,x",
		"-Xlinker x",
		"-I/etc",
		"-I. -I..",
		"-isystem x",
		"-iquote x",
		"-idirafter x",
		"-isysroot x",
		"--sysroot=/",
		"-iprefix x",
		"-nostdinc -I-",
		"-L/x",
		"-o x",
		"-ox",
		"--output=x",
		"-x c",
		"-xc",
		"-E",
		"-M",
		"-MD",
		"-MMD",
		"-MF x",
		"-MT x",
		"-save-temps",
		"-save-temps=obj",
		"-fsyntax-only",
		"-v",
		"-###",
		"--version",
		"-print-search-dirs",
		"-dumpspecs",
		"-time",
		"-fprofile-use",
		"-fprofile-use=x",
		"-fauto-profile=x",

		"-fmodules",
		"-fmodule-file=x",
		"-fmodules-ts",
		"-fmodule-map-file=x",

		"-fdump-tree-all",

		"-fsave-optimization-record",

		"-fprofile-dir=x",
		"-fprofile-note=x",
		"--coverage",
		"-ftest-coverage",
		"-fprofile-arcs",
		"-fdiagnostics-format=json-file",
		"-fbasic-block-sections=list=x",
		"-march=native",
		"-mtune=native",
		"-mcpu=native",
		"-frecord-gcc-switches",
		"-fworking-directory x",
		"x.c",
		"/etc/shadow",
		"-",
		"-Xclang -load",
		"-Xclang -fno-pch-timestamp",
		"-mllvm -x",
		"-Xarch_host -O2",
		"--gcc-toolchain=/x",
		"--config=x",
		"--config x",
		"-ivfsoverlay x",
		"-fpass-plugin=x",
		"-fcompare-debug",
		"-fdump-go-spec=x",
		"-fself-test=x",
		"-foffload=x -foffload-options=/x",
		"-stdlib++-isystem x",
		"-no-canonical-prefixes",
		"-T x",
		"-fsomething=/etc/shadow",
		"-m../x",
		"-Wsomething=/x",
		"--param=x=/y",
		"--param /etc/x",
		"--param -B",
		"-target ../x",
		"-iplugindir=x",
		"-fuse-ld=/x",
		"-rtlib=x",
		"-resource-dir x",
		"-Dx",
		"-Ux",
		"-fcallgraph-info=su/x",
		"-fprofile-instr-use=x",
		"-fprofile-list=x",
		"-fsanitize-ignorelist=x",
		"-fsanitize-blacklist=x",
		"-fprebuilt-module-path=x",
		"-fopt-info-all=x",
		"-ftime-trace",
		"-foptimization-record-file=x",
	};
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		ck_assert_msg(!takes("gcc", bad[i]), "gcc takes '%s'", bad[i]);
		ck_assert_msg(!takes("clang", bad[i]), "clang takes '%s'", bad[i]);
		ck_assert_msg(!takes("cc", bad[i]), "cc takes '%s'", bad[i]);
	}
	const char *line[] = {"-O2\n-B."}, *empty[] = {""};
	ck_assert_int_eq(arguments_check("gcc", line, 1, &found, &err), -1);
	ck_assert_int_eq(arguments_check("gcc", empty, 1, &found, &err), -1);
}
END_TEST

START_TEST(words_have_limits)
{
	static const char *many[ARGUMENTS_MAX + 1];
	static char longest[ARGUMENT_MAX + 2];
	for (size_t i = 0; i < COUNT_OF(many); i++)
		many[i] = "-g";
	ck_assert_int_eq(arguments_check("gcc", many, ARGUMENTS_MAX, &found, &err), 0);
	ck_assert_int_eq(arguments_check("gcc", many, ARGUMENTS_MAX + 1, &found, &err), -1);
	memset(longest, 'x', sizeof longest - 1);
	memcpy(longest, "-f", 2);
	const char *word[] = {longest};
	ck_assert_int_eq(arguments_check("gcc", word, 1, &found, &err), -1);
	longest[ARGUMENT_MAX] = '\0';
	ck_assert_int_eq(arguments_check("gcc", word, 1, &found, &err), 0);
	for (size_t i = 0; i < COUNT_OF(many); i++)
		many[i] = longest;
	ck_assert_int_eq(arguments_check("gcc", many, 17, &found, &err), -1);
}
END_TEST

START_TEST(only_compilers_are_compilers)
{
	static const char *const good[] = {"gcc",
					   "g++",
					   "cc",
					   "c++",
					   "clang",
					   "clang++",
					   "gcc-12",
					   "clang++-14",
					   "arm-none-eabi-gcc",
					   "aarch64-linux-gnu-g++-12",
					   "x86_64-linux-gnu-gcc-12.2"};
	static const char *const bad[] = {"",     "sh",    "python3", "/usr/bin/gcc", "../gcc", "gcc/x",
					  ".gcc", "-gcc",  "gccx",    "gcc sh",       "as",     "ld",
					  "gcc-", "gcc-x", "gcc;id",  "cc1",          "gcc-ar", "gcc-nm-12"};
	for (size_t i = 0; i < COUNT_OF(good); i++)
		ck_assert_msg(compiler_name_is_known(good[i]), "%s", good[i]);
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		ck_assert_msg(!compiler_name_is_known(bad[i]), "%s", bad[i]);
}
END_TEST

// ---- headers --------------------------------------------------------------------------------------------------------

static char *words[] = {(char[]){"-O2"}, (char[]){"-gsplit-dwarf"}};
static Coffer__V1__Output object, split, stack;
static Coffer__V1__Output *outputs[4];
static Coffer__V1__CompileHeader header;

#define TEXT(s) ((char *)(uintptr_t)(s))

static void make_header(void)
{
	object = split = stack = (Coffer__V1__Output)COFFER__V1__OUTPUT__INIT;
	split.kind = COFFER__V1__OUTPUT__KIND__DWO;
	stack.kind = COFFER__V1__OUTPUT__KIND__STACK_USAGE;
	outputs[0] = &object;
	outputs[1] = &split;
	outputs[2] = outputs[3] = &stack;
	header = (Coffer__V1__CompileHeader)COFFER__V1__COMPILE_HEADER__INIT;
	header.image = TEXT("host:any");
	header.compiler = TEXT("gcc");
	header.language = TEXT("cpp-output");
	header.suffix = TEXT(".i");
	header.arguments = words;
	header.n_arguments = 2;
	header.outputs = outputs;
	header.n_outputs = 2;
	header.output_name = TEXT("out/x.o");
}

#define REFUSED(field, value)                                                                          \
	do {                                                                                           \
		make_header();                                                                         \
		header.field = value;                                                                  \
		err_clear(&err);                                                                       \
		ck_assert_msg(header_check(&header, &found, &err) < 0, "taken: " #field " = " #value); \
		ck_assert_int_eq(err.code, ERR_USAGE);                                                 \
	} while (0)

START_TEST(a_good_header_is_taken)
{
	make_header();
	ck_assert_msg(header_check(&header, &found, &err) == 0, "%s", err.text);
	ck_assert(found.has_split_dwarf && !found.is_clang);
}
END_TEST

START_TEST(headers_that_ask_for_more_are_refused)
{
	REFUSED(image, TEXT("host"));
	REFUSED(image, TEXT("sha256:12"));
	REFUSED(image, TEXT("../x"));
	REFUSED(compiler, TEXT("/bin/sh"));
	REFUSED(language, TEXT("c"));
	REFUSED(language, TEXT("assembler-with-cpp"));
	REFUSED(language, TEXT(""));
	REFUSED(suffix, TEXT(".c"));
	REFUSED(suffix, TEXT("../x.i"));
	REFUSED(suffix, TEXT(""));
	REFUSED(n_outputs, 0);
	REFUSED(n_outputs, 3); // no -fstack-usage
	REFUSED(n_outputs, 4);
	REFUSED(n_arguments, 1);       // a .dwo without -gsplit-dwarf
	REFUSED(outputs, outputs + 1); // no object
	REFUSED(source_digest, ((ProtobufCBinaryData){31, (uint8_t[31]){0}}));
	static const char *const names[] = {"/x.o",     "../x.o",  "a/../x.o", "a//x.o",     "a/",
					    ".x.o",     "-x.o",    "a/-x.o",   "a b.o",      "x\n.o",
					    "source.i", "a/./x.o", "x.o;id",   "\xc3\xa4.o", "a/.b/x.o"};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		REFUSED(output_name, TEXT(names[i]));
}
END_TEST

START_TEST(outputs_are_named_once_and_of_known_kinds)
{
	make_header();
	split.kind = COFFER__V1__OUTPUT__KIND__OBJECT;
	ck_assert_int_eq(header_check(&header, &found, &err), -1);
	make_header();
	split.kind = COFFER__V1__OUTPUT__KIND__COVERAGE_NOTES;
	ck_assert_int_eq(header_check(&header, &found, &err), -1);
	make_header();
	split.kind = (Coffer__V1__Output__Kind)77;
	ck_assert_int_eq(header_check(&header, &found, &err), -1);
}
END_TEST

// ---- commands -------------------------------------------------------------------------------------------------------

static void expect_command(const char *text)
{
	static const uint8_t source[32] = {0xab, 0xcd};
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct worker_command c;
	char line[4096] = "";
	ck_assert_msg(header_check(&header, &found, &err) == 0, "%s", err.text);
	command_build(&c, &a, &header, &found, source);
	for (size_t i = 0; c.arguments[i]; i++)
		snprintf(line + strlen(line), sizeof line - strlen(line), "%s%s", i ? " " : "", c.arguments[i]);
	ck_assert_str_eq(line, text);
	ck_assert_str_eq(c.outputs[0],
			 strcmp(header.output_name, "") == 0 ? found.is_assembler_text ? "x.s" : "x.o" : "out/x.o");
	if (c.n_outputs > 1)
		ck_assert_str_eq(c.outputs[1], "out/x.dwo");
}

START_TEST(the_worker_adds_its_own_words)
{
	make_header();
	expect_command("gcc -O2 -gsplit-dwarf -c -x cpp-output source.i -o out/x.o");
	header.compiler = TEXT("clang++");
	header.language = TEXT("c++-cpp-output");
	header.suffix = TEXT(".ii");
	expect_command("clang++ -O2 -gsplit-dwarf -fdebug-compilation-dir=. -c -x c++-cpp-output source.ii -o out/x.o");
	make_header();
	header.n_outputs = 1;
	header.output_name = TEXT("");
	char *lto[] = {TEXT("-S"), TEXT("-flto")};
	header.arguments = lto;
	expect_command("gcc -S -flto -frandom-seed=abcd000000000000 -x cpp-output source.i -o x.s");
}
END_TEST

// ---- keys -----------------------------------------------------------------------------------------------------------

static struct key key_now(const char *tenant, const char *identity, uint8_t byte)
{
	uint8_t source[32] = {byte};
	return key_of(tenant, identity, &header, source);
}

START_TEST(everything_that_matters_is_in_the_key)
{
	make_header();
	struct key keys[16];
	size_t n = 0;
	keys[n++] = key_now("a", "host:1", 1);
	keys[n++] = key_now("b", "host:1", 1);
	keys[n++] = key_now("a", "host:2", 1);
	keys[n++] = key_now("a", "host:1", 2);
	keys[n++] = key_aside(&keys[0]);
#define OTHER(field, value)                            \
	do {                                           \
		make_header();                         \
		header.field = value;                  \
		keys[n++] = key_now("a", "host:1", 1); \
	} while (0)
	OTHER(compiler, TEXT("g++"));
	OTHER(language, TEXT("c++-cpp-output"));
	OTHER(suffix, TEXT(".ii"));
	OTHER(output_name, TEXT("out/y.o"));
	OTHER(n_outputs, 1);
	OTHER(n_arguments, 1);
	// The same bytes in other fields.
	make_header();
	char *joined[] = {TEXT("-O2-gsplit-dwarf"), TEXT("")};
	header.arguments = joined;
	keys[n++] = key_now("a", "host:1", 1);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			ck_assert_msg(memcmp(keys[i].b, keys[k].b, 32) != 0, "%zu and %zu", i, k);
	make_header();
	header.source_size = 77;
	header.source_name = TEXT("elsewhere");
	header.timeout_ms = 12;
	header.no_lookup = true;
	header.source_digest = (ProtobufCBinaryData){32, (uint8_t[32]){9}};
	struct key same = key_now("a", "host:1", 1);
	ck_assert_mem_eq(same.b, keys[0].b, 32);
}
END_TEST

START_TEST(the_key_is_the_documented_one)
{
	// echo of the documented encoding by another program: python3 -c 'import hashlib,struct; …' over these fields.
	char hex[KEY_HEX];
	make_header();
	struct key key = key_now("acme", "host:0123", 7);
	key_hex(&key, hex);
	ck_assert_str_eq(hex, "a00b9b887ed83e77a969ba99778ae2b2108b2f5846fa6b3262a5f7ed74d3f8f9");
}
END_TEST

// ---- what was asked for, from its key's bytes -----------------------------------------------------------------------

static void make_tree(Coffer__V1__CompileTree *tree)
{
	static char *environment[] = {TEXT("LC_ALL=C")};
	make_header();
	*tree = (Coffer__V1__CompileTree)COFFER__V1__COMPILE_TREE__INIT;
	tree->directory = TEXT("/src/a b");
	tree->environment = environment;
	tree->n_environment = 1;
	object.name = TEXT("/src/out/x.o");
	split.name = TEXT("/src/out/x.dwo");
	header.tree = tree;
	header.language = header.suffix = header.output_name = TEXT("");
}

START_TEST(a_request_is_read_back_from_its_key)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf bytes = BUF_INIT, again = BUF_INIT;
	const uint8_t listing[32] = {3};
	Coffer__V1__CompileTree tree;
	struct tree_request r;
	make_tree(&tree);
	key_add_tree(&bytes, "acme", "host:0123", &header, listing);
	ck_assert_msg(tree_request_read(bytes.data, bytes.len, &a, &r, &err) == 0, "%s", err.text);
	ck_assert_str_eq(r.scope, "acme");
	ck_assert_str_eq(r.header.image, "host:any");
	ck_assert_str_eq(r.tree.directory, "/src/a b");
	ck_assert_str_eq(r.outputs[1].name, "/src/out/x.dwo");
	ck_assert_str_eq(r.header.arguments[1], "-gsplit-dwarf");
	ck_assert_mem_eq(r.listing.b, listing, 32);
	key_add_tree(&again, r.scope, r.identity, &r.header, r.listing.b);
	ck_assert_uint_eq(again.len, bytes.len);
	ck_assert_mem_eq(again.data, bytes.data, bytes.len);
	// Nothing less, nothing more, and no other byte of it that would be taken for the same.
	for (size_t n = 0; n < bytes.len; n++)
		ck_assert_int_eq(tree_request_read(bytes.data, n, &a, &r, &err), -1);
	buf_addc(&bytes, 'x');
	ck_assert_int_eq(tree_request_read(bytes.data, bytes.len, &a, &r, &err), -1);
}
END_TEST

START_TEST(a_request_that_no_client_may_make_is_none)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	const uint8_t listing[32] = {3};
	struct tree_request r;
	Coffer__V1__CompileTree tree;
	static char *bad[] = {TEXT("LD_PRELOAD=/x.so")};
	for (int i = 0; i < 3; i++) {
		AUTO_BUF struct buf bytes = BUF_INIT;
		make_tree(&tree);
		if (i == 0)
			tree.environment = bad;
		if (i == 1)
			tree.directory = TEXT("/src/..");
		if (i == 2)
			header.compiler = TEXT("/bin/sh");
		key_add_tree(&bytes, "acme", "host:0123", &header, listing);
		ck_assert_int_eq(tree_request_read(bytes.data, bytes.len, &a, &r, &err), -1);
		ck_assert_int_eq(err.code, ERR_USAGE);
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("worker request");
	TCase *t = tcase_create("all");
	tcase_add_test(t, words_that_steer_are_taken);
	tcase_add_test(t, words_that_read_files_or_run_code_are_refused);
	tcase_add_test(t, words_have_limits);
	tcase_add_test(t, only_compilers_are_compilers);
	tcase_add_test(t, a_good_header_is_taken);
	tcase_add_test(t, headers_that_ask_for_more_are_refused);
	tcase_add_test(t, outputs_are_named_once_and_of_known_kinds);
	tcase_add_test(t, the_worker_adds_its_own_words);
	tcase_add_test(t, everything_that_matters_is_in_the_key);
	tcase_add_test(t, the_key_is_the_documented_one);
	tcase_add_test(t, a_request_is_read_back_from_its_key);
	tcase_add_test(t, a_request_that_no_client_may_make_is_none);
	suite_add_tcase(s, t);
	return s;
}
