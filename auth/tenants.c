#include "auth/tenants.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/value.h"
#include "settings/conf.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct tenants {
	struct arena arena;
	struct tenant *all;
	size_t n;
	struct tenant_words worker_certificates, denied;
	bool in_workers, has_workers; // while it is read
};

// ---- reading ------------------------------------------------------------------------------------------------------

static bool is_pattern(const char *text, bool (*is_exact)(const char *))
{
	size_t n = strlen(text);
	if (n == 0 || n > TOKEN_IMAGE_MAX || text[n - 1] != '*')
		return n > 0 && is_exact(text);
	AUTO_FREE char *prefix = mem_strndup(text, n - 1);
	return n == 1 || value_is_name(prefix, TOKEN_IMAGE_MAX, "._-:");
}

static bool is_image_pattern(const char *text)
{
	return is_pattern(text, token_is_image);
}

static bool is_worker_pattern(const char *text)
{
	return is_pattern(text, token_is_name);
}

static bool is_certificate_name(const char *text)
{
	static const char *const kinds[] = {"DNS:", "URI:", "email:", "IP:", "CN:"};
	for (size_t i = 0; i < COUNT_OF(kinds); i++)
		if (strncmp(text, kinds[i], strlen(kinds[i])) == 0)
			return text[strlen(kinds[i])] != '\0';
	return false;
}

static bool is_worker_certificate(const char *text)
{
	const char *name = strstr(text, "{name}");
	return is_certificate_name(text) && name && !strstr(name + 1, "{name}");
}

static bool is_filled(const char *text)
{
	return *text;
}

// A key that may be there more than once.
struct list_key {
	const char *name;
	size_t offset;
	bool (*is_right)(const char *);
	const char *wanted;
};
static const struct list_key tenant_lists[] = {
	{"image", offsetof(struct tenant, images), is_image_pattern, "an image, the beginning of its name and '*', or '*'"},
	{"worker", offsetof(struct tenant, workers), is_worker_pattern,
	 "a worker, the beginning of its name and '*', or '*'"},
	{"certificate", offsetof(struct tenant, certificates), is_certificate_name,
	 "a name with DNS:, URI:, email:, IP: or CN: before it"},
	{"claim", offsetof(struct tenant, claims), is_filled, "a value of the claim"},
};
static const struct list_key worker_lists[] = {
	{"certificate", offsetof(struct tenants, worker_certificates), is_worker_certificate,
	 "a name with DNS:, URI:, email:, IP: or CN: before it, and {name} in it"},
	{"deny", offsetof(struct tenants, denied), token_is_name, "a worker"},
};

static int bad_value(const struct conf_line *line, const char *wanted, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	return err_set(err, ERR_USAGE, "%s: '%s' can't be '%s'; it takes %s", line->where, line->name,
		       value_shown(&a, line->value), wanted);
}

static int unknown(const struct conf_line *line, const char *what, const char *name, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	return err_set(err, ERR_USAGE, "%s: unknown %s '%s'", line->where, what, value_shown(&a, name));
}

static int add_word(struct tenants *t, struct tenant_words *words, const struct conf_line *line, struct err *err)
{
	if (words->n == TENANT_MAX_WORDS)
		return err_set(err, ERR_LIMIT, "%s: more than %d lines '%s'", line->where, TENANT_MAX_WORDS, line->name);
	// Room for a power of two.
	if ((words->n & (words->n - 1)) == 0) {
		const char **more = arena_alloc(&t->arena, 2 * (words->n + 1) * sizeof *more);
		if (words->n)
			memcpy(more, words->all, words->n * sizeof *more);
		words->all = more;
	}
	words->all[words->n++] = arena_strdup(&t->arena, line->value);
	return 0;
}

// 1: it was one of these keys; 0: it was not; -1.
static int take_list(struct tenants *t, const struct list_key *keys, size_t n, void *of, const struct conf_line *line,
		     struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(keys[i].name, line->name) != 0)
			continue;
		if (!keys[i].is_right(line->value))
			return bad_value(line, keys[i].wanted, err);
		return add_word(t, (struct tenant_words *)((char *)of + keys[i].offset), line, err) < 0 ? -1 : 1;
	}
	return 0;
}

static int take_tenant_line(struct tenants *t, struct tenant *tenant, const struct conf_line *line, struct err *err)
{
	int64_t number;
	if (strcmp(line->name, "slots") == 0) {
		if (value_parse(VALUE_INTEGER, NULL, line->value, &number) || number < 1 || number > TENANT_MAX_SLOTS)
			return bad_value(line, "1 to 1000000", err);
		if (tenant->slots)
			return err_set(err, ERR_USAGE, "%s: 'slots' is there already", line->where);
		tenant->slots = (uint32_t)number;
		return 0;
	}
	if (strcmp(line->name, "isolation") == 0) {
		int isolation = isolation_of_name(line->value);
		if (isolation < 0)
			return bad_value(line, "none, process, sandbox or microvm", err);
		tenant->isolation = isolation;
		return 0;
	}
	int rc = take_list(t, tenant_lists, COUNT_OF(tenant_lists), tenant, line, err);
	return rc == 0 ? unknown(line, "setting", line->name, err) : rc < 0 ? -1 : 0;
}

static int check_tenant(const struct tenant *t, struct err *err)
{
	const char *missing = !t->slots                            ? "slots"
			      : !t->images.n                       ? "image"
			      : !t->certificates.n && !t->claims.n ? "certificate' or 'claim"
								   : NULL;
	if (!missing)
		return 0;
	return err_set(err, ERR_USAGE, "%s: the tenant '%s' has no '%s'", t->where, t->name, missing);
}

static int begin_section(struct tenants *t, const struct conf_line *line, struct err *err)
{
	if (!t->in_workers && t->n && check_tenant(&t->all[t->n - 1], err) < 0)
		return -1;
	t->in_workers = strcmp(line->section, "workers") == 0;
	if (t->in_workers && t->has_workers)
		return err_set(err, ERR_USAGE, "%s: [workers] is there already", line->where);
	t->has_workers |= t->in_workers;
	if (t->in_workers)
		return 0;
	if (strncmp(line->section, "tenant ", 7) != 0)
		return unknown(line, "section", line->section, err);
	const char *name = line->section + 7 + strspn(line->section + 7, " \t");
	if (!token_is_name(name))
		return err_set(err, ERR_USAGE, "%s: a tenant's name has 1 to %d of A-Z a-z 0-9 . _ -", line->where,
			       TOKEN_NAME_MAX);
	const struct tenant *old = tenants_find(t, name);
	if (old)
		return err_set(err, ERR_USAGE, "%s: the tenant '%s' is there already (%s)", line->where, name, old->where);
	if (t->n == TENANTS_MAX)
		return err_set(err, ERR_LIMIT, "%s: more than %d tenants", line->where, TENANTS_MAX);
	// Room for a power of two, as for words.
	if ((t->n & (t->n - 1)) == 0) {
		struct tenant *more = arena_alloc(&t->arena, 2 * (t->n + 1) * sizeof *more);
		if (t->n)
			memcpy(more, t->all, t->n * sizeof *more);
		t->all = more;
	}
	t->all[t->n++] = (struct tenant){.name = arena_strdup(&t->arena, name),
					 .isolation = isolation_of_name("sandbox"),
					 .where = arena_strdup(&t->arena, line->where)};
	return 0;
}

static int take_line(void *ctx, const struct conf_line *line, struct err *err)
{
	struct tenants *t = ctx;
	if (!line->name)
		return begin_section(t, line, err);
	if (t->in_workers) {
		int rc = take_list(t, worker_lists, COUNT_OF(worker_lists), t, line, err);
		return rc == 0 ? unknown(line, "setting", line->name, err) : rc < 0 ? -1 : 0;
	}
	if (!t->n)
		return err_set(err, ERR_USAGE, "%s: '%s' belongs below a line [tenant NAME] or [workers]", line->where,
			       line->name);
	return take_tenant_line(t, &t->all[t->n - 1], line, err);
}

// Gives the tenants away, or frees them after a failure.
static int finish(struct tenants *t, int rc, struct tenants **out, struct err *err)
{
	if (rc == 0 && t->n && !t->in_workers)
		rc = check_tenant(&t->all[t->n - 1], err);
	*out = rc == 0 ? t : NULL;
	if (rc < 0)
		tenants_free(t);
	return rc;
}

int tenants_parse(const char *path, const char *text, size_t n, struct tenants **tenants, struct err *err)
{
	struct tenants *t = mem_alloc(sizeof *t);
	return finish(t, conf_parse(path, text, n, true, take_line, t, err), tenants, err);
}

int tenants_read(const char *path, struct tenants **tenants, struct err *err)
{
	struct tenants *t = mem_alloc(sizeof *t);
	return finish(t, conf_read(path, true, take_line, t, err), tenants, err);
}

void tenants_free(struct tenants *tenants)
{
	if (!tenants)
		return;
	arena_release(&tenants->arena);
	free(tenants);
}

size_t tenants_count(const struct tenants *tenants)
{
	return tenants->n;
}

const struct tenant *tenants_at(const struct tenants *tenants, size_t i)
{
	return &tenants->all[i];
}

const struct tenant *tenants_find(const struct tenants *tenants, const char *name)
{
	for (size_t i = 0; i < tenants->n; i++)
		if (strcmp(tenants->all[i].name, name) == 0)
			return &tenants->all[i];
	return NULL;
}

// ---- asking -------------------------------------------------------------------------------------------------------

static bool is_same_name(const char *a, const char *b)
{
	// Host names are without case, the rest is not.
	return strncmp(a, "DNS:", 4) == 0 ? strcasecmp(a, b) == 0 : strcmp(a, b) == 0;
}

static bool has_certificate_name(const struct caller_identity *caller, const char *wanted)
{
	if (strncmp(wanted, "CN:", 3) == 0)
		return caller->common_name && strcmp(wanted + 3, caller->common_name) == 0;
	for (size_t i = 0; i < caller->n_names; i++)
		if (is_same_name(wanted, caller->names[i]))
			return true;
	return false;
}

static bool is_tenant(const struct tenant *t, const struct caller_identity *caller)
{
	for (size_t i = 0; i < t->certificates.n; i++)
		if (has_certificate_name(caller, t->certificates.all[i]))
			return true;
	for (size_t i = 0; i < t->claims.n; i++)
		for (size_t j = 0; j < caller->n_claims; j++)
			if (strcmp(t->claims.all[i], caller->claims[j]) == 0)
				return true;
	return false;
}

const struct tenant *tenants_choose(const struct tenants *tenants, const struct caller_identity *caller, const char *wanted,
				    struct err *err)
{
	const struct tenant *found = NULL;
	for (size_t i = 0; i < tenants->n; i++) {
		const struct tenant *t = &tenants->all[i];
		if ((*wanted && strcmp(wanted, t->name) != 0) || !is_tenant(t, caller))
			continue;
		if (found) {
			err_set(err, ERR_ACCESS, "you may use several tenants: say which one");
			return NULL;
		}
		found = t;
	}
	if (!found)
		err_set(err, ERR_ACCESS, *wanted ? "this tenant is not one of yours" : "you belong to no tenant here");
	return found;
}

static bool matches(const struct tenant_words *patterns, const char *text)
{
	for (size_t i = 0; i < patterns->n; i++) {
		const char *p = patterns->all[i];
		size_t n = strlen(p);
		if (p[n - 1] == '*' ? strncmp(p, text, n - 1) == 0 : strcmp(p, text) == 0)
			return true;
	}
	return false;
}

bool tenant_may_use_image(const struct tenant *tenant, const char *image)
{
	return matches(&tenant->images, image);
}

bool tenant_may_use_worker(const struct tenant *tenant, const char *worker)
{
	return !tenant->workers.n || matches(&tenant->workers, worker);
}

bool tenants_is_tenant(const struct tenants *tenants, const struct caller_identity *caller)
{
	for (size_t i = 0; i < tenants->n; i++)
		if (is_tenant(&tenants->all[i], caller))
			return true;
	return false;
}

bool tenants_is_worker(const struct tenants *tenants, const struct caller_identity *caller, const char *worker)
{
	if (tenants_is_tenant(tenants, caller))
		return false;
	for (size_t i = 0; i < tenants->worker_certificates.n; i++) {
		const char *template = tenants->worker_certificates.all[i];
		const char *name = strstr(template, "{name}");
		AUTO_FREE char *wanted = mem_printf("%.*s%s%s", (int)(name - template), template, worker, name + 6);
		if (has_certificate_name(caller, wanted))
			return true;
	}
	return false;
}

bool tenants_is_denied(const struct tenants *tenants, const char *worker)
{
	for (size_t i = 0; i < tenants->denied.n; i++)
		if (strcmp(tenants->denied.all[i], worker) == 0)
			return true;
	return false;
}
