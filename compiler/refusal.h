// Why a compile is not cached, and what gave the reason: returned together. Thread: any.
#ifndef COFFER_COMPILER_REFUSAL_H
#define COFFER_COMPILER_REFUSAL_H

#include "compiler/reason.h"

#include <stdbool.h>

struct refusal {
	enum reason reason;
	const char *culprit; // an argument, a file or a variable, or NULL; lives as long as the job's arena
};
#define NO_REFUSAL ((struct refusal){REASON_NONE, NULL})

static inline struct refusal refuse(enum reason reason, const char *culprit)
{
	return (struct refusal){reason, culprit};
}
static inline bool is_refused(struct refusal r)
{
	return r.reason != REASON_NONE;
}

#endif
