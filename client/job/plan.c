#include "client/job/plan.h"

#include "client/job/comparable.h"
#include "client/job/outputs.h"

#include "base/path.h"
#include "base/text.h"
#include "compiler/options.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	CLANG_WITH_DIRECTORY = 12,  // -fdebug-compilation-dir=
	GCC_THAT_RECORDS_LESS = 11, // no names of outputs and depfiles
};

// ---- names ----------------------------------------------------------------------------------------------------------

const char *plan_below_root(const struct plan *p, const char *path)
{
	const char *below = path_below(p->root, path);
	return below || !p->root_real ? below : path_below(p->root_real, path);
}

const char *plan_canonical_path(const struct plan *p, const char *path)
{
	return plan_canonical_in(p, p->arena, path);
}

const char *plan_canonical_in(const struct plan *p, struct arena *a, const char *path)
{
	if (!p->reproducible || path[0] != '/')
		return path;
	const char *rest = path_below(p->root, path);
	const char *real = p->root_real && !rest ? path_below(p->root_real, path) : NULL;
	size_t n = strlen(path);
	// "ROOT/." could not be told from "ROOT".
	if ((!rest && !real) || (n > 2 && strcmp(path + n - 2, "/.") == 0))
		return path;
	return arena_printf(a, "%c%s", rest ? PATH_TREE : PATH_TREE_REAL, rest ? rest : real);
}

const char *plan_real_path(const struct plan *p, struct arena *a, const char *canonical)
{
	if (canonical[0] != PATH_TREE && canonical[0] != PATH_TREE_REAL)
		return canonical;
	const char *root = canonical[0] == PATH_TREE_REAL && p->root_real ? p->root_real : p->root;
	return strcmp(canonical + 1, ".") == 0 ? root : arena_printf(a, "%s/%s", root, canonical + 1);
}

bool plan_adds_no_timestamp(const struct plan *p)
{
	return p->line.makes_pch && p->compiler->family == FAMILY_CLANG;
}

static struct refusal find_names(struct plan *p)
{
	if (p->wire->cwd[0] != '/')
		return refuse(REASON_no_source, NULL);
	p->cwd = path_tidy(p->arena, p->wire->cwd);
	p->root = config_find_tree(p->arena, p->cwd);
	struct err err = ERR_INIT;
	p->config = settings_find(p->services->settings, p->env, p->wire->set, p->root, &err);
	if (!p->config)
		return refuse(REASON_configuration, arena_strdup(p->arena, err.text));
	if (!setting_bool(p->config, SETTING_enabled))
		return refuse(REASON_disabled, NULL);
	const char *root = setting_text(p->config, SETTING_root);
	if (root[0])
		p->root = path_tidy(p->arena, root);
	return NO_REFUSAL;
}

static void find_lto(struct plan *p)
{
	for (unsigned i = 0; i < p->line.n_arguments; i++)
		p->lto |= (option_traits(p->line.arguments[i].text) & TRAIT_LTO) != 0;
}

// gcov, llvm-cov and their kin look for sources by the names in notes and objects: these stay as they are.
static bool is_measured(const struct cmdline *l)
{
	static const char *const begun[] = {
		"-fprofile-arcs",     "-fprofile-generate", "-fprofile-instr-generate", "-fcs-profile-generate",
		"-fcoverage-mapping", "-ftest-coverage",    "-fcondition-coverage",     "-fpath-coverage",
		"--coverage",         "-coverage"};
	for (unsigned i = 0; i < l->n_arguments; i++)
		for (size_t k = 0; k < COUNT_OF(begun); k++)
			if (!l->arguments[i].is_value && text_begins(l->arguments[i].text, begun[k]))
				return true;
	return l->coverage_notes || l->profile_data;
}

// Whether the user says what the directory of the compile is called in debug information (clang, also through -Xclang).
static bool names_the_directory(const struct cmdline *l)
{
	for (unsigned i = 0; i < l->n_arguments; i++)
		if (text_begins(l->arguments[i].text, "-fdebug-compilation-dir") ||
		    text_begins(l->arguments[i].text, "-ffile-compilation-dir"))
			return true;
	return false;
}

// The user's own maps win: ours step back where one is for the tree itself. In debug information they also do where one is for
// the directory of the compile, since names that we make relative to it would be lost under another name of it. False: one is
// for a directory above the tree, so that what it makes of names depends on where the tree is.
static bool heed_users_maps(struct plan *p)
{
	static const struct {
		const char *option;
		unsigned aspects;
	} maps[] = {{"-ffile-prefix-map=", MAPS_ALL},
		    {"-fmacro-prefix-map=", MAPS_MACROS},
		    {"-fdebug-prefix-map=", MAPS_DEBUG},
		    {"-fcoverage-prefix-map=", 0},
		    {"-fprofile-prefix-map=", 0}};
	for (unsigned i = 0; i < p->line.n_arguments; i++)
		for (size_t k = 0; k < COUNT_OF(maps); k++) {
			const char *t = p->line.arguments[i].text, *old = t + strlen(maps[k].option);
			if (p->line.arguments[i].role != ARGUMENT_MAP || !text_begins(t, maps[k].option) || old[0] != '/')
				continue;
			const char *path = path_tidy(p->arena, arena_strndup(p->arena, old, strcspn(old, "=")));
			const char *below = path_below(path, p->root);
			if (!below && p->root_real)
				below = path_below(path, p->root_real);
			if (strcmp(path, "/") == 0 || (below && strcmp(below, ".") != 0))
				return false;
			if (below)
				p->users_maps |= maps[k].aspects;
			else if (path_below(path, p->cwd))
				p->users_maps |= maps[k].aspects & MAPS_DEBUG;
		}
	if (names_the_directory(&p->line))
		p->users_maps |= MAPS_DEBUG;
	return true;
}

static bool names_are_absolute(const struct cmdline *l)
{
	for (unsigned i = 0; i < l->n_arguments; i++) {
		const struct argument *w = &l->arguments[i];
		bool is_path = (w->role == ARGUMENT_KEY_PATH || w->role == ARGUMENT_SEARCH) && w->text[w->prefix];
		if (is_path && w->text[w->prefix] != '/')
			return false;
	}
	return l->source[0] == '/';
}

// A relative name in debug information belongs to the directory of the compile, which is to be relative to the tree as well.
static void decide_debug_names(struct plan *p)
{
	const char *below = plan_below_root(p, p->cwd);
	bool is_clang = p->compiler->family == FAMILY_CLANG;
	if (!p->reproducible || !p->line.debug_info || (p->users_maps & MAPS_DEBUG))
		return;
	// From a directory elsewhere only absolute names lead into the tree.
	if (!below)
		p->users_maps |= MAPS_DEBUG;
	if (!below || strcmp(below, ".") == 0)
		return;
	// clang puts the .dwo in other places where it is told the directory.
	if (is_clang && (p->compiler->version < CLANG_WITH_DIRECTORY || p->line.split_dwarf))
		return;
	// lldb is at odds with names that begin with "../" in clang's objects; with absolute ones it can be done without.
	if (is_clang && names_are_absolute(&p->line)) {
		p->debug_up = "./";
		p->debug_dir = ".";
		return;
	}
	AUTO_BUF struct buf up = BUF_INIT;
	for (const char *at = below; at; at = strchr(at, '/'), at = at ? at + 1 : NULL)
		buf_adds(&up, "../");
	p->debug_up = arena_strdup(p->arena, up.data);
	p->debug_dir = arena_printf(p->arena, "./%s", below);
}

// With "/" as the build tree there is nothing to map. Old compilers have no -ffile-prefix-map.
static void decide_reproducible(struct plan *p)
{
	const struct compiler *c = p->compiler;
	unsigned since = c->family == FAMILY_GCC ? 8 : 10;
	p->reproducible = setting_bool(p->config, SETTING_reproducible) && strcmp(p->root, "/") != 0 && p->root[0] == '/' &&
			  c->version >= since && !strchr(p->root, '=') && !is_measured(&p->line) &&
			  !p->line.lists; // the assembler reads the sources by the names that maps change
	if (!p->reproducible)
		return;
	AUTO_FREE char *real = realpath(p->root, NULL);
	if (real && strcmp(real, p->root) != 0)
		p->root_real = arena_strdup(p->arena, real);
	p->reproducible = heed_users_maps(p);
	if (!p->reproducible) {
		p->root_real = NULL;
		return;
	}
	bool cxx = p->line.lang == LANG_CXX || p->line.lang == LANG_OBJCXX || p->line.lang == LANG_CXX_CPP_OUT;
	p->seed = c->family == FAMILY_GCC && !p->line.has_random_seed && (cxx || p->lto || p->line.coverage_notes);
	decide_debug_names(p);
}

// ---- the environment ------------------------------------------------------------------------------------------------

enum variable_role {
	VARIABLE_KEY,
	VARIABLE_LOOK,
	VARIABLE_MESSAGES,
	VARIABLE_TERMINAL,
	VARIABLE_REFUSED,
	VARIABLE_TRAVELS,
	VARIABLE_IDLE,
};
struct variable {
	enum variable_role role;
	const char *name;
};
static const struct variable variables[] = {
#define VARIABLE(role, name) {VARIABLE_##role, name},
#include "base/compiler_variables.def"
#undef VARIABLE
};

// "NAME=value" for a name of the table, which may stand for all that begin so.
static bool is_named(const char *entry, const char *name)
{
	size_t n = strcspn(entry, "="), len = strlen(name);
	if (name[len - 1] == '*')
		return strncmp(entry, name, len - 1) == 0;
	return n == len && strncmp(entry, name, len) == 0;
}

static struct refusal check_environment(const struct plan *p)
{
	for (const char *const *e = p->env; *e; e++)
		for (size_t i = 0; i < COUNT_OF(variables); i++)
			if (variables[i].role == VARIABLE_REFUSED && is_named(*e, variables[i].name))
				return refuse(REASON_environment, arena_strndup(p->arena, *e, strcspn(*e, "=")));
	return NO_REFUSAL;
}

const char *plan_locale(const struct plan *p, const char *category)
{
	const char *names[] = {"LC_ALL", category, "LANG"};
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		const char *v = env_value(p->env, names[i]);
		if (v && v[0])
			return v;
	}
	return "C";
}

static void find_key_environment(struct plan *p)
{
	p->key_env = arena_alloc(p->arena, (COUNT_OF(variables) + 1) * sizeof *p->key_env);
	for (size_t i = 0; i < COUNT_OF(variables); i++) {
		const char *v = variables[i].role == VARIABLE_KEY ? env_value(p->env, variables[i].name) : NULL;
		if (v)
			p->key_env[p->n_key_env++] = arena_printf(p->arena, "%s=%s", variables[i].name, v);
	}
	p->key_env[p->n_key_env++] = arena_printf(p->arena, "LC_CTYPE=%s", plan_locale(p, "LC_CTYPE"));
}

static bool is_about_colors(const char *text)
{
	static const char *const begun[] = {"-fdiagnostics-color", "-fno-diagnostics-color", "-fcolor-diagnostics",
					    "-fno-color-diagnostics"};
	for (size_t i = 0; i < COUNT_OF(begun); i++)
		if (text_begins(text, begun[i]))
			return true;
	return false;
}

// Messages depend on the terminal and the language; the object does not.
static void find_messages_context(struct plan *p)
{
	AUTO_HASHER struct hasher h;
	bool terminal = p->wire->flags & JOB_STDERR_TTY;
	hasher_init(&h);
	hasher_str(&h, "coffer messages 2");
	hasher_str(&h, plan_locale(p, "LC_MESSAGES"));
	hasher_u64(&h, terminal ? p->wire->columns + 1 : 0);
	for (size_t i = 0; i < COUNT_OF(variables); i++)
		if (variables[i].role == VARIABLE_MESSAGES || (terminal && variables[i].role == VARIABLE_TERMINAL))
			hasher_str(&h, env_value(p->env, variables[i].name));
	for (unsigned i = 0; i < p->line.n_arguments; i++)
		if (!p->line.arguments[i].is_value && is_about_colors(p->line.arguments[i].text))
			hasher_str(&h, p->line.arguments[i].text);
	p->messages_context = hasher_end(&h);
}

static void find_time_context(struct plan *p)
{
	const char *epoch = env_value(p->env, "SOURCE_DATE_EPOCH");
	unsigned since = p->compiler->family == FAMILY_GCC ? 7 : 16;
	if (epoch && epoch[0] && p->compiler->version >= since)
		p->time_context = digest_of(epoch, strlen(epoch));
}

// ---- the key --------------------------------------------------------------------------------------------------------

// "-ffile-prefix-map=OLD=NEW": OLD counts by where it is in the build tree.
static const char *canonical_map(const struct plan *p, const char *text)
{
	const char *old = strchr(text, '=');
	const char *new = old ? strchr(old + 1, '=') : NULL;
	if (!new)
		return text;
	const char *path = arena_strndup(p->arena, old + 1, (size_t)(new - old - 1));
	return arena_printf(p->arena, "%.*s%s%s", (int)(old + 1 - text), text, plan_canonical_path(p, path), new);
}

// NULL: it does not count.
static const char *canonical_argument(const struct plan *p, unsigned i)
{
	const struct argument *w = &p->line.arguments[i];
	// Where -c stands makes no difference, and colours are about messages.
	if (w->role == ARGUMENT_NOT_KEY || i == p->line.source_argument ||
	    (!w->is_value && (strcmp(w->text, "-c") == 0 || is_about_colors(w->text))))
		return NULL;
	if (w->role == ARGUMENT_MAP)
		return canonical_map(p, w->text);
	bool is_path = w->role == ARGUMENT_KEY_PATH || w->role == ARGUMENT_SEARCH || w->role == ARGUMENT_WRITES;
	if (!is_path || w->text[w->prefix] != '/')
		return w->text;
	// An untidy path ("/src//inc") shows in depfiles and messages as it stands, so it stands in the key.
	const char *canonical = plan_canonical_path(p, w->text + w->prefix);
	return canonical == w->text + w->prefix ? w->text
						: arena_printf(p->arena, "%.*s%s", (int)w->prefix, w->text, canonical);
}

static void find_canonical_arguments(struct plan *p)
{
	p->canonical = arena_alloc(p->arena, (p->line.n_arguments + 1) * sizeof *p->canonical);
	for (unsigned i = 0; i < p->line.n_arguments; i++) {
		const char *text = canonical_argument(p, i);
		if (text)
			p->canonical[p->n_canonical++] = text;
	}
}

// What it does shows in the preprocessed text, and nowhere else.
static bool is_for_preprocessor(const char *text)
{
	static const char *const begun[] = {"-D", "-U", "-I", "-isystem", "-iquote", "-idirafter", "-include", "-imacros"};
	for (size_t i = 0; i < COUNT_OF(begun); i++)
		if (text_begins(text, begun[i]))
			return true;
	return false;
}

static struct digest cpu;

static void find_cpu(void)
{
	AUTO_BUF struct buf text = BUF_INIT;
	AUTO_CLOSE int fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
	file_read_fd(fd, 1 << 20, &text, NULL);
	// The first processor's description without what changes from moment to moment.
	char *end = text.data ? strstr(text.data, "\n\n") : NULL;
	char *mhz = text.data ? strstr(text.data, "cpu MHz") : NULL;
	if (mhz && end && mhz < end)
		memset(mhz, ' ', strcspn(mhz, "\n"));
	// Where it can't be told, this machine is like no other, and itself another one with each daemon.
	if (!text.len)
		buf_addf(&text, "unknown %lld", (long long)clock_now_ns());
	cpu = digest_of(text.data ? text.data : "", end ? (size_t)(end - text.data) : text.len);
}

static void add_native(const struct plan *p, struct buf *b)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	for (unsigned i = 0; i < p->line.n_arguments; i++)
		if (option_is_native(p->line.arguments[i].text)) {
			pthread_once(&once, find_cpu);
			buf_add(b, cpu.b, sizeof cpu.b);
			return;
		}
}

// Text for the linker is packed, so that no search finds the tree's name in it. gcc puts the working directory there, whatever
// the maps say; clang the source's name as it was given, and nothing else that is not mapped.
static bool holds_the_place(const struct plan *p)
{
	return p->lto && (p->compiler->family != FAMILY_CLANG || p->line.source[0] == '/');
}

// A text as a hasher takes it: NULL differs from "".
static void add_text(struct buf *b, const char *s)
{
	size_t n = s ? strlen(s) : 0;
	buf_add_u64(b, s ? n : UINT64_MAX);
	buf_add(b, s, n);
}

// Is the working directory in the result? Without debug information names are what the command says, and what a relative one
// leads to is an input: build directories beside each other share.
static bool cwd_shows(const struct plan *p)
{
	const struct cmdline *l = &p->line;
	bool assembler = l->lang == LANG_ASM || l->lang == LANG_ASM_CPP; // its text may have debug information
	return !p->reproducible || assembler || l->debug_info || l->needs_cwd || p->lto || l->makes_pch ||
	       l->n_extra_inputs || l->remarks || l->modules_directory;
}

// Where the source most likely is ("b/../x.c" is "x.c", unless b is a symlink): sources of one name in many directories are to be
// apart, so that no manifest has the results of all of them. What is really read is an input.
static const char *source_place(const struct plan *p)
{
	char *path = arena_strdup(p->arena, path_tidy(p->arena, path_join(p->arena, p->cwd, p->line.source)));
	char *to = path;
	for (const char *from = path; *from;) {
		size_t n = 1 + strcspn(from + 1, "/"); // "/name"
		if (n == 3 && memcmp(from, "/..", 3) == 0) {
			while (to > path && *--to != '/')
				;
		} else {
			memmove(to, from, n);
			to += n;
		}
		from += n;
	}
	*to = '\0';
	return plan_canonical_path(p, path);
}

static void add_fields(const struct plan *p, const char *const *arguments, unsigned n, struct buf *b)
{
	const struct cmdline *l = &p->line;
	const char *where = p->reproducible && !l->needs_cwd ? plan_canonical_path(p, p->cwd) : p->cwd;

	buf_add_u64(b, l->lang);
	buf_add_u64(b, l->dep); // -Wp,-MD and -Wp,-MMD are no words of the key
	buf_add_u64(b, (uint64_t)p->reproducible << 1 | (uint64_t)p->seed);
	add_text(b, p->debug_dir);
	add_text(b, cwd_shows(p) ? where : source_place(p));
	// An untidy $PWD ("/src/./proj") ends up in debug information as it stands.
	add_text(b, strcmp(p->cwd, p->wire->cwd) == 0 ? NULL : p->wire->cwd);
	add_text(b, holds_the_place(p) ? p->root : NULL);
	add_text(b, p->source);
	add_text(b, l->needs_output ? plan_canonical_path(p, l->output) : NULL);
	buf_add_u64(b, (uint64_t)l->dep << 1 | l->dep_wp);
	buf_add_u64(b, n);
	for (unsigned i = 0; i < n; i++)
		add_text(b, arguments[i]);
	for (unsigned i = 0; i < p->n_key_env; i++)
		add_text(b, p->key_env[i]);
	add_text(b, setting_text(p->config, SETTING_extra_key));
	add_native(p, b);
	if (!plan_has_object(p))
		add_text(b, "no object");
}

void plan_key_fields(const struct plan *p, struct buf *b)
{
	add_fields(p, p->canonical, p->n_canonical, b);
}

void plan_compile_fields(const struct plan *p, struct buf *b)
{
	const struct cmdline *l = &p->line;
	const char **list = arena_alloc(p->arena, (l->n_arguments + 1) * sizeof *list);
	unsigned n = 0;
	for (unsigned i = 0, next; i < l->n_arguments; i = next) {
		for (next = i + 1; next < l->n_arguments && l->arguments[next].is_value; next++)
			;
		for (unsigned k = i; k < next && !is_for_preprocessor(l->arguments[i].text); k++) {
			const char *text = canonical_argument(p, k);
			if (text)
				list[n++] = text;
		}
	}
	add_fields(p, list, n, b);
}

static void make_keys(struct plan *p)
{
	AUTO_HASHER struct hasher h;
	AUTO_BUF struct buf fields = BUF_INIT;
	plan_key_fields(p, &fields);
	hasher_init(&h);
	hasher_str(&h, "coffer manifest 4");
	hasher_digest(&h, &p->toolchain);
	hasher_raw(&h, fields.data, fields.len);
	p->manifest_key = hasher_end(&h);
	const char *place = cwd_shows(p) ? p->root : arena_printf(p->arena, "%s\n%s", p->root, p->cwd);
	p->place = digest_of(place, strlen(place));

	AUTO_HASHER struct hasher unit;
	hasher_init(&unit);
	hasher_str(&unit, "coffer unit 1");
	hasher_str(&unit, plan_canonical_path(p, p->cwd));
	hasher_str(&unit, p->source);
	p->unit_key = hasher_end(&unit);
}

// ---- what the command line allows -----------------------------------------------------------------------------------

// The scanner reads bytes as ASCII and UTF-8. The launcher's own descriptors are not ours. Names that __has_include asks for
// on the command line are not looked at.
static struct refusal check_arguments(const struct plan *p)
{
	static const char charset[] = "-finput-charset=";
	for (unsigned i = 0; i < p->line.n_arguments; i++) {
		const char *t = p->line.arguments[i].text;
		const char *name = text_begins(t, charset) ? t + strlen(charset) : NULL;
		bool is_odd = name && strcasecmp(name, "utf-8") != 0 && strcasecmp(name, "utf8") != 0 &&
			      strcasecmp(name, "us-ascii") != 0 && strcasecmp(name, "ascii") != 0;
		bool is_macro = text_begins(t, "-D") || (i && strcmp(p->line.arguments[i - 1].text, "-D") == 0);
		bool is_own = !is_macro && (strstr(t, "/dev/fd/") || strstr(t, "/dev/std") || strstr(t, "/proc/self/"));
		if (is_odd || is_own || strstr(t, "__has_include"))
			return refuse(is_odd   ? REASON_option_dangerous
				      : is_own ? REASON_input_not_a_file
					       : REASON_unknown_probe,
				      t);
	}
	return NO_REFUSAL;
}

static struct refusal choose_inputs(struct plan *p)
{
	enum lang lang = p->line.lang;
	if (lang == LANG_ASM || lang == LANG_C_CPP_OUT || lang == LANG_CXX_CPP_OUT)
		p->inputs_from = INPUTS_SOURCE_ONLY;
	else if (p->line.dep == DEP_NONE)
		p->inputs_from = INPUTS_OUR_DEPFILE;
	else
		p->inputs_from = p->line.dep == DEP_ALL ? INPUTS_USER_DEPFILE : INPUTS_USER_MMD;
	// Whether there will be a depfile then depends on the compiler's version.
	if (p->inputs_from == INPUTS_SOURCE_ONLY && p->line.dep != DEP_NONE)
		return refuse(REASON_depfile_unparsed, NULL);
	// Text of `-E -fdirectives-only` still has its includes.
	for (unsigned i = 0; i < p->line.n_arguments && p->inputs_from == INPUTS_SOURCE_ONLY; i++)
		if (text_begins(p->line.arguments[i].text, "-fdirectives-only"))
			return refuse(REASON_option_dangerous, NULL);
	return NO_REFUSAL;
}

// What the compiler looks at besides the unit belongs to the toolchain as the compiler itself does.
static struct refusal find_toolchain(struct plan *p)
{
	struct err err = ERR_INIT;
	struct view_query q = {.compiler = p->compiler,
			       .argv0 = p->wire->argv[0],
			       .line = &p->line,
			       .cwd = p->cwd,
			       .cwd_fd = p->cwd_fd,
			       .env = p->env,
			       .root = p->reproducible ? p->root : NULL,
			       .root_real = p->reproducible ? p->root_real : NULL,
			       .epoch = p->epoch};
	if (views_find(p->services->views, &q, &p->view, &err) < 0)
		return refuse(err.code == ERR_USAGE ? REASON_compiler_wrapper : REASON_toolchain_unobserved,
			      arena_strdup(p->arena, err.text));
	AUTO_HASHER struct hasher h;
	hasher_init(&h);
	hasher_digest(&h, &p->compiler->identity);
	hasher_u64(&h, p->view != NULL);
	if (p->view)
		hasher_digest(&h, view_digest(p->view));
	p->toolchain = hasher_end(&h);
	return NO_REFUSAL;
}

// Nothing is added to the command of a unit that makes or uses a module.
static struct refusal check_modules(const struct plan *p)
{
	struct file_facts facts;
	if (p->line.modules_directory &&
	    (files_facts(p->services->files, p->cwd_fd, p->line.source, p->arena, &facts, NULL) < 0 ||
	     (facts.scan.facts & FACT_modules)))
		return refuse(REASON_modules, p->line.source);
	return NO_REFUSAL;
}

void plan_release(struct plan *p)
{
	view_unref(TAKE(p->view));
}

struct refusal plan_make(struct plan *p)
{
	struct err err = ERR_INIT;
	enum reason reason;
	struct refusal refusal = find_names(p);
	if (is_refused(refusal) || is_refused(refusal = check_environment(p)))
		return refusal;
	if (p->wire->n_argv < 1)
		return refuse(REASON_no_source, NULL);
	p->epoch = watch_epoch(p->services->watch);
	const struct compiler_call call = {.path = p->wire->compiler,
					   .argv0 = p->wire->argv[0],
					   .env = p->env,
					   .epoch = p->epoch,
					   .told = setting_text(p->config, SETTING_compiler)};
	p->compiler = compilers_find(p->services->compilers, &call, &reason, &err);
	if (!p->compiler)
		return refuse(reason, p->wire->compiler);
	cmdline_parse(&p->line, p->arena, p->compiler->family, p->compiler->is_cxx, p->cwd_fd, p->wire->argv);
	if (p->line.reason != REASON_NONE)
		return refuse(p->line.reason, p->line.culprit);
	if (p->line.records_options && p->compiler->version < GCC_THAT_RECORDS_LESS)
		return refuse(REASON_records_command_line, NULL);
	if (is_refused(refusal = check_arguments(p)) || is_refused(refusal = outputs_check(p)) ||
	    is_refused(refusal = choose_inputs(p)) || is_refused(refusal = check_modules(p)))
		return refusal;
	find_lto(p);
	decide_reproducible(p);
	if (plan_adds_no_timestamp(p) && !p->reproducible)
		return refuse(REASON_precompiled_header, p->line.source);
	if (is_refused(refusal = find_toolchain(p)))
		return refusal;
	p->source = plan_canonical_path(p, p->line.source);
	find_canonical_arguments(p);
	find_key_environment(p);
	find_messages_context(p);
	find_time_context(p);
	make_keys(p);
	p->code_counts = comparable_without_comments(p);
	p->text_counts = comparable_preprocessed(p);
	return NO_REFUSAL;
}
