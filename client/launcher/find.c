#include "client/launcher/launcher.h"

#include <errno.h>
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

enum standing { IS_COMPILER, IS_COFFER, IS_OTHER_CACHE };

static bool is_there(const char *dir, const char *below)
{
	char file[PATH_MAX];
	size_t n = strlen(dir), n_below = strlen(below);
	if (n + n_below >= sizeof file)
		return true;
	memcpy(file, dir, n);
	memcpy(file + n, below, n_below + 1);
	return access(file, F_OK) == 0 || errno != ENOENT;
}

// What runs behind a link to ccache is the next compiler of that name in PATH, unless a variable or one of its files says more:
// another compiler, another PATH, a program before it. Who has any of them means ccache, and so does who has put something else there
// under its name.
static bool is_ccache_configured(const char *link)
{
	char real[PATH_MAX];
	if (!realpath(link, real) || !launcher_is_elf(real))
		return true;
	real[launcher_base_name(real) - real] = '\0';
	const char *home = getenv("HOME"), *config = getenv("XDG_CONFIG_HOME");
	for (char **e = environ; *e; e++)
		if (strncmp(*e, "CCACHE_", 7) == 0)
			return true;
	return !home || home[0] != '/' || is_there(home, "/.ccache/ccache.conf") ||
	       is_there(home, "/.config/ccache/ccache.conf") ||
	       (config && config[0] && is_there(config, "/ccache/ccache.conf")) || is_there("/etc", "/ccache.conf") ||
	       is_there(real, "../etc/ccache.conf");
}

// Coffer is our own file under any name, a copy of it, or a link to another coffer. (One that is none of these ends by its
// depth.) A link with a compiler's name to ccache would keep from us what there is to know.
static enum standing what_is(const char *file, const struct stat *st, const struct stat *self)
{
	if (st->st_dev == self->st_dev && st->st_ino == self->st_ino)
		return IS_COFFER;
	if (st->st_size == self->st_size && S_ISREG(st->st_mode) && same_contents(file, self_file))
		return IS_COFFER;
	char target[PATH_MAX];
	ssize_t n = readlink(file, target, sizeof target - 1);
	if (n < 0)
		return IS_COMPILER;
	target[n] = '\0';
	const char *name = launcher_base_name(target);
	if (strcmp(name, "coffer") == 0)
		return IS_COFFER;
	return strcmp(name, "ccache") == 0 && !is_ccache_configured(file) ? IS_OTHER_CACHE : IS_COMPILER;
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
		enum standing standing = stat(name, &st) ? IS_COMPILER : what_is(name, &st, self);
		if (standing == IS_COMPILER) {
			f->file = name; // whatever is wrong with it, execve will say so
			return true;
		}
		f->behind_coffer = true;
		cache = standing == IS_OTHER_CACHE ? name : NULL;
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
		enum standing standing = what_is(file, &st, self);
		if (standing == IS_COFFER) {
			f->behind_coffer = true;
		} else if (standing == IS_OTHER_CACHE) {
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
