/* Convolution: out = in * weight + bias + residual. In inference a norm before it and a norm or
 * relu behind it are folded in. Each number of images may have an algorithm of its own
 * (nn/choice.h), in training each direction. */
#include "config.h"

#include "op_conv.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "grad_impl.h"
#include "nn/choices.h"
#include "ops.h"

/* --- the graph -------------------------------------------------------------------------------- */

int build_conv(struct builder *b, int in, const char *name, int out_channels, struct conv_options o)
{
    struct shape x = shape_of(b, in);
    struct op op = op_new(&op_conv, in);
    op.conv = (struct conv_geometry){.height = x.height,
                                     .width = x.width,
                                     .in_channels = x.channels,
                                     .out_channels = out_channels,
                                     .kernel_height = o.kernel_height,
                                     .kernel_width = o.kernel_width,
                                     .stride = o.stride,
                                     .pad = o.pad,
                                     .groups = o.groups > 1 ? o.groups : 1};
    build_check_window(b, x, o.kernel_height, o.kernel_width, o.pad, name);
    if (b->rc < 0) return 0;

    int inputs = x.channels / op.conv.groups;
    size_t fan_in = (size_t)inputs * (size_t)o.kernel_height * (size_t)o.kernel_width;
    int64_t dims[4] = {out_channels, inputs, o.kernel_height, o.kernel_width};
    op.residual = o.residual > 0 ? o.residual : -1;
    op.weight =
        build_param(b, name, "weight", PARAM_CONV_WEIGHT, PARAM_INIT_NORMAL, 4, dims, fan_in);
    if (o.bias)
        op.bias =
            build_param(b, name, "bias", PARAM_CONV_BIAS, PARAM_INIT_UNIFORM, 1, dims, fan_in);
    return build_op(b, op);
}

static struct shape conv_shape(const struct op *op, struct shape in)
{
    (void)in;
    return (struct shape){conv_out_height(&op->conv), conv_out_width(&op->conv),
                          op->conv.out_channels};
}

/* Each weight meets each pixel of the output. */
int64_t op_conv_macs(const struct net *net, const struct op *op)
{
    struct shape y = net->values[op->out].shape;
    return (int64_t)y.height * y.width * (int64_t)net->params[op->weight].size;
}

/* --- inference -------------------------------------------------------------------------------- */

/* What is added before a norm is normed with the rest. */
bool op_conv_takes_behind(const struct op *op, const struct op *next)
{
    return next->kind->fuse.factors == NULL || op->residual < 0;
}

/* At the border a pad would have to be what the norm makes of 0, so there must be none. */
static bool takes_before(const struct op *op)
{
    const struct conv_geometry *g = &op->conv;
    bool pointwise = g->pad == 0 && g->kernel_height == 1 && g->kernel_width == 1;
    return pointwise && conv_groups(g) == 1;
}

/* Whether weights are needed as this algorithm packs them. */
static bool packs(const struct plan *plan, const struct plan_op *p, enum conv_algorithm a)
{
    for (int i = 0; i < CHOICE_SIZES; i++)
        if (plan->kernels->conv[p->choice.of[i]].forward.packing == a) return true;
    return false;
}

void op_conv_choose(struct plan *plan, struct plan_op *p, int images)
{
    const struct kernels *k = plan->kernels;
    const struct plan_options *o = &plan->options;
    const struct conv_geometry *g = &p->op->conv;
    p->choice = o->forced ? choice_forced(k, g, o->algorithm) : choice_by_rule(k, g, o->precision);
    for (int i = 0; i < CHOICE_SIZES && o->choices != NULL && !o->forced; i++) {
        enum conv_algorithm a;
        if (choices_find(o->choices, CHOICE_PLAN, g, o->precision, i, &a)) p->choice.of[i] = a;
    }
    /* More images than a block has never come. */
    int last = choice_index(images);
    for (int i = last + 1; i < CHOICE_SIZES; i++) p->choice.of[i] = p->choice.of[last];
    for (int i = 0; i <= last; i++)
        plan_take_scratch(plan, k->conv[p->choice.of[i]].forward.scratch_bytes(g));
    for (int a = 0; a < CONV_ALGORITHMS; a++) {
        if (packs(plan, p, (enum conv_algorithm)a))
            p->packed_at[a] = plan_take_floats(plan, k->conv[a].forward.packed_size(g));
    }
    p->bias_at = plan_take_floats(plan, (size_t)g->out_channels);
}

void op_conv_fold_behind(const struct plan *plan, const struct plan_op *p, const float *params,
                         struct plan_work *work)
{
    const struct net *net = plan->net;
    const float *own = plan_param(plan, params, p->op->bias);
    size_t outputs = (size_t)net->values[p->out].shape.channels;
    for (size_t o = 0; o < outputs; o++) {
        work->scale[o] = 1;
        work->shift[o] = 0;
    }
    if (p->behind != NULL)
        p->behind->kind->fuse.factors(net, p->behind, params, work->scale, work->shift);
    for (size_t o = 0; o < outputs; o++) {
        work->factor[o] = (float)work->scale[o];
        work->shift[o] += own != NULL ? (double)own[o] * work->scale[o] : 0;
    }
}

void op_conv_pack_bias(const struct plan *plan, const struct plan_op *p,
                       const struct plan_work *work)
{
    size_t outputs = (size_t)plan->net->values[p->out].shape.channels;
    float *bias = plan->weights + p->bias_at;
    for (size_t o = 0; o < outputs; o++) bias[o] = (float)work->shift[o];
}

/* A copy of a pointwise convolution's weights with what stands before it multiplied in, whose shift
 * becomes a part of the bias. */
static const float *fold_before(const struct plan *plan, const struct plan_op *p,
                                const float *params, const float *weight, struct plan_work *work)
{
    size_t inputs = (size_t)p->op->conv.in_channels, outputs = (size_t)p->op->conv.out_channels;
    float *folded = plan_work_copy(work, inputs * outputs);
    if (folded == NULL) return NULL;
    p->before->kind->fuse.factors(plan->net, p->before, params, work->scale_before,
                                  work->shift_before);
    for (size_t o = 0; o < outputs; o++) {
        double bias = 0;
        for (size_t i = 0; i < inputs; i++) {
            double w = (double)weight[o * inputs + i];
            folded[o * inputs + i] = (float)(w * work->scale_before[i]);
            bias += w * work->shift_before[i];
        }
        work->shift[o] += bias * work->scale[o];
    }
    return folded;
}

int op_conv_pack(const struct plan *plan, const struct plan_op *p, const float *params,
                 struct plan_work *work)
{
    const float *weight = plan_param(plan, params, p->op->weight);
    op_conv_fold_behind(plan, p, params, work);
    if (p->before != NULL) weight = fold_before(plan, p, params, weight, work);
    if (weight == NULL) return -ENOMEM;
    op_conv_pack_bias(plan, p, work);
    for (int a = 0; a < CONV_ALGORITHMS; a++) {
        if (packs(plan, p, (enum conv_algorithm)a))
            plan->kernels->conv[a].forward.pack(&p->op->conv, weight,
                                                p->behind == NULL ? NULL : work->factor,
                                                plan->weights + p->packed_at[a]);
    }
    return 0;
}

void op_conv_run(const struct op_args *a)
{
    const struct plan *plan = a->plan;
    const struct plan_op *p = a->p;
    const struct conv_epilogue epilogue = {plan->weights + p->bias_at, a->residual, p->relu};
    const struct conv_forward *m = &plan->kernels->conv[p->choice.of[choice_index(a->n)]].forward;
    m->run(&p->op->conv, a->n, a->x, plan->weights + p->packed_at[m->packing], &epilogue, a->y,
           a->scratch, a->part);
}

/* Handing an operation over takes a microsecond; those that multiply less and read fewer weights
 * take no more themselves. */
bool op_conv_may_cut(const struct plan_op *p, int images)
{
    const int64_t least_macs = 500000;
    const size_t least_weights = 32768;
    const struct conv_geometry *g = &p->op->conv;
    if (conv_weight_size(g) >= least_weights) return true;
    int64_t pixels = (int64_t)conv_out_height(g) * conv_out_width(g);
    return images * pixels * (int64_t)conv_weight_size(g) >= least_macs;
}

int op_conv_describe_folding(const struct plan_op *p, struct buf *out)
{
    return buf_printf(out, "%s%s%s%s", p->before != NULL ? ", norm before it folded" : "",
                      p->behind != NULL ? ", norm folded" : "",
                      p->residual >= 0 ? ", residual added" : "", p->relu ? ", relu" : "");
}

/* "; winograd" or, where it depends on the number of images at a time, "; direct to 4,
 * winograd-lean". */
int op_conv_describe_choice(const struct plan_op *p, struct buf *out)
{
    const enum conv_algorithm *of = p->choice.of;
    int rc = buf_printf(out, ";");
    for (int i = 0; i < CHOICE_SIZES - 1 && rc >= 0; i++) {
        if (of[i] == of[i + 1]) continue;
        rc = buf_printf(out, " %s to %d,", conv_algorithm_name(of[i]), choice_images(i));
    }
    return rc < 0 ? rc : buf_printf(out, " %s", conv_algorithm_name(of[CHOICE_SIZES - 1]));
}

static int describe(const struct net *net, const struct plan_op *p, struct buf *out)
{
    const struct conv_geometry *g = &p->op->conv;
    struct shape x = net->values[p->in].shape, y = net->values[p->out].shape;
    int rc =
        buf_printf(out, "conv %dx%d/%d %dx%dx%d -> %dx%dx%d", g->kernel_height, g->kernel_width,
                   g->stride, x.height, x.width, x.channels, y.height, y.width, y.channels);
    if (rc >= 0 && conv_groups(g) > 1) rc = buf_printf(out, ", %d groups", g->groups);
    if (rc >= 0) rc = op_conv_describe_folding(p, out);
    return rc < 0 ? rc : op_conv_describe_choice(p, out);
}

/* --- training --------------------------------------------------------------------------------- */

/* Nobody asks for the gradient of the images. */
static bool goes_on_back(const struct op *op)
{
    return op->in > 0;
}

static void size(const struct grad *grad, const struct op *op, struct state_size *size)
{
    const struct conv_forward *m = &grad_method(grad, op, CONV_FORWARD)->forward;
    const struct conv_backward_data *back =
        &grad_method(grad, op, CONV_BACKWARD_DATA)->backward_data;
    size->pack = m->packed_size(&op->conv);
    state_scratch(size, m->scratch_bytes(&op->conv));
    state_scratch(
        size,
        grad_method(grad, op, CONV_BACKWARD_WEIGHT)->backward_weight.scratch_bytes(&op->conv));
    if (!goes_on_back(op)) return;
    size->pack_back = back->packed_size(&op->conv);
    state_scratch(size, back->scratch_bytes(&op->conv));
}

static void pack_forward(struct grad *grad, int number)
{
    const struct op *op = &grad->net->ops[number];
    grad_method(grad, op, CONV_FORWARD)
        ->forward.pack(&op->conv, grad_param(grad, op->weight), NULL, grad->states[number].packed);
}

static void pack_backward(struct grad *grad, int number)
{
    const struct op *op = &grad->net->ops[number];
    if (goes_on_back(op))
        grad_method(grad, op, CONV_BACKWARD_DATA)
            ->backward_data.pack(&op->conv, grad_param(grad, op->weight),
                                 grad->states[number].packed_back);
}

static void forward(const struct task_args *a)
{
    const struct op *op = a->op;
    struct conv_epilogue epilogue = {.bias = op->bias < 0 ? NULL : grad_param(a->grad, op->bias),
                                     .residual = a->residual};
    grad_method(a->grad, op, CONV_FORWARD)
        ->forward.run(&op->conv, a->n, a->x, a->grad->states[a->task->op].packed, &epilogue, a->y,
                      grad_scratch(a->grad, a->lane), conv_whole);
}

/* The residual's gradient is dy as it is. */
static void residual_backward(const struct task_args *a)
{
    const struct op *op = a->op;
    size_t count = grad_count_of(a->grad, op->out, a->n);
    if (a->task->accumulate_residual)
        a->grad->kernels->add(count, a->dy, a->dresidual);
    else
        memcpy(a->dresidual, a->dy, count * sizeof(*a->dy));
}

static void backward(const struct task_args *a)
{
    const struct op *op = a->op;
    if (op->bias >= 0) grad_bias_sums(a);
    if (op->residual >= 0) residual_backward(a);
    if (goes_on_back(op))
        grad_method(a->grad, op, CONV_BACKWARD_DATA)
            ->backward_data.run(&op->conv, a->n, a->dy, a->grad->states[a->task->op].packed_back,
                                a->task->accumulate, a->dx, grad_scratch(a->grad, a->lane));
}

static void weights(const struct task_args *a)
{
    const struct op *op = a->op;
    grad_method(a->grad, op, CONV_BACKWARD_WEIGHT)
        ->backward_weight.run(&op->conv, a->n, a->x, a->dy,
                              grad_dparam(a->grad, op->weight, a->lane),
                              grad_scratch(a->grad, a->lane));
}

const struct op_kind op_conv = {
    .name = "conv",
    .shape = conv_shape,
    .macs = op_conv_macs,
    .fuse = {.takes_behind = op_conv_takes_behind, .takes_before = takes_before},
    .infer = {.chooses = true,
              .choose = op_conv_choose,
              .pack = op_conv_pack,
              .run = op_conv_run,
              .may_cut = op_conv_may_cut,
              .describe = describe},
    .train = {.needs = {[PHASE_WEIGHTS] = NEEDS_IN},
              .chooses = true,
              .phase_of = {PHASE_FORWARD, PHASE_BACKWARD, PHASE_WEIGHTS},
              .size = size,
              .pack_forward = pack_forward,
              .pack_backward = pack_backward,
              .phases = {[PHASE_FORWARD] = {.run = forward},
                         [PHASE_BACKWARD] = {backward, grad_bias_finish},
                         [PHASE_WEIGHTS] = {.run = weights}}},
};
