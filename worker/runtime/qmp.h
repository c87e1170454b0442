// QEMU's own commands (docs/interop/qmp-spec.txt of its sources: JSON, an object a line) over a connected socket. QEMU answers
// them one after the other; what it tells between (events) is left out. It may be in the hands of its guest: an answer is at
// most QMP_LINE_MAX long, comes in time, and is an error or is looked at by nobody but who asked. Thread: one.
#ifndef COFFER_WORKER_RUNTIME_QMP_H
#define COFFER_WORKER_RUNTIME_QMP_H

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>

enum { QMP_LINE_MAX = 64 * 1024, QMP_EVENTS_MAX = 1000, QMP_MS = 10000 };

struct qmp {
	int fd; // the caller's
	struct buf in;
};
void qmp_open(struct qmp *q, int fd);
void qmp_close(struct qmp *q);                 // the descriptor stays open
int qmp_greet(struct qmp *q, struct err *err); // once for each QEMU, before everything else

// Frees `arguments` (NULL: none). `pass`: a descriptor that goes along, or -1. `answer` (NULL: not asked) is what it returns; free it
// with json_decref. ERR_USAGE: QEMU refuses, in its words; ERR_PEER, ERR_TIMEOUT, ERR_LIMIT.
int qmp_run(struct qmp *q, const char *command, json_t *arguments, int pass, json_t **answer, struct err *err);

// What a line is. 1: an answer, *returned is new; 0: an event; -1: an error.
int qmp_line(const char *line, size_t n, json_t **returned, struct err *err);

#endif
