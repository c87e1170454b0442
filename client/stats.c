#include "client/stats.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 511, NAME_MAX_LEN = 56, NO_SLOT = SLOTS };

struct slot {
	char name[NAME_MAX_LEN]; // filled up with zeros; all zeros: free
	_Atomic uint64_t value;
};

// The file as it is on disk.
struct table {
	char magic[8];
	_Atomic int64_t zeroed_at;
	char unused[48];
	struct slot slots[SLOTS];
};
_Static_assert(sizeof(struct table) == 32 * 1024, "the layout of the file is fixed");
_Static_assert((int)STAT_COUNT < SLOTS / 4, "room for the counters of other versions");

static const char magic[8] = {'c', 'o', 'f', 's', 't', 'a', 't', '1'};

// One file, mapped.
struct book {
	struct table *table;
	bool is_shared; // false: a private copy of a read-only file
	dev_t dev;
	ino_t ino;
	uint16_t slot_of[STAT_COUNT];
	struct book *earlier; // threads may still add to it
};

struct stats {
	char *cache_dir, *path;
	_Atomic(struct book *) book;
	atomic_uint renewed;
	pthread_mutex_t lock; // for renewal
};

static const struct {
	const char *name, *text;
} counters[STAT_COUNT] = {
#define STAT(name, text) {#name, text},
#include "client/stats.def"
#undef STAT
#define NO_TREE(name, text) {"no_tree_" #name, text},
#include "client/no_tree.def"
#undef NO_TREE
#define REASON(name, text) {"not_cached_" #name, text},
#include "compiler/reasons.def"
#undef REASON
};

const char *stats_name(enum stat_counter c)
{
	return counters[c].name;
}

const char *stats_text(enum stat_counter c)
{
	return counters[c].text;
}

// ---- slots --------------------------------------------------------------------------------------------------------

static uint16_t find_slot(const struct table *t, const char name[NAME_MAX_LEN])
{
	for (size_t i = 0; i < SLOTS; i++)
		if (memcmp(t->slots[i].name, name, NAME_MAX_LEN) == 0)
			return (uint16_t)i;
	return NO_SLOT;
}

static void padded_name(char out[NAME_MAX_LEN], enum stat_counter c)
{
	memset(out, 0, NAME_MAX_LEN);
	strncpy(out, counters[c].name, NAME_MAX_LEN - 1);
}

static bool find_slots(struct book *k)
{
	bool all = memcmp(k->table->magic, magic, sizeof magic) == 0;
	for (enum stat_counter c = 0; all && c < STAT_COUNT; c++) {
		char name[NAME_MAX_LEN];
		padded_name(name, c);
		k->slot_of[c] = find_slot(k->table, name);
		all = k->slot_of[c] != NO_SLOT;
	}
	return all;
}

// Names what has no name yet. The caller holds the file's lock. When all slots are taken the counter counts nothing.
static void claim_slots(struct book *k)
{
	static const char no_name[NAME_MAX_LEN];
	struct table *t = k->table;
	if (memcmp(t->magic, magic, sizeof magic) != 0) {
		memset(t, 0, sizeof *t);
		atomic_store(&t->zeroed_at, time(NULL));
		memcpy(t->magic, magic, sizeof magic);
	}
	for (enum stat_counter c = 0; c < STAT_COUNT; c++) {
		char name[NAME_MAX_LEN];
		padded_name(name, c);
		k->slot_of[c] = find_slot(t, name);
		if (k->slot_of[c] != NO_SLOT)
			continue;
		k->slot_of[c] = find_slot(t, no_name);
		if (k->slot_of[c] != NO_SLOT)
			memcpy(t->slots[k->slot_of[c]].name, name, NAME_MAX_LEN);
	}
}

// ---- the file -----------------------------------------------------------------------------------------------------

// Not for ever: whoever holds the lock may be stopped, and counters are not worth a hanging build.
static int lock_file(int fd, const char *path, struct err *err)
{
	for (int tries = 0; tries < 100; tries++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_errno(err, "cannot lock '%s'", path);
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
	}
	return err_set(err, ERR_TIMEOUT, "'%s' stays locked by somebody else", path);
}

// 1 the file is long enough, 0 it is too short, -1 it is no file for us.
static int is_long_enough(int fd, const char *path, struct err *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_errno(err, "cannot look at '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_FORMAT, "'%s' is not a regular file", path);
	return st.st_size >= (off_t)sizeof(struct table);
}

static int make_room(int fd, bool is_shared, const char *path, struct err *err)
{
	int rc = is_long_enough(fd, path, err);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (!is_shared)
		return err_set(err, ERR_FORMAT, "'%s' is too short and can't be written", path);
	if (lock_file(fd, path, err) < 0)
		return -1;
	// Again under the lock: where the file system can't allocate, libc writes zeros over what others have begun.
	rc = is_long_enough(fd, path, err);
	if (rc == 0 && (errno = posix_fallocate(fd, 0, sizeof(struct table))) != 0)
		rc = err_errno(err, "cannot make room for '%s'", path);
	flock(fd, LOCK_UN);
	return rc < 0 ? -1 : 0;
}

static int open_file(const char *cache_dir, const char *path, bool *is_shared, struct err *err)
{
	AUTO_FREE char *dir = mem_printf("%s/v1", cache_dir);
	int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	int fd = open(path, O_RDWR | flags);
	*is_shared = true;
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
		if (file_make_dirs(dir, 0700, err) < 0)
			return -1;
		fd = open(path, O_RDWR | O_CREAT | flags, 0600);
	}
	if (fd < 0 && (errno == EROFS || errno == EACCES)) {
		*is_shared = false;
		fd = open(path, O_RDONLY | flags);
	}
	return fd < 0 ? err_errno(err, "cannot open '%s'", path) : fd;
}

static int map_file(struct book *k, int fd, const char *path, struct err *err)
{
	struct stat st;
	if (make_room(fd, k->is_shared, path, err) < 0)
		return -1;
	void *p = mmap(NULL, sizeof(struct table), PROT_READ | PROT_WRITE, k->is_shared ? MAP_SHARED : MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED || fstat(fd, &st) < 0)
		return err_errno(err, "cannot map '%s'", path);
	k->table = p;
	k->dev = st.st_dev;
	k->ino = st.st_ino;
	if (find_slots(k))
		return 0;
	if (k->is_shared && lock_file(fd, path, err) < 0)
		return -1;
	claim_slots(k);
	return 0; // closing fd drops the lock
}

static void book_close(struct book *k)
{
	for (struct book *earlier; k; k = earlier) {
		earlier = k->earlier;
		if (k->table)
			munmap(k->table, sizeof *k->table);
		free(k);
	}
}

static struct book *book_open(const struct stats *s, struct err *err)
{
	struct book *k = mem_alloc(sizeof *k);
	AUTO_CLOSE int fd = open_file(s->cache_dir, s->path, &k->is_shared, err);
	if (fd >= 0 && map_file(k, fd, s->path, err) == 0)
		return k;
	book_close(k);
	return NULL;
}

struct stats *stats_open(const char *cache_dir, struct err *err)
{
	struct stats *s = mem_alloc(sizeof *s);
	s->cache_dir = mem_strdup(cache_dir);
	s->path = mem_printf("%s/v1/stats", cache_dir);
	pthread_mutex_init(&s->lock, NULL);
	struct book *k = book_open(s, err);
	atomic_store(&s->book, k);
	if (k)
		return s;
	stats_close(s);
	return NULL;
}

void stats_close(struct stats *s)
{
	if (!s)
		return;
	book_close(atomic_load(&s->book));
	pthread_mutex_destroy(&s->lock);
	free(s->path);
	free(s->cache_dir);
	free(s);
}

static bool is_in_place(const struct stats *s, const struct book *k)
{
	struct stat st;
	return stat(s->path, &st) == 0 && st.st_dev == k->dev && st.st_ino == k->ino;
}

unsigned stats_renew(struct stats *s)
{
	if (!s)
		return 0;
	if (is_in_place(s, atomic_load(&s->book)))
		return atomic_load(&s->renewed);
	pthread_mutex_lock(&s->lock);
	struct book *old = atomic_load(&s->book);
	struct book *k = is_in_place(s, old) ? NULL : book_open(s, NULL);
	if (k) {
		k->earlier = old;
		atomic_store(&s->book, k);
		atomic_fetch_add(&s->renewed, 1);
	}
	pthread_mutex_unlock(&s->lock);
	return atomic_load(&s->renewed);
}

unsigned stats_renewed(const struct stats *s)
{
	return s ? atomic_load(&s->renewed) : 0;
}

// ---- counting -----------------------------------------------------------------------------------------------------

void stats_add(struct stats *s, enum stat_counter c, uint64_t n)
{
	const struct book *k = s ? atomic_load(&s->book) : NULL;
	if (k && k->slot_of[c] != NO_SLOT)
		atomic_fetch_add_explicit(&k->table->slots[k->slot_of[c]].value, n, memory_order_relaxed);
}

void stats_add_reason(struct stats *s, enum reason r)
{
	if (r == REASON_NONE)
		return;
	stats_add(s, STAT_not_cached, 1);
	stats_add(s, stats_of_reason(r), 1);
}

uint64_t stats_value(const struct stats *s, enum stat_counter c)
{
	const struct book *k = s ? atomic_load(&s->book) : NULL;
	if (!k || k->slot_of[c] == NO_SLOT)
		return 0;
	return atomic_load_explicit(&k->table->slots[k->slot_of[c]].value, memory_order_relaxed);
}

void stats_zero(struct stats *s)
{
	const struct book *k = atomic_load(&s->book);
	for (size_t i = 0; i < SLOTS; i++)
		atomic_store(&k->table->slots[i].value, 0);
	atomic_store(&k->table->zeroed_at, time(NULL));
}

int64_t stats_zeroed_at(const struct stats *s)
{
	return s ? atomic_load(&atomic_load(&s->book)->table->zeroed_at) : 0;
}

void stats_take_lost(struct stats *s, const char *runtime_dir)
{
	if (!s)
		return;
	AUTO_FREE char *path = mem_printf("%s/%s", runtime_dir, STATS_LOST_FILE);
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0)
		return;
	// Two that ask at once must not count twice. A byte that arrives in between is one compile too few: harmless.
	if (atomic_load(&s->book)->is_shared &&
	    (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0 || ftruncate(fd, 0) < 0))
		return;
	uint64_t lost = (uint64_t)st.st_size;
	stats_add(s, STAT_compiles, lost);
	stats_add(s, STAT_not_cached, lost);
	stats_add(s, stats_of_reason(REASON_daemon_lost), lost);
}
