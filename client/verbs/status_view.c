#include "client/verbs/status.h"

#include "base/mem.h"
#include "base/value.h"
#include "client/stats.h"
#include "client/verbs/format.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { NAME_WIDTH = 16, NAME_WIDTH_MAX = 40, BAR = 10, LABEL = 14 };

struct painter {
	const struct status_view *view;
	struct arena arena;
	struct buf *out;
	unsigned lines;
	unsigned name_width;
};

static long long number(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static const char *text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));
	return s ? s : "";
}

// Workers and schedulers may say anything.
static const char *plain(struct painter *p, const char *said)
{
	char *copy = arena_strdup(&p->arena, said);
	value_make_plain(copy);
	return copy;
}

// How many bytes of UTF-8 fit into so many columns. What is not ASCII may take two of them.
static size_t bytes_that_fit(const char *line, size_t columns)
{
	size_t n = 0;
	for (size_t used = 0; line[n];) {
		size_t after = n + 1, width = (unsigned char)line[n] < 0x80 ? 1 : 2;
		while (((unsigned char)line[after] & 0xc0) == 0x80)
			after++;
		if ((used += width) > columns)
			break;
		n = after;
	}
	return n;
}

// Text, cut to the columns.
static void add_cut(struct painter *p, const char *line, size_t columns)
{
	size_t n = p->view->is_cut ? bytes_that_fit(line, columns) : strlen(line);
	if (line[n])
		n = bytes_that_fit(line, columns ? columns - 1 : 0);
	buf_add(p->out, line, n);
	if (line[n] && columns)
		buf_addc(p->out, '>');
}

// One line of plain text, cut to the width.
static void put(struct painter *p, const char *said)
{
	add_cut(p, plain(p, said), p->view->width);
	buf_addc(p->out, '\n');
	p->lines++;
}

static void put_label(struct painter *p, const char *label, const char *what)
{
	put(p, arena_printf(&p->arena, "  %-*s%s", LABEL, label, what));
}

static void put_heading(struct painter *p, const char *line)
{
	if (p->lines)
		put(p, "");
	buf_adds(p->out, format_style(STYLE_HEADING));
	put(p, line);
	p->out->len--; // the newline comes after the style's end
	buf_adds(p->out, format_plain());
	buf_addc(p->out, '\n');
}

static const char *percent(struct painter *p, long long part, long long whole)
{
	return whole > 0 ? format_percent(&p->arena, (uint64_t)part, (uint64_t)whole) : "-";
}

static const char *plural(struct painter *p, long long n, const char *noun)
{
	return arena_printf(&p->arena, "%lld %s%s", n, noun, n == 1 ? "" : "s");
}

// "14:03:12", of another day "2026-11-30".
static const char *time_text(struct painter *p, long long since_s)
{
	time_t at = (time_t)since_s, now = time(NULL);
	struct tm tm, today;
	char text_of[32];
	if (!localtime_r(&at, &tm) || !localtime_r(&now, &today))
		return "?";
	bool is_today = tm.tm_year == today.tm_year && tm.tm_yday == today.tm_yday;
	strftime(text_of, sizeof text_of, is_today ? "%H:%M:%S" : "%Y-%m-%d", &tm);
	return arena_strdup(&p->arena, text_of);
}

// ---- this machine -----------------------------------------------------------------------------------------------------

// Each cache directory and each COFFER_CONFIG has a daemon of its own.
static void show_others(struct painter *p, const json_t *s)
{
	const json_t *others = json_object_get(s, "others");
	size_t n = json_array_size(others);
	if (n)
		put_label(p, n == 1 ? "one more" : arena_printf(&p->arena, "%zu more", n),
			  arena_printf(&p->arena, "%s of other settings or another cache: pid %lld, %s%s",
				       n == 1 ? "a daemon" : "daemons", number(json_array_get(others, 0), "pid"),
				       text(json_array_get(others, 0), "cache"), n > 1 ? ", ..." : ""));
}

// What a compile that went to a worker has cost here.
static void show_way(struct painter *p, const json_t *counters, const char *label, const char *way)
{
	struct arena *a = &p->arena;
	long long n = number(counters, arena_printf(a, "remote_%ss", way));
	if (n <= 0)
		return;
	long long us = number(counters, arena_printf(a, "remote_%s_us", way)) / n,
		  bytes = number(counters, arena_printf(a, "remote_%s_bytes", way)) / n;
	put_label(p, label,
		  arena_printf(a, "%lld: %lld.%lld ms of CPU here and %s sent for each", n, us / 1000, us / 100 % 10,
			       format_bytes(a, (uint64_t)bytes)));
}

// How compiles went to workers, and why not as the user's own files where these were wanted; the most frequent reason first.
static void show_ways(struct painter *p, const json_t *counters)
{
	enum no_tree_reason first = NO_TREE_NONE;
	long long most = 0, sum = 0;
	show_way(p, counters, "as files", "tree");
	show_way(p, counters, "as text", "text");
	for (enum no_tree_reason r = NO_TREE_NONE + 1; r < NO_TREE_COUNT; r++) {
		long long n = number(counters, stats_name(stats_of_no_tree(r)));
		sum += n;
		first = n > most ? r : first;
		most = n > most ? n : most;
	}
	if (sum)
		put_label(p, "not as files",
			  arena_printf(&p->arena, "%lld, of these %lld: %s", sum, most, no_tree_text(first)));
}

static void show_here(struct painter *p, const json_t *s)
{
	struct arena *a = &p->arena;
	const json_t *c = json_object_get(s, "counters");
	long long slots = number(s, "local_slots"), running = number(s, "local_running"),
		  waiting = number(s, "local_waiting");
	long long hits = number(c, "direct_hits") + number(c, "preprocessed_hits"), misses = number(c, "misses");
	long long remote_hits = number(c, "remote_hits"), remote = remote_hits + number(c, "remote_compiles");
	const char *head = arena_printf(a, "coffer %s, daemon %lld, %s under way", text(s, "version"), number(s, "pid"),
					plural(p, number(s, "jobs"), "compile"));
	size_t n = strlen(head), end = p->view->width;
	if (*p->view->corner && n < end)
		head = arena_printf(a, "%s%*s", head, (int)(end - n), p->view->corner);
	put_heading(p, head);
	put_label(p, "cache", text(s, "cache"));
	put_label(p, "settings", text(s, "settings"));
	put_label(p, "this machine",
		  slots ? arena_printf(a, "%lld of %s at work, %lld waiting", running, plural(p, slots, "core"), waiting)
			: arena_printf(a, "%lld at work", running));
	put_label(p, "hits here", arena_printf(a, "%s: %lld of %lld", percent(p, hits, hits + misses), hits, hits + misses));
	if (remote)
		put_label(p, "hits there",
			  arena_printf(a, "%s: %lld of %lld sent to workers", percent(p, remote_hits, remote), remote_hits,
				       remote));
	show_ways(p, c);
}

// ---- a farm -----------------------------------------------------------------------------------------------------------

struct sums {
	long long workers, slots, running, waiting, sessions, own, answers, hits;
	const char *policy_of; // a worker that demands that nothing is kept, or NULL
};

static void add_up(const json_t *workers, struct sums *sums)
{
	size_t i;
	json_t *w;
	json_array_foreach(workers, i, w)
	{
		if (json_is_true(json_object_get(w, "keep_nothing")))
			sums->policy_of = text(w, "name");
		if (!json_object_get(w, "slots_all"))
			continue;
		sums->workers++;
		sums->slots += number(w, "slots_all");
		sums->running += number(w, "running");
		sums->waiting += number(w, "waiting");
		sums->sessions += number(w, "sessions");
		sums->own += number(w, "own_running");
		sums->answers += number(w, "own_answers");
		sums->hits += number(w, "own_hits");
	}
}

static void show_farm_head(struct painter *p, const json_t *farm, const struct sums *sums)
{
	struct arena *a = &p->arena;
	const char *scheduler = text(farm, "scheduler"), *tenant = text(farm, "tenant");
	put_heading(p, *scheduler ? arena_printf(a, "farm %s%s%s, %s", scheduler, *tenant ? ", tenant " : "", tenant,
						 text(farm, "image"))
		       : json_object_get(farm, "tenant") ? "workers without a scheduler"
							 : "a farm that can't be used");
	if (sums->workers) {
		put_label(p, "slots",
			  arena_printf(a, "%lld of %lld at work for all, %lld for our tenant, %lld waiting", sums->running,
				       sums->slots, sums->own, sums->waiting));
		put_label(p, "from here",
			  arena_printf(a, "%lld in flight, at most %lld", number(farm, "in_flight"),
				       number(farm, "most_jobs")));
		put_label(p, "tenant's hits",
			  arena_printf(a, "%s: %lld of %s; %s open", percent(p, sums->hits, sums->answers), sums->hits,
				       plural(p, sums->answers, "answer"), plural(p, sums->sessions, "session")));
	} else {
		size_t n = json_array_size(json_object_get(farm, "workers"));
		put_label(p, "no worker", n ? arena_printf(a, "none of %zu has answered", n) : text(farm, "why"));
	}
	if (*text(farm, "trouble"))
		put_label(
			p, "trouble",
			arena_printf(a, "since %s: %s", time_text(p, number(farm, "trouble_since")), text(farm, "trouble")));
	if (sums->policy_of)
		put_label(p, "policy",
			  arena_printf(a, "nothing is kept on this machine: worker %s says so", sums->policy_of));
}

// ---- its workers ------------------------------------------------------------------------------------------------------

static const char *bar(struct painter *p, long long part, long long whole)
{
	struct buf b = BUF_INIT;
	long long full = whole > 0 ? (part * BAR + whole - 1) / whole : 0;
	for (int i = 0; i < BAR; i++)
		buf_adds(&b, p->view->has_blocks ? (i < full ? "\xe2\x96\x88" : "\xe2\x96\x91") : i < full ? "#" : ".");
	const char *copy = arena_strndup(&p->arena, b.data, b.len);
	buf_release(&b);
	return copy;
}

static enum style style_of(const char *state)
{
	if (strcmp(state, "fine") == 0)
		return STYLE_GOOD;
	return strcmp(state, "pausing") == 0 || strcmp(state, "draining") == 0 ? STYLE_HEADING : STYLE_BAD;
}

static void show_worker(struct painter *p, const json_t *w)
{
	struct arena *a = &p->arena;
	const char *state = text(w, "state"), *why = text(w, "why");
	bool is_known = json_object_get(w, "slots_all");
	long long running = number(w, "running"), slots = number(w, "slots_all"), answers = number(w, "own_answers");
	if (*why && number(w, "since"))
		why = arena_printf(a, "%s (since %s)", why, time_text(p, number(w, "since")));
	if (p->view->width < STATUS_WIDTH && p->view->is_cut) {
		put(p, arena_printf(a, "  %-*.*s %8s %5lld  %s%s%s", (int)p->name_width, (int)p->name_width, text(w, "name"),
				    is_known ? arena_printf(a, "%lld/%lld", running, slots) : "-", number(w, "in_flight"),
				    state, *why ? ": " : "", why));
		return;
	}
	const char *left =
		is_known ? arena_printf(a, "%9s %5lld %5lld %8lld %7s", arena_printf(a, "%lld/%lld", running, slots),
					number(w, "in_flight"), number(w, "waiting"), number(w, "sessions"),
					percent(p, number(w, "own_hits"), answers))
			 : arena_printf(a, "%9s %5lld %5s %8s %7s", "-", number(w, "in_flight"), "-", "-", "-");
	// Name, bar and numbers are as wide as the table's head; the state has what is left.
	size_t used = 2 + p->name_width + 1 + BAR + 1 + strlen(left) + 2;
	buf_addf(p->out, "  %-*.*s %s %s  %s", (int)p->name_width, (int)p->name_width, plain(p, text(w, "name")),
		 bar(p, is_known ? running : 0, slots), left, format_style(style_of(state)));
	add_cut(p, plain(p, *why ? arena_printf(a, "%s: %s", state, why) : state),
		p->view->width > used ? p->view->width - used : 0);
	buf_addf(p->out, "%s\n", format_plain());
	p->lines++;
}

static unsigned widest_name(const json_t *workers, unsigned most)
{
	unsigned widest = NAME_WIDTH;
	size_t i;
	json_t *w;
	json_array_foreach(workers, i, w)
	{
		size_t n = strlen(text(w, "name"));
		widest = n > widest ? (unsigned)n : widest;
	}
	return widest < most ? widest : most;
}

static void show_workers(struct painter *p, const json_t *workers)
{
	size_t i, n = json_array_size(workers);
	bool is_narrow = p->view->is_cut && p->view->width < STATUS_WIDTH;
	unsigned spare = is_narrow ? 0 : p->view->is_cut ? p->view->width - STATUS_WIDTH : NAME_WIDTH_MAX;
	json_t *w;
	if (!n)
		return;
	p->name_width = widest_name(workers, NAME_WIDTH + (spare < NAME_WIDTH_MAX ? spare : NAME_WIDTH_MAX));
	put(p, "");
	if (is_narrow)
		put(p,
		    arena_printf(&p->arena, "  %-*s %8s %5s  %s", (int)p->name_width, "worker", "at work", "here", "state"));
	else
		put(p, arena_printf(&p->arena, "  %-*s %-*s %5s %5s %8s %7s  %s", (int)p->name_width, "worker", BAR + 10,
				    "slots at work", "here", "queue", "sessions", "hits", "state"));
	json_array_foreach(workers, i, w)
	{
		show_worker(p, w);
	}
}

// ---- what a window has room for ----------------------------------------------------------------------------------------

static void drop_empty_lines(struct painter *p)
{
	struct buf *b = p->out;
	size_t kept = 0;
	for (size_t i = 0; i < b->len; i++) {
		bool is_empty = b->data[i] == '\n' && (i == 0 || b->data[i - 1] == '\n');
		if (!is_empty)
			b->data[kept++] = b->data[i];
		p->lines -= is_empty;
	}
	b->len = kept;
}

// Nothing goes without a word.
static void fit_rows(struct painter *p)
{
	unsigned rows = p->view->rows;
	if (!rows || p->lines <= rows)
		return;
	drop_empty_lines(p);
	if (p->lines <= rows)
		return;
	size_t at = 0;
	for (unsigned line = 1; line < rows; line++)
		at = (size_t)((const char *)memchr(p->out->data + at, '\n', p->out->len - at) - p->out->data) + 1;
	unsigned left = p->lines - (rows - 1);
	p->out->len = at;
	put(p, arena_printf(&p->arena, "  and %u more lines", left));
}

void status_show(const struct status_view *view, const json_t *status, struct buf *out)
{
	struct painter p = {.view = view, .arena = ARENA_INIT, .out = out};
	size_t i;
	json_t *farm;
	if (json_object_get(status, "pid")) {
		show_here(&p, status);
	} else {
		put(&p, "no daemon is running");
		put_label(&p, "settings", text(status, "settings"));
	}
	show_others(&p, status);
	json_array_foreach(json_object_get(status, "farms"), i, farm)
	{
		struct sums sums = {0};
		add_up(json_object_get(farm, "workers"), &sums);
		show_farm_head(&p, farm, &sums);
		show_workers(&p, json_object_get(farm, "workers"));
	}
	fit_rows(&p);
	arena_release(&p.arena);
}
