#include "client/job/wanted.h"

#include "base/path.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { LISTED_MAX = 64 << 20 };

void wanted_add(struct inputs *in, const char *path, uint32_t flags)
{
	const struct plan *p = in->plan;
	struct stat st;
	if (fstatat(p->cwd_fd, path, &st, 0) == 0) {
		inputs_add(in, path, flags);
		return;
	}
	if ((in->n_wanted & (in->n_wanted - 1)) == 0) {
		const char **list = arena_alloc(p->arena, (in->n_wanted ? 2 * in->n_wanted : 1) * sizeof *list);
		if (in->n_wanted)
			memcpy(list, in->wanted, in->n_wanted * sizeof *list);
		in->wanted = list;
	}
	in->wanted[in->n_wanted++] = path;
}

// `#line`, `# 1`, and what may be one of them: a # that stands first, or behind a comment, and no other directive behind it.
static bool may_rename_lines(const char *text, size_t n)
{
	bool first = true; // nothing but blanks on this line so far, and comments
	for (size_t i = 0; i < n; i++) {
		bool hash = text[i] == '#', other = (text[i] == '%' && i + 1 < n && text[i + 1] == ':') ||
						    (text[i] == '?' && i + 2 < n && memcmp(text + i, "?\?=", 3) == 0);
		if (first && other)
			return true;
		if (first && hash) {
			size_t k = i + 1 + strspn(text + i + 1, " \t");
			if (strncmp(text + k, "line", 4) == 0 || !isalpha((unsigned char)text[k]))
				return true;
		}
		if (text[i] == '\n' || (text[i] == '/' && i && text[i - 1] == '*'))
			first = true;
		else if (!strchr(" \t\r\v\f", text[i]))
			first = false;
	}
	return memmem(text, n, ".file", 5) || memmem(text, n, ".loc", 4);
}

// The assembler's listing has the lines of each file that the code says to come from. Of `#line` nothing tells which file that is.
static void check_listing(struct inputs *in)
{
	const struct plan *p = in->plan;
	for (uint32_t i = 0; i < in->n && !is_refused(in->refusal); i++) {
		AUTO_BUF struct buf text = BUF_INIT;
		if (p->inputs_from == INPUTS_SOURCE_ONLY ||
		    file_read(p->cwd_fd, in->list[i].path, LISTED_MAX, &text, NULL, NULL) < 0 ||
		    (text.len && may_rename_lines(text.data, text.len)))
			in->refusal = refuse(REASON_side_files, in->list[i].path);
	}
}

// With modules gcc looks for a compiled form of each header: /usr/include/x.h is DIRECTORY/./usr/include/x.h.gcm, and ../x.h is
// DIRECTORY/,/,,/x.h.gcm. Where the first part of that name is not there, none is.
static void forbid_compiled_headers(struct inputs *in)
{
	const struct plan *p = in->plan;
	const char *directory = p->line.modules_directory;
	struct map parts = MAP_INIT;
	struct stat st;
	for (uint32_t i = 0; i < in->n && !is_refused(in->refusal); i++) {
		const char *path = in->list[i].path;
		const char *part = path[0] == '/' ? arena_strndup(p->arena, path + 1, strcspn(path + 1, "/")) : ",";
		if (map_puts(&parts, part, in))
			continue;
		const char *name = arena_printf(p->arena, "%s/%s", directory, part);
		if (fstatat(p->cwd_fd, name, &st, 0) == 0)
			in->refusal = refuse(REASON_modules, name);
		else
			wanted_add(in, name, INPUT_NO_CODE);
	}
	map_release(&parts);
}

void wanted_by_options(struct inputs *in)
{
	const struct plan *p = in->plan;
	const char *profile = plan_profile_data(p), *gch = arena_printf(p->arena, "%s.gch", p->line.source);
	struct stat st;
	if (p->line.lists_sources)
		check_listing(in);
	if (p->line.modules_directory)
		forbid_compiled_headers(in);
	if (profile) {
		unsigned absent = in->n_wanted;
		wanted_add(in, profile, INPUT_NO_CODE | INPUT_BINARY);
		// One that has gone since may have been read.
		if (in->n_wanted != absent && in->baseline->has_profile)
			in->refusal = refuse(REASON_input_changed, profile);
	}
	if (p->inputs_from == INPUTS_SOURCE_ONLY || p->compiler->family != FAMILY_GCC || p->line.makes_pch)
		return;
	// gcc takes a.c.gch in place of a.c itself, as it does for a header.
	if (!is_refused(in->refusal) && fstatat(p->cwd_fd, gch, &st, 0) == 0)
		in->refusal = refuse(REASON_precompiled_header_used, p->line.source);
	else
		wanted_add(in, gch, INPUT_NO_CODE);
}

void wanted_forbid(const struct inputs *in, struct manifest_entry *e)
{
	const struct plan *p = in->plan;
	struct absent_group *groups = arena_alloc(p->arena, (e->n_absent + in->n_wanted + 1) * sizeof *groups);
	if (e->n_absent)
		memcpy(groups, e->absent, e->n_absent * sizeof *groups);
	for (uint32_t i = 0; i < in->n_wanted; i++) {
		const char *dir = path_dir(p->arena, in->wanted[i]);
		const char **name = arena_alloc(p->arena, sizeof *name);
		*name = path_base(in->wanted[i]);
		groups[e->n_absent++] = (struct absent_group){
			.dir = strcmp(dir, ".") == 0 ? "" : plan_canonical_path(p, dir), .names = name, .n_names = 1};
	}
	e->absent = groups;
}
