/* The largest of each window. Backward needs both maps, to find where it stands. */
#include "config.h"

#include "grad_impl.h"
#include "ops.h"
#include "plan_impl.h"

int build_max_pool(struct builder *b, int in, const char *name, int kernel, int stride, int pad)
{
    struct shape x = shape_of(b, in);
    struct op op = op_new(&op_max_pool, in);
    op.pool = (struct pool_geometry){x.height, x.width, x.channels, kernel, stride, pad};
    build_check_window(b, x, kernel, kernel, pad, name);
    return build_op(b, op);
}

static struct shape shape(const struct op *op, struct shape in)
{
    return (struct shape){pool_out_size(in.height, &op->pool), pool_out_size(in.width, &op->pool),
                          in.channels};
}

static void run(const struct op_args *a)
{
    a->plan->kernels->max_pool.forward(&a->p->op->pool, a->n, a->x, a->y);
}

static void forward(const struct task_args *a)
{
    a->grad->kernels->max_pool.forward(&a->op->pool, a->n, a->x, a->y);
}

static void backward(const struct task_args *a)
{
    a->grad->kernels->max_pool.backward(&a->op->pool, a->n, a->x, a->y, a->dy, a->task->accumulate,
                                        a->dx);
}

const struct op_kind op_max_pool = {
    .name = "max pool",
    .shape = shape,
    .infer = {.run = run, .describe = op_describe_map},
    .train = {.needs = {[PHASE_BACKWARD] = NEEDS_IN | NEEDS_OUT},
              .phases = {[PHASE_FORWARD] = {.run = forward}, [PHASE_BACKWARD] = {.run = backward}}},
};
