/* Costs of a network's parts. */
#include "config.h"

#include "cost.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"

enum { PASSES_MIN = 5, PASSES_MAX = 400, PARTS = 2 * SPEC_SECTIONS_MAX };

#define MEASURE_NS (CLOCK_SECOND / 3)

struct early_costs cost_macs(const struct net *net)
{
    struct early_costs c = {.n_exits = net_sections(net)};
    for (int i = 0; i < c.n_exits; i++) {
        c.sections[i] = (double)net_section_cost(net, i).macs;
        c.heads[i] = (double)net_exit_cost(net, i).macs;
    }
    return c;
}

/* The times of all parts in one pass: sections first. */
static void pass(struct exec *exec, int sections, float *logits, double ret_ms[PARTS])
{
    int64_t before = clock_now();
    for (int i = 0; i < sections; i++) {
        exec_section(exec, i, 1, i > 0);
        int64_t between = clock_now();
        exec_head(exec, i, 0, 1, logits);
        int64_t after = clock_now();
        ret_ms[i] = (double)(between - before) / (double)CLOCK_MS;
        ret_ms[SPEC_SECTIONS_MAX + i] = (double)(after - between) / (double)CLOCK_MS;
        before = after;
    }
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int cost_ms(const struct plan *plan, struct early_costs *ret_costs, struct err *e)
{
    const struct net *net = plan_net(plan);
    const int sections = net_sections(net);
    const size_t size = shape_size(net_input(net));
    struct exec *exec = exec_new(plan, 1, e);
    float *logits = mem_new((size_t)net_classes(net), sizeof(*logits));
    double(*ms)[PASSES_MAX] = mem_new(PARTS, sizeof(*ms));
    int rc = exec != NULL && logits != NULL && ms != NULL ? 0 : -ENOMEM;
    if (rc < 0) {
        err_set(e, rc, "out of memory for measuring");
        goto out;
    }
    struct rng r;
    rng_init(&r, 0, RNG_CANARY, 0, 0);
    float *input = exec_input(exec, 0);
    for (size_t i = 0; i < size; i++) input[i] = (float)(2 * rng_uniform(&r) - 1);
    size_t n = 0;
    double parts[PARTS];
    pass(exec, sections, logits, parts); /* into the caches */
    for (int64_t start = clock_now();
         n < PASSES_MAX && (n < PASSES_MIN || clock_now() - start < MEASURE_NS); n++) {
        pass(exec, sections, logits, parts);
        for (size_t i = 0; i < PARTS; i++) ms[i][n] = parts[i];
    }
    *ret_costs = (struct early_costs){.n_exits = sections};
    for (int i = 0; i < sections; i++) {
        qsort(ms[i], n, sizeof(ms[i][0]), compare);
        qsort(ms[SPEC_SECTIONS_MAX + i], n, sizeof(ms[i][0]), compare);
        ret_costs->sections[i] = ms[i][n / 2];
        ret_costs->heads[i] = ms[SPEC_SECTIONS_MAX + i][n / 2];
    }
out:
    mem_free(ms);
    mem_free(logits);
    exec_free(exec);
    return rc;
}
