/* The map twice as large, bilinear between the centres of pixels. */
#include "config.h"

#include "grad_impl.h"
#include "ops.h"
#include "plan_impl.h"

int build_upsample(struct builder *b, int in)
{
    return build_op(b, op_new(&op_upsample, in));
}

static struct shape shape(const struct op *op, struct shape in)
{
    (void)op;
    return (struct shape){2 * in.height, 2 * in.width, in.channels};
}

static void run(const struct op_args *a)
{
    struct shape s = a->plan->net->values[a->p->in].shape;
    a->plan->kernels->upsample.forward(a->n, s.height, s.width, s.channels, a->x, a->y);
}

static void forward(const struct task_args *a)
{
    struct shape s = a->grad->net->values[a->op->in].shape;
    a->grad->kernels->upsample.forward(a->n, s.height, s.width, s.channels, a->x, a->y);
}

static void backward(const struct task_args *a)
{
    struct shape s = a->grad->net->values[a->op->in].shape;
    a->grad->kernels->upsample.backward(a->n, s.height, s.width, s.channels, a->dy,
                                        a->task->accumulate, a->dx);
}

const struct op_kind op_upsample = {
    .name = "upsample",
    .shape = shape,
    .infer = {.run = run, .describe = op_describe_map},
    .train = {.phases = {[PHASE_FORWARD] = {.run = forward}, [PHASE_BACKWARD] = {.run = backward}}},
};
