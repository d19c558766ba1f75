/* Logits made from a seed: noise around the label, less of it the deeper the exit. */
#ifndef TESTS_TRAIN_MADE_LOGITS_H
#define TESTS_TRAIN_MADE_LOGITS_H

#include "base/mem.h"
#include "base/rng.h"
#include "train/evaluate.h"

/* To release with logits_release(). The labels are those of the seed, the noise that of the stream,
 * so that two streams are two models on the same images. */
static inline struct logits made_logits(uint64_t seed, uint32_t stream, size_t n, int exits,
                                        int classes)
{
    struct logits l = {.n = n, .n_exits = exits, .classes = classes};
    size_t plane = n * (size_t)classes;
    struct rng r, labels;
    l.values = mem_new((size_t)(exits + 1) * plane, sizeof(*l.values));
    l.labels = mem_new(n, sizeof(*l.labels));
    assert_non_null(l.values);
    assert_non_null(l.labels);
    rng_init(&labels, seed, RNG_TEST, 0, 1);
    rng_init(&r, seed, RNG_TEST, stream, 0);
    for (size_t i = 0; i < n; i++) l.labels[i] = (int32_t)rng_below(&labels, (uint32_t)classes);
    for (int x = 0; x < exits; x++) {
        for (size_t j = 0; j < plane; j++) {
            bool is_label = (int32_t)(j % (size_t)classes) == l.labels[j / (size_t)classes];
            float z = (float)((is_label ? 1.0 + x : 0.0) + rng_normal(&r));
            l.values[(size_t)x * plane + j] = z;
            l.values[(size_t)exits * plane + j] += z / (float)exits;
        }
    }
    return l;
}

#endif
