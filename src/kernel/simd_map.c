/* Operations that change a map without weights, with the channels in the lanes: pooling by the
 * largest, shortcuts, enlarging. All are bound by memory. Every gradient is gathered or added in
 * the order of the outputs, so that an image's result does not depend on its batch. */
#include "simd.h"

#if LANES_16

/* x where it is larger than best or a NaN, else best; a NaN in best stays. */
static inline vec vec_larger(vec best, vec x)
{
    __mmask16 m = _mm512_cmp_ps_mask(x, best, _CMP_GT_OQ) | _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    return _mm512_mask_mov_ps(best, m, x);
}

/* x where a is b, else 0; and the other way round. */
static inline vec vec_where_equal(vec a, vec b, vec x)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ), x);
}

static inline vec vec_unless_equal(vec a, vec b, vec x)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ), x);
}

#else

static inline vec vec_larger(vec best, vec x)
{
    vec m = _mm256_or_ps(_mm256_cmp_ps(x, best, _CMP_GT_OQ), _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    return _mm256_blendv_ps(best, x, m);
}

static inline vec vec_where_equal(vec a, vec b, vec x)
{
    return _mm256_and_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ), x);
}

static inline vec vec_unless_equal(vec a, vec b, vec x)
{
    return _mm256_and_ps(_mm256_cmp_ps(a, b, _CMP_NEQ_UQ), x);
}

#endif

static void clear(size_t count, float *x)
{
    for (size_t i = 0; i < count; i++) x[i] = 0;
}

/* --- the largest of a window ------------------------------------------------------------------ */

/* The part of an output's window that lies inside the map: rows x columns pixels from pixel `at` of
 * the image on. */
struct window {
    size_t at;
    int rows, columns;
};

static struct window window_of(const struct pool_geometry *g, int oh, int ow)
{
    int top = oh * g->stride - g->pad, left = ow * g->stride - g->pad;
    int first_row = max_int(top, 0), first_column = max_int(left, 0);
    return (struct window){
        .at = (size_t)first_row * (size_t)g->width + (size_t)first_column,
        .rows = min_int(top + g->kernel, g->height) - first_row,
        .columns = min_int(left + g->kernel, g->width) - first_column,
    };
}

static void largest(const struct pool_geometry *g, const struct window *w, const float *x, float *y)
{
    size_t channels = (size_t)g->channels, row = (size_t)g->width * channels;
    for (size_t c = 0; c < channels; c += LANES) {
        vec_mask m = vec_first(min_size(channels - c, LANES));
        const float *from = x + w->at * channels + c;
        vec best = vec_load_masked(from, m);
        for (int i = 0; i < w->rows; i++) {
            for (int j = 0; j < w->columns; j++) {
                vec v = vec_load_masked(from + (size_t)i * row + (size_t)j * channels, m);
                best = vec_larger(best, v);
            }
        }
        vec_store_masked(y + c, m, best);
    }
}

/* Adds dy where the window is first equal to y. */
static void spread(const struct pool_geometry *g, const struct window *w, const float *x,
                   const float *y, const float *dy, float *dx)
{
    size_t channels = (size_t)g->channels, row = (size_t)g->width * channels;
    for (size_t c = 0; c < channels; c += LANES) {
        vec_mask m = vec_first(min_size(channels - c, LANES));
        vec best = vec_load_masked(y + c, m), left = vec_load_masked(dy + c, m);
        for (int i = 0; i < w->rows; i++) {
            for (int j = 0; j < w->columns; j++) {
                size_t at = w->at * channels + (size_t)i * row + (size_t)j * channels + c;
                vec v = vec_load_masked(x + at, m);
                vec_store_masked(
                    dx + at, m,
                    vec_add(vec_load_masked(dx + at, m), vec_where_equal(v, best, left)));
                left = vec_unless_equal(v, best, left);
            }
        }
    }
}

void ISA(max_pool)(const struct pool_geometry *g, int n, const float *x, float *y)
{
    size_t channels = (size_t)g->channels;
    for (int b = 0; b < n; b++, x += (size_t)g->height * (size_t)g->width * channels) {
        for (int oh = 0; oh < pool_out_size(g->height, g); oh++) {
            for (int ow = 0; ow < pool_out_size(g->width, g); ow++, y += channels) {
                struct window w = window_of(g, oh, ow);
                largest(g, &w, x, y);
            }
        }
    }
}

void ISA(max_pool_backward)(const struct pool_geometry *g, int n, const float *x, const float *y,
                            const float *dy, bool accumulate, float *dx)
{
    size_t channels = (size_t)g->channels;
    size_t image = (size_t)g->height * (size_t)g->width * channels;
    if (!accumulate) clear((size_t)n * image, dx);
    for (int b = 0; b < n; b++, x += image, dx += image) {
        for (int oh = 0; oh < pool_out_size(g->height, g); oh++) {
            for (int ow = 0; ow < pool_out_size(g->width, g); ow++) {
                struct window w = window_of(g, oh, ow);
                spread(g, &w, x, y, dy, dx);
                y += channels;
                dy += channels;
            }
        }
    }
}

/* --- shortcuts -------------------------------------------------------------------------------- */

void ISA(shortcut)(const struct cell_geometry *g, int n, const float *x, float *y)
{
    size_t inputs = (size_t)g->in_channels, outputs = (size_t)g->out_channels;
    size_t row = (size_t)g->width * inputs;
    for (int b = 0; b < n; b++, x += (size_t)g->height * row) {
        for (int top = 0; top < g->height; top += g->side) {
            for (int left = 0; left < g->width; left += g->side, y += outputs) {
                int rows = min_int(g->side, g->height - top);
                int columns = min_int(g->side, g->width - left);
                vec share = vec_set(1.0F / (float)(rows * columns));
                const float *from = x + (size_t)top * row + (size_t)left * inputs;
                for (size_t c = 0; c < inputs; c += LANES) {
                    vec_mask m = vec_first(min_size(inputs - c, LANES));
                    vec sum = vec_zero();
                    for (int i = 0; i < rows; i++) {
                        for (int j = 0; j < columns; j++) {
                            const float *at = from + (size_t)i * row + (size_t)j * inputs + c;
                            sum = vec_add(sum, vec_load_masked(at, m));
                        }
                    }
                    vec_store_masked(y + c, m, vec_mul(sum, share));
                }
                clear(outputs - inputs, y + inputs);
            }
        }
    }
}

void ISA(shortcut_backward)(const struct cell_geometry *g, int n, const float *dy, bool accumulate,
                            float *dx)
{
    size_t inputs = (size_t)g->in_channels, outputs = (size_t)g->out_channels;
    int oh_count = cell_out_size(g->height, g), ow_count = cell_out_size(g->width, g);
    for (int b = 0; b < n; b++, dy += (size_t)(oh_count * ow_count) * outputs) {
        for (int h = 0; h < g->height; h++) {
            int oh = h / g->side, rows = min_int(g->side, g->height - oh * g->side);
            for (int w = 0; w < g->width; w++, dx += inputs) {
                int ow = w / g->side, columns = min_int(g->side, g->width - ow * g->side);
                const float *from = dy + (size_t)(oh * ow_count + ow) * outputs;
                vec share = vec_set(1.0F / (float)(rows * columns));
                for (size_t c = 0; c < inputs; c += LANES) {
                    vec_mask m = vec_first(min_size(inputs - c, LANES));
                    vec d = vec_mul(vec_load_masked(from + c, m), share);
                    if (accumulate) d = vec_add(d, vec_load_masked(dx + c, m));
                    vec_store_masked(dx + c, m, d);
                }
            }
        }
    }
}

/* --- twice as large ---------------------------------------------------------------------------
 *
 * Output 2i + e (e = 0, 1) is 3/4 of input i and 1/4 of its neighbour i - 1 + 2e, which at the
 * border is input i again. */

static int neighbour(int i, int end, int size)
{
    return min_int(max_int(i - 1 + 2 * end, 0), size - 1);
}

void ISA(upsample)(int n, int height, int width, int channels, const float *x, float *y)
{
    size_t count = (size_t)channels, row = (size_t)width * count;
    for (int b = 0; b < n; b++, x += (size_t)height * row) {
        for (int h = 0; h < 2 * height; h++) {
            const float *near = x + (size_t)(h / 2) * row;
            const float *far = x + (size_t)neighbour(h / 2, h % 2, height) * row;
            for (int w = 0; w < 2 * width; w++, y += count) {
                size_t at = (size_t)(w / 2) * count;
                size_t side = (size_t)neighbour(w / 2, w % 2, width) * count;
                for (size_t c = 0; c < count; c += LANES) {
                    vec_mask m = vec_first(min_size(count - c, LANES));
                    vec sum = vec_mul(vec_load_masked(near + at + c, m), vec_set(0.5625F));
                    sum = vec_fma(vec_load_masked(near + side + c, m), vec_set(0.1875F), sum);
                    sum = vec_fma(vec_load_masked(far + at + c, m), vec_set(0.1875F), sum);
                    sum = vec_fma(vec_load_masked(far + side + c, m), vec_set(0.0625F), sum);
                    vec_store_masked(y + c, m, sum);
                }
            }
        }
    }
}

/* The outputs that input i makes part of, in one direction, and how much of them. */
struct reach {
    int at[4];
    float weight[4];
};

static struct reach reach_of(int i, int size)
{
    struct reach r = {{2 * i, 2 * i + 1, 2 * i - 1, 2 * i + 2}, {0.75F, 0.75F, 0.25F, 0.25F}};
    if (i == 0) {
        r.weight[0] = 1; /* its own neighbour */
        r.at[2] = 0;
        r.weight[2] = 0;
    }
    if (i == size - 1) {
        r.weight[1] = 1;
        r.at[3] = 0;
        r.weight[3] = 0;
    }
    return r;
}

void ISA(upsample_backward)(int n, int height, int width, int channels, const float *dy,
                            bool accumulate, float *dx)
{
    size_t count = (size_t)channels, row = 2 * (size_t)width * count;
    for (int b = 0; b < n; b++, dy += 2 * (size_t)height * row) {
        for (int h = 0; h < height; h++) {
            struct reach v = reach_of(h, height);
            for (int w = 0; w < width; w++, dx += count) {
                struct reach u = reach_of(w, width);
                for (size_t c = 0; c < count; c += LANES) {
                    vec_mask m = vec_first(min_size(count - c, LANES));
                    vec sum = accumulate ? vec_load_masked(dx + c, m) : vec_zero();
                    for (int i = 0; i < 16; i++) {
                        float weight = v.weight[i / 4] * u.weight[i % 4];
                        const float *at =
                            dy + (size_t)v.at[i / 4] * row + (size_t)u.at[i % 4] * count + c;
                        if (weight != 0) {
                            sum = vec_fma(vec_load_masked(at, m), vec_set(weight), sum);
                        }
                    }
                    vec_store_masked(dx + c, m, sum);
                }
            }
        }
    }
}
