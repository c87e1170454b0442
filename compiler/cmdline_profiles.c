#include "compiler/cmdline_parts.h"

#include "base/text.h"

#include <string.h>
#include <sys/stat.h>

// Options about profiles: where counters go, and where they come from.

// ---- clang: the option names a file, or a directory with a default.profdata --------------------------------------------

static void use_profile(struct parser *p, const struct use *u, const char *file)
{
	struct stat st;
	p->c->arguments[u->value_word].role = ARGUMENT_KEY_PATH;
	p->c->arguments[u->value_word].prefix = u->value ? u->prefix : (unsigned)strlen(u->text);
	if (fstatat(p->cwd_fd, file, &st, 0) == 0 && S_ISDIR(st.st_mode))
		file = arena_printf(p->arena, "%s/default.profdata", file);
	parser_add_extra(p, file);
}

void apply_profile(struct parser *p, const struct use *u)
{
	use_profile(p, u, u->value[0] ? u->value : ".");
}

void apply_profile_default(struct parser *p, const struct use *u)
{
	use_profile(p, u, ".");
}

// A file that has no name of its own in a directory.
void apply_profile_file(struct parser *p, const struct use *u)
{
	if (u->value[0])
		use_profile(p, u, u->value);
	else
		parser_refuse(p, REASON_profile_use, u->text);
}

// ---- gcc: each object has a data file of its own ------------------------------------------------------------------------

void apply_profile_data(struct parser *p, const struct use *u)
{
	p->profile_used = u->text;
	if (u->value)
		apply_profile_directory(p, u); // it stays, whatever follows without one
}

void apply_profile_directory(struct parser *p, const struct use *u)
{
	p->c->arguments[u->value_word].role = ARGUMENT_KEY_PATH;
	p->c->arguments[u->value_word].prefix = u->prefix;
	p->profile_directory = u->value;
}

void apply_counters_place(struct parser *p, const struct use *u)
{
	p->counters_place = u->text;
}
