// File names as text. Nothing here looks at the disk. Thread: any.
#ifndef COFFER_BASE_PATH_H
#define COFFER_BASE_PATH_H

#include "base/mem.h"

#include <stdbool.h>

const char *path_base(const char *path);           // after the last '/'
const char *path_ext(const char *path);            // the last suffix with its dot ("." files have none), or ""
char *path_dir(struct arena *a, const char *path); // what is before the last '/'; "." if there is none, "/" for "/x"
char *path_join(struct arena *a, const char *dir, const char *name); // an absolute name wins; dir "" or "." adds nothing
// The same file without "//", "/./" and a final "/"; ".." stays (it may follow a symlink).
char *path_tidy(struct arena *a, const char *path);
// What follows `dir` and '/' in `path`; "." if both are the same; NULL if path is not in dir. Both tidy.
const char *path_below(const char *dir, const char *path);
// Whether a list with ':' between its names has absolute names only, and at least one.
bool path_list_is_absolute(const char *list);

#endif
