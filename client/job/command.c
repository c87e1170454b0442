#include "client/job/command.h"

#include "base/path.h"
#include "base/text.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static void add(const struct plan *p, const char **argv, uint32_t *n, const char *option, const char *old, const char *new)
{
	if (*n < COMMAND_MAX_MAPS)
		argv[(*n)++] = arena_printf(p->arena, "%s=%s=%s", option, old, new);
}

// gcc takes the last map that fits the beginning of a name, and the one for the directory fits "ROOT/build2/x.h" as well: names
// of that kind that the command has get maps of their own.
static void add_maps_of_neighbours(const struct plan *p, const char **argv, uint32_t *n, const char *root, const char *dir)
{
	size_t len = strlen(dir);
	for (unsigned i = 0; i < p->line.n_arguments; i++) {
		const struct argument *w = &p->line.arguments[i];
		bool is_source = i == p->line.source_argument;
		const char *path = w->text + (is_source ? 0 : w->prefix);
		bool is_path = is_source || w->role == ARGUMENT_KEY_PATH || w->role == ARGUMENT_SEARCH;
		if (!is_path || strncmp(path, dir, len) != 0 || path[len] == '/' || path[len] == '\0')
			continue;
		const char *old = arena_strndup(p->arena, path, len + strcspn(path + len, "/="));
		const char *new = arena_printf(p->arena, "%s%s", p->debug_up, old + strlen(root) + 1);
		add(p, argv, n, "-fdebug-prefix-map", old, new);
	}
}

// Where the working directory is below the root: names are relative to it, and it is relative to the root.
static void add_debug_maps(const struct plan *p, const char **argv, uint32_t *n, const char *root)
{
	const char *below = path_below(root, p->cwd);
	add(p, argv, n, "-fdebug-prefix-map", arena_printf(p->arena, "%s/", root), p->debug_up);
	if (!below || p->compiler->family == FAMILY_CLANG)
		return;
	add(p, argv, n, "-fdebug-prefix-map", p->cwd, p->debug_dir);
	add(p, argv, n, "-fdebug-prefix-map", arena_printf(p->arena, "%s/", p->cwd),
	    arena_printf(p->arena, "%s%s/", p->debug_up, below));
	add_maps_of_neighbours(p, argv, n, root, p->cwd);
}

// The maps go in front of the user's words; that is not enough for the user's own to win, so ours are left out where one of
// those is for the same names. With a slash at the end a map can't catch a
// sibling of the build tree ("/src/proj" and "/src/proj2"); the directory itself needs one without, for debug information.
void command_prefix_maps(const struct plan *p, const char **argv, uint32_t *count)
{
	const char *roots[] = {p->root_real, p->root};
	for (size_t i = 0; i < COUNT_OF(roots); i++) {
		if (!roots[i])
			continue;
		const char *below = arena_printf(p->arena, "%s/", roots[i]);
		bool apart = p->line.has_prefix_map || p->debug_up || p->users_maps;
		if (!apart)
			add(p, argv, count, "-ffile-prefix-map", below, "./");
		// Else gcc would take ours after the user's -fmacro-prefix-map, whatever the order.
		if (apart && !(p->users_maps & MAPS_MACROS))
			add(p, argv, count, "-fmacro-prefix-map", below, "./");
		if (p->debug_up)
			add_debug_maps(p, argv, count, roots[i]);
		else if (apart && !(p->users_maps & MAPS_DEBUG))
			add(p, argv, count, "-fdebug-prefix-map", below, "./");
		if (strcmp(p->cwd, roots[i]) == 0 && !(p->users_maps & MAPS_DEBUG))
			add(p, argv, count, "-fdebug-prefix-map", roots[i], ".");
	}
	if (p->debug_dir && p->compiler->family == FAMILY_CLANG)
		argv[(*count)++] = arena_printf(p->arena, "-fdebug-compilation-dir=%s", p->debug_dir);
}

const char *command_seed(const struct plan *p)
{
	return arena_printf(p->arena, "-frandom-seed=%s",
			    p->source + (p->source[0] == PATH_TREE || p->source[0] == PATH_TREE_REAL));
}

// Another assembler may not know the option.
static bool has_own_tools(const struct plan *p)
{
	for (unsigned i = 0; i < p->line.n_arguments; i++) {
		const char *t = p->line.arguments[i].text;
		if (!p->line.arguments[i].is_value && (text_begins(t, "-B") || text_begins(t, "--prefix")))
			return true;
	}
	return false;
}

bool command_lists_for_as(const struct plan *p)
{
	return p->compiler->gnu_as && p->line.assembles && !p->lto && !p->line.makes_pch && !has_own_tools(p);
}

void command_make(const struct plan *p, struct wire_run *run)
{
	uint32_t n = 0;
	run->argv = arena_alloc(p->arena, (p->wire->n_argv + COMMAND_MAX_MAPS + 12) * sizeof *run->argv);
	run->argv[n++] = p->wire->argv[0];
	if (p->reproducible)
		command_prefix_maps(p, run->argv, &n);
	if (p->seed)
		run->argv[n++] = command_seed(p);
	if (plan_adds_no_timestamp(p)) {
		run->argv[n++] = "-Xclang";
		run->argv[n++] = "-fno-pch-timestamp";
	}
	if (p->inputs_from == INPUTS_OUR_DEPFILE) {
		run->argv[n++] = "-MD";
		run->argv[n++] = "-MF";
		run->depfile_word = n;
		run->argv[n++] = "";
		run->flags |= RUN_DEPFILE;
	}
	if (command_lists_for_as(p)) {
		run->asm_depfile_word = n;
		run->argv[n++] = "-Wa,--MD,";
		run->flags |= RUN_ASM_DEPFILE;
	}
	for (uint32_t i = 1; i < p->wire->n_argv; i++)
		run->argv[n++] = p->wire->argv[i];
	// The last -MF counts. Nobody wants that depfile but us.
	if (p->line.dep != DEP_NONE && !plan_has_depfile(p)) {
		run->argv[n++] = "-MF";
		run->depfile_word = n;
		run->argv[n++] = "";
		run->flags |= RUN_DEPFILE;
	}
	run->n_argv = n;
	run->max_messages = 4 << 20;
}
