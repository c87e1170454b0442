#include "jobserver/tool.h"

#include "base/buf.h"
#include "base/child.h"
#include "base/path.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROBE_LIMIT_MS = 5000, PROBE_MAX_OUTPUT = 64 * 1024 };

struct tool tool_of_version(const char *text)
{
	struct tool t = {TOOL_OTHER, 0, 0, false};
	if (sscanf(text, "GNU Make %u.%u", &t.major, &t.minor) == 2) {
		t.kind = TOOL_MAKE;
	} else if (sscanf(text, "%u.%u", &t.major, &t.minor) == 2) {
		t.kind = TOOL_NINJA; // ninja and samurai print the bare number
		t.kitware = strstr(text, "kitware.jobserver") != NULL;
	}
	return t;
}

struct tool tool_probe(const char *path)
{
	struct child c = {.argv = (const char *const[]){path, "--version", NULL},
			  .cwd_fd = -1,
			  .time_limit_ms = PROBE_LIMIT_MS,
			  .max_output = PROBE_MAX_OUTPUT};
	// What MAKEFLAGS says is for the build and would be obeyed here too.
	const char *flags = getenv("MAKEFLAGS");
	AUTO_FREE char *saved = flags ? mem_strdup(flags) : NULL;
	unsetenv("MAKEFLAGS");
	int rc = child_run(&c, NULL);
	if (saved)
		setenv("MAKEFLAGS", saved, 1);
	struct tool t = tool_of_version(rc == 0 && c.status == 0 && c.out.data ? c.out.data : "");
	child_release(&c);
	return t;
}

enum transport tool_transport(const struct tool *t, bool can_gate)
{
	bool at_least_4_3 = t->major > 4 || (t->major == 4 && t->minor >= 3);
	bool at_least_4_4 = t->major > 4 || (t->major == 4 && t->minor >= 4);
	switch (t->kind) {
	case TOOL_MAKE:
		return at_least_4_4 ? TRANSPORT_FIFO : at_least_4_3 ? TRANSPORT_PIPES : TRANSPORT_NONE;
	case TOOL_NINJA:
		if (t->kitware)
			return TRANSPORT_PIPES;
		if (t->major > 1 || t->minor >= 14)
			return TRANSPORT_FIFO;
		return can_gate ? TRANSPORT_GATE : TRANSPORT_NONE;
	case TOOL_OTHER:
		break;
	}
	return TRANSPORT_NONE;
}

static bool is_program(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

char *tool_find(struct arena *a, const char *name, const char *path_list, const char *skip)
{
	if (strchr(name, '/')) {
		char *real = is_program(name) ? realpath(name, NULL) : NULL;
		char *found = real ? path_join(a, "/", name[0] == '/' ? name : real) : NULL;
		free(real);
		return found;
	}
	for (const char *p = path_list ? path_list : "/usr/bin:/bin"; p; p = strchr(p, ':')) {
		p += *p == ':';
		size_t n = strcspn(p, ":");
		char *dir = n ? arena_strndup(a, p, n) : arena_strdup(a, ".");
		char *file = path_join(a, dir, name);
		if ((!skip || strcmp(dir, skip) != 0) && is_program(file))
			return file;
		if (!*p)
			break;
	}
	return NULL;
}
