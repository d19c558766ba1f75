/* The loop thread: one libuv loop on which everything of HTTP and of jobs happens. Other threads
 * hand work to it with loop_post(); nothing else of this layer may be called from another thread.
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include <uv.h>

#include "base/err.h"

struct loop;

/* A call that waits for the loop thread. Part of the caller's own structure (no allocation can
 * fail), which must stay until fn has been called. */
struct loop_call {
    void (*fn)(struct loop_call *call); /* runs on the loop thread; may free what holds the call */
    void *arg;                          /* the caller's */
    struct loop_call *next;
};

struct loop *loop_new(struct err *e);

/* Closes what is still open of the loop's own and frees it. All servers are freed before. */
void loop_free(struct loop *loop);

uv_loop_t *loop_uv(struct loop *loop);

/* Runs until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Has call->fn(call) called on the loop thread, in the order of posting. Any thread, never blocks
 * for longer than a pointer's worth of work. A call may be posted again once fn has begun. */
void loop_post(struct loop *loop, struct loop_call *call);

#endif
