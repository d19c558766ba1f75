/* Evaluation: the logits of all classifiers for a list of images, and figures made of them. The
 * images are cut into batches in a fixed way, whatever the number of threads. */
#ifndef TRAIN_EVALUATE_H
#define TRAIN_EVALUATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "data/batch.h"
#include "data/dataset.h"
#include "model/model.h"
#include "nn/plan.h"

enum { EVALUATE_BATCH = 64, EVALUATE_ECE_BINS = 15 };

struct logits {
    size_t n;
    int n_exits, classes;
    float *values; /* [n_exits + 1][n][classes]; the last is the ensemble: the mean of the others */
    int32_t *labels; /* [n] */
};

/* The plan's logits of images indices[0..n) of the set (NULL: 0..n-1). logits_release() frees. */
int evaluate_logits(const struct plan *plan, const struct dataset *set, const uint32_t *indices,
                    size_t n, const struct preprocess *preprocess, struct pool *pool,
                    struct logits *ret_logits, struct err *e);
void logits_release(struct logits *logits);

/* [n][classes] of exit `classifier`, or of MODEL_ENSEMBLE. */
const float *logits_of(const struct logits *logits, int classifier);

/* The class with the greatest logit, of equal ones the first; *ret_margin (may be NULL) is the
 * distance to the second greatest. */
int logits_best(const float *logits, int classes, float *ret_margin);

/* Accuracy (first and first five), and of the softmax at this temperature the mean negative log
 * likelihood in nats and the expected calibration error: 15 bins (b/15, (b+1)/15] of the
 * confidence, sum over bins of share * |accuracy - mean confidence| (Guo et al., ICML 2017,
 * equation 5). An image with a logit that is not a number is wrong, and makes the other two figures
 * not a number. */
struct training_figures evaluate_figures(const struct logits *logits, int classifier,
                                         double temperature);

#endif
