/* The simulated machine that test_desk_sim.c drives the desk with, and what its sources share. */
#ifndef TESTS_POLICY_SIM_H
#define TESTS_POLICY_SIM_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../src/policy/desk_impl.h"
#include "load.h"

enum {
    WORKERS_MAX = 4,
    BATCH_MAX = 32,
    QUEUE_MAX = 512,
    VERSIONS = 3,
    SEATS_MAX = 4,
    NAIVE_EVERY = 997
};

/* Ends the program. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("# seed %" PRIu64 ", request %" PRIu64 ": %s:%d: %s\n", world.seed, world.made, \
                   __FILE__, __LINE__, #condition);                                                \
            printf("not ok 1 - the desk in virtual time\n");                                       \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

enum place { NOWHERE, UNDECODED, DECODING, WAITING, RUNNING };

/* What this program knows of an item, without asking the desk. */
struct shadow {
    enum place place;
    int section;
};

struct slot {
    struct load_request load; /* first */
    struct shadow shadows[LOAD_IMAGES_MAX];
    bool used, hung_up, bad_image;
    int ended;
};

struct worker {
    enum { IDLE, DECODES, IN_SECTION, IN_HEADS, OCCUPIED } state;
    struct desk_batch batch;
    struct desk_item *items[BATCH_MAX];
    struct seat *decodes;
    bool may_stay;
    int64_t begun_ns, until_ns;
};

extern struct slot *slots[QUEUE_MAX + 1];

extern struct world {
    uint64_t seed, made, limit;
    struct rng rng;
    struct desk_options options;
    struct desk *desk;
    struct desk_version versions[VERSIONS]; /* 1 takes over from 0; 2 is another model's */
    size_t in_version[VERSIONS];
    bool retired;
    int64_t now, arrival_ns;
    int n_slots; /* in use of `slots` */
    struct worker workers[WORKERS_MAX];
    struct seat {
        struct desk_item *item; /* NULL: nobody's */
        int64_t begun_ns, until_ns;
        double cpu_s;
        bool with_worker; /* who is here, and not the decoder */
    } seats[DESK_SEATS][SEATS_MAX];
    int64_t dropped_target_ns; /* the earliest of those that ended while a batch was taken */
} world;

/* Over all seeds; each must have happened. */
enum count {
    ADMITTED,
    REFUSED_FULL,
    REFUSED_OVERLOAD,
    REFUSED_IDLE,
    ANSWERED,
    DEGRADED,
    EXPIRED,
    LATE_ANSWERS,
    SHED,
    HUNG_UP,
    BAD_IMAGES,
    UNDECODABLE,
    PASSED_OVER,
    OVER_SHARE,
    SHORT_OF_MEMORY,
    FAULTS,
    STAYED,
    MERGED,
    HELD_FOR_COMPANY,
    SHED_FOR_TIME,
    STOPPED_FOR_OTHERS,
    COUNTS
};

extern uint64_t counts[COUNTS];
extern uint64_t decisions; /* calls of the desk */

static inline bool chance(uint32_t one_in)
{
    return rng_below(&world.rng, one_in) == 0;
}

static inline struct slot *slot_of(const struct desk_item *item)
{
    return (struct slot *)item->request;
}

static inline struct shadow *shadow_of(const struct desk_item *item)
{
    struct slot *slot = slot_of(item);
    return &slot->shadows[item - slot->load.items];
}

static inline int64_t seconds_to_ns(double s)
{
    return 1 + (int64_t)(s * (double)CLOCK_SECOND);
}

/* What was predicted, give or take; sometimes a multiple. */
static inline int64_t real_ns(double predicted_s)
{
    double factor = chance(200) ? 10 : .6 + .7 * rng_uniform(&world.rng);
    return world.now + seconds_to_ns(predicted_s * factor);
}

/* test_desk_sim.c: takes what has ended. newcomer: whose arrival it was, or NULL. */
void take_ended(const struct desk_request *newcomer);

/* sim_decoding.c: an image gets a seat, at the decoder or, where the desk said so, with the worker
 * who waits for it; it has been decoded; who waits gets what is free. */
struct seat *begin_decoding(struct desk_item *item, bool with_worker);
void end_decoding(struct seat *seat);
void fill_seats(enum desk_seat seat);

/* Compares who waits with what was counted one by one: items and their prices by seats. */
struct naive_decoding {
    size_t waiting[DESK_SEATS];
    int64_t waiting_ns[DESK_SEATS];
};
void check_naive_decoding(const struct naive_decoding *n, int64_t target_ns);

#endif
