#include "depscan/files.h"

#include "base/map.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { SHARDS = 64 };

struct entry {
	struct file_id id;
	struct digest digest;
	bool trusted;
	bool scanned;
	struct scan scan;
};

struct shard {
	pthread_mutex_t lock;
	struct map by_inode; // {dev, ino} -> struct entry
	struct map seen;     // digest -> anything
	struct map asked;    // digest and macro -> NO or YES
};

struct files {
	struct shard shards[SHARDS];
};

struct inode_key {
	uint64_t dev, ino;
};

static void entry_free(struct entry *e)
{
	if (!e)
		return;
	if (e->scanned)
		scan_release(&e->scan);
	free(e);
}

static void shard_empty(struct shard *s)
{
	size_t at = 0;
	void *e;
	while (map_next(&s->by_inode, &at, NULL, NULL, &e))
		entry_free(e);
	map_release(&s->by_inode);
}

struct files *files_new(void)
{
	struct files *f = mem_alloc(sizeof *f);
	for (int i = 0; i < SHARDS; i++)
		pthread_mutex_init(&f->shards[i].lock, NULL);
	return f;
}

void files_free(struct files *f)
{
	if (!f)
		return;
	for (int i = 0; i < SHARDS; i++) {
		shard_empty(&f->shards[i]);
		map_release(&f->shards[i].seen);
		map_release(&f->shards[i].asked);
		pthread_mutex_destroy(&f->shards[i].lock);
	}
	free(f);
}

static struct shard *shard_of(struct files *f, const struct inode_key *k)
{
	return &f->shards[(k->ino ^ k->dev) % SHARDS];
}

static void put_entry(struct files *f, const struct inode_key *k, struct entry *e)
{
	struct shard *s = shard_of(f, k);
	pthread_mutex_lock(&s->lock);
	if (s->by_inode.n >= FILES_MAX_ENTRIES / SHARDS)
		shard_empty(s);
	entry_free(map_put(&s->by_inode, k, sizeof *k, e));
	pthread_mutex_unlock(&s->lock);
}

static void copy_scan(struct scan *to, const struct scan *from, struct arena *a)
{
	*to = *from;
	to->includes = arena_alloc(a, from->n_includes * sizeof *to->includes);
	for (unsigned i = 0; i < from->n_includes; i++) {
		to->includes[i] = from->includes[i];
		to->includes[i].name = arena_strdup(a, from->includes[i].name);
	}
}

// Copies what is known of the file of this identity; false if nothing trustworthy is.
static bool known(struct files *f, const struct file_id *id, struct arena *a, struct file_facts *facts)
{
	struct inode_key k = {id->dev, id->ino};
	struct shard *s = shard_of(f, &k);
	pthread_mutex_lock(&s->lock);
	const struct entry *e = map_get(&s->by_inode, &k, sizeof k);
	bool ok = e && e->trusted && file_id_equal(&e->id, id) && (!a || e->scanned);
	if (ok) {
		facts->id = *id;
		facts->digest = e->digest;
		if (a)
			copy_scan(&facts->scan, &e->scan, a);
	}
	pthread_mutex_unlock(&s->lock);
	return ok;
}

enum { LARGE = 1 << 20, PIECE = 128 << 10 };

// The digest of a large file, a compiler's usually, whose text nobody asks for: fresh memory for all of it costs more than reading it.
static int digest_pieces(int dirfd, const char *path, struct entry *e, uint64_t *size, struct stat *st, struct err *err)
{
	AUTO_CLOSE int fd = file_open_regular(dirfd, path, FILES_MAX_SIZE, st, err);
	if (fd < 0)
		return -1;
	AUTO_BUF struct buf piece = BUF_INIT;
	char *to = buf_room(&piece, PIECE);
	if (!to)
		return buf_check(&piece, path, err);
	AUTO_HASHER struct hasher h;
	hasher_init(&h);
	for (ssize_t n; (n = read(fd, to, PIECE)) != 0; *size += (uint64_t)n) {
		if (n < 0)
			return err_errno(err, "cannot read '%s'", path);
		if (*size + (uint64_t)n > FILES_MAX_SIZE)
			return err_set(err, ERR_LIMIT, "'%s' is larger than %zu bytes", path, FILES_MAX_SIZE);
		hasher_raw(&h, to, (size_t)n);
	}
	e->digest = hasher_end(&h);
	return 0;
}

static int digest_whole(int dirfd, const char *path, struct entry *e, uint64_t *size, struct stat *st, struct buf *text,
			struct err *err)
{
	if (file_read(dirfd, path, FILES_MAX_SIZE, text, st, err) < 0)
		return -1;
	*size = text->len;
	e->digest = digest_of(text->data, text->len);
	return 0;
}

// Reads the file, remembers and copies out what it is. With an arena, its text is scanned too.
static int learn(struct files *f, int dirfd, const char *path, struct arena *a, struct file_facts *facts, struct stat *st,
		 struct err *err)
{
	AUTO_BUF struct buf text = {.max = FILES_MAX_SIZE + 2};
	AUTO_FREE struct entry *e = mem_alloc(sizeof *e);
	uint64_t size = 0;
	if (!a && st->st_size > LARGE ? digest_pieces(dirfd, path, e, &size, st, err) < 0
				      : digest_whole(dirfd, path, e, &size, st, &text, err) < 0)
		return -1;
	int64_t now = clock_now_ns();
	e->id = file_id_of(st);
	int64_t changed = e->id.mtime_ns > e->id.ctime_ns ? e->id.mtime_ns : e->id.ctime_ns;
	e->trusted = now - changed > FILES_AGE_FLOOR_NS && (uint64_t)e->id.size == size;
	if (a) {
		scan_text(&e->scan, text.data, text.len);
		e->scanned = true;
		copy_scan(&facts->scan, &e->scan, a);
	}
	facts->id = e->id;
	facts->digest = e->digest;
	struct inode_key k = {st->st_dev, st->st_ino};
	put_entry(f, &k, TAKE(e));
	return 0;
}

// /dev/null is an empty text, which build systems ask compilers about.
static bool is_null(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3);
}

static int stat_regular(int dirfd, const char *path, struct stat *st, struct err *err)
{
	if (fstatat(dirfd, path, st, 0) < 0)
		return err_errno(err, "cannot look at '%s'", path);
	if (!S_ISREG(st->st_mode) && !is_null(st))
		return err_set(err, ERR_FORMAT, "'%s' is not a regular file", path);
	return 0;
}

// A link of the kernel's own ("/proc/self/fd/0", where /dev/stdin leads) is another file in the compiler than it is here.
static int check_links(int dirfd, const char *path, const struct stat *st, struct err *err)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS};
	AUTO_CLOSE int fd = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof how);
	if (fd >= 0)
		return 0;
	// Before Linux 5.6, and in some containers, nobody tells.
	bool is_unknown = errno == ENOSYS || errno == EPERM;
	if (is_unknown && (!is_null(st) || strcmp(path, "/dev/null") == 0))
		return 0;
	if (is_unknown || errno == ELOOP)
		return err_set(err, ERR_FORMAT, "'%s' leads to a file of the process that opens it", path);
	return err_errno(err, "cannot look at '%s'", path);
}

int files_digest(struct files *f, int dirfd, const char *path, struct digest *digest, struct stat *st, struct err *err)
{
	struct stat own;
	struct file_facts facts;
	if (!st)
		st = &own;
	if (stat_regular(dirfd, path, st, err) < 0)
		return -1;
	if (is_null(st)) {
		*digest = digest_of("", 0);
		return 0;
	}
	const struct file_id id = file_id_of(st);
	if (!known(f, &id, NULL, &facts) && learn(f, dirfd, path, NULL, &facts, st, err) < 0)
		return -1;
	*digest = facts.digest;
	return 0;
}

static int digest_for(void *files, int dirfd, const char *path, struct digest *digest, struct stat *st, struct err *err)
{
	return files_digest(files, dirfd, path, digest, st, err);
}

struct digester files_digester(struct files *f)
{
	return (struct digester){digest_for, f};
}

int files_facts(struct files *f, int dirfd, const char *path, struct arena *a, struct file_facts *facts, struct err *err)
{
	struct stat st;
	facts->is_plain = fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
	if (!facts->is_plain && (stat_regular(dirfd, path, &st, err) < 0 || check_links(dirfd, path, &st, err) < 0))
		return -1;
	if (is_null(&st)) {
		facts->id = file_id_of(&st);
		facts->digest = digest_of("", 0);
		scan_text(&facts->scan, "", 0);
		return 0;
	}
	const struct file_id id = file_id_of(&st);
	if (known(f, &id, a, facts))
		return 0;
	return learn(f, dirfd, path, a, facts, &st, err);
}

bool files_facts_of(struct files *f, const struct file_id *id, struct arena *a, struct file_facts *facts)
{
	facts->is_plain = true;
	return known(f, id, a, facts);
}

bool files_first_time(struct files *f, const struct digest *digest)
{
	static char mark;
	struct shard *s = &f->shards[digest->b[0] % SHARDS];
	pthread_mutex_lock(&s->lock);
	if (s->seen.n >= FILES_MAX_ENTRIES / SHARDS)
		map_release(&s->seen);
	bool first = map_put(&s->seen, digest, sizeof *digest, &mark) == NULL;
	pthread_mutex_unlock(&s->lock);
	return first;
}

typedef bool (*text_fn)(const char *text, size_t len, const char *name);

// The answer is remembered by the text's digest.
static bool ask_text(struct files *f, int dirfd, const char *path, const struct digest *digest, const char *name,
		     text_fn ask, char kind)
{
	enum { NO = 1, YES = 2 };
	AUTO_BUF struct buf key = BUF_INIT;
	buf_add(&key, digest->b, sizeof digest->b);
	buf_add(&key, &kind, 1);
	buf_adds(&key, name);
	struct shard *s = &f->shards[digest->b[0] % SHARDS];
	pthread_mutex_lock(&s->lock);
	uintptr_t known = (uintptr_t)map_get(&s->asked, key.data, key.len);
	pthread_mutex_unlock(&s->lock);
	if (known)
		return known == YES;
	AUTO_BUF struct buf text = {.max = FILES_MAX_SIZE + 2};
	if (file_read(dirfd, path, FILES_MAX_SIZE, &text, NULL, NULL) < 0)
		return true;
	bool may = ask(text.data, text.len, name);
	pthread_mutex_lock(&s->lock);
	if (s->asked.n >= FILES_MAX_ENTRIES / SHARDS)
		map_release(&s->asked);
	map_put(&s->asked, key.data, key.len, (void *)(uintptr_t)(may ? YES : NO));
	pthread_mutex_unlock(&s->lock);
	return may;
}

bool files_may_define(struct files *f, int dirfd, const char *path, const struct digest *digest, const char *name)
{
	return ask_text(f, dirfd, path, digest, name, scan_may_define, 'd');
}

bool files_may_ask(struct files *f, int dirfd, const char *path, const struct digest *digest, const char *name)
{
	return ask_text(f, dirfd, path, digest, name, scan_may_ask, 'a');
}

bool files_may_use(struct files *f, int dirfd, const char *path, const struct digest *digest, const char *name)
{
	return ask_text(f, dirfd, path, digest, name, scan_may_use, 'u');
}

bool files_may_begin(struct files *f, int dirfd, const char *path, const struct digest *digest, const char *name)
{
	return ask_text(f, dirfd, path, digest, name, scan_may_begin, 'b');
}
