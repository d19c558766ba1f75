/* An accumulator: the mean of the gradients of a batch's parts, which are computed one after the
 * other into the same array. Members are its own. One caller at a time. */
#ifndef TRAIN_ACCUMULATOR_H
#define TRAIN_ACCUMULATOR_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"

struct accumulator {
    size_t size;
    int64_t parts;
    float *sum; /* [size] of the parts before; NULL when there is one part */
};

/* For gradients of `size` numbers. -ENOMEM; accumulator_release() is fine on zeros. */
int accumulator_init(struct accumulator *accumulator, size_t size, int64_t parts, struct err *e);
void accumulator_release(struct accumulator *accumulator);

size_t accumulator_bytes(const struct accumulator *accumulator);

/* Takes in the gradient of part 0, 1 .. parts - 1; with the last one, gradient[size] becomes the
 * mean of all. Summed in the order of the parts: equal bits for any number of threads. */
void accumulator_take(struct accumulator *accumulator, int64_t part, float *gradient,
                      struct pool *pool);

#endif
