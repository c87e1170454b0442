#include "compiler/travel.h"

#include "base/text.h"
#include "compiler/options.h"

#include <string.h>

// Options that read files, write others, ask what machine this is, or read the text in another way than it now has.
static bool is_bound_to_here(const char *t, unsigned traits)
{
	return (traits & TRAIT_BOUND) || option_is_native(t) || strchr(t, '/');
}

unsigned travel_native(const char *verbose, struct arena *a, const char **out, unsigned room)
{
	unsigned n = 0;
	const char *line = strstr(verbose, "/cc1 ");
	if (!line)
		line = strstr(verbose, "/cc1plus ");
	if (!line)
		return 0;
	char *words = arena_strndup(a, line, strcspn(line, "\n")), *save = NULL;
	for (char *t = strtok_r(words, " ", &save); t && n < room; t = strtok_r(NULL, " ", &save)) {
		if (text_begins(t, "-m") && strcmp(t, "-mrelax") != 0)
			out[n++] = t;
		else if (strcmp(t, "--param") == 0 && (t = strtok_r(NULL, " ", &save)))
			out[n++] = arena_printf(a, "--param=%s",
						t[0] == '"' ? arena_strndup(a, t + 1, strcspn(t + 1, "\"")) : t);
	}
	return n;
}

void travel_resolve_native(struct travel_arguments *w, struct arena *a, const char *const *meaning, unsigned n)
{
	const char **words = arena_alloc(a, (w->n + n + 2) * sizeof *words);
	memcpy(words, w->arguments, w->native_at * sizeof *words);
	memcpy(words + w->native_at, meaning, n * sizeof *words);
	memcpy(words + w->native_at + n, w->arguments + w->native_at, (w->n - w->native_at) * sizeof *words);
	w->arguments = words;
	w->n += n;
}

// A worker makes it below a directory of its own.
bool travel_output_name(const char *output, const char *dwo)
{
	const char *dot = strrchr(output, '.'), *slash = strrchr(output, '/');
	size_t stem = dot && (!slash || dot > slash) ? (size_t)(dot - output) : strlen(output);
	if (strlen(output) > REMOTE_OUTPUT_NAME || text_begins(output, "source."))
		return false;
	for (const char *part = output; part; part = strchr(part, '/')) {
		part += part != output;
		size_t n = strspn(part, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-._");
		if (n == 0 || n > 128 || part[0] == '.' || part[0] == '-' || (part[n] && part[n] != '/'))
			return false;
	}
	return strncmp(dwo, output, stem) == 0 && strcmp(dwo + stem, ".dwo") == 0;
}

static const char *refuse_outputs(const struct cmdline *l, const struct compiler *c)
{
	if (!l->assembles)
		return "it makes assembler text";
	// -fstack-usage tells columns, which are others in preprocessed text.
	if (l->coverage_notes || l->stack_usage || l->serialized || l->remarks || l->callgraph || l->lists ||
	    (l->split_dwarf && !l->dwo))
		return "it writes further files";
	if (l->dwo && !travel_output_name(l->output, l->dwo))
		return "its object names a file whose name can't be the same there";
	if (l->n_extra_inputs || l->profile_data || l->modules_directory)
		return "its options name files";
	if (l->has_prefix_map)
		return "it has prefix maps of its own";
	if (l->dep != DEP_NONE && strcmp(l->depfile, CMDLINE_NO_OUTPUT) == 0)
		return "its depfile goes nowhere";
	if (l->dep_wp)
		return "its depfile is asked for by -Wp";
	if (c->family == FAMILY_CLANG && (l->lang == LANG_OBJC || l->lang == LANG_OBJCXX))
		return "clang's Objective-C has the name of its source in the object";
	// clang puts checksums of the sources into debug information, which preprocessed text has lost.
	if (c->family == FAMILY_CLANG && l->debug_info)
		return "clang's debug information has checksums of the sources";
	return NULL;
}

void travel_arguments(struct travel_arguments *w, struct arena *a, const struct cmdline *l, const struct compiler *compiler)
{
	*w = (struct travel_arguments){.refused = refuse_outputs(l, compiler)};
	switch (l->lang) {
	case LANG_C:
		w->language = "cpp-output";
		w->suffix = ".i";
		break;
	case LANG_CXX:
		w->language = "c++-cpp-output";
		w->suffix = ".ii";
		break;
	case LANG_OBJC:
		w->language = "objective-c-cpp-output";
		w->suffix = ".mi";
		break;
	case LANG_OBJCXX:
		w->language = "objective-c++-cpp-output";
		w->suffix = ".mii";
		break;
	default:
		// An assembler's macros can spell .incbin in ways that no search of the text finds.
		w->refused = "it is assembler, or preprocessed already";
	}
	w->arguments = arena_alloc(a, (l->n_arguments + 1) * sizeof *w->arguments);
	for (unsigned i = 0, next; i < l->n_arguments && !w->refused; i = next) {
		const char *t = l->arguments[i].text;
		if (compiler->family == FAMILY_GCC && strcmp(t, "--") == 0)
			w->refused = "gcc takes no '--', and says so";
		for (next = i + 1; next < l->n_arguments && l->arguments[next].is_value; next++)
			;
		unsigned traits = option_traits(t);
		if (i == l->source_argument || l->arguments[i].role == ARGUMENT_NOT_KEY || (traits & TRAIT_USED_UP))
			continue;
		if (compiler->family == FAMILY_GCC && (traits & TRAIT_NATIVE) && w->n_native < COUNT_OF(w->native)) {
			if (!w->n_native)
				w->native_at = w->n;
			w->native[w->n_native++] = t;
			continue;
		}
		if (next > i + 1 || is_bound_to_here(t, traits) || !(traits & TRAIT_COMPILES))
			w->refused = arena_printf(a, "'%s' may mean something else there", t);
		w->arguments[w->n++] = t;
	}
}

// ---- the user's own text --------------------------------------------------------------------------------------------

static const char *refuse_tree_outputs(const struct cmdline *l)
{
	if (!l->assembles || l->makes_pch)
		return "it makes assembler text, or a precompiled header";
	if (l->coverage_notes || l->stack_usage || (l->split_dwarf && !l->dwo))
		return "it writes further files";
	if (l->needs_output)
		return "its outputs' names are in the object";
	if (l->n_extra_inputs)
		return "its options name files";
	if (l->dep_wp)
		return "its depfile is asked for by -Wp";
	return lang_is_of_c(l->lang) || l->lang == LANG_ASM_CPP ? NULL : "it is preprocessed already";
}

static bool means_the_same_there(const struct argument *w)
{
	unsigned traits = option_traits(w->text);
	if (w->role == ARGUMENT_NOT_KEY || w->role == ARGUMENT_MAP)
		return true;
	if (w->role == ARGUMENT_SEARCH)
		return !text_begins(w->text, "-B") && !text_begins(w->text, "--prefix");
	if (traits & TRAIT_USED_UP)
		return true;
	bool is_bound = (traits & TRAIT_BOUND) && !(traits & TRAIT_OF_TEXT);
	return (traits & TRAIT_COMPILES) && !is_bound && !option_is_native(w->text) && !strchr(w->text, '/');
}

const char *travel_tree(struct arena *a, const struct cmdline *l, const struct compiler *compiler, const char *const *own,
			const char ***words, unsigned *n)
{
	const char *refused = refuse_tree_outputs(l);
	unsigned n_own = 0;
	while (own[n_own])
		n_own++;
	const char **list = *words = arena_alloc(a, (l->n_arguments + n_own + 1) * sizeof *list);
	memcpy(list, own, n_own * sizeof *list);
	*n = n_own;
	for (unsigned i = 0; i < l->n_arguments && !refused; i++) {
		const struct argument *w = &l->arguments[i];
		if (compiler->family == FAMILY_GCC && strcmp(w->text, "--") == 0)
			return "gcc takes no '--', and says so";
		if (i != l->source_argument && !w->is_value && !means_the_same_there(w))
			return arena_printf(a, "'%s' may mean something else there", w->text);
		list[(*n)++] = w->text;
	}
	return refused;
}

// ---- the environment ------------------------------------------------------------------------------------------------

enum variable_role { KEY, LOOK, MESSAGES, TERMINAL, REFUSED, TRAVELS, IDLE };

static bool is_variable(const char *word, const char *name)
{
	size_t n = strlen(name);
	return n && name[n - 1] == '*' ? strncmp(word, name, n - 1) == 0 : strncmp(word, name, n) == 0 && word[n] == '=';
}

static enum variable_role role_of(const char *word)
{
	static const struct {
		enum variable_role role;
		const char *name;
	} variables[] = {
#define VARIABLE(role, name) {role, name},
#include "base/compiler_variables.def"
#undef VARIABLE
	};
	for (size_t i = 0; i < COUNT_OF(variables); i++)
		if (is_variable(word, variables[i].name))
			return variables[i].role;
	return IDLE;
}

bool travel_variable(const char *word)
{
	static const char *const others[] = {"LANG",
					     "LC_*",
					     "PWD",
					     "SOURCE_DATE_EPOCH",
					     "CPATH",
					     "C_INCLUDE_PATH",
					     "CPLUS_INCLUDE_PATH",
					     "OBJC_INCLUDE_PATH",
					     "OBJCPLUS_INCLUDE_PATH",
					     "POSIXLY_CORRECT"};
	enum variable_role role = role_of(word);
	if (!strchr(word, '='))
		return false;
	for (size_t i = 0; i < COUNT_OF(others); i++)
		if (is_variable(word, others[i]))
			return true;
	return role == MESSAGES || role == TERMINAL;
}

const char *travel_bound_variable(const char *const *env)
{
	for (; env && *env; env++)
		if (role_of(*env) == KEY && !travel_variable(*env))
			return *env;
	return NULL;
}

// ---- preprocessing --------------------------------------------------------------------------------------------------

const char **travel_preprocess(struct arena *a, const struct cmdline *l, const char *argv0, const char *const *extra,
			       const char *depfile)
{
	static const char *const dropped[] = {"-o", "-MF", "-MT", "-MQ"};
	const char **argv = arena_alloc(a, (l->n_arguments + 2 * l->n_dep_targets + 32) * sizeof *argv);
	unsigned n = 0;
	argv[n++] = argv0;
	for (; *extra; extra++)
		argv[n++] = *extra;
	argv[n++] = "-E";
	if (l->dep == DEP_NONE)
		argv[n++] = "-MD";
	argv[n++] = "-MF";
	argv[n++] = depfile ? depfile : l->depfile;
	for (unsigned i = 0; i < l->n_dep_targets; i++) {
		argv[n++] = "-MT";
		argv[n++] = l->dep_targets[i];
	}
	for (unsigned i = 0, next; i < l->n_arguments; i = next) {
		const char *t = l->arguments[i].text;
		for (next = i + 1; next < l->n_arguments && l->arguments[next].is_value; next++)
			;
		size_t drop = 0;
		while (drop < COUNT_OF(dropped) && !text_begins(t, dropped[drop]))
			drop++;
		if (drop < COUNT_OF(dropped) || strcmp(t, "-c") == 0 || strcmp(t, "--") == 0)
			continue;
		for (unsigned k = i; k < next; k++)
			argv[n++] = l->arguments[k].text;
	}
	return argv;
}
