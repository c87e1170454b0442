// What the texts of a compile use that decides whether it is cached: dates, pragmas, files that assembler statements embed.
// Thread: the job's.
#ifndef COFFER_CLIENT_JOB_FACTS_H
#define COFFER_CLIENT_JOB_FACTS_H

#include "client/job/macros.h"
#include "depscan/manifest.h"

// Sets in->refusal where a text, or a definition on the command line, uses what coffer can't answer for. Where a text uses the
// date and the plan holds a time to compare, gives the entry that time. assembler_listed: GNU as has said which files it has read.
void facts_check(struct inputs *in, bool assembler_listed, struct manifest_entry *entry);

#endif
