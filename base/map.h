// A hash table from byte strings to pointers (open addressing). Keys are copied, but in a table of MAP_OF_CALLERS_KEYS, whose keys
// live as long as it does; values belong to the caller.
//
// map_get/put/del are O(1); a pointer into the table is never handed out, so it may grow at any put. Thread: guard it
// yourself.
#ifndef COFFER_BASE_MAP_H
#define COFFER_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_slot {
	const char *key; // NULL: free; MAP_TOMB: was deleted
	uint32_t key_len, hash;
	void *value;
};
struct map {
	struct map_slot *slots;
	size_t n, used, cap; // live entries, slots that are not free, slots in all
	bool borrows;        // the keys are the caller's
};
#define MAP_INIT                     \
	{                            \
		NULL, 0, 0, 0, false \
	}
#define MAP_OF_CALLERS_KEYS         \
	{                           \
		NULL, 0, 0, 0, true \
	}

void *map_get(const struct map *m, const void *key, size_t len);
void *map_put(struct map *m, const void *key, size_t len, void *value); // returns the value that was there, or NULL
void *map_del(struct map *m, const void *key, size_t len);              // returns the value that was there, or NULL
void *map_gets(const struct map *m, const char *key);
void *map_puts(struct map *m, const char *key, void *value);
// Visits every entry; *at starts as 0; what is NULL is not told. Returns false at the end. Deleting the visited entry is allowed, putting is not.
bool map_next(const struct map *m, size_t *at, const char **key, size_t *len, void **value);
void map_release(struct map *m);     // frees its keys and the table, not the values; it may be used again
void map_release_all(struct map *m); // the values, too, by free()

#endif
