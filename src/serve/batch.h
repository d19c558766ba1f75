/* A batch in work on one worker's executor: what is computed of it, without the lock. What is to be
 * done says the desk. */
#ifndef SERVE_BATCH_H
#define SERVE_BATCH_H

#include "engine_impl.h"

struct batch {
    struct desk_batch *desk; /* items and section; the worker's, and so is what follows */
    struct version *version;
    struct version_worker *own; /* the executor */
};

/* The items' features into the executor, and how long they have waited into the metric. */
void batch_gather(const struct batch *b);

/* Runs the section; returns its output. *ret_ns: what it took. */
const float *batch_section(const struct batch *b, bool from_previous, int64_t *ret_ns);

/* Runs the head of those that need it. */
void batch_heads(const struct batch *b);

/* The section's output into the features of those that go on. */
void batch_scatter(const struct batch *b, const float *output);

#endif
