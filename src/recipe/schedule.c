/* Schedules: parsing, and the learning rate at a step.
 *
 * The rate is computed from the step alone, never from the last one, so that a resumed
 * training sees the same rates to the last bit. */
#include "config.h"

#include "recipe/schedule.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recipe/recipe.h"

#define STEP_FACTOR 0.1

static const char *const takes =
    "it takes cosine, or steps: and increasing epochs, like steps:75,130,180";

static int parse_milestones(const char *text, struct schedule *s, struct err *e)
{
    const char *p = text;
    for (;;) {
        char *end;
        errno = 0;
        long value = strtol(p, &end, 10);
        if (end == p || *p < '0' || *p > '9' || errno != 0 || value < 1 || value > 1000000) {
            return err_set(e, ERR_RANGE, "\"%s\" is not an epoch from 1; %s", p, takes);
        }
        if (s->n_milestones == SCHEDULE_MILESTONES_MAX) {
            return err_set(e, ERR_RANGE, "more than %d epochs; %s", SCHEDULE_MILESTONES_MAX, takes);
        }
        if (s->n_milestones > 0 && value <= s->milestones[s->n_milestones - 1]) {
            return err_set(e, ERR_RANGE, "%ld does not come after the epoch before it; %s", value,
                           takes);
        }
        s->milestones[s->n_milestones++] = value;
        if (*end == '\0') return 0;
        if (*end != ',') return err_set(e, ERR_RANGE, "\"%s\" is not a comma; %s", end, takes);
        p = end + 1;
    }
}

int schedule_parse(const char *text, struct schedule *ret_schedule, struct err *e)
{
    struct schedule s = {.kind = SCHEDULE_COSINE};
    if (strcmp(text, "cosine") != 0) {
        if (strncmp(text, "steps:", 6) != 0) {
            return err_set(e, ERR_RANGE, "\"%.100s\" is no schedule; %s", text, takes);
        }
        s.kind = SCHEDULE_STEPS;
        int rc = parse_milestones(text + 6, &s, e);
        if (rc < 0) return rc;
        char out[SCHEDULE_TEXT_MAX];
        schedule_format(&s, out);
        if (strlen(out) == SCHEDULE_TEXT_MAX - 1) {
            return err_set(e, ERR_RANGE, "the text is too long; %s", takes);
        }
    }
    *ret_schedule = s;
    return 0;
}

void schedule_format(const struct schedule *schedule, char ret_text[SCHEDULE_TEXT_MAX])
{
    if (schedule->kind == SCHEDULE_COSINE) {
        snprintf(ret_text, SCHEDULE_TEXT_MAX, "cosine");
        return;
    }
    size_t used = 0;
    for (int i = 0; i < schedule->n_milestones && used < SCHEDULE_TEXT_MAX; i++) {
        int n = snprintf(ret_text + used, SCHEDULE_TEXT_MAX - used, "%s%lld",
                         i == 0 ? "steps:" : ",", (long long)schedule->milestones[i]);
        used += n > 0 ? (size_t)n : 0;
    }
}

static double factor_at(const struct recipe *recipe, int64_t t, int64_t epoch_steps)
{
    const struct schedule *schedule = &recipe->schedule;
    int64_t all = recipe->epochs * epoch_steps, warm = recipe->warmup * epoch_steps;
    if (t < warm) return (double)t / (double)warm;
    if (schedule->kind == SCHEDULE_COSINE) {
        if (t >= all) return 0.0;
        return 0.5 * (1.0 + cos(M_PI * (double)(t - warm) / (double)(all - warm)));
    }
    double factor = 1.0;
    for (int i = 0; i < schedule->n_milestones; i++) {
        if (t >= schedule->milestones[i] * epoch_steps) factor *= STEP_FACTOR;
    }
    return factor;
}

double schedule_rate(const struct recipe *recipe, int64_t t, int64_t epoch_steps)
{
    return recipe->rate * factor_at(recipe, t, epoch_steps);
}
