/* The desk's inside, shared by its sources: desk.c (life, ends), admission.c (rules 5, 6 and 8 of
 * doc/sla.md), decoding.c (rule 14), border.c (what is computed next, and what becomes of it). */
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

/* The seats of one kind, and who waits for them. */
struct desk_stage {
    unsigned n_seats, taken;
    struct desk_seat_use {
        bool taken;
        uint64_t holder; /* who has it, see share in decoding.c */
        int64_t end_ns;  /* predicted */
    } * seats;
    struct sched_queue queue; /* of each request the first one that waits; the others are held */
    size_t waiting;           /* those included */
    int64_t waiting_ns;       /* their prices */
    size_t memory_bytes, memory_max;
    struct decode_pace pace; /* of the background */
};

struct desk {
    struct desk_options options;
    struct sched sched;
    size_t in_flight;
    struct desk_stage stages[DESK_SEATS];
    struct sched_queue held;
    struct decode_cost decode_cost;
    struct margin margin;
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

/* decoding.c */
int decoding_init(struct desk *desk); /* 0, -ENOMEM */
void decoding_release(struct desk *desk);
/* What a newcomer's images are for the seats; then, when it is let in, they wait for them. */
void decoding_weigh(const struct desk *desk, struct desk_request *request, int64_t now_ns);
void decoding_push(struct desk *desk, struct desk_request *request, int64_t now_ns);
/* An item has left its place before it was decoded. */
void decoding_forget(struct desk *desk, const struct desk_item *item);
/* Seconds until somebody with this target gets a seat, by the clock. */
double decoding_wait_s(const struct desk *desk, enum desk_seat seat, int64_t target_ns,
                       int64_t now_ns);
double decoding_pace(const struct desk *desk, enum desk_seat seat, int64_t now_ns);

/* admission.c: predicts the item's time and work from a section on. */
void desk_predict(const struct desk *desk, struct desk_item *item, int section);

#endif
