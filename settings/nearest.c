#include "settings/nearest.h"

#include "base/mem.h"

#include <string.h>

enum { WORD_MAX = 63 }; // longer words are no slip of anything we know

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

// Edit distance with swaps of neighbours (optimal string alignment); three rows of the table are enough.
static size_t slips(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t rows[3][WORD_MAX + 1];
	size_t *older = rows[0], *old = rows[1], *now = rows[2];
	for (size_t j = 0; j <= b_len; j++)
		older[j] = old[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		now[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
			now[j] = least(least(old[j], now[j - 1]) + 1, old[j - 1] + cost);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = least(now[j], older[j - 2] + 1);
		}
		size_t *spare = older;
		older = old;
		old = now;
		now = spare;
	}
	return old[b_len];
}

const char *nearest_word(const char *word, const char *const *known, size_t n)
{
	size_t len = strlen(word);
	if (len > WORD_MAX)
		return NULL;
	const char *best = NULL;
	size_t fewest = WORD_MAX;
	for (size_t i = 0; i < n; i++) {
		size_t known_len = strlen(known[i]);
		if (known_len > WORD_MAX)
			continue;
		size_t s = slips(word, len, known[i], known_len);
		if (s < fewest && s <= (known_len + 2) / 3) {
			fewest = s;
			best = known[i];
		}
	}
	return best;
}
