/* Gradients by lane: each lane sums up its own images', lane 0 in the result itself. Once a round
 * is over that made the last contributions to some of them, these are added up at the beginning of
 * the next loop, each lane a part of each range, while they still lie in a cache; behind that loop
 * they are final, long before the pass is through. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "grad_impl.h"

/* --- ranges ----------------------------------------------------------------------------------- */

/* The round behind which nothing is added to an operation's gradients; -1: it has none. */
static int last_round(const struct grad *grad, int op)
{
    int last = -1;
    for (int i = 0; i < grad->n_tasks; i++) {
        const struct task *task = &grad->tasks[i];
        if (task->op == op && task->round >= grad->n_forward && task->round > last)
            last = task->round;
    }
    return last;
}

static void add_param(struct grad *grad, struct round *round, int param)
{
    if (param < 0) return;
    const struct param *p = &grad->net->params[param];
    struct grad_range *ranges = grad->ranges + round->first_range;
    if (round->n_ranges > 0 && ranges[round->n_ranges - 1].end == p->offset) {
        ranges[round->n_ranges - 1].end += p->size;
        return;
    }
    ranges[round->n_ranges++] = (struct grad_range){p->offset, p->offset + p->size};
}

int grad_find_ranges(struct grad *grad)
{
    const struct net *net = grad->net;
    size_t room = 2 * (size_t)net->n_ops; /* a weight and a bias */
    int *rounds = mem_new((size_t)net->n_ops, sizeof(*rounds)), first = 0;
    grad->ranges = grad_take(grad, room, sizeof(*grad->ranges));
    if (rounds == NULL || grad->ranges == NULL) {
        mem_free(rounds);
        return -ENOMEM;
    }
    for (int i = 0; i < net->n_ops; i++) rounds[i] = last_round(grad, i);
    for (int r = grad->n_forward; r < grad->n_rounds; r++) {
        struct round *round = &grad->rounds[r];
        round->first_range = first;
        for (int i = 0; i < net->n_ops; i++) {
            if (rounds[i] != r) continue;
            add_param(grad, round, net->ops[i].weight);
            add_param(grad, round, net->ops[i].bias);
        }
        first += round->n_ranges;
    }
    mem_free(rounds);
    return 0;
}

/* --- passes ----------------------------------------------------------------------------------- */

void grad_on_ready(struct grad *grad, grad_ready_fn *fn, void *arg)
{
    grad->ready = fn;
    grad->ready_arg = arg;
}

static float *of_lane(const struct grad *grad, unsigned lane)
{
    return lane == 0 ? grad->dparams : grad->lane_dparams + (lane - 1) * grad->net->trained_size;
}

void grad_clear_lane(struct grad *grad, unsigned lane)
{
    int64_t begin = grad_timer(grad);
    memset(of_lane(grad, lane), 0, grad->net->trained_size * sizeof(float));
    grad_took_beside(grad, lane, GRAD_ADDING, begin);
}

void grad_add_lanes(struct grad *grad, int round, unsigned lane)
{
    if (grad->n_lanes == 1 || round < grad->n_forward) return;
    int64_t begin = grad_timer(grad);
    const struct round *r = &grad->rounds[round];
    for (int i = 0; i < r->n_ranges; i++) {
        const struct grad_range *range = &grad->ranges[r->first_range + i];
        size_t first, end;
        pool_range(range->end - range->first, lane, grad->n_lanes, &first, &end);
        for (unsigned l = 1; l < grad->n_lanes; l++)
            grad->kernels->add(end - first, of_lane(grad, l) + range->first + first,
                               grad->dparams + range->first + first);
    }
    grad_took_beside(grad, lane, GRAD_ADDING, begin);
}

void grad_tell_ready(struct grad *grad, int round)
{
    if (grad->ready == NULL || round < grad->n_forward) return;
    const struct round *r = &grad->rounds[round];
    grad->ready(grad->ready_arg, grad->ranges + r->first_range, (size_t)r->n_ranges);
}
