/* What determines the result of a training, apart from the data and the first parameters: plain
 * values. As texts they identify a checkpoint and make up the command that the model remembers. */
#ifndef TRAIN_OPTIONS_H
#define TRAIN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "train/method.h"
#include "train/schedule.h"

struct train_options {
    const struct method *method;
    struct distillation distillation;
    int64_t epochs, batch, warmup;
    struct schedule schedule;
    double lr, momentum, weight_decay;
    double label_smoothing, mixup; /* 0: off; mixup is alpha of Beta(alpha, alpha) */
    unsigned augment;
    int64_t holdout;
    uint64_t holdout_seed, seed;
};

/* The recipe of SCAN (doc/training.md) with a cosine instead of steps: byot, 200 epochs of
 * batches of 128, lr 0.1, crop and flip, 5,000 held-out images. */
void train_options_default(struct train_options *ret_options);

/* ERR_RANGE with a message that names the option and what it takes. */
int train_options_check(const struct train_options *options, struct err *e);

enum { TRAIN_TEXTS_MAX = 40, TRAIN_TEXT_MAX = 160 };

struct train_text {
    const char *name; /* the option's, without "--"; static storage */
    char value[TRAIN_TEXT_MAX];
    bool implied; /* the default of an option that is younger than some files: they do not say it */
};

/* Every option as text, in a fixed order; returns how many (at most TRAIN_TEXTS_MAX - 8, so that a
 * caller can add its own). Options that the method does not read are left out. */
size_t train_options_texts(const struct train_options *options,
                           struct train_text ret_texts[TRAIN_TEXTS_MAX]);

#endif
