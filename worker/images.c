#include "worker/images.h"

#include "base/log.h"
#include "base/map.h"
#include "compiler/compiler.h"
#include "depscan/files.h"
#include "proto/guest.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_IMAGES = 1000, MAX_FACTS = 4096 };

struct images {
	const struct toolchain_config *config;
	const char *const *names; // of compilers
	struct files *files;
	struct compilers *compilers;
	struct views *views;
	pthread_mutex_t lock;
	struct map toolchains; // by image; an image does not change, and the host stays the host
	struct map facts;      // by "identity compiler language"
	char **list;           // or NULL
};

struct images *images_new(const struct toolchain_config *config, const char *const *compilers)
{
	struct images *im = mem_alloc(sizeof *im);
	im->config = config;
	im->names = compilers;
	im->files = files_new();
	im->views = views_new(im->files, NULL, NULL, "/tmp");
	struct part_keeper keeper = views_part_keeper(im->views);
	im->compilers = compilers_new(files_digester(im->files), &keeper);
	pthread_mutex_init(&im->lock, NULL);
	return im;
}

void images_free(struct images *im)
{
	void *value;
	if (!im)
		return;
	for (size_t at = 0; map_next(&im->toolchains, &at, NULL, NULL, &value);)
		toolchain_free(value);
	for (size_t at = 0; map_next(&im->facts, &at, NULL, NULL, &value);)
		free(value);
	map_release(&im->toolchains);
	map_release(&im->facts);
	images_list_free(im->list);
	compilers_free(im->compilers);
	views_free(im->views);
	files_free(im->files);
	pthread_mutex_destroy(&im->lock);
	free(im);
}

static bool is_host(const char *image)
{
	return strncmp(image, "host:", 5) == 0;
}

const char *images_session_name(const char *image)
{
	return is_host(image) ? "host" : image;
}

static struct toolchain *toolchain_of(struct images *im, const char *image, struct err *err)
{
	const char *name = images_session_name(image);
	pthread_mutex_lock(&im->lock);
	struct toolchain *t = map_gets(&im->toolchains, name);
	if (!t && im->toolchains.n > MAX_IMAGES)
		err_set(err, ERR_LIMIT, "more than %d images", MAX_IMAGES);
	else if (!t && toolchain_open(name, im->config, &t, err) == 0)
		map_puts(&im->toolchains, name, t);
	pthread_mutex_unlock(&im->lock);
	return t;
}

// Words that are clean: none comes from a client.
static struct view *view_of(struct images *im, const char *compiler, const char *language, const char *option)
{
	static const char *const env[] = {"PATH=" GUEST_PATH, NULL};
	AUTO_ARENA struct arena a = ARENA_INIT;
	const struct compiler *c = toolchain_host_compiler(im->compilers, compiler, NULL);
	const char *argv[] = {compiler, "-x", language, "-c", "u.c", "-o", "u.o", option, NULL};
	struct cmdline *line = arena_alloc(&a, sizeof *line);
	struct view *view = NULL;
	struct err err = ERR_INIT;
	if (!c)
		return NULL;
	cmdline_parse(line, &a, c->family, c->is_cxx, AT_FDCWD, argv);
	struct view_query q = {.compiler = c, .argv0 = c->path, .line = line, .cwd = "/", .cwd_fd = AT_FDCWD, .env = env};
	if (line->reason != REASON_NONE)
		return NULL;
	if (views_find(im->views, &q, &view, &err) < 0)
		log_debug("what '%s' looks at is not known: %s", c->path, err.text);
	return view;
}

static void add_files(struct image_files *files, const struct view *view, bool optional, struct arena *a)
{
	size_t n;
	const struct view_text *texts = view_texts(view, a, &n);
	for (size_t i = 0; i < n && files->n < IMAGE_MAX_FILES; i++) {
		bool known = false;
		for (size_t k = 0; k < files->n && !known; k++)
			known = strcmp(files->list[k].path, texts[i].path) == 0;
		if (!known)
			files->list[files->n++] =
				(struct image_file){arena_strdup(a, texts[i].path), texts[i].digest, optional};
	}
}

void images_files(struct images *im, const char *image, const char *compiler, const char *language, struct arena *a,
		  struct image_files *files)
{
	// What a client's command may bring in besides: other languages behind the same facts, and objcopy.
	static const char *const further[][2] = {
		{"c", "-gsplit-dwarf"}, {"c", NULL}, {"c++", NULL}, {"objective-c", NULL}, {"objective-c++", NULL}};
	struct view *view = is_host(image) ? view_of(im, compiler, language, NULL) : NULL;
	files->n = 0;
	if (!view)
		return;
	files->list = arena_alloc(a, IMAGE_MAX_FILES * sizeof *files->list);
	add_files(files, view, false, a);
	view_unref(view);
	for (size_t i = 0; i < COUNT_OF(further); i++) {
		view = view_of(im, compiler, further[i][0], further[i][1]);
		if (view)
			add_files(files, view, true, a);
		view_unref(view);
	}
}

// A specs file that has come makes another compiler of it.
static void add_views(struct images *im, const char *compiler, char identity[TOOLCHAIN_IDENTITY])
{
	static const char *const languages[] = {"c", "c++"};
	AUTO_HASHER struct hasher h;
	hasher_init(&h);
	hasher_str(&h, identity);
	for (size_t i = 0; i < COUNT_OF(languages); i++) {
		struct view *view = view_of(im, compiler, languages[i], NULL);
		if (view)
			hasher_digest(&h, view_digest(view));
		view_unref(view);
	}
	struct digest digest = hasher_end(&h);
	char hex[DIGEST_HEX];
	digest_hex(&digest, hex);
	snprintf(identity, TOOLCHAIN_IDENTITY, "host:%s", hex);
}

int images_identity(struct images *im, const char *image, const char *compiler, char identity[TOOLCHAIN_IDENTITY],
		    struct err *err)
{
	struct toolchain *t = toolchain_of(im, image, err);
	if (!t || toolchain_identity(t, im->compilers, compiler, identity, err) < 0)
		return -1;
	if (is_host(image))
		add_views(im, compiler, identity);
	if (is_host(image) && strcmp(image, "host:any") != 0 && strcmp(image, identity) != 0)
		return err_set(err, ERR_NOT_FOUND, "the compiler '%s' here is not the image's", compiler);
	return 0;
}

// ---- what there is --------------------------------------------------------------------------------------------------

static void add_name(char **names, size_t *n, const char *name)
{
	for (size_t i = 0; i < *n; i++)
		if (strcmp(names[i], name) == 0)
			return;
	if (*n < MAX_IMAGES)
		names[(*n)++] = mem_strdup(name);
}

static void list_host(struct images *im, char **names, size_t *n)
{
	char identity[TOOLCHAIN_IDENTITY];
	struct err err = ERR_INIT;
	if (im->config->no_host)
		return;
	add_name(names, n, "host:any");
	for (const char *const *c = im->names; *c; c++) {
		if (images_identity(im, "host:any", *c, identity, &err) == 0)
			add_name(names, n, identity);
		else if (err.code != ERR_NOT_FOUND)
			log_event(LOG_LEVEL_WARN, "compiler left out", LOG_TEXT("compiler", *c), LOG_TEXT("why", err.text));
		err_clear(&err);
	}
}

static void list_images(struct images *im, char **names, size_t *n)
{
	DIR *d = im->config->images ? opendir(im->config->images) : NULL;
	if (!d)
		return;
	for (const struct dirent *e; (e = readdir(d));) {
		const char *hex = e->d_name + 7;
		if (strncmp(e->d_name, "sha256-", 7) != 0 || strlen(hex) != 64 || strspn(hex, "0123456789abcdef") != 64)
			continue;
		AUTO_FREE char *name = mem_printf("sha256:%s", hex);
		if (toolchain_of(im, name, NULL))
			add_name(names, n, name);
	}
	closedir(d);
}

void images_refresh(struct images *im)
{
	size_t n = 0;
	char **names = mem_alloc((MAX_IMAGES + 1) * sizeof *names);
	list_host(im, names, &n);
	list_images(im, names, &n);
	pthread_mutex_lock(&im->lock);
	char **old = im->list;
	im->list = names;
	pthread_mutex_unlock(&im->lock);
	images_list_free(old);
}

size_t images_list(struct images *im, char ***names)
{
	size_t n = 0;
	*names = mem_alloc((MAX_IMAGES + 1) * sizeof **names);
	pthread_mutex_lock(&im->lock);
	for (; im->list && im->list[n]; n++)
		(*names)[n] = mem_strdup(im->list[n]);
	pthread_mutex_unlock(&im->lock);
	return n;
}

void images_list_free(char **names)
{
	for (size_t i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
}

// ---- facts ----------------------------------------------------------------------------------------------------------

static bool known_facts(struct images *im, const char *name, struct toolchain_facts *facts)
{
	pthread_mutex_lock(&im->lock);
	const struct toolchain_facts *known = map_gets(&im->facts, name);
	if (known)
		*facts = *known;
	pthread_mutex_unlock(&im->lock);
	return known;
}

int images_facts(struct images *im, struct runtime_session *session, const char *identity, const char *compiler,
		 const char *language, struct toolchain_facts *facts, struct err *err)
{
	AUTO_FREE char *name = mem_printf("%s %s %s", identity, compiler, language);
	if (known_facts(im, name, facts))
		return 0;
	if (toolchain_facts(session, compiler, language, facts, err) < 0)
		return -1;
	struct toolchain_facts *copy = mem_alloc(sizeof *copy);
	*copy = *facts;
	pthread_mutex_lock(&im->lock);
	if (im->facts.n < MAX_FACTS)
		copy = map_puts(&im->facts, name, copy);
	pthread_mutex_unlock(&im->lock);
	free(copy);
	return 0;
}
