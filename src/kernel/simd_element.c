/* Element-wise kernels, pooling and the optimizer's step; whole vectors first, then one masked
 * rest. Bound by memory: nothing here is worth more than reading each operand once. */
#include "simd.h"

void ISA(relu)(size_t count, const float *x, float *y)
{
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) vec_store(y + i, vec_relu(vec_load(x + i)));
    vec_mask m = vec_first(count - i);
    vec_store_masked(y + i, m, vec_relu(vec_load_masked(x + i, m)));
}

void ISA(relu_backward)(size_t count, const float *dy, const float *y, bool accumulate, float *dx)
{
    vec_mask m = vec_first(LANES);
    for (size_t i = 0; i < count; i += LANES) {
        if (count - i < LANES) m = vec_first(count - i);
        vec z = vec_where_positive(vec_load_masked(y + i, m), vec_load_masked(dy + i, m));
        if (accumulate) z = vec_add(z, vec_load_masked(dx + i, m));
        vec_store_masked(dx + i, m, z);
    }
}

void ISA(add)(size_t count, const float *x, float *y)
{
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        vec_store(y + i, vec_add(vec_load(y + i), vec_load(x + i)));
    }
    vec_mask m = vec_first(count - i);
    vec_store_masked(y + i, m, vec_add(vec_load_masked(y + i, m), vec_load_masked(x + i, m)));
}

void ISA(mean_pool)(int n, int pixels, int channels, const float *x, float *y)
{
    size_t width = (size_t)channels;
    vec share = vec_set(1.0F / (float)pixels);
    for (int b = 0; b < n; b++, x += (size_t)pixels * width, y += width) {
        for (size_t c = 0; c < width; c += LANES) {
            vec_mask m = vec_first(min_size(width - c, LANES));
            vec sum = vec_zero();
            for (int p = 0; p < pixels; p++) {
                sum = vec_add(sum, vec_load_masked(x + (size_t)p * width + c, m));
            }
            vec_store_masked(y + c, m, vec_mul(sum, share));
        }
    }
}

void ISA(mean_pool_backward)(int n, int pixels, int channels, const float *dy, bool accumulate,
                             float *dx)
{
    size_t width = (size_t)channels;
    vec share = vec_set(1.0F / (float)pixels);
    for (int b = 0; b < n; b++, dy += width) {
        for (int p = 0; p < pixels; p++, dx += width) {
            for (size_t c = 0; c < width; c += LANES) {
                vec_mask m = vec_first(min_size(width - c, LANES));
                vec z = vec_mul(vec_load_masked(dy + c, m), share);
                if (accumulate) z = vec_add(z, vec_load_masked(dx + c, m));
                vec_store_masked(dx + c, m, z);
            }
        }
    }
}

void ISA(sgd_step)(size_t count, float rate, float momentum, float decay, const float *g, float *v,
                   float *w)
{
    vec minus_rate = vec_set(-rate), keep = vec_set(momentum), pull = vec_set(decay);
    vec_mask m = vec_first(LANES);
    for (size_t i = 0; i < count; i += LANES) {
        if (count - i < LANES) m = vec_first(count - i);
        vec weight = vec_load_masked(w + i, m);
        vec step = vec_fma(pull, weight, vec_load_masked(g + i, m));
        step = vec_fma(keep, vec_load_masked(v + i, m), step);
        vec_store_masked(v + i, m, step);
        vec_store_masked(w + i, m, vec_fma(minus_rate, step, weight));
    }
}
