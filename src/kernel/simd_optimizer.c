/* One step of an optimizer (kernel.h has the formulas). Every element is by itself, so where a
 * range is cut changes no bit. */
#include "simd.h"

#include <math.h>

/* The factors of one step, in all lanes. */
struct sgd_factors {
    vec minus_rate, momentum, decay, scale;
};

ALWAYS_INLINE void sgd_vector(const struct sgd_factors *s, const bool nesterov, const float *g,
                              float *v, float *w, const bool whole, vec_mask m)
{
    const vec weight = vec_get(w, whole, m);
    const vec slope = vec_fma(s->decay, weight, vec_mul(s->scale, vec_get(g, whole, m)));
    const vec speed = vec_fma(s->momentum, vec_get(v, whole, m), slope);
    vec_put(v, whole, m, speed);
    const vec along = nesterov ? vec_fma(s->momentum, speed, slope) : speed;
    vec_put(w, whole, m, vec_fma(s->minus_rate, along, weight));
}

ALWAYS_INLINE void sgd_loop(size_t count, const struct sgd_factors *s, const bool nesterov,
                            const float *g, float *v, float *w)
{
    size_t i = 0;
    const vec_mask rest = vec_first(count % LANES);
    for (; i + LANES <= count; i += LANES) sgd_vector(s, nesterov, g + i, v + i, w + i, true, rest);
    if (i < count) sgd_vector(s, nesterov, g + i, v + i, w + i, false, rest);
}

void ISA(sgd_step)(size_t count, const struct sgd *s, const float *g, float *v, float *w)
{
    const struct sgd_factors f = {vec_set(-s->rate), vec_set(s->momentum), vec_set(s->decay),
                                  vec_set(s->scale)};
    if (s->nesterov)
        sgd_loop(count, &f, true, g, v, w);
    else
        sgd_loop(count, &f, false, g, v, w);
}

struct adamw_factors {
    vec keep, minus_rate, beta1, rest1, beta2, rest2, root, epsilon, scale;
};

ALWAYS_INLINE void adamw_vector(const struct adamw_factors *a, const float *g, float *m, float *v,
                                float *w, const bool whole, vec_mask mask)
{
    const vec slope = vec_mul(a->scale, vec_get(g, whole, mask));
    const vec mean = vec_fma(a->beta1, vec_get(m, whole, mask), vec_mul(a->rest1, slope));
    const vec square =
        vec_fma(a->beta2, vec_get(v, whole, mask), vec_mul(vec_mul(a->rest2, slope), slope));
    vec_put(m, whole, mask, mean);
    vec_put(v, whole, mask, square);
    const vec length = vec_fma(vec_sqrt(square), a->root, a->epsilon);
    const vec weight = vec_mul(a->keep, vec_get(w, whole, mask));
    vec_put(w, whole, mask, vec_fma(a->minus_rate, vec_div(mean, length), weight));
}

void ISA(adamw_step)(size_t count, const struct adamw *a, const float *g, float *m, float *v,
                     float *w)
{
    const struct adamw_factors f = {.keep = vec_set(1.0F - a->rate * a->decay),
                                    .minus_rate = vec_set(-a->rate / a->correct1),
                                    .beta1 = vec_set(a->beta1),
                                    .rest1 = vec_set(1.0F - a->beta1),
                                    .beta2 = vec_set(a->beta2),
                                    .rest2 = vec_set(1.0F - a->beta2),
                                    .root = vec_set(1.0F / sqrtf(a->correct2)),
                                    .epsilon = vec_set(a->epsilon),
                                    .scale = vec_set(a->scale)};
    size_t i = 0;
    const vec_mask rest = vec_first(count % LANES);
    for (; i + LANES <= count; i += LANES) adamw_vector(&f, g + i, m + i, v + i, w + i, true, rest);
    if (i < count) adamw_vector(&f, g + i, m + i, v + i, w + i, false, rest);
}
