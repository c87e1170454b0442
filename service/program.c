#include "service/program.h"

#include "base/log.h"
#include "settings/flags.h"

#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static int show_help(const struct setting_table *t)
{
	AUTO_BUF struct buf text = BUF_INIT;
	flags_help(t, &text);
	fputs(text.data, stdout);
	return 0;
}

bool program_take_check(int *argc, char **argv)
{
	int kept = 1;
	bool is_check = false;
	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], "--check") == 0)
			is_check = true;
		else
			argv[kept++] = argv[i];
	}
	if (*argc > 0)
		argv[ *argc = kept < *argc ? kept : *argc] = NULL;
	return is_check;
}

// Only what a signal handler may do.
static void end_at_once(int sig)
{
	static const char text[] = "coffer: not all has ended in time, so the process ends with what is left\n";
	(void)sig;
	(void)!write(STDERR_FILENO, text, sizeof text - 1);
	_exit(1);
}

void program_end_within(int ms)
{
	struct sigaction end = {.sa_handler = end_at_once};
	sigset_t alarm;
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	sigaction(SIGALRM, &end, NULL);
	const struct itimerval left = {.it_value = {ms / 1000, ms % 1000 * 1000}};
	setitimer(ITIMER_REAL, &left, NULL);
	pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
}

int program_begin(struct settings *o, const struct setting_table *t, int argc, char **argv, struct program_log log,
		  sigset_t *signals)
{
	struct err err = ERR_INIT;
	int rc = flags_load(o, t, argc, argv, NULL, NULL, &err);
	if (rc != 0)
		return rc > 0 ? show_help(t) : flags_fail(t, &err);
	log_set_level((enum log_level)setting_number(o, log.level));
	log_set_format((enum log_format)setting_number(o, log.format));
	sigemptyset(signals);
	sigaddset(signals, SIGHUP);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGINT);
	sigprocmask(SIG_BLOCK, signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	return -1;
}
