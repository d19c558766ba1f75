/* The mean over the pixels: out [1][1][c]. */
#include "config.h"

#include "grad_impl.h"
#include "ops.h"
#include "plan_impl.h"

int build_mean(struct builder *b, int in)
{
    return build_op(b, op_new(&op_mean, in));
}

static struct shape shape(const struct op *op, struct shape in)
{
    (void)op;
    return (struct shape){1, 1, in.channels};
}

static void run(const struct op_args *a)
{
    struct shape s = a->plan->net->values[a->p->in].shape;
    a->plan->kernels->mean.forward(a->n, s.height * s.width, s.channels, a->x, a->y);
}

static void forward(const struct task_args *a)
{
    struct shape s = a->grad->net->values[a->op->in].shape;
    a->grad->kernels->mean.forward(a->n, s.height * s.width, s.channels, a->x, a->y);
}

static void backward(const struct task_args *a)
{
    struct shape s = a->grad->net->values[a->op->in].shape;
    a->grad->kernels->mean.backward(a->n, s.height * s.width, s.channels, a->dy,
                                    a->task->accumulate, a->dx);
}

const struct op_kind op_mean = {
    .name = "mean",
    .shape = shape,
    .infer = {.run = run, .describe = op_describe_in},
    .train = {.phases = {[PHASE_FORWARD] = {.run = forward}, [PHASE_BACKWARD] = {.run = backward}}},
};
