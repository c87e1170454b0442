// The progress line of a build: the last line of the terminal, kept out of the tool's output by a scroll region, as apt
// does it. Nothing is drawn while the terminal is not in its line mode (a full-screen program is running) or we are not
// in the foreground. Thread: one.
#ifndef COFFER_JOBSERVER_PROGRESS_H
#define COFFER_JOBSERVER_PROGRESS_H

#include <stdbool.h>

struct progress {
	int fd; // the terminal; -1: silent
	int rows, columns;
	bool shown; // the scroll region is set
};

void progress_init(struct progress *p, int fd, bool wanted); // silent unless fd is a terminal that can do it
void progress_draw(struct progress *p, const char *line, bool resized);
void progress_end(struct progress *p); // gives the last line back

#endif
