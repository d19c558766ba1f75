/* A network that learns: its parameters, passes and optimizer. A trainer has one, two for methods
 * with a peer. Members are the owner's to read. */
#ifndef TRAIN_LEARNER_H
#define TRAIN_LEARNER_H

#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "nn/grad.h"
#include "nn/loss.h"
#include "train/objective.h"
#include "train/optimizer.h"
#include "recipe/recipe.h"

struct learner {
    const struct net *net;
    const struct recipe *recipe;
    struct pool *pool;
    unsigned exits; /* bit i: exit i learns */
    struct grad *grad;
    struct optimizer *optimizer;
    float *params, *dparams;     /* blocks of the net: whole; trained */
    float *ensemble;             /* of logits; NULL: nobody learns from it */
    struct objective_sums *sums; /* += the terms of each loss; NULL: nobody asks */
};

/* For micro-batches of recipe_micro_batch(). First parameters from the seed; how: of its
 * passes, but for the exits. Everything must outlive it. learner_release() is due after a failure,
 * too, and fine on zeros. */
int learner_init(struct learner *learner, const struct net *net, const struct recipe *recipe,
                 const struct grad_options *how, uint64_t seed, struct pool *pool,
                 const struct kernels *kernels, struct err *e);
void learner_release(struct learner *learner);
size_t learner_bytes(const struct learner *learner);

/* After grad_forward(): the method's loss for a micro-batch, its gradients put into grad.
 * source: the logits of teacher or peer, or NULL. */
double learner_loss(const struct learner *learner, const struct recipe *recipe,
                    const struct loss_targets *targets, const float *source);

/* After grad_forward() of n images whose loss is not finite: what of it is not, for people. */
void learner_fault(const struct learner *learner, int n, char *ret_text, size_t size);

/* After learner_loss(): dparams becomes the gradient of that loss. */
void learner_backward(struct learner *learner);

/* One step of the optimizer by dparams. */
void learner_update(struct learner *learner, const struct optimizer_step *step);

#endif
