// `coffer status`: what this machine and its farm are doing, once or again and again.
#include "client/verbs/status.h"

#include "base/value.h"
#include "client/verbs/format.h"
#include "client/verbs/verbs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static const char usage[] = "usage: coffer status [--json] [--watch [--interval TIME]]\n"
			    "\n"
			    "Shows what this machine is doing, and for each farm its workers: slots, sessions, jobs in\n"
			    "flight, queue and hit rate. That no daemon runs is no failure: the next compile starts one.\n"
			    "\n"
			    "  --json           one object; its form is in docs/status.md\n"
			    "  --watch          again and again: on a terminal in its place, else one after the other\n"
			    "  --interval TIME  how often (1s)\n";

enum { INTERVAL_LEAST_MS = 100, INTERVAL_MOST_MS = 3600000 };

// ---- asking -----------------------------------------------------------------------------------------------------------

// The settings of our environment: which farm is ours.
static char *question(void)
{
	struct buf b = BUF_INIT;
	buf_adds(&b, STATUS_JSON);
	for (char **e = environ; *e; e++)
		if ((strncmp(*e, "COFFER_", 7) == 0 || strncmp(*e, "HOME=", 5) == 0 ||
		     strncmp(*e, "XDG_CONFIG_HOME=", 16) == 0) &&
		    !strchr(*e, '\n'))
			buf_addf(&b, "%s\n", *e);
	return b.data;
}

// Which daemon is ours is a matter of the cache directory and the user's settings file.
static json_t *settings_file(void)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	const char *file = config_user_file(&a, process_env, NULL);
	if (!file)
		return json_string("none");
	return json_text(access(file, F_OK) == 0 ? file : arena_printf(&a, "none: there is no '%s'", file));
}

static json_t *other_daemons(void)
{
	enum { MOST = 32 };
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct verb_answer answers[MOST];
	unsigned n = verb_other_daemons(answers, MOST, &a);
	json_t *list = json_array();
	for (unsigned i = 0; i < n; i++) {
		const char *cache = verb_answer_value(&a, &answers[i], "cache");
		json_t *o = json_pack("{s:I}", "pid", (json_int_t)answers[i].pid);
		json_object_set_new(o, "cache", json_text(cache ? cache : ""));
		json_array_append_new(list, o);
	}
	return list;
}

// What the daemon says ("pid" and more; nothing when none runs), the settings that are meant, and `others`.
static int ask(json_t *others, json_t **status, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_FREE char *words = question();
	struct verb_answer answer = {"", 0};
	json_error_t why;
	*status = NULL;
	int rc = verb_ask_daemon(words, &answer, &a, err);
	if (rc < 0)
		return -1;
	*status = rc ? json_loads(answer.text, 0, &why) : json_object();
	if (!json_is_object(*status))
		return err_set(err, ERR_FORMAT, "the daemon's answer is not understood: %s", why.text);
	json_object_set_new(*status, "settings", settings_file());
	json_object_set(*status, "others", others);
	return 0;
}

static void put_object_of(const json_t *status, bool is_one_line)
{
	json_t *o = json_pack("{s:b}", "running", json_object_get(status, "pid") != NULL);
	json_object_set(o, "settings", json_object_get(status, "settings"));
	json_object_set(o, "others", json_object_get(status, "others"));
	json_object_update(o, (json_t *)(uintptr_t)status);
	json_dumpf(o, stdout, is_one_line ? JSON_COMPACT : JSON_INDENT(2));
	putchar('\n');
	fflush(stdout);
	json_decref(o);
}

// ---- the terminal -----------------------------------------------------------------------------------------------------

static bool is_terminal(void)
{
	const char *term = getenv("TERM");
	return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

static bool is_utf8(void)
{
	const char *names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		const char *v = getenv(names[i]);
		if (v && *v)
			return strcasestr(v, "utf-8") || strcasestr(v, "utf8");
	}
	return false;
}

static struct status_view view_now(void)
{
	struct winsize size;
	struct status_view v = {.width = STATUS_WIDTH, .is_cut = is_terminal(), .corner = ""};
	v.has_blocks = v.is_cut && is_utf8();
	if (v.is_cut && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
		v.width = size.ws_col ? size.ws_col : STATUS_WIDTH;
		v.rows = size.ws_row;
	}
	return v;
}

// Another screen, without a cursor; and back.
static void enter_screen(void)
{
	fputs("\033[?1049h\033[?25l\033[2J", stdout);
	fflush(stdout);
}

static void leave_screen(void)
{
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
}

static void put_status(const json_t *status, bool in_place)
{
	AUTO_BUF struct buf text = BUF_INIT;
	AUTO_BUF struct buf out = BUF_INIT;
	struct status_view view = view_now();
	if (!in_place) {
		view.rows = 0;
		status_show(&view, status, &text);
		fwrite(text.data, 1, text.len, stdout);
		fflush(stdout);
		return;
	}
	char clock[16];
	time_t now = time(NULL);
	struct tm tm;
	if (localtime_r(&now, &tm) && strftime(clock, sizeof clock, "%H:%M:%S", &tm))
		view.corner = clock;
	// All in one write, each line over the old one, so that nothing flickers.
	status_show(&view, status, &text);
	buf_adds(&out, "\033[H");
	unsigned line = 1;
	for (const char *at = text.data, *end = at + text.len; at < end; line++) {
		const char *eol = memchr(at, '\n', (size_t)(end - at));
		if (view.rows && line > view.rows)
			break;
		buf_adds(&out, line > 1 ? "\r\n" : "");
		buf_add(&out, at, (size_t)(eol - at));
		buf_adds(&out, "\033[K");
		at = eol + 1;
	}
	buf_adds(&out, "\033[J");
	fwrite(out.data, 1, out.len, stdout);
	fflush(stdout);
}

// ---- again and again --------------------------------------------------------------------------------------------------

// Sleeps; the signal that came, or 0 at the end of the time.
static int sleep_for(const sigset_t *signals, int64_t ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	int number = sigtimedwait(signals, NULL, &t);
	return number > 0 ? number : 0;
}

// ^Z: the shell gets its screen back, until we go on.
static void stop_ourselves(void)
{
	leave_screen();
	raise(SIGSTOP);
	enter_screen();
}

static int watch(int64_t interval_ms, bool json)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};
	bool in_place = !json && is_terminal();
	struct err err = ERR_INIT;
	int number = 0, rc = 0;
	json_t *others = other_daemons(); // once: who is asked again and again never ends for want of work
	sigset_t signals;
	sigemptyset(&signals);
	for (size_t i = 0; i < COUNT_OF(numbers); i++)
		if (in_place || (numbers[i] != SIGTSTP && numbers[i] != SIGWINCH))
			sigaddset(&signals, numbers[i]);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	if (in_place)
		enter_screen();
	for (bool is_first = true; rc == 0; is_first = false) {
		json_t *status;
		rc = ask(others, &status, &err);
		if (rc == 0 && json)
			put_object_of(status, true);
		if (rc == 0 && !json && !in_place && !is_first)
			putchar('\n');
		if (rc == 0 && !json)
			put_status(status, in_place);
		json_decref(status);
		if (rc < 0 || ferror(stdout))
			break;
		number = sleep_for(&signals, interval_ms);
		if (number == SIGTSTP)
			stop_ourselves();
		else if (number && number != SIGWINCH)
			break;
	}
	json_decref(others);
	if (in_place)
		leave_screen();
	if (rc < 0)
		return verb_fail(&err);
	return number == SIGINT || !number ? 0 : 128 + number;
}

static bool read_interval(const char *text, int64_t *ms)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	if (text[strspn(text, "0123456789.")] == '\0')
		text = arena_printf(&a, "%ss", text);
	return !value_parse(VALUE_DURATION, NULL, text, ms) && *ms >= INTERVAL_LEAST_MS && *ms <= INTERVAL_MOST_MS;
}

int verb_status(int argc, char **argv)
{
	enum { INTERVAL = 1 };
	int json = 0, again = 0;
	int64_t interval_ms = 1000;
	const struct option options[] = {{"json", no_argument, &json, 1},
					 {"watch", no_argument, &again, 1},
					 {"interval", required_argument, NULL, INTERVAL},
					 {0}};
	struct verb_args args = {.usage = usage, .options = options};
	if (!verb_parse(&args, argc, argv))
		return args.exit_status;
	const char *interval = args.values[INTERVAL];
	if (interval && !again)
		return verb_wrong("status", "--interval goes with --watch");
	if (interval && !read_interval(interval, &interval_ms))
		return verb_wrong("status", "--interval takes a time from 100ms to 1h, not '%s'", interval);
	if (again)
		return watch(interval_ms, json);
	struct err err = ERR_INIT;
	json_t *status, *others = other_daemons();
	int rc = ask(others, &status, &err);
	json_decref(others);
	if (rc < 0)
		return verb_fail(&err);
	if (json)
		put_object_of(status, false);
	else
		put_status(status, false);
	json_decref(status);
	return 0;
}
