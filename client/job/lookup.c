#include "client/job/job.h"

#include "base/map.h"
#include "base/path.h"
#include "depscan/path_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Entries that are compared in full when none matched, to explain the miss or to find one that differs in comments only.
enum { COMPARED_ENTRIES = 8 };

// What the job has already looked up, by canonical name: entries of one manifest share most of their files.
struct memo {
	struct map digests; // name -> struct digest in the job's arena; zero: can't be read
};

static const struct digest *digest_now(struct job *j, struct memo *memo, const char *name)
{
	struct digest *d = memo ? map_gets(&memo->digests, name) : NULL;
	if (d)
		return d;
	d = arena_alloc(&j->arena, sizeof *d);
	if (files_digest(j->d->files, j->cwd_fd, job_real_path(j, &j->arena, name), d, NULL, NULL) < 0)
		*d = (struct digest){0};
	if (memo)
		map_puts(&memo->digests, name, d);
	return d;
}

static void note_date(struct job *j, const struct file_id *id)
{
	if (id->ctime_ns > j->newest_input_ns)
		j->newest_input_ns = id->ctime_ns;
}

// What is at an absolute path, without a look as long as nothing has changed there. WATCHED_REFUSED: look yourself.
static enum watched_state state_now(const struct job *j, const char *path, const struct watched **known)
{
	if (!j->epoch || path[0] != '/')
		return WATCHED_REFUSED;
	if (!watched_holds(*known, j->epoch))
		*known = watch_look(j->d->watch, j->epoch, path);
	return *known ? (*known)->state : WATCHED_REFUSED;
}

// In the usual case a watch, or one look at the file's identity, is enough.
static bool input_matches(struct job *j, struct memo *memo, struct manifest_input *in)
{
	enum watched_state state = state_now(j, in->name, &in->watched);
	if (state == WATCHED_ABSENT)
		return false;
	if (state == WATCHED_FILE) {
		note_date(j, &in->watched->id);
		return digest_equal(&in->watched->digest, &in->digest);
	}
	struct stat st;
	if (fstatat(j->cwd_fd, job_real_path(j, &j->arena, in->name), &st, 0) < 0)
		return false;
	struct file_id id = file_id_of(&st);
	note_date(j, &id);
	if (file_id_equal(&id, &in->seen))
		return true;
	if (!digest_equal(digest_now(j, memo, in->name), &in->digest))
		return false;
	int64_t floor = clock_now_ns() - FILES_AGE_FLOOR_NS;
	if (id.mtime_ns < floor && id.ctime_ns < floor)
		in->seen = id;
	return true;
}

static bool inputs_match(struct job *j, struct memo *memo, struct manifest_entry *e)
{
	bool match = true;
	pthread_mutex_lock(&j->manifest->lock);
	for (uint32_t i = 0; i < e->n_inputs && match; i++)
		match = input_matches(j, memo, &e->inputs[i]);
	pthread_mutex_unlock(&j->manifest->lock);
	return match;
}

static bool context_matches(const struct job *j, const struct manifest_entry *e)
{
	struct digest place = digest_of(j->root, strlen(j->root));
	return (digest_is_zero(&e->messages_context) || digest_equal(&e->messages_context, &j->messages_context)) &&
	       (digest_is_zero(&e->time_context) || digest_equal(&e->time_context, &j->time_context)) &&
	       (digest_is_zero(&e->place_context) || digest_equal(&e->place_context, &place));
}

// lstat(), by a watch where that is possible; else `watched` becomes false.
static int look_at(const struct job *j, const char *path, struct stat *st, bool *watched)
{
	const struct watched *known = NULL;
	switch (*watched ? state_now(j, path, &known) : WATCHED_REFUSED) {
	case WATCHED_ABSENT:
		errno = ENOENT;
		return -1;
	case WATCHED_FILE:
	case WATCHED_FOLDER:
		st->st_mode = known->state == WATCHED_FILE ? S_IFREG : S_IFDIR;
		return 0;
	case WATCHED_REFUSED:
		break;
	}
	*watched = false;
	return fstatat(j->cwd_fd, path, st, AT_SYMLINK_NOFOLLOW);
}

// The same for a name that begins with PLACES_ANY: whether there is one like it.
static bool any_appeared(const struct job *j, const char *path, bool *watched)
{
	const struct watched *known = NULL;
	const char *base = path_base(path);
	if (*watched && state_now(j, path, &known) == WATCHED_ABSENT)
		return false;
	*watched = false;
	AUTO_FREE char *dir = mem_strndup(path, (size_t)(base - path));
	return places_any_ends(j->cwd_fd, dir, base + strlen(PLACES_ANY));
}

// The name in the group that exists now, or NULL. Under the manifest's lock.
static const char *appeared_in(const struct job *j, struct absent_group *g, const char *dir)
{
	struct stat st;
	int64_t now = clock_now_ns();
	if (j->epoch && g->epoch == j->epoch)
		return NULL;
	// The folder, and later each name. (One in the build tree is another folder for another job.)
	bool watched = j->epoch && g->dir[0] == '/' && watch_folder(j->d->watch, dir);
	if (fstatat(j->cwd_fd, dir[0] ? dir : ".", &st, 0) < 0)
		return NULL;
	if (!S_ISDIR(st.st_mode))
		return ".";
	struct file_id id = file_id_of(&st);
	if (g->checked_trusted && file_id_equal(&id, &g->checked)) {
		g->epoch = watched ? j->epoch : 0;
		return NULL;
	}
	// A folder that changes all the time: a build writes its outputs there.
	bool old = now - id.mtime_ns > FILES_AGE_FLOOR_NS && now - id.ctime_ns > FILES_AGE_FLOOR_NS;
	uint64_t stamp = !old || g->checked.ino ? arrivals_stamp(j->d->arrivals, j->cwd_fd, dir[0] ? dir : ".", &st) : 0;
	if (stamp && g->stamp == stamp)
		return NULL;
	if (!arrivals_expect(j->d->arrivals, stamp, g->names, g->n_names))
		stamp = 0;
	char path[4096];
	size_t n = dir[0] ? (size_t)snprintf(path, sizeof path, "%s/", dir) : 0;
	bool complete = true;    // the folder's own identity tells of everything that may appear
	const char *gone = NULL; // the name whose subfolder is not there, and that subfolder's length: sorted, others follow
	size_t gone_len = 0;
	for (uint32_t i = 0; i < g->n_names; i++) {
		const char *name = g->names[i], *slash = strchr(name, '/');
		if (n + strlen(name) >= sizeof path)
			return name;
		if (gone && strncmp(name, gone, gone_len) == 0)
			continue;
		strcpy(path + n, name);
		if (slash && slash[1]) {
			path[n + (size_t)(slash - name)] = '\0';
			if (look_at(j, path, &st, &watched) < 0 && errno == ENOENT) {
				gone = name;
				gone_len = (size_t)(slash - name) + 1;
				continue;
			}
			complete = false;
			path[n + (size_t)(slash - name)] = '/';
		}
		const char *base = path_base(name);
		if (strncmp(base, PLACES_ANY, strlen(PLACES_ANY)) == 0) {
			if (any_appeared(j, path, &watched))
				return name;
			stamp = 0;
			continue;
		}
		bool folder_allowed = name[strlen(name) - 1] == '/';
		if (folder_allowed)
			path[n + strlen(name) - 1] = '\0';
		if (look_at(j, path, &st, &watched) == 0) {
			complete &= !S_ISLNK(st.st_mode); // what it leads to changes elsewhere
			bool dangling = S_ISLNK(st.st_mode) && fstatat(j->cwd_fd, path, &st, 0) < 0 && errno == ENOENT;
			if (!dangling && !(folder_allowed && S_ISDIR(st.st_mode)))
				return name;
		}
	}
	g->checked = id;
	g->checked_trusted = complete && old;
	g->epoch = watched ? j->epoch : 0;
	g->stamp = complete ? stamp : 0;
	return NULL;
}

// True if every name that must be absent is, and every one that must be present too; else the cause is noted if asked for.
static bool names_hold(struct job *j, struct manifest_entry *e, struct cause *cause)
{
	const char *found = NULL, *dir = NULL;
	pthread_mutex_lock(&j->manifest->lock);
	for (uint32_t i = 0; i < e->n_absent && !found; i++) {
		dir = job_real_path(j, &j->arena, e->absent[i].dir);
		found = appeared_in(j, &e->absent[i], dir);
	}
	pthread_mutex_unlock(&j->manifest->lock);
	if (found && cause) {
		cause->kind = CAUSE_APPEARED;
		cause_add(cause, path_join(&j->arena, dir, found), NULL, "present");
	}
	for (uint32_t i = 0; i < e->n_links && !found; i++) {
		const char *name = job_real_path(j, &j->arena, e->links[i].dir);
		char *real = search_real_path(&j->arena, j->cwd_fd, name);
		if (real && strcmp(job_canonical_path(j, real), e->links[i].real) == 0)
			continue;
		found = name;
		if (cause) {
			cause->kind = CAUSE_LINK;
			cause_add(cause, name, job_real_path(j, &j->arena, e->links[i].real), real);
		}
	}
	for (uint32_t i = 0; i < e->n_present && !found; i++) {
		const char *name = job_real_path(j, &j->arena, e->present[i]);
		const struct watched *known = NULL;
		enum watched_state state = state_now(j, name, &known);
		if (state == WATCHED_FILE || state == WATCHED_FOLDER || faccessat(j->cwd_fd, name, F_OK, 0) == 0)
			continue;
		found = name;
		if (cause) {
			cause->kind = CAUSE_VANISHED;
			cause_add(cause, name, "present", NULL);
		}
	}
	return !found;
}

static int take_result(struct job *j, const struct manifest_entry *e, struct buf *result)
{
	if (store_get(j->d->store, STORE_RESULT, &e->result, result, NULL) == 1)
		return 1;
	j->cause.kind = CAUSE_EVICTED;
	return 0;
}

static int direct(struct job *j, struct memo *memo, struct manifest_entry *entry, struct buf *result)
{
	struct manifest *m = j->manifest;
	for (uint32_t i = 0; i < m->n_entries; i++) {
		struct manifest_entry *e = &m->entries[i];
		if (!inputs_match(j, i ? memo : NULL, e) || !context_matches(j, e) || !names_hold(j, e, NULL))
			continue;
		if (take_result(j, e, result)) {
			*entry = *e;
			j->outcome = OUTCOME_DIRECT_HIT;
			return 1;
		}
	}
	return 0;
}

// A source whose text changes with every compile (a configure script's conftest.c) fills its manifest with variants that
// push each other out. Each text has a manifest of its own then.
static int direct_by_text(struct job *j, struct memo *memo, struct manifest_entry *entry, struct buf *result)
{
	struct digest key;
	if (!job_is_crowded(j) || job_text_key(j, &key) < 0)
		return 0;
	struct manifest *all = j->manifest;
	j->manifest = manifests_get(j->d->manifests, &key);
	int found = j->manifest ? direct(j, memo, entry, result) : 0;
	if (!found) {
		manifest_unref(j->manifest);
		j->manifest = all;
	} else {
		manifest_unref(all);
	}
	return found;
}

bool job_is_crowded(const struct job *j)
{
	return j->manifest && j->manifest->n_entries >= config_number(j->config, SETTING_max_manifest_entries) / 4;
}

int job_text_key(struct job *j, struct digest *key)
{
	struct digest text;
	if (files_digest(j->d->files, j->cwd_fd, j->line.source, &text, NULL, NULL) < 0)
		return -1;
	AUTO_HASHER struct hasher h;
	hasher_init(&h);
	hasher_str(&h, "by text");
	hasher_digest(&h, &j->manifest_key);
	hasher_digest(&h, &text);
	*key = hasher_end(&h);
	return 0;
}

// ---- without a match: how far is the nearest entry? -------------------------------------------------------------------

static uint32_t count_differences(struct job *j, struct memo *memo, const struct manifest_entry *e)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < e->n_inputs; i++)
		n += !digest_equal(digest_now(j, memo, e->inputs[i].name), &e->inputs[i].digest);
	return n;
}

// True if every file that differs does so in comments only; `now` gets the inputs as they are.
static bool differs_in_comments(struct job *j, struct memo *memo, const struct manifest_entry *e, struct manifest_input *now)
{
	for (uint32_t i = 0; i < e->n_inputs; i++) {
		const struct manifest_input *in = &e->inputs[i];
		struct file_facts facts;
		now[i] = *in;
		if (digest_equal(digest_now(j, memo, in->name), &in->digest))
			continue;
		if ((in->flags & INPUT_NO_CODE) ||
		    files_facts(j->d->files, j->cwd_fd, job_real_path(j, &j->arena, in->name), &j->arena, &facts, NULL) <
			    0 ||
		    !digest_equal(&facts.scan.code, &in->code))
			return false;
		now[i].digest = facts.digest;
		job_keep_text(j, job_real_path(j, &j->arena, in->name), &facts.digest);
	}
	return true;
}

static int by_code(struct job *j, struct memo *memo, struct manifest_entry *e, struct manifest_entry *entry,
		   struct buf *result)
{
	// Messages quote the source with its comments.
	if (!j->code_counts || !digest_is_zero(&e->messages_context) || !context_matches(j, e))
		return 0;
	struct manifest_input *now = arena_alloc(&j->arena, e->n_inputs * sizeof *now);
	if (!differs_in_comments(j, memo, e, now) || !names_hold(j, e, NULL) || !take_result(j, e, result))
		return 0;
	*entry = *e;
	entry->inputs = now;
	j->outcome = OUTCOME_PREPROCESSED_HIT;
	if (!config_bool(j->config, SETTING_read_only))
		manifests_add(j->d->manifests, &j->manifest_key, entry,
			      (size_t)config_number(j->config, SETTING_max_manifest_entries), NULL);
	return 1;
}

static void explain_entry(struct job *j, struct memo *memo, struct manifest_entry *e)
{
	struct cause *c = &j->cause;
	if (c->kind == CAUSE_EVICTED)
		return;
	for (uint32_t i = 0; i < e->n_inputs; i++) {
		const struct manifest_input *in = &e->inputs[i];
		const struct digest *now = digest_now(j, memo, in->name);
		if (digest_equal(now, &in->digest))
			continue;
		char was[DIGEST_HEX], is[DIGEST_HEX];
		digest_hex(&in->digest, was);
		digest_hex(now, is);
		bool gone = digest_is_zero(now);
		c->kind = gone ? CAUSE_VANISHED : CAUSE_INPUT;
		cause_add(c, job_real_path(j, &j->arena, in->name), arena_strdup(&j->arena, was),
			  gone ? NULL : arena_strdup(&j->arena, is));
	}
	if (c->n_all || !names_hold(j, e, c))
		return;
	if (!digest_is_zero(&e->time_context) && !digest_equal(&e->time_context, &j->time_context))
		c->kind = CAUSE_TIME;
	else if (!digest_is_zero(&e->messages_context) && !digest_equal(&e->messages_context, &j->messages_context))
		c->kind = CAUSE_MESSAGES;
	else
		c->kind = CAUSE_PLACE;
}

static int nearest(struct job *j, struct memo *memo, struct manifest_entry *entry, struct buf *result)
{
	struct manifest *m = j->manifest;
	struct manifest_entry *best = NULL;
	uint32_t least = UINT32_MAX;
	for (uint32_t i = 0; i < m->n_entries && i < COMPARED_ENTRIES; i++) {
		struct manifest_entry *e = &m->entries[i];
		uint32_t n = count_differences(j, memo, e);
		if (n && by_code(j, memo, e, entry, result))
			return 1;
		if (n < least) {
			least = n;
			best = e;
		}
	}
	if (best)
		explain_entry(j, memo, best);
	return 0;
}

int job_look_up(struct job *j, struct manifest_entry *entry, struct buf *result)
{
	j->epoch = watch_epoch(j->d->watch);
	arrivals_read(j->d->arrivals);
	j->manifest = manifests_get(j->d->manifests, &j->manifest_key);
	if (!j->manifest) {
		unit_compare(j, j->d->store, &j->arena, &j->cause);
		return 0;
	}
	struct memo memo = {MAP_INIT};
	int found = direct(j, &memo, entry, result);
	if (!found)
		found = direct_by_text(j, &memo, entry, result);
	if (!found)
		found = nearest(j, &memo, entry, result);
	map_release(&memo.digests);
	return found;
}
