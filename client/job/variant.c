#include "client/job/variant.h"

#include <string.h>

enum { WORDS_MAX = 65536 };

struct variant variant_of(const struct plan *p, struct arena *a)
{
	return (struct variant){.compiler = arena_printf(a, "%s (%s)", p->compiler->path, p->compiler->description),
				.arguments = p->canonical,
				.n_arguments = p->n_canonical,
				.env = p->key_env,
				.n_env = p->n_key_env};
}

// ---- bytes ----------------------------------------------------------------------------------------------------------

static void put_strings(struct buf *b, const char *const *list, uint32_t n)
{
	buf_add_u32(b, n);
	for (uint32_t i = 0; i < n; i++)
		buf_add_str(b, list[i]);
}

void variant_put(struct buf *b, const struct variant *v)
{
	put_strings(b, &v->compiler, 1);
	put_strings(b, v->arguments, v->n_arguments);
	put_strings(b, v->env, v->n_env);
}

static const char **get_strings(struct rd *r, struct arena *a, uint32_t *n)
{
	*n = rd_u32(r);
	if (*n > WORDS_MAX || (size_t)*n * 4 > rd_left(r))
		r->bad = true;
	if (r->bad)
		*n = 0;
	const char **list = arena_alloc(a, (*n + 1) * sizeof *list);
	for (uint32_t i = 0; i < *n; i++) {
		size_t len;
		const char *s = rd_str(r, &len);
		list[i] = arena_strndup(a, s ? s : "", len);
	}
	return list;
}

void variant_get(struct rd *r, struct arena *a, struct variant *v)
{
	uint32_t one;
	v->compiler = get_strings(r, a, &one)[0];
	r->bad |= one != 1;
	v->arguments = get_strings(r, a, &v->n_arguments);
	v->env = get_strings(r, a, &v->n_env);
	for (uint32_t i = 0; i < v->n_env; i++)
		r->bad |= !strchr(v->env[i], '=');
}

// ---- differences ----------------------------------------------------------------------------------------------------

// Which words of one list the other has not, each word as often as it stands there.
static unsigned missing_arguments(const struct variant *in, const struct variant *from, struct arena *a, const char **out)
{
	bool *used = arena_alloc(a, from->n_arguments + 1);
	unsigned n = 0;
	for (uint32_t i = 0; i < in->n_arguments; i++) {
		uint32_t k = 0;
		while (k < from->n_arguments && (used[k] || strcmp(from->arguments[k], in->arguments[i]) != 0))
			k++;
		if (k < from->n_arguments)
			used[k] = true;
		else if (n < CAUSE_MAX_CHANGES)
			out[n++] = in->arguments[i];
	}
	return n;
}

// "-O2" and "-O3", "-DX=1" and "-DX=2": words for one thing are shown as was and now.
static bool same_subject(const char *x, const char *y)
{
	if (strncmp(x, "-D", 2) == 0 || strncmp(x, "-f", 2) == 0 || strncmp(x, "-m", 2) == 0 || strncmp(x, "-s", 2) == 0) {
		size_t n = strcspn(x, "=");
		return n == strcspn(y, "=") && strncmp(x, y, n) == 0;
	}
	return strncmp(x, y, 2) == 0 && (x[1] == 'O' || x[1] == 'g');
}

static void compare_arguments(const struct variant *was, const struct variant *now, struct arena *a, struct cause *c)
{
	const char *gone[CAUSE_MAX_CHANGES], *come[CAUSE_MAX_CHANGES];
	unsigned n_gone = missing_arguments(was, now, a, gone), n_come = missing_arguments(now, was, a, come);
	for (unsigned i = 0; i < n_gone; i++) {
		unsigned k = 0;
		while (k < n_come && (!come[k] || !same_subject(gone[i], come[k])))
			k++;
		cause_add(c, NULL, gone[i], k < n_come ? come[k] : NULL);
		if (k < n_come)
			come[k] = NULL;
	}
	for (unsigned k = 0; k < n_come; k++)
		if (come[k])
			cause_add(c, NULL, NULL, come[k]);
}

static const char *variable(const char *const *env, uint32_t n, const char *assignment)
{
	size_t len = strcspn(assignment, "=") + 1;
	for (uint32_t i = 0; i < n; i++)
		if (strncmp(env[i], assignment, len) == 0)
			return env[i] + len;
	return NULL;
}

static void compare_environment(const struct variant *was, const struct variant *now, struct arena *a, struct cause *c)
{
	for (uint32_t i = 0; i < now->n_env; i++) {
		const char *before = variable(was->env, was->n_env, now->env[i]);
		const char *after = strchr(now->env[i], '=') + 1;
		if (!before || strcmp(before, after) != 0)
			cause_add(c, arena_strndup(a, now->env[i], strcspn(now->env[i], "=")), before, after);
	}
	for (uint32_t i = 0; i < was->n_env; i++)
		if (!variable(now->env, now->n_env, was->env[i]))
			cause_add(c, arena_strndup(a, was->env[i], strcspn(was->env[i], "=")), strchr(was->env[i], '=') + 1,
				  NULL);
}

unsigned variant_distance(const struct variant *was, const struct variant *now, struct arena *a)
{
	const char *gone[CAUSE_MAX_CHANGES], *come[CAUSE_MAX_CHANGES];
	struct cause variables = {0};
	compare_environment(was, now, a, &variables);
	unsigned compiler = strcmp(was->compiler, now->compiler) != 0 ? 4 : 0;
	return missing_arguments(was, now, a, gone) + missing_arguments(now, was, a, come) + variables.n_all + compiler;
}

static bool same_order(const struct variant *x, const struct variant *y)
{
	for (uint32_t i = 0; i < x->n_arguments && i < y->n_arguments; i++)
		if (strcmp(x->arguments[i], y->arguments[i]) != 0)
			return false;
	return true;
}

// Another compiler is told first, and whatever else differs with it. Where it has the same name, its files may differ because of
// the words or variables: then these are the cause.
bool variant_compare(const struct variant *was, const struct variant *now, struct arena *a, struct cause *c)
{
	bool is_other = strcmp(was->compiler, now->compiler) != 0;
	if (is_other)
		cause_add(c, NULL, was->compiler, now->compiler);
	compare_arguments(was, now, a, c);
	c->kind = is_other ? CAUSE_TOOLCHAIN : CAUSE_ARGUMENTS;
	if (c->n_all && !is_other)
		return true;
	compare_environment(was, now, a, c);
	if (c->n_all && !is_other)
		c->kind = CAUSE_ENVIRONMENT;
	if (c->n_all)
		return true;
	c->kind = same_order(was, now) ? CAUSE_NONE : CAUSE_ORDER;
	return false;
}
