#include "client/verbs/config_file.h"

#include "base/file.h"
#include "base/path.h"
#include "client/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MOST = 1 << 20 };

// Whether it could be in a file like that: the settings' own judgement.
static int check(const char *name, const char *value, struct err *err)
{
	AUTO_SETTINGS struct settings s = {0};
	const char *near = setting_nearest(&client_settings, name);
	size_t i = 0;
	while (i < client_settings.n && strcmp(client_settings.defs[i].name, name) != 0)
		i++;
	if (i == client_settings.n)
		return err_set(err, ERR_USAGE, "there is no setting '%.60s'%s%s%s", name, near ? "; did you mean '" : "",
			       near ? near : "", near ? "'?" : "");
	if (!value)
		return 0;
	if (strpbrk(value, "\r\n"))
		return err_set(err, ERR_USAGE, "a value is one line");
	return settings_begin(&s, &client_settings, err) < 0 ? -1 : settings_set(&s, name, value, "set", "set", err);
}

static bool is_line_of(const char *line, size_t n, const char *name)
{
	size_t length = strlen(name), at = strspn(line, " \t");
	if (n < at + length || strncmp(line + at, name, length) != 0)
		return false;
	at += length;
	while (at < n && (line[at] == ' ' || line[at] == '\t'))
		at++;
	return at < n && line[at] == '=';
}

// The new line stands where the first old one stood, or at the end. Returns whether there was an old one.
static bool rewrite(const struct buf *old, const char *name, const char *value, struct buf *text)
{
	bool was_there = false;
	for (const char *p = old->data, *end = p ? p + old->len : p; p < end;) {
		const char *newline = memchr(p, '\n', (size_t)(end - p)), *next = newline ? newline + 1 : end;
		bool is_it = is_line_of(p, (size_t)((newline ? newline : end) - p), name);
		if (!is_it)
			buf_add(text, p, (size_t)(next - p));
		else if (value && !was_there)
			buf_addf(text, "%s = %s\n", name, value);
		was_there |= is_it;
		p = next;
	}
	if (value && !was_there) {
		if (text->len && text->data[text->len - 1] != '\n')
			buf_addc(text, '\n');
		buf_addf(text, "%s = %s\n", name, value);
	}
	return was_there;
}

int config_file_set(const char *name, const char *value, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf old = BUF_INIT;
	AUTO_BUF struct buf text = BUF_INIT;
	struct err missing = ERR_INIT;
	struct stat st = {.st_mode = 0644};
	const char *named = config_user_file(&a, process_env, NULL);
	if (check(name, value, err) < 0)
		return -1;
	if (!named)
		return err_set(err, ERR_NOT_FOUND, "no file of yours is read: COFFER_CONFIG is empty, or HOME is not set");
	// Who keeps the file elsewhere, behind a link, finds it there still.
	AUTO_FREE char *real = realpath(named, NULL);
	const char *path = real ? real : named;
	if (file_read(AT_FDCWD, path, FILE_MOST, &old, &st, &missing) < 0 && missing.code != ERR_NOT_FOUND)
		return err_set(err, missing.code, "%s", missing.text);
	if (!rewrite(&old, name, value, &text) && !value) {
		printf("'%s' is not set in '%s'\n", name, path);
		return 0;
	}
	if (file_make_dirs(path_dir(&a, path), 0755, err) < 0 ||
	    file_write_atomic(AT_FDCWD, path, text.data ? text.data : "", text.len, st.st_mode & 0777, err) < 0)
		return -1;
	printf(value ? "%s = %s, in '%s'\n" : "%s%s is no longer set in '%s'\n", name, value ? value : "", path);
	return 0;
}
