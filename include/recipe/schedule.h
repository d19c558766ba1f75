/* The learning rate as a pure function of the step. Plain values, no ownership; any thread. */
#ifndef RECIPE_SCHEDULE_H
#define RECIPE_SCHEDULE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { SCHEDULE_MILESTONES_MAX = 16, SCHEDULE_TEXT_MAX = 64 };

enum schedule_kind {
    SCHEDULE_COSINE, /* to zero, by step (Loshchilov and Hutter 2017, without restarts) */
    SCHEDULE_STEPS,  /* times 0.1 at each milestone */
};

struct schedule {
    enum schedule_kind kind;
    int n_milestones;
    int64_t milestones[SCHEDULE_MILESTONES_MAX]; /* epochs, increasing, from 1 */
};

/* "cosine" or "steps:75,130,180". ERR_RANGE says what is wrong with the text. */
int schedule_parse(const char *text, struct schedule *ret_schedule, struct err *e);

/* The text that schedule_parse() reads back. */
void schedule_format(const struct schedule *schedule, char ret_text[SCHEDULE_TEXT_MAX]);

struct recipe;

/* The learning rate of step t (from 0) of S = epochs * epoch_steps, with W = warmup * epoch_steps:
 * the recipe's rate times t/W while t < W (so the very first step has rate 0), then for cosine
 * (1 + cos(pi (t-W) / (S-W))) / 2, for steps 0.1^(milestones reached). With warmup >= epochs the
 * whole training is warm-up. */
double schedule_rate(const struct recipe *recipe, int64_t t, int64_t epoch_steps);

#endif
