#include "compiler/cmdline_parts.h"

#include "base/file.h"

#include <string.h>

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_ambiguous(char c)
{
	return c == '\0' || c == '\v' || c == '\f';
}

static bool has_byte_order_mark(const char *text, size_t len)
{
	return (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) || (len >= 2 && memcmp(text, "\xff\xfe", 2) == 0) ||
	       (len >= 2 && memcmp(text, "\xfe\xff", 2) == 0);
}

// Copies one word to `out` and returns what follows it, or NULL.
static const char *take_word(const char *at, const char *end, char *out)
{
	char quote = '\0';
	char *start = out;
	for (; at < end && (quote || !is_space(*at)); at++) {
		if (is_ambiguous(*at))
			return NULL;
		if (*at == '\\') {
			if (++at == end || is_ambiguous(*at))
				return NULL;
			*out++ = *at;
		} else if (*at == quote) {
			quote = '\0';
		} else if (!quote && (*at == '\'' || *at == '"')) {
			quote = *at;
		} else {
			*out++ = *at;
		}
	}
	*out = '\0';
	return quote || out == start ? NULL : at;
}

int response_split(struct arena *a, const char *text, size_t len, const char ***words)
{
	const char *end = text + len;
	size_t n = 0, room = 16;
	const char **list = arena_alloc(a, room * sizeof *list);
	// Words are never longer than their text, and between two of them is a blank for the '\0'.
	char *out = arena_alloc(a, len + 1);

	if (has_byte_order_mark(text, len))
		return -1;
	for (const char *at = text;;) {
		while (at < end && is_space(*at))
			at++;
		if (at == end)
			break;
		at = take_word(at, end, out);
		if (!at || n == CMDLINE_MAX_WORDS)
			return -1;
		if (n + 1 == room) {
			const char **more = arena_alloc(a, 2 * room * sizeof *list);
			memcpy(more, list, room * sizeof *list);
			list = more;
			room *= 2;
		}
		list[n++] = out;
		out += strlen(out) + 1;
	}
	*words = list;
	return (int)n;
}

// ---- response files in their place ----------------------------------------------------------------------------------

// An empty file counts too, so that files that name each other many times come to an end.
enum { FILE_COST = 256 };

struct expansion {
	struct parser *p;
	unsigned room;  // of p->c->arguments
	size_t n_bytes; // of all response files so far
};

static bool give_up(struct expansion *x, enum reason reason, const char *word)
{
	x->p->c->reason = reason;
	x->p->c->culprit = word;
	return false;
}

static bool add_word(struct expansion *x, const char *text)
{
	struct cmdline *c = x->p->c;
	if (c->n_arguments == CMDLINE_MAX_WORDS)
		return give_up(x, REASON_arguments_too_long, NULL);
	if (c->n_arguments == x->room) {
		struct argument *more = arena_alloc(x->p->arena, 2 * x->room * sizeof *more);
		memcpy(more, c->arguments, x->room * sizeof *more);
		c->arguments = more;
		x->room *= 2;
	}
	c->arguments[c->n_arguments++].text = text;
	return true;
}

// 1: *words is filled in. 0: there is no such file, and the word stands for itself. -1: neither.
static int read_response(struct expansion *x, const char *path, const char ***words)
{
	struct err err = ERR_INIT;
	AUTO_BUF struct buf text = BUF_INIT;
	if (x->n_bytes >= CMDLINE_MAX_RESPONSE)
		return -1;
	if (file_read(x->p->cwd_fd, path, CMDLINE_MAX_RESPONSE - x->n_bytes, &text, NULL, &err) < 0)
		return err.code == ERR_NOT_FOUND ? 0 : -1;
	x->n_bytes += text.len + FILE_COST;
	return response_split(x->p->arena, text.data ? text.data : "", text.len, words) < 0 ? -1 : 1;
}

// Names in nested files are relative to the working directory too, for both compilers.
static bool expand(struct expansion *x, const char *const *words, unsigned depth)
{
	for (; *words; words++) {
		const char **inner = NULL;
		int found = 0;
		if ((*words)[0] == '@') {
			found = depth < CMDLINE_MAX_NESTING ? read_response(x, *words + 1, &inner) : -1;
			if (found < 0)
				return give_up(x, REASON_response_file, *words);
		}
		if (found ? !expand(x, inner, depth + 1) : !add_word(x, *words))
			return false;
	}
	return true;
}

bool response_expand(struct parser *p, const char *const *argv)
{
	unsigned n = 0;
	while (n < CMDLINE_MAX_WORDS && argv[n])
		n++;
	struct expansion x = {.p = p, .room = n + 1};
	p->c->arguments = arena_alloc(p->arena, x.room * sizeof *p->c->arguments);
	return expand(&x, argv[0] ? argv + 1 : argv, 0);
}
