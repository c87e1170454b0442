#include "worker/command.h"

#include "base/path.h"

#include <stdio.h>
#include <string.h>

enum { OWN_WORDS = 12, SEED_BYTES = 8 };

static const char *beside(struct arena *a, const char *output, const char *suffix)
{
	size_t n = strlen(output) - strlen(path_ext(output));
	return arena_printf(a, "%.*s%s", (int)n, output, suffix);
}

static void add_output(struct worker_command *c, int kind, const char *name)
{
	c->kinds[c->n_outputs] = kind;
	c->outputs[c->n_outputs++] = name;
}

// gcc's random seed shows in debug information, so that it is given only where a random number would be in the object else.
static const char *seed_word(struct arena *a, const uint8_t source[32])
{
	char hex[2 * SEED_BYTES + 1];
	for (int i = 0; i < SEED_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", source[i]);
	return arena_printf(a, "-frandom-seed=%s", hex);
}

void command_build(struct worker_command *c, struct arena *a, const Coffer__V1__CompileHeader *h,
		   const struct arguments *found, const uint8_t source[32])
{
	const char *output = *h->output_name ? h->output_name : found->is_assembler_text ? "x.s" : "x.o";
	*c = (struct worker_command){.source_name = arena_printf(a, "source%s", h->suffix)};
	const char **w = c->arguments = arena_alloc(a, (h->n_arguments + OWN_WORDS) * sizeof *w);
	*w++ = h->compiler;
	for (size_t i = 0; i < h->n_arguments; i++)
		*w++ = h->arguments[i];
	if (found->has_lto && !found->has_seed && !found->is_clang)
		*w++ = seed_word(a, source);
	// clang writes its working directory into debug information; gcc takes it from the text.
	if (found->is_clang && !found->has_compilation_dir)
		*w++ = "-fdebug-compilation-dir=.";
	if (!found->is_assembler_text)
		*w++ = "-c";
	*w++ = "-x";
	*w++ = h->language;
	*w++ = c->source_name;
	*w++ = "-o";
	*w++ = output;
	add_output(c, COFFER__V1__OUTPUT__KIND__OBJECT, output);
	if (header_wants(h, COFFER__V1__OUTPUT__KIND__DWO))
		add_output(c, COFFER__V1__OUTPUT__KIND__DWO, beside(a, output, ".dwo"));
	if (header_wants(h, COFFER__V1__OUTPUT__KIND__STACK_USAGE))
		add_output(c, COFFER__V1__OUTPUT__KIND__STACK_USAGE, beside(a, output, ".su"));
}

void command_build_tree(struct worker_command *c, struct arena *a, const Coffer__V1__CompileHeader *h)
{
	*c = (struct worker_command){.arguments = arena_alloc(a, (h->n_arguments + 2) * sizeof *c->arguments)};
	c->arguments[0] = h->compiler;
	for (size_t i = 0; i < h->n_arguments; i++)
		c->arguments[i + 1] = h->arguments[i];
	for (size_t i = 0; i < h->n_outputs; i++)
		add_output(c, (int)h->outputs[i]->kind, h->outputs[i]->name + 1);
}
