// A jobserver's pipe that is a number, for clients_io.
#ifndef COFFER_TESTS_UNIT_PIPE_OF_TOKENS_H
#define COFFER_TESTS_UNIT_PIPE_OF_TOKENS_H

#include <stdbool.h>

static unsigned pipe_has;

static unsigned io_unread(void *ctx)
{
	(void)ctx;
	return pipe_has;
}

static bool io_put(void *ctx)
{
	(void)ctx;
	pipe_has++;
	return true;
}

static bool io_take(void *ctx)
{
	(void)ctx;
	return pipe_has && pipe_has--;
}

#endif
