/* Counter-based random numbers (Philox4x32-10; Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011). A number is a pure function of (seed, purpose, a, b, index): no state is kept
 * between steps, so that a resumed run draws what an uninterrupted one would have drawn, whichever
 * thread asks. A `struct rng` is a cheap cursor over index; it lives on the stack. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

enum rng_purpose {
    RNG_INIT = 1,    /* weights: a = parameter index */
    RNG_ORDER = 2,   /* order of samples: a = epoch */
    RNG_AUGMENT = 3, /* a = epoch, b = sample */
    RNG_MIX = 4,     /* images of a batch mixed: a = epoch, b = step */
    RNG_TEST = 5,
    RNG_AUTOAUGMENT = 6,       /* a = epoch, b = sample */
    RNG_CUTOUT = 7,            /* a = epoch, b = sample */
    RNG_RESIZED_CROP = 8,      /* a = epoch, b = sample */
    RNG_CANARY = 9,            /* the pixels of a test image */
    RNG_TRIVIALAUGMENT = 10,   /* a = epoch, b = sample */
    RNG_RANDAUGMENT = 11,      /* a = epoch, b = sample */
    RNG_ERASING = 12,          /* a = epoch, b = sample */
    RNG_ALTERNATING_FLIP = 13, /* b = sample: of no epoch */
    RNG_CUTMIX = 14,           /* a = epoch, b = step */
    RNG_SUBSET = 15,           /* which images are trained on */
};

struct rng {
    uint32_t key[2], counter[4], out[4];
    unsigned left; /* unused words in out */
};

void rng_init(struct rng *r, uint64_t seed, enum rng_purpose purpose, uint32_t a, uint32_t b);
uint32_t rng_u32(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t n); /* 0..n-1, unbiased; n > 0 */
double rng_uniform(struct rng *r);             /* [0,1) with 53 bits */
double rng_normal(struct rng *r);              /* Box-Muller, mean 0, deviation 1 */

/* The raw function, for its known-answer tests. */
void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t ret_out[4]);

#endif
