// covers CACHE ROOT CWD <LOOKS: does what the cache remembers cover everything that a compile looked at? LOOKS has a line for
// each name: "E PATH", E being an errno or 0, from strace (tests/observe). Prints each name that nothing covers; ends with 1 if
// there is one. Covered is what is an input of a manifest, a name that must be absent or present, a link or a finding of a view,
// or a directory above one of these.
#include "base/map.h"
#include "base/path.h"
#include "depscan/findings.h"
#include "depscan/manifest.h"
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct covers {
	struct arena arena;
	struct files *files;
	struct map known; // names without symlinks
	const char *cache, *root, *cwd;
};

// The name and everything on the way to it, as findings name them.
static void cover(struct covers *c, const char *path)
{
	struct findings *f = findings_new();
	uint32_t n;
	if (findings_add(f, c->files, path_join(&c->arena, c->cwd, path), WANT_KIND, NULL) >= 0) {
		const struct finding *list = findings_list(f, &n);
		for (uint32_t i = 0; i < n; i++)
			for (const char *at = list[i].path; strcmp(at, "/") != 0; at = path_dir(&c->arena, at))
				map_puts(&c->known, at, c);
	}
	findings_unref(f);
}

static const char *real_name(struct covers *c, const char *canonical)
{
	if (canonical[0] != PATH_TREE && canonical[0] != PATH_TREE_REAL)
		return canonical[0] ? canonical : ".";
	return arena_printf(&c->arena, "%s/%s", c->root, canonical + 1);
}

static void cover_manifest(struct covers *c, const struct digest *key, const struct buf *b)
{
	struct manifest *m = manifest_decode(key, b->data, b->len, NULL);
	for (uint32_t i = 0; m && i < m->n_entries; i++) {
		const struct manifest_entry *e = &m->entries[i];
		for (uint32_t k = 0; k < e->n_inputs; k++)
			cover(c, real_name(c, e->inputs[k].name));
		for (uint32_t k = 0; k < e->n_present; k++)
			cover(c, real_name(c, e->present[k]));
		for (uint32_t k = 0; k < e->n_links; k++)
			cover(c, real_name(c, e->links[k].dir));
		for (uint32_t k = 0; k < e->n_absent; k++)
			for (uint32_t j = 0; j < e->absent[k].n_names; j++) {
				const char *dir = real_name(c, e->absent[k].dir), *name = e->absent[k].names[j];
				// "*?.gch": any of them.
				const char *base = path_base(name);
				if (base[0] == '*')
					cover(c, path_join(&c->arena, dir,
							   arena_printf(&c->arena, "%.*sany%s", (int)(base - name), name,
									base + 2)));
				cover(c, path_join(&c->arena, dir, name));
			}
	}
	manifest_unref(m);
}

static void cover_view(struct covers *c, const struct buf *b)
{
	struct rd r = RD(b->data, b->len);
	rd_u32(&r);
	if (rd_u8(&r))
		return;
	struct findings *f = findings_decode(&r);
	uint32_t n = 0;
	const struct finding *list = f ? findings_list(f, &n) : NULL;
	for (uint32_t i = 0; i < n; i++)
		for (const char *at = list[i].path; strcmp(at, "/") != 0; at = path_dir(&c->arena, at))
			map_puts(&c->known, at, c);
	findings_unref(f);
}

static void cover_kind(struct covers *c, struct store *s, enum store_kind kind, const char *name)
{
	for (unsigned shard = 0; shard < 256; shard++) {
		DIR *d = opendir(arena_printf(&c->arena, "%s/v1/%s/%02x", c->cache, name, shard));
		for (const struct dirent *e; d && (e = readdir(d));) {
			struct digest key;
			AUTO_BUF struct buf b = BUF_INIT;
			if (!digest_parse(arena_printf(&c->arena, "%02x%s", shard, e->d_name), &key) ||
			    store_get(s, kind, &key, &b, NULL) != 1)
				continue;
			if (kind == STORE_MANIFEST)
				cover_manifest(c, &key, &b);
			else
				cover_view(c, &b);
		}
		if (d)
			closedir(d);
	}
}

// The gch of a system header stands for all that end so.
static bool is_known(struct covers *c, const char *path)
{
	const char *ext = path_ext(path);
	if (map_gets(&c->known, path))
		return true;
	return (strcmp(ext, ".gch") == 0 || strcmp(ext, ".pch") == 0) &&
	       map_gets(&c->known, arena_printf(&c->arena, "%s/any%s", path_dir(&c->arena, path), ext));
}

static bool is_covered(struct covers *c, const char *path)
{
	struct findings *f = findings_new();
	uint32_t n = 0;
	bool ok = findings_add(f, c->files, path, WANT_KIND, NULL) >= 0;
	const struct finding *list = findings_list(f, &n);
	for (uint32_t i = 0; i < n && ok; i++)
		ok = strcmp(list[i].path, "/") == 0 || is_known(c, list[i].path);
	findings_unref(f);
	return ok;
}

int main(int argc, char **argv)
{
	char line[PATH_MAX + 32];
	int uncovered = 0;
	if (argc != 4)
		return 2;
	struct covers c = {.cache = argv[1], .root = argv[2], .cwd = argv[3], .files = files_new()};
	struct store *s = store_open(c.cache, 0, 1, NULL);
	if (!s)
		return 2;
	cover_kind(&c, s, STORE_MANIFEST, "manifest");
	cover_kind(&c, s, STORE_TOOLCHAIN, "toolchain");
	if (c.known.n < 20) {
		printf("the cache remembers nothing\n");
		return 2;
	}
	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = '\0';
		const char *path = strchr(line, ' ');
		if (path && path[1] == '/' && !is_covered(&c, path + 1)) {
			printf("not covered: %s\n", line);
			uncovered++;
		}
	}
	store_close(s);
	return uncovered != 0;
}
