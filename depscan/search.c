#include "depscan/search.h"

#include "base/child.h"
#include "base/map.h"
#include "base/text.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEARCH_MS = 20000, SEARCH_OUTPUT = 1 << 20, SEARCHES_MAX = 1024, DIRS_MAX = 512 };
#define SEARCHES_MAX_BYTES ((size_t)32 << 20) // of their places; past it all are forgotten

struct known_search {
	struct arena arena;
	struct search search;
};

struct searches {
	pthread_mutex_t lock;
	struct map known; // digest -> struct known_search
};

struct searches *searches_new(void)
{
	struct searches *s = mem_alloc(sizeof *s);
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

void search_release(struct search *s)
{
	path_cache_unref(TAKE(s->places));
}

static void known_free(struct known_search *k)
{
	if (!k)
		return;
	search_release(&k->search);
	arena_release(&k->arena);
	free(k);
}

static void forget_all(struct searches *s)
{
	size_t at = 0;
	void *k;
	while (map_next(&s->known, &at, NULL, NULL, &k))
		known_free(k);
	map_release(&s->known);
}

void searches_free(struct searches *s)
{
	if (!s)
		return;
	forget_all(s);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static const char *language_word(enum lang lang)
{
	switch (lang) {
	case LANG_CXX:
	case LANG_CXX_CPP_OUT:
		return "c++";
	case LANG_OBJC:
		return "objective-c";
	case LANG_OBJCXX:
		return "objective-c++";
	case LANG_ASM_CPP:
	case LANG_ASM:
		return "assembler-with-cpp";
	default:
		return "c";
	}
}

// Options that are known not to move the search, or that would make another command of the question.
static bool is_beside_the_question(const char *t)
{
	static const char *const whole[] = {
		"-c", "-S", "--compile", "--assemble", "--", "--define-macro", "--undefine-macro"};
	static const char *const begun[] = {
		"-M", "-D", "-U", "-W", "-O", "-g", "-x", "--language", "--define-macro=", "--undefine-macro="};
	for (size_t i = 0; i < COUNT_OF(whole); i++)
		if (strcmp(t, whole[i]) == 0)
			return true;
	for (size_t i = 0; i < COUNT_OF(begun); i++)
		if (text_begins(t, begun[i]))
			return true;
	return false;
}

// The words that can move the search: all of the command but sources, outputs, macros, warnings and named files. An option
// and its values stay together.
static const char **question(struct arena *a, const struct compiler *c, const struct cmdline *line)
{
	const char **argv = arena_alloc(a, (line->n_arguments + 8) * sizeof *argv);
	unsigned n = 0;
	argv[n++] = c->path;
	for (unsigned i = 0, next; i < line->n_arguments; i = next) {
		bool asks = i != line->source_argument && !is_beside_the_question(line->arguments[i].text);
		for (next = i; next == i || (next < line->n_arguments && line->arguments[next].is_value); next++) {
			enum argument_role role = line->arguments[next].role;
			asks &= role == ARGUMENT_KEY || role == ARGUMENT_SEARCH;
		}
		for (unsigned k = i; asks && k < next; k++)
			argv[n++] = line->arguments[k].text;
	}
	static const char *const tail[] = {"-E", "-v", "-x"};
	for (size_t i = 0; i < COUNT_OF(tail); i++)
		argv[n++] = tail[i];
	argv[n++] = language_word(line->lang);
	argv[n++] = "/dev/null";
	return argv;
}

char *search_real_path(struct arena *a, int cwd_fd, const char *dir)
{
	char name[64 + 4096];
	if (strlen(dir) > 4000)
		return NULL;
	if (dir[0] == '/')
		snprintf(name, sizeof name, "%s", dir);
	else
		snprintf(name, sizeof name, "/proc/self/fd/%d/%s", cwd_fd, dir);
	AUTO_FREE char *real = realpath(name, NULL);
	return real ? arena_strdup(a, real) : NULL;
}

static bool is_through_link(int cwd_fd, const char *dir)
{
	AUTO_FREE char *name = mem_strdup(dir);
	for (char *slash = name + 1; slash; *slash++ = '/') {
		struct stat st;
		slash = strchr(slash, '/');
		if (slash)
			*slash = '\0';
		if (fstatat(cwd_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
			return true;
		if (!slash)
			break;
	}
	return false;
}

static void note_link(struct known_search *k, int cwd_fd, const char *dir)
{
	struct search *s = &k->search;
	if (!is_through_link(cwd_fd, dir) || s->n_links == DIRS_MAX)
		return;
	char *real = search_real_path(&k->arena, cwd_fd, dir);
	if (real)
		s->links[s->n_links++] = (struct search_link){arena_strdup(&k->arena, dir), real};
}

// clang tells of a directory that has two names only the first, so the names come from the command. (Those of the
// environment are few and seldom links.)
static void note_named(struct known_search *k, int cwd_fd, const struct cmdline *line)
{
	static const char *const options[] = {"-isystem", "-iquote", "-idirafter", "-I", "-F"};
	for (unsigned i = 0; i < line->n_arguments; i++) {
		const char *t = line->arguments[i].text;
		if (line->arguments[i].role != ARGUMENT_SEARCH)
			continue;
		for (size_t o = 0; o < COUNT_OF(options); o++)
			if (text_begins(t, options[o])) {
				t += strlen(options[o]);
				break;
			}
		if (*t && *t != '-')
			note_link(k, cwd_fd, t);
	}
}

// gcc and clang print the same form: two headings, a directory per line after one blank, and the names they ignored.
// False if there are more directories than we keep.
static bool read_answer(struct known_search *k, int cwd_fd, char *text)
{
	struct search *s = &k->search;
	struct arena *a = &k->arena;
	s->quoted = arena_alloc(a, DIRS_MAX * sizeof *s->quoted);
	s->angled = arena_alloc(a, DIRS_MAX * sizeof *s->angled);
	s->frameworks = arena_alloc(a, DIRS_MAX * sizeof *s->frameworks);
	s->missing = arena_alloc(a, DIRS_MAX * sizeof *s->missing);
	s->links = arena_alloc(a, DIRS_MAX * sizeof *s->links);
	const char **list = NULL;
	unsigned *n = NULL;
	char *save = NULL;
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		static const char missing[] = "ignoring nonexistent directory \"";
		static const char duplicate[] = "ignoring duplicate directory \"";
		// Files among the directories: gcc warns and passes them over.
		if (strstr(l, ": not a directory"))
			return false;
		if (s->n_missing == DIRS_MAX || s->n_quoted == DIRS_MAX || s->n_angled == DIRS_MAX)
			return false;
		if (text_begins(l, missing)) {
			const char *name = l + strlen(missing);
			size_t len = strlen(name);
			if (len && name[len - 1] == '"')
				s->missing[s->n_missing++] = arena_strndup(a, name, len - 1);
		} else if (text_begins(l, duplicate)) {
			char *name = l + strlen(duplicate);
			name[strcspn(name, "\"")] = '\0';
			note_link(k, cwd_fd, name);
		} else if (text_begins(l, "#include \"...\"")) {
			list = s->quoted;
			n = &s->n_quoted;
		} else if (text_begins(l, "#include <...>")) {
			list = s->angled;
			n = &s->n_angled;
		} else if (text_begins(l, "End of search list")) {
			list = NULL;
		} else if (list && l[0] == ' ') {
			char *suffix = strstr(l, " (framework directory)");
			if (suffix && list == s->angled)
				s->frameworks[*n] = true;
			if (suffix)
				*suffix = '\0';
			list[(*n)++] = arena_strdup(a, l + 1);
			note_link(k, cwd_fd, l + 1);
		}
	}
	return true;
}

static struct known_search *ask(const struct compiler *compiler, const struct cmdline *line, const char **argv,
				const char *const *env, int cwd_fd, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct child c = {.argv = argv,
			  .envp = env_for_probe(&a, env),
			  .cwd_fd = cwd_fd,
			  .time_limit_ms = SEARCH_MS,
			  .max_output = SEARCH_OUTPUT};
	struct known_search *k = NULL;
	if (child_run(&c, err) == 0) {
		k = mem_alloc(sizeof *k);
		k->search.places = path_cache_new();
		if (c.status != 0 || !c.errs.data || !read_answer(k, cwd_fd, c.errs.data)) {
			err_set(err, ERR_FORMAT, "'%s' does not tell where it looks for headers", argv[0]);
			known_free(TAKE(k));
		} else if (compiler->family == FAMILY_CLANG) {
			note_named(k, cwd_fd, line);
		}
	}
	child_release(&c);
	return k;
}

static bool are_directories(const char *const *dirs, unsigned n, int cwd_fd)
{
	struct stat st;
	for (unsigned i = 0; i < n; i++)
		if (fstatat(cwd_fd, dirs[i], &st, 0) < 0 || !S_ISDIR(st.st_mode))
			return false;
	return true;
}

static bool still_holds(const struct known_search *k, struct arena *a, int cwd_fd)
{
	if (!are_directories(k->search.quoted, k->search.n_quoted, cwd_fd) ||
	    !are_directories(k->search.angled, k->search.n_angled, cwd_fd))
		return false;
	for (unsigned i = 0; i < k->search.n_links; i++) {
		const char *real = search_real_path(a, cwd_fd, k->search.links[i].dir);
		if (!real || strcmp(real, k->search.links[i].real) != 0)
			return false;
	}
	for (unsigned i = 0; i < k->search.n_missing; i++)
		if (faccessat(cwd_fd, k->search.missing[i], F_OK, 0) == 0)
			return false;
	return true;
}

static const char **copy_names(struct arena *a, const char **from, unsigned n)
{
	const char **to = arena_alloc(a, (n + 1) * sizeof *to);
	for (unsigned i = 0; i < n; i++)
		to[i] = arena_strdup(a, from[i]);
	return to;
}

static struct digest question_key(const struct compiler *c, const char **argv, const char *cwd, const char *const *env)
{
	static const char *const matters[] = {
		"CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "OBJC_INCLUDE_PATH", "OBJCPLUS_INCLUDE_PATH", "SDKROOT"};
	AUTO_HASHER struct hasher h;
	hasher_init(&h);
	hasher_digest(&h, &c->identity);
	hasher_str(&h, cwd);
	for (; *argv; argv++)
		hasher_str(&h, *argv);
	for (size_t i = 0; i < COUNT_OF(matters); i++)
		hasher_str(&h, env_value(env, matters[i]));
	return hasher_end(&h);
}

static size_t bytes_of_places(const struct searches *s)
{
	size_t at = 0, sum = 0;
	void *v;
	while (map_next(&s->known, &at, NULL, NULL, &v))
		sum += path_cache_bytes(((struct known_search *)v)->search.places);
	return sum;
}

int searches_find(struct searches *s, const struct compiler *c, const struct cmdline *line, const char *cwd, int cwd_fd,
		  const char *const *env, struct arena *a, struct search *out, struct err *err)
{
	const char **argv = question(a, c, line);
	struct digest key = question_key(c, argv, cwd, env);
	pthread_mutex_lock(&s->lock);
	struct known_search *k = map_get(&s->known, &key, sizeof key);
	if (!k || !still_holds(k, a, cwd_fd)) {
		known_free(map_del(&s->known, &key, sizeof key));
		if (s->known.n >= SEARCHES_MAX || bytes_of_places(s) > SEARCHES_MAX_BYTES)
			forget_all(s);
		k = ask(c, line, argv, env, cwd_fd, err);
		if (k)
			map_put(&s->known, &key, sizeof key, k);
	}
	if (k) {
		out->n_quoted = k->search.n_quoted;
		out->n_angled = k->search.n_angled;
		out->n_missing = k->search.n_missing;
		out->quoted = copy_names(a, k->search.quoted, out->n_quoted);
		out->angled = copy_names(a, k->search.angled, out->n_angled);
		out->frameworks = arena_alloc(a, (out->n_angled + 1) * sizeof *out->frameworks);
		memcpy(out->frameworks, k->search.frameworks, out->n_angled * sizeof *out->frameworks);
		out->missing = copy_names(a, k->search.missing, out->n_missing);
		out->places = path_cache_ref(k->search.places);
		out->n_links = k->search.n_links;
		out->links = arena_alloc(a, (out->n_links + 1) * sizeof *out->links);
		for (unsigned i = 0; i < out->n_links; i++)
			out->links[i] = (struct search_link){arena_strdup(a, k->search.links[i].dir),
							     arena_strdup(a, k->search.links[i].real)};
	}
	pthread_mutex_unlock(&s->lock);
	return k ? 0 : -1;
}
