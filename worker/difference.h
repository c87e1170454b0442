// Where two objects differ first, for people: "section '.text' differs at byte 12 of 340". ELF objects by their sections
// (libelf), anything else by its bytes. Both come from jobs, so nothing in them is believed. Thread: any.
#ifndef COFFER_WORKER_DIFFERENCE_H
#define COFFER_WORKER_DIFFERENCE_H

#include "base/buf.h"

// Adds the words; they are not equal.
void difference_say(const struct buf *was, const struct buf *now, struct buf *words);

#endif
