#include "compiler/cmdline.h"

#include "base/text.h"
#include "compiler/cmdline_parts.h"

#include <string.h>
#include <unistd.h>

static bool is_mode(enum reason r)
{
	return r == REASON_information || r == REASON_preprocess_only || r == REASON_no_output;
}

void parser_refuse(struct parser *p, enum reason reason, const char *word)
{
	if (is_mode(reason) && p->mode == REASON_NONE) {
		p->mode = reason;
		p->mode_word = word;
	} else if (!is_mode(reason) && p->refusal == REASON_NONE) {
		p->refusal = reason;
		p->refusal_word = word;
	}
}

static void add_name(struct parser *p, const char ***list, unsigned *n, const char *name)
{
	if (!*list)
		*list = arena_alloc(p->arena, p->c->n_arguments * sizeof **list); // no more names than words
	(*list)[(*n)++] = name;
}

void parser_add_extra(struct parser *p, const char *file)
{
	add_name(p, &p->c->extra_inputs, &p->c->n_extra_inputs, file);
}

void parser_add_forced(struct parser *p, const char *file)
{
	add_name(p, &p->c->forced, &p->c->n_forced, file);
}

// ---- words ----------------------------------------------------------------------------------------------------------

static void take_input(struct parser *p, unsigned i)
{
	if (p->n_inputs++)
		return;
	p->c->source = p->c->arguments[i].text;
	p->c->source_argument = i;
	p->source_language = p->language;
	p->source_language_seen = p->language_seen;
}

// gcc takes `--foo` for -ffoo and knows some more spellings of that kind.
static const char *gcc_spelling(struct parser *p, const char *word)
{
	static const char *const spellings[][2] = {
		{"--machine-no-", "-mno-"}, {"--machine=no-", "-mno-"}, {"--machine-", "-m"}, {"--machine=", "-m"},
		{"--warn-no-", "-Wno-"},    {"--warn-", "-W"},          {"--debug=", "-g"},   {"--optimize=", "-O"},
		{"--std=", "-std="},        {"--no-", "-fno-"},         {"--", "-f"},
	};
	for (size_t i = 0; i < COUNT_OF(spellings); i++)
		if (text_begins(word, spellings[i][0]))
			return arena_printf(p->arena, "%s%s", spellings[i][1], word + strlen(spellings[i][0]));
	return word;
}

// Families whose words stand alone unless the table knows better.
static bool is_of_known_family(const char *word)
{
	static const char *const families[] = {"-f", "-W", "-m", "-O", "-g", "-std", "-p"};
	for (size_t i = 0; i < COUNT_OF(families); i++)
		if (text_begins(word, families[i]))
			return true;
	return false;
}

// Options that leave or read files, or put names into the object, are of a few kinds. The table has those of the compilers that
// there are; what another compiler adds may do anything. tests/options finds them.
static bool may_be_about_files(const struct parser *p, const char *option)
{
	static const char *const parts[] = {"coverage", "profile", "dump-",     "report",   "record",
					    "-output",  "-fsave-", "callgraph", "-stats",   "-trace",
					    "-usage",   "embed",   "-file",     "-mapping", "-dir="};
	if (text_begins(option, "-W") || text_begins(option, "-fno-") || text_begins(option, "-mno-"))
		return false;
	for (size_t i = 0; i < COUNT_OF(parts); i++)
		if (strstr(option, parts[i]))
			return true;
	const char *value = strchr(option, '=');
	return value && (strchr(value, '/') || (strchr(value, '.') && faccessat(p->cwd_fd, value + 1, F_OK, 0) == 0));
}

static void take_unlisted(struct parser *p, unsigned i, const char *spelling)
{
	struct cmdline *c = p->c;
	struct argument *w = &c->arguments[i];
	if (!is_of_known_family(spelling) || may_be_about_files(p, spelling)) {
		parser_refuse(p, REASON_option_unknown, w->text);
	} else if (text_begins(spelling, "-m")) {
		// The machine chooses among header directories: -m32, -mthumb, -mabi=…
		w->role = ARGUMENT_SEARCH;
		w->prefix = (unsigned)strlen(w->text);
	}
}

// Returns how many of the following words belong to the option.
static unsigned take_option(struct parser *p, unsigned i)
{
	struct cmdline *c = p->c;
	const char *text = c->arguments[i].text, *spelling = text, *value = NULL;
	unsigned n_next = 0;
	const struct option *o = option_find(p->family, text, &value, &n_next);

	if (!o && p->family == FAMILY_GCC && text_begins(text, "--")) {
		spelling = gcc_spelling(p, text);
		o = option_find(p->family, spelling, &value, &n_next);
	}
	if (!o) {
		take_unlisted(p, i, spelling);
		return 0;
	}
	if (n_next > c->n_arguments - 1 - i) {
		// Its value is missing; the compiler will say so.
		parser_refuse(p, REASON_option_dangerous, text);
		return n_next = c->n_arguments - 1 - i;
	}
	for (unsigned k = 1; k <= n_next; k++)
		c->arguments[i + k].is_value = true;
	c->any_comment_matters |= o->forms & FORM_READS_COMMENTS;
	struct use u = {.option = o, .text = text, .value = value, .word = i, .value_word = i + n_next};
	if (n_next)
		u.value = c->arguments[i + n_next].text;
	else
		u.prefix = (unsigned)(strlen(text) - (value ? strlen(value) : 0));
	option_apply(p, &u);
	return n_next;
}

static void take_words(struct parser *p)
{
	bool only_inputs = false;
	for (unsigned i = 0; i < p->c->n_arguments; i++) {
		const char *text = p->c->arguments[i].text;
		if (only_inputs || text[0] != '-' || !text[1])
			take_input(p, i);
		else if (p->family == FAMILY_CLANG && strcmp(text, "--") == 0)
			only_inputs = true;
		else
			i += take_option(p, i);
	}
	if (p->cc1_pending)
		parser_refuse(p, REASON_option_dangerous, p->cc1_pending);
}

// ---- the source -----------------------------------------------------------------------------------------------------

struct language {
	const char *name;
	enum lang lang;
	enum reason reason; // why not, for LANG_NONE
	int families;       // 0: both, else 1 + the family that knows it
};

enum { ONLY_GCC = 1 + FAMILY_GCC, ONLY_CLANG = 1 + FAMILY_CLANG };

// Names for -x
static const struct language languages[] = {
	{"c", LANG_C, REASON_NONE, 0},
	{"c++", LANG_CXX, REASON_NONE, 0},
	{"objective-c", LANG_OBJC, REASON_NONE, 0},
	{"objective-c++", LANG_OBJCXX, REASON_NONE, 0},
	{"assembler", LANG_ASM, REASON_NONE, 0},
	{"assembler-with-cpp", LANG_ASM_CPP, REASON_NONE, 0},
	{"cpp-output", LANG_C_CPP_OUT, REASON_NONE, 0},
	{"c++-cpp-output", LANG_CXX_CPP_OUT, REASON_NONE, 0},
	{"objective-c-cpp-output", LANG_C_CPP_OUT, REASON_NONE, 0},
	{"objc-cpp-output", LANG_C_CPP_OUT, REASON_NONE, 0},
	{"objective-c++-cpp-output", LANG_CXX_CPP_OUT, REASON_NONE, 0},
	{"objc++-cpp-output", LANG_CXX_CPP_OUT, REASON_NONE, 0},
	{"c-header", LANG_NONE, REASON_precompiled_header, 0},
	{"c++-header", LANG_NONE, REASON_precompiled_header, 0},
	{"objective-c-header", LANG_NONE, REASON_precompiled_header, 0},
	{"objective-c++-header", LANG_NONE, REASON_precompiled_header, 0},
	{"c++-system-header", LANG_NONE, REASON_modules, 0},
	{"c++-user-header", LANG_NONE, REASON_modules, 0},
	{"c++-header-unit-header", LANG_NONE, REASON_modules, 0},
	{"c++-module", LANG_NONE, REASON_modules, 0},
	{"c++-module-cpp-output", LANG_NONE, REASON_modules, 0},
};

static const struct language suffixes[] = {
	{"c", LANG_C, REASON_NONE, 0},
	{"cc", LANG_CXX, REASON_NONE, 0},
	{"cpp", LANG_CXX, REASON_NONE, 0},
	{"cxx", LANG_CXX, REASON_NONE, 0},
	{"C", LANG_CXX, REASON_NONE, 0},
	{"S", LANG_ASM_CPP, REASON_NONE, 0},
	{"s", LANG_ASM, REASON_NONE, 0},
	{"cp", LANG_CXX, REASON_NONE, 0},
	{"CPP", LANG_CXX, REASON_NONE, 0},
	{"c++", LANG_CXX, REASON_NONE, 0},
	{"CXX", LANG_CXX, REASON_NONE, ONLY_CLANG},
	{"C++", LANG_CXX, REASON_NONE, ONLY_CLANG},
	{"i", LANG_C_CPP_OUT, REASON_NONE, 0},
	{"ii", LANG_CXX_CPP_OUT, REASON_NONE, 0},
	{"m", LANG_OBJC, REASON_NONE, 0},
	{"mi", LANG_C_CPP_OUT, REASON_NONE, 0},
	{"mm", LANG_OBJCXX, REASON_NONE, 0},
	{"M", LANG_OBJCXX, REASON_NONE, 0},
	{"mii", LANG_CXX_CPP_OUT, REASON_NONE, 0},
	{"sx", LANG_ASM_CPP, REASON_NONE, ONLY_GCC},
	{"asm", LANG_ASM, REASON_NONE, ONLY_CLANG},
	{"h", LANG_NONE, REASON_precompiled_header, 0},
	{"hh", LANG_NONE, REASON_precompiled_header, 0},
	{"H", LANG_NONE, REASON_precompiled_header, 0},
	{"hpp", LANG_NONE, REASON_precompiled_header, 0},
	{"hxx", LANG_NONE, REASON_precompiled_header, 0},
	{"hp", LANG_NONE, REASON_precompiled_header, 0},
	{"HPP", LANG_NONE, REASON_precompiled_header, 0},
	{"h++", LANG_NONE, REASON_precompiled_header, 0},
	{"tcc", LANG_NONE, REASON_precompiled_header, 0},
	{"cppm", LANG_NONE, REASON_modules, 0},
	{"ccm", LANG_NONE, REASON_modules, 0},
	{"cxxm", LANG_NONE, REASON_modules, 0},
	{"c++m", LANG_NONE, REASON_modules, 0},
	{"ixx", LANG_NONE, REASON_modules, 0},
	{"iim", LANG_NONE, REASON_modules, 0},
	{"pcm", LANG_NONE, REASON_modules, 0},
};

const char *lang_name(enum lang lang)
{
	for (size_t i = 0; i < COUNT_OF(languages); i++)
		if (languages[i].lang == lang && lang != LANG_NONE)
			return languages[i].name;
	return "c";
}

static enum lang find_language(const struct parser *p, const struct language *list, size_t n, const char *name,
			       enum reason *reason)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].name, name) == 0 && (!list[i].families || list[i].families == 1 + (int)p->family)) {
			*reason = list[i].reason;
			return list[i].lang;
		}
	*reason = REASON_source_type;
	return LANG_NONE;
}

enum lang language_of(const struct parser *p, const char *file, enum reason *reason)
{
	if (p->source_language)
		return find_language(p, languages, COUNT_OF(languages), p->source_language, reason);
	const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file, *dot = strrchr(base, '.');
	*reason = REASON_source_type;
	if (!dot || (dot == base && p->family == FAMILY_GCC))
		return LANG_NONE;
	enum lang lang = find_language(p, suffixes, COUNT_OF(suffixes), dot + 1, reason);
	// g++ gives up its own ideas at the first -x, even at `-x none`; clang++ does not.
	if (p->is_cxx && (p->family == FAMILY_CLANG || !p->source_language_seen)) {
		if (strcmp(dot, ".c") == 0)
			return LANG_CXX;
		if (strcmp(dot, ".i") == 0)
			return LANG_CXX_CPP_OUT;
	}
	return lang;
}

// Of a header that is to be precompiled: as -x says, or by its suffix.
static enum lang header_language(const struct parser *p, const char *file)
{
	const char *name = p->source_language ? p->source_language : "";
	size_t n = strcspn(name, "-");
	for (size_t i = 0; i < COUNT_OF(languages); i++) {
		const struct language *l = &languages[i];
		n = text_begins(name, "objective-") ? strlen(name) - strlen("-header") : n;
		if (name[0] && l->lang != LANG_NONE && strlen(l->name) == n && strncmp(l->name, name, n) == 0)
			return l->lang;
	}
	const char *dot = strrchr(file, '.');
	return dot && strcmp(dot, ".h") == 0 && !p->is_cxx ? LANG_C : LANG_CXX;
}

static bool is_header(const struct parser *p)
{
	enum reason reason;
	return p->n_inputs == 1 && language_of(p, p->c->source, &reason) == LANG_NONE && reason == REASON_precompiled_header;
}

static bool is_device(const char *path)
{
	return text_begins(path, "/dev/") || text_begins(path, "/proc/");
}

static enum reason check_source(struct parser *p, const char **culprit)
{
	struct cmdline *c = p->c;
	enum reason reason;
	*culprit = c->source;
	if (p->n_inputs > 1)
		return REASON_several_sources;
	if (strcmp(c->source, "-") == 0 || strcmp(c->source, "/dev/stdin") == 0 || text_begins(c->source, "/dev/fd/"))
		return REASON_stdin_source;
	if (is_device(c->source) && strcmp(c->source, "/dev/null") != 0)
		return REASON_source_type;
	bool header = is_header(p);
	c->lang = header ? header_language(p, c->source) : language_of(p, c->source, &reason);
	if (c->lang == LANG_NONE)
		return reason;
	c->makes_pch = (header || p->cc1_pch) && !p->syntax_only;
	// What clang's driver includes may be a precompiled header of its own.
	bool chained = p->family == FAMILY_CLANG && (c->n_extra_inputs || c->n_forced > p->cc1_forced);
	if (c->makes_pch && (!c->output_given || p->to_assembly || p->llvm_output || chained || !lang_is_of_c(c->lang)))
		return REASON_precompiled_header;
	// With -S the compilers do nothing to .s, and print .S preprocessed.
	bool assembler = c->lang == LANG_ASM || c->lang == LANG_ASM_CPP;
	return assembler && p->to_assembly ? REASON_no_output : REASON_NONE;
}

// ---- all together ---------------------------------------------------------------------------------------------------

static bool is_file_name(const char *path)
{
	size_t len = strlen(path);
	return len && strcmp(path, "-") != 0 && path[len - 1] != '/' && !is_device(path);
}

static enum reason check_outputs(const struct parser *p, const char **culprit)
{
	const struct cmdline *c = p->c;
	*culprit = c->output;
	bool is_none = strcmp(c->output, CMDLINE_NO_OUTPUT) == 0;
	if (!is_file_name(c->output) && !is_none)
		return REASON_output_not_a_file;
	// What stands beside it, and what the depfile says of it, depends on the compiler.
	if (is_none && (c->dwo || c->gcno || c->su || c->callgraph || c->lists || c->makes_pch ||
			(c->dep != DEP_NONE && (!p->dep_file || !p->n_targets))))
		return REASON_no_output;
	const char *const named[] = {c->serialized, c->remarks, c->listing};
	for (size_t i = 0; i < COUNT_OF(named); i++)
		if (named[i] && !is_file_name(named[i])) {
			*culprit = named[i];
			return REASON_side_files;
		}
	if (c->dep == DEP_NONE)
		return REASON_NONE;
	*culprit = c->depfile;
	bool fine = is_file_name(c->depfile) || strcmp(c->depfile, "/dev/null") == 0;
	return fine ? REASON_NONE : REASON_depfile_not_a_file;
}

static enum reason decide(struct parser *p, const char **culprit)
{
	struct cmdline *c = p->c;
	enum reason reason;

	*culprit = p->mode_word;
	if (p->mode != REASON_NONE)
		return p->mode;
	if (p->n_inputs == 0)
		return REASON_no_source;
	if (!p->to_object && !p->to_assembly && !p->syntax_only && !is_header(p)) // headers need no -c
		return REASON_link;
	*culprit = p->refusal_word;
	if (p->refusal != REASON_NONE)
		return p->refusal;
	if ((reason = check_source(p, culprit)) != REASON_NONE)
		return reason;
	c->records_options = p->record_f && p->family == FAMILY_GCC;
	if ((p->record_f && !c->records_options) || p->record_g) {
		*culprit = p->record_f ? p->record_f : p->record_g;
		return REASON_records_command_line;
	}
	c->arguments[c->source_argument].role = ARGUMENT_NOT_KEY;
	c->assembles = !p->to_assembly && !p->syntax_only; // -S wins over -c
	if (p->syntax_only) {
		c->output = CMDLINE_NO_OUTPUT;
		c->output_given = true;
	}
	outputs_name(p);
	*culprit = p->refusal_word;
	if (c->makes_pch && c->modules_directory) // a compiled header of another kind
		return REASON_modules;
	if (c->makes_pch && (c->dwo || c->gcno || c->su || c->callgraph || c->remarks || c->serialized || c->lists))
		return REASON_precompiled_header;
	return p->refusal != REASON_NONE ? p->refusal : check_outputs(p, culprit);
}

void cmdline_parse(struct cmdline *c, struct arena *a, enum compiler_family family, bool is_cxx_driver, int cwd_fd,
		   const char *const *argv)
{
	struct parser p = {.c = c, .arena = a, .family = family, .is_cxx = is_cxx_driver, .cwd_fd = cwd_fd};
	*c = (struct cmdline){.reason = REASON_NONE};
	if (!response_expand(&p, argv))
		return;
	take_words(&p);
	c->reason = decide(&p, &c->culprit);
	if (c->reason == REASON_NONE)
		c->culprit = NULL;
}
