/* Batches: the order of an epoch and the augmented, normalised input of a sample. Everything random
 * is a function of (seed, epoch, sample, purpose), so that a resumed run sees the same batches. */
#ifndef DATA_BATCH_H
#define DATA_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "data/dataset.h"
#include "image/preprocess.h"
#include "recipe/augment.h"

/* Fisher-Yates for an epoch: indices[0..n) becomes a permutation of source[0..n). */
void batch_order(const uint32_t *source, size_t n, uint64_t seed, uint32_t epoch,
                 uint32_t *indices);

/* Where image i of share `share` of `shares` equal ones stands in a batch of n. A share begins at
 * both ends and has with an image that which stands as far from the other end, since these are
 * mixed (train/mix.h), except for the middle one of an odd number. */
size_t batch_share(size_t n, size_t shares, size_t share, size_t i);

/* The input of sample i of the set in an epoch, [height][width][3] of p. An image of another size
 * is resized as serving does it; augment NULL, or without words: the input is exactly what serving
 * computes.
 * -ENOMEM, which a set of pixels of the input's size never gives. Any thread. */
int batch_sample(const struct dataset *set, size_t i, const struct preprocess *p,
                 const struct augment *augment, uint64_t seed, uint32_t epoch, float *ret_input,
                 struct err *e);

#endif
