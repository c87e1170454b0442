#include "client/services/journal.h"

#include "base/file.h"
#include "base/json.h"
#include "base/path.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *cause_name(enum cause_kind kind)
{
	static const char *const names[] = {"none",     "first",   "arguments", "environment", "toolchain", "input",
					    "appeared", "link",    "vanished",  "messages",    "place",     "time",
					    "evicted",  "corrupt", "order",     "settings",    "recache",   "paranoid",
					    "policy",   "checked", "differs"};
	return names[kind];
}

void cause_add(struct cause *c, const char *name, const char *was, const char *now)
{
	if (c->n_changes < CAUSE_MAX_CHANGES)
		c->changes[c->n_changes++] = (struct change){name, was, now};
	c->n_all++;
}

// ---- the journal ----------------------------------------------------------------------------------------------------

struct journal {
	char *path, *old_path;
	pthread_mutex_t lock;
	int fd;
};

struct journal *journal_open(const char *cache_dir)
{
	struct journal *jl = mem_alloc(sizeof *jl);
	jl->path = mem_printf("%s/v1/journal.jsonl", cache_dir);
	jl->old_path = mem_printf("%s/v1/journal.1.jsonl", cache_dir);
	jl->fd = -1;
	pthread_mutex_init(&jl->lock, NULL);
	return jl;
}

void journal_close(struct journal *jl)
{
	if (!jl)
		return;
	mem_close_cleanup(&jl->fd);
	pthread_mutex_destroy(&jl->lock);
	free(jl->path);
	free(jl->old_path);
	free(jl);
}

// Under the lock. The file is opened again when somebody removed it, and a new one begins when it is full.
static int journal_fd(struct journal *jl)
{
	struct stat st;
	if (jl->fd >= 0 && fstat(jl->fd, &st) == 0 && st.st_nlink && st.st_size < JOURNAL_MAX_BYTES)
		return jl->fd;
	if (jl->fd >= 0) {
		if (st.st_nlink)
			rename(jl->path, jl->old_path);
		close(jl->fd);
	}
	jl->fd = open(jl->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	return jl->fd;
}

static const char *outcome_name(enum outcome o)
{
	static const char *const names[] = {"not_cached", "direct_hit", "preprocessed_hit", "miss"};
	return names[o];
}

static void add_cause(struct buf *b, const struct cause *c)
{
	json_add_name(b, "cause");
	buf_addc(b, '{');
	json_add_field(b, "kind", cause_name(c->kind));
	json_add_number(b, "all", c->n_all);
	json_add_name(b, "changes");
	buf_addc(b, '[');
	for (unsigned i = 0; i < c->n_changes; i++) {
		buf_adds(b, i ? ",{" : "{");
		json_add_field(b, "name", c->changes[i].name);
		json_add_field(b, "was", c->changes[i].was);
		json_add_field(b, "now", c->changes[i].now);
		buf_addc(b, '}');
	}
	buf_adds(b, "]}");
}

static void add_digest(struct buf *b, const char *name, const struct digest *d)
{
	char hex[DIGEST_HEX];
	if (!d)
		return;
	digest_hex(d, hex);
	json_add_field(b, name, hex);
}

static void add_sha256(struct buf *b, const char *name, const struct sha256 *d)
{
	char hex[SHA256_HEX];
	sha256_hex(d, hex);
	json_add_field(b, name, hex);
}

static void add_sending(struct buf *b, const struct journal_record *r)
{
	if (r->no_tree)
		json_add_field(b, "no_tree", r->no_tree);
	if (r->no_tree && r->no_tree_culprit)
		json_add_field(b, "no_tree_culprit", r->no_tree_culprit);
	if (!r->sent_as)
		return;
	json_add_field(b, "sent_as", r->sent_as);
	json_add_field(b, "worker", r->worker);
	json_add_number(b, "sent_bytes", (int64_t)r->sent_bytes);
	json_add_number(b, "sent_us", (int64_t)r->sent_us);
}

void journal_add(struct journal *jl, const struct journal_record *r)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf b = BUF_INIT;
	buf_addc(&b, '{');
	json_add_number(&b, "time_ms", clock_now_ms());
	json_add_field(&b, "outcome", outcome_name(r->outcome));
	json_add_field(&b, "cwd", r->cwd);
	if (r->source)
		json_add_field(&b, "source", path_tidy(&a, path_join(&a, r->cwd, r->source)));
	if (r->output)
		json_add_field(&b, "output", path_tidy(&a, path_join(&a, r->cwd, r->output)));
	json_add_number(&b, "wall_us", (int64_t)r->wall_us);
	if (r->outcome == OUTCOME_NOT_CACHED)
		json_add_field(&b, "reason", reason_name(r->reason));
	if (r->culprit)
		json_add_field(&b, "culprit", r->culprit);
	if (r->command)
		json_add_field(&b, "command", r->command);
	add_digest(&b, "unit", r->unit);
	add_digest(&b, "key", r->key);
	add_digest(&b, "result", r->result);
	if (r->shared) {
		add_sha256(&b, "shared_action", &r->shared->action);
		add_sha256(&b, "shared_toolchain", &r->shared->toolchain);
	}
	if (r->cause)
		add_cause(&b, r->cause);
	add_sending(&b, r);
	buf_adds(&b, "}\n");
	pthread_mutex_lock(&jl->lock);
	int fd = journal_fd(jl);
	if (fd >= 0)
		(void)!write(fd, b.data, b.len); // one write: lines of several daemons do not mix
	pthread_mutex_unlock(&jl->lock);
}
