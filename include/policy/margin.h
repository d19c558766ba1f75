/* The time between "computed" and "the client has it", which no cost table knows: the answer waits
 * for a thread, is written, leaves. What is kept of a deadline for that is what all but a few of
 * the latest replies took. Pure; no locks. */
#ifndef POLICY_MARGIN_H
#define POLICY_MARGIN_H

#include <stdint.h>

#include "base/clock.h"

enum {
    MARGIN_SAMPLES = 128, /* the latest replies; who is older has no say */
    MARGIN_LONGER = 4     /* of these took longer than the margin, or as long */
};

struct margin {
    int64_t samples[MARGIN_SAMPLES]; /* ns */
    unsigned n, next;
    int64_t margin_ns, at_ns; /* at_ns: of the latest reply, or when all was halved */
};

/* From this margin on: it counts like MARGIN_LONGER replies that took so long. */
void margin_init(struct margin *margin, int64_t first_ns);

/* A reply has left so long after it was computed. What is negative counts as 0. */
void margin_learn(struct margin *margin, int64_t took_ns, int64_t now_ns);

/* To be called now and then: while no replies leave, the margin halves every MARGIN_FORGET_NS. Or
 * one that grew beyond everybody's deadline would stay: nobody would be let in who shows that it is
 * wrong. */
#define MARGIN_FORGET_NS (CLOCK_SECOND / 4)
void margin_age(struct margin *margin, int64_t now_ns);

static inline int64_t margin_ns(const struct margin *margin)
{
    return margin->margin_ns;
}

#endif
