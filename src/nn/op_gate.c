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

static void forward(struct grad *grad, const struct task *task, struct images images)
{
    const struct op *op = &grad->net->ops[task->op];
    grad->kernels->gate.forward(grad_count_of(grad, op->in, images.n),
                                grad_value_at(grad, op->in, images.first),
                                grad_value_at(grad, op->residual, images.first),
                                grad_value_at(grad, op->out, images.first));
}

static void backward(struct grad *grad, const struct task *task, struct images images)
{
    const struct op *op = &grad->net->ops[task->op];
    grad->kernels->gate.backward(
        grad_count_of(grad, op->in, images.n), grad_value_at(grad, op->in, images.first),
        grad_value_at(grad, op->residual, images.first), grad_grad_at(grad, op->out, images.first),
        task->accumulate, grad_grad_at(grad, op->in, images.first), task->accumulate_residual,
        grad_grad_at(grad, op->residual, images.first));
}

const struct op_kind op_gate = {
    .name = "sigmoid gate",
    .shape = op_same_shape,
    .infer = {.run = run, .describe = op_describe_map},
    .train = {.needs = NEEDS_IN | NEEDS_RESIDUAL,
              .passes = {[PASS_FORWARD] = {forward}, [PASS_BACKWARD] = {backward}}},
};
