/* Batches: the order of an epoch and the augmented, normalised input of a sample. Everything random
 * is a function of (seed, epoch, sample, purpose), so that a resumed run sees the same batches. */
#ifndef DATA_BATCH_H
#define DATA_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "data/dataset.h"
#include "image/preprocess.h"

enum {
    AUGMENT_CROP = 1, /* pad 4 with black (before normalising), random crop of the same size */
    AUGMENT_FLIP = 2, /* mirrored left-right with probability 1/2 */
};

/* "crop,flip", "none" -> bits; ERR_RANGE names the word that is unknown. */
int augment_parse(const char *text, unsigned *ret_bits, struct err *e);

/* Fisher-Yates for an epoch: indices[0..n) becomes a permutation of source[0..n). */
void batch_order(const uint32_t *source, size_t n, uint64_t seed, uint32_t epoch,
                 uint32_t *indices);

/* The input of sample i of the set in an epoch, [height][width][3]. Any thread. */
void batch_sample(const struct dataset *set, size_t i, const struct preprocess *p, unsigned augment,
                  uint64_t seed, uint32_t epoch, float *ret_input);

#endif
