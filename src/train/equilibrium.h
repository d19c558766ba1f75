/* Gradient equilibrium of classifiers that share a trunk (Li et al., "Improved Techniques for
 * Training Adaptive Deep Networks", ICCV 2019, section 3.1): one that grows with their number is
 * kept from shaking the sections that all of them learn. */
#ifndef TRAIN_EQUILIBRIUM_H
#define TRAIN_EQUILIBRIUM_H

#include "base/pool.h"
#include "nn/net.h"

/* Scales the trunk's part of a gradient, [net_trained_size], as the paper's rescaling at the n - 1
 * forks does: behind section i, from 1, what comes from its classifier is multiplied with 1/(n-i+1)
 * and what comes from deeper ones with (n-i)/(n-i+1). The product of these factors on the way from
 * any classifier to section s is 1/(n-s+1), so that is what the section's gradient is multiplied
 * with: it becomes the mean of its classifiers'. Heads keep theirs. */
void equilibrium_scale(const struct net *net, struct pool *pool, float *dparams);

#endif
