#include "client/launcher/launcher.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static const char default_path[] = "/usr/local/bin:/bin:/usr/bin"; // as execvp does without PATH

static const char self_file[] = "/proc/self/exe";

bool launcher_find_self(struct stat *self)
{
	if (stat(self_file, self) == 0)
		return true;
	const char *name = (const char *)getauxval(AT_EXECFN);
	return name && stat(name, self) == 0;
}

static bool same_contents(const char *a, const char *b)
{
	AUTO_CLOSE int fd_a = open(a, O_RDONLY | O_CLOEXEC), fd_b = open(b, O_RDONLY | O_CLOEXEC);
	char part_a[4096], part_b[4096];
	ssize_t n;
	do {
		n = fd_a < 0 ? -1 : read(fd_a, part_a, sizeof part_a);
		if (n < 0 || read(fd_b, part_b, sizeof part_b) != n || memcmp(part_a, part_b, (size_t)n) != 0)
			return false;
	} while (n > 0);
	return true;
}

// Our own file under any name, a copy of it, or a link to another coffer. (One that is none of these ends by its depth.)
static bool is_coffer(const char *file, const struct stat *st, const struct stat *self)
{
	if (st->st_dev == self->st_dev && st->st_ino == self->st_ino)
		return true;
	if (st->st_size == self->st_size && S_ISREG(st->st_mode) && same_contents(file, self_file))
		return true;
	char target[PATH_MAX];
	ssize_t n = readlink(file, target, sizeof target - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	return strcmp(launcher_base_name(target), "coffer") == 0;
}

// `ccache`-style directories: links with a compiler's name to another cache, which would keep from us what there is to know.
static bool is_other_cache(const char *file)
{
	static const char *const names[] = {"ccache", "sccache"};
	char target[PATH_MAX];
	ssize_t n = readlink(file, target, sizeof target - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (strcmp(launcher_base_name(target), names[i]) == 0)
			return true;
	return false;
}

// A directory of PATH that is empty stands for the working directory. The result keeps its '/', so that nobody looks for it
// in PATH again.
static const char *candidate(char out[PATH_MAX], const char *dir, size_t n_dir, const char *name)
{
	size_t n_name = strlen(name);
	if (n_dir == 0) {
		dir = ".";
		n_dir = 1;
	}
	if (n_dir + 1 + n_name + 1 > PATH_MAX)
		return NULL;
	memcpy(out, dir, n_dir);
	out[n_dir] = '/';
	memcpy(out + n_dir + 1, name, n_name + 1);
	return out;
}

bool launcher_find_compiler(struct found *f, struct arena *a, const char *name, const char *path, const struct stat *self)
{
	struct stat st;
	const char *cache = NULL;
	*f = (struct found){NULL, false};
	if (strchr(name, '/')) {
		bool is_cache = is_other_cache(name);
		if (stat(name, &st) || (!is_cache && !is_coffer(name, &st, self))) {
			f->file = name; // whatever is wrong with it, execve will say so
			return true;
		}
		f->behind_coffer = true;
		cache = is_cache ? name : NULL;
		name = launcher_base_name(name);
	}
	if (!name[0])
		return false;
	char file[PATH_MAX];
	for (const char *dir = path ? path : default_path, *end; dir; dir = *end ? end + 1 : NULL) {
		end = strchrnul(dir, ':');
		if (!candidate(file, dir, (size_t)(end - dir), name) || stat(file, &st) || !S_ISREG(st.st_mode) ||
		    !(st.st_mode & 0111))
			continue;
		if (is_coffer(file, &st, self)) {
			f->behind_coffer = true;
		} else if (is_other_cache(file)) {
			f->behind_coffer = true;
			cache = cache ? cache : arena_strdup(a, file);
		} else if (access(file, X_OK) == 0) {
			f->file = arena_strdup(a, file);
			return true;
		}
	}
	f->file = cache;
	return cache != NULL;
}

const char *launcher_find_cofferd(struct arena *a)
{
	const char *named = getenv("COFFERD");
	if (named && named[0] == '/')
		return named;
	static const char *const places[] = {"cofferd", "../libexec/coffer/cofferd", "../lib/coffer/cofferd"};
	char self[PATH_MAX];
	ssize_t n = readlink(self_file, self, sizeof self - 1);
	if (n < 0)
		return NULL;
	self[n] = '\0';
	for (size_t i = 0; i < COUNT_OF(places); i++) {
		const char *file = arena_printf(a, "%.*s%s", (int)(launcher_base_name(self) - self), self, places[i]);
		if (access(file, X_OK) == 0)
			return file;
	}
	return NULL;
}
