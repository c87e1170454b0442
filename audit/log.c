#include "audit/log.h"

#include "audit/reader.h"
#include "audit/tiles.h"
#include "base/clock.h"
#include "base/cond.h"
#include "base/file.h"
#include "base/log.h"
#include "base/map.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PENDING_REWRITE = 4096, UNWRITTEN_TILES = 1024 };

struct audit_log {
	int dirfd, rows_fd, pending_fd;
	char origin[NOTE_ORIGIN_MAX + 1];
	char instance[AUDIT_INSTANCE]; // in every job's id and every event
	enum audit_sync sync;
	struct note_signer *signer;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t signing;
	bool is_ending, has_thread;
	bool pending_is_stale; // `pending` names a job that has its row: no checkpoint until that is mended
	uint64_t jobs, signed_size;
	unsigned pending_lines;
	struct audit_events events;
	struct map pending; // job id -> its line in `pending`
	struct tile_writer tiles;
	struct recent_row {
		uint64_t index;
		char *line;     // NULL: none yet
	} recent[AUDIT_RECENT]; // at index % AUDIT_RECENT
};

static void segment_name(char name[32], uint64_t row)
{
	snprintf(name, 32, "rows/%08" PRIu64, row / AUDIT_SEGMENT_ROWS);
}

// ---- rows -----------------------------------------------------------------------------------------------------------

static int open_rows(struct audit_log *l, struct err *err)
{
	char name[32];
	if (l->rows_fd >= 0 && l->tiles.size % AUDIT_SEGMENT_ROWS)
		return 0;
	if (l->rows_fd >= 0)
		close(l->rows_fd);
	segment_name(name, l->tiles.size);
	l->rows_fd = openat(l->dirfd, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
	return l->rows_fd < 0 ? err_errno(err, "cannot open '%s' of the audit log", name) : 0;
}

static int add_row(struct audit_log *l, const struct audit_row *row, uint64_t *index, struct err *err)
{
	AUTO_BUF struct buf line = BUF_INIT;
	audit_row_write(row, &line);
	struct merkle_hash leaf = merkle_leaf(line.data, line.len);
	buf_addc(&line, '\n');
	if (open_rows(l, err) < 0 ||
	    file_append(l->rows_fd, line.data, line.len, l->sync == AUDIT_SYNC_ROW, "a row of the audit log", err) < 0)
		return -1;
	if (index)
		*index = l->tiles.size;
	struct recent_row *recent = &l->recent[l->tiles.size % AUDIT_RECENT];
	free(recent->line);
	*recent = (struct recent_row){l->tiles.size, mem_strndup(line.data, line.len - 1)};
	tile_writer_add(&l->tiles, &leaf);
	return 0;
}

// ---- jobs without a row ---------------------------------------------------------------------------------------------

// Lines "+ROW" for a job that was accepted, "-JOB" for one that has its row. Rewritten when most of it is over.
static int rewrite_pending(struct audit_log *l, struct err *err)
{
	AUTO_BUF struct buf all = BUF_INIT;
	size_t at = 0;
	void *line;
	while (map_next(&l->pending, &at, NULL, NULL, &line))
		buf_adds(&all, line);
	if (file_write_atomic(l->dirfd, "pending", all.data ? all.data : "", all.len, 0600, err) < 0)
		return -1;
	int fd = openat(l->dirfd, "pending", O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0) {
		l->pending_is_stale = true; // what is open is no longer the file of that name
		return err_errno(err, "cannot open 'pending' of the audit log");
	}
	if (l->pending_fd >= 0)
		close(l->pending_fd);
	l->pending_fd = fd;
	l->pending_lines = (unsigned)l->pending.n;
	l->pending_is_stale = false;
	return 0;
}

// ---- checkpoints ----------------------------------------------------------------------------------------------------

// What a checkpoint is about, from what is in memory; the rest of it is the disk's, and no row waits for that.
struct sealing {
	struct checkpoint checkpoint;
	struct stale_tiles stale;
	int rows_fd; // its own
};

// 1, or 0 when there is nothing new to sign. Under the lock.
static int begin_sealing(struct audit_log *l, struct sealing *s, struct err *err)
{
	struct checkpoint *c = &s->checkpoint;
	c->size = l->tiles.size;
	c->root = tile_writer_root(&l->tiles);
	snprintf(c->origin, sizeof c->origin, "%s", l->origin);
	if (c->size == l->signed_size && c->size)
		return 0;
	if (l->pending_is_stale && rewrite_pending(l, err) < 0)
		return -1;
	if (l->sync == AUDIT_SYNC_CHECKPOINT && l->rows_fd >= 0 && (s->rows_fd = fcntl(l->rows_fd, F_DUPFD_CLOEXEC, 3)) < 0)
		return err_errno(err, "cannot write the rows to the disk");
	return tile_writer_flush(&l->tiles, &s->stale, err) < 0 ? -1 : 1;
}

static int write_checkpoint(struct audit_log *l, const struct sealing *s, struct err *err)
{
	AUTO_BUF struct buf note = BUF_INIT;
	if (s->rows_fd >= 0 && fdatasync(s->rows_fd) < 0)
		return err_errno(err, "cannot write the rows to the disk");
	if (note_sign(l->signer, &s->checkpoint, &note, err) < 0)
		return -1;
	if (l->sync != AUDIT_SYNC_NONE && syncfs(l->dirfd) < 0)
		return err_errno(err, "cannot write the audit log to the disk");
	int (*write_note)(int, const char *, const void *, size_t, mode_t, struct err *) =
		l->sync == AUDIT_SYNC_NONE ? file_write_atomic : file_write_durable;
	if (write_note(l->dirfd, "checkpoint", note.data, note.len, 0644, err) < 0)
		return -1;
	stale_tiles_remove(&s->stale, l->dirfd);
	return 0;
}

// By one thread at a time, without the lock.
static int sign(struct audit_log *l, struct err *err)
{
	struct sealing s = {.rows_fd = -1};
	pthread_mutex_lock(&l->lock);
	int rc = begin_sealing(l, &s, err);
	pthread_mutex_unlock(&l->lock);
	if (rc == 1)
		rc = write_checkpoint(l, &s, err);
	if (rc == 0)
		l->signed_size = s.checkpoint.size;
	mem_close_cleanup(&s.rows_fd);
	return rc;
}

static void *sign_now_and_then(void *arg)
{
	struct audit_log *l = arg;
	bool failed = false;
	pthread_mutex_lock(&l->lock);
	while (!l->is_ending) {
		struct err err = ERR_INIT;
		cond_wait_until(&l->wake, &l->lock, clock_ms() + AUDIT_CHECKPOINT_MS);
		pthread_mutex_unlock(&l->lock);
		bool fails = sign(l, &err) < 0;
		if (fails && !failed)
			log_event(LOG_LEVEL_ERROR, "audit checkpoint not written", LOG_TEXT("why", err.text));
		failed = fails;
		pthread_mutex_lock(&l->lock);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

// ---- jobs -----------------------------------------------------------------------------------------------------------

static int note_pending(struct audit_log *l, const char *line, struct err *err)
{
	bool is_due = l->pending_is_stale || l->pending_fd < 0 || l->pending_lines++ > PENDING_REWRITE + 2 * l->pending.n;
	if (is_due && rewrite_pending(l, err) < 0)
		return -1;
	return file_append(l->pending_fd, line, strlen(line), false, "'pending' of the audit log", err);
}

int audit_log_start(struct audit_log *l, struct audit_row *row, char job[AUDIT_JOB_ID], struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf line = BUF_INIT;
	pthread_mutex_lock(&l->lock);
	if (l->tiles.n_unwritten > UNWRITTEN_TILES) {
		pthread_mutex_unlock(&l->lock);
		return err_set(err, ERR_FULL, "the hashes of the audit log cannot be written");
	}
	snprintf(job, AUDIT_JOB_ID, "%s-%" PRIu64, l->instance, ++l->jobs);
	row->value[AUDIT_job] = job;
	row->value[AUDIT_time] = audit_now(&a);
	row->value[AUDIT_outcome] = "interrupted";
	row->value[AUDIT_reason] = "the worker ended while it ran";
	buf_addc(&line, '+');
	audit_row_write(row, &line);
	buf_addc(&line, '\n');
	int rc = note_pending(l, line.data, err);
	if (rc == 0) {
		map_puts(&l->pending, job, mem_strdup(line.data));
		row->value[AUDIT_outcome] = row->value[AUDIT_reason] = NULL;
		audit_events_add(&l->events, EVENT_STARTED, row);
	}
	row->value[AUDIT_outcome] = row->value[AUDIT_reason] = row->value[AUDIT_time] = NULL;
	pthread_mutex_unlock(&l->lock);
	return rc;
}

// Under the lock. The row first: a crash between both leaves a job that is pending and has a row, which is seen at the start.
static int finish(struct audit_log *l, const struct audit_row *row, uint64_t *index, struct err *err)
{
	const char *job = row->value[AUDIT_job];
	char over[AUDIT_JOB_ID + 3];
	if (!job || !map_gets(&l->pending, job))
		return err_set(err, ERR_USAGE, "a row for a job that is not under way");
	if (add_row(l, row, index, err) < 0)
		return -1;
	free(map_del(&l->pending, job, strlen(job)));
	snprintf(over, sizeof over, "-%s\n", job);
	l->pending_is_stale |= note_pending(l, over, NULL) < 0;
	audit_events_add(&l->events, EVENT_FINISHED, row);
	return 0;
}

int audit_log_finish(struct audit_log *l, const struct audit_row *given, uint64_t *index, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct audit_row row = *given;
	pthread_mutex_lock(&l->lock);
	row.value[AUDIT_time] = audit_now(&a);
	int rc = finish(l, &row, index, err);
	pthread_mutex_unlock(&l->lock);
	return rc;
}

// Jobs that were accepted in an earlier life and have no row get one.
static int finish_interrupted(struct audit_log *l, struct err *err)
{
	size_t at = 0;
	void *line;
	while (map_next(&l->pending, &at, NULL, NULL, &line)) {
		AUTO_ARENA struct arena a = ARENA_INIT;
		struct audit_row row;
		const char *text = (const char *)line + 1;
		if (audit_row_read(text, strcspn(text, "\n"), &a, &row, err) < 0)
			return -1;
		row.value[AUDIT_time] = audit_now(&a);
		if (add_row(l, &row, NULL, err) < 0)
			return -1;
		audit_events_add(&l->events, EVENT_FINISHED, &row);
		map_del(&l->pending, row.value[AUDIT_job], strlen(row.value[AUDIT_job]));
		free(line);
	}
	return rewrite_pending(l, err);
}

static int read_pending(struct audit_log *l, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err missing = ERR_INIT;
	if (file_read(l->dirfd, "pending", (size_t)1 << 30, &text, NULL, &missing) < 0)
		return missing.code == ERR_NOT_FOUND ? 0 : err_set(err, missing.code, "%s", missing.text);
	for (char *p = text.data, *end = p ? p + text.len : p, *stop; p && (stop = memchr(p, '\n', (size_t)(end - p)));
	     p = stop + 1) {
		AUTO_ARENA struct arena a = ARENA_INIT;
		struct audit_row row;
		*stop = '\0';
		if (*p == '-') {
			free(map_del(&l->pending, p + 1, strlen(p + 1)));
			continue;
		}
		if (*p != '+' || audit_row_read(p + 1, strlen(p + 1), &a, &row, err) < 0 || !row.value[AUDIT_job])
			return err_set(err, ERR_FORMAT, "'pending' of the audit log has a line that is no job");
		free(map_put(&l->pending, row.value[AUDIT_job], strlen(row.value[AUDIT_job]), mem_printf("%s\n", p)));
	}
	return 0;
}

// ---- opening --------------------------------------------------------------------------------------------------------

// A row that the process was killed in has no newline yet.
static int cut_torn_row(struct audit_log *l, struct audit_reader *r, struct err *err)
{
	if (!r->torn_bytes)
		return 0;
	char name[32];
	segment_name(name, r->index);
	log_event(LOG_LEVEL_WARN, "audit row cut", LOG_TEXT("why", "the process ended while it wrote it"),
		  LOG_NUMBER("row", r->index));
	AUTO_CLOSE int fd = openat(l->dirfd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 || ftruncate(fd, r->offset) < 0 ? err_errno(err, "cannot cut '%s' of the audit log", name) : 0;
}

// Takes in what is on disk: the rows that the checkpoint covers must hash to its root at the end, and what follows is taken in.
static int take_in(struct audit_log *l, struct err *err)
{
	struct checkpoint c = {0};
	AUTO_BUF struct buf note = BUF_INIT;
	struct err missing = ERR_INIT;
	if (file_read(l->dirfd, "checkpoint", NOTE_MAX, &note, NULL, &missing) < 0) {
		if (missing.code != ERR_NOT_FOUND)
			return err_set(err, missing.code, "%s", missing.text);
		if (faccessat(l->dirfd, "tile", F_OK, 0) == 0)
			return err_set(err, ERR_FORMAT, "the audit log has lost its checkpoint: run 'coffer audit verify'");
	} else if (note_open(note.data, note.len, note_signer_verifier(l->signer), &c, err) < 0) {
		return err_wrap(err, "the audit log is not as this worker has left it");
	}
	l->signed_size = c.size;
	if (tile_writer_open(&l->tiles, l->dirfd, c.size, err) < 0)
		return err_wrap(err, "the audit log is damaged: run 'coffer audit verify'");
	struct merkle_hash root = tile_writer_root(&l->tiles);
	if (c.size && !merkle_equal(&root, &c.root))
		return err_set(err, ERR_FORMAT, "the hashes of the audit log are not those of its checkpoint");
	struct audit_reader r;
	const char *line;
	size_t n;
	audit_reader_init(&r, l->dirfd);
	// Of the rows under the checkpoint the last tile is looked at; 'coffer audit verify' looks at all.
	uint64_t from = c.size - c.size % TILE_HASHES;
	int rc = audit_reader_seek(&r, from, err);
	while (rc == 0 && (rc = audit_reader_next(&r, &line, &n, err)) == 1) {
		struct merkle_hash leaf = merkle_leaf(line, n);
		uint64_t index = r.index - 1;
		if (index < c.size && !merkle_equal(&leaf, &l->tiles.hashes[0][index % TILE_HASHES]))
			rc = err_set(err, ERR_FORMAT, "row %" PRIu64 " of the audit log was changed", index);
		else
			rc = 0;
		if (rc == 0 && index >= c.size)
			tile_writer_add(&l->tiles, &leaf);
		if (rc == 0 && index >= c.size) {
			AUTO_ARENA struct arena a = ARENA_INIT;
			struct audit_row row;
			if (audit_row_read(line, n, &a, &row, NULL) == 0 && row.value[AUDIT_job])
				free(map_del(&l->pending, row.value[AUDIT_job], strlen(row.value[AUDIT_job])));
		}
	}
	if (rc == 0 && r.index < c.size)
		rc = err_set(err, ERR_FORMAT, "the audit log has %" PRIu64 " rows where its checkpoint says %" PRIu64,
			     r.index, c.size);
	if (rc == 0)
		rc = cut_torn_row(l, &r, err);
	audit_reader_release(&r);
	return rc;
}

static int open_files(struct audit_log *l, const struct audit_log_config *config, struct err *err)
{
	AUTO_FREE char *key = mem_printf("%s/key", config->directory);
	uint64_t random;
	if (file_make_dirs(config->directory, 0700, err) < 0)
		return -1;
	l->dirfd = open(config->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l->dirfd < 0 || (mkdirat(l->dirfd, "rows", 0755) < 0 && errno != EEXIST))
		return err_errno(err, "cannot open the audit log '%s'", config->directory);
	if (flock(l->dirfd, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, ERR_BUSY, "the audit log '%s' is written by another process", config->directory);
	if (note_signer_open(config->key ? config->key : key, config->origin, !config->key, &l->signer, err) < 0)
		return -1;
	const char *verifier = note_signer_verifier(l->signer);
	AUTO_FREE char *line = mem_printf("%s\n", verifier);
	if (file_write_atomic(l->dirfd, "key.pub", line, strlen(line), 0644, err) < 0)
		return -1;
	if (getrandom(&random, sizeof random, 0) != sizeof random)
		return err_errno(err, "cannot get random bytes");
	snprintf(l->instance, sizeof l->instance, "%016" PRIx64, random);
	return audit_events_open(&l->events, l->dirfd, config->events, l->instance, err);
}

static int start_signing(struct audit_log *l, struct err *err)
{
	int e = pthread_create(&l->signing, NULL, sign_now_and_then, l);
	l->has_thread = e == 0;
	errno = e;
	return e ? err_errno(err, "cannot start a thread for the audit log") : 0;
}

int audit_log_open(const struct audit_log_config *config, struct audit_log **log, struct err *err)
{
	struct audit_log *l = mem_alloc(sizeof *l);
	*l = (struct audit_log){
		.dirfd = -1, .rows_fd = -1, .pending_fd = -1, .events = AUDIT_EVENTS_INIT, .sync = config->sync};
	snprintf(l->origin, sizeof l->origin, "%s", config->origin);
	pthread_mutex_init(&l->lock, NULL);
	cond_init(&l->wake);
	if (open_files(l, config, err) < 0 || read_pending(l, err) < 0 || take_in(l, err) < 0 ||
	    finish_interrupted(l, err) < 0 || sign(l, err) < 0 || start_signing(l, err) < 0) {
		audit_log_close(l);
		return -1;
	}
	*log = l;
	return 0;
}

void audit_log_close(struct audit_log *l)
{
	struct err err = ERR_INIT;
	if (!l)
		return;
	if (l->has_thread) {
		pthread_mutex_lock(&l->lock);
		l->is_ending = true;
		pthread_cond_signal(&l->wake);
		pthread_mutex_unlock(&l->lock);
		pthread_join(l->signing, NULL);
		if (finish_interrupted(l, &err) < 0 || sign(l, &err) < 0)
			log_event(LOG_LEVEL_ERROR, "audit log not closed", LOG_TEXT("why", err.text));
	}
	size_t at = 0;
	for (void *line; map_next(&l->pending, &at, NULL, NULL, &line);)
		free(line);
	map_release(&l->pending);
	for (size_t i = 0; i < AUDIT_RECENT; i++)
		free(l->recent[i].line);
	tile_writer_release(&l->tiles);
	mem_close_cleanup(&l->rows_fd);
	mem_close_cleanup(&l->pending_fd);
	audit_events_close(&l->events);
	mem_close_cleanup(&l->dirfd);
	note_signer_free(l->signer);
	pthread_cond_destroy(&l->wake);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

void audit_log_recent(struct audit_log *l, struct buf *json)
{
	pthread_mutex_lock(&l->lock);
	for (uint64_t i = 1; i <= AUDIT_RECENT && i <= l->tiles.size; i++) {
		AUTO_ARENA struct arena a = ARENA_INIT;
		struct audit_row row;
		const struct recent_row *r = &l->recent[(l->tiles.size - i) % AUDIT_RECENT];
		if (!r->line || audit_row_read(r->line, strlen(r->line), &a, &row, NULL) < 0)
			break;
		buf_adds(json, i > 1 ? "," : "");
		audit_row_json(json, r->index, &row);
	}
	pthread_mutex_unlock(&l->lock);
}

const char *audit_log_instance(const struct audit_log *l)
{
	return l->instance;
}

const char *audit_log_verifier(const struct audit_log *l)
{
	return note_signer_verifier(l->signer);
}

uint64_t audit_log_size(struct audit_log *l)
{
	pthread_mutex_lock(&l->lock);
	uint64_t size = l->tiles.size;
	pthread_mutex_unlock(&l->lock);
	return size;
}
