#include "client/job/dates.h"

#include "base/text.h"

#include <string.h>

// SOURCE_DATE_EPOCH is heeded since these.
enum { GCC_WITH_EPOCH = 7, CLANG_WITH_EPOCH = 16 };

enum { TEXT_MAX = 256 << 20 };

// Of two days and two times of day.
static const char *const days[] = {"SOURCE_DATE_EPOCH=0", "SOURCE_DATE_EPOCH=1666666666"};

static bool text_on(const struct inputs *in, const char *day, struct digest *text)
{
	const struct plan *p = in->plan;
	const char *const more[] = {"-E", p->line.source, NULL};
	size_t n = 0;
	while (p->env[n])
		n++;
	const char **env = arena_alloc(p->arena, (n + 2) * sizeof *env);
	memcpy(env, p->env, n * sizeof *env);
	env[n] = day;
	env[n + 1] = NULL;
	struct child c;
	bool ok = inputs_ask_with(in, more, env, TEXT_MAX, &c);
	if (ok)
		*text = digest_of(c.out.data, c.out.len);
	child_release(&c);
	return ok;
}

bool dates_reach(const struct inputs *in)
{
	const struct plan *p = in->plan;
	unsigned since = p->compiler->family == FAMILY_GCC ? GCC_WITH_EPOCH : CLANG_WITH_EPOCH;
	struct digest text[COUNT_OF(days)];
	if (p->compiler->version < since || p->line.makes_pch || p->line.n_extra_inputs || p->line.modules_directory ||
	    p->inputs_from == INPUTS_SOURCE_ONLY)
		return true;
	for (size_t i = 0; i < COUNT_OF(days); i++)
		if (!text_on(in, days[i], &text[i]))
			return true;
	return !digest_equal(&text[0], &text[1]);
}
