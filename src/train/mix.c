/* Mixing of a batch in pairs.
 *
 * One share or rectangle a step, as in the authors' codes. Their partners come from a permutation
 * of the batch; here image i is mixed with image n - 1 - i, so that two images are exchanged in
 * place and no copy of the batch is kept. A batch is a random choice in random order, so this is a
 * random pairing, too; the middle image of an odd number is all that stays by itself. */
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

/* A number from Beta(a, a). */
static double beta_number(struct rng *rng, double a)
{
    double own = log_gamma_number(rng, a), other = log_gamma_number(rng, a);
    return 1.0 / (1.0 + exp(other - own));
}

bool mix_is_on(const struct recipe *recipe)
{
    return recipe->mixup > 0 || recipe->cutmix > 0;
}

static int clamp(int i, int n)
{
    return i < 0 ? 0 : i > n ? n : i;
}

/* Half of the rectangle's side on both sides of a pixel, as the authors' code has it. */
static void draw_side(struct rng *rng, int side, double part, int *ret_first, int *ret_size)
{
    const int middle = (int)rng_below(rng, (uint32_t)side), half = (int)(side * part) / 2;
    *ret_first = clamp(middle - half, side);
    *ret_size = clamp(middle + half, side) - *ret_first;
}

static struct mix draw_cut(struct rng *rng, double a, struct shape image)
{
    struct mix m = {.kind = MIX_CUT};
    const double part = sqrt(1.0 - beta_number(rng, a));
    draw_side(rng, image.width, part, &m.left, &m.width);
    draw_side(rng, image.height, part, &m.top, &m.height);
    m.share = 1.0 - (double)(m.height * m.width) / (double)(image.height * image.width);
    return m;
}

struct mix mix_draw(const struct recipe *recipe, uint32_t epoch, uint32_t step, struct shape image)
{
    struct rng rng;
    if (recipe->cutmix > 0) {
        rng_init(&rng, recipe->seed, RNG_CUTMIX, epoch, step);
        if (rng_uniform(&rng) < recipe->cutmix_prob) return draw_cut(&rng, recipe->cutmix, image);
    }
    if (recipe->mixup <= 0) return (struct mix){.kind = MIX_NOTHING, .share = 1.0};
    rng_init(&rng, recipe->seed, RNG_MIX, epoch, step);
    return (struct mix){.kind = MIX_BLEND, .share = beta_number(&rng, recipe->mixup)};
}

/* What the lanes work on. */
struct work {
    const struct mix *mix;
    float *images;
    size_t n;
    struct shape image;
};

static void blend(double share, size_t size, float *a, float *b)
{
    const float own = (float)share, rest = (float)(1.0 - share);
    for (size_t k = 0; k < size; k++) {
        float x = a[k], y = b[k];
        a[k] = own * x + rest * y;
        b[k] = own * y + rest * x;
    }
}

static void exchange(const struct mix *m, struct shape image, float *a, float *b)
{
    const size_t pixel = (size_t)image.channels, row = (size_t)image.width * pixel,
                 count = (size_t)m->width * pixel;
    for (int y = m->top; y < m->top + m->height; y++) {
        const size_t at = (size_t)y * row + (size_t)m->left * pixel;
        for (size_t k = at; k < at + count; k++) {
            float x = a[k];
            a[k] = b[k];
            b[k] = x;
        }
    }
}

static void mix_lane(void *arg, unsigned lane, unsigned n_lanes)
{
    const struct work *w = arg;
    const size_t size = shape_size(w->image);
    size_t first, end;
    pool_range(w->n / 2, lane, n_lanes, &first, &end);
    for (size_t i = first; i < end; i++) {
        float *a = w->images + i * size, *b = w->images + (w->n - 1 - i) * size;
        if (w->mix->kind == MIX_BLEND)
            blend(w->mix->share, size, a, b);
        else
            exchange(w->mix, w->image, a, b);
    }
}

void mix_images(const struct mix *mix, float *images, size_t n, struct shape image,
                struct pool *pool)
{
    struct work w = {mix, images, n, image};
    if (mix->kind != MIX_NOTHING) pool_run(pool, mix_lane, &w);
}

void mix_labels(const int32_t *labels, size_t n, int32_t *others)
{
    for (size_t i = 0; i < n; i++) others[i] = labels[n - 1 - i];
}
