#include "client/job/job.h"

#include "base/path.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

// ---- names ----------------------------------------------------------------------------------------------------------

const char *job_canonical_path(struct job *j, const char *path)
{
	if (!j->reproducible || path[0] != '/')
		return path;
	const char *rest = path_below(j->root, path);
	const char *real = j->root_real && !rest ? path_below(j->root_real, path) : NULL;
	if (!rest && !real)
		return path;
	return arena_printf(&j->arena, "%c%s", rest ? PATH_TREE : PATH_TREE_REAL, rest ? rest : real);
}

const char *job_real_path(const struct job *j, struct arena *a, const char *canonical)
{
	if (canonical[0] != PATH_TREE && canonical[0] != PATH_TREE_REAL)
		return canonical;
	const char *root = canonical[0] == PATH_TREE_REAL && j->root_real ? j->root_real : j->root;
	return strcmp(canonical + 1, ".") == 0 ? root : arena_printf(a, "%s/%s", root, canonical + 1);
}

static enum reason find_names(struct job *j)
{
	if (j->wire.cwd[0] != '/')
		return REASON_no_source;
	j->cwd = path_tidy(&j->arena, j->wire.cwd);
	j->root = config_find_tree(&j->arena, j->cwd);
	struct err err = ERR_INIT;
	j->config = settings_find(j->d->settings, j->env, j->wire.set, j->root, &err);
	if (!j->config) {
		j->culprit = arena_strdup(&j->arena, err.text);
		return REASON_configuration;
	}
	if (!config_bool(j->config, SETTING_enabled))
		return REASON_disabled;
	const char *root = config_text(j->config, SETTING_root);
	if (root[0])
		j->root = path_tidy(&j->arena, root);
	return REASON_NONE;
}

static void find_lto(struct job *j)
{
	for (unsigned i = 0; i < j->line.n_words; i++)
		j->lto |= begins(j->line.words[i].text, "-flto") || strstr(j->line.words[i].text, "-emit-llvm") != NULL;
}

// With "/" as the build tree there is nothing to map. Old compilers have no -ffile-prefix-map.
static void decide_reproducible(struct job *j)
{
	const struct compiler *c = j->compiler;
	unsigned since = c->family == FAMILY_GCC ? 8 : 10;
	j->reproducible = config_bool(j->config, SETTING_reproducible) && strcmp(j->root, "/") != 0 && j->root[0] == '/' &&
			  c->version >= since && !strchr(j->root, '=');
	if (!j->reproducible)
		return;
	AUTO_FREE char *real = realpath(j->root, NULL);
	if (real && strcmp(real, j->root) != 0)
		j->root_real = arena_strdup(&j->arena, real);
	bool cxx = j->line.lang == LANG_CXX || j->line.lang == LANG_OBJCXX || j->line.lang == LANG_CXX_CPP_OUT;
	j->seed = c->family == FAMILY_GCC && !j->line.has_random_seed && (cxx || j->lto || j->line.coverage_notes);
}

// ---- the environment ------------------------------------------------------------------------------------------------

static enum reason check_environment(struct job *j)
{
	static const char *const refused[] = {"DEPENDENCIES_OUTPUT=",
					      "SUNPRO_DEPENDENCIES=",
					      "GCC_COMPARE_DEBUG=",
					      "CCC_OVERRIDE_OPTIONS=",
					      "CC_PRINT_",
					      "CC_LOG_DIAGNOSTICS",
					      "RC_DEBUG_",
					      "CCC_ADD_ARGS="};
	for (const char *const *e = j->env; *e; e++)
		for (size_t i = 0; i < COUNT_OF(refused); i++)
			if (begins(*e, refused[i])) {
				j->culprit = arena_strndup(&j->arena, *e, strcspn(*e, "="));
				return REASON_environment;
			}
	return REASON_NONE;
}

static const char *locale_of(const struct job *j, const char *category)
{
	const char *names[] = {"LC_ALL", category, "LANG"};
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		const char *v = env_value(j->env, names[i]);
		if (v && v[0])
			return v;
	}
	return "C";
}

static void find_key_environment(struct job *j)
{
	static const char *const names[] = {"CPATH",
					    "C_INCLUDE_PATH",
					    "CPLUS_INCLUDE_PATH",
					    "OBJC_INCLUDE_PATH",
					    "OBJCPLUS_INCLUDE_PATH",
					    "COMPILER_PATH",
					    "GCC_EXEC_PREFIX",
					    "LD_PRELOAD",
					    "LD_LIBRARY_PATH",
					    "LD_AUDIT",
					    "POSIXLY_CORRECT",
					    "MACOSX_DEPLOYMENT_TARGET",
					    "SDKROOT",
					    "GNUTARGET"};
	j->key_env = arena_alloc(&j->arena, (COUNT_OF(names) + 1) * sizeof *j->key_env);
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		const char *v = env_value(j->env, names[i]);
		if (v)
			j->key_env[j->n_key_env++] = arena_printf(&j->arena, "%s=%s", names[i], v);
	}
	j->key_env[j->n_key_env++] = arena_printf(&j->arena, "LC_CTYPE=%s", locale_of(j, "LC_CTYPE"));
}

// Messages depend on the terminal and the language; the object does not.
static void find_messages_context(struct job *j)
{
	static const char *const always[] = {"LANGUAGE",  "GCC_COLORS",     "NO_COLOR",
					     "CLICOLOR",  "CLICOLOR_FORCE", "GCC_URLS",
					     "TERM_URLS", "COLUMNS",        "GCC_EXTRA_DIAGNOSTIC_OUTPUT"};
	static const char *const on_terminals[] = {"TERM", "COLORTERM"};
	AUTO_HASHER struct hasher h;
	hasher_init(&h);
	hasher_str(&h, "coffer messages 1");
	hasher_str(&h, locale_of(j, "LC_MESSAGES"));
	for (size_t i = 0; i < COUNT_OF(always); i++)
		hasher_str(&h, env_value(j->env, always[i]));
	bool terminal = j->wire.flags & JOB_STDERR_TTY;
	hasher_u64(&h, terminal ? j->wire.columns + 1 : 0);
	for (size_t i = 0; terminal && i < COUNT_OF(on_terminals); i++)
		hasher_str(&h, env_value(j->env, on_terminals[i]));
	// Messages name files as the compiler was given them, below this folder.
	hasher_str(&h, j->cwd);
	j->messages_context = hasher_end(&h);
}

static void find_time_context(struct job *j)
{
	const char *epoch = env_value(j->env, "SOURCE_DATE_EPOCH");
	unsigned since = j->compiler->family == FAMILY_GCC ? 7 : 16;
	if (epoch && epoch[0] && j->compiler->version >= since)
		j->time_context = digest_of(epoch, strlen(epoch));
}

// ---- the key --------------------------------------------------------------------------------------------------------

// "-ffile-prefix-map=OLD=NEW": OLD counts by where it is in the build tree.
static const char *canonical_map(struct job *j, const char *text)
{
	const char *old = strchr(text, '=');
	const char *new = old ? strchr(old + 1, '=') : NULL;
	if (!new)
		return text;
	const char *path = arena_strndup(&j->arena, old + 1, (size_t)(new - old - 1));
	return arena_printf(&j->arena, "%.*s%s%s", (int)(old + 1 - text), text, job_canonical_path(j, path), new);
}

static void find_canonical_words(struct job *j)
{
	const struct cmdline *l = &j->line;
	j->canonical = arena_alloc(&j->arena, (l->n_words + 1) * sizeof *j->canonical);
	for (unsigned i = 0; i < l->n_words; i++) {
		const struct word *w = &l->words[i];
		if (w->role == WORD_NOT_KEY || i == l->source_word)
			continue;
		const char *text = w->text;
		if (w->role == WORD_MAP) {
			text = canonical_map(j, text);
		} else if ((w->role == WORD_KEY_PATH || w->role == WORD_SEARCH) && text[w->prefix] == '/') {
			// An untidy path ("/src//inc") shows in depfiles and messages as it stands, so it stands in the key.
			const char *path = path_tidy(&j->arena, text + w->prefix);
			const char *canonical = job_canonical_path(j, path);
			if (canonical != path && strcmp(path, text + w->prefix) == 0)
				text = arena_printf(&j->arena, "%.*s%s", (int)w->prefix, text, canonical);
		}
		j->canonical[j->n_canonical++] = text;
	}
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
	cpu = digest_of(text.data ? text.data : "", end ? (size_t)(end - text.data) : text.len);
}

static void hash_native(struct job *j, struct hasher *h)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	for (unsigned i = 0; i < j->line.n_words; i++)
		if (strstr(j->line.words[i].text, "=native")) {
			pthread_once(&once, find_cpu);
			hasher_digest(h, &cpu);
			return;
		}
}

static void make_keys(struct job *j)
{
	AUTO_HASHER struct hasher h;
	const struct cmdline *l = &j->line;
	const char *where = j->reproducible && !l->needs_cwd ? job_canonical_path(j, j->cwd) : j->cwd;

	hasher_init(&h);
	hasher_str(&h, "coffer manifest 1");
	hasher_digest(&h, &j->compiler->identity);
	hasher_u64(&h, l->lang);
	hasher_u64(&h, l->dep); // -Wp,-MD and -Wp,-MMD are no words of the key
	hasher_u64(&h, (uint64_t)j->reproducible << 1 | (uint64_t)j->seed);
	hasher_str(&h, where);
	// An untidy $PWD ("/src/./proj") ends up in debug information as it stands.
	hasher_str(&h, strcmp(j->cwd, j->wire.cwd) == 0 ? NULL : j->wire.cwd);
	hasher_str(&h, j->lto ? j->root : NULL);
	hasher_str(&h, j->source);
	hasher_str(&h, l->needs_output ? job_canonical_path(j, l->output) : NULL);
	hasher_u64(&h, (uint64_t)l->dep << 1 | l->dep_wp);
	hasher_u64(&h, j->n_canonical);
	for (unsigned i = 0; i < j->n_canonical; i++)
		hasher_str(&h, j->canonical[i]);
	for (unsigned i = 0; i < j->n_key_env; i++)
		hasher_str(&h, j->key_env[i]);
	hasher_str(&h, config_text(j->config, SETTING_extra_key));
	hash_native(j, &h);
	j->manifest_key = hasher_end(&h);

	AUTO_HASHER struct hasher unit;
	hasher_init(&unit);
	hasher_str(&unit, "coffer unit 1");
	hasher_str(&unit, job_canonical_path(j, j->cwd));
	hasher_str(&unit, j->source);
	j->unit_key = hasher_end(&unit);
}

// ---- what the command line allows -----------------------------------------------------------------------------------

// Comments can't change the result, as long as nothing reads them: no warning about them, no checksum of the source in the
// debug information (clang), no source text in the output, and "//" is a comment at all.
static bool comments_are_idle(const struct job *j)
{
	const struct cmdline *l = &j->line;
	bool c_family = l->lang == LANG_C || l->lang == LANG_CXX || l->lang == LANG_OBJC || l->lang == LANG_OBJCXX;
	if (!config_bool(j->config, SETTING_preprocessed) || !c_family || l->any_comment_matters || l->coverage_notes ||
	    (j->compiler->family == FAMILY_CLANG && l->debug_info))
		return false;
	static const char *const reads_comments[] = {"ansi",
						     "std=c8",
						     "std=c90",
						     "std=gnu8",
						     "std=gnu90",
						     "std=iso9899:199",
						     "Wc90-c99-compat",
						     "Weverything",
						     "Wdocumentation",
						     "Wtraditional",
						     "traditional",
						     "fverbose-asm",
						     "gembed-source",
						     "fdirectives-only",
						     "fpreprocessed",
						     "fcoverage-mapping",
						     "fprofile-instr",
						     "C"};
	for (unsigned i = 0; i < l->n_words; i++) {
		const char *t = l->words[i].text;
		const char *option = t + (t[0] == '-') + (t[0] == '-' && t[1] == '-');
		for (size_t k = 0; k < COUNT_OF(reads_comments); k++)
			if (begins(option, reads_comments[k]))
				return false;
		if (strstr(t, "-verify") || strstr(t, "comment"))
			return false;
	}
	return true;
}

// The scanner reads bytes as ASCII and UTF-8. The launcher's own descriptors are not ours. Names that __has_include asks for
// on the command line are not looked at.
static enum reason check_words(struct job *j)
{
	static const char charset[] = "-finput-charset=";
	for (unsigned i = 0; i < j->line.n_words; i++) {
		const char *t = j->line.words[i].text;
		const char *name = begins(t, charset) ? t + strlen(charset) : NULL;
		bool is_odd = name && strcasecmp(name, "utf-8") != 0 && strcasecmp(name, "utf8") != 0 &&
			      strcasecmp(name, "us-ascii") != 0 && strcasecmp(name, "ascii") != 0;
		bool is_macro = begins(t, "-D") || (i && strcmp(j->line.words[i - 1].text, "-D") == 0);
		bool is_own = !is_macro && (strstr(t, "/dev/fd/") || strstr(t, "/dev/std") || strstr(t, "/proc/self/"));
		if (is_odd || is_own || strstr(t, "__has_include")) {
			j->culprit = t;
			return is_odd ? REASON_option_dangerous : is_own ? REASON_input_not_a_file : REASON_unknown_probe;
		}
	}
	return REASON_NONE;
}

// The compilers refuse some of these and destroy a file in others; what comes last wins.
static enum reason check_distinct(struct job *j)
{
	const struct cmdline *l = &j->line;
	const char *const outputs[] = {l->output, l->depfile, l->dwo, l->gcno, l->su};
	unsigned n = 0, most = COUNT_OF(outputs) + 1 + l->n_extra_inputs;
	const char **names = arena_alloc(&j->arena, most * sizeof *names);
	struct stat *states = arena_alloc(&j->arena, most * sizeof *states), none = {0};
	for (size_t i = 0; i < COUNT_OF(outputs); i++)
		if (outputs[i])
			names[n++] = outputs[i];
	unsigned n_outputs = n;
	names[n++] = l->source;
	for (unsigned i = 0; i < l->n_extra_inputs; i++)
		names[n++] = l->extra_inputs[i];
	for (unsigned i = 0; i < n; i++) {
		names[i] = path_tidy(&j->arena, names[i]);
		states[i] = fstatat(j->cwd_fd, names[i], &states[i], 0) == 0 ? states[i] : none;
	}
	for (unsigned i = 0; i < n_outputs; i++)
		for (unsigned k = i + 1; k < n; k++) {
			bool same = states[i].st_ino && states[i].st_ino == states[k].st_ino &&
				    states[i].st_dev == states[k].st_dev;
			if (same || strcmp(names[i], names[k]) == 0) {
				j->culprit = names[i];
				return REASON_output_not_a_file;
			}
		}
	return REASON_NONE;
}

static enum reason check_outputs(struct job *j)
{
	struct stat st;
	if (fstatat(j->cwd_fd, j->line.output, &st, 0) == 0 && !S_ISREG(st.st_mode)) {
		j->culprit = j->line.output;
		return REASON_output_not_a_file;
	}
	if (j->line.dep != DEP_NONE && (strcmp(j->line.depfile, "/dev/null") == 0 ||
					(fstatat(j->cwd_fd, j->line.depfile, &st, 0) == 0 && !S_ISREG(st.st_mode)))) {
		j->culprit = j->line.depfile;
		return REASON_depfile_not_a_file;
	}
	return check_distinct(j);
}

static enum reason choose_inputs(struct job *j)
{
	enum lang lang = j->line.lang;
	if (lang == LANG_ASM || lang == LANG_C_CPP_OUT || lang == LANG_CXX_CPP_OUT)
		j->inputs_from = INPUTS_SOURCE_ONLY;
	else if (j->line.dep == DEP_NONE)
		j->inputs_from = INPUTS_OUR_DEPFILE;
	else
		j->inputs_from = j->line.dep == DEP_ALL ? INPUTS_USER_DEPFILE : INPUTS_USER_MMD;
	// Whether there will be a depfile then depends on the compiler's version.
	if (j->inputs_from == INPUTS_SOURCE_ONLY && j->line.dep != DEP_NONE)
		return REASON_depfile_unparsed;
	// Text of `-E -fdirectives-only` still has its includes.
	for (unsigned i = 0; i < j->line.n_words && j->inputs_from == INPUTS_SOURCE_ONLY; i++)
		if (begins(j->line.words[i].text, "-fdirectives-only"))
			return REASON_option_dangerous;
	return REASON_NONE;
}

enum reason job_understand(struct job *j)
{
	struct err err = ERR_INIT;
	enum reason reason = find_names(j);
	if (reason != REASON_NONE || (reason = check_environment(j)) != REASON_NONE)
		return reason;
	if (j->wire.n_argv < 1)
		return REASON_no_source;
	j->compiler = compilers_find(j->d->compilers, j->wire.compiler, j->wire.argv[0], j->env, &reason, &err);
	if (!j->compiler) {
		j->culprit = j->wire.compiler;
		return reason;
	}
	cmdline_parse(&j->line, &j->arena, j->compiler->family, j->compiler->is_cxx, j->cwd_fd, j->wire.argv);
	j->culprit = j->line.culprit;
	if (j->line.reason != REASON_NONE)
		return j->line.reason;
	if ((reason = check_words(j)) != REASON_NONE || (reason = check_outputs(j)) != REASON_NONE ||
	    (reason = choose_inputs(j)) != REASON_NONE)
		return reason;
	find_lto(j);
	decide_reproducible(j);
	j->source = job_canonical_path(j, j->line.source);
	find_canonical_words(j);
	find_key_environment(j);
	find_messages_context(j);
	find_time_context(j);
	make_keys(j);
	j->code_counts = comments_are_idle(j);
	return REASON_NONE;
}
