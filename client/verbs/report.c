#include "client/verbs/report.h"

#include "base/file.h"
#include "base/value.h"
#include "client/verbs/format.h"
#include "compiler/reason.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_GROUPS = 2000, MOST_PRINTED = 15, MOST_LINES = 4 };

// ---- gathering ------------------------------------------------------------------------------------------------------

static int64_t time_of(const json_t *record)
{
	return json_integer_value(json_object_get(record, "time_ms"));
}

// The first record that belongs to it.
static size_t begin_of(const struct history *history, int64_t since_s)
{
	size_t n = json_array_size(history->records), i = n;
	int64_t now = clock_now_ms(), next = n ? time_of(json_array_get(history->records, n - 1)) : 0;
	while (i > 0) {
		int64_t t = time_of(json_array_get(history->records, i - 1));
		if (since_s ? t < now - since_s * 1000 : next - t > REPORT_PAUSE_S * 1000)
			break;
		next = t;
		i--;
	}
	return i;
}

static void add_example(struct report_group *g, const char *source)
{
	size_t i = 0;
	while (i < g->n_examples && strcmp(g->examples[i], source) != 0)
		i++;
	if (i == g->n_examples && i < REPORT_EXAMPLES && source[0])
		g->examples[g->n_examples++] = source;
}

static void add_to_group(struct report *r, const json_t *record)
{
	size_t i = 0;
	while (i < r->n_groups && !record_same_cause(r->groups[i].record, record))
		i++;
	if (i == MOST_GROUPS)
		return;
	if (i == r->n_groups) {
		r->groups = mem_realloc(r->groups, (i + 1) * sizeof *r->groups);
		r->groups[r->n_groups++] = (struct report_group){.record = record};
	}
	struct report_group *g = &r->groups[i];
	g->n++;
	g->seconds += record_seconds(record);
	add_example(g, record_text(record, "source"));
}

static int by_seconds(const void *x, const void *y)
{
	const struct report_group *a = x, *b = y;
	if (a->seconds != b->seconds)
		return a->seconds < b->seconds ? 1 : -1;
	return a->n < b->n ? 1 : a->n > b->n ? -1 : 0;
}

void report_make(struct report *r, const struct history *history, int64_t since_s)
{
	size_t n = json_array_size(history->records), from = begin_of(history, since_s);
	for (size_t i = from; i < n; i++) {
		const json_t *record = json_array_get(history->records, i);
		const char *outcome = record_text(record, "outcome");
		r->from_ms = i == from ? time_of(record) : r->from_ms;
		r->to_ms = time_of(record);
		r->compiles++;
		r->direct_hits += strcmp(outcome, "direct_hit") == 0;
		r->preprocessed_hits += strcmp(outcome, "preprocessed_hit") == 0;
		r->misses += strcmp(outcome, "miss") == 0;
		r->not_cached += strcmp(outcome, "not_cached") == 0;
		*(record_is_hit(record) ? &r->saved : &r->lost) += record_seconds(record);
		if (!record_is_hit(record))
			add_to_group(r, record);
	}
	if (r->n_groups)
		qsort(r->groups, r->n_groups, sizeof *r->groups, by_seconds);
}

void report_release(struct report *r)
{
	free(r->groups);
	arena_release(&r->arena);
}

// ---- words ----------------------------------------------------------------------------------------------------------

static const json_t *first_change(const struct report_group *g)
{
	return json_array_get(json_object_get(json_object_get(g->record, "cause"), "changes"), 0);
}

static const char *cause_of(struct report *r, const struct report_group *g)
{
	const char *reason = record_text(g->record, "reason"), *culprit = record_text(g->record, "culprit");
	const json_t *change = first_change(g);
	if (reason[0])
		return arena_printf(&r->arena, "not cached: %s%s%s%s", reason_text(reason_by_name(reason)),
				    culprit[0] && g->n == 1 ? ": '" : "", culprit[0] && g->n == 1 ? culprit : "",
				    culprit[0] && g->n == 1 ? "'" : "");
	const char *kind = record_text(json_object_get(g->record, "cause"), "kind"), *text = explain_cause_text(kind);
	if (!change)
		return text;
	const char *name = record_text(change, "name"), *was = record_text(change, "was"), *now = record_text(change, "now");
	bool is_file = strcmp(kind, "input") == 0 || strcmp(kind, "vanished") == 0 || strcmp(kind, "appeared") == 0;
	if (is_file)
		return arena_printf(&r->arena, "%s: '%s'", text, name);
	return arena_printf(&r->arena, "%s: %s%s%s%s%s", text, name, name[0] ? ": " : "", was[0] ? was : "nothing",
			    " before, now ", now[0] ? now : "nothing");
}

const char *report_cause(struct report *r, const struct report_group *g)
{
	return format_shown(&r->arena, cause_of(r, g));
}

unsigned report_lines(struct report *r, const struct report_group *g, struct line_change **lines)
{
	unsigned n_all;
	const json_t *change = first_change(g);
	const char *kind = record_text(json_object_get(g->record, "cause"), "kind");
	return change && strcmp(kind, "input") == 0 ? explain_lines(&r->arena, r->store, g->record, change, lines, &n_all)
						    : 0;
}

const char *report_seconds(struct report *r, double seconds)
{
	return format_duration(&r->arena, (uint64_t)(seconds * 1e6));
}

void report_print(struct report *r)
{
	printf("%s%zu compiles%s from %s, %s\n", format_style(STYLE_HEADING), r->compiles, format_plain(),
	       format_date(&r->arena, r->from_ms / 1000), report_seconds(r, (double)(r->to_ms - r->from_ms) / 1000));
	size_t hits = r->direct_hits + r->preprocessed_hits;
	printf("  hits        %6zu  %s  %s saved\n", hits, format_percent(&r->arena, hits, r->compiles),
	       report_seconds(r, r->saved));
	printf("  misses      %6zu\n  not cached  %6zu\n", r->misses, r->not_cached);
	if (r->n_groups)
		printf("\n%s in compiles that were no hits, by cause:\n", report_seconds(r, r->lost));
	for (size_t i = 0; i < r->n_groups && i < MOST_PRINTED; i++) {
		const struct report_group *g = &r->groups[i];
		struct line_change *lines;
		unsigned n = report_lines(r, g, &lines);
		printf("\n%9s  %zu compile%s: %s\n", report_seconds(r, g->seconds), g->n, g->n == 1 ? "" : "s",
		       report_cause(r, g));
		for (unsigned k = 0; k < n && k < MOST_LINES; k++)
			printf("           %s%5u %c %s%s\n", format_style(lines[k].sign == '-' ? STYLE_BAD : STYLE_GOOD),
			       lines[k].line, lines[k].sign, format_shown(&r->arena, lines[k].text), format_plain());
		if (g->n_examples)
			printf("           as %s%s\n", format_shown(&r->arena, g->examples[0]), g->n > 1 ? " …" : "");
	}
	if (r->n_groups > MOST_PRINTED)
		printf("\n… and %zu more causes (--html FILE or --json has all)\n", r->n_groups - MOST_PRINTED);
}

// ---- JSON -----------------------------------------------------------------------------------------------------------

static json_t *group_json(struct report *r, const struct report_group *g)
{
	json_t *o = json_object(), *examples = json_array();
	const json_t *cause = json_object_get(g->record, "cause");
	for (size_t i = 0; i < g->n_examples; i++)
		json_array_append_new(examples, json_text(g->examples[i]));
	json_object_set_new(o, "compiles", json_integer((json_int_t)g->n));
	json_object_set_new(o, "seconds", json_real(g->seconds));
	json_object_set_new(o, "text", json_text(report_cause(r, g)));
	if (record_text(g->record, "reason")[0])
		json_object_set_new(o, "reason", json_text(record_text(g->record, "reason")));
	else if (cause)
		json_object_set_new(o, "cause", json_deep_copy(cause));
	json_object_set_new(o, "sources", examples);
	return o;
}

json_t *report_json(struct report *r)
{
	json_t *o = json_object(), *groups = json_array();
	const struct {
		const char *name;
		size_t n;
	} counts[] = {{"compiles", r->compiles},
		      {"direct_hits", r->direct_hits},
		      {"preprocessed_hits", r->preprocessed_hits},
		      {"misses", r->misses},
		      {"not_cached", r->not_cached}};
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		json_object_set_new(o, counts[i].name, json_integer((json_int_t)counts[i].n));
	json_object_set_new(o, "from_ms", json_integer(r->from_ms));
	json_object_set_new(o, "to_ms", json_integer(r->to_ms));
	json_object_set_new(o, "seconds_saved", json_real(r->saved));
	json_object_set_new(o, "seconds_lost", json_real(r->lost));
	for (size_t i = 0; i < r->n_groups; i++)
		json_array_append_new(groups, group_json(r, &r->groups[i]));
	json_object_set_new(o, "causes", groups);
	return o;
}
