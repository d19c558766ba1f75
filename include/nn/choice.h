/* Which algorithm computes a convolution, in a plan or in one of training's directions, by the
 * number of images at a time. There is always a choice by rule, the same on every machine with the
 * same instruction set; one that was measured on this machine may replace it (choices). */
#ifndef NN_CHOICE_H
#define NN_CHOICE_H

#include "kernel/kernel.h"

/* What factors may be rounded to; sums are fp32 always. */
enum precision {
    PRECISION_FP32,
    PRECISION_BF16, /* where that is quicker and the processor has it */
};

/* Numbers of images that are told apart: 1, 2, 3 to 4, 5 to 8, ..., 33 and more. */
enum { CHOICE_SIZES = 7 };

struct choice {
    enum conv_algorithm of[CHOICE_SIZES];
};

/* The index in `of` for so many images (at least 1), and the most images that an index stands for;
 * the last one stands for all above, too. */
int choice_index(int images);
int choice_images(int index);

/* What a convolution is computed for: a plan, whose weights are packed once, or a direction of
 * training, whose weights change with every step. */
enum choice_use {
    CHOICE_PLAN,
    CHOICE_FORWARD,
    CHOICE_BACKWARD_DATA,
    CHOICE_BACKWARD_WEIGHT,
    CHOICE_USES
};

static inline enum choice_use choice_use_of(enum conv_direction d)
{
    return (enum choice_use)(CHOICE_FORWARD + (int)d);
}

static inline enum conv_direction choice_direction(enum choice_use use)
{
    return use == CHOICE_PLAN ? CONV_FORWARD : (enum conv_direction)(use - CHOICE_FORWARD);
}

/* The choice by rule. Any thread. */
struct choice choice_by_rule(const struct kernels *kernels, const struct conv_geometry *g,
                             enum precision precision);

/* The same for a direction of training, for any number of images. Any thread. */
enum conv_algorithm choice_training(const struct kernels *kernels, enum conv_direction d,
                                    const struct conv_geometry *g, enum precision precision);

/* Whether an algorithm may be chosen at all: its table has it, it takes the convolution, rounds no
 * more than the precision allows, and a plan's packed weights are not too large to be read at each
 * pass. */
bool choice_permits(const struct kernels *kernels, enum choice_use use,
                    const struct conv_geometry *g, enum precision precision, enum conv_algorithm a);

/* One algorithm for every number, where the table has it and it takes this convolution; otherwise
 * the direct one. */
struct choice choice_forced(const struct kernels *kernels, const struct conv_geometry *g,
                            enum conv_algorithm a);

#endif
