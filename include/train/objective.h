/* The objective of a method: which heads learn, and the loss of a batch, which reads its logits and
 * features and writes their gradients. The losses themselves are nn/loss.h; what a teacher's maps
 * add is nn/loss_map.h's, with the weight from here. Pure; any thread. */
#ifndef TRAIN_OBJECTIVE_H
#define TRAIN_OBJECTIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "nn/loss.h"
#include "nn/spec.h"
#include "recipe/recipe.h"

/* Bit i: exit i learns. */
unsigned objective_exits(const struct method *method, int n_exits);

/* Bit i: the parameters of exit i move: all that learn, but for the deepest when the trunk is
 * frozen. */
unsigned objective_moving(const struct recipe *recipe, int n_exits);

/* Bit i: exit i of a model that the recipe trained has learned, and may answer. Those whose head
 * was trained; a head that was not reads a trunk that has changed under it, whatever a parent had
 * taught it; nor has one whose loss had the weight 0. */
unsigned objective_learned(const struct recipe *recipe, int n_exits);

/* Whether classifiers learn from the mean of all. */
bool objective_has_ensemble(const struct recipe *recipe);

/* ERR_RANGE when the recipe names classifiers that a network of so many exits does not have. */
int objective_check(const struct recipe *recipe, int n_exits, struct err *e);

/* The weight of what is compared with the teacher at the ends of sections. */
double objective_guide_weight(const struct recipe *recipe);

/* What the loss of exits was made of, summed over micro-batches. */
enum objective_term { TERM_LABELS, TERM_ANSWERS, TERM_HINT, OBJECTIVE_TERMS };
extern const char *const objective_terms[OBJECTIVE_TERMS]; /* what they are called */
struct objective_sums {
    int64_t batches, images;
    double loss[OBJECTIVE_TERMS][SPEC_SECTIONS_MAX]; /* with their weights, as they were added */
    double maps;                                     /* what compares maps with the teacher's */
    int64_t right[SPEC_SECTIONS_MAX]; /* images whose label, the larger one, is the best class */
};

/* One batch as the loss sees it. Arrays of exits that do not learn are neither read nor written. */
struct objective_batch {
    int n, n_exits, classes, features;
    struct loss_targets targets;             /* of n images */
    const float *logits[SPEC_SECTIONS_MAX];  /* [n][classes] */
    const float *feature[SPEC_SECTIONS_MAX]; /* [n][features], what the linear layer saw */
    float *dlogits[SPEC_SECTIONS_MAX];       /* += the gradient */
    float *dfeature[SPEC_SECTIONS_MAX];
    const float *source; /* [n][classes], the logits of teacher or peer; NULL when there is none */
    float *ensemble;     /* [n][classes], for the mean of the logits where the recipe distills from
                            it */
    struct objective_sums *sums; /* += this batch; NULL: nobody asks */
};

/* The loss of a batch as the method has it (src/train/objective.c has the terms of each, with their
 * papers), summed over exits that learn, not averaged. What compares maps is not added here
 * (guide.h). Adds the gradients to the batch's arrays. */
double objective_loss(const struct recipe *recipe, const struct objective_batch *batch);

#endif
