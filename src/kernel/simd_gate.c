/* Gates: sigmoid(z) * x. The exponential is the usual one: exp(x) = 2^n * exp(r) with |r| <= ln(2)
 * / 2 and a polynomial for exp(r), the Taylor series up to the seventh power, whose remainder there
 * is below 6e-9. A lane's result does not depend on its place, so that an image has the same bits
 * in every batch. */
#include "simd.h"

#if LANES_16

static inline vec vec_divide(vec a, vec b)
{
    return _mm512_div_ps(a, b);
}

/* x * 2^n for a whole n. */
static inline vec vec_scale(vec x, vec n)
{
    return _mm512_scalef_ps(x, n);
}

static inline vec vec_round(vec x)
{
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* Within [low, high]; a NaN stays one. */
static inline vec vec_clamp(vec x, float low, float high)
{
    return _mm512_min_ps(vec_set(high), _mm512_max_ps(vec_set(low), x));
}

#else

static inline vec vec_divide(vec a, vec b)
{
    return _mm256_div_ps(a, b);
}

static inline vec vec_scale(vec x, vec n)
{
    __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
}

static inline vec vec_round(vec x)
{
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static inline vec vec_clamp(vec x, float low, float high)
{
    return _mm256_min_ps(vec_set(high), _mm256_max_ps(vec_set(low), x));
}

#endif

/* exp(x) for |x| up to 87, where it is still a normal number. */
static inline vec vec_exp(vec x)
{
    /* ln(2) in two parts, the first with so few bits that n times it is exact. */
    const float ln2_high = 0.693359375F, ln2_low = -2.12194440e-4F;
    static const float series[] = {1.0F / 720, 1.0F / 120, 1.0F / 24, 1.0F / 6, 0.5F, 1.0F, 1.0F};
    vec n = vec_round(vec_mul(x, vec_set(1.44269504F)));
    vec r = vec_fma(n, vec_set(-ln2_high), x), sum = vec_set(1.0F / 5040);
    r = vec_fma(n, vec_set(-ln2_low), r);
    for (size_t i = 0; i < sizeof(series) / sizeof(series[0]); i++) {
        sum = vec_fma(sum, r, vec_set(series[i]));
    }
    return vec_scale(sum, n);
}

/* 1 / (1 + exp(-z)); beyond 87 it is 0 or 1 as nearly as a float can tell. */
static inline vec vec_sigmoid(vec z)
{
    vec e = vec_exp(vec_clamp(vec_mul(z, vec_set(-1.0F)), -87.0F, 87.0F));
    return vec_divide(vec_set(1.0F), vec_add(vec_set(1.0F), e));
}

ALWAYS_INLINE void gate_vector(const float *z, const float *x, float *y, const bool whole,
                               vec_mask m)
{
    vec_put(y, whole, m, vec_mul(vec_sigmoid(vec_get(z, whole, m)), vec_get(x, whole, m)));
}

void ISA(gate)(size_t count, const float *z, const float *x, float *y)
{
    size_t i = 0;
    vec_mask rest = vec_first(count % LANES);
    for (; i + LANES <= count; i += LANES) gate_vector(z + i, x + i, y + i, true, rest);
    if (i < count) gate_vector(z + i, x + i, y + i, false, rest);
}

/* The operands of gate_backward() from some element on. */
struct gate {
    const float *z, *x, *dy;
    float *dz, *dx;
    bool accumulate_z, accumulate_x;
};

ALWAYS_INLINE void backward_vector(const struct gate *o, size_t i, const bool whole, vec_mask m)
{
    vec s = vec_sigmoid(vec_get(o->z + i, whole, m)), one = vec_set(1.0F);
    vec by_x = vec_mul(vec_get(o->dy + i, whole, m), s);
    vec rest = vec_fma(vec_set(-1.0F), s, one);
    vec by_z = vec_mul(vec_mul(by_x, vec_get(o->x + i, whole, m)), rest);
    if (o->accumulate_z) by_z = vec_add(by_z, vec_get(o->dz + i, whole, m));
    if (o->accumulate_x) by_x = vec_add(by_x, vec_get(o->dx + i, whole, m));
    vec_put(o->dz + i, whole, m, by_z);
    vec_put(o->dx + i, whole, m, by_x);
}

void ISA(gate_backward)(size_t count, const float *z, const float *x, const float *dy,
                        bool accumulate_z, float *dz, bool accumulate_x, float *dx)
{
    struct gate o = {z, x, dy, dz, dx, accumulate_z, accumulate_x};
    size_t i = 0;
    vec_mask rest = vec_first(count % LANES);
    for (; i + LANES <= count; i += LANES) backward_vector(&o, i, true, rest);
    if (i < count) backward_vector(&o, i, false, rest);
}
