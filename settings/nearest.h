// "Did you mean …?": the known word that a mistyped one most likely stands for. Thread: any.
#ifndef COFFER_SETTINGS_NEAREST_H
#define COFFER_SETTINGS_NEAREST_H

#include <stddef.h>

// The word of `known` with the fewest typing slips (a letter missing, extra, other, or two swapped) from `word`, or NULL
// if each has more slips than a third of its letters.
const char *nearest_word(const char *word, const char *const *known, size_t n);

#endif
