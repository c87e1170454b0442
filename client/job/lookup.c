#include "client/job/lookup.h"

#include "base/map.h"
#include "base/path.h"
#include "client/job/texts.h"
#include "client/job/variants.h"
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
	struct map texts;  // name -> struct text_now in the job's arena
	struct map states; // name -> struct file_id, as the texts; a file number of 0: there is none
};

// A text as it is now, and the identity of the file that had it.
struct text_now {
	struct digest digest; // zero: can't be read
	struct file_id id;
};

static const struct text_now *text_now(const struct plan *p, struct memo *memo, const char *name)
{
	struct text_now *t = memo ? map_gets(&memo->texts, name) : NULL;
	struct stat st;
	if (t)
		return t;
	t = arena_alloc(p->arena, sizeof *t);
	*t = (struct text_now){0};
	if (files_digest(p->services->files, p->cwd_fd, plan_real_path(p, p->arena, name), &t->digest, &st, NULL) < 0)
		t->digest = (struct digest){0};
	else
		t->id = file_id_of(&st);
	if (memo)
		map_puts(&memo->texts, name, t);
	return t;
}

static const struct digest *digest_now(const struct plan *p, struct memo *memo, const char *name)
{
	return &text_now(p, memo, name)->digest;
}

static void note_date(struct lookup *l, const struct file_id *id)
{
	if (id->ctime_ns > l->newest_input_ns)
		l->newest_input_ns = id->ctime_ns;
}

// What is at an absolute path, without a look as long as nothing has changed there. WATCHED_REFUSED: look yourself.
static enum watched_state state_now(struct lookup *l, const char *path, const struct watched **known)
{
	const struct plan *p = l->plan;
	if (!l->epoch || path[0] != '/')
		return WATCHED_REFUSED;
	if (!watched_holds(*known, l->epoch))
		*known = watch_look(p->services->watch, l->epoch, path);
	return *known ? (*known)->state : WATCHED_REFUSED;
}

// What is there now. `memo` may be NULL.
static struct file_id state_of(const struct plan *p, struct memo *memo, const char *name)
{
	struct stat st;
	const struct file_id *known = memo ? map_gets(&memo->states, name) : NULL;
	if (known)
		return *known;
	struct file_id id = {0};
	if (fstatat(p->cwd_fd, plan_real_path(p, p->arena, name), &st, 0) == 0)
		id = file_id_of(&st);
	if (memo) {
		struct file_id *kept = arena_alloc(p->arena, sizeof *kept);
		*kept = id;
		map_puts(&memo->states, name, kept);
	}
	return id;
}

// In the usual case a watch, or one look at the file's identity, is enough.
static bool input_matches(struct lookup *l, struct memo *memo, struct manifest_input *in)
{
	const struct plan *p = l->plan;
	enum watched_state state = state_now(l, in->name, &in->watched);
	if (state == WATCHED_ABSENT)
		return false;
	if (state == WATCHED_FILE) {
		note_date(l, &in->watched->id);
		return digest_equal(&in->watched->digest, &in->digest);
	}
	struct file_id id = state_of(p, memo, in->name);
	if (!id.ino)
		return false;
	note_date(l, &id);
	if (file_id_equal(&id, &in->seen))
		return true;
	// The text may be another file's than the one that was looked at before.
	const struct text_now *text = text_now(p, memo, in->name);
	if (!digest_equal(&text->digest, &in->digest))
		return false;
	int64_t floor = clock_now_ns() - FILES_AGE_FLOOR_NS;
	if (text->id.mtime_ns < floor && text->id.ctime_ns < floor)
		in->seen = text->id;
	return true;
}

static bool inputs_match(struct lookup *l, struct memo *memo, struct manifest_entry *e)
{
	bool match = true;
	pthread_mutex_lock(&l->manifest->lock);
	for (uint32_t i = 0; i < e->n_inputs && match; i++)
		match = input_matches(l, memo, &e->inputs[i]);
	pthread_mutex_unlock(&l->manifest->lock);
	return match;
}

static bool context_matches(const struct plan *p, const struct manifest_entry *e)
{
	return (digest_is_zero(&e->messages_context) || digest_equal(&e->messages_context, &p->messages_context)) &&
	       (digest_is_zero(&e->time_context) || digest_equal(&e->time_context, &p->time_context)) &&
	       (digest_is_zero(&e->place_context) || digest_equal(&e->place_context, &p->place));
}

// lstat(), by a watch where that is possible; else `watched` becomes false.
static int look_at(struct lookup *l, const char *path, struct stat *st, bool *watched)
{
	const struct plan *p = l->plan;
	const struct watched *known = NULL;
	switch (*watched ? state_now(l, path, &known) : WATCHED_REFUSED) {
	case WATCHED_ABSENT:
		errno = ENOENT;
		return -1;
	case WATCHED_FILE:
	case WATCHED_DIRECTORY:
		st->st_mode = known->state == WATCHED_FILE ? S_IFREG : S_IFDIR;
		return 0;
	case WATCHED_REFUSED:
		break;
	}
	*watched = false;
	return fstatat(p->cwd_fd, path, st, AT_SYMLINK_NOFOLLOW);
}

// The same for a name that begins with PATH_CACHE_ANY: whether there is one like it.
static bool any_appeared(struct lookup *l, const char *path, bool *watched)
{
	const struct plan *p = l->plan;
	const struct watched *known = NULL;
	const char *base = path_base(path);
	if (*watched && state_now(l, path, &known) == WATCHED_ABSENT)
		return false;
	*watched = false;
	AUTO_FREE char *dir = mem_strndup(path, (size_t)(base - path));
	return path_cache_any_ends(p->cwd_fd, dir, base + strlen(PATH_CACHE_ANY));
}

// A directory with names that must be absent, as it is now.
struct group_now {
	const char *dir;
	struct stat st;
	struct file_id id;
	uint64_t stamp; // of the directory watch; 0: it tells nothing
	bool watched;   // nothing can appear in it without a change of epoch
	bool is_old;    // its own dates tell of every later change
	bool complete;  // and of everything that may appear
};

// Where the directory, or the news of it, is as it was when the names were last looked for, none of them has come.
static bool is_unchanged(struct lookup *l, struct absent_group *g, struct group_now *now)
{
	const struct plan *p = l->plan;
	int64_t clock = clock_now_ns();
	now->id = file_id_of(&now->st);
	if (g->checked_trusted && file_id_equal(&now->id, &g->checked)) {
		g->epoch = now->watched ? l->epoch : 0;
		return true;
	}
	now->is_old = clock - now->id.mtime_ns > FILES_AGE_FLOOR_NS && clock - now->id.ctime_ns > FILES_AGE_FLOOR_NS;
	// A directory that changes all the time: a build writes its outputs there.
	if (!now->is_old || g->checked.ino)
		now->stamp = directory_watch_stamp(p->services->arrivals, p->cwd_fd, now->dir, &now->st);
	if (now->stamp && g->stamp == now->stamp)
		return true;
	if (!directory_watch_expect(p->services->arrivals, now->stamp, g->names, g->n_names))
		now->stamp = 0;
	return false;
}

// Whether there is something at this path where a header could be read from.
static bool is_present(struct lookup *l, char *path, struct group_now *now)
{
	struct stat st;
	size_t n = strlen(path);
	bool directory_allowed = path[n - 1] == '/';
	if (directory_allowed)
		path[n - 1] = '\0';
	if (look_at(l, path, &st, &now->watched) < 0)
		return false;
	now->complete &= !S_ISLNK(st.st_mode); // what it leads to changes elsewhere
	bool dangling = S_ISLNK(st.st_mode) && fstatat(l->plan->cwd_fd, path, &st, 0) < 0 && errno == ENOENT;
	return !dangling && !(directory_allowed && S_ISDIR(st.st_mode));
}

// Is the first directory of "sub/x.h" missing? Else the group's own directory does not tell of all that may appear.
static bool lacks_subdirectory(struct lookup *l, char *path, size_t end, struct group_now *now)
{
	struct stat st;
	path[end] = '\0';
	bool lacks = look_at(l, path, &st, &now->watched) < 0 && errno == ENOENT;
	path[end] = '/';
	now->complete &= lacks;
	return lacks;
}

static const char *first_present(struct lookup *l, const struct absent_group *g, const char *dir, struct group_now *now)
{
	char path[4096];
	size_t n = dir[0] ? (size_t)snprintf(path, sizeof path, "%s/", dir) : 0;
	const char *gone = NULL; // the name whose subdirectory is not there, and that one's length: sorted, others follow
	size_t gone_len = 0;
	for (uint32_t i = 0; i < g->n_names; i++) {
		const char *name = g->names[i], *slash = strchr(name, '/'), *base = path_base(name);
		if (n + strlen(name) >= sizeof path)
			return name;
		if (gone && strncmp(name, gone, gone_len) == 0)
			continue;
		strcpy(path + n, name);
		if (slash && slash[1] && lacks_subdirectory(l, path, n + (size_t)(slash - name), now)) {
			gone = name;
			gone_len = (size_t)(slash - name) + 1;
			continue;
		}
		bool is_any = strncmp(base, PATH_CACHE_ANY, strlen(PATH_CACHE_ANY)) == 0;
		if (is_any ? any_appeared(l, path, &now->watched) : is_present(l, path, now))
			return name;
		if (is_any)
			now->stamp = 0;
	}
	return NULL;
}

// The name in the group that exists now, or NULL. Under the manifest's lock.
static const char *appeared_in(struct lookup *l, struct absent_group *g, const char *dir)
{
	const struct plan *p = l->plan;
	struct group_now now = {.dir = dir[0] ? dir : ".", .complete = true};
	if (l->epoch && g->epoch == l->epoch)
		return NULL;
	// First the directory, later each name. (One in the build tree is another directory for another job.)
	now.watched = l->epoch && g->dir[0] == '/' && watch_directory(p->services->watch, dir);
	if (fstatat(p->cwd_fd, now.dir, &now.st, 0) < 0)
		return NULL;
	if (!S_ISDIR(now.st.st_mode))
		return ".";
	if (is_unchanged(l, g, &now))
		return NULL;
	const char *name = first_present(l, g, dir, &now);
	if (name)
		return name;
	g->checked = now.id;
	g->checked_trusted = now.complete && now.is_old;
	g->epoch = now.watched ? l->epoch : 0;
	g->stamp = now.complete ? now.stamp : 0;
	return NULL;
}

// True if every name that must be absent is, and every one that must be present too; else the cause is noted if asked for.
static bool names_hold(struct lookup *l, struct manifest_entry *e, struct cause *cause)
{
	const struct plan *p = l->plan;
	const char *found = NULL, *dir = NULL;
	pthread_mutex_lock(&l->manifest->lock);
	for (uint32_t i = 0; i < e->n_absent && !found; i++) {
		dir = plan_real_path(p, p->arena, e->absent[i].dir);
		found = appeared_in(l, &e->absent[i], dir);
	}
	pthread_mutex_unlock(&l->manifest->lock);
	if (found && cause) {
		cause->kind = CAUSE_APPEARED;
		cause_add(cause, path_join(p->arena, dir, found), NULL, "present");
	}
	for (uint32_t i = 0; i < e->n_links && !found; i++) {
		const char *name = plan_real_path(p, p->arena, e->links[i].dir);
		char *real = search_real_path(p->arena, p->cwd_fd, name);
		if (real && strcmp(plan_canonical_path(p, real), e->links[i].real) == 0)
			continue;
		found = name;
		if (cause) {
			cause->kind = CAUSE_LINK;
			cause_add(cause, name, plan_real_path(p, p->arena, e->links[i].real), real);
		}
	}
	for (uint32_t i = 0; i < e->n_present && !found; i++) {
		const char *name = plan_real_path(p, p->arena, e->present[i]);
		const struct watched *known = NULL;
		enum watched_state state = state_now(l, name, &known);
		if (state == WATCHED_FILE || state == WATCHED_DIRECTORY || faccessat(p->cwd_fd, name, F_OK, 0) == 0)
			continue;
		found = name;
		if (cause) {
			cause->kind = CAUSE_VANISHED;
			cause_add(cause, name, "present", NULL);
		}
	}
	return !found;
}

static int take_result(struct lookup *l, const struct manifest_entry *e, struct buf *result)
{
	const struct plan *p = l->plan;
	struct err err = ERR_INIT;
	if (store_get(p->services->store, STORE_RESULT, &e->result, result, &err) == 1)
		return 1;
	l->cause.kind = err.code == ERR_FORMAT ? CAUSE_CORRUPT : CAUSE_EVICTED;
	return 0;
}

static void take_entry(struct lookup *l, struct manifest_entry *e, struct manifest_entry *out)
{
	pthread_mutex_lock(&l->manifest->lock);
	e->uses++;
	*out = *e;
	pthread_mutex_unlock(&l->manifest->lock);
}

static int direct(struct lookup *l, struct memo *memo, struct manifest_entry *entry, struct buf *result)
{
	const struct plan *p = l->plan;
	struct manifest *m = l->manifest;
	for (uint32_t i = 0; i < m->n_entries; i++) {
		struct manifest_entry *e = &m->entries[i];
		if (!inputs_match(l, m->n_entries > 1 ? memo : NULL, e) || !context_matches(p, e) || !names_hold(l, e, NULL))
			continue;
		if (take_result(l, e, result)) {
			take_entry(l, e, entry);
			l->outcome = OUTCOME_DIRECT_HIT;
			return 1;
		}
	}
	return 0;
}

// A source whose text changes with every compile (a configure script's conftest.c) fills its manifest with variants that
// push each other out. Each text has a manifest of its own then.
static int direct_by_text(struct lookup *l, struct memo *memo, struct manifest_entry *entry, struct buf *result)
{
	const struct plan *p = l->plan;
	struct digest key;
	if (!lookup_is_crowded(l) || lookup_text_key(p, &key) < 0)
		return 0;
	struct manifest *all = l->manifest;
	l->manifest = manifests_get(p->services->manifests, &key);
	int found = l->manifest ? direct(l, memo, entry, result) : 0;
	if (!found) {
		manifest_unref(l->manifest);
		l->manifest = all;
	} else {
		manifest_unref(all);
	}
	return found;
}

bool lookup_is_crowded(const struct lookup *l)
{
	return l->manifest && l->manifest->n_entries >= setting_number(l->plan->config, SETTING_max_manifest_entries) / 4;
}

int lookup_text_key(const struct plan *p, struct digest *key)
{
	struct digest text;
	if (files_digest(p->services->files, p->cwd_fd, p->line.source, &text, NULL, NULL) < 0)
		return -1;
	AUTO_HASHER struct hasher h;
	hasher_init(&h);
	hasher_str(&h, "by text");
	hasher_digest(&h, &p->manifest_key);
	hasher_digest(&h, &text);
	*key = hasher_end(&h);
	return 0;
}

// ---- without a match: how far is the nearest entry? -------------------------------------------------------------------

static uint32_t count_differences(struct lookup *l, struct memo *memo, const struct manifest_entry *e)
{
	const struct plan *p = l->plan;
	uint32_t n = 0;
	for (uint32_t i = 0; i < e->n_inputs; i++)
		n += !digest_equal(digest_now(p, memo, e->inputs[i].name), &e->inputs[i].digest);
	return n;
}

// True if every file that differs does so in comments only; `now` gets the inputs as they are.
static bool differs_in_comments(struct lookup *l, struct memo *memo, const struct manifest_entry *e,
				struct manifest_input *now)
{
	const struct plan *p = l->plan;
	for (uint32_t i = 0; i < e->n_inputs; i++) {
		const struct manifest_input *in = &e->inputs[i];
		struct file_facts facts;
		now[i] = *in;
		if (digest_equal(digest_now(p, memo, in->name), &in->digest))
			continue;
		if ((in->flags & INPUT_NO_CODE) ||
		    files_facts(p->services->files, p->cwd_fd, plan_real_path(p, p->arena, in->name), p->arena, &facts,
				NULL) < 0 ||
		    !digest_equal(&facts.scan.code, &in->code))
			return false;
		now[i].digest = facts.digest;
		// With `#pragma once` gcc takes the second of two equal files for the first, if their dates are equal.
		for (uint32_t k = 0; k < e->n_inputs; k++)
			if (k != i && digest_equal(&facts.digest, &(k < i ? now : e->inputs)[k].digest))
				return false;
		texts_keep(p, plan_real_path(p, p->arena, in->name), &facts.digest, NULL);
	}
	return true;
}

static int by_code(struct lookup *l, struct memo *memo, struct manifest_entry *e, struct manifest_entry *entry,
		   struct buf *result)
{
	const struct plan *p = l->plan;
	// Messages quote the source with its comments.
	if (!p->code_counts || !digest_is_zero(&e->messages_context) || !context_matches(p, e))
		return 0;
	struct manifest_input *now = arena_alloc(p->arena, e->n_inputs * sizeof *now);
	if (!differs_in_comments(l, memo, e, now) || !names_hold(l, e, NULL) || !take_result(l, e, result))
		return 0;
	*entry = *e;
	entry->inputs = now;
	l->outcome = OUTCOME_PREPROCESSED_HIT;
	if (!setting_bool(p->config, SETTING_read_only))
		manifests_add(p->services->manifests, &p->manifest_key, entry,
			      (size_t)setting_number(p->config, SETTING_max_manifest_entries), NULL);
	return 1;
}

static void explain_entry(struct lookup *l, struct memo *memo, struct manifest_entry *e)
{
	const struct plan *p = l->plan;
	struct cause *c = &l->cause;
	if (c->kind == CAUSE_EVICTED || c->kind == CAUSE_CORRUPT)
		return;
	for (uint32_t i = 0; i < e->n_inputs; i++) {
		const struct manifest_input *in = &e->inputs[i];
		const struct digest *now = digest_now(p, memo, in->name);
		if (digest_equal(now, &in->digest))
			continue;
		char was[DIGEST_HEX], is[DIGEST_HEX];
		digest_hex(&in->digest, was);
		digest_hex(now, is);
		bool gone = digest_is_zero(now);
		c->kind = gone ? CAUSE_VANISHED : CAUSE_INPUT;
		cause_add(c, plan_real_path(p, p->arena, in->name), arena_strdup(p->arena, was),
			  gone ? NULL : arena_strdup(p->arena, is));
	}
	if (c->n_all || !names_hold(l, e, c))
		return;
	if (!digest_is_zero(&e->time_context) && !digest_equal(&e->time_context, &p->time_context))
		c->kind = CAUSE_TIME;
	else if (!digest_is_zero(&e->place_context) && !digest_equal(&e->place_context, &p->place))
		c->kind = CAUSE_PLACE;
	else
		c->kind = CAUSE_MESSAGES;
}

static int nearest(struct lookup *l, struct memo *memo, struct manifest_entry *entry, struct buf *result)
{
	struct manifest *m = l->manifest;
	struct manifest_entry *best = NULL;
	uint32_t least = UINT32_MAX, differences[COMPARED_ENTRIES];
	uint32_t n = m->n_entries < COMPARED_ENTRIES ? m->n_entries : COMPARED_ENTRIES;
	for (uint32_t i = 0; i < n; i++) {
		differences[i] = count_differences(l, memo, &m->entries[i]);
		if (differences[i] && by_code(l, memo, &m->entries[i], entry, result))
			return 1;
	}
	// A name that has come or gone is a difference as well; of two as near the newer one tells what has happened.
	for (uint32_t i = 0; i < n; i++) {
		if (differences[i] < least)
			differences[i] += !names_hold(l, &m->entries[i], NULL);
		if (differences[i] < least) {
			least = differences[i];
			best = &m->entries[i];
		}
	}
	if (best)
		explain_entry(l, memo, best);
	return 0;
}

int lookup_find(struct lookup *l, struct manifest_entry *entry, struct buf *result)
{
	const struct plan *p = l->plan;
	l->epoch = p->epoch;
	directory_watch_read(p->services->arrivals);
	l->manifest = manifests_get(p->services->manifests, &p->manifest_key);
	if (!l->manifest) {
		variants_compare(p, p->services->store, p->arena, &l->cause);
		return 0;
	}
	struct memo memo = {MAP_INIT, MAP_INIT};
	int found = direct(l, &memo, entry, result);
	if (!found)
		found = direct_by_text(l, &memo, entry, result);
	if (!found)
		found = nearest(l, &memo, entry, result);
	map_release(&memo.texts);
	map_release(&memo.states);
	return found;
}

bool lookup_holds(struct lookup *l, struct manifest *m, struct manifest_entry *e)
{
	struct manifest *own = l->manifest;
	l->manifest = m;
	bool holds = context_matches(l->plan, e) && names_hold(l, e, NULL);
	l->manifest = own;
	return holds;
}

void lookup_take_manifest(struct lookup *l, struct manifest *m)
{
	manifest_unref(l->manifest);
	l->manifest = m;
	l->outcome = OUTCOME_DIRECT_HIT;
}

bool lookup_has_news(const struct lookup *l)
{
	struct manifest *m = manifests_get(l->plan->services->manifests, &l->plan->manifest_key);
	bool is_new = m != l->manifest;
	manifest_unref(m);
	return is_new;
}

void lookup_release(struct lookup *l)
{
	manifest_unref(l->manifest);
}
