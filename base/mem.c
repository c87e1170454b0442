#include "base/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// A chunk is as large as all before it together, within these: most arenas of things that are kept stay small.
enum { CHUNK_LEAST = 1024, CHUNK_MOST = 16 * 1024, ALIGNMENT = 16 };

struct arena_chunk {
	struct arena_chunk *next;
	size_t used, size;
	_Alignas(ALIGNMENT) char data[];
};

static void *or_die(void *p)
{
	if (!p)
		abort();
	return p;
}

void *mem_alloc(size_t n)
{
	return or_die(calloc(1, n ? n : 1));
}

void *mem_realloc(void *p, size_t n)
{
	return or_die(realloc(p, n ? n : 1));
}

char *mem_strdup(const char *s)
{
	return or_die(strdup(s));
}

char *mem_strndup(const char *s, size_t n)
{
	return or_die(strndup(s, n));
}

char *mem_printf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;
	va_start(ap, fmt);
	int n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return n < 0 ? or_die(NULL) : s;
}

void mem_free_cleanup(void *pp)
{
	int saved = errno;
	free(*(void **)pp);
	errno = saved;
}

void mem_close_cleanup(int *fd)
{
	int saved = errno;
	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

void *arena_alloc(struct arena *a, size_t n)
{
	n = (n + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	struct arena_chunk *c = a->head;
	if (!c || c->size - c->used < n) {
		size_t chunk = a->total < CHUNK_LEAST ? CHUNK_LEAST : a->total < CHUNK_MOST ? a->total : CHUNK_MOST;
		size_t size = n > chunk / 4 ? n : chunk;
		c = or_die(malloc(sizeof *c + size));
		a->total += sizeof *c + size;
		c->size = size;
		c->used = 0;
		// A large block goes behind the head, so that the room left in the head stays in use.
		if (size == n && a->head) {
			c->next = a->head->next;
			a->head->next = c;
		} else {
			c->next = a->head;
			a->head = c;
		}
	}
	void *p = c->data + c->used;
	c->used += n;
	return memset(p, 0, n);
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *d = arena_alloc(a, n + 1);
	memcpy(d, s, n);
	return d;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	char *s = arena_alloc(a, (size_t)n + 1);
	vsnprintf(s, (size_t)n + 1, fmt, again);
	va_end(again);
	return s;
}

void arena_release(struct arena *a)
{
	for (struct arena_chunk *c = a->head, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	*a = (struct arena)ARENA_INIT;
}
