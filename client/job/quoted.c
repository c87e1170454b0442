#include "client/job/quoted.h"

#include "base/map.h"
#include "base/path.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct quoted {
	const struct plan *plan;
	const struct baseline *baseline;
	struct manifest_entry *entry;
	struct map known;
	unsigned n;
};

// Without the escape sequences of colours and links.
static char *plain(struct arena *a, const struct buf *messages)
{
	char *out = arena_alloc(a, messages->len + 1), *to = out;
	for (const char *at = messages->data, *end = at + messages->len; at < end; at++) {
		if (*at != '\33') {
			*to++ = *at;
		} else if (at + 1 < end && at[1] == '[') {
			for (at += 2; at < end && !isalpha((unsigned char)*at); at++)
				;
		} else if (at + 1 < end && at[1] == ']') {
			while (at < end && *at != '\a' && !(*at == '\33' && at + 1 < end && at[1] == '\\'))
				at++;
			at += at < end && *at == '\33';
		}
	}
	return out;
}

// "gram.y:2:5: warning: …", "In file included from x.h:7," and "                 from y.h:1:".
static char *name_in(struct arena *a, const char *line, size_t n)
{
	static const char *const before[] = {"In file included from ", "from "};
	while (n && *line == ' ') {
		line++;
		n--;
	}
	for (size_t i = 0; i < COUNT_OF(before); i++)
		if (n > strlen(before[i]) && strncmp(line, before[i], strlen(before[i])) == 0) {
			line += strlen(before[i]);
			n -= strlen(before[i]);
		}
	for (size_t at = 1; at + 1 < n; at++) {
		size_t digits = 0;
		while (line[at] == ':' && at + 1 + digits < n && isdigit((unsigned char)line[at + 1 + digits]))
			digits++;
		char after = at + 1 + digits < n ? line[at + 1 + digits] : '\0';
		if (digits && (after == ':' || after == ','))
			return arena_strndup(a, line, at);
	}
	return NULL;
}

static void note_known(struct quoted *q)
{
	for (uint32_t i = 0; i < q->entry->n_inputs; i++)
		map_puts(&q->known, q->entry->inputs[i].name, q);
}

static struct refusal add_input(struct quoted *q, const char *name, const struct stat *st)
{
	const struct plan *p = q->plan;
	struct file_id id = file_id_of(st);
	struct manifest_input *inputs = arena_alloc(p->arena, (q->entry->n_inputs + 1) * sizeof *inputs);
	struct digest digest;
	if (id.mtime_ns >= q->baseline->start_ns || id.ctime_ns >= q->baseline->start_ns ||
	    files_digest(p->services->files, p->cwd_fd, name, &digest, NULL, NULL) < 0)
		return refuse(REASON_input_changed, name);
	memcpy(inputs, q->entry->inputs, q->entry->n_inputs * sizeof *inputs);
	inputs[q->entry->n_inputs++] = (struct manifest_input){
		.name = plan_canonical_path(p, name), .digest = digest, .code = digest, .flags = INPUT_NO_CODE};
	q->entry->inputs = inputs;
	return NO_REFUSAL;
}

static void add_absent(struct quoted *q, const char *name)
{
	const struct plan *p = q->plan;
	struct manifest_entry *e = q->entry;
	struct absent_group *groups = arena_alloc(p->arena, (e->n_absent + 1) * sizeof *groups);
	const char *dir = path_dir(p->arena, name);
	const char **names = arena_alloc(p->arena, sizeof *names);
	if (e->n_absent)
		memcpy(groups, e->absent, e->n_absent * sizeof *groups);
	names[0] = arena_strdup(p->arena, path_base(name));
	groups[e->n_absent++] = (struct absent_group){
		.dir = strcmp(dir, ".") == 0 ? "" : plan_canonical_path(p, dir), .names = names, .n_names = 1};
	e->absent = groups;
}

static struct refusal add(struct quoted *q, const char *name)
{
	struct stat st;
	if (map_puts(&q->known, plan_canonical_path(q->plan, name), q) || !path_base(name)[0])
		return NO_REFUSAL;
	if (++q->n > QUOTED_MAX)
		return refuse(REASON_too_many_inputs, name);
	if (fstatat(q->plan->cwd_fd, name, &st, 0) < 0)
		add_absent(q, name);
	else if (S_ISREG(st.st_mode))
		return add_input(q, name, &st);
	return NO_REFUSAL;
}

struct refusal quoted_add(const struct plan *p, const struct baseline *b, const struct buf *messages,
			  struct manifest_entry *e)
{
	struct quoted q = {.plan = p, .baseline = b, .entry = e};
	struct refusal refusal = NO_REFUSAL;
	if (!messages->len)
		return refusal;
	note_known(&q);
	for (const char *line = plain(p->arena, messages); *line && !is_refused(refusal);) {
		size_t n = strcspn(line, "\n");
		char *name = name_in(p->arena, line, n);
		if (name)
			refusal = add(&q, name);
		line += n + (line[n] == '\n');
	}
	map_release(&q.known);
	return refusal;
}
