/* The weights of a running ensemble, fitted on held-out logits. Pure; any thread. */
#ifndef SRC_TRAIN_WEIGHTS_H
#define SRC_TRAIN_WEIGHTS_H

#include "train/evaluate.h"

/* The weights w of exits 0..last, not negative and of sum 1, for which, at the temperature T that
 * suits them, the softmax of (sum of w_i z_i) / T has the least mean negative log likelihood: a
 * logarithmic opinion pool (Heskes, NIPS 1997) with weights fitted as in stacking (Breiman 1996,
 * "Stacked regressions", which bounds them by 0). In b = w / T the likelihood is convex, so there
 * is one minimum. Exits that have not learned have weight 0. Equal weights when none helps. The
 * same logits give the same bits. ret_weights: [last + 1]. */
void weights_fit(const struct logits *logits, int last, double *ret_weights);

#endif
