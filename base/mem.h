// Memory: out of memory aborts, so no caller checks. Locals clean up by attribute; ownership moves by TAKE().
//
// An arena holds what lives as long as one job or request; nothing in it is freed on its own. Thread: any, one arena per
// thread at a time.
#ifndef COFFER_BASE_MEM_H
#define COFFER_BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t n);            // zeroed; free() it
void *mem_realloc(void *p, size_t n); // not zeroed
char *mem_strdup(const char *s);      // free() it
char *mem_strndup(const char *s, size_t n);
__attribute__((format(printf, 1, 2))) char *mem_printf(const char *fmt, ...);

void mem_free_cleanup(void *pp); // for AUTO_FREE: frees *(void **)pp
void mem_close_cleanup(int *fd); // for AUTO_CLOSE: closes *fd if it is >= 0
#define AUTO_FREE __attribute__((cleanup(mem_free_cleanup)))
#define AUTO_CLOSE __attribute__((cleanup(mem_close_cleanup)))
// Moves a pointer out of a local that would free it.
#define TAKE(p)                             \
	({                                  \
		__typeof__(p) taken_ = (p); \
		(p) = NULL;                 \
		taken_;                     \
	})
#define TAKE_FD(fd)                \
	({                         \
		int taken_ = (fd); \
		(fd) = -1;         \
		taken_;            \
	})

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
// What an embedded member is in.
#define CONTAINER_OF(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

struct arena_chunk;
struct arena {
	struct arena_chunk *head;
	size_t total; // bytes it takes
};
#define ARENA_INIT      \
	{               \
		NULL, 0 \
	}

void *arena_alloc(struct arena *a, size_t n); // zeroed, aligned for any type
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
__attribute__((format(printf, 2, 3))) char *arena_printf(struct arena *a, const char *fmt, ...);
void arena_release(struct arena *a); // frees all; the arena may be used again
#define AUTO_ARENA __attribute__((cleanup(arena_release)))

#endif
