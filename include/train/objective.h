/* The objective of a method: which heads learn, and the loss of a batch, which reads its logits and
 * features and writes their gradients. The losses themselves are nn/loss.h; what a teacher's maps
 * add is nn/loss_map.h's, with the weight from here. Pure; any thread. */
#ifndef TRAIN_OBJECTIVE_H
#define TRAIN_OBJECTIVE_H

#include <stdint.h>

#include "base/err.h"
#include "nn/spec.h"
#include "recipe/recipe.h"

/* Bit i: exit i learns. */
unsigned objective_exits(const struct method *method, int n_exits);

/* ERR_RANGE when the recipe names classifiers that a network of so many exits does not have. */
int objective_check(const struct recipe *recipe, int n_exits, struct err *e);

/* The weight of what is compared with the teacher at the ends of sections. */
double objective_guide_weight(const struct recipe *recipe);

/* One batch as the loss sees it. Arrays of exits that do not learn are neither read nor written. */
struct objective_batch {
    int n, n_exits, classes, features;
    const int32_t *labels;                   /* [n] */
    const int32_t *others;                   /* [n], mixed in by mixup; NULL: none */
    double share, smoothing;                 /* of the labels, as struct loss_targets has it */
    const float *logits[SPEC_SECTIONS_MAX];  /* [n][classes] */
    const float *feature[SPEC_SECTIONS_MAX]; /* [n][features], what the linear layer saw */
    float *dlogits[SPEC_SECTIONS_MAX];       /* += the gradient */
    float *dfeature[SPEC_SECTIONS_MAX];
    const float *source; /* [n][classes], the logits of teacher or peer; NULL when there is none */
};

/* The loss of a batch, C the deepest exit, t the source:
 *   baseline  CE(z_C)
 *   dsn       sum_i CE(z_i)                                              (arXiv 1409.5185)
 *   byot      CE(z_C) + sum_{i<C} (1-alpha) CE(z_i) + alpha T^2 KL_T(z_C || z_i) + lambda H(F_i,
 *             F_C)
 *   kd        (1-alpha) CE(z_C) + alpha T^2 KL_T(z_t || z_C)             (arXiv 1503.02531)
 *   fitnet    the same + lambda * mean of (r(M_C) - M_t)^2               (arXiv 1412.6550)
 *   at        the same + beta/2 * sum over sections of attention's       (arXiv 1612.03928)
 *   dml       CE(z_C) + alpha T^2 KL_T(z_t || z_C)                       (arXiv 1706.00384)
 * z_C and F_C in byot's last two terms, and everything of the source, are constants; T^2 only where
 * the recipe asks for it. Nothing is averaged over exits. The terms of maps M are not added here
 * (guide.h). Adds the gradients to the batch's arrays. */
double objective_loss(const struct recipe *recipe, const struct objective_batch *batch);

#endif
