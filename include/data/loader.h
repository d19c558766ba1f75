/* A loader: the batches of a training, read, decoded and augmented ahead by threads of its own,
 * beside the computing. What is in a batch is a function of its step (data/batch.h), never of who
 * made it or when. Memory is bounded: LOADER_BATCHES batches, of which the trainer has one.
 *
 * Life: loader_new(), loader_take() for each step; one caller at a time. */
#ifndef DATA_LOADER_H
#define DATA_LOADER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "data/dataset.h"
#include "image/preprocess.h"
#include "recipe/augment.h"

struct loader;

enum { LOADER_BATCHES = 3 };

/* All of it must outlive the loader. */
struct loader_setup {
    const struct dataset *set;
    const uint32_t *images; /* [n_images] of the set, those that train */
    size_t n_images;
    const struct preprocess *preprocess;
    const struct augment *augment; /* NULL: none */
    uint64_t seed;
    size_t batch;     /* at most n_images; an epoch's last, partial batch is dropped */
    size_t shares;    /* equal ones that a batch is cut in (batch_share()); 0: one */
    size_t share;     /* the one that is loaded, from 0 */
    int64_t steps;    /* in all; nothing is made for later ones */
    unsigned threads; /* at least 1 */
};

/* NULL when out of memory or threads. Nothing is made before the first step is taken. */
struct loader *loader_new(const struct loader_setup *setup, struct err *e);
void loader_free(struct loader *loader);
size_t loader_bytes(const struct loader *loader);

struct loader_batch {
    float *input; /* [batch / shares][height][width][3]; the taker may change it */
    const uint32_t *images;
    const int32_t *labels;
};

/* The batch of a step, counted from 0 over all epochs; it stays until the next call. Usually the
 * step after the last one; for another one everything is begun anew. The error is that of the first
 * image of the batch that could not be read. */
int loader_take(struct loader *loader, int64_t step, struct loader_batch *ret_batch, struct err *e);

#endif
