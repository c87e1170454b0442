#include "jobserver/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { LEAST_ROWS = 5, LEAST_COLUMNS = 40, LONGEST_LINE = 300 };

// VT100: save and restore the cursor, set the scroll region, go to a row, clear to the end of the line.
#define SAVE "\0337"
#define RESTORE "\0338"
#define CLEAR "\033[K"

static void put(const struct progress *p, const char *text, int n)
{
	if (n > 0)
		(void)!write(p->fd, text, (size_t)n);
}

static bool look_at_size(struct progress *p)
{
	struct winsize w;
	if (ioctl(p->fd, TIOCGWINSZ, &w) < 0)
		return false;
	p->rows = w.ws_row;
	p->columns = w.ws_col;
	return p->rows >= LEAST_ROWS && p->columns >= LEAST_COLUMNS;
}

static bool is_ours_to_draw(const struct progress *p)
{
	struct termios t;
	return tcgetattr(p->fd, &t) == 0 && (t.c_lflag & ICANON) && tcgetpgrp(p->fd) == getpgrp();
}

void progress_init(struct progress *p, int fd, bool wanted)
{
	const char *term = getenv("TERM");
	*p = (struct progress){.fd = -1};
	if (wanted && isatty(fd) && term && strcmp(term, "dumb") != 0 && term[0])
		p->fd = fd;
}

// The new line makes room where the cursor is in the last row.
static void show(struct progress *p)
{
	char text[64];
	put(p, text, snprintf(text, sizeof text, "\n" SAVE "\033[1;%dr" RESTORE "\033[1A", p->rows - 1));
	p->shown = true;
}

static void hide(struct progress *p)
{
	char text[64];
	put(p, text, snprintf(text, sizeof text, SAVE "\033[%d;1H" CLEAR "\033[r" RESTORE, p->rows));
	p->shown = false;
}

void progress_draw(struct progress *p, const char *line, bool resized)
{
	if (p->fd < 0 || !is_ours_to_draw(p))
		return;
	if (resized && p->shown)
		hide(p);
	if (!p->shown) {
		if (!look_at_size(p))
			return;
		show(p);
	}
	char text[LONGEST_LINE + 64];
	int width = p->columns - 1 < LONGEST_LINE ? p->columns - 1 : LONGEST_LINE;
	put(p, text, snprintf(text, sizeof text, SAVE "\033[%d;1H%.*s" CLEAR RESTORE, p->rows, width, line));
}

void progress_end(struct progress *p)
{
	if (p->fd >= 0 && p->shown)
		hide(p);
	p->fd = -1;
}
