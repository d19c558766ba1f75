/* Checkpoints: parameters, what the optimizer keeps of them, position and the options of a training
 * in one safetensors file ("model.NAME", "momentum.NAME" or "exp_avg.NAME" and so on, and what else
 * the training keeps as "state.NAME", all F32; "autodidact.checkpoint" in the metadata). Written
 * beside and renamed, so that a crash or a full disk leaves the previous one. */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/journal.h"
#include "nn/choices.h"
#include "nn/net.h"
#include "recipe/recipe.h"
#include "train/objective.h"

/* What evaluations of held-out images have said so far. What one says behind the last step alone
 * stands apart: a training that is made longer would not have had it. */
struct checkpoint_history {
    double best_top1;
    int64_t best_epoch; /* 0: there was none yet */
    int64_t idle;       /* evaluations since then */
    bool has_end;
    double end_top1;
};

/* Where the training's log stands, which is written beside it (tool/train_log.h). */
enum { CHECKPOINT_RUN_MAX = 256 };
struct checkpoint_log {
    char run[CHECKPOINT_RUN_MAX]; /* a file's name; "": there is no log */
    int64_t started_s;            /* since 1970 */
    struct journal_mark table, events;
};

struct checkpoint_position {
    int64_t step;    /* steps done */
    double loss_sum; /* of the steps of the present epoch */
    int64_t loss_count;
    struct objective_sums sums; /* of the same steps */
    struct checkpoint_history history;
    struct checkpoint_log log;
};

/* State beside the net's own: a row of numbers. */
struct checkpoint_array {
    const char *name, *of; /* one behind the other: "peer.", "momentum" */
    float *values;
    size_t count;
};

/* State by parameter: numbers in the layout of the net's block, each tensor written as
 * "NAME.TENSOR". */
struct checkpoint_block {
    const char *name;
    float *values;
    bool whole; /* the whole block; else only what is trained */
};

enum { CHECKPOINT_BLOCKS_MAX = 4, CHECKPOINT_ARRAYS_MAX = 12 };

/* What is written, or read into; the blocks tensor by tensor, one behind the other. */
struct checkpoint_state {
    const struct net *net;
    size_t n_blocks;
    struct checkpoint_block blocks[CHECKPOINT_BLOCKS_MAX];
    size_t n_arrays;
    struct checkpoint_array arrays[CHECKPOINT_ARRAYS_MAX];
    const struct choices *algorithms; /* written only; see checkpoint_algorithms() */
};

/* ERR_DIVERGED, and nothing is written, when a number of it is not finite.
 * texts: what identifies the training (recipe_texts() and what the caller adds). */
int checkpoint_write(const char *path, const struct checkpoint_state *state,
                     const struct checkpoint_position *position, const struct recipe_text *texts,
                     size_t n_texts, struct err *e);

/* ERR_CONFLICT, with the name of the option, when the checkpoint was made with other texts. On any
 * failure what the state points to is unspecified. */
int checkpoint_read(const char *path, const struct recipe_text *texts, size_t n_texts,
                    struct checkpoint_position *ret_position, const struct checkpoint_state *state,
                    struct err *e);

/* Adds the algorithms that the training computes with, before there is a trainer, so that it goes
 * on with the same bits: on another processor, too, as far as that has them. Errors name the path.
 */
int checkpoint_algorithms(const char *path, struct choices *choices, struct err *e);

/* The value of one text in a checkpoint, before there is a training to compare with. ERR_NOT_FOUND
 * when it has no such text (or one longer than this program writes). */
int checkpoint_text(const char *path, const char *name, char ret_value[RECIPE_TEXT_MAX],
                    struct err *e);

#endif
