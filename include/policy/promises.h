/* What has been promised: everybody who waits and has a deadline, in the order of deadlines, with
 * what the machine must do for each, for several *levels*: at level 0 as little as each may be
 * answered with, at each further one more depth for some, up to what each would have at best. The
 * question is whether all of them can be in time at a level. They can, as far as work goes, when at
 * no deadline more work is due than the machine does until then:
 *
 *   now + work of all up to that deadline <= deadline     (work is of all workers together)
 *
 * So each node of a treap (tree.h says which) knows the largest of "work due - deadline" below it,
 * for each level: asking takes a look at the root, a change O(log n) expected. The nodes are the
 * caller's, linked in place: nothing is allocated, nothing fails. No locks, no clock. */
#ifndef POLICY_PROMISES_H
#define POLICY_PROMISES_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/classifiers.h"

enum { PROMISE_LEVELS = POLICY_EXITS_MAX + 2 };

struct promise {
    /* set by the caller before promises_add(), then left alone */
    int64_t deadline_ns;
    int64_t work_ns[PROMISE_LEVELS];  /* by the machine, not by one worker */
    int64_t early_ns[PROMISE_LEVELS]; /* so much before the deadline this work has to be done */
    int urgency;                      /* 0..7: who has the largest goes first when somebody must */

    /* the tree's */
    bool kept; /* it is in */
    struct promise *up, *left, *right;
    uint64_t order, priority;
    int largest; /* urgency of this one and of all below */
    struct promise_sum {
        int64_t sum_ns;  /* work, of this one and of all below */
        int64_t need_ns; /* the largest, over this one and all below, of what is due among these and
                            early, minus the deadline */
    } below[PROMISE_LEVELS];
};

struct promises {
    struct promise *root;
    int levels; /* that are summed */
    uint64_t order;
};

void promises_init(struct promises *promises);

/* At least so many levels are summed from now on: those that are asked for. O(n) where these are
 * more than before. */
void promises_need_levels(struct promises *promises, int levels);

void promises_add(struct promises *promises, struct promise *promise);
void promises_remove(struct promises *promises, struct promise *promise); /* if it is in */

/* How late the latest of them is at best if work begins at 0: negative by the time until work has
 * to begin. INT64_MIN when there are none. */
int64_t promises_due(const struct promises *promises, int level);

/* The same of those whose deadline is later than this one. */
int64_t promises_due_after(const struct promises *promises, int level, int64_t deadline_ns);

/* The latest of those with the largest urgency, if that is larger than this one; NULL: none. */
struct promise *promises_victim(const struct promises *promises, int urgency);

/* Work due until this deadline. */
int64_t promises_work(const struct promises *promises, int level, int64_t deadline_ns);

#endif
