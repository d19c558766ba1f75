/* Fewer images to train on: drawn without replacement, by a seed. */
#include "config.h"

#include "data/split.h"

#include <stdlib.h>

#include "base/rng.h"

static int compare(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

int split_limit(struct split *split, size_t n, uint64_t seed, struct err *e)
{
    struct rng rng;
    if (n > split->n_train) {
        return err_set(e, ERR_RANGE, "there are only %zu images to train on", split->n_train);
    }
    rng_init(&rng, seed, RNG_SUBSET, 0, 0);
    for (size_t i = 0; i < n; i++) {
        const size_t j = i + rng_below(&rng, (uint32_t)(split->n_train - i));
        const uint32_t drawn = split->train[j];
        split->train[j] = split->train[i];
        split->train[i] = drawn;
    }
    qsort(split->train, n, sizeof(*split->train), compare);
    split->n_train = n;
    return 0;
}
