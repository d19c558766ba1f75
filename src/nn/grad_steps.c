/* What the steps of a training pass compute: for each operation with parameters its forward and its
 * backward side by side (those without are in grad_maps.c). A step works on some images of one
 * rank; sums over the batch are kept by rank and added in rank order when a stage is finished. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "grad_impl.h"

static const float *param_of(const struct grad *grad, int param)
{
    return grad->params + grad->net->params[param].offset;
}

/* Where a rank adds up the gradient of a parameter; rank 0 does in the result itself. */
static float *dparam_of(const struct grad *grad, int param, unsigned rank)
{
    size_t offset = grad->net->params[param].offset;
    return rank == 0 ? grad->dparams + offset
                     : grad->rank_dparams + (rank - 1) * grad->net->trained_size + offset;
}

static size_t channels_of(const struct grad *grad, int value)
{
    return (size_t)grad->net->values[value].shape.channels;
}

static size_t rows_of(const struct grad *grad, int value, int images)
{
    struct shape s = grad->net->values[value].shape;
    return (size_t)images * (size_t)s.height * (size_t)s.width;
}

static double *sums_of(const struct grad *grad, int op, unsigned rank)
{
    return grad->states[op].sums + rank * grad->sums_stride;
}

static void *scratch_of(const struct grad *grad, unsigned rank)
{
    return grad->scratch + rank * grad->scratch_stride;
}

/* The sum over ranks, in rank order, into rank 0's. */
static const double *reduce_sums(struct grad *grad, int op, size_t channels)
{
    double *sums = sums_of(grad, op, 0);
    for (unsigned r = 1; r < grad->n_ranks; r++) {
        const double *more = sums_of(grad, op, r);
        for (size_t c = 0; c < 2 * channels; c++) sums[c] += more[c];
    }
    return sums;
}

/* The gradient of a bias: the sum of dy, whose squares come with it. */
static void bias_sums(struct grad *grad, const struct step *step, struct part part)
{
    int out = grad->net->ops[step->op].out;
    size_t channels = channels_of(grad, out);
    double *sums = sums_of(grad, step->op, part.rank);
    grad->kernels->norm.moments(rows_of(grad, out, part.n), channels,
                                grad_grad_at(grad, out, part.first), sums, sums + channels);
}

static void bias_finish(struct grad *grad, const struct step *step)
{
    const struct op *op = &grad->net->ops[step->op];
    size_t channels = channels_of(grad, op->out);
    const double *sums = reduce_sums(grad, step->op, channels);
    float *dbias = dparam_of(grad, op->bias, 0);
    for (size_t c = 0; c < channels; c++) dbias[c] = (float)sums[c];
}

/* --- convolution ------------------------------------------------------------------------------ */

static void conv_forward(struct grad *grad, const struct step *step, struct part part)
{
    const struct op *op = &grad->net->ops[step->op];
    struct conv_epilogue epilogue = {
        .bias = op->bias < 0 ? NULL : param_of(grad, op->bias),
        .residual = op->residual < 0 ? NULL : grad_value_at(grad, op->residual, part.first)};
    grad->kernels->conv[CONV_DIRECT].forward.run(
        &op->conv, part.n, grad_value_at(grad, op->in, part.first), grad->states[step->op].packed,
        &epilogue, grad_value_at(grad, op->out, part.first), scratch_of(grad, part.rank),
        conv_whole);
}

/* The residual's gradient is dy as it is. */
static void residual_backward(struct grad *grad, const struct step *step, struct part part)
{
    const struct op *op = &grad->net->ops[step->op];
    const float *dy = grad_grad_at(grad, op->out, part.first);
    float *to = grad_grad_at(grad, op->residual, part.first);
    size_t count = grad_count_of(grad, op->out, part.n);
    if (step->accumulate_residual)
        grad->kernels->add(count, dy, to);
    else
        memcpy(to, dy, count * sizeof(*to));
}

static void conv_backward(struct grad *grad, const struct step *step, struct part part)
{
    const struct op *op = &grad->net->ops[step->op];
    const float *dy = grad_grad_at(grad, op->out, part.first);
    void *scratch = scratch_of(grad, part.rank);
    if (op->bias >= 0) bias_sums(grad, step, part);
    if (op->residual >= 0) residual_backward(grad, step, part);
    grad->kernels->conv[CONV_DIRECT].backward_weight.run(
        &op->conv, part.n, grad_value_at(grad, op->in, part.first), dy,
        dparam_of(grad, op->weight, part.rank), scratch);
    if (op->in > 0) /* nobody asks for the gradient of the images */
        grad->kernels->conv[CONV_DIRECT].backward_data.run(
            &op->conv, part.n, dy, grad->states[step->op].packed_back, step->accumulate,
            grad_grad_at(grad, op->in, part.first), scratch);
}

/* Forward is the way back of the convolution that it undoes, added to the bias. */
static void conv_transposed_forward(struct grad *grad, const struct step *step, struct part part)
{
    const struct op *op = &grad->net->ops[step->op];
    size_t channels = channels_of(grad, op->out), count = grad_count_of(grad, op->out, part.n);
    float *y = grad_value_at(grad, op->out, part.first);
    for (size_t i = 0; op->bias >= 0 && i < count; i += channels)
        memcpy(y + i, param_of(grad, op->bias), channels * sizeof(*y));
    grad->kernels->conv[CONV_DIRECT].backward_data.run(
        &op->conv, part.n, grad_value_at(grad, op->in, part.first),
        grad->states[step->op].packed_back, op->bias >= 0, y, scratch_of(grad, part.rank));
}

/* And its way back is that convolution, in which the two maps have changed places. */
static void conv_transposed_backward(struct grad *grad, const struct step *step, struct part part)
{
    const struct op *op = &grad->net->ops[step->op];
    const float *dy = grad_grad_at(grad, op->out, part.first);
    float *dx = grad_grad_at(grad, op->in, part.first);
    void *scratch = scratch_of(grad, part.rank);
    struct conv_epilogue epilogue = {.residual = step->accumulate ? dx : NULL};
    if (op->bias >= 0) bias_sums(grad, step, part);
    grad->kernels->conv[CONV_DIRECT].backward_weight.run(
        &op->conv, part.n, dy, grad_value_at(grad, op->in, part.first),
        dparam_of(grad, op->weight, part.rank), scratch);
    grad->kernels->conv[CONV_DIRECT].forward.run(
        &op->conv, part.n, dy, grad->states[step->op].packed, &epilogue, dx, scratch, conv_whole);
}

/* --- norm ------------------------------------------------------------------------------------- */

static void norm_moments(struct grad *grad, const struct step *step, struct part part)
{
    int in = grad->net->ops[step->op].in;
    size_t channels = channels_of(grad, in);
    double *sums = sums_of(grad, step->op, part.rank);
    grad->kernels->norm.moments(rows_of(grad, in, part.n), channels,
                                grad_value_at(grad, in, part.first), sums, sums + channels);
}

/* The batch's statistics use the biased variance, the running ones the unbiased, as PyTorch does.
 */
static void norm_moments_finish(struct grad *grad, const struct step *step)
{
    const struct op *op = &grad->net->ops[step->op];
    struct op_state *state = &grad->states[step->op];
    size_t channels = channels_of(grad, op->in);
    double rows = (double)rows_of(grad, op->in, grad->batch);
    double unbias = rows > 1 ? rows / (rows - 1) : 1.0;
    const double *sums = reduce_sums(grad, step->op, channels);
    const float *gamma = param_of(grad, op->weight), *beta = param_of(grad, op->bias);
    float *moving_mean = grad->moving + grad->net->params[op->mean].offset;
    float *moving_variance = grad->moving + grad->net->params[op->variance].offset;

    for (size_t c = 0; c < channels; c++) {
        double mean = sums[c] / rows;
        double variance = fmax(sums[channels + c] / rows - mean * mean, 0.0);
        double inverse = 1.0 / sqrt(variance + (double)NET_NORM_EPSILON);
        state->mean[c] = mean;
        state->inverse[c] = inverse;
        state->scale[c] = (float)(gamma[c] * inverse);
        state->shift[c] = (float)(beta[c] - mean * gamma[c] * inverse);
        double m = (double)NET_NORM_MOMENTUM;
        moving_mean[c] = (float)((1 - m) * moving_mean[c] + m * mean);
        moving_variance[c] = (float)((1 - m) * moving_variance[c] + m * variance * unbias);
    }
}

static void norm_forward(struct grad *grad, const struct step *step, struct part part)
{
    const struct op *op = &grad->net->ops[step->op];
    const struct op_state *state = &grad->states[step->op];
    grad->kernels->norm.forward(rows_of(grad, op->in, part.n), channels_of(grad, op->in),
                                grad_value_at(grad, op->in, part.first), state->scale, state->shift,
                                op->residual < 0 ? NULL
                                                 : grad_value_at(grad, op->residual, part.first),
                                op->relu, grad_value_at(grad, op->out, part.first));
}

static void norm_sums(struct grad *grad, const struct step *step, struct part part)
{
    const struct op *op = &grad->net->ops[step->op];
    size_t channels = channels_of(grad, op->in);
    double *sums = sums_of(grad, step->op, part.rank);
    grad->kernels->norm.backward_sums(
        rows_of(grad, op->in, part.n), channels, grad_grad_at(grad, op->out, part.first),
        op->relu ? grad_value_at(grad, op->out, part.first) : NULL,
        grad_value_at(grad, op->in, part.first), sums, sums + channels);
}

/* With n rows, h = (x - mean) * inverse and the sums over the batch (Ioffe and Szegedy 2015,
 * section 3): dgamma = sum(dz h), dbeta = sum(dz), dx = gamma * inverse * (dz - dbeta / n - h *
 * dgamma / n). */
static void norm_sums_finish(struct grad *grad, const struct step *step)
{
    const struct op *op = &grad->net->ops[step->op];
    struct op_state *state = &grad->states[step->op];
    size_t channels = channels_of(grad, op->in);
    double rows = (double)rows_of(grad, op->in, grad->batch);
    const double *sums = reduce_sums(grad, step->op, channels);
    const float *gamma = param_of(grad, op->weight);
    float *dgamma = dparam_of(grad, op->weight, 0), *dbeta = dparam_of(grad, op->bias, 0);

    for (size_t c = 0; c < channels; c++) {
        double sum_dz = sums[c];
        double sum_dzh = (sums[channels + c] - state->mean[c] * sum_dz) * state->inverse[c];
        double a = gamma[c] * state->inverse[c];
        double b = -a * state->inverse[c] * sum_dzh / rows;
        dgamma[c] = (float)sum_dzh;
        dbeta[c] = (float)sum_dz;
        state->a[c] = (float)a;
        state->b[c] = (float)b;
        state->k[c] = (float)(-a * sum_dz / rows - b * state->mean[c]);
    }
}

static void norm_backward(struct grad *grad, const struct step *step, struct part part)
{
    const struct op *op = &grad->net->ops[step->op];
    const struct op_state *state = &grad->states[step->op];
    size_t rows = rows_of(grad, op->in, part.n), channels = channels_of(grad, op->in);
    float *dy = grad_grad_at(grad, op->out, part.first);
    float *dx = op->in > 0 && !step->accumulate ? grad_grad_at(grad, op->in, part.first) : dy;
    grad->kernels->norm.backward(
        rows, channels, dy, op->relu ? grad_value_at(grad, op->out, part.first) : NULL,
        grad_value_at(grad, op->in, part.first), state->a, state->b, state->k, dx,
        op->residual < 0 ? NULL : grad_grad_at(grad, op->residual, part.first),
        step->accumulate_residual);
    if (step->accumulate)
        grad->kernels->add(rows * channels, dx, grad_grad_at(grad, op->in, part.first));
}

/* --- linear layer ----------------------------------------------------------------------------- */

static void linear_forward(struct grad *grad, const struct step *step, struct part part)
{
    const struct op *op = &grad->net->ops[step->op];
    int in = (int)channels_of(grad, op->in), out = (int)channels_of(grad, op->out);
    const float *bias = param_of(grad, op->bias);
    float *y = grad_value_at(grad, op->out, part.first);
    for (int i = 0; i < part.n; i++) memcpy(y + (ptrdiff_t)i * out, bias, (size_t)out * sizeof(*y));
    grad->kernels->gemm(false, true, part.n, out, in, grad_value_at(grad, op->in, part.first), in,
                        param_of(grad, op->weight), in, 1.0f, y, out);
}

static void linear_backward(struct grad *grad, const struct step *step, struct part part)
{
    const struct op *op = &grad->net->ops[step->op];
    int in = (int)channels_of(grad, op->in), out = (int)channels_of(grad, op->out);
    const float *dy = grad_grad_at(grad, op->out, part.first);
    bias_sums(grad, step, part);
    grad->kernels->gemm(true, false, out, in, part.n, dy, out,
                        grad_value_at(grad, op->in, part.first), in, 1.0f,
                        dparam_of(grad, op->weight, part.rank), in);
    grad->kernels->gemm(false, false, part.n, in, out, dy, out, param_of(grad, op->weight), in,
                        step->accumulate ? 1.0f : 0.0f, grad_grad_at(grad, op->in, part.first), in);
}

/* --- dispatch --------------------------------------------------------------------------------- */

void grad_run_step(struct grad *grad, const struct step *step, struct part part)
{
    bool transposed = grad->net->ops[step->op].kind == OP_CONV_TRANSPOSED;
    switch (step->kind) {
    case STEP_CONV:
        (transposed ? conv_transposed_forward : conv_forward)(grad, step, part);
        break;
    case STEP_CONV_BACK:
        (transposed ? conv_transposed_backward : conv_backward)(grad, step, part);
        break;
    case STEP_MOMENTS:
        norm_moments(grad, step, part);
        break;
    case STEP_NORM:
        norm_forward(grad, step, part);
        break;
    case STEP_NORM_SUMS:
        norm_sums(grad, step, part);
        break;
    case STEP_NORM_BACK:
        norm_backward(grad, step, part);
        break;
    case STEP_MAP:
        grad_map_forward(grad, step, part);
        break;
    case STEP_MAP_BACK:
        grad_map_backward(grad, step, part);
        break;
    case STEP_LINEAR:
        linear_forward(grad, step, part);
        break;
    case STEP_LINEAR_BACK:
        linear_backward(grad, step, part);
        break;
    }
}

void grad_clear_sums(struct grad *grad, const struct step *step, unsigned rank)
{
    const struct op *op = &grad->net->ops[step->op];
    switch (step->kind) {
    case STEP_MOMENTS:
    case STEP_NORM_SUMS:
    case STEP_LINEAR_BACK:
    case STEP_CONV_BACK:
        if (op->bias < 0) break;
        memset(sums_of(grad, step->op, rank), 0, 2 * channels_of(grad, op->out) * sizeof(double));
        break;
    case STEP_CONV:
    case STEP_NORM:
    case STEP_MAP:
    case STEP_LINEAR:
    case STEP_MAP_BACK:
    case STEP_NORM_BACK:
        break;
    }
}

void grad_finish_step(struct grad *grad, const struct step *step)
{
    switch (step->kind) {
    case STEP_MOMENTS:
        norm_moments_finish(grad, step);
        break;
    case STEP_NORM_SUMS:
        norm_sums_finish(grad, step);
        break;
    case STEP_LINEAR_BACK:
        bias_finish(grad, step);
        break;
    case STEP_CONV_BACK:
        if (grad->net->ops[step->op].bias >= 0) bias_finish(grad, step);
        break;
    case STEP_CONV:
    case STEP_NORM:
    case STEP_MAP:
    case STEP_LINEAR:
    case STEP_MAP_BACK:
    case STEP_NORM_BACK:
        break;
    }
}
