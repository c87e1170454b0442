#include "depscan/linediff.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// Stretches with more pairs of lines than this are not compared line by line.
enum { MOST_PAIRS = 4 << 20 };

struct lines {
	const char **text;
	size_t *len;
	size_t n;
};

struct differ {
	struct arena *a;
	struct line_change *out;
	unsigned n, n_all;
};

static struct lines split(struct arena *a, const char *p, size_t len)
{
	struct lines l = {0};
	size_t n = 1;
	for (size_t i = 0; i < len; i++)
		n += p[i] == '\n';
	l.text = arena_alloc(a, n * sizeof *l.text);
	l.len = arena_alloc(a, n * sizeof *l.len);
	for (const char *end = p + len; p < end;) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));
		size_t size = (size_t)((stop ? stop : end) - p);
		l.text[l.n] = p;
		l.len[l.n++] = size;
		p += size + 1;
	}
	return l;
}

static bool same(const struct lines *x, size_t i, const struct lines *y, size_t k)
{
	return x->len[i] == y->len[k] && memcmp(x->text[i], y->text[k], x->len[i]) == 0;
}

static void note(struct differ *d, char sign, const struct lines *l, size_t i)
{
	enum { MOST_SHOWN = 300 };
	if (d->n_all++ >= LINEDIFF_MAX_CHANGES)
		return;
	size_t len = l->len[i] < MOST_SHOWN ? l->len[i] : MOST_SHOWN;
	d->out[d->n++] = (struct line_change){sign, (unsigned)i + 1, arena_strndup(d->a, l->text[i], len)};
}

// Longest common subsequence of was[from, was_end) and now[from, now_end) by the usual table.
static void compare(struct differ *d, const struct lines *was, size_t was_end, const struct lines *now, size_t now_end,
		    size_t from)
{
	size_t n = was_end - from, m = now_end - from, i = 0, k = 0;
	uint32_t *best = NULL;
	if (n && m && n * m <= MOST_PAIRS) {
		best = arena_alloc(d->a, (n + 1) * (m + 1) * sizeof *best);
		for (size_t x = n; x-- > 0;)
			for (size_t y = m; y-- > 0;) {
				uint32_t down = best[(x + 1) * (m + 1) + y], right = best[x * (m + 1) + y + 1];
				best[x * (m + 1) + y] = same(was, from + x, now, from + y)
								? best[(x + 1) * (m + 1) + y + 1] + 1
							: down > right ? down
								       : right;
			}
	}
	while (i < n || k < m) {
		if (best && i < n && k < m && same(was, from + i, now, from + k)) {
			i++;
			k++;
		} else if (i < n && (k >= m || !best || best[(i + 1) * (m + 1) + k] >= best[i * (m + 1) + k + 1])) {
			note(d, '-', was, from + i++);
		} else {
			note(d, '+', now, from + k++);
		}
	}
}

unsigned linediff(struct arena *a, const char *was, size_t was_len, const char *now, size_t now_len,
		  struct line_change **changes, unsigned *n_all)
{
	struct lines x = split(a, was, was_len), y = split(a, now, now_len);
	struct differ d = {.a = a, .out = arena_alloc(a, LINEDIFF_MAX_CHANGES * sizeof *d.out)};
	size_t from = 0, x_end = x.n, y_end = y.n;
	while (from < x.n && from < y.n && same(&x, from, &y, from))
		from++;
	while (x_end > from && y_end > from && same(&x, x_end - 1, &y, y_end - 1)) {
		x_end--;
		y_end--;
	}
	compare(&d, &x, x_end, &y, y_end, from);
	*changes = d.out;
	*n_all = d.n_all;
	return d.n;
}
