/* Random numbers of a property test: the seed is printed, so that a failure can be had again. */
#ifndef TESTS_SEEDED_H
#define TESTS_SEEDED_H

#include <stdint.h>
#include <stdio.h>

#include "base/rng.h"

static inline struct rng seeded(uint64_t seed)
{
    struct rng rng;
    printf("# seed %llu\n", (unsigned long long)seed); /* a comment in TAP */
    rng_init(&rng, seed, RNG_TEST, 0, 0);
    return rng;
}

#endif
