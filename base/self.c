#include "base/self.h"

#include "base/path.h"

#include <limits.h>
#include <unistd.h>

char *self_file(struct arena *a)
{
	char file[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", file, sizeof file);
	return n <= 0 || n == sizeof file ? NULL : arena_strndup(a, file, (size_t)n);
}

char *self_beside(struct arena *a, const char *name)
{
	const char *file = self_file(a);
	return file ? path_join(a, path_dir(a, file), name) : NULL;
}
