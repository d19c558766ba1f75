/* The desk's inside, shared by its sources: desk.c (life, ends), admission.c (rules 5, 6 and 8 of
 * doc/sla.md), decoding.c (rule 14), room.c (whether all who wait can be in time), border.c (what
 * is computed next, and what becomes of it). */
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

/* How soon those who come want their answers: of each urgency the least time that one of the last
 * few seconds left for others, before its own least answer had to be begun. */
struct desk_hurry {
    int64_t least_ns[2][SCHED_URGENCIES]; /* in this period, and in the one before */
    int64_t until_ns;                     /* end of this one */
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
    struct promises promises;
    struct desk_hurry hurry;
    struct desk_version *versions; /* that have items in flight */
    int64_t patient_turn_ns; /* when those without a deadline who are overdue have a turn again */
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

/* ..and the promise. */
static inline struct desk_item *item_of_promise(struct promise *promise)
{
    return (struct desk_item *)((char *)promise - offsetof(struct desk_item, promise));
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

/* border.c: the item waits for a section. */
void desk_wait(struct desk *desk, struct desk_item *item, int section, int64_t now_ns);

/* room.c: predicts the item's time and work from a section on. whole: all it asked for is promised,
 * since its network had less than its share. */
void desk_predict(const struct desk *desk, struct desk_item *item, int section, bool whole);
/* The item, whose work was predicted, is kept in mind while it waits, until it is taken or ends,
 * when it has a deadline. */
void desk_promise(struct desk *desk, struct desk_item *item);
/* By so much of the machine's time the latest of those who wait is too late when all get what they
 * have at this level, and the machine does so much else first (of one worker; but what that worker
 * does now); INT64_MIN: nobody waits. Not positive: all of them fit. */
int64_t room_lack_ns(const struct desk *desk, int level, double extra_s, unsigned worker,
                     int64_t now_ns);
/* The level at which all those count who wait, when somebody of this urgency wants to go on from
 * the exit of a section to the next one; section -1: at which all get the least; the exit behind
 * the last: at which all get all. */
int room_level(const struct classifiers *classifiers, int section, int urgency);
/* How deep all could go who wait, somebody of this urgency who waits for the section among them. */
int room_depth(const struct desk *desk, const struct desk_version *version, int urgency,
               int section, unsigned worker, int64_t now_ns);
/* Until the machine has done what it is at, of all workers together, but for one of them. */
int64_t room_busy_ns(const struct desk *desk, unsigned but, int64_t now_ns);

/* share.c: items of a version have come, or have gone (n < 0); a worker was taken for so long. */
void share_came(struct desk *desk, struct desk_version *version, int n);
void share_used(struct desk_version *version, double s, int64_t now_ns);
/* Whether it had less than its share lately, while others want the machine, too. */
bool share_is_left(const struct desk *desk, const struct desk_version *version, int64_t now_ns);
/* Of the others the one that had most beyond its share, and has somebody who waits for the first
 * section with a deadline; NULL: none had. */
struct desk_version *share_beyond(const struct desk *desk, const struct desk_version *version,
                                  int64_t now_ns);

/* hurry.c: somebody has come who leaves so much time; what those leave who are at least so urgent.
 */
void hurry_init(struct desk_hurry *hurry);
void hurry_came(struct desk_hurry *hurry, int urgency, int64_t leaves_ns, int64_t now_ns);
int64_t hurry_least_ns(const struct desk_hurry *hurry, int urgency);

#endif
