/* Rectifier: out = max(in, 0). In inference mostly taken in by what stands before it. */
#include "config.h"

#include "grad_impl.h"
#include "ops.h"
#include "plan_impl.h"

int build_relu(struct builder *b, int in)
{
    struct op op = op_new(&op_relu, in);
    op.relu = true;
    return build_op(b, op);
}

static void run(const struct op_args *a)
{
    struct shape s = a->plan->net->values[a->p->in].shape;
    a->plan->kernels->relu.forward((size_t)a->n * shape_size(s), a->x, a->y);
}

static void forward(const struct task_args *a)
{
    a->grad->kernels->relu.forward(grad_count_of(a->grad, a->op->in, a->n), a->x, a->y);
}

static void backward(const struct task_args *a)
{
    a->grad->kernels->relu.backward(grad_count_of(a->grad, a->op->in, a->n), a->dy, a->y,
                                    a->task->accumulate, a->dx);
}

const struct op_kind op_relu = {
    .name = "relu",
    .shape = op_same_shape,
    .fuse = {.is_elementwise = true},
    .infer = {.run = run, .describe = op_describe_in},
    .train = {.needs = {[PHASE_BACKWARD] = NEEDS_OUT},
              .phases = {[PHASE_FORWARD] = {.run = forward}, [PHASE_BACKWARD] = {.run = backward}}},
};
