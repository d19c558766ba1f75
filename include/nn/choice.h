/* Which algorithm computes a convolution of a plan, by the number of images at a time. There is
 * always a choice by rule, the same on every machine with the same instruction set; one that was
 * measured on this machine may replace it (choices). */
#ifndef NN_CHOICE_H
#define NN_CHOICE_H

#include "kernel/kernel.h"

/* What a plan may round factors to; sums are fp32 always. */
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

/* The choice by rule. Any thread. */
struct choice choice_by_rule(const struct kernels *kernels, const struct conv_geometry *g,
                             enum precision precision);

/* Whether an algorithm may be chosen at all: its table has it, it takes the convolution, rounds no
 * more than the precision allows, and its packed weights are not too large to be read at each pass.
 */
bool choice_permits(const struct kernels *kernels, const struct conv_geometry *g,
                    enum precision precision, enum conv_algorithm a);

/* One algorithm for every number, where the table has it and it takes this convolution; otherwise
 * the direct one. */
struct choice choice_forced(const struct kernels *kernels, const struct conv_geometry *g,
                            enum conv_algorithm a);

#endif
