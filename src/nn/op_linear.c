/* Linear layer: out = in * weight^T + bias, of vectors. In inference it is a convolution of a 1x1
 * map: that gives every image the same bits whatever its batch, which a product over the batch
 * would not; training takes the product. */
#include "config.h"

#include <string.h>

#include "base/buf.h"
#include "grad_impl.h"
#include "op_conv.h"
#include "ops.h"

/* --- the graph -------------------------------------------------------------------------------- */

/* Over a whole map; inputs are in the order channel, row, column. */
static int build(struct builder *b, const struct op_kind *kind, int in, struct shape x,
                 const char *name, int out_channels)
{
    struct op op = op_new(kind, in);
    op.conv = (struct conv_geometry){.height = x.height,
                                     .width = x.width,
                                     .in_channels = x.channels,
                                     .out_channels = out_channels,
                                     .kernel_height = x.height,
                                     .kernel_width = x.width,
                                     .stride = 1,
                                     .pad = 0,
                                     .groups = 1};
    size_t fan_in = shape_size(x);
    int64_t dims[2] = {out_channels, (int64_t)fan_in};
    op.weight =
        build_param(b, name, "weight", PARAM_LINEAR_WEIGHT, PARAM_INIT_UNIFORM, 2, dims, fan_in);
    op.bias = build_param(b, name, "bias", PARAM_LINEAR_BIAS, PARAM_INIT_UNIFORM, 1, dims, fan_in);
    return build_op(b, op);
}

int build_linear(struct builder *b, int in, const char *name, int out_channels)
{
    return build(b, &op_linear, in, (struct shape){1, 1, shape_of(b, in).channels}, name,
                 out_channels);
}

int build_whole_map(struct builder *b, int in, const char *name, int out_channels)
{
    return build(b, &op_conv, in, shape_of(b, in), name, out_channels);
}

static struct shape shape(const struct op *op, struct shape in)
{
    (void)in;
    return (struct shape){1, 1, op->conv.out_channels};
}

/* --- inference -------------------------------------------------------------------------------- */

static int describe(const struct net *net, const struct plan_op *p, struct buf *out)
{
    (void)net;
    int rc = buf_printf(out, "linear %d -> %d", p->op->conv.in_channels, p->op->conv.out_channels);
    if (rc >= 0) rc = op_conv_describe_folding(p, out);
    return rc < 0 ? rc : op_conv_describe_choice(p, out);
}

/* --- training --------------------------------------------------------------------------------- */

static void forward(const struct task_args *a)
{
    const struct op *op = a->op;
    int in = op->conv.in_channels, out = op->conv.out_channels;
    const float *bias = grad_param(a->grad, op->bias);
    for (int i = 0; i < a->n; i++)
        memcpy(a->y + (ptrdiff_t)i * out, bias, (size_t)out * sizeof(*a->y));
    a->grad->kernels->gemm(false, true, a->n, out, in, a->x, in, grad_param(a->grad, op->weight),
                           in, 1.0f, a->y, out);
}

static void backward(const struct task_args *a)
{
    const struct op *op = a->op;
    int in = op->conv.in_channels, out = op->conv.out_channels;
    grad_bias_sums(a);
    a->grad->kernels->gemm(false, false, a->n, in, out, a->dy, out, grad_param(a->grad, op->weight),
                           in, a->task->accumulate ? 1.0f : 0.0f, a->dx, in);
}

static void weights(const struct task_args *a)
{
    const struct op *op = a->op;
    int in = op->conv.in_channels, out = op->conv.out_channels;
    a->grad->kernels->gemm(true, false, out, in, a->n, a->dy, out, a->x, in, 1.0f,
                           grad_dparam(a->grad, op->weight, a->lane), in);
}

const struct op_kind op_linear = {
    .name = "linear",
    .shape = shape,
    .macs = op_conv_macs,
    .fuse = {.takes_behind = op_conv_takes_behind},
    .infer = {.chooses = true,
              .choose = op_conv_choose,
              .pack = op_conv_pack,
              .run = op_conv_run,
              .may_cut = op_conv_may_cut,
              .describe = describe},
    .train = {.needs = {[PHASE_WEIGHTS] = NEEDS_IN},
              .phases = {[PHASE_FORWARD] = {.run = forward},
                         [PHASE_BACKWARD] = {backward, grad_bias_finish},
                         [PHASE_WEIGHTS] = {.run = weights}}},
};
