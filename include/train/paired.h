/* Two classifiers on the same images: how much better one is, and whether that is chance. Images
 * that both get right or both wrong say nothing about the difference; paired methods look at the
 * others, and see what comparing two accuracies would not. Pure; any thread. */
#ifndef TRAIN_PAIRED_H
#define TRAIN_PAIRED_H

#include <stddef.h>

#include "train/evaluate.h"

struct paired_counts {
    size_t both, only_a, only_b, neither; /* who is right */
};

/* The same images in the same order on both sides. */
struct paired_counts paired_count(const struct logits *a, int classifier_a, const struct logits *b,
                                  int classifier_b);

struct paired_result {
    double difference; /* accuracy of b less that of a */
    double low,
        high; /* its 95 % interval: Newcombe's method 10 (Statistics in Medicine 17, 1998,
                 2635-2650): Wilson's intervals of both, put together by their correlation */
    double p; /* of no difference, two-sided: McNemar's mid-p (Fagerland et al., BMC Medical
                 Research Methodology 13, 2013, 91): twice the lesser tail of Binomial(only_a +
                 only_b, 1/2), of which what was seen counts half */
};

/* Zeros and p 1 where there are no images. */
struct paired_result paired_judge(const struct paired_counts *counts);

#endif
