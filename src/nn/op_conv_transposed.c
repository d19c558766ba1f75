/* Transposed convolution: out = bias + what the way back of a convolution makes of in. op.conv is
 * that convolution, from out's shape to in's. It has no epilogue: in inference it takes in only
 * what weights and bias can hold. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "grad_impl.h"
#include "op_conv.h"
#include "ops.h"

/* --- the graph -------------------------------------------------------------------------------- */

/* fan_in is what PyTorch takes for it: that of the outputs. */
int build_conv_transposed(struct builder *b, int in, const char *name, int out_channels,
                          struct conv_options o)
{
    struct shape x = shape_of(b, in);
    struct op op = op_new(&op_conv_transposed, in);
    op.conv =
        (struct conv_geometry){.height = (x.height - 1) * o.stride + o.kernel_height - 2 * o.pad,
                               .width = (x.width - 1) * o.stride + o.kernel_width - 2 * o.pad,
                               .in_channels = out_channels,
                               .out_channels = x.channels,
                               .kernel_height = o.kernel_height,
                               .kernel_width = o.kernel_width,
                               .stride = o.stride,
                               .pad = o.pad,
                               .groups = 1};
    if (b->rc < 0) return 0;

    size_t fan_in = (size_t)out_channels * (size_t)o.kernel_height * (size_t)o.kernel_width;
    int64_t dims[4] = {x.channels, out_channels, o.kernel_height, o.kernel_width};
    op.weight =
        build_param(b, name, "weight", PARAM_CONV_WEIGHT, PARAM_INIT_UNIFORM, 4, dims, fan_in);
    if (b->rc == 0) b->net->params[op.weight].out_dim = 1;
    if (o.bias)
        op.bias =
            build_param(b, name, "bias", PARAM_CONV_BIAS, PARAM_INIT_UNIFORM, 1, dims + 1, fan_in);
    return build_op(b, op);
}

static struct shape shape(const struct op *op, struct shape in)
{
    (void)in;
    return (struct shape){op->conv.height, op->conv.width, op->conv.in_channels};
}

/* Each weight meets each pixel of the smaller map. */
static int64_t macs(const struct net *net, const struct op *op)
{
    struct shape x = net->values[op->in].shape;
    return (int64_t)x.height * x.width * (int64_t)net->params[op->weight].size;
}

/* --- inference -------------------------------------------------------------------------------- */

static bool takes_behind(const struct op *op, const struct op *next)
{
    (void)op;
    return next->kind->fuse.factors != NULL && next->residual < 0 && !next->relu;
}

static void choose(struct plan *plan, struct plan_op *p, int images)
{
    const struct conv_backward_data *m = &plan->kernels->conv[CONV_DIRECT].backward_data;
    (void)images;
    plan_take_scratch(plan, m->scratch_bytes(&p->op->conv));
    p->packed_at[CONV_DIRECT] = plan_take_floats(plan, m->packed_size(&p->op->conv));
    p->bias_at = plan_take_floats(plan, (size_t)p->op->conv.in_channels);
}

/* Of a copy of the weights, times the factor of their output, which is the convolution's input. */
static int pack(const struct plan *plan, const struct plan_op *p, const float *params,
                struct plan_work *work)
{
    const struct conv_geometry *g = &p->op->conv;
    const float *weight = plan_param(plan, params, p->op->weight);
    size_t taps = (size_t)g->kernel_height * (size_t)g->kernel_width;
    size_t outputs = (size_t)g->in_channels, n = conv_weight_size(g) / taps;
    float *copy = plan_work_copy(work, conv_weight_size(g));
    if (copy == NULL) return -ENOMEM;
    op_conv_fold_behind(plan, p, params, work);
    op_conv_pack_bias(plan, p, work);
    for (size_t i = 0; i < n; i++) {
        float factor = work->factor[i % outputs];
        for (size_t t = i * taps; t < (i + 1) * taps; t++) copy[t] = weight[t] * factor;
    }
    plan->kernels->conv[CONV_DIRECT].backward_data.pack(g, copy,
                                                        plan->weights + p->packed_at[CONV_DIRECT]);
    return 0;
}

/* Adds to the bias, which is put there first: the way back has no epilogue. */
static void run(const struct op_args *a)
{
    const struct plan *plan = a->plan;
    const struct plan_op *p = a->p;
    struct shape s = plan->net->values[p->out].shape;
    size_t channels = (size_t)s.channels, size = (size_t)a->n * shape_size(s);
    for (size_t at = 0; at < size; at += channels)
        memcpy(a->y + at, plan->weights + p->bias_at, channels * sizeof(*a->y));
    plan->kernels->conv[CONV_DIRECT].backward_data.run(&p->op->conv, a->n, a->x,
                                                       plan->weights + p->packed_at[CONV_DIRECT],
                                                       true, a->y, a->scratch);
}

static int describe(const struct net *net, const struct plan_op *p, struct buf *out)
{
    const struct conv_geometry *g = &p->op->conv;
    struct shape x = net->values[p->in].shape, y = net->values[p->out].shape;
    int rc = buf_printf(out, "conv %dx%d/%d transposed %dx%dx%d -> %dx%dx%d", g->kernel_height,
                        g->kernel_width, g->stride, x.height, x.width, x.channels, y.height,
                        y.width, y.channels);
    return rc < 0 ? rc : op_conv_describe_folding(p, out);
}

/* --- training --------------------------------------------------------------------------------- */

static void size(const struct grad *grad, const struct op *op, struct state_size *size)
{
    const struct conv_forward *m = &grad_method(grad, op, CONV_FORWARD)->forward;
    const struct conv_backward_data *back =
        &grad_method(grad, op, CONV_BACKWARD_DATA)->backward_data;
    size->pack = back->packed_size(&op->conv);
    size->pack_back = m->packed_size(&op->conv);
    state_scratch(size, m->scratch_bytes(&op->conv));
    state_scratch(size, back->scratch_bytes(&op->conv));
    state_scratch(
        size,
        grad_method(grad, op, CONV_BACKWARD_WEIGHT)->backward_weight.scratch_bytes(&op->conv));
}

/* A pass goes the other way than the convolution's, so that what is packed for the pass forward is
 * what the convolution has for the way back. */
static void pack_forward(struct grad *grad, int number)
{
    const struct op *op = &grad->net->ops[number];
    grad_method(grad, op, CONV_BACKWARD_DATA)
        ->backward_data.pack(&op->conv, grad_param(grad, op->weight), grad->states[number].packed);
}

static void pack_backward(struct grad *grad, int number)
{
    const struct op *op = &grad->net->ops[number];
    grad_method(grad, op, CONV_FORWARD)
        ->forward.pack(&op->conv, grad_param(grad, op->weight), NULL,
                       grad->states[number].packed_back);
}

static void forward(const struct task_args *a)
{
    const struct op *op = a->op;
    size_t channels = grad_channels(a->grad, op->out);
    size_t count = grad_count_of(a->grad, op->out, a->n);
    for (size_t i = 0; op->bias >= 0 && i < count; i += channels)
        memcpy(a->y + i, grad_param(a->grad, op->bias), channels * sizeof(*a->y));
    grad_method(a->grad, op, CONV_BACKWARD_DATA)
        ->backward_data.run(&op->conv, a->n, a->x, a->grad->states[a->task->op].packed,
                            op->bias >= 0, a->y, grad_scratch(a->grad, a->lane));
}

/* The two maps have changed places. */
static void backward(const struct task_args *a)
{
    const struct op *op = a->op;
    struct conv_epilogue epilogue = {.residual = a->task->accumulate ? a->dx : NULL};
    if (op->bias >= 0) grad_bias_sums(a);
    grad_method(a->grad, op, CONV_FORWARD)
        ->forward.run(&op->conv, a->n, a->dy, a->grad->states[a->task->op].packed_back, &epilogue,
                      a->dx, grad_scratch(a->grad, a->lane), conv_whole);
}

static void weights(const struct task_args *a)
{
    const struct op *op = a->op;
    grad_method(a->grad, op, CONV_BACKWARD_WEIGHT)
        ->backward_weight.run(&op->conv, a->n, a->dy, a->x,
                              grad_dparam(a->grad, op->weight, a->lane),
                              grad_scratch(a->grad, a->lane));
}

const struct op_kind op_conv_transposed = {
    .name = "conv transposed",
    .shape = shape,
    .macs = macs,
    .fuse = {.takes_behind = takes_behind},
    .infer = {.choose = choose, .pack = pack, .run = run, .describe = describe},
    .train = {.needs = {[PHASE_WEIGHTS] = NEEDS_IN},
              .chooses = true,
              .phase_of = {PHASE_BACKWARD, PHASE_FORWARD, PHASE_WEIGHTS},
              .size = size,
              .pack_forward = pack_forward,
              .pack_backward = pack_backward,
              .phases = {[PHASE_FORWARD] = {.run = forward},
                         [PHASE_BACKWARD] = {backward, grad_bias_finish},
                         [PHASE_WEIGHTS] = {.run = weights}}},
};
