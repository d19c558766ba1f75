/* A trainer: the state of a training between two steps. Everything random is a function of seed,
 * epoch, sample and purpose, so the state is the parameters, the momentum and the position, and a
 * training that goes on from a checkpoint ends in the same bits as one that was never interrupted
 * (with equal threads and an equal processor). It knows no clock and writes nothing but
 * checkpoints.
 *
 * In a job of several ranks each has a trainer, with the same setup but its own ranks; whatever
 * they do is done by all (train/ranks.h), and they have the same state behind it.
 *
 * Life: trainer_new(), trainer_agree(), perhaps other first values in trainer_params() or
 * trainer_restore(), then trainer_step() until trainer_done(). One caller at a time. */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "data/batch.h"
#include "data/dataset.h"
#include "data/split.h"
#include "model/model.h"
#include "nn/choices.h"
#include "nn/net.h"
#include "recipe/recipe.h"
#include "train/ranks.h"
#include "train/checkpoint.h"
#include "train/objective.h"

/* All of it must outlive the trainer. */
struct trainer_setup {
    const struct recipe *recipe;
    const struct net *net;
    const struct dataset *set;
    const struct split *split;
    const struct preprocess *preprocess;
    const char *parent;  /* SHA-256 of the model whose parameters are the first ones, or "" */
    struct ranks *ranks; /* those with the other parts of each batch; NULL: there are none */
    struct pool *pool;
    const struct kernels *kernels;
    const struct model *teacher; /* for methods with a teacher; else NULL */
    const struct net *peer;      /* for methods with a peer; else NULL */
    unsigned loaders;            /* threads that make batches ahead; 0: one a processor */

    /* The algorithms of convolutions, as in struct grad_options. Those of a checkpoint that is to
     * be restored come from checkpoint_algorithms(). */
    struct choices *choices;
    double measure_s;
};

struct trainer;

/* With first parameters from the seed, a peer's from the seed after it. ERR_RANGE when there are
 * fewer images than a batch has, or hints for classifiers that the net does not have. */
struct trainer *trainer_new(const struct trainer_setup *setup, struct err *e);
void trainer_free(struct trainer *trainer);

/* By all ranks: whether they train the same. ERR_CONFLICT. */
int trainer_agree(struct trainer *trainer, struct err *e);

/* The algorithms that it computes with. */
const struct choices *trainer_algorithms(const struct trainer *trainer);

float *trainer_params(struct trainer *trainer); /* the net's block: what the steps move */

/* What the steps so far, one at least, give as models: blocks of the net and of the peer (NULL when
 * there is none). With an average over the steps it is that, with the norms' statistics made anew
 * from the first images of the last step's epoch, augmented, each batch's with the same weight
 * (Izmailov et al., UAI 2018, section 3.2); without, what the steps move. Valid until the next
 * step; the caller may round them. Errors are those of reading images. */
struct trainer_models {
    float *student, *peer;
};
int trainer_models(struct trainer *trainer, struct trainer_models *ret_models, struct err *e);

size_t trainer_bytes(const struct trainer *trainer);

int64_t trainer_epoch_steps(const struct trainer *trainer); /* the last, partial batch is dropped */
int64_t trainer_steps(const struct trainer *trainer);       /* in all, within the limit */
int64_t trainer_position(const struct trainer *trainer);    /* steps done */
bool trainer_done(const struct trainer *trainer);

/* What the caller keeps in checkpoints: the trainer does nothing with it. */
struct checkpoint_history *trainer_history(struct trainer *trainer);
struct checkpoint_log *trainer_log(struct trainer *trainer);

struct train_report {
    int64_t epoch;                     /* of the step, from 1 */
    int64_t step;                      /* steps done, this one included */
    double loss, rate;                 /* of this step */
    double mean_loss;                  /* of the epoch so far */
    bool epoch_end;                    /* it was the epoch's last */
    const struct objective_sums *sums; /* of the epoch so far; until the next step */
};

/* One step. ERR_DIVERGED when the loss is not finite, with the step, the rate and what of the loss
 * it is: the parameters keep their values, only running statistics have moved. */
int trainer_step(struct trainer *trainer, struct train_report *ret_report, struct err *e);

/* By all ranks: the next step is written to path, which must live until then, when it has been
 * done: its batch, losses, gradients and all that it moved (doc/training.md has the names). It
 * computes what it would without. trainer_step() has the errors of writing. */
int trainer_dump_next(struct trainer *trainer, const char *path, struct err *e);

/* By rank 0's file, which nobody else needs. Errors as checkpoint_write() and checkpoint_read().
 * Nothing is written either, ERR_DIVERGED, when the next step would have no finite loss: what a
 * checkpoint holds can be gone on from. */
int trainer_save(struct trainer *trainer, const char *path, struct err *e);
int trainer_restore(struct trainer *trainer, const char *path, struct err *e);

/* Whether a model can teach this network by this method on these images: guide.h's sizes, and the
 * data set's labels, one by one. ERR_CONFLICT says what differs. */
int trainer_check_teacher(const struct model *teacher, const struct method *method,
                          const struct net *net, const struct dataset *set, struct err *e);

#endif
