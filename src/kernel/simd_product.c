/* The register tiles of plain matrix products: a few rows times one or two vectors of columns stay
 * in registers while the depth passes; per step one value of each row is broadcast. The order of a
 * sum is that of the depth, whatever the tile, so that a row's result does not depend on its
 * company. The other tile sums over rows, as a gradient by weights does over pixels. Left
 * out: which rows and columns (simd_winograd.c, simd_winograd_weight.c). */
#include "simd.h"

/* One instance per constant (vectors, rows): only then do the sums live in registers. */
ALWAYS_INLINE void product_body(const struct product *t, const int vectors, const int rows)
{
    vec sum[PIXELS_1][2];
    const float *at[PIXELS_1];
    const float *b = t->b, *ask = t->ask;
    UNROLL
    for (int p = 0; p < rows; p++) {
        at[p] = t->a + (size_t)p * t->a_row;
        UNROLL
        for (int v = 0; v < vectors; v++) sum[p][v] = vec_zero();
    }
    ptrdiff_t depth = (ptrdiff_t)t->depth, ask_step = (ptrdiff_t)t->ask_step;
#pragma GCC unroll 4
    for (ptrdiff_t i = 0; i < depth; i++, b += vectors * LANES, ask += ask_step) {
        vec b0 = vec_load(b), b1 = vectors > 1 ? vec_load(b + LANES) : vec_zero();
        prefetch(ask);
        if (LANES_16 && vectors > 1) prefetch(ask + LANES);
        UNROLL
        for (int p = 0; p < rows; p++) {
            vec a = vec_set(at[p][i]);
            sum[p][0] = vec_fma(a, b0, sum[p][0]);
            if (vectors > 1) sum[p][1] = vec_fma(a, b1, sum[p][1]);
        }
    }
    float *c = t->c;
    if (t->add) {
        UNROLL
        for (int p = 0; p < rows; p++) {
            UNROLL
            for (int v = 0; v < vectors; v++) {
                sum[p][v] = vec_add(sum[p][v], vec_load(c + (size_t)p * t->c_row + v * LANES));
            }
        }
    }
    UNROLL
    for (int p = 0; p < rows; p++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            vec_store(c + (size_t)p * t->c_row + v * LANES, sum[p][v]);
    }
}

#define TILE(vectors, rows)                                                                        \
    static void tile_##vectors##_##rows(const struct product *t)                                   \
    {                                                                                              \
        product_body(t, vectors, rows);                                                            \
    }

TILES_1(TILE)
TILES_2(TILE)

static void (*const products_1[PIXELS_1 + 1])(const struct product *t) = {TILES_1(TILE_ENTRY)};
static void (*const products_2[PIXELS_2 + 1])(const struct product *t) = {TILES_2(TILE_ENTRY)};

void ISA(product_run)(const struct product *p, size_t vectors, size_t rows)
{
    (vectors > 1 ? products_2 : products_1)[rows](p);
}

/* --- sums over rows --------------------------------------------------------------------------- */

ALWAYS_INLINE void sums_body(const struct product_sums *t, const int vectors, const int rows)
{
    vec sum[INPUTS_1][2];
    const float *a = t->a, *b = t->b;
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vectors; v++) sum[r][v] = vec_zero();
    }
#pragma GCC unroll 2
    for (size_t i = 0; i < t->depth; i++, a += t->a_step, b += BLOCK) {
        vec b0 = vec_load(b), b1 = vectors > 1 ? vec_load(b + LANES) : vec_zero();
        UNROLL
        for (int r = 0; r < rows; r++) {
            vec x = vec_set(a[r]);
            sum[r][0] = vec_fma(x, b0, sum[r][0]);
            if (vectors > 1) sum[r][1] = vec_fma(x, b1, sum[r][1]);
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            vec_store(t->c + (ptrdiff_t)r * BLOCK + (ptrdiff_t)v * LANES, sum[r][v]);
    }
}

#define SUMS(vectors, rows)                                                                        \
    static void sums_##vectors##_##rows(const struct product_sums *t)                              \
    {                                                                                              \
        sums_body(t, vectors, rows);                                                               \
    }
#define SUMS_ENTRY(vectors, n) [n] = sums_##vectors##_##n,

WEIGHT_TILES_1(SUMS)
TILES_2(SUMS)

static void (*const sums_1[INPUTS_1 + 1])(const struct product_sums *t) = {
    WEIGHT_TILES_1(SUMS_ENTRY)};
static void (*const sums_2[INPUTS_2 + 1])(const struct product_sums *t) = {TILES_2(SUMS_ENTRY)};

void ISA(product_sums_run)(const struct product_sums *p, size_t vectors, size_t rows)
{
    (vectors > 1 ? sums_2 : sums_1)[rows](p);
}
