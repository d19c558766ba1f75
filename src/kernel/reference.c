/* The reference table: every kernel in plain C, written from its definition with sums in double. It
 * is what the other tables are tested against and what runs where there is no faster one. Left out
 * on purpose: blocking, vectors, anything that would have to be believed rather than read. */
#include <math.h>
#include <stdint.h>

#include "kernel/kernel.h"

#include "reference.h"
#include "tables.h"

/* Channels of a group. */
static int group_inputs(const struct conv_geometry *g)
{
    return g->in_channels / conv_groups(g);
}

static int group_outputs(const struct conv_geometry *g)
{
    return g->out_channels / conv_groups(g);
}

/* Index of w [o][i of its group][kh][kw]. */
static size_t weight_at(const struct conv_geometry *g, int o, int i, int kh, int kw)
{
    return (((size_t)o * (size_t)group_inputs(g) + (size_t)i) * (size_t)g->kernel_height +
            (size_t)kh) *
               (size_t)g->kernel_width +
           (size_t)kw;
}

/* Packed: [o][kh][kw][i of the group], so that the sum over i walks both operands in order. */
static void conv_pack(const struct conv_geometry *g, const float *w, const float *scale,
                      float *packed)
{
    for (int o = 0; o < g->out_channels; o++) {
        for (int kh = 0; kh < g->kernel_height; kh++) {
            for (int kw = 0; kw < g->kernel_width; kw++) {
                for (int i = 0; i < group_inputs(g); i++) {
                    float v = w[weight_at(g, o, i, kh, kw)];
                    *packed++ = scale != NULL ? v * scale[o] : v;
                }
            }
        }
    }
}

/* Packed for the way back: [i][kh][kw][o of the group]. */
static void conv_pack_back(const struct conv_geometry *g, const float *w, float *packed)
{
    int inputs = group_inputs(g), outputs = group_outputs(g);
    for (int i = 0; i < g->in_channels; i++) {
        int first = i / inputs * outputs;
        for (int kh = 0; kh < g->kernel_height; kh++) {
            for (int kw = 0; kw < g->kernel_width; kw++) {
                for (int o = first; o < first + outputs; o++) {
                    *packed++ = w[weight_at(g, o, i % inputs, kh, kw)];
                }
            }
        }
    }
}

static size_t conv_scratch_bytes(const struct conv_geometry *g)
{
    (void)g;
    return 64; /* none is needed, but an allocation of 0 bytes looks like a failed one */
}

static double dot(const float *a, const float *b, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static void conv_forward(const struct conv_geometry *g, int n, const float *x, const float *packed,
                         const struct conv_epilogue *epilogue, float *y, void *scratch,
                         struct conv_part part)
{
    (void)scratch;
    int oh_count = conv_out_height(g), ow_count = conv_out_width(g);
    int inputs = group_inputs(g), outputs = group_outputs(g);
    size_t channels = (size_t)g->in_channels,
           image = (size_t)g->height * (size_t)g->width * channels;
    int first = (int)((int64_t)g->out_channels * part.index / part.count);
    int end = (int)((int64_t)g->out_channels * (part.index + 1) / part.count);
    const float *residual = epilogue->residual;
    for (int b = 0; b < n; b++, x += image) {
        for (int oh = 0; oh < oh_count; oh++) {
            for (int ow = 0; ow < ow_count; ow++) {
                const float *w = packed + first * g->kernel_height * g->kernel_width * inputs;
                for (int o = first; o < end; o++) {
                    const float *group = x + o / outputs * inputs;
                    double sum = epilogue->bias != NULL ? (double)epilogue->bias[o] : 0.0;
                    for (int kh = 0; kh < g->kernel_height; kh++) {
                        int h = oh * g->stride + kh - g->pad;
                        for (int kw = 0; kw < g->kernel_width; kw++, w += inputs) {
                            int v = ow * g->stride + kw - g->pad;
                            if (h < 0 || h >= g->height || v < 0 || v >= g->width) continue;
                            size_t pixel = (size_t)h * (size_t)g->width + (size_t)v;
                            sum += dot(group + pixel * channels, w, inputs);
                        }
                    }
                    if (residual != NULL) sum += (double)residual[o];
                    y[o] = epilogue->relu && sum < 0 ? 0.0F : (float)sum;
                }
                y += g->out_channels;
                if (residual != NULL) residual += g->out_channels;
            }
        }
    }
}

/* The output position that input position `in` feeds through tap `tap`, or -1. */
static int fed_output(int in, int tap, int outputs, const struct conv_geometry *g)
{
    int t = in + g->pad - tap;
    if (t < 0 || t % g->stride != 0 || t / g->stride >= outputs) return -1;
    return t / g->stride;
}

static void conv_backward_data(const struct conv_geometry *g, int n, const float *dy,
                               const float *packed, bool accumulate, float *dx, void *scratch)
{
    (void)scratch;
    int oh_count = conv_out_height(g), ow_count = conv_out_width(g);
    int inputs = group_inputs(g), outputs = group_outputs(g);
    size_t channels = (size_t)g->out_channels;
    size_t image = (size_t)oh_count * (size_t)ow_count * channels;
    for (int b = 0; b < n; b++, dy += image) {
        for (int h = 0; h < g->height; h++) {
            for (int v = 0; v < g->width; v++) {
                const float *w = packed;
                for (int i = 0; i < g->in_channels; i++, dx++) {
                    const float *group = dy + i / inputs * outputs;
                    double sum = accumulate ? (double)*dx : 0.0;
                    for (int kh = 0; kh < g->kernel_height; kh++) {
                        int oh = fed_output(h, kh, oh_count, g);
                        for (int kw = 0; kw < g->kernel_width; kw++, w += outputs) {
                            int ow = fed_output(v, kw, ow_count, g);
                            if (oh < 0 || ow < 0) continue;
                            size_t pixel = (size_t)oh * (size_t)ow_count + (size_t)ow;
                            sum += dot(group + pixel * channels, w, outputs);
                        }
                    }
                    *dx = (float)sum;
                }
            }
        }
    }
}

/* The gradient of one weight: over all images and output pixels, dy times the x that it met. */
static double weight_gradient(const struct conv_geometry *g, int n, const float *x, const float *dy,
                              int kh, int kw)
{
    int oh_count = conv_out_height(g), ow_count = conv_out_width(g);
    double sum = 0;
    for (int b = 0; b < n; b++) {
        for (int oh = 0; oh < oh_count; oh++) {
            int h = oh * g->stride + kh - g->pad;
            for (int ow = 0; ow < ow_count; ow++) {
                int v = ow * g->stride + kw - g->pad;
                if (h < 0 || h >= g->height || v < 0 || v >= g->width) continue;
                size_t in =
                    ((size_t)b * (size_t)g->height + (size_t)h) * (size_t)g->width + (size_t)v;
                size_t out =
                    ((size_t)b * (size_t)oh_count + (size_t)oh) * (size_t)ow_count + (size_t)ow;
                sum += (double)x[in * (size_t)g->in_channels] *
                       (double)dy[out * (size_t)g->out_channels];
            }
        }
    }
    return sum;
}

static void conv_backward_weight(const struct conv_geometry *g, int n, const float *x,
                                 const float *dy, float *dw, void *scratch)
{
    (void)scratch;
    int inputs = group_inputs(g);
    for (int o = 0; o < g->out_channels; o++) {
        const float *group = x + o / group_outputs(g) * inputs;
        for (int i = 0; i < inputs; i++) {
            for (int kh = 0; kh < g->kernel_height; kh++) {
                for (int kw = 0; kw < g->kernel_width; kw++) {
                    float *d = &dw[weight_at(g, o, i, kh, kw)];
                    *d = (float)((double)*d + weight_gradient(g, n, group + i, dy + o, kh, kw));
                }
            }
        }
    }
}

static void gemm(bool transpose_a, bool transpose_b, int m, int n, int k, const float *a, int lda,
                 const float *b, int ldb, float beta, float *c, int ldc)
{
    size_t a_row = transpose_a ? 1 : (size_t)lda, a_column = transpose_a ? (size_t)lda : 1;
    size_t b_row = transpose_b ? 1 : (size_t)ldb, b_column = transpose_b ? (size_t)ldb : 1;
    for (size_t i = 0; i < (size_t)m; i++) {
        for (size_t j = 0; j < (size_t)n; j++) {
            float *out = &c[i * (size_t)ldc + j];
            double sum =
                beta != 0 ? (double)beta * (double)*out : 0.0; /* beta 0: c may be anything */
            for (size_t l = 0; l < (size_t)k; l++) {
                sum += (double)a[i * a_row + l * a_column] * (double)b[l * b_row + j * b_column];
            }
            *out = (float)sum;
        }
    }
}

static void norm_moments(size_t rows, size_t channels, const float *x, double *sum, double *square)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < channels; c++, x++) {
            sum[c] += (double)*x;
            square[c] += (double)*x * (double)*x;
        }
    }
}

static void norm_forward(size_t rows, size_t channels, const float *x, const float *scale,
                         const float *shift, const float *residual, bool relu, float *y)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < channels; c++, x++, y++) {
            float v = *x * scale[c] + shift[c];
            if (residual != NULL) v += *residual++;
            *y = relu && v < 0 ? 0.0F : v;
        }
    }
}

static bool passes(const struct norm_relu *relu, size_t at, size_t c, float x)
{
    if (relu->y != NULL) return relu->y[at] > 0;
    return relu->scale == NULL || x * relu->scale[c] + relu->shift[c] > 0;
}

static void norm_backward_sums(size_t rows, size_t channels, const struct norm_relu *relu,
                               float *dy, const float *x, double *sum_dz, double *sum_dzx)
{
    for (size_t r = 0, at = 0; r < rows; r++) {
        for (size_t c = 0; c < channels; c++, at++) {
            if (!passes(relu, at, c, x[at])) dy[at] = 0;
            sum_dz[c] += (double)dy[at];
            sum_dzx[c] += (double)dy[at] * (double)x[at];
        }
    }
}

static void norm_backward(size_t rows, size_t channels, const float *dz, const float *x,
                          const float *a, const float *b, const float *k, float *dx,
                          float *dresidual, bool accumulate)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < channels; c++) {
            float z = *dz++;
            *dx++ = z * a[c] + *x++ * b[c] + k[c];
            if (dresidual != NULL) {
                *dresidual = accumulate ? *dresidual + z : z;
                dresidual++;
            }
        }
    }
}

static void relu(size_t count, const float *x, float *y)
{
    for (size_t i = 0; i < count; i++) y[i] = x[i] < 0 ? 0.0F : x[i]; /* a NaN stays one */
}

static void relu_backward(size_t count, const float *dy, const float *y, bool accumulate, float *dx)
{
    for (size_t i = 0; i < count; i++) {
        float dz = y[i] > 0 ? dy[i] : 0.0F;
        dx[i] = accumulate ? dx[i] + dz : dz;
    }
}

static void add(size_t count, const float *x, float *y)
{
    for (size_t i = 0; i < count; i++) y[i] += x[i];
}

static void mean_pool(int n, int pixels, int channels, const float *x, float *y)
{
    for (size_t b = 0; b < (size_t)n; b++) {
        for (size_t c = 0; c < (size_t)channels; c++) {
            double sum = 0;
            for (size_t p = 0; p < (size_t)pixels; p++) {
                sum += (double)x[(b * (size_t)pixels + p) * (size_t)channels + c];
            }
            y[b * (size_t)channels + c] = (float)(sum / pixels);
        }
    }
}

static void mean_pool_backward(int n, int pixels, int channels, const float *dy, bool accumulate,
                               float *dx)
{
    float share = 1.0F / (float)pixels;
    for (size_t b = 0; b < (size_t)n; b++, dy += channels) {
        for (size_t p = 0; p < (size_t)pixels; p++) {
            for (size_t c = 0; c < (size_t)channels; c++, dx++) {
                *dx = accumulate ? *dx + dy[c] * share : dy[c] * share;
            }
        }
    }
}

static void sgd_step(size_t count, const struct sgd *s, const float *g, float *v, float *w)
{
    for (size_t i = 0; i < count; i++) {
        const float slope = s->scale * g[i] + s->decay * w[i];
        v[i] = s->momentum * v[i] + slope;
        w[i] -= s->rate * (s->nesterov ? slope + s->momentum * v[i] : v[i]);
    }
}

static void adamw_step(size_t count, const struct adamw *a, const float *g, float *m, float *v,
                       float *w)
{
    const float keep = 1.0F - a->rate * a->decay, rate = a->rate / a->correct1;
    const float root = 1.0F / sqrtf(a->correct2);
    for (size_t i = 0; i < count; i++) {
        const float slope = a->scale * g[i];
        m[i] = a->beta1 * m[i] + (1.0F - a->beta1) * slope;
        v[i] = a->beta2 * v[i] + (1.0F - a->beta2) * slope * slope;
        w[i] = keep * w[i] - rate * m[i] / (sqrtf(v[i]) * root + a->epsilon);
    }
}

static bool takes_all(const struct conv_geometry *g)
{
    (void)g;
    return true;
}

const struct kernels kernels_reference = {
    .isa = CPU_REFERENCE,
    .conv = {[CONV_DIRECT] = {.forward = {takes_all, CONV_DIRECT, conv_weight_size, conv_pack,
                                          conv_scratch_bytes, conv_forward},
                              .backward_data = {takes_all, CONV_DIRECT, conv_weight_size,
                                                conv_pack_back, conv_scratch_bytes,
                                                conv_backward_data},
                              .backward_weight = {takes_all, conv_scratch_bytes,
                                                  conv_backward_weight}}},
    .norm = {norm_moments, norm_forward, norm_backward_sums, norm_backward},
    .relu = {relu, relu_backward},
    .mean = {mean_pool, mean_pool_backward},
    .max_pool = {reference_max_pool, reference_max_pool_backward},
    .shortcut = {reference_shortcut, reference_shortcut_backward},
    .upsample = {reference_upsample, reference_upsample_backward},
    .gate = {reference_gate, reference_gate_backward},
    .gemm = gemm,
    .add = add,
    .sgd_step = sgd_step,
    .adamw_step = adamw_step,
};
