/* The desk's inside, shared by its sources: desk.c (life, decoding, ends), admission.c (rules 5, 6
 * and 8 of doc/sla.md), border.c (what is computed next, and what becomes of it). */
#ifndef POLICY_DESK_IMPL_H
#define POLICY_DESK_IMPL_H

#include "base/clock.h"
#include "policy/cost.h"
#include "policy/desk.h"

/* Predictions, 0 when idle. */
struct desk_worker {
    int64_t busy_until_ns; /* end of what it does */
    int64_t free_ns;       /* end of its batch's whole way */
};

struct desk {
    struct desk_options options;
    struct sched sched;
    size_t in_flight;
    double decode_s; /* of one image, learned */
    struct desk_item *ended_first, **ended_last;
    struct desk_worker *workers;
    int64_t *others;           /* room for the free_ns of all workers but one */
    struct sched_item **taken; /* room for a batch */
};

static inline double seconds_of(int64_t ns)
{
    return (double)ns / (double)CLOCK_SECOND;
}

static inline int64_t ns_of(double s)
{
    return (int64_t)(s * (double)CLOCK_SECOND);
}

/* The item that the scheduler's struct stands in; NULL stays NULL. */
static inline struct desk_item *item_of(struct sched_item *sched)
{
    return (struct desk_item *)sched;
}

/* desk.c: the item is finished, whichever way. */
void desk_end(struct desk *desk, struct desk_item *item, int status);

/* admission.c: predicts the item's time and work from a section on. */
void desk_predict(const struct desk *desk, struct desk_item *item, int section);

#endif
