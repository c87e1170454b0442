#include "client/job/outputs.h"

#include "base/path.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

bool plan_has_object(const struct plan *p)
{
	return strcmp(p->line.output, CMDLINE_NO_OUTPUT) != 0;
}

bool plan_has_depfile(const struct plan *p)
{
	return p->line.dep != DEP_NONE && strcmp(p->line.depfile, CMDLINE_NO_OUTPUT) != 0;
}

const char *plan_output_name(const struct plan *p, enum part part)
{
	switch (part) {
	case PART_OBJECT:
		return plan_has_object(p) ? p->line.output : NULL;
	case PART_DWO:
		return p->line.dwo;
	case PART_GCNO:
		return p->line.gcno;
	case PART_SU:
		return p->line.su;
	case PART_SERIALIZED:
		return p->line.serialized;
	case PART_REMARKS:
		return p->line.remarks;
	case PART_CALLGRAPH:
		return p->line.callgraph;
	case PART_LISTING:
		return p->line.listing;
	case PART_DDI:
		return p->line.ddi;
	default:
		return NULL;
	}
}

bool plan_output_may_be_missing(const struct plan *p, enum part part)
{
	// clang leaves out the file of a unit without functions.
	if (part == PART_SU && p->compiler->family == FAMILY_CLANG)
		return true;
	return p->line.code_may_come_later && (part == PART_SU || part == PART_CALLGRAPH || part == PART_REMARKS);
}

// ---- whether this compile has made them ------------------------------------------------------------------------------

static struct file_id state_of(const struct plan *p, const char *name)
{
	struct stat st;
	if (!name || fstatat(p->cwd_fd, name, &st, 0) < 0)
		return (struct file_id){0};
	return file_id_of(&st);
}

int64_t outputs_note(const struct plan *p, struct outputs_before *before)
{
	before->depfile = state_of(p, plan_has_depfile(p) ? p->line.depfile : NULL);
	int64_t newest = before->depfile.ctime_ns;
	for (enum part part = 0; part < PART_COUNT; part++) {
		before->parts[part] = state_of(p, plan_output_name(p, part));
		if (before->parts[part].ctime_ns > newest)
			newest = before->parts[part].ctime_ns;
	}
	return newest;
}

// The state and not the date alone: a compiler, or a script around one, may give its output an older date, and a file system may
// have another clock.
enum output_fate output_fate(const struct plan *p, const char *name, const struct file_id *before, int64_t start_ns)
{
	struct file_id now = state_of(p, name);
	if (!now.ino)
		return before->ino ? OUTPUT_UNKNOWN : OUTPUT_LEFT_OUT;
	if (!file_id_equal(&now, before))
		return OUTPUT_MADE;
	return before->ctime_ns < start_ns - FILES_AGE_FLOOR_NS ? OUTPUT_LEFT_OUT : OUTPUT_UNKNOWN;
}

bool plan_outputs_fit(const struct plan *p, const bool has[PART_COUNT])
{
	for (enum part part = 0; part < PART_COUNT; part++) {
		bool named = plan_output_name(p, part) != NULL;
		if (!part_is_message(part) && named != has[part] && !(named && plan_output_may_be_missing(p, part)))
			return false;
	}
	return true;
}

// gcc's mangle_path(): in a directory for data, names are flat.
static const char *flat_name(struct arena *a, const char *path)
{
	AUTO_BUF struct buf b = BUF_INIT;
	while (*path) {
		size_t n = strcspn(path, "/");
		if (n == 2 && strncmp(path, "..", 2) == 0)
			buf_adds(&b, "^");
		else
			buf_add(&b, path, n);
		path += n;
		if (*path == '/') {
			buf_adds(&b, "#");
			path++;
		}
	}
	return arena_strdup(a, b.data ? b.data : "");
}

const char *plan_profile_data(const struct plan *p)
{
	const char *name = p->line.profile_data, *dir = p->line.profile_directory;
	if (!name || !dir)
		return name;
	if (name[0] != '/')
		name = flat_name(p->arena, arena_printf(p->arena, "%s/%s", p->wire->cwd, name));
	return arena_printf(p->arena, "%s/%s", dir, name);
}

// ---- whether they can be kept ---------------------------------------------------------------------------------------

// Regular files, each by itself. The compilers refuse some of these and destroy a file in others; what comes last wins.
static struct refusal check_files(const struct plan *p)
{
	const struct cmdline *l = &p->line;
	unsigned n = 0, most = PART_COUNT + 2 + l->n_extra_inputs;
	const char **names = arena_alloc(p->arena, most * sizeof *names);
	struct stat *states = arena_alloc(p->arena, most * sizeof *states), none = {0};
	for (enum part part = 0; part < PART_COUNT; part++)
		if (plan_output_name(p, part))
			names[n++] = plan_output_name(p, part);
	if (plan_has_depfile(p))
		names[n++] = l->depfile;
	unsigned n_outputs = n;
	names[n++] = l->source;
	for (unsigned i = 0; i < l->n_extra_inputs; i++)
		names[n++] = l->extra_inputs[i];
	for (unsigned i = 0; i < n; i++) {
		states[i] = fstatat(p->cwd_fd, names[i], &states[i], 0) == 0 ? states[i] : none;
		bool is_depfile = plan_has_depfile(p) && i == n_outputs - 1;
		if (i < n_outputs && states[i].st_ino && !S_ISREG(states[i].st_mode))
			return refuse(is_depfile ? REASON_depfile_not_a_file : REASON_output_not_a_file, names[i]);
		names[i] = path_tidy(p->arena, names[i]);
	}
	for (unsigned i = 0; i < n_outputs; i++)
		for (unsigned k = i + 1; k < n; k++) {
			bool same = states[i].st_ino && states[i].st_ino == states[k].st_ino &&
				    states[i].st_dev == states[k].st_dev;
			if (same || strcmp(names[i], names[k]) == 0)
				return refuse(REASON_output_not_a_file, names[i]);
		}
	return NO_REFUSAL;
}

struct refusal outputs_check(const struct plan *p)
{
	// Ours would have to come last.
	for (unsigned i = 0; i < p->line.n_arguments && p->line.dep != DEP_NONE && !plan_has_depfile(p); i++)
		if (p->line.dep_wp || strcmp(p->line.arguments[i].text, "--") == 0)
			return refuse(REASON_depfile_not_a_file, p->line.depfile);
	// How listings are made, and what went into them, only GNU as tells.
	if (p->line.lists && !p->compiler->gnu_as)
		return refuse(REASON_side_files, NULL);
	return check_files(p);
}
