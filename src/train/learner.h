/* A network that learns: its parameters, passes and optimizer. A trainer has one, two for methods
 * with a peer. Members are the owner's to read. */
#ifndef TRAIN_LEARNER_H
#define TRAIN_LEARNER_H

#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "nn/grad.h"
#include "nn/loss.h"
#include "exchange.h"
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
    struct ranks *ranks;         /* NULL: there are no others */
    struct exchange *gradients;  /* with them */
    double *statistics;          /* of norms, when they differ by rank; or NULL */
    struct objective_sums *sums; /* += the terms of each loss; NULL: nobody asks */
};

/* For micro-batches of recipe_micro_batch(). First parameters from the seed; how: of its
 * passes, but for the exits. Everything must outlive it. learner_release() is due after a failure,
 * too, and fine on zeros. */
int learner_init(struct learner *learner, const struct net *net, const struct recipe *recipe,
                 const struct grad_options *how, uint64_t seed, struct pool *pool,
                 const struct kernels *kernels, struct err *e);

/* Once, for one of several ranks, which have the other shares of each batch; nothing for NULL.
 * -ENOMEM. */
int learner_join(struct learner *learner, struct ranks *ranks, struct err *e);
void learner_release(struct learner *learner);
size_t learner_bytes(const struct learner *learner);

/* After grad_forward(): the method's loss for a micro-batch, its gradients put into grad.
 * source: the logits of teacher or peer, or NULL. */
double learner_loss(const struct learner *learner, const struct recipe *recipe,
                    const struct loss_targets *targets, const float *source);

/* After grad_forward() of n images whose loss is not finite: what of it is not, for people. */
void learner_fault(const struct learner *learner, int n, char *ret_text, size_t size);

/* After learner_loss(): dparams becomes the gradient of that loss, by all ranks that of the mean of
 * their losses when a batch is one micro-batch. */
void learner_backward(struct learner *learner);

/* By all ranks, after the batch's last micro-batch: gradients and running statistics become the
 * mean of theirs, so that all have the same parameters. */
void learner_share(struct learner *learner);

/* The same for the running statistics in the net's block `params` alone. Norms that are
 * synchronized have the same ones already. */
void learner_share_statistics(struct learner *learner, float *params);

/* One step of the optimizer by dparams. */
void learner_update(struct learner *learner, const struct optimizer_step *step);

#endif
