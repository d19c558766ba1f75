/* Batch norm (Ioffe and Szegedy 2015): out = relu(norm(in) + residual). Inference uses the running
 * statistics and mostly folds it into a convolution; what is left of the norms, those of
 * pre-activation blocks above all, runs by itself. Training uses the batch's statistics, which are
 * sums over all images, once forward and once backward. */
#include "config.h"

#include <math.h>

#include "grad_impl.h"
#include "ops.h"
#include "plan_impl.h"

/* --- the graph -------------------------------------------------------------------------------- */

int build_norm(struct builder *b, int in, const char *name, bool relu, int residual)
{
    int64_t dims[1] = {shape_of(b, in).channels};
    struct op op = op_new(&op_norm, in);
    op.residual = residual;
    op.relu = relu;
    op.weight = build_param(b, name, "weight", PARAM_NORM_SCALE, PARAM_INIT_ONE, 1, dims, 0);
    op.bias = build_param(b, name, "bias", PARAM_NORM_SHIFT, PARAM_INIT_ZERO, 1, dims, 0);
    op.mean = build_param(b, name, "running_mean", PARAM_NORM_MEAN, PARAM_INIT_ZERO, 1, dims, 0);
    op.variance =
        build_param(b, name, "running_var", PARAM_NORM_VARIANCE, PARAM_INIT_ONE, 1, dims, 0);
    return build_op(b, op);
}

/* --- inference -------------------------------------------------------------------------------- */

static void factors(const struct net *net, const struct op *op, const float *params, double *scale,
                    double *shift)
{
    const float *weight = params + net->params[op->weight].offset;
    const float *bias = params + net->params[op->bias].offset;
    const float *mean = params + net->params[op->mean].offset;
    const float *variance = params + net->params[op->variance].offset;
    int channels = net->values[op->in].shape.channels;
    for (int c = 0; c < channels; c++) {
        scale[c] = (double)weight[c] / sqrt((double)variance[c] + (double)NET_NORM_EPSILON);
        shift[c] = (double)bias[c] - (double)mean[c] * scale[c];
    }
}

static void choose(struct plan *plan, struct plan_op *p, int images)
{
    size_t channels = (size_t)plan->net->values[p->out].shape.channels;
    (void)images;
    p->packed_at[CONV_DIRECT] = plan_take_floats(plan, channels);
    p->bias_at = plan_take_floats(plan, channels);
}

static int pack(const struct plan *plan, const struct plan_op *p, const float *params,
                struct plan_work *work)
{
    size_t channels = (size_t)plan->net->values[p->in].shape.channels;
    factors(plan->net, p->op, params, work->scale, work->shift);
    for (size_t c = 0; c < channels; c++) {
        plan->weights[p->packed_at[CONV_DIRECT] + c] = (float)work->scale[c];
        plan->weights[p->bias_at + c] = (float)work->shift[c];
    }
    return 0;
}

static void run(const struct op_args *a)
{
    const struct plan_op *p = a->p;
    struct shape s = a->plan->net->values[p->in].shape;
    size_t rows = (size_t)a->n * (size_t)s.height * (size_t)s.width;
    a->plan->kernels->norm.forward(rows, (size_t)s.channels, a->x,
                                   a->plan->weights + p->packed_at[CONV_DIRECT],
                                   a->plan->weights + p->bias_at, a->residual, p->relu, a->y);
}

/* --- training --------------------------------------------------------------------------------- */

/* What a norm keeps of a batch, per channel: forward y = act(x * scale + shift ...), backward
 * dx = dz * a + x * b + k, both from the batch's mean and inverse = 1 / sqrt(variance + epsilon).
 */
struct norm_state {
    float *scale, *shift, *a, *b, *k;
    double *mean, *inverse;
};

static void size(const struct grad *grad, const struct op *op, struct state_size *size)
{
    size_t channels = grad_round_up(grad_channels(grad, op->in));
    size->floats = 5 * channels;
    size->doubles = 2 * channels;
}

static struct norm_state state_of(const struct grad *grad, int op)
{
    const struct op_state *state = &grad->states[op];
    size_t channels = grad_round_up(grad_channels(grad, grad->net->ops[op].in));
    float *f = state->floats;
    return (struct norm_state){.scale = f,
                               .shift = f + channels,
                               .a = f + 2 * channels,
                               .b = f + 3 * channels,
                               .k = f + 4 * channels,
                               .mean = state->doubles,
                               .inverse = state->doubles + channels};
}

static void statistics(const struct task_args *a)
{
    int in = a->op->in;
    size_t channels = grad_channels(a->grad, in);
    double *sums = grad_sums(a->grad, a->task->op, a->lane);
    a->grad->kernels->norm.moments(grad_rows(a->grad, in, a->n), channels, a->x, sums,
                                   sums + channels);
}

/* The batch's statistics use the biased variance, the running ones the unbiased, as PyTorch does.
 */
static void statistics_finish(struct grad *grad, const struct task *task)
{
    const struct op *op = &grad->net->ops[task->op];
    struct norm_state state = state_of(grad, task->op);
    size_t channels = grad_channels(grad, op->in);
    double rows = grad_shared_rows(grad, op->in);
    double unbias = rows > 1 ? rows / (rows - 1) : 1.0;
    grad_reduce_sums(grad, task->op, channels);
    const double *sums = grad_share_sums(grad, task->op, channels);
    const float *weight = grad_param(grad, op->weight), *bias = grad_param(grad, op->bias);
    float *moving_mean = grad->moving + grad->net->params[op->mean].offset;
    float *moving_variance = grad->moving + grad->net->params[op->variance].offset;

    const bool still = grad->frozen && op->exit + 1 == grad->net->spec.n_sections;

    for (size_t c = 0; c < channels; c++) {
        double mean = sums[c] / rows;
        double variance = fmax(sums[channels + c] / rows - mean * mean, 0.0);
        if (still) {
            mean = (double)moving_mean[c];
            variance = (double)moving_variance[c];
        }
        double inverse = 1.0 / sqrt(variance + (double)NET_NORM_EPSILON);
        state.mean[c] = mean;
        state.inverse[c] = inverse;
        state.scale[c] = (float)(weight[c] * inverse);
        state.shift[c] = (float)(bias[c] - mean * weight[c] * inverse);
        if (still) continue;
        const double m = grad->momentum;
        moving_mean[c] = (float)((1 - m) * moving_mean[c] + m * mean);
        moving_variance[c] = (float)((1 - m) * moving_variance[c] + m * variance * unbias);
    }
}

static void forward(const struct task_args *a)
{
    const struct op *op = a->op;
    struct norm_state state = state_of(a->grad, a->task->op);
    a->grad->kernels->norm.forward(grad_rows(a->grad, op->in, a->n), grad_channels(a->grad, op->in),
                                   a->x, state.scale, state.shift, a->residual, op->relu, a->y);
}

/* The ReLU's mask is what the output says; where nothing was added to it, the input does as well,
 * and the output need not be kept. */
static void back_sums(const struct task_args *a)
{
    const struct op *op = a->op;
    struct norm_state state = state_of(a->grad, a->task->op);
    size_t channels = grad_channels(a->grad, op->in);
    double *sums = grad_sums(a->grad, a->task->op, a->lane);
    struct norm_relu relu = {0};
    if (op->relu && op->residual >= 0)
        relu.y = a->y;
    else if (op->relu)
        relu = (struct norm_relu){.scale = state.scale, .shift = state.shift};
    a->grad->kernels->norm.backward_sums(grad_rows(a->grad, op->in, a->n), channels, &relu, a->dy,
                                         a->x, sums, sums + channels);
}

/* With n rows, h = (x - mean) * inverse and the sums over the batch (Ioffe and Szegedy 2015,
 * section 3): dweight = sum(dz h), dbias = sum(dz), dx = weight * inverse * (dz - dbias / n - h *
 * dweight / n). The parameters' gradients are of the own images, dx knows those of all who share
 * the statistics. */
static void back_sums_finish(struct grad *grad, const struct task *task)
{
    const struct op *op = &grad->net->ops[task->op];
    struct norm_state state = state_of(grad, task->op);
    size_t channels = grad_channels(grad, op->in);
    double rows = grad_shared_rows(grad, op->in);
    const double *sums = grad_reduce_sums(grad, task->op, channels);
    const float *weight = grad_param(grad, op->weight);
    float *dweight = grad_dparam(grad, op->weight, 0), *dbias = grad_dparam(grad, op->bias, 0);

    for (size_t c = 0; c < channels; c++) {
        dweight[c] = (float)((sums[channels + c] - state.mean[c] * sums[c]) * state.inverse[c]);
        dbias[c] = (float)sums[c];
    }
    sums = grad_share_sums(grad, task->op, channels);
    for (size_t c = 0; c < channels; c++) {
        double sum_dz = sums[c];
        double sum_dzh = (sums[channels + c] - state.mean[c] * sum_dz) * state.inverse[c];
        double a = weight[c] * state.inverse[c];
        double b = -a * state.inverse[c] * sum_dzh / rows;
        state.a[c] = (float)a;
        state.b[c] = (float)b;
        state.k[c] = (float)(-a * sum_dz / rows - b * state.mean[c]);
    }
}

static void backward(const struct task_args *a)
{
    const struct op *op = a->op;
    struct norm_state state = state_of(a->grad, a->task->op);
    size_t rows = grad_rows(a->grad, op->in, a->n), channels = grad_channels(a->grad, op->in);
    float *dy = a->dy;
    float *dx = op->in > 0 && !a->task->accumulate ? a->dx : dy;
    a->grad->kernels->norm.backward(rows, channels, dy, a->x, state.a, state.b, state.k, dx,
                                    a->dresidual, a->task->accumulate_residual);
    if (a->task->accumulate) a->grad->kernels->add(rows * channels, dx, a->dx);
}

const struct op_kind op_norm = {
    .name = "norm",
    .shape = op_same_shape,
    .fuse = {.is_elementwise = true, .factors = factors},
    .infer = {.choose = choose, .pack = pack, .run = run, .describe = op_describe_map},
    .train = {.needs = {[PHASE_REMAKE] = NEEDS_IN,
                        [PHASE_BACK_SUMS] = NEEDS_IN | NEEDS_SUM,
                        [PHASE_BACKWARD] = NEEDS_IN},
              .in_place = true,
              .size = size,
              .phases = {[PHASE_STATISTICS] = {statistics, statistics_finish},
                         [PHASE_FORWARD] = {.run = forward},
                         [PHASE_REMAKE] = {.run = forward},
                         [PHASE_BACK_SUMS] = {back_sums, back_sums_finish},
                         [PHASE_BACKWARD] = {.run = backward}}},
};
