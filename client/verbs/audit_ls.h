// `coffer audit ls`: prints the rows of an audit log that somebody asks for. Thread: main only.
#ifndef COFFER_CLIENT_VERBS_AUDIT_LS_H
#define COFFER_CLIENT_VERBS_AUDIT_LS_H

#include "client/verbs/audit_log.h"

struct audit_ls { // as it was typed; NULL: not given
	const char *where, *since, *until, *last, *format;
};
int audit_ls(struct audit_source *s, const struct audit_ls *asked, struct arena *a); // the verb's exit status

#endif
