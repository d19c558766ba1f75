/* The register tile of a convolution: the outputs of a few pixels times one or two vectors of
 * channels stay in registers while all taps and input channels pass; per step, one input value of
 * each pixel is broadcast and multiplied with the weights of all channels. The pixels may lie
 * anywhere (their addresses are offsets from pixel 0), so that one tile serves rows, groups of
 * images, strides and phases alike. The order of an output's sum is (tap row, tap column, input
 * channel) always, whatever the tile's size and place: an image's result does not depend on its
 * company. Left out: everything about which pixels and taps (simd_phase.c). */
#include "simd.h"

#include <math.h>

ALWAYS_INLINE vec multiply_add(const bool pairs, vec a, vec b, vec c)
{
#if HAS_BF16
    if (pairs) return vec_dot_pairs(a, b, c);
#endif
    (void)pairs;
    return vec_fma(a, b, c);
}

/* One instance per constant (vectors, pixels): only then do the sums live in registers. */
ALWAYS_INLINE void tile_body(const struct tile *t, const bool pairs, const int vectors,
                             const int pixels)
{
    vec sum[PIXELS_1][2];
    const float *ask = t->ask;
    ptrdiff_t ask_step = t->ask_step;
    UNROLL
    for (int p = 0; p < pixels; p++) {
        UNROLL
        for (int v = 0; v < vectors; v++) sum[p][v] = vec_zero();
    }
    if (t->add) {
        UNROLL
        for (int v = 0; v < vectors; v++) {
            size_t from = (size_t)v * LANES;
            vec_mask m = vec_first(min_size(t->lanes - from, LANES));
            UNROLL
            for (int p = 0; p < pixels; p++)
                sum[p][v] = vec_load_masked(t->y + from + t->y_at[p], m);
        }
    }
    for (int row = 0; row < t->rows; row++) {
        for (int col = 0; col < t->cols; col++) {
            const float *x = t->x + row * t->x_row + col * t->x_col;
            const float *w = t->w + row * t->w_row + col * t->w_col;
            const float *at[PIXELS_1];
            UNROLL
            for (int p = 0; p < pixels; p++) at[p] = x + t->x_at[p];
#pragma GCC unroll 4
            for (ptrdiff_t i = 0; i < t->run; i++, w += vectors * LANES, ask += ask_step) {
                vec w0 = vec_load(w), w1 = vectors > 1 ? vec_load(w + LANES) : vec_zero();
                prefetch(ask);
                if (LANES_16 && vectors > 1) prefetch(ask + LANES);
                UNROLL
                for (int p = 0; p < pixels; p++) {
                    vec b = vec_set(at[p][i]);
                    sum[p][0] = multiply_add(pairs, b, w0, sum[p][0]);
                    if (vectors > 1) sum[p][1] = multiply_add(pairs, b, w1, sum[p][1]);
                }
            }
        }
    }
    vec floor = vec_set(t->relu ? 0.0F : -INFINITY);
    UNROLL
    for (int v = 0; v < vectors; v++) {
        size_t from = (size_t)v * LANES;
        vec_mask m = vec_first(min_size(t->lanes - from, LANES));
        vec bias = t->bias != NULL ? vec_load_masked(t->bias + from, m) : vec_zero();
        float *y = t->y + from;
        if (t->residual != NULL) {
            const float *residual = t->residual + from;
            UNROLL
            for (int p = 0; p < pixels; p++) {
                sum[p][v] = vec_add(sum[p][v], vec_load_masked(residual + t->y_at[p], m));
            }
        }
        UNROLL
        for (int p = 0; p < pixels; p++) {
            vec_store_masked(y + t->y_at[p], m, vec_floor(vec_add(sum[p][v], bias), floor));
        }
    }
}

#define TILE(vectors, pixels)                                                                      \
    static void tile_##vectors##_##pixels(const struct tile *t)                                    \
    {                                                                                              \
        tile_body(t, false, vectors, pixels);                                                      \
    }

TILES_1(TILE)
TILES_2(TILE)

static void (*const tiles_1[PIXELS_1 + 1])(const struct tile *t) = {TILES_1(TILE_ENTRY)};
static void (*const tiles_2[PIXELS_2 + 1])(const struct tile *t) = {TILES_2(TILE_ENTRY)};

void ISA(tile_run)(const struct tile *t, size_t vectors, size_t pixels)
{
    (vectors > 1 ? tiles_2 : tiles_1)[pixels](t);
}

#if HAS_BF16
#define PAIRS(vectors, pixels)                                                                     \
    static void pairs_##vectors##_##pixels(const struct tile *t)                                   \
    {                                                                                              \
        tile_body(t, true, vectors, pixels);                                                       \
    }
#define PAIRS_ENTRY(vectors, pixels) [pixels] = pairs_##vectors##_##pixels,

TILES_1(PAIRS)
TILES_2(PAIRS)

static void (*const pairs_1[PIXELS_1 + 1])(const struct tile *t) = {TILES_1(PAIRS_ENTRY)};
static void (*const pairs_2[PIXELS_2 + 1])(const struct tile *t) = {TILES_2(PAIRS_ENTRY)};

void ISA(tile_run_pairs)(const struct tile *t, size_t vectors, size_t pixels)
{
    (vectors > 1 ? pairs_2 : pairs_1)[pixels](t);
}
#endif
