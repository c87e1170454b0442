// What operators set: values, files, flags, and the lines of the log.
#include "settings/flags.h"

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/path.h"
#include "settings/conf.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *directory;
static struct arena arena;
static struct settings options;
static struct err err;

enum { OPT_listen, OPT_heartbeat, OPT_slots, OPT_paranoid, OPT_certificate, OPT_isolation, OPT_image, OPTS };
static const struct setting_def defs[OPTS] = {
	SETTING_DEF(listen, VALUE_ADDRESS, "127.0.0.1:7420", 0, 0, NULL, false, "where it listens"),
	SETTING_DEF(heart_beat, VALUE_DURATION, "5s", 100, 60000, NULL, false, "how often a worker reports"),
	SETTING_DEF(slots, VALUE_INTEGER, "4", 1, INT64_MAX, NULL, false, "jobs at once"),
	SETTING_DEF(paranoid, VALUE_BOOL, "off", 0, 0, NULL, false, "whether"),
	SETTING_DEF(certificate, VALUE_PATH, "", 0, 0, NULL, false, "a file"),
	SETTING_DEF(isolation, VALUE_CHOICE, "sandbox", 0, 0, "process|sandbox|microvm", false, "the least"),
	SETTING_DEF(image, VALUE_LIST, "host", 0, 0, NULL, false, "what it runs"),
};
static struct setting_table table = {"coffer tester", "Tests.", "COFFER_TESTER_", "/nonexistent/x.conf", defs, OPTS};

static void setup(void)
{
	directory = unit_directory();
	err = (struct err)ERR_INIT;
}

static void teardown(void)
{
	remove(path_join(&arena, directory, "x.conf"));
	ck_assert_int_eq(rmdir(directory), 0);
	settings_release(&options);
	arena_release(&arena);
	free(directory);
}

static const char *write_conf(const char *text)
{
	const char *path = path_join(&arena, directory, "x.conf");
	ck_assert_int_eq(file_write_atomic(AT_FDCWD, path, text, strlen(text), 0600, &err), 0);
	return path;
}

// Pairs NAME, VALUE, NULL at the end.
static const char *test_env(void *ctx, const char *name)
{
	for (const char **p = ctx; p && *p; p += 2)
		if (strcmp(p[0], name) == 0)
			return p[1];
	return NULL;
}

static int load(const char **env, const char *const *words)
{
	char *argv[16] = {mem_strdup("tester")};
	int argc = 1;
	for (; words && *words; words++)
		argv[argc++] = mem_strdup(*words);
	settings_release(&options);
	int rc = flags_load(&options, &table, argc, argv, test_env, env, &err);
	for (int i = 0; i < argc; i++)
		free(argv[i]);
	return rc;
}
#define WORDS(...)                \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}

static void fails_with(const char **env, const char *const *words, const char *text)
{
	ck_assert_int_eq(load(env, words), -1);
	ck_assert_str_eq(err.text, text);
}

START_TEST(defaults_hold_where_nothing_is_said)
{
	ck_assert_int_eq(load(NULL, NULL), 0);
	ck_assert_int_eq(setting_number(&options, OPT_heartbeat), 5000);
	ck_assert_int_eq(setting_number(&options, OPT_listen), 7420);
	ck_assert_int_eq(setting_number(&options, OPT_isolation), 1);
	ck_assert_str_eq(setting_text(&options, OPT_certificate), "");
	ck_assert_str_eq(setting_words(&options, OPT_image)[0], "host");
	ck_assert_ptr_null(setting_words(&options, OPT_image)[1]);
	ck_assert_str_eq(options.values[OPT_slots].origin, "default");
}
END_TEST

START_TEST(flags_win_over_the_environment_and_that_over_the_file)
{
	const char *path = write_conf("slots = 1\nheart_beat = 1s\nparanoid = on\n");
	const char *env[] = {
		"COFFER_TESTER_SLOTS", "2", "COFFER_TESTER_HEART_BEAT", "2s", "COFFER_TESTER_CONFIG", path, NULL};
	ck_assert_int_eq(load(env, WORDS("--slots=3")), 0);
	ck_assert_int_eq(setting_number(&options, OPT_slots), 3);
	ck_assert_int_eq(setting_number(&options, OPT_heartbeat), 2000);
	ck_assert(setting_bool(&options, OPT_paranoid));
	ck_assert_str_eq(options.values[OPT_slots].origin, "--slots");
	ck_assert_str_eq(options.values[OPT_heartbeat].origin, "COFFER_TESTER_HEART_BEAT");
	ck_assert_str_eq(options.values[OPT_paranoid].origin, arena_printf(&arena, "%s:3", path));
}
END_TEST

START_TEST(a_file_that_is_named_must_exist)
{
	ck_assert_int_eq(load(NULL, WORDS("--config", "/nonexistent/y.conf")), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	ck_assert_int_eq(load(NULL, WORDS("--config", "")), 0);
}
END_TEST

START_TEST(names_of_files_begin_where_they_are_written)
{
	const char *path = write_conf("certificate = keys/a.pem\n");
	ck_assert_int_eq(load(NULL, WORDS("--config", path)), 0);
	ck_assert_str_eq(setting_text(&options, OPT_certificate), path_join(&arena, directory, "keys/a.pem"));
	ck_assert_int_eq(load(NULL, WORDS("--certificate", "b.pem")), 0);
	AUTO_FREE char *cwd = getcwd(NULL, 0);
	ck_assert_str_eq(setting_text(&options, OPT_certificate), path_join(&arena, cwd, "b.pem"));
}
END_TEST

START_TEST(words_of_a_list_add_up_within_one_source)
{
	const char *path = write_conf("image = a b\nimage = c\n");
	ck_assert_int_eq(load(NULL, WORDS("--config", path)), 0);
	const char *const *words = setting_words(&options, OPT_image);
	ck_assert_str_eq(words[0], "a");
	ck_assert_str_eq(words[2], "c");
	ck_assert_ptr_null(words[3]);
	ck_assert_str_eq(setting_text(&options, OPT_image), "a b c");
	ck_assert_int_eq(load(NULL, WORDS("--config", path, "--image", "d", "--image=e")), 0);
	ck_assert_str_eq(setting_text(&options, OPT_image), "d e");
}
END_TEST

START_TEST(mistakes_are_one_line_that_says_where)
{
	fails_with(NULL, WORDS("--sluts", "3"), "unknown option '--sluts'; did you mean '--slots'?");
	fails_with(NULL, WORDS("-x"), "unknown option '-x'");
	fails_with(NULL, WORDS("--slots"), "the option '--slots' needs a value");
	fails_with(NULL, WORDS("word"), "unexpected word 'word'");
	fails_with(NULL, WORDS("--slots", "0"), "--slots: 'slots' can't be '0'; it takes 1 or more");
	fails_with(NULL, WORDS("--slots", "many"), "--slots: 'slots' can't be 'many'; it takes a whole number");
	fails_with(NULL, WORDS("--heart-beat", "2m"), "--heart-beat: 'heart_beat' can't be '2m'; it takes 100ms to 1m");
	fails_with(NULL, WORDS("--isolation", "vm"),
		   "--isolation: 'isolation' can't be 'vm'; it takes process, sandbox or microvm");
	fails_with(NULL, WORDS("--listen", "here"), "--listen: 'listen' can't be 'here'; it takes HOST:PORT");
	const char *env[] = {"COFFER_TESTER_PARANOID", "maybe", NULL};
	fails_with(env, NULL, "COFFER_TESTER_PARANOID: 'paranoid' can't be 'maybe'; it takes on or off");
	const char *path = write_conf("slots = 2\nslot = 3\n");
	fails_with(NULL, WORDS("--config", path),
		   arena_printf(&arena, "%s:2: unknown setting 'slot'; did you mean 'slots'?", path));
	write_conf("slots = 2\n\nnonsense\n");
	fails_with(NULL, WORDS("--config", path), arena_printf(&arena, "%s:3: this is not a line 'name = value'", path));
	write_conf("[a]\n");
	fails_with(NULL, WORDS("--config", path),
		   arena_printf(&arena, "%s:1: there are no sections here, only lines 'name = value'", path));
}
END_TEST

START_TEST(a_file_that_others_may_write_is_refused)
{
	const char *path = write_conf("slots = 2\n");
	ck_assert_int_eq(chmod(path, 0666), 0);
	ck_assert_int_eq(load(NULL, WORDS("--config", path)), -1);
	ck_assert_int_eq(err.code, ERR_ACCESS);
}
END_TEST

START_TEST(help_shows_every_option)
{
	ck_assert_int_eq(load(NULL, WORDS("--slots", "3", "--help")), 1);
	AUTO_BUF struct buf out = BUF_INIT;
	flags_help(&table, &out);
	ck_assert_ptr_nonnull(strstr(out.data, "usage: coffer tester [OPTION]"));
	for (size_t i = 0; i < OPTS; i++)
		ck_assert_ptr_nonnull(strstr(out.data, defs[i].help));
	ck_assert_ptr_nonnull(strstr(out.data, "  --heart-beat DURATION           how often a worker reports (5s)\n"));
	ck_assert_ptr_nonnull(strstr(out.data, "--paranoid[=on|off]"));
	ck_assert_ptr_nonnull(strstr(out.data, "COFFER_TESTER_LISTEN"));
}
END_TEST

START_TEST(addresses_have_a_host_and_a_port)
{
	const char *host;
	uint16_t port;
	ck_assert(value_split_address(&arena, "[::1]:80", &host, &port));
	ck_assert_str_eq(host, "::1");
	ck_assert_uint_eq(port, 80);
	ck_assert(value_split_address(&arena, ":0", &host, &port));
	ck_assert_str_eq(host, "");
	static const char *const bad[] = {"",      "a",       "a:",    "a:65536", "a:-1", "::1:80",
					  "[::1]", "[::1:80", "a b:1", "a/b:1",   "a:1x"};
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		ck_assert_msg(!value_split_address(&arena, bad[i], &host, &port), "%s", bad[i]);
}
END_TEST

START_TEST(numbers_are_shown_as_they_are_written)
{
	ck_assert_str_eq(value_text(&arena, VALUE_DURATION, 300000), "5m");
	ck_assert_str_eq(value_text(&arena, VALUE_DURATION, 1500), "1500ms");
	ck_assert_str_eq(value_text(&arena, VALUE_DURATION, 0), "0ms");
	ck_assert_str_eq(value_text(&arena, VALUE_SIZE, 4096), "4K");
	ck_assert_str_eq(value_text(&arena, VALUE_INTEGER, -3), "-3");
}
END_TEST

static struct buf seen;
static int see(void *ctx, const struct conf_line *line, struct err *why)
{
	(void)ctx;
	if (line->name && strcmp(line->name, "bad") == 0)
		return err_set(why, ERR_USAGE, "%s: bad", line->where);
	buf_addf(&seen, "%s|%s|%s\n", line->section, line->name ? line->name : "-", line->value ? line->value : "-");
	return 0;
}

static int parse_sections(const char *text)
{
	buf_clear(&seen);
	return conf_parse("f", text, strlen(text), true, see, NULL, &err);
}

START_TEST(sections_are_told_even_when_empty)
{
	ck_assert_int_eq(parse_sections("# c\n[a b]\n[c] ; x\n  n = v ; comment\n"), 0);
	ck_assert_str_eq(seen.data, "a b|-|-\nc|-|-\nc|n|v\n");
	char name[200];
	memset(name, 'x', sizeof name);
	AUTO_FREE char *longest = mem_printf("[%.128s]\n", name);
	ck_assert_int_eq(parse_sections(longest), 0);
	ck_assert_uint_eq(seen.len, 128 + 5);
	AUTO_FREE char *longer = mem_printf("[%.129s]\n", name);
	ck_assert_int_eq(parse_sections(longer), -1);
	ck_assert_int_eq(parse_sections("[a\n"), -1);
	ck_assert_str_eq(err.text, "f:1: this is not a line '[section]'");
	ck_assert_int_eq(parse_sections("[a] b\n"), -1);
	ck_assert_int_eq(parse_sections("[a]\nx = 1\nbad = 2\nbad = 3\n"), -1);
	ck_assert_str_eq(err.text, "f:3: bad");
	buf_release(&seen);
}
END_TEST

// What log_event() writes to standard error.
static char *logged(enum log_format format, const char *name)
{
	int pipes[2], old = dup(STDERR_FILENO);
	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_ge(dup2(pipes[1], STDERR_FILENO), 0);
	log_set_format(format);
	log_event(LOG_LEVEL_INFO, "worker registered", LOG_TEXT("worker", name), LOG_NUMBER("slots", 4));
	log_set_format(LOG_FORMAT_TEXT);
	ck_assert_int_ge(dup2(old, STDERR_FILENO), 0);
	char text[9000] = "";
	ck_assert_int_gt(read(pipes[0], text, sizeof text - 1), 0);
	close(old);
	close(pipes[0]);
	close(pipes[1]);
	return arena_strdup(&arena, text);
}

START_TEST(texts_from_outside_do_nothing_to_a_terminal)
{
	char text[] = "a\033[2J\nb\x7f\xc2\x9b"
		      "c \xc3\xa4\xc2\xa0";
	value_make_plain(text);
	ck_assert_str_eq(text, "a?[2J?b???c \xc3\xa4\xc2\xa0");
}
END_TEST

START_TEST(events_are_words_or_json)
{
	ck_assert_ptr_nonnull(strstr(logged(LOG_FORMAT_TEXT, "w1"), " info worker registered worker=w1 slots=4\n"));
	ck_assert_ptr_nonnull(strstr(logged(LOG_FORMAT_TEXT, "w\n1"), " worker=\"w\\u000a1\" slots=4\n"));
	json_t *o = json_loads(logged(LOG_FORMAT_JSON, "w\"\n\x1b"), 0, NULL);
	ck_assert_ptr_nonnull(o);
	ck_assert_str_eq(json_string_value(json_object_get(o, "worker")), "w\"\n\x1b");
	ck_assert_str_eq(json_string_value(json_object_get(o, "event")), "worker registered");
	ck_assert_int_eq(json_integer_value(json_object_get(o, "slots")), 4);
	json_decref(o);
	char *big = arena_alloc(&arena, 5000);
	memset(big, 'x', 4999);
	o = json_loads(logged(LOG_FORMAT_JSON, big), 0, NULL);
	ck_assert_ptr_nonnull(o);
	ck_assert_int_eq(json_integer_value(json_object_get(o, "slots")), 4);
	json_decref(o);
}
END_TEST

// getopt_long(3) answers by a number for each flag, and by characters for what it does not understand.
START_TEST(many_options_are_all_known)
{
	enum { MANY = 150 };
	struct setting_def many[MANY];
	struct setting_table all = table;
	for (int i = 0; i < MANY; i++)
		many[i] = (struct setting_def){
			.name = arena_printf(&arena, "option_%d", i), .type = VALUE_INTEGER, .dflt = "0"};
	all.defs = many;
	all.n = MANY;
	for (int i = 0; i < MANY; i++) {
		char *argv[] = {mem_strdup("tester"), mem_printf("--option-%d", i), mem_strdup("7"), NULL};
		settings_release(&options);
		ck_assert_msg(flags_load(&options, &all, 3, argv, test_env, NULL, &err) == 0, "%d: %s", i, err.text);
		ck_assert_int_eq(setting_number(&options, (unsigned)i), 7);
		for (int k = 0; k < 3; k++)
			free(argv[k]);
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("flags");
	TCase *tc = tcase_create("options");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, defaults_hold_where_nothing_is_said);
	tcase_add_test(tc, flags_win_over_the_environment_and_that_over_the_file);
	tcase_add_test(tc, a_file_that_is_named_must_exist);
	tcase_add_test(tc, names_of_files_begin_where_they_are_written);
	tcase_add_test(tc, words_of_a_list_add_up_within_one_source);
	tcase_add_test(tc, mistakes_are_one_line_that_says_where);
	tcase_add_test(tc, a_file_that_others_may_write_is_refused);
	tcase_add_test(tc, help_shows_every_option);
	tcase_add_test(tc, addresses_have_a_host_and_a_port);
	tcase_add_test(tc, numbers_are_shown_as_they_are_written);
	tcase_add_test(tc, sections_are_told_even_when_empty);
	tcase_add_test(tc, texts_from_outside_do_nothing_to_a_terminal);
	tcase_add_test(tc, events_are_words_or_json);
	tcase_add_test(tc, many_options_are_all_known);
	suite_add_tcase(s, tc);
	return s;
}
