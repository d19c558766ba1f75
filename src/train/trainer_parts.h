/* What a trainer is made of, for the files that make one (trainer_new.c), say which training it is
 * (trainer_texts.c), move it (trainer.c) and keep it (trainer_state.c). */
#ifndef TRAIN_TRAINER_PARTS_H
#define TRAIN_TRAINER_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "data/loader.h"
#include "nn/choices.h"
#include "recipe/recipe.h"
#include "accumulator.h"
#include "average.h"
#include "dump.h"
#include "exchange.h"
#include "guide.h"
#include "learner.h"
#include "mix.h"
#include "progressive.h"
#include "trunk.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

/* What the second network is called in checkpoints. */
#define TRAINER_PEER "peer"

/* What a step's file has of each micro-batch. */
struct trainer_dump_rows {
    float *targets, *source, *logits[SPEC_SECTIONS_MAX]; /* [share][classes]; NULL: it has not */
};

struct trainer {
    struct trainer_setup setup;
    struct recipe recipe;
    struct learner student, peer;                   /* peer.net NULL: there is none */
    struct average *average, *peers_average;        /* NULL: there is none */
    struct guide *guide;                            /* NULL: there is no teacher */
    struct trunk *trunk;                            /* NULL: it learns */
    struct progressive *progressive;                /* NULL: there are no answers of before */
    float *weights;                                 /* [classes]; NULL: all 1 */
    struct accumulator students, peers, regressors; /* of their gradients */
    struct exchange *regressors_exchange;           /* NULL: no other rank has any */
    struct loader *loader;
    struct loader_batch batch; /* of this step */
    int64_t mixed;             /* the step that it is of when it has been mixed; else -1 */
    int64_t parts;             /* micro-batches of a batch */
    size_t share;              /* images of a batch that are this rank's */
    int32_t *others;           /* [share], what is mixed into labels; NULL: nothing is */
    struct mix mix;            /* of this step */
    int64_t epoch_steps;
    struct choices *algorithms; /* of all convolutions */
    char fault[80];             /* what was not finite, the first of it; "": nothing */
    struct checkpoint_position position;
    struct dump *dump;     /* NULL: nobody wants the next step, or this is not the first rank */
    const char *dump_path; /* NULL: nobody wants it */
    struct trainer_dump_rows dump_rows;
    struct recipe_text texts[RECIPE_TEXTS_MAX];
    size_t n_texts;
};

/* Fills in t->texts: which training it is, for checkpoints and for other ranks. */
int trainer_make_texts(struct trainer *t, struct err *e);

/* All that changes from step to step. */
struct checkpoint_state trainer_state_of(struct trainer *t);

/* By all ranks: whether the parameters as they stand have a loss, on the first micro-batch of a
 * step. Running statistics and the position's sums are moved. ERR_DIVERGED. */
int trainer_try(struct trainer *t, int64_t step, struct err *e);

#endif
