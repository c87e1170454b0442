// Settings: what a file, the environment and the command line may say, who wins, and what a mistake is told.
#include "client/config.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "settings/conf.h"
#include "settings/nearest.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *directory;
static struct arena arena;
static struct settings config;
static struct err err;

static const char *in_directory(const char *name)
{
	return path_join(&arena, directory, name);
}

static void setup(void)
{
	directory = unit_directory();
	err = (struct err)ERR_INIT;
}

static void teardown(void)
{
	static const char *const names[] = {
		"tree/.coffer.conf",      "tree/src/deep", "tree/src", "tree/.git", "tree",
		"xdg/coffer/coffer.conf", "xdg/coffer",    "xdg",      "user.conf", "system.conf"};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		remove(in_directory(names[i]));
	ck_assert_int_eq(rmdir(directory), 0);
	settings_release(&config);
	arena_release(&arena);
	free(directory);
}

static const char *write_bytes(const char *name, const void *p, size_t n)
{
	const char *path = in_directory(name);
	ck_assert_int_eq(file_make_dirs(path_dir(&arena, path), 0700, &err), 0);
	ck_assert_int_eq(file_write_atomic(AT_FDCWD, path, p, n, 0600, &err), 0);
	return path;
}

static const char *write_text(const char *name, const char *text)
{
	return write_bytes(name, text, strlen(text));
}

// An environment as a list "NAME=value", NULL-terminated.
static const char *list_env(void *ctx, const char *name)
{
	size_t n = strlen(name);
	for (const char **at = ctx; at && *at; at++)
		if (strncmp(*at, name, n) == 0 && (*at)[n] == '=')
			return *at + n + 1;
	return NULL;
}

static int load(const char **env, const char *tree, const char *const *set)
{
	struct config_source src = {list_env, env, tree, set, in_directory("system.conf")};
	settings_release(&config);
	return config_load(&config, &src, &err);
}

static int load_user(const char *text)
{
	const char *path = write_text("user.conf", text);
	const char *env[] = {arena_printf(&arena, "COFFER_CONFIG=%s", path), NULL};
	return load(env, NULL, NULL);
}

static int load_set(const char *word)
{
	const char *set[] = {word, NULL};
	return load(NULL, NULL, set);
}

static void check_refused(int rc, const char *begin, const char *part)
{
	ck_assert_int_eq(rc, -1);
	ck_assert_msg(strncmp(err.text, begin, strlen(begin)) == 0, "'%s' begins not with '%s'", err.text, begin);
	ck_assert_msg(strstr(err.text, part) != NULL, "'%s' has no '%s'", err.text, part);
	ck_assert_ptr_null(strchr(err.text, '\n'));
}

static void check_user_refused(const char *text, int line, const char *part)
{
	int rc = load_user(text);
	check_refused(rc, arena_printf(&arena, "%s:%d: ", in_directory("user.conf"), line), part);
}

// ---- values -------------------------------------------------------------------------------------------------------

START_TEST(watched_folders_are_absolute_names)
{
	static const char *const good[] = {"", "off", "/", "/usr/include", "/usr/include:/opt/x/", "/usr//lib/../include"};
	static const char *const bad[] = {"usr",      ":",  "/usr:", ":/usr",      "/usr::/lib",
					  "/usr:lib", "on", "OFF",   "/usr /lib:x"};
	for (size_t i = 0; i < COUNT_OF(good); i++)
		ck_assert_int_eq(load_set(arena_printf(&arena, "watched_folders=%s", good[i])), 0);
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		ck_assert_int_eq(load_set(arena_printf(&arena, "watched_folders=%s", bad[i])), -1);
}
END_TEST

START_TEST(defaults_hold_without_any_file)
{
	ck_assert_int_eq(load(NULL, in_directory("tree"), NULL), 0);
	ck_assert(setting_bool(&config, SETTING_enabled));
	ck_assert_int_eq(setting_number(&config, SETTING_max_size), (int64_t)10 << 30);
	ck_assert_int_eq(setting_number(&config, SETTING_idle_timeout), 600000);
	ck_assert_int_eq(setting_number(&config, SETTING_log_level), LOG_LEVEL_INFO);
	ck_assert_str_eq(setting_text(&config, SETTING_root), "");
	for (enum setting s = 0; s < SETTING_COUNT; s++)
		ck_assert_str_eq(config.values[s].origin, "default");
}
END_TEST

START_TEST(sizes_take_units_and_fractions)
{
	static const struct {
		const char *text;
		int64_t bytes;
	} good[] = {{"0", 0},
		    {"4096", 4096},
		    {"512M", (int64_t)512 << 20},
		    {"10G", (int64_t)10 << 30},
		    {"1.5G", (int64_t)3 << 29},
		    {"2t", (int64_t)2 << 40},
		    {"0.5k", 512}};
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		ck_assert_int_eq(load_set(arena_printf(&arena, "max_size=%s", good[i].text)), 0);
		ck_assert_int_eq(setting_number(&config, SETTING_max_size), good[i].bytes);
		ck_assert_str_eq(setting_text(&config, SETTING_max_size), good[i].text);
	}
}
END_TEST

START_TEST(sizes_refuse_nonsense)
{
	static const char *const bad[] = {"",
					  "G",
					  "-1G",
					  "+1G",
					  "1.G",
					  ".5G",
					  "1.5",
					  "1,5G",
					  "1 G",
					  "1GB",
					  "10X",
					  "1e3",
					  "0x10",
					  "inf",
					  "99999999999999999999",
					  "9223372036854775807T",
					  "1.1234567G"};
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		check_refused(load_set(arena_printf(&arena, "max_size=%s", bad[i])), "--set: 'max_size' can't be '",
			      "bytes, or a number with K, M, G or T");
}
END_TEST

START_TEST(durations_need_a_unit)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {{"10m", 600000}, {"30s", 30000}, {"250ms", 250}, {"1.5h", 5400000}};
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		ck_assert_int_eq(load_set(arena_printf(&arena, "idle_timeout=%s", good[i].text)), 0);
		ck_assert_int_eq(setting_number(&config, SETTING_idle_timeout), good[i].ms);
	}
	check_refused(load_set("idle_timeout=10"), "--set: ", "a number with ms, s, m, h or d");
	check_refused(load_set("idle_timeout=0s"), "--set: ", "1ms to 7d");
	check_refused(load_set("idle_timeout=200h"), "--set: ", "1ms to 7d");
}
END_TEST

START_TEST(switches_take_all_usual_words)
{
	static const char *const on[] = {"on", "true", "yes", "1", "ON"};
	static const char *const off[] = {"off", "false", "no", "0", "False"};
	for (size_t i = 0; i < COUNT_OF(on); i++) {
		ck_assert_int_eq(load_set(arena_printf(&arena, "enabled=%s", on[i])), 0);
		ck_assert(setting_bool(&config, SETTING_enabled));
		ck_assert_int_eq(load_set(arena_printf(&arena, "enabled=%s", off[i])), 0);
		ck_assert(!setting_bool(&config, SETTING_enabled));
	}
	check_refused(load_set("enabled=maybe"), "--set: 'enabled' can't be 'maybe'", "on or off");
	check_refused(load_set("enabled="), "--set: 'enabled' can't be ''", "on or off");
}
END_TEST

START_TEST(numbers_out_of_range_are_refused)
{
	ck_assert_int_eq(load_set("compression=-7"), 0);
	ck_assert_int_eq(setting_number(&config, SETTING_compression), -7);
	ck_assert_int_eq(load_set("compression=19"), 0);
	ck_assert_int_eq(load_set("max_manifest_entries=1024"), 0);
	check_refused(load_set("compression=20"), "--set: ", "-7 to 19");
	check_refused(load_set("compression=-8"), "--set: ", "-7 to 19");
	check_refused(load_set("compression= 3"), "--set: ", "a whole number");
	check_refused(load_set("compression=3x"), "--set: ", "a whole number");
	check_refused(load_set("compression=99999999999999999999"), "--set: ", "a whole number");
	check_refused(load_set("max_manifest_entries=0"), "--set: ", "1 to 1024");
	check_refused(load_set("max_output=2G"), "--set: ", "0 to 1G");
}
END_TEST

START_TEST(log_levels_are_four_words)
{
	ck_assert_int_eq(load_set("log_level=debug"), 0);
	ck_assert_int_eq(setting_number(&config, SETTING_log_level), LOG_LEVEL_DEBUG);
	ck_assert_int_eq(load_set("log_level=error"), 0);
	ck_assert_int_eq(setting_number(&config, SETTING_log_level), LOG_LEVEL_ERROR);
	check_refused(load_set("log_level=loud"), "--set: ", "error, warn, info or debug");
}
END_TEST

START_TEST(a_path_is_absolute_or_empty)
{
	ck_assert_int_eq(load_set("root=/a/b"), 0);
	ck_assert_int_eq(load_set("root="), 0);
	check_refused(load_set("root=a/b"), "--set: 'root' can't be 'a/b'", "an absolute path");
}
END_TEST

START_TEST(an_endless_value_is_refused)
{
	char *word = arena_alloc(&arena, 6000);
	memset(word, 'x', 5999);
	memcpy(word, "extra_key=", 10);
	check_refused(load_set(word), "--set: the value of 'extra_key' is longer", "4096");
}
END_TEST

START_TEST(a_message_quotes_only_a_short_printable_line)
{
	check_refused(load_set("max_size=a\nb\x1b[31m"), "--set: 'max_size' can't be 'a?b?[31m'", "bytes");
	char *word = arena_alloc(&arena, 1000);
	memset(word, 'y', 999);
	memcpy(word, "max_size=", 9);
	check_refused(load_set(word), "--set: ", "yyy...'");
	ck_assert_uint_lt(strlen(err.text), 200);
}
END_TEST

// ---- names --------------------------------------------------------------------------------------------------------

START_TEST(a_typo_is_told_the_nearest_name)
{
	check_refused(load_set("max_siz=1G"), "--set: unknown setting 'max_siz'; did you mean 'max_size'?", "");
	check_refused(load_set("compresion=1"), "--set: ", "did you mean 'compression'?");
	check_refused(load_set("raed_only=1"), "--set: ", "did you mean 'read_only'?");
	check_refused(load_set("zebra=1"), "--set: unknown setting 'zebra'", "");
	ck_assert_ptr_null(strstr(err.text, "did you mean"));
	check_refused(load_set("=1"), "--set: unknown setting ''", "");
	check_refused(load_set("Enabled=1"), "--set: unknown setting 'Enabled'; did you mean 'enabled'?", "");
}
END_TEST

START_TEST(the_nearest_word_has_fewest_slips)
{
	static const char *const words[] = {"stats", "status", "stop", "config"};
	ck_assert_str_eq(nearest_word("sttaus", words, 4), "status");
	ck_assert_str_eq(nearest_word("stat", words, 4), "stats");
	ck_assert_str_eq(nearest_word("cofnig", words, 4), "config");
	ck_assert_ptr_null(nearest_word("gc", words, 4));
	ck_assert_ptr_null(nearest_word("", words, 4));
	char longer[200];
	memset(longer, 's', sizeof longer);
	longer[sizeof longer - 1] = '\0';
	ck_assert_ptr_null(nearest_word(longer, words, 4));
}
END_TEST

START_TEST(a_set_word_needs_an_equals_sign)
{
	check_refused(load_set("recache"), "--set: 'recache' is not 'name=value'", "");
}
END_TEST

// ---- files --------------------------------------------------------------------------------------------------------

START_TEST(a_file_has_comments_blanks_and_a_byte_order_mark)
{
	ck_assert_int_eq(load_user("\xef\xbb\xbf# first\n\n; second\r\nmax_size = 5G\r\n   compression=3   \n"
				   "extra_key = two words # kept"),
			 0);
	ck_assert_int_eq(setting_number(&config, SETTING_max_size), (int64_t)5 << 30);
	ck_assert_int_eq(setting_number(&config, SETTING_compression), 3);
	ck_assert_str_eq(setting_text(&config, SETTING_extra_key), "two words # kept");
	ck_assert_str_eq(config.values[SETTING_compression].origin, arena_printf(&arena, "%s:5", in_directory("user.conf")));
}
END_TEST

START_TEST(an_empty_file_is_fine)
{
	ck_assert_int_eq(load_user(""), 0);
	ck_assert_int_eq(load_user("\n"), 0);
}
END_TEST

START_TEST(a_bad_line_is_named_by_file_and_line)
{
	check_user_refused("# c\nmax_size = lots\n", 2, "'max_size' can't be 'lots'");
	check_user_refused("\n\nmax_siz = 1G\n", 3, "did you mean 'max_size'?");
	check_user_refused("enabled\n", 1, "not a line 'name = value'");
	check_user_refused("enabled\nmax_size = lots\n", 1, "not a line");
	check_user_refused("max_size = lots\nenabled\n", 1, "can't be 'lots'");
	check_user_refused("enabled = off\n[cache]\nmax_size = 1G\n", 2, "no sections");
	check_user_refused("\xef\xbb\xbf [cache]\n", 1, "no sections");
}
END_TEST

START_TEST(an_indented_line_is_a_line_of_its_own)
{
	ck_assert_int_eq(load_user("extra_key = a\n  compression = 5\n"), 0);
	ck_assert_str_eq(setting_text(&config, SETTING_extra_key), "a");
	ck_assert_int_eq(setting_number(&config, SETTING_compression), 5);
}
END_TEST

START_TEST(a_line_too_long_is_refused_not_cut)
{
	struct buf text = BUF_INIT;
	buf_adds(&text, "enabled = on\nextra_key = ");
	while (text.len < 60000)
		buf_addc(&text, 'k');
	check_user_refused(text.data, 2, "the line is longer than");
	buf_release(&text);
}
END_TEST

START_TEST(a_zero_byte_is_refused)
{
	static const char bytes[] = "enabled = on\nextra_key = a\0b\n";
	const char *path = write_bytes("user.conf", bytes, sizeof bytes - 1);
	const char *env[] = {arena_printf(&arena, "COFFER_CONFIG=%s", path), NULL};
	check_refused(load(env, NULL, NULL), arena_printf(&arena, "%s:2: ", path), "zero byte");
}
END_TEST

START_TEST(a_file_too_large_is_refused)
{
	struct buf text = BUF_INIT;
	while (text.len <= CONF_MAX_FILE)
		buf_adds(&text, "# comment\n");
	check_refused(load_user(text.data), arena_printf(&arena, "%s: ", in_directory("user.conf")), "larger than");
	buf_release(&text);
}
END_TEST

START_TEST(a_directory_is_no_file)
{
	const char *env[] = {arena_printf(&arena, "COFFER_CONFIG=%s", directory), NULL};
	check_refused(load(env, NULL, NULL), arena_printf(&arena, "%s: ", directory), "not a regular file");
}
END_TEST

START_TEST(a_file_that_everybody_can_write_is_refused)
{
	write_text("user.conf", "enabled = off\n");
	ck_assert_int_eq(chmod(in_directory("user.conf"), 0666), 0);
	const char *env[] = {arena_printf(&arena, "COFFER_CONFIG=%s", in_directory("user.conf")), NULL};
	check_refused(load(env, NULL, NULL), arena_printf(&arena, "%s: ", in_directory("user.conf")),
		      "everybody can write it");
}
END_TEST

START_TEST(a_file_of_another_user_is_refused)
{
	if (geteuid() != 0)
		return; // only root can give a file away
	write_text("system.conf", "enabled = off\n");
	ck_assert_int_eq(chown(in_directory("system.conf"), 4242, 4242), 0);
	check_refused(load(NULL, NULL, NULL), arena_printf(&arena, "%s: ", in_directory("system.conf")), "another user");
}
END_TEST

START_TEST(an_unreadable_file_is_an_error_not_silence)
{
	if (geteuid() == 0)
		return; // root can read everything
	write_text("user.conf", "enabled = off\n");
	ck_assert_int_eq(chmod(in_directory("user.conf"), 0), 0);
	const char *env[] = {arena_printf(&arena, "COFFER_CONFIG=%s", in_directory("user.conf")), NULL};
	check_refused(load(env, NULL, NULL), arena_printf(&arena, "%s: ", in_directory("user.conf")), "Permission denied");
}
END_TEST

START_TEST(a_tree_sets_only_what_is_harmless)
{
	const char *tree = in_directory("tree");
	const char *path = write_text("tree/.coffer.conf", "reproducible = off\nextra_key = abi2\n");
	ck_assert_int_eq(load(NULL, tree, NULL), 0);
	ck_assert(!setting_bool(&config, SETTING_reproducible));
	ck_assert_str_eq(setting_text(&config, SETTING_extra_key), "abi2");
	ck_assert_str_eq(config.values[SETTING_extra_key].origin, arena_printf(&arena, "%s:2", path));
	for (enum setting s = 0; s < SETTING_COUNT; s++) {
		if (client_settings.defs[s].is_harmless)
			continue;
		write_text("tree/.coffer.conf", arena_printf(&arena, "enabled = on\n%s = %s\n", client_settings.defs[s].name,
							     client_settings.defs[s].dflt));
		check_refused(load(NULL, tree, NULL),
			      arena_printf(&arena, "%s:2: '%s' ", path, client_settings.defs[s].name),
			      "can't be set by a build tree");
	}
}
END_TEST

// ---- who wins -----------------------------------------------------------------------------------------------------

START_TEST(later_sources_win)
{
	write_text("system.conf", "extra_key = system\n");
	ck_assert_int_eq(load(NULL, NULL, NULL), 0);
	ck_assert_str_eq(setting_text(&config, SETTING_extra_key), "system");

	write_text("xdg/coffer/coffer.conf", "extra_key = user\n");
	const char *xdg = arena_printf(&arena, "XDG_CONFIG_HOME=%s", in_directory("xdg"));
	const char *env[] = {xdg, NULL, NULL};
	ck_assert_int_eq(load(env, NULL, NULL), 0);
	ck_assert_str_eq(setting_text(&config, SETTING_extra_key), "user");

	write_text("tree/.coffer.conf", "extra_key = tree\n");
	ck_assert_int_eq(load(env, in_directory("tree"), NULL), 0);
	ck_assert_str_eq(setting_text(&config, SETTING_extra_key), "tree");

	env[1] = "COFFER_EXTRA_KEY=variable";
	ck_assert_int_eq(load(env, in_directory("tree"), NULL), 0);
	ck_assert_str_eq(setting_text(&config, SETTING_extra_key), "variable");
	ck_assert_str_eq(config.values[SETTING_extra_key].origin, "environment");

	const char *set[] = {"extra_key=word", "extra_key=word2", NULL};
	ck_assert_int_eq(load(env, in_directory("tree"), set), 0);
	ck_assert_str_eq(setting_text(&config, SETTING_extra_key), "word2");
	ck_assert_str_eq(config.values[SETTING_extra_key].origin, "command line");
}
END_TEST

START_TEST(the_environment_names_its_variable_in_errors)
{
	const char *env[] = {"COFFER_MAX_SIZE=much", NULL};
	check_refused(load(env, NULL, NULL), "COFFER_MAX_SIZE: 'max_size' can't be 'much'", "bytes");
}
END_TEST

START_TEST(an_empty_variable_counts_as_not_set)
{
	const char *env[] = {"COFFER_MAX_SIZE=", NULL};
	ck_assert_int_eq(load(env, NULL, NULL), 0);
	ck_assert_str_eq(config.values[SETTING_max_size].origin, "default");
}
END_TEST

START_TEST(the_users_file_is_found_by_environment)
{
	const char *named[] = {"COFFER_CONFIG=/x/c.conf", "XDG_CONFIG_HOME=/xdg", "HOME=/home/u", NULL};
	ck_assert_str_eq(config_user_file(&arena, list_env, named), "/x/c.conf");
	ck_assert_str_eq(config_user_file(&arena, list_env, named + 1), "/xdg/coffer/coffer.conf");
	ck_assert_str_eq(config_user_file(&arena, list_env, named + 2), "/home/u/.config/coffer/coffer.conf");
	ck_assert_ptr_null(config_user_file(&arena, list_env, named + 3));
	const char *none[] = {"COFFER_CONFIG=", "HOME=/home/u", NULL};
	ck_assert_ptr_null(config_user_file(&arena, list_env, none));
}
END_TEST

START_TEST(the_cache_directory_is_found_by_environment)
{
	const char *env[] = {"COFFER_CACHE_DIR=/big//cache/", "XDG_CACHE_HOME=/xdg", "HOME=/home/u", NULL};
	ck_assert_str_eq(config_cache_dir(&arena, list_env, env), "/big/cache");
	ck_assert_str_eq(config_cache_dir(&arena, list_env, env + 1), "/xdg/coffer");
	ck_assert_str_eq(config_cache_dir(&arena, list_env, env + 2), "/home/u/.cache/coffer");
	ck_assert_ptr_null(config_cache_dir(&arena, list_env, env + 3));
	const char *relative[] = {"XDG_CACHE_HOME=rel", "HOME=/home/u", NULL};
	ck_assert_str_eq(config_cache_dir(&arena, list_env, relative), "/home/u/.cache/coffer");
	const char *named[] = {"COFFER_CACHE_DIR=rel", "HOME=/home/u", NULL};
	ck_assert_ptr_null(config_cache_dir(&arena, list_env, named));
}
END_TEST

START_TEST(the_tree_is_the_nearest_directory_with_a_mark)
{
	const char *deep = in_directory("tree/src/deep");
	ck_assert_int_eq(file_make_dirs(deep, 0700, &err), 0);
	ck_assert_int_eq(mkdir(in_directory("tree/.git"), 0700), 0);
	ck_assert_str_eq(config_find_tree(&arena, deep), in_directory("tree"));
	ck_assert_str_eq(config_find_tree(&arena, in_directory("tree//./")), in_directory("tree"));
	ck_assert_int_eq(rmdir(in_directory("tree/.git")), 0);
	ck_assert_str_eq(config_find_tree(&arena, deep), deep);
	ck_assert_str_eq(config_find_tree(&arena, "/"), "/");
}
END_TEST

START_TEST(a_failed_load_leaves_nothing)
{
	ck_assert_int_eq(load_set("max_size=x"), -1);
	ck_assert_ptr_null(config.arena.head);
	ck_assert_ptr_null(config.values);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("config");
	TCase *t = tcase_create("config");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, defaults_hold_without_any_file);
	tcase_add_test(t, sizes_take_units_and_fractions);
	tcase_add_test(t, sizes_refuse_nonsense);
	tcase_add_test(t, durations_need_a_unit);
	tcase_add_test(t, switches_take_all_usual_words);
	tcase_add_test(t, numbers_out_of_range_are_refused);
	tcase_add_test(t, log_levels_are_four_words);
	tcase_add_test(t, watched_folders_are_absolute_names);
	tcase_add_test(t, a_path_is_absolute_or_empty);
	tcase_add_test(t, an_endless_value_is_refused);
	tcase_add_test(t, a_message_quotes_only_a_short_printable_line);
	tcase_add_test(t, a_typo_is_told_the_nearest_name);
	tcase_add_test(t, the_nearest_word_has_fewest_slips);
	tcase_add_test(t, a_set_word_needs_an_equals_sign);
	tcase_add_test(t, a_file_has_comments_blanks_and_a_byte_order_mark);
	tcase_add_test(t, an_empty_file_is_fine);
	tcase_add_test(t, a_bad_line_is_named_by_file_and_line);
	tcase_add_test(t, an_indented_line_is_a_line_of_its_own);
	tcase_add_test(t, a_line_too_long_is_refused_not_cut);
	tcase_add_test(t, a_zero_byte_is_refused);
	tcase_add_test(t, a_file_too_large_is_refused);
	tcase_add_test(t, a_directory_is_no_file);
	tcase_add_test(t, a_file_that_everybody_can_write_is_refused);
	tcase_add_test(t, a_file_of_another_user_is_refused);
	tcase_add_test(t, an_unreadable_file_is_an_error_not_silence);
	tcase_add_test(t, a_tree_sets_only_what_is_harmless);
	tcase_add_test(t, later_sources_win);
	tcase_add_test(t, the_environment_names_its_variable_in_errors);
	tcase_add_test(t, an_empty_variable_counts_as_not_set);
	tcase_add_test(t, the_users_file_is_found_by_environment);
	tcase_add_test(t, the_cache_directory_is_found_by_environment);
	tcase_add_test(t, the_tree_is_the_nearest_directory_with_a_mark);
	tcase_add_test(t, a_failed_load_leaves_nothing);
	suite_add_tcase(s, t);
	return s;
}
