#include "client/job/place.h"

#include "base/path.h"
#include "base/text.h"
#include "depscan/depfile.h"

#include <string.h>

bool place_is_plain(const char *name)
{
	return !name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-+")];
}

// Words behind which the place may hide: in packed debug information, in a digest over names, or in how long a line of a message is.
static bool may_hide_it(const struct plan *p)
{
	static const char *const begun[] = {"-gz",
					    "-Wa,--compress-debug",
					    "-Wa,-compress-debug",
					    "-Wa,--gz",
					    "-funique-internal-linkage-names",
					    "-fmessage-length",
					    "-frecord-command-line",
					    "-grecord-command-line"};
	for (unsigned i = 0; i < p->line.n_arguments; i++)
		for (size_t k = 0; k < COUNT_OF(begun); k++)
			if (text_begins(p->line.arguments[i].text, begun[k]))
				return true;
	return p->line.records_options;
}

bool place_names_types(const struct plan *p)
{
	enum lang l = p->line.lang;
	if (p->compiler->family != FAMILY_CLANG || !(l == LANG_CXX || l == LANG_OBJCXX || l == LANG_CXX_CPP_OUT))
		return false;
	for (unsigned i = 0; i < p->line.n_arguments; i++) {
		const struct argument *w = &p->line.arguments[i];
		if (w->role != ARGUMENT_NOT_KEY && strstr(w->text, p->root))
			return true;
	}
	return false;
}

bool place_is_free(const struct plan *p)
{
	return !place_names_types(p) && p->reproducible && !p->root_real && place_is_plain(p->root) &&
	       path_below(p->root, p->cwd) && strcmp(p->cwd, p->wire->cwd) == 0 && !p->line.needs_cwd &&
	       !p->line.makes_pch && !may_hide_it(p);
}

// The name that begins at `at` in a text, if it is of the tree.
static const char *moved_at(struct arena *a, const char *root, const char *text, size_t at)
{
	size_t n = strlen(root);
	if (!text_begins(text + at, root) || !strchr("/=", text[at + n])) // or its end
		return text;
	return arena_printf(a, "%.*s" PLACE_ROOT "%s", (int)at, text, text + at + n);
}

const char *place_moved(struct arena *a, const char *root, const char *path)
{
	return moved_at(a, root, path, 0);
}

static bool is_map(const char *word)
{
	const char *equals = strchr(word, '=');
	return text_begins(word, "-f") && equals && equals - word >= 11 && text_begins(equals - 11, "-prefix-map");
}

// Maps are about beginnings of names, whole parts or not: "ROOT/build2=…" is one of coffer's own.
static const char *moved_map(const struct plan *p, const char *word)
{
	size_t at = strcspn(word, "=") + 1, n = strlen(p->root);
	if (text_begins(word + at, p->root))
		return moved_at(p->arena, p->root, word, at);
	// One for "/home/u/pr" is also one for "/home/u/proj".
	size_t old = strcspn(word + at, "=");
	return old < n && strncmp(p->root, word + at, old) == 0 ? NULL : word;
}

static size_t option_before_name(const char *word)
{
	static const char *const options[] = {"-o", "-MF", "-MT", "-MQ"};
	for (size_t i = 0; i < COUNT_OF(options); i++)
		if (text_begins(word, options[i]) && word[strlen(options[i])] == '/')
			return strlen(options[i]);
	return 0;
}

static const char *moved_argument(const struct plan *p, unsigned i)
{
	const struct argument *w = &p->line.arguments[i];
	if (i == p->line.source_argument)
		return moved_at(p->arena, p->root, w->text, 0);
	switch (w->role) {
	case ARGUMENT_KEY_PATH:
	case ARGUMENT_SEARCH:
	case ARGUMENT_WRITES:
		return moved_at(p->arena, p->root, w->text, w->prefix);
	case ARGUMENT_NOT_KEY: // -o, -MF, -MT: a name alone, or behind the option
		return moved_at(p->arena, p->root, w->text, option_before_name(w->text));
	case ARGUMENT_MAP:
		return moved_map(p, w->text);
	default:
		return w->text;
	}
}

const char **place_words(const struct plan *p, const char *const *words, unsigned n_own, unsigned n)
{
	const char **moved = arena_alloc(p->arena, (n + 1) * sizeof *moved);
	if (n - n_own != p->line.n_arguments)
		return NULL;
	for (unsigned i = 0; i < n; i++) {
		bool is_own = i < n_own;
		moved[i] = !is_own ? moved_argument(p, i - n_own) : is_map(words[i]) ? moved_map(p, words[i]) : words[i];
		if (!moved[i] || strstr(moved[i], p->root))
			return NULL;
	}
	return moved;
}

bool place_shows(const struct plan *p, const void *bytes, size_t n)
{
	return n && (memmem(bytes, n, PLACE_NAME, strlen(PLACE_NAME)) || memmem(bytes, n, p->root, strlen(p->root)));
}

// ---- and back -------------------------------------------------------------------------------------------------------

static void bring(const char *root, const char *text, size_t n, struct buf *out)
{
	for (const char *at; (at = memmem(text, n, PLACE_ROOT, strlen(PLACE_ROOT)));) {
		buf_add(out, text, (size_t)(at - text));
		buf_adds(out, root);
		n -= (size_t)(at - text) + strlen(PLACE_ROOT);
		text = at + strlen(PLACE_ROOT);
	}
	buf_add(out, text, n);
}

bool place_bring_messages(const struct plan *p, struct buf *messages)
{
	struct buf brought = {.max = messages->max};
	if (!messages->len || !memmem(messages->data, messages->len, PLACE_NAME, strlen(PLACE_NAME)))
		return true;
	if (memmem(messages->data, messages->len, "file:", 5))
		return false; // in the URIs of SARIF
	bring(p->root, messages->data, messages->len, &brought);
	buf_release(messages);
	*messages = brought;
	return !memmem(brought.data, brought.len, PLACE_NAME, strlen(PLACE_NAME)) &&
	       buf_check(messages, "messages", NULL) == 0;
}

static void bring_names(const struct plan *p, const char **names, unsigned n)
{
	size_t place = strlen(PLACE_ROOT);
	for (unsigned i = 0; i < n; i++)
		if (text_begins(names[i], PLACE_ROOT) && (names[i][place] == '/' || !names[i][place]))
			names[i] = arena_printf(p->arena, "%s%s", p->root, names[i] + place);
}

static bool are_the_same(const char *const *a, const char *const *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return true;
}

bool place_bring_depfile(const struct plan *p, bool is_users, struct store_part *depfile)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct depfile d = {0};
	if (!depfile->n || !memmem(depfile->p, depfile->n, PLACE_NAME, strlen(PLACE_NAME)))
		return true;
	if (depfile_parse(&d, p->arena, depfile->p, depfile->n, NULL) < 0)
		return false;
	// Where its lines end depends on how long the names are: they are only broken again as the compiler does where it is seen to do so.
	depfile_write(&d, p->compiler->family, &text);
	bool is_as_written = text.len == depfile->n && memcmp(text.data, depfile->p, text.len) == 0;
	bring_names(p, d.targets, d.n_targets);
	bring_names(p, d.deps, d.n_deps);
	bool has_targets = d.n_targets == p->line.n_dep_targets && are_the_same(d.targets, p->line.dep_targets, d.n_targets);
	if (is_users && !(is_as_written && has_targets))
		return false;
	buf_clear(&text);
	depfile_write(&d, p->compiler->family, &text);
	*depfile = (struct store_part){arena_strndup(p->arena, text.data, text.len), text.len};
	return !memmem(text.data, text.len, PLACE_NAME, strlen(PLACE_NAME));
}
