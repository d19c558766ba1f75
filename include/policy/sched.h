/* The scheduler: who computes what next. Pure: no clock, no threads, no locks, no allocation; time
 * is an argument and items and queues are the caller's structs, linked in place. An item is in one
 * place at a time, and that place is its state:
 *
 *   nowhere -- sched_push --> a queue -- sched_next, sched_take --> running -- sched_push -->
 *      ^                         |                                     |
 *      +------- sched_remove ----+-------------------------------------+
 *
 * A queue belongs to one (model version, section, with a deadline or without), or its items wait
 * for decoding, or are held back before that. The scheduler knows queues only while they hold
 * items, so that a model version leaves no trace. What an operation takes grows with the logarithm
 * of what is queued, and with how many queues hold something. */
#ifndef POLICY_SCHED_H
#define POLICY_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/cost.h"
#include "policy/tree.h"

enum { SCHED_DECODE = -1, SCHED_RUNNING = -2, SCHED_HELD = -3, SCHED_URGENCIES = 8 };

struct sched_item {
    /* set by the caller before sched_push() */
    int64_t target_ns;   /* the order: the deadline, or arrival + a target by urgency (rule 8 of
                            doc/sla.md); the same at each place */
    int64_t deadline_ns; /* 0: none */
    int64_t rest_ns;     /* predicted from the end of its section here to the least answer */
    int64_t work_ns;     /* its share of the machine from here to the answer, in a usual batch */
    int urgency;         /* 0..7, 7 waits best; the same at each place */
    int64_t turn_ns;     /* instead of its target where it waits for decoding, */
    int64_t decode_ns;   /* and what it weighs there */

    /* the scheduler's */
    struct sched_queue *place; /* NULL: nowhere */
    int64_t since_ns;          /* when it came to this place */
    int64_t counted_ns;        /* of its work */
    struct tree_node queued;   /* in its place, unless that is `running` */
    struct tree_node known;    /* until it is nowhere */
};

struct sched_queue {
    struct tree items; /* not of `running` and of held ones: those are counted only */
    size_t count;
    int section;             /* or SCHED_DECODE.. */
    bool promised;           /* of a section: all of its items have a deadline, or none */
    const struct cost *cost; /* of the section */
    struct sched_queue *before, *after;
};

struct sched {
    struct sched_queue *queues; /* of sections, those that hold items */
    struct sched_queue running;
    struct tree known;                 /* everybody who is somewhere */
    int64_t work_ns;                   /* theirs, all together */
    size_t waiting;                    /* items in queues of sections */
    size_t sheddable[SCHED_URGENCIES]; /* items in any queue, by urgency */
    uint64_t order;
};

void sched_init(struct sched *sched);
void sched_queue_init(struct sched_queue *queue, int section, bool promised,
                      const struct cost *cost);

/* rule 8: arrival + deadline, or + default_target x 2^(u-3). */
int64_t sched_target(int64_t arrival_ns, int64_t deadline_ns, int64_t default_target_ns,
                     int urgency);

/* Puts an item that is nowhere or running into a queue. */
void sched_push(struct sched *sched, struct sched_queue *queue, struct sched_item *item,
                int64_t now_ns);

/* Takes an item out of wherever it is; nothing happens when it is nowhere. */
void sched_remove(struct sched *sched, struct sched_item *item);

/* The queue of a section whose first item has the earliest target, of those whose items all have a
 * deadline, or of those that have none; among equals the deeper section. NULL: they are empty. */
struct sched_queue *sched_earliest(const struct sched *sched, bool promised);

struct sched_limits {
    int64_t now_ns;
    const int64_t *others; /* when each of the other workers is predicted to be free */
    size_t n_others;
    size_t max;         /* items */
    int64_t margin_ns;  /* kept of each deadline */
    int64_t longest_ns; /* the batch may take, unless it is of one */
};

/* The next batch from a queue of a section that holds something: its items, up to max, earliest
 * target first, moved to running. They are merged while no deadline in the batch that a smaller
 * batch would keep is predicted to suffer, while it does not take too long, and while the other
 * workers get their share: those who are free by now, or will be before this one is through with
 * its own. Returns how many. */
size_t sched_next(struct sched *sched, struct sched_queue *queue, const struct sched_limits *limits,
                  struct sched_item **ret_items);

/* Whether sched_next() would hand out the very items, the earliest of which is `item`, that are
 * about to be pushed into `queue`: nobody is there to join them or goes before them. */
bool sched_goes_on(const struct sched *sched, const struct sched_queue *queue,
                   const struct sched_item *item);

/* The items of a queue in order; NULL at the end. Not of `running` and of held ones. */
struct sched_item *sched_first(const struct sched_queue *queue);
struct sched_item *sched_after(const struct sched_item *item);

/* The same from its end. */
struct sched_item *sched_last(const struct sched_queue *queue);
struct sched_item *sched_before(const struct sched_item *item);

/* An item that is in a queue, moved to running. */
void sched_take(struct sched *sched, struct sched_item *item);

/* What the items of a queue for decoding weigh whose turn is not later. */
int64_t sched_decode_before(const struct sched_queue *queue, int64_t turn_ns);

/* Who is shed first (rule 8): of all queued items less urgent than `urgency`, the least urgent,
 * among equals the one with the latest target. NULL: none. sched_less_urgent(): how many there are
 * to choose from. */
struct sched_item *sched_victim(const struct sched *sched, int urgency);
size_t sched_less_urgent(const struct sched *sched, int urgency);

#endif
