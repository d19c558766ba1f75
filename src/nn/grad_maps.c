/* The steps of operations without parameters: for each its forward and its backward side by side.
 * Nothing is summed over images here, and nothing is kept but the values that the way back needs
 * (back_needs_in() of grad_schedule.c). */
#include "config.h"

#include "grad_impl.h"

void grad_map_forward(struct grad *grad, const struct step *step, struct part part)
{
    const struct op *op = &grad->net->ops[step->op];
    const struct kernels *k = grad->kernels;
    const float *x = grad_value_at(grad, op->in, part.first);
    float *y = grad_value_at(grad, op->out, part.first);
    size_t count = grad_count_of(grad, op->in, part.n);
    struct shape s = grad->net->values[op->in].shape;
    switch (op->kind) {
    case OP_MEAN:
        k->mean.forward(part.n, s.height * s.width, s.channels, x, y);
        break;
    case OP_RELU:
        k->relu.forward(count, x, y);
        break;
    case OP_MAX_POOL:
        k->max_pool.forward(&op->pool, part.n, x, y);
        break;
    case OP_SHORTCUT:
        k->shortcut.forward(&op->shortcut, part.n, x, y);
        break;
    case OP_UPSAMPLE:
        k->upsample.forward(part.n, s.height, s.width, s.channels, x, y);
        break;
    case OP_GATE:
        k->gate.forward(count, x, grad_value_at(grad, op->residual, part.first), y);
        break;
    case OP_CONV:
    case OP_CONV_TRANSPOSED:
    case OP_NORM:
    case OP_LINEAR:
        break; /* never scheduled as maps */
    }
}

void grad_map_backward(struct grad *grad, const struct step *step, struct part part)
{
    const struct op *op = &grad->net->ops[step->op];
    const struct kernels *k = grad->kernels;
    const float *dy = grad_grad_at(grad, op->out, part.first);
    float *dx = grad_grad_at(grad, op->in, part.first);
    size_t count = grad_count_of(grad, op->in, part.n);
    struct shape s = grad->net->values[op->in].shape;
    switch (op->kind) {
    case OP_MEAN:
        k->mean.backward(part.n, s.height * s.width, s.channels, dy, step->accumulate, dx);
        break;
    case OP_RELU:
        k->relu.backward(count, dy, grad_value_at(grad, op->out, part.first), step->accumulate, dx);
        break;
    case OP_MAX_POOL:
        k->max_pool.backward(&op->pool, part.n, grad_value_at(grad, op->in, part.first),
                             grad_value_at(grad, op->out, part.first), dy, step->accumulate, dx);
        break;
    case OP_SHORTCUT:
        k->shortcut.backward(&op->shortcut, part.n, dy, step->accumulate, dx);
        break;
    case OP_UPSAMPLE:
        k->upsample.backward(part.n, s.height, s.width, s.channels, dy, step->accumulate, dx);
        break;
    case OP_GATE:
        k->gate.backward(count, grad_value_at(grad, op->in, part.first),
                         grad_value_at(grad, op->residual, part.first), dy, step->accumulate, dx,
                         step->accumulate_residual, grad_grad_at(grad, op->residual, part.first));
        break;
    case OP_CONV:
    case OP_CONV_TRANSPOSED:
    case OP_NORM:
    case OP_LINEAR:
        break; /* never scheduled as maps */
    }
}
