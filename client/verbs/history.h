// The journal read back: the records of compiles, newest last. Schema: docs/explain.md. Thread: main only.
#ifndef COFFER_CLIENT_VERBS_HISTORY_H
#define COFFER_CLIENT_VERBS_HISTORY_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct history {
	json_t *records; // an array of objects; lines that do not parse are left out
};

int history_load(struct history *h, const char *cache_dir, struct err *err);
void history_release(struct history *h);
#define AUTO_HISTORY __attribute__((cleanup(history_release)))

const char *record_text(const json_t *record, const char *name); // "" if it has no such field
double record_seconds(const json_t *record);                     // what the compile took
bool record_is_hit(const json_t *record);
// Two records missed for one reason: the same kind of cause and the same first change.
bool record_same_cause(const json_t *x, const json_t *y);

#endif
