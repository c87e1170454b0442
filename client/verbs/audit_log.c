#include "client/verbs/audit_log.h"

#include "base/file.h"
#include "client/verbs/verbs.h"
#include "codec/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *cache_home(struct arena *a)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	return cache && *cache == '/' ? cache : arena_printf(a, "%s/.cache", home ? home : "");
}

static const char *directory_of(struct arena *a, const char *given)
{
	const char *usual =
		geteuid() == 0 ? "/var/lib/coffer-worker/audit" : arena_printf(a, "%s/coffer-worker/audit", cache_home(a));
	const char *set = verb_place(given, "COFFER_AUDIT_LOG", NULL);
	AUTO_SETTINGS struct settings config = {0};
	// A worker's log before that of the compiles here: whoever runs a worker looks after it.
	if (!set && access(usual, F_OK) < 0 && verb_load_config(&config, NULL) == 0 &&
	    *setting_text(&config, SETTING_audit_directory))
		usual = arena_strdup(a, setting_text(&config, SETTING_audit_directory));
	return set ? set : usual;
}

int audit_source_open(struct audit_source *s, const char *given, struct arena *a, struct err *err)
{
	*s = (struct audit_source){.directory = directory_of(a, given)};
	s->dirfd = open(s->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return s->dirfd < 0 ? err_errno(err, "cannot open the audit log '%s' (--log DIR names another one)", s->directory)
			    : 0;
}

void audit_source_close(struct audit_source *s)
{
	audit_index_close(s->index);
	mem_close_cleanup(&s->dirfd);
}

// Where an auditor can't write, one file for each log, named by its path.
static const char *index_file(const struct audit_source *s, struct arena *a, struct err *err)
{
	char hex[DIGEST_HEX];
	AUTO_FREE char *path = realpath(s->directory, NULL);
	if (faccessat(s->dirfd, ".", W_OK, AT_EACCESS) == 0)
		return arena_printf(a, "%s/index.sqlite", s->directory);
	const char *cache = arena_printf(a, "%s/coffer", cache_home(a));
	if (!path || file_make_dirs(cache, 0700, err) < 0) {
		if (!path)
			err_errno(err, "cannot find '%s'", s->directory);
		return NULL;
	}
	struct digest d = digest_of(path, strlen(path));
	digest_hex(&d, hex);
	return arena_printf(a, "%s/audit-%.16s.sqlite", cache, hex);
}

int audit_source_index(struct audit_source *s, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	if (s->index)
		return 0;
	const char *file = index_file(s, &a, err);
	if (!file)
		return -1;
	struct err first = ERR_INIT;
	for (int try = 0; try < 2; try++) {
		if (audit_index_open(file, s->dirfd, &s->index, &first) == 0 &&
		    audit_index_catch_up(s->index, NULL, &first) == 0)
			return 0;
		audit_index_close(s->index);
		s->index = NULL;
		// A damaged one is made again from the rows.
		if (first.code != ERR_FORMAT || unlink(file) < 0)
			break;
	}
	return err_set(err, first.code, "%s", first.text);
}

int audit_source_find(struct audit_source *s, const char *what, uint64_t *row, struct err *err)
{
	size_t digits = strspn(what, "0123456789");
	struct audit_rows found;
	if (*what && digits < 19 && !what[digits]) {
		*row = strtoull(what, NULL, 10);
		return 0;
	}
	if (audit_source_index(s, err) < 0 || audit_index_find(s->index, what, &found, err) < 0)
		return -1;
	int rc = 0;
	bool is_found = false;
	for (size_t i = 0; rc == 0 && !is_found && i < found.n; i++) {
		AUTO_ARENA struct arena a = ARENA_INIT;
		struct audit_row r;
		rc = audit_source_row(s, found.rows[i], &a, &r, err);
		is_found = rc == 0 && (audit_row_names(&r, what) & 1U << AUDIT_NAME_JOB);
		*row = found.rows[i];
	}
	free(found.rows);
	return rc < 0 || is_found ? rc : err_set(err, ERR_NOT_FOUND, "no row of a job '%s'", what);
}

int audit_source_row(const struct audit_source *s, uint64_t index, struct arena *a, struct audit_row *row, struct err *err)
{
	struct audit_reader r;
	const char *line;
	size_t n;
	audit_reader_init(&r, s->dirfd);
	int rc = s->index ? audit_index_seek(s->index, &r, index, err) : audit_reader_seek(&r, index, err);
	if (rc == 0 && (rc = audit_reader_next(&r, &line, &n, err)) == 1)
		rc = audit_row_read(line, n, a, row, err);
	else if (rc == 0)
		rc = err_set(err, ERR_NOT_FOUND, "the audit log has no row %" PRIu64, index);
	audit_reader_release(&r);
	return rc;
}
