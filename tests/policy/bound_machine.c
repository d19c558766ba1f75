/* See bound_machine.h: what the networks' tables and the classes say, as bound.h wants it. */
#include "config.h"

#include "bound_machine.h"

#include <math.h>

#include "base/clock.h"
#include "base/mem.h"
#include "bound.h"

static double least(const double *ms)
{
    double least = INFINITY;
    for (int i = 0; i < NETWORK_SIZES; i++) least = fmin(least, ms[i] / (double)(1 << i));
    return least / 1e3;
}

/* Which exits a class may be answered by. */
static bool permits(const struct sla *sla, int exit)
{
    if (sla->classifier == SLA_AUTO || !sla->fail_on_miss) return true;
    return sla->classifier == SLA_DEEPEST ? exit == NETWORK_EXITS - 1 : exit == sla->exit;
}

static void fill_class(const struct machine *machine, int class, struct bound_class *ret)
{
    const struct machine_class *c = &machine->classes[class];
    const struct network *network = machine->networks[c->model];
    double sections = 0;
    ret->n = 0;
    for (int s = 0; s < NETWORK_EXITS; s++) {
        sections += least(network->section_ms[s]);
        if (!permits(&c->sla, s)) continue;
        ret->answers[ret->n++] = (struct bound_answer){
            .work_s = sections + least(network->head_ms[s]), .worth = network->accuracy[s]};
    }
}

double bound_right(const struct machine *machine, const struct machine_arrival *arrivals, size_t n)
{
    struct bound_class classes[MACHINE_CLASSES_MAX];
    double *at = mem_new(2 * n + 1, sizeof(*at)), *deadline = at + n, sum = -1;
    int *class = mem_new(n + 1, sizeof(*class));
    for (int c = 0; c < machine->n_classes; c++) fill_class(machine, c, &classes[c]);
    if (at != NULL && class != NULL) {
        for (size_t i = 0; i < n; i++) {
            int64_t d = machine->classes[arrivals[i].class].sla.deadline_ns;
            class[i] = arrivals[i].class;
            at[i] = (double)arrivals[i].at_ns / (double)CLOCK_SECOND;
            deadline[i] = d > 0 ? at[i] + (double)d / (double)CLOCK_SECOND : INFINITY;
        }
        const struct bound_arrivals all = {at, deadline, class, n};
        sum = bound_worth(classes, machine->n_classes, &all, machine->workers);
    }
    mem_free(at);
    mem_free(class);
    return sum;
}
