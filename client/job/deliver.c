#include "client/job/deliver.h"

#include "base/path.h"
#include "depscan/depfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

// How the compiler treats a file that is there already: what it leaves of links, modes and other names of the file.
enum manner {
	IN_PLACE,         // emptied and written: cc1, and everything that is text
	REPLACED,         // a new file takes its place: clang's objects
	REPLACED_IF_FULL, // GNU as and objcopy: a new file, but an empty one (of mktemp) is written in place
};

static enum manner manner_of(const struct plan *p, enum part part)
{
	bool clang = p->compiler->family == FAMILY_CLANG;
	if ((part == PART_OBJECT || part == PART_SERIALIZED) && clang)
		return REPLACED;
	if (part == PART_OBJECT && p->line.makes_pch)
		return IN_PLACE;
	if ((part == PART_OBJECT && p->line.assembles) || (part == PART_DWO && !clang))
		return REPLACED_IF_FULL;
	return IN_PLACE;
}

// In a directory with a default ACL that ACL stands in the umask's place.
static mode_t mode_of_new(const struct plan *p, const char *path)
{
	static const char acl[] = "system.posix_acl_default";
	char name[64 + PATH_MAX];
	const char *base = path_base(path);
	int n = path[0] == '/' ? snprintf(name, sizeof name, "%.*s.", (int)(base - path), path)
			       : snprintf(name, sizeof name, "/proc/self/fd/%d/%.*s.", p->cwd_fd, (int)(base - path), path);
	bool has_acl = n > 0 && (size_t)n < sizeof name && getxattr(name, acl, NULL, 0) > 0;
	return has_acl ? 0666 : 0666 & ~(mode_t)p->wire->umask;
}

// A new file has the caller's umask and appears whole. (Renaming it over an old one would be slower than removing that
// first: ext4 then starts writing to the disk at once.)
static int write_output(const struct plan *p, const char *path, enum manner manner, const void *bytes, size_t n,
			struct err *err)
{
	mode_t mode = mode_of_new(p, path);
	struct stat st;
	bool there = fstatat(p->cwd_fd, path, &st, 0) == 0;
	bool replaced = manner == REPLACED || (manner == REPLACED_IF_FULL && there && st.st_size != 0);
	if (replaced || (!there && fstatat(p->cwd_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)) {
		unlinkat(p->cwd_fd, path, 0);
		return file_write_atomic(p->cwd_fd, path, bytes, n, mode, err);
	}
	AUTO_CLOSE int fd = openat(p->cwd_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, mode);
	if (fd < 0)
		return err_errno(err, "cannot write '%s'", path);
	return file_write_fd(fd, bytes, n, err);
}

int deliver_made(const struct plan *p, const struct made_elsewhere *m, struct err *err)
{
	if (m->has_depfile && plan_has_depfile(p) &&
	    write_output(p, p->line.depfile, IN_PLACE, m->depfile.p, m->depfile.n, err) < 0)
		return -1;
	if (p->line.dwo && write_output(p, p->line.dwo, manner_of(p, PART_DWO), m->dwo.p, m->dwo.n, err) < 0)
		return -1;
	return write_output(p, p->line.output, manner_of(p, PART_OBJECT), m->object.p, m->object.n, err);
}

static int write_depfile(const struct plan *p, const struct manifest_entry *e, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf text = BUF_INIT;
	const char **deps = arena_alloc(&a, e->n_inputs * sizeof *deps);
	struct depfile d = {.targets = p->line.dep_targets,
			    .n_targets = p->line.n_dep_targets,
			    .deps = deps,
			    .phony = p->line.dep_phony,
			    .phony_spaced = e->dep_spaced,
			    .main_dep = e->dep_main};
	for (uint32_t i = 0; i < e->n_inputs; i++)
		if (e->inputs[i].flags & INPUT_IN_DEPFILE)
			deps[d.n_deps++] = plan_real_path(p, &a, e->inputs[i].name);
	depfile_write(&d, p->compiler->family, &text);
	return write_output(p, p->line.depfile, IN_PLACE, text.data, text.len, err);
}

// {u32 which, u32 length} each, then their bytes.
int deliver_read_parts(const struct buf *result, const void *data[PART_COUNT], size_t size[PART_COUNT], struct err *err)
{
	struct rd r = RD(result->data, result->len);
	uint32_t n = rd_u32(&r), which[PART_COUNT] = {0}, length[PART_COUNT] = {0};
	if (n > PART_COUNT)
		r.bad = true;
	for (uint32_t i = 0; i < n && !r.bad; i++) {
		which[i] = rd_u32(&r);
		length[i] = rd_u32(&r);
		if (which[i] >= PART_COUNT)
			r.bad = true;
	}
	for (uint32_t i = 0; i < n && !r.bad; i++) {
		data[which[i]] = rd_bytes(&r, length[i]);
		size[which[i]] = length[i];
	}
	return r.bad ? err_set(err, ERR_FORMAT, "a result does not parse") : 0;
}

int deliver_hit(const struct plan *p, const struct manifest_entry *entry, const struct buf *result, bool has[PART_COUNT],
		struct wire_done *messages, struct err *err)
{
	const void *data[PART_COUNT] = {0};
	size_t size[PART_COUNT] = {0};
	if (deliver_read_parts(result, data, size, err) < 0)
		return -1;
	for (enum part part = 0; part < PART_COUNT; part++)
		has[part] = data[part] != NULL;
	if (!plan_outputs_fit(p, has))
		return err_set(err, ERR_FORMAT, "a result has not the outputs of this compile");
	// The object last: where another output can't be written, the compiler does not get so far either.
	if (plan_has_depfile(p) && write_depfile(p, entry, err) < 0)
		return -1;
	for (enum part part = PART_COUNT; part-- > 0;) {
		const char *name = data[part] ? plan_output_name(p, part) : NULL;
		if (name && write_output(p, name, manner_of(p, part), data[part], size[part], err) < 0)
			return -1;
	}
	messages->out = data[PART_STDOUT];
	messages->n_out = (uint32_t)size[PART_STDOUT];
	messages->errs = data[PART_STDERR];
	messages->n_errs = (uint32_t)size[PART_STDERR];
	return 0;
}
