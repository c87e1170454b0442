#include "compiler/cmdline_parts.h"

#include "base/text.h"

#include <string.h>

// Words that the driver hands on to one stage without looking at them. Here the rule is the other way round: only what is
// known to be harmless passes.

// The driver's lists (-Wa,a,b) are in the word itself; what stands in the next word (-Xassembler a) is one item.
static bool is_list(const struct use *u)
{
	return u->value_word == u->word;
}

// The items of the value as strings. The lists have no way to quote a comma.
static unsigned split_value(struct parser *p, const struct use *u, const char ***items)
{
	char *copy = arena_strdup(p->arena, u->value);
	unsigned n = 1;
	if (!is_list(u)) {
		*items = arena_alloc(p->arena, sizeof **items);
		(*items)[0] = copy;
		return n;
	}
	for (const char *s = copy; *s; s++)
		n += *s == ',';
	*items = arena_alloc(p->arena, n * sizeof **items);
	n = 0;
	for (char *s = copy; s; n++) {
		char *comma = strchr(s, ',');
		if (comma)
			*comma++ = '\0';
		(*items)[n] = s;
		s = comma;
	}
	return n;
}

// ---- the preprocessor -----------------------------------------------------------------------------------------------

static bool is_macro(const char *word)
{
	return (text_begins(word, "-D") || text_begins(word, "-U")) && word[2];
}

static void add_wp_target(struct parser *p, const struct use *u, const char *name, bool quoted)
{
	// clang's compiler proper knows no -MQ.
	if (quoted && p->family == FAMILY_CLANG)
		parser_refuse(p, REASON_option_dangerous, u->text);
	struct dep_target *longer = arena_alloc(p->arena, (p->n_wp_targets + 1) * sizeof *longer);
	if (p->n_wp_targets)
		memcpy(longer, p->wp_targets, p->n_wp_targets * sizeof *longer);
	longer[p->n_wp_targets++] = (struct dep_target){name, quoted};
	p->wp_targets = longer;
}

// -Wp,-MD,file and -Wp,-MMD,file are the kernel's way to ask for a depfile, and -Wp,-MT,name goes with them. clang understands
// one of them in a word.
static bool take_depfile(struct parser *p, const struct use *u, unsigned n, const char **items)
{
	unsigned i = 0;
	for (; i + 1 < n; i += 2) {
		bool all = strcmp(items[i], "-MD") == 0, quoted = strcmp(items[i], "-MQ") == 0;
		if (all || strcmp(items[i], "-MMD") == 0) {
			if (p->dep_wp != DEP_NONE)
				parser_refuse(p, REASON_depfile_ambiguous, u->text);
			p->dep_wp = all ? DEP_ALL : DEP_USER;
			p->dep_wp_file = items[i + 1];
		} else if (quoted || strcmp(items[i], "-MT") == 0) {
			add_wp_target(p, u, items[i + 1], quoted);
		} else {
			break;
		}
	}
	if (i == 0)
		return false;
	if (i < n || (n > 2 && p->family == FAMILY_CLANG))
		parser_refuse(p, REASON_option_dangerous, u->text);
	p->c->arguments[u->word].role = ARGUMENT_NOT_KEY;
	return true;
}

void apply_cpp(struct parser *p, const struct use *u)
{
	const char **items = NULL;
	unsigned n = split_value(p, u, &items);
	if (is_list(u) && take_depfile(p, u, n, items))
		return;
	for (unsigned i = 0; i < n; i++)
		if (!is_macro(items[i]) && strcmp(items[i], "-fopenmp") != 0)
			parser_refuse(p, REASON_option_dangerous, u->text);
}

// ---- the assembler --------------------------------------------------------------------------------------------------

enum as_kind {
	AS_FINE,
	AS_DEBUG,
	AS_INFORMATION,
	AS_FILES,
	AS_LISTING, // -a[cdghlmns][=FILE]
	AS_VALUE,   // the next item is its value
	AS_UNKNOWN,
};

struct as_option {
	const char *name;
	bool whole; // false: any word that begins so
	enum as_kind kind;
};

// GNU as; clang's own assembler knows some of them and fails for the rest.
static const struct as_option as_options[] = {
	{"--noexecstack", true, AS_FINE},
	{"--execstack", true, AS_FINE},
	{"--64", true, AS_FINE},
	{"--32", true, AS_FINE},
	{"--x32", true, AS_FINE},
	{"--divide", true, AS_FINE},
	{"--fatal-warnings", true, AS_FINE},
	{"--no-warn", true, AS_FINE},
	{"--warn", true, AS_FINE},
	{"--keep-locals", true, AS_FINE},
	{"--strip-local-absolute", true, AS_FINE},
	{"--no-pad-sections", true, AS_FINE},
	{"--reduce-memory-overheads", true, AS_FINE},
	{"--traditional-format", true, AS_FINE},
	{"--sectname-subst", true, AS_FINE},
	{"--alternate", true, AS_FINE},
	{"--compress-debug-sections", false, AS_FINE},
	{"--nocompress-debug-sections", true, AS_FINE},
	{"--elf-stt-common=", false, AS_FINE},
	{"--generate-missing-build-notes=", false, AS_FINE},
	{"--hash-size=", false, AS_FINE},
	{"--size-check=", false, AS_FINE},
	{"--debug-prefix-map=", false, AS_FINE},
	{"--defsym", true, AS_VALUE},
	{"--debug-prefix-map", true, AS_VALUE},
	{"-I", true, AS_VALUE},
	{"-I", false, AS_FINE},
	{"-m", false, AS_FINE},
	{"-EL", true, AS_FINE},
	{"-EB", true, AS_FINE},
	{"-W", true, AS_FINE},
	{"-D", true, AS_FINE},
	{"-f", true, AS_FINE},
	{"-J", true, AS_FINE},
	{"-K", true, AS_FINE},
	{"-L", true, AS_FINE},
	{"-n", true, AS_FINE},
	{"-Q", false, AS_FINE},
	{"-R", true, AS_FINE},
	{"-s", true, AS_FINE},
	{"-Z", true, AS_FINE},
	{"-g", false, AS_DEBUG},
	{"--gen-debug", true, AS_DEBUG},
	{"--gdwarf", false, AS_DEBUG},
	{"--gstabs", false, AS_DEBUG},
	{"-a", false, AS_LISTING},
	{"-MD", false, AS_FILES},
	{"--MD", false, AS_FILES},
	{"-o", false, AS_FILES},
	{"--listing-", false, AS_FINE},
	{"-v", true, AS_INFORMATION},
	{"-version", true, AS_INFORMATION},
	{"--version", true, AS_INFORMATION},
	{"--help", true, AS_INFORMATION},
	{"--target-help", true, AS_INFORMATION},
	{"--statistics", true, AS_INFORMATION},
};

static enum as_kind as_kind_of(const char *item)
{
	for (size_t i = 0; i < COUNT_OF(as_options); i++) {
		const struct as_option *o = &as_options[i];
		if (o->whole ? strcmp(item, o->name) == 0 : text_begins(item, o->name))
			return o->kind;
	}
	return AS_UNKNOWN;
}

// Into a file, or with the messages. With `g` it says when it was made. clang makes none.
static void take_listing(struct parser *p, const struct use *u, const char *item)
{
	const char *letters = item + strlen("-a"), *equals = strchr(letters, '=');
	size_t n = strspn(letters, "cdhlmns");
	if (p->family != FAMILY_GCC || (letters[n] && letters[n] != '='))
		parser_refuse(p, REASON_side_files, u->text);
	for (unsigned w = u->word; w <= u->value_word; w++) {
		p->c->arguments[w].role = ARGUMENT_WRITES;
		p->c->arguments[w].prefix = (unsigned)strlen(p->c->arguments[w].text);
	}
	p->c->lists = true;
	p->c->lists_sources |= n == 0 || memchr(letters, 'h', n);
	p->c->any_comment_matters = true;
	if (equals)
		p->c->listing = equals + 1; // the last one counts
}

static void take_as_items(struct parser *p, const struct use *u, unsigned n, const char *const *items)
{
	for (unsigned i = 0; i < n; i++) {
		enum as_kind kind = as_kind_of(items[i]);
		if (kind == AS_DEBUG)
			p->c->debug_info = true;
		else if (kind == AS_INFORMATION)
			parser_refuse(p, REASON_information, u->text);
		else if (kind == AS_LISTING)
			take_listing(p, u, items[i]);
		else if (kind == AS_FILES)
			parser_refuse(p, REASON_side_files, u->text);
		else if (kind == AS_UNKNOWN || (kind == AS_VALUE && ++i == n))
			parser_refuse(p, REASON_option_dangerous, u->text);
	}
}

// An option whose value comes with the next -Xassembler is rare, and refused.
void apply_as(struct parser *p, const struct use *u)
{
	const char **items = NULL;
	unsigned n = split_value(p, u, &items);
	take_as_items(p, u, n, items);
}

// ---- clang's compiler proper ----------------------------------------------------------------------------------------

enum cc1_kind {
	CC1_KEEP,
	CC1_DEBUG,
	CC1_KEEP_VALUE,
	CC1_SEARCH_VALUE,
	CC1_FORCED_VALUE,
	CC1_EXTRA_VALUE,
	CC1_LLVM_VALUE,
	CC1_PCH,
	CC1_REFUSE,
};

static const struct cc1_option {
	const char *name;
	enum cc1_kind kind;
	enum reason reason;
} cc1_options[] = {
	// As CMake uses precompiled headers
	{"-include-pch", CC1_EXTRA_VALUE, REASON_NONE},
	{"-include", CC1_FORCED_VALUE, REASON_NONE},
	{"-emit-pch", CC1_PCH, REASON_NONE},
	{"-fno-validate-pch", CC1_KEEP, REASON_NONE},
	{"-fno-pch-timestamp", CC1_KEEP, REASON_NONE},
	{"-load", CC1_REFUSE, REASON_plugin},
	{"-plugin", CC1_REFUSE, REASON_plugin},
	{"-add-plugin", CC1_REFUSE, REASON_plugin},
	{"-isystem", CC1_SEARCH_VALUE, REASON_NONE},
	{"-internal-isystem", CC1_SEARCH_VALUE, REASON_NONE},
	{"-internal-externc-isystem", CC1_SEARCH_VALUE, REASON_NONE},
	{"-c-isystem", CC1_SEARCH_VALUE, REASON_NONE},
	{"-cxx-isystem", CC1_SEARCH_VALUE, REASON_NONE},
	{"-nostdsysteminc", CC1_KEEP, REASON_NONE},
	{"-target-cpu", CC1_KEEP_VALUE, REASON_NONE},
	{"-tune-cpu", CC1_KEEP_VALUE, REASON_NONE},
	{"-target-feature", CC1_KEEP_VALUE, REASON_NONE},
	{"-target-abi", CC1_KEEP_VALUE, REASON_NONE},
	{"-mllvm", CC1_LLVM_VALUE, REASON_NONE},
	{"-disable-O0-optnone", CC1_KEEP, REASON_NONE},
	{"-disable-llvm-passes", CC1_KEEP, REASON_NONE},
	{"-disable-llvm-optzns", CC1_KEEP, REASON_NONE},
	{"-disable-llvm-verifier", CC1_KEEP, REASON_NONE},
	{"-disable-lifetime-markers", CC1_KEEP, REASON_NONE},
	{"-disable-red-zone", CC1_KEEP, REASON_NONE},
	{"-discard-value-names", CC1_KEEP, REASON_NONE},
	{"-disable-free", CC1_KEEP, REASON_NONE},
	{"-clear-ast-before-backend", CC1_KEEP, REASON_NONE},
	{"-no-clear-ast-before-backend", CC1_KEEP, REASON_NONE},
	{"-pic-is-pie", CC1_KEEP, REASON_NONE},
	{"-pic-level", CC1_KEEP_VALUE, REASON_NONE},
	{"-debug-info-macro", CC1_KEEP, REASON_NONE},
	{"-debug-info-kind=constructor", CC1_DEBUG, REASON_NONE},
	{"-debug-info-kind=limited", CC1_DEBUG, REASON_NONE},
	{"-debug-info-kind=standalone", CC1_DEBUG, REASON_NONE},
	{"-debug-info-kind=line-tables-only", CC1_DEBUG, REASON_NONE},
	{"-debug-info-kind=line-directives-only", CC1_DEBUG, REASON_NONE},
	{"-debug-info-kind=unused-types", CC1_DEBUG, REASON_NONE},
	{"-dwarf-version=2", CC1_DEBUG, REASON_NONE},
	{"-dwarf-version=3", CC1_DEBUG, REASON_NONE},
	{"-dwarf-version=4", CC1_DEBUG, REASON_NONE},
	{"-dwarf-version=5", CC1_DEBUG, REASON_NONE},
	{"-debugger-tuning=gdb", CC1_KEEP, REASON_NONE},
	{"-debugger-tuning=lldb", CC1_KEEP, REASON_NONE},
	{"-gsimple-template-names=simple", CC1_KEEP, REASON_NONE},
	{"-opaque-pointers", CC1_KEEP, REASON_NONE},
	{"-no-opaque-pointers", CC1_KEEP, REASON_NONE},
	{"-enable-noundef-analysis", CC1_KEEP, REASON_NONE},
	{"-disable-noundef-analysis", CC1_KEEP, REASON_NONE},
	{"-no-enable-noundef-analysis", CC1_KEEP, REASON_NONE},
	{"-relaxed-aliasing", CC1_KEEP, REASON_NONE},
	{"-new-struct-path-tbaa", CC1_KEEP, REASON_NONE},
	{"-no-struct-path-tbaa", CC1_KEEP, REASON_NONE},
	{"-vectorize-loops", CC1_KEEP, REASON_NONE},
	{"-vectorize-slp", CC1_KEEP, REASON_NONE},
	{"-stack-protector", CC1_KEEP_VALUE, REASON_NONE},
	{"-stack-protector-buffer-size", CC1_KEEP_VALUE, REASON_NONE},
	{"-mrelocation-model", CC1_KEEP_VALUE, REASON_NONE},
	{"-fvisibility", CC1_KEEP_VALUE, REASON_NONE},
	{"-fdebug-compilation-dir", CC1_KEEP_VALUE, REASON_NONE},
	{"-ftype-visibility", CC1_KEEP_VALUE, REASON_NONE},
};

static const struct cc1_option *find_cc1(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(cc1_options); i++)
		if (strcmp(cc1_options[i].name, name) == 0)
			return &cc1_options[i];
	return NULL;
}

static bool is_harmless_llvm(const char *value)
{
	static const char *const suspicious[] = {"/",      "file",  "path",   "dir",     "list",   "dump", "print",
						 "output", "load",  "plugin", "stats",   "dot",    "view", "remarks",
						 "-time-", "debug", "help",   "version", "record", "log"};
	if (value[0] != '-')
		return false;
	for (size_t i = 0; i < COUNT_OF(suspicious); i++)
		if (strstr(value, suspicious[i]))
			return false;
	return true;
}

// For the option's name, too: who leaves out the value must leave out both.
static void set_pair_role(struct parser *p, const struct use *u, enum argument_role role)
{
	struct argument *name = &p->c->arguments[p->cc1_word], *value = &p->c->arguments[u->value_word];
	name->role = value->role = role;
	name->prefix = (unsigned)strlen(name->text);
	value->prefix = u->prefix;
}

static void take_cc1_value(struct parser *p, const struct use *u, enum cc1_kind kind)
{
	switch (kind) {
	case CC1_SEARCH_VALUE:
		set_pair_role(p, u, ARGUMENT_SEARCH);
		break;
	case CC1_FORCED_VALUE:
		set_pair_role(p, u, ARGUMENT_KEY_PATH);
		parser_add_forced(p, u->value);
		p->cc1_forced++;
		break;
	case CC1_EXTRA_VALUE:
		set_pair_role(p, u, ARGUMENT_KEY_PATH);
		parser_add_extra(p, u->value);
		break;
	case CC1_LLVM_VALUE:
		apply_llvm(p, u);
		break;
	default:
		break;
	}
}

void apply_cc1(struct parser *p, const struct use *u)
{
	if (p->cc1_pending) {
		enum cc1_kind kind = find_cc1(p->cc1_pending)->kind;
		p->cc1_pending = NULL;
		take_cc1_value(p, u, kind);
		return;
	}
	const struct cc1_option *o = find_cc1(u->value);
	if (!o && !option_is_harmless(p, u->value)) {
		parser_refuse(p, text_begins(u->value, "-plugin") ? REASON_plugin : REASON_option_dangerous, u->value);
	} else if (o && o->kind == CC1_REFUSE) {
		parser_refuse(p, o->reason, u->value);
	} else if (o && o->kind == CC1_DEBUG) {
		p->cc1_debug = true;
	} else if (o && o->kind == CC1_PCH) {
		p->cc1_pch = true;
	} else if (o && o->kind != CC1_KEEP) {
		p->cc1_pending = o->name;
		p->cc1_word = u->value_word;
	}
}

void apply_llvm(struct parser *p, const struct use *u)
{
	if (!is_harmless_llvm(u->value))
		parser_refuse(p, REASON_option_dangerous, u->value);
}
