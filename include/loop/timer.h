/* A timer on the loop: calls a function once after a while, or again and again. Loop thread. */
#ifndef LOOP_TIMER_H
#define LOOP_TIMER_H

#include <stdint.h>

#include "loop/loop.h"

struct loop_timer;

/* Stopped at first; NULL when out of memory. */
struct loop_timer *loop_timer_new(struct loop *loop, void (*fn)(void *arg), void *arg);

/* fn is not called any more; the memory goes in a later turn of the loop. NULL is fine. */
void loop_timer_free(struct loop_timer *timer);

/* In after_ms, and then every every_ms (0: once); a timer that runs begins anew. */
void loop_timer_start(struct loop_timer *timer, int64_t after_ms, int64_t every_ms);
void loop_timer_stop(struct loop_timer *timer);

#endif
