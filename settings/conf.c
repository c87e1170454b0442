#include "settings/conf.h"

#include "base/file.h"
#include "base/mem.h"

#include <ctype.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_SECTION = 128 };

struct parse {
	const char *path, *at, *end;
	bool has_sections;
	conf_fn fn;
	void *ctx;
	struct err *err;
	int line;
	bool failed;
	char section[MAX_SECTION + 1];
};

static int fail(struct parse *p, const char *text)
{
	p->failed = true;
	return err_set(p->err, ERR_FORMAT, "%s:%d: %s", p->path, p->line, text);
}

static void tell(struct parse *p, const char *name, const char *value)
{
	AUTO_FREE char *where = mem_printf("%s:%d", p->path, p->line);
	struct conf_line line = {.section = p->section, .name = name, .value = value, .where = where};
	p->failed = p->fn(p->ctx, &line, p->err) < 0;
}

static void begin_section(struct parse *p, const char *line, size_t n)
{
	const char *close = memchr(line, ']', n);
	const char *rest = close ? close + 1 : line + n;
	while (rest < line + n && isspace((unsigned char)*rest))
		rest++;
	if (!p->has_sections)
		fail(p, "there are no sections here, only lines 'name = value'");
	else if (!close || (rest < line + n && *rest != ';' && *rest != '#'))
		fail(p, "this is not a line '[section]'");
	else if (close - line - 1 > MAX_SECTION)
		fail(p, "the name of the section is too long");
	if (p->failed)
		return;
	memcpy(p->section, line + 1, (size_t)(close - line - 1));
	p->section[close - line - 1] = '\0';
	tell(p, NULL, NULL);
}

// Gives inih line after line (its ini_reader, like fgets). This way the lines are counted, and what inih would take
// silently is refused or done here: sections (it cuts their names), continuation lines, lines longer than its buffer.
static char *next_line(char *to, int room, void *ctx)
{
	struct parse *p = ctx;
	if (p->failed || p->at == p->end)
		return NULL;
	const char *line = p->at;
	const char *newline = memchr(line, '\n', (size_t)(p->end - line));
	size_t n = (size_t)((newline ? newline : p->end) - line);
	p->at = newline ? newline + 1 : p->end;
	p->line++;
	if (p->line == 1 && n >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
		line += 3;
		n -= 3;
	}
	for (; n && isspace((unsigned char)*line); line++)
		n--;
	if (memchr(line, '\0', n)) {
		fail(p, "there is a zero byte in the line");
		return NULL;
	}
	if (n + 2 > (size_t)room) {
		AUTO_FREE char *text = mem_printf("the line is longer than %d bytes", room - 2);
		fail(p, text);
		return NULL;
	}
	if (n && *line == '[') {
		begin_section(p, line, n);
		n = 0;
	}
	memcpy(to, line, n);
	to[n] = '\0';
	return p->failed ? NULL : to;
}

static int take_line(void *ctx, const char *section, const char *name, const char *value)
{
	struct parse *p = ctx;
	(void)section;
	if (!p->failed)
		tell(p, name, value);
	return !p->failed;
}

int conf_parse(const char *path, const char *text, size_t n, bool has_sections, conf_fn fn, void *ctx, struct err *err)
{
	struct parse p = {
		.path = path, .at = text, .end = text + n, .has_sections = has_sections, .fn = fn, .ctx = ctx, .err = err};
	int bad_line = ini_parse_stream(next_line, &p, take_line, &p);
	// inih goes on after a line that it does not understand, so that ours may be a later one.
	if (bad_line > 0 && (!p.failed || bad_line < p.line)) {
		p.line = bad_line;
		return fail(&p, "this is not a line 'name = value'");
	}
	return p.failed ? -1 : 0;
}

static int check_owner(const char *path, const struct stat *st, struct err *err)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return err_set(err, ERR_ACCESS, "%s: it belongs to another user (uid %u), so it is not used", path,
			       (unsigned)st->st_uid);
	if (st->st_mode & S_IWOTH)
		return err_set(err, ERR_ACCESS, "%s: everybody can write it, so it is not used (chmod o-w)", path);
	return 0;
}

static int read_file(const char *path, bool is_anybodys, bool has_sections, conf_fn fn, void *ctx, struct err *err)
{
	AUTO_BUF struct buf text = {.max = CONF_MAX_FILE + 1};
	struct stat st;
	struct err why = ERR_INIT;
	if (file_read(AT_FDCWD, path, CONF_MAX_FILE, &text, &st, &why) < 0) {
		// Other texts than those of system calls name the file once more, and say what it is.
		err_set(err, why.code, "%s: %s%s", path, why.sys ? "cannot be read: " : "",
			why.sys ? strerror(why.sys) : why.text);
		if (err)
			err->sys = why.sys;
		return -1;
	}
	if (!is_anybodys && check_owner(path, &st, err) < 0)
		return -1;
	return conf_parse(path, text.data ? text.data : "", text.len, has_sections, fn, ctx, err);
}

int conf_read(const char *path, bool has_sections, conf_fn fn, void *ctx, struct err *err)
{
	return read_file(path, false, has_sections, fn, ctx, err);
}

int conf_read_any(const char *path, bool has_sections, conf_fn fn, void *ctx, struct err *err)
{
	return read_file(path, true, has_sections, fn, ctx, err);
}
