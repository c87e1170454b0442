#include "worker/runtime/toolchain.h"

#include "base/path.h"
#include "compiler/compiler.h"
#include "image/use.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_ENTRIES = 128 };

struct toolchain {
	struct arena arena;
	char *identity; // of an image; NULL: the host
	int held;       // see image/use.h; -1: it is not
	const char *uses;
	struct toolchain_entry entries[MAX_ENTRIES];
	size_t n;
};

static int add(struct toolchain *t, enum toolchain_entry_kind kind, const char *path, const char *source, struct err *err)
{
	if (t->n == MAX_ENTRIES)
		return err_set(err, ERR_LIMIT, "more than %d parts of a toolchain's root", MAX_ENTRIES);
	struct toolchain_entry *e = &t->entries[t->n++];
	*e = (struct toolchain_entry){.kind = kind,
				      .path = arena_strdup(&t->arena, path),
				      .source = source ? arena_strdup(&t->arena, source) : NULL};
	return 0;
}

static bool has_path(const struct toolchain *t, const char *path)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->entries[i].path, path) == 0)
			return true;
	return false;
}

// What is at `source` appears as `path`: a link as a link, a directory (or a file, if wanted) as itself. Anything else is
// left out.
static int add_from(struct toolchain *t, const char *path, const char *source, bool files_too, struct err *err)
{
	struct stat st;
	char target[4096];
	if (lstat(source, &st) < 0)
		return errno == ENOENT ? 0 : err_errno(err, "cannot look at '%s'", source);
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlink(source, target, sizeof target - 1);
		if (n < 0)
			return err_errno(err, "cannot read the link '%s'", source);
		target[n] = '\0';
		return add(t, TOOLCHAIN_LINK, path, target, err);
	}
	if (!S_ISDIR(st.st_mode) && !(files_too && S_ISREG(st.st_mode)))
		return 0;
	if (add(t, TOOLCHAIN_BIND, path, source, err) < 0)
		return -1;
	t->entries[t->n - 1].is_file = S_ISREG(st.st_mode);
	return 0;
}

static int add_own(struct toolchain *t, struct err *err)
{
	static const char *const devices[] = {"null", "zero", "full", "random", "urandom"};
	if (add(t, TOOLCHAIN_DIRECTORY, "tmp", NULL, err) < 0 || add(t, TOOLCHAIN_DIRECTORY, "dev", NULL, err) < 0)
		return -1;
	for (size_t i = 0; i < COUNT_OF(devices); i++)
		if (add(t, TOOLCHAIN_DEVICE, arena_printf(&t->arena, "dev/%s", devices[i]),
			arena_printf(&t->arena, "/dev/%s", devices[i]), err) < 0)
			return -1;
	return 0;
}

// ---- the host -------------------------------------------------------------------------------------------------------

// "/opt/cross" or "/srv/x:/opt/x"
static int add_extra(struct toolchain *t, const char *word, struct err *err)
{
	const char *colon = strchr(word, ':');
	const char *source = colon ? arena_strndup(&t->arena, word, (size_t)(colon - word)) : word;
	char *path = path_tidy(&t->arena, colon ? colon + 1 : word);
	static const char *const taken[] = {"/tmp", "/dev", "/usr", "/etc"};
	struct stat st;
	if (source[0] != '/' || path[0] != '/' || !path[1] || strstr(path, ".."))
		return err_set(err, ERR_USAGE, "'%s' is no absolute name of a folder", word);
	for (size_t i = 0; i < COUNT_OF(taken); i++)
		if (path_below(taken[i], path))
			return err_set(err, ERR_USAGE, "jobs can't see a further folder as '%s'", path);
	if (stat(source, &st) < 0)
		return err_errno(err, "cannot look at '%s'", source);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ERR_USAGE, "'%s' is no folder", source);
	path++;
	for (char *slash = path; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (!has_path(t, path) && add(t, TOOLCHAIN_DIRECTORY, path, NULL, err) < 0)
			return -1;
		*slash = '/';
	}
	return has_path(t, path) ? err_set(err, ERR_USAGE, "'/%s' is there twice", path)
				 : add(t, TOOLCHAIN_BIND, path, source, err);
}

static int add_host(struct toolchain *t, const struct toolchain_config *config, struct err *err)
{
	static const char *const directories[] = {"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"};
	static const char *const settings[] = {"alternatives", "ld.so.cache", "clang"};
	for (size_t i = 0; i < COUNT_OF(directories); i++)
		if (add_from(t, directories[i], arena_printf(&t->arena, "/%s", directories[i]), false, err) < 0)
			return -1;
	if (add(t, TOOLCHAIN_DIRECTORY, "etc", NULL, err) < 0)
		return -1;
	for (size_t i = 0; i < COUNT_OF(settings); i++)
		if (add_from(t, arena_printf(&t->arena, "etc/%s", settings[i]),
			     arena_printf(&t->arena, "/etc/%s", settings[i]), true, err) < 0)
			return -1;
	for (const char *const *e = config->extra; e && *e; e++)
		if (add_extra(t, *e, err) < 0)
			return -1;
	return 0;
}

// ---- images ---------------------------------------------------------------------------------------------------------

static int add_image(struct toolchain *t, const char *root, struct err *err)
{
	DIR *d = opendir(root);
	if (!d)
		return errno == ENOENT ? err_set(err, ERR_NOT_FOUND, "there is no image '%s' here", t->identity)
				       : err_errno(err, "cannot open '%s'", root);
	int rc = 0;
	for (const struct dirent *e; rc == 0 && (e = readdir(d));)
		if (!guest_leaves_out(e->d_name))
			rc = add_from(t, e->d_name, arena_printf(&t->arena, "%s/%s", root, e->d_name), false, err);
	closedir(d);
	return rc;
}

static bool is_digest(const char *image)
{
	return strncmp(image, "sha256:", 7) == 0 && strlen(image) == 71 && strspn(image + 7, "0123456789abcdef") == 64;
}

int toolchain_open(const char *image, const struct toolchain_config *config, struct toolchain **toolchain, struct err *err)
{
	struct toolchain *t = mem_alloc(sizeof *t);
	t->held = -1;
	bool is_host = strcmp(image, "host") == 0 || strncmp(image, "host:", 5) == 0;
	int rc;
	if (is_host) {
		rc = config->no_host ? err_set(err, ERR_NOT_FOUND, "this worker has images only, not the host's compilers")
				     : add_host(t, config, err);
	} else if (!is_digest(image)) {
		rc = err_set(err, ERR_USAGE, "'%.100s' is no name of an image", image);
	} else {
		t->identity = arena_strdup(&t->arena, image);
		rc = config->images
			     ? add_image(t, arena_printf(&t->arena, "%s/sha256-%s/rootfs", config->images, image + 7), err)
			     : err_set(err, ERR_NOT_FOUND, "there is no image '%s' here", image);
	}
	if (rc < 0 || add_own(t, err) < 0) {
		toolchain_free(t);
		return -1;
	}
	*toolchain = t;
	return 0;
}

void toolchain_free(struct toolchain *t)
{
	if (!t)
		return;
	if (t->held >= 0)
		image_note_use(t->uses, t->identity);
	mem_close_cleanup(&t->held);
	arena_release(&t->arena);
	free(t);
}

int toolchain_hold(struct toolchain *t, const struct toolchain_config *config, struct err *err)
{
	if (!t->identity)
		return 0;
	if (image_hold(config->images, t->identity, &t->held, err) < 0)
		return -1;
	t->uses = config->uses ? arena_strdup(&t->arena, config->uses) : NULL;
	image_note_use(t->uses, t->identity);
	return 0;
}

bool toolchain_is_host(const struct toolchain *t)
{
	return !t->identity;
}

const char *toolchain_image(const struct toolchain *t)
{
	return t->identity;
}

const struct toolchain_entry *toolchain_entries(const struct toolchain *t, size_t *n)
{
	*n = t->n;
	return t->entries;
}

static char *find_program(struct arena *a, const char *name)
{
	for (const char *at = GUEST_PATH; *at;) {
		size_t n = strcspn(at, ":");
		char *file = arena_printf(a, "%.*s/%s", (int)n, at, name);
		if (access(file, X_OK) == 0)
			return file;
		at += n + (at[n] == ':');
	}
	return NULL;
}

const struct compiler *toolchain_host_compiler(struct compilers *compilers, const char *compiler, struct err *err)
{
	static const char *const env[] = {"PATH=" GUEST_PATH, NULL};
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct err own = ERR_INIT;
	char *path = strchr(compiler, '/') ? NULL : find_program(&a, compiler);
	enum reason reason = REASON_NONE;
	const struct compiler_call call = {.path = path, .argv0 = compiler, .env = env};
	const struct compiler *c = path ? compilers_find(compilers, &call, &reason, &own) : NULL;
	if (!path)
		err_set(err, ERR_NOT_FOUND, "there is no compiler '%.100s' here", compiler);
	else if (!c && own.code != ERR_NONE)
		err_set(err, own.code, "%s", own.text);
	else if (!c)
		err_set(err, ERR_NOT_FOUND, "'%s' is no compiler that is known: %s", path, reason_name(reason));
	return c;
}

int toolchain_identity(const struct toolchain *t, struct compilers *compilers, const char *compiler,
		       char identity[TOOLCHAIN_IDENTITY], struct err *err)
{
	if (t->identity) {
		snprintf(identity, TOOLCHAIN_IDENTITY, "%s", t->identity);
		return 0;
	}
	const struct compiler *c = toolchain_host_compiler(compilers, compiler, err);
	if (!c)
		return -1;
	char hex[DIGEST_HEX];
	digest_hex(&c->identity, hex);
	snprintf(identity, TOOLCHAIN_IDENTITY, "host:%s", hex);
	return 0;
}
