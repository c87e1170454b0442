// Condition variables whose limits are times of clock_ms(): setting the machine's clock changes no wait.
#ifndef COFFER_BASE_COND_H
#define COFFER_BASE_COND_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

void cond_init(pthread_cond_t *c);
// Sleeps until it is signalled; it may also wake without a reason. False: at_ms (of clock_ms(); negative: never) has passed.
bool cond_wait_until(pthread_cond_t *c, pthread_mutex_t *m, int64_t at_ms);

#endif
