// The compilers in PATH: which are real, which are links to coffer (masquerade), which lead to another wrapper.
#include "base/path.h"
#include "base/self.h"
#include "client/verbs/doctor.h"
#include "compiler/names.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum entry_kind { ENTRY_REAL, ENTRY_COFFER, ENTRY_WRAPPER, ENTRY_BROKEN };
enum { MAX_ENTRIES = 64 };

struct entry { // what PATH has under a compiler's name, in its order
	enum entry_kind kind;
	const char *file;   // as PATH names it
	const char *target; // without symlinks
};

struct entries {
	struct entry list[MAX_ENTRIES];
	size_t n;
};

// Our own launcher, as the running cofferd is installed with it. False if there is none.
static bool find_launcher(struct arena *a, struct stat *st)
{
	static const char *const places[] = {"coffer", "../bin/coffer", "../../bin/coffer"};
	for (size_t i = 0; i < COUNT_OF(places); i++) {
		const char *file = self_beside(a, places[i]);
		if (file && stat(file, st) == 0 && S_ISREG(st->st_mode))
			return true;
	}
	return false;
}

static bool is_wrapper(const char *name)
{
	static const char *const wrappers[] = {"ccache", "sccache", "distcc", "icecc", "firebuild"};
	for (size_t i = 0; i < COUNT_OF(wrappers); i++)
		if (strcmp(name, wrappers[i]) == 0)
			return true;
	return false;
}

// False: PATH's directory has nothing executable of that name.
static bool look_at(struct arena *a, const char *file, struct entry *e)
{
	struct stat link, st, own;
	*e = (struct entry){ENTRY_REAL, file, file};
	if (lstat(file, &link) < 0)
		return false;
	if (stat(file, &st) < 0) {
		e->kind = ENTRY_BROKEN;
		return true;
	}
	if (!S_ISREG(st.st_mode) || access(file, X_OK) < 0)
		return false;
	AUTO_FREE char *real = realpath(file, NULL);
	if (real)
		e->target = arena_strdup(a, real);
	const char *name = path_base(e->target);
	bool is_ours = find_launcher(a, &own) && own.st_dev == st.st_dev && own.st_ino == st.st_ino;
	if (is_ours || strcmp(name, "coffer") == 0)
		e->kind = ENTRY_COFFER;
	else if (is_wrapper(name))
		e->kind = ENTRY_WRAPPER;
	return true;
}

static void find_entries(struct arena *a, const char *path, const char *name, struct entries *out)
{
	out->n = 0;
	for (const char *dir = path, *end; dir && out->n < MAX_ENTRIES; dir = *end ? end + 1 : NULL) {
		end = strchrnul(dir, ':');
		// An empty directory in PATH is the working directory.
		const char *directory = end == dir ? "." : arena_strndup(a, dir, (size_t)(end - dir));
		struct entry *e = &out->list[out->n];
		if (look_at(a, arena_printf(a, "%s/%s", directory, name), e))
			out->n++;
	}
}

// The first entry of a kind, from `at` on; NULL if there is none.
static const struct entry *first_of(const struct entries *es, size_t at, enum entry_kind kind)
{
	for (; at < es->n; at++)
		if (es->list[at].kind == kind)
			return &es->list[at];
	return NULL;
}

static void judge_link(struct doctor *d, const char *name, const struct entries *es, const struct entry *link)
{
	const struct entry *real = first_of(es, (size_t)(link - es->list), ENTRY_REAL);
	const struct entry *wrapper = first_of(es, (size_t)(link - es->list), ENTRY_WRAPPER);
	if (!real)
		found_problem(d, "compilers", arena_printf(&d->arena, "install %s, or remove '%s'", name, link->file),
			      "'%s' is a link to coffer, and no real %s comes after it in PATH", link->file, name);
	else if (wrapper && wrapper < real)
		found_warning(d, "compilers", arena_printf(&d->arena, "take the folder of '%s' out of PATH", wrapper->file),
			      "'%s' is coffer, and the next %s in PATH is %s", link->file, name, path_base(wrapper->target));
	else
		found_ok(d, "compilers", "%s is '%s', a link to coffer, then '%s'", name, link->file, real->file);
}

static void judge(struct doctor *d, const char *name, const struct entries *es)
{
	for (size_t i = 0; i < es->n; i++)
		if (es->list[i].kind == ENTRY_BROKEN)
			found_warning(d, "compilers", "remove the link, or install what it names",
				      "'%s' is a link to nothing", es->list[i].file);
	const struct entry *real = first_of(es, 0, ENTRY_REAL), *link = first_of(es, 0, ENTRY_COFFER);
	const struct entry *wrapper = first_of(es, 0, ENTRY_WRAPPER);
	if (link && real && real < link)
		found_warning(d, "compilers",
			      arena_printf(&d->arena, "put the folder of '%s' before that of '%s' in PATH", link->file,
					   real->file),
			      "'%s' is a link to coffer that is never reached: '%s' comes first in PATH", link->file,
			      real->file);
	else if (link && !(wrapper && wrapper < link))
		judge_link(d, name, es, link);
	else if (wrapper && !(real && real < wrapper))
		found_warning(d, "compilers", arena_printf(&d->arena, "take the folder of '%s' out of PATH", wrapper->file),
			      "%s is '%s', a link to %s, which stands between coffer and the compiler", name, wrapper->file,
			      path_base(wrapper->target));
	else if (real)
		found_ok(d, "compilers", "%s is '%s'", name, real->file);
}

const char *doctor_real_compiler(struct doctor *d, const char *name)
{
	struct entries *es = arena_alloc(&d->arena, sizeof *es);
	find_entries(&d->arena, getenv("PATH"), name, es);
	const struct entry *real = first_of(es, 0, ENTRY_REAL);
	return real ? real->file : NULL;
}

void doctor_check_compilers(struct doctor *d)
{
	const char *path = getenv("PATH");
	struct entries *es = arena_alloc(&d->arena, sizeof *es);
	bool any = false;
	for (size_t i = 0; i < n_compiler_name_kinds; i++) {
		const char *name = compiler_name_kinds[i];
		find_entries(&d->arena, path, name, es);
		any = any || first_of(es, 0, ENTRY_REAL);
		judge(d, name, es);
	}
	if (!any)
		found_warning(d, "compilers", "install one, or put its folder into PATH",
			      "there is no gcc, clang or cc in PATH");
}
