/* Mixing of a batch in pairs.
 *
 * One share a step, as in the authors' code. Their partners come from a permutation of the batch;
 * here image i is mixed with image n - 1 - i, so that two images are exchanged in place and no copy
 * of the batch is kept. A batch is a random choice in random order, so this is a random pairing,
 * too; the middle image of an odd number is all that stays by itself. */
#include "config.h"

#include "mix.h"

#include <math.h>

#include "base/rng.h"

/* The logarithm of a number from Gamma(shape, 1) (Marsaglia and Tsang, "A simple method for
 * generating gamma variables", 2000; for shapes below 1 their section 6). Logarithms, because small
 * shapes give numbers too small for a double. */
static double log_gamma_number(struct rng *rng, double shape)
{
    double boost = 0.0;
    if (shape < 1.0) {
        boost = log(1.0 - rng_uniform(rng)) / shape;
        shape += 1.0;
    }
    const double d = shape - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
    for (;;) {
        double x = rng_normal(rng), v = 1.0 + c * x;
        if (v <= 0.0) continue;
        v = v * v * v;
        if (log(1.0 - rng_uniform(rng)) < 0.5 * x * x + d - d * v + d * log(v))
            return log(d * v) + boost;
    }
}

bool mix_is_on(const struct recipe *recipe)
{
    return recipe->mixup > 0;
}

double mix_share(const struct recipe *recipe, uint32_t epoch, uint32_t step)
{
    struct rng rng;
    rng_init(&rng, recipe->seed, RNG_MIX, epoch, step);
    double own = log_gamma_number(&rng, recipe->mixup),
           other = log_gamma_number(&rng, recipe->mixup);
    return 1.0 / (1.0 + exp(other - own));
}

struct mix {
    float *images;
    size_t n, size;
    float share, rest;
};

static void mix_lane(void *arg, unsigned lane, unsigned n_lanes)
{
    const struct mix *m = arg;
    size_t first, end;
    pool_range(m->n / 2, lane, n_lanes, &first, &end);
    for (size_t i = first; i < end; i++) {
        float *a = m->images + i * m->size, *b = m->images + (m->n - 1 - i) * m->size;
        for (size_t k = 0; k < m->size; k++) {
            float x = a[k], y = b[k];
            a[k] = m->share * x + m->rest * y;
            b[k] = m->share * y + m->rest * x;
        }
    }
}

void mix_images(float *images, size_t n, size_t size, double share, struct pool *pool)
{
    struct mix m = {images, n, size, (float)share, (float)(1.0 - share)};
    pool_run(pool, mix_lane, &m);
}

void mix_labels(const int32_t *labels, size_t n, int32_t *others)
{
    for (size_t i = 0; i < n; i++) others[i] = labels[n - 1 - i];
}
