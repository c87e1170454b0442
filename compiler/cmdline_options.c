#include "compiler/cmdline_parts.h"

#include "base/text.h"

#include <string.h>

static bool ends(const char *s, const char *with)
{
	size_t n = strlen(s), m = strlen(with);
	return n >= m && strcmp(s + n - m, with) == 0;
}

static void set_role(struct parser *p, const struct use *u, enum argument_role role)
{
	p->c->arguments[u->value_word].role = role;
	p->c->arguments[u->value_word].prefix = u->prefix;
}

// Neither the option nor its value counts for the object.
static void set_not_key(struct parser *p, const struct use *u)
{
	p->c->arguments[u->word].role = ARGUMENT_NOT_KEY;
	p->c->arguments[u->value_word].role = ARGUMENT_NOT_KEY;
}

// ---- actions that only note something -------------------------------------------------------------------------------

#define NOTE(name, field, what)                                         \
	static void apply_##name(struct parser *p, const struct use *u) \
	{                                                               \
		(void)u;                                                \
		p->field = what;                                        \
	}
NOTE(object, to_object, true)
NOTE(assembly, to_assembly, true)
NOTE(llvm_output, llvm_output, true)
NOTE(no_split_dwarf, split, SPLIT_NONE)
NOTE(compilation_dir, compilation_dir, true)
NOTE(coverage, coverage, true)
NOTE(notes, notes, true)
NOTE(no_notes, notes, false)
NOTE(counters, counters, true)
NOTE(cwd, c->needs_cwd, true)
NOTE(stack_usage, c->stack_usage, true)
NOTE(no_lto, lto, false)
NOTE(seed, c->has_random_seed, true)
NOTE(syntax, syntax_only, true)
NOTE(record_f, record_f, u->text)
NOTE(no_record_f, record_f, NULL)
NOTE(record_g, record_g, u->text)
NOTE(no_record_g, record_g, NULL)
#undef NOTE

// ---- actions that look at the value ---------------------------------------------------------------------------------

static void apply_keep(struct parser *p, const struct use *u)
{
	(void)p;
	(void)u;
}

static void apply_path(struct parser *p, const struct use *u)
{
	set_role(p, u, ARGUMENT_KEY_PATH);
}

static void apply_search(struct parser *p, const struct use *u)
{
	set_role(p, u, ARGUMENT_SEARCH);
	// A header map in the place of a directory: a file that no depfile lists.
	if (u->value && ends(u->value, ".hmap"))
		parser_refuse(p, REASON_option_dangerous, u->text);
}

static void apply_forced(struct parser *p, const struct use *u)
{
	set_role(p, u, ARGUMENT_KEY_PATH);
	parser_add_forced(p, u->value);
}

static void apply_map(struct parser *p, const struct use *u)
{
	set_role(p, u, ARGUMENT_MAP);
	p->c->has_prefix_map = true;
}

static void apply_extra(struct parser *p, const struct use *u)
{
	set_role(p, u, ARGUMENT_KEY_PATH);
	if (!u->value[0] || strcmp(u->value, "-") == 0)
		parser_refuse(p, REASON_option_dangerous, u->text);
	else
		parser_add_extra(p, u->value);
}

static void apply_refuse(struct parser *p, const struct use *u)
{
	parser_refuse(p, u->option->reason, u->text);
}

static void apply_output(struct parser *p, const struct use *u)
{
	set_not_key(p, u);
	// The compilers differ in what they do with two of them.
	if (p->c->output_given && strcmp(p->c->output, u->value) != 0)
		parser_refuse(p, REASON_option_dangerous, u->text);
	p->c->output = u->value;
	p->c->output_given = true;
	p->output_word = u->word;
	p->output_value = u->value_word;
}

static void apply_language(struct parser *p, const struct use *u)
{
	p->language = strcmp(u->value, "none") == 0 ? NULL : u->value;
	p->language_seen = true;
}

// The short spellings stay in the key as words; the long ones are known to the caller by `dep` only.
static void note_dep(struct parser *p, const struct use *u, bool *asked)
{
	*asked = true;
	if (text_begins(u->text, "--"))
		p->c->arguments[u->word].role = ARGUMENT_NOT_KEY;
}

static void apply_dep_all(struct parser *p, const struct use *u)
{
	note_dep(p, u, &p->dep_all);
}

static void apply_dep_user(struct parser *p, const struct use *u)
{
	note_dep(p, u, &p->dep_user);
}

static void apply_dep_file(struct parser *p, const struct use *u)
{
	set_not_key(p, u);
	p->dep_file = u->value; // the last one counts
	p->dep_word = u->text;
}

static void add_target(struct parser *p, const struct use *u, bool quoted)
{
	set_not_key(p, u);
	if (!p->targets)
		p->targets = arena_alloc(p->arena, p->c->n_arguments * sizeof *p->targets);
	p->targets[p->n_targets++] = (struct dep_target){u->value, quoted};
	p->dep_word = u->text;
}

static void apply_dep_target(struct parser *p, const struct use *u)
{
	add_target(p, u, false);
}

static void apply_dep_quoted(struct parser *p, const struct use *u)
{
	add_target(p, u, true);
}

static void apply_dep_phony(struct parser *p, const struct use *u)
{
	p->c->dep_phony = true;
	p->dep_word = u->text;
}

static void apply_xarch(struct parser *p, const struct use *u)
{
	if (!option_is_harmless(p, u->value))
		parser_refuse(p, REASON_option_dangerous, u->text);
}

// The driver looks for it before all else, and the last one counts.
static void apply_driver_mode(struct parser *p, const struct use *u)
{
	bool cxx = strcmp(u->value, "g++") == 0;
	if ((!cxx && strcmp(u->value, "gcc") != 0) || (p->mode_given && cxx != p->is_cxx))
		parser_refuse(p, REASON_option_dangerous, u->text);
	p->is_cxx = cxx;
	p->mode_given = true;
}

static void apply_arch(struct parser *p, const struct use *u)
{
	set_role(p, u, ARGUMENT_SEARCH);
	p->c->arguments[u->value_word].prefix = (unsigned)strlen(u->value);
	if (p->arch && strcmp(p->arch, u->value) != 0)
		parser_refuse(p, REASON_several_archs, u->text);
	p->arch = u->value;
}

static void apply_debug(struct parser *p, const struct use *u)
{
	// They shape the debug information but do not ask for it.
	static const char *const no_level[] = {
		"no-",
		"z",
		"column-info",
		"record-",
		"pubnames",
		"gnu-pubnames",
		"strict-dwarf",
		"as-loc",
		"variable-location-views",
		"inline-points",
		"statement-frontiers",
		"describe-dies",
		"internal-reset-location-views",
		"dwarf32",
		"dwarf64",
	};
	static const char *const off[] = {"0", "gdb0", "stabs0", "stabs+0", "coff0", "xcoff0", "xcoff+0", "vms0"};
	const char *v = u->value ? u->value : "";
	for (size_t i = 0; i < COUNT_OF(no_level); i++)
		if (text_begins(v, no_level[i]))
			return;
	p->c->debug_info = true;
	for (size_t i = 0; i < COUNT_OF(off); i++)
		if (strcmp(v, off[i]) == 0)
			p->c->debug_info = false;
}

static void apply_split_dwarf(struct parser *p, const struct use *u)
{
	p->split = u->value && strcmp(u->value, "single") == 0 ? SPLIT_SINGLE : SPLIT_FILE;
}

static void apply_lto(struct parser *p, const struct use *u)
{
	(void)u; // whose jobs it may use counts when it links
	p->lto = true;
}

static void apply_fallthrough(struct parser *p, const struct use *u)
{
	if (strcmp(u->value, "1") == 0)
		p->c->any_comment_matters = true;
}

// Nothing but the word in the key. Workers ask for these (compiler/arguments.c).
static void apply_color(struct parser *p, const struct use *u)
{
	(void)p, (void)u;
}
static void apply_color_choice(struct parser *p, const struct use *u)
{
	apply_color(p, u);
}

// A file, or none that is named here: `u->value` is something else, or nothing.
static void set_writes(struct parser *p, const struct use *u, bool named)
{
	p->c->arguments[u->word].role = ARGUMENT_WRITES;
	p->c->arguments[u->word].prefix = (unsigned)strlen(u->text);
	if (named)
		set_role(p, u, ARGUMENT_WRITES);
}

static void apply_callgraph(struct parser *p, const struct use *u)
{
	set_writes(p, u, false);
	p->callgraph = true;
}

static void apply_serialized(struct parser *p, const struct use *u)
{
	set_writes(p, u, true);
	p->c->serialized = u->value; // the last one counts
}

// Only YAML: clang 14 fails at other formats, and puts more into the object with them.
static void apply_remarks(struct parser *p, const struct use *u)
{
	set_writes(p, u, false);
	p->remarks_option = u->text;
	if (text_begins(u->text, "-fsave-") && u->value && strcmp(u->value, "yaml") != 0)
		parser_refuse(p, REASON_side_files, u->text);
}

static void apply_remarks_file(struct parser *p, const struct use *u)
{
	set_writes(p, u, true);
	p->remarks_file = u->value;
	p->remarks_option = u->text;
}

static void apply_sections(struct parser *p, const struct use *u)
{
	static const char list[] = "list=";
	if (!text_begins(u->value, list))
		return;
	struct use file = *u;
	file.value += strlen(list);
	file.prefix += (unsigned)strlen(list);
	apply_extra(p, &file);
}

static void apply_format(struct parser *p, const struct use *u)
{
	// SARIF tells how the compiler was called, with the arguments that we add.
	if (ends(u->value, "-file"))
		parser_refuse(p, REASON_side_files, u->text);
	else if (text_begins(u->value, "sarif"))
		parser_refuse(p, REASON_messages_format, u->text);
}

static void apply_opt_info(struct parser *p, const struct use *u)
{
	if (u->value && strchr(u->value, '='))
		parser_refuse(p, REASON_dump_files, u->text);
}

void option_apply(struct parser *p, const struct use *u)
{
	typedef void (*apply_fn)(struct parser * p, const struct use *u);
	static const apply_fn functions[OPTION_ACTION_COUNT] = {
#define ACTION(name) apply_##name,
		OPTION_ACTIONS(ACTION)
#undef ACTION
	};
	functions[u->option->action](p, u);
}

bool option_is_harmless(struct parser *p, const char *word)
{
	// What is handed on unseen must not be able to name a file.
	static const char *const suspicious[] = {"/",     "file",   "path", "dir",    "list",   "dump",
						 "print", "module", "stat", "plugin", "output", "override"};
	static const char *const families[] = {"-f", "-W", "-m", "-O", "-D", "-U", "-std="};
	const char *value;
	unsigned n_next;
	bool known = false;

	for (size_t i = 0; i < COUNT_OF(families); i++)
		known |= text_begins(word, families[i]) && word[2];
	if (!known)
		return false;
	if (text_begins(word, "-D") || text_begins(word, "-U"))
		return true;
	for (size_t i = 0; i < COUNT_OF(suspicious); i++)
		if (strstr(word, suspicious[i]))
			return false;
	const struct option *o = option_find(p->family, word, &value, &n_next);
	p->c->any_comment_matters |= o && o->forms & FORM_READS_COMMENTS;
	return !o || (o->action == OPTION_keep && n_next == 0);
}
