// Any words after any compiler's name: the parser ends, and what it promises without a reason holds.
#include "compiler/cmdline.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x) ((x) ? (void)0 : abort())

// The directory is empty: every response file is missing. Absolute names are left alone.
static int empty_directory(void)
{
	static int fd = -1;
	char name[] = "/tmp/coffer-fuzz-XXXXXX";
	if (fd < 0 && mkdtemp(name)) {
		fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		rmdir(name);
	}
	return fd;
}

static void check(const struct cmdline *c)
{
	REQUIRE(c->lang != LANG_NONE && c->source && c->output && c->output[0]);
	REQUIRE(c->source_argument < c->n_arguments && c->arguments[c->source_argument].text == c->source);
	REQUIRE(c->arguments[c->source_argument].role == ARGUMENT_NOT_KEY);
	for (unsigned i = 0; i < c->n_arguments; i++)
		REQUIRE(c->arguments[i].prefix <= strlen(c->arguments[i].text));
	REQUIRE((c->dep != DEP_NONE) == (c->depfile != NULL) && (c->dep != DEP_NONE) == (c->n_dep_targets != 0));
	for (unsigned i = 0; i < c->n_dep_targets; i++)
		REQUIRE(c->dep_targets[i]);
	REQUIRE(c->coverage_notes == (c->gcno != NULL) && c->stack_usage == (c->su != NULL) && (!c->dwo || c->split_dwarf));
	for (unsigned i = 0; i < c->n_extra_inputs; i++)
		REQUIRE(c->extra_inputs[i][0]);
	for (unsigned i = 0; i < c->n_forced; i++)
		REQUIRE(c->forced[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	if (size < 1 || size > 8192)
		return 0;
	// The first byte chooses the compiler, a word ends at a line's end.
	const char **argv = arena_alloc(&a, (size + 3) * sizeof *argv);
	char *text = arena_strndup(&a, (const char *)data + 1, size - 1), *save = NULL;
	unsigned n = 0;
	argv[n++] = "cc";
	for (char *w = strtok_r(text, "\n", &save); w; w = strtok_r(NULL, "\n", &save))
		if (strncmp(w, "@/", 2) != 0 && strncmp(w, "@.", 2) != 0)
			argv[n++] = w;
	struct cmdline c;
	cmdline_parse(&c, &a, data[0] & 1 ? FAMILY_CLANG : FAMILY_GCC, data[0] & 2, empty_directory(), argv);
	if (c.reason == REASON_NONE)
		check(&c);
	return 0;
}
