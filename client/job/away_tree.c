#include "client/job/away_tree.h"

#include "base/path.h"
#include "base/text.h"
#include "client/farm/difference.h"
#include "client/farm/object.h"
#include "client/job/command.h"
#include "client/job/inputs.h"
#include "client/job/place.h"
#include "depscan/depfile.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// In the job's own /tmp.
#define OUR_DEPFILE "/tmp/.coffer.d"
#define OUR_ASM_DEPFILE "/tmp/.coffer.s.d"

// As command_make() has them for a compile here.
static const char *const *own_words(const struct plan *p)
{
	const char **words = arena_alloc(p->arena, (COMMAND_MAX_MAPS + 12) * sizeof *words);
	uint32_t n = 0;
	if (p->reproducible)
		command_prefix_maps(p, words, &n);
	if (p->seed)
		words[n++] = command_seed(p);
	if (p->inputs_from == INPUTS_OUR_DEPFILE) {
		words[n++] = "-MD";
		words[n++] = "-MF";
		words[n++] = OUR_DEPFILE;
	}
	if (command_lists_for_as(p))
		words[n++] = "-Wa,--MD," OUR_ASM_DEPFILE;
	return words;
}

// ---- the language ---------------------------------------------------------------------------------------------------

// Compilers are written in English: "en_US:en" asks for nothing that has to be translated.
static bool asks_for_translations(const struct plan *p)
{
	const char *list = env_value(p->env, "LANGUAGE");
	for (const char *at = list; at && *at; at += strcspn(at, ":"), at += *at == ':') {
		size_t n = strcspn(at, ":");
		if (!(n == 2 && memcmp(at, "en", 2) == 0) && !(n == 5 && memcmp(at, "en_US", 5) == 0))
			return true;
	}
	return false;
}

// The locale that every worker has and in which a compiler says what it says in the user's, or NULL: there is none. One that this machine
// lacks is C to its programs, and American English with UTF-8 is C.UTF-8: nothing is translated to it.
static const char *plain_locale(const struct plan *p, const char *category, int mask)
{
	static const char *const with_utf8[] = {"C.UTF-8", "C.utf8", "en_US.UTF-8", "en_US.utf8"};
	const char *locale = plan_locale(p, category), *elsewhere = env_value(p->env, "LOCPATH");
	bool has_utf8 = false;
	if (strcmp(locale, "C") == 0 || strcmp(locale, "POSIX") == 0)
		return locale;
	if (elsewhere || getenv("LOCPATH"))
		return NULL;
	locale_t found = newlocale(mask, locale, (locale_t)0);
	if (!found)
		return "C";
	freelocale(found);
	for (size_t i = 0; i < COUNT_OF(with_utf8); i++)
		has_utf8 |= strcmp(locale, with_utf8[i]) == 0;
	return has_utf8 && !asks_for_translations(p) ? "C.UTF-8" : NULL;
}

// Of messages and of characters. False: there is none.
static bool plain_locales(const struct plan *p, const char **messages, const char **characters)
{
	*messages = plain_locale(p, "LC_MESSAGES", LC_MESSAGES_MASK);
	*characters = plain_locale(p, "LC_CTYPE", LC_CTYPE_MASK);
	return *messages && *characters;
}

static bool is_about_language(const char *word)
{
	return text_begins(word, "LANG=") || text_begins(word, "LANGUAGE=") || text_begins(word, "LC_");
}

// Does a variable name the build tree?
static bool environment_names_it(const struct plan *p)
{
	for (const char *const *e = p->env; *e; e++)
		if (travel_variable(*e) && !text_begins(*e, "PWD=") && strstr(*e, p->root))
			return true;
	return false;
}

static void fill_environment(struct away_tree *t)
{
	const struct plan *p = t->plan;
	const char *messages, *characters;
	bool is_known = plain_locales(p, &messages, &characters);
	unsigned n = 0, used = 0;
	while (p->env[n])
		n++;
	const char **env = arena_alloc(p->arena, (n + 5) * sizeof *env);
	for (unsigned i = 0; i < n; i++)
		if (travel_variable(p->env[i]) && !text_begins(p->env[i], "PWD=") &&
		    !(is_known && is_about_language(p->env[i])))
			env[used++] = p->env[i];
	if (is_known) {
		env[used++] = arena_printf(p->arena, "LC_CTYPE=%s", characters);
		env[used++] = arena_printf(p->arena, "LC_MESSAGES=%s", messages);
	}
	// A worker has a language of its own where the job has none.
	if (is_known || !env_value(p->env, "LC_ALL"))
		env[used++] = "LC_ALL=";
	env[used++] = arena_printf(p->arena, "PWD=%s", t->remote.directory);
	t->remote.environment = env;
	t->remote.n_environment = used;
}

struct no_tree away_tree_begin(struct away_tree *t, const struct plan *p)
{
	*t = (struct away_tree){.plan = p, .prefix = {.max = SOURCE_TREE_MAX_LISTING + 1}};
	const char *variable = travel_bound_variable(p->env);
	if (variable)
		return no_tree(NO_TREE_variable, arena_strndup(p->arena, variable, strcspn(variable, "=")));
	if (p->inputs_from == INPUTS_SOURCE_ONLY || p->lto || !plan_has_object(p) || plan_adds_no_timestamp(p))
		return no_tree(NO_TREE_kind, NULL);
	// Only GNU as lists what it has read.
	if (!lang_is_of_c(p->line.lang) && !command_lists_for_as(p))
		return no_tree(NO_TREE_assembler, p->line.source);
	const char *const *own = own_words(p);
	while (own[t->n_own])
		t->n_own++;
	const char *culprit = travel_tree(p->arena, &p->line, p->compiler, own, &t->words, &t->n_words);
	return no_tree(culprit ? NO_TREE_option : NO_TREE_NONE, culprit);
}

struct no_tree away_tree_find(struct away_tree *t, const struct baseline *b, const struct farm_compiler *compiler)
{
	const struct plan *p = t->plan;
	const char *const named[REMOTE_OUTPUTS] = {[REMOTE_OBJECT] = p->line.output,
						   [REMOTE_DWO] = p->line.dwo,
						   [REMOTE_DEPFILE] = plan_has_depfile(p) ? p->line.depfile : NULL};
	const char *list[REMOTE_OUTPUTS + 1] = {NULL};
	unsigned n = 0;
	for (int i = 0; i < REMOTE_OUTPUTS; i++)
		if (named[i])
			list[n++] = named[i];
	const char **moved = t->is_bound || !place_is_free(p) || environment_names_it(p)
				     ? NULL
				     : place_words(p, t->words, t->n_own, t->n_words);
	reach_release(&t->reach);
	memset(t->remote.outputs, 0, sizeof t->remote.outputs);
	struct no_tree why = reach_find(&t->reach, p, b, list, compiler, moved);
	if (why.reason)
		return why;
	for (int i = 0; i < REMOTE_OUTPUTS; i++)
		if (named[i] && !(t->remote.outputs[i] = reach_place(&t->reach, p, named[i])))
			return no_tree(NO_TREE_output, named[i]);
	if (p->inputs_from == INPUTS_OUR_DEPFILE)
		t->remote.outputs[REMOTE_DEPFILE] = OUR_DEPFILE;
	if (command_lists_for_as(p))
		t->remote.outputs[REMOTE_ASM_DEPFILE] = OUR_ASM_DEPFILE;
	t->remote.tree = &t->reach.tree;
	t->remote.listing = &t->reach.listing;
	t->remote.sha256 = t->reach.sha256;
	t->remote.directory = t->reach.moved ? place_moved(p->arena, p->root, p->cwd) : p->cwd;
	t->remote.arguments = t->reach.moved ? moved : t->words;
	t->remote.n_arguments = t->n_words;
	t->remote.prefix = &t->prefix;
	fill_environment(t);
	return why;
}

void away_tree_seat(struct away_tree *t, struct farm *farm, const struct farm_seat *seat)
{
	buf_clear(&t->prefix);
	farm_last_listing(farm, seat, &t->prefix);
}

// Does the name lead up from the compile's directory, to below the build tree? A worker has nothing there but what it was given.
static bool is_below_root(const struct plan *p, const char *path)
{
	const char *below = plan_below_root(p, p->cwd);
	if (!below || *path == '/')
		return false;
	unsigned depth = 0;
	for (const char *at = strcmp(below, ".") == 0 ? NULL : below; at; at = strchr(at, '/'), at = at ? at + 1 : NULL)
		depth++;
	for (; text_begins(path, "../"); path += 3)
		if (depth-- == 0)
			return false;
	return !strstr(path, "..");
}

// One of the user's prefix maps may have made this name.
static bool is_mapped(const struct plan *p, const char *path)
{
	for (unsigned i = 0; i < p->line.n_arguments; i++) {
		const struct argument *a = &p->line.arguments[i];
		const char *map = a->role == ARGUMENT_MAP ? strchr(a->text, '=') : NULL;
		const char *to = map ? strrchr(map + 1, '=') : NULL;
		if (to && to[1] && text_begins(path, to + 1))
			return true;
	}
	return false;
}

// GNU as also lists names that it was only told: by maps, ours (which give relative names) and the user's. What it could have read
// is what the tree has; any other name that leads out of the build tree may be a file of the worker's.
static bool is_stranger(struct away_tree *t, const char *path)
{
	const struct plan *p = t->plan;
	if (inputs_is_temp_source(path) || reach_has(&t->reach, p, path) || (*path != '/' && !strstr(path, "..")))
		return false;
	return faccessat(p->cwd_fd, path, F_OK, 0) == 0 || !(is_below_root(p, path) || is_mapped(p, path));
}

static const char *judge_assembler(struct away_tree *t, const struct store_part *depfile)
{
	struct depfile d = {0};
	if (depfile_parse(&d, t->plan->arena, depfile->p, depfile->n, NULL) < 0)
		return "its assembler's depfile is not understood";
	for (unsigned i = 0; i < d.n_deps; i++)
		if (is_stranger(t, d.deps[i]))
			return arena_printf(t->plan->arena,
					    "the assembler there may have read '%.200s', which it did not get", d.deps[i]);
	return NULL;
}

const char *away_tree_judge(struct away_tree *t, const struct farm_compiler *compiler, const struct made_elsewhere *made)
{
	const struct plan *p = t->plan;
	struct depfile d = {0};
	if (depfile_parse(&d, p->arena, made->depfile.p, made->depfile.n, NULL) < 0)
		return "its depfile is not understood";
	// The compiler reads some files of its own as inputs (clang's lists for sanitizers). They were compared before anything was sent.
	for (unsigned i = 0; i < d.n_deps; i++)
		if (!reach_has(&t->reach, p, d.deps[i]) && !farm_reads(compiler, d.deps[i]))
			return arena_printf(p->arena, "the compiler there has read '%.200s', which it did not get",
					    d.deps[i]);
	return t->remote.outputs[REMOTE_ASM_DEPFILE] ? judge_assembler(t, &made->asm_depfile) : NULL;
}

// Objects are what they are: no name in them can be put back.
static bool object_shows(const struct plan *p, const struct store_part *object)
{
	return place_shows(p, object->p, object->n) || object_is_packed(object->p, object->n);
}

bool away_tree_bring(struct away_tree *t, struct made_elsewhere *made, struct buf *out, struct buf *errs)
{
	const struct plan *p = t->plan;
	if (!t->reach.moved)
		return true;
	t->is_bound = object_shows(p, &made->object) || object_shows(p, &made->dwo) || !place_bring_messages(p, out) ||
		      !place_bring_messages(p, errs) || !place_bring_depfile(p, plan_has_depfile(p), &made->depfile) ||
		      !place_bring_depfile(p, false, &made->asm_depfile);
	made->out = (struct store_part){out->data, out->len};
	made->errs = (struct store_part){errs->data, errs->len};
	return !t->is_bound;
}

bool away_tree_speaks_alike(const struct plan *p)
{
	const char *messages, *characters;
	return !(p->wire->flags & JOB_STDERR_TTY) && plain_locales(p, &messages, &characters);
}

// Colours, and to the end of the line: what compilers write.
static size_t colour(const char *p, size_t n)
{
	size_t k = 2;
	if (n < 3 || p[0] != '\x1b' || p[1] != '[')
		return 0;
	while (k < n && (p[k] == ';' || (p[k] >= '0' && p[k] <= '9')))
		k++;
	return k < n && (p[k] == 'm' || p[k] == 'K') ? k + 1 : 0;
}

// What reorders the text around it: U+202A to U+202E, U+2066 to U+2069.
static bool reorders(const char *p, size_t n)
{
	const unsigned char *c = (const unsigned char *)p;
	return n == 3 && c[0] == 0xe2 &&
	       ((c[1] == 0x80 && c[2] >= 0xaa && c[2] <= 0xae) || (c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9));
}

// Bytes 0x80 to 0x9f are the control characters of a terminal that does not read UTF-8, and U+0080 to U+009F of one that does.
static bool is_control(const char *p, size_t n)
{
	unsigned char c = (unsigned char)*p;
	return n == 1 ? (c < ' ' && c != '\n' && c != '\t') || c == 0x7f : c == 0xc2 && (unsigned char)p[1] < 0xa0;
}

bool away_tree_is_harmless(const struct store_part *messages)
{
	const char *p = messages->n ? messages->p : "", *end = p + messages->n;
	while (p < end) {
		size_t left = (size_t)(end - p), n = *p == '\x1b' ? colour(p, left) : text_utf8(p, left);
		if (n == 0 || (*p != '\x1b' && is_control(p, n)) || reorders(p, n))
			return false;
		p += n;
	}
	return true;
}

void away_tree_release(struct away_tree *t)
{
	reach_release(&t->reach);
	buf_release(&t->prefix);
}
