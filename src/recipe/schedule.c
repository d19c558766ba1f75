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

#include "base/text.h"
#include "recipe/recipe.h"

#define STEP_FACTOR 0.1

/* PyTorch's OneCycleLR: where the rate begins, where it ends, and the share of steps it rises on.
 */
#define CYCLE_START (1.0 / 25)
#define CYCLE_END (CYCLE_START / 1e4)
#define CYCLE_RISE 0.3

enum { EPOCH_MAX = 1000000, TIMES_MAX = 1000 };

static const char *const takes =
    "it takes cosine, linear, rex, one-cycle (or one-cycle:0.3, the share on which the rate "
    "rises), restarts: with the epochs of the first cosine and, behind a comma, how much longer "
    "each one is, like restarts:10,2, or steps: and increasing epochs, like steps:75,130,180";

/* --- reading ---------------------------------------------------------------------------------- */

/* A whole number from 1 at *p, which is moved behind it. */
static int parse_whole(const char **p, int64_t most, const char *what, int64_t *ret, struct err *e)
{
    char *end;
    errno = 0;
    const long value = strtol(*p, &end, 10);
    if (end == *p || **p < '0' || **p > '9' || errno != 0 || value < 1 || value > most)
        return err_set(e, ERR_RANGE, "\"%.40s\" is not %s from 1; %s", *p, what, takes);
    *p = end;
    *ret = value;
    return 0;
}

static int parse_milestones(const char *p, struct schedule *s, struct err *e)
{
    for (;; p++) {
        int64_t value;
        int rc = parse_whole(&p, EPOCH_MAX, "an epoch", &value, e);
        if (rc < 0) return rc;
        if (s->n_milestones == SCHEDULE_MILESTONES_MAX) {
            return err_set(e, ERR_RANGE, "more than %d epochs; %s", SCHEDULE_MILESTONES_MAX, takes);
        }
        if (s->n_milestones > 0 && value <= s->milestones[s->n_milestones - 1]) {
            return err_set(e, ERR_RANGE, "%lld does not come after the epoch before it; %s",
                           (long long)value, takes);
        }
        s->milestones[s->n_milestones++] = value;
        if (*p == '\0') break;
        if (*p != ',') return err_set(e, ERR_RANGE, "\"%.40s\" is not a comma; %s", p, takes);
    }
    char out[SCHEDULE_TEXT_MAX];
    schedule_format(s, out);
    if (strlen(out) == SCHEDULE_TEXT_MAX - 1)
        return err_set(e, ERR_RANGE, "the text is too long; %s", takes);
    return 0;
}

static int parse_restarts(const char *p, struct schedule *s, struct err *e)
{
    s->times = 1;
    int rc = parse_whole(&p, EPOCH_MAX, "a number of epochs", &s->first, e);
    if (rc == 0 && *p == ',') {
        p++;
        rc = parse_whole(&p, TIMES_MAX, "a factor", &s->times, e);
    }
    if (rc == 0 && *p != '\0')
        rc = err_set(e, ERR_RANGE, "\"%.40s\" behind the numbers; %s", p, takes);
    return rc;
}

static int parse_rise(const char *p, struct schedule *s, struct err *e)
{
    if (text_to_real(p, &s->rise) && s->rise > 0 && s->rise < 1) return 0;
    return err_set(e, ERR_RANGE, "\"%.40s\" is not a share between 0 and 1; %s", p, takes);
}

/* The kinds, and what reads the values behind a colon; NULL: there are none. */
static const struct {
    const char *name;
    enum schedule_kind kind;
    int (*parse)(const char *values, struct schedule *s, struct err *e);
    bool may_lack; /* the values have a default */
} kinds[] = {
    {"cosine", SCHEDULE_COSINE, NULL, true},
    {"linear", SCHEDULE_LINEAR, NULL, true},
    {"rex", SCHEDULE_REX, NULL, true},
    {"one-cycle", SCHEDULE_ONE_CYCLE, parse_rise, true},
    {"restarts", SCHEDULE_RESTARTS, parse_restarts, false},
    {"steps", SCHEDULE_STEPS, parse_milestones, false},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

int schedule_parse(const char *text, struct schedule *ret_schedule, struct err *e)
{
    const size_t name = strcspn(text, ":");
    size_t i = 0;
    while (i < KINDS && (strlen(kinds[i].name) != name || memcmp(kinds[i].name, text, name) != 0))
        i++;
    const bool has_values = text[name] == ':';
    if (i == KINDS || (has_values ? kinds[i].parse == NULL : !kinds[i].may_lack))
        return err_set(e, ERR_RANGE, "\"%.100s\" is no schedule; %s", text, takes);
    struct schedule s = {.kind = kinds[i].kind};
    if (s.kind == SCHEDULE_ONE_CYCLE) s.rise = CYCLE_RISE;
    int rc = has_values ? kinds[i].parse(text + name + 1, &s, e) : 0;
    if (rc == 0) *ret_schedule = s;
    return rc;
}

/* --- writing ---------------------------------------------------------------------------------- */

static void format_milestones(const struct schedule *s, char ret_text[SCHEDULE_TEXT_MAX])
{
    size_t used = 0;
    for (int i = 0; i < s->n_milestones && used < SCHEDULE_TEXT_MAX; i++) {
        int n = snprintf(ret_text + used, SCHEDULE_TEXT_MAX - used, "%s%lld",
                         i == 0 ? "steps:" : ",", (long long)s->milestones[i]);
        used += n > 0 ? (size_t)n : 0;
    }
}

void schedule_format(const struct schedule *s, char ret_text[SCHEDULE_TEXT_MAX])
{
    char number[TEXT_NUMBER_MAX];
    switch (s->kind) {
    case SCHEDULE_STEPS:
        format_milestones(s, ret_text);
        break;
    case SCHEDULE_RESTARTS:
        snprintf(ret_text, SCHEDULE_TEXT_MAX, "restarts:%lld", (long long)s->first);
        if (s->times > 1)
            snprintf(ret_text, SCHEDULE_TEXT_MAX, "restarts:%lld,%lld", (long long)s->first,
                     (long long)s->times);
        break;
    case SCHEDULE_ONE_CYCLE:
        snprintf(ret_text, SCHEDULE_TEXT_MAX, "one-cycle");
        if (s->rise != CYCLE_RISE)
            snprintf(ret_text, SCHEDULE_TEXT_MAX, "one-cycle:%s", text_double(s->rise, number));
        break;
    case SCHEDULE_COSINE:
    case SCHEDULE_LINEAR:
    case SCHEDULE_REX:
        for (size_t i = 0; i < KINDS; i++) {
            if (kinds[i].kind == s->kind)
                snprintf(ret_text, SCHEDULE_TEXT_MAX, "%s", kinds[i].name);
        }
        break;
    }
}

/* --- rates ------------------------------------------------------------------------------------ */

/* Half a cosine from 1 down to 0. */
static double half_cosine(double p)
{
    return 0.5 * (1.0 + cos(M_PI * p));
}

static double steps_factor(const struct schedule *s, int64_t t, int64_t epoch_steps)
{
    double factor = 1.0;
    for (int i = 0; i < s->n_milestones; i++) {
        if (t >= s->milestones[i] * epoch_steps) factor *= STEP_FACTOR;
    }
    return factor;
}

/* Step t of all: the last one has the end's rate. The top lies at rise * all - 1, between two steps
 * or on one. */
static double cycle_factor(const struct schedule *s, int64_t t, int64_t all)
{
    const double top = s->rise * (double)all - 1.0, end = (double)all - 1.0, at = (double)t;
    if (at < top) return 1.0 + (CYCLE_START - 1.0) * half_cosine(at / top);
    return CYCLE_END + (1.0 - CYCLE_END) * half_cosine(end > top ? (at - top) / (end - top) : 0.0);
}

/* The cosine that step t from the end of the warm-up is in begins with it. */
static double restarts_factor(const struct schedule *s, int64_t t, int64_t epoch_steps)
{
    int64_t length = s->first * epoch_steps;
    if (s->times == 1) t %= length;
    while (t >= length) {
        t -= length;
        length *= s->times; /* at most t behind it times TIMES_MAX: far from the end of numbers */
    }
    return half_cosine((double)t / (double)length);
}

static double factor_at(const struct recipe *recipe, int64_t t, int64_t epoch_steps)
{
    const struct schedule *s = &recipe->schedule;
    const int64_t all = recipe->epochs * epoch_steps;
    if (s->kind == SCHEDULE_ONE_CYCLE) return cycle_factor(s, t < all ? t : all - 1, all);
    const int64_t warm = recipe->warmup * epoch_steps;
    if (t < warm) return (double)(t + 1) / (double)warm;
    if (s->kind == SCHEDULE_STEPS) return steps_factor(s, t, epoch_steps);
    if (s->kind == SCHEDULE_RESTARTS) return restarts_factor(s, t - warm, epoch_steps);
    if (t >= all) return 0.0;
    const double p = (double)(t - warm) / (double)(all - warm);
    if (s->kind == SCHEDULE_LINEAR) return 1.0 - p;
    return s->kind == SCHEDULE_REX ? (1.0 - p) / (1.0 - 0.5 * p) : half_cosine(p);
}

double schedule_rate(const struct recipe *recipe, int64_t t, int64_t epoch_steps)
{
    return recipe->rate * factor_at(recipe, t, epoch_steps);
}
