/* Squares of LANES x LANES floats turned round in registers: sums that were made with filters in
 * the lanes become rows of a filter, as a file has them. */
#include "simd.h"

#if LANES_16

/* Neighbours of 32 bits, of 64, then quarters of a vector. */
ALWAYS_INLINE void turn(vec r[LANES])
{
    vec t[LANES];
    UNROLL
    for (int i = 0; i < LANES; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    UNROLL
    for (int i = 0; i < LANES; i += 4) {
        for (int j = 0; j < 2; j++) {
            __m512d a = _mm512_castps_pd(t[i + j]), b = _mm512_castps_pd(t[i + 2 + j]);
            r[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            r[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        vec a = _mm512_shuffle_f32x4(r[i], r[4 + i], 0x88);
        vec b = _mm512_shuffle_f32x4(r[i], r[4 + i], 0xdd);
        vec c = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0x88);
        vec d = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0xdd);
        t[i] = _mm512_shuffle_f32x4(a, c, 0x88);
        t[4 + i] = _mm512_shuffle_f32x4(b, d, 0x88);
        t[8 + i] = _mm512_shuffle_f32x4(a, c, 0xdd);
        t[12 + i] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
    UNROLL
    for (int i = 0; i < LANES; i++) r[i] = t[i];
}

#else

ALWAYS_INLINE void turn(vec r[LANES])
{
    vec t[LANES];
    UNROLL
    for (int i = 0; i < LANES; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    UNROLL
    for (int i = 0; i < LANES; i += 4) {
        for (int j = 0; j < 2; j++) {
            r[i + 2 * j] = _mm256_shuffle_ps(t[i + j], t[i + 2 + j], 0x44);
            r[i + 2 * j + 1] = _mm256_shuffle_ps(t[i + j], t[i + 2 + j], 0xee);
        }
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x20);
        t[4 + i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x31);
    }
    UNROLL
    for (int i = 0; i < LANES; i++) r[i] = t[i];
}

#endif

void ISA(add_turned)(const float *rows, size_t columns, size_t lanes, size_t row_step, float *to)
{
    size_t c = 0;
    for (; c + LANES <= columns; c += LANES) {
        vec r[LANES];
        UNROLL
        for (int i = 0; i < LANES; i++) r[i] = vec_load(rows + (c + (size_t)i) * LANES);
        turn(r);
        UNROLL
        for (int i = 0; i < LANES; i++) {
            if ((size_t)i >= lanes) break;
            float *at = to + (size_t)i * row_step + c;
            vec_store(at, vec_add(vec_load(at), r[i]));
        }
    }
    for (; c < columns; c++)
        for (size_t l = 0; l < lanes; l++) to[l * row_step + c] += rows[c * LANES + l];
}
