/* Philox4x32-10: ten rounds of a Feistel-like network whose mixing is the 32x32 -> 64 bit product
 * (Salmon et al., SC 2011, section 3.3; the constants are theirs).
 *
 * The key is the seed, the counter is (index, purpose, a, b): every stream is a range of counters
 * nobody else uses. One stream has 2^34 words, after which it would repeat; the longest user, the
 * order of the samples of an epoch, needs one a sample. Not for secrets. */
#include "config.h"

#include "base/rng.h"

#include <math.h>

#define PHILOX_M0 UINT32_C(0xD2511F53)
#define PHILOX_M1 UINT32_C(0xCD9E8D57)
#define PHILOX_W0 UINT32_C(0x9E3779B9) /* the golden ratio */
#define PHILOX_W1 UINT32_C(0xBB67AE85) /* sqrt(3) - 1 */

enum { PHILOX_ROUNDS = 10 };

void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t ret_out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint64_t p0 = (uint64_t)PHILOX_M0 * c0;
        uint64_t p1 = (uint64_t)PHILOX_M1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    ret_out[0] = c0;
    ret_out[1] = c1;
    ret_out[2] = c2;
    ret_out[3] = c3;
}

void rng_init(struct rng *r, uint64_t seed, enum rng_purpose purpose, uint32_t a, uint32_t b)
{
    *r = (struct rng){
        .key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
        .counter = {0, (uint32_t)purpose, a, b},
    };
}

uint32_t rng_u32(struct rng *r)
{
    if (r->left == 0) {
        rng_philox(r->counter, r->key, r->out);
        r->counter[0]++;
        r->left = 4;
    }
    return r->out[4 - r->left--];
}

/* Lemire, "Fast random integer generation in an interval", 2019: the high half of a product, with
 * the few low halves rejected that would favour some values. */
uint32_t rng_below(struct rng *r, uint32_t n)
{
    uint64_t product = (uint64_t)rng_u32(r) * n;
    if ((uint32_t)product < n) {
        uint32_t biased = (uint32_t)(0 - n) % n; /* 2^32 mod n */
        while ((uint32_t)product < biased) product = (uint64_t)rng_u32(r) * n;
    }
    return (uint32_t)(product >> 32);
}

double rng_uniform(struct rng *r)
{
    uint64_t high = rng_u32(r) >> 5; /* 27 bits */
    uint64_t low = rng_u32(r) >> 6;  /* 26 bits */
    return (double)(high << 26 | low) * 0x1p-53;
}

/* The sine half is thrown away: keeping it would be state that a resumed run had to store. */
double rng_normal(struct rng *r)
{
    double radius = sqrt(-2.0 * log(1.0 - rng_uniform(r))); /* 1-u: the logarithm of 0 never */
    double angle = 2.0 * M_PI * rng_uniform(r);
    return radius * cos(angle);
}
