#include "compiler/parity.h"

#include <stdio.h>
#include <string.h>

// The rest of the first line that begins with `start`.
static bool take_line(const char *text, const char *start, bool with_start, char *out, size_t room)
{
	size_t n = strlen(start);
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, start, n) != 0)
			continue;
		const char *from = with_start ? line : line + n;
		size_t len = strcspn(from, "\n");
		while (len && from[len - 1] == ' ')
			len--;
		snprintf(out, room, "%.*s", (int)len, from);
		return true;
	}
	return false;
}

// "Debian clang version 14.0.6": a distribution puts its name before.
static bool take_version(const char *text, char *out, size_t room)
{
	if (take_line(text, "gcc version ", true, out, room) || take_line(text, "clang version ", true, out, room))
		return true;
	const char *at = strstr(text, " clang version ");
	return at && take_line(at + 1, "clang version ", true, out, room);
}

int toolchain_facts_of_text(const char *defines, size_t n_defines, const char *verbose, struct toolchain_facts *facts,
			    struct err *err)
{
	*facts = (struct toolchain_facts){.defines = digest_of(defines, n_defines)};
	if (n_defines < 8 || strncmp(defines, "#define ", 8) != 0)
		return err_set(err, ERR_FORMAT, "the compiler does not list its built-in definitions");
	if (!take_version(verbose, facts->version, sizeof facts->version) ||
	    !take_line(verbose, "Target: ", false, facts->target, sizeof facts->target))
		return err_set(err, ERR_FORMAT, "the compiler does not tell its version and target");
	return 0;
}
