// Why a compile is not cached: one list (reasons.def) that statistics, explanations and records share.
#ifndef COFFER_COMPILER_REASON_H
#define COFFER_COMPILER_REASON_H

enum reason {
	REASON_NONE, // it can be cached
#define REASON(name, text) REASON_##name,
#include "compiler/reasons.def"
#undef REASON
	REASON_COUNT
};

const char *reason_name(enum reason r); // "" for REASON_NONE
const char *reason_text(enum reason r);
enum reason reason_by_name(const char *name); // REASON_NONE if there is none

#endif
