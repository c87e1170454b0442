#include "client/job/command.h"

#include "base/path.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

// The maps go in front of the user's words; that is not enough for the user's own to win, so ours are left out where one of
// those is for the same names. With a slash at the end a map can't catch a
// sibling of the build tree ("/src/proj" and "/src/proj2"); the directory itself needs one without, for debug information.
void command_prefix_maps(const struct plan *p, const char **argv, uint32_t *count)
{
	uint32_t n = *count;
	const char *roots[] = {p->root_real, p->root};
	for (size_t i = 0; i < COUNT_OF(roots); i++) {
		if (!roots[i])
			continue;
		if (!p->line.has_prefix_map)
			argv[n++] = arena_printf(p->arena, "-ffile-prefix-map=%s/=./", roots[i]);
		// Else gcc would take ours after the user's -fmacro-prefix-map, whatever the order.
		if (p->line.has_prefix_map && !(p->users_maps & MAPS_MACROS))
			argv[n++] = arena_printf(p->arena, "-fmacro-prefix-map=%s/=./", roots[i]);
		if (p->line.has_prefix_map && !(p->users_maps & MAPS_DEBUG))
			argv[n++] = arena_printf(p->arena, "-fdebug-prefix-map=%s/=./", roots[i]);
		if (strcmp(p->cwd, roots[i]) == 0 && !(p->users_maps & MAPS_DEBUG))
			argv[n++] = arena_printf(p->arena, "-fdebug-prefix-map=%s=.", roots[i]);
	}
	*count = n;
}

const char *command_seed(const struct plan *p)
{
	return arena_printf(p->arena, "-frandom-seed=%s",
			    p->source + (p->source[0] == PATH_TREE || p->source[0] == PATH_TREE_REAL));
}

void command_make(const struct plan *p, struct wire_run *run)
{
	uint32_t n = 0;
	run->argv = arena_alloc(p->arena, (p->wire->n_argv + 12) * sizeof *run->argv);
	run->argv[n++] = p->wire->argv[0];
	if (p->reproducible)
		command_prefix_maps(p, run->argv, &n);
	if (p->seed)
		run->argv[n++] = command_seed(p);
	if (p->inputs_from == INPUTS_OUR_DEPFILE) {
		run->argv[n++] = "-MD";
		run->argv[n++] = "-MF";
		run->depfile_word = n;
		run->argv[n++] = "";
		run->flags |= RUN_DEPFILE;
	}
	// GNU as lists what it read itself: .incbin and .include, however they were spelled. With -flto the compiler would
	// keep our words in the object and use them again when it links.
	if (p->compiler->gnu_as && p->line.assembles && !p->lto) {
		run->asm_depfile_word = n;
		run->argv[n++] = "-Wa,--MD,";
		run->flags |= RUN_ASM_DEPFILE;
	}
	for (uint32_t i = 1; i < p->wire->n_argv; i++)
		run->argv[n++] = p->wire->argv[i];
	run->n_argv = n;
	run->max_messages = 4 << 20;
}
