#include "compiler/reason.h"

#include <string.h>

static const struct {
	const char *name, *text;
} reasons[REASON_COUNT] = {
	{"", ""},
#define REASON(name, text) {#name, text},
#include "compiler/reasons.def"
#undef REASON
};

const char *reason_name(enum reason r)
{
	return reasons[r].name;
}

const char *reason_text(enum reason r)
{
	return reasons[r].text;
}

enum reason reason_by_name(const char *name)
{
	for (int i = 1; i < REASON_COUNT; i++)
		if (strcmp(reasons[i].name, name) == 0)
			return (enum reason)i;
	return REASON_NONE;
}
