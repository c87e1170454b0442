// The environment variables that travel with a job: those that can change what gcc or clang do or print, those that say
// where programs and headers are found, and coffer's own. Nothing else leaves the launcher: build environments are full of
// passwords and tokens.
//
// Who adds a compiler (or a wrapper around one) that reads further variables adds them to base/compiler_variables.def; a
// wrapper script of unknown kind can read anything, so its compiles cannot be known from these alone. Thread: any.
#ifndef COFFER_CLIENT_WIRE_ENV_NAMES_H
#define COFFER_CLIENT_WIRE_ENV_NAMES_H

#include "base/mem.h"

#include <stdbool.h>
#include <string.h>

struct env_name {
	const char *name; // with a '*' at its end: all that begin so
	size_t len;       // without the '*'
	bool is_prefix;
};

static const struct env_name env_names[] = {
#define ENV_KEY 1
#define ENV_LOOK 1
#define ENV_MESSAGES 1
#define ENV_TERMINAL 1
#define ENV_REFUSED 1
#define ENV_TRAVELS 1
#define ENV_IDLE 0
#define ENV_IS_PREFIX(name) (name[sizeof name - 2] == '*')
#define VARIABLE(role, name) {ENV_##role ? name : "", sizeof name - 1 - ENV_IS_PREFIX(name), ENV_IS_PREFIX(name)},
#include "base/compiler_variables.def"
#undef VARIABLE
};

// Whether NAME=value travels.
static inline bool env_travels(const char *entry)
{
	size_t n = strcspn(entry, "=");
	if (entry[n] != '=')
		return false;
	for (size_t i = 0; i < COUNT_OF(env_names); i++) {
		const struct env_name *e = &env_names[i];
		if (e->name[0] == entry[0] && strncmp(entry, e->name, e->len) == 0 && (e->is_prefix || n == e->len))
			return true;
	}
	return false;
}

#endif
