#include "client/job/macros.h"

#include "base/file.h"
#include "base/path.h"
#include "depscan/builtins.h"

#include <string.h>

#define WORD "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

// "-DNAME=1", "NAME(x)=x" behind -D, "-Wp,-DNAME"
static bool argument_defines(const char *word, const char *name)
{
	size_t n = strlen(name);
	for (const char *p = word; (p = strstr(p, name)); p++) {
		bool begins = p == word || (p - word >= 2 && p[-1] == 'D' && p[-2] == '-');
		if (begins && (p[n] == '\0' || p[n] == '=' || p[n] == '(' || p[n] == ','))
			return true;
	}
	return false;
}

static bool is_defined_in_arguments(const struct plan *p, const char *name)
{
	for (unsigned i = 0; i < p->line.n_arguments; i++)
		if (p->line.arguments[i].role != ARGUMENT_SEARCH && i != p->line.source_argument &&
		    argument_defines(p->line.arguments[i].text, name))
			return true;
	return false;
}

// What the answer depends on. False: also on texts that are not known here.
static bool builtin_key(const struct inputs *in, const char *const *argv, struct digest *key)
{
	const struct plan *p = in->plan;
	AUTO_HASHER struct hasher h;
	if (p->line.n_forced || p->line.n_extra_inputs || !p->view)
		return false;
	hasher_init(&h);
	hasher_digest(&h, &p->toolchain);
	hasher_str(&h, p->cwd);
	for (; *argv; argv++)
		hasher_str(&h, *argv);
	hasher_str(&h, NULL);
	for (const char *const *e = p->env; e && *e; e++)
		hasher_str(&h, *e);
	for (uint32_t i = 0; i < in->n; i++)
		if (strcmp(path_base(in->list[i].path), "stdc-predef.h") == 0)
			hasher_digest(&h, &in->list[i].facts.digest);
	*key = hasher_end(&h);
	return true;
}

static void ask_for_builtins(struct inputs *in)
{
	struct builtins *known = in->plan->services->builtins;
	const char *const more[] = {"-E", "-dM", "-x", lang_name(in->plan->line.lang), "/dev/null", NULL};
	struct digest key;
	bool has_key = builtin_key(in, inputs_question(in, more), &key);
	struct child c;
	if (has_key && builtins_find(known, &key, &in->builtin))
		return;
	if (inputs_ask_compiler(in, more, &c)) {
		buf_add(&in->builtin, c.out.data, c.out.len);
		if (has_key)
			builtins_keep(known, &key, &in->builtin);
	}
	child_release(&c);
}

bool macros_builtin(struct inputs *in, const char *name, const char **value)
{
	enum lang lang = in->plan->line.lang;
	*value = NULL;
	if (!in->builtin.len && lang_is_of_c(lang))
		ask_for_builtins(in);
	const char *line = arena_printf(in->plan->arena, "#define %s", name);
	for (const char *p = in->builtin.data; p && (p = strstr(p, line)); p++)
		if (p[strlen(line)] == ' ' || p[strlen(line)] == '(') {
			*value = p + strlen(line);
			return true;
		}
	return !in->builtin.len;
}

static bool is_defined_in_texts(const struct inputs *in, const char *name)
{
	const struct plan *p = in->plan;
	for (uint32_t i = 0; i < in->n; i++)
		if (files_may_define(p->services->files, p->cwd_fd, in->list[i].path, &in->list[i].facts.digest, name))
			return true;
	return false;
}

// Is there a definition anywhere for a macro that an include names? Without one the directive is dead.
static bool is_defined(struct inputs *in, const char *name)
{
	const char *value;
	return is_defined_in_arguments(in->plan, name) || is_defined_in_texts(in, name) || macros_builtin(in, name, &value);
}

bool macros_in_includes(struct inputs *in)
{
	for (uint32_t i = 0; i < in->n; i++) {
		const struct scan *s = &in->list[i].facts.scan;
		for (unsigned k = 0; k < s->n_includes; k++)
			if (s->includes[k].form == INCLUDE_MACRO && !s->includes[k].probe &&
			    is_defined(in, s->includes[k].name))
				return true;
	}
	return false;
}

// What a macro may be, as single words, each with its NUL, if that is all it can be; else false. None: it is none.
static bool word_values(struct inputs *in, const char *name, struct buf *values)
{
	const struct plan *p = in->plan;
	const char *builtin;
	if (is_defined_in_arguments(p, name))
		return false;
	if (macros_builtin(in, name, &builtin)) {
		size_t n = builtin && *builtin == ' ' ? strspn(builtin + 1, WORD) : 0;
		if (!n || builtin[1 + n] != '\n')
			return false;
		buf_add(values, builtin + 1, n);
		buf_addc(values, '\0');
	}
	for (uint32_t i = 0; i < in->n; i++) {
		const struct input *input = &in->list[i];
		AUTO_BUF struct buf text = {.max = FILES_MAX_SIZE + 2};
		if (files_may_define(p->services->files, p->cwd_fd, input->path, &input->facts.digest, name) &&
		    (file_read(p->cwd_fd, input->path, FILES_MAX_SIZE, &text, NULL, NULL) < 0 ||
		     !scan_values(text.data, text.len, name, values)))
			return false;
	}
	return true;
}

static void add_probe(struct inputs *in, struct input *i, const char *name)
{
	struct scan *s = &i->facts.scan;
	struct include *list = arena_alloc(in->plan->arena, (s->n_includes + 1) * sizeof *list);
	memcpy(list, s->includes, s->n_includes * sizeof *list);
	list[s->n_includes++] = (struct include){.name = name, .form = INCLUDE_ANGLED, .probe = true};
	s->includes = list;
	i->probes_added = true;
}

// <fcntl.h>, where a header says `#define fcntl fcntl64`: that name is asked for as well, and what becomes of fcntl64. The
// word from `at` may be a macro, and words behind it if it is none. False if it can't be told.
static bool add_expanded(struct inputs *in, struct input *i, const char *name, size_t at)
{
	enum { MOST = 64 };
	// A compiler takes the name apart as it does other text: other characters may be blanks, comments or parts of words.
	if (name[strspn(name, WORD "./-+")] || strstr(name, "//"))
		return false;
	while (name[at]) {
		AUTO_BUF struct buf values = BUF_INIT;
		size_t n = strcspn(name + at, "./-+");
		const char *word = arena_strndup(in->plan->arena, name + at, n);
		if (n && !word_values(in, word, &values))
			return false;
		for (const char *v = values.data; v && v < values.data + values.len; v += strlen(v) + 1) {
			if (strcmp(v, word) == 0)
				continue;
			const char *other = arena_printf(in->plan->arena, "%.*s%s%s", (int)at, name, v, name + at + n);
			add_probe(in, i, other);
			if (++in->n_probes > MOST || !add_expanded(in, i, other, at))
				return false;
		}
		at += n + (name[at + n] != '\0');
	}
	return true;
}

static bool is_in_arguments(const struct plan *p, const char *wrapper)
{
	for (unsigned k = 0; k < p->line.n_arguments; k++)
		if (strstr(p->line.arguments[k].text, wrapper))
			return true;
	return false;
}

// __CHAR_BIT__, __LINE__ and their like are numbers that stand nowhere.
static bool has_digits(const char *name)
{
	return name[strcspn(name, "0123456789")] != '\0';
}

// An argument as a directive: it may define something.
static const char *as_directive(const struct plan *p, unsigned k)
{
	return arena_printf(p->arena, "#%s", p->line.arguments[k].text);
}

static bool has_beginning(const struct inputs *in, const char *wrapper)
{
	const struct plan *p = in->plan;
	bool has = false;
	for (unsigned k = 0; k < p->line.n_arguments && !has; k++)
		has = scan_may_begin(as_directive(p, k), strlen(p->line.arguments[k].text) + 1, wrapper);
	for (uint32_t i = 0; i < in->n && !has; i++)
		has = files_may_begin(p->services->files, p->cwd_fd, in->list[i].path, &in->list[i].facts.digest, wrapper);
	return has;
}

// Could ## make the wrapper's name out of words of the texts and the command line? Then who uses it can't be told.
static bool may_be_pasted(const struct inputs *in, const char *wrapper)
{
	const struct plan *p = in->plan;
	uint64_t pieces[SCAN_PIECED_NAME] = {0};
	if (!has_beginning(in, wrapper))
		return false;
	if (strlen(wrapper) > SCAN_PIECED_NAME || has_digits(wrapper))
		return true;
	if (in->builtin.len)
		scan_pieces(in->builtin.data, in->builtin.len, wrapper, pieces);
	for (unsigned k = 0; k < p->line.n_arguments; k++)
		scan_pieces(as_directive(p, k), strlen(p->line.arguments[k].text) + 1, wrapper, pieces);
	for (uint32_t i = 0; i < in->n; i++) {
		AUTO_BUF struct buf text = {.max = FILES_MAX_SIZE + 2};
		if (file_read(p->cwd_fd, in->list[i].path, FILES_MAX_SIZE, &text, NULL, NULL) < 0)
			return true;
		scan_pieces(text.data, text.len, wrapper, pieces);
	}
	return scan_is_pieced(wrapper, pieces);
}

// What a macro like `#define HAS(x) __has_include(x)` asks for is known only where it is asked by name, on the line of
// an #if, and what may be a macro in that name is known.
static bool find_wrapped(struct inputs *in, const char *wrapper, struct input *i)
{
	const struct scan *s = &i->facts.scan;
	const struct plan *p = in->plan;
	if (files_may_ask(p->services->files, p->cwd_fd, i->path, &i->facts.digest, wrapper))
		return false;
	for (unsigned k = 0, n = s->n_includes; k < n; k++)
		if (s->includes[k].wrapped && s->includes[k].form == INCLUDE_ANGLED &&
		    !add_expanded(in, i, s->includes[k].name, 0))
			return false;
	return true;
}

// `#define HAS_NEXT(x) __has_include_next(x)`, as Qt 5 has it: where such a macro looks depends on who asks. Nobody may use it.
static bool is_unused(const struct inputs *in, const char *wrapper, const struct input *i)
{
	const struct plan *p = in->plan;
	return !files_may_use(p->services->files, p->cwd_fd, i->path, &i->facts.digest, wrapper);
}

bool macros_in_probes(struct inputs *in)
{
	struct map known = MAP_INIT, known_next = MAP_INIT;
	bool added = false;
	for (uint32_t i = 0; i < in->n; i++) {
		const struct scan *s = &in->list[i].facts.scan;
		for (unsigned k = 0; k < s->n_includes; k++) {
			const struct include *inc = &s->includes[k];
			if (inc->form != INCLUDE_MACRO || !inc->probe || is_refused(in->refusal) ||
			    map_puts(inc->next ? &known_next : &known, inc->name, in))
				continue;
			if (is_in_arguments(in->plan, inc->name) || may_be_pasted(in, inc->name))
				in->refusal = refuse(REASON_unknown_probe, in->list[i].path);
			for (uint32_t l = 0; l < in->n && !is_refused(in->refusal); l++)
				if (inc->next ? !is_unused(in, inc->name, &in->list[l])
					      : !find_wrapped(in, inc->name, &in->list[l]))
					in->refusal = refuse(REASON_unknown_probe, in->list[l].path);
		}
	}
	for (uint32_t i = 0; i < in->n; i++)
		added |= in->list[i].probes_added;
	map_release(&known);
	map_release(&known_next);
	return !is_refused(in->refusal) && added;
}
