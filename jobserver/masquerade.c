#include "jobserver/masquerade.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/path.h"
#include "codec/hash.h"
#include "compiler/names.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_NAMES = 1024, HEX_OF_NAME = 16 };

struct names {
	char *v[MOST_NAMES];
	size_t n;
};

bool masquerade_is_compiler(const char *name)
{
	const char *kind = compiler_name_kind(name);
	// c89, c99, c89-gcc and c99-gcc are scripts that add options and call gcc, which passes us then.
	return kind && strcmp(kind, "c89") != 0 && strcmp(kind, "c99") != 0 && strncmp(name, "c89-", 4) != 0 &&
	       strncmp(name, "c99-", 4) != 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_names_of(struct arena *a, struct names *names, const char *dir)
{
	DIR *d = opendir(dir);
	for (struct dirent *e; d && (e = readdir(d)) && names->n < MOST_NAMES;)
		if (masquerade_is_compiler(e->d_name) && access(path_join(a, dir, e->d_name), X_OK) == 0)
			names->v[names->n++] = arena_strdup(a, e->d_name);
	if (d)
		closedir(d);
}

static void find_names(struct arena *a, struct names *names, const char *path_list)
{
	char *save = NULL;
	for (char *dir = strtok_r(arena_strdup(a, path_list), ":", &save); dir; dir = strtok_r(NULL, ":", &save))
		if (dir[0] == '/')
			add_names_of(a, names, dir);
	qsort(names->v, names->n, sizeof *names->v, by_text);
	size_t kept = 0;
	for (size_t i = 0; i < names->n; i++)
		if (!kept || strcmp(names->v[kept - 1], names->v[i]) != 0)
			names->v[kept++] = names->v[i];
	names->n = kept;
}

static void remove_dir(struct arena *a, const char *dir, const struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		unlink(path_join(a, dir, names->v[i]));
	rmdir(dir);
}

// Fills a temporary directory and renames it; if another was faster, its directory is the same.
static int make_dir(struct arena *a, const char *dir, const struct names *names, const char *launcher, struct err *err)
{
	char *temp = arena_printf(a, "%s.XXXXXX", dir);
	if (!mkdtemp(temp))
		return err_errno(err, "cannot make a folder '%s'", temp);
	for (size_t i = 0; i < names->n; i++) {
		if (symlink(launcher, path_join(a, temp, names->v[i])) == 0)
			continue;
		err_errno(err, "cannot make a link in '%s'", temp);
		remove_dir(a, temp, names);
		return -1;
	}
	if (rename(temp, dir) == 0)
		return 0;
	int e = errno;
	remove_dir(a, temp, names);
	errno = e;
	return e == EEXIST || e == ENOTEMPTY ? 0 : err_errno(err, "cannot make '%s'", dir);
}

// Where the directory is made: in PATH no name can have a ':'. NULL: nowhere.
static const char *place_for(struct arena *a, const char *cache_dir)
{
	const char *home = getenv("HOME"), *run = getenv("XDG_RUNTIME_DIR");
	const char *places[] = {cache_dir, home ? path_join(a, home, ".cache/coffer") : NULL,
				run ? path_join(a, run, "coffer") : NULL};
	for (size_t i = 0; i < COUNT_OF(places); i++)
		if (places[i] && places[i][0] == '/' && !strchr(places[i], ':'))
			return places[i];
	return NULL;
}

int masquerade_dir(struct arena *a, const char *launcher, const char *cache_dir, const char *path_list, char **dir,
		   struct err *err)
{
	struct names names = {.n = 0};
	find_names(a, &names, path_list);
	if (!names.n)
		return 0;
	struct hasher h AUTO_HASHER;
	hasher_init(&h);
	hasher_str(&h, launcher);
	for (size_t i = 0; i < names.n; i++)
		hasher_str(&h, names.v[i]);
	struct digest d = hasher_end(&h);
	char hex[DIGEST_HEX];
	digest_hex(&d, hex);
	hex[HEX_OF_NAME] = '\0';
	const char *place = place_for(a, cache_dir);
	if (!place)
		return err_set(err, ERR_USAGE, "no directory in PATH can have a ':' in its name, as '%s' has", cache_dir);
	char *top = path_join(a, place, "masquerade");
	*dir = path_join(a, top, hex);
	if (access(*dir, X_OK) == 0)
		return 1;
	return file_make_dirs(top, 0700, err) < 0 || make_dir(a, *dir, &names, launcher, err) < 0 ? -1 : 1;
}
