// Scanning one text at a time. The tests of the scanner share it.
#ifndef COFFER_TESTS_UNIT_SCAN_HELPERS_H
#define COFFER_TESTS_UNIT_SCAN_HELPERS_H

#include "depscan/scan.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct scan s;
#define HAS(name) (!!(s.facts & FACT_##name))

static inline void teardown(void)
{
	scan_release(&s);
}

static inline void scan(const char *text)
{
	scan_release(&s);
	// A block of its own size, so that a sanitizer sees a step too far.
	size_t len = strlen(text);
	char *copy = malloc(len ? len : 1);
	ck_assert_ptr_nonnull(copy);
	memcpy(copy, text, len);
	scan_text(&s, copy, len);
	free(copy);
}

#endif
