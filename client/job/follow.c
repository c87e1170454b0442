#include "client/job/follow.h"

#include "base/compile_words.h"
#include "base/path.h"
#include "base/preload.h"
#include "base/self.h"
#include "client/services/followed.h"
#include "compiler/names.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_FOLLOWED = 15 }; // of scripts that call coffer, which follows a script that calls coffer…

// Beside cofferd. LD_PRELOAD knows no name with a ':' or a blank, and takes '$' for a variable.
static const char *find_library(struct arena *a)
{
	const char *file = self_beside(a, "libcoffer-follow.so");
	return !file || strpbrk(file, ": \t$") || access(file, R_OK) < 0 ? NULL : file;
}

void follow_note(const struct plan *p)
{
	const char *from = env_value(p->env, "COFFER_FOLLOWED_FROM");
	if (from)
		followed_leads(p->services->followed, from);
}

static bool is_deep(const struct plan *p)
{
	const char *followed = env_value(p->env, "COFFER_FOLLOWED");
	return followed && strtol(followed, NULL, 10) >= MOST_FOLLOWED;
}

const char *follow_order(const struct plan *p, enum reason reason)
{
	bool is_none =
		reason == REASON_compiler_script || reason == REASON_compiler_unknown || reason == REASON_compiler_wrapper;
	if (!is_none || p->wire->n_argv < 1 || !words_are_a_compile(p->wire->argv) || env_value(p->env, "LD_PRELOAD") ||
	    is_deep(p))
		return NULL;
	AUTO_FREE char *real = realpath(p->wire->compiler, NULL);
	bool fits = reason == REASON_compiler_wrapper ? preload_fits(p->wire->compiler)
						      : preload_fits_carrier(p->wire->compiler);
	if (!real || compiler_name_is_of_a_cache(path_base(real)) || !fits)
		return NULL;
	const char *library = find_library(p->arena);
	if (!library || !followed_try(p->services->followed, p->wire->compiler))
		return NULL;
	return arena_printf(p->arena, "%s\n%s", library, p->wire->compiler);
}
