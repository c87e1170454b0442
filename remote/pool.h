// Threads that are made when they are needed and end when they have not been for a while. Thread: any.
#ifndef COFFER_REMOTE_POOL_H
#define COFFER_REMOTE_POOL_H

#include <stddef.h>

struct thread_pool;

// Each item is worked on in a thread with that much stack and all signals blocked.
struct thread_pool *pool_new(void (*work)(void *item), size_t stack_bytes);
int pool_give(struct thread_pool *p, void *item); // -1: the system gives us no more threads
void pool_free(struct thread_pool *p);            // waits until all have ended

#endif
