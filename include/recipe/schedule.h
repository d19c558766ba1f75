/* The learning rate as a pure function of the step. Plain values, no ownership; any thread. */
#ifndef RECIPE_SCHEDULE_H
#define RECIPE_SCHEDULE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { SCHEDULE_MILESTONES_MAX = 16, SCHEDULE_TEXT_MAX = 64 };

/* With p, the share of the steps behind the warm-up that are done. */
enum schedule_kind {
    SCHEDULE_COSINE,    /* (1 + cos(pi p)) / 2 (Loshchilov and Hutter 2017, without restarts) */
    SCHEDULE_STEPS,     /* times 0.1 at each milestone */
    SCHEDULE_LINEAR,    /* 1 - p */
    SCHEDULE_REX,       /* (1 - p) / (1 - p/2) (Chen, Wolfe and Kyrillidis 2022, section 4) */
    SCHEDULE_ONE_CYCLE, /* up from 1/25 and down to 1/250000, by half cosines (Smith and Topin 2019,
                           with PyTorch's constants); it has no other warm-up */
    SCHEDULE_RESTARTS,  /* the cosine again and again (Loshchilov and Hutter 2017, equation 5) */
};

struct schedule {
    enum schedule_kind kind;
    int n_milestones;
    int64_t milestones[SCHEDULE_MILESTONES_MAX]; /* epochs, increasing, from 1 */
    double rise;          /* of one-cycle: the share of all steps on which the rate goes up */
    int64_t first, times; /* of restarts: epochs of the first cosine, and how much longer each is
                             than the one before */
};

/* "cosine", "linear", "rex", "one-cycle" and "one-cycle:0.3", "restarts:10" and "restarts:10,2",
 * "steps:75,130,180". ERR_RANGE says what is wrong with the text. */
int schedule_parse(const char *text, struct schedule *ret_schedule, struct err *e);

/* The text that schedule_parse() reads back. */
void schedule_format(const struct schedule *schedule, char ret_text[SCHEDULE_TEXT_MAX]);

struct recipe;

/* The learning rate of step t (from 0) of S = epochs * epoch_steps, with W = warmup * epoch_steps:
 * the recipe's rate times (t+1)/W while t < W, so that the first step has a rate above 0 and the
 * last one of the warm-up the whole rate; then the schedule's factor with p = (t-W) / (S-W), for
 * steps 0.1^(milestones reached). With warmup >= epochs the whole training is warm-up. */
double schedule_rate(const struct recipe *recipe, int64_t t, int64_t epoch_steps);

#endif
