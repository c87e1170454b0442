#include "depscan/findings.h"

#include "base/map.h"
#include "base/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_LINKS = 40, LIST_MAX = 200000 };

// The findings whose names stand in one directory.
struct group {
	const char *dir;
	uint32_t first, n;
	struct file_id checked; // of the directory, when all names in it were as found
	bool trusted;           // and it was old enough for that to tell of a later change
	uint64_t epoch;         // in it nothing of this group needs a look; 0: never
};

// What needs a look each time: a group's directory, or one finding.
struct rest {
	bool is_group;
	uint32_t at;
};

struct findings {
	atomic_uint refs;
	struct arena arena;
	struct finding *list;
	uint32_t n, cap;
	struct map known; // path -> index + 1; until it is sealed
	struct group *groups;
	uint32_t n_groups;

	pthread_rwlock_t lock; // of what follows, the groups' notes and `seen`
	bool checked;
	uint64_t epoch;
	struct rest *rest;
	uint32_t n_rest;
};

struct findings *findings_new(void)
{
	struct findings *f = mem_alloc(sizeof *f);
	atomic_init(&f->refs, 1);
	pthread_rwlock_init(&f->lock, NULL);
	return f;
}

struct findings *findings_ref(struct findings *f)
{
	atomic_fetch_add(&f->refs, 1);
	return f;
}

void findings_unref(struct findings *f)
{
	if (!f || atomic_fetch_sub(&f->refs, 1) != 1)
		return;
	map_release(&f->known);
	free(f->list);
	free(f->groups);
	free(f->rest);
	pthread_rwlock_destroy(&f->lock);
	arena_release(&f->arena);
	free(f);
}

// ---- looking --------------------------------------------------------------------------------------------------------

static int by_text(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;
	return strcmp(*x, *y);
}

// Of the names in a directory, whatever their order. The identity is that of the directory before it was read.
static int list_digest(const char *path, struct digest *digest, struct stat *st, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	if (!d || fstat(fd, st) < 0) {
		err_errno(err, "cannot list '%s'", path);
		if (d)
			closedir(d);
		else
			mem_close_cleanup(&fd);
		return -1;
	}
	const char **names = NULL;
	size_t n = 0, cap = 0;
	for (const struct dirent *e; (e = readdir(d)) && n < LIST_MAX;) {
		if (n == cap) {
			cap = cap ? cap * 2 : 64;
			names = mem_realloc(names, cap * sizeof *names);
		}
		names[n++] = arena_strdup(&a, e->d_name);
	}
	closedir(d);
	if (n)
		qsort(names, n, sizeof *names, by_text);
	AUTO_HASHER struct hasher h;
	hasher_init(&h);
	for (size_t i = 0; i < n; i++)
		hasher_str(&h, names[i]);
	*digest = hasher_end(&h);
	free(names);
	return n < LIST_MAX ? 0 : err_set(err, ERR_LIMIT, "'%s' has too many names", path);
}

static bool link_digest(const char *path, struct digest *digest)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof target);
	if (n < 0 || n == sizeof target)
		return false;
	*digest = digest_of(target, (size_t)n);
	return true;
}

static bool is_old(const struct file_id *id)
{
	int64_t floor = clock_now_ns() - FILES_AGE_FLOOR_NS;
	return id->mtime_ns < floor && id->ctime_ns < floor;
}

static enum finding_kind kind_of(mode_t mode)
{
	return S_ISREG(mode) ? FOUND_FILE : S_ISDIR(mode) ? FOUND_DIRECTORY : S_ISLNK(mode) ? FOUND_LINK : FOUND_OTHER;
}

// What is at a name that leads through no symlink. -1: it can't be told.
static int kind_now(const char *path)
{
	struct stat st;
	if (lstat(path, &st) == 0)
		return (int)kind_of(st.st_mode);
	return errno == ENOENT || errno == ENOTDIR ? (int)FOUND_NOTHING : errno == EACCES ? (int)FOUND_DENIED : -1;
}

// ---- adding ---------------------------------------------------------------------------------------------------------

static struct finding *put(struct findings *f, const char *path, enum finding_kind kind, struct err *err)
{
	uintptr_t at = (uintptr_t)map_gets(&f->known, path);
	if (at)
		return &f->list[at - 1];
	if (f->n >= FINDINGS_MAX) {
		err_set(err, ERR_LIMIT, "there is too much to remember");
		return NULL;
	}
	if (f->n == f->cap) {
		f->cap = f->cap ? f->cap * 2 : 256;
		f->list = mem_realloc(f->list, f->cap * sizeof *f->list);
	}
	struct finding *found = &f->list[f->n++];
	*found = (struct finding){.path = arena_strdup(&f->arena, path), .kind = kind};
	map_puts(&f->known, path, (void *)(uintptr_t)f->n);
	return found;
}

static int put_content(struct finding *found, struct files *files, struct err *err)
{
	struct stat st;
	if (found->kind == FOUND_CONTENT)
		return 0;
	if (files_digest(files, AT_FDCWD, found->path, &found->digest, &st, err) < 0)
		return -1;
	found->kind = FOUND_CONTENT;
	found->seen = file_id_of(&st);
	return 0;
}

static int put_list(struct finding *found, struct err *err)
{
	struct stat st;
	if (found->kind == FOUND_LIST)
		return 0;
	if (list_digest(found->path, &found->digest, &st, err) < 0)
		return -1;
	found->kind = FOUND_LIST;
	found->seen = file_id_of(&st);
	return 0;
}

static int put_last(struct findings *f, struct files *files, const char *path, enum finding_kind kind,
		    enum finding_want want, struct err *err)
{
	struct finding *found = put(f, path, kind, err);
	if (!found)
		return -1;
	if (want == WANT_CONTENT && kind == FOUND_FILE && put_content(found, files, err) < 0)
		return -1;
	if (want == WANT_LIST && kind == FOUND_DIRECTORY && put_list(found, err) < 0)
		return -1;
	return (int)kind;
}

// A name as it is followed: what lies behind (without symlinks) and what is still ahead.
struct way {
	char done[PATH_MAX], ahead[2 * PATH_MAX];
	unsigned n_links;
};

static int through_link(struct findings *f, struct way *w, const char *rest, bool read, struct err *err)
{
	char target[PATH_MAX];
	ssize_t n = readlink(w->done, target, sizeof target - 1);
	struct finding *found = n > 0 ? put(f, w->done, FOUND_LINK, err) : NULL;
	if (n <= 0)
		return err_errno(err, "cannot read the link '%s'", w->done);
	if (!found)
		return -1;
	target[n] = '\0';
	found->digest = digest_of(target, (size_t)n);
	found->read |= read;
	if (read && !*rest)
		return 0;
	char joined[2 * PATH_MAX];
	if (++w->n_links > MAX_LINKS || (size_t)n + strlen(rest) + 2 > PATH_MAX)
		return err_set(err, ERR_LIMIT, "'%s' is a circle of links", w->done);
	strcpy(joined, target);
	strcat(joined, "/");
	strcat(joined, rest);
	strcpy(w->ahead, joined);
	if (target[0] == '/')
		w->done[0] = '\0';
	else
		*strrchr(w->done, '/') = '\0';
	return 0;
}

int findings_add(struct findings *f, struct files *files, const char *path, enum finding_want want, struct err *err)
{
	struct way w = {.n_links = 0};
	enum finding_kind kind = FOUND_DIRECTORY; // "/"
	if (path[0] != '/' || strlen(path) >= PATH_MAX)
		return err_set(err, ERR_FORMAT, "'%.100s' is no absolute name", path);
	strcpy(w.ahead, path);
	for (;;) {
		char *part = w.ahead + strspn(w.ahead, "/");
		size_t len = strcspn(part, "/"), behind = strlen(w.done);
		const char *rest = part + len + strspn(part + len, "/");
		if (!len)
			break;
		if (len == 1 && part[0] == '.') {
			memmove(w.ahead, rest, strlen(rest) + 1);
			continue;
		}
		if (len == 2 && part[0] == '.' && part[1] == '.') {
			if (behind)
				*strrchr(w.done, '/') = '\0';
			kind = FOUND_DIRECTORY;
			memmove(w.ahead, rest, strlen(rest) + 1);
			continue;
		}
		if (behind + len + 2 > sizeof w.done)
			return err_set(err, ERR_LIMIT, "'%.100s' is too long a name", path);
		w.done[behind] = '/';
		memcpy(w.done + behind + 1, part, len);
		w.done[behind + 1 + len] = '\0';
		int now = kind_now(w.done);
		if (now < 0)
			return err_errno(err, "cannot look at '%s'", w.done);
		kind = (enum finding_kind)now;
		if (kind == FOUND_LINK) {
			bool itself = want == WANT_LINK && !*rest;
			if (through_link(f, &w, rest, itself, err) < 0)
				return -1;
			if (itself)
				return FOUND_LINK;
			continue;
		}
		bool leads_on = *rest && kind == FOUND_DIRECTORY;
		memmove(w.ahead, rest, strlen(rest) + 1);
		if (*rest && !leads_on) // a file on the way: as nothing for who looks
			return put(f, w.done, kind, err) ? kind == FOUND_DENIED ? (int)kind : (int)FOUND_NOTHING : -1;
		if (!leads_on && kind != FOUND_DIRECTORY)
			break;
	}
	return put_last(f, files, w.done[0] ? w.done : "/", kind, want, err);
}

// ---- the groups -----------------------------------------------------------------------------------------------------

static size_t dir_length(const char *path)
{
	size_t n = (size_t)(path_base(path) - path);
	return n > 1 ? n - 1 : n;
}

// By directory, then by name.
static int by_place(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;
	size_t n = dir_length(x->path), m = dir_length(y->path);
	int order = memcmp(x->path, y->path, n < m ? n : m);
	return order ? order : n != m ? (n < m ? -1 : 1) : strcmp(x->path, y->path);
}

void findings_seal(struct findings *f)
{
	map_release(&f->known);
	f->known = (struct map)MAP_INIT;
	if (f->n)
		qsort(f->list, f->n, sizeof *f->list, by_place);
	f->groups = mem_alloc((f->n + 1) * sizeof *f->groups);
	f->rest = mem_alloc((2 * f->n + 1) * sizeof *f->rest);
	for (uint32_t i = 0; i < f->n; i++) {
		const char *path = f->list[i].path;
		size_t n = dir_length(path);
		struct group *g = f->n_groups ? &f->groups[f->n_groups - 1] : NULL;
		if (!g || strlen(g->dir) != n || memcmp(g->dir, path, n) != 0) {
			g = &f->groups[f->n_groups++];
			*g = (struct group){.dir = arena_strndup(&f->arena, path, n), .first = i};
		}
		g->n++;
		// What is young has to be read again.
		if (f->list[i].seen.ino && !is_old(&f->list[i].seen))
			f->list[i].seen = (struct file_id){0};
	}
}

bool findings_changed_since(const struct findings *f, int64_t ns)
{
	for (uint32_t i = 0; i < f->n; i++)
		if (f->list[i].seen.ctime_ns >= ns)
			return true;
	return false;
}

// ---- does it hold? --------------------------------------------------------------------------------------------------

// Is a name of the same kind there, or none, as before?
static bool name_holds(const struct finding *found)
{
	struct digest now;
	int kind = kind_now(found->path);
	switch (found->kind) {
	case FOUND_CONTENT:
		return kind == FOUND_FILE;
	case FOUND_LIST:
		return kind == FOUND_DIRECTORY;
	case FOUND_LINK:
		return kind == FOUND_LINK && link_digest(found->path, &now) && digest_equal(&now, &found->digest);
	default:
		return kind == (int)found->kind;
	}
}

static bool is_as_seen(const struct finding *found)
{
	struct stat st;
	if (!found->seen.ino || stat(found->path, &st) < 0)
		return false;
	struct file_id id = file_id_of(&st);
	return file_id_equal(&id, &found->seen);
}

// Under the lock for writing: reads again what is not as it was seen.
static bool inside_holds(struct finding *found, struct files *files)
{
	struct stat st;
	struct digest now;
	if (is_as_seen(found))
		return true;
	if (found->kind == FOUND_CONTENT ? files_digest(files, AT_FDCWD, found->path, &now, &st, NULL) < 0
					 : list_digest(found->path, &now, &st, NULL) < 0)
		return false;
	if (!digest_equal(&now, &found->digest))
		return false;
	struct file_id id = file_id_of(&st);
	found->seen = is_old(&id) ? id : (struct file_id){0};
	return true;
}

static bool has_inside(const struct finding *found)
{
	return found->kind == FOUND_CONTENT || found->kind == FOUND_LIST;
}

// Does the kernel tell when what is inside changes, and is a text as found?
static bool inside_is_watched(const struct finding *found, struct watch *w, uint64_t epoch)
{
	const struct watched *k = watch_look(w, epoch, found->path);
	if (!k || !watched_holds(k, epoch))
		return false;
	if (found->kind == FOUND_CONTENT)
		return k->state == WATCHED_FILE && digest_equal(&k->digest, &found->digest);
	return k->state == WATCHED_DIRECTORY;
}

static void add_rest(struct findings *f, bool is_group, uint32_t at)
{
	f->rest[f->n_rest++] = (struct rest){is_group, at};
}

static bool names_hold(struct findings *f, struct group *g, const struct file_id *id, const char **culprit)
{
	bool complete = true;
	for (uint32_t i = g->first; i < g->first + g->n; i++) {
		if (!name_holds(&f->list[i])) {
			*culprit = f->list[i].path;
			return false;
		}
		complete &= f->list[i].kind != FOUND_DENIED; // a new mode shows in no directory
	}
	g->checked = *id;
	g->trusted = complete && id->ino && is_old(id);
	return true;
}

static bool group_holds(struct findings *f, uint32_t at, struct files *files, struct watch *w, uint64_t epoch,
			const char **culprit)
{
	struct group *g = &f->groups[at];
	struct stat st;
	if (epoch && g->epoch == epoch)
		return true;
	// Watched first, looked at then.
	bool watched = epoch && watch_directory(w, g->dir), all_watched = watched;
	struct file_id id = {0};
	if (stat(g->dir, &st) == 0)
		id = file_id_of(&st);
	bool same = g->trusted && file_id_equal(&id, &g->checked);
	if (!same && !names_hold(f, g, &id, culprit))
		return false;
	for (uint32_t i = g->first; i < g->first + g->n; i++) {
		struct finding *found = &f->list[i];
		all_watched &= found->kind != FOUND_DENIED;
		if (!has_inside(found))
			continue;
		bool inside = watched && inside_is_watched(found, w, epoch);
		all_watched &= inside;
		// The watch knows texts, but not the names in a directory.
		if ((!inside || found->kind == FOUND_LIST) && !inside_holds(found, files)) {
			*culprit = found->path;
			return false;
		}
		if (!inside)
			add_rest(f, false, i);
	}
	if (!watched)
		add_rest(f, true, at);
	for (uint32_t i = g->first; watched && i < g->first + g->n; i++)
		if (f->list[i].kind == FOUND_DENIED)
			add_rest(f, false, i);
	g->epoch = all_watched ? epoch : 0;
	return true;
}

// Under the lock for writing: everything that is not known to be watched.
static bool all_hold(struct findings *f, struct files *files, struct watch *w, uint64_t epoch, const char **culprit)
{
	f->n_rest = 0;
	f->checked = false;
	for (uint32_t i = 0; i < f->n_groups; i++)
		if (!group_holds(f, i, files, w, epoch, culprit))
			return false;
	f->epoch = epoch;
	f->checked = true;
	return true;
}

// Under the lock for reading: true if a look at each of the rest is enough.
static bool rest_holds(const struct findings *f)
{
	for (uint32_t i = 0; i < f->n_rest; i++) {
		const struct rest *r = &f->rest[i];
		struct stat st;
		if (!r->is_group) {
			const struct finding *found = &f->list[r->at];
			if (found->kind == FOUND_DENIED ? !name_holds(found) : !is_as_seen(found))
				return false;
			continue;
		}
		const struct group *g = &f->groups[r->at];
		if (!g->trusted || stat(g->dir, &st) < 0)
			return false;
		struct file_id id = file_id_of(&st);
		if (!file_id_equal(&id, &g->checked))
			return false;
	}
	return true;
}

bool findings_hold(struct findings *f, struct files *files, struct watch *w, uint64_t epoch, const char **culprit)
{
	const char *unused;
	pthread_rwlock_rdlock(&f->lock);
	bool holds = f->checked && f->epoch == epoch && rest_holds(f);
	pthread_rwlock_unlock(&f->lock);
	if (holds)
		return true;
	pthread_rwlock_wrlock(&f->lock);
	holds = all_hold(f, files, w, epoch, culprit ? culprit : &unused);
	pthread_rwlock_unlock(&f->lock);
	return holds;
}

// ---- as a whole -----------------------------------------------------------------------------------------------------

const struct finding *findings_list(const struct findings *f, uint32_t *n)
{
	*n = f->n;
	return f->list;
}

// The loader's cache changes with every package and is but a way to find libraries, which are findings of their own. So it
// makes the question be asked again, and no other answer of it.
static bool counts(const struct finding *found)
{
	return found->kind != FOUND_NOTHING && found->kind != FOUND_DENIED && (found->kind != FOUND_LINK || found->read) &&
	       strcmp(found->path, "/etc/ld.so.cache") != 0;
}

int findings_each(const struct findings *f, const char *root, const char *root_real, finding_fn *fn, void *arg)
{
	// Those of the build tree first: where it lies shall not change the order.
	for (int outside = 0; outside < 2; outside++)
		for (uint32_t i = 0; i < f->n; i++) {
			const struct finding *found = &f->list[i];
			const char *below = root ? path_below(root, found->path) : NULL;
			if (!below && root_real)
				below = path_below(root_real, found->path);
			if (counts(found) && outside == (below == NULL) && fn(arg, found, below) < 0)
				return -1;
		}
	return 0;
}

static int hash_finding(void *hasher, const struct finding *found, const char *below)
{
	hasher_u64(hasher, below != NULL);
	hasher_str(hasher, below ? below : found->path);
	hasher_u64(hasher, found->kind);
	hasher_digest(hasher, &found->digest);
	return 0;
}

struct digest findings_digest(const struct findings *f, const char *root, const char *root_real)
{
	AUTO_HASHER struct hasher h;
	hasher_init(&h);
	hasher_str(&h, "coffer findings 1");
	findings_each(f, root, root_real, hash_finding, &h);
	return hasher_end(&h);
}

void findings_encode(const struct findings *f, struct buf *out)
{
	buf_add_u32(out, f->n);
	for (uint32_t i = 0; i < f->n; i++) {
		const struct finding *found = &f->list[i];
		buf_add_u8(out, (uint8_t)found->kind);
		buf_add_u8(out, found->read);
		buf_add_str(out, found->path);
		buf_add(out, found->digest.b, sizeof found->digest.b);
		buf_add_u64(out, found->seen.dev);
		buf_add_u64(out, found->seen.ino);
		buf_add_u64(out, (uint64_t)found->seen.size);
		buf_add_u64(out, (uint64_t)found->seen.mtime_ns);
		buf_add_u64(out, (uint64_t)found->seen.ctime_ns);
	}
}

struct findings *findings_decode(struct rd *r)
{
	struct findings *f = findings_new();
	uint32_t n = rd_u32(r);
	for (uint32_t i = 0; i < n && n <= FINDINGS_MAX && !r->bad; i++) {
		uint8_t kind = rd_u8(r), read = rd_u8(r);
		size_t len;
		const char *path = rd_str(r, &len);
		const void *digest = rd_bytes(r, sizeof(struct digest));
		struct file_id seen;
		seen.dev = rd_u64(r);
		seen.ino = rd_u64(r);
		seen.size = (int64_t)rd_u64(r);
		seen.mtime_ns = (int64_t)rd_u64(r);
		seen.ctime_ns = (int64_t)rd_u64(r);
		if (r->bad || !path || !digest || !len || path[0] != '/' || memchr(path, '\0', len) || kind >= FOUND_KINDS) {
			r->bad = true;
			break;
		}
		AUTO_FREE char *name = mem_strndup(path, len);
		struct finding *found = put(f, name, (enum finding_kind)kind, NULL);
		found->read = read;
		found->seen = seen;
		memcpy(found->digest.b, digest, sizeof found->digest.b);
	}
	if (r->bad || n > FINDINGS_MAX) {
		findings_unref(f);
		return NULL;
	}
	findings_seal(f);
	return f;
}
