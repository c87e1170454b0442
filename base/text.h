// Small questions about text. Thread: any.
#ifndef COFFER_BASE_TEXT_H
#define COFFER_BASE_TEXT_H

#include <stdbool.h>
#include <string.h>

static inline bool text_begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

#endif
