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
    unsigned untrained; /* bit i: exit i has not learned; its logits are 0 and no part of a mean */
    float *values;      /* [n_exits + 1][n][classes]; the last is the ensemble: the others' mean */
    float *blend;       /* [n][classes], what logits_blend() made last; NULL: nothing yet */
    int32_t *labels;    /* [n] */
};

/* Told after some images how many are done, on the thread that has called. */
struct evaluate_watch {
    void (*told)(void *arg, size_t done, size_t all);
    void *arg;
};

/* The plan's logits of images indices[0..n) of the set (NULL: 0..n-1). untrained: of struct
 * training, exits that are not computed. watch: NULL is fine. logits_release() frees. ERR_DIVERGED
 * names the classifier and the image when a logit is not finite. */
int evaluate_logits(const struct plan *plan, unsigned untrained, const struct dataset *set,
                    const uint32_t *indices, size_t n, const struct preprocess *preprocess,
                    struct pool *pool, const struct evaluate_watch *watch,
                    struct logits *ret_logits, struct err *e);
void logits_release(struct logits *logits);

/* [n][classes] of exit `classifier`, of MODEL_ENSEMBLE, or of MODEL_RUNNING(), whichever it is,
 * that was blended last. */
const float *logits_of(const struct logits *logits, int classifier);

/* Makes the weighted mean of exits 0..last. -ENOMEM. */
int logits_blend(struct logits *logits, const double *weights, int last, struct err *e);

/* The class with the greatest logit, of equal ones the first; *ret_margin (may be NULL) is the
 * distance to the second greatest, 0 of one class; finite where they are. */
int logits_best(const float *logits, int classes, float *ret_margin);

/* Accuracy (first and first five), and of the softmax at this temperature the mean negative log
 * likelihood in nats and the expected calibration error: 15 bins (b/15, (b+1)/15] of the
 * confidence, sum over bins of share * |accuracy - mean confidence| (Guo et al., ICML 2017,
 * equation 5). An image with a logit that is not a number is wrong, and makes the other two figures
 * not a number. */
struct training_figures evaluate_figures(const struct logits *logits, int classifier,
                                         double temperature);

/* Failure prediction: the chance that an image that is right has the greater confidence than one
 * that is wrong, equal ones counting half (the area under the ROC curve; Hendrycks and Gimpel, ICLR
 * 2017). 0.5 where all are right or all wrong. -ENOMEM. */
int evaluate_auroc(const struct logits *logits, int classifier, double temperature,
                   double *ret_auroc, struct err *e);

/* A bin of the calibration error: images, those of them that are right, the sum of confidences. */
struct evaluate_bin {
    double confidence;
    size_t n, right;
};

/* The same figures, and what the calibration error is made of. */
struct training_figures evaluate_bins(const struct logits *logits, int classifier,
                                      double temperature,
                                      struct evaluate_bin ret_bins[EVALUATE_ECE_BINS]);

/* Of each class how many images it has, and how many of these the classifier gets right. */
struct class_count {
    size_t images, right;
};
void evaluate_classes(const struct logits *logits, int classifier,
                      struct class_count *ret_counts /* [classes] */);

/* Balanced accuracy: the mean over classes of the share that is right (their recall), so that a
 * class counts the same however many images it has (Brodersen et al., ICPR 2010). Classes without
 * images are left out; 0 when all are. */
double evaluate_balanced(const struct class_count *counts, int classes);

#endif
