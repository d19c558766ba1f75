/* The cost table. Sizes are powers of two and batch_max, values between them are linear, which is
 * what a convolution's time over the batch looks like. The slow-down factor is one number a model:
 * what slows a processor slows all sections alike. Left out: learning single entries. */
#include "config.h"

#include "cost.h"

#include <errno.h>

#include "base/clock.h"
#include "base/mem.h"

enum { SIZES_MAX = 18, RUNS = 3 };

/* A size is run again, up to RUNS times, until it took so long: what takes longer than a short
 * disturbance is measured well enough at once. */
static const double enough_s = 0.004;

static const double learn_rate = 0.1;
/* An idle machine measured the table, so that much less is a measuring error, and much more is an
 * event (a stopped process) that the next predictions must not suffer from for long. */
static const double slow_down_min = 0.5, slow_down_max = 20;

struct cost {
    int sections, batch_max, n_sizes;
    bool learns;
    double slow_down;
    int sizes[SIZES_MAX];
    double section[SPEC_SECTIONS_MAX][SIZES_MAX], head[SPEC_SECTIONS_MAX][SIZES_MAX];
};

static struct cost *cost_new(int sections, int batch_max)
{
    struct cost *cost = mem_new(1, sizeof(*cost));
    if (cost == NULL) return NULL;
    cost->sections = sections;
    cost->batch_max = batch_max;
    cost->slow_down = 1;
    for (int size = 1; size < batch_max && cost->n_sizes < SIZES_MAX - 1; size *= 2) {
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

static double seconds_since(int64_t start_ns)
{
    return (double)(clock_now() - start_ns) / (double)CLOCK_SECOND;
}

/* Values that are neither denormal nor all alike. */
static void fill(float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) values[i] = (float)(i % 13) * 0.1f - 0.6f;
}

/* One run of the whole network; keeps the least of each section and head. */
static void run_once(struct cost *cost, struct exec *exec, const struct net *net, int size_index,
                     float *logits, bool first)
{
    int batch = cost->sizes[size_index];
    fill(exec_input(exec, 0), (size_t)batch * shape_size(net_section_input(net, 0)));
    for (int s = 0; s < cost->sections; s++) {
        int64_t start = clock_now();
        exec_section(exec, s, batch, s > 0);
        double section = seconds_since(start);
        start = clock_now();
        exec_head(exec, s, 0, batch, logits);
        double head = seconds_since(start);
        double *best_section = &cost->section[s][size_index],
               *best_head = &cost->head[s][size_index];
        if (first || section < *best_section) *best_section = section;
        if (first || head < *best_head) *best_head = head;
    }
}

static void extrapolate(struct cost *cost, int size_index)
{
    double ratio = (double)cost->sizes[size_index] / cost->sizes[size_index - 1];
    for (int s = 0; s < cost->sections; s++) {
        cost->section[s][size_index] = cost->section[s][size_index - 1] * ratio;
        cost->head[s][size_index] = cost->head[s][size_index - 1] * ratio;
    }
}

int cost_measure(struct exec *exec, const struct net *net, int batch_max, double budget_s,
                 struct cost **ret_cost, struct err *e)
{
    struct cost *cost = cost_new(net_sections(net), batch_max);
    float *logits = mem_new((size_t)batch_max * (size_t)net_classes(net), sizeof(float));
    if (cost == NULL || logits == NULL) {
        mem_free(logits);
        cost_free(cost);
        return err_set(e, -ENOMEM, "out of memory for the cost table");
    }
    cost->learns = true;
    int64_t start = clock_now();
    run_once(cost, exec, net, 0, logits, true); /* pages in weights and activations */
    for (int i = 0; i < cost->n_sizes; i++) {
        double expected = 0; /* of one run, from the size before */
        for (int s = 0; i > 0 && s < cost->sections; s++) {
            expected += (cost->section[s][i - 1] + cost->head[s][i - 1]) * cost->sizes[i] /
                        cost->sizes[i - 1];
        }
        if (i > 0 && seconds_since(start) + expected > budget_s) {
            extrapolate(cost, i);
            continue;
        }
        int64_t size_start = clock_now();
        for (int run = 0; run < RUNS; run++) {
            if (run > 0 && (seconds_since(size_start) > enough_s ||
                            seconds_since(start) + expected > budget_s))
                break;
            run_once(cost, exec, net, i, logits, run == 0);
        }
    }
    mem_free(logits);
    *ret_cost = cost;
    return 0;
}

static double look_up(const struct cost *cost, const double *seconds, int batch)
{
    int whole = batch / cost->batch_max, rest = batch % cost->batch_max;
    double sum = whole * seconds[cost->n_sizes - 1];
    if (rest > 0) {
        int i = 0;
        while (cost->sizes[i] < rest) i++;
        double part = seconds[i];
        if (cost->sizes[i] > rest) {
            double below = seconds[i - 1];
            part = below + (seconds[i] - below) * (rest - cost->sizes[i - 1]) /
                               (cost->sizes[i] - cost->sizes[i - 1]);
        }
        sum += part;
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

double cost_answer(const struct cost *cost, int classifier)
{
    int last = classifier == MODEL_ENSEMBLE ? cost->sections - 1 : classifier;
    double sum = 0;
    for (int s = 0; s <= last; s++) {
        sum += cost_section(cost, s, 1);
        if (classifier == MODEL_ENSEMBLE || s == last) sum += cost_head(cost, s, 1);
    }
    return sum;
}

void cost_learn(struct cost *cost, double predicted_s, double measured_s)
{
    if (!cost->learns || !(predicted_s > 0)) return;
    /* The prediction holds the factor of today: what the table alone said is the base. */
    double factor = measured_s / (predicted_s / cost->slow_down);
    if (factor < slow_down_min) factor = slow_down_min;
    if (factor > slow_down_max) factor = slow_down_max;
    cost->slow_down += learn_rate * (factor - cost->slow_down);
}

double cost_slow_down(const struct cost *cost)
{
    return cost->slow_down;
}
