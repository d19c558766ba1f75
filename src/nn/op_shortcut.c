/* A shortcut without parameters: means over cells of the map, with channels of zeros behind. */
#include "config.h"

#include "grad_impl.h"
#include "ops.h"
#include "plan_impl.h"

int build_shortcut(struct builder *b, int in, int out_channels, int side)
{
    struct shape x = shape_of(b, in);
    struct op op = op_new(&op_shortcut, in);
    op.cells = (struct cell_geometry){x.height, x.width, x.channels, out_channels, side};
    return build_op(b, op);
}

int build_cell_means(struct builder *b, int in, int side)
{
    return build_shortcut(b, in, shape_of(b, in).channels, side);
}

static struct shape shape(const struct op *op, struct shape in)
{
    return (struct shape){cell_out_size(in.height, &op->cells), cell_out_size(in.width, &op->cells),
                          op->cells.out_channels};
}

static void run(const struct op_args *a)
{
    a->plan->kernels->shortcut.forward(&a->p->op->cells, a->n, a->x, a->y);
}

static void forward(const struct task_args *a)
{
    a->grad->kernels->shortcut.forward(&a->op->cells, a->n, a->x, a->y);
}

static void backward(const struct task_args *a)
{
    a->grad->kernels->shortcut.backward(&a->op->cells, a->n, a->dy, a->task->accumulate, a->dx);
}

const struct op_kind op_shortcut = {
    .name = "shortcut",
    .shape = shape,
    .infer = {.run = run, .describe = op_describe_map},
    .train = {.phases = {[PHASE_FORWARD] = {.run = forward}, [PHASE_BACKWARD] = {.run = backward}}},
};
