// `coffer status` in windows of any size: no line wraps, and no row goes without a word.
#include "client/verbs/status.h"

#include "tests/unit/unit.h"

#include <check.h>
#include <string.h>

static const char *const said =
	"{'version': '1', 'pid': 7, 'cache': '/home/me/.cache/coffer', 'settings': '/home/me/.config/coffer/coffer.conf',"
	"'others': [{'pid': 8, 'cache': '/x'}, {'pid': 9, 'cache': '/y'}], 'jobs': 3, 'local_slots': 2, 'counters': {},"
	"'farms': [{'scheduler': 'farm.example.org:7420', 'tenant': 'acme', 'image': 'host:any', 'in_flight': 1, "
	"'most_jobs': 9,"
	"'trouble': 'no routes from the scheduler: it is gone', 'trouble_since': 1000, 'workers': ["
	"{'name': 'build-01', 'state': 'fine', 'slots_all': 6, 'running': 6, 'own_answers': 3, 'own_hits': 1},"
	"{'name': 'build-02', 'state': 'same name as', 'why': '10.0.0.1:7430', 'slots_all': 1},"
	"{'name': 'a-worker-with-a-very-long-name-that-fills-the-window', 'state': 'no answer', 'why': 'cannot connect "
	"\xc3\xa9\xe4\xb8"
	"\xad\xe4\xb8\xad\xe4\xb8\xad\xe4\xb8\xad\xe4\xb8\xad\xe4\xb8\xad\xe4\xb8\xad\xe4\xb8\xad\xe4\xb8\xad\xe4\xb8\xad'},"
	"{'name': 'w4', 'state': 'struck out', 'why': 'it answers twice', 'since': 1000}]},"
	"{'why': 'cannot read a file', 'trouble': 'cannot read a file', 'trouble_since': 1000, 'workers': []}]}";

static json_t *status_of(const char *text)
{
	AUTO_FREE char *copy = mem_strdup(text);
	for (char *p = copy; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	json_t *status = json_loads(copy, 0, NULL);
	ck_assert_ptr_nonnull(status);
	return status;
}

// Columns as a terminal counts them at the most, without what colours the text; and how many lines there are.
static unsigned widest(const struct buf *b, unsigned *lines)
{
	unsigned most = 0, width = 0;
	*lines = 0;
	for (size_t i = 0; i < b->len; i++) {
		unsigned char c = (unsigned char)b->data[i];
		if (c == 033) {
			while (b->data[i] != 'm')
				i++;
		} else if (c == '\n') {
			most = width > most ? width : most;
			width = 0;
			++*lines;
		} else if (c < 0x80 || c == 0xe2) { // e2: the blocks of a bar
			width++;
		} else if (c >= 0xc0) {
			width += 2;
		}
	}
	ck_assert_uint_eq(width, 0);
	return most;
}

START_TEST(no_line_is_wider_than_the_window_and_no_row_is_lost_in_silence)
{
	json_t *status = status_of(said);
	unsigned all, lines;
	AUTO_BUF struct buf whole = BUF_INIT;
	status_show(&(struct status_view){.width = 80, .corner = ""}, status, &whole);
	widest(&whole, &all);
	for (unsigned width = 1; width < 130; width++)
		for (unsigned rows = 0; rows < 40; rows++) {
			AUTO_BUF struct buf out = BUF_INIT;
			struct status_view view = {
				.width = width, .rows = rows, .is_cut = true, .corner = "12:00:00", .has_blocks = width % 2};
			status_show(&view, status, &out);
			unsigned most = widest(&out, &lines);
			ck_assert_msg(most <= width, "%u columns in %u:\n%s", most, width, out.data);
			ck_assert_msg(!rows || lines <= rows, "%u lines in %u", lines, rows);
			if (width >= 40 && rows > 1 && rows < 15)
				ck_assert_ptr_nonnull(strstr(out.data, " more lines\n"));
			if (width >= 80 && (!rows || rows >= all))
				ck_assert_uint_eq(lines, all);
		}
	json_decref(status);
}
END_TEST

START_TEST(trouble_has_its_time_and_names_that_are_twice_are_told)
{
	json_t *status = status_of(said);
	AUTO_BUF struct buf out = BUF_INIT;
	status_show(&(struct status_view){.width = 80, .corner = ""}, status, &out);
	ck_assert_ptr_nonnull(
		strstr(out.data, "\n  trouble       since 1970-01-01: no routes from the scheduler: it is gone\n"));
	ck_assert_ptr_nonnull(strstr(out.data, "same name as: 10.0.0.1:7430\n"));
	ck_assert_ptr_nonnull(strstr(out.data, "struck out: it answers twice (since 1970-01-01)\n"));
	ck_assert_ptr_nonnull(strstr(out.data, "\n  settings      /home/me/.config/coffer/coffer.conf\n"));
	ck_assert_ptr_nonnull(
		strstr(out.data, "\n  2 more        daemons of other settings or another cache: pid 8, /x, ...\n"));
	json_decref(status);
}
END_TEST

START_TEST(without_a_daemon_the_others_are_told)
{
	json_t *status = status_of("{'settings': 'none', 'others': [{'pid': 8, 'cache': '/x'}]}");
	AUTO_BUF struct buf out = BUF_INIT;
	status_show(&(struct status_view){.width = 80, .corner = ""}, status, &out);
	ck_assert_str_eq(out.data, "no daemon is running\n  settings      none\n"
				   "  one more      a daemon of other settings or another cache: pid 8, /x\n");
	json_decref(status);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("status view");
	TCase *t = tcase_create("status view");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, no_line_is_wider_than_the_window_and_no_row_is_lost_in_silence);
	tcase_add_test(t, trouble_has_its_time_and_names_that_are_twice_are_told);
	tcase_add_test(t, without_a_daemon_the_others_are_told);
	suite_add_tcase(s, t);
	return s;
}
