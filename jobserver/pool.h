// Where the tokens are: the pipes or the fifo between us and the tool. One byte is one token (GNU make manual, "POSIX
// Jobserver Interaction"); its value means nothing, since make writes back '+' whatever it read.
//
// POOL_PIPES: the tool reads from one pipe and writes into another, so that every token that comes back passes through
// us. POOL_FIFO: one fifo in a private directory, for make 4.4 and ninja 1.14; tokens that come back land in it and may be
// taken again before we look. All our ends are descriptions of our own, non-blocking: make shares its end with all its
// children and sets flags on it. We keep both ends of everything open, so that nobody sees end-of-file or EPIPE.
// Thread: one.
#ifndef COFFER_JOBSERVER_POOL_H
#define COFFER_JOBSERVER_POOL_H

#include "base/err.h"

#include <stdbool.h>

enum pool_kind { POOL_NONE, POOL_PIPES, POOL_FIFO };

struct token_pool {
	enum pool_kind kind;
	int put_fd;         // tokens go in here
	int unread_fd;      // and can be taken back here
	int back_fd;        // POOL_PIPES: tokens come back here; else -1
	int tool_r, tool_w; // POOL_PIPES: what the tool inherits (close-on-exec until pool_inherit())
	char *fifo;         // POOL_FIFO: its path
	char auth[128];     // the value of --jobserver-auth
};
#define POOL_INIT                                       \
	{                                               \
		POOL_NONE, -1, -1, -1, -1, -1, NULL, "" \
	}

// `dir` is a private directory for the fifo; pool_close() removes the fifo, not the directory.
int pool_open(struct token_pool *p, enum pool_kind kind, const char *dir, struct err *err);
void pool_close(struct token_pool *p);
void pool_inherit(const struct token_pool *p); // in the child, before exec: lets the tool's ends through
bool pool_put(struct token_pool *p);           // one token in; false: it did not fit
bool pool_take(struct token_pool *p);          // one unread token out; false: somebody was faster
unsigned pool_unread(const struct token_pool *p);
unsigned pool_back(struct token_pool *p); // POOL_PIPES: reads what came back, returns how many

// A description of its own of a pipe we have or that `path` names, non-blocking; -1 with errno (ENXIO if it is none).
int pool_reopen_fd(int fd, int how);
int pool_reopen_path(const char *path, int how);

#endif
