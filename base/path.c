#include "base/path.h"

#include <string.h>

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

const char *path_ext(const char *path)
{
	const char *base = path_base(path);
	const char *dot = strrchr(base, '.');
	return dot && dot != base ? dot : "";
}

char *path_dir(struct arena *a, const char *path)
{
	const char *base = path_base(path);
	if (base == path)
		return arena_strdup(a, ".");
	size_t n = (size_t)(base - path);
	while (n > 1 && path[n - 1] == '/')
		n--;
	return arena_strndup(a, path, n);
}

char *path_join(struct arena *a, const char *dir, const char *name)
{
	if (name[0] == '/' || !dir[0] || strcmp(dir, ".") == 0)
		return arena_strdup(a, name);
	size_t n = strlen(dir), n_name = strlen(name);
	char *out = arena_alloc(a, n + n_name + 2);
	memcpy(out, dir, n);
	if (dir[n - 1] != '/')
		out[n++] = '/';
	memcpy(out + n, name, n_name);
	return out;
}

char *path_tidy(struct arena *a, const char *path)
{
	char *out = arena_alloc(a, strlen(path) + 2);
	size_t n = 0;
	if (path[0] == '/')
		out[n++] = '/';
	for (const char *p = path; *p;) {
		while (*p == '/')
			p++;
		size_t len = strcspn(p, "/");
		if (len && !(len == 1 && p[0] == '.')) {
			if (n && out[n - 1] != '/')
				out[n++] = '/';
			memcpy(out + n, p, len);
			n += len;
		}
		p += len;
	}
	if (!n)
		out[n++] = '.';
	out[n] = '\0';
	return out;
}

const char *path_below(const char *dir, const char *path)
{
	size_t n = strlen(dir);
	if (strncmp(dir, path, n) != 0)
		return NULL;
	if (!path[n])
		return ".";
	if (n && dir[n - 1] == '/')
		return path + n;
	return path[n] == '/' ? path + n + 1 : NULL;
}

bool path_list_is_absolute(const char *list)
{
	for (const char *p = list; *p == '/'; p++) {
		p = strchr(p, ':');
		if (!p)
			return true;
	}
	return false;
}
