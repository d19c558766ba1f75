/* A convolution is a list of triples, of x, weight and y that meet in one product: each direction
 * walks the whole list and adds the product of two to the third. */
#include "config.h"

#include "float64.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static void *must(void *block)
{
    if (block == NULL) abort();
    return block;
}

float float64_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    bits += 0x7fff + (bits >> 16 & 1);
    bits &= 0xffff0000;
    memcpy(&x, &bits, sizeof(bits));
    return x;
}

static size_t count_of(const struct float64 *f, int value)
{
    return (size_t)f->batch * shape_size(f->net->values[value].shape);
}

static bool is_kind(const struct op *op, const char *name)
{
    return strcmp(op_kind_name(op), name) == 0;
}

static double *param(const struct float64 *f, double *block, int number)
{
    return number < 0 ? NULL : block + f->net->params[number].offset;
}

struct float64 *float64_new(const struct net *net, int batch, unsigned exits, const float *params)
{
    struct float64 *f = must(mem_new(1, sizeof(*f)));
    size_t values = (size_t)net->n_values, largest = net->trained_size;
    *f = (struct float64){.net = net, .batch = batch, .exits = exits};
    f->params = must(mem_new(net->block_size, sizeof(double)));
    f->dparams = must(mem_new(net->trained_size, sizeof(double)));
    f->sizes = must(mem_new(net->trained_size, sizeof(double)));
    f->values = must(mem_new(values, sizeof(*f->values)));
    f->grads = must(mem_new(values, sizeof(*f->grads)));
    f->added = must(mem_new(values, sizeof(*f->added)));
    for (int i = 0; i < net->n_values; i++) {
        size_t count = count_of(f, i);
        f->values[i] = must(mem_new(count, sizeof(double)));
        f->grads[i] = must(mem_new(count, sizeof(double)));
        f->added[i] = must(mem_new(count, sizeof(double)));
        largest = count > largest ? count : largest;
    }
    for (int i = 0; i < 3; i++) f->work[i] = must(mem_new(largest, sizeof(double)));
    for (size_t i = 0; i < net->block_size; i++) f->params[i] = (double)params[i];
    f->kink = f->variance = HUGE_VAL;
    f->rows = INT64_MAX;
    return f;
}

void float64_free(struct float64 *f)
{
    if (f == NULL) return;
    for (int i = 0; i < f->net->n_values; i++) {
        mem_free(f->values[i]);
        mem_free(f->grads[i]);
        mem_free(f->added[i]);
    }
    for (int i = 0; i < 3; i++) mem_free(f->work[i]);
    mem_free(f->values);
    mem_free(f->grads);
    mem_free(f->added);
    mem_free(f->params);
    mem_free(f->dparams);
    mem_free(f->sizes);
    mem_free(f);
}

/* --- products --------------------------------------------------------------------------------- */

/* The factor itself, or a rounded copy. */
static double *factor(const struct float64 *f, double *x, size_t count, bool rounds, int work)
{
    if (!rounds) return x;
    for (size_t i = 0; i < count; i++) f->work[work][i] = (double)float64_bf16((float)x[i]);
    return f->work[work];
}

/* x [h][w][i], w [o][i of its group][kh][kw], y [oh][ow][o]; the third += what the others give. */
static void products(const struct conv_geometry *g, enum conv_direction d, double *x, double *w,
                     double *y)
{
    int groups = g->groups > 1 ? g->groups : 1, inputs = g->in_channels / groups;
    int outputs = g->out_channels / groups, kh = g->kernel_height, kw = g->kernel_width;
    int rows = (g->height + 2 * g->pad - kh) / g->stride + 1;
    int columns = (g->width + 2 * g->pad - kw) / g->stride + 1;
    for (int at = 0; at < rows * columns * kh * kw; at++) {
        int tap = at % (kh * kw), pixel = at / (kh * kw);
        int h = pixel / columns * g->stride + tap / kw - g->pad;
        int v = pixel % columns * g->stride + tap % kw - g->pad;
        if (h < 0 || h >= g->height || v < 0 || v >= g->width) continue;
        for (int o = 0; o < g->out_channels; o++) {
            double *xs = x + (h * g->width + v) * g->in_channels + o / outputs * inputs;
            double *ys = y + pixel * g->out_channels + o;
            for (int i = 0; i < inputs; i++) {
                ptrdiff_t k = (ptrdiff_t)(o * inputs + i) * kh * kw + tap;
                if (d == CONV_FORWARD) *ys += xs[i] * w[k];
                if (d == CONV_BACKWARD_DATA) xs[i] += *ys * w[k];
                if (d == CONV_BACKWARD_WEIGHT) w[k] += xs[i] * *ys;
            }
        }
    }
}

/* One direction over the batch; x and y as the convolution has them. */
static void convolve(struct float64 *f, const struct op *op, enum conv_direction d, int x_value,
                     double *x, int y_value, double *y, bool may_round)
{
    bool rounds = may_round && f->rounds != NULL && f->rounds(f->arg, op, d);
    size_t xs = count_of(f, x_value), ys = count_of(f, y_value);
    double *w = param(f, f->params, op->weight);
    if (d == CONV_BACKWARD_WEIGHT)
        w = param(f, f->dparams, op->weight);
    else
        w = factor(f, w, f->net->params[op->weight].size, rounds, 0);
    if (d != CONV_BACKWARD_DATA) x = factor(f, x, xs, rounds, 1);
    if (d != CONV_FORWARD) y = factor(f, y, ys, rounds, 2);
    for (int b = 0; b < f->batch; b++)
        products(&op->conv, d, x + (size_t)b * (xs / (size_t)f->batch), w,
                 y + (size_t)b * (ys / (size_t)f->batch));
}

/* What an array's sums are made of, without signs: at least what came out. */
static double *without_signs(const double *x, const double *added, size_t count, double *work)
{
    for (size_t i = 0; i < count; i++)
        work[i] = added != NULL ? fmax(fabs(x[i]), added[i]) : fabs(x[i]);
    return work;
}

/* x is the convolution's, y its gradient; of a transposed one the other way round. */
static void measure_weights(struct float64 *f, const struct op *op, int x_value, int y_value,
                            bool turned)
{
    size_t xs = count_of(f, x_value), ys = count_of(f, y_value);
    double *x = without_signs((turned ? f->grads : f->values)[x_value],
                              turned ? f->added[x_value] : NULL, xs, f->work[1]);
    double *y = without_signs((turned ? f->values : f->grads)[y_value],
                              turned ? NULL : f->added[y_value], ys, f->work[2]);
    for (int b = 0; b < f->batch; b++)
        products(&op->conv, CONV_BACKWARD_WEIGHT, x + (size_t)b * (xs / (size_t)f->batch),
                 param(f, f->sizes, op->weight), y + (size_t)b * (ys / (size_t)f->batch));
}

static void conv(struct float64 *f, const struct op *op, bool back)
{
    bool turned = is_kind(op, "conv transposed"), may_round = !is_kind(op, "linear");
    double **from = back ? f->grads : f->values;
    size_t count = count_of(f, op->out), channels = (size_t)f->net->values[op->out].shape.channels;
    double *y = from[op->out], *bias = param(f, back ? f->dparams : f->params, op->bias);
    double *dbias_sizes = param(f, f->sizes, op->bias);
    for (size_t i = 0; i < count; i++) {
        if (!back) y[i] = op->residual >= 0 ? f->values[op->residual][i] : 0;
        if (!back && bias != NULL) y[i] += bias[i % channels];
        if (back && op->residual >= 0) f->grads[op->residual][i] += y[i];
        if (back && bias != NULL) bias[i % channels] += y[i];
        if (back && bias != NULL)
            dbias_sizes[i % channels] += fmax(fabs(y[i]), f->added[op->out][i]);
    }
    int in = turned ? op->out : op->in, out = turned ? op->in : op->out; /* of the convolution */
    enum conv_direction d = back != turned ? CONV_BACKWARD_DATA : CONV_FORWARD;
    convolve(f, op, d, in, from[in], out, from[out], may_round);
    if (!back) return;
    convolve(f, op, CONV_BACKWARD_WEIGHT, in, turned ? f->grads[in] : f->values[in], out,
             turned ? f->values[out] : f->grads[out], may_round);
    measure_weights(f, op, in, out, turned);
}

/* --- norms ------------------------------------------------------------------------------------ */

struct moments {
    double mean, variance, inverse;
};

static struct moments moments_of(const double *x, size_t rows, size_t channels)
{
    struct moments m = {0};
    for (size_t r = 0; r < rows; r++) m.mean += x[r * channels] / (double)rows;
    for (size_t r = 0; r < rows; r++) m.variance += pow(x[r * channels] - m.mean, 2) / (double)rows;
    m.inverse = 1 / sqrt(m.variance + 1e-5);
    return m;
}

static void norm_forward(struct float64 *f, const struct op *op)
{
    size_t channels = (size_t)f->net->values[op->out].shape.channels;
    size_t rows = count_of(f, op->out) / channels;
    f->rows = (int64_t)rows < f->rows ? (int64_t)rows : f->rows;
    for (size_t c = 0; c < channels; c++) {
        const double *x = f->values[op->in] + c;
        double *y = f->values[op->out] + c;
        struct moments m = moments_of(x, rows, channels);
        if (m.variance > 1e-20 && m.variance < f->variance) f->variance = m.variance;
        double *mean = param(f, f->params, op->mean) + c;
        double *variance = param(f, f->params, op->variance) + c;
        *mean += 0.1 * (m.mean - *mean);
        double unbiased = rows > 1 ? m.variance * (double)rows / (double)(rows - 1) : m.variance;
        *variance += 0.1 * (unbiased - *variance);
        for (size_t at = 0; at < rows * channels; at += channels) {
            double z = (x[at] - m.mean) * m.inverse * param(f, f->params, op->weight)[c] +
                       param(f, f->params, op->bias)[c];
            if (op->residual >= 0) z += f->values[op->residual][at + c];
            if (op->relu) f->kink = fmin(f->kink, fabs(z));
            y[at] = op->relu && z < 0 ? 0 : z;
        }
    }
}

/* By the chain rule through mean and variance, one after the other. */
static void norm_backward(struct float64 *f, const struct op *op)
{
    size_t channels = (size_t)f->net->values[op->out].shape.channels;
    size_t count = count_of(f, op->out);
    double rows = (double)(count / channels);
    for (size_t c = 0; c < channels; c++) {
        const double *x = f->values[op->in] + c, *y = f->values[op->out] + c;
        double *dy = f->grads[op->out] + c, *dx = f->grads[op->in] + c;
        struct moments m = moments_of(x, count / channels, channels);
        double weight = param(f, f->params, op->weight)[c], dmean = 0, dvariance = 0;
        for (size_t at = 0; at < count; at += channels) {
            if (op->relu && !(y[at] > 0)) dy[at] = 0;
            if (op->residual >= 0) f->grads[op->residual][at + c] += dy[at];
            double dh = dy[at] * weight;
            param(f, f->dparams, op->weight)[c] += dy[at] * (x[at] - m.mean) * m.inverse;
            param(f, f->dparams, op->bias)[c] += dy[at];
            param(f, f->sizes, op->weight)[c] +=
                fabs(dy[at]) * (fabs(x[at]) + fabs(m.mean)) * m.inverse;
            param(f, f->sizes, op->bias)[c] += fabs(dy[at]);
            dmean -= dh * m.inverse;
            dvariance -= dh * (x[at] - m.mean) * pow(m.inverse, 3) / 2;
        }
        for (size_t at = 0; at < count; at += channels) {
            double direct = dy[at] * weight * m.inverse;
            double by_variance = dvariance * 2 * (x[at] - m.mean) / rows;
            dx[at] += direct + by_variance + dmean / rows;
            f->added[op->in][at + c] += fabs(direct) + fabs(by_variance) + fabs(dmean / rows);
        }
    }
}

/* --- maps without weights --------------------------------------------------------------------- */

/* What one output is made of: a sum of inputs times shares. */
enum { PARTS_MAX = 1024 };

struct parts {
    int n, at[PARTS_MAX]; /* pixels of the image */
    double share[PARTS_MAX];
};

static void add_part(struct parts *p, int at, double share)
{
    if (p->n == PARTS_MAX) abort();
    p->at[p->n] = at;
    p->share[p->n++] = share;
}

/* Of an output's pixel: all pixels; those of a cell; PyTorch's bilinear ones, align_corners=False.
 */
static struct parts parts_of(const struct op *op, struct shape in, int row, int column)
{
    struct parts p = {0};
    int side = is_kind(op, "shortcut") ? op->cells.side : 0;
    bool mean = is_kind(op, "mean");
    for (int at = 0; at < in.height * in.width; at++) {
        int h = at / in.width, v = at % in.width;
        if (mean || (side > 0 && h / side == row && v / side == column)) add_part(&p, at, 1);
        if (!is_kind(op, "upsample")) continue;
        double y = fmax((row + 0.5) / 2 - 0.5, 0), x = fmax((column + 0.5) / 2 - 0.5, 0);
        y = fmin(y, in.height - 1);
        x = fmin(x, in.width - 1);
        double share = fmax(0, 1 - fabs(y - h)) * fmax(0, 1 - fabs(x - v));
        if (share > 0) add_part(&p, at, share);
    }
    for (int i = 0; i < p.n && (mean || side > 0); i++) p.share[i] = 1.0 / p.n;
    return p;
}

static void blend(struct float64 *f, const struct op *op, bool back)
{
    struct shape in = f->net->values[op->in].shape, out = f->net->values[op->out].shape;
    double **arrays = back ? f->grads : f->values;
    for (int pixel = 0; pixel < out.height * out.width; pixel++) {
        struct parts p = parts_of(op, in, pixel / out.width, pixel % out.width);
        for (int b = 0; b < f->batch; b++) {
            double *x = arrays[op->in] + (size_t)b * shape_size(in);
            double *y = arrays[op->out] + (size_t)b * shape_size(out) + pixel * out.channels;
            for (int i = 0; i < p.n * in.channels; i++) {
                int c = i % in.channels, at = p.at[i / in.channels] * in.channels + c;
                if (back)
                    x[at] += p.share[i / in.channels] * y[c];
                else
                    y[c] += p.share[i / in.channels] * x[at];
            }
        }
    }
}

/* Forward the largest of each window; back dy to the first place where it is. */
static void max_pool(struct float64 *f, const struct op *op, bool back)
{
    struct shape in = f->net->values[op->in].shape, out = f->net->values[op->out].shape;
    const struct pool_geometry *g = &op->pool;
    for (size_t at = 0; at < count_of(f, op->out); at++) {
        size_t image = at / shape_size(out), c = at % (size_t)out.channels;
        int pixel = (int)(at % shape_size(out)) / out.channels;
        int top = pixel / out.width * g->stride - g->pad;
        int left = pixel % out.width * g->stride - g->pad;
        double best = -HUGE_VAL, second = -HUGE_VAL;
        size_t place = 0;
        for (int tap = 0; tap < g->kernel * g->kernel; tap++) {
            int h = top + tap / g->kernel, v = left + tap % g->kernel;
            if (h < 0 || h >= in.height || v < 0 || v >= in.width) continue;
            size_t x = image * shape_size(in) + (size_t)((h * in.width + v) * in.channels) + c;
            double here = f->values[op->in][x];
            if (here > best) {
                second = best;
                best = here;
                place = x;
            } else if (here > second && here < best) { /* what is the same stays the same */
                second = here;
            }
        }
        if (back)
            f->grads[op->in][place] += f->grads[op->out][at];
        else
            f->values[op->out][at] = best;
        f->kink = fmin(f->kink, best - second);
    }
}

static void elements(struct float64 *f, const struct op *op, bool back)
{
    bool gate = is_kind(op, "sigmoid gate");
    const double *x = f->values[op->in], *by = gate ? f->values[op->residual] : NULL;
    double *y = f->values[op->out], *dx = f->grads[op->in];
    const double *dy = f->grads[op->out];
    for (size_t i = 0; i < count_of(f, op->out); i++) {
        double s = 1 / (1 + exp(-x[i]));
        if (gate && !back) y[i] = s * by[i];
        if (gate && back) dx[i] += dy[i] * by[i] * s * (1 - s);
        if (gate && back) f->grads[op->residual][i] += dy[i] * s;
        if (gate) continue;
        f->kink = fmin(f->kink, fabs(x[i]));
        if (!back) y[i] = fmax(x[i], 0);
        if (back && x[i] > 0) dx[i] += dy[i];
    }
}

/* --- passes ----------------------------------------------------------------------------------- */

static void run(struct float64 *f, const struct op *op, bool back)
{
    if (is_kind(op, "conv") || is_kind(op, "conv transposed") || is_kind(op, "linear"))
        conv(f, op, back);
    else if (is_kind(op, "norm"))
        (back ? norm_backward : norm_forward)(f, op);
    else if (is_kind(op, "mean") || is_kind(op, "shortcut") || is_kind(op, "upsample"))
        blend(f, op, back);
    else if (is_kind(op, "max pool"))
        max_pool(f, op, back);
    else if (is_kind(op, "relu") || is_kind(op, "sigmoid gate"))
        elements(f, op, back);
    else
        abort(); /* an operator without a definition here */
}

void float64_forward(struct float64 *f, const float *images)
{
    for (size_t i = 0; i < count_of(f, 0); i++) f->values[0][i] = (double)images[i];
    for (int i = 0; i < f->net->n_ops; i++)
        if (op_is_needed(&f->net->ops[i], f->exits)) run(f, &f->net->ops[i], false);
}

void float64_backward(struct float64 *f)
{
    for (int i = f->net->n_ops - 1; i >= 0; i--)
        if (op_is_needed(&f->net->ops[i], f->exits)) run(f, &f->net->ops[i], true);
}
