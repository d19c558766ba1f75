/* Attention: out = sigmoid(in) * residual. */
#include "config.h"

#include "grad_impl.h"
#include "ops.h"
#include "plan_impl.h"

int build_gate(struct builder *b, int in, int value)
{
    struct op op = op_new(&op_gate, in);
    op.residual = value;
    return build_op(b, op);
}

static void run(const struct op_args *a)
{
    struct shape s = a->plan->net->values[a->p->in].shape;
    a->plan->kernels->gate.forward((size_t)a->n * shape_size(s), a->x, a->residual, a->y);
}

static void forward(const struct task_args *a)
{
    a->grad->kernels->gate.forward(grad_count_of(a->grad, a->op->in, a->n), a->x, a->residual,
                                   a->y);
}

static void backward(const struct task_args *a)
{
    a->grad->kernels->gate.backward(grad_count_of(a->grad, a->op->in, a->n), a->x, a->residual,
                                    a->dy, a->task->accumulate, a->dx, a->task->accumulate_residual,
                                    a->dresidual);
}

const struct op_kind op_gate = {
    .name = "sigmoid gate",
    .shape = op_same_shape,
    .infer = {.run = run, .describe = op_describe_map},
    .train = {.needs = {[PHASE_BACKWARD] = NEEDS_IN | NEEDS_RESIDUAL},
              .phases = {[PHASE_FORWARD] = {.run = forward}, [PHASE_BACKWARD] = {.run = backward}}},
};
