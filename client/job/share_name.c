#include "client/job/share_name.h"
#include "client/job/shared_entry.h"

#include "base/path.h"
#include "client/services/share_log.h"

#include <ctype.h>

int share_name_toolchain(const struct plan *p, struct sha256 *name, struct err *err)
{
	struct named_toolchain t = {.local = &p->toolchain,
				    .compiler = p->compiler,
				    .view = p->view,
				    .root = p->reproducible ? p->root : NULL,
				    .root_real = p->reproducible ? p->root_real : NULL};
	return toolchain_names_find(p->services->toolchain_names, &t, name, err);
}

int share_name_make(const struct plan *p, struct share_name *name, struct err *err)
{
	*name = (struct share_name){.scope = setting_text(p->config, SETTING_tenant), .fields = BUF_INIT};
	if (share_name_toolchain(p, &name->toolchain, err) < 0)
		return -1;
	plan_key_fields(p, &name->fields);
	return 0;
}

void share_name_release(struct share_name *name)
{
	buf_release(&name->fields);
}

struct tier_name share_name_of(const struct share_name *name, const struct sha256 *source)
{
	AUTO_BUF struct buf text = BUF_INIT;
	buf_add_str(&text, "coffer shared compile 3");
	buf_add_str(&text, name->scope);
	buf_add(&text, name->toolchain.b, sizeof name->toolchain.b);
	buf_add_strn(&text, name->fields.data, name->fields.len);
	buf_add(&text, source->b, sizeof source->b);
	return (struct tier_name){.space = TIER_ACTIONS, .id = sha256_of(text.data, text.len)};
}

const char *share_tree(const struct plan *p)
{
	return p->root ? p->root : p->cwd;
}

void share_log(struct services *services, const char *tree, const struct tier_name *action, const struct shared_result *x)
{
	struct tier_name names[1 + PART_COUNT] = {*action};
	for (uint32_t i = 0; i < x->n_outputs; i++)
		names[1 + i] = tier_content(&x->outputs[i].blob, x->outputs[i].blob_size);
	share_log_add(services->cache_dir, tree, names, 1 + x->n_outputs);
}

// ---- which names are read from ----------------------------------------------------------------------------------------

// Absolute, without "." and "..", by the text alone. NULL: it leads above "/".
static const char *plain_path(const struct plan *p, const char *path)
{
	char *all = path_join(p->arena, p->cwd, path), *to = all;
	for (const char *from = all; *from;) {
		from += strspn(from, "/");
		size_t n = strcspn(from, "/");
		if (n == 2 && strncmp(from, "..", 2) == 0) {
			if (to == all)
				return NULL;
			while (*--to != '/')
				;
		} else if (n && !(n == 1 && *from == '.')) {
			*to++ = '/';
			memmove(to, from, n);
			to += n;
		}
		from += n;
	}
	*to = '\0';
	return all[0] ? all : "/";
}

static bool is_plain_text(const char *name)
{
	const char *text = name[0] == PATH_TREE || name[0] == PATH_TREE_REAL ? name + 1 : name;
	for (const char *c = text; *c; c++)
		if (iscntrl((unsigned char)*c))
			return false;
	return text[0] && (text == name || text[0] != '/');
}

static void add_place(struct share_places *places, const char *dir)
{
	const char *plain = dir && *dir ? plain_path(places->plan, dir) : NULL;
	if (plain && strcmp(plain, "/") != 0 && places->n < SHARE_PLACES)
		places->dirs[places->n++] = plain;
}

static void add_search(struct share_places *places)
{
	const struct plan *p = places->plan;
	struct search search = {0};
	if (searches_find(p->services->searches, p->compiler, &p->line, p->cwd, p->cwd_fd, p->env, p->arena, &search, NULL) <
	    0)
		return;
	for (unsigned i = 0; i < search.n_angled; i++)
		add_place(places, search.angled[i]);
	search_release(&search);
}

void share_places_make(const struct plan *p, struct share_places *places)
{
	uint32_t n = 0;
	const struct finding *list = p->view ? findings_list(view_findings(p->view), &n) : NULL;
	places->plan = p;
	places->n = 0;
	places->dirs = arena_alloc(p->arena, SHARE_PLACES * sizeof *places->dirs);
	add_place(places, p->root);
	add_place(places, p->root_real);
	add_place(places, p->cwd);
	add_place(places, path_dir(p->arena, p->line.source));
	for (unsigned i = 0; i < p->line.n_arguments; i++)
		add_place(places, p->line.arguments[i].text + p->line.arguments[i].prefix);
	for (unsigned i = 0; i < p->line.n_extra_inputs; i++)
		add_place(places, p->line.extra_inputs[i]);
	for (uint32_t i = 0; i < n; i++)
		if (list[i].kind == FOUND_DIRECTORY || list[i].kind == FOUND_LIST)
			add_place(places, list[i].path);
	if (!p->view)
		add_search(places);
}

bool share_may_read(const struct share_places *places, const char *name)
{
	const struct plan *p = places->plan;
	const char *path = is_plain_text(name) ? plain_path(p, plan_real_path(p, p->arena, name)) : NULL;
	for (unsigned i = 0; i < places->n && path; i++)
		if (path_below(places->dirs[i], path))
			return true;
	return false;
}
