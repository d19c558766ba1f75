/* The cost table. Sizes are powers of two and batch_max, values between them are linear, which is
 * what a convolution's time over the batch looks like. The slow-down factor is one number a model:
 * what slows a processor slows all sections alike. It is learned from sections that a worker
 * computed alone: what was helped took less, for other reasons, and would hide it, and yet when few
 * are served all are helped, so that without evidence the factor ages. Left out: learning single
 * entries. */
#include "config.h"

#include "policy/cost.h"

#include <math.h>

#include "base/mem.h"
#include "policy/classifiers.h"

static const double learn_rate = 0.1;
/* An idle machine measured the table, so that much less is a measuring error, and much more is an
 * event (a stopped process) that the next predictions must not suffer from for long. */
static const double slow_down_min = 0.5, slow_down_max = 20;
static const double helped_min = 0.05;

struct cost {
    int sections, batch_max, n_sizes;
    bool learns;
    double slow_down; /* of a worker alone */
    double helped;    /* of what that is, with help */
    int64_t aged_ns;  /* when both were looked at last; 0: never */
    int sizes[COST_SIZES_MAX];
    double section[POLICY_EXITS_MAX][COST_SIZES_MAX], head[POLICY_EXITS_MAX][COST_SIZES_MAX];
};

struct cost *cost_new(int sections, int batch_max)
{
    struct cost *cost = mem_new(1, sizeof(*cost));
    if (cost == NULL) return NULL;
    cost->sections = sections;
    cost->batch_max = batch_max;
    cost->slow_down = cost->helped = 1;
    cost->learns = true;
    for (int size = 1; size < batch_max && cost->n_sizes < COST_SIZES_MAX - 1; size *= 2) {
        cost->sizes[cost->n_sizes++] = size;
    }
    cost->sizes[cost->n_sizes++] = batch_max;
    return cost;
}

struct cost *cost_new_linear(int sections, int batch_max, const double *section_s,
                             const double *head_s)
{
    struct cost *cost = cost_new(sections, batch_max);
    if (cost == NULL) return NULL;
    cost->learns = false;
    for (int s = 0; s < sections; s++) {
        for (int i = 0; i < cost->n_sizes; i++) {
            cost->section[s][i] = section_s[s] * cost->sizes[i];
            cost->head[s][i] = head_s[s] * cost->sizes[i];
        }
    }
    return cost;
}

void cost_free(struct cost *cost)
{
    mem_free(cost);
}

int cost_sizes(const struct cost *cost)
{
    return cost->n_sizes;
}

int cost_size(const struct cost *cost, int index)
{
    return cost->sizes[index];
}

static void keep_least(double *least, double s)
{
    if (*least == 0 || s < *least) *least = s;
}

void cost_measured(struct cost *cost, int index, int section, double section_s, double head_s)
{
    keep_least(&cost->section[section][index], section_s);
    keep_least(&cost->head[section][index], head_s);
}

void cost_extrapolate(struct cost *cost, int index)
{
    double ratio = (double)cost->sizes[index] / cost->sizes[index - 1];
    for (int s = 0; s < cost->sections; s++) {
        cost->section[s][index] = cost->section[s][index - 1] * ratio;
        cost->head[s][index] = cost->head[s][index - 1] * ratio;
    }
}

static double look_up(const struct cost *cost, const double *seconds, int batch)
{
    int whole = batch / cost->batch_max, rest = batch % cost->batch_max;
    double sum = whole * seconds[cost->n_sizes - 1];
    if (rest > 0) {
        int i = 0;
        while (cost->sizes[i] < rest) i++;
        double last = seconds[i];
        if (cost->sizes[i] > rest) {
            double below = seconds[i - 1];
            last = below + (seconds[i] - below) * (rest - cost->sizes[i - 1]) /
                               (cost->sizes[i] - cost->sizes[i - 1]);
        }
        sum += last;
    }
    return sum * cost->slow_down;
}

double cost_section(const struct cost *cost, int section, int batch)
{
    return look_up(cost, cost->section[section], batch);
}

double cost_head(const struct cost *cost, int exit, int batch)
{
    return look_up(cost, cost->head[exit], batch);
}

double cost_way(const struct cost *cost, const struct way *way, int first, int batch)
{
    double sum = 0;
    for (int s = first; s <= way->last; s++) {
        sum += cost_section(cost, s, batch);
        if ((way->heads & 1u << s) != 0) sum += cost_head(cost, s, batch);
    }
    return sum;
}

double cost_answer(const struct cost *cost, unsigned heads)
{
    double sum = 0;
    for (int s = 0; s < cost->sections && heads >> s != 0; s++) {
        sum += cost_section(cost, s, 1);
        if ((heads >> s & 1) != 0) sum += cost_head(cost, s, 1);
    }
    return sum;
}

static double within(double least, double value, double most)
{
    return value < least ? least : value > most ? most : value;
}

void cost_age(struct cost *cost, int64_t now_ns)
{
    if (cost->aged_ns != 0 && now_ns > cost->aged_ns) {
        double halves = (double)(now_ns - cost->aged_ns) / (double)COST_FORGET_NS;
        double kept = exp2(-halves);
        cost->slow_down = 1 + kept * (cost->slow_down - 1);
        cost->helped = 1 + kept * (cost->helped - 1);
    }
    cost->aged_ns = now_ns;
}

void cost_learn(struct cost *cost, double predicted_s, double measured_s, bool helped,
                int64_t now_ns)
{
    if (!cost->learns || !(predicted_s > 0)) return;
    cost_age(cost, now_ns);
    /* The prediction holds the factor of today: what the table alone said is the base. */
    double ratio = measured_s / predicted_s;
    if (helped) {
        cost->helped += learn_rate * (within(helped_min, ratio, 1) - cost->helped);
    } else {
        double factor = within(slow_down_min, ratio * cost->slow_down, slow_down_max);
        cost->slow_down += learn_rate * (factor - cost->slow_down);
    }
}

double cost_helped(const struct cost *cost)
{
    return cost->helped;
}

double cost_slow_down(const struct cost *cost)
{
    return cost->slow_down;
}
