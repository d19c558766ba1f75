/* Element-wise kernels and pooling; whole vectors first, then one masked rest. Bound by memory:
 * nothing here is worth more than reading each operand once. */
#include "simd.h"

ALWAYS_INLINE void relu_vector(const float *x, float *y, const bool whole, vec_mask m)
{
    vec_put(y, whole, m, vec_relu(vec_get(x, whole, m)));
}

void ISA(relu)(size_t count, const float *x, float *y)
{
    size_t i = 0;
    vec_mask rest = vec_first(count % LANES);
    for (; i + LANES <= count; i += LANES) relu_vector(x + i, y + i, true, rest);
    if (i < count) relu_vector(x + i, y + i, false, rest);
}

ALWAYS_INLINE void relu_backward_vector(const float *dy, const float *y, bool accumulate, float *dx,
                                        const bool whole, vec_mask m)
{
    vec z = vec_where_positive(vec_get(y, whole, m), vec_get(dy, whole, m));
    if (accumulate) z = vec_add(z, vec_get(dx, whole, m));
    vec_put(dx, whole, m, z);
}

void ISA(relu_backward)(size_t count, const float *dy, const float *y, bool accumulate, float *dx)
{
    size_t i = 0;
    vec_mask rest = vec_first(count % LANES);
    for (; i + LANES <= count; i += LANES) {
        relu_backward_vector(dy + i, y + i, accumulate, dx + i, true, rest);
    }
    if (i < count) relu_backward_vector(dy + i, y + i, accumulate, dx + i, false, rest);
}

ALWAYS_INLINE void add_vector(const float *x, float *y, const bool whole, vec_mask m)
{
    vec_put(y, whole, m, vec_add(vec_get(y, whole, m), vec_get(x, whole, m)));
}

void ISA(add)(size_t count, const float *x, float *y)
{
    size_t i = 0;
    vec_mask rest = vec_first(count % LANES);
    for (; i + LANES <= count; i += LANES) add_vector(x + i, y + i, true, rest);
    if (i < count) add_vector(x + i, y + i, false, rest);
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
