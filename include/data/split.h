/* The held-out images: those whose SHA-256(seed as 8 bytes little endian, then dataset_content())
 * is smallest. The choice depends on the content alone, so that no model is calibrated or judged on
 * images that it or its parent saw, whatever the order of the files; equal images are on the same
 * side. */
#ifndef DATA_SPLIT_H
#define DATA_SPLIT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "data/dataset.h"

struct split {
    uint32_t *train,
        *holdout; /* indices into the data set, increasing; one block, split_release() */
    size_t n_train, n_holdout; /* n_holdout may exceed the wish by copies of the last image */
};

/* ERR_RANGE when holdout is not smaller than the set. holdout 0: everything trains. */
int split_make(const struct dataset *set, size_t holdout, uint64_t seed, struct split *ret_split,
               struct err *e);
/* Keeps n of the images to train on, drawn by the seed; those held out stay. ERR_RANGE when there
 * are not so many. */
int split_limit(struct split *split, size_t n, uint64_t seed, struct err *e);

void split_release(struct split *split);

#endif
