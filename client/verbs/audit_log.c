#include "client/verbs/audit_log.h"

#include "audit/reader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *audit_directory(struct arena *a, const char *given)
{
	const char *env = getenv("COFFER_AUDIT_LOG"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	if (given || (env && *env))
		return given ? given : env;
	if (geteuid() == 0)
		return "/var/lib/coffer-worker/audit";
	return cache && *cache == '/' ? arena_printf(a, "%s/coffer-worker/audit", cache)
				      : arena_printf(a, "%s/.cache/coffer-worker/audit", home ? home : "");
}

int audit_find_row(int dirfd, const char *what, uint64_t *index, struct err *err)
{
	struct audit_reader r;
	const char *line;
	size_t n, digits = strspn(what, "0123456789");
	int rc;
	if (*what && digits < 19 && !what[digits]) {
		*index = strtoull(what, NULL, 10);
		return 0;
	}
	audit_reader_init(&r, dirfd);
	while ((rc = audit_reader_next(&r, &line, &n, err)) == 1) {
		AUTO_ARENA struct arena a = ARENA_INIT;
		struct audit_row row;
		if (memmem(line, n, what, strlen(what)) && audit_row_read(line, n, &a, &row, NULL) == 0 &&
		    row.value[AUDIT_job] && strcmp(row.value[AUDIT_job], what) == 0)
			break;
	}
	*index = r.index - 1;
	audit_reader_release(&r);
	return rc == 1 ? 0 : rc < 0 ? -1 : err_set(err, ERR_NOT_FOUND, "no row of a job '%s'", what);
}

int audit_get_row(int dirfd, uint64_t index, struct arena *a, struct audit_row *row, struct err *err)
{
	struct audit_reader r;
	const char *line;
	size_t n;
	audit_reader_init(&r, dirfd);
	int rc = audit_reader_seek(&r, index, err);
	if (rc == 0 && (rc = audit_reader_next(&r, &line, &n, err)) == 1)
		rc = audit_row_read(line, n, a, row, err);
	else if (rc == 0)
		rc = err_set(err, ERR_NOT_FOUND, "the audit log has no row %" PRIu64, index);
	audit_reader_release(&r);
	return rc;
}
