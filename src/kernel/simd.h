/* What the sources of a vector table share: vector operations by the compiler's target, and names
 * that are private to the instance. Every simd_*.c is compiled once per instruction set; which one
 * it is for is seen from the flags, and ISA(name) keeps the instances apart at link time. */
#ifndef KERNEL_SIMD_H
#define KERNEL_SIMD_H

#include <immintrin.h>
#include <stdint.h>

#include "kernel/kernel.h"

#if defined(__AVX512F__)

#if defined(__AVX512BF16__)
#define ISA(name) name##_avx512bf16
#define ISA_CODE CPU_AVX512BF16
#define HAS_BF16 1
#else
#define ISA(name) name##_avx512
#define ISA_CODE CPU_AVX512
#define HAS_BF16 0
#endif
#define LANES_16 1
#define VEC_OP(name) _mm512_##name

enum {
    LANES = 16,
    /* Pixels of a convolution's register tile with one and with two vectors of output channels, and
     * input channels of a weight gradient's: 32 registers. */
    PIXELS_1 = 14,
    PIXELS_2 = 12,
    INPUTS_1 = 16,
    INPUTS_2 = 12,
};

typedef __m512 vec;

/* The first n lanes, 0..LANES. */
typedef __mmask16 vec_mask;

static inline vec_mask vec_first(size_t n)
{
    return (vec_mask)((1U << n) - 1U);
}

/* Lanes that the mask leaves out are not touched in memory; loaded they are 0. */
static inline vec vec_load_masked(const float *p, vec_mask m)
{
    return _mm512_maskz_loadu_ps(m, p);
}

static inline void vec_store_masked(float *p, vec_mask m, vec x)
{
    _mm512_mask_storeu_ps(p, m, x);
}

/* x where y > 0, else 0. */
static inline vec vec_where_positive(vec y, vec x)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(y, _mm512_setzero_ps(), _CMP_GT_OQ), x);
}

#if HAS_BF16
/* Pairs of bfloat16 in 32 bits, the lower half first; they are kept and moved as if they were
 * floats. a[0] * b[0] + a[1] * b[1] + c in each lane, in fp32. */
static inline vec vec_dot_pairs(vec a, vec b, vec c)
{
    return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b);
}

/* 2 * LANES floats, low first, as LANES pairs. Rounds to the nearest, ties to even. */
static inline vec vec_to_pairs(vec low, vec high)
{
    return (vec)_mm512_cvtne2ps_pbh(high, low);
}

/* LANES pairs, each of a lane of both. */
static inline vec vec_interleave_pairs(vec low, vec high)
{
    __m512i a = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(low));
    __m512i b = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(high));
    return _mm512_castsi512_ps(_mm512_or_si512(a, _mm512_slli_epi32(b, 16)));
}
#endif

#elif defined(__AVX2__) && defined(__FMA__)

#define ISA(name) name##_avx2
#define ISA_CODE CPU_AVX2
#define LANES_16 0
#define VEC_OP(name) _mm256_##name
#define HAS_BF16 0

enum {
    LANES = 8,
    PIXELS_1 = 12,
    PIXELS_2 = 6,
    INPUTS_1 = 12,
    INPUTS_2 = 6,
};

typedef __m256 vec;
typedef __m256i vec_mask;

static inline vec_mask vec_first(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline vec vec_load_masked(const float *p, vec_mask m)
{
    return _mm256_maskload_ps(p, m);
}

static inline void vec_store_masked(float *p, vec_mask m, vec x)
{
    _mm256_maskstore_ps(p, m, x);
}

static inline vec vec_where_positive(vec y, vec x)
{
    return _mm256_and_ps(_mm256_cmp_ps(y, _mm256_setzero_ps(), _CMP_GT_OQ), x);
}

#else
#error "simd_*.c need the flags of an instruction set, see module.am"
#endif

/* What is the same but for the name of the instruction set. */

static inline vec vec_zero(void)
{
    return VEC_OP(setzero_ps)();
}

static inline vec vec_set(float x)
{
    return VEC_OP(set1_ps)(x);
}

static inline vec vec_load(const float *p)
{
    return VEC_OP(loadu_ps)(p);
}

static inline void vec_store(float *p, vec x)
{
    VEC_OP(storeu_ps)(p, x);
}

static inline vec vec_add(vec a, vec b)
{
    return VEC_OP(add_ps)(a, b);
}

static inline vec vec_sub(vec a, vec b)
{
    return VEC_OP(sub_ps)(a, b);
}

static inline vec vec_mul(vec a, vec b)
{
    return VEC_OP(mul_ps)(a, b);
}

static inline vec vec_div(vec a, vec b)
{
    return VEC_OP(div_ps)(a, b);
}

static inline vec vec_sqrt(vec a)
{
    return VEC_OP(sqrt_ps)(a);
}

/* a * b + c and c - a * b, rounded once. */
static inline vec vec_fma(vec a, vec b, vec c)
{
    return VEC_OP(fmadd_ps)(a, b, c);
}

static inline vec vec_fnma(vec a, vec b, vec c)
{
    return VEC_OP(fnmadd_ps)(a, b, c);
}

/* max(x, 0) and max(x, least); a NaN stays one: the instruction returns its second operand then. */
static inline vec vec_relu(vec x)
{
    return VEC_OP(max_ps)(vec_zero(), x);
}

static inline vec vec_floor(vec x, vec least)
{
    return VEC_OP(max_ps)(least, x);
}

/* F(vectors, n) for each register tile of n rows, n = 1..PIXELS_1 and 1..PIXELS_2: their sums live
 * in registers only where both numbers are constants. A weight gradient's tiles go to INPUTS_1 and
 * INPUTS_2, which is two more with one vector of sixteen lanes. */
#define TILES_1_OF_8(F)                                                                            \
    F(1, 1)                                                                                        \
    F(1, 2) F(1, 3) F(1, 4) F(1, 5) F(1, 6) F(1, 7) F(1, 8) F(1, 9) F(1, 10) F(1, 11) F(1, 12)
#define TILES_2_OF_8(F) F(2, 1) F(2, 2) F(2, 3) F(2, 4) F(2, 5) F(2, 6)
#if LANES_16
#define TILES_1(F) TILES_1_OF_8(F) F(1, 13) F(1, 14)
#define TILES_2(F) TILES_2_OF_8(F) F(2, 7) F(2, 8) F(2, 9) F(2, 10) F(2, 11) F(2, 12)
#define WEIGHT_TILES_1(F) TILES_1(F) F(1, 15) F(1, 16)
#else
#define TILES_1(F) TILES_1_OF_8(F)
#define TILES_2(F) TILES_2_OF_8(F)
#define WEIGHT_TILES_1(F) TILES_1(F)
#endif
#define TILE_ENTRY(vectors, n) [n] = tile_##vectors##_##n,

/* Before a loop over constants, so that an array indexed by it can live in registers. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* A whole vector, or the lanes of a mask; `whole` is a constant, whole vectors are quicker stored.
 */
ALWAYS_INLINE vec vec_get(const float *p, const bool whole, vec_mask m)
{
    return whole ? vec_load(p) : vec_load_masked(p, m);
}

ALWAYS_INLINE void vec_put(float *p, const bool whole, vec_mask m, vec x)
{
    if (whole)
        vec_store(p, x);
    else
        vec_store_masked(p, m, x);
}

/* Packed weights are asked for so many floats before they are read: few images need them faster
 * than the processor's own prefetching, which ends with each page, brings them. Measured. */
enum { PREFETCH = 4096 };

/* Tiles that share weights and are there even with few pixels: they ask for what comes next, as
 * evenly as they can. */
enum { ASKING_PARTS = 2 };

/* A plain inline function will not do: GCC takes one that only prefetches for one without effect
 * and leaves out the calls. */
ALWAYS_INLINE void prefetch(const float *p)
{
    _mm_prefetch((const char *)p, _MM_HINT_T0);
}

/* Channels are worked on in blocks of two vectors, the last one may have one. */
enum { BLOCK = 2 * LANES };

static inline size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline int min_int(int a, int b)
{
    return a < b ? a : b;
}

static inline int max_int(int a, int b)
{
    return a > b ? a : b;
}

/* n cut into ceil(n / most) parts that differ by 1 at most: where part i begins. */
static inline size_t part_count(size_t n, size_t most)
{
    return (n + most - 1) / most;
}

static inline size_t part_begin(size_t n, size_t parts, size_t i)
{
    return n * i / parts;
}

/* Copies `count` floats; for the short rows of a pixel, where a call of memcpy costs more than it.
 */
static inline void copy_floats(float *to, const float *from, size_t count)
{
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) vec_store(to + i, vec_load(from + i));
    for (; i < count; i++) to[i] = from[i];
}

static inline void clear_floats(float *to, size_t count)
{
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) vec_store(to + i, vec_zero());
    for (; i < count; i++) to[i] = 0;
}

/* simd_conv.c, packing in simd_pack.c; all groups are computed as one, with zeros between them.
 * Scratch in floats. */
size_t ISA(conv_packed_size)(const struct conv_geometry *g);
void ISA(conv_pack)(const struct conv_geometry *g, const float *w, const float *scale,
                    float *packed);
size_t ISA(conv_packed_back_size)(const struct conv_geometry *g);
void ISA(conv_pack_back)(const struct conv_geometry *g, const float *w, float *packed);
size_t ISA(conv_forward_scratch)(const struct conv_geometry *g);
size_t ISA(conv_backward_data_scratch)(const struct conv_geometry *g);
void ISA(conv_forward)(const struct conv_geometry *g, int n, const float *x, const float *packed,
                       const struct conv_epilogue *epilogue, float *y, void *scratch,
                       struct conv_part part);
void ISA(conv_backward_data)(const struct conv_geometry *g, int n, const float *dy,
                             const float *packed, bool accumulate, float *dx, void *scratch);

#if HAS_BF16
/* The three directions with both factors rounded to bfloat16, sums in fp32; one group. */
bool ISA(pairs_takes)(const struct conv_geometry *g);
size_t ISA(pairs_size)(const struct conv_geometry *g);
void ISA(pairs_pack)(const struct conv_geometry *g, const float *w, const float *scale,
                     float *packed);
size_t ISA(pairs_scratch)(const struct conv_geometry *g);
void ISA(pairs_forward)(const struct conv_geometry *g, int n, const float *x, const float *packed,
                        const struct conv_epilogue *epilogue, float *y, void *scratch,
                        struct conv_part part);
size_t ISA(pairs_back_size)(const struct conv_geometry *g);
void ISA(pairs_back_pack)(const struct conv_geometry *g, const float *w, float *packed);
size_t ISA(pairs_back_scratch)(const struct conv_geometry *g);
void ISA(pairs_back)(const struct conv_geometry *g, int n, const float *dy, const float *packed,
                     bool accumulate, float *dx, void *scratch);
size_t ISA(pairs_weight_scratch)(const struct conv_geometry *g);
void ISA(pairs_weight)(const struct conv_geometry *g, int n, const float *x, const float *dy,
                       float *dw, void *scratch);
#endif

/* simd_conv_weight.c */
size_t ISA(conv_backward_weight_scratch)(const struct conv_geometry *g); /* floats */
void ISA(conv_backward_weight)(const struct conv_geometry *g, int n, const float *x,
                               const float *dy, float *dw, void *scratch);

/* simd_group.c: the same, for many groups and for depthwise convolutions quicker. */
size_t ISA(conv_any_packed_size)(const struct conv_geometry *g);
void ISA(conv_any_pack)(const struct conv_geometry *g, const float *w, const float *scale,
                        float *packed);
size_t ISA(conv_any_packed_back_size)(const struct conv_geometry *g);
void ISA(conv_any_pack_back)(const struct conv_geometry *g, const float *w, float *packed);
size_t ISA(conv_any_forward_scratch)(const struct conv_geometry *g); /* bytes, more than none */
size_t ISA(conv_any_backward_data_scratch)(const struct conv_geometry *g);
size_t ISA(conv_any_backward_weight_scratch)(const struct conv_geometry *g);
/* Into how many dense convolutions the groups are packed; not for depthwise ones. */
int ISA(conv_bundles)(const struct conv_geometry *g);
void ISA(conv_any_forward)(const struct conv_geometry *g, int n, const float *x,
                           const float *packed, const struct conv_epilogue *epilogue, float *y,
                           void *scratch, struct conv_part part);
void ISA(conv_any_backward_data)(const struct conv_geometry *g, int n, const float *dy,
                                 const float *packed, bool accumulate, float *dx, void *scratch);
void ISA(conv_any_backward_weight)(const struct conv_geometry *g, int n, const float *x,
                                   const float *dy, float *dw, void *scratch);

/* simd_tile.c: the register tiles of simd_phase.c. */
struct tile {
    const float *x, *w;           /* the first tap of pixel 0; its packed weights */
    ptrdiff_t x_row, x_col;       /* floats from tap to tap, down and right */
    ptrdiff_t w_row, w_col;       /* the same in w */
    const float *ask;             /* what is brought into the caches meanwhile, so many floats */
    ptrdiff_t ask_step;           /* further with each of a run; may be no memory at all */
    int rows, cols, run;          /* taps down and right; floats in a run at each */
    const ptrdiff_t *x_at, *y_at; /* per pixel: floats from pixel 0's x and y */
    float *y;                     /* output of pixel 0, at this block's first channel */
    const float *bias, *residual; /* at the same channel; NULL: none */
    bool relu;
    bool add;     /* the sums go on from what y has, instead of 0 */
    size_t lanes; /* channels that exist in this block */
};

/* Computes `pixels` outputs of a block of `vectors` vectors: 1 <= pixels <= PIXELS_1 or PIXELS_2.
 */
void ISA(tile_run)(const struct tile *t, size_t vectors, size_t pixels);
#if HAS_BF16
/* The same where x and w are pairs. */
void ISA(tile_run_pairs)(const struct tile *t, size_t vectors, size_t pixels);
#endif

/* simd_product.c: the register tile of a plain matrix product, c [rows][...] = or += (add)
 * a [rows][depth] * b [depth][vectors * LANES]; a's and c's rows are a_row and c_row floats apart,
 * b is packed. From `ask` on, which may be no memory at all, is brought into the caches meanwhile:
 * ask_step floats with each step of the depth. 1 <= rows <= PIXELS_1 or PIXELS_2. */
struct product {
    const float *a, *b, *ask;
    float *c;
    size_t depth, a_row, c_row, ask_step;
    bool add;
};
void ISA(product_run)(const struct product *p, size_t vectors, size_t rows);

/* simd_product.c: c [rows][BLOCK] = the sum over depth of a[row] times one or two vectors of
 * b [depth][BLOCK]; from one step of the depth to the next a is a_step floats further. 1 <= rows <=
 * INPUTS_1 or INPUTS_2. */
struct product_sums {
    const float *a, *b;
    float *c;
    size_t depth, a_step;
};
void ISA(product_sums_run)(const struct product_sums *p, size_t vectors, size_t rows);

/* simd_transpose.c: to [LANES][row_step apart], of which the first `lanes` are there, += the first
 * `columns` of rows [columns][LANES] turned round. */
void ISA(add_turned)(const float *rows, size_t columns, size_t lanes, size_t row_step, float *to);

/* simd_winograd.c */
bool ISA(winograd_takes)(const struct conv_geometry *g);
bool ISA(winograd_lean_takes)(const struct conv_geometry *g);
size_t ISA(winograd_packed_size)(const struct conv_geometry *g);
size_t ISA(winograd_small_packed_size)(const struct conv_geometry *g);
void ISA(winograd_pack)(const struct conv_geometry *g, const float *w, const float *scale,
                        float *packed);
void ISA(winograd_small_pack)(const struct conv_geometry *g, const float *w, const float *scale,
                              float *packed);
size_t ISA(winograd_scratch_bytes)(const struct conv_geometry *g);
size_t ISA(winograd_lean_scratch_bytes)(const struct conv_geometry *g);
size_t ISA(winograd_small_scratch_bytes)(const struct conv_geometry *g);
void ISA(winograd_forward)(const struct conv_geometry *g, int n, const float *x,
                           const float *packed, const struct conv_epilogue *epilogue, float *y,
                           void *scratch, struct conv_part part);
void ISA(winograd_lean_forward)(const struct conv_geometry *g, int n, const float *x,
                                const float *packed, const struct conv_epilogue *epilogue, float *y,
                                void *scratch, struct conv_part part);
void ISA(winograd_small_forward)(const struct conv_geometry *g, int n, const float *x,
                                 const float *packed, const struct conv_epilogue *epilogue,
                                 float *y, void *scratch, struct conv_part part);

bool ISA(winograd_back_takes)(const struct conv_geometry *g);
bool ISA(winograd_lean_back_takes)(const struct conv_geometry *g);
size_t ISA(winograd_back_packed_size)(const struct conv_geometry *g);
void ISA(winograd_back_pack)(const struct conv_geometry *g, const float *w, float *packed);
size_t ISA(winograd_back_scratch)(const struct conv_geometry *g);
size_t ISA(winograd_lean_back_scratch)(const struct conv_geometry *g);
void ISA(winograd_backward_data)(const struct conv_geometry *g, int n, const float *dy,
                                 const float *packed, bool accumulate, float *dx, void *scratch);
void ISA(winograd_lean_backward_data)(const struct conv_geometry *g, int n, const float *dy,
                                      const float *packed, bool accumulate, float *dx,
                                      void *scratch);

/* simd_winograd_weight.c */
size_t ISA(winograd_weight_scratch)(const struct conv_geometry *g);
void ISA(winograd_backward_weight)(const struct conv_geometry *g, int n, const float *x,
                                   const float *dy, float *dw, void *scratch);

/* simd_winograd_tile.c: the transforms of F(4x4, 3x3) and F(2x2, 3x3). */

/* The pixels of a tile that reaches over the border of an image x [height][width], pixels `pixel`
 * floats apart: side x side from (row, column) on, `channels` of each, zeros outside. */
void ISA(winograd_frame)(const float *x, int height, int width, size_t pixel, int row, int column,
                         int side, size_t channels, float *to);

struct winograd_in {
    const float *x;     /* the first of the 6x6 or 4x4 pixels */
    size_t row, column; /* floats from pixel to pixel, down and right */
    size_t channels;
    float *to;    /* [channels rounded up to vectors] of point 0 */
    size_t point; /* floats from point to point */
};
void ISA(winograd_in_4)(const struct winograd_in *t);
void ISA(winograd_in_2)(const struct winograd_in *t);

struct winograd_out {
    const float *from; /* [vectors * LANES] of point 0 */
    size_t point;
    float *y; /* pixel 0, at this block's first channel */
    size_t y_row, y_column;
    int rows, columns;            /* of the tile's pixels, those that exist */
    const float *bias, *residual; /* at the same channel and pixel; NULL: none */
    bool relu;
    size_t lanes; /* channels that exist in this block */
};
void ISA(winograd_out_4)(const struct winograd_out *t);
void ISA(winograd_out_2)(const struct winograd_out *t);

/* Of F(4x4, 3x3), the gradients: what winograd_out_4 does turned round, of 4x4 pixels of dy into
 * points; and of points into the gradient of nine taps, as many vectors. */
void ISA(winograd_gradient_4)(const struct winograd_in *t);
void ISA(winograd_taps)(const float *m, size_t point, float *taps);

/* u [36 or 16][point apart][depth][width] of w, nine taps of [depth][width] that are `tap` floats
 * apart; width is a number of vectors. F(4x4, 3x3) and F(2x2, 3x3). */
void ISA(winograd_weights_4)(const float *w, size_t tap, size_t depth, size_t width, float *u,
                             size_t point);
void ISA(winograd_weights_2)(const float *w, size_t tap, size_t depth, size_t width, float *u,
                             size_t point);

/* simd_norm.c */
void ISA(norm_moments)(size_t rows, size_t channels, const float *x, double *sum, double *square);
void ISA(norm_forward)(size_t rows, size_t channels, const float *x, const float *scale,
                       const float *shift, const float *residual, bool relu, float *y);
void ISA(norm_backward_sums)(size_t rows, size_t channels, const struct norm_relu *relu, float *dy,
                             const float *x, double *sum_dz, double *sum_dzx);
void ISA(norm_backward)(size_t rows, size_t channels, const float *dz, const float *x,
                        const float *a, const float *b, const float *k, float *dx, float *dresidual,
                        bool accumulate);

/* simd_map.c */
void ISA(max_pool)(const struct pool_geometry *g, int n, const float *x, float *y);
void ISA(max_pool_backward)(const struct pool_geometry *g, int n, const float *x, const float *y,
                            const float *dy, bool accumulate, float *dx);
void ISA(shortcut)(const struct cell_geometry *g, int n, const float *x, float *y);
void ISA(shortcut_backward)(const struct cell_geometry *g, int n, const float *dy, bool accumulate,
                            float *dx);
void ISA(upsample)(int n, int height, int width, int channels, const float *x, float *y);
void ISA(upsample_backward)(int n, int height, int width, int channels, const float *dy,
                            bool accumulate, float *dx);

/* simd_gate.c */
void ISA(gate)(size_t count, const float *z, const float *x, float *y);
void ISA(gate_backward)(size_t count, const float *z, const float *x, const float *dy,
                        bool accumulate_z, float *dz, bool accumulate_x, float *dx);

/* simd_element.c */
void ISA(relu)(size_t count, const float *x, float *y);
void ISA(relu_backward)(size_t count, const float *dy, const float *y, bool accumulate, float *dx);
void ISA(add)(size_t count, const float *x, float *y);
void ISA(mean_pool)(int n, int pixels, int channels, const float *x, float *y);
void ISA(mean_pool_backward)(int n, int pixels, int channels, const float *dy, bool accumulate,
                             float *dx);
void ISA(sgd_step)(size_t count, const struct sgd *s, const float *g, float *v, float *w);
void ISA(adamw_step)(size_t count, const struct adamw *a, const float *g, float *m, float *v,
                     float *w);

#endif
