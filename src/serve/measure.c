/* Measuring costs. A warm-up pages in weights and activations; each size of batch then runs the
 * whole network, section by section with its head, as long as the budget lasts. Left out: what a
 * figure means later (policy/cost.h). */
#include "config.h"

#include "measure.h"

#include <errno.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/mem.h"

enum { RUNS = 3 };

/* The smallest size is run RUNS times; others again until they took so long, which is measured well
 * enough at once, unless it was so much longer than the size before lets expect: then somebody else
 * had the processor for a while. */
static const double enough_s = 0.004, disturbed_ratio = 1.5;

static double seconds_since(int64_t start_ns)
{
    return (double)(clock_now() - start_ns) / (double)CLOCK_SECOND;
}

/* Values that are neither denormal nor all alike. */
static void fill(float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) values[i] = (float)(i % 13) * 0.1f - 0.6f;
}

/* One run of the whole network at one of the table's sizes. cost: NULL warms up only. */
static void run_once(struct cost *cost, struct exec *exec, const struct net *net, int index,
                     int batch, float *logits)
{
    fill(exec_input(exec, 0), (size_t)batch * shape_size(net_section_input(net, 0)));
    for (int s = 0; s < net_sections(net); s++) {
        int64_t start = clock_now();
        exec_section(exec, s, batch, s > 0);
        double section = seconds_since(start);
        start = clock_now();
        exec_head(exec, s, 0, batch, logits);
        if (cost != NULL) cost_measured(cost, index, s, section, seconds_since(start));
    }
}

/* Of one run, from the size before. */
static double expected(const struct cost *cost, const struct net *net, int index)
{
    double sum = 0;
    int before = cost_size(cost, index - 1);
    for (int s = 0; s < net_sections(net); s++)
        sum += cost_section(cost, s, before) + cost_head(cost, s, before);
    return sum * cost_size(cost, index) / before;
}

int measure_cost(struct exec *exec, const struct net *net, int batch_max, double budget_s,
                 struct cost **ret_cost, struct err *e)
{
    struct cost *cost = cost_new(net_sections(net), batch_max);
    float *logits = mem_new((size_t)batch_max * (size_t)net_classes(net), sizeof(float));
    if (cost == NULL || logits == NULL) {
        mem_free(logits);
        cost_free(cost);
        return err_set(e, -ENOMEM, "out of memory for the cost table");
    }
    int64_t start = clock_now();
    run_once(NULL, exec, net, 0, 1, logits);
    for (int i = 0; i < cost_sizes(cost); i++) {
        double run_s = i > 0 ? expected(cost, net, i) : 0;
        if (i > 0 && seconds_since(start) + run_s > budget_s) {
            cost_extrapolate(cost, i);
            continue;
        }
        int64_t size_start = clock_now();
        bool enough = false;
        for (int run = 0; run < RUNS && !enough; run++) {
            if (run > 0 && seconds_since(start) + run_s > budget_s) break;
            int64_t run_start = clock_now();
            run_once(cost, exec, net, i, cost_size(cost, i), logits);
            bool disturbed = seconds_since(run_start) > disturbed_ratio * run_s;
            enough = i > 0 && !disturbed && seconds_since(size_start) > enough_s;
        }
    }
    mem_free(logits);
    *ret_cost = cost;
    return 0;
}
