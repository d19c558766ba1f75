/* Sums over the batch: each lane keeps its own, they are added in the order of lanes when a round
 * is over, so that equal threads give equal bits; then those of other grads, where several share a
 * batch. */
#include "config.h"

#include <string.h>

#include "grad_impl.h"

double *grad_sums(const struct grad *grad, int op, unsigned lane)
{
    return grad->states[op].sums + lane * grad->sums_stride;
}

const double *grad_reduce_sums(struct grad *grad, int op, size_t channels)
{
    double *sums = grad_sums(grad, op, 0);
    for (unsigned l = 1; l < grad->n_lanes; l++) {
        const double *more = grad_sums(grad, op, l);
        for (size_t c = 0; c < 2 * channels; c++) sums[c] += more[c];
    }
    return sums;
}

void grad_share_norms(struct grad *grad, int grads, grad_add_fn *add, void *arg)
{
    grad->sharers = grads;
    grad->add_shared = grads > 1 ? add : NULL;
    grad->add_shared_arg = arg;
}

const double *grad_share_sums(struct grad *grad, int op, size_t channels)
{
    double *sums = grad_sums(grad, op, 0);
    if (grad->add_shared != NULL) grad->add_shared(grad->add_shared_arg, sums, 2 * channels);
    return sums;
}

double grad_shared_rows(const struct grad *grad, int value)
{
    return (double)grad_rows(grad, value, grad->batch) * grad->sharers;
}

void grad_clear_sums(struct grad *grad, const struct task *task, unsigned lane)
{
    const struct op *op = &grad->net->ops[task->op];
    if (op->kind->train.phases[task->phase].finish == NULL || op->bias < 0) return;
    memset(grad_sums(grad, task->op, lane), 0, 2 * grad_channels(grad, op->out) * sizeof(double));
}

/* The squares come with it. */
void grad_bias_sums(const struct task_args *a)
{
    int out = a->op->out;
    size_t channels = grad_channels(a->grad, out);
    double *sums = grad_sums(a->grad, a->task->op, a->lane);
    a->grad->kernels->norm.moments(grad_rows(a->grad, out, a->n), channels, a->dy, sums,
                                   sums + channels);
}

void grad_bias_finish(struct grad *grad, const struct task *task)
{
    const struct op *op = &grad->net->ops[task->op];
    size_t channels = grad_channels(grad, op->out);
    const double *sums = grad_reduce_sums(grad, task->op, channels);
    float *dbias = grad_dparam(grad, op->bias, 0);
    for (size_t c = 0; c < channels; c++) dbias[c] = (float)sums[c];
}
