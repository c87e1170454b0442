// The audit logs that the settings of jobs name (`audit_directory`): one for each directory, opened when it is first asked for.
//
// A log has one writer. Where another daemon of the user has the directory, this one writes to DIRECTORY.2, .3 … AUDIT_LOGS_BESIDE,
// each a log of its own. What could not be opened is tried again after 10 s. Thread: any.
#ifndef COFFER_CLIENT_SERVICES_AUDIT_LOGS_H
#define COFFER_CLIENT_SERVICES_AUDIT_LOGS_H

#include "audit/log.h"
#include "client/config.h"

enum { AUDIT_LOGS_MAX = 16, AUDIT_LOGS_BESIDE = 8 };

struct audit_logs;
struct audit_logs *audit_logs_new(void);
// 1: a log, which lives until audit_logs_close; 0: the settings name none; -1: it can't be written.
int audit_logs_find(struct audit_logs *all, const struct settings *config, struct audit_log **log, struct err *err);
const char *audit_logs_user(const struct audit_logs *all);    // whose compiles they are
const char *audit_logs_machine(const struct audit_logs *all); // where they ran: "client:HOST"
void audit_logs_close(struct audit_logs *all);                // no job is under way any more: with last checkpoints

#endif
