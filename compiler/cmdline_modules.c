#include "base/file.h"
#include "base/text.h"
#include "compiler/cmdline_parts.h"

#include <fcntl.h>
#include <string.h>

// CMake gives every C++20 unit what it takes to make and use modules (-fmodules-ts -fmodule-mapper=x.modmap
// -fdeps-format=p1689r5), most of which do neither. Then the mapper has one line, "$root DIRECTORY".

enum { MAPPER_MAX = 64 << 10 };

static const char default_directory[] = "gcm.cache";

void apply_modules(struct parser *p, const struct use *u)
{
	(void)u;
	if (!p->c->modules_directory)
		p->c->modules_directory = default_directory;
}

// The directory of a mapper that names no module; NULL: it does, or is not understood.
static const char *only_root(struct arena *a, const char *text, size_t len)
{
	static const char root[] = "$root ";
	char *copy = arena_strndup(a, text, len), *end = strchr(copy, '\n');
	if (strlen(copy) != len || !text_begins(copy, root) || !end || end[1])
		return NULL;
	*end = '\0';
	const char *directory = copy + strlen(root);
	return directory[0] && !strpbrk(directory, " \t'\"\\") ? directory : NULL;
}

// Other mappers are programs or sockets ("|cmd", "host:port", "<in>out"), or have a prefix for their lines behind a '?'.
void apply_mapper(struct parser *p, const struct use *u)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct argument *w = &p->c->arguments[u->value_word];
	const char *directory = NULL;
	w->role = ARGUMENT_KEY_PATH;
	w->prefix = u->prefix;
	if (!strpbrk(u->value, "|:<>=@?") && file_read(p->cwd_fd, u->value, MAPPER_MAX, &text, NULL, NULL) == 0 && text.data)
		directory = only_root(p->arena, text.data, text.len);
	if (!directory) {
		parser_refuse(p, REASON_modules, u->text);
		return;
	}
	p->c->modules_directory = directory;
	parser_add_extra(p, u->value);
}

void apply_deps_format(struct parser *p, const struct use *u)
{
	p->c->arguments[u->word].role = ARGUMENT_WRITES;
	p->c->arguments[u->word].prefix = (unsigned)strlen(u->text);
	p->deps_format = u->text;
	if (strcmp(u->value, "p1689r5") != 0)
		parser_refuse(p, REASON_modules, u->text);
}
