// The report of a build as one HTML file: no script, nothing from elsewhere, light and dark.
#include "client/verbs/format.h"
#include "client/verbs/report.h"

#include <stdio.h>
#include <string.h>

enum { MOST_LINES = 12 };

static const char head[] =
	"<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
	"<meta name=\"color-scheme\" content=\"light dark\">\n<title>coffer: a build</title>\n<style>\n"
	":root { --ink: #1c2127; --soft: #5c6670; --line: #d9dee3; --ground: #f6f7f8; --card: #fff; --fill: #2f6f9f; "
	"--good: #2b7a4b; "
	"--bad: #b3372f; --warn: #c98a1b }\n"
	"@media (prefers-color-scheme: dark) { :root { --ink: #e3e7eb; --soft: #98a3ad; --line: #343c44; --ground: #15191d; "
	"--card: #1d2328; --fill: #5aa0d2; --good: #62b884; --bad: #e5776f; --warn: #d9a441 } }\n"
	"* { box-sizing: border-box }\n"
	"body { margin: 0 auto; max-width: 70rem; padding: 1.4rem clamp(.8rem, 3vw, 2.4rem) 3rem; background: "
	"var(--ground); "
	"color: var(--ink); font: 15px/1.5 system-ui, sans-serif }\n"
	"h1 { font-size: 1.35rem; margin: 0 } .soft { color: var(--soft); margin: .1rem 0 1rem }\n"
	".share { display: flex; height: 1.1rem; border-radius: .3rem; overflow: hidden; background: var(--line) }\n"
	".key { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; margin: .6rem 0 1.6rem; padding: 0; list-style: none }\n"
	".key b { font-variant-numeric: tabular-nums } .key i { display: inline-block; width: .7rem; height: .7rem; "
	"border-radius: .15rem; "
	"margin-right: .35rem }\n"
	".hit { background: var(--good) } .near { background: var(--fill) } .miss { background: var(--warn) } .not { "
	"background: var(--bad) }\n"
	"article { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .8rem 1rem; "
	"margin-bottom: .7rem }\n"
	"article h2 { font-size: 1rem; font-weight: 500; margin: 0; overflow-wrap: anywhere } article p { margin: .2rem 0 0 "
	"}\n"
	".cost { display: flex; gap: .8rem; align-items: center; font-variant-numeric: tabular-nums }\n"
	".cost b, .cost small { white-space: nowrap; min-width: 4.2rem; font-size: inherit } .cost small { min-width: 7rem; "
	"text-align: right }\n"
	".cost span { flex: 1; height: .5rem; border-radius: .3rem; background: "
	"var(--line); overflow: hidden }\n"
	".cost span i { display: block; height: 100%; background: var(--warn) }\n"
	"pre { margin: .5rem 0 0; padding: .5rem .7rem; background: var(--ground); border-radius: .3rem; overflow-x: auto; "
	"font-size: .85rem }\n"
	"ins { color: var(--good); text-decoration: none } del { color: var(--bad); text-decoration: none }\n"
	"ul.files { margin: .4rem 0 0; padding-left: 1.1rem; color: var(--soft); font-size: .85rem; overflow-wrap: anywhere "
	"}\n"
	"</style>\n";

// Text as HTML shows it. Control characters but the tab are not shown at all.
static void put(struct buf *b, const char *text)
{
	for (const char *p = text; *p; p++)
		switch (*p) {
		case '<':
			buf_adds(b, "&lt;");
			break;
		case '>':
			buf_adds(b, "&gt;");
			break;
		case '&':
			buf_adds(b, "&amp;");
			break;
		case '"':
			buf_adds(b, "&quot;");
			break;
		default:
			if ((unsigned char)*p >= 0x20 || *p == '\t')
				buf_addc(b, *p);
		}
}

static void put_shares(struct report *r, struct buf *b)
{
	const struct {
		const char *kind, *text;
		size_t n;
	} shares[] = {{"hit", "hits", r->direct_hits},
		      {"near", "hits by their text", r->preprocessed_hits},
		      {"miss", "misses", r->misses},
		      {"not", "not cached", r->not_cached}};
	buf_adds(b, "<div class=\"share\" role=\"img\" aria-label=\"shares of hits and misses\">");
	for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
		if (shares[i].n)
			buf_addf(b, "<div class=\"%s\" style=\"width:%.2f%%\"></div>", shares[i].kind,
				 100.0 * (double)shares[i].n / (double)r->compiles);
	buf_adds(b, "</div>\n<ul class=\"key\">\n");
	for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
		buf_addf(b, "<li><i class=\"%s\"></i><b>%zu</b> %s <span>%s</span></li>\n", shares[i].kind, shares[i].n,
			 shares[i].text, format_percent(&r->arena, shares[i].n, r->compiles));
	buf_adds(b, "</ul>\n");
}

static void put_difference(struct report *r, const struct report_group *g, struct buf *b)
{
	struct line_change *lines;
	unsigned n = report_lines(r, g, &lines);
	if (!n)
		return;
	buf_adds(b, "<pre>");
	for (unsigned i = 0; i < n && i < MOST_LINES; i++) {
		const char *tag = lines[i].sign == '-' ? "del" : "ins";
		buf_addf(b, "<%s>%5u %c ", tag, lines[i].line, lines[i].sign);
		put(b, lines[i].text);
		buf_addf(b, "</%s>\n", tag);
	}
	buf_adds(b, n > MOST_LINES ? "…\n</pre>\n" : "</pre>\n");
}

static void put_group(struct report *r, const struct report_group *g, struct buf *b)
{
	buf_addf(b,
		 "<article>\n<div class=\"cost\"><b>%s</b><span><i style=\"width:%.1f%%\"></i></span><small>"
		 "%zu compile%s</small></div>\n<h2>",
		 report_seconds(r, g->seconds), r->lost > 0 ? 100 * g->seconds / r->lost : 0, g->n, g->n == 1 ? "" : "s");
	put(b, report_cause(r, g));
	buf_adds(b, "</h2>\n");
	put_difference(r, g, b);
	if (g->n_examples) {
		buf_adds(b, "<ul class=\"files\">\n");
		for (size_t i = 0; i < g->n_examples; i++) {
			buf_adds(b, "<li>");
			put(b, g->examples[i]);
			buf_adds(b, "</li>\n");
		}
		buf_adds(b, g->n > g->n_examples ? "<li>…</li>\n</ul>\n" : "</ul>\n");
	}
	buf_adds(b, "</article>\n");
}

void report_html(struct report *r, struct buf *b)
{
	buf_adds(b, head);
	buf_addf(b, "<h1>%zu compiles: %s saved, %s spent</h1>\n<p class=\"soft\">from %s, in %s; coffer %s</p>\n",
		 r->compiles, report_seconds(r, r->saved), report_seconds(r, r->lost),
		 format_date(&r->arena, r->from_ms / 1000), report_seconds(r, (double)(r->to_ms - r->from_ms) / 1000),
		 COFFER_VERSION);
	put_shares(r, b);
	for (size_t i = 0; i < r->n_groups; i++)
		put_group(r, &r->groups[i], b);
	if (!r->n_groups)
		buf_adds(b, "<article><h2>Every compile was a hit.</h2></article>\n");
}
