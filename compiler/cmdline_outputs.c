#include "compiler/cmdline_parts.h"

#include <string.h>

// Names of what the compiler writes. The rules are those of gcc 11 and later (-dumpbase, -dumpdir and -auxbase are refused)
// and of clang 14 and later; they differ for names that begin with a dot.

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

// `path` with what begins at the last dot of its last part replaced. With keep_hidden the dot of ".name" begins nothing.
static char *replace_suffix(struct arena *a, const char *path, bool keep_hidden, const char *suffix)
{
	const char *base = base_of(path), *dot = strrchr(base, '.');
	if (!dot || (keep_hidden && dot == base))
		dot = path + strlen(path);
	return arena_printf(a, "%.*s%s", (int)(dot - path), path, suffix);
}

char *make_escape(struct arena *a, const char *name)
{
	size_t n = strlen(name), slashes = 0;
	char *out = arena_alloc(a, 2 * n + 1), *o = out;
	for (; *name; name++) {
		if (*name == ' ' || *name == '\t') {
			// Backslashes before a blank count for make; elsewhere they stand for themselves.
			memset(o, '\\', slashes + 1);
			o += slashes + 1;
		} else if (*name == '#') {
			*o++ = '\\';
		} else if (*name == '$') {
			*o++ = '$';
		}
		slashes = *name == '\\' ? slashes + 1 : 0;
		*o++ = *name;
	}
	return out;
}

static void name_output(struct parser *p)
{
	struct cmdline *c = p->c;
	if (c->output_given)
		return;
	const char *suffix = p->llvm_output ? (c->assembles ? ".bc" : ".ll") : c->assembles ? ".o" : ".s";
	c->output = replace_suffix(p->arena, base_of(c->source), p->family == FAMILY_GCC, suffix);
}

// ---- the depfile ----------------------------------------------------------------------------------------------------

// gcc leaves out "./" at the beginning of a target.
static const char *without_dot_slash(const char *t)
{
	while (t[0] == '.' && t[1] == '/') {
		t += 2;
		while (*t == '/')
			t++;
	}
	return t;
}

static const char *spell_target(const struct parser *p, const struct dep_target *t)
{
	const char *name = p->family == FAMILY_GCC ? without_dot_slash(t->name) : t->name;
	return t->quoted ? make_escape(p->arena, name) : name;
}

// Without -MT and -MQ. gcc knows nothing of -o in the preprocessor unless the driver's own -MD tells it.
static struct dep_target default_target(const struct parser *p)
{
	const struct cmdline *c = p->c;
	if (c->output_given && !(c->dep_wp && p->family == FAMILY_GCC))
		return (struct dep_target){c->output, true};
	return (struct dep_target){replace_suffix(p->arena, base_of(c->source), false, ".o"), true};
}

static void name_targets(struct parser *p)
{
	struct cmdline *c = p->c;
	struct dep_target *given = arena_alloc(p->arena, (p->n_targets + p->n_wp_targets + 1) * sizeof *given);
	unsigned n = p->n_targets;
	if (n)
		memcpy(given, p->targets, n * sizeof *given);
	else if (!p->n_wp_targets || p->family == FAMILY_CLANG)
		given[n++] = default_target(p);
	if (p->n_wp_targets)
		memcpy(given + n, p->wp_targets, p->n_wp_targets * sizeof *given);
	p->n_targets = n + p->n_wp_targets;
	c->dep_targets = arena_alloc(p->arena, p->n_targets * sizeof *c->dep_targets);
	unsigned n_verbatim = 0;
	for (unsigned i = 0; i < p->n_targets; i++) {
		const char *t = spell_target(p, &given[i]);
		// gcc keeps the verbatim ones in front, and each sends the first of the others to the end.
		if (p->family == FAMILY_GCC && !given[i].quoted) {
			const char *first = c->dep_targets[n_verbatim];
			c->dep_targets[n_verbatim++] = t;
			if (n_verbatim <= i)
				c->dep_targets[i] = first;
		} else {
			c->dep_targets[i] = t;
		}
	}
	c->n_dep_targets = p->n_targets;
}

static bool makes_depfile(enum lang lang)
{
	return lang != LANG_ASM && lang != LANG_C_CPP_OUT && lang != LANG_CXX_CPP_OUT;
}

// The compilers write no depfile for these. clang names the unused words in its warning, so they are in the key.
static void forget_depfile(struct parser *p)
{
	struct cmdline *c = p->c;
	c->dep = DEP_NONE;
	c->dep_phony = false;
	for (unsigned i = 0; i < c->n_arguments; i++) {
		bool output = c->output_given && (i == p->output_word || i == p->output_value);
		if (c->arguments[i].role == ARGUMENT_NOT_KEY && i != c->source_argument && !output)
			c->arguments[i].role = ARGUMENT_KEY;
	}
}

static void name_depfile(struct parser *p)
{
	struct cmdline *c = p->c;
	c->dep = p->dep_wp ? p->dep_wp : p->dep_user ? DEP_USER : p->dep_all ? DEP_ALL : DEP_NONE;
	c->dep_wp = p->dep_wp != DEP_NONE;
	if ((c->dep_wp && (p->dep_user || p->dep_all || p->dep_file)) || (p->n_wp_targets && !c->dep_wp))
		parser_refuse(p, REASON_depfile_ambiguous, p->dep_wp_file);
	// gcc fails, clang warns and goes on.
	if (c->dep == DEP_NONE && p->dep_word)
		parser_refuse(p, REASON_option_dangerous, p->dep_word);
	if (!makes_depfile(c->lang)) {
		forget_depfile(p);
		return;
	}
	if (c->dep == DEP_NONE)
		return;
	if (c->dep_wp)
		c->depfile = p->dep_wp_file;
	else if (p->dep_file)
		c->depfile = p->dep_file;
	else if (c->output_given)
		c->depfile = replace_suffix(p->arena, c->output, false, ".d");
	else
		c->depfile = replace_suffix(p->arena, base_of(c->source), p->family == FAMILY_GCC, ".d");
	name_targets(p);
}

// ---- side outputs ---------------------------------------------------------------------------------------------------

static const char *side_name(const struct parser *p, const char *suffix)
{
	const struct cmdline *c = p->c;
	return replace_suffix(p->arena, c->output_given ? c->output : base_of(c->source), p->family == FAMILY_GCC, suffix);
}

static void name_split_dwarf(struct parser *p, bool compiles)
{
	struct cmdline *c = p->c;
	bool clang = p->family == FAMILY_CLANG;
	// gcc runs objcopy all the same, and clang's assembler does not know what was said of -g.
	if (clang && compiles && !c->debug_info)
		p->split = SPLIT_NONE;
	if (p->split == SPLIT_NONE)
		return;
	c->split_dwarf = true;
	c->needs_output = true;
	c->debug_info = true; // older compilers take the option for -g
	// clang puts the file in other places with -S or a compilation directory, and leaves it out with LTO.
	if (clang && (p->lto || p->llvm_output || !c->assembles || (p->compilation_dir && !c->output_given)))
		parser_refuse(p, REASON_side_files, "-gsplit-dwarf");
	if (p->split == SPLIT_FILE && c->assembles)
		c->dwo = side_name(p, ".dwo");
}

// gcc names the record by the source's suffix as well: "d/x.c.opt-record.json.gz".
static void name_remarks(struct parser *p, bool compiles)
{
	struct cmdline *c = p->c;
	bool clang = p->family == FAMILY_CLANG;
	if (!p->remarks_option || !compiles)
		return;
	// Without an object clang leaves none, and gcc's name follows from other things.
	if (p->syntax_only || strcmp(c->output, CMDLINE_NO_OUTPUT) == 0)
		parser_refuse(p, REASON_side_files, p->remarks_option);
	if (clang) {
		// "x.opt.yaml" for x.y.c: it takes two suffixes from a source.
		const char *stem = c->output_given ? c->output : replace_suffix(p->arena, base_of(c->source), false, "");
		c->remarks = p->remarks_file ? p->remarks_file : replace_suffix(p->arena, stem, false, ".opt.yaml");
		return;
	}
	const char *dot = strrchr(base_of(c->source), '.');
	if (!dot || p->source_language)
		parser_refuse(p, REASON_side_files, p->remarks_option);
	c->remarks = side_name(p, arena_printf(p->arena, "%s.opt-record.json.gz", dot ? dot : ""));
}

// The object of gcc's -fprofile-use depends on what its data file is called.
static void name_profile_data(struct parser *p, bool compiles)
{
	struct cmdline *c = p->c;
	if (!p->profile_used || !compiles)
		return;
	if (p->counters_place || p->syntax_only || c->makes_pch || strcmp(c->output, CMDLINE_NO_OUTPUT) == 0)
		parser_refuse(p, REASON_profile_use, p->profile_used);
	c->profile_data = side_name(p, ".gcda");
	c->profile_directory = p->profile_directory;
	c->needs_cwd = true;
	c->needs_output = true;
}

// The names of object and target are in it.
static void name_ddi(struct parser *p)
{
	struct cmdline *c = p->c;
	if (!p->deps_format)
		return;
	bool is_usual = c->dep != DEP_NONE && !c->dep_wp && c->n_dep_targets == 1 && c->output_given && c->assembles &&
			strcmp(c->dep_targets[0], c->output) == 0;
	if (!is_usual || c->makes_pch)
		parser_refuse(p, REASON_modules, p->deps_format);
	c->ddi = side_name(p, ".ddi");
	c->needs_output = true;
}

static void name_side_outputs(struct parser *p)
{
	struct cmdline *c = p->c;
	bool compiles = c->lang != LANG_ASM && c->lang != LANG_ASM_CPP;
	bool notes = p->coverage || p->notes, counters = p->coverage || p->counters;

	if ((notes || counters) && p->counters_place)
		parser_refuse(p, REASON_side_files, p->counters_place);
	if (counters && compiles)
		c->needs_output = true;
	if ((notes || counters) && compiles)
		c->needs_cwd = true;
	c->coverage_notes = notes && compiles;
	if (c->coverage_notes)
		c->gcno = side_name(p, ".gcno");

	c->stack_usage = c->stack_usage && compiles;
	c->code_may_come_later = p->lto || p->llvm_output;
	if (c->stack_usage)
		c->su = side_name(p, ".su");
	if (p->callgraph && compiles)
		c->callgraph = side_name(p, ".ci");
	name_remarks(p, compiles);
	name_ddi(p);
	name_profile_data(p, compiles);
	if (c->serialized && !compiles)
		c->serialized = NULL; // clang says that it has no use for it
	if (!c->assembles)
		c->listing = NULL, c->lists = false;
	else if (c->lists && p->lto)
		parser_refuse(p, REASON_side_files, "-Wa,-a");
	name_split_dwarf(p, compiles);
	// The driver, which decides about the .dwo, does not see these.
	c->debug_info |= p->cc1_debug;
}

void outputs_name(struct parser *p)
{
	name_output(p);
	name_depfile(p);
	name_side_outputs(p);
}
